package netfilter

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/plumbnet/plumb/packet"
)

// answer says whether a packet meets the conditions of a rule: yes, no or maybe.
func answer(t *testing.T, is6 bool, conditions string, sets map[string]*Set, in Input) string {
	t.Helper()
	chain := in.Hook.String()
	r := load(t, is6, fmt.Sprintf("*mangle\n-A %s %s -j DROP", chain, conditions))
	r.Sets = sets
	return tell(r.Eval(in))
}

var root = uint32(0)

// scene is a packet and its surroundings, for rows to refer to.
func scene(name string) Input {
	in := Input{Hook: PreRouting, Packet: tcp("10.1.0.1:40000", "10.2.0.2:80"), In: "eth0", SrcMAC: packet.MAC{2, 0, 0, 0, 0, 1},
		Env: fakeEnv{types: map[string]AddrType{"10.2.0.2": "LOCAL", "10.1.0.1%eth0": "LOCAL", "10.3.0.3": ""}}}
	in.Packet.Mark = 0x4001
	in.Packet.TOS = 0xb8
	switch name {
	case "udp":
		in.Packet.Proto, in.Packet.Flags, in.Packet.MSS = packet.UDP, 0, 0
	case "ack":
		in.Packet.Flags, in.Packet.MSS = packet.ACK, 0
	case "sctp":
		in.Packet.Proto, in.Packet.Flags = packet.SCTP, 0
	case "echo":
		in.Packet.Proto, in.Packet.ICMPType, in.Packet.ICMPID = packet.ICMP, 8, 7
		in.Packet.Src, in.Packet.Dst = netip.MustParseAddrPort("10.1.0.1:0"), netip.MustParseAddrPort("10.2.0.2:0")
	case "needfrag":
		in.Packet.Proto, in.Packet.ICMPType, in.Packet.ICMPCode = packet.ICMP, 3, 4
	case "tcp6", "leaves6":
		in.Packet.Src, in.Packet.Dst = netip.MustParseAddrPort("[fd00::1]:40000"), netip.MustParseAddrPort("[fd00::2]:80")
	case "echo6":
		in.Packet.Src, in.Packet.Dst = netip.MustParseAddrPort("[fd00::1]:0"), netip.MustParseAddrPort("[fd00::2]:0")
		in.Packet.Proto, in.Packet.ICMPType = packet.ICMPv6, 128
	case "rst":
		in.Packet.Flags, in.Packet.MSS = packet.RST|packet.ACK, 0
	case "ports":
		in.Packet.Src, in.Packet.Dst = netip.MustParseAddrPort("10.1.0.1:53"), netip.MustParseAddrPort("10.2.0.2:8081")
	case "dccp":
		in.Packet.Proto, in.Packet.Flags = 33, 0
	case "redirect":
		in.Packet.Proto, in.Packet.ICMPType, in.Packet.ICMPCode = packet.ICMP, 5, 1
	case "random-port":
		in = tracked(in, "reply")
		in.Conn.RandomPort, in.Conn.SNAT = true, true
	case "echo-conn":
		in = tracked(scene("echo"), "new")
	case "blackhole6", "local6", "multicast6", "nowhere6":
		in = scene("tcp6")
		in.Env = fakeEnv{types: map[string]AddrType{"fd00::2": map[string]AddrType{"blackhole6": "BLACKHOLE", "local6": "LOCAL"}[name]}}
		if name == "multicast6" {
			in.Packet.Dst = netip.MustParseAddrPort("[ff02::1]:80")
		}
	case "toobig6":
		in = scene("echo6")
		in.Packet.ICMPType = 2
	case "unreachable6":
		in = scene("echo6")
		in.Packet.ICMPType, in.Packet.ICMPCode = 1, 4
	case "multicast":
		in.Packet.Dst = netip.MustParseAddrPort("224.0.0.1:80")
	case "broadcast":
		in.Packet.Dst = netip.MustParseAddrPort("255.255.255.255:80")
	case "unknown":
		in.Packet.Dst, in.Packet.Size, in.Packet.TTL = netip.MustParseAddrPort("10.3.0.3:99"), 0, 0
		in.In, in.SrcMAC, in.Env = "unknown0", packet.MAC{}, nil
	case "wrong":
		in.In, in.Packet.Dst = "wrong0", netip.MustParseAddrPort("10.2.0.2:81")
	case "bridged":
		in.Hook, in.Out, in.PhysIn, in.PhysOut = Forward, "eth1", "veth1", "veth2"
	case "from-bridge":
		in.PhysIn = "veth1"
	case "output":
		in.Hook, in.In, in.Out = LocalOut, "", "eth0"
	case "output-root":
		in.Hook, in.In, in.Out, in.UID = LocalOut, "", "eth0", &root
	case "forward":
		in.Hook, in.Out = Forward, "eth1"
	case "reply", "invalid", "untracked", "related", "natted":
		in = tracked(in, name)
	}
	return in
}

