package fib

import (
	"net/netip"

	"github.com/plumbnet/plumb/packet"
)

var (
	broadcast4 = netip.AddrFrom4([4]byte{255, 255, 255, 255})
	loopback4  = netip.AddrFrom4([4]byte{127, 0, 0, 1})
)

// isZeronet is ipv4_is_zeronet, which means 0.0.0.0 alone since Linux 5.3.
func isZeronet(a netip.Addr) bool { return a.Is4() && a.IsUnspecified() }

// isLocalMulticast reports whether a is in 224.0.0.0/24.
func isLocalMulticast(a netip.Addr) bool { return a.Is4() && a.IsLinkLocalMulticast() }

// lookup4 is fib_lookup: all rules, or the merged tables while there are none but the kernel's own.
func (x *Index) lookup4(f *flow) (*Rule, found) {
	if x.merged == nil {
		return x.ask(f)
	}
	got, ok := x.table4(x.merged, f)
	if ok {
		return x.rules[0][ownRuleOf(got.e)], got
	}
	if tb := x.tables[0][TableDefault]; tb != nil {
		if got, ok := x.table4(tb, f); ok {
			return x.rules[0][2], got
		}
	}
	return nil, found{err: errNetwork}
}

// ownRuleOf returns the place of the rule, among the kernel's own, that leads to an entry.
func ownRuleOf(e *entry) int {
	if e.r.Table == TableLocal {
		return 0
	}
	return 1
}

// table4 is fib_table_lookup. It returns false where the next rule is to be asked.
//
// All routes with one network address, of whatever prefix length, are in one leaf
// of the kernel's trie. Where a route by a nexthop object has no hop that will do,
// the kernel leaves the leaf, and so passes over all of them.
func (x *Index) table4(tb *table, f *flow) (found, bool) {
	var left netip.Addr
	for _, l := range tb.lens {
		key := mask(f.dst, l.bits)
		n := l.node[key]
		if n == nil || key == left {
			continue
		}
		got, ok := x.node4(n, f)
		switch {
		case ok && got.e == nil: // throw
			return found{}, false
		case ok:
			got.tb = tb
			return got, true
		case got.e != nil:
			left = key
		}
	}
	return found{}, false
}

// node4 looks through the routes of one prefix. It returns true where the search
// ends: found without a route means throw. Otherwise found has a route where the
// search is to leave the leaf.
func (x *Index) node4(n *node, f *flow) (found, bool) {
	for i := range n.routes {
		e := &n.routes[i]
		if e.r.TOS != 0 && !tosMatches(e.r.TOS, f.q.TOS, false) {
			continue
		}
		if e.r.Type == Throw {
			return found{}, true
		}
		if e.why != "" {
			return found{e: e, why: e.why}, true
		}
		if err := errorOf(e.r.Type); err != "" {
			return found{e: e, err: err}, true
		}
		if h := x.firstHop4(e, f); h >= 0 {
			return found{e: e, hop: h, n: n}, true
		}
		if e.r.NHID != 0 {
			return found{e: e}, false
		}
	}
	return found{}, false
}

// firstHop4 returns the first hop that a flow may take (fib_lookup_good_nhc), or -1.
func (x *Index) firstHop4(e *entry, f *flow) int {
	for i := range e.hops {
		if h := &e.hops[i]; x.usable(h, false) && (f.oif == "" || f.oif == h.Dev) {
			return i
		}
	}
	return -1
}

