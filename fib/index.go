package fib

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"

	"github.com/plumbnet/plumb/packet"
)

// An Index makes lookups fast. It holds pointers into the Tables that it was made
// of, and says nothing that they do not.
type Index struct {
	t        *Tables
	rules    [2][]*Rule // of IPv4 and of IPv6, in the order in which they are asked
	tables   [2]map[uint32]*table
	merged   *table // IPv4's local and main in one, as the kernel has them while there are no rules but its own
	nexthops map[uint32]*NextHopObject
	addrs    map[netip.Addr]string // the device of each address
	neighs   map[neighKey]*Neigh
	vteps    map[fdbKey][]*FDBEntry // the entries that are a VXLAN device's own
	bridged  map[bridgedKey]*FDBEntry
	// ownGateways are the IPv4 gateways that are addresses of this host. The kernel
	// keeps their scope with the route (host, not link), and sends to the destination
	// itself, as if it were on the link.
	ownGateways map[netip.Addr]bool
}

// Equal reports true: an index adds nothing to the tables that it is of.
func (x *Index) Equal(*Index) bool { return true }

type neighKey struct {
	dev string
	dst netip.Addr
}

type fdbKey struct {
	dev string
	mac packet.MAC
}

type bridgedKey struct {
	bridge string
	mac    packet.MAC
	vlan   int
}

// A table is one routing table. The longest prefixes come first.
type table struct {
	lens     []prefixes
	defaults int // routes of prefix length 0
}

// prefixes are the routes of one prefix length.
type prefixes struct {
	bits int
	node map[netip.Addr]*node
}

// A node is the routes of one prefix: those of any source, and those of some.
type node struct {
	routes []entry
	subs   []source // IPv6; longest first
}

type source struct {
	from   netip.Prefix
	routes []entry
}

// An entry is one route with its hops.
type entry struct {
	r     *Route
	hops  []NextHop
	group bool   // the hops are those of a nexthop group
	why   string // not "": the hops are not known, and why
}

// Index prepares t for many lookups. Lookups on tables that were not prepared
// are right too, but each reads all the routes. Whoever changes t has to call it
// again.
func (t *Tables) Index() { t.Built = newIndex(t) }

func (t *Tables) indexed() *Index {
	if t.Built != nil {
		return t.Built
	}
	return newIndex(t)
}

func newIndex(t *Tables) *Index {
	x := &Index{
		t:        t,
		nexthops: map[uint32]*NextHopObject{},
		addrs:    map[netip.Addr]string{},
		neighs:   map[neighKey]*Neigh{},
		vteps:    map[fdbKey][]*FDBEntry{},
		bridged:  map[bridgedKey]*FDBEntry{},
	}
	for i := range t.NextHops {
		x.nexthops[t.NextHops[i].ID] = &t.NextHops[i]
	}
	for _, a := range t.Addrs {
		if _, ok := x.addrs[a.Prefix.Addr()]; !ok {
			x.addrs[a.Prefix.Addr()] = a.Dev
		}
	}
	for i := range t.Neighs {
		n := &t.Neighs[i]
		if !n.Proxy {
			x.neighs[neighKey{n.Dev, n.Dst}] = n
		}
	}
	x.addFDB()
	x.addRules()
	x.addRoutes()
	x.addOwnGateways()
	return x
}

func (x *Index) addFDB() {
	for i := range x.t.FDB {
		e := &x.t.FDB[i]
		if e.isVTEP() {
			k := fdbKey{e.Dev, e.MAC}
			x.vteps[k] = append(x.vteps[k], e)
		}
		k := bridgedKey{e.Master, e.MAC, e.VLAN}
		if _, ok := x.bridged[k]; !ok && !e.Dst.IsValid() {
			x.bridged[k] = e
		}
	}
}

func (x *Index) addOwnGateways() {
	x.ownGateways = map[netip.Addr]bool{}
	look := func(h NextHop) {
		if _, ok := x.addrs[h.Via]; ok && h.Via.Is4() && !slices.Contains(h.Flags, "onlink") {
			x.ownGateways[h.Via] = true
		}
	}
	for i := range x.t.Routes {
		for _, h := range x.t.Routes[i].Hops {
			look(h)
		}
	}
	for i := range x.t.NextHops {
		look(x.t.NextHops[i].Hop)
	}
}

// The rules that the kernel makes itself, for tables that hold none of the family.
var (
	ownRules4 = []Rule{ownRule(0, TableLocal, false), ownRule(32766, TableMain, false), ownRule(32767, TableDefault, false)}
	ownRules6 = []Rule{ownRule(0, TableLocal, true), ownRule(32766, TableMain, true)}
)

