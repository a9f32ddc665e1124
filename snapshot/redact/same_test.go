package redact

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/plumbnet/plumb/netfilter"
	"github.com/plumbnet/plumb/packet"
)

// TestAllPairs: of all addresses and prefixes of all recorded cases, those that are equal, and those that
// hold each other, are so still.
func TestAllPairs(t *testing.T) {
	all := map[netip.Prefix]bool{}
	for _, a := range cases(t) {
		files, _ := split(a)
		for p := range gather(t, files).prefixes {
			all[p] = true
		}
	}
	var list []netip.Prefix
	for p := range all {
		if inTree(p.Addr()) {
			list = append(list, p)
		}
	}
	slices.SortFunc(list, func(a, b netip.Prefix) int { return strings.Compare(a.String(), b.String()) })
	if len(list) < 80 {
		t.Fatalf("%d prefixes only", len(list))
	}
	r := fresh()
	holds := func(a, b netip.Prefix) bool { return a.Bits() <= b.Bits() && a.Contains(b.Addr()) }
	for _, a := range list {
		for _, b := range list {
			x, y := r.prefix(a), r.prefix(b)
			if (a == b) != (x == y) || holds(a, b) != holds(x, y) {
				t.Errorf("%s and %s became %s and %s", a, b, x, y)
			}
		}
	}
}

// A dice makes rules and packets about a few addresses, so that they meet.
type dice struct{ *rand.Rand }

func (d dice) of(list ...string) string { return list[d.IntN(len(list))] }

func (d dice) addr() string {
	return d.of("10.244.", "10.245.", "192.168.") + d.of("0.", "1.", "7.") + d.of("1", "2", "9", "200")
}

func (d dice) cidr() string {
	a := netip.MustParseAddr(d.addr())
	p, _ := a.Prefix([]int{8, 12, 16, 17, 20, 24, 28, 32}[d.IntN(8)])
	return p.String()
}

// rules makes a filter table.
func (d dice) rules() string {
	var b strings.Builder
	b.WriteString("*filter\n:INPUT DROP [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n:PAYROLL - [0:0]\n")
	for i := range 8 {
		chain, target := "INPUT", d.of("ACCEPT", "DROP", "REJECT --reject-with icmp-port-unreachable", "RETURN", "PAYROLL")
		if i > 5 {
			chain, target = "PAYROLL", d.of("ACCEPT", "DROP", "RETURN")
		}
		match := d.of(
			"-s "+d.cidr(), "! -s "+d.cidr(), "-d "+d.cidr(), "-i corp0", "! -i eth+",
			"-s "+d.cidr()+" -p tcp -m tcp --dport 80:90",
			"-m iprange --src-range 10.244.1.2-10.244.1.9", "-m iprange ! --src-range 10.244.0.0-10.244.255.255",
			"-m set --match-set corp src", "-m set ! --match-set corp dst",
			"-p tcp -m multiport --dports 80,443 -m comment --comment \"shop/api\"", "-m mac --mac-source 0a:58:0a:f4:00:02")
		fmt.Fprintf(&b, "-A %s %s -j %s\n", chain, match, target)
	}
	return b.String() + "COMMIT\n"
}

func (d dice) set() string {
	out := "create corp hash:net family inet hashsize 1024 maxelem 65536\n"
	for range 3 {
		out += "add corp " + d.cidr() + d.of("", " nomatch") + "\n"
	}
	return out
}

// TestRules: rules decide the same of a packet as redacted ones of a redacted packet.
func TestRules(t *testing.T) {
	met := map[netfilter.Verdict]int{}
	for seed := range uint64(400) {
		d := dice{rand.New(rand.NewPCG(seed, 7))}
		save, sets := d.rules(), d.set()
		r := fresh()
		before := ruleset(t, []byte(save), []byte(sets))
		redSave, err := r.save([]byte(save))
		redSets, err2 := r.ipset([]byte(sets))
		if err != nil || err2 != nil {
			t.Fatal(err, err2)
		}
		after := ruleset(t, redSave, redSets)
		for range 20 {
			src, dst := netip.MustParseAddr(d.addr()), netip.MustParseAddr(d.addr())
			port := uint16(75 + d.IntN(20))
			dev := d.of("corp0", "eth0")
			in := netfilter.Input{Hook: netfilter.LocalIn, In: dev, Packet: tcp(src, dst, port)}
			red := netfilter.Input{Hook: netfilter.LocalIn, In: r.iface(dev), Packet: tcp(r.addr(src), r.addr(dst), port)}
			want, got := verdicts(before.Eval(in)), verdicts(after.Eval(red))
			if d := cmp.Diff(want, got); d != "" {
				t.Fatalf("seed %d: %s > %s (-want +got):\n%s%s%s%s%s", seed, src, dst, d, save, sets, redSave, redSets)
			}
			for _, v := range want {
				met[v]++
			}
		}
	}
	for _, v := range []netfilter.Verdict{netfilter.Accept, netfilter.Drop, netfilter.Reject} {
		if met[v] < 100 {
			t.Errorf("verdict %d was met %d times only", v, met[v])
		}
	}
}

