package trace

import (
	"net/netip"

	"github.com/plumbnet/plumb/fib"
	"github.com/plumbnet/plumb/network"
	"github.com/plumbnet/plumb/packet"
	"github.com/plumbnet/plumb/snapshot"
	"github.com/plumbnet/plumb/text"
)

// tunnelPort is the source port that is supposed of a VXLAN packet: the kernel hashes the inner flow into one.
const tunnelPort = 50000

// A remote is a far end of a VXLAN device, from its forwarding entries.
type remote struct {
	dst       netip.Addr
	port, vni int
	via       string
	entry     *fib.FDBEntry
}

// vxlanRemotes returns the far ends for a link-layer address; of the zero MAC, those that frames for unknown addresses go to.
func vxlanRemotes(d *network.Iface, m packet.MAC) []remote {
	var all []remote
	data := &d.Link.Info.Data
	for _, e := range d.NS.FDB(d.Name(), m) {
		if e.NHID != 0 {
			all = append(all, groupRemotes(d, e)...)
			continue
		}
		if !e.Dst.IsValid() {
			continue
		}
		r := remote{dst: e.Dst, port: e.Port, vni: e.VNI, via: e.Via, entry: e}
		all = append(all, r.withDefaults(data))
	}
	if len(all) == 0 && m == zeroMAC {
		for _, a := range []netip.Addr{addrOr(data.Remote), data.Remote6, data.Group, data.Group6} {
			if a.IsValid() && !a.IsUnspecified() {
				r := remote{dst: a, via: data.Link}
				all = append(all, r.withDefaults(data))
			}
		}
	}
	return all
}

func (r remote) withDefaults(data *snapshot.LinkData) remote {
	if r.port == 0 {
		r.port = data.Port
	}
	if r.vni == 0 {
		r.vni = data.ID
	}
	return r
}

// groupRemotes returns the far ends of an entry that names a nexthop object.
func groupRemotes(d *network.Iface, e *fib.FDBEntry) []remote {
	var all []remote
	ids := []uint32{e.NHID}
	for i := range d.NS.FIB.NextHops {
		if o := &d.NS.FIB.NextHops[i]; o.ID == e.NHID {
			for _, g := range o.Group {
				ids = append(ids, g.ID)
			}
		}
	}
	for i := range d.NS.FIB.NextHops {
		o := &d.NS.FIB.NextHops[i]
		for _, id := range ids {
			if o.ID == id && o.Hop.Via.IsValid() {
				r := remote{dst: o.Hop.Via, entry: e}
				all = append(all, r.withDefaults(&d.Link.Info.Data))
			}
		}
	}
	return all
}

// vxlanAt returns the VXLAN device of a namespace that takes packets for a UDP port and a network, or nil.
func vxlanAt(ns *network.NS, dst netip.Addr, port, vni int) *network.Iface {
	for _, d := range ns.Ifaces {
		if d.Kind() != "vxlan" || !d.Up() || d.Link.Info.Data.Port != port || vxlan6(d) != dst.Is6() {
			continue
		}
		if d.Link.Info.Data.ID == vni || d.Link.Info.Data.External {
			return d
		}
	}
	return nil
}

// vxlan6 reports whether a VXLAN device's socket is an IPv6 one.
func vxlan6(d *network.Iface) bool {
	data := &d.Link.Info.Data
	return data.Local6.IsValid() || data.Remote6.IsValid() || data.Group6.IsValid() || addrOr(data.Local).Is6() || addrOr(data.Remote).Is6()
}

// vxlanTransmit puts a frame into a UDP packet to the far end that its link-layer address leads to (vxlan_xmit).
func vxlanTransmit(w *walk, s *state) stage {
	d := s.out
	all := vxlanRemotes(d, s.frame.dst)
	if len(all) == 0 {
		all = w.flooded(s, vxlanRemotes(d, zeroMAC))
	}
	if missing := w.net.Missing(s.ns, "fdb.json"); len(all) == 0 && missing != "" {
		return w.unknown(s, text.F("where %s sends frames for %s is not known: its forwarding entries: %s", d, s.frame.dst, missing))
	}
	if len(all) == 0 {
		why := text.F("%s has no forwarding entry for %s, and none for unknown addresses", d, s.frame.dst)
		s.step(StageEncap, d.Name(), why, s.fdbEvidence(d, s.frame.dst, nil))
		w.end(s, NoNeighbour, d.Name(), why)
		return nil
	}
	for i := len(all) - 1; i > 0; i-- {
		r := all[i]
		c := s.clone()
		c.assume(text.F("%s sends to one of %d far ends; %s is supposed", d, len(all), r.dst))
		w.branch(c, 1/float64(len(all)), func(w *walk, s *state) stage { return w.vxlanTo(s, r) })
	}
	s.weight /= float64(len(all))
	return w.vxlanTo(s, all[0])
}

