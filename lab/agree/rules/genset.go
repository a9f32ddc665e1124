//go:build linux

package rules

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/plumbnet/plumb/packet"
)

var (
	clients = addrs("10.1.0.2", "10.1.0.3", "10.1.7.4", "10.4.0.2", "fd00:1::2", "fd00:1::3", "fd00:1:7::4", "fd00:4::2")
	servers = addrs("10.2.0.10", "10.2.0.11", "10.2.9.12", "10.96.0.10", "fd00:2::10", "fd00:2::11", "fd00:2:9::12", "fd00:96::10")
	locals  = addrs("10.1.0.1", "10.2.0.1", "10.9.9.9", "fd00:1::1", "fd00:2::1", "fd00:9::9")
	wide    = nets("10.1.0.0/16", "10.2.0.0/24", "10.0.0.0/8", "10.96.0.0/12", "10.1.0.2/31", "10.2.0.0/16", "10.4.0.0/16",
		"fd00:1::/32", "fd00:2::/64", "fd00::/16", "fd00:96::/28", "fd00:1::2/127", "fd00:2::/32", "fd00:4::/32")
)

func (g *gen) family(all []netip.Addr) (out []netip.Addr) {
	for _, a := range all {
		if a.Is6() == g.v6 {
			out = append(out, a)
		}
	}
	return out
}

func (g *gen) addr() netip.Addr {
	return pick(g, g.family(pick(g, clients, clients, servers, servers, servers, locals))...)
}

func (g *gen) prefix() string {
	if g.p(45) {
		return g.addr().String()
	}
	for {
		if n := pick(g, wide...); n.Addr().Is6() == g.v6 {
			return n.String()
		}
	}
}

func (g *gen) address(flag string) string {
	if g.p(2) && !g.v6 {
		return flag + " 10.0.0.2/255.0.0.255"
	}
	return g.not() + flag + " " + g.prefix()
}

// A set is an ipset and the ways to ask for it.
type set struct {
	name  string
	flags []string
}

var setTypes = []struct {
	kind, options string
	flags         []string
	v4only        bool
	entry         func(*gen) string
}{
	{"hash:ip", "", []string{"src", "dst"}, false, func(g *gen) string { return g.addr().String() }},
	{"hash:ip", " netmask 24", []string{"src", "dst"}, true, func(g *gen) string { return g.addr().String() }},
	{"hash:net", "", []string{"src", "dst"}, false, func(g *gen) string { return g.prefix() + pick(g, "", "", " nomatch") }},
	{"hash:ip,port", "", []string{"src,dst", "dst,dst", "src,src"}, false, func(g *gen) string { return g.addr().String() + "," + g.setPort() }},
	{"hash:net,port", "", []string{"src,dst", "dst,dst"}, false, func(g *gen) string { return g.prefix() + "," + g.setPort() + pick(g, "", "", " nomatch") }},
	{"hash:ip,port,ip", "", []string{"src,dst,dst", "dst,dst,src"}, false, func(g *gen) string {
		return fmt.Sprintf("%s,%s,%s", g.addr(), g.setPort(), g.addr())
	}},
	{"hash:ip,port,net", "", []string{"src,dst,dst", "dst,dst,src"}, false, func(g *gen) string {
		return fmt.Sprintf("%s,%s,%s", g.addr(), g.setPort(), g.prefix())
	}},
	{"hash:net,iface", "", []string{"src,src", "dst,src"}, false, func(g *gen) string { return g.prefix() + "," + pick(g, "in0", "in1", "out0") }},
	{"hash:ip", " netmask 30", []string{"src", "dst"}, true, func(g *gen) string { return g.addr().String() }},
	{"bitmap:port", " range 1-65535", []string{"dst", "src"}, false, func(g *gen) string { return pick(g, "80", "53", "8080-8083", "20000-20005") }},
	{"bitmap:ip", " range 10.1.0.0-10.1.255.255", []string{"src", "dst"}, true, func(g *gen) string { return pick(g, "10.1.0.2", "10.1.7.0/28", "10.1.0.1-10.1.0.3") }},
}

func (g *gen) setPort() string {
	return pick(g, "tcp:80", "tcp:80", "udp:53", "tcp:8080", "tcp:79-82", "udp:20000-20006", "sctp:80", g.both("icmp:echo-request", "icmpv6:echo-request"))
}

