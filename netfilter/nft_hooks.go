package netfilter

import (
	"cmp"
	"fmt"
	"math"
	"slices"
)

// nftHooks are the hooks as nft names them.
var nftHooks = map[string]Hook{
	"prerouting": PreRouting, "input": LocalIn, "forward": Forward, "output": LocalOut, "postrouting": PostRouting,
	"ingress": PreRouting, "egress": PostRouting,
}

// An nftPlan says what runs at each hook, in order, where there are native chains.
type nftPlan struct {
	steps [len(chainNames)][2][]hookStep // by hook, for IPv4 and IPv6
	nat   [len(chainNames)][2][]hookStep // the chains that the nat stage asks
	asks  [2]bool                        // whether any chain of the family is asked for NAT
}

// A hookStep is a table of iptables, or a native chain, or conntrack or NAT.
type hookStep struct {
	stage   string // of iptables, or "conntrack" or "nat"; "" for a native chain
	backend Backend
	table   *Table
	chain   *Chain

	where int // -1 at ingress, 1 at egress
	prio  int // the kernel's (enum nf_ip_hook_priorities)
	made  int // in the order in which they were made; of a like priority the last made runs first
}

// priorities are those of iptables' tables and of conntrack (enum nf_ip_hook_priorities).
var priorities = map[string]int{"raw": -300, "conntrack": -200, "mangle": -150, "filter": 0, "security": 50}

// madeFirst stands for what was there before all tables of nf_tables.
const madeFirst = -1

// newNFTPlan orders what runs at each hook. tables are all that nft lists.
func newNFTPlan(r *Ruleset, tables []*Table) *nftPlan {
	p := &nftPlan{}
	for h := range Hook(len(chainNames)) {
		for i, is6 := range [...]bool{false, true} {
			p.steps[h][i] = iptablesSteps(h, is6, tables)
			p.nat[h][i] = natSteps(h, is6, tables)
		}
	}
	p.asks[0] = slices.ContainsFunc(r.Tables, func(t *Table) bool { return t.Name == "nat" && !t.Is6 })
	p.asks[1] = slices.ContainsFunc(r.Tables, func(t *Table) bool { return t.Name == "nat" && t.Is6 })
	for _, t := range tables {
		if t.nft.saved && !t.nft.foreign || t.nft.dormant {
			continue
		}
		for _, c := range t.nft.order {
			p.add(r, t, c)
		}
	}
	for h := range p.steps {
		for i := range p.steps[h] {
			slices.SortStableFunc(p.steps[h][i], byPriority)
			slices.SortStableFunc(p.nat[h][i], byPriority)
		}
	}
	return p
}

// byPriority is the order of nf_hook_entries_grow: what comes later goes before its likes.
func byPriority(a, b hookStep) int {
	return cmp.Or(cmp.Compare(a.where, b.where), cmp.Compare(a.prio, b.prio), cmp.Compare(b.made, a.made))
}

// madeAt returns when a chain was made. Tables are listed in that order, and so are the chains of each.
func madeAt(table, chain int) int { return table<<20 + min(chain, 1<<20-1) }

// iptablesSteps returns what runs at a hook without native chains.
func iptablesSteps(h Hook, is6 bool, tables []*Table) (steps []hookStep) {
	for _, stage := range stages[h] {
		switch stage {
		case "conntrack":
			st := hookStep{stage: stage, prio: priorities[stage], made: math.MaxInt}
			if h != PreRouting && h != LocalOut {
				st.prio = math.MinInt // the packet was looked up before
			}
			steps = append(steps, st)
		case "nat":
			steps = append(steps, hookStep{stage: stage, prio: natPriority(h), made: math.MaxInt})
		default:
			steps = append(steps, hookStep{stage: stage, backend: NFT, prio: priorities[stage], made: madeOf(stage, h, is6, tables)},
				hookStep{stage: stage, backend: Legacy, prio: priorities[stage], made: madeFirst})
		}
	}
	return steps
}

// natPriority is that of the destination, or of the source (NF_IP_PRI_NAT_DST, NF_IP_PRI_NAT_SRC).
func natPriority(h Hook) int {
	if manipAt(h) == manipSrc {
		return 100
	}
	return -100
}

// natSteps returns the tables of iptables that the nat stage asks.
func natSteps(h Hook, is6 bool, tables []*Table) []hookStep {
	return []hookStep{{stage: "nat", backend: NFT, prio: natPriority(h), made: madeOf("nat", h, is6, tables)},
		{stage: "nat", backend: Legacy, prio: natPriority(h), made: madeFirst}}
}

