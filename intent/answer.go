package intent

import "github.com/plumbnet/plumb/packet"

// An outcome is what policies may do with a connection; several bits where that is not known.
type outcome uint8

const (
	mayAllow outcome = 1 << iota
	mayDeny
	mayGoOn // nothing matches: to the next tier
	mayPass // a rule says so: to the next tier
)

// outcomes are those of actions, by action.
var outcomes = [...]outcome{accept: mayAllow, deny: mayDeny, pass: mayPass, unclear: mayAllow | mayDeny | mayPass}

// A query is one side of a connection: that of a Pod that policies may select.
type query struct {
	direction int
	class     int32 // of the Pod
	other     int32 // the class of the other end
	dst       int32 // the class of the destination
	family    uint8
	proto     packet.Proto
	number    uint16
	local     bool // the other end is the Pod's own node
}

// Answer says whether the policies let a new connection through. It allocates nothing.
// [Engine.Verdict] says why.
func (e *Engine) Answer(from, to Peer, port Port) Answer {
	out, in := e.sides(from, to, port)
	return join(out, in)
}

// join joins what both sides do: both must allow.
func join(a, b outcome) Answer {
	switch {
	case a == mayDeny || b == mayDeny:
		return Denied
	case a == mayAllow && b == mayAllow:
		return Allowed
	}
	return Unknown
}

// sides returns what the policies of the source, and those of the destination, do.
func (e *Engine) sides(from, to Peer, port Port) (out, in outcome) {
	family, ok := commonFamily(from, to)
	if !ok || e.noPods && (from.kind == isOutside || to.kind == isOutside) {
		return mayAllow | mayDeny, mayAllow | mayDeny
	}
	if from.kind == isPod && to.kind == isPod && from.at == to.at {
		return mayAllow, mayAllow // it does not leave the Pod's network namespace
	}
	q := query{family: family, proto: port.Proto, number: port.Number, dst: to.class[family]}
	out, in = mayAllow, mayAllow
	if from.kind == isPod {
		q.direction, q.class, q.other, q.local = egress, from.class[family], to.class[family], to.kind == isNode && to.node == from.node
		out = e.side(&q)
		out = e.maybeLocal(out, &q, to, from)
	}
	if to.kind == isPod {
		q.direction, q.class, q.other, q.local = ingress, to.class[family], from.class[family], from.kind == isNode && from.node == to.node
		in = e.side(&q)
		in = e.maybeLocal(in, &q, from, to)
	}
	return out, in
}

// maybeLocal joins what happens if the other end, whose address no object has, is the Pod's own node.
func (e *Engine) maybeLocal(o outcome, q *query, other, pod Peer) outcome {
	if other.kind != isOutside || other.maybe < 0 || other.maybe != pod.node {
		return o
	}
	q.local = true
	return o | e.side(q)
}

// commonFamily returns the family that a connection has: that of the destination's first
// address, where the source has one of it too.
func commonFamily(from, to Peer) (uint8, bool) {
	if from.kind == nobody || to.kind == nobody {
		return 0, false
	}
	for _, f := range [2]uint8{to.primary, 1 - to.primary} {
		if from.class[f] >= 0 && to.class[f] >= 0 {
			return f, true
		}
	}
	return 0, false
}

// side asks the tiers, one after the other.
func (e *Engine) side(q *query) outcome {
	p := e.programs[q.direction][e.classes[q.class].program[q.direction]]
	if len(p.others) > 0 {
		return mayAllow | mayDeny
	}
	o := e.layer(&p.admin, q)
	if o&mayGoOn == 0 {
		return e.own(o, q)
	}
	o = o&^mayGoOn | e.named(p, q)
	if o&mayGoOn == 0 {
		return e.own(o, q)
	}
	o = o&^mayGoOn | e.layer(&p.baseline, q)
	if o&mayGoOn != 0 {
		o = o&^mayGoOn | mayAllow
	}
	return e.own(o, q)
}

// own says what becomes of traffic with the Pod's own node. NetworkPolicies never stop it; of
// the cluster's own policies no document says whether they may.
func (e *Engine) own(o outcome, q *query) outcome {
	if q.local && o&mayDeny != 0 {
		return mayAllow | mayDeny
	}
	return o
}

