package trace

import (
	"net/netip"

	"github.com/plumbnet/plumb/fib"
	"github.com/plumbnet/plumb/packet"
	"github.com/plumbnet/plumb/text"
)

// ephemeralPort is the source port that is supposed where the kernel would choose one.
const ephemeralPort = 40000

// initialTTL is net.ipv4.ip_default_ttl, as the kernel ships it.
const initialTTL = 64

// send is a socket that makes a packet: it chooses the way and the source address, then OUTPUT sees it.
func send(w *walk, s *state) stage {
	if s.p.Src.Addr().IsValid() {
		return w.route(s, s.asks(), sendOn)
	}
	return w.route(s, s.asks(), sendFrom)
}

// asks returns what a socket asks the routes for its packet.
func (s *state) asks() fib.Query {
	q := query(&s.p)
	q.UID, q.AnySrc = s.uid, s.anySrc
	return q
}

// sendFrom takes the source address that the first lookup chose, and looks the way up again with it.
func sendFrom(w *walk, s *state, r fib.Result, c fib.Choice) stage {
	if msg, bad := routeError(r); bad {
		return w.noRoute(s, StageSend, s.asks(), r, msg)
	}
	if !c.Src.IsValid() {
		w.end(s, NoRoute, "", text.F("%s has no source address for %s", s.ns, s.p.Dst.Addr()))
		return nil
	}
	s.p.Src = netip.AddrPortFrom(c.Src, s.p.Src.Port())
	return w.route(s, s.asks(), sendOn)
}

func sendOn(w *walk, s *state, r fib.Result, c fib.Choice) stage {
	q := query(&s.p)
	if msg, bad := routeError(r); bad {
		return w.noRoute(s, StageSend, q, r, msg)
	}
	if r.Type == fib.Broadcast || r.Type == fib.Multicast {
		return w.unknown(s, text.F("%s is not an address of one machine in %s", s.p.Dst.Addr(), s.ns))
	}
	s.setRoute(r, c)
	if s.out == nil {
		w.end(s, Unknown, c.Hop.Dev, text.F("%s has a route by %s, and no such device in the snapshot", s.ns, c.Hop.Dev))
		return nil
	}
	w.sizeSegment(s)
	if s.first == nil {
		s.first = w.all.keep.packet(s.p)
		s.noted = s.first
	}
	if r.Type == fib.Local {
		s.step(StageSend, s.out.Name(), text.F("%s is an address of this namespace", s.ip(s.p.Dst.Addr())), s.routeEvidence(&q, c.Route))
	} else {
		s.step(StageSend, s.out.Name(), text.F("%s sends it from %s by %s", s.ns, s.ip(s.p.Src.Addr()), named{s.out}), s.routeEvidence(&q, c.Route))
	}
	return localOut
}

// setRoute takes the way that a lookup chose: the loopback device where it is local.
func (s *state) setRoute(r fib.Result, c fib.Choice) {
	s.route, s.via = c.Route, c.Hop.Via
	if r.Type == fib.Local {
		s.out, s.via = s.ns.Iface("lo"), netip.Addr{}
		return
	}
	s.out = s.ns.Iface(c.Hop.Dev)
}

func (w *walk) noRoute(s *state, st Stage, q fib.Query, r fib.Result, msg string) stage {
	why := text.F("%s has no route to %s: %s", s.ns, q.Dst, msg)
	if rt := deciding(r); rt != nil {
		why = text.F("%s has a route to %s that says %s: %s", s.ns, q.Dst, msg, rt)
	}
	s.step(st, "", why, s.routeEvidence(&q, deciding(r)))
	path := w.end(s, NoRoute, "", why)
	if s.in != nil && r.Type != fib.Blackhole {
		w.tellSender(s, path, unreachable(&s.p, msg))
	}
	return nil
}

// unreachable returns the ICMP message for a lookup that failed while forwarding.
func unreachable(p *packet.Packet, msg string) icmpError {
	admin := msg == "prohibit" || msg == "permission denied"
	if p.Is6() {
		if admin {
			return icmpError{typ: 1, code: 1}
		}
		return icmpError{typ: 1, code: 0}
	}
	switch {
	case admin:
		return icmpError{typ: 3, code: 13}
	case msg == "network unreachable":
		return icmpError{typ: 3, code: 0}
	}
	return icmpError{typ: 3, code: 1}
}

// localOut runs OUTPUT, and looks the way up again where rules changed what routing looks at (ip_route_me_harder).
func localOut(w *walk, s *state) stage {
	return w.hook(s, hookOutput, "", s.out.Name(), func(w *walk, s *state, before packet.Packet) stage {
		if s.p.Dst.Addr() == before.Dst.Addr() && s.p.Src.Addr() == before.Src.Addr() && s.p.Mark == before.Mark && s.p.TOS == before.TOS {
			return output
		}
		q := query(&s.p)
		q.UID, q.AnySrc = s.uid, s.ns.Owner(q.Src) == nil
		return w.route(s, q, func(w *walk, s *state, r fib.Result, c fib.Choice) stage {
			if msg, bad := routeError(r); bad {
				return w.noRoute(s, StageOutput, q, r, msg)
			}
			s.moved = !s.out.IsLoopback()
			s.setRoute(r, c)
			if s.out == nil {
				w.end(s, Unknown, c.Hop.Dev, text.F("%s has a route by %s, and no such device in the snapshot", s.ns, c.Hop.Dev))
				return nil
			}
			s.step(StageRoute, s.out.Name(), text.F("after the change it leaves by %s", s.out.Name()), s.routeEvidence(&q, c.Route))
			return output
		})
	})
}

// output is ip_output: POSTROUTING, then the MTU, then the neighbour.
func output(w *walk, s *state) stage {
	in := ""
	if s.in != nil {
		in = s.in.Name()
	}
	return w.hook(s, hookPostrouting, in, s.out.Name(), postrouted)
}

func postrouted(_ *walk, s *state, _ packet.Packet) stage {
	s.confirm()
	return finishOutput
}
