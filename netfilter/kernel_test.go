package netfilter

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/plumbnet/plumb/packet"
)

// TestWhatTheKernelTaught has a row for each place where a real kernel and this
// package once disagreed (lab/agree/rules).
func TestWhatTheKernelTaught(t *testing.T) {
	tcp4 := packet.Packet{Src: netip.MustParseAddrPort("10.0.0.1:1000"), Dst: netip.MustParseAddrPort("10.0.0.2:80"), Proto: packet.TCP, Flags: packet.SYN}
	tcp6 := tcp4
	tcp6.Src, tcp6.Dst = netip.MustParseAddrPort("[fd00::1]:1000"), netip.MustParseAddrPort("[fd00::2]:80")
	dataSYN := tcp4
	dataSYN.Size = 200
	echo := tcp4
	echo.Src, echo.Dst = netip.MustParseAddrPort("10.0.0.1:0"), netip.MustParseAddrPort("10.0.0.2:0")
	echo.Proto, echo.ICMPType, echo.ICMPID = packet.ICMP, 8, 77
	pong := echo
	pong.Src, pong.Dst, pong.ICMPType, pong.ICMPID = echo.Dst, netip.MustParseAddrPort("192.0.2.1:0"), 0, 99
	natted := Conn{State: Established, Reply: true, SNAT: true, SrcDone: true, DstDone: true,
		Orig: Tuple{netip.MustParseAddrPort("10.0.0.1:77"), netip.MustParseAddrPort("10.0.0.2:77"), packet.ICMP},
		Back: Tuple{netip.MustParseAddrPort("10.0.0.2:99"), netip.MustParseAddrPort("192.0.2.1:99"), packet.ICMP}}
	for _, row := range []struct {
		name, table, rules, sets string
		p                        packet.Packet
		conn                     *Conn
		types                    map[string]AddrType
		mark                     uint32
		dst                      string
		id                       uint16
		randomID                 bool
		zone                     uint16
	}{
		{name: "an answer gets the identifier of the echo back", table: "nat", p: pong, conn: &natted, dst: "10.0.0.1:0", id: 77},
		{name: "DNAT --random changes the identifier of an echo", table: "nat", rules: "-A PREROUTING -j DNAT --to-destination 10.0.0.9 --random", p: echo, dst: "10.0.0.9:0", id: 77, randomID: true},
		{name: "a port alone, IPv6", table: "nat", rules: "-A PREROUTING -p tcp -j DNAT --to-destination :8080", p: tcp6, dst: "[fd00::2]:8080"},
		{name: "a local IPv6 address is UNICAST too", table: "mangle", rules: "-A PREROUTING -m addrtype --dst-type UNICAST -j MARK --set-xmark 0x1/0xffffffff", p: tcp6, types: map[string]AddrType{"fd00::2": "LOCAL"}, mark: 1},
		{name: "a local IPv4 address is not", table: "mangle", rules: "-A PREROUTING -m addrtype --dst-type UNICAST -j MARK --set-xmark 0x1/0xffffffff", p: tcp4, types: map[string]AddrType{"10.0.0.2": "LOCAL"}},
		{name: "IPv6: MULTICAST and LOCAL must both hold", table: "mangle", rules: "-A PREROUTING -m addrtype --dst-type LOCAL,MULTICAST -j MARK --set-xmark 0x1/0xffffffff", p: tcp6, types: map[string]AddrType{"fd00::2": "LOCAL"}},
		{name: "ctorigdstport of an echo is its type and code", table: "mangle", rules: "-A PREROUTING -m conntrack --ctorigdstport 2048 -j MARK --set-xmark 0x1/0xffffffff", p: echo, mark: 1, id: 77},
		{name: "ctorigsrcport of an echo is its identifier", table: "mangle", rules: "-A PREROUTING -m conntrack --ctorigsrcport 77 -j MARK --set-xmark 0x1/0xffffffff", p: echo, mark: 1, id: 77},
		{name: "the first CT target decides: zone", table: "raw", rules: "-A PREROUTING -j CT --zone 2\n-A PREROUTING -j NOTRACK\n-A PREROUTING -j CT --zone 3", p: tcp4, zone: 2},
		{name: "the first CT target decides: notrack", table: "raw", rules: "-A PREROUTING -j NOTRACK\n-A PREROUTING -j CT --zone 3", p: tcp4},
		{name: "return-nomatch without exceptions is no condition", table: "mangle", sets: "create s bitmap:port range 1-100\nadd s 80\n",
			rules: "-A PREROUTING -m set --match-set s dst --return-nomatch -j MARK --set-xmark 0x1/0xffffffff", p: tcp4, mark: 1},
		{name: "return-nomatch of a list counts in its sets", table: "mangle", sets: "create s hash:net family inet hashsize 1024 maxelem 65536\nadd s 10.0.0.0/8\ncreate l list:set size 8\nadd l s\n",
			rules: "-A PREROUTING -m set --match-set l dst --return-nomatch -j MARK --set-xmark 0x1/0xffffffff", p: tcp4},
		{name: "return-nomatch finds the exception in a list", table: "mangle", sets: "create s hash:net family inet hashsize 1024 maxelem 65536\nadd s 10.0.0.0/8 nomatch\ncreate l list:set size 8\nadd l s\n",
			rules: "-A PREROUTING -m set --match-set l dst --return-nomatch -j MARK --set-xmark 0x1/0xffffffff", p: tcp4, mark: 1},
		{name: "after CT, a packet has an empty connection: its state", table: "raw", rules: "-A PREROUTING -j CT --zone 2\n-A PREROUTING -m conntrack --ctstate NEW -j MARK --set-xmark 0x1/0xffffffff", p: tcp4, mark: 1, zone: 2},
		{name: "after CT, a packet has an empty connection: its mark", table: "raw", rules: "-A PREROUTING -j CT --zone 2\n-A PREROUTING -m connmark --mark 0 -j MARK --set-xmark 0x1/0xffffffff", p: tcp4, mark: 1, zone: 2},
		{name: "before conntrack there is no connection", table: "raw", rules: "-A PREROUTING -m connmark --mark 0 -j MARK --set-xmark 0x1/0xffffffff\n-A PREROUTING -m conntrack --ctstate NEW -j MARK --set-xmark 0x1/0xffffffff", p: tcp4},
		{name: "a repeated first packet is of a confirmed connection", table: "mangle", rules: "-A PREROUTING -m conntrack --ctstatus CONFIRMED -j MARK --set-xmark 0x1/0xffffffff", p: tcp4, mark: 1,
			conn: &Conn{DstDone: true, SrcDone: true, Orig: TupleOf(tcp4), Back: TupleOf(tcp4).Invert()}},
		{name: "a first packet is not", table: "mangle", rules: "-A PREROUTING -m conntrack --ctstatus CONFIRMED -j MARK --set-xmark 0x1/0xffffffff", p: tcp4},
		{name: "no MSS is added to a SYN with data", table: "mangle", rules: "-A PREROUTING -p tcp -m tcp --tcp-flags SYN,RST SYN -j TCPMSS --set-mss 1000", p: dataSYN},
		{name: "a net for another device hides a wider one", table: "mangle", sets: "create s hash:net,iface family inet hashsize 1024 maxelem 65536\nadd s 10.0.0.0/24,eth1\nadd s 10.0.0.0/8,eth0\n",
			rules: "-A PREROUTING -m set --match-set s src,src -j MARK --set-xmark 0x1/0xffffffff", p: tcp4},
		{name: "a net for this device", table: "mangle", sets: "create s hash:net,iface family inet hashsize 1024 maxelem 65536\nadd s 10.1.0.0/24,eth1\nadd s 10.0.0.0/8,eth0\n",
			rules: "-A PREROUTING -m set --match-set s src,src -j MARK --set-xmark 0x1/0xffffffff", p: tcp4, mark: 1},
	} {
		t.Run(row.name, func(t *testing.T) {
			text := "*" + row.table + "\n:PREROUTING ACCEPT [0:0]\n" + row.rules + "\nCOMMIT\n"
			tables, problems := ParseSave(strings.NewReader(text), row.p.Is6(), NFT, "iptables")
			sets, more := ParseIPSet(strings.NewReader(row.sets), "ipset")
			if len(problems)+len(more) > 0 {
				t.Fatal(problems, more)
			}
			r := &Ruleset{Tables: tables, Sets: sets}
			env := fakeEnv{conn: row.conn, types: row.types}
			out := r.Eval(Input{Hook: PreRouting, Packet: row.p, In: "eth0", Env: env})
			if len(out) != 1 || out[0].Verdict != Accept || len(out[0].Assumed) > 0 {
				t.Fatalf("outcomes: %+v", out)
			}
			o := out[0]
			if row.dst == "" {
				row.dst = row.p.Dst.String()
			}
			if o.Packet.Mark != row.mark || o.Packet.Dst.String() != row.dst || o.Packet.ICMPID != row.id || o.Conn.Zone != row.zone || o.Conn.RandomPort != row.randomID || o.Packet.MSS != 0 {
				t.Errorf("got mark %#x, to %s, id %d, zone %d, random %v", o.Packet.Mark, o.Packet.Dst, o.Packet.ICMPID, o.Conn.Zone, o.Conn.RandomPort)
			}
		})
	}
}

func TestUnknown(t *testing.T) {
	for _, row := range []struct{ rule, want string }{
		{"-A INPUT -p tcp -m tcp --dport 80 -j ACCEPT", ""},
		{"-A INPUT -m martian --colour green -j ACCEPT", "martian"},
		{"-A INPUT -j MARTIAN --colour green", "MARTIAN"},
		{"-A INPUT -m limit --limit 1/hour -j ACCEPT", "-m limit"},
	} {
		tables, _ := ParseSave(strings.NewReader("*filter\n:INPUT ACCEPT [0:0]\n"+row.rule+"\nCOMMIT\n"), false, NFT, "iptables")
		got := tables[0].Chains["INPUT"].Rules[0].Unknown()
		if (got == "") != (row.want == "") || !strings.Contains(got, row.want) {
			t.Errorf("%s: %q", row.rule, got)
		}
	}
}
