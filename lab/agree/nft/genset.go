//go:build linux

package nft

import (
	"fmt"
	"strings"
)

// A set is a set with a name, and the expression to look up in it.
type set struct {
	name, family, expr, proto string
	dynamic                   bool
}

// A vmap is a map of verdicts, or of marks.
type vmap struct {
	name, family, expr, proto string
	hook, typ                 string // whose chains it leads to
	marks                     bool
}

// keyKinds are the kinds of keys: type, expression, an element, and one of an interval.
type keyKind struct {
	typ, expr, proto string
	elem, span       func(*gen) string
}

func (g *gen) keys() []keyKind {
	ip, addr := g.ip(), g.both("ipv4_addr", "ipv6_addr")
	plain := func(g *gen) string { return g.addr().String() }
	spans := func(g *gen) string { return g.pick(g.prefix(), g.addr().String()) }
	port := func(g *gen) string { return g.port() }
	ports := func(g *gen) string { return g.pick(g.port(), "1-79", "20000-20004", "8000-8100") }
	join := func(fs ...func(*gen) string) func(*gen) string {
		return func(g *gen) string {
			var s []string
			for _, f := range fs {
				s = append(s, f(g))
			}
			return strings.Join(s, " . ")
		}
	}
	l4 := func(g *gen) string { return g.pick("tcp", "udp", "sctp") }
	dev := func(g *gen) string { return `"` + g.pick("in0", "in1", "out0", "lo") + `"` }
	mark := func(g *gen) string { return g.pick("0x0", "0x1", "0x2", "0x4000", "0x10") }
	return []keyKind{
		{addr, ip + " saddr", "", plain, spans},
		{addr, ip + " daddr", "", plain, spans},
		{"inet_service", "th dport", "any", port, ports},
		{"inet_service", "tcp dport", "tcp", port, ports},
		{addr + " . inet_proto . inet_service", ip + " daddr . meta l4proto . th dport", "", join(plain, l4, port), join(spans, l4, ports)},
		{addr + " . inet_service", ip + " saddr . tcp dport", "tcp", join(plain, port), join(spans, ports)},
		{addr + " . " + addr, ip + " saddr . " + ip + " daddr", "", join(plain, plain), join(spans, spans)},
		{"mark", "meta mark", "", mark, func(g *gen) string { return g.pick("0x1-0x3", "0x4000-0x4fff", "0x10") }},
		{"ifname . " + addr, "iifname . " + ip + " daddr", "", join(dev, plain), join(dev, spans)},
		{"inet_proto", "meta l4proto", "", l4, l4},
	}
}

// makeSets makes the sets and maps of a table.
func (g *gen) makeSets(b *strings.Builder, chains []place) {
	g.sets, g.maps = nil, nil
	family := ""
	if len(chains) > 0 {
		family = chains[0].family
	}
	for i := range g.r.IntN(4) {
		k := g.keys()[g.r.IntN(len(g.keys()))]
		s := set{name: fmt.Sprintf("s%d", i), family: family, expr: k.expr, proto: k.proto}
		elem, flags := k.elem, ""
		switch {
		case g.p(40):
			elem, flags = k.span, "flags interval; auto-merge; "
			if strings.Contains(k.typ, " . ") {
				flags = "flags interval; "
			}
		case g.p(25):
			s.dynamic = true
			flags = g.pick("flags dynamic; size 64; ", "flags dynamic,timeout; timeout 60s; size 64; ")
		}
		fmt.Fprintf(b, "\tset %s { type %s; %selements = %s; }\n", s.name, k.typ, flags, g.elements(k.typ, elem, flags))
		g.sets = append(g.sets, s)
	}
	for i := range g.r.IntN(4) {
		k := g.keys()[g.r.IntN(len(g.keys()))]
		m := vmap{name: fmt.Sprintf("m%d", i), family: family, expr: k.expr, proto: k.proto, marks: g.p(30)}
		value, data := g.mark, "mark"
		if !m.marks && len(chains) > 0 {
			p := chains[g.r.IntN(len(chains))]
			m.hook, m.typ, data = p.hook, p.typ, "verdict"
			if p.user {
				p.calls = nil
			}
			value = func() string { return g.leads(p) }
		}
		elem, flags := k.elem, ""
		if g.p(30) {
			elem, flags = k.span, "flags interval; "
		}
		pair := func(g *gen) string { return elem(g) + " : " + value() }
		fmt.Fprintf(b, "\tmap %s { type %s : %s; %selements = %s; }\n", m.name, k.typ, data, flags, g.elements(k.typ, pair, flags))
		g.maps = append(g.maps, m)
	}
}

// elements returns elements. Of intervals there is one, for others might overlap it, unless they are merged.
func (g *gen) elements(typ string, elem func(*gen) string, flags string) string {
	n := 1 + g.r.IntN(6)
	if strings.Contains(flags, "interval") && !strings.Contains(flags, "auto-merge") {
		n = 1
	}
	seen := map[string]bool{}
	var list []string
	for range n {
		s := elem(g)
		key, _, _ := strings.Cut(s, " : ")
		if !seen[key] {
			seen[key] = true
			list = append(list, s)
		}
	}
	return "{ " + strings.Join(list, ", ") + " }"
}

func (g *gen) mark() string { return g.pick("0x0", "0x1", "0x2", "0x4000", "0x10") }

// leads returns a verdict.
func (g *gen) leads(p place) string {
	list := []string{"accept", "drop", "return", "continue"}
	for _, c := range p.calls {
		list = append(list, "jump "+c, "jump "+c, "goto "+c)
	}
	return g.pick(list...)
}