// tracked gives the packet a connection.
func tracked(in Input, name string) Input {
	c := Conn{State: Established, Orig: TupleOf(in.Packet), Back: TupleOf(in.Packet).Invert(), Mark: 5}
	switch name {
	case "reply":
		c.Orig, c.Back, c.Reply = c.Back, c.Orig, true
	case "invalid":
		c = Conn{State: Invalid}
	case "untracked":
		c = Conn{State: Untracked}
	case "related":
		c.State = Related
	case "new":
		c.State = New
	case "natted":
		c.DNAT, c.Orig.Dst = true, netip.MustParseAddrPort("10.96.0.1:443")
	}
	in.Conn = &c
	return in
}

// A matchRow is conditions, and the scenes that meet them, do not, or may.
type matchRow struct{ conditions, yes, no, maybe string }

// matchRows are the matches as rules have them for IPv4.
var matchRows = []matchRow{
	{conditions: "", yes: "tcp udp echo"},
	{conditions: "-s 10.1.0.0/16", yes: "tcp udp"},
	{conditions: "! -s 10.1.0.0/16", no: "tcp udp"},
	{conditions: "-s 10.1.0.0/255.255.0.0", yes: "tcp"},
	{conditions: "-d 10.2.0.2", yes: "tcp", no: "unknown"},
	{conditions: "! -d 10.2.0.2/32", no: "tcp", yes: "unknown"},
	{conditions: "-i eth0", yes: "tcp", no: "unknown output"},
	{conditions: "-i eth+", yes: "tcp", no: "unknown"},
	{conditions: "! -i eth+", no: "tcp", yes: "unknown output"},
	{conditions: "-i +", yes: "tcp unknown"},
	{conditions: "-o eth1", yes: "forward", no: "tcp"},
	{conditions: "! -o eth1", no: "forward", yes: "tcp"},
	{conditions: "-p tcp", yes: "tcp", no: "udp echo"},
	{conditions: "! -p tcp", yes: "udp echo", no: "tcp"},
	{conditions: "-p 17", yes: "udp", no: "tcp"},
	{conditions: "-p all", yes: "udp tcp echo"},
	{conditions: "-f", no: "tcp udp"},
	{conditions: "! -f", yes: "tcp udp"},
	{conditions: "-p tcp -m tcp --sport 40000", yes: "tcp"},
	{conditions: "-p tcp -m tcp ! --sport 1:39999 --dport 80:81", yes: "tcp wrong", no: "udp unknown"},
	{conditions: "-p tcp -m tcp --dport :80", yes: "tcp", no: "unknown"},
	{conditions: "-p tcp -m tcp --dport 81:", yes: "unknown", no: "tcp"},
	{conditions: "-p tcp -m tcp --syn", yes: "tcp", no: "ack"},
	{conditions: "-p tcp -m tcp ! --syn", yes: "ack", no: "tcp"},
	{conditions: "-p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN", yes: "tcp", no: "ack"},
	{conditions: "-p tcp -m tcp --tcp-flags ALL NONE", no: "tcp ack"},
	{conditions: "-p tcp -m tcp ! --tcp-flags ALL ACK", no: "ack", yes: "tcp"},
	{conditions: "-p tcp -m tcp --tcp-option 2", yes: "tcp", no: "ack"},
	{conditions: "-p tcp -m tcp ! --tcp-option 2", yes: "ack", no: "tcp"},
	{conditions: "-p tcp -m tcp --tcp-option 3", maybe: "tcp"},
	{conditions: "-p udp -m udp --dport 80", yes: "udp", no: "tcp"},
	{conditions: "-p udp -m udp ! --dport 80", no: "udp"},
	{conditions: "-p sctp -m sctp --dport 80", yes: "sctp", no: "tcp"},
	{conditions: "-p sctp -m sctp --chunk-types any INIT,DATA", yes: "sctp"},
	{conditions: "-p sctp -m sctp --chunk-types all INIT", yes: "sctp"},
	{conditions: "-p sctp -m sctp --chunk-types all INIT,DATA", no: "sctp"},
	{conditions: "-p sctp -m sctp --chunk-types only DATA", no: "sctp"},
	{conditions: "-p sctp -m sctp ! --chunk-types any INIT", no: "sctp"},
	{conditions: "-p sctp -m sctp --chunk-types any DATA:Be", maybe: "sctp"},
	{conditions: "-p tcp -m multiport --dports 22,80:81", yes: "tcp wrong", no: "unknown"},
	{conditions: "-p tcp -m multiport ! --dports 22,80:81", no: "tcp wrong", yes: "unknown"},
	{conditions: "-p tcp -m multiport --sports 40000", yes: "tcp"},
	{conditions: "-p tcp -m multiport --ports 40000", yes: "tcp"},
	{conditions: "-p tcp -m multiport --ports 1,2", no: "tcp"},
	{conditions: "-p icmp -m icmp --icmp-type 8", yes: "echo", no: "needfrag tcp"},
	{conditions: "-p icmp -m icmp ! --icmp-type echo-request", no: "echo", yes: "needfrag"},
	{conditions: "-p icmp -m icmp --icmp-type 3/4", yes: "needfrag", no: "echo"},
	{conditions: "-p icmp -m icmp --icmp-type 3/3", no: "needfrag echo"},
	{conditions: "-p icmp -m icmp --icmp-type any", yes: "needfrag echo"},

	{conditions: "-m conntrack --ctstate NEW", yes: "tcp udp", no: "reply invalid untracked related"},
	{conditions: "-m conntrack --ctstate RELATED,ESTABLISHED", yes: "reply related", no: "tcp invalid untracked"},
	{conditions: "-m conntrack ! --ctstate NEW", no: "tcp", yes: "reply invalid untracked"},
	{conditions: "-m conntrack --ctstate INVALID", yes: "invalid", no: "tcp untracked"},
	{conditions: "-m conntrack --ctstate UNTRACKED", yes: "untracked", no: "tcp invalid"},
	{conditions: "-m conntrack --ctstate DNAT", yes: "natted", no: "tcp invalid"},
	{conditions: "-m conntrack --ctstate SNAT", no: "natted tcp"},
	{conditions: "-m state --state NEW", yes: "tcp", no: "reply"},
	{conditions: "-m conntrack --ctdir ORIGINAL", yes: "tcp natted", no: "reply invalid untracked"},
	{conditions: "-m conntrack --ctdir REPLY", yes: "reply", no: "tcp"},
	{conditions: "-m conntrack --ctproto 6", yes: "tcp", no: "udp invalid"},
	{conditions: "-m conntrack ! --ctproto tcp", yes: "udp", no: "tcp invalid"},
	{conditions: "-m conntrack --ctorigdst 10.96.0.1/32 --ctorigdstport 443", yes: "natted", no: "tcp invalid"},
	{conditions: "-m conntrack ! --ctorigdst 10.96.0.1/32", no: "natted invalid", yes: "tcp"},
	{conditions: "-m conntrack --ctorigsrc 10.1.0.0/16 --ctreplsrc 10.2.0.2 --ctrepldst 10.1.0.1", yes: "tcp natted", no: "reply"},
	{conditions: "-m conntrack --ctreplsrcport 80 ! --ctrepldstport 1:5", yes: "tcp natted", no: "reply"},
	{conditions: "-m conntrack --ctstatus NONE", no: "tcp reply"},
	{conditions: "-m conntrack --ctstatus SEEN_REPLY", yes: "reply", no: "tcp"},
	{conditions: "-m conntrack ! --ctstatus CONFIRMED", yes: "tcp", no: "reply invalid"},
	{conditions: "-m conntrack --ctstatus ASSURED", no: "tcp", maybe: "reply"},
	{conditions: "-m conntrack --ctexpire 5:10", maybe: "tcp", no: "invalid"},
	{conditions: "-m conntrack --ctstate NEW --ctdir REPLY", no: "tcp reply"},
	{conditions: "-m mark --mark 0x4001", yes: "tcp"},
	{conditions: "-m mark --mark 0x4000/0x4000", yes: "tcp"},
	{conditions: "-m mark ! --mark 0x4000/0x4000", no: "tcp"},
	{conditions: "-m mark --mark 0x2/0xff", no: "tcp"},
	{conditions: "-m connmark --mark 5", yes: "natted", no: "tcp invalid"},
	{conditions: "-m connmark ! --mark 5", no: "natted invalid", yes: "tcp"},
	{conditions: "-m helper --helper ftp", no: "tcp", maybe: "related"},
	{conditions: "-m helper ! --helper ftp", yes: "tcp", no: "invalid"},

	{conditions: "-m comment --comment \"a b\"", yes: "tcp"},
	{conditions: "-m nfacct --nfacct-name ct_state_invalid_dropped_pkts", yes: "tcp"},
	{conditions: "-m statistic --mode random --probability 0", no: "tcp"},
	{conditions: "-m statistic --mode random --probability 1.00000000000", yes: "tcp"},
	{conditions: "-m statistic --mode random ! --probability 1.0", no: "tcp"},
	{conditions: "-m addrtype --dst-type LOCAL", yes: "tcp", maybe: "unknown"},
	{conditions: "-m addrtype ! --dst-type LOCAL", no: "tcp", maybe: "unknown"},
	{conditions: "-m addrtype --src-type LOCAL --limit-iface-in", yes: "tcp"},
	{conditions: "-m addrtype --src-type LOCAL", no: "tcp"},
	{conditions: "-m addrtype --src-type UNICAST --dst-type BROADCAST,LOCAL", yes: "tcp"},
	{conditions: "-m iprange --src-range 10.1.0.0-10.1.0.9", yes: "tcp"},
	{conditions: "-m iprange ! --src-range 10.1.0.0-10.1.0.9", no: "tcp"},
	{conditions: "-m iprange --src-range 10.1.0.0-10.1.0.9 --dst-range 10.2.0.3-10.2.0.4", no: "tcp"},
	{conditions: "-m mac --mac-source 02:00:00:00:00:01", yes: "tcp", maybe: "unknown"},
	{conditions: "-m mac ! --mac-source 02:00:00:00:00:01", no: "tcp"},
	{conditions: "-m physdev --physdev-is-bridged", yes: "bridged", no: "tcp from-bridge"},
	{conditions: "-m physdev ! --physdev-is-bridged", no: "bridged", yes: "tcp from-bridge"},
	{conditions: "-m physdev --physdev-in veth1", yes: "bridged from-bridge", no: "tcp"},
	{conditions: "-m physdev ! --physdev-in veth+", no: "bridged", yes: "tcp"},
	{conditions: "-m physdev --physdev-out veth2", yes: "bridged", no: "tcp"},
	{conditions: "-m physdev --physdev-is-in", yes: "bridged from-bridge", no: "tcp"},
	{conditions: "-m physdev --physdev-is-out", yes: "bridged", no: "tcp"},
	{conditions: "-m rpfilter", yes: "tcp", no: "wrong", maybe: "unknown"},
	{conditions: "-m rpfilter --invert", no: "tcp", yes: "wrong", maybe: "unknown"},
	{conditions: "-m rpfilter --loose", yes: "tcp wrong"},
	{conditions: "-m socket", yes: "tcp", no: "wrong", maybe: "unknown"},
	{conditions: "-m socket --restore-skmark", maybe: "tcp"},
	{conditions: "-m owner --uid-owner 0", yes: "output-root", no: "tcp forward", maybe: "output"},
	{conditions: "-m owner ! --uid-owner 0", no: "output-root", yes: "forward", maybe: "output"},
	{conditions: "-m owner --uid-owner 1-99", no: "output-root"},
	{conditions: "-m owner --gid-owner 0", maybe: "output-root", no: "forward"},
	{conditions: "-m owner --socket-exists", yes: "output-root", no: "forward"},
	{conditions: "-m pkttype --pkt-type unicast", yes: "tcp", no: "multicast broadcast"},
	{conditions: "-m pkttype --pkt-type multicast", yes: "multicast", no: "tcp"},
	{conditions: "-m pkttype ! --pkt-type broadcast", yes: "tcp", no: "broadcast"},
	{conditions: "-m policy --dir in --pol none", yes: "tcp"},
	{conditions: "-m policy --dir in --pol ipsec --proto esp", no: "tcp"},

	{conditions: "-m length --length 60", yes: "tcp", maybe: "unknown"},
	{conditions: "-m length ! --length 0:60", no: "tcp"},
	{conditions: "-m length --length 61:65535", no: "tcp"},
	{conditions: "-m ttl --ttl-eq 64", yes: "tcp", maybe: "unknown"},
	{conditions: "-m ttl ! --ttl-eq 64", no: "tcp"},
	{conditions: "-m ttl --ttl-lt 64", no: "tcp"},
	{conditions: "-m ttl --ttl-lt 65", yes: "tcp"},
	{conditions: "-m ttl --ttl-gt 63", yes: "tcp"},
	{conditions: "-m ttl --ttl-gt 64", no: "tcp"},
	{conditions: "-m tos --tos 0xb8/0xff", yes: "tcp"},
	{conditions: "-m tos ! --tos 0xb8", no: "tcp"},
	{conditions: "-m tos --tos Minimize-Delay", no: "tcp"},
	{conditions: "-m dscp --dscp 0x2e", yes: "tcp"},
	{conditions: "-m dscp --dscp-class EF", yes: "tcp"},
	{conditions: "-m dscp ! --dscp-class CS1", yes: "tcp"},
	{conditions: "-m dscp --dscp-class AF21", no: "tcp"},
	{conditions: "-p tcp -m tcpmss --mss 1400:1500", yes: "tcp", no: "ack"},
	{conditions: "-p tcp -m tcpmss ! --mss 1400:1500", no: "tcp", yes: "ack"},
	{conditions: "-p tcp -m tcpmss --mss 0:1459", no: "tcp ack"},

	{conditions: "-m recent --set --name x", yes: "tcp"},
	{conditions: "-m recent ! --set --name x", no: "tcp"},
	{conditions: "-m recent --rcheck --seconds 10 --name x --mask 255.255.255.255 --rsource", maybe: "tcp"},
	{conditions: "-m recent ! --update --name x", maybe: "tcp"},
	{conditions: "-m limit --limit 5/min --limit-burst 7", maybe: "tcp"},
	{conditions: "-m hashlimit --hashlimit-above 5/sec --hashlimit-burst 5 --hashlimit-name x", maybe: "tcp"},
	{conditions: "-m hashlimit --hashlimit-upto 5/sec --hashlimit-name x --hashlimit-mode srcip,dstport", maybe: "tcp"},
	{conditions: "-m connlimit --connlimit-above 5 --connlimit-mask 32 --connlimit-saddr", maybe: "tcp"},
	{conditions: "-m quota --quota 1000", maybe: "tcp"},
	{conditions: "-m string --string \"-j\" --algo bm --to 65535", maybe: "tcp"},
	{conditions: "-m time --timestart 10:00:00 --timestop 23:59:59", maybe: "tcp"},
	{conditions: "-m u32 --u32 \"0x0>>0x16&0x3c@0x8=0x1\"", maybe: "tcp"},
	{conditions: "-m bpf --bytecode \"1,6 0 0 0\"", maybe: "tcp"},
	{conditions: "-m cgroup --cgroup 5", maybe: "tcp"},
	{conditions: "-m cpu ! --cpu 0", maybe: "tcp"},
	{conditions: "-m realm --realm 0x1", maybe: "tcp"},
	{conditions: "-m devgroup --src-group 0x1", maybe: "tcp"},
	{conditions: "-m nonesuch --frobnicate 1 -p tcp", maybe: "tcp", no: "udp"},
	{conditions: "-p tcp -m tcp --frobnicate 1", maybe: "tcp", no: "udp"},
	{conditions: "-m mark --mark banana", maybe: "tcp"},
	{conditions: "-s banana", maybe: "tcp"},
	{conditions: "-m set --match-set nonesuch src", maybe: "tcp"},
	{conditions: "-m cpu --cpu 0 -m mark --mark 9", no: "tcp"},
}