// output4 is ip_route_output_key_hash.
func (x *Index) output4(f *flow) Result {
	group := f.dst.IsMulticast() || f.dst == broadcast4
	if f.hasSrc {
		if f.src.IsMulticast() || f.src == broadcast4 || isZeronet(f.src) {
			return Result{Err: errInvalid}
		}
		dev, ok := x.deviceOf(f.src)
		if !ok && (f.oif == "" && group || !f.q.AnySrc) {
			return Result{Err: errNetwork}
		}
		if f.oif == "" && group {
			return x.onLink(f, dev, scopeUniverse)
		}
	}
	if f.oif != "" && (isLocalMulticast(f.dst) || f.dst == broadcast4 || f.q.Proto == igmp) {
		return x.onLink(f, f.oif, scopeLink)
	}
	if f.dst.IsUnspecified() {
		return x.toSelf(f)
	}
	if f.oif != "" && f.dst.IsMulticast() && !f.hasSrc {
		f.src, f.hasSrc = x.selectAddr(f.oif, netip.Addr{}, scopeUniverse)
		if !f.hasSrc {
			f.src = netip.IPv4Unspecified()
		}
	}
	r, got := x.lookup4(f)
	if got.why != "" {
		return f.failed(r, got)
	}
	if got.err != "" && f.oif != "" {
		return x.onLink(f, f.oif, scopeLink)
	}
	if got.err != "" {
		return f.failed(r, got)
	}
	if got.e.r.Type == Local {
		src := got.e.r.PrefSrc
		if !src.IsValid() {
			src = f.dst
		}
		return f.one(Local, r, Choice{Route: got.e.r, Src: f.chosen(src)})
	}
	return x.check4(f, Result{Type: typeFor(f.dst, got.e.r.Type), Rule: r, Choices: x.choices4(f, got)})
}

const igmp packet.Proto = 2

// toSelf is the answer for the destination 0.0.0.0, which stands for this host.
func (x *Index) toSelf(f *flow) Result {
	src := f.src
	if !f.hasSrc && f.oif != "" {
		src, _ = x.selectAddr(f.oif, netip.Addr{}, scopeHost)
	}
	if !src.IsValid() || src.IsUnspecified() {
		src = loopback4
	}
	return f.one(Local, nil, Choice{Src: f.chosen(src)})
}

// chosen returns the source that was chosen, unless the query brought its own.
func (f *flow) chosen(src netip.Addr) netip.Addr {
	if f.q.Src.IsValid() && !f.q.Src.IsUnspecified() {
		return netip.Addr{}
	}
	return src
}

// onLink is the answer where the kernel supposes that the destination is on the
// device's link, without a route.
func (x *Index) onLink(f *flow, dev string, scope uint8) Result {
	src := f.src
	if !f.hasSrc {
		src, _ = x.selectAddr(dev, netip.Addr{}, scope)
	}
	c := Choice{Hop: NextHop{Dev: dev, Weight: 1}, Src: f.chosen(src)}
	return x.check4(f, f.one(typeFor(f.dst, Unicast), nil, c))
}

// typeFor returns the type of the route that __mkroute_output makes.
func typeFor(dst netip.Addr, t RouteType) RouteType {
	switch {
	case dst == broadcast4:
		return Broadcast
	case dst.IsMulticast():
		return Multicast
	}
	return t
}

// check4 refuses what __mkroute_output refuses: a loopback source on another
// device, and the destination 0.0.0.0. It takes the gateway off multicast and broadcast.
func (x *Index) check4(f *flow, res Result) Result {
	if isZeronet(f.dst) {
		return Result{Err: errInvalid, Rule: res.Rule}
	}
	for i := range res.Choices {
		c := &res.Choices[i]
		src := c.Src
		if !src.IsValid() {
			src = f.src
		}
		if src.IsLoopback() && c.Hop.Dev != "lo" && !x.routeLocalnet(c.Hop.Dev) {
			return Result{Err: errInvalid, Rule: res.Rule, Choices: res.Choices[i : i+1]}
		}
		if res.Type == Broadcast || res.Type == Multicast && c.Route != nil && c.Route.Dst.Bits() < 4 {
			c.Hop.Via = netip.Addr{}
		}
	}
	return res
}

func (x *Index) routeLocalnet(dev string) bool {
	return x.t.RouteLocalnet[dev] || x.t.RouteLocalnet["all"]
}

// choices4 is fib_select_path: over the hops of a multipath route, or over
// default routes of one metric.
func (x *Index) choices4(f *flow, got found) []Choice {
	e := got.e
	if f.oif != "" || len(e.hops) == 1 && (e.r.Dst.Bits() > 0 || got.tb.defaults < 2) {
		return append(f.room, x.choice4(f, e.r, &e.hops[got.hop], 1))
	}
	if len(e.hops) == 1 && !f.local() {
		return append(f.room, x.choice4(f, e.r, &e.hops[0], 1))
	}
	if len(e.hops) == 1 {
		return x.defaults4(f, got)
	}
	w := x.groupShares(e.hops)
	if !e.group {
		w = shares(e.hops, func(h *NextHop) bool { return x.usable(h, false) })
	}
	out := f.room
	for i := range e.hops {
		if w[i] > 0 {
			out = append(out, x.choice4(f, e.r, &e.hops[i], w[i]))
		}
	}
	return out
}

