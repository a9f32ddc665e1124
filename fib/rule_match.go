package fib

import (
	"fmt"
	"net/netip"
)

// A tri is whether a rule selects a packet.
type tri uint8

const (
	no tri = iota
	yes
	maybe
)

// A flow is a query as the rules see it (struct flowi).
type flow struct {
	q        Query
	is6      bool
	dst, src netip.Addr // src is 0.0.0.0 or :: where none is chosen yet
	hasSrc   bool
	iif, oif string   // iif is "lo" for packets of local origin
	room     []Choice // for the choices of the Result
	s6       search6  // of IPv6
	lists    [4][]entry
}

// match says whether the rule selects the flow, and for maybe, why it is not
// known (fib_rule_match).
func (x *Index) match(r *Rule, f *flow) (tri, string) {
	m, why := x.selects(r, f)
	if r.Not && m != maybe {
		m ^= yes
	}
	return m, why
}

func (x *Index) selects(r *Rule, f *flow) (tri, string) {
	q := &f.q
	switch {
	case r.IIF != "" && r.IIF != f.iif,
		r.OIF != "" && r.OIF != f.oif,
		(r.Mark^q.Mark)&r.Mask != 0,
		!r.selectsAddrs(f),
		r.TOS != 0 && !tosMatches(r.TOS, q.TOS, f.is6),
		r.Proto != 0 && r.Proto != q.Proto,
		!inRange(r.SrcPorts, q.SrcPort),
		!inRange(r.DstPorts, q.DstPort):
		return no, ""
	}
	m, why := r.selectsUser(q)
	if m == no {
		return no, ""
	}
	if r.L3MDev && x.t.VRF == nil {
		return maybe, "which devices are in a VRF was not collected"
	}
	if r.L3MDev && x.vrfTable(f) == 0 {
		return no, ""
	}
	if r.Unknown != "" {
		return maybe, fmt.Sprintf("rule %d asks for %q, which is not understood", r.Priority, r.Unknown)
	}
	return m, why
}

// selectsAddrs compares the addresses (fib4_rule_match, fib6_rule_match). A
// source that is not chosen yet is 0.0.0.0 for IPv4, and matches nothing for IPv6.
func (r *Rule) selectsAddrs(f *flow) bool {
	if r.Dst.IsValid() && !r.Dst.Contains(f.dst) {
		return false
	}
	if !r.Src.IsValid() || r.Src.Bits() == 0 {
		return true
	}
	return (f.hasSrc || !f.is6) && r.Src.Contains(f.src)
}

// tosMatches compares TOS values: IPv4 looks at the bits of RFC 1349 alone
// (IPTOS_TOS_MASK, without the ECN bits), IPv6 at the whole DSCP.
func tosMatches(want, have uint8, is6 bool) bool {
	if is6 {
		return want&0xfc == have&0xfc
	}
	return want == have&0x1c
}

// selectsUser compares the user. Packets that come in count as those of user 0.
func (r *Rule) selectsUser(q *Query) (tri, string) {
	if r.UIDs == nil || r.UIDs[0] == 0 && r.UIDs[1] == 1<<32-1 {
		return yes, ""
	}
	uid := uint32(0)
	switch {
	case q.UID != nil:
		uid = *q.UID
	case q.IIF == "":
		return maybe, fmt.Sprintf("rule %d asks for the user of the socket, which is not known", r.Priority)
	}
	if uid < r.UIDs[0] || uid > r.UIDs[1] {
		return no, ""
	}
	return yes, ""
}

func inRange(r [2]uint16, n uint16) bool {
	return r == [2]uint16{} || r[0] <= n && n <= r[1]
}

// vrfTable returns the table of the VRF that the flow belongs to, 0 for none.
func (x *Index) vrfTable(f *flow) uint32 {
	if id, ok := x.t.VRF[f.oif]; ok && f.oif != "" {
		return id
	}
	return x.t.VRF[f.iif]
}