// flooded chooses, among the far ends that get a frame for an unknown address, those where somebody takes it.
func (w *walk) flooded(s *state, all []remote) []remote {
	if len(all) < 2 {
		return all
	}
	var take []remote
	for _, r := range all {
		for _, o := range w.net.Owners(r.dst) {
			v := vxlanAt(o.NS, r.dst, r.port, r.vni)
			if v == nil {
				continue
			}
			f := w.newFlood(s.p.Dst.Addr(), has(s.frame.dst))
			f.in(v, 0, 0)
			if f.found() {
				take = append(take, r)
			}
		}
	}
	if len(take) == 0 {
		return all[:1]
	}
	return take[:1]
}

func (w *walk) vxlanTo(s *state, r remote) stage {
	d := s.out
	if r.dst.IsMulticast() {
		return w.unknown(s, text.F("%s floods to the group %s; who is in it is not known", d, r.dst))
	}
	outer := packet.Packet{
		Src: netip.AddrPortFrom(localOf(d, r.dst.Is6()), tunnelPort), Dst: netip.AddrPortFrom(r.dst, uint16(r.port)),
		Proto: packet.UDP, Key: uint32(r.vni),
	}
	add := overhead["vxlan"]
	s.step(StageEncap, d.Name(), text.F("%s puts the frame for %s into VXLAN %d to %s, port %d", d, s.frame.dst, r.vni, s.ip(r.dst), r.port), s.fdbEvidence(d, s.frame.dst, r.entry))
	return w.encap(s, outer, add, r.via)
}

// bypass takes a frame whose far end is this very namespace straight in again, by the
// VXLAN device of that network here (encap_bypass_if_local, vxlan_encap_bypass). It keeps its
// conntrack entry, and the route that it was sent by: a forwarded packet is forwarded
// by that once more, and one that was made here is thrown away (dst_discard), save in IPv6.
func (w *walk) bypass(s *state) stage {
	from, outer := s.out, s.outer
	d := vxlanAt(s.ns, outer.Dst.Addr(), int(outer.Dst.Port()), int(outer.Key))
	if d == nil {
		why := text.F("the far end %s is %s itself, which has no VXLAN device for network %d, port %d", outer.Dst.Addr(), s.ns, int(outer.Key), int(outer.Dst.Port()))
		s.step(StageEncap, from.Name(), why, linkEvidence(from))
		w.end(s, Dropped, from.Name(), why)
		return nil
	}
	s.step(StageDecap, d.Name(), text.F("the far end %s is %s itself: %s takes the frame in again", outer.Dst.Addr(), s.ns, d), linkEvidence(d))
	forwarded := s.in != nil
	s.in = d
	if d.PortOf() != nil || from.PortOf() != nil {
		s.frame.dst = unlessPort(d, s.frame.dst)
		s.phys = [2]*network.Iface{}
		return receive
	}
	return w.hook(s, hookPrerouting, d.Name(), "", func(w *walk, s *state, _ packet.Packet) stage {
		if forwarded || s.p.Is6() {
			return forward
		}
		why := text.F("%s does not look for a way for its own packet that comes in by %s, and throws it away", s.ns, d)
		s.step(StageRoute, d.Name(), why)
		w.end(s, Dropped, d.Name(), why)
		return nil
	})
}

// unlessPort returns the link-layer address that a frame is taken for: its own on a bridge's
// port; elsewhere the kernel does not look at it (PACKET_HOST).
func unlessPort(d *network.Iface, m packet.MAC) packet.MAC {
	if d.PortOf() != nil {
		return m
	}
	return d.Link.MAC
}

func vxlanDecap(w *walk, s *state) stage {
	port, vni := int(s.p.Dst.Port()), int(s.p.Key)
	d := vxlanAt(s.ns, s.p.Dst.Addr(), port, vni)
	if d == nil {
		return w.noVXLAN(s, port, vni)
	}
	in := s.unwrap()
	s.step(StageDecap, d.Name(), text.F("%s takes the frame out of VXLAN %d", d, vni), linkEvidence(d))
	if in.dev.Link.MAC == d.Link.MAC {
		why := text.F("%s and %s have the same link-layer address %s: the frame is taken for a loop", in.dev, d, d.Link.MAC)
		s.step(StageDecap, d.Name(), why, linkEvidence(d))
		w.end(s, Dropped, d.Name(), why)
		return nil
	}
	s.scrub(s.ns)
	s.in = d
	return receive
}

func (w *walk) noVXLAN(s *state, port, vni int) stage {
	for _, d := range s.ns.Ifaces {
		if d.Kind() == "vxlan" && d.Link.Info.Data.Port == port && d.Up() && d.Link.Info.Data.ID != vni {
			why := text.F("%s is for VXLAN %d, and the packet is of VXLAN %d: it is dropped without a word", d, d.Link.Info.Data.ID, vni)
			s.step(StageDecap, d.Name(), why, linkEvidence(d))
			w.end(s, Dropped, d.Name(), why)
			return nil
		}
	}
	why := text.F("no VXLAN device of %s takes UDP port %d", s.ns, port)
	s.step(StageDecap, "", why)
	w.end(s, NoListener, "", why)
	return nil
}
