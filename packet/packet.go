// Package packet describes packets by value: the few header fields that decide
// where a kernel sends them. It holds no payload and parses no bytes.
package packet

import (
	"cmp"
	"fmt"
	"net/netip"
	"strconv"
)

// Proto is an IP protocol number (IANA "Assigned Internet Protocol Numbers").
type Proto uint8

// The protocols that plumb follows.
const (
	ICMP   Proto = 1
	IPIP   Proto = 4
	TCP    Proto = 6
	UDP    Proto = 17
	IPv6   Proto = 41 // IPv6 in IPv4 (SIT) or in IPv6
	GRE    Proto = 47
	ICMPv6 Proto = 58
	SCTP   Proto = 132
)

var protoNames = map[Proto]string{
	ICMP: "icmp", IPIP: "ipip", TCP: "tcp", UDP: "udp", IPv6: "ipv6", GRE: "gre", ICMPv6: "ipv6-icmp", SCTP: "sctp",
}

// String returns the name as iptables-save prints it, or the number.
func (p Proto) String() string {
	return cmp.Or(protoNames[p], fmt.Sprintf("%d", uint8(p)))
}

// ParseProto reads what String writes.
func ParseProto(s string) (Proto, error) {
	for p, name := range protoNames {
		if name == s {
			return p, nil
		}
	}
	n, err := strconv.ParseUint(s, 10, 8)
	if err != nil {
		return 0, fmt.Errorf("protocol %q: want a name such as tcp, or a number of up to 255", s)
	}
	return Proto(n), nil
}

// HasPorts reports whether packets of the protocol carry ports.
func (p Proto) HasPorts() bool { return p == TCP || p == UDP || p == SCTP }

// TCPFlags are the control bits of a TCP header, with the values of RFC 9293.
type TCPFlags uint8

// The control bits.
const (
	FIN TCPFlags = 1 << iota
	SYN
	RST
	PSH
	ACK
	URG
)

// A MAC is an Ethernet address. The zero MAC means "not known".
type MAC [6]byte

// ParseMAC reads the form aa:bb:cc:dd:ee:ff.
func ParseMAC(s string) (MAC, error) {
	var m MAC
	if len(s) != 17 {
		return MAC{}, fmt.Errorf("MAC address %q: want aa:bb:cc:dd:ee:ff", s)
	}
	for i := range m {
		hi, ok1 := unhex(s[3*i])
		lo, ok2 := unhex(s[3*i+1])
		if !ok1 || !ok2 || i < 5 && s[3*i+2] != ':' {
			return MAC{}, fmt.Errorf("MAC address %q: want aa:bb:cc:dd:ee:ff", s)
		}
		m[i] = hi<<4 | lo
	}
	return m, nil
}

func unhex(c byte) (byte, bool) {
	switch {
	case '0' <= c && c <= '9':
		return c - '0', true
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10, true
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10, true
	}
	return 0, false
}

// String returns the form aa:bb:cc:dd:ee:ff.
func (m MAC) String() string {
	return fmt.Sprintf("%02x:%02x:%02x:%02x:%02x:%02x", m[0], m[1], m[2], m[3], m[4], m[5])
}

// IsZero reports whether m is the zero MAC.
func (m MAC) IsZero() bool { return m == MAC{} }

// MarshalText returns the form aa:bb:cc:dd:ee:ff, or nothing for the zero MAC.
func (m MAC) MarshalText() ([]byte, error) {
	if m.IsZero() {
		return nil, nil
	}
	return []byte(m.String()), nil
}

// UnmarshalText reads a MAC. The link-layer addresses of devices that are not
// Ethernet (an IPv4 address on tunl0, 16 bytes on an IPv6 tunnel) read as the zero MAC.
func (m *MAC) UnmarshalText(b []byte) error {
	v, err := ParseMAC(string(b))
	if err != nil {
		v = MAC{}
	}
	*m = v
	return nil
}

// A Packet is a packet at one point of its path. It is a value: what rewrites
// it returns a new one.
type Packet struct {
	Src, Dst netip.AddrPort // ports are 0 where the protocol has none
	Proto    Proto
	Flags    TCPFlags // of a TCP segment
	ICMPType uint8    // of an ICMP or ICMPv6 message
	ICMPCode uint8
	ICMPID   uint16  // of an echo request or reply
	Size     int     // bytes from the IP header on
	MTU      int     // in "fragmentation needed" and "packet too big": the MTU it tells
	MSS      int     // the MSS option of a SYN, 0 where there is none
	DF       bool    // may not be fragmented; always so in IPv6
	TOS      uint8   // the IPv4 TOS byte, or the IPv6 traffic class
	TTL      uint8   // or the IPv6 hop limit
	Mark     uint32  // skb->mark; stays inside one network namespace
	Key      uint32  // of an encapsulating packet: the VXLAN network identifier or the GRE key
	Inner    *Packet // the encapsulated packet; in an ICMP error, the packet it quotes
}

// Is6 reports whether p is an IPv6 packet.
func (p Packet) Is6() bool { return p.Dst.Addr().Is6() }

// IsICMPError reports whether p is an ICMP message that quotes a packet.
func (p Packet) IsICMPError() bool {
	switch p.Proto {
	case ICMP:
		return p.ICMPType == 3 || p.ICMPType == 4 || p.ICMPType == 5 || p.ICMPType == 11 || p.ICMPType == 12
	case ICMPv6:
		return p.ICMPType >= 1 && p.ICMPType <= 4
	}
	return false
}

// String returns, for example, "tcp 10.0.0.1:40000 > 10.0.0.2:80".
func (p Packet) String() string {
	if p.Proto.HasPorts() {
		return fmt.Sprintf("%s %s > %s", p.Proto, p.Src, p.Dst)
	}
	return fmt.Sprintf("%s %s > %s", p.Proto, p.Src.Addr(), p.Dst.Addr())
}
