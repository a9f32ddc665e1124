package netfilter

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/plumbnet/plumb/packet"
)

// fakeEnv is a namespace with fixed answers.
type fakeEnv struct {
	conn  *Conn
	types map[string]AddrType
	zones *[]uint16
}

func (f fakeEnv) Conntrack(p packet.Packet, zone uint16) Conn {
	if f.zones != nil {
		*f.zones = append(*f.zones, zone)
	}
	if f.conn != nil {
		return *f.conn
	}
	return Conn{Orig: TupleOf(p), Back: TupleOf(p).Invert()}
}

func (f fakeEnv) AddrType(a netip.Addr, dev string) AddrType {
	if f.types == nil {
		return ""
	}
	if t, ok := f.types[a.String()+"%"+dev]; ok {
		return t
	}
	if t, ok := f.types[a.String()]; ok {
		return t
	}
	return "UNICAST"
}

func (f fakeEnv) ReversePath(p packet.Packet, dev string, loose, validMark, acceptLocal bool) Tri {
	switch {
	case dev == "unknown0":
		return Maybe
	case dev == "wrong0":
		return tri(loose)
	}
	return Yes
}

func (f fakeEnv) MasqueradeSource(dev string, p packet.Packet) (netip.Addr, bool) {
	if dev == "bare0" {
		return netip.Addr{}, true
	}
	if dev != "eth0" {
		return netip.Addr{}, false
	}
	if p.Is6() {
		return netip.MustParseAddr("fd00::1"), true
	}
	return netip.MustParseAddr("192.0.2.1"), true
}

func (f fakeEnv) PrimaryAddr(dev string, v6 bool) (netip.Addr, bool) {
	return f.MasqueradeSource(dev, packet.Packet{Dst: map[bool]netip.AddrPort{
		true: netip.MustParseAddrPort("[::1]:0"), false: netip.MustParseAddrPort("127.0.0.1:0")}[v6]})
}

func (f fakeEnv) Socket(p packet.Packet, transparent, noWildcard bool) Tri {
	switch p.Dst.Port() {
	case 80:
		return Yes
	case 81:
		return No
	case 82:
		return tri(!transparent)
	}
	return Maybe
}

func (f fakeEnv) PathMTU(p packet.Packet, out string) int {
	if out == "eth0" {
		return 1400
	}
	return 0
}

// tcp makes a SYN.
func tcp(src, dst string) packet.Packet {
	return packet.Packet{Src: netip.MustParseAddrPort(src), Dst: netip.MustParseAddrPort(dst), Proto: packet.TCP,
		Flags: packet.SYN, Size: 60, TTL: 64, MSS: 1460, DF: true}
}

// load reads rules in the form of iptables-save, with fewer words: the built-in
// chains are declared if they are not, and COMMIT is added.
func load(t testing.TB, is6 bool, text string) *Ruleset {
	t.Helper()
	tables, problems := ParseSave(strings.NewReader(complete(text)), is6, NFT, "rules")
	if len(problems) > 0 {
		t.Fatalf("%v\n%s", problems, complete(text))
	}
	return &Ruleset{Tables: tables}
}

var builtin = map[string]string{"raw": "PREROUTING OUTPUT", "mangle": "PREROUTING INPUT FORWARD OUTPUT POSTROUTING",
	"nat": "PREROUTING INPUT OUTPUT POSTROUTING", "filter": "INPUT FORWARD OUTPUT", "security": "INPUT FORWARD OUTPUT"}

func complete(text string) string {
	var b strings.Builder
	for table := range strings.SplitSeq("\n"+strings.TrimSpace(text), "\n*") {
		name, rest, _ := strings.Cut(table, "\n")
		if name == "" {
			continue
		}
		fmt.Fprintf(&b, "*%s\n", name)
		for c := range strings.SplitSeq(builtin[name], " ") {
			if !strings.Contains(rest, ":"+c+" ") {
				fmt.Fprintf(&b, ":%s ACCEPT [0:0]\n", c)
			}
		}
		for l := range strings.SplitSeq(rest, "\n") {
			if l = strings.TrimSpace(l); l != "" {
				b.WriteString(l + "\n")
			}
		}
		b.WriteString("COMMIT\n")
	}
	return b.String()
}

// describe prints outcomes in one line each: "0.50 Accept tcp … rules".
func describe(out []Outcome) string {
	var b strings.Builder
	for _, o := range out {
		fmt.Fprintf(&b, "%.2f %s %s", o.Weight, o.Verdict, o.Packet)
		for _, a := range o.Assumed {
			fmt.Fprintf(&b, " supposed(%t)", a.Matched)
		}
		b.WriteString("\n")
	}
	return b.String()
}

func TestKubeProxy(t *testing.T) {
	r := load(t, false, `
*nat
:KUBE-SERVICES - [0:0]
:KUBE-SVC-A - [0:0]
:KUBE-SEP-1 - [0:0]
:KUBE-SEP-2 - [0:0]
:KUBE-MARK-MASQ - [0:0]
-A PREROUTING -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-A KUBE-SERVICES -d 10.96.0.1/32 -p tcp -m comment --comment "a:b cluster IP" -m tcp --dport 443 -j KUBE-SVC-A
-A KUBE-SVC-A ! -s 10.244.0.0/16 -d 10.96.0.1/32 -p tcp -m comment --comment x -m tcp --dport 443 -j KUBE-MARK-MASQ
-A KUBE-SVC-A -m comment --comment "a:b -> 10.244.1.2:6443" -m statistic --mode random --probability 0.50000000000 -j KUBE-SEP-1
-A KUBE-SVC-A -m comment --comment "a:b -> 10.244.1.3:6443" -j KUBE-SEP-2
-A KUBE-SEP-1 -s 10.244.1.2/32 -m comment --comment a:b -j KUBE-MARK-MASQ
-A KUBE-SEP-1 -p tcp -m comment --comment a:b -m tcp -j DNAT --to-destination 10.244.1.2:6443
-A KUBE-SEP-2 -s 10.244.1.3/32 -m comment --comment a:b -j KUBE-MARK-MASQ
-A KUBE-SEP-2 -p tcp -m comment --comment a:b -m tcp -j DNAT --to-destination 10.244.1.3:6443
-A KUBE-MARK-MASQ -j MARK --set-xmark 0x4000/0x4000
`)
	out := r.Eval(Input{Hook: PreRouting, Packet: tcp("10.1.1.1:40000", "10.96.0.1:443"), Env: fakeEnv{}})
	want := "0.50 Accept tcp 10.1.1.1:40000 > 10.244.1.2:6443\n0.50 Accept tcp 10.1.1.1:40000 > 10.244.1.3:6443\n"
	if got := describe(out); got != want {
		t.Errorf("got\n%s", got)
	}
	var rules []string
	for _, ref := range out[0].Rules {
		rules = append(rules, ref.Chain.Name)
	}
	if got, want := strings.Join(rules, " "), "PREROUTING KUBE-SERVICES KUBE-SVC-A KUBE-MARK-MASQ KUBE-SVC-A KUBE-SEP-1"; got != want {
		t.Errorf("rules %q, want %q", got, want)
	}
	if out[0].Packet.Mark != 0x4000 || !out[0].Conn.DNAT || out[0].Conn.SNAT || !out[0].Conn.DstDone {
		t.Errorf("%+v", out[0])
	}
}
