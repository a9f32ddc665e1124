package trace

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// TestSlab fills pieces and begins new ones: what was given stays where and as it is.
func TestSlab(t *testing.T) {
	var l slab[int]
	var lists [][]int
	var ones []*int
	for i := range 200 {
		list := make([]int, i%7)
		for k := range list {
			list[k] = 1000*i + k
		}
		lists = append(lists, l.list(list))
		p := l.get()
		if *p != 0 {
			t.Fatalf("%d: get returned a used value %d", i, *p)
		}
		*p = -i
		ones = append(ones, p)
	}
	for i, list := range lists {
		if len(list) != i%7 || cap(list) != len(list) || *ones[i] != -i {
			t.Errorf("%d: %v of capacity %d, %d", i, list, cap(list), *ones[i])
		}
		for k, v := range list {
			if v != 1000*i+k {
				t.Errorf("%d: %v", i, list)
			}
		}
	}
}

// TestSlabLarge asks for more than a piece holds.
func TestSlabLarge(t *testing.T) {
	var l slab[byte]
	if got := l.list(make([]byte, 1000)); len(got) != 1000 {
		t.Errorf("%d", len(got))
	}
	if l.list(nil) != nil {
		t.Error("a list of nothing is not nil")
	}
}

// TestSlabAdd has lists grow beside each other, and part from what they had in common: each holds what
// was added to it, and nothing else, whichever grew first.
func TestSlabAdd(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		var l slab[int]
		lists, want := [][]int{nil}, [][]int{nil}
		for n := range 120 {
			at := rnd.IntN(len(lists))
			switch rnd.IntN(6) {
			case 0: // a branch, which shares what there is so far
				lists, want = append(lists, lists[at]), append(want, slices.Clone(want[at]))
			case 1: // something else between
				l.get()
			case 2:
				l.list([]int{-1, -2, -3})
			default:
				lists[at], want[at] = l.add(lists[at], n), append(want[at], n)
			}
			for i := range lists {
				if !slices.Equal(lists[i], want[i]) {
					t.Fatalf("list %d is %v, want %v", i, lists[i], want[i])
				}
			}
			if c := lists[at]; len(c) != cap(c) {
				t.Fatalf("a list of %d has room for %d, where another may be", len(c), cap(c))
			}
		}
	}
}

// TestSlabGrowsInPlace wants no copy of a list that nobody else was added to since.
func TestSlabGrowsInPlace(t *testing.T) {
	var l slab[int]
	list := l.add(nil, 1)
	first := &list[0]
	for i := range 3 {
		list = l.add(list, i)
	}
	if &list[0] != first {
		t.Error("the list was copied within its piece")
	}
	if list = l.add(list, 9); len(list) != 5 || list[0] != 1 || list[4] != 9 {
		t.Errorf("beyond its piece: %v", list)
	}
}
