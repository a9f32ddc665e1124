package netfilter

import (
	"net/netip"

	"github.com/plumbnet/plumb/packet"
)

// TupleOf returns the direction that conntrack sees in p.
func TupleOf(p packet.Packet) Tuple {
	t := Tuple{Src: p.Src, Dst: p.Dst, Proto: p.Proto}
	switch {
	case isEcho(p):
		t.Src = netip.AddrPortFrom(p.Src.Addr(), p.ICMPID)
		t.Dst = netip.AddrPortFrom(p.Dst.Addr(), p.ICMPID)
	case !p.Proto.HasPorts():
		t.Src = netip.AddrPortFrom(p.Src.Addr(), 0)
		t.Dst = netip.AddrPortFrom(p.Dst.Addr(), 0)
	}
	return t
}

// isEcho reports whether p is an ICMP echo, or the answer to one, or another ICMP
// query with an identifier (timestamp, information, address mask: 13 to 18).
func isEcho(p packet.Packet) bool {
	return p.Proto == packet.ICMP && (p.ICMPType == 8 || p.ICMPType == 0 || p.ICMPType >= 13 && p.ICMPType <= 18) ||
		p.Proto == packet.ICMPv6 && (p.ICMPType == 128 || p.ICMPType == 129)
}

// Invert returns the other direction.
func (t Tuple) Invert() Tuple { return Tuple{Src: t.Dst, Dst: t.Src, Proto: t.Proto} }

// setSrc returns p with the source of a tuple.
func setSrc(p packet.Packet, a netip.AddrPort) packet.Packet {
	switch {
	case p.Proto.HasPorts():
		p.Src = a
	case isEcho(p):
		p.ICMPID = a.Port()
		fallthrough
	default:
		p.Src = netip.AddrPortFrom(a.Addr(), p.Src.Port())
	}
	return p
}

// setDst returns p with the destination of a tuple.
func setDst(p packet.Packet, a netip.AddrPort) packet.Packet {
	switch {
	case p.Proto.HasPorts():
		p.Dst = a
	case isEcho(p): // icmp_manip_pkt sets the identifier whichever end is rewritten
		p.ICMPID = a.Port()
		fallthrough
	default:
		p.Dst = netip.AddrPortFrom(a.Addr(), p.Dst.Port())
	}
	return p
}
