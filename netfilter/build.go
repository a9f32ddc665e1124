package netfilter

import "slices"

// build makes the matches and the target out of what was read.
func (p *ruleParser) build(r *rule) {
	byMod := func(a, b opt) int { return a.mod - b.mod }
	if !slices.IsSortedFunc(p.opts, byMod) {
		slices.SortStableFunc(p.opts, byMod)
	}
	opts := p.opts
	for i, m := range p.mods {
		n := 0
		for n < len(opts) && opts[n].mod == i {
			n++
		}
		p.buildMod(r, m, opts[:n])
		opts = opts[n:]
	}
	if _, already := r.target.(*unknownTarget); p.odd != "" && r.target != nil && !already {
		r.target = &unknownTarget{why: p.odd}
	}
	if p.why != "" {
		p.ms = append(p.ms, &unknownMatch{why: p.why})
	}
	r.noop = r.noop || r.target == nil && r.targetName == ""
	r.matches = p.pool.take(len(p.ms))
	copy(r.matches, p.ms)
}

func (p *ruleParser) buildMod(r *rule, m mod, opts []opt) {
	switch {
	case m.target && m.known != nil:
		p.buildTarget(r, m, opts)
	case m.target: // a chain, or a target that is not understood: see resolve
	case m.known == nil:
		p.ms = append(p.ms, &unknownMatch{why: "the match " + m.name + " is not understood"})
	case m.known.match != nil:
		p.buildMatch(r, m, opts)
	}
}

// buildMatch makes a match; one with an argument that is not understood may always meet.
func (p *ruleParser) buildMatch(r *rule, m mod, opts []opt) {
	before := p.why
	p.why = ""
	made := m.known.match(p, r, opts)
	if p.why != "" {
		made = &unknownMatch{why: "the match " + m.name + " is not understood: " + p.why}
	}
	if made != nil {
		p.ms = append(p.ms, made)
	}
	p.why = before
}

// buildTarget makes the target; one with an option that is not understood is unknown as a whole.
func (p *ruleParser) buildTarget(r *rule, m mod, opts []opt) {
	before := p.why
	p.why = ""
	r.target = m.known.target(p, r, opts)
	if p.why != "" {
		r.target = &unknownTarget{why: "the target " + m.name + " is not understood: " + p.why}
	}
	r.noop = r.target == nil && m.name == r.targetName
	p.why = before
}