// matchRows6 are the same for IPv6.
var matchRows6 = []matchRow{
	{conditions: "-s fd00::/64 -d fd00::2/128", yes: "tcp6"},
	{conditions: "! -d fd00::/64", no: "tcp6"},
	{conditions: "-p tcp -m tcp --dport 80", yes: "tcp6", no: "echo6"},
	{conditions: "-p ipv6-icmp -m icmp6 --icmpv6-type 128", yes: "echo6", no: "tcp6"},
	{conditions: "-p ipv6-icmp -m icmp6 ! --icmpv6-type echo-request", no: "echo6"},
	{conditions: "-p ipv6-icmp -m icmp6 --icmpv6-type 1/4", no: "echo6"},
	{conditions: "-m hl --hl-gt 63", yes: "tcp6"},
	{conditions: "-m hl --hl-eq 255", no: "tcp6"},
	{conditions: "-m frag --fragfirst", no: "tcp6"},
	{conditions: "-m hbh --hbh-len 8", no: "tcp6"},
	{conditions: "-m rt --rt-type 0", no: "tcp6"},
	{conditions: "-m frag ! --fragid 5", maybe: "tcp6"},
	{conditions: "-m ipv6header --header hop-by-hop --soft", maybe: "tcp6"},
	{conditions: "-m iprange --src-range fd00::1-fd00::9", yes: "tcp6"},
	{conditions: "-s 10.0.0.0/8", maybe: "tcp6"},
}

// rowsOf are all rows of a family.
func rowsOf(is6 bool) []matchRow {
	if is6 {
		return slices.Concat(matchRows6, headerRows6)
	}
	return slices.Concat(matchRows, headerRows, conntrackRows, aroundRows, rateRows)
}

func TestMatch(t *testing.T) {
	for _, is6 := range []bool{false, true} {
		for _, row := range rowsOf(is6) {
			row.ask(t, func(t *testing.T, name string) string { return answer(t, is6, row.conditions, nil, scene(name)) })
		}
	}
}

// ask wants the answer that the row has for each of its scenes.
func (row matchRow) ask(t *testing.T, answer func(t *testing.T, scene string) string) {
	for want, scenes := range map[string]string{"yes": row.yes, "no": row.no, "maybe": row.maybe} {
		for name := range strings.FieldsSeq(scenes) {
			t.Run(row.conditions+"/"+name, func(t *testing.T) {
				if got := answer(t, name); got != want {
					t.Errorf("%s, want %s", got, want)
				}
			})
		}
	}
}
