package intent

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
)

// TestSpace wants every address to be in the part of exactly those blocks that hold it.
func TestSpace(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 1))
	for _, family := range []uint8{v4, v6} {
		addr := func() netip.Addr { // of few, so that blocks meet
			if family == v4 {
				return netip.AddrFrom4([4]byte{10, byte(r.IntN(3)), byte(r.IntN(3)) * 127, byte(r.IntN(256))})
			}
			return netip.AddrFrom16([16]byte{0xfd, 1, 15: byte(r.IntN(256)), 7: byte(r.IntN(3))})
		}
		for range 50 {
			blocks := []block{{cidr: netip.MustParsePrefix("10.0.0.0/32")}, {cidr: netip.MustParsePrefix("fd00::/128")}}
			for range r.IntN(8) {
				a := addr()
				b := block{cidr: netip.PrefixFrom(a, r.IntN(a.BitLen()+1)).Masked()}
				for range r.IntN(3) {
					a := addr()
					b.except = append(b.except, netip.PrefixFrom(a, r.IntN(a.BitLen()+1)).Masked())
				}
				blocks = append(blocks, b)
			}
			s := newSpace(family, blocks)
			for range 200 {
				checkPart(t, &s, blocks, addr())
			}
			for _, b := range blocks {
				if familyOf(b.cidr.Addr()) == family {
					checkPart(t, &s, blocks, last(b.cidr))
				}
			}
		}
	}
}

func checkPart(t *testing.T, s *space, blocks []block, a netip.Addr) {
	t.Helper()
	var want []int32
	for i, b := range blocks {
		if b.contains(a) {
			want = append(want, int32(i))
		}
	}
	if got := s.parts[s.find(a)]; !slices.Equal(got, want) {
		t.Fatalf("%v: blocks %v, want %v", a, got, want)
	}
}

func TestFindRange(t *testing.T) {
	blocks := []block{{cidr: netip.MustParsePrefix("10.0.1.0/24")}, {cidr: netip.MustParsePrefix("10.0.2.0/25")}}
	s := newSpace(v4, blocks)
	for _, tt := range []struct {
		cidr string
		want int
	}{{"10.0.1.0/25", 1}, {"10.0.0.0/16", 3}, {"10.0.2.0/24", 2}, {"0.0.0.0/0", 3}, {"11.0.0.0/8", 1}} {
		got := s.findRange(nil, netip.MustParsePrefix(tt.cidr))
		slices.Sort(got)
		if got = slices.Compact(got); len(got) != tt.want {
			t.Errorf("%s: parts %v, want %d", tt.cidr, got, tt.want)
		}
	}
}

func TestTranspose(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 1))
	var a, b [64]uint64
	for i := range a {
		a[i] = r.Uint64()
	}
	b = a
	transpose(&b)
	for i := range a {
		for j := range a {
			if a[i]>>j&1 != b[j]>>i&1 {
				t.Fatalf("bit %d of word %d", j, i)
			}
		}
	}
}

func TestAddRange(t *testing.T) {
	for _, r := range [][2]int32{{0, 0}, {0, 64}, {3, 200}, {63, 65}, {64, 128}, {5, 9}} {
		s := newSet(200)
		s.addRange(r[0], r[1])
		for i := range int32(200) {
			if s.has(i) != (r[0] <= i && i < r[1]) {
				t.Fatalf("%v: %d", r, i)
			}
		}
	}
}
