package netfilter

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/plumbnet/plumb/packet"
)

// show prints what became of a packet, in the fields that the row's names ask for.
func show(o Outcome, fields string) string {
	var b strings.Builder
	b.WriteString(o.Verdict.String())
	for _, f := range strings.Fields(fields) {
		switch f {
		case "mark":
			fmt.Fprintf(&b, " mark=%#x", o.Packet.Mark)
		case "connmark":
			fmt.Fprintf(&b, " connmark=%#x", o.Conn.Mark)
		case "tos":
			fmt.Fprintf(&b, " tos=%#x", o.Packet.TOS)
		case "ttl":
			fmt.Fprintf(&b, " ttl=%d", o.Packet.TTL)
		case "mss":
			fmt.Fprintf(&b, " mss=%d", o.Packet.MSS)
		case "state":
			fmt.Fprintf(&b, " %s zone=%d", o.Conn.State, o.Conn.Zone)
		case "with":
			b.WriteString(" " + o.RejectWith)
		case "proxy":
			fmt.Fprintf(&b, " proxy=%s", o.Proxy)
		case "why":
			b.WriteString(" " + o.Why)
		case "path":
			fmt.Fprintf(&b, " %s>%s", o.Packet.Src, o.Packet.Dst)
		case "random":
			fmt.Fprintf(&b, " random=%t", o.Conn.RandomPort)
		case "weight":
			fmt.Fprintf(&b, " weight=%.3f", o.Weight)
		}
	}
	return b.String()
}

// A targetRow is rules of a table at a hook, PREROUTING if it names none, and what becomes of a scene's packet.
type targetRow struct{ name, hook, table, rules, scene, fields, want string }

