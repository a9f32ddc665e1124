// Package plan proposes address ranges for a cluster that collide with nothing and last, and says
// how long those of a cluster will. It computes with ranges alone; who announces them, and to whom,
// it does not know.
package plan

import (
	"fmt"
	"math/bits"
	"net/netip"
	"slices"
)

// An Ask is what ranges are wanted for.
type Ask struct {
	Nodes, PodsPerNode int
	External           []netip.Prefix // what the ranges must not overlap
	NodeCIDR           []netip.Prefix // of the nodes, where there is one already
	DualStack          bool
	Site               uint64 // the 40 random bits of an IPv6 site (RFC 4193), of which dual stack takes its ranges
}

// A Range is a range that is proposed, or taken as given.
type Range struct {
	Use    string // "pods", "services", "nodes"
	Prefix netip.Prefix
	Mask   int // of "pods": the length of each node's own range
	Room   int // how many nodes, Services or node addresses it has room for
	Given  bool
}

// A Plan is the ranges of a cluster.
type Plan struct {
	Ranges []Range // Pods, Services and nodes; of IPv4, then of IPv6
	Growth int     // how many times the nodes that were asked for they have room for
	Shared bool    // some are of 100.64.0.0/10, which providers use between themselves and their customers (RFC 6598)
}

const (
	// growth is how many times the size that is asked for a range should have room for: what is
	// too small cannot be made larger without building the cluster anew.
	growth = 2
	// spare is how many addresses a Pod takes: one of its own, and one that the Pod before it had,
	// which should not be another's at once.
	spare = 2
	// podsPerService is how many Pods stand behind a Service; most have three or more, and many Pods have none.
	podsPerService = 4
	fewServices    = 4096
	moreServices   = 1 << 20 // the API server takes no range of more (of IPv6: /108)
	moreNodes      = 1 << 16 // the controller manager cuts a range into no more
	morePods       = 1 << 14 // of one node
	siteBits       = 15      // of the 16 that tell the subnets of an IPv6 site apart: the last subnets are for others than Pods
)

// private are the ranges that are anybody's, as they are tried: RFC 1918, then RFC 6598.
var private = prefixes("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10")

// avoided are ranges within these that node software takes by itself: Docker's bridge.
var avoided = prefixes("172.17.0.0/16")

