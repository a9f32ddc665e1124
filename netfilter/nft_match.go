package netfilter

// An nftStmt is a statement of a rule.
type nftStmt interface {
	// run does what the statement does to the packet of s.
	run(w *nftWalk, s *state) nftFlow
}

// nftFlow is how a rule goes on after a statement.
type nftFlow uint8

const (
	flowOn     nftFlow = iota // to the next statement
	flowBreak                 // to the next rule
	flowEnd                   // the statement has put the state where it belongs
	flowEither                // on or break, which is not known: see e.why and e.share
	flowPart                  // on for the part e.share of the packets, break for the others
)

func flow(t Tri) nftFlow {
	switch t {
	case Yes:
		return flowOn
	case No:
		return flowBreak
	}
	return flowEither
}

// An nftCompare compares a value with a constant, or with a range.
type nftCompare struct {
	left   nftTyped
	op     string
	lo, hi string
	source bool // the value is where the packet comes from
}

func (m *nftCompare) run(w *nftWalk, s *state) nftFlow {
	return w.each(&m.left, s, func(x *nftRun, v []byte) Tri {
		if len(v) != len(m.lo) {
			return x.e.maybe("a comparison is not understood")
		}
		return m.holds(x, v)
	})
}

func (m *nftCompare) holds(x *nftRun, v []byte) Tri {
	if x.isDark {
		return m.may(x, v)
	}
	switch m.op {
	case "!=":
		return tri(string(v) < m.lo || string(v) > m.hi)
	case "<":
		return tri(string(v) < m.lo)
	case "<=":
		return tri(string(v) <= m.lo)
	case ">":
		return tri(string(v) > m.hi)
	case ">=":
		return tri(string(v) >= m.hi)
	case "in":
		return tri(common(v, m.lo))
	case "!":
		return tri(!common(v, m.lo))
	}
	return tri(m.lo <= string(v) && string(v) <= m.hi)
}

// common reports whether v and flags have a bit in common.
func common(v []byte, flags string) bool {
	for i := range v {
		if v[i]&flags[i] != 0 {
			return true
		}
	}
	return false
}

// may compares a value of which some bits are not known.
func (m *nftCompare) may(x *nftRun, v []byte) Tri {
	dark := x.dark[:len(v)]
	switch m.op {
	case "in", "!":
		if common(v, m.lo) {
			return tri(m.op == "in")
		}
		if !common(dark, m.lo) {
			return tri(m.op == "!")
		}
	case "==", "!=":
		e := nftElem{lo: m.lo, hi: m.hi}
		if !e.may(m.left.types, v, dark) && len(m.left.types) == 1 {
			return tri(m.op == "!=")
		}
		if m.lo == m.hi && !agree(m.lo, v, dark) {
			return tri(m.op == "!=")
		}
	}
	return Maybe
}

// An nftLookup asks whether a value is in a set.
type nftLookup struct {
	left nftTyped
	set  *nftSet
	not  bool
	src  bool // the value is the packet's source address
}

func (m *nftLookup) run(w *nftWalk, s *state) nftFlow {
	return w.each(&m.left, s, func(x *nftRun, v []byte) Tri {
		_, in := m.set.lookup(x, s, v)
		return in.xor(m.not)
	})
}

// each answers a question about the value of an expression. Where the kernel picks
// a number for it, the question is answered for each that it may pick.
func (w *nftWalk) each(t *nftTyped, s *state, ask func(x *nftRun, v []byte) Tri) nftFlow {
	x := &w.nftRun
	c := t.choice
	if c == nil {
		v, ok := x.value(t, s)
		if !ok {
			return flowBreak
		}
		return flow(ask(x, v))
	}
	yes, all := 0.0, 0.0
	defer func() { x.isForced = false }()
	for from, n := uint64(0), steps(c); from < c.mod; from += n {
		x.isForced, x.forced = true, c.off+from
		v, ok := x.value(t, s)
		part := float64(min(n, c.mod-from))
		x.e.steps++
		if ok {
			switch ask(x, v) {
			case Maybe:
				return flowEither
			case Yes:
				yes += part
			}
		}
		all += part
	}
	switch {
	case yes == 0:
		return flowBreak
	case yes == all:
		return flowOn
	}
	x.e.share = yes / all
	return flowPart
}

// steps returns the step by which the numbers of c are followed; of very many, samples are.
func steps(c *nftChoice) uint64 { return max(c.mod/maxForced, 1) }

// match compiles a comparison.
func (p *nftParser) match(n *jsonNode) (nftStmt, error) {
	op, left, right := n.get("op").str(), n.get("left"), n.get("right")
	if left == nil || right == nil {
		return nil, notUnderstood("a match without two sides")
	}
	if f := left.get("fib"); f != nil && (right.kind == 't' || right.kind == 'f') {
		return p.fibExists(f, op, right)
	}
	if noHeader[left.get("payload").get("protocol").str()] {
		return nftNever{}, nil
	}
	l, err := p.expr(left, nil)
	if err != nil {
		return nil, err
	}
	if right.get("set") != nil || right.kind == '"' && len(right.text) > 1 && right.text[0] == '@' {
		set, err := p.setFor(right, &l, nil, false)
		if err == nil && op != "==" && op != "!=" && op != "in" && op != "" {
			err = notUnderstood("the operator %s with a set", short(op))
		}
		return &nftLookup{l, set, op == "!=", isAddr(left, "saddr")}, err
	}
	st, err := p.compare(op, l, right)
	if c, ok := st.(*nftCompare); ok {
		c.source = isSource(left)
	}
	return st, err
}

// nftNever is a match on a header that no packet here has.
type nftNever struct{}

func (nftNever) run(*nftWalk, *state) nftFlow { return flowBreak }

// fibExists compiles "fib … oif exists" and "fib … oif missing".
func (p *nftParser) fibExists(n *jsonNode, op string, right *jsonNode) (nftStmt, error) {
	l, err := p.fib("", n, nil)
	if err != nil {
		return nil, err
	}
	f := &nftFIB{}
	for _, s := range n.get("flags").strs() {
		f.src, f.mark, f.iif, f.oif = f.src || s == "saddr", f.mark || s == "mark", f.iif || s == "iif", f.oif || s == "oif"
	}
	if n.get("result").str() != "type" {
		l = presence(f.exists)
	}
	return p.compare(op, l, right)
}

// compareOps are the operators; "in" and "!" ask for bits.
var compareOps = map[string]bool{"==": true, "!=": true, "<": true, "<=": true, ">": true, ">=": true, "in": true, "!": true}

func (p *nftParser) compare(op string, l nftTyped, right *jsonNode) (nftStmt, error) {
	if op == "" {
		op = "=="
	}
	if !compareOps[op] {
		return nil, notUnderstood("the operator %s", short(op))
	}
	lo, hi, ok := spanOf(l.types, right)
	if !ok {
		return nil, notUnderstood("the value that %s is compared with", p.text(l.types))
	}
	ordered := op == "<" || op == "<=" || op == ">" || op == ">=" || op == "in" || op == "!"
	if ordered && (lo != hi || len(l.types) != 1 || l.types[0].text) {
		return nil, notUnderstood("the operator %s with a range", op)
	}
	return &nftCompare{left: l, op: op, lo: lo, hi: hi}, nil
}

// text names the types of a value.
func (p *nftParser) text(fields []nftType) string {
	s := ""
	for i, f := range fields {
		if i > 0 {
			s += " . "
		}
		s += f.name
	}
	return s
}
