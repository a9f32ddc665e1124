//go:build linux

package nft

import (
	"fmt"
	"strings"
)

// A kind is a kind of match.
type kind struct {
	name   string
	weight int    // of 12
	hooks  string // "" for all
	make   func(*gen, *draft) string
}

var kinds = []kind{
	{"address", 12, "", (*gen).address},
	{"address2", 8, "", (*gen).address},
	{"set", 10, "", matchSet},
	{"iif", 8, "prerouting input forward output", func(g *gen, d *draft) string {
		return g.pick("iifname ", "iif ", "meta iifname ") + g.not() + g.pick("in0", "in0", "in1", "lo", "out0")
	}},
	{"iifset", 4, "prerouting input forward", func(g *gen, d *draft) string {
		return g.pick(`iifname "in*"`, `iifname { "in0", "in1" }`, "iif { in0, lo }", `iifname != { "in0", "out0" }`)
	}},
	{"oif", 8, "", func(g *gen, d *draft) string {
		return g.pick("oifname ", "oif ") + g.not() + g.pick("out0", "out0", "in0", "lo")
	}},
	{"ctstate", 10, "", func(g *gen, d *draft) string {
		return "ct state " + g.pick("new", "new", "established", "established,related", "invalid", "untracked", "invalid,new", "{ new, invalid }", "{ established, untracked }", "!= established", "!= new", "! invalid", "& (new|established) == new")
	}},
	{"ctother", 7, "", matchCT},
	{"mark", 9, "", func(g *gen, d *draft) string {
		return "meta mark " + g.pick("0x0", "0x1", "!= 0x0", "& 0xf == 0x1", "& 0x4000 == 0x4000", "& 0x3 != 0x0", "{ 0x1, 0x2 }", "0x1-0x10", "> 0x1", "and 0x4000 == 0")
	}},
	{"ctmark", 5, "", func(g *gen, d *draft) string {
		return "ct mark " + g.pick("0x0", "0x1", "!= 0x0", "& 0xf == 0x1", "{ 0x0, 0x2 }", "0x1-0x10")
	}},
	{"l4proto", 6, "", func(g *gen, d *draft) string {
		return "meta l4proto " + g.pick("!= tcp", "{ tcp, udp }", "!= { udp, sctp }", "{ icmp, ipv6-icmp }", "!= 17")
	}},
	{"length", 4, "", func(g *gen, d *draft) string {
		return "meta length " + g.pick("100-200", "< 150", "> 180", ">= 160", "!= 100-140")
	}},
	{"hops", 4, "", func(g *gen, d *draft) string {
		return g.both("ip ttl ", "ip6 hoplimit ") + g.pick("64", "> 63", "< 10", "!= 9", "{ 9, 64 }", "5-70")
	}},
	{"dscp", 4, "", func(g *gen, d *draft) string {
		return g.ip() + " dscp " + g.pick("ef", "!= ef", "cs0", "{ ef, 2 }", "0x02", "!= { cs0, 4 }")
	}},
	{"plen", 2, "", func(g *gen, d *draft) string {
		return g.ip() + " length " + g.pick("< 120", "100-200", "> 90")
	}},
	{"fragoff", 2, "", func(g *gen, d *draft) string {
		return g.both("ip frag-off "+g.pick("& 0x1fff == 0", "& 0x4000 != 0", "0x4000"), "exthdr frag "+g.pick("exists", "missing"))
	}},
	{"protocol", 3, "", func(g *gen, d *draft) string {
		return g.both("ip protocol ", "ip6 nexthdr ") + g.pick("tcp", "!= tcp", "{ tcp, udp }", "udp")
	}},
	{"fibtype", 6, "", func(g *gen, d *draft) string {
		return g.pick("fib daddr type ", "fib daddr type ", "fib saddr type ") + g.pick("local", "!= local", "unicast", "{ local, unicast }", "broadcast")
	}},
	{"fibvmap", 2, "", func(g *gen, d *draft) string { return "fib daddr type { local, unicast }" }},
	{"fiboif", 5, "prerouting", func(g *gen, d *draft) string {
		return g.pick("fib saddr . iif oif ", "fib saddr oif ", "fib saddr . mark . iif oif ") + g.pick("missing", "exists", "exists")
	}},
	{"ether", 4, "prerouting input forward", func(g *gen, d *draft) string {
		return "ether saddr " + g.pick("02:00:00:00:01:02", "!= 02:00:00:00:01:03", "{ 02:00:00:00:01:02, 02:00:00:00:01:04 }")
	}},
	{"skuid", 5, "output postrouting", func(g *gen, d *draft) string {
		return "meta skuid " + g.pick("1000", "!= 1000", "0", "{ 0, 1000 }", "0-999", "> 5")
	}},
	{"numgen", 5, "", func(g *gen, d *draft) string {
		return g.pick("numgen random mod 2 0", "numgen random mod 100 < 30", "numgen inc mod 3 0", "numgen random mod 10 { 1, 3-5 }", "numgen random mod 4 offset 2 != 3", "meta random > 1000000000")
	}},
	{"jhash", 4, "", func(g *gen, d *draft) string {
		return g.pick(
			fmt.Sprintf("jhash %s saddr mod 2 seed 0x5eed 0", g.ip()),
			fmt.Sprintf("jhash %s saddr . %s daddr mod 8 seed 0xdeadbeef < 4", g.ip(), g.ip()),
			fmt.Sprintf("jhash %s daddr . meta mark mod 5 seed 0x7 offset 10 { 10, 12, 13 }", g.ip()),
			fmt.Sprintf("jhash %s saddr mod 2 0", g.ip()), "symhash mod 2 1")
	}},
	{"limit", 1, "", func(g *gen, d *draft) string {
		return g.pick("limit rate 10/second", "limit rate over 1000/second", "limit rate 1/hour burst 1 packets")
	}},
	{"quota", 2, "", func(g *gen, d *draft) string {
		return g.pick("quota over 1 bytes", "quota 100 mbytes", "quota over 100 mbytes", "quota 1 bytes")
	}},
	{"socket", 1, "prerouting input", func(g *gen, d *draft) string {
		if d.typ == "nat" {
			return ""
		}
		return g.pick("socket transparent 1", "socket wildcard 0", "socket transparent 0")
	}},
	{"nfproto", 3, "", func(g *gen, d *draft) string {
		if d.family != "inet" {
			return ""
		}
		return g.pick("meta nfproto "+g.both("ipv4", "ipv6"), "meta nfproto { ipv4, ipv6 }", "meta protocol "+g.ip(), "meta protocol { ip, ip6 }")
	}},
	{"strange", 1, "", func(g *gen, d *draft) string {
		return g.pick("meta cpu 0", "meta priority 0", "meta day Monday", "ct bytes > 100", "ct id 5", "ct label 1")
	}},
	{"concat", 6, "", func(g *gen, d *draft) string {
		ip := g.ip()
		return g.pick(
			fmt.Sprintf("%s saddr . %s daddr ", ip, ip)+g.not()+g.some(3, func() string { return g.addr().String() + " . " + g.addr().String() }),
			fmt.Sprintf("%s saddr . meta mark ", ip)+g.not()+g.some(3, func() string { return g.prefix() + " . " + g.mark() }),
			fmt.Sprintf("iifname . %s daddr . meta l4proto ", ip)+g.some(4, func() string {
				return g.pick(`"in0"`, `"out0"`, `"in1"`) + " . " + g.addr().String() + " . " + g.pick("tcp", "udp")
			}))
	}},
	{"otherfamily", 2, "", func(g *gen, d *draft) string {
		if d.family != "inet" {
			return ""
		}
		return g.both("ip6 saddr fd00:1::2", "ip saddr 10.1.0.2")
	}},
	{"raw", 2, "", func(g *gen, d *draft) string {
		return g.pick("@th,16,16 80", "@nh,"+g.both("72,8", "48,8")+" 6")
	}},
	{"ttlbits", 2, "", func(g *gen, d *draft) string {
		return g.both("ip saddr & 0.0.0.255 == 0.0.0.2", "ip6 saddr & ::ff == ::2")
	}},
}

