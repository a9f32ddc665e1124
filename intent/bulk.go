package intent

// bulk evaluates programs for all classes at once.
type bulk struct {
	*Engine
	port   Port
	family uint8
	names  map[portSpec]tri // the classes at which a port is the one asked for
}

// run evaluates a program. The Pod of an ingress program is of the class dst.
func (b *bulk) run(p *program, direction int, dst int32) row {
	n := len(b.classes)
	out := row{newSet(n), newSet(n)}
	open := newSet(n)
	open.addRange(0, int32(n))
	if len(p.others) > 0 {
		return row{open, open.clone()}
	}
	open = b.layer(&p.admin, direction, dst, open, out)
	open = b.named(p, direction, dst, open, out)
	open = b.layer(&p.baseline, direction, dst, open, out)
	out.allow.or(open)
	return out
}

// layer asks the policies of a tier about the classes in open. It adds what they may do to out,
// and returns the classes that may go on.
func (b *bulk) layer(l *layer, direction int, dst int32, open set, out row) set {
	if len(l[0]) == 0 && len(l[1]) == 0 {
		return open
	}
	if len(l[1]) == 0 {
		return b.groups(l[0], direction, dst, open, out)
	}
	next := newSet(len(b.classes))
	q := query{direction: direction, family: b.family, proto: b.port.Proto, number: b.port.Number, dst: dst}
	open.each(func(i int32) { // both versions at once are rare
		q.other = i
		if dst < 0 {
			q.dst = i
		}
		b.note(b.Engine.layer(l, &q), i, out, next)
	})
	return next
}

// note adds an outcome of one class.
func (b *bulk) note(o outcome, i int32, out row, next set) {
	if o&mayAllow != 0 {
		out.allow.add(i)
	}
	if o&mayDeny != 0 {
		out.deny.add(i)
	}
	if o&mayGoOn != 0 {
		next.add(i)
	}
}

// groups asks groups in their order.
func (b *bulk) groups(list []group, direction int, dst int32, open set, out row) set {
	next := newSet(len(b.classes))
	for _, g := range list {
		done := newSet(len(b.classes))
		for i := range g {
			left := open.clone()
			for j := range g[i].rules[direction] {
				r := &g[i].rules[direction][j]
				t := b.match(r, dst)
				b.act(outcomes[r.action], t, left, out, next)
				if t.yes != nil {
					left.without(t.yes)
				}
			}
			if g[i].sure {
				sure := open.clone()
				sure.without(left)
				done.or(sure)
			}
		}
		open.without(done)
	}
	next.or(open)
	return next
}

// act adds what a rule does to the classes that it matches, of those in left.
func (b *bulk) act(o outcome, t tri, left set, out row, next set) {
	for _, s := range [2]set{t.yes, t.maybe} {
		if s == nil {
			continue
		}
		if o&mayAllow != 0 {
			out.allow.orAnd(s, left)
		}
		if o&mayDeny != 0 {
			out.deny.orAnd(s, left)
		}
		if o&(mayGoOn|mayPass) != 0 {
			next.orAnd(s, left)
		}
	}
}

// named asks the NetworkPolicies.
func (b *bulk) named(p *program, direction int, dst int32, open set, out row) set {
	missing := b.missing[direction] != ""
	if p.isolated == no && !missing {
		return open
	}
	if p.isolated == no {
		out.allow.or(open)
		out.deny.or(open)
		return open
	}
	n := len(b.classes)
	sure, some := newSet(n), newSet(n)
	for i := range p.named {
		a := &p.named[i]
		for j := range a.rules[direction] {
			t := b.match(&a.rules[direction][j], dst)
			if a.sure {
				sure.or(t.yes)
			} else {
				some.or(t.yes)
			}
			some.or(t.maybe)
		}
	}
	out.allow.orAnd(open, sure)
	open = minus(open, sure)
	if open == nil {
		return newSet(n)
	}
	out.deny.or(open)
	if missing || !b.port.Proto.HasPorts() {
		out.allow.or(open)
	}
	out.allow.orAnd(open, some)
	if p.isolated == yes {
		return newSet(n)
	}
	return open
}

// match returns the classes that a rule matches.
func (b *bulk) match(r *rule, dst int32) tri {
	t := tri{yes: b.everything()}
	if r.sets != nil {
		t = r.sets[b.family]
	}
	if len(r.ports) == 0 {
		return t
	}
	if dst >= 0 {
		best := no
		for i := range r.ports {
			best = max(best, b.matchPort(&r.ports[i], b.port.Proto, b.port.Number, dst))
		}
		switch best {
		case no:
			return tri{}
		case maybe:
			return tri{maybe: union(t.yes, t.maybe)}
		}
		return t
	}
	var ports tri
	for _, s := range r.ports {
		ports = ports.or(b.destinations(s))
	}
	return t.and(ports)
}

func (b *bulk) everything() set { return b.destinations(portSpec{proto: b.port.Proto, hi: 65535}).yes }

// destinations returns the classes at which the port is one that s selects.
func (b *bulk) destinations(s portSpec) tri {
	if t, ok := b.names[s]; ok {
		return t
	}
	n := len(b.classes)
	t := tri{newSet(n), newSet(n)}
	for i := range b.classes {
		switch b.matchPort(&s, b.port.Proto, b.port.Number, int32(i)) {
		case yes:
			t.yes.add(int32(i))
		case maybe:
			t.maybe.add(int32(i))
		}
	}
	if t.maybe.empty() {
		t.maybe = nil
	}
	b.names[s] = t
	return t
}
