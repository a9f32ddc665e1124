package intent

import "math/bits"

// A set is a set of classes, a bit each.
type set []uint64

func newSet(n int) set { return make(set, (n+63)/64) }

func (s set) has(i int32) bool { return s[uint32(i)>>6]&(1<<(uint32(i)&63)) != 0 }
func (s set) add(i int32)      { s[uint32(i)>>6] |= 1 << (uint32(i) & 63) }

// addRange adds the classes from up to, but not with, to.
func (s set) addRange(from, to int32) {
	for ; from < to && from&63 != 0; from++ {
		s.add(from)
	}
	for ; from+64 <= to; from += 64 {
		s[from>>6] = ^uint64(0)
	}
	for ; from < to; from++ {
		s.add(from)
	}
}

func (s set) clone() set { return append(set(nil), s...) }

func (s set) or(o set) {
	for i, w := range o {
		s[i] |= w
	}
}

func (s set) and(o set) {
	for i, w := range o {
		s[i] &= w
	}
}

func (s set) without(o set) {
	for i, w := range o {
		s[i] &^= w
	}
}

// orAnd adds what is in both a and b.
func (s set) orAnd(a, b set) {
	for i, w := range a {
		s[i] |= w & b[i]
	}
}

func (s set) empty() bool {
	for _, w := range s {
		if w != 0 {
			return false
		}
	}
	return true
}

// each calls f for each class of s, in order.
func (s set) each(f func(i int32)) {
	for at, w := range s {
		for ; w != 0; w &= w - 1 {
			f(int32(at*64 + bits.TrailingZeros64(w)))
		}
	}
}

// A tri says of each class whether something matches it: yes, maybe, or no. None is both in
// yes and in maybe; a nil set is empty.
type tri struct{ yes, maybe set }

func (t tri) matches(i int32) match {
	switch {
	case t.yes != nil && t.yes.has(i):
		return yes
	case t.maybe != nil && t.maybe.has(i):
		return maybe
	}
	return no
}

// A match is what a selector, a rule or a policy says of one connection.
type match uint8

const (
	no match = iota
	maybe
	yes
)

// both is what two conditions say of what must meet both.
func both(a, b match) match { return min(a, b) }

func (t tri) or(o tri) tri {
	return tri{union(t.yes, o.yes), minus(union(t.maybe, o.maybe), union(t.yes, o.yes))}
}

func (t tri) and(o tri) tri {
	sure := intersection(t.yes, o.yes)
	return tri{sure, minus(intersection(union(t.yes, t.maybe), union(o.yes, o.maybe)), sure)}
}

// union, intersection and minus take nil for the empty set, and change nothing.
func union(a, b set) set {
	if a == nil || b == nil {
		if a == nil {
			return b
		}
		return a
	}
	c := a.clone()
	c.or(b)
	return c
}

func intersection(a, b set) set {
	if a == nil || b == nil {
		return nil
	}
	c := a.clone()
	c.and(b)
	return c
}

func minus(a, b set) set {
	if a == nil || b == nil {
		return a
	}
	c := a.clone()
	c.without(b)
	if c.empty() {
		return nil
	}
	return c
}
