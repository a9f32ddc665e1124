package trace

import (
	"cmp"
	"net/netip"
	"slices"
)

// An outline is what tells most paths apart without putting anything into words.
type outline struct {
	end                        Fate
	at                         Place
	dst                        netip.AddrPort
	mark                       uint32
	hops, assumed, reply, icmp uint16
}

func outlineOf(p *Path) outline {
	return outline{p.End, p.At, p.Final.Dst, p.Final.Mark, uint16(len(p.Hops)), uint16(len(p.Assumed)), uint16(len(p.Reply)), uint16(len(p.ICMP))}
}

// merge joins paths that differ in nothing but their weight, and sorts by falling weight. Paths of
// one outline are compared by their words, which each is put into once: hostile tables make thousands of them. It uses the memory of all.
func merge(all []Path) []Path {
	if len(all) < 2 {
		return all
	}
	alike := map[outline]int{}
	for i := range all {
		alike[outlineOf(&all[i])]++
	}
	at := map[string]int{}
	out := all[:0]
	var words []byte
	for i := range all {
		p := &all[i]
		if alike[outlineOf(p)] == 1 {
			out = append(out, *p)
			continue
		}
		words = p.words(words[:0])
		if k, ok := at[string(words)]; ok {
			out[k].Weight += p.Weight
			continue
		}
		at[string(words)] = len(out)
		out = append(out, *p)
	}
	slices.SortStableFunc(out, func(a, b Path) int { return cmp.Compare(b.Weight, a.Weight) })
	return out
}

// words appends all that is said of a path and of its answers, by which two are the same.
func (p *Path) words(b []byte) []byte {
	said := func(list ...string) {
		for _, s := range list {
			b = append(append(b, s...), 0)
		}
	}
	b = append(b, byte(p.End), byte(len(p.Reply)), byte(len(p.ICMP)), byte(len(p.Assumed)))
	said(p.At.Node, p.At.NetNS, p.At.Link, p.Why.String())
	b = p.Final.Src.AppendTo(b)
	b = append(p.Final.Dst.AppendTo(append(b, ' ')), byte(p.Final.Mark), byte(p.Final.Mark>>8), byte(p.Final.Mark>>16), byte(p.Final.Mark>>24))
	for i := range p.Hops {
		h := &p.Hops[i]
		said("", h.Node, h.NetNS, h.In, h.Out)
		for k := range h.Steps {
			said(string(h.Steps[k].Stage), h.Steps[k].Link, h.Steps[k].What.String())
		}
	}
	for i := range p.Reply {
		b = p.Reply[i].words(append(b, 1))
	}
	return b
}