// madeOf returns when a chain of iptables-nft was made.
func madeOf(table string, h Hook, is6 bool, tables []*Table) int {
	for i, t := range tables {
		if t.Name == table && (t.Family == "ip" && !is6 || t.Family == "ip6" && is6) {
			if c := t.Chains[chainNames[h]]; c != nil {
				return madeAt(i, c.nft.pos)
			}
		}
	}
	return madeFirst
}

// add adds a native base chain.
func (p *nftPlan) add(r *Ruleset, t *Table, c *Chain) {
	h, known := nftHooks[c.nft.hook]
	if c.nft.hook == "" || t.Family == "arp" || c.isIPTables(t) {
		return
	}
	empty := len(c.Rules) == 0 && c.Policy != "DROP" && c.unread == ""
	if !known || t.Family == "bridge" {
		if !empty && known {
			r.Opaque = append(r.Opaque, bridgeChain(t, c, h)...)
		}
		return
	}
	st := hookStep{table: t, chain: c, prio: c.nft.prio, made: madeAt(t.nft.pos, c.nft.pos)}
	switch c.nft.hook {
	case "ingress":
		st.where = -1
	case "egress":
		st.where = 1
	}
	for i, is6 := range [...]bool{false, true} {
		switch {
		case t.Family == "ip" && is6 || t.Family == "ip6" && !is6:
		case c.nft.typ == "nat":
			p.asks[i] = true
			if !empty {
				p.nat[h][i] = append(p.nat[h][i], st)
			}
		case !empty:
			p.steps[h][i] = append(p.steps[h][i], st)
		}
	}
}

// bridgeChain returns what packets meet that cross a bridge.
func bridgeChain(t *Table, c *Chain, h Hook) []Opaque {
	o := Opaque{Hook: h, Bridge: true, What: fmt.Sprintf("nftables table bridge %s, chain %s: rules of bridges are not understood yet", t.Name, c.Name)}
	o6 := o
	o6.Is6 = true
	return []Opaque{o, o6}
}

// planned returns what runs at the hook, in order.
func (e *eval) planned() []hookStep {
	if p := e.r.nft; p != nil {
		return p.steps[e.in.Hook][bit(e.is6, 1)]
	}
	return plain[e.in.Hook]
}

// natTables returns what the nat stage asks, in order.
func (e *eval) natTables() []hookStep {
	if p := e.r.nft; p != nil {
		return p.nat[e.in.Hook][bit(e.is6, 1)]
	}
	return plainNAT[:]
}

// plain is what runs at each hook where there are no native chains.
var plain = func() (all [len(chainNames)][]hookStep) {
	for h := range Hook(len(chainNames)) {
		all[h] = iptablesSteps(h, false, nil)
	}
	return all
}()

var plainNAT = [...]hookStep{{stage: "nat", backend: NFT}, {stage: "nat", backend: Legacy}}

// run does what a step of a hook does.
func (e *eval) run(st *hookStep, states []*state) []*state {
	switch {
	case len(states) == 0:
		return states
	case st.chain != nil && st.where != 0:
		return e.onDevice(st, states)
	case st.chain != nil:
		return e.base(st.table, st.chain, states)
	case st.stage == "conntrack":
		for _, s := range states {
			e.conntrack(s)
		}
		return states
	}
	return e.tables(st.stage, st.backend, states)
}

// onDevice runs a chain at ingress or egress, which sees the packets of its devices
// alone. nft 1.0 does not list the devices; then both ways are followed.
func (e *eval) onDevice(st *hookStep, states []*state) []*state {
	devs := st.chain.nft.devs
	dev, port := e.in.In, e.in.PhysIn
	if st.where > 0 {
		dev, port = e.in.Out, e.in.PhysOut
	}
	switch {
	case len(devs) > 0 && !slices.Contains(devs, dev) && (port == "" || !slices.Contains(devs, port)), dev == "":
		return states
	case len(devs) > 0:
		return e.base(st.table, st.chain, states)
	}
	at := Ref{Table: st.table, Chain: st.chain}
	why := "the devices of chain " + st.chain.Name + " are not listed"
	var hit []*state
	e.visits++
	for _, s := range states {
		t := e.fork(s, even)
		s.weight -= t.weight
		t.suppose(at, why, true, e.visits)
		s.suppose(at, why, false, e.visits)
		hit = append(hit, t)
	}
	return joinAll(append(e.base(st.table, st.chain, hit), states...))
}

// asksNAT reports whether the kernel asks anything for NAT of the family; only then it notes that it did.
func (r *Ruleset) asksNAT(is6 bool) bool {
	if r.nft != nil {
		return r.nft.asks[bit(is6, 1)]
	}
	return slices.ContainsFunc(r.Tables, func(t *Table) bool { return t.Name == "nat" && t.Is6 == is6 })
}
