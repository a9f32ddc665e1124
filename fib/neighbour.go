package fib

import (
	"net/netip"
	"slices"

	"github.com/plumbnet/plumb/packet"
)

// Neigh returns the ARP or neighbour discovery entry of an address on a device.
func (t *Tables) Neigh(dev string, a netip.Addr) (Neigh, bool) {
	a = a.Unmap()
	if t.Built != nil {
		n, ok := t.Built.neighs[neighKey{dev, a}]
		if !ok {
			return Neigh{}, false
		}
		return *n, true
	}
	i := slices.IndexFunc(t.Neighs, func(n Neigh) bool { return n.Dev == dev && n.Dst == a && !n.Proxy })
	if i < 0 {
		return Neigh{}, false
	}
	return t.Neighs[i], true
}

// VTEPs returns the remote ends to which a VXLAN device sends a frame: the entry
// of its MAC, or else the default entries (of the zero MAC), to each of which the
// frame is copied (vxlan_xmit). Of a device with "external", vni is the one that
// the packet has; else 0.
func (t *Tables) VTEPs(dev string, mac packet.MAC, vni int) []FDBEntry {
	own := t.fdb(dev, mac, func(e *FDBEntry) bool { return e.isVTEP(vni) })
	if len(own) > 0 || mac == zeroMAC {
		return own
	}
	return t.fdb(dev, zeroMAC, func(e *FDBEntry) bool { return e.isVTEP(vni) })
}

// isVTEP reports whether the entry is the VXLAN device's own, rather than that of
// a bridge which the device is a port of.
func (e *FDBEntry) isVTEP(vni int) bool {
	return e.Master == "" && (e.Dst.IsValid() || e.NHID != 0) && (e.SrcVNI == 0 || e.SrcVNI == vni)
}

// FDBLookup returns the bridge's forwarding entry of a MAC in a VLAN (0 where the
// bridge does not filter VLANs). Its Dev is the port; the bridge itself, or state
// "permanent", means that the frame is the host's own.
func (t *Tables) FDBLookup(bridge string, mac packet.MAC, vlan int) (FDBEntry, bool) {
	for _, e := range t.FDB {
		if e.MAC == mac && e.Master == bridge && e.VLAN == vlan && !e.Dst.IsValid() {
			return e, true
		}
	}
	return FDBEntry{}, false
}

// fdb returns the entries of a device and MAC that ok takes.
func (t *Tables) fdb(dev string, mac packet.MAC, ok func(*FDBEntry) bool) []FDBEntry {
	var out []FDBEntry
	if t.Built != nil {
		for _, e := range t.Built.fdb[fdbKey{dev, mac}] {
			if ok(e) {
				out = append(out, *e)
			}
		}
		return out
	}
	for i := range t.FDB {
		e := &t.FDB[i]
		if e.Dev == dev && e.MAC == mac && ok(e) {
			out = append(out, *e)
		}
	}
	return out
}
