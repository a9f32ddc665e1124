package netfilter

import "fmt"

// chain walks a chain with states that have the same addresses, and returns those that reach its end or meet RETURN.
func (e *eval) chain(t *Table, c *Chain, states []*state, depth int) []*state {
	if depth > maxDepth {
		e.over = "chain " + c.Name + ": chains jump too deep, or in a circle"
		return nil
	}
	w := walk{e: e, t: t, c: c, depth: depth, states: states, hit: e.few()}
	for at := c.start(e, states[0]); len(w.states) > 0 && e.over == ""; {
		r := at.next()
		if r == nil {
			break
		}
		if e.steps += len(w.states); e.steps > maxSteps {
			e.over = fmt.Sprintf("to follow the packet takes more than %d steps", maxSteps)
			return nil
		}
		w.rule(r)
	}
	if c.unread != "" {
		e.giveUp(w.states, Ref{Table: t, Chain: c}, "chain "+c.Name+" was not read to its end: "+c.unread)
		w.states = nil
	}
	if w.returned == nil {
		return w.states
	}
	return join(w.returned, w.states)
}

// walk is the walk through one chain.
type walk struct {
	e        *eval
	t        *Table
	c        *Chain
	depth    int
	states   []*state // at the rule at hand
	hit      []*state // that meet it
	returned []*state // to the chain that jumped here
}

// rule leads the states through a rule.
func (w *walk) rule(r *Rule) {
	w.hit = w.hit[:0]
	w.e.visits++
	kept := w.states[:0]
	for _, s := range w.states {
		m := r.meets(w.e, s)
		if m == Yes && r.share == 1 {
			w.hit = append(w.hit, s)
			continue
		}
		if m == No || w.split(r, s, m) {
			kept = append(kept, s)
		}
	}
	w.states = kept
	if len(w.hit) > 0 {
		w.e.steps += len(w.hit) * (len(w.states) + len(w.returned)) / 8 // to compare them
		w.apply(r)
	}
	if len(w.states)+len(w.returned) > maxStates {
		w.e.over = fmt.Sprintf("the packet can go more than %d ways in chain %s, for want of knowledge", maxStates, w.c.Name)
	}
}

// split follows both ways of a match whose answer is not known, or that matches
// a part of the packets. It leaves in s the way of those that do not match, and reports whether there are any.
func (w *walk) split(r *Rule, s *state, m Tri) bool {
	share := r.share
	if m == Maybe {
		share *= w.e.share
	}
	hit := w.e.fork(s, share)
	s.weight -= hit.weight
	if m == Maybe {
		at := Ref{w.t, w.c, r}
		if w.e.share < usual { // else it is what a first packet meets
			hit.suppose(at, w.e.why, true, w.e.visits)
		}
		if w.e.share > 1-usual {
			s.suppose(at, w.e.why, false, w.e.visits)
		}
	}
	w.hit = append(w.hit, hit)
	return share < 1
}

// apply does what the rule says to the states that meet it.
func (w *walk) apply(r *Rule) {
	at := Ref{w.t, w.c, r}
	switch {
	case r.jump != nil:
		w.jump(r.jump, at)
	case r.target == nil:
		w.states = join(w.states, w.hit)
	default:
		w.target(r.target, at)
	}
}

func (w *walk) target(target target, at Ref) {
	if _, ok := target.(goBack); ok {
		w.back(w.hit)
		return
	}
	on := w.hit[:0]
	for _, s := range w.hit {
		if !target.apply(w.e, s, at) {
			on = append(on, s)
		}
	}
	w.states = join(w.states, on)
}

// back has states go on in the chain that jumped here.
func (w *walk) back(states []*state) {
	if w.returned == nil {
		w.returned = w.e.few()
	}
	w.returned = join(w.returned, states)
}

func (w *walk) jump(to *Chain, at Ref) {
	if len(to.Rules) == 0 && to.unread == "" && !at.Rule.isGoto {
		w.states = join(w.states, w.hit)
		return
	}
	for _, s := range w.hit {
		w.e.add(s, at)
	}
	back := w.e.chain(w.t, to, w.hit, w.depth+1)
	for _, s := range back {
		if s.rules != nil && s.rules.Rule == at.Rule { // nothing came of it
			s.rules = s.rules.before
		}
	}
	if at.Rule.isGoto {
		w.back(back)
		return
	}
	w.states = join(w.states, back)
}

// meets answers whether the packet of s meets every condition of r.
func (r *Rule) meets(e *eval, s *state) Tri {
	if !r.anyProto && (r.proto == s.p.Proto) == (r.not&notProto != 0) ||
		r.dst.IsValid() && r.dst.Contains(s.p.Dst.Addr()) == (r.not&notDst != 0) ||
		r.src.IsValid() && r.src.Contains(s.p.Src.Addr()) == (r.not&notSrc != 0) ||
		r.in != "" && device(r.in, e.in.In) == (r.not&notIn != 0) ||
		r.out != "" && device(r.out, e.in.Out) == (r.not&notOut != 0) ||
		r.fragment || r.share == 0 {
		return No
	}
	if r.noop {
		return No // as good as
	}
	all := Yes
	for _, m := range r.matches {
		why, share := e.why, e.share
		switch m.match(e, s) {
		case No:
			return No
		case Maybe:
			if all == Maybe {
				e.why, e.share = why, share*e.share
			}
			all = Maybe
		case Yes:
			if all == Maybe {
				e.why, e.share = why, share
			}
		}
	}
	return all
}
