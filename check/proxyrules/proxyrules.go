// Package proxyrules compares the rules that kube-proxy should have written
// with those that are in a node's tables: nat of iptables, its own of nf_tables, or the virtual services of IPVS.
//
// It follows the jumps of a table from PREROUTING and OUTPUT, and does not
// rely on chains' names: what an address and port of a Service, or a node port, leads to are the DNAT
// targets below the rule, or the element of a map, that matches them. netfilter.Eval
// would have to be asked for each port of each Service on each node, of which there may be ten
// thousand; here each chain is read once, so that the work grows with the rules and, on each node,
// with the ports of Services and their endpoints. What one packet meets is left to the trace.
// The virtual services of IPVS are read likewise. eBPF cannot be judged.
package proxyrules

import (
	"cmp"
	"net/netip"
	"slices"
	"strconv"

	"github.com/plumbnet/plumb/netfilter"
	"github.com/plumbnet/plumb/packet"
	"github.com/plumbnet/plumb/snapshot"
	"github.com/plumbnet/plumb/trace"
)

// A dest is an address, port and protocol that rules match; the address of a node port is not valid.
type dest struct {
	at    netip.AddrPort
	proto packet.Proto
}

// String returns "10.96.0.20:80", or "*:30080" of a node port.
func (d dest) String() string {
	if !d.at.Addr().IsValid() {
		return "*:" + strconv.Itoa(int(d.at.Port()))
	}
	return d.at.String()
}

// met reports whether the packet that is asked about is sent there.
func (d dest) met(q trace.Query) bool {
	return q.Proto == d.proto && q.Dst.Port() == d.at.Port() && (!d.at.Addr().IsValid() || q.Dst.Addr() == d.at.Addr())
}

// A way is what a rule makes of a dest.
type way struct {
	targets []netip.AddrPort
	rules   []netfilter.Ref   // that send to them
	open    []bool            // whether they are for packets from anywhere
	bound   []binding         // of session affinity
	odd     string            // why not all targets are known, or ""
	virtual *snapshot.Virtual // of IPVS: what sends to them, in place of rules
}

// A binding is a target that clients are sent to which have been there before.
type binding struct {
	to      netip.AddrPort
	set     string       // that holds the clients; "" of "-m recent", whose clients no ruleset holds
	clients []netip.Addr // of set
}

// add adds a target, once. A Service has few.
func (w *way) add(to netip.AddrPort, r netfilter.Ref, open bool) {
	if i := slices.Index(w.targets, to); i >= 0 {
		w.open[i] = w.open[i] || open
		return
	}
	w.targets, w.rules, w.open = append(w.targets, to), append(w.rules, r), append(w.open, open)
}

// join adds what another way has, which packets of some sources alone may go.
func (w *way) join(o *way, some bool) {
	for i, t := range o.targets {
		w.add(t, o.rules[i], o.open[i] && !some)
	}
	w.bound = append(w.bound, o.bound...)
	w.odd = cmp.Or(w.odd, o.odd)
}

// binds returns how clients are bound to a target, or nil where none can be. Where one
// endpoint of a Service has a list of clients (-m recent), all have.
func (w *way) binds(to netip.AddrPort) *binding {
	for i := range w.bound {
		if b := &w.bound[i]; b.set == "" || b.to == to && len(b.clients) > 0 {
			return b
		}
	}
	return nil
}

// A book holds what a table of one namespace and family does to the destinations that its rules name.
type book struct {
	table *netfilter.Table
	ways  map[dest]*way
	dests []dest // of ways, in the order of the rules
	from  map[dest]netfilter.Ref
	below map[*netfilter.Chain]*way
	odd   string // why not all destinations are known, or ""
}

// read reads a table.
func read(t *netfilter.Table) *book {
	b := &book{table: t, ways: map[dest]*way{}, from: map[dest]netfilter.Ref{}, below: make(map[*netfilter.Chain]*way, len(t.Chains))}
	seen := map[*netfilter.Chain]bool{}
	for _, hook := range []netfilter.Hook{netfilter.PreRouting, netfilter.LocalOut} {
		for _, c := range t.NAT(hook) {
			b.walk(c, seen)
		}
	}
	return b
}

// walk reads a chain and those that it jumps to without asking for a destination.
func (b *book) walk(c *netfilter.Chain, seen map[*netfilter.Chain]bool) {
	if c == nil || seen[c] {
		return
	}
	seen[c] = true
	for l := range b.table.Leads(c) {
		if l.At == (netip.AddrPort{}) {
			b.odd = cmp.Or(b.odd, l.Odd)
			b.walk(l.Chain, seen)
			continue
		}
		d := dest{l.At, l.Proto}
		w := b.ways[d]
		if w == nil {
			w = &way{}
			b.ways[d], b.dests = w, append(b.dests, d)
			b.from[d] = netfilter.Ref{Table: b.table, Chain: c, Rule: l.Rule}
		}
		b.follow(w, c, &l)
	}
}

// follow adds the targets that a rule of a chain leads to.
func (b *book) follow(w *way, c *netfilter.Chain, l *netfilter.Lead) {
	if l.To.IsValid() {
		w.add(l.To, netfilter.Ref{Table: b.table, Chain: c, Rule: l.Rule}, !l.Some)
	}
	w.odd = cmp.Or(w.odd, l.Odd)
	if l.Chain == nil {
		return
	}
	next := b.chain(l.Chain)
	w.join(next, l.Some)
	for _, to := range next.targets {
		if l.Bound {
			w.bound = append(w.bound, binding{to, l.Set, l.Clients})
		}
	}
}

// chain returns the targets that a chain leads to.
func (b *book) chain(c *netfilter.Chain) *way {
	if w := b.below[c]; w != nil {
		return w
	}
	w := &way{}
	b.below[c] = w // so that a loop ends here
	for l := range b.table.Leads(c) {
		b.follow(w, c, &l)
	}
	return w
}
