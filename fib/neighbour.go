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
	own := t.vteps(dev, mac, vni)
	if len(own) > 0 || mac == zeroMAC {
		return own
	}
	return t.vteps(dev, zeroMAC, vni)
}

// vteps returns the entries of a VXLAN device for one MAC.
func (t *Tables) vteps(dev string, mac packet.MAC, vni int) []FDBEntry {
	var out []FDBEntry
	if t.Built != nil {
		for _, e := range t.Built.vteps[fdbKey{dev, mac}] {
			if e.hasVNI(vni) {
				out = append(out, *e)
			}
		}
		return out
	}
	for i := range t.FDB {
		e := &t.FDB[i]
		if e.Dev == dev && e.MAC == mac && e.isVTEP() && e.hasVNI(vni) {
			out = append(out, *e)
		}
	}
	return out
}

// isVTEP reports whether the entry is the VXLAN device's own, rather than that of
// a bridge which the device is a port of.
func (e *FDBEntry) isVTEP() bool { return e.Master == "" && (e.Dst.IsValid() || e.NHID != 0) }

func (e *FDBEntry) hasVNI(vni int) bool { return e.SrcVNI == 0 || e.SrcVNI == vni }

// FDBLookup returns the bridge's forwarding entry of a MAC in a VLAN (0 where the
// bridge does not filter VLANs). Its Dev is the port; the bridge itself, or state
// "permanent", means that the frame is the host's own.
func (t *Tables) FDBLookup(bridge string, mac packet.MAC, vlan int) (FDBEntry, bool) {
	if t.Built != nil {
		e, ok := t.Built.bridged[bridgedKey{bridge, mac, vlan}]
		if !ok {
			return FDBEntry{}, false
		}
		return *e, true
	}
	for _, e := range t.FDB {
		if e.MAC == mac && e.Master == bridge && e.VLAN == vlan && !e.Dst.IsValid() {
			return e, true
		}
	}
	return FDBEntry{}, false
}