func tcp(src, dst netip.Addr, port uint16) packet.Packet {
	return packet.Packet{Proto: packet.TCP, Src: netip.AddrPortFrom(src, 40000), Dst: netip.AddrPortFrom(dst, port)}
}

func ruleset(t *testing.T, save, sets []byte) *netfilter.Ruleset {
	t.Helper()
	tables, bad := netfilter.ParseSave(bytes.NewReader(save), false, netfilter.NFT, "iptables")
	all, bad2 := netfilter.ParseIPSet(bytes.NewReader(sets), "ipset")
	if len(bad)+len(bad2) > 0 {
		t.Fatalf("%v %v:\n%s%s", bad, bad2, save, sets)
	}
	return &netfilter.Ruleset{Tables: tables, Sets: all}
}

func verdicts(list []netfilter.Outcome) (out []netfilter.Verdict) {
	for _, o := range list {
		out = append(out, o.Verdict)
	}
	return out
}

// nftRules makes a ruleset of nf_tables, as nft prints it.
func (d dice) nftRules() string {
	var rules []string
	for range 6 {
		field := d.of("saddr", "daddr")
		left := `{"payload":{"protocol":"ip","field":"` + field + `"}}`
		p := netip.MustParsePrefix(d.cidr())
		prefix := fmt.Sprintf(`{"prefix":{"addr":"%s","len":%d}}`, p.Addr(), p.Bits())
		right := d.of(prefix, `"`+d.addr()+`"`, `{"set":[{"prefix":{"addr":"10.245.0.0","len":16}},"192.168.1.2",{"range":["10.244.1.2","10.244.1.9"]}]}`, `"@corp"`)
		expr := `{"match":{"op":"` + d.of("==", "!=") + `","left":` + left + `,"right":` + right + `}}`
		if d.IntN(4) == 0 {
			expr = `{"match":{"op":"==","left":{"&":[` + left + `,"255.255.0.0"]},"right":"10.244.0.0"}}`
		}
		if d.IntN(4) == 0 {
			expr = `{"match":{"op":"==","left":{"meta":{"key":"iifname"}},"right":"` + d.of("corp0", "eth0") + `"}}`
		}
		rules = append(rules, `{"rule":{"family":"ip","table":"payroll","chain":"in","handle":1,"expr":[`+expr+`,{"`+d.of("accept", "drop")+`":null}]}}`)
	}
	return `{"nftables":[{"metainfo":{"version":"1.0.6","release_name":"x","json_schema_version":1}},{"table":{"family":"ip","name":"payroll","handle":1}},` +
		`{"set":{"family":"ip","name":"corp","table":"payroll","type":"ipv4_addr","handle":2,"flags":["interval"],"elem":[{"prefix":{"addr":"10.244.0.0","len":16}},{"range":["192.168.7.1","192.168.7.9"]}]}},` +
		`{"chain":{"family":"ip","table":"payroll","name":"in","handle":3,"type":"filter","hook":"input","prio":0,"policy":"` + d.of("accept", "drop") + `"}},` + strings.Join(rules, ",") + `]}`
}

// TestNFT is TestRules for nf_tables.
func TestNFT(t *testing.T) {
	met := map[netfilter.Verdict]int{}
	for seed := range uint64(300) {
		d := dice{rand.New(rand.NewPCG(seed, 9))}
		text := d.nftRules()
		r := fresh()
		out, err := r.nftFile([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		for _, word := range []string{"payroll", "corp", "10.244", "192.168"} {
			if strings.Contains(string(out), word) {
				t.Fatalf("%s is in %s", word, out)
			}
		}
		var before, after netfilter.Ruleset
		if bad := before.ReadNFT(strings.NewReader(text), "nft.json"); len(bad) > 0 {
			t.Fatal(bad)
		}
		if bad := after.ReadNFT(bytes.NewReader(out), "nft.json"); len(bad) > 0 {
			t.Fatal(bad)
		}
		for range 20 {
			src, dst, dev := netip.MustParseAddr(d.addr()), netip.MustParseAddr(d.addr()), d.of("corp0", "eth0")
			want := verdicts(before.Eval(netfilter.Input{Hook: netfilter.LocalIn, In: dev, Packet: tcp(src, dst, 80)}))
			got := verdicts(after.Eval(netfilter.Input{Hook: netfilter.LocalIn, In: r.iface(dev), Packet: tcp(r.addr(src), r.addr(dst), 80)}))
			if d := cmp.Diff(want, got); d != "" {
				t.Fatalf("seed %d: %s > %s (-want +got):\n%s%s\n%s", seed, src, dst, d, text, out)
			}
			for _, v := range want {
				met[v]++
			}
		}
	}
	if met[netfilter.Accept] < 100 || met[netfilter.Drop] < 100 || met[netfilter.VerdictUnknown] > 0 {
		t.Errorf("verdicts: %v", met)
	}
}
