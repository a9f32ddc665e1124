package netfilter

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// nftList wraps elements.
func nftList(elements ...string) string {
	return `{"nftables": [` + strings.Join(elements, ",\n") + `]}`
}

func tableOf(family, name string) string {
	return fmt.Sprintf(`{"table": {"family": %q, "name": %q}}`, family, name)
}

func chainOf(family, table, name, typ, hook string, prio int) string {
	return fmt.Sprintf(`{"chain": {"family": %q, "table": %q, "name": %q, "type": %q, "hook": %q, "prio": %d, "policy": "accept"}}`, family, table, name, typ, hook, prio)
}

func ruleOf(family, table, chain, expr string) string {
	return fmt.Sprintf(`{"rule": {"family": %q, "table": %q, "chain": %q, "handle": 7, "expr": [%s]}}`, family, table, chain, expr)
}

func markBy(n int) string {
	return fmt.Sprintf(`{"mangle": {"key": {"meta": {"key": "mark"}}, "value": {"|": [{"<<": [{"meta": {"key": "mark"}}, 4]}, %d]}}}`, n)
}

func readNFT(t testing.TB, r *Ruleset, text string) *Ruleset {
	t.Helper()
	for _, p := range r.ReadNFT(strings.NewReader(text), "nft.json") {
		t.Fatal(p)
	}
	return r
}

// TestOrderOfHooks has each chain shift the mark and add its number: the mark tells the order.
func TestOrderOfHooks(t *testing.T) {
	mangle := "*mangle\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -m mark --mark 0 -j MARK --set-xmark 0xf/0xffffffff\nCOMMIT\n"
	for _, row := range []struct {
		name, saved string
		elements    []string
		want        uint32
	}{
		{"by priority", "", []string{tableOf("ip", "t"), chainOf("ip", "t", "a", "filter", "prerouting", 0), chainOf("ip", "t", "b", "filter", "prerouting", -300),
			ruleOf("ip", "t", "a", markBy(1)), ruleOf("ip", "t", "b", markBy(2))}, 0x21},
		{"of like priority the last made is first", "", []string{tableOf("ip", "t"), chainOf("ip", "t", "a", "filter", "prerouting", 0), chainOf("ip", "t", "b", "filter", "prerouting", 0),
			ruleOf("ip", "t", "a", markBy(1)), ruleOf("ip", "t", "b", markBy(2)), tableOf("inet", "x"), chainOf("inet", "x", "c", "filter", "prerouting", 0), ruleOf("inet", "x", "c", markBy(3))}, 0x321},
		{"before iptables", mangle, []string{tableOf("ip", "t"), chainOf("ip", "t", "a", "filter", "prerouting", -160), ruleOf("ip", "t", "a", markBy(1))}, 0x1},
		{"after iptables", mangle, []string{tableOf("ip", "t"), chainOf("ip", "t", "a", "filter", "prerouting", -140), ruleOf("ip", "t", "a", markBy(1))}, 0xf1},
		{"made after iptables' chain, of its priority", mangle, []string{tableOf("ip", "mangle"), chainOf("ip", "mangle", "PREROUTING", "filter", "prerouting", -150),
			tableOf("ip", "t"), chainOf("ip", "t", "a", "filter", "prerouting", -150), ruleOf("ip", "t", "a", markBy(1))}, 0x1},
		{"made before iptables' chain, of its priority", mangle, []string{tableOf("ip", "t"), chainOf("ip", "t", "a", "filter", "prerouting", -150), ruleOf("ip", "t", "a", markBy(1)),
			tableOf("ip", "mangle"), chainOf("ip", "mangle", "PREROUTING", "filter", "prerouting", -150)}, 0xf1},
		{"iptables' rules are not counted twice", mangle, []string{tableOf("ip", "mangle"), chainOf("ip", "mangle", "PREROUTING", "filter", "prerouting", -150), ruleOf("ip", "mangle", "PREROUTING", markBy(1))}, 0xf},
		{"a chain of its own in a table of iptables", mangle, []string{tableOf("ip", "mangle"), chainOf("ip", "mangle", "PREROUTING", "filter", "prerouting", -150), chainOf("ip", "mangle", "own", "filter", "prerouting", 5),
			ruleOf("ip", "mangle", "PREROUTING", markBy(1)), ruleOf("ip", "mangle", "own", markBy(2))}, 0xf2},
		{"the other family", "", []string{tableOf("ip6", "t"), chainOf("ip6", "t", "a", "filter", "prerouting", 0), ruleOf("ip6", "t", "a", markBy(1))}, 0},
		{"a table that sleeps", "", []string{`{"table": {"family": "ip", "name": "t", "flags": "dormant"}}`, chainOf("ip", "t", "a", "filter", "prerouting", 0), ruleOf("ip", "t", "a", markBy(1))}, 0},
		{"ingress is first", "", []string{tableOf("ip", "t"), chainOf("ip", "t", "a", "filter", "prerouting", -500), ruleOf("ip", "t", "a", markBy(1)), tableOf("netdev", "d"),
			`{"chain": {"family": "netdev", "table": "d", "name": "i", "dev": "eth0", "type": "filter", "hook": "ingress", "prio": 0, "policy": "accept"}}`, ruleOf("netdev", "d", "i", markBy(2))}, 0x21},
		{"ingress of another device", "", []string{tableOf("netdev", "d"),
			`{"chain": {"family": "netdev", "table": "d", "name": "i", "dev": ["eth7", "eth8"], "type": "filter", "hook": "ingress", "prio": 0, "policy": "accept"}}`, ruleOf("netdev", "d", "i", markBy(2))}, 0},
	} {
		t.Run(row.name, func(t *testing.T) {
			r := &Ruleset{}
			r.Tables, _ = ParseSave(strings.NewReader(row.saved), false, NFT, "iptables")
			readNFT(t, r, nftList(row.elements...))
			out := r.Eval(Input{Hook: PreRouting, Packet: tcp("10.0.0.1:1", "10.1.0.5:80"), In: "eth0", Env: fakeEnv{}})
			if len(out) != 1 || out[0].Verdict != Accept || out[0].Packet.Mark != row.want || len(out[0].Assumed) > 0 {
				t.Errorf("want mark %#x: %+v", row.want, out)
			}
		})
	}
}

