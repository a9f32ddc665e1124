package netfilter

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
)

// byteField is a field of one byte, so that all its values can be tried.
var byteField = nftType{name: "byte", size: 1}

// randomSet makes a set of elements that do not overlap, as the kernel wants them.
func randomSet(rnd *rand.Rand, fields int, exact bool) *nftSet {
	t := &nftSet{name: "s", catchall: none}
	for range fields {
		t.key = append(t.key, byteField)
	}
	for range 1 + rnd.IntN(12) {
		var x nftElem
		for range fields {
			lo := rnd.IntN(256)
			hi := lo
			if !exact && rnd.IntN(2) == 0 {
				hi = min(255, lo+rnd.IntN(1<<rnd.IntN(8)))
			}
			x.lo, x.hi = x.lo+string([]byte{byte(lo)}), x.hi+string([]byte{byte(hi)})
		}
		if !overlaps(t.elems, &x) {
			t.elems = append(t.elems, x)
		}
	}
	if rnd.IntN(4) == 0 {
		t.catchall = int32(len(t.elems))
		t.elems = append(t.elems, nftElem{})
	}
	t.index()
	return t
}

func overlaps(elems []nftElem, x *nftElem) bool {
	for i := range elems {
		apart := false
		for k := range x.lo {
			apart = apart || x.hi[k] < elems[i].lo[k] || elems[i].hi[k] < x.lo[k]
		}
		if !apart {
			return true
		}
	}
	return false
}

// spans writes the elements of a set.
func spans(t *nftSet) (out string) {
	for _, x := range t.elems {
		out += fmt.Sprintf(" %x-%x", x.lo, x.hi)
	}
	return out
}

// naive looks for a key in one element after the other.
func naive(t *nftSet, key []byte) int32 {
	for i := range t.elems {
		x := &t.elems[i]
		in := x.lo != ""
		for k := range key {
			in = in && x.lo[k] <= key[k] && key[k] <= x.hi[k]
		}
		if in {
			return int32(i)
		}
	}
	return t.catchall
}

// TestFindsWhatIsThere compares the indexes of sets with a look at each element.
func TestFindsWhatIsThere(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 3000 {
		set := randomSet(rnd, 1+rnd.IntN(3), rnd.IntN(3) == 0)
		for range 60 {
			key := make([]byte, len(set.key))
			near := &set.elems[rnd.IntN(len(set.elems))]
			for k := range key {
				key[k] = byte(rnd.IntN(256))
				if near.lo != "" && rnd.IntN(4) > 0 { // at an end of an element, or one beside
					key[k] = []byte{near.lo[k], near.hi[k], near.lo[k] - 1, near.hi[k] + 1}[rnd.IntN(4)]
				}
			}
			if got, want := set.find(key), naive(set, key); got != want {
				t.Fatalf("%x in %s: element %d, want %d", key, spans(set), got, want)
			}
		}
	}
}

// completions calls f for each value that key may be where the bits of dark are not known.
func completions(key, dark []byte, f func([]byte)) {
	bits := 0
	for _, d := range dark {
		for b := range 8 {
			bits += int(d >> b & 1)
		}
	}
	for n := range 1 << bits {
		v, left := append([]byte(nil), key...), n
		for i, d := range dark {
			for b := range 8 {
				if d>>b&1 == 1 {
					v[i] = v[i]&^(1<<b) | byte(left&1)<<b
					left >>= 1
				}
			}
		}
		f(v)
	}
}

// darkened returns a value of which a few bits are not known; those are zero.
func darkened(rnd *rand.Rand, size int) (v, dark []byte) {
	v, dark = make([]byte, size), make([]byte, size)
	for i := range v {
		v[i] = byte(rnd.IntN(256))
	}
	for range 1 + rnd.IntN(6) {
		dark[rnd.IntN(size)] |= 1 << rnd.IntN(8)
	}
	for i := range v {
		v[i] &^= dark[i]
	}
	return v, dark
}

// partly makes what an evaluation has at hand, with bits of its value that are not known.
func partly(dark []byte) *nftRun {
	x := &nftRun{e: &eval{in: &Input{}}, isDark: true}
	copy(x.dark[:], dark)
	return x
}

// TestGuess says of a key in part only what holds for whatever the rest may be; of exact
// elements it says all that.
func TestGuess(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	said := map[Tri]int{}
	for range 20000 {
		exact := rnd.IntN(2) == 0
		set := randomSet(rnd, 1+rnd.IntN(2), exact)
		key, dark := darkened(rnd, len(set.key))
		yes, no := 0, 0
		completions(key, dark, func(v []byte) {
			if naive(set, v) == none {
				no++
			} else {
				yes++
			}
		})
		_, got := set.lookup(partly(dark), &state{}, key)
		said[got]++
		if got == Yes && no > 0 || got == No && yes > 0 || exact && got == Maybe && yes == 0 {
			t.Fatalf("%x without %x in %s: %s, with %d that are in it and %d that are not", key, dark, spans(set), got, yes, no)
		}
	}
	if said[Yes] < 100 || said[No] < 100 || said[Maybe] < 100 {
		t.Errorf("%v", said)
	}
}

