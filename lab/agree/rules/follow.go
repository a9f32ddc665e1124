//go:build linux

package rules

import (
	"net/netip"

	"github.com/plumbnet/plumb/packet"
)

func zeroPort(a netip.AddrPort) netip.AddrPort { return netip.AddrPortFrom(a.Addr(), 0) }

// repeat sends every third first packet once more, before an answer.
func repeat(f *flow) (Probe, bool) { return f.Probe, f.id/8%3 == 0 }

// answer sends what the far side would: an answer, or for every fourth an ICMP error.
func answer(f *flow) (Probe, bool) {
	q := f.got.p
	r := Probe{Dev: f.got.dev, MAC: packet.MAC{2, 0, 0, 0, 0xff, 2}}
	r.P = packet.Packet{Src: q.Dst, Dst: q.Src, Proto: q.Proto, TTL: 64, Size: 120 + int(f.id)%300, ICMPID: q.ICMPID, DF: q.Is6()}
	if f.id/8%4 == 0 && !q.IsICMPError() {
		return unreachable(r, q), true
	}
	switch {
	case q.Proto == packet.TCP && q.Flags&packet.SYN != 0:
		r.P.Flags = packet.SYN | packet.ACK
	case q.Proto == packet.TCP:
		r.P.Flags = packet.ACK
	case q.Proto == packet.ICMP && q.ICMPType == 8:
	case q.Proto == packet.ICMPv6 && q.ICMPType == 128:
		r.P.ICMPType = 129
	case q.Proto == packet.UDP:
	default:
		return r, false
	}
	f.seen = true
	return r, true
}

// unreachable makes r an ICMP error that quotes q.
func unreachable(r Probe, q packet.Packet) Probe {
	r.P.Src, r.P.Dst = zeroPort(q.Dst), zeroPort(q.Src)
	r.P.ICMPID, r.P.Size, r.P.Inner = 0, 28+q.Size, &q
	r.P.Proto, r.P.ICMPType, r.P.ICMPCode = packet.ICMP, 3, 1
	if q.Is6() {
		r.P.Proto, r.P.ICMPType, r.P.ICMPCode = packet.ICMPv6, 1, 3
		r.P.Size = 48 + q.Size
	}
	return r
}

// goOn sends the first side's next packet after an answer.
func goOn(f *flow) (Probe, bool) {
	p := f.Probe
	if p.P.Proto == packet.TCP {
		p.P.Flags, p.P.MSS = packet.ACK, 0
	}
	return p, f.seen
}
