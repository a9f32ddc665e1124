package trace

import (
	"github.com/plumbnet/plumb/fib"
	"github.com/plumbnet/plumb/network"
	"github.com/plumbnet/plumb/packet"
	"github.com/plumbnet/plumb/text"
)

// receive takes a frame in by the device s.in (__netif_receive_skb_core): to the
// VLAN device on top, to the bridge or bond that it is a port of, to a macvlan, or to IP.
func receive(w *walk, s *state) stage {
	d := s.in
	if !d.Up() {
		return w.linkDown(s, d)
	}
	if s.frame.vlan != 0 {
		if u := vlanUpper(d, s.frame.vlan); u != nil {
			s.step(StageReceive, d.Name(), text.F("VLAN tag %d leads to %s", s.frame.vlan, u), linkEvidence(u))
			s.frame.vlan = 0
			return s.goUp(u)
		}
	}
	switch {
	case d.PortOf() != nil:
		return bridgeReceive
	case d.Master != nil && d.Master.Kind() == "bond":
		s.in = d.Master
		return receive
	case d.Master != nil && d.Master.Kind() != "team":
		return w.unknown(s, text.F("what a %s does with packets of its port %s is not modelled", d.Master.Kind(), d))
	}
	for _, u := range d.Uppers {
		if u.Kind() == "macvlan" && (u.Link.MAC == s.frame.dst || u.Link.Info.Data.Mode == "passthru") {
			s.step(StageReceive, d.Name(), text.F("the frame is for %s, on top of %s", u, d), linkEvidence(u))
			return s.goUp(u)
		}
		if u.Kind() == "ipvlan" && u.Has(s.p.Dst.Addr()) {
			s.step(StageReceive, d.Name(), text.F("the packet is for %s, on top of %s", u, d), linkEvidence(u))
			s.goUp(u)
			return ipReceive
		}
	}
	if s.frame.vlan != 0 {
		why := text.F("%s has no VLAN device for tag %d", d, s.frame.vlan)
		s.step(StageReceive, d.Name(), why, linkEvidence(d))
		w.end(s, Dropped, d.Name(), why)
		return nil
	}
	return ipReceive
}

// goUp has the frame come in by a device on top of another.
func (s *state) goUp(u *network.Iface) stage {
	if u.NS != s.ns {
		s.scrub(u.NS)
		s.hop.Out = s.in.Name()
		s.enter(u.NS, u)
	}
	s.in = u
	return receive
}

// ipReceive is ip_rcv and ipv6_rcv: is the frame for this device, may such a packet exist, then PREROUTING.
func ipReceive(w *walk, s *state) stage {
	d := s.in
	if !s.frame.dst.IsZero() && s.frame.dst != d.Link.MAC && d.IsEthernet() && !d.IsLoopback() && s.phys[0] == nil {
		why := text.F("the frame is for %s, and %s has %s", s.frame.dst, d, d.Link.MAC)
		s.step(StageReceive, d.Name(), why, linkEvidence(d))
		w.end(s, NoNeighbour, d.Name(), why)
		return nil
	}
	if why := w.impossible(s); !why.IsZero() {
		s.step(StageReceive, d.Name(), why, linkEvidence(d))
		w.end(s, Dropped, d.Name(), why)
		return nil
	}
	if s.p.Is6() && d.Conf.Disable6.On() {
		why := text.F("IPv6 is turned off on %s", d)
		s.step(StageReceive, d.Name(), why, s.sysctl("net.ipv6.conf."+d.Name()+".disable_ipv6"))
		w.end(s, Dropped, d.Name(), why)
		return nil
	}
	if s.bridged {
		s.bridged = false
		return prerouted(w, s, s.p)
	}
	return w.hook(s, hookPrerouting, d.Name(), "", prerouted)
}

// impossible names what is wrong with addresses that no packet on a wire may have.
func (w *walk) impossible(s *state) text.Text {
	if s.in.IsLoopback() || !s.p.Is6() {
		return text.Text{}
	}
	if s.p.Src.Addr().IsLoopback() || s.p.Dst.Addr().IsLoopback() || s.p.Src.Addr().IsMulticast() {
		return text.F("%s takes no packet from %s to %s", s.in, s.p.Src.Addr(), s.p.Dst.Addr())
	}
	return text.Text{}
}

// prerouted routes a packet that came in (ip_route_input).
func prerouted(w *walk, s *state, _ packet.Packet) stage {
	if s.in.IsLoopback() || s.proxy {
		return localIn
	}
	q := query(&s.p)
	q.IIF = s.in.Name()
	return w.route(s, q, routed)
}

func routed(w *walk, s *state, r fib.Result, c fib.Choice) stage {
	q := query(&s.p)
	q.IIF = s.in.Name()
	if why, ev := w.martian(s, r, c); !why.IsZero() {
		s.step(StageRoute, s.in.Name(), why, ev...)
		w.end(s, Dropped, s.in.Name(), why)
		return nil
	}
	if st, gone := w.sourceCheck(s, r, c); gone {
		return st
	}
	if r.Type == fib.Local && r.Err == "" {
		s.step(StageRoute, "", text.F("%s is an address of %s", s.ip(s.p.Dst.Addr()), s.ns), s.routeEvidence(&q, c.Route))
		return localIn
	}
	if (r.Type == fib.Broadcast || r.Type == fib.Multicast) && r.Err == "" {
		return w.unknown(s, text.F("%s is not an address of one machine in %s", s.p.Dst.Addr(), s.ns))
	}
	if st, gone := w.mayForward(s, r); gone {
		return st
	}
	if msg, bad := routeError(r); bad {
		return w.noRoute(s, StageRoute, q, r, msg)
	}
	if r.Type != fib.Unicast {
		return w.unknown(s, text.F("%s is not an address of one machine in %s", s.p.Dst.Addr(), s.ns))
	}
	s.setRoute(r, c)
	if s.out == nil {
		return w.unknown(s, text.F("%s has a route by %s, and no such device in the snapshot", s.ns, c.Hop.Dev))
	}
	s.step(StageRoute, s.out.Name(), text.F("the route to %s leads by %s", s.ip(s.p.Dst.Addr()), named{s.out}), s.routeEvidence(&q, c.Route))
	return forward
}

// forward is ip_forward: loops, TTL, size, then FORWARD.
func forward(w *walk, s *state) stage {
	v := visit{ns: s.ns, in: s.in, src: s.p.Src, dst: s.p.Dst, mark: s.p.Mark, proto: s.p.Proto, encaps: s.encaps}
	for _, have := range s.seen {
		if have == v {
			return w.looped(s, text.F("%s gets the same packet again by %s: it goes in a circle until its TTL is used up", s.ns, s.in.Name()))
		}
	}
	s.seen = append(s.seen, v)
	if s.p.TTL <= 1 {
		return w.looped(s, text.F("the TTL is used up at %s", s.ns))
	}
	if w.tooBigToForward(s) {
		return nil
	}
	s.p.TTL--
	return w.hook(s, hookForward, s.in.Name(), s.out.Name(), forwarded)
}

func forwarded(*walk, *state, packet.Packet) stage { return output }

func (w *walk) looped(s *state, why text.Text) stage {
	s.step(StageForward, "", why)
	path := w.end(s, Looped, "", why)
	e := icmpError{typ: 11}
	if s.p.Is6() {
		e = icmpError{typ: 3}
	}
	s.p.TTL = initialTTL
	w.tellSender(s, path, e)
	return nil
}
