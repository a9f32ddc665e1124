package netfilter

import "fmt"

// An nftWalk is the walk through one chain of native rules.
type nftWalk struct {
	nftRun
	c        *Chain
	depth    int
	at       Ref       // the rule at hand
	visit    int       // to the statement at hand
	rest     []nftStmt // that follow the statement at hand
	states   []*state  // at the rule at hand
	next     []*state  // that go on to the next rule
	spare    []*state  // the memory of a list that is used up
	returned []*state  // to the chain that jumped here
	jumps    []nftJump
	forked   bool
}

// An nftJump is the states that a rule sends to another chain.
type nftJump struct {
	verdict nftVerdict
	states  []*state
}

// base runs a base chain, and returns the states that it accepts.
func (e *eval) base(t *Table, c *Chain, states []*state) []*state {
	e.passed, e.typ = e.few(), c.nft.typ
	rest := e.native(t, c, states, 0)
	at := Ref{Table: t, Chain: c}
	for _, s := range rest {
		switch {
		case t.unread != "":
			e.end(s, at, VerdictUnknown, "table "+t.Name+" was not read to its end: "+t.unread)
		case c.Policy == "DROP":
			e.end(s, at, Drop, "")
		default:
			if c.nft.typ == "filter" && c.nft.prio == 0 {
				e.add(s, at)
			}
			e.passed = append(e.passed, s)
		}
	}
	if len(e.passed) > 1 {
		e.passed = joinAll(e.passed)
	}
	if len(e.passed)+len(e.final) > maxDone {
		e.over = fmt.Sprintf("the packet can go more than %d ways", maxDone)
	}
	return e.passed
}

// native walks a chain, and returns the states that reach its end or return from it.
func (e *eval) native(t *Table, c *Chain, states []*state, depth int) []*state {
	if depth > maxDepth {
		e.over = "chain " + c.Name + ": chains jump too deep, or in a circle"
		return nil
	}
	w := &nftWalk{nftRun: nftRun{e: e, t: t}, c: c, depth: depth, states: states}
	for i := range c.Rules {
		if len(w.states) == 0 || e.over != "" {
			break
		}
		if e.steps += len(w.states); e.steps > maxSteps {
			e.over = fmt.Sprintf("to follow the packet takes more than %d steps", maxSteps)
			return nil
		}
		w.rule(c.Rules[i], c.nft.rules[i])
	}
	if c.unread != "" {
		e.giveUp(w.states, Ref{Table: t, Chain: c}, "chain "+c.Name+" was not read to its end: "+c.unread)
		w.states = nil
	}
	if w.returned == nil {
		return w.states
	}
	return joinAll(append(w.returned, w.states...))
}

// rule leads the states through a rule.
func (w *nftWalk) rule(r *Rule, stmts []nftStmt) {
	w.at = Ref{w.t, w.c, r}
	w.next, w.jumps, w.forked = w.spare[:0], w.jumps[:0], false
	first := w.e.visits + 1
	w.e.visits += len(stmts) + 1
	for _, s := range w.states {
		w.from(stmts, s, first)
	}
	w.spare, w.states = w.states, w.next
	for _, j := range w.jumps {
		w.jump(j)
	}
	if n := len(w.states); w.forked && n > 1 {
		w.e.steps += n * n / 16 // to compare them
		w.states = joinAll(w.states)
	}
	if len(w.states)+len(w.returned) > maxStates {
		w.e.over = fmt.Sprintf("the packet can go more than %d ways in chain %s, for want of knowledge", maxStates, w.c.Name)
	}
}

// from runs statements, of which the first has the number visit.
func (w *nftWalk) from(stmts []nftStmt, s *state, visit int) {
	for i, st := range stmts {
		w.rest, w.visit = stmts[i+1:], visit+i
		switch f := st.run(w, s); f {
		case flowBreak:
			w.next = append(w.next, s)
			return
		case flowEnd:
			return
		case flowEither, flowPart:
			hit := w.divide(s, f == flowEither)
			w.next = append(w.next, s)
			s = hit
		}
	}
	w.next = append(w.next, s)
}

// divide parts from s the packets that meet a condition, as many as e.share says, and returns them.
func (w *nftWalk) divide(s *state, supposed bool) (hit *state) {
	w.forked = true
	hit = w.e.fork(s, w.e.share)
	s.weight -= hit.weight
	if !supposed {
		return hit
	}
	if w.e.share < usual { // else it is what a first packet meets
		hit.suppose(w.at, w.e.why, true, w.visit)
	}
	if w.e.share > 1-usual {
		s.suppose(w.at, w.e.why, false, w.visit)
	}
	return hit
}

// verdict does to s what a verdict says.
func (w *nftWalk) verdict(v nftVerdict, s *state) {
	switch v.kind {
	case verdictAccept:
		w.e.add(s, w.at)
		w.e.passed = append(w.e.passed, s)
	case verdictDrop:
		w.e.end(s, w.at, Drop, "")
	case verdictReturn:
		w.returned = append(w.returned, s)
	case verdictJump, verdictGoto:
		w.send(v, s)
	default:
		w.next = append(w.next, s)
	}
}

// send puts s with those that go to the same chain.
func (w *nftWalk) send(v nftVerdict, s *state) {
	for i := range w.jumps {
		if w.jumps[i].verdict == v {
			w.jumps[i].states = append(w.jumps[i].states, s)
			return
		}
	}
	w.jumps = append(w.jumps, nftJump{v, append(w.e.few(), s)})
}

// jump walks the chain that states are sent to. Those that come back go on after the
// rule; after a goto, where the chain that has jumped to this one goes on.
func (w *nftWalk) jump(j nftJump) {
	to := w.t.Chains[j.verdict.target]
	if to == nil || to.nft == nil {
		w.e.giveUp(j.states, w.at, "chain "+j.verdict.target+" was not listed")
		return
	}
	for _, s := range j.states {
		w.e.add(s, w.at)
	}
	back := w.e.native(w.t, to, j.states, w.depth+1)
	for _, s := range back {
		if s.rules != nil && s.rules.Rule == w.at.Rule { // nothing came of it
			s.rules = s.rules.before
		}
	}
	w.forked = w.forked || len(back) > 0
	if j.verdict.kind == verdictGoto {
		w.returned = append(w.returned, back...)
		return
	}
	w.states = append(w.states, back...)
}
