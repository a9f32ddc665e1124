package intent

import (
	"math/rand/v2"
	"testing"
)

// setOf makes a set of 130 classes.
func setOf(list ...int32) set {
	s := newSet(130)
	for _, i := range list {
		s.add(i)
	}
	return s
}

func members(s set) (out []int32) {
	s.each(func(i int32) { out = append(out, i) })
	return out
}

func same(t *testing.T, what string, got set, want ...int32) {
	t.Helper()
	m := members(got)
	if len(m) != len(want) {
		t.Errorf("%s: %v, want %v", what, m, want)
		return
	}
	for i := range m {
		if m[i] != want[i] {
			t.Errorf("%s: %v, want %v", what, m, want)
			return
		}
	}
}

func TestSets(t *testing.T) {
	a, b := setOf(0, 63, 64, 129), setOf(63, 65, 129)
	same(t, "union", union(a, b), 0, 63, 64, 65, 129)
	same(t, "intersection", intersection(a, b), 63, 129)
	same(t, "minus", minus(a, b), 0, 64)
	same(t, "a is as it was", a, 0, 63, 64, 129)
	same(t, "b is as it was", b, 63, 65, 129)
	same(t, "union with none", union(nil, b), 63, 65, 129)
	same(t, "none with union", union(a, nil), 0, 63, 64, 129)
	if intersection(a, nil) != nil || minus(nil, a) != nil || minus(a, a) != nil {
		t.Error("none is not nil")
	}
	c := setOf(1)
	c.orAnd(a, b)
	same(t, "orAnd", c, 1, 63, 129)
	if !newSet(130).empty() || a.empty() {
		t.Error("empty")
	}
}

// TestTri compares sets with what they say of one class.
func TestTri(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	random := func() (out tri) {
		out = tri{newSet(130), newSet(130)}
		for i := range int32(130) {
			switch r.IntN(3) {
			case 1:
				out.maybe.add(i)
			case 2:
				out.yes.add(i)
			}
		}
		switch r.IntN(4) {
		case 0:
			out.yes = nil
		case 1:
			out.maybe = nil
		}
		return out
	}
	for range 200 {
		a, b := random(), random()
		or, and := a.or(b), a.and(b)
		for i := range int32(130) {
			x, y := a.matches(i), b.matches(i)
			if or.matches(i) != max(x, y) || and.matches(i) != both(x, y) {
				t.Fatalf("class %d: %v, %v: or %v, and %v", i, x, y, or.matches(i), and.matches(i))
			}
		}
	}
}