func prefixes(list ...string) (out []netip.Prefix) {
	for _, s := range list {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}

// Make proposes ranges. Its errors name the flags that the command has for what is wrong.
func Make(a Ask) (*Plan, error) {
	switch {
	case a.Nodes < 1 || a.Nodes > moreNodes:
		return nil, fmt.Errorf("--nodes %d: want 1 to %d, into which the controller manager cuts a Pod range at most", a.Nodes, moreNodes)
	case a.PodsPerNode < 1 || a.PodsPerNode > morePods:
		return nil, fmt.Errorf("--pods-per-node %d: want 1 to %d", a.PodsPerNode, morePods)
	case a.DualStack && a.Nodes > 1<<siteBits:
		return nil, fmt.Errorf("--nodes %d: with --dual-stack want 1 to %d, for which half of a site of IPv6 has room", a.Nodes, 1<<siteBits)
	}
	for _, c := range a.NodeCIDR {
		for _, e := range a.External {
			if c.Overlaps(e) {
				return nil, fmt.Errorf("--node-cidr %s overlaps --external %s: replies to the outside would stay among the nodes", c, e)
			}
		}
		if c.Addr().Is4() && room(c) < a.Nodes {
			return nil, fmt.Errorf("--node-cidr %s: it has room for %d nodes, --nodes asks for %d", c, room(c), a.Nodes)
		}
	}
	for times := growth; times > 1; times-- {
		if p, _ := a.make(times); p != nil {
			return p, nil
		}
	}
	p, err := a.make(1)
	return p, err
}

// room is how many hosts a range of IPv4 has room for.
func room(p netip.Prefix) int { return max(0, 1<<(32-p.Bits())-2) }

// log is the exponent of the power of two that is n or more.
func log(n int) int { return bits.Len(uint(n - 1)) }

// make proposes ranges for so many times the nodes; nil where no cluster has that many.
func (a *Ask) make(times int) (*Plan, error) {
	nodes := a.Nodes * times
	if nodes > moreNodes || a.DualStack && nodes > 1<<siteBits {
		return nil, nil
	}
	mask := 32 - max(log(a.PodsPerNode*spare), log(a.PodsPerNode+3)) // the network's address, the broadcast, the bridge
	services := min(max(fewServices, a.Nodes*a.PodsPerNode/podsPerService*times), moreServices)
	p := &Plan{Growth: times}
	taken := slices.Concat(a.External, a.NodeCIDR, avoided)
	for _, want := range []struct {
		use  string
		bits int
	}{{"pods", mask - log(nodes)}, {"services", 32 - log(services)}, {"nodes", 32 - log(nodes+2)}} {
		r := Range{Use: want.use}
		if i := slices.IndexFunc(a.NodeCIDR, func(c netip.Prefix) bool { return c.Addr().Is4() }); want.use == "nodes" && i >= 0 {
			r.Prefix, r.Room, r.Given = a.NodeCIDR[i], room(a.NodeCIDR[i]), true
			p.Ranges = append(p.Ranges, r)
			continue
		}
		free, ok := find(want.bits, taken)
		if !ok {
			return nil, fmt.Errorf("no private range of /%d is free for the %s of --nodes %d --pods-per-node %d: --external leaves %s; ask for less, or name narrower ranges outside",
				want.bits, want.use, a.Nodes, a.PodsPerNode, largest(taken))
		}
		r.Prefix = free
		switch want.use {
		case "pods":
			r.Mask, r.Room = mask, 1<<(mask-free.Bits())
		case "services":
			r.Room = 1<<(32-free.Bits()) - 2 // the network's address and the broadcast are nobody's
		default:
			r.Room = room(free)
		}
		taken = append(taken, free)
		p.Shared = p.Shared || private[3].Overlaps(free)
		p.Ranges = append(p.Ranges, r)
	}
	if a.DualStack {
		p.Ranges = append(p.Ranges, a.six(nodes)...)
	}
	return p, nil
}

// find returns the first free range of a length.
func find(length int, taken []netip.Prefix) (netip.Prefix, bool) {
	for _, from := range private {
		if length < from.Bits() || length > 32 {
			continue
		}
		for a := from.Addr(); from.Contains(a); {
			c := netip.PrefixFrom(a, length)
			i := slices.IndexFunc(taken, c.Overlaps)
			if i < 0 {
				return c, true
			}
			next, ok := behind(c)
			if t := taken[i]; t.Bits() < length {
				next, ok = behind(t)
			}
			if !ok {
				break
			}
			a = next
		}
	}
	return netip.Prefix{}, false
}

// behind returns the first address behind a range of IPv4.
func behind(p netip.Prefix) (netip.Addr, bool) {
	b := p.Masked().Addr().As4()
	n := uint64(b[0])<<24 | uint64(b[1])<<16 | uint64(b[2])<<8 | uint64(b[3])
	n += 1 << (32 - p.Bits())
	return netip.AddrFrom4([4]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}), n < 1<<32
}

// largest names the largest private range that is free.
func largest(taken []netip.Prefix) string {
	for length := 8; length <= 30; length++ {
		if p, ok := find(length, taken); ok {
			return p.String() + " at most"
		}
	}
	return "none"
}

// six proposes ranges of IPv6 from a site of one's own (RFC 4193): a /64 for each node's Pods.
func (a *Ask) six(nodes int) []Range {
	site := func(subnet uint16) netip.Addr {
		b := [16]byte{0: 0xfd, 6: byte(subnet >> 8), 7: byte(subnet)}
		for i := range 5 {
			b[1+i] = byte(a.Site >> (32 - 8*i))
		}
		return netip.AddrFrom16(b)
	}
	n := log(nodes)
	out := []Range{{Use: "pods", Prefix: netip.PrefixFrom(site(0), 64-n), Mask: 64, Room: 1 << n},
		{Use: "services", Prefix: netip.PrefixFrom(site(0xffff), 112), Room: 1<<16 - 1}}
	if i := slices.IndexFunc(a.NodeCIDR, func(c netip.Prefix) bool { return c.Addr().Is6() }); i >= 0 {
		return append(out, Range{Use: "nodes", Prefix: a.NodeCIDR[i], Given: true})
	}
	return append(out, Range{Use: "nodes", Prefix: netip.PrefixFrom(site(0xfffe), 64), Room: 1 << 30})
}
