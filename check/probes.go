package check

import (
	"net/netip"

	"github.com/plumbnet/plumb/network"
	"github.com/plumbnet/plumb/packet"
	"github.com/plumbnet/plumb/trace"
)

// Traced returns the traces of the path asked about; where none was, those of
// probes between Pods of different nodes, and from them to the outside.
func Traced(p *Pass) []trace.Result {
	if len(p.Results) > 0 {
		return p.Results
	}
	return Once(p, probesKey{}, func() []trace.Result { return probes(p) })
}

type probesKey struct{}

// allPairs is the number of nodes up to which each pair is probed; beyond it
// each node probes the next in the list and is probed by the one before.
const allPairs = 8

// Outside is an address that no cluster has: in TEST-NET-2 (RFC 5737), or of 2001:db8::/32 (RFC 3849).
func Outside(is6 bool) netip.Addr {
	if is6 {
		return netip.MustParseAddr("2001:db8::1")
	}
	return netip.MustParseAddr("198.51.100.1")
}

func probes(p *Pass) []trace.Result {
	var pods []*network.NS
	seen := map[string]bool{}
	for _, ns := range p.Network.NS {
		if !ns.IsHost() && ns.PodName != "" && !seen[ns.Node.Name] && (len(podAddrs(ns, false)) > 0 || len(podAddrs(ns, true)) > 0) {
			seen[ns.Node.Name] = true
			pods = append(pods, ns)
		}
	}
	var out []trace.Result
	for i, from := range pods {
		for _, is6 := range []bool{false, true} {
			if len(podAddrs(from, is6)) == 0 {
				continue
			}
			out = append(out, trace.Run(p.Network, trace.Query{From: from, Dst: netip.AddrPortFrom(Outside(is6), 80), Proto: packet.TCP, OneWay: true}))
			for j, to := range pods {
				if near := len(pods) <= allPairs || j == (i+1)%len(pods); i == j || !near {
					continue
				}
				for _, a := range podAddrs(to, is6) {
					out = append(out, probe(p, from, to, a)...)
				}
			}
		}
	}
	return out
}

// podAddrs returns the first address of a family on a device of a Pod that has another end on the node.
func podAddrs(ns *network.NS, is6 bool) []netip.Addr {
	for _, d := range ns.Ifaces {
		for _, a := range d.Link.Addrs {
			if d.Peer != nil && a.Local.Is6() == is6 && !a.Local.IsLinkLocalUnicast() {
				return []netip.Addr{a.Local}
			}
		}
	}
	return nil
}

// probe sends a small and a big packet to a port that the Pod listens on, or an echo request where it listens on none.
func probe(p *Pass, from, to *network.NS, a netip.Addr) []trace.Result {
	for i := range to.Sockets {
		s := &to.Sockets[i]
		if s.Proto == packet.TCP && s.Local.Addr().IsUnspecified() && (s.Local.Addr().Is6() || a.Is4()) && !(s.V6Only && a.Is4()) {
			q := trace.Query{From: from, Dst: netip.AddrPortFrom(a, s.Local.Port()), Proto: packet.TCP, DF: true}
			big := q
			big.Size, big.ReplySize = trace.FullSegment, trace.FullSegment
			return []trace.Result{trace.Run(p.Network, q), trace.Run(p.Network, big)}
		}
	}
	proto := packet.ICMP
	if a.Is6() {
		proto = packet.ICMPv6
	}
	return []trace.Result{trace.Run(p.Network, trace.Query{From: from, Dst: netip.AddrPortFrom(a, 0), Proto: proto})}
}
