//go:build linux

package rules

import (
	"encoding/binary"
	"hash/crc32"
	"net/netip"

	"github.com/plumbnet/plumb/packet"
)

// magic starts the payload of every packet sent here; the packet's number follows.
const magic = 0x706c6d62

// Build returns the bytes of p from its IP header on, with right checksums.
// id, which is how the packet is known again, is put into its payload and, for
// TCP, into its sequence and acknowledgement numbers. p.Size is met where it
// leaves room for that.
func Build(p packet.Packet, id uint16) []byte {
	head := 20
	if p.Is6() {
		head = 40
	}
	l4 := transport(p, id, max(p.Size-head, 0))
	b := make([]byte, head, head+len(l4))
	b = append(b, l4...)
	if p.Is6() {
		b[0], b[1] = 0x60|p.TOS>>4, p.TOS<<4
		binary.BigEndian.PutUint16(b[4:], uint16(len(l4)))
		b[6], b[7] = byte(p.Proto), p.TTL
		s, d := p.Src.Addr().As16(), p.Dst.Addr().As16()
		copy(b[8:], s[:])
		copy(b[24:], d[:])
	} else {
		b[0], b[1] = 0x45, p.TOS
		binary.BigEndian.PutUint16(b[2:], uint16(len(b)))
		binary.BigEndian.PutUint16(b[4:], id)
		if p.DF {
			b[6] = 0x40
		}
		b[8], b[9] = p.TTL, byte(p.Proto)
		s, d := p.Src.Addr().As4(), p.Dst.Addr().As4()
		copy(b[12:], s[:])
		copy(b[16:], d[:])
		binary.BigEndian.PutUint16(b[10:], fold(sum(b[:20], 0)))
	}
	checksum(p, b[head:])
	return b
}

