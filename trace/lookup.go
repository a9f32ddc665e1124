package trace

import (
	"net/netip"
	"slices"

	"github.com/plumbnet/plumb/fib"
	"github.com/plumbnet/plumb/network"
	"github.com/plumbnet/plumb/packet"
	"github.com/plumbnet/plumb/text"
)

// lookup asks a namespace's routing tables. Where some of them were not
// collected, no answer is known: any route may be among those that are missing. The
// choices are in room, where that is large enough.
func lookup(ns *network.NS, q fib.Query, room []fib.Choice) fib.Result {
	if why := ns.RoutesMissing(q.Dst.Is6()); why != "" {
		return fib.Result{Unknown: why}
	}
	return ns.FIB.LookupIn(q, room)
}

// query returns what a lookup is asked for a packet.
func query(p *packet.Packet) fib.Query {
	return fib.Query{
		Dst: p.Dst.Addr(), Src: p.Src.Addr(), Mark: p.Mark, TOS: p.TOS, Proto: p.Proto,
		SrcPort: p.Src.Port(), DstPort: p.Dst.Port(),
	}
}

// route looks up the way of a packet and goes on with next for each way there
// is; a lookup that is not known ends the packet. A single choice is in w.all.way, and good until the
// next lookup; several have memory of their own.
func (w *walk) route(s *state, q fib.Query, next func(*walk, *state, fib.Result, fib.Choice) stage) stage {
	r := lookup(s.ns, q, w.all.way[:])
	if r.Unknown != "" {
		w.unknownAt(s, text.F("the route to %s from %s is not known: %s", q.Dst, s.ns, r.Unknown), s.routeEvidence(&q, nil))
		return nil
	}
	if len(r.Choices) == 1 {
		if via := ownGateway(r); via.IsValid() {
			return w.eitherWay(s, q, r, via, next)
		}
		return next(w, s, r, r.Choices[0])
	}
	if len(r.Choices) == 0 {
		return next(w, s, r, fib.Choice{})
	}
	for i := len(r.Choices) - 1; i > 0; i-- {
		c := r.Choices[i]
		w.branch(s.clone(), c.Weight, func(w *walk, s *state) stage { return next(w, s, r, c) })
	}
	c := r.Choices[0]
	s.weight *= c.Weight
	return next(w, s, r, c)
}

// ownGateway returns the gateway of the route that r chose, where it is an address of the machine's own.
func ownGateway(r fib.Result) netip.Addr {
	c := &r.Choices[0]
	if c.Hop.Via.IsValid() || c.Route == nil || len(c.Route.Hops) != 1 || r.Type != fib.Unicast {
		return netip.Addr{}
	}
	return c.Route.Hops[0].Via
}

// eitherWay follows a packet by a route whose gateway is an address of the machine's own. The kernel takes the
// destination to be on the link where it had the address when it got the route; where it got the address later, as
// with a duplicate, it asks for the gateway still. The routes do not tell which was first (nh_scope, fib_check_nh).
func (w *walk) eitherWay(s *state, q fib.Query, r fib.Result, via netip.Addr, next func(*walk, *state, fib.Result, fib.Choice) stage) stage {
	c := r.Choices[0]
	asked := c
	asked.Hop.Via = via
	switch {
	case s.gateway.via == via && s.gateway.asks:
		return next(w, s, r, asked)
	case s.gateway.via == via:
		return next(w, s, r, c)
	}
	r.Choices = slices.Clone(r.Choices) // for the other, which goes on later
	ev, other := s.routeEvidence(&q, c.Route), s.clone()
	other.gateway.via, other.gateway.asks = via, true
	other.assume(text.F("the gateway %s is an address of %s too; the route is supposed to be the older of the two", via, s.ns), ev)
	w.branch(other, 0.5, func(w *walk, s *state) stage { return next(w, s, r, asked) })
	s.gateway.via, s.gateway.asks = via, false
	s.assume(text.F("the gateway %s is an address of %s too; the address is supposed to be the older of the two", via, s.ns), ev)
	s.weight *= 0.5
	return next(w, s, r, c)
}

func (w *walk) unknownAt(s *state, why text.Text, ev Quote) {
	s.step(StageRoute, "", why, ev)
	w.end(s, Unknown, "", why)
}

// routeError returns the fate's words for a lookup that leads nowhere; ok is false where it leads on.
func routeError(r fib.Result) (string, bool) {
	switch {
	case r.Err != "":
		return r.Err, true
	case r.Type == fib.Blackhole:
		return "blackhole", true
	case r.Type == fib.Unreachable:
		return "unreachable", true
	case r.Type == fib.Prohibit:
		return "prohibit", true
	}
	return "", false
}

// deciding returns the route of a result, where one decided.
func deciding(r fib.Result) *fib.Route {
	if len(r.Choices) > 0 {
		return r.Choices[0].Route
	}
	return nil
}
