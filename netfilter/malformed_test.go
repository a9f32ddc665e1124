package netfilter

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestMalformed has rules with an argument that cannot be read: what is said of
// each, and that the rules around it count as ever.
func TestMalformed(t *testing.T) {
	for _, row := range []struct{ rule, want string }{
		{"-s 10.0.0.0/33 -j DROP", `not an address: "10.0.0.0/33"`},
		{"-s 10.0.0 -j DROP", `not an address: "10.0.0"`},
		{"-s fd00::1 -j DROP", `not an address: "fd00::1"`},
		{"-d host.example -j DROP", `not an address: "host.example"`},
		{"-d 10.0.0.0/255.0.255.0 -j DROP", `not an address: "10.0.0.0/255.0.255.0"`},
		{"-d 10.0.0.0/ff.0.0.0 -j DROP", `not an address: "10.0.0.0/ff.0.0.0"`},
		{"-d x.0.0.0/255.0.0.0 -j DROP", `not an address: "x.0.0.0/255.0.0.0"`},
		{"-s", "the rule ends within an option"},
		{"-p nonesuch -j DROP", `not a protocol: "nonesuch"`},
		{"-p 256 -j DROP", `not a protocol: "256"`},
		{"-p tcp -m tcp --dport 65536 -j DROP", `the match tcp is not understood: not a number: "65536"`},
		{"-p tcp -m tcp --dport http -j DROP", `the match tcp is not understood: not a number: "http"`},
		{"-p tcp -m tcp --sport 1:x -j DROP", `the match tcp is not understood: not a number: "x"`},
		{"-p tcp -m tcp --tcp-flags SYN,ECE SYN -j DROP", "the match tcp is not understood: not a TCP flag: ECE"},
		{"-p tcp -m tcp --tcp-option 999 -j DROP", `the match tcp is not understood: not a number: "999"`},
		{"-p tcp -m tcp --dport 80 --frobnicate 1 -j DROP", "the option --frobnicate is not understood"},
		{"--frobnicate 1 -j DROP", "the option --frobnicate is not understood"},
		{"-p udp -m udp --dport -1 -j DROP", `the match udp is not understood: not a number: "-1"`},
		{"-p tcp -m multiport --dports 80,x -j DROP", `the match multiport is not understood: not a number: "x"`},
		{"-p tcp -m multiport --dports 80, -j DROP", `the match multiport is not understood: not a number: ""`},
		{"-p dccp -m dccp --dccp-types REQUEST -j DROP", "the match dccp is not understood: the types and options of DCCP packets are not known"},
		{"-p icmp -m icmp --icmp-type pinging -j DROP", `the match icmp is not understood: not a number: "pinging"`},
		{"-p icmp -m icmp --icmp-type 3/400 -j DROP", `the match icmp is not understood: not a number: "400"`},
		{"-m conntrack --ctstate OLD -j DROP", "the match conntrack is not understood: not a state of a connection: OLD"},
		{"-m conntrack --ctproto what -j DROP", `the match conntrack is not understood: not a protocol: "what"`},
		{"-m conntrack --ctorigdst any -j DROP", `the match conntrack is not understood: not an address: "any"`},
		{"-m conntrack --ctorigdstport any -j DROP", `the match conntrack is not understood: not a number: "any"`},
		{"-m mark --mark 0x1/0xzz -j DROP", `the match mark is not understood: not a number: "0xzz"`},
		{"-m mark --mark 0x100000000 -j DROP", `the match mark is not understood: not a number: "0x100000000"`},
		{"-m connmark --mark -j DROP", `the match connmark is not understood: not a number: "-j"`},
		{"-m mac --mac-source 02:00 -j DROP", `the match mac is not understood: MAC address "02:00": want aa:bb:cc:dd:ee:ff`},
		{"-m pkttype --pkt-type loopback -j DROP", "the match pkttype is not understood: the packet type loopback is not understood"},
		{"-m policy --dir in ! --proto esp -j DROP", "the match policy is not understood: a negated --proto is not understood"},
		{"-m iprange --src-range 10.0.0.9-10.0.0.1 -j DROP", `the match iprange is not understood: not a range of addresses: "10.0.0.9-10.0.0.1"`},
		{"-m iprange --src-range fd00::1-fd00::2 -j DROP", `the match iprange is not understood: not a range of addresses: "fd00::1-fd00::2"`},
		{"-m length --length big -j DROP", `the match length is not understood: not a number: "big"`},
		{"-m ttl --ttl-eq 256 -j DROP", `the match ttl is not understood: not a number: "256"`},
		{"-m tos --tos 0x10/mask -j DROP", `the match tos is not understood: not a number: "mask"`},
		{"-m dscp --dscp 64 -j DROP", `the match dscp is not understood: not a number: "64"`},
		{"-m dscp --dscp-class AF55 -j DROP", `the match dscp is not understood: not a number: "AF55"`},
		{"-p tcp -m tcpmss --mss many -j DROP", `the match tcpmss is not understood: not a number: "many"`},
		{"-m statistic --mode random --probability much -j DROP", "the match statistic is not understood: -m statistic is not understood"},
		{"-m statistic --mode nth --every 0 -j DROP", "the match statistic is not understood: -m statistic is not understood"},
		{"-m owner --uid-owner nobody -j DROP", `the match owner is not understood: not a number: "nobody"`},
		{"-m socket --restore-skmark -j DROP", "the match socket is not understood: the marks of sockets are not known"},
		{"-m connlimit --connlimit-above many -j DROP", `the match connlimit is not understood: not a number: "many"`},
		{"-m martian --colour green -j DROP", "the match martian is not understood"},

		{"-j MARK --set-xmark 0x1/x", `the target MARK is not understood: not a number: "x"`},
		{"-j MARK --set-mark 1 --frobnicate", "the target MARK is not understood: it has the option --frobnicate"},
		{"-j CONNMARK --save-mark --nfmask x", `the target CONNMARK is not understood: not a number: "x"`},
		{"-j CT --zone blue", `the target CT is not understood: not a number: "blue"`},
		{"-j CT --zone-orig 5", "a conntrack zone of one direction is not understood"},
		{"-p tcp -j TPROXY --on-port 70000", `the target TPROXY is not understood: not a number: "70000"`},
		{"-p tcp -j TPROXY --on-port 1 --on-ip fd00::1", `the target TPROXY is not understood: not a range of addresses: "fd00::1"`},
		{"-p tcp -j TCPMSS --set-mss 70000", `the target TCPMSS is not understood: not a number: "70000"`},
		{"-j TOS --set-tos 0x1ff", `the target TOS is not understood: not a number: "0x1ff"`},
		{"-j DSCP --set-dscp 77", `the target DSCP is not understood: not a number: "77"`},
		{"-j TTL --ttl-set 999", `the target TTL is not understood: not a number: "999"`},
		{"-j DNAT --to-destination 10.0.0.300", `the target DNAT is not understood: not a range of addresses: "10.0.0.300"`},
		{"-j DNAT --to-destination 10.0.0.9-10.0.0.1", `the target DNAT is not understood: not a range of addresses: "10.0.0.9-10.0.0.1"`},
		{"-p tcp -j DNAT --to-destination 10.0.0.1:90-80", `the target DNAT is not understood: not a range of ports: "90-80"`},
		{"-p tcp -j DNAT --to-destination 10.0.0.1:80-90/x", `the target DNAT is not understood: not a number: "x"`},
		{"-p tcp -j DNAT --to-destination [fd00::1]:80", `the target DNAT is not understood: not a range of addresses: "fd00::1"`},
		{"-p tcp -j SNAT --to-source 10.0.0.1:http", `the target SNAT is not understood: not a number: "http"`},
		{"-p tcp -j MASQUERADE --to-ports 1-x", `the target MASQUERADE is not understood: not a number: "x"`},
		{"-p tcp -j REDIRECT --to-ports", "the rule ends within an option"},
		{"-j NETMAP --to 10.0.0.0/40", `the target NETMAP is not understood: not an address: "10.0.0.0/40"`},
		{"-j NETMAP", "the target NETMAP is not understood: it lacks its option"},
		{"-j MARK", "the target MARK is not understood: it lacks its option"},
		{"-j TTL", "the target TTL is not understood: it lacks its option"},
		{"-j DSCP", "the target DSCP is not understood: it lacks its option"},
		{"-m mark -j DROP", "the match mark is not understood: it lacks its option"},
		{"-m mac -j DROP", "the match mac is not understood: it lacks its option"},
		{"-m length -j DROP", "the match length is not understood: it lacks its option"},
		{"-j REJECT --reject-with nothing", "the answer nothing of REJECT is not understood"},
		{"-j NFQUEUE --queue-num 1", "a process decides (NFQUEUE)"},
		{"-j MARTIAN --colour green", "the target MARTIAN is not understood"},
		{"-g MARTIAN", "the target MARTIAN is not understood"},
		{"-j", "the rule ends within an option"},
	} {
		t.Run(row.rule, func(t *testing.T) {
			text := "*nat\n:OUTPUT ACCEPT [0:0]\n-A OUTPUT -j MARK --or-mark 0x2\n-A OUTPUT " + row.rule + "\n-A OUTPUT -j MARK --or-mark 0x4\nCOMMIT\n"
			tables, problems := ParseSave(strings.NewReader(text), false, NFT, "iptables")
			if len(problems) > 0 {
				t.Fatal(problems)
			}
			rules := tables[0].Chains["OUTPUT"].Rules
			if diff := cmp.Diff(row.want, rules[1].Unknown()); diff != "" {
				t.Error(diff)
			}
			if rules[1].Line != 4 || rules[1].Text != "-A OUTPUT "+strings.TrimSpace(row.rule) {
				t.Errorf("line %d: %s", rules[1].Line, rules[1].Text)
			}
			if rules[0].Unknown()+rules[2].Unknown() != "" {
				t.Error("the rules around it are not understood")
			}
			// A packet to the address that the fewest of the rules can be about.
			for _, o := range (&Ruleset{Tables: tables}).Eval(Input{Hook: LocalOut, Packet: tcp("10.1.0.1:1", "10.2.0.2:2"), Out: "eth0"}) {
				if o.Verdict == Accept && o.Packet.Mark != 6 {
					t.Errorf("the rules around it gave the mark %#x", o.Packet.Mark)
				}
			}
		})
	}
}

