//go:build linux

package rules

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

const (
	inHooks  = "PREROUTING INPUT FORWARD"
	outHooks = "FORWARD OUTPUT POSTROUTING"
)

var kinds = []kind{
	{"src", 12, "", func(g *gen, d *draft) string { return g.address("-s") }},
	{"dst", 12, "", func(g *gen, d *draft) string { return g.address("-d") }},
	{"in", 8, "", matchIn},
	{"out", 8, "", matchOut},
	{"ctstate", 9, "", matchState},
	{"ctother", 5, "", matchConntrack},
	{"mark", 8, "", func(g *gen, d *draft) string { return "-m mark " + g.not() + "--mark " + g.mark() }},
	{"connmark", 5, "", func(g *gen, d *draft) string { return "-m connmark " + g.not() + "--mark " + g.mark() }},
	{"multiport", 9, "", matchMultiport},
	{"iprange", 6, "", matchIPRange},
	{"set", 9, "", matchSet},
	{"addrtype", 6, "", matchAddrType},
	{"length", 4, "", func(g *gen, d *draft) string {
		return "-m length " + g.not() + "--length " + pick(g, "0:100", "100:65535", "80:160", "0:200")
	}},
	{"ttl", 4, "", matchTTL},
	{"tos", 3, "", func(g *gen, d *draft) string {
		return "-m tos " + g.not() + "--tos " + pick(g, "0x08/0xff", "0x10/0x3f", "0x00/0x3f")
	}},
	{"dscp", 3, "", func(g *gen, d *draft) string {
		return "-m dscp " + g.not() + "--dscp " + pick(g, "0x02", "0x2e", "0x00")
	}},
	{"mac", 4, inHooks, func(g *gen, d *draft) string {
		return "-m mac " + g.not() + "--mac-source " + pick(g, "02:00:00:00:01:02", "02:00:00:00:01:03")
	}},
	{"rpfilter", 5, "PREROUTING", matchRPFilter},
	{"owner", 6, "OUTPUT POSTROUTING", func(g *gen, d *draft) string {
		return "-m owner " + pick(g, "--uid-owner 1000", "! --uid-owner 1000", "--uid-owner 0-999", "--uid-owner 0", "--gid-owner 0", "! --gid-owner 0", "--socket-exists", "! --socket-exists", "--uid-owner 1000 --gid-owner 0")
	}},
	{"statistic", 5, "", func(g *gen, d *draft) string {
		return "-m statistic " + pick(g, "--mode random --probability 0.5", "--mode random ! --probability 0.25", "--mode random --probability 0.33333", "--mode nth --every 3 --packet 0", "--mode nth ! --every 2 --packet 1")
	}},
	{"limit", 1, "", func(g *gen, d *draft) string {
		return "-m limit --limit " + pick(g, "10/sec", "1/hour --limit-burst 1")
	}},
	{"hashlimit", 1, "", func(g *gen, d *draft) string {
		return "-m hashlimit --hashlimit-upto 10/sec --hashlimit-burst 5 --hashlimit-mode srcip --hashlimit-name h" + fmt.Sprint(g.seed%1000)
	}},
	{"recent", 1, "", func(g *gen, d *draft) string {
		return "-m recent --name r1 " + pick(g, "--rcheck --seconds 60", "--set", "--update")
	}},
	{"comment", 3, "", func(g *gen, d *draft) string {
		return "-m comment --comment " + pick(g, "plain", `"two words"`, `"a \"quote\" -j DROP"`, `"! --dport"`)
	}},
	{"physdev", 2, "", matchPhysdev},
	{"frag", 1, "", func(g *gen, d *draft) string {
		if g.v6 {
			return ""
		}
		return g.not() + "-f"
	}},
	{"strange", 1, "", func(g *gen, d *draft) string {
		return pick(g, "-m pkttype --pkt-type unicast", "-m cpu --cpu 0", "-m string --algo bm --string plmb", "-m u32 --u32 0=0")
	}},
	{"comment2", 2, "", func(g *gen, d *draft) string {
		return "-m comment --comment one -m comment --comment two"
	}},
	{"set2", 3, "", matchSet},
	{"tcpmss", 2, "", func(g *gen, d *draft) string {
		if d.proto != "tcp" || !d.syn {
			return ""
		}
		return "-m tcpmss " + g.not() + "--mss " + pick(g, "1400:65535", "1200", "0:1300")
	}},
	{"helper", 1, "", func(g *gen, d *draft) string { return "-m helper --helper ftp" }},
	{"socket", 1, "PREROUTING INPUT", func(g *gen, d *draft) string {
		if d.table == "nat" {
			return ""
		}
		return "-m socket " + pick(g, "--nowildcard", "--transparent")
	}},
}

