package fib

import "net/netip"

// A search6 is one lookup in an IPv6 table.
type search6 struct {
	oif       string // the device that is wanted: of a packet that came in, the one it came by
	strict    bool   // RT6_LOOKUP_F_IFACE: no other will do
	reachable bool   // RT6_LOOKUP_F_REACHABLE: gateways that do not answer are passed over
}

// lookup6 is ip6_route_output, and ip6_route_input_lookup for a flow that came in.
func (x *Index) lookup6(f *flow) Result {
	f.s6 = search6{oif: f.oif, strict: needStrict(f.dst), reachable: !x.t.Forwarding6}
	if f.local() {
		f.iif = "lo"
		f.s6.strict = f.s6.strict || f.oif != ""
	} else {
		f.oif, f.s6.oif = "", f.iif
	}
	r, got := x.ask(f)
	if got.err != "" || got.why != "" {
		return f.failed(r, got)
	}
	typ := got.e.r.Type
	if typ == Local || typ == Anycast {
		c := Choice{Route: got.e.r}
		if f.local() && !f.hasSrc {
			c.Src = x.sourceOf(got.e, got.hop, f.dst)
		}
		return f.one(typ, r, c)
	}
	return Result{Type: typ, Rule: r, Choices: x.choices6(f, got)}
}

// needStrict is rt6_need_strict: such addresses mean something on one link only.
func needStrict(a netip.Addr) bool {
	return a.IsMulticast() || a.IsLinkLocalUnicast() || a.IsLoopback()
}

// table6 is fib6_table_lookup. It returns false where the next rule is to be asked.
func (x *Index) table6(tb *table, f *flow) (found, bool) {
	s := f.s6
	lists := candidates(tb, f)
	got := x.select6(lists, s)
	if got.e == nil && s.reachable {
		s.reachable = false
		got = x.select6(lists, s)
	}
	if got.e == nil || got.e.r.Type == Throw && got.why == "" {
		return found{}, false
	}
	got.err = errorOf(got.e.r.Type)
	return got, true
}

// candidates returns the lists of routes in the order in which the kernel goes
// through them (fib6_node_lookup, fib6_backtrack): from the longest prefix on,
// and within it from the longest source prefix on, to those of any source.
//
// The search begins at a prefix whose source-specific routes include one for
// this source. A prefix that has only such of other sources is passed over even
// if it has routes of any source, unless the search came to a longer one first.
func candidates(tb *table, f *flow) [][]entry {
	out := f.lists[:0]
	var root *node
	for _, l := range tb.lens {
		n := l.node[mask(f.dst, l.bits)]
		if n == nil {
			continue
		}
		if l.bits == 0 {
			root = n
		}
		before := len(out)
		for i := range n.subs {
			if n.subs[i].from.Contains(f.src) {
				out = append(out, n.subs[i].routes)
			}
		}
		if before == 0 && len(out) == 0 && len(n.subs) > 0 {
			continue
		}
		if len(n.routes) > 0 {
			out = append(out, n.routes)
		}
	}
	if len(out) == 0 && root != nil {
		return append(out, root.routes)
	}
	return out
}

// select6 returns the route of the first list that has one (rt6_select).
func (x *Index) select6(lists [][]entry, s search6) found {
	for _, list := range lists {
		if len(list) == 0 {
			continue
		}
		end := 0
		for end < len(list) && list[end].r.Metric == list[0].r.Metric {
			end++
		}
		if got := x.best6(list[:end], s); got.e != nil {
			return got
		}
		if got := x.best6(list[end:], s); got.e != nil {
			return got
		}
	}
	return found{}
}

// best6 returns the route with the highest score, the first of equals (__find_rr_leaf).
func (x *Index) best6(list []entry, s search6) found {
	var got found
	best := -1
	for i := range list {
		e := &list[i]
		if e.why != "" {
			return found{e: e, why: e.why}
		}
		hops := e.hops
		if len(hops) == 0 {
			hops = rejecting
		}
		for j := range hops {
			h := &hops[j]
			if !x.usable(h, true) {
				continue
			}
			if m := x.score6(e.r, h, s); m > best {
				best, got = m, found{e: e, hop: j}
			}
		}
	}
	return got
}

// rejecting stands for the hops of a route that rejects, which has none.
var rejecting = []NextHop{{Dev: "lo"}}

// prefBits is IPV6_DECODE_PREF.
var prefBits = map[string]int{"low": 1, "": 2, "medium": 2, "high": 3}

// score6 is rt6_score_route; below 0 the hop will not do.
func (x *Index) score6(r *Route, h *NextHop, s search6) int {
	m := 0
	if s.oif == "" || h.Dev == s.oif {
		m = 2
	}
	if m == 0 && s.strict {
		return -3
	}
	if s.reachable && h.Via.IsValid() && x.failedNeigh(h) {
		return -2
	}
	return m | prefBits[r.Pref]<<2
}

func (x *Index) failedNeigh(h *NextHop) bool {
	n, ok := x.neighs[neighKey{h.Dev, h.Via}]
	return ok && n.State == "FAILED"
}

// choices6 is fib6_select_path.
func (x *Index) choices6(f *flow, got found) []Choice {
	e := got.e
	switch {
	case len(e.hops) == 0:
		return nil
	case len(e.hops) == 1:
		return append(f.room, x.choice6(f, e, 0, 1))
	}
	out := f.room
	for i, share := range x.shares6(f, got) {
		if share > 0 {
			out = append(out, x.choice6(f, e, i, share))
		}
	}
	return out
}

// shares6 returns the share of flows that each of several hops gets.
func (x *Index) shares6(f *flow, got found) []float64 {
	if got.e.group {
		return x.groupShares(got.e.hops)
	}
	return x.siblingShares(got, f.s6)
}

func (x *Index) choice6(f *flow, e *entry, hop int, weight float64) Choice {
	c := Choice{Route: e.r, Hop: e.hops[hop], Weight: weight}
	if f.local() && !f.hasSrc {
		c.Src = x.sourceOf(e, hop, f.dst)
	}
	return c
}

// siblingShares are the shares of the hops of a multipath route. Flows whose hop
// will not do go by the one that the search found.
func (x *Index) siblingShares(got found, s search6) []float64 {
	hops := got.e.hops
	w := shares(hops, func(h *NextHop) bool { return x.usable(h, true) })
	for i := range hops {
		if i != got.hop && w[i] > 0 && x.score6(got.e.r, &hops[i], s) < 0 {
			w[got.hop] += w[i]
			w[i] = 0
		}
	}
	return w
}

// sourceOf is ip6_route_get_saddr. Members of a nexthop group all count as the first.
func (x *Index) sourceOf(e *entry, hop int, dst netip.Addr) netip.Addr {
	if e.r.PrefSrc.IsValid() {
		return e.r.PrefSrc
	}
	dev := ""
	if e.group {
		hop = 0
	}
	if len(e.hops) > 0 {
		dev = e.hops[hop].Dev
	}
	src, _ := x.source6(dev, dst)
	return src
}
