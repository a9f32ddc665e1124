package trace

import "testing"

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
