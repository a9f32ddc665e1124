package netfilter

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/plumbnet/plumb/packet"
)

// The hooks that a packet passes which a node forwards, sends, or takes.
const (
	forwarded = "PREROUTING FORWARD POSTROUTING"
	sent      = "OUTPUT POSTROUTING"
	taken     = "PREROUTING INPUT"
)

// hookNamed returns a hook by the name of its chain.
func hookNamed(name string) (h Hook) {
	for h.String() != name {
		h++
	}
	return h
}

// quoting prints a packet, and the one that it quotes.
func quoting(p packet.Packet) string {
	if p.Inner == nil {
		return p.String()
	}
	return p.String() + " about " + p.Inner.String()
}

// travel leads a packet through hooks, and returns where it was changed, and how it left.
func travel(t *testing.T, r *Ruleset, p packet.Packet, c *Conn, hooks string) (changes string, end Outcome) {
	t.Helper()
	var steps []string
	for name := range strings.FieldsSeq(hooks) {
		in := Input{Hook: hookNamed(name), Packet: p, Conn: c, In: "eth0", Out: "eth0", Env: fakeEnv{}}
		switch {
		case in.Hook <= LocalIn:
			in.Out = ""
		case hooks == sent:
			in.In = ""
		}
		out := r.Eval(in)
		if len(out) != 1 || out[0].Verdict != Accept {
			t.Fatalf("%s: %s", name, describe(out))
		}
		if now := quoting(out[0].Packet); now != quoting(p) {
			steps = append(steps, name+" "+now)
		}
		end = out[0]
		p, c = end.Packet, &end.Conn
	}
	return strings.Join(steps, "; "), end
}

// with returns p as another protocol's.
func with(p packet.Packet, proto packet.Proto) packet.Packet {
	p.Proto, p.Flags, p.MSS = proto, 0, 0
	return p
}

// ping makes an ICMP echo, or the answer to one.
func ping(src, dst string, id uint16, answer bool) packet.Packet {
	p := packet.Packet{Src: netip.AddrPortFrom(netip.MustParseAddr(src), 0), Dst: netip.AddrPortFrom(netip.MustParseAddr(dst), 0),
		Proto: packet.ICMP, ICMPType: 8, ICMPID: id, Size: 84, TTL: 64}
	if answer {
		p.ICMPType = 0
	}
	if p.Is6() {
		p.Proto = packet.ICMPv6
		p.ICMPType = map[bool]uint8{false: 128, true: 129}[answer]
	}
	return p
}