func (g *gen) address(d *draft) string {
	expr := g.ip() + " " + g.pick("saddr ", "daddr ")
	switch g.r.IntN(8) {
	case 0:
		return expr + g.not() + g.span()
	case 1, 2:
		return expr + g.not() + g.prefix()
	case 3:
		return expr + g.not() + g.some(4, func() string { return g.addr().String() })
	case 4:
		return expr + g.pick("> ", "< ", "<= ", ">= ") + g.addr().String()
	}
	return expr + g.not() + g.addr().String()
}

func matchCT(g *gen, d *draft) string {
	ip := g.ip()
	return g.pick(
		"ct direction original", "ct direction reply", "ct direction != reply",
		"ct status snat", "ct status dnat", "ct status seen-reply", "ct status confirmed", "ct status != dnat", "ct status ! snat,dnat", "ct status snat,dnat",
		fmt.Sprintf("ct original %s saddr %s", ip, g.prefix()), fmt.Sprintf("ct original %s daddr %s%s", ip, g.not(), g.addr()),
		fmt.Sprintf("ct reply %s saddr %s", ip, g.addr()), fmt.Sprintf("ct reply %s daddr %s", ip, g.prefix()),
		"ct protocol tcp", "ct protocol != udp", "meta l4proto tcp ct original proto-dst "+g.port(), "ct original proto-src 20000-20006",
		"ct zone 0", "ct zone 5", `ct helper "ftp"`, "ct expiration > 1s", "ct mark . meta mark { 0x0 . 0x0, 0x1 . 0x1 }")
}