func matchIn(g *gen, d *draft) string {
	if strings.Contains(strings.Join(d.hooks, " "), "POSTROUTING") && !(g.postIn && d.user) || !d.user && !d.only(inHooks) {
		return ""
	}
	return g.not() + "-i " + pick(g, "in0", "in0", "in1", "in+", "out0", "lo")
}

func matchOut(g *gen, d *draft) string {
	if !d.user && !d.only(outHooks) {
		return ""
	}
	return g.not() + "-o " + pick(g, "out0", "out0", "in0", "in+", "lo")
}

func matchState(g *gen, d *draft) string {
	s := pick(g, "NEW", "NEW", "ESTABLISHED", "RELATED,ESTABLISHED", "INVALID", "UNTRACKED", "INVALID,NEW", "NEW,UNTRACKED", "DNAT", "SNAT", "ESTABLISHED,DNAT")
	if g.p(20) && !strings.Contains(s, "NAT") {
		return "-m state " + g.not() + "--state " + s
	}
	return "-m conntrack " + g.not() + "--ctstate " + s
}

func matchConntrack(g *gen, d *draft) string {
	return "-m conntrack " + pick(g,
		func() string { return g.not() + "--ctproto " + pick(g, "6", "17", "1") },
		func() string { return g.not() + "--ctorigdst " + g.prefix() },
		func() string { return g.not() + "--ctorigsrc " + g.prefix() },
		func() string { return g.not() + "--ctreplsrc " + g.prefix() },
		func() string { return g.not() + "--ctrepldst " + g.prefix() },
		func() string { return g.not() + "--ctorigdstport " + g.portRange() },
		func() string { return "--ctdir " + pick(g, "ORIGINAL", "REPLY") },
		func() string { return g.not() + "--ctstatus " + pick(g, "CONFIRMED", "SEEN_REPLY", "NONE") },
		func() string { return "--ctstate NEW --ctorigdst " + g.prefix() },
	)()
}

func matchMultiport(g *gen, d *draft) string {
	if d.proto != "tcp" && d.proto != "udp" && d.proto != "sctp" {
		return ""
	}
	return "-m multiport " + g.not() + pick(g, "--dports ", "--dports ", "--sports ", "--ports ") +
		pick(g, "53,80", "80,443,8080", "20000:20005", "1:79,81:100", "53,8000:8100,30080", "20001,20003,20006:20009,80")
}

func matchIPRange(g *gen, d *draft) string {
	lo, hi := g.addr(), g.addr()
	if hi.Less(lo) {
		lo, hi = hi, lo
	}
	return fmt.Sprintf("-m iprange %s%s %s-%s", g.not(), pick(g, "--src-range", "--dst-range"), lo, hi)
}

func matchSet(g *gen, d *draft) string {
	if len(g.sets) == 0 {
		return ""
	}
	s := pick(g, g.sets...)
	return fmt.Sprintf("-m set %s--match-set %s %s%s", g.not(), s.name, pick(g, s.flags...), pick(g, "", "", "", " --return-nomatch"))
}

