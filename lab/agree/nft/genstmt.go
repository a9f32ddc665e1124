//go:build linux

package nft

import (
	"fmt"

	"github.com/plumbnet/plumb/lab/agree/rules"
)

// statement returns a statement that goes before the verdict, or "".
func (g *gen) statement(d *draft) string {
	list := []string{"counter", "meta mark set " + g.marks(), "meta mark set " + g.marks(), "ct mark set " + g.ctmarks(), "counter", `log group 9`}
	for _, s := range g.sets {
		if s.dynamic && g.suits(d, s.expr, s.proto) {
			add := fmt.Sprintf("%s @%s { %s }", g.pick("add", "update"), s.name, s.expr)
			list = append(list, add, add)
		}
	}
	for _, m := range g.maps {
		if m.marks && g.suits(d, m.expr, m.proto) {
			list = append(list, "meta mark set "+m.expr+" map @"+m.name)
		}
	}
	if d.hook == "prerouting" && d.typ == "filter" && d.prio < -200 {
		list = append(list, "notrack", "ct zone set "+g.pick("5", "7"))
	}
	if d.typ != "nat" {
		list = append(list, g.ip()+" dscp set "+g.pick("ef", "cs1"))
		if d.proto == "tcp" && d.hook != "input" {
			list = append(list, "tcp option maxseg size set "+g.pick("1300", "1000", "1450", "rt mtu"))
		}
		if d.hook == "forward" || d.hook == "prerouting" {
			list = append(list, g.both("ip ttl", "ip6 hoplimit")+" set 33")
		}
	}
	return g.pick(list...)
}

func (g *gen) marks() string {
	ip := g.ip()
	return g.pick("0x1", "0x2", "meta mark or 0x4000", "meta mark xor 0x4000", "meta mark and 0xff", "meta mark & 0xf | 0x10", "ct mark", "meta mark << 1", "ct mark >> 1",
		"numgen random mod 3", "numgen inc mod 2 offset 16", fmt.Sprintf("%s saddr map { %s : 0x1, %s : 0x2 }", ip, g.clients[0], g.clients[1]),
		fmt.Sprintf("jhash %s saddr . %s daddr mod 4 seed 0xabc offset 1", ip, ip), "symhash mod 2", "numgen random mod 2 map { 0 : 0x1, 1 : 0x2 }")
}

func (g *gen) ctmarks() string {
	return g.pick("0x1", "0x2", "meta mark", "ct mark or 0x4000", "meta mark and 0xff", "ct mark xor 0x1", "meta mark << 2")
}

// verdict returns what ends the rule.
func (g *gen) verdict(d *draft) string {
	if len(d.calls) > 0 && g.p(40) {
		return g.call(d)
	}
	if d.typ == "nat" && g.p(70) {
		return g.nat(d)
	}
	switch n := g.r.IntN(20); {
	case n < 5:
		return "accept"
	case n < 8:
		d.few = true
		return "drop"
	case n < 10:
		return "return"
	case n < 12 && d.typ == "filter" && d.hook != "postrouting" && d.hook != "prerouting":
		d.few = true
		return g.reject(d)
	case n < 14:
		return g.vmap(d)
	case n < 15 && d.hook == "prerouting" && d.typ == "filter" && (d.proto == "udp" || d.proto == "tcp"):
		return g.tproxy(d)
	case n < 16 && d.hook == "prerouting" && d.typ == "filter":
		// A packet that comes round by lo keeps the route that it left with; and an answer that is
		// changed makes a connection that competes for the tuples of the one it answers.
		d.parts = nil
		return fmt.Sprintf(`iifname "in0" %s saddr %s %s daddr set %s`, g.ip(), g.clients[g.r.IntN(len(g.clients))], g.ip(), g.servers[g.r.IntN(len(g.servers))])
	}
	return g.statement(d)
}

func (g *gen) call(d *draft) string {
	c := d.calls[g.r.IntN(len(d.calls))]
	switch g.r.IntN(6) {
	case 0:
		return fmt.Sprintf("numgen random mod 3 vmap { 0 : %s, 1 : %s }", g.leads(d.place), g.leads(d.place))
	case 1:
		return g.vmap(d)
	}
	return g.pick("jump ", "jump ", "goto ") + c
}

func (g *gen) vmap(d *draft) string {
	d.few = true
	for _, m := range g.maps {
		if !m.marks && m.hook == d.hook && m.typ == d.typ && !d.user && g.p(60) && g.suits(d, m.expr, m.proto) {
			return m.expr + " vmap @" + m.name
		}
	}
	lead := func() string { return g.leads(d.place) }
	ip := g.ip()
	return g.pick(
		fmt.Sprintf("ct state vmap { new : %s, established : %s, invalid : %s }", lead(), lead(), lead()),
		fmt.Sprintf("%s saddr vmap { %s : %s, %s : %s }", ip, g.clients[0], lead(), g.clients[1], lead()),
		fmt.Sprintf("%s daddr vmap { %s : %s, %s : %s }", ip, g.both("10.2.0.0/24", "fd00:2::/64"), lead(), g.both("10.96.0.0/12", "fd00:96::/28"), lead()),
		fmt.Sprintf("meta mark vmap { 0x0 : %s, 0x1-0x3 : %s }", lead(), lead()),
		fmt.Sprintf("meta l4proto vmap { tcp : %s, udp : %s }", lead(), lead()),
		fmt.Sprintf("meta l4proto . th dport vmap { tcp . 80 : %s, udp . 53 : %s, tcp . 443 : %s }", lead(), lead(), lead()),
		fmt.Sprintf("fib daddr type vmap { local : %s, unicast : %s }", lead(), lead()),
		fmt.Sprintf("jhash %s saddr mod 2 seed 0x1 vmap { 0 : %s, 1 : %s }", ip, lead(), lead()),
		fmt.Sprintf("numgen inc mod 4 vmap { 0 : %s, 1-2 : %s }", lead(), lead()),
		fmt.Sprintf("%s saddr vmap { %s : %s, * : %s }", ip, g.clients[0], lead(), lead()),
	)
}

