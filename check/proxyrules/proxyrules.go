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
	"slices"
	"strings"

	"github.com/plumbnet/plumb/netfilter"
)

// A dest is an address, port and protocol that rules match.
type dest struct {
	at    netip.AddrPort
	proto string
}

// A way is what a rule makes of a dest.
type way struct {
	targets []netip.AddrPort // sorted
	rules   []*netfilter.Rule
	recent  bool // one of them is reached by session affinity ("-m recent --rcheck")
}

// A book holds what the nat table of one namespace and family does to the destinations that its rules name.
type book struct {
	table *netfilter.Table
	ways  map[dest]*way
	memo  map[string]*way
}

// read reads a nat table. It returns nil where no chain of it looks like a Service's.
func read(t *netfilter.Table) *book {
	b := &book{table: t, ways: map[dest]*way{}, memo: map[string]*way{}}
	seen := map[string]bool{}
	b.walk("PREROUTING", seen)
	b.walk("OUTPUT", seen)
	return b
}

// walk reads a chain and those that it jumps to without asking for a destination.
func (b *book) walk(chain string, seen map[string]bool) {
	c := b.table.Chains[chain]
	if c == nil || seen[chain] {
		return
	}
	seen[chain] = true
	for _, r := range c.Rules {
		to, ok := option(r.Text, " -j ")
		if !ok {
			continue
		}
		d, named := destOf(r.Text)
		switch {
		case named:
			b.ways[d] = join(b.ways[d], b.below(r, to, nil))
		case b.table.Chains[to] != nil:
			b.walk(to, seen)
		}
	}
}

// below returns the DNAT targets that a rule leads to.
func (b *book) below(r *netfilter.Rule, to string, above []string) *way {
	if to == "DNAT" {
		s, _ := option(r.Text, " --to-destination ")
		a, err := netip.ParseAddrPort(s)
		if err != nil {
			return &way{}
		}
		return &way{targets: []netip.AddrPort{a}, rules: []*netfilter.Rule{r}}
	}
	c := b.table.Chains[to]
	if c == nil || slices.Contains(above, to) {
		return &way{}
	}
	if w := b.memo[to]; w != nil {
		return w
	}
	w := &way{}
	for _, r := range c.Rules {
		if next, ok := option(r.Text, " -j "); ok {
			w = join(w, b.below(r, next, append(above, to)))
		}
		w.recent = w.recent || strings.Contains(r.Text, "-m recent ") && strings.Contains(r.Text, "--rcheck")
	}
	b.memo[to] = w
	return w
}

func join(a, b *way) *way {
	if a == nil {
		return b
	}
	out := &way{targets: slices.Clone(a.targets), rules: slices.Clone(a.rules), recent: a.recent || b.recent}
	for i, t := range b.targets {
		if !slices.Contains(out.targets, t) {
			out.targets = append(out.targets, t)
			out.rules = append(out.rules, b.rules[i])
		}
	}
	return out
}

// option returns the word after name in a rule.
func option(text, name string) (string, bool) {
	_, rest, ok := strings.Cut(text, name)
	if !ok {
		return "", false
	}
	word, _, _ := strings.Cut(rest, " ")
	return word, true
}

// destOf returns the destination that a rule names in full: one address, a protocol and one port.
func destOf(text string) (dest, bool) {
	s, ok := option(text, " -d ")
	if !ok || strings.Contains(text, "! -d ") || strings.Contains(text, "! --dport ") {
		return dest{}, false
	}
	proto, ok := option(text, " -p ")
	if !ok {
		return dest{}, false
	}
	port, ok := option(text, " --dport ")
	s, bits, _ := strings.Cut(s, "/")
	if !ok || bits != "" && bits != "32" && bits != "128" {
		return dest{}, false
	}
	if strings.Contains(s, ":") {
		s = "[" + s + "]"
	}
	a, err := netip.ParseAddrPort(s + ":" + port)
	return dest{a, proto}, err == nil
}