// natRows are connections that NAT changes: where the first packet is changed, and where its answer.
var natRows = []struct {
	name, rules string
	first       packet.Packet
	hooks, want string
	answer      packet.Packet
	backHooks   string
	wantBack    string
}{
	{name: "DNAT", rules: "-A PREROUTING -d 10.96.0.1/32 -j DNAT --to-destination 10.244.1.2:8080",
		first: tcp("10.1.0.1:40000", "10.96.0.1:80"), hooks: forwarded, want: "PREROUTING tcp 10.1.0.1:40000 > 10.244.1.2:8080",
		answer: tcp("10.244.1.2:8080", "10.1.0.1:40000"), backHooks: forwarded, wantBack: "POSTROUTING tcp 10.96.0.1:80 > 10.1.0.1:40000"},
	{name: "SNAT", rules: "-A POSTROUTING -j SNAT --to-source 192.0.2.9",
		first: tcp("10.1.0.1:40000", "10.2.0.2:80"), hooks: forwarded, want: "POSTROUTING tcp 192.0.2.9:40000 > 10.2.0.2:80",
		answer: tcp("10.2.0.2:80", "192.0.2.9:40000"), backHooks: forwarded, wantBack: "PREROUTING tcp 10.2.0.2:80 > 10.1.0.1:40000"},
	{name: "both", rules: "-A PREROUTING -j DNAT --to-destination 10.244.1.2:8080\n-A POSTROUTING -j MASQUERADE",
		first: tcp("10.1.0.1:40000", "10.96.0.1:80"), hooks: forwarded,
		want:   "PREROUTING tcp 10.1.0.1:40000 > 10.244.1.2:8080; POSTROUTING tcp 192.0.2.1:40000 > 10.244.1.2:8080",
		answer: tcp("10.244.1.2:8080", "192.0.2.1:40000"), backHooks: forwarded,
		wantBack: "PREROUTING tcp 10.244.1.2:8080 > 10.1.0.1:40000; POSTROUTING tcp 10.96.0.1:80 > 10.1.0.1:40000"},
	{name: "hairpin", rules: "-A PREROUTING -d 10.96.0.1/32 -j DNAT --to-destination 10.244.1.2:8080\n-A POSTROUTING -s 10.244.1.2/32 -d 10.244.1.2/32 -j MASQUERADE",
		first: tcp("10.244.1.2:40000", "10.96.0.1:80"), hooks: forwarded,
		want:   "PREROUTING tcp 10.244.1.2:40000 > 10.244.1.2:8080; POSTROUTING tcp 192.0.2.1:40000 > 10.244.1.2:8080",
		answer: tcp("10.244.1.2:8080", "192.0.2.1:40000"), backHooks: forwarded,
		wantBack: "PREROUTING tcp 10.244.1.2:8080 > 10.244.1.2:40000; POSTROUTING tcp 10.96.0.1:80 > 10.244.1.2:40000"},
	{name: "from the node itself", rules: "-A OUTPUT -d 10.96.0.1/32 -j DNAT --to-destination 10.244.1.2:8080",
		first: tcp("192.0.2.1:40000", "10.96.0.1:80"), hooks: sent, want: "OUTPUT tcp 192.0.2.1:40000 > 10.244.1.2:8080",
		answer: tcp("10.244.1.2:8080", "192.0.2.1:40000"), backHooks: taken, wantBack: "INPUT tcp 10.96.0.1:80 > 192.0.2.1:40000"},
	{name: "from the node itself, both", rules: "-A OUTPUT -j DNAT --to-destination 10.244.1.2:8080\n-A POSTROUTING -j SNAT --to-source 192.0.2.9",
		first: tcp("192.0.2.1:40000", "10.96.0.1:80"), hooks: sent,
		want:   "OUTPUT tcp 192.0.2.1:40000 > 10.244.1.2:8080; POSTROUTING tcp 192.0.2.9:40000 > 10.244.1.2:8080",
		answer: tcp("10.244.1.2:8080", "192.0.2.9:40000"), backHooks: taken,
		wantBack: "PREROUTING tcp 10.244.1.2:8080 > 192.0.2.1:40000; INPUT tcp 10.96.0.1:80 > 192.0.2.1:40000"},
	{name: "REDIRECT to the node", rules: "-A PREROUTING -p tcp -j REDIRECT --to-ports 8080",
		first: tcp("10.1.0.1:40000", "10.2.0.2:80"), hooks: taken, want: "PREROUTING tcp 10.1.0.1:40000 > 192.0.2.1:8080",
		answer: tcp("192.0.2.1:8080", "10.1.0.1:40000"), backHooks: sent, wantBack: "POSTROUTING tcp 10.2.0.2:80 > 10.1.0.1:40000"},
	{name: "SNAT of what the node takes", rules: "-A INPUT -j SNAT --to-source 10.9.0.1",
		first: tcp("10.1.0.1:40000", "192.0.2.1:80"), hooks: taken, want: "INPUT tcp 10.9.0.1:40000 > 192.0.2.1:80",
		answer: tcp("192.0.2.1:80", "10.9.0.1:40000"), backHooks: sent, wantBack: "OUTPUT tcp 192.0.2.1:80 > 10.1.0.1:40000"},
	{name: "NETMAP of destinations", rules: "-A PREROUTING -d 10.2.0.0/16 -j NETMAP --to 172.16.0.0/16",
		first: tcp("10.1.0.1:40000", "10.2.7.9:80"), hooks: forwarded, want: "PREROUTING tcp 10.1.0.1:40000 > 172.16.7.9:80",
		answer: tcp("172.16.7.9:80", "10.1.0.1:40000"), backHooks: forwarded, wantBack: "POSTROUTING tcp 10.2.7.9:80 > 10.1.0.1:40000"},
	{name: "UDP", rules: "-A PREROUTING -p udp -j DNAT --to-destination 10.244.1.2:5353",
		first: with(tcp("10.1.0.1:40000", "10.96.0.10:53"), packet.UDP), hooks: forwarded, want: "PREROUTING udp 10.1.0.1:40000 > 10.244.1.2:5353",
		answer: with(tcp("10.244.1.2:5353", "10.1.0.1:40000"), packet.UDP), backHooks: forwarded, wantBack: "POSTROUTING udp 10.96.0.10:53 > 10.1.0.1:40000"},
	{name: "SCTP", rules: "-A PREROUTING -p sctp -j DNAT --to-destination 10.244.1.2:3868",
		first: with(tcp("10.1.0.1:40000", "10.96.0.10:3868"), packet.SCTP), hooks: forwarded, want: "PREROUTING sctp 10.1.0.1:40000 > 10.244.1.2:3868",
		answer: with(tcp("10.244.1.2:3868", "10.1.0.1:40000"), packet.SCTP), backHooks: forwarded, wantBack: "POSTROUTING sctp 10.96.0.10:3868 > 10.1.0.1:40000"},
	{name: "an echo", rules: "-A PREROUTING -j DNAT --to-destination 10.244.1.2\n-A POSTROUTING -j MASQUERADE",
		first: ping("10.1.0.1", "10.96.0.1", 7, false), hooks: forwarded, want: "PREROUTING icmp 10.1.0.1 > 10.244.1.2; POSTROUTING icmp 192.0.2.1 > 10.244.1.2",
		answer: ping("10.244.1.2", "192.0.2.1", 7, true), backHooks: forwarded, wantBack: "PREROUTING icmp 10.244.1.2 > 10.1.0.1; POSTROUTING icmp 10.96.0.1 > 10.1.0.1"},
	{name: "IPv6, both", rules: "-A PREROUTING -p tcp -j DNAT --to-destination [fd00:244::2]:8080\n-A POSTROUTING -j MASQUERADE",
		first: tcp("[fd00:1::1]:40000", "[fd00:96::1]:80"), hooks: forwarded,
		want:   "PREROUTING tcp [fd00:1::1]:40000 > [fd00:244::2]:8080; POSTROUTING tcp [fd00::1]:40000 > [fd00:244::2]:8080",
		answer: tcp("[fd00:244::2]:8080", "[fd00::1]:40000"), backHooks: forwarded,
		wantBack: "PREROUTING tcp [fd00:244::2]:8080 > [fd00:1::1]:40000; POSTROUTING tcp [fd00:96::1]:80 > [fd00:1::1]:40000"},
	{name: "IPv6 NETMAP", rules: "-A PREROUTING -d fd00:2::/64 -j NETMAP --to fd00:3::/64",
		first: tcp("[fd00:1::1]:40000", "[fd00:2::7:9]:80"), hooks: forwarded, want: "PREROUTING tcp [fd00:1::1]:40000 > [fd00:3::7:9]:80",
		answer: tcp("[fd00:3::7:9]:80", "[fd00:1::1]:40000"), backHooks: forwarded, wantBack: "POSTROUTING tcp [fd00:2::7:9]:80 > [fd00:1::1]:40000"},
	{name: "IPv6 echo", rules: "-A POSTROUTING -j MASQUERADE",
		first: ping("fd00:1::1", "fd00:2::2", 9, false), hooks: forwarded, want: "POSTROUTING ipv6-icmp fd00::1 > fd00:2::2",
		answer: ping("fd00:2::2", "fd00::1", 9, true), backHooks: forwarded, wantBack: "PREROUTING ipv6-icmp fd00:2::2 > fd00:1::1"},
	{name: "no NAT", rules: "-A POSTROUTING -s 10.9.0.0/16 -j MASQUERADE",
		first: tcp("10.1.0.1:40000", "10.2.0.2:80"), hooks: forwarded, want: "",
		answer: tcp("10.2.0.2:80", "10.1.0.1:40000"), backHooks: forwarded, wantBack: ""},
	{name: "NOTRACK has no NAT", rules: "-A PREROUTING -j DNAT --to-destination 10.244.1.2\n*raw\n-A PREROUTING -j CT --notrack",
		first: tcp("10.1.0.1:40000", "10.96.0.1:80"), hooks: forwarded, want: "",
		answer: tcp("10.244.1.2:80", "10.1.0.1:40000"), backHooks: forwarded, wantBack: ""},
}

