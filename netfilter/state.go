package netfilter

import (
	"net/netip"
	"slices"

	"github.com/plumbnet/plumb/packet"
)

// A state is one way that a packet has gone so far.
type state struct {
	body
	weight  float64
	rules   *refs
	assumed *assumptions
}

// body is what makes two states differ in what can still happen to them.
type body struct {
	p          packet.Packet
	c          Conn
	hasConn    bool   // conntrack has seen it, or was told not to
	zone       uint16 // that a CT target chose for conntrack
	template   bool   // a CT target has seen it
	verdict    Verdict
	rejectWith string
	why        string
	proxy      netip.AddrPort
	added      *nftAdded // to sets, on the way through this hook
	stray      bool      // a native rule has changed what routes are chosen by, and no lookup follows
	moved      bool      // one has, and a lookup follows
}

// refs is a list of rules, the last one first; states share its tail.
type refs struct {
	Ref
	before *refs
}

// assumptions is a list of assumptions, the last one first; states share its tail.
type assumptions struct {
	Assumption
	visit  int // the visit to the rule; visits are numbered, so that lists are in order
	n      int // the length of the list
	before *assumptions
}

// tracked reports whether the packet belongs to a connection.
func (s *state) tracked() bool {
	return s.hasConn && s.c.State != Invalid && s.c.State != Untracked
}

// onTemplate reports whether a match before conntrack sees the empty connection
// that a CT target has left for conntrack to read.
func (s *state) onTemplate() bool { return s.template && !s.hasConn }

// add notes a rule that decided.
func (e *eval) add(s *state, at Ref) {
	l := e.refs.get()
	*l = refs{at, s.rules}
	s.rules = l
}

// fork returns a copy of s that takes a share of its weight.
func (e *eval) fork(s *state, share float64) *state {
	t := e.states.get()
	*t = *s
	t.weight = s.weight * share
	return t
}

func (s *state) suppose(at Ref, why string, matched bool, visit int) {
	s.assumed = s.assumed.with(Assumption{at, why, matched}, visit)
}

func (l *assumptions) with(a Assumption, visit int) *assumptions {
	return &assumptions{a, visit, l.len() + 1, l}
}

func (l *assumptions) len() int {
	if l == nil {
		return 0
	}
	return l.n
}

// same reports whether nothing that can still happen tells s and t apart.
func (s *body) same(t *body) bool {
	if s.p.Inner == t.p.Inner {
		return *s == *t
	}
	if s.p.Inner == nil || t.p.Inner == nil {
		return false
	}
	a, b := *s, *t
	a.p, b.p = *s.p.Inner, *t.p.Inner
	if !a.same(&b) {
		return false
	}
	a, b = *s, *t
	a.p.Inner, b.p.Inner = nil, nil
	return a == b
}

// merge makes s stand for t too: what only one of them supposes did not matter.
func (s *state) merge(t *state) {
	s.weight += t.weight
	if s.assumed.len() > t.assumed.len() {
		s.rules = t.rules
	}
	s.assumed = s.assumed.common(t.assumed)
}

// common returns what both lists suppose.
func (l *assumptions) common(m *assumptions) *assumptions {
	all := l
	var keep []*assumptions
	for l != nil && m != nil && l != m {
		switch {
		case l.visit > m.visit:
			l = l.before
		case l.visit < m.visit:
			m = m.before
		default:
			if l.Matched == m.Matched {
				keep = append(keep, l)
			}
			l, m = l.before, m.before
		}
	}
	if l != m {
		l = nil
	}
	if len(keep)+l.len() == all.len() {
		return all
	}
	for _, k := range slices.Backward(keep) {
		l = l.with(k.Assumption, k.visit)
	}
	return l
}

// join adds the states of more to list, each to its like where there is one.
func join(list, more []*state) []*state {
next:
	for _, t := range more {
		for _, s := range list {
			if s.same(&t.body) {
				s.merge(t)
				continue next
			}
		}
		list = append(list, t)
	}
	return list
}

// joinAll merges the states of a list with their likes.
func joinAll(list []*state) []*state {
	if len(list) < 32 {
		return join(list[:0], list)
	}
	at := make(map[body]*state, len(list))
	out := list[:0]
	for _, s := range list {
		key := s.body
		key.p.Inner = nil
		switch like := at[key]; {
		case like == nil:
			at[key] = s
			out = append(out, s)
		case like.same(&s.body):
			like.merge(s)
		default:
			out = append(out, s)
		}
	}
	return out
}

// report returns what became of the states. A single outcome is in the Evaluator's own memory, most being that.
func (e *eval) report(states []*state) []Outcome {
	n := 0
	for _, s := range states {
		n += s.rules.len()
	}
	out, all := e.out[:], e.rules[:0]
	if len(states) != 1 {
		out, all = make([]Outcome, len(states)), nil
	}
	if all = slices.Grow(all, n)[:n]; len(states) == 1 {
		e.rules = all
	}
	for i, s := range states {
		o := &out[i]
		o.Verdict, o.Packet, o.Conn, o.Weight = s.verdict, s.p, s.c, s.weight
		o.RejectWith, o.Why, o.Proxy = s.rejectWith, s.why, s.proxy
		o.KeepsRoute = s.stray && !s.moved && s.p.Dst.Addr() == e.in.Packet.Dst.Addr()
		o.Rules = nil
		if n = s.rules.len(); n > 0 {
			o.Rules, all = all[:n:n], all[n:]
		}
		for l := s.rules; l != nil; l = l.before {
			n--
			o.Rules[n] = l.Ref
		}
		o.Assumed = s.assumed.list()
	}
	return out
}

// list returns the assumptions, the first one first.
func (l *assumptions) list() []Assumption {
	if l == nil {
		return nil
	}
	all := make([]Assumption, l.n)
	for ; l != nil; l = l.before {
		all[l.n-1] = l.Assumption
	}
	return all
}

func (l *refs) len() (n int) {
	for ; l != nil; l = l.before {
		n++
	}
	return n
}
