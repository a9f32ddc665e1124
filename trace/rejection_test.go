package trace

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/plumbnet/plumb/packet"
)

// TestRejections has the answers of REJECT by the names that iptables-save prints, with the types and codes of
// RFC 792, RFC 1812 and RFC 4443; what is not known is answered as REJECT does where it is told nothing.
func TestRejections(t *testing.T) {
	v4 := packet.Packet{Src: netip.MustParseAddrPort("10.0.0.1:1"), Dst: netip.MustParseAddrPort("10.0.0.2:80"), Proto: packet.TCP}
	v6 := packet.Packet{Src: netip.MustParseAddrPort("[fd00::1]:1"), Dst: netip.MustParseAddrPort("[fd00::2]:80"), Proto: packet.TCP}
	for _, row := range []struct {
		with string
		p    *packet.Packet
		want string
	}{
		{"icmp-net-unreachable", &v4, "3/0"}, {"icmp-host-unreachable", &v4, "3/1"}, {"icmp-proto-unreachable", &v4, "3/2"}, {"icmp-port-unreachable", &v4, "3/3"},
		{"icmp-net-prohibited", &v4, "3/9"}, {"icmp-host-prohibited", &v4, "3/10"}, {"icmp-admin-prohibited", &v4, "3/13"},
		{"icmp6-no-route", &v6, "1/0"}, {"icmp6-adm-prohibited", &v6, "1/1"}, {"icmp6-addr-unreachable", &v6, "1/3"}, {"icmp6-port-unreachable", &v6, "1/4"},
		{"icmp6-policy-fail", &v6, "1/5"}, {"icmp6-reject-route", &v6, "1/6"},
		{"tcp-reset", &v4, "reset"}, {"tcp-reset", &v6, "reset"}, {"", &v4, "3/3"}, {"", &v6, "1/4"}, {"flowers", &v4, "3/3"}, {"flowers", &v6, "1/4"},
	} {
		e := rejection(row.with, row.p)
		got := fmt.Sprintf("%d/%d", e.typ, e.code)
		if e.reset {
			got = "reset"
		}
		if got != row.want {
			t.Errorf("%s of %s: %s, want %s", row.with, row.p, got, row.want)
		}
	}
}

// TestFirstState is how conntrack sees the first packet that it meets of a connection.
func TestFirstState(t *testing.T) {
	for _, row := range []struct {
		name string
		p    packet.Packet
		want string
	}{
		{"a SYN", packet.Packet{Proto: packet.TCP, Flags: packet.SYN}, "NEW"},
		{"data of a connection that was there before", packet.Packet{Proto: packet.TCP, Flags: packet.ACK}, "NEW"},
		{"the answer to a SYN", packet.Packet{Proto: packet.TCP, Flags: packet.SYN | packet.ACK}, "INVALID"},
		{"a reset", packet.Packet{Proto: packet.TCP, Flags: packet.RST}, "INVALID"},
		{"a reset with an acknowledgement", packet.Packet{Proto: packet.TCP, Flags: packet.RST | packet.ACK}, "INVALID"},
		{"a datagram", packet.Packet{Proto: packet.UDP}, "NEW"},
		{"an echo request", packet.Packet{Proto: packet.ICMP, ICMPType: 8}, "NEW"},
		{"an echo reply", packet.Packet{Proto: packet.ICMP, ICMPType: 0}, "INVALID"},
		{"an echo request of IPv6", packet.Packet{Proto: packet.ICMPv6, ICMPType: 128}, "NEW"},
		{"an echo reply of IPv6", packet.Packet{Proto: packet.ICMPv6, ICMPType: 129}, "INVALID"},
	} {
		if got := firstState(&row.p).String(); got != row.want {
			t.Errorf("%s: %s, want %s", row.name, got, row.want)
		}
	}
}

// TestSmallest is how large the smallest packet is that opens a connection.
func TestSmallest(t *testing.T) {
	v4, v6 := netip.MustParseAddrPort("10.0.0.2:80"), netip.MustParseAddrPort("[fd00::2]:80")
	for _, row := range []struct {
		proto  packet.Proto
		v4, v6 int
	}{{packet.TCP, 60, 80}, {packet.UDP, 28, 48}, {packet.SCTP, 68, 88}, {packet.ICMP, 84, 104}, {packet.ICMPv6, 84, 104}, {packet.GRE, 20, 40}} {
		if got4, got6 := smallest(&packet.Packet{Proto: row.proto, Dst: v4}), smallest(&packet.Packet{Proto: row.proto, Dst: v6}); got4 != row.v4 || got6 != row.v6 {
			t.Errorf("%s: %d and %d bytes, want %d and %d", row.proto, got4, got6, row.v4, row.v6)
		}
	}
}
