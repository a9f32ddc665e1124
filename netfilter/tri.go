package netfilter

// tri returns Yes or No.
func tri(b bool) Tri {
	if b {
		return Yes
	}
	return No
}

// xor returns t, inverted where not is set; what is not known stays so.
func (t Tri) xor(not bool) Tri {
	switch {
	case !not || t == Maybe:
		return t
	case t == Yes:
		return No
	}
	return Yes
}

// and returns Yes if both are, No if one is No.
func (t Tri) and(u Tri) Tri {
	switch {
	case t == No || u == No:
		return No
	case t == Yes && u == Yes:
		return Yes
	}
	return Maybe
}

// The parts of the packets that are supposed to meet a match whose answer is not known.
const (
	even     = 0.5
	unlikely = 1.0 / 1024
	likely   = 1 - unlikely
	usual    = 0.99
)

// unknownMatch is a match whose answer is never known.
type unknownMatch struct {
	why   string
	share float64 // 0 stands for even
}

func (m *unknownMatch) match(e *eval, _ *state) Tri {
	e.maybe(m.why)
	if m.share != 0 {
		e.share = m.share
	}
	return Maybe
}

// unknowable makes a match that asks for what no snapshot holds.
func unknowable(why string, share float64) func(*ruleParser, *rule, []opt) match {
	return func(_ *ruleParser, _ *rule, o []opt) match {
		m := &unknownMatch{why, share}
		for _, o := range o {
			if o.not && share != even {
				m.share = 1 - share
			}
		}
		return m
	}
}
