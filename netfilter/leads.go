package netfilter

import (
	"iter"
	"net/netip"
	"slices"
	"strings"

	"github.com/plumbnet/plumb/packet"
)

// A Lead is one of the ways that a rule has packets go which meet it: to a chain, to
// another destination, or to what is not understood. Conditions of the rule other than
// those here are not considered.
type Lead struct {
	Rule *Rule
	// At is the one destination that the way is for: without an address where the rule names only a
	// port, the zero value where it names neither.
	At    netip.AddrPort
	Proto packet.Proto   // of At
	Chain *Chain         // that it jumps or goes to, or nil
	To    netip.AddrPort // that it sends connections to by DNAT, or the zero value
	Odd   string         // why it is not known where the rule leads, or ""
	// Some says that the way is for packets of some sources alone, or that come in by some devices.
	Some bool
	// Bound says that the way is for clients alone that are remembered: by "-m recent --rcheck",
	// or as source addresses in a set of nf_tables, which Set names.
	Bound bool
	Set   string
	// Clients are those that the set holds; of -m recent they are not in a ruleset.
	Clients []netip.Addr
}

// Leads yields the ways that the rules of a chain of t lead, in their order.
func (t *Table) Leads(c *Chain) iter.Seq[Lead] {
	return func(yield func(Lead) bool) {
		for i, r := range c.Rules {
			if c.nft == nil {
				if l, leads := saved(r); leads && !yield(l) {
					return
				}
				continue
			}
			for _, l := range t.native(r, c.nft.rules[i]) {
				if !yield(l) {
					return
				}
			}
		}
	}
}

// saved returns the way that a rule of iptables leads; false where it only counts.
func saved(r *Rule) (Lead, bool) {
	l := Lead{Rule: r, Chain: r.Jump()}
	if r.Target() == "" {
		return l, false
	}
	l.At, l.Proto, _ = r.Dest()
	l.Some = r.ofSome()
	l.To, _ = r.DNAT()
	l.Bound = l.Chain != nil && strings.Contains(r.Text, "-m recent ") && strings.Contains(r.Text, "--rcheck")
	return l, true
}

// native returns the ways that a rule of nf_tables leads.
func (t *Table) native(r *Rule, stmts []nftStmt) (out []Lead) {
	base := Lead{Rule: r}
	for _, st := range stmts {
		switch st := st.(type) {
		case *nftCompare:
			base.Some = base.Some || st.source
		case *nftLookup:
			base.Some = base.Some || st.src
			if st.src && !st.not {
				base.Bound, base.Set, base.Clients = true, st.set.name, st.set.addrs()
			}
		case nftVerdict:
			if l := base; st.target != "" {
				l.Chain = t.Chains[st.target]
				out = append(out, l)
			}
		case *nftVMap:
			out = append(out, t.mapped(base, st)...)
		case *nftNAT:
			if st.m == manipDst {
				out = append(out, st.leads(base)...)
			}
		case *nftStrange:
			if l := base; !st.match {
				l.Odd = st.why
				out = append(out, l)
			}
		}
	}
	return out
}

// mapped returns the ways that a map of verdicts leads.
func (t *Table) mapped(base Lead, m *nftVMap) (out []Lead) {
	for i := range m.set.elems {
		x := &m.set.elems[i]
		if x.verdict.target == "" {
			continue
		}
		l := base
		l.Chain = t.Chains[x.verdict.target]
		if m.dest && x.lo == x.hi {
			l.At, l.Proto = x.dest()
		}
		out = append(out, l)
	}
	if m.set.unread != "" {
		base.Odd = "map " + m.set.name + " was not read to its end: " + m.set.unread
		out = append(out, base)
	}
	return out
}

// dest reads the key of an element: an address or none, a protocol and a port.
func (x *nftElem) dest() (netip.AddrPort, packet.Proto) {
	n := len(x.lo) - typeProto.size - typePort.size
	a, ok := netip.AddrFromSlice([]byte(x.lo[:max(n, 0)]))
	if !ok && n != 0 {
		return netip.AddrPort{}, 0
	}
	return netip.AddrPortFrom(a, uint16(numOf([]byte(x.lo[n+1:])))), packet.Proto(x.lo[n])
}

// leads returns the destinations that a DNAT may give.
func (t *nftNAT) leads(base Lead) (out []Lead) {
	add := func(r natRange) {
		l := base
		if !r.lo.IsValid() || r.lo != r.hi || !r.hasPorts || r.plo != r.phi {
			l.Odd = t.kind + " to more than one address and port"
		} else {
			l.To = netip.AddrPortFrom(r.lo, r.plo)
		}
		out = append(out, l)
	}
	if t.addr == nil {
		add(t.fixed)
		return out
	}
	m, ok := t.addr.nftExpr.(*nftMap)
	if !ok || m.set.unread != "" {
		base.Odd = "where " + t.kind + " sends to is computed"
		return append(out, base)
	}
	for i := range m.set.elems {
		r := t.fixed
		t.take(&r, []byte(m.set.elems[i].data), []byte(m.set.elems[i].to))
		add(r)
	}
	return out
}

// addrs returns the elements of a set of addresses, sorted; ranges are left out.
func (t *nftSet) addrs() (out []netip.Addr) {
	for i := range t.elems {
		if a, ok := netip.AddrFromSlice([]byte(t.elems[i].lo)); ok && t.elems[i].lo == t.elems[i].hi {
			out = append(out, a)
		}
	}
	slices.SortFunc(out, netip.Addr.Compare)
	return out
}

// isDest reports whether a key is the destination of a packet: "ip daddr . meta l4proto . th dport", or without the address.
func isDest(key *jsonNode) bool {
	parts := key.get("concat").list()
	if len(parts) == 3 && isAddr(&parts[0], "daddr") {
		parts = parts[1:]
	}
	return len(parts) == 2 && isL4Proto(&parts[0]) && parts[1].get("payload").get("field").str() == "dport"
}

// isSource reports whether an expression is where a packet comes from: its source address, what
// routing says of it, or a device.
func isSource(n *jsonNode) bool {
	key := n.get("meta").get("key").str()
	return isAddr(n, "saddr") || key == "iif" || key == "iifname" || slices.Contains(n.get("fib").get("flags").strs(), "saddr")
}

func isL4Proto(n *jsonNode) bool {
	field := n.get("payload").get("field").str()
	return n.get("meta").get("key").str() == "l4proto" || field == "protocol" || field == "nexthdr"
}

// isAddr reports whether an expression is one end of an IP packet.
func isAddr(n *jsonNode, field string) bool {
	p := n.get("payload")
	proto := p.get("protocol").str()
	return p.get("field").str() == field && (proto == "ip" || proto == "ip6")
}

// NAT returns the chains in which connections get their destination at a hook: PREROUTING or
// OUTPUT of iptables, and of nf_tables the base chains of type "nat", in the order in which they were made.
func (t *Table) NAT(h Hook) (out []*Chain) {
	if t.nft == nil {
		if c := t.Chains[h.String()]; c != nil {
			out = append(out, c)
		}
		return out
	}
	for _, c := range t.nft.order {
		if at, ok := nftHooks[c.nft.hook]; ok && at == h && c.nft.typ == "nat" && !t.nft.dormant {
			out = append(out, c)
		}
	}
	return out
}