func TestTarget(t *testing.T) {
	for _, row := range slices.Concat(changeRows, []targetRow{
		{"accept", "", "mangle", "-j ACCEPT;-j DROP", "tcp", "", "Accept"},
		{"drop", "", "mangle", "-j DROP", "tcp", "", "Drop"},
		{"return", "", "mangle", "-j RETURN;-j DROP", "tcp", "", "Accept"},
		{"reject", "FORWARD", "filter", "-j REJECT --reject-with icmp-port-unreachable", "tcp", "with", "Reject icmp-port-unreachable"},
		{"reject by default", "FORWARD", "filter", "-j REJECT", "tcp", "with", "Reject icmp-port-unreachable"},
		{"reject by default, IPv6", "FORWARD", "filter", "-j REJECT", "tcp6", "with", "Reject icmp6-port-unreachable"},
		{"reject with a short name, IPv6", "FORWARD", "filter", "-j REJECT --reject-with adm-prohibited", "tcp6", "with", "Reject icmp6-adm-prohibited"},
		{"reject with a reset", "FORWARD", "filter", "-p tcp -j REJECT --reject-with tcp-reset", "tcp", "with", "Reject tcp-reset"},
		{"reject with the unknown", "FORWARD", "filter", "-j REJECT --reject-with flowers", "tcp", "why", "Unknown the answer flowers of REJECT is not understood"},

		{"set-xmark", "", "mangle", "-j MARK --set-xmark 0x4000/0x4000", "udp", "mark", "Accept mark=0x4001"},
		{"set-mark", "", "mangle", "-j MARK --set-mark 0x2/0xff", "udp", "mark", "Accept mark=0x4002"},
		{"and-mark", "", "mangle", "-j MARK --and-mark 0xff", "udp", "mark", "Accept mark=0x1"},
		{"or-mark", "", "mangle", "-j MARK --or-mark 0x2", "udp", "mark", "Accept mark=0x4003"},
		{"xor-mark", "", "mangle", "-j MARK --xor-mark 0x4000", "udp", "mark", "Accept mark=0x1"},
		{"save-mark", "", "mangle", "-j CONNMARK --save-mark --nfmask 0xffffffff --ctmask 0xffffffff", "natted", "connmark", "Accept connmark=0x4001"},
		{"save-mark in part", "", "mangle", "-j CONNMARK --save-mark --mask 0x4000", "natted", "connmark", "Accept connmark=0x4005"},
		{"restore-mark", "", "mangle", "-j CONNMARK --restore-mark --nfmask 0xff --ctmask 0xff", "natted", "mark", "Accept mark=0x4005"},
		{"set connmark", "", "mangle", "-j CONNMARK --set-xmark 0x8/0xf", "natted", "connmark", "Accept connmark=0x8"},
		{"connmark of no connection", "", "mangle", "-j CONNMARK --set-xmark 0x8/0xf", "untracked", "state", "Accept UNTRACKED zone=0"},
		{"connmark that shifts", "", "mangle", "-j CONNMARK --save-mark --left-shift-mark 2", "tcp", "why", "Unknown a CONNMARK that shifts is not understood"},
		{"notrack", "", "raw", "-j CT --notrack", "tcp", "state", "Accept UNTRACKED zone=0"},
		{"NOTRACK", "", "raw", "-j NOTRACK", "tcp", "state", "Accept UNTRACKED zone=0"},
		{"zone", "", "raw", "-j CT --zone 7", "tcp", "state", "Accept NEW zone=7"},
		{"zone by mark", "", "raw", "-j CT --zone mark", "tcp", "why", "Unknown a conntrack zone that follows the mark is not understood"},

		{"tproxy", "", "mangle", "-p tcp -j TPROXY --on-port 8080 --on-ip 127.0.0.1 --tproxy-mark 0x1/0xff;-j DROP", "tcp", "proxy mark", "TProxy proxy=127.0.0.1:8080 mark=0x4001"},
		{"tproxy to the device", "", "mangle", "-p tcp -j TPROXY --on-port 0 --on-ip 0.0.0.0 --tproxy-mark 0x0/0x0", "tcp", "proxy", "TProxy proxy=192.0.2.1:80"},
		{"tos", "", "mangle", "-j TOS --set-tos 0x10/0xff", "tcp", "tos", "Accept tos=0x10"},
		{"tos, part", "", "mangle", "-j TOS --set-tos 0x00/0x3f", "tcp", "tos", "Accept tos=0x80"},
		{"tos, or", "", "mangle", "-j TOS --or-tos 0x1", "tcp", "tos", "Accept tos=0xb9"},
		{"dscp", "", "mangle", "-j DSCP --set-dscp 0x08", "tcp", "tos", "Accept tos=0x20"},
		{"dscp class", "", "mangle", "-j DSCP --set-dscp-class AF11", "tcp", "tos", "Accept tos=0x28"},
		{"ttl set", "", "mangle", "-j TTL --ttl-set 5", "tcp", "ttl", "Accept ttl=5"},
		{"ttl dec", "", "mangle", "-j TTL --ttl-dec 1", "tcp", "ttl", "Accept ttl=63"},
		{"hl inc", "", "mangle", "-j HL --hl-inc 200", "tcp6", "ttl", "Accept ttl=255"},
		{"set-mss", "", "mangle", "-p tcp -j TCPMSS --set-mss 1000", "tcp", "mss", "Accept mss=1000"},
		{"set-mss never raises", "", "mangle", "-p tcp -j TCPMSS --set-mss 9000", "tcp", "mss", "Accept mss=1460"},
		{"set-mss leaves data alone", "", "mangle", "-p tcp -j TCPMSS --set-mss 1000", "ack", "mss", "Accept mss=0"},
		{"clamp", "POSTROUTING", "mangle", "-p tcp -j TCPMSS --clamp-mss-to-pmtu", "leaves", "mss", "Accept mss=1360"},
		{"clamp, not known", "", "mangle", "-p tcp -j TCPMSS --clamp-mss-to-pmtu", "tcp", "mss", "Accept mss=1460"},

		{"log with an option that is not known", "", "mangle", "-j LOG --nicate;-j DROP", "tcp", "", "Drop"},
		{"log", "", "mangle", "-j LOG --log-prefix \"-x \" --log-level 4;-j DROP", "tcp", "", "Drop"},
		{"other harmless ones", "", "mangle", "-j NFLOG --nflog-prefix x;-j TRACE;-j AUDIT --type accept;-j CLASSIFY --set-class 1:2;-j CHECKSUM --checksum-fill;" +
			"-j IDLETIMER --timeout 5 --label x;-j SECMARK --selctx a:b;-j LED --led-trigger-id x;-j SET --add-set a src;-j TEE --gateway 10.0.0.9;-j DROP", "tcp", "", "Drop"},
		{"nfqueue", "", "mangle", "-j NFQUEUE --queue-num 0", "tcp", "why", "Unknown a process decides (NFQUEUE)"},
		{"synproxy", "", "mangle", "-j SYNPROXY", "tcp", "why", "Unknown the kernel answers in place of the server (SYNPROXY)"},
		{"clusterip", "", "mangle", "-j CLUSTERIP", "tcp", "why", "Unknown a hash decides whether this node takes it (CLUSTERIP)"},
		{"a target that is not known", "", "mangle", "-j FROB --nicate 5", "tcp", "why", "Unknown the target FROB is not understood"},
		{"an option that is not known", "", "mangle", "-j MARK --set-mark 5 --nicate", "tcp", "why", "Unknown the target MARK is not understood: it has the option --nicate"},
		{"an argument that is not a number", "", "mangle", "-j MARK --set-mark five", "tcp", "why", "Unknown the target MARK is not understood: not a number: \"five\""},

		{"dnat", "", "nat", "-p tcp -j DNAT --to-destination 10.9.0.1:8080", "tcp", "path", "Accept 10.1.0.1:40000>10.9.0.1:8080"},
		{"dnat keeps the port", "", "nat", "-j DNAT --to-destination 10.9.0.1", "tcp", "path", "Accept 10.1.0.1:40000>10.9.0.1:80"},
		{"dnat of an echo", "", "nat", "-j DNAT --to-destination 10.9.0.1", "echo", "path", "Accept 10.1.0.1:0>10.9.0.1:0"},
		{"dnat, port alone", "", "nat", "-p tcp -j DNAT --to-destination :81", "tcp", "path", "Accept 10.1.0.1:40000>10.2.0.2:81"},
		{"dnat, addresses", "", "nat", "-j DNAT --to-destination 10.9.0.1-10.9.0.2", "tcp", "weight path",
			"Accept weight=0.500 10.1.0.1:40000>10.9.0.1:80; Accept weight=0.500 10.1.0.1:40000>10.9.0.2:80"},
		{"dnat, ports with the port among them", "", "nat", "-p tcp -j DNAT --to-destination 10.9.0.1:80-90", "tcp", "path", "Accept 10.1.0.1:40000>10.9.0.1:80"},
		{"dnat, ports", "", "nat", "-p tcp -j DNAT --to-destination 10.9.0.1:90-99", "tcp", "path", "Accept 10.1.0.1:40000>10.9.0.1:90"},
		{"dnat, ports that are shifted", "", "nat", "-p tcp -j DNAT --to-destination 10.9.0.1:8000-8010/78", "tcp", "path", "Accept 10.1.0.1:40000>10.9.0.1:8002"},
		{"dnat, ports at random", "", "nat", "-p tcp -j DNAT --to-destination 10.9.0.1:90-91 --random", "tcp", "weight path",
			"Accept weight=0.500 10.1.0.1:40000>10.9.0.1:90; Accept weight=0.500 10.1.0.1:40000>10.9.0.1:91"},
		{"dnat, too many", "", "nat", "-j DNAT --to-destination 10.9.0.0-10.9.255.255", "tcp", "why", "Unknown NAT chooses among more than 64 addresses or ports"},
		{"dnat, IPv6", "", "nat", "-p tcp -j DNAT --to-destination [fd00::9]:8080", "tcp6", "path", "Accept [fd00::1]:40000>[fd00::9]:8080"},
		{"dnat, IPv6 without ports", "", "nat", "-j DNAT --to-destination fd00::9", "tcp6", "path", "Accept [fd00::1]:40000>[fd00::9]:80"},
		{"dnat of what is not tracked", "", "nat", "-j DNAT --to-destination 10.9.0.1", "untracked", "path", "Accept 10.1.0.1:40000>10.2.0.2:80"},
		{"dnat is asked for the first packet only", "", "nat", "-j DNAT --to-destination 10.9.0.1", "reply", "path", "Accept 10.1.0.1:40000>10.2.0.2:80"},
		{"dnat on output", "OUTPUT", "nat", "-p tcp -j DNAT --to-destination 10.9.0.1:81", "output", "path", "Accept 10.1.0.1:40000>10.9.0.1:81"},
		{"redirect", "", "nat", "-p tcp -j REDIRECT --to-ports 8080", "tcp", "path", "Accept 10.1.0.1:40000>192.0.2.1:8080"},
		{"redirect on output", "OUTPUT", "nat", "-p tcp -j REDIRECT", "output", "path", "Accept 10.1.0.1:40000>127.0.0.1:80"},
		{"redirect from a device without addresses", "", "nat", "-p tcp -j REDIRECT", "bare", "path", "Drop 10.1.0.1:40000>10.2.0.2:80"},
		{"netmap", "", "nat", "-j NETMAP --to 192.168.0.0/20", "tcp", "path", "Accept 10.1.0.1:40000>192.168.0.2:80"},
		{"netmap of sources", "POSTROUTING", "nat", "-j NETMAP --to 192.168.4.0/22", "leaves", "path", "Accept 192.168.4.1:40000>10.2.0.2:80"},
		{"snat", "POSTROUTING", "nat", "-j SNAT --to-source 192.0.2.9", "leaves", "path random", "Accept 192.0.2.9:40000>10.2.0.2:80 random=false"},
		{"snat with ports", "POSTROUTING", "nat", "-p tcp -j SNAT --to-source 192.0.2.9:1024-2048", "leaves", "path random", "Accept 192.0.2.9:1024>10.2.0.2:80 random=true"},
		{"snat, the source is in the range", "POSTROUTING", "nat", "-j SNAT --to-source 10.1.0.0-10.1.0.9", "leaves", "path", "Accept 10.1.0.1:40000>10.2.0.2:80"},
		{"masquerade", "POSTROUTING", "nat", "-j MASQUERADE", "leaves", "path random", "Accept 192.0.2.1:40000>10.2.0.2:80 random=false"},
		{"masquerade --random-fully", "POSTROUTING", "nat", "-j MASQUERADE --random-fully", "leaves", "path random", "Accept 192.0.2.1:40000>10.2.0.2:80 random=true"},
		{"masquerade without an address", "POSTROUTING", "nat", "-j MASQUERADE", "leaves-bare", "path", "Drop 10.1.0.1:40000>10.2.0.2:80"},
		{"masquerade, address not known", "POSTROUTING", "nat", "-j MASQUERADE", "leaves-unknown", "why", "Unknown the address that MASQUERADE gives is not known"},
		{"masquerade once", "POSTROUTING", "nat", "-j MASQUERADE", "leaves-done", "path", "Accept 10.1.0.1:40000>10.2.0.2:80"},
	}) {
		t.Run(row.name, func(t *testing.T) {
			in := leaving(scene(row.scene), row.scene)
			if row.hook == "" {
				row.hook = "PREROUTING"
			}
			in.Hook = hookNamed(row.hook)
			rules := "-A " + row.hook + " " + strings.ReplaceAll(row.rules, ";", "\n-A "+row.hook+" ")
			var got []string
			for _, o := range load(t, in.Packet.Is6(), "*"+row.table+"\n"+rules).Eval(in) {
				got = append(got, show(o, row.fields))
			}
			if diff := cmp.Diff(row.want, strings.Join(got, "; ")); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// leaving makes the scenes of a packet that is about to leave.
func leaving(in Input, name string) Input {
	switch name {
	case "bare":
		in.In = "bare0"
	case "leaves", "leaves6", "leaves-done", "leaves-bare", "leaves-unknown":
		in.Out = map[string]string{"leaves-bare": "bare0", "leaves-unknown": "unknown0"}[name]
		if in.Out == "" {
			in.Out = "eth0"
		}
	}
	if name == "leaves-done" {
		in.Conn = &Conn{Orig: TupleOf(in.Packet), Back: TupleOf(in.Packet).Invert(), SrcDone: true}
	}
	return in
}

// TestThereAndBack follows a connection through DNAT and MASQUERADE and back, as a router would.
func TestThereAndBack(t *testing.T) {
	r := load(t, false, `
*nat
-A PREROUTING -d 10.96.0.1/32 -p tcp -m tcp --dport 80 -j DNAT --to-destination 10.244.1.2:8080
-A POSTROUTING -j MASQUERADE
`)
	env := fakeEnv{}
	syn := tcp("10.1.0.1:40000", "10.96.0.1:80")
	pre := r.Eval(Input{Hook: PreRouting, Packet: syn, In: "eth1", Env: env})[0]
	post := r.Eval(Input{Hook: PostRouting, Packet: pre.Packet, Conn: &pre.Conn, In: "eth1", Out: "eth0", Env: env})[0]
	if got := post.Packet.String(); got != "tcp 192.0.2.1:40000 > 10.244.1.2:8080" {
		t.Fatalf("there: %s", got)
	}
	want := Tuple{netip.MustParseAddrPort("10.244.1.2:8080"), netip.MustParseAddrPort("192.0.2.1:40000"), packet.TCP}
	if post.Conn.Back != want || !post.Conn.DNAT || !post.Conn.SNAT || !post.Conn.DstDone || !post.Conn.SrcDone {
		t.Errorf("%+v", post.Conn)
	}

	conn := post.Conn
	conn.State, conn.Reply = Established, true
	back := tcp("10.244.1.2:8080", "192.0.2.1:40000")
	pre = r.Eval(Input{Hook: PreRouting, Packet: back, In: "eth0", Conn: &conn, Env: env})[0]
	if got := pre.Packet.String(); got != "tcp 10.244.1.2:8080 > 10.1.0.1:40000" {
		t.Errorf("back, before routing: %s", got)
	}
	post = r.Eval(Input{Hook: PostRouting, Packet: pre.Packet, In: "eth0", Out: "eth1", Conn: &conn, Env: env})[0]
	if got := post.Packet.String(); got != "tcp 10.96.0.1:80 > 10.1.0.1:40000" {
		t.Errorf("back: %s", got)
	}

	// A router beyond says that the packet is too big: it quotes what it saw.
	conn.State = Related
	quoted := tcp("192.0.2.1:40000", "10.244.1.2:8080")
	tooBig := packet.Packet{Src: netip.MustParseAddrPort("10.244.9.9:0"), Dst: netip.MustParseAddrPort("192.0.2.1:0"),
		Proto: packet.ICMP, ICMPType: 3, ICMPCode: 4, MTU: 1400, Inner: &quoted}
	pre = r.Eval(Input{Hook: PreRouting, Packet: tooBig, In: "eth0", Conn: &conn, Env: env})[0]
	post = r.Eval(Input{Hook: PostRouting, Packet: pre.Packet, In: "eth0", Out: "eth1", Conn: &conn, Env: env})[0]
	if got := post.Packet.String() + " about " + post.Packet.Inner.String(); got != "icmp 10.96.0.1 > 10.1.0.1 about tcp 10.1.0.1:40000 > 10.96.0.1:80" {
		t.Errorf("the ICMP error: %s", got)
	}
	if quoted.String() != "tcp 192.0.2.1:40000 > 10.244.1.2:8080" {
		t.Error("the packet that came in was changed")
	}

	// And one from the client's side about the answer.
	conn.Reply = false
	quoted = tcp("10.96.0.1:80", "10.1.0.1:40000")
	tooBig.Src, tooBig.Dst = netip.MustParseAddrPort("10.1.9.9:0"), netip.MustParseAddrPort("10.96.0.1:0")
	pre = r.Eval(Input{Hook: PreRouting, Packet: tooBig, In: "eth1", Conn: &conn, Env: env})[0]
	post = r.Eval(Input{Hook: PostRouting, Packet: pre.Packet, In: "eth1", Out: "eth0", Conn: &conn, Env: env})[0]
	if got := post.Packet.String() + " about " + post.Packet.Inner.String(); got != "icmp 192.0.2.1 > 10.244.1.2 about tcp 10.244.1.2:8080 > 192.0.2.1:40000" {
		t.Errorf("the ICMP error about the answer: %s", got)
	}
	redirect := tooBig
	redirect.ICMPType = 5
	if o := r.Eval(Input{Hook: PreRouting, Packet: redirect, In: "eth1", Conn: &conn, Env: env})[0]; o.Verdict != Drop {
		t.Errorf("a redirect about a connection with NAT: %s", o.Verdict)
	}
}
