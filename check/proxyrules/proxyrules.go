// Package proxyrules compares the rules that kube-proxy should have written
// with those that are in a node's tables: nat of iptables, or its own of nf_tables.
//
// It follows the jumps of a table from PREROUTING and OUTPUT, and does not
// rely on chains' names: what a cluster IP and port leads to are the DNAT
// targets below the rule, or the element of a map, that matches them. netfilter.Eval
// would have to be asked for each port of each Service on each node, of which there may be ten
// thousand; here each chain is read once, and what one packet meets is left to the trace.
// IPVS and eBPF cannot be judged.
package proxyrules

import (
	"cmp"
	"net/netip"
	"slices"

	"github.com/plumbnet/plumb/netfilter"
	"github.com/plumbnet/plumb/packet"
)

// A dest is an address, port and protocol that rules match.
type dest struct {
	at    netip.AddrPort
	proto packet.Proto
}

// A way is what a rule makes of a dest.
type way struct {
	targets []netip.AddrPort
	rules   []netfilter.Ref // that send to them
	bound   []binding       // of session affinity
	odd     string          // why not all targets are known, or ""
}

// A binding is a target that clients are sent to which have been there before.
type binding struct {
	to      netip.AddrPort
	set     string       // that holds the clients; "" of "-m recent", whose clients no ruleset holds
	clients []netip.Addr // of set
}

// add adds a target, once. A Service has few.
func (w *way) add(to netip.AddrPort, r netfilter.Ref) {
	if slices.Contains(w.targets, to) {
		return
	}
	w.targets, w.rules = append(w.targets, to), append(w.rules, r)
}

// join adds what another way has.
func (w *way) join(o *way) {
	for i, t := range o.targets {
		w.add(t, o.rules[i])
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
		if !l.At.IsValid() {
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
		w.add(l.To, netfilter.Ref{Table: b.table, Chain: c, Rule: l.Rule})
	}
	w.odd = cmp.Or(w.odd, l.Odd)
	if l.Chain == nil {
		return
	}
	next := b.chain(l.Chain)
	w.join(next)
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