// defaults4 is fib_select_default: among default routes of one metric the kernel
// looks for a gateway that answers, and takes turns while it finds none.
func (x *Index) defaults4(f *flow, got found) []Choice {
	var same []*entry
	for i := range got.n.routes {
		e := &got.n.routes[i]
		if e.r.Metric != got.e.r.Metric || e.r.TOS != got.e.r.TOS || e.r.Type != Unicast || e.r.Scope != got.e.r.Scope || e.r.Table != got.e.r.Table {
			continue
		}
		if len(e.hops) == 0 || !e.hops[0].Via.IsValid() || x.ownGateways[e.hops[0].Via] {
			continue
		}
		same = append(same, e)
	}
	if len(same) < 2 || same[0] != got.e {
		return append(f.room, x.choice4(f, got.e.r, &got.e.hops[got.hop], 1))
	}
	out := f.room
	for _, e := range same {
		out = append(out, x.choice4(f, e.r, &e.hops[0], 1/float64(len(same))))
	}
	return out
}

func (x *Index) choice4(f *flow, r *Route, h *NextHop, weight float64) Choice {
	c := Choice{Route: r, Hop: *h, Weight: weight}
	if x.ownGateways[h.Via] && !x.onLinkIn(r.Table, h) {
		c.Hop.Via = netip.Addr{}
	}
	if !f.local() || f.chosen(loopback4) == (netip.Addr{}) {
		return c
	}
	if f.hasSrc { // chosen before the lookup
		c.Src = f.src
		return c
	}
	c.Src = r.PrefSrc
	if !c.Src.IsValid() {
		c.Src, _ = x.selectAddr(h.Dev, gateway4(h.Via), scopeNumber(r.Scope))
	}
	return c
}

// onLinkIn reports whether the kernel takes a gateway, though it is an own address,
// for one on the link: another table than main is asked for it first, and then by
// the rules the local table (fib_check_nh_v4_gw).
func (x *Index) onLinkIn(id uint32, h *NextHop) bool {
	if id == TableMain {
		id = TableLocal
	}
	tb := x.tables[0][id]
	if tb == nil {
		return false
	}
	got, ok := x.table4(tb, &flow{q: Query{Dst: h.Via}, dst: h.Via, oif: h.Dev})
	return ok && got.err == "" && got.why == "" && got.e.r.Type == Unicast && !got.e.hops[got.hop].Via.IsValid()
}

// gateway4 is the gateway as inet_select_addr is given it: of an IPv6 gateway,
// the first four bytes.
func gateway4(via netip.Addr) netip.Addr {
	if !via.Is6() {
		return via
	}
	b := via.As16()
	return netip.AddrFrom4([4]byte(b[:4]))
}

// input4 is ip_route_input_slow, but for what depends on settings of devices.
func (x *Index) input4(f *flow) Result {
	f.oif = ""
	toAll := f.dst == broadcast4 || f.src.IsUnspecified() && f.dst.IsUnspecified()
	switch {
	case f.src.IsMulticast() || f.src == broadcast4:
		return Result{Err: errInvalid}
	case f.dst.IsMulticast():
		return f.one(Multicast, nil, Choice{})
	case toAll:
		return f.one(Broadcast, nil, Choice{})
	case isZeronet(f.src) || isZeronet(f.dst):
		return Result{Err: errInvalid}
	case (f.dst.IsLoopback() || f.src.IsLoopback()) && f.iif != "lo" && !x.routeLocalnet(f.iif):
		return Result{Err: errInvalid}
	}
	r, got := x.lookup4(f)
	if got.err != "" || got.why != "" {
		return f.failed(r, got)
	}
	switch t := got.e.r.Type; t {
	case Local, Broadcast:
		return f.one(t, r, Choice{Route: got.e.r})
	case Unicast:
		return Result{Type: t, Rule: r, Choices: x.choices4(f, got)}
	}
	return Result{Type: got.e.r.Type, Err: errInvalid, Rule: r, Choices: append(f.room, Choice{Route: got.e.r, Weight: 1})}
}