// TestReversal follows first packets through a node, and the answers to them back.
func TestReversal(t *testing.T) {
	for _, row := range natRows {
		t.Run(row.name, func(t *testing.T) {
			r := load(t, row.first.Is6(), "*nat\n"+row.rules)
			got, end := travel(t, r, row.first, nil, row.hooks)
			if diff := cmp.Diff(row.want, got); diff != "" {
				t.Errorf("there: %s", diff)
			}
			if end.Conn.State != Untracked && end.Conn.Back.Invert() != TupleOf(end.Packet) {
				t.Errorf("the connection goes to %v, the packet to %v", end.Conn.Back.Invert(), TupleOf(end.Packet))
			}
			c := end.Conn
			if c.State != Untracked {
				c.State, c.Reply = Established, true
			}
			got, _ = travel(t, r, row.answer, &c, row.backHooks)
			if diff := cmp.Diff(row.wantBack, got); diff != "" {
				t.Errorf("back: %s", diff)
			}
			c.Reply = false // a second packet goes as the first did
			again, _ := travel(t, r, row.first, &c, row.hooks)
			if diff := cmp.Diff(row.want, again); diff != "" {
				t.Errorf("again: %s", diff)
			}
		})
	}
}

// TestQuoted follows ICMP errors about connections that NAT changes: of one about
// what came in as the first packet left, and of one about what came in as an answer left.
func TestQuoted(t *testing.T) {
	for _, row := range natRows {
		if row.hooks != forwarded || row.name == "NOTRACK has no NAT" {
			continue
		}
		t.Run(row.name, func(t *testing.T) {
			r := load(t, row.first.Is6(), "*nat\n"+row.rules)
			_, end := travel(t, r, row.first, nil, row.hooks)
			c := end.Conn
			c.State = Related
			for _, reply := range []bool{true, false} {
				c.Reply = reply
				seen, known := end.Packet, row.first // by the router that reports, and by the one who sent
				if !reply {
					seen, known = row.answer, row.answer
					seen.Src, seen.Dst = row.first.Dst, row.first.Src // after the reversal
				}
				_, told := travel(t, r, errorAbout(seen), &c, forwarded)
				if got, want := quoting(told.Packet), quoting(errorAbout(known)); got != want {
					t.Errorf("reply %t:\ngot  %s\nwant %s", reply, got, want)
				}
			}
		})
	}
}

