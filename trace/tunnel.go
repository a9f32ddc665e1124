package trace

import (
	"net/netip"

	"github.com/plumbnet/plumb/fib"
	"github.com/plumbnet/plumb/network"
	"github.com/plumbnet/plumb/packet"
	"github.com/plumbnet/plumb/snapshot"
	"github.com/plumbnet/plumb/text"
)

var zeroMAC packet.MAC

// overhead is what a tunnel adds to the inner IP packet: from the outer IP header on, over IPv4.
// Over IPv6 the outer header is 20 bytes longer.
var overhead = map[string]int{"vxlan": 50, "ipip": 20, "sit": 20, "gre": 24}

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

func addrOr(s string) netip.Addr {
	a, _ := netip.ParseAddr(s)
	return a
}

// localOf returns the address that a tunnel device sends from, or the zero Addr.
func localOf(d *network.Iface, v6 bool) netip.Addr {
	data := &d.Link.Info.Data
	if v6 {
		if data.Local6.IsValid() {
			return data.Local6
		}
	}
	if a := addrOr(data.Local); a.IsValid() && !a.IsUnspecified() && a.Is6() == v6 {
		return a
	}
	return netip.Addr{}
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
		s.step(StageEncap, d.Name(), why, vxlanEvidence(d, s.frame.dst, nil))
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
			f := &flood{w: w, target: s.p.Dst.Addr(), left: maxFlood}
			f.in(v, 0, 0)
			if takes(f, s.frame.dst) {
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
	s.step(StageEncap, d.Name(), text.F("%s puts the frame for %s into VXLAN %d to %s, port %d", d, s.frame.dst, r.vni, r.dst, r.port), vxlanEvidence(d, s.frame.dst, r.entry))
	return w.encap(s, outer, add, r.via)
}

// An inside is what a packet in a tunnel keeps of its link layer.
type inside struct {
	frame frame
	frag  int
	dev   *network.Iface // the tunnel device that it went into
}

// encap sends s's packet within outer: a packet that the kernel makes here, seen by OUTPUT and POSTROUTING.
func (w *walk) encap(s *state, outer packet.Packet, add int, oif string) stage {
	if s.encaps >= maxEncap {
		return w.looped(s, text.F("%s: the tunnel leads into itself", s.out))
	}
	if outer.Is6() {
		add += 20
		outer.DF = true
	}
	outer.Size, outer.TTL, outer.Mark = s.frameSize()+add, initialTTL, s.p.Mark
	if ttl := s.out.Link.Info.Data.TTL; ttl > 0 {
		outer.TTL = uint8(min(ttl, 255))
	}
	q := query(&outer)
	q.OIF = oif
	return w.route(s, q, func(w *walk, s *state, r fib.Result, c fib.Choice) stage {
		if r.Type == fib.Local && r.Err == "" && s.out.Kind() == "vxlan" {
			return w.bypass(s, &outer)
		}
		return w.encapped(s, outer, q, r, c)
	})
}

// wrap puts s's packet into outer.
func (s *state) wrap(outer packet.Packet) {
	inner := s.p
	outer.Inner = &inner
	s.inner = append(s.inner[:len(s.inner):len(s.inner)], inside{s.frame, s.frag, s.out})
	s.frame, s.frag, s.p = frame{}, 0, outer
	s.encaps++
	s.scrub(s.ns)
	s.in = nil
}

func (w *walk) encapped(s *state, outer packet.Packet, q fib.Query, r fib.Result, c fib.Choice) stage {
	if !outer.Src.Addr().IsValid() {
		outer.Src = netip.AddrPortFrom(c.Src, outer.Src.Port())
	}
	tunnel := s.out
	s.wrap(outer)
	if msg, bad := routeError(r); bad {
		return w.noRoute(s, StageEncap, q, r, msg)
	}
	s.setRoute(r, c)
	if s.out == nil {
		return w.unknown(s, text.F("%s has a route by %s, and no such device in the snapshot", s.ns, c.Hop.Dev))
	}
	if s.out == tunnel {
		why := text.F("the route to the far end %s leads into the tunnel %s itself", s.p.Dst.Addr(), tunnel)
		s.step(StageEncap, tunnel.Name(), why, routeEvidence(s.ns, q, c.Route))
		w.end(s, Looped, tunnel.Name(), why)
		return nil
	}
	if tunnel.Kind() != "vxlan" && w.tunnelTooBig(s, tunnel) || tunnel.PortOf() != nil && w.bridgedTooBig(s, tunnel) {
		return nil
	}
	s.step(StageRoute, s.out.Name(), text.F("the outer packet leaves from %s by %s", s.p.Src.Addr(), s.out.Name()), routeEvidence(s.ns, q, c.Route))
	return localOut
}

// bypass takes a frame whose far end is this very namespace straight in again, by the
// VXLAN device of that network here (encap_bypass_if_local, vxlan_encap_bypass). It keeps its
// conntrack entry, and the route that it was sent by: a forwarded packet is forwarded
// by that once more, and one that was made here is thrown away (dst_discard), save in IPv6.
func (w *walk) bypass(s *state, outer *packet.Packet) stage {
	from := s.out
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

// ipTunnelTransmit puts a packet into an IP packet to the far end: the device's, or the route's next hop (ip_tunnel_xmit).
func ipTunnelTransmit(w *walk, s *state) stage {
	d := s.out
	data := &d.Link.Info.Data
	to := addrOr(data.Remote)
	if !to.IsValid() || to.IsUnspecified() {
		to = embedded(s.nextHop())
	}
	if !to.IsValid() {
		why := text.F("%s has no far end, and the route to %s names none", d, s.p.Dst.Addr())
		s.step(StageEncap, d.Name(), why, linkEvidence(d))
		w.end(s, NoRoute, d.Name(), why)
		return nil
	}
	outer := packet.Packet{
		Src: netip.AddrPortFrom(localOf(d, to.Is6()), 0), Dst: netip.AddrPortFrom(to, 0),
		Proto: tunnelProto[d.Kind()], DF: data.PMTUDisc || s.p.DF,
	}
	add := overhead[d.Kind()]
	if keyOf(data.OKey) != 0 {
		add += 4
		outer.Key = keyOf(data.OKey)
	}
	s.step(StageEncap, d.Name(), text.F("%s puts the packet into %s to %s", d, d.Kind(), to), linkEvidence(d))
	return w.encap(s, outer, add, data.Link)
}

var tunnelProto = map[string]packet.Proto{"ipip": packet.IPIP, "sit": packet.IPv6, "gre": packet.GRE}

// embedded returns a, or the IPv4 address in the last bytes of an IPv4-compatible IPv6 address (sit).
func embedded(a netip.Addr) netip.Addr {
	if !a.Is6() {
		return a
	}
	b := a.As16()
	for _, x := range b[:12] {
		if x != 0 {
			return netip.Addr{}
		}
	}
	return netip.AddrFrom4([4]byte(b[12:]))
}

// keyOf reads a GRE key, which ip prints as an IPv4 address.
func keyOf(s string) uint32 {
	a := addrOr(s)
	if !a.Is4() {
		return 0
	}
	b := a.As4()
	return uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
}

// tunnelTooBig tells the inner packet's sender where the outer packet would be too large and may not be fragmented (tnl_update_pmtu).
func (w *walk) tunnelTooBig(s *state, tunnel *network.Iface) bool {
	mtu := s.routeMTU()
	if s.p.Size <= mtu || !s.p.DF || !s.p.Inner.DF && !s.p.Inner.Is6() {
		return false
	}
	inner := *s.p.Inner
	add := s.p.Size - inner.Size
	why := text.F("%s adds %d bytes to %d, and the MTU of %s is %d", tunnel, add, inner.Size, s.out, mtu)
	s.step(StageEncap, tunnel.Name(), why, linkEvidence(tunnel), linkEvidence(s.out))
	s.unwrap()
	path := w.end(s, TooBig, tunnel.Name(), why)
	w.tellSender(s, path, fragNeeded(&s.p, mtu-add))
	return true
}

// bridgedTooBig tells the sender of a bridged frame where the outer packet would be too
// large: the message comes back through the bridge in the name of the destination (skb_tunnel_check_pmtu).
func (w *walk) bridgedTooBig(s *state, tunnel *network.Iface) bool {
	inner := *s.p.Inner
	add := s.p.Size - inner.Size
	mtu := s.routeMTU() - add
	if inner.Size <= mtu || !inner.DF {
		return false
	}
	why := text.F("%s adds %d bytes to %d, and the MTU of %s is %d", tunnel, add, inner.Size, s.out, s.routeMTU())
	s.step(StageEncap, tunnel.Name(), why, linkEvidence(tunnel), linkEvidence(s.out))
	from := s.unwrap().frame.src
	path := w.end(s, TooBig, tunnel.Name(), why)
	if w.kind == message || inner.IsICMPError() || len(s.inner) > 0 {
		return true
	}
	n := w.notice(s, fragNeeded(&inner, mtu))
	n.p.Src = netip.AddrPortFrom(inner.Dst.Addr(), 0)
	n.in, n.hops[0].In, n.frame = tunnel, tunnel.Name(), frame{dst: from}
	sub := &walk{net: w.net, all: w.all, q: w.q, kind: message, want: w.sender(s)}
	path.ICMP = sub.run(n, receive)
	return true
}

// unwrap takes the inner packet out.
func (s *state) unwrap() inside {
	in := s.inner[len(s.inner)-1]
	s.inner = s.inner[:len(s.inner)-1]
	mark := s.p.Mark
	s.p = *s.p.Inner
	s.p.Mark = mark
	s.frame, s.frag = in.frame, in.frag
	s.encaps--
	return in
}

// decap takes an encapsulated packet in at its far end, where a device fits it.
func decap(w *walk, s *state) stage {
	if s.p.Proto == packet.UDP {
		return vxlanDecap(w, s)
	}
	for _, exact := range []bool{true, false} {
		for _, d := range s.ns.Ifaces {
			if tunnelProto[d.Kind()] != s.p.Proto || !d.Up() || !tunnelFits(d, s.p, exact) {
				continue
			}
			s.unwrap()
			s.step(StageDecap, d.Name(), text.F("%s takes the packet out of the tunnel", d), linkEvidence(d))
			s.scrub(s.ns)
			s.in, s.frame = d, frame{}
			return ipReceive
		}
	}
	why := text.F("%s has no tunnel device for %s from %s", s.ns, s.p.Proto, s.p.Src.Addr())
	s.step(StageDecap, "", why)
	w.end(s, NoListener, "", why)
	return nil
}

// tunnelFits reports whether a device takes packets between these ends; a device without a far end takes all (tunl0).
func tunnelFits(d *network.Iface, p packet.Packet, exact bool) bool {
	data := &d.Link.Info.Data
	l, r := addrOr(data.Local), addrOr(data.Remote)
	if keyOf(data.IKey) != p.Key {
		return false
	}
	if exact {
		return r == p.Src.Addr() && (l == p.Dst.Addr() || !l.IsValid() || l.IsUnspecified())
	}
	return (!r.IsValid() || r.IsUnspecified()) && (!l.IsValid() || l.IsUnspecified() || l == p.Dst.Addr())
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
