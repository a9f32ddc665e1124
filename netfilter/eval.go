package netfilter

import (
	"fmt"
	"net/netip"
)

// Limits of one evaluation. A kernel walks chains only 16 deep, and evaluates one way only.
const (
	maxStates = 512     // ways that are open at once
	maxDone   = 1 << 14 // ways that have ended
	maxSteps  = 1 << 21 // rules looked at, or ways compared
	maxDepth  = 256     // jumps
)

// stages are what runs at each hook, in the order of priority (enum nf_ip_hook_priorities):
//
//	PREROUTING   raw -300, conntrack -200, mangle -150, nat (destination) -100
//	INPUT        mangle -150, filter 0, security 50, nat (source) 100
//	FORWARD      mangle -150, filter 0, security 50
//	OUTPUT       raw -300, conntrack -200, mangle -150, nat (destination) -100, filter 0, security 50
//	POSTROUTING  mangle -150, nat (source) 100
var stages = [...][]string{
	PreRouting:  {"raw", "conntrack", "mangle", "nat"},
	LocalIn:     {"conntrack", "mangle", "filter", "security", "nat"},
	Forward:     {"conntrack", "mangle", "filter", "security"},
	LocalOut:    {"raw", "conntrack", "mangle", "nat", "filter", "security"},
	PostRouting: {"conntrack", "mangle", "nat"},
}

// chainNames are the built-in chains by hook.
var chainNames = [...]string{
	PreRouting: "PREROUTING", LocalIn: "INPUT", Forward: "FORWARD", LocalOut: "OUTPUT", PostRouting: "POSTROUTING",
}

// String returns the name of the hook's built-in chain: "FORWARD".
func (h Hook) String() string {
	if int(h) < len(chainNames) {
		return chainNames[h]
	}
	return "invalid"
}

// eval is one evaluation.
type eval struct {
	r      *Ruleset
	in     *Input
	is6    bool
	why    string   // why a match answered Maybe
	share  float64  // the part of the packets that is supposed to meet it
	passed []*state // accepted by the table at hand
	final  []*state // that go no further
	steps  int
	visits int    // to rules
	over   string // why the evaluation was given up
	typ    string // of the native base chain at hand

	states room[state]
	refs   room[refs]
	lists  room[*state]
	out    [1]Outcome
	rules  []Ref // of out
}

// An Evaluator evaluates one packet after another, and uses its memory again: where
// there is one outcome, it and the lists in it are good until the next Eval; several
// are the caller's. The zero Evaluator is ready for use; it is not for more than one
// goroutine, nor for the Env that it asks.
type Evaluator struct{ e eval }

// begin returns the state that an evaluation begins with, of a packet without IPv4-mapped addresses.
func (e *eval) begin(r *Ruleset, in *Input) *state {
	e.states.reset(1)
	e.refs.reset(8)
	e.lists.reset(32)
	e.why, e.share, e.passed, e.final = "", 0, nil, e.final[:0]
	e.steps, e.visits, e.over = 0, 0, ""
	s := e.states.get()
	*s = state{weight: 1}
	s.p = in.Packet
	s.p.Src, s.p.Dst = unmap(s.p.Src), unmap(s.p.Dst)
	if in.Conn != nil {
		s.c, s.hasConn = *in.Conn, true
	}
	e.r, e.in, e.is6 = r, in, s.p.Is6()
	return s
}

// few returns an empty list with room for a few states.
func (e *eval) few() []*state { return e.lists.take(4)[:0] }

// maybe notes why an answer is not known.
func (e *eval) maybe(why string) Tri {
	e.why, e.share = why, even
	return Maybe
}

// Eval says what happens to a packet at a hook: every way that it can go. The outcomes are the caller's.
func (r *Ruleset) Eval(in Input) []Outcome { return new(Evaluator).Eval(r, &in) }

// Eval does what Eval of r does; a single outcome is good until the next Eval.
func (v *Evaluator) Eval(r *Ruleset, in *Input) []Outcome {
	if int(in.Hook) >= len(stages) {
		return []Outcome{{Packet: in.Packet, Weight: 1, Why: "there is no such hook"}}
	}
	e := &v.e
	first := e.begin(r, in)
	asked := first.p
	states := append(e.few(), first)
	for i, steps := 0, e.planned(); i < len(steps); i++ {
		states = e.stage(&steps[i], states)
		if e.over != "" {
			return []Outcome{{Packet: asked, Conn: first.c, Weight: 1, Why: e.over}}
		}
	}
	return e.outcomes(states)
}