// TestCompareInPart does the same with comparisons.
func TestCompareInPart(t *testing.T) {
	rnd := rand.New(rand.NewPCG(5, 6))
	said := map[string]int{}
	for range 40000 {
		m := nftCompare{op: []string{"==", "!=", "<", "<=", ">", ">=", "in", "!"}[rnd.IntN(8)]}
		size := 1 + rnd.IntN(2)
		m.left.types = []nftType{{name: "number", size: size}}
		v, dark := darkened(rnd, size)
		lo := make([]byte, size)
		for i := range lo {
			lo[i] = byte(rnd.IntN(256))
		}
		if rnd.IntN(2) == 0 {
			copy(lo, v) // what is known of it agrees
		}
		hi := append([]byte(nil), lo...)
		if (m.op == "==" || m.op == "!=") && rnd.IntN(2) == 0 {
			hi[size-1] |= byte(rnd.IntN(256))
		}
		m.lo, m.hi = string(lo), string(hi)
		yes, no := 0, 0
		completions(v, dark, func(v []byte) {
			if m.holds(&nftRun{}, v) == Yes {
				yes++
			} else {
				no++
			}
		})
		got := m.holds(partly(dark), v)
		said[m.op+" "+got.String()]++
		if got == Yes && no > 0 || got == No && yes > 0 {
			t.Fatalf("%x without %x %s %x-%x: %s, with %d that hold and %d that do not", v, dark, m.op, lo, hi, got, yes, no)
		}
	}
	for _, op := range []string{"== no", "!= yes", "in yes", "in no", "! yes", "! no", "== maybe"} {
		if said[op] == 0 {
			t.Errorf("no comparison was %s: %v", op, said)
		}
	}
}

// TestBitsInPart tries every value of the bits that are not known: those of the result that are said to be known are so, and no others.
func TestBitsInPart(t *testing.T) {
	rnd := rand.New(rand.NewPCG(7, 8))
	for range 20000 {
		o := nftBitwise{op: []string{"&", "|", "^"}[rnd.IntN(3)]}
		a, darkA := darkened(rnd, 1)
		b, darkB := darkened(rnd, 1)
		ones, zeros := byte(0), byte(0) // bits that were ever one, or zero
		completions(a, darkA, func(x []byte) {
			completions(b, darkB, func(y []byte) {
				v, known := x[0], byte(0)
				o.combine(&v, &known, y[0], 0)
				ones, zeros = ones|v, zeros|^v
			})
		})
		v, dark := a[0], darkA[0]
		o.combine(&v, &dark, b[0], darkB[0])
		if want := ones & zeros; dark != want || v&^dark != ones&^want {
			t.Fatalf("%02x without %02x %s %02x without %02x: %02x without %02x, want %02x without %02x", a[0], darkA[0], o.op, b[0], darkB[0], v, dark, ones&^want, want)
		}
	}
}

// TestShifts moves numbers of one, two and four bytes, and with them what is not known of them.
func TestShifts(t *testing.T) {
	for _, row := range []struct {
		op           string
		size, by     int
		in, dark     uint64
		want, darker uint64
	}{
		{"<<", 4, 4, 0x4001, 0, 0x40010, 0}, {"<<", 4, 28, 0x4001, 0, 0x10000000, 0}, {"<<", 4, 32, 0x4001, 0, 0, 0}, {"<<", 4, 0, 0x4001, 0x10, 0x4001, 0x10},
		{">>", 4, 12, 0x4001, 0, 0x4, 0}, {">>", 4, 40, 0x4001, 0, 0, 0}, {">>", 4, 4, 0x10, 0xf0, 0x1, 0xf},
		{"<<", 2, 8, 0x12ff, 0, 0xff00, 0}, {">>", 2, 8, 0x12ff, 0xff00, 0x12, 0xff}, {"<<", 1, 3, 0xff, 0x80, 0xf8, 0}, {">>", 1, 3, 0xff, 0x80, 0x1f, 0x10}, {"<<", 4, 70, 1, 1, 0, 0},
	} {
		o := nftBitwise{op: row.op, size: row.size}
		x := &nftRun{e: &eval{}}
		b := appendNum([]byte{0xaa}, row.in, row.size) // behind another field
		appendNum(x.dark[:1], row.dark, row.size)
		o.shift(x, b, 1, uint64(row.by))
		if got, dark := numOf(b[1:]), numOf(x.dark[1:1+row.size]); got != row.want || dark != row.darker || b[0] != 0xaa {
			t.Errorf("%#x %s %d: %#x, not known %#x; want %#x, %#x", row.in, row.op, row.by, got, dark, row.want, row.darker)
		}
	}
}

// TestPrefixes compares the ends of prefixes with those of package netip.
func TestPrefixes(t *testing.T) {
	rnd := rand.New(rand.NewPCG(9, 10))
	for range 2000 {
		typ, b := typeV4, make([]byte, 4)
		if rnd.IntN(2) == 0 {
			typ, b = typeV6, make([]byte, 16)
		}
		for i := range b {
			b[i] = byte(rnd.IntN(256))
		}
		a, _ := netip.AddrFromSlice(b)
		p := netip.PrefixFrom(a, rnd.IntN(len(b)*8+1))
		lo, hi, ok := typ.span(parsed(t, fmt.Sprintf(`{"prefix": {"addr": %q, "len": %d}}`, a, p.Bits())))
		if !ok || lo != string(p.Masked().Addr().AsSlice()) {
			t.Fatalf("%s begins with %x", p, lo)
		}
		last, _ := netip.AddrFromSlice([]byte(hi))
		if !p.Contains(last) || last.Next().IsValid() && p.Contains(last.Next()) {
			t.Fatalf("%s ends with %s", p, last)
		}
	}
}
