//go:build linux

package wild

import (
	"net/netip"
	"regexp"
	"slices"
	"strconv"

	"github.com/plumbnet/plumb/lab/agree/rules"
	"github.com/plumbnet/plumb/packet"
)

var (
	wordPort = regexp.MustCompile(`--dports? (\d+)`)
	wordDst  = regexp.MustCompile(`-d ([0-9a-f.:]+)/(\d+)`)
)

// Around returns probes that the rules of a saved text have something to say
// about: every way through the topology, to every address and port that a rule names.
func Around(text string, top rules.Topology, v6 bool) []rules.Probe {
	dsts := named(text, v6)
	var hosts []rules.Probe // where packets come from
	for _, d := range top.Devs {
		for _, n := range d.Nets {
			if n.Addr().Is6() == v6 {
				far := host(n, 66)
				hosts = append(hosts, rules.Probe{Dev: d.Name, P: packet.Packet{Src: far}})
				dsts = append(dsts, far.Addr())
			}
		}
		for _, a := range d.Addrs {
			if a.Is6() == v6 {
				dsts = append(dsts, a)
				hosts = append(hosts, rules.Probe{P: packet.Packet{Src: netip.AddrPortFrom(a, 0)}})
			}
		}
	}
	slices.SortFunc(dsts, netip.Addr.Compare)
	dsts = slices.Compact(dsts)
	var out []rules.Probe
	for _, from := range hosts {
		for _, dst := range dsts {
			if dst != from.P.Src.Addr() {
				out = append(out, services(from, dst, ports(text), len(out))...)
			}
		}
	}
	return thin(out, most)
}

// most bounds the probes of one ruleset; each is followed by up to three packets more.
const most = 240

// thin returns n of the probes, evenly chosen.
func thin(p []rules.Probe, n int) (out []rules.Probe) {
	for i, q := range p {
		if i*n/len(p) != (i+1)*n/len(p) || len(p) <= n {
			out = append(out, q)
		}
	}
	return out
}

// host returns the n-th address of a network; of the default route, of a network that is documentation's.
func host(p netip.Prefix, n int) netip.AddrPort {
	a := p.Addr()
	if p.Bits() == 0 {
		a = netip.MustParseAddr("198.51.100.0")
		if p.Addr().Is6() {
			a = netip.MustParseAddr("2001:db8:51::")
		}
	}
	for range n {
		a = a.Next()
	}
	return netip.AddrPortFrom(a, 0)
}

// named returns the destinations that rules name.
func named(text string, v6 bool) (out []netip.Addr) {
	for _, m := range wordDst.FindAllStringSubmatch(text, -1) {
		p, err := netip.ParsePrefix(m[1] + "/" + m[2])
		if err != nil || p.Addr().Is6() != v6 || p.Addr().IsMulticast() || p.Addr().IsLinkLocalUnicast() || p.Addr().IsLoopback() || p.Bits() == 0 || p.Addr().Is4In6() {
			continue
		}
		if p.IsSingleIP() {
			out = append(out, p.Addr())
		} else if p.Bits() < p.Addr().BitLen()-8 {
			out = append(out, host(p, 77).Addr())
		}
	}
	return out
}

func ports(text string) []uint16 {
	out := []uint16{22, 80, 9999}
	for _, m := range wordPort.FindAllStringSubmatch(text, -1) {
		n, _ := strconv.ParseUint(m[1], 10, 16)
		out = append(out, uint16(n))
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// services returns a SYN and a datagram to each port, and an echo. Source ports count up from n.
func services(from rules.Probe, dst netip.Addr, ports []uint16, n int) (out []rules.Probe) {
	add := func(p packet.Packet, port uint16) {
		q := from
		q.MAC = packet.MAC{2, 0, 0, 0, 1, 2}
		own := uint16(20000 + n + len(out))
		p.TTL, p.Size, p.DF = 64, 80, dst.Is6()
		p.Src, p.Dst = netip.AddrPortFrom(from.P.Src.Addr(), own), netip.AddrPortFrom(dst, port)
		if !p.Proto.HasPorts() {
			p.Src, p.ICMPID = netip.AddrPortFrom(from.P.Src.Addr(), 0), own
		}
		q.P = p
		out = append(out, q)
	}
	for _, port := range ports {
		add(packet.Packet{Proto: packet.TCP, Flags: packet.SYN, MSS: 1460}, port)
		add(packet.Packet{Proto: packet.UDP}, port)
	}
	echo := packet.Packet{Proto: packet.ICMP, ICMPType: 8}
	if dst.Is6() {
		echo = packet.Packet{Proto: packet.ICMPv6, ICMPType: 128}
	}
	add(echo, 0)
	return out
}
