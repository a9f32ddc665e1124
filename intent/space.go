package intent

import (
	"net/netip"
	"slices"
)

// A block is a range of addresses with the ranges that are taken out of it, as an ipBlock has it.
type block struct {
	cidr   netip.Prefix
	except []netip.Prefix
}

func (b block) contains(a netip.Addr) bool {
	return b.cidr.Contains(a) && !slices.ContainsFunc(b.except, func(p netip.Prefix) bool { return p.Contains(a) })
}

// A space is the addresses of one family, cut into parts that no block tells apart. Parts that
// are apart, and in the same blocks, are one.
type space struct {
	starts []netip.Addr // the first addresses of the cuts, sorted; the first is the family's first
	part   []int32      // the part that each cut belongs to
	parts  [][]int32    // the blocks that each part is in, by their index
}

// newSpace cuts a family by those of the blocks that are of it.
func newSpace(family uint8, blocks []block) space {
	first := netip.IPv4Unspecified()
	if family == v6 {
		first = netip.IPv6Unspecified()
	}
	s := space{starts: []netip.Addr{first}}
	for _, b := range blocks {
		if familyOf(b.cidr.Addr()) != family {
			continue
		}
		s.cut(b.cidr)
		for _, x := range b.except {
			s.cut(x)
		}
	}
	slices.SortFunc(s.starts, netip.Addr.Compare)
	s.starts = slices.Compact(s.starts)
	s.join(family, blocks)
	return s
}

// cut begins a part where p begins, and one behind its end.
func (s *space) cut(p netip.Prefix) {
	s.starts = append(s.starts, p.Addr())
	if next := last(p).Next(); next.IsValid() {
		s.starts = append(s.starts, next)
	}
}

// last returns the last address of p.
func last(p netip.Prefix) netip.Addr {
	b := p.Addr().AsSlice()
	for i := p.Bits(); i < len(b)*8; i++ {
		b[i/8] |= 1 << (7 - i%8)
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}

// join finds the blocks of each cut, and makes cuts with the same blocks one part.
func (s *space) join(family uint8, blocks []block) {
	in := make([][]int32, len(s.starts))
	for i, b := range blocks {
		if familyOf(b.cidr.Addr()) != family {
			continue
		}
		for at := s.at(b.cidr.Addr()); at < len(s.starts) && b.cidr.Contains(s.starts[at]); at++ {
			if b.contains(s.starts[at]) {
				in[at] = append(in[at], int32(i))
			}
		}
	}
	s.part = make([]int32, len(s.starts))
	known := map[string]int32{}
	var key []byte
	for i, list := range in {
		key = appendInts(key[:0], list)
		p, ok := known[string(key)]
		if !ok {
			p = int32(len(s.parts))
			known[string(key)] = p
			s.parts = append(s.parts, list)
		}
		s.part[i] = p
	}
}

// at returns the cut that a is in.
func (s *space) at(a netip.Addr) int {
	i, ok := slices.BinarySearchFunc(s.starts, a, netip.Addr.Compare)
	if !ok {
		i--
	}
	return i
}

// find returns the part that a, which is of the family, is in.
func (s *space) find(a netip.Addr) int32 { return s.part[s.at(a)] }

// findRange adds to parts those that p touches.
func (s *space) findRange(parts []int32, p netip.Prefix) []int32 {
	for at := s.at(p.Addr()); at < len(s.starts) && (s.starts[at].Less(p.Addr()) || p.Contains(s.starts[at])); at++ {
		parts = append(parts, s.part[at])
	}
	return parts
}

// appendInts adds numbers to a key.
func appendInts(key []byte, list []int32) []byte {
	for _, n := range list {
		key = appendInt(key, n)
	}
	return key
}

func appendInt(key []byte, n int32) []byte {
	return append(key, byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
}
