package intent

// A program is what the policies of a class of Pods say in one direction.
type program struct {
	admin, baseline layer
	named           []applied // the NetworkPolicies
	others          []applied // those of other APIs: with one, nothing is known
	isolated        match     // whether one of them selects the Pods
	plain           []*rule   // the rules of named that do, where only they match for sure
	// open and some are classes, by family: those that a rule of named which names peers and no
	// ports matches for sure, and those that any rule which names peers may match.
	open, some [2]set
	everyone   bool // a rule of named matches everything
	wide       bool // a rule of named matches all peers
	byName     bool // a rule asks for ports by name
}

// An applied policy selects a class of Pods: for sure, or maybe.
type applied struct {
	*policy
	sure bool
}

// A layer is one tier of the cluster's own policies. Those of v1alpha1 stand apart: the API
// does not say which of the two versions is asked first.
type layer [2][]group

// A group is policies of one priority: the API leaves open which of them is asked first.
type group []applied

// program makes the program of policies, given as [builder.apply] numbers them.
func (b *builder) program(list []int32, direction int) *program {
	p := &program{}
	for _, n := range list {
		a := applied{&b.policies[n/2], n%2 == 0}
		for i := range a.rules[direction] {
			p.byName = p.byName || a.rules[direction][i].byName()
		}
		switch a.tier {
		case adminTier:
			p.admin.add(a)
		case baselineTier:
			p.baseline.add(a)
		case otherTier:
			p.others = append(p.others, a)
		default:
			p.addNamed(a, direction, len(b.classes))
		}
	}
	return p
}

func (r *rule) byName() bool {
	for _, s := range r.ports {
		if s.kind == portNamed || s.kind == portAnyName {
			return true
		}
	}
	return false
}

func (l *layer) add(a applied) {
	list := &l[0]
	if a.old {
		list = &l[1]
	}
	if n := len(*list); n > 0 && (*list)[n-1][0].priority == a.priority {
		(*list)[n-1] = append((*list)[n-1], a)
		return
	}
	*list = append(*list, group{a})
}

// addNamed adds a NetworkPolicy.
func (p *program) addNamed(a applied, direction, classes int) {
	p.named = append(p.named, a)
	if !a.sure {
		p.isolated = max(p.isolated, maybe)
		return
	}
	p.isolated = yes
	for i := range a.rules[direction] {
		r := &a.rules[direction][i]
		switch {
		case r.sets == nil && len(r.ports) == 0:
			p.everyone = true
		case r.sets == nil:
			p.plain, p.wide = append(p.plain, r), true
		default:
			p.addPeers(r, classes)
		}
	}
}

// addPeers adds a rule that names peers.
func (p *program) addPeers(r *rule, classes int) {
	if p.open[0] == nil {
		for f := range p.open {
			p.open[f], p.some[f] = newSet(classes), newSet(classes)
		}
	}
	unsure := false
	for f, t := range r.sets {
		p.some[f].or(t.yes)
		p.some[f].or(t.maybe)
		unsure = unsure || t.maybe != nil
		if len(r.ports) == 0 {
			p.open[f].or(t.yes)
		}
	}
	if len(r.ports) > 0 || unsure {
		p.plain = append(p.plain, r)
	}
}