func ownRule(priority, table uint32, is6 bool) Rule {
	return Rule{Priority: priority, Table: table, Is6: is6, Protocol: "kernel", SuppressPrefixLen: -1, SuppressGroup: -1}
}

func (x *Index) addRules() {
	for i := range x.t.Rules {
		r := &x.t.Rules[i]
		x.rules[family(r.Is6)] = append(x.rules[family(r.Is6)], r)
	}
	for f, own := range [][]Rule{ownRules4, ownRules6} {
		if len(x.rules[f]) == 0 {
			for i := range own {
				x.rules[f] = append(x.rules[f], &own[i])
			}
		}
		slices.SortStableFunc(x.rules[f], func(a, b *Rule) int { return cmp.Compare(a.Priority, b.Priority) })
	}
}

// onlyOwnRules reports whether IPv4 has the kernel's own rules and no others.
func (x *Index) onlyOwnRules() bool {
	return slices.EqualFunc(x.rules[0], ownRules4, func(a *Rule, b Rule) bool {
		c := *a
		c.Line, c.Protocol = 0, b.Protocol
		return c == b
	})
}

func family(is6 bool) int {
	if is6 {
		return 1
	}
	return 0
}

func (x *Index) addRoutes() {
	lists := [2]map[uint32][]*Route{{}, {}}
	for i := range x.t.Routes {
		r := &x.t.Routes[i]
		f := family(r.Dst.Addr().Is6())
		lists[f][r.Table] = append(lists[f][r.Table], r)
	}
	for f := range lists {
		x.tables[f] = map[uint32]*table{}
		for id, list := range lists[f] {
			x.tables[f][id] = x.newTable(list)
		}
	}
	if x.onlyOwnRules() {
		x.merged = x.newTable(slices.Concat(lists[0][TableLocal], lists[0][TableMain]))
	}
}

func (x *Index) newTable(list []*Route) *table {
	byLen := map[int]map[netip.Addr]*node{}
	tb := &table{}
	for _, r := range list {
		bits := r.Dst.Bits()
		if bits == 0 {
			tb.defaults++
		}
		if byLen[bits] == nil {
			byLen[bits] = map[netip.Addr]*node{}
			tb.lens = append(tb.lens, prefixes{bits, byLen[bits]})
		}
		n := byLen[bits][r.Dst.Addr()]
		if n == nil {
			n = &node{}
			byLen[bits][r.Dst.Addr()] = n
		}
		n.add(x.newEntry(r))
	}
	slices.SortFunc(tb.lens, func(a, b prefixes) int { return cmp.Compare(b.bits, a.bits) })
	for _, l := range tb.lens {
		for _, n := range l.node {
			n.sort()
		}
	}
	return tb
}

func (n *node) add(e entry) {
	if !e.r.From.IsValid() || e.r.From.Bits() == 0 {
		n.routes = append(n.routes, e)
		return
	}
	for i := range n.subs {
		if n.subs[i].from == e.r.From {
			n.subs[i].routes = append(n.subs[i].routes, e)
			return
		}
	}
	n.subs = append(n.subs, source{e.r.From, []entry{e}})
}

func (n *node) sort() {
	slices.SortStableFunc(n.routes, before)
	slices.SortStableFunc(n.subs, func(a, b source) int { return cmp.Compare(b.from.Bits(), a.from.Bits()) })
	for _, s := range n.subs {
		slices.SortStableFunc(s.routes, before)
	}
}

// before is the order of the routes of one prefix (fib_find_alias): by table
// where tables are merged, then by TOS, then by metric, then as they are listed.
func before(a, b entry) int {
	return cmp.Or(cmp.Compare(b.r.Table, a.r.Table), cmp.Compare(b.r.TOS, a.r.TOS), cmp.Compare(a.r.Metric, b.r.Metric))
}

func (x *Index) newEntry(r *Route) entry {
	e := entry{r: r, hops: r.Hops, group: r.NHID != 0 && len(r.Hops) > 1}
	if len(r.Hops) > 0 || errorOf(r.Type) != "" || r.Type == Throw {
		return e
	}
	if r.NHID == 0 {
		e.why = fmt.Sprintf("the route to %s says neither a device nor a nexthop", r.Dst)
		return e
	}
	o, ok := x.nexthops[r.NHID]
	if !ok {
		e.why = fmt.Sprintf("nexthop %d was not collected", r.NHID)
		return e
	}
	if len(o.Group) == 0 {
		e.hops = []NextHop{o.Hop}
		return e
	}
	e.group = len(o.Group) > 1
	for _, g := range o.Group {
		m, ok := x.nexthops[g.ID]
		if !ok {
			e.why = fmt.Sprintf("nexthop %d was not collected", g.ID)
			return e
		}
		h := m.Hop
		h.Weight = g.Weight
		e.hops = append(e.hops, h)
	}
	return e
}