func TestDevicesThatAreNotListed(t *testing.T) {
	r := readNFT(t, &Ruleset{}, nftList(tableOf("netdev", "d"), chainOf("netdev", "d", "i", "filter", "ingress", 0), ruleOf("netdev", "d", "i", drop)))
	if got := weights(r.Eval(Input{Hook: PreRouting, Packet: tcp("10.0.0.1:1", "10.1.0.5:80"), In: "eth0", Env: fakeEnv{}})); got != "0.500 Drop; 0.500 Accept" {
		t.Error(got)
	}
}

// TestOneNATOfAKind asks chains of type nat in the order of their priority, until one decides.
func TestOneNATOfAKind(t *testing.T) {
	to := func(a string) string { return `{"dnat": {"family": "ip", "addr": "` + a + `", "port": 8080}}` }
	list := []string{tableOf("inet", "t"), chainOf("inet", "t", "a", "nat", "prerouting", -90), chainOf("inet", "t", "b", "nat", "prerouting", -110), chainOf("inet", "t", "f", "filter", "prerouting", -95),
		ruleOf("inet", "t", "a", to("10.2.0.1")), ruleOf("inet", "t", "b", `{"match": {"op": "==", "left": `+saddr+`, "right": "10.0.0.1"}}, `+to("10.2.0.2")),
		ruleOf("inet", "t", "f", `{"match": {"op": "!=", "left": `+daddr+`, "right": "10.1.0.5"}}, `+markBy(1))}
	r := readNFT(t, &Ruleset{}, nftList(list...))
	for _, row := range []struct{ src, want string }{{"10.0.0.1:1", "10.2.0.2:8080"}, {"10.0.0.2:1", "10.2.0.1:8080"}} {
		out := r.Eval(Input{Hook: PreRouting, Packet: tcp(row.src, "10.1.0.5:80"), In: "eth0", Env: fakeEnv{}})
		if len(out) != 1 || out[0].Packet.Dst.String() != row.want || out[0].Packet.Mark != 1 {
			t.Errorf("%s: want %s, and NAT before priority -95: %s", row.src, row.want, describe(out))
		}
		if !out[0].Conn.DNAT || !out[0].Conn.DstDone {
			t.Errorf("connection %+v", out[0].Conn)
		}
	}
}

func TestKeepsRoute(t *testing.T) {
	for _, row := range []struct {
		typ  string
		want bool
	}{{"filter", true}, {"route", false}} {
		r := readNFT(t, &Ruleset{}, nftList(tableOf("ip", "t"), chainOf("ip", "t", "o", row.typ, "output", -150), ruleOf("ip", "t", "o", markBy(1))))
		out := r.Eval(Input{Hook: LocalOut, Packet: tcp("10.0.0.1:1", "10.1.0.5:80"), Out: "eth0", Env: fakeEnv{}})
		if len(out) != 1 || out[0].KeepsRoute != row.want || out[0].Packet.Mark != 1 {
			t.Errorf("%s: %+v", row.typ, out)
		}
	}
}