// makeSets makes sets for one ruleset in three.
func (g *gen) makeSets() {
	if !g.p(35) {
		return
	}
	var b strings.Builder
	for i := range 1 + g.r.IntN(4) {
		t := setTypes[g.r.IntN(len(setTypes))]
		if t.v4only && g.v6 {
			continue
		}
		s := set{fmt.Sprintf("s%d-%d", g.seed%100000, i), t.flags}
		family := " family " + g.both("inet", "inet6")
		if strings.HasPrefix(t.kind, "bitmap") {
			family = ""
		}
		fmt.Fprintf(&b, "create %s %s%s%s\n", s.name, t.kind, family, t.options)
		for range 1 + g.r.IntN(6) {
			fmt.Fprintf(&b, "add %s %s\n", s.name, t.entry(g))
		}
		g.sets = append(g.sets, s)
	}
	if n := len(g.sets); n > 1 && g.sets[0].flags[0] == g.sets[1].flags[0] {
		l := set{fmt.Sprintf("s%d-l", g.seed%100000), g.sets[0].flags[:1]}
		fmt.Fprintf(&b, "create %s list:set\nadd %s %s\nadd %s %s\n", l.name, l.name, g.sets[0].name, l.name, g.sets[1].name)
		g.sets = append(g.sets, l)
	}
	g.setText = b.String()
}

// setNames returns the names in the order in which they can be destroyed.
func (g *gen) setNames() (out []string) {
	for i := len(g.sets) - 1; i >= 0; i-- {
		out = append(out, g.sets[i].name)
	}
	return out
}

// probe makes the i-th packet. Its source port, or its identifier, is its own.
func (g *gen) probe(i int) Probe {
	p := Probe{MAC: packet.MAC{2, 0, 0, 0, 1, byte(2 + g.r.IntN(3))}, UID: pick(g, uint32(0), 1000)}
	var src, dst netip.Addr
	way := i % 6
	if way == 4 && g.postIn {
		way = 0
	}
	switch way {
	case 0, 1, 2: // forwarded
		src, dst = pick(g, g.family(clients)...), pick(g, g.family(servers)...)
		p.Dev = lab.route(src)
		if g.p(8) {
			p.Dev = "in0"
		}
	case 3: // to the router
		src, dst = pick(g, g.family(clients)...), pick(g, g.family(locals)...)
		p.Dev = lab.route(src)
		if b := lab.dev("in0").Bcast; g.p(6) && !g.v6 {
			dst = b
		}
	case 4: // from the router, now and then to itself
		src, dst = pick(g, g.family(locals)...), pick(g, g.family(pick(g, servers, servers, clients, locals))...)
	case 5: // from outside, or back where it came from
		src, dst = pick(g, g.family(servers)...), pick(g, g.family(pick(g, clients, clients, locals, servers))...)
		p.Dev = "out0"
	}
	g.transport(&p.P, src, dst, uint16(20000+i))
	return p
}

func (g *gen) transport(p *packet.Packet, src, dst netip.Addr, own uint16) {
	p.TTL, p.TOS, p.DF = pick(g, uint8(64), 64, 64, 9, 200), pick(g, uint8(0), 0, 0, 8, 0xb8, 0x10), g.v6 || g.p(50)
	p.Size = 110 + g.r.IntN(150)
	sport, dport := own, pick(g, uint16(80), 80, 80, 53, 443, 8080, 30080, 12345)
	switch g.r.IntN(20) {
	case 0, 1, 2, 3, 4, 5, 6, 7, 8:
		p.Proto, p.Flags, p.MSS = packet.TCP, packet.SYN, pick(g, 0, 1460, 1460, 1200)
	case 9:
		p.Proto, p.Flags = packet.TCP, pick(g, packet.ACK, packet.ACK|packet.PSH, packet.RST, packet.FIN|packet.ACK, packet.SYN|packet.ACK, packet.SYN|packet.FIN, 0)
	case 10, 11, 12, 13, 14:
		p.Proto = packet.UDP
	case 15:
		p.Proto = packet.SCTP
	default:
		g.icmpPacket(p, src, dst, own)
		sport, dport = 0, 0
	}
	p.Src, p.Dst = netip.AddrPortFrom(src, sport), netip.AddrPortFrom(dst, dport)
}

func (g *gen) icmpPacket(p *packet.Packet, src, dst netip.Addr, own uint16) {
	p.Proto, p.ICMPType, p.ICMPID = packet.ICMP, 8, own
	if g.v6 {
		p.Proto, p.ICMPType = packet.ICMPv6, 128
	}
	if g.p(85) {
		return
	}
	if !g.v6 && g.p(50) {
		p.ICMPType = pick(g, uint8(13), 0)
		return
	}
	p.ICMPType, p.ICMPCode, p.ICMPID = 3, 1, 0
	if g.v6 {
		p.ICMPType = 1
	}
	p.Inner = &packet.Packet{Src: netip.AddrPortFrom(dst, own), Dst: netip.AddrPortFrom(src, 80), Proto: packet.UDP, TTL: 60, Size: 60, DF: g.v6}
	p.Size = len(Build(packet.Packet{Src: netip.AddrPortFrom(src, 0), Dst: netip.AddrPortFrom(dst, 0), Proto: p.Proto, ICMPType: p.ICMPType, Inner: p.Inner}, 0))
}
