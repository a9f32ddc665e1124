package netfilter

import (
	"testing"

	"github.com/plumbnet/plumb/packet"
)

// changeRows are targets that change a packet or its connection. The packets have
// the mark 0x4001 and the TOS 0xb8, and connections the mark 0x5.
var changeRows = []targetRow{
	{"set-xmark of every bit", "", "mangle", "-j MARK --set-xmark 0x7/0xffffffff", "tcp", "mark", "Accept mark=0x7"},
	{"set-xmark inverts what the mask leaves", "", "mangle", "-j MARK --set-xmark 0x4001/0x0", "tcp", "mark", "Accept mark=0x0"},
	{"set-xmark in part", "", "mangle", "-j MARK --set-xmark 0x8/0xf", "tcp", "mark", "Accept mark=0x4008"},
	{"set-mark without a mask", "", "mangle", "-j MARK --set-mark 9", "tcp", "mark", "Accept mark=0x9"},
	{"set-mark beyond its mask", "", "mangle", "-j MARK --set-mark 0x10/0x1", "tcp", "mark", "Accept mark=0x4010"},
	{"and-mark of nothing", "", "mangle", "-j MARK --and-mark 0x0", "tcp", "mark", "Accept mark=0x0"},
	{"or-mark of what is there", "", "mangle", "-j MARK --or-mark 0x4000", "tcp", "mark", "Accept mark=0x4001"},
	{"xor-mark twice", "", "mangle", "-j MARK --xor-mark 0xff;-j MARK --xor-mark 0xff", "tcp", "mark", "Accept mark=0x4001"},
	{"kube-proxy's masquerade mark, set and taken away", "", "mangle", "-j MARK --set-xmark 0x4000/0x4000;-j MARK --set-xmark 0x4000/0x0", "tcp", "mark", "Accept mark=0x1"},
	{"connmark, set", "", "mangle", "-j CONNMARK --set-mark 0x9", "natted", "connmark", "Accept connmark=0x9"},
	{"connmark, set in part", "", "mangle", "-j CONNMARK --set-mark 0x8/0xc", "natted", "connmark", "Accept connmark=0x9"},
	{"connmark, and", "", "mangle", "-j CONNMARK --and-mark 0x4", "natted", "connmark", "Accept connmark=0x4"},
	{"connmark, or", "", "mangle", "-j CONNMARK --or-mark 0x2", "natted", "connmark", "Accept connmark=0x7"},
	{"connmark, xor", "", "mangle", "-j CONNMARK --xor-mark 0x1", "natted", "connmark", "Accept connmark=0x4"},
	{"connmark, saved whole", "", "mangle", "-j CONNMARK --save-mark", "natted", "connmark mark", "Accept connmark=0x4001 mark=0x4001"},
	{"connmark, saved by two masks", "", "mangle", "-j CONNMARK --save-mark --nfmask 0xff --ctmask 0xf", "natted", "connmark", "Accept connmark=0x1"},
	{"connmark, saved over bits that stay", "", "mangle", "-j CONNMARK --save-mark --nfmask 0x4000 --ctmask 0x0", "natted", "connmark", "Accept connmark=0x4005"},
	{"connmark, restored whole", "", "mangle", "-j CONNMARK --restore-mark", "natted", "connmark mark", "Accept connmark=0x5 mark=0x5"},
	{"connmark, restored by one mask", "", "mangle", "-j CONNMARK --restore-mark --mask 0x4", "natted", "mark", "Accept mark=0x4005"},
	{"connmark, restored without a connection", "", "mangle", "-j CONNMARK --restore-mark", "invalid", "mark", "Accept mark=0x4001"},
	{"connmark, saved and restored", "", "mangle", "-j CONNMARK --save-mark;-j MARK --set-mark 0x0;-j CONNMARK --restore-mark", "natted", "mark", "Accept mark=0x4001"},

	{"NOTRACK on OUTPUT", "OUTPUT", "raw", "-j NOTRACK", "output", "state", "Accept UNTRACKED zone=0"},
	{"a helper is no zone", "", "raw", "-j CT --helper ftp", "tcp", "state", "Accept NEW zone=0"},
	{"notrack of another's packet", "", "raw", "-p udp -j CT --notrack", "tcp", "state", "Accept NEW zone=0"},
	{"NOTRACK of what is tracked comes too late", "", "raw", "-j NOTRACK", "reply", "state", "Accept ESTABLISHED zone=0"},
	{"the largest zone", "", "raw", "-j CT --zone 65535", "tcp", "state", "Accept NEW zone=65535"},
	{"a zone that is too large", "", "raw", "-j CT --zone 65536", "tcp", "why", "Unknown the target CT is not understood: not a number: \"65536\""},

	{"tos by name", "", "mangle", "-j TOS --set-tos Minimize-Delay", "tcp", "tos", "Accept tos=0x90"},
	{"tos, and", "", "mangle", "-j TOS --and-tos 0xf0", "tcp", "tos", "Accept tos=0xb0"},
	{"tos, xor", "", "mangle", "-j TOS --xor-tos 0xff", "tcp", "tos", "Accept tos=0x47"},
	{"dscp class CS", "", "mangle", "-j DSCP --set-dscp-class CS7", "tcp", "tos", "Accept tos=0xe0"},
	{"dscp class EF", "", "mangle", "-j DSCP --set-dscp-class EF", "tcp", "tos", "Accept tos=0xb8"},
	{"dscp class BE", "", "mangle", "-j DSCP --set-dscp-class BE", "tcp", "tos", "Accept tos=0x0"},
	{"ttl inc", "", "mangle", "-j TTL --ttl-inc 5", "tcp", "ttl", "Accept ttl=69"},
	{"ttl inc stops at 255", "", "mangle", "-j TTL --ttl-inc 250", "tcp", "ttl", "Accept ttl=255"},
	{"ttl dec stops at 0", "", "mangle", "-j TTL --ttl-dec 250", "tcp", "ttl", "Accept ttl=0"},
	{"hl set", "", "mangle", "-j HL --hl-set 3", "tcp6", "ttl", "Accept ttl=3"},
	{"hl dec", "", "mangle", "-j HL --hl-dec 3", "tcp6", "ttl", "Accept ttl=61"},
	{"clamp, IPv6", "POSTROUTING", "mangle", "-p tcp -j TCPMSS --clamp-mss-to-pmtu", "leaves6", "mss", "Accept mss=1340"},
	{"set-mss, IPv6", "", "mangle", "-p tcp -j TCPMSS --set-mss 1000", "tcp6", "mss", "Accept mss=1000"},
	{"no MSS of a reset", "", "mangle", "-p tcp -j TCPMSS --set-mss 1000", "rst", "mss", "Accept mss=0"},

	{"reject, IPv6 reset", "FORWARD", "filter", "-p tcp -j REJECT --reject-with tcp-reset", "tcp6", "with", "Reject tcp-reset"},
	{"reject, administratively", "FORWARD", "filter", "-j REJECT --reject-with icmp-admin-prohibited", "tcp", "with", "Reject icmp-admin-prohibited"},
	{"reject, a short name", "FORWARD", "filter", "-j REJECT --reject-with host-unreach", "tcp", "with", "Reject icmp-host-unreachable"},
	{"reject, IPv6, another short name", "FORWARD", "filter", "-j REJECT --reject-with port-unreach", "tcp6", "with", "Reject icmp6-port-unreachable"},
	{"reject of another's packet", "FORWARD", "filter", "-p udp -j REJECT;-j DROP", "tcp", "with", "Drop "},

	{"tproxy, IPv6", "", "mangle", "-p tcp -j TPROXY --on-port 8080 --on-ip ::1 --tproxy-mark 0x1/0x1", "tcp6", "proxy mark", "TProxy proxy=[::1]:8080 mark=0x4001"},
	{"tproxy keeps the port", "", "mangle", "-p tcp -j TPROXY --on-port 0 --on-ip 127.0.0.1 --tproxy-mark 0x2/0x2", "tcp", "proxy mark", "TProxy proxy=127.0.0.1:80 mark=0x4003"},
	{"tproxy, then dropped by another table", "INPUT", "mangle", "-p tcp -j TPROXY --on-port 1 --on-ip 127.0.0.1 --tproxy-mark 0x0/0x0\n*filter\n-A INPUT -j DROP", "tcp", "", "Drop"},
	{"hmark", "", "mangle", "-j HMARK", "tcp", "why", "Unknown a hash decides the mark (HMARK)"},
	{"nfqueue of another's packet", "", "mangle", "-p udp -j NFQUEUE --queue-num 0", "tcp", "", "Accept"},
	{"two marks of which one is met", "", "mangle", "-p udp -j MARK --set-mark 0x1;-p tcp -j MARK --set-mark 0x2", "tcp", "mark", "Accept mark=0x2"},
}