// TestStrangeRules wants what is not understood to matter only where it could decide.
func TestStrangeRules(t *testing.T) {
	from := func(a string) string {
		return `{"match": {"op": "==", "left": ` + saddr + `, "right": "` + a + `"}}, `
	}
	moon := `{"match": {"op": "==", "left": {"moon": null}, "right": 1}}, `
	for _, row := range []struct {
		name, expr, want string
	}{
		{"a statement", `{"moon": null}`, "1.000 Unknown"},
		{"a statement that is not met", from("10.9.9.9") + `{"moon": null}`, "1.000 Accept"},
		{"a match", moon + drop, "0.500 Drop; 0.500 Accept"},
		{"a match before what changes nothing", moon + `{"counter": null}`, "1.000 Accept"},
		{"a process decides", `{"queue": {"num": 1}}`, "1.000 Unknown"},
		{"a match of iptables", `{"xt": {"type": "match", "name": "recent"}}, ` + drop, "0.500 Drop; 0.500 Accept"},
		{"a comment of iptables", `{"xt": {"type": "match", "name": "comment"}}, ` + drop, "1.000 Drop"},
		{"a target of iptables", `{"xt": {"type": "target", "name": "DNAT"}}`, "1.000 Unknown"},
		{"a jump to nowhere", `{"jump": {"target": "moon"}}`, "1.000 Unknown"},
		{"a circle", `{"jump": {"target": "c"}}`, "1.000 Unknown"},
		{"an offload", `{"flow": {"op": "add", "flowtable": "@f"}}`, "1.000 Accept"},
		{"two generators in one expression", `{"match": {"op": "==", "left": {"concat": [{"numgen": {"mode": "inc", "mod": 2}}, {"numgen": {"mode": "inc", "mod": 2}}]}, "right": {"concat": [1, 1]}}}, ` + drop, "0.500 Drop; 0.500 Accept"},
	} {
		t.Run(row.name, func(t *testing.T) {
			r := nftRuleset(t, "forward", nil, row.expr)
			if got := weights(r.Eval(Input{Hook: Forward, Packet: tcp("10.0.0.1:1", "10.1.0.5:80"), In: "eth0", Out: "eth1", Env: fakeEnv{}})); got != row.want {
				t.Errorf("got %s, want %s", got, row.want)
			}
		})
	}
}

// TestNFTJumps follows jump, goto, return and the end of chains.
func TestNFTJumps(t *testing.T) {
	u := func(expr string) string { return ruleOf("inet", "t", "u", expr) }
	for _, row := range []struct {
		name string
		rule string
		more []string
		want uint32
	}{
		{"jump comes back", `{"jump": {"target": "u"}}`, []string{u(markBy(1))}, 0x19},
		{"goto does not", `{"goto": {"target": "u"}}`, []string{u(markBy(1))}, 0x1},
		{"return", `{"jump": {"target": "u"}}`, []string{u(markBy(1) + `, {"return": null}`), u(markBy(2))}, 0x19},
		{"return of the base chain", `{"return": null}`, nil, 0},
		{"accept", `{"jump": {"target": "u"}}`, []string{u(markBy(1) + `, {"accept": null}`)}, 0x1},
		{"continue", `{"continue": null}`, nil, 0x9},
	} {
		t.Run(row.name, func(t *testing.T) {
			list := append([]string{tableOf("inet", "t"), `{"chain": {"family": "inet", "table": "t", "name": "u"}}`, chainOf("inet", "t", "c", "filter", "forward", 0), ruleOf("inet", "t", "c", row.rule), ruleOf("inet", "t", "c", markBy(9))}, row.more...)
			r := readNFT(t, &Ruleset{}, nftList(list...))
			out := r.Eval(Input{Hook: Forward, Packet: tcp("10.0.0.1:1", "10.1.0.5:80"), In: "eth0", Out: "eth1", Env: fakeEnv{}})
			if len(out) != 1 || out[0].Packet.Mark != row.want {
				t.Errorf("want mark %#x: %s", row.want, describe(out))
			}
		})
	}
}

func TestQuote(t *testing.T) {
	r := readNFT(t, &Ruleset{}, nftList(tableOf("inet", "t"), chainOf("inet", "t", "c", "filter", "forward", 5), ruleOf("inet", "t", "c", drop)))
	table := r.NFTables[0]
	c := table.Chains["c"]
	c.Policy = "DROP"
	var got []string
	for _, ref := range []Ref{{table, c, c.Rules[0]}, {table, c, nil}, {Table: table}, {&Table{Name: "nat", Is6: true, Backend: Legacy}, &Chain{Name: "A", Policy: "DROP"}, nil}} {
		got = append(got, ref.Quote(), ref.Command())
	}
	want := []string{"drop # handle 7", "nft -a list chain inet t c", "type filter hook forward priority 5; policy drop;", "nft -a list chain inet t c", "", "nft -a list table inet t",
		"-P A DROP", "ip6tables-legacy -t nat -S A"}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if got := (Ref{table, c, c.Rules[0]}).String(); got != "inet t c: drop" {
		t.Error(got)
	}
}

// TestJHash has what the kernel computes (lab/agree/nft asks it for more).
func TestJHash(t *testing.T) {
	for _, row := range []struct {
		key  string
		seed uint32
		want uint32
	}{{"", 0, 0xdeadbeef}, {"", 0xdeadbeef, 0xbd5b7dde}, {"Four score and seven years ago", 0, 0x17770551}, {"Four score and seven years ago", 1, 0xcd628161}} {
		if got := jhash([]byte(row.key), row.seed); got != row.want {
			t.Errorf("%q, %#x: %#x, want %#x", row.key, row.seed, got, row.want)
		}
	}
}