// errorAbout makes the ICMP error that the far end of p sends about it.
func errorAbout(p packet.Packet) packet.Packet {
	e := packet.Packet{Src: netip.AddrPortFrom(p.Dst.Addr(), 0), Dst: netip.AddrPortFrom(p.Src.Addr(), 0), Proto: packet.ICMP, ICMPType: 3, ICMPCode: 4, MTU: 1400, Inner: &p}
	if p.Is6() {
		e.Proto, e.ICMPType, e.ICMPCode = packet.ICMPv6, 2, 0
	}
	return e
}

// TestRange has what the ranges of NAT targets leave to choose from.
func TestRange(t *testing.T) {
	for _, row := range []struct{ name, hook, rule, first, want string }{
		{"an address", "PREROUTING", "-j DNAT --to-destination 10.9.0.1", "10.1.0.1:40000 10.2.0.2:80", "1.00 10.1.0.1:40000>10.9.0.1:80"},
		{"three addresses", "PREROUTING", "-j DNAT --to-destination 10.9.0.1-10.9.0.3", "10.1.0.1:40000 10.2.0.2:80",
			"0.33 10.1.0.1:40000>10.9.0.1:80; 0.33 10.1.0.1:40000>10.9.0.2:80; 0.33 10.1.0.1:40000>10.9.0.3:80"},
		{"persistent", "PREROUTING", "-j DNAT --to-destination 10.9.0.1-10.9.0.2 --persistent", "10.1.0.1:40000 10.2.0.2:80",
			"0.50 10.1.0.1:40000>10.9.0.1:80; 0.50 10.1.0.1:40000>10.9.0.2:80"},
		{"DNAT into its own range chooses anew", "PREROUTING", "-j DNAT --to-destination 10.2.0.2-10.2.0.3", "10.1.0.1:40000 10.2.0.2:80",
			"0.50 10.1.0.1:40000>10.2.0.2:80; 0.50 10.1.0.1:40000>10.2.0.3:80"},
		{"64 addresses at most", "PREROUTING", "-j DNAT --to-destination 10.9.0.0-10.9.0.64", "10.1.0.1:40000 10.2.0.2:80", "Unknown"},
		{"a source in its range stays", "POSTROUTING", "-j SNAT --to-source 10.1.0.0-10.1.0.9", "10.1.0.1:40000 10.2.0.2:80", "1.00 10.1.0.1:40000>10.2.0.2:80"},
		{"a source out of the port range does not", "POSTROUTING", "-p tcp -j SNAT --to-source 10.1.0.1-10.1.0.2:1024-2000", "10.1.0.1:40000 10.2.0.2:80",
			"0.50 10.1.0.1:1024>10.2.0.2:80 random; 0.50 10.1.0.2:1024>10.2.0.2:80 random"},
		{"a source at random", "POSTROUTING", "-j SNAT --to-source 192.0.2.9 --random", "10.1.0.1:40000 10.2.0.2:80", "1.00 192.0.2.9:40000>10.2.0.2:80 random"},
		{"fully", "POSTROUTING", "-j SNAT --to-source 192.0.2.9 --random-fully", "10.1.0.1:40000 10.2.0.2:80", "1.00 192.0.2.9:40000>10.2.0.2:80 random"},
		{"one port", "POSTROUTING", "-p tcp -j SNAT --to-source 192.0.2.9:5000", "10.1.0.1:40000 10.2.0.2:80", "1.00 192.0.2.9:5000>10.2.0.2:80"},
		{"MASQUERADE to ports", "POSTROUTING", "-p tcp -j MASQUERADE --to-ports 30000-50000", "10.1.0.1:40000 10.2.0.2:80", "1.00 192.0.2.1:40000>10.2.0.2:80"},
		{"MASQUERADE to other ports", "POSTROUTING", "-p tcp -j MASQUERADE --to-ports 1024-2000", "10.1.0.1:40000 10.2.0.2:80", "1.00 192.0.2.1:1024>10.2.0.2:80 random"},
		{"REDIRECT to a port", "PREROUTING", "-p tcp -j REDIRECT --to-ports 8080", "10.1.0.1:40000 10.2.0.2:80", "1.00 10.1.0.1:40000>192.0.2.1:8080"},
		{"REDIRECT to ports that hold it", "PREROUTING", "-p tcp -j REDIRECT --to-ports 80-90", "10.1.0.1:40000 10.2.0.2:80", "1.00 10.1.0.1:40000>192.0.2.1:80"},
		{"REDIRECT to other ports", "PREROUTING", "-p tcp -j REDIRECT --to-ports 8080-8090", "10.1.0.1:40000 10.2.0.2:80", "1.00 10.1.0.1:40000>192.0.2.1:8080"},
		{"REDIRECT at random", "PREROUTING", "-p tcp -j REDIRECT --to-ports 8080-8081 --random", "10.1.0.1:40000 10.2.0.2:80",
			"0.50 10.1.0.1:40000>192.0.2.1:8080; 0.50 10.1.0.1:40000>192.0.2.1:8081"},
		{"DNAT at random without ports", "PREROUTING", "-p tcp -j DNAT --to-destination 10.9.0.1 --random", "10.1.0.1:40000 10.2.0.2:80", "1.00 10.1.0.1:40000>10.9.0.1:80"},
		{"DNAT at random, too many", "PREROUTING", "-p tcp -j DNAT --to-destination 10.9.0.1:1000-2000 --random", "10.1.0.1:40000 10.2.0.2:80", "Unknown"},
		{"shifted below the base", "PREROUTING", "-p tcp -j DNAT --to-destination 10.9.0.1:8000-8009/82", "10.1.0.1:40000 10.2.0.2:80", "1.00 10.1.0.1:40000>10.9.0.1:8004"},
		{"IPv6 addresses with a port", "PREROUTING", "-p tcp -j DNAT --to-destination [fd00::8]-[fd00::9]:81", "[fd00::1]:40000 [fd00::2]:80",
			"0.50 [fd00::1]:40000>[fd00::8]:81; 0.50 [fd00::1]:40000>[fd00::9]:81"},
		{"IPv6 addresses in one bracket", "PREROUTING", "-p tcp -j DNAT --to-destination [fd00::8-fd00::9]:81-82", "[fd00::1]:40000 [fd00::2]:80",
			"0.50 [fd00::1]:40000>[fd00::8]:81; 0.50 [fd00::1]:40000>[fd00::9]:81"},
		{"IPv6 REDIRECT", "PREROUTING", "-p tcp -j REDIRECT --to-ports 81", "[fd00::1]:40000 [fd00::2]:80", "1.00 [fd00::1]:40000>[fd00::1]:81"},
		{"IPv6 REDIRECT on OUTPUT", "OUTPUT", "-p tcp -j REDIRECT --to-ports 81", "[fd00::1]:40000 [fd00::2]:80", "1.00 [fd00::1]:40000>[::1]:81"},
		{"DNAT cannot be done at POSTROUTING", "POSTROUTING", "-j DNAT --to-destination 10.9.0.1", "10.1.0.1:40000 10.2.0.2:80", "Unknown"},
		{"SNAT cannot be done at PREROUTING", "PREROUTING", "-j SNAT --to-source 10.9.0.1", "10.1.0.1:40000 10.2.0.2:80", "Unknown"},
	} {
		t.Run(row.name, func(t *testing.T) {
			src, dst, _ := strings.Cut(row.first, " ")
			p := tcp(src, dst)
			var got []string
			for _, o := range load(t, p.Is6(), "*nat\n-A "+row.hook+" "+row.rule).Eval(Input{Hook: hookNamed(row.hook), Packet: p, In: "eth0", Out: "eth0", Env: fakeEnv{}}) {
				if o.Verdict == VerdictUnknown {
					got = append(got, "Unknown")
					continue
				}
				s := strings.TrimPrefix(show(o, "weight path"), "Accept weight=")
				s = s[:4] + s[5:]
				if o.Conn.RandomPort {
					s += " random"
				}
				got = append(got, s)
			}
			if diff := cmp.Diff(row.want, strings.Join(got, "; ")); diff != "" {
				t.Error(diff)
			}
		})
	}
}