func matchSet(g *gen, d *draft) string {
	if len(g.sets) == 0 {
		return ""
	}
	s := g.sets[g.r.IntN(len(g.sets))]
	if !g.suits(d, s.expr, s.proto) {
		return ""
	}
	return s.expr + " " + g.not() + "@" + s.name
}

// suits reports whether an expression can stand in the rule: iifname where there is one, ports with their protocol.
func (g *gen) suits(d *draft, expr, proto string) bool {
	switch {
	case proto == "any":
		return d.proto == "tcp" || d.proto == "udp" || d.proto == "sctp"
	case proto != "":
		return d.proto == "" || d.proto == proto
	case strings.Contains(expr, "th dport"):
		return true
	}
	return true
}

// protocol adds a match of the protocol.
func (g *gen) protocol(d *draft) {
	icmp := g.both("icmp", "icmpv6")
	d.proto = g.pick("tcp", "tcp", "tcp", "udp", "udp", icmp, "sctp")
	switch d.proto {
	case icmp:
		d.parts = append(d.parts, icmp+" type "+g.pick("echo-request", "echo-request", "echo-reply", "!= echo-request", "{ echo-request, destination-unreachable }"))
	case "tcp":
		d.parts = append(d.parts, g.pick(g.ports(d.proto), g.ports(d.proto), g.flags(), "meta l4proto tcp", "meta l4proto tcp tcp option maxseg "+g.pick("size 1400-65535", "size 1200", "size != 1460", "exists", "missing")))
	default:
		d.parts = append(d.parts, g.pick(g.ports(d.proto), g.ports(d.proto), "meta l4proto "+d.proto))
	}
}

func (g *gen) ports(proto string) string {
	if g.p(20) {
		return "meta l4proto " + proto + " th " + g.pick("dport ", "sport ") + g.not() + g.port()
	}
	s := proto + " " + g.pick("dport ", "dport ", "dport ", "sport ")
	switch g.r.IntN(6) {
	case 0:
		return s + g.not() + g.pick("1-1023", "80-443", "20000-20004", "1024-65535")
	case 1:
		return s + g.not() + g.some(3, g.port)
	case 2:
		return s + g.pick("> 100", "< 1024", ">= 8080", "{ 53, 80-90, 8000-8100 }")
	}
	return s + g.not() + g.port()
}

func (g *gen) flags() string {
	return "tcp flags " + g.pick("syn", "== syn", "!= syn", "! syn", "syn,ack", "& (fin|syn|rst|ack) == syn", "& (syn|rst) == syn", "& syn == 0", "& (fin|ack) == (fin|ack)", "{ syn, ack }", "!= syn,ack", "& (syn|ack) != syn")
}