// transport returns the header and payload after IP, without checksum, size bytes where that is enough.
func transport(p packet.Packet, id uint16, size int) []byte {
	var h []byte
	switch p.Proto {
	case packet.TCP:
		h = make([]byte, 20)
		binary.BigEndian.PutUint32(h[4:], uint32(id)<<16)
		binary.BigEndian.PutUint32(h[8:], uint32(id)<<16|1)
		if p.MSS != 0 {
			h = append(h, 2, 4, byte(p.MSS>>8), byte(p.MSS))
		}
		h[12], h[13] = byte(len(h)/4<<4), byte(p.Flags)
		binary.BigEndian.PutUint16(h[14:], 32000)
	case packet.UDP:
		h = make([]byte, 8)
	case packet.SCTP: // one INIT chunk (RFC 9260, 3.3.2)
		h = make([]byte, 32)
		h[12] = 1
		binary.BigEndian.PutUint32(h[16:], 0x1234)
		binary.BigEndian.PutUint32(h[20:], 65535)
		h[25], h[27] = 1, 1
	case packet.ICMP, packet.ICMPv6:
		h = make([]byte, 8)
		h[0], h[1] = p.ICMPType, p.ICMPCode
		if !p.IsICMPError() {
			binary.BigEndian.PutUint16(h[4:], p.ICMPID)
			break
		}
		return append(h, Build(*p.Inner, id)...)
	}
	if p.Proto.HasPorts() {
		binary.BigEndian.PutUint16(h, p.Src.Port())
		binary.BigEndian.PutUint16(h[2:], p.Dst.Port())
	}
	n := len(h)
	h = append(h, make([]byte, max(size-n, 8))...)
	binary.BigEndian.PutUint32(h[n:], magic)
	binary.BigEndian.PutUint32(h[n+4:], uint32(id))
	if p.Proto == packet.UDP {
		binary.BigEndian.PutUint16(h[4:], uint16(len(h)))
	}
	if p.Proto == packet.SCTP {
		for len(h)%4 != 0 {
			h = append(h, 0)
		}
		binary.BigEndian.PutUint16(h[14:], uint16(len(h)-12))
	}
	return h
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func checksum(p packet.Packet, l4 []byte) {
	at := map[packet.Proto]int{packet.TCP: 16, packet.UDP: 6, packet.ICMP: 2, packet.ICMPv6: 2}[p.Proto]
	switch p.Proto {
	case packet.SCTP:
		binary.LittleEndian.PutUint32(l4[8:], crc32.Checksum(l4, castagnoli))
	case packet.ICMP:
		binary.BigEndian.PutUint16(l4[at:], fold(sum(l4, 0)))
	case packet.TCP, packet.UDP, packet.ICMPv6:
		pseudo := uint32(len(l4)) + uint32(p.Proto)
		c := fold(sum(l4, sum(p.Dst.Addr().AsSlice(), sum(p.Src.Addr().AsSlice(), pseudo))))
		if c == 0 {
			c = 0xffff
		}
		binary.BigEndian.PutUint16(l4[at:], c)
	}
}

func sum(b []byte, s uint32) uint32 {
	for ; len(b) > 1; b = b[2:] {
		s += uint32(b[0])<<8 | uint32(b[1])
	}
	if len(b) == 1 {
		s += uint32(b[0]) << 8
	}
	return s
}

func fold(s uint32) uint16 {
	for s > 0xffff {
		s = s>>16 + s&0xffff
	}
	return ^uint16(s)
}

// Parse reads the bytes of a packet from its IP header on, and the number that
// [Build] put in it, or in the packet that it answers or quotes.
func Parse(b []byte) (p packet.Packet, id uint16, ok bool) {
	head := 20
	switch {
	case len(b) >= 20 && b[0]>>4 == 4:
		head = int(b[0]&15) * 4
		p.TOS, p.TTL, p.Proto, p.DF = b[1], b[8], packet.Proto(b[9]), b[6]&0x40 != 0
		p.Size = int(binary.BigEndian.Uint16(b[2:]))
		p.Src = netip.AddrPortFrom(netip.AddrFrom4([4]byte(b[12:16])), 0)
		p.Dst = netip.AddrPortFrom(netip.AddrFrom4([4]byte(b[16:20])), 0)
	case len(b) >= 40 && b[0]>>4 == 6:
		head = 40
		p.TOS, p.TTL, p.Proto, p.DF = b[0]<<4|b[1]>>4, b[7], packet.Proto(b[6]), true
		p.Size = int(binary.BigEndian.Uint16(b[4:])) + 40
		p.Src = netip.AddrPortFrom(netip.AddrFrom16([16]byte(b[8:24])), 0)
		p.Dst = netip.AddrPortFrom(netip.AddrFrom16([16]byte(b[24:40])), 0)
	default:
		return p, 0, false
	}
	if len(b) < head+8 {
		return p, 0, false
	}
	id, ok = parseTransport(&p, b[head:])
	return p, id, ok
}

func parseTransport(p *packet.Packet, b []byte) (id uint16, ok bool) {
	if p.Proto.HasPorts() {
		p.Src = netip.AddrPortFrom(p.Src.Addr(), binary.BigEndian.Uint16(b))
		p.Dst = netip.AddrPortFrom(p.Dst.Addr(), binary.BigEndian.Uint16(b[2:]))
	}
	n := 8
	switch p.Proto {
	case packet.TCP:
		if len(b) < 20 {
			return uint16(binary.BigEndian.Uint32(b[4:]) >> 16), true
		}
		n = int(b[12]>>4) * 4
		p.Flags = packet.TCPFlags(b[13] & 63)
		if n >= 24 && len(b) >= 24 && b[20] == 2 {
			p.MSS = int(binary.BigEndian.Uint16(b[22:]))
		}
		if p.Flags&packet.RST != 0 && p.Flags&packet.ACK != 0 {
			return uint16(binary.BigEndian.Uint32(b[8:]) >> 16), true
		}
		return uint16(binary.BigEndian.Uint32(b[4:]) >> 16), true
	case packet.SCTP:
		n = 32
	case packet.ICMP, packet.ICMPv6:
		p.ICMPType, p.ICMPCode = b[0], b[1]
		if p.IsICMPError() {
			in, id, ok := Parse(b[8:])
			p.Inner = &in
			return id, ok
		}
		p.ICMPID = binary.BigEndian.Uint16(b[4:])
	}
	if len(b) < n+8 || binary.BigEndian.Uint32(b[n:]) != magic {
		return 0, false
	}
	return uint16(binary.BigEndian.Uint32(b[n+4:])), true
}
