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
	key nftTyped
	set *nftSet
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
	return &nftVMap{key, set}, err
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
	shares := map[int32]float64{}
	var order []int32
	c := m.key.choice
	defer func() { w.isForced = false }()
	for from, n := uint64(0), steps(c); from < c.mod; from += n {
		w.isForced, w.forced = true, c.off+from
		i := int32(none)
		if v, ok := w.value(&m.key, s); ok {
			at, in := m.set.lookup(&w.nftRun, s, v)
			if in == Maybe {
				w.e.end(s, w.at, VerdictUnknown, w.e.why)
				return flowEnd
			}
			if in == Yes {
				i = at
			}
		}
		if _, had := shares[i]; !had {
			order = append(order, i)
		}
		shares[i] += float64(min(n, c.mod-from)) / float64(c.mod)
	}
	w.isForced = false
	for k, i := range order {
		t := s
		if k < len(order)-1 {
			t = w.e.fork(s, shares[i])
		}
		if k == len(order)-1 {
			t.weight *= shares[i]
		}
		if i == none {
			w.next = append(w.next, t)
			continue
		}
		w.verdict(m.set.elems[i].verdict, t)
	}
	return flowEnd
}