// TestOnlyWhereItDecides has rules that are not understood, and packets that they cannot decide about.
func TestOnlyWhereItDecides(t *testing.T) {
	for _, row := range []struct{ name, rules, want string }{
		{"a match, where the address differs", "-d 10.9.9.9/32 -m martian -j DROP", "1.000 Accept"},
		{"a match, where the protocol differs", "-p udp -m martian -j DROP", "1.000 Accept"},
		{"a match, where another match differs", "-p tcp -m martian -m tcp --dport 81 -j DROP", "1.000 Accept"},
		{"a match of a rule that only counts", "-m martian", "1.000 Accept"},
		{"a match of a rule that logs", "-m martian -j LOG", "1.000 Accept"},
		{"a target, where the port differs", "-p tcp -m tcp --dport 81 -j MARTIAN", "1.000 Accept"},
		{"a target after the verdict", "-p tcp -j DROP\n-A FORWARD -j MARTIAN", "1.000 Drop"},
		{"a target that lacks its option", "-j TTL", "1.000 Unknown the target TTL is not understood: it lacks its option"},
		{"a match before the same verdict", "-m martian -j DROP\n-A FORWARD -j DROP", "1.000 Drop"},
		{"a target", "-j MARTIAN", "1.000 Unknown the target MARTIAN is not understood"},
		{"a target for half of them", "-m statistic --mode random --probability 0.5 -j MARTIAN", "0.500 Accept; 0.500 Unknown the target MARTIAN is not understood"},
		{"an account that the kernel lacks", "-m nfacct --nfacct-name dropped -j DROP", "1.000 Drop"},
	} {
		t.Run(row.name, func(t *testing.T) {
			out := load(t, false, "*filter\n-A FORWARD "+row.rules).Eval(Input{Hook: Forward, Packet: tcp("10.1.0.1:40000", "10.2.0.2:80")})
			if diff := cmp.Diff(sorted(row.want), sorted(supposed(out))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestParsePrefix(t *testing.T) {
	for _, row := range []struct{ in, want string }{
		{"10.0.0.1", "10.0.0.1/32"},
		{"10.0.0.1/8", "10.0.0.0/8"},
		{"10.0.0.1/255.255.0.0", "10.0.0.0/16"},
		{"10.0.0.1/0.0.0.0", "0.0.0.0/0"},
		{"10.0.0.1/255.255.255.255", "10.0.0.1/32"},
		{"0.0.0.0/0", "0.0.0.0/0"},
		{"fd00::1", "fd00::1/128"},
		{"fd00::1/64", "fd00::/64"},
		{"fd00::1/ffff::", "fd00::/16"},
		{"fe80::1%eth0", "fe80::1/128"},
		{"10.0.0.1/255.0.255.0", "error"},
		{"10.0.0.1/255.0.0", "error"},
		{"fd00::1/255.0.0.0", "error"},
		{"10.0.0.1/-1", "error"},
		{"10.0.0.1/33", "error"},
		{"/8", "error"},
		{"", "error"},
	} {
		t.Run(row.in, func(t *testing.T) {
			got := "error"
			if p, err := parsePrefix(row.in); err == nil {
				got = p.String()
			}
			if got != row.want {
				t.Errorf("%s, want %s", got, row.want)
			}
		})
	}
}

func TestGraft(t *testing.T) {
	for _, row := range []struct{ to, a, want string }{
		{"192.168.0.0/16", "10.1.2.3", "192.168.2.3"},
		{"192.168.0.0/20", "10.1.255.3", "192.168.15.3"},
		{"192.168.1.1/32", "10.1.2.3", "192.168.1.1"},
		{"0.0.0.0/0", "10.1.2.3", "10.1.2.3"},
		{"fd00:1::/64", "fd00:2::5", "fd00:1::5"},
		{"fd00:1::/60", "fd00:2:0:ff::5", "fd00:1:0:f::5"},
		{"fd00:1::/64", "10.1.2.3", "10.1.2.3"},
	} {
		if got := graft(netip.MustParsePrefix(row.to), netip.MustParseAddr(row.a)); got.String() != row.want {
			t.Errorf("%s in %s: %s, want %s", row.a, row.to, got, row.want)
		}
	}
}

func TestDevice(t *testing.T) {
	for _, row := range []struct {
		pattern, dev string
		want         bool
	}{
		{"eth0", "eth0", true}, {"eth0", "eth1", false}, {"eth0", "eth00", false}, {"eth0", "", false},
		{"eth+", "eth0", true}, {"eth+", "eth", true}, {"eth+", "veth0", false}, {"+", "", true}, {"+", "lo", true}, {"", "", true},
	} {
		if got := device(row.pattern, row.dev); got != row.want {
			t.Errorf("%q of %q: %t", row.pattern, row.dev, got)
		}
	}
}
