package trace

import (
	"net/netip"
	"slices"

	"github.com/plumbnet/plumb/network"
	"github.com/plumbnet/plumb/packet"
)

// A flood is what a broadcast frame reaches. A frame for one address is
// flooded likewise where its bridge does not know it.
type flood struct {
	w       *walk
	target  netip.Addr                // what is asked for: bounds the search among uplinks
	wanted  func(*network.Iface) bool // who is looked for
	got     []*network.Iface          // those of them whose IP stack gets the frame
	outside bool                      // it also left the snapshot
	unclear bool                      // it could not be followed everywhere
	why     string
	left    int // how many devices may still be visited
}

// maxFlood bounds a flood: loops of bridges without STP.
const maxFlood = 20000

// flood follows a broadcast frame out of d, to those who are wanted. What it returns is good until the next flood.
func (w *walk) flood(d *network.Iface, vlan int, target netip.Addr, wanted func(*network.Iface) bool) *flood {
	f := w.newFlood(target, wanted)
	f.out(d, vlan, 0)
	return f
}

func (w *walk) newFlood(target netip.Addr, wanted func(*network.Iface) bool) *flood {
	f := &w.all.flood
	*f = flood{w: w, target: target, wanted: wanted, left: maxFlood, got: f.got[:0]}
	return f
}

// floodTo follows the frame of s, for its link-layer address, out of a port of bridge b.
func (w *walk) floodTo(s *state, b, port *network.Iface) *flood {
	return w.flood(port, egressTag(b, port, s.frame.vlan), s.p.Dst.Addr(), has(s.frame.dst))
}

// has wants devices with a link-layer address.
func has(m packet.MAC) func(*network.Iface) bool {
	return func(d *network.Iface) bool { return d.Link.MAC == m }
}

// reach gives the frame to a device's IP stack.
func (f *flood) reach(d *network.Iface) {
	if f.wanted(d) {
		f.got = append(f.got, d)
	}
}

// found reports whether the frame reached any that is wanted.
func (f *flood) found() bool { return len(f.got) > 0 }

func (f *flood) spent(depth int) bool {
	f.left--
	if f.left < 0 || depth > 24 {
		f.unclear, f.why = true, "the segment is too large, or has a loop"
		return true
	}
	return false
}

// out follows a frame that a device sends.
func (f *flood) out(d *network.Iface, vlan, depth int) {
	if !d.Up() || f.spent(depth) {
		return
	}
	switch d.Kind() {
	case "bridge":
		f.ports(d, nil, bridgeVLAN(d, vlan), depth)
	case "vlan":
		if d.Lower != nil {
			f.out(d.Lower, d.Link.Info.Data.ID, depth+1)
		}
	case "macvlan", "ipvlan":
		f.siblings(d, depth)
		if d.Lower != nil {
			f.out(d.Lower, vlan, depth+1)
		}
	case "bond":
		if p := activePort(d); p != nil {
			f.out(p, vlan, depth+1)
		}
	case "vxlan":
		f.tunnel(d, depth)
	case "veth", "netkit":
		if d.Peer != nil {
			f.in(d.Peer, vlan, depth+1)
			return
		}
	case "", "dummy":
	default:
		f.unclear, f.why = true, "what a "+d.Kind()+" device does is not modelled"
	}
	if d.Uplink {
		f.wire(d, vlan, depth)
	} else if hasPeer(d) {
		f.unclear, f.why = true, d.PeerWhy
	}
}

func hasPeer(d *network.Iface) bool {
	switch d.Kind() {
	case "veth", "netkit":
		return d.Peer == nil
	case "vlan", "macvlan", "ipvlan":
		return d.Lower == nil
	}
	return false
}

// wire follows a frame to the other uplinks on the segment that may answer for the target.
func (f *flood) wire(d *network.Iface, vlan, depth int) {
	f.outside = true
	owners := f.w.net.Owners(f.target)
	for i, o := range owners {
		if o.NS != d.NS && !hasNS(owners[:i], o.NS) {
			f.wireTo(o.NS, d, vlan, depth)
		}
	}
	for _, u := range f.w.net.Uplinks() {
		if u.Conf.ProxyARP.On() && u.NS != d.NS && network.Meet(u, d) && !hasNS(owners, u.NS) {
			f.in(u, vlan, depth+1)
		}
	}
	f.behind(d, vlan, depth)
}

