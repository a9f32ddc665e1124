//go:build linux

package rules

import (
	"fmt"
	"net/netip"
	"strings"
)

// target returns what d's rule does.
func (g *gen) target(d *draft) string {
	if len(d.calls) > 0 && g.p(25) {
		return pick(g, "-j ", "-j ", "-j ", "-j ", "-g ") + pick(g, d.calls...)
	}
	switch g.r.IntN(20) {
	case 0, 1:
		d.need = 1
		return "-j RETURN"
	case 2:
		return pick(g, "-j LOG", `-j LOG --log-prefix "a b: " --log-level 4`, "-j NFLOG --nflog-group 9", "", "-j NFLOG --nflog-prefix drop")
	case 3, 4:
		d.need = 1
		return "-j ACCEPT"
	case 5, 6:
		return g.markTarget()
	}
	switch d.table {
	case "raw":
		return g.rawTarget(d)
	case "mangle":
		return g.mangleTarget(d)
	case "nat":
		return g.natTarget(d)
	}
	return g.filterTarget(d)
}

func (g *gen) markTarget() string {
	return "-j " + pick(g, "MARK --set-xmark 0x1/0xffffffff", "MARK --set-xmark 0x4000/0x4000", "MARK --set-mark 0x12", "MARK --and-mark 0xf0", "MARK --or-mark 0x10",
		"MARK --xor-mark 0x3", "MARK --set-xmark 0x2/0x3", "CONNMARK --set-xmark 0x1/0xffffffff", "CONNMARK --set-mark 0x10/0xf0", "CONNMARK --save-mark",
		"CONNMARK --restore-mark", "CONNMARK --save-mark --nfmask 0xff --ctmask 0xff", "CONNMARK --restore-mark --nfmask 0xf --ctmask 0xf", "CONNMARK --or-mark 0x4000", "CONNMARK --and-mark 0xff", "CONNMARK --xor-mark 0x1")
}

func (g *gen) rawTarget(d *draft) string {
	switch g.r.IntN(8) {
	case 0, 1:
		d.need = 1
		return pick(g, "-j CT --notrack", "-j NOTRACK")
	case 2:
		d.need = 1
		return "-j CT --zone " + pick(g, "1", "2")
	case 3:
		d.need = 2
		return "-j DROP"
	}
	return g.markTarget()
}

func (g *gen) mangleTarget(d *draft) string {
	if d.proto == "tcp" && d.syn {
		if !d.only("PREROUTING INPUT") && g.p(40) {
			return "-j TCPMSS --clamp-mss-to-pmtu"
		}
		return "-j TCPMSS --set-mss " + pick(g, "1360", "1000", "1460")
	}
	if d.proto == "udp" && d.only("PREROUTING") && g.p(60) {
		return "-j TPROXY --on-port 7777 " + pick(g, "", "--on-ip "+g.both("10.1.0.1", "fd00:1::1")+" ") + "--tproxy-mark 0x100/0x100"
	}
	switch g.r.IntN(9) {
	case 0:
		d.need = 2
		return "-j DROP"
	case 1:
		return pick(g, "-j TOS --set-tos 0x08/0xff", "-j TOS --or-tos 0x10", "-j DSCP --set-dscp 0x2e", "-j DSCP --set-dscp-class CS1",
			g.both("-j TTL --ttl-set 33", "-j HL --hl-set 33"), g.both("-j TTL --ttl-inc 2", "-j HL --hl-inc 2"))
	}
	return g.markTarget()
}

func (g *gen) filterTarget(d *draft) string {
	switch g.r.IntN(6) {
	case 0, 1:
		d.need = 1
		return "-j DROP"
	case 2, 3:
		d.need = 1
		return g.reject(d)
	}
	return "-j ACCEPT"
}