func matchAddrType(g *gen, d *draft) string {
	s := "-m addrtype " + g.not() + pick(g, "--dst-type ", "--dst-type ", "--src-type ") + pick(g, "LOCAL", "LOCAL", "UNICAST", "BROADCAST", "LOCAL,BROADCAST", "MULTICAST", "UNREACHABLE")
	if g.v6 {
		s = strings.ReplaceAll(strings.ReplaceAll(s, "LOCAL,BROADCAST", "LOCAL"), "BROADCAST", "LOCAL")
	}
	if d.only(inHooks) && g.p(15) {
		s += " --limit-iface-in"
	} else if d.only(outHooks) && g.p(15) {
		s += " --limit-iface-out"
	}
	return s
}

func matchTTL(g *gen, d *draft) string {
	if g.v6 {
		return "-m hl " + pick(g, "--hl-eq 64", "--hl-gt 63", "--hl-lt 10", "! --hl-eq 9")
	}
	return "-m ttl " + pick(g, "--ttl-eq 64", "--ttl-gt 63", "--ttl-lt 10", "! --ttl-eq 9")
}

func matchRPFilter(g *gen, d *draft) string {
	if d.table != "raw" && d.table != "mangle" {
		return ""
	}
	return "-m rpfilter" + pick(g, "", " --loose") + pick(g, "", " --validmark") + pick(g, "", " --accept-local") + pick(g, " --invert", "")
}

func matchPhysdev(g *gen, d *draft) string {
	if !d.only("FORWARD") && !d.only("PREROUTING INPUT") {
		return ""
	}
	return "-m physdev " + pick(g, "--physdev-in in0", "! --physdev-in in0", "--physdev-is-in", "! --physdev-is-in")
}

// protocol adds -p and what goes with it.
func (g *gen) protocol(d *draft) {
	icmp := "icmp"
	if g.v6 {
		icmp = "ipv6-icmp"
	}
	proto := pick(g, "tcp", "tcp", "tcp", "udp", "udp", icmp, "sctp")
	if g.p(10) {
		d.matches = append(d.matches, "! -p "+proto)
		return
	}
	d.proto = proto
	s := "-p " + proto
	if g.p(65) {
		switch proto {
		case icmp:
			s += g.icmp()
		case "tcp":
			s += " -m tcp " + pick(g, g.ports, g.ports, g.flags)(d)
		default:
			s += " -m " + proto + " " + g.ports(d)
		}
	}
	d.matches = append(d.matches, s)
}

func (g *gen) icmp() string {
	if g.v6 {
		return " -m icmp6 " + g.not() + "--icmpv6-type " + pick(g, "echo-request", "echo-reply", "128", "1", "1/3", "destination-unreachable", "packet-too-big")
	}
	return " -m icmp " + g.not() + "--icmp-type " + pick(g, "echo-request", "echo-reply", "8", "3", "3/1", "host-unreachable", "any", "13", "8/0")
}

func (g *gen) ports(*draft) string {
	if g.p(25) {
		return g.not() + "--sport " + g.portRange() + " " + g.not() + "--dport " + g.portRange()
	}
	return g.not() + pick(g, "--dport ", "--dport ", "--dport ", "--sport ") + g.portRange()
}

func (g *gen) portRange() string {
	return pick(g, "80", "80", "53", "443", "8080", "30080", "1:1023", "80:443", "20000:20004", "20003", "20004:", ":20002", "1024:65535")
}

func (g *gen) flags(d *draft) string {
	s := pick(g, "--syn", "--tcp-flags SYN,RST SYN", "! --syn", "--tcp-flags SYN,ACK,FIN,RST SYN", "! --tcp-flags FIN,ACK FIN,ACK", "--tcp-flags ALL NONE", "--tcp-flags ALL ACK", "--tcp-flags SYN,FIN SYN,FIN", "--tcp-flags RST RST")
	d.syn = s == "--syn" || strings.HasPrefix(s, "--tcp-flags SYN,RST ") || strings.HasPrefix(s, "--tcp-flags SYN,ACK,")
	return s
}

func (g *gen) mark() string {
	return pick(g, "0x0", "0x1", "0x1/0x1", "0x4000/0x4000", "0x2/0x3", "0x0/0x4000", "0x10/0xf0", "0x1/0xff")
}