// layer asks the policies of both versions.
func (e *Engine) layer(l *layer, q *query) outcome {
	o := e.groups(l[0], q)
	if len(l[1]) > 0 {
		o = eitherFirst(o, e.groups(l[1], q))
	}
	if o&mayPass != 0 {
		o = o&^mayPass | mayGoOn
	}
	return o
}

// eitherFirst joins what two lists of policies do, of which either may be asked first.
func eitherFirst(a, b outcome) outcome {
	switch {
	case a == mayGoOn:
		return b
	case b == mayGoOn:
		return a
	case a&b&mayGoOn == 0:
		return (a | b) &^ mayGoOn
	}
	return a | b
}

// groups asks groups in their order.
func (e *Engine) groups(list []group, q *query) (o outcome) {
	for _, g := range list {
		done := false
		for i := range g {
			hit, sure := e.first(&g[i], q)
			o |= hit
			done = done || sure
		}
		if done {
			return o
		}
	}
	return o | mayGoOn
}

// first returns what the first rules of a policy that match do, and whether one matches for sure.
func (e *Engine) first(a *applied, q *query) (o outcome, sure bool) {
	rules := a.rules[q.direction]
	for i := range rules {
		m := e.match(&rules[i], q)
		if m == no {
			continue
		}
		o |= outcomes[rules[i].action]
		if m == yes {
			return o, a.sure
		}
	}
	return o, false
}

// named asks the NetworkPolicies.
func (e *Engine) named(p *program, q *query) outcome {
	if q.local && p.isolated != no {
		return mayAllow
	}
	if p.isolated == no {
		if e.missing[q.direction] != "" {
			return mayAllow | mayDeny | mayGoOn
		}
		return mayGoOn
	}
	best := e.best(p, q)
	if best == yes {
		return mayAllow
	}
	o := outcome(0)
	if best == maybe || !q.proto.HasPorts() || e.missing[q.direction] != "" {
		o |= mayAllow // of other protocols the API says nothing
	}
	if p.isolated == yes {
		return o | mayDeny
	}
	return o | mayDeny | mayGoOn
}

// best returns the best match of a rule of the NetworkPolicies.
func (e *Engine) best(p *program, q *query) match {
	out := no
	switch {
	case p.everyone || p.open[0] != nil && p.open[q.family].has(q.other):
		return yes
	case p.wide || p.open[0] != nil && p.some[q.family].has(q.other):
		for _, r := range p.plain {
			if out = max(out, e.match(r, q)); out == yes {
				return yes
			}
		}
	}
	for i := range p.named {
		if a := &p.named[i]; !a.sure {
			for j := range a.rules[q.direction] {
				out = max(out, both(maybe, e.match(&a.rules[q.direction][j], q)))
			}
		}
	}
	return out
}

// match says whether a rule matches.
func (e *Engine) match(r *rule, q *query) match {
	m := yes
	if r.sets != nil {
		if m = r.sets[q.family].matches(q.other); m == no {
			return no
		}
	}
	if len(r.ports) == 0 {
		return m
	}
	port := no
	for i := range r.ports {
		if port = max(port, e.matchPort(&r.ports[i], q.proto, q.number, q.dst)); port == yes {
			return m
		}
	}
	return both(m, port)
}

// matchPort says whether a port is one that a rule has. Names are those of the destination's
// containers; at a node's address any of the Pods in its network may be meant.
func (e *Engine) matchPort(s *portSpec, proto packet.Proto, number uint16, dst int32) match {
	switch s.kind {
	case portRange:
		if s.proto == proto && s.lo <= number && number <= s.hi {
			return yes
		}
		return no
	case portMaybe:
		return maybe
	}
	c := &e.classes[dst]
	for _, p := range e.ports[c.ports] {
		if p.name == s.name && p.proto == proto && p.number == number && (s.kind == portAnyName || s.proto == proto) {
			if c.kind == isPod {
				return yes
			}
			return maybe
		}
	}
	return no
}
