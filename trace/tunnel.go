package trace

import (
	"net/netip"

	"github.com/plumbnet/plumb/fib"
	"github.com/plumbnet/plumb/network"
	"github.com/plumbnet/plumb/packet"
	"github.com/plumbnet/plumb/text"
)

var zeroMAC packet.MAC

// overhead is what a tunnel adds to the inner IP packet: from the outer IP header on, over IPv4.
// Over IPv6 the outer header is 20 bytes longer.
var overhead = map[string]int{"vxlan": 50, "ipip": 20, "sit": 20, "gre": 24}

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
	s.outer, s.outerOIF = w.all.keep.packet(outer), oif
	return w.route(s, s.asksOuter(), encapped)
}

// asksOuter returns what a tunnel asks the routes for its packet.
func (s *state) asksOuter() fib.Query {
	q := query(s.outer)
	q.OIF = s.outerOIF
	return q
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

// encapped goes on with the way of the outer packet.
func encapped(w *walk, s *state, r fib.Result, c fib.Choice) stage {
	if r.Type == fib.Local && r.Err == "" && s.out.Kind() == "vxlan" {
		return w.bypass(s)
	}
	outer, q := *s.outer, s.asksOuter()
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
		s.step(StageEncap, tunnel.Name(), why, s.routeEvidence(&q, c.Route))
		w.end(s, Looped, tunnel.Name(), why)
		return nil
	}
	if tunnel.Kind() != "vxlan" && w.tunnelTooBig(s, tunnel) || tunnel.PortOf() != nil && w.bridgedTooBig(s, tunnel) {
		return nil
	}
	s.step(StageRoute, s.out.Name(), text.F("the outer packet leaves from %s by %s", s.ip(s.p.Src.Addr()), named{s.out}), s.routeEvidence(&q, c.Route))
	return localOut
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
	n.in, n.hop.In, n.frame = tunnel, tunnel.Name(), frame{dst: from}
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
