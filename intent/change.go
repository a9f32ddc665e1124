package intent

import (
	"slices"

	"github.com/plumbnet/plumb/text"
)

// A Change is connections that the policies answer otherwise than before.
type Change struct {
	From, To      []Member // sorted: workloads, nodes, addresses
	Ports         []PortRange
	Before, After Decision
	Is6           bool // they are of IPv6, and those of IPv4 do not change so
}

// A Decision is what the policies of one end, the one that makes the difference, say of the
// connections of a Change.
type Decision struct {
	Answer Answer // of both ends together
	Egress bool   // it is the source's policies
	Why    text.Text
	Rules  []Ref // that decide, of all these connections; where they have none in common, of any
}

// Compare says which connections two Engines answer differently, between Pods that both know,
// their nodes and the addresses outside, by all ports. A Pod's own node, which policies do not
// stop, is not meant. What neither of them knows the answer of is no change.
//
// Its cost grows with the classes times the policies' rules that are not the same in both, and
// not with the pairs of Pods. Where nothing is the same, it grows with the different programs
// (sets of policies that select a Pod) of sources times those of destinations.
func Compare(was, is *Engine) (out []Change) {
	engines := [2]*Engine{was, is}
	out = newComparer(engines, v4).changes()
	if !slices.ContainsFunc(was.classes[:was.podCount], func(c class) bool { return c.parts[v6] >= 0 }) {
		return out
	}
	known := map[string]bool{}
	for i := range out {
		known[out[i].key()] = true
	}
	for _, ch := range newComparer(engines, v6).changes() {
		if !known[ch.key()] {
			ch.Is6 = true
			out = append(out, ch)
		}
	}
	return out
}

// key is the same for changes of both families.
func (c *Change) key() string {
	var b []byte
	for _, list := range [2][]Member{c.From, c.To} {
		for _, m := range list {
			b = append(b, m.Namespace+"/"+m.Kind+"/"+m.Name+";"...)
		}
		b = append(b, '>')
	}
	for _, p := range c.Ports {
		b = append(b, p.String()...)
	}
	return string(append(b, byte(c.Before.Answer), byte(c.After.Answer)))
}

// changes names what is in the rectangles.
func (c *comparer) changes() (out []Change) {
	n := newNamer(c.engines[0], c.joints)
	for _, r := range c.run() {
		to := r.to
		if len(r.from) == 1 && len(c.joints[r.from[0]].pods) == 1 { // what a Pod sends itself is no policy's matter
			to = slices.DeleteFunc(slices.Clone(to), func(i int32) bool { return i == r.from[0] })
		}
		if len(to) == 0 {
			continue
		}
		out = append(out, Change{From: n.members(r.from), To: n.members(to), Ports: r.ports, Before: c.decision(&r, to, 0), After: c.decision(&r, to, 1)})
	}
	slices.SortStableFunc(out, compareChanges)
	return out
}

func compareChanges(a, b Change) int {
	if n := slices.CompareFunc(a.From, b.From, compareMembers); n != 0 {
		return n
	}
	return slices.CompareFunc(a.To, b.To, compareMembers)
}

// samples is how many of the connections of a Change are asked for the rules that decide.
const samples = 8

// decision says what decides a rectangle in one of the Engines.
func (c *comparer) decision(r *rectangle, to []int32, k int) Decision {
	d := Decision{Answer: r.answers[k], Egress: r.egress}
	var one Side
	var common, any []Ref
	for i := range samples {
		from, dst := r.from[i*len(r.from)/samples], to[i*len(to)/samples]
		s, rules := c.ask(&c.joints[from], &c.joints[dst], r, k)
		if i == 0 {
			one, common = s, rules
		}
		in := func(list []Ref, x Ref) bool {
			return slices.ContainsFunc(list, func(y Ref) bool { return x.String() == y.String() })
		}
		common = slices.DeleteFunc(slices.Clone(common), func(x Ref) bool { return !in(rules, x) })
		for _, x := range rules {
			if !in(any, x) {
				any = append(any, x)
			}
		}
	}
	if d.Rules = common; len(common) == 0 {
		d.Rules = any
	}
	d.Why = whyAll(one, d.Rules)
	return d
}

// ask asks one end of connections between two joints.
func (c *comparer) ask(from, to *joint, r *rectangle, k int) (Side, []Ref) {
	e, port := c.engines[k], r.ports[0].Port()
	q := query{direction: egress, class: from.class[k], other: to.class[k], dst: to.class[k], family: c.family, proto: port.Proto, number: port.Number}
	if !r.egress {
		q.direction, q.class, q.other = ingress, q.other, q.class
	}
	s := Side{Answer: answerOf(e.side(&q))}
	x := explainer{Engine: e, q: &q, side: &s}
	x.run(e.programs[q.direction][e.classes[q.class].program[q.direction]])
	return s, x.decided()
}

// whyAll says why for several Pods at once.
func whyAll(s Side, rules []Ref) text.Text {
	switch n := len(rules); {
	case s.Answer == Unknown:
		return s.Why
	case n == 0:
		return text.F("no policy limits it")
	case s.Answer == Allowed:
		return text.F("%s allows it", list(rules))
	case rules[n-1].Rule >= 0:
		return text.F("%s denies it", list(rules[n-1:]))
	}
	return text.F("no rule allows it: %s", list(rules))
}