// A found is what one table says of a flow.
type found struct {
	e   *entry
	hop int    // of e.hops, the one that matched
	err string // the route rejects
	why string // not "": not known
	n   *node  // that e is in
	tb  *table
}

// ask walks the rules (fib_rules_lookup) and returns the rule that decided, or
// nil.
func (x *Index) ask(f *flow) (*Rule, found) {
	rules := x.rules[family(f.is6)]
	for i := 0; i < len(rules); i++ {
		r := rules[i]
		m, why := x.match(r, f)
		if m == no || r.Action == "nop" {
			continue
		}
		if r.Action == "goto" {
			to := target(rules, r)
			if m == maybe && to >= 0 {
				return r, found{why: why}
			}
			if to > i {
				i = to - 1
			}
			continue
		}
		if m == maybe && r.L3MDev { // its table is not known either
			return r, found{why: why}
		}
		got, ok := x.act(r, f)
		if ok && m == maybe {
			return r, found{why: why}
		}
		if ok {
			return r, got
		}
	}
	return nil, found{err: errNetwork}
}

// target returns the place of the rule that a goto leads to, or -1 for none.
// It lies always further on.
func target(rules []*Rule, r *Rule) int {
	for i, t := range rules {
		if t.Priority == r.Goto {
			return i
		}
	}
	return -1
}

// act does what a rule says; false means that the next rule is asked.
func (x *Index) act(r *Rule, f *flow) (found, bool) {
	switch r.Action {
	case "":
	case "unreachable":
		return found{err: errNetwork}, true
	case "prohibit":
		return found{err: errAccess}, true
	case "blackhole":
		return found{err: errInvalid}, true
	default:
		return found{why: fmt.Sprintf("rule %d says %q, which is not understood", r.Priority, r.Action)}, true
	}
	id := r.Table
	if r.L3MDev {
		id = x.vrfTable(f)
	}
	tb, ok := x.tables[family(f.is6)][id]
	if !ok {
		return found{}, false
	}
	got, ok := x.in(tb, f)
	if !ok || got.err != "" || got.why != "" {
		return got, ok
	}
	return x.suppress(r, got)
}

// in looks a flow up in one table; it returns false where the next rule is to be asked.
func (x *Index) in(tb *table, f *flow) (found, bool) {
	if f.is6 {
		return x.table6(tb, f)
	}
	return x.table4(tb, f)
}

// suppress applies suppress_prefixlength and suppress_ifgroup to a route that was found.
func (x *Index) suppress(r *Rule, got found) (found, bool) {
	if got.e.r.Dst.Bits() <= r.SuppressPrefixLen {
		return found{}, false
	}
	if r.SuppressGroup < 0 || len(got.e.hops) == 0 {
		return got, true
	}
	if x.t.Groups == nil {
		return found{why: fmt.Sprintf("rule %d asks for the group of a device, which was not collected", r.Priority)}, true
	}
	switch x.ofGroup(r.SuppressGroup, got) {
	case yes:
		return found{}, false
	case maybe:
		return found{why: fmt.Sprintf("rule %d suppresses some of the hops that a hash chooses from", r.Priority)}, true
	}
	return got, true
}

// ofGroup says whether a route leads out by a device of the group. IPv4 looks at
// the first hop, whichever is taken; IPv6 at the one that the hash chose.
func (x *Index) ofGroup(group int, got found) tri {
	e := got.e
	if !e.r.Dst.Addr().Is6() {
		return triOf(x.t.Groups[e.hops[0].Dev] == group)
	}
	m := triOf(x.t.Groups[e.hops[got.hop].Dev] == group)
	for _, h := range e.hops {
		if triOf(x.t.Groups[h.Dev] == group) != m {
			return maybe
		}
	}
	return m
}

func triOf(b bool) tri {
	if b {
		return yes
	}
	return no
}
