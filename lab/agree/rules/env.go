//go:build linux

package rules

import (
	"net/netip"
	"slices"

	"github.com/plumbnet/plumb/netfilter"
	"github.com/plumbnet/plumb/packet"
)

// env answers a ruleset's questions about a Topology that knows at most one
// connection: packets sent here share none.
type env struct {
	top       *Topology
	conn      *netfilter.Conn // confirmed; nil for none
	seenReply bool
}

var (
	loopback4 = netip.MustParsePrefix("127.0.0.0/8")
	loopback6 = netip.MustParseAddr("::1")
)

// owner returns the device that has a as its address; "lo" also for 127.0.0.0/8 and ::1.
func (t *Topology) owner(a netip.Addr) (string, bool) {
	if loopback4.Contains(a) || a == loopback6 {
		return "lo", true
	}
	for _, d := range t.Devs {
		for _, own := range d.Addrs {
			if own == a {
				return d.Name, true
			}
		}
	}
	return "", false
}

// route returns the device that packets to a leave by: "lo" for local addresses and broadcasts.
func (t *Topology) route(a netip.Addr) string {
	if _, ok := t.owner(a); ok {
		return "lo"
	}
	if t.broadcast(a) {
		return "lo"
	}
	dev, best := "", -1
	for _, d := range t.Devs {
		for _, n := range d.Nets {
			if n.Contains(a) && n.Bits() > best {
				dev, best = d.Name, n.Bits()
			}
		}
	}
	return dev
}

func (t *Topology) dev(name string) Dev {
	for _, d := range t.Devs {
		if d.Name == name {
			return d
		}
	}
	return Dev{}
}

func (t *Topology) broadcast(a netip.Addr) bool {
	return slices.ContainsFunc(t.Devs, func(d Dev) bool { return d.Bcast == a })
}

func first(addrs []netip.Addr, v6 bool) (netip.Addr, bool) {
	for _, a := range addrs {
		if a.Is6() == v6 {
			return a, true
		}
	}
	return netip.Addr{}, false
}

func (e *env) AddrType(a netip.Addr, dev string) netfilter.AddrType {
	if a.IsMulticast() {
		return "MULTICAST"
	}
	if own, ok := e.top.owner(a); ok && (dev == "" || dev == own) {
		return "LOCAL"
	}
	if a.Is6() && dev != "" && !slices.ContainsFunc(e.top.dev(dev).Nets, func(n netip.Prefix) bool { return n.Contains(a) }) {
		return "UNREACHABLE" // ip6_route_output by dev finds nothing
	}
	for _, d := range e.top.Devs {
		if d.Bcast == a && (dev == "" || dev == d.Name) {
			return "BROADCAST"
		}
	}
	if e.top.route(a) == "" {
		return "UNREACHABLE"
	}
	return "UNICAST"
}

func (e *env) ReversePath(p packet.Packet, dev string, loose, _, acceptLocal bool) netfilter.Tri {
	if dev == "lo" {
		return netfilter.Yes // rpfilter_is_loopback
	}
	if _, local := e.top.owner(p.Src.Addr()); local && !acceptLocal {
		return netfilter.No
	}
	if out := e.top.route(p.Src.Addr()); out == dev || loose && out != "" {
		return netfilter.Yes
	}
	return netfilter.No
}

// MasqueradeSource follows inet_select_addr, and RFC 6724 as far as one
// address a device needs it: an IPv6 packet to ourselves takes its own destination (rule 1).
func (e *env) MasqueradeSource(dev string, p packet.Packet) (netip.Addr, bool) {
	if _, local := e.top.owner(p.Dst.Addr()); local && p.Is6() {
		return p.Dst.Addr(), true
	}
	if a, ok := first(e.top.dev(dev).Addrs, p.Is6()); ok {
		return a, true
	}
	for _, d := range e.top.Devs {
		if a, ok := first(d.Addrs, p.Is6()); ok {
			return a, true
		}
	}
	return netip.Addr{}, false
}

func (e *env) PrimaryAddr(dev string, v6 bool) (netip.Addr, bool) {
	if dev == "lo" && !v6 {
		return netip.AddrFrom4([4]byte{127, 0, 0, 1}), true
	}
	return first(e.top.dev(dev).Addrs, v6)
}

// Socket knows the transparent sockets that datagrams may be handed to.
func (e *env) Socket(p packet.Packet, _, noWildcard bool) netfilter.Tri {
	if p.Proto == packet.UDP && p.Dst.Port() == proxyPort && !noWildcard {
		return netfilter.Yes
	}
	return netfilter.No
}

func (e *env) PathMTU(p packet.Packet, _ string) int {
	if e.top.route(p.Dst.Addr()) == "lo" && e.top.route(p.Src.Addr()) == "lo" {
		return 65536
	}
	return 1500
}

// tuple returns what conntrack keeps of p.
func tuple(p packet.Packet) netfilter.Tuple {
	t := netfilter.Tuple{Src: p.Src, Dst: p.Dst, Proto: p.Proto}
	if !p.Proto.HasPorts() {
		t.Src = netip.AddrPortFrom(p.Src.Addr(), p.ICMPID)
		t.Dst = netip.AddrPortFrom(p.Dst.Addr(), p.ICMPID)
	}
	return t
}

func inverse(t netfilter.Tuple) netfilter.Tuple {
	t.Src, t.Dst = t.Dst, t.Src
	return t
}

func (e *env) Conntrack(p packet.Packet, zone uint16) netfilter.Conn {
	t := tuple(p)
	if p.IsICMPError() {
		return e.related(p, zone)
	}
	if e.conn != nil && e.conn.Zone == zone {
		c := *e.conn
		switch t {
		case c.Back:
			c.State, c.Reply = netfilter.Established, true
			return c
		case c.Orig:
			c.State, c.Reply = netfilter.New, false
			if e.seenReply {
				c.State = netfilter.Established
			}
			return c
		}
	}
	return netfilter.Conn{State: firstState(p), Orig: t, Back: inverse(t), Zone: zone}
}

// related finds the connection of the packet that an ICMP error quotes (nf_conntrack_inet_error).
func (e *env) related(p packet.Packet, zone uint16) netfilter.Conn {
	t := tuple(p)
	none := netfilter.Conn{State: netfilter.Invalid, Orig: t, Back: inverse(t), Zone: zone}
	if e.conn == nil || p.Inner == nil || e.conn.Zone != zone {
		return none
	}
	c := *e.conn
	c.State = netfilter.Related
	switch inverse(tuple(*p.Inner)) {
	case c.Back:
		c.Reply = true
	case c.Orig:
		c.Reply = false
	default:
		return none
	}
	return c
}

// firstState says what conntrack makes of the first packet that it sees of a
// connection (tcp_new and tcp_error, icmp_new, nf_conntrack_icmpv6_error).
func firstState(p packet.Packet) netfilter.CTState {
	switch p.Proto {
	case packet.TCP:
		switch p.Flags &^ packet.PSH {
		case packet.SYN, packet.SYN | packet.URG, packet.ACK, packet.ACK | packet.URG:
			return netfilter.New
		}
		return netfilter.Invalid
	case packet.ICMP:
		switch p.ICMPType {
		case 8, 13, 15, 17:
			return netfilter.New
		}
		return netfilter.Invalid
	case packet.ICMPv6:
		switch {
		case p.ICMPType == 128:
			return netfilter.New
		case p.ICMPType >= 130 && p.ICMPType <= 137 || p.ICMPType == 143:
			return netfilter.Untracked
		}
		return netfilter.Invalid
	}
	return netfilter.New
}
