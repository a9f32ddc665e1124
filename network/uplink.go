package network

import (
	"net/netip"

	"github.com/plumbnet/plumb/packet"
)

// findUplinks marks the devices that lead out of the snapshot, and indexes what answers behind them.
func (n *Network) findUplinks() {
	for _, ns := range n.NS {
		for _, d := range ns.Ifaces {
			if d.Uplink = isUplink(d); d.Uplink {
				n.uplinks = append(n.uplinks, d)
			}
		}
	}
	for _, u := range n.uplinks {
		seen := map[*Iface]bool{}
		u.nets = u.subnets()
		u.receivers(seen, func(d *Iface) { n.addBehind(d.Link.MAC, u) })
	}
}

func (n *Network) addBehind(m packet.MAC, u *Iface) {
	if m.IsZero() {
		return
	}
	for _, have := range n.behind[m] {
		if have == u {
			return
		}
	}
	n.behind[m] = append(n.behind[m], u)
}

// isUplink reports whether a device leads out of the snapshot: a physical one,
// or one whose other end was not collected and that looks like a machine's way
// out: it has a subnet, or a default route leads through it.
func isUplink(d *Iface) bool {
	switch d.Kind() {
	case "":
		return d.IsEthernet() && !d.IsLoopback()
	case "veth", "netkit":
		return d.Peer == nil && leadsOut(d)
	case "macvlan", "ipvlan", "vlan":
		return d.Lower == nil && leadsOut(d)
	}
	return false
}

func leadsOut(d *Iface) bool {
	if !d.NS.IsHost() {
		return false
	}
	l3 := d.L3()
	if l3 == d && hasSubnet(d) {
		return true
	}
	for i := range d.NS.FIB.Routes {
		r := &d.NS.FIB.Routes[i]
		if r.Dst.IsValid() && r.Dst.Bits() == 0 && len(r.Hops) > 0 && r.Hops[0].Dev == l3.Name() {
			return true
		}
	}
	return false
}

func hasSubnet(d *Iface) bool {
	for i := range d.Link.Addrs {
		a := &d.Link.Addrs[i]
		if !a.Local.IsLinkLocalUnicast() && !subnet(a).IsSingleIP() {
			return true
		}
	}
	return false
}

// receivers calls f for every device that a frame from outside may reach through d, without regard to VLANs and states.
func (d *Iface) receivers(seen map[*Iface]bool, f func(*Iface)) {
	if d == nil || seen[d] {
		return
	}
	seen[d] = true
	f(d)
	for _, u := range d.Uppers {
		u.nets = u.subnets()
		u.receivers(seen, f)
	}
	if d.Master == nil {
		return
	}
	d.Master.receivers(seen, f)
	if d.PortOf() == nil {
		return
	}
	for _, p := range d.Master.Ports {
		p.Peer.receivers(seen, f)
	}
}

// Uplinks returns the devices that lead out of the snapshot.
func (n *Network) Uplinks() []*Iface { return n.uplinks }

// Behind returns the uplinks behind which a link-layer address answers.
func (n *Network) Behind(m packet.MAC) []*Iface { return n.behind[m] }

// Meet reports whether two uplinks are on one segment as far as their subnets tell: some subnet of one overlaps one of the other.
func Meet(a, b *Iface) bool {
	for _, p := range a.nets {
		for _, q := range b.nets {
			if p.Overlaps(q) {
				return true
			}
		}
	}
	return false
}

// subnets returns the subnets on the link of an uplink, its bridge or bond, and the VLANs on top.
func (d *Iface) subnets() []netip.Prefix {
	var all []netip.Prefix
	l3 := d.L3()
	for _, i := range append([]*Iface{l3}, l3.Uppers...) {
		for k := range i.Link.Addrs {
			a := &i.Link.Addrs[k]
			if p := subnet(a); p.IsValid() && !a.Local.IsLinkLocalUnicast() {
				all = append(all, p)
			}
		}
	}
	return all
}

// UplinkTo returns an uplink of the namespace that is on one segment with the uplink u, or nil.
func (n *NS) UplinkTo(u *Iface) *Iface {
	for _, d := range n.Ifaces {
		if d.Uplink && d != u && Meet(d, u) {
			return d
		}
	}
	return nil
}
