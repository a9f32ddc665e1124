package netfilter

// An nftMap is the value that a map has for a key.
type nftMap struct {
	key nftTyped
	set *nftSet
}

func (m *nftMap) load(x *nftRun, s *state, b []byte) ([]byte, bool) {
	lo, _, ok := m.span(x, s)
	if !ok {
		return b, false
	}
	if lo == "" {
		return x.unknown(b, fieldsSize(m.set.data), x.e.why)
	}
	return append(b, lo...), true
}

// span returns both ends of the value; they are "" where it is not known.
func (m *nftMap) span(x *nftRun, s *state) (lo, hi string, ok bool) {
	saved, was := x.dark, x.isDark
	defer func() { x.dark, x.isDark = saved, was }()
	x.dark, x.isDark = [maxValue]byte{}, false
	var room [maxValue]byte
	v, ok := m.key.load(x, s, room[:0])
	if !ok {
		return "", "", false
	}
	i, in := m.set.lookup(x, s, v)
	switch {
	case in == No:
		return "", "", false
	case in == Maybe || i == none:
		return "", "", true
	}
	return m.set.elems[i].data, m.set.elems[i].to, true
}

// mapExpr compiles {"map": {"key": …, "data": …}}.
func (p *nftParser) mapExpr(_ string, n *jsonNode, want *nftType) (nftTyped, error) {
	key, err := p.expr(n.get("key"), nil)
	if err != nil {
		return key, err
	}
	data := n.get("data")
	var fields []nftType
	if want != nil {
		fields = valueFields(data.get("set"), *want)
	}
	set, err := p.setFor(data, &key, fields, false)
	if err != nil {
		return key, err
	}
	if len(set.data) == 0 {
		return key, notUnderstood("a map whose values have no type")
	}
	return nftTyped{nftExpr: &nftMap{key, set}, types: set.data, choice: key.choice}, nil
}

// valueFields returns the types of the values of a map that is written into a rule: an address, or an address and a port.
func valueFields(list *jsonNode, want nftType) []nftType {
	for _, x := range list.list() {
		if len(x.kids) == 2 && x.kids[1].get("concat") != nil {
			return []nftType{want, typePort}
		}
	}
	return []nftType{want}
}

// An nftVMap is a map of verdicts.
type nftVMap struct {
	key  nftTyped
	set  *nftSet
	dest bool // the key is the packet's destination: address, if at all, protocol and port
}

func (p *nftParser) vmap(n *jsonNode) (nftStmt, error) {
	key, err := p.expr(n.get("key"), nil)
	if err != nil {
		return nil, err
	}
	set, err := p.setFor(n.get("data"), &key, nil, true)
	if err == nil && !set.verdicts {
		err = notUnderstood("map %s has no verdicts", short(set.name))
	}
	return &nftVMap{key, set, isDest(n.get("key"))}, err
}

func (m *nftVMap) run(w *nftWalk, s *state) nftFlow {
	if m.key.choice != nil {
		return m.choose(w, s)
	}
	v, ok := w.value(&m.key, s)
	if !ok {
		return flowBreak
	}
	i, in := m.set.lookup(&w.nftRun, s, v)
	switch {
	case in == No:
		return flowBreak
	case in == Maybe && w.isDark && i != none, in == Yes && i == none:
		w.e.end(s, w.at, VerdictUnknown, "which element of a map the packet meets is not known: "+w.e.why)
	case in == Maybe:
		hit := w.divide(s, true)
		w.next = append(w.next, s)
		if i == none {
			w.e.end(hit, w.at, VerdictUnknown, w.e.why)
			return flowEnd
		}
		w.verdict(m.set.elems[i].verdict, hit)
	default:
		w.verdict(m.set.elems[i].verdict, s)
	}
	return flowEnd
}

// choose leads a share of the packets to each element that the kernel may pick.
func (m *nftVMap) choose(w *nftWalk, s *state) nftFlow {
	shares, why := m.shares(w, s)
	if why != "" {
		w.e.end(s, w.at, VerdictUnknown, why)
		return flowEnd
	}
	rest, all := 1.0, s.weight
	for _, p := range shares {
		t := w.e.fork(s, p.share)
		rest -= p.share
		w.verdict(m.set.elems[p.elem].verdict, t)
	}
	w.forked = true
	if rest > 1.0/(1<<40) { // met by no element
		s.weight = all * rest
		w.next = append(w.next, s)
	}
	return flowEnd
}

// A picked is an element, and the share of the packets that the kernel picks it for.
type picked struct {
	elem  int32
	share float64
}

// shares returns what the kernel may pick. A key that is the number itself is looked
// for in the elements; of one that has it in it, each value is tried.
func (m *nftVMap) shares(w *nftWalk, s *state) (list []picked, why string) {
	c := m.key.choice
	if direct, ok := m.key.nftExpr.(*nftChoice); ok && direct == c && m.set.unread == "" && !m.set.changes {
		return m.direct(c), ""
	}
	if c.mod > maxForced {
		return nil, "the number that the kernel picks is one of too many"
	}
	defer func() { w.isForced = false }()
	at := map[int32]int{}
	for n := range c.mod {
		w.e.steps++
		w.isForced, w.forced = true, c.off+n
		v, ok := w.value(&m.key, s)
		if !ok {
			continue
		}
		i, in := m.set.lookup(&w.nftRun, s, v)
		switch {
		case in == Maybe || in == Yes && i == none:
			return nil, w.e.why
		case in == No:
			continue
		}
		if _, had := at[i]; !had {
			at[i] = len(list)
			list = append(list, picked{elem: i})
		}
		list[at[i]].share += 1 / float64(c.mod)
	}
	return list, ""
}

// direct returns the share of the numbers that each element has.
func (m *nftVMap) direct(c *nftChoice) (list []picked) {
	left := c.mod
	for i := range m.set.elems {
		x := &m.set.elems[i]
		if x.lo == "" || left == 0 {
			continue
		}
		lo, hi := max(numOf([]byte(x.lo)), c.off), min(numOf([]byte(x.hi)), c.off+c.mod-1)
		if lo > hi {
			continue
		}
		n := min(hi-lo+1, left)
		left -= n
		list = append(list, picked{int32(i), float64(n) / float64(c.mod)})
	}
	if m.set.catchall != none && left > 0 {
		list = append(list, picked{m.set.catchall, float64(left) / float64(c.mod)})
	}
	return list
}