func unmap(a netip.AddrPort) netip.AddrPort {
	if a.Addr().Is4In6() {
		return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
	}
	return a
}

func (e *eval) stage(st *hookStep, states []*state) []*state {
	if st.stage == "nat" {
		return e.natStage(states)
	}
	return e.run(st, states)
}

// conntrack looks the packet up, where that was not done yet.
func (e *eval) conntrack(s *state) {
	if s.hasConn {
		return
	}
	s.hasConn = true
	if e.in.Env != nil {
		s.c = e.in.Env.Conntrack(s.p, s.zone)
	}
	s.c.Zone = s.zone
	if !s.c.Orig.Dst.IsValid() {
		s.c.Orig = TupleOf(s.p)
	}
	if !s.c.Back.Dst.IsValid() {
		s.c.Back = s.c.Orig.Invert()
	}
}

// tables runs the tables of one name and back end.
func (e *eval) tables(name string, b Backend, states []*state) []*state {
	for _, t := range e.r.Tables {
		if t.Name == name && t.Backend == b && t.Is6 == e.is6 && len(states) > 0 && e.over == "" {
			states = e.table(t, states)
		}
	}
	return states
}

// table runs one table, and returns the states that it accepts.
func (e *eval) table(t *Table, states []*state) []*state {
	c := t.Chains[chainNames[e.in.Hook]]
	if c == nil && t.unread == "" {
		return states
	}
	if c == nil {
		e.giveUp(states, Ref{Table: t}, "table "+t.Name+" was not read to its end: "+t.unread)
		return nil
	}
	e.passed = e.few()
	for len(states) > 0 {
		group := sameAddresses(states)
		rest := e.chain(t, c, states[:group:group], 0)
		e.policy(Ref{Table: t, Chain: c}, rest)
		states = states[group:]
	}
	if len(e.passed) > 1 {
		e.passed = joinAll(e.passed)
	}
	if len(e.passed)+len(e.final) > maxDone {
		e.over = fmt.Sprintf("the packet can go more than %d ways", maxDone)
	}
	return e.passed
}

// sameAddresses returns how many states at the front have the first one's addresses; an index finds the same rules for them.
func sameAddresses(states []*state) int {
	n := 1
	for n < len(states) && states[n].p.Src == states[0].p.Src && states[n].p.Dst == states[0].p.Dst {
		n++
	}
	return n
}

// giveUp ends states whose fate is not known.
func (e *eval) giveUp(states []*state, at Ref, why string) {
	for _, s := range states {
		e.end(s, at, VerdictUnknown, why)
	}
}

// end ends a state.
func (e *eval) end(s *state, at Ref, v Verdict, why string) {
	e.add(s, at)
	s.verdict, s.why, s.added = v, why, nil
	e.final = append(e.final, s)
}

// policy applies a built-in chain's policy to what reached its end.
func (e *eval) policy(at Ref, states []*state) {
	for _, s := range states {
		switch at.Chain.Policy {
		case "DROP":
			e.end(s, at, Drop, "")
		case "ACCEPT", "":
			if at.Table.Name == "filter" {
				e.add(s, at)
			}
			e.passed = append(e.passed, s)
		default:
			e.end(s, at, VerdictUnknown, "the policy "+at.Chain.Policy+" is not understood")
		}
	}
}

// outcomes ends the evaluation. What runs at the hook and cannot be read may have decided about all that the tables accept.
func (e *eval) outcomes(states []*state) []Outcome {
	for _, s := range states {
		s.verdict, s.added = Accept, nil
		if s.proxy.IsValid() {
			s.verdict = TProxy
		}
		for _, o := range e.r.Opaque {
			if s.why == "" && e.meetsOpaque(o) {
				s.verdict, s.why = VerdictUnknown, o.What
			}
		}
	}
	e.final = append(e.final, states...)
	return e.report(joinAll(e.final))
}

// meetsOpaque reports whether packets at the hook meet o.
func (e *eval) meetsOpaque(o Opaque) bool {
	dev := e.in.In
	if e.in.Hook == PostRouting {
		dev = e.in.Out
	}
	return o.Hook == e.in.Hook && o.Is6 == e.is6 && (o.Dev == "" || o.Dev == dev) &&
		(!o.Bridge || e.in.PhysIn != "" || e.in.PhysOut != "")
}