// TestTuple has what conntrack sees in a packet: ports, the identifier of an echo, or nothing.
func TestTuple(t *testing.T) {
	other := with(tcp("10.1.0.1:5", "10.2.0.2:6"), 50)
	timestamp, solicitation := ping("10.1.0.1", "10.2.0.2", 9, false), ping("10.1.0.1", "10.2.0.2", 9, false)
	timestamp.ICMPType, solicitation.ICMPType = 13, 10
	for _, row := range []struct {
		name     string
		p        packet.Packet
		src, dst string
	}{
		{"TCP", tcp("10.1.0.1:40000", "10.2.0.2:80"), "10.1.0.1:40000", "10.2.0.2:80"},
		{"UDP", with(tcp("10.1.0.1:40000", "10.2.0.2:80"), packet.UDP), "10.1.0.1:40000", "10.2.0.2:80"},
		{"an echo", ping("10.1.0.1", "10.2.0.2", 7, false), "10.1.0.1:7", "10.2.0.2:7"},
		{"its answer", ping("10.2.0.2", "10.1.0.1", 7, true), "10.2.0.2:7", "10.1.0.1:7"},
		{"an IPv6 echo", ping("fd00::1", "fd00::2", 7, false), "[fd00::1]:7", "[fd00::2]:7"},
		{"an ICMP error", errorAbout(tcp("10.1.0.1:1", "10.2.0.2:80")), "10.2.0.2:0", "10.1.0.1:0"},
		{"a timestamp", timestamp, "10.1.0.1:9", "10.2.0.2:9"},
		{"ICMP of another kind", solicitation, "10.1.0.1:0", "10.2.0.2:0"},
		{"a protocol without ports", other, "10.1.0.1:0", "10.2.0.2:0"},
	} {
		t.Run(row.name, func(t *testing.T) {
			got := TupleOf(row.p)
			if got.Src.String() != row.src || got.Dst.String() != row.dst || got.Proto != row.p.Proto {
				t.Errorf("%v", got)
			}
			if back := got.Invert(); back.Src != got.Dst || back.Dst != got.Src || back.Invert() != got {
				t.Errorf("inverted: %v", back)
			}
		})
	}
}

// TestNames has the names that reports print.
func TestNames(t *testing.T) {
	for _, row := range []struct{ got, want string }{
		{VerdictUnknown.String(), "Unknown"}, {TProxy.String(), "TProxy"}, {Verdict(9).String(), "invalid"},
		{New.String(), "NEW"}, {Untracked.String(), "UNTRACKED"}, {CTState(9).String(), "invalid"},
		{Maybe.String(), "maybe"}, {Yes.String(), "yes"}, {No.String(), "no"}, {Tri(9).String(), "invalid"},
		{PreRouting.String(), "PREROUTING"}, {PostRouting.String(), "POSTROUTING"}, {Hook(9).String(), "invalid"},
		{Ref{}.String(), ""}, {Ref{Chain: &Chain{Name: "X"}}.String(), "X: end of the chain"},
	} {
		if row.got != row.want {
			t.Errorf("%q, want %q", row.got, row.want)
		}
	}
}