func (g *gen) reject(d *draft) string {
	switch {
	case d.proto == "tcp" && g.p(50):
		return "reject with tcp reset"
	case d.family == "inet" && g.p(50):
		return "reject with icmpx " + g.pick("port-unreachable", "admin-prohibited", "no-route", "host-unreachable")
	case g.p(50):
		return "reject"
	}
	return "reject with " + g.both("icmp "+g.pick("host-unreachable", "net-unreachable", "prot-unreachable", "port-unreachable", "net-prohibited", "host-prohibited", "admin-prohibited"),
		"icmpv6 "+g.pick("no-route", "admin-prohibited", "addr-unreachable", "port-unreachable", "policy-fail", "reject-route"))
}

func (g *gen) tproxy(d *draft) string {
	family := ""
	if d.family == "inet" {
		family = g.ip() + " "
	}
	return fmt.Sprintf("tproxy %sto :%d%s", family, rules.ProxyPort, g.pick("", " accept", " meta mark set 0x100 accept", " meta mark set 0x100"))
}

func (d *draft) hasPorts() bool { return d.proto == "tcp" || d.proto == "udp" || d.proto == "sctp" }

func (g *gen) nat(d *draft) string {
	d.few = g.p(70)
	family := ""
	if d.family == "inet" {
		family = " " + g.ip()
	}
	if d.hook == "prerouting" || d.hook == "output" {
		return g.dnat(d, family)
	}
	return g.snat(d, family)
}

func (g *gen) dnat(d *draft, family string) string {
	ip := g.ip()
	a, b := g.servers[g.r.IntN(len(g.servers))], g.addr()
	switch g.r.IntN(12) {
	case 0, 1:
		if d.hasPorts() {
			return "redirect to :" + g.pick("8080", "9000", "9000-9010")
		}
		return "redirect"
	case 2:
		return fmt.Sprintf("dnat%s to numgen random mod 2 map { 0 : %s, 1 : %s }", family, a, b)
	case 3:
		return fmt.Sprintf("dnat%s to %s daddr map { %s : %s, %s : %s }", family, ip, g.servers[0], a, g.servers[1], b)
	case 4:
		if d.hasPorts() {
			return fmt.Sprintf("dnat %s to %s daddr . %s dport map { %s . 80 : %s . 8080, %s . 443 : %s . 8443 }", ip, ip, d.proto, g.servers[0], a, g.servers[1], b)
		}
	case 5:
		return fmt.Sprintf("dnat%s to jhash %s saddr mod 2 seed 0x99 map { 0 : %s, 1 : %s }", family, ip, a, b)
	case 6:
		return fmt.Sprintf("dnat %s prefix to %s daddr map { %s : %s }", ip, ip, g.both("10.96.0.0/16", "fd00:96::/64"), g.both("10.2.0.0/16", "fd00:2::/64"))
	case 7:
		return fmt.Sprintf("dnat%s to %s-%s%s", family, a, a.Next().Next(), g.pick("", " persistent"))
	}
	to := a.String()
	if !d.hasPorts() || g.p(35) {
		return "dnat" + family + " to " + to + g.pick("", "", " random")
	}
	if g.p(10) {
		return "dnat" + family + " to :" + g.pick("8080", "9000-9010")
	}
	if g.v6 {
		to = "[" + to + "]"
	}
	return "dnat" + family + " to " + to + ":" + g.pick("8080", "80", "9000-9010", "9443")
}

func (g *gen) snat(d *draft, family string) string {
	masq := d.hook == "postrouting" && g.p(45)
	switch {
	case masq && (!d.hasPorts() || g.p(60)):
		return "masquerade" + g.pick("", "", " fully-random", " random")
	case masq:
		g.oneByOne = true
		return "masquerade to :" + g.pick("5000", "5000-5100", "20000-30000")
	case g.p(10):
		return fmt.Sprintf("snat %s prefix to %s saddr map { %s : %s }", g.ip(), g.ip(), g.both("10.1.0.0/16", "fd00:1::/64"), g.both("10.77.0.0/16", "fd00:77::/64"))
	}
	to := g.both(g.pick("10.2.0.1", "10.77.0.9", "10.77.0.1-10.77.0.3", "10.2.0.3"), g.pick("fd00:2::1", "fd00:77::9", "fd00:77::1-fd00:77::3", "fd00:2::77"))
	if !d.hasPorts() || g.p(65) || len(to) > 12 {
		return "snat" + family + " to " + to + g.pick("", "", " persistent", " random", " fully-random")
	}
	g.oneByOne = true
	if g.v6 {
		to = "[" + to + "]"
	}
	return "snat" + family + " to " + to + ":" + g.pick("6000", "6000-6050", "20000-30000")
}
