package trace

import (
	"slices"

	"github.com/plumbnet/plumb/text"
)

// smaller follows the sender of full segments on where one was too large and he is told what fits: he sends
// that much then, and nothing says that the next link takes it, or tells him that it does not. Where the smaller
// segment arrives the path stays as it is; else the way of the smaller one takes its place.
// again follows a segment of the given size; it is asked once for each.
func smaller(paths []Path, again func(size int) []Path) []Path {
	return smallerThan(paths, again, map[int][]Path{})
}

func smallerThan(paths []Path, again func(size int) []Path, known map[int][]Path) []Path {
	var out []Path
	for _, p := range paths {
		size := toldSize(&p)
		if size == 0 {
			out = append(out, p)
			continue
		}
		if known[size] == nil {
			known[size] = smallerThan(again(size), again, known)
		}
		next := alike(known[size], &p)
		rest := p.Weight
		for _, n := range next {
			if !stops(&n) {
				continue
			}
			n.Weight *= p.Weight
			n.Hops = withFirst(n.Hops, text.F("is told that no more than %d bytes fit at %s, and sends smaller ones", size, p.At))
			rest -= n.Weight
			out = append(out, n)
		}
		if rest > 1e-9 {
			p.Weight = rest
			out = append(out, p)
		}
	}
	return out
}

// toldSize returns how large a packet may be, as the sender of one that was too large is told; 0 where he is not.
func toldSize(p *Path) int {
	if p.End != TooBig {
		return 0
	}
	for i := range p.ICMP {
		m := &p.ICMP[i]
		if heard := m.End == Delivered || m.End == LeftCluster; heard && m.Final.MTU > 0 && m.Final.MTU < innermost(&p.Final).Size {
			return m.Final.MTU
		}
	}
	return 0
}

// stops reports whether a segment does not arrive, and no smaller one is sent for it.
func stops(p *Path) bool {
	return p.End != Delivered && p.End != LeftCluster && toldSize(p) == 0
}

// alike returns those of paths that go to the one that p was for, with weights that add up to 1. They are all of
// them where p ended before it was known which that would be.
func alike(paths []Path, p *Path) []Path {
	to := innermost(&p.Final).Dst
	same := slices.DeleteFunc(slices.Clone(paths), func(n Path) bool { return innermost(&n.Final).Dst != to })
	if len(same) == 0 {
		same = slices.Clone(paths)
	}
	sum := 0.0
	for i := range same {
		sum += same[i].Weight
	}
	for i := range same {
		same[i].Weight /= sum
	}
	return same
}

// withFirst returns hops with a step before all others, of the sender.
func withFirst(hops []Hop, what text.Text) []Hop {
	if len(hops) == 0 || len(hops[0].Steps) == 0 {
		return hops
	}
	hops = slices.Clone(hops)
	first := Step{Stage: StageSend, What: what, Out: hops[0].Steps[0].Out}
	hops[0].Steps = append([]Step{first}, hops[0].Steps...)
	return hops
}
