// Package proxyrules compares the rules that kube-proxy should have written
// with those that are in a node's nat table.
//
// It follows the jumps of the table from PREROUTING and OUTPUT, and does not
// rely on chains' names: what a cluster IP and port leads to are the DNAT
// targets below the rule that matches them. netfilter.Eval would have to be asked
// for each port of each Service on each node, of which there may be ten thousand;
// here each chain is read once, and what one packet meets is left to the trace.
// Only iptables mode can be judged.
package proxyrules

import (
	"net/netip"
	"strings"

	"github.com/plumbnet/plumb/netfilter"
	"github.com/plumbnet/plumb/packet"
)

// A dest is an address, port and protocol that rules match.
type dest struct {
	at    netip.AddrPort
	proto packet.Proto
}

// destOf returns the destination that a rule names in full.
func destOf(r *netfilter.Rule) (dest, bool) {
	at, proto, ok := r.Dest()
	return dest{at, proto}, ok
}

// A way is what a rule makes of a dest.
type way struct {
	targets []netip.AddrPort
	rules   []*netfilter.Rule // that send to them
	recent  bool              // one of them is reached by session affinity ("-m recent --rcheck")
}

// add adds a target, once. A Service has few.
func (w *way) add(to netip.AddrPort, r *netfilter.Rule) {
	for _, t := range w.targets {
		if t == to {
			return
		}
	}
	w.targets, w.rules = append(w.targets, to), append(w.rules, r)
}

// join adds what another way has.
func (w *way) join(o *way) {
	for i, t := range o.targets {
		w.add(t, o.rules[i])
	}
	w.recent = w.recent || o.recent
}

// A book holds what the nat table of one namespace and family does to the destinations that its rules name.
type book struct {
	table *netfilter.Table
	ways  map[dest]*way
	below map[*netfilter.Chain]*way
}

// read reads a nat table.
func read(t *netfilter.Table) *book {
	b := &book{table: t, ways: map[dest]*way{}, below: make(map[*netfilter.Chain]*way, len(t.Chains))}
	seen := map[*netfilter.Chain]bool{}
	b.walk(t.Chains["PREROUTING"], seen)
	b.walk(t.Chains["OUTPUT"], seen)
	return b
}

// walk reads a chain and those that it jumps to without asking for a destination.
func (b *book) walk(c *netfilter.Chain, seen map[*netfilter.Chain]bool) {
	if c == nil || seen[c] {
		return
	}
	seen[c] = true
	for _, r := range c.Rules {
		if r.Target() == "" {
			continue
		}
		d, named := destOf(r)
		if !named {
			b.walk(r.Jump(), seen)
			continue
		}
		w := b.ways[d]
		if w == nil {
			w = &way{}
			b.ways[d] = w
		}
		b.follow(w, r)
	}
}

// follow adds the DNAT targets that a rule leads to.
func (b *book) follow(w *way, r *netfilter.Rule) {
	if to, ok := r.DNAT(); ok {
		w.add(to, r)
	}
	if c := r.Jump(); c != nil {
		w.join(b.chain(c))
	}
}

// chain returns the DNAT targets that a chain leads to.
func (b *book) chain(c *netfilter.Chain) *way {
	if w := b.below[c]; w != nil {
		return w
	}
	w := &way{}
	b.below[c] = w // so that a loop ends here
	for _, r := range c.Rules {
		b.follow(w, r)
		w.recent = w.recent || r.Jump() != nil && strings.Contains(r.Text, "-m recent ") && strings.Contains(r.Text, "--rcheck")
	}
	return w
}