func hasNS(all []*network.Iface, ns *network.NS) bool {
	return slices.ContainsFunc(all, func(d *network.Iface) bool { return d.NS == ns })
}

// behind follows a frame to owners of the target that are bridged to an uplink of their node.
func (f *flood) behind(d *network.Iface, vlan, depth int) {
	for _, o := range f.w.net.Owners(f.target) {
		for _, u := range f.w.net.Behind(o.Link.MAC) {
			if u.NS != o.NS && u.NS != d.NS && network.Meet(u, d) {
				f.in(u, vlan, depth+1)
			}
		}
	}
}

func (f *flood) wireTo(ns *network.NS, d *network.Iface, vlan, depth int) {
	for _, u := range ns.Ifaces {
		if u.Uplink && network.Meet(u, d) {
			f.in(u, vlan, depth+1)
		}
	}
}

// in follows a frame that a device takes in.
func (f *flood) in(d *network.Iface, vlan, depth int) {
	if !d.Up() || f.spent(depth) {
		return
	}
	if vlan != 0 {
		if u := vlanUpper(d, vlan); u != nil {
			f.in(u, 0, depth+1)
			return
		}
	}
	for _, u := range d.Uppers {
		if (u.Kind() == "macvlan" || u.Kind() == "ipvlan") && u.Up() {
			f.reach(u)
		}
	}
	b := d.PortOf()
	switch {
	case b != nil:
		f.bridge(b, d, vlan, depth)
	case d.Master != nil && d.Master.Kind() == "bond":
		f.in(d.Master, vlan, depth+1)
	case vlan == 0:
		f.reach(d)
	}
}

// bridge follows a frame that came to a bridge by a port.
func (f *flood) bridge(b, port *network.Iface, vlan, depth int) {
	if !b.Up() || !port.Forwards() {
		return
	}
	vid, ok, known := ingressVLAN(b, port, vlan)
	if !known {
		f.unclear, f.why = true, "the VLANs of the bridge's ports were not collected"
	}
	if !ok {
		return
	}
	if vlanAllows(b, b, vid) {
		f.bridgeUp(b, vid, depth)
	}
	f.ports(b, port, vid, depth)
}

// bridgeUp gives a frame to the bridge device itself, and to the VLAN devices on it.
func (f *flood) bridgeUp(b *network.Iface, vid, depth int) {
	if u := vlanUpper(b, vid); vid != 0 && u != nil && !untaggedAt(b, b, vid) {
		f.in(u, 0, depth+1)
		return
	}
	f.reach(b)
	for _, u := range b.Uppers {
		if u.Kind() == "macvlan" && u.Up() {
			f.reach(u)
		}
	}
}

// ports sends a frame out of all ports of a bridge that may have it.
func (f *flood) ports(b, from *network.Iface, vid, depth int) {
	for _, p := range b.Ports {
		if d := p.Peer; d != nil && d.Master == nil && len(d.Uppers) == 0 && !f.wanted(d) {
			continue // it ends there, at one who is not wanted
		}
		if mayLeave(b, from, p, vid) == "" && p.Link.Info.SlaveData.Flood {
			f.out(p, egressTag(b, p, vid), depth+1)
		}
	}
}

// siblings gives a frame to the macvlan or ipvlan devices on the same lower device.
func (f *flood) siblings(d *network.Iface, depth int) {
	if d.Lower == nil || d.Kind() == "macvlan" && d.Link.Info.Data.Mode != "bridge" {
		return
	}
	for _, u := range d.Lower.Uppers {
		if u != d && u.Kind() == d.Kind() && u.Link.Info.Data.Mode == d.Link.Info.Data.Mode && u.Up() {
			f.reach(u)
		}
	}
}

// tunnel follows a frame to the remote ends that a VXLAN device floods to.
func (f *flood) tunnel(d *network.Iface, depth int) {
	for _, r := range vxlanRemotes(d, zeroMAC) {
		if !r.dst.IsValid() || r.dst.IsMulticast() {
			f.outside = true
			continue
		}
		found := false
		for _, o := range f.w.net.Owners(r.dst) {
			if v := vxlanAt(o.NS, r.dst, r.port, r.vni); v != nil {
				found = true
				f.in(v, 0, depth+1)
			}
		}
		f.outside = f.outside || !found && len(f.w.net.Owners(r.dst)) == 0
	}
}