func (g *gen) reject(d *draft) string {
	if d.proto == "tcp" && g.p(60) {
		return "-j REJECT --reject-with tcp-reset"
	}
	if g.v6 {
		return "-j REJECT" + pick(g, "", " --reject-with icmp6-adm-prohibited", " --reject-with icmp6-no-route", " --reject-with icmp6-addr-unreachable", " --reject-with icmp6-port-unreachable",
			" --reject-with icmp6-policy-fail", " --reject-with icmp6-reject-route")
	}
	return "-j REJECT" + pick(g, "", " --reject-with icmp-port-unreachable", " --reject-with icmp-host-unreachable", " --reject-with icmp-net-unreachable", " --reject-with icmp-proto-unreachable",
		" --reject-with icmp-net-prohibited", " --reject-with icmp-host-prohibited", " --reject-with icmp-admin-prohibited")
}

func (g *gen) natTarget(d *draft) string {
	if g.p(70) {
		d.need = 1
	}
	if d.only("PREROUTING OUTPUT") {
		return g.dstNAT(d)
	}
	return g.srcNAT(d)
}

func (d *draft) hasPorts() bool { return d.proto == "tcp" || d.proto == "udp" || d.proto == "sctp" }

func (g *gen) dstNAT(d *draft) string {
	switch g.r.IntN(10) {
	case 0:
		return "-j NETMAP --to " + g.both("10.2.0.0/24", "fd00:2::/64")
	case 1, 2, 3:
		if !d.hasPorts() || g.p(40) {
			return "-j REDIRECT"
		}
		return "-j REDIRECT --to-ports " + pick(g, "8080", "9000-9010", "9000", "9000-9010 --random")
	}
	a := g.dnatTo()
	to := a.String()
	if g.p(15) {
		to = fmt.Sprintf("%s-%s", a, a.Next().Next())
	}
	if !d.hasPorts() || g.p(35) {
		return "-j DNAT --to-destination " + to + pick(g, "", "", " --persistent", " --random")
	}
	if g.v6 {
		to = "[" + to + "]"
	}
	port := pick(g, ":8080", ":80", ":9000-9010", ":9443", ":9000-9010")
	if port[1:3] == "90" && g.p(30) {
		port += " --random"
	}
	if g.p(10) {
		to = ""
	}
	return "-j DNAT --to-destination " + to + port
}

func (g *gen) srcNAT(d *draft) string {
	masq := d.only("POSTROUTING") && g.p(45)
	switch {
	case masq && (!d.hasPorts() || g.p(60)):
		return "-j MASQUERADE" + pick(g, "", "", " --random-fully", " --random")
	case masq:
		g.oneByOne = true
		return "-j MASQUERADE --to-ports " + pick(g, "5000", "5000-5100", "20000-30000", "5000-5100 --random")
	case g.p(12):
		return "-j NETMAP --to " + g.both("10.77.0.0/16", "fd00:77::/32")
	}
	to := g.both(pick(g, "10.2.0.1", "10.77.0.9", "10.77.0.1-10.77.0.3", "10.2.0.3"), pick(g, "fd00:2::1", "fd00:77::9", "fd00:77::1-fd00:77::3", "fd00:2::77"))
	if !d.hasPorts() || g.p(65) {
		return "-j SNAT --to-source " + to + pick(g, "", "", " --persistent", " --random", " --random-fully")
	}
	g.oneByOne = true
	if strings.Contains(to, ":") {
		to = "[" + to + "]"
	}
	return "-j SNAT --to-source " + to + ":" + pick(g, "6000", "6000-6050", "20000-30000", "6000-6050 --random")
}

func (g *gen) both(v4, v6 string) string {
	if g.v6 {
		return v6
	}
	return v4
}

// dnatTo is a server, sometimes a client or the router itself.
func (g *gen) dnatTo() netip.Addr {
	if g.p(75) {
		return pick(g, g.family(servers)...)
	}
	return pick(g, g.family(append(append([]netip.Addr(nil), locals...), clients...))...)
}
