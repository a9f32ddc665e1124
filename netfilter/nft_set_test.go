package netfilter

import (
	"fmt"
	"strings"
	"testing"

	"github.com/plumbnet/plumb/packet"
)

// nftRuleset wraps elements of one table "ip t" with a base chain c, and rules for it.
func nftRuleset(t testing.TB, hook string, elements []string, exprs ...string) *Ruleset {
	t.Helper()
	typ, prio := "filter", 0
	if strings.HasPrefix(hook, "nat ") {
		typ, hook, prio = "nat", strings.TrimPrefix(hook, "nat "), -100
	}
	all := append([]string{`{"table": {"family": "inet", "name": "t"}}`}, elements...)
	all = append(all, `{"chain": {"family": "inet", "table": "t", "name": "u"}}`,
		fmt.Sprintf(`{"chain": {"family": "inet", "table": "t", "name": "c", "type": %q, "hook": %q, "prio": %d, "policy": "accept"}}`, typ, hook, prio))
	for _, e := range exprs {
		all = append(all, `{"rule": {"family": "inet", "table": "t", "chain": "c", "handle": 1, "expr": [`+e+`]}}`)
	}
	r := &Ruleset{}
	for _, p := range r.ReadNFT(strings.NewReader(`{"nftables": [`+strings.Join(all, ",\n")+`]}`), "nft.json") {
		t.Fatal(p)
	}
	return r
}

const (
	saddr = `{"payload": {"protocol": "ip", "field": "saddr"}}`
	daddr = `{"payload": {"protocol": "ip", "field": "daddr"}}`
	dport = `{"payload": {"protocol": "th", "field": "dport"}}`
	proto = `{"meta": {"key": "l4proto"}}`
	drop  = `{"drop": null}`
)

func TestNFTSets(t *testing.T) {
	set := func(typ, flags, elem string) []string {
		return []string{fmt.Sprintf(`{"set": {"family": "inet", "table": "t", "name": "s", "type": %s, %s "elem": [%s]}}`, typ, flags, elem)}
	}
	in := func(left string) string {
		return `{"match": {"op": "==", "left": ` + left + `, "right": "@s"}}, ` + drop
	}
	pair := `{"concat": [` + saddr + `, ` + dport + `]}`
	echo := tcp("10.0.0.1:0", "10.1.0.5:0")
	echo.Proto, echo.ICMPType = packet.ICMP, 8
	for _, row := range []struct {
		name  string
		set   []string
		rule  string
		p     packet.Packet
		drops string
	}{
		{"an address", set(`"ipv4_addr"`, "", `"10.0.0.1", "10.0.0.2"`), in(saddr), tcp("10.0.0.1:1", "10.1.0.5:80"), "1.000 Drop"},
		{"another address", set(`"ipv4_addr"`, "", `"10.0.0.1", "10.0.0.2"`), in(saddr), tcp("10.0.0.3:1", "10.1.0.5:80"), "1.000 Accept"},
		{"in a prefix", set(`"ipv4_addr"`, `"flags": ["interval"],`, `{"prefix": {"addr": "10.0.0.0", "len": 30}}, "11.0.0.1"`), in(saddr), tcp("10.0.0.3:1", "10.1.0.5:80"), "1.000 Drop"},
		{"behind a prefix", set(`"ipv4_addr"`, `"flags": ["interval"],`, `{"prefix": {"addr": "10.0.0.0", "len": 30}}, "11.0.0.1"`), in(saddr), tcp("10.0.0.4:1", "10.1.0.5:80"), "1.000 Accept"},
		{"before a range", set(`"inet_service"`, `"flags": ["interval"],`, `{"range": [90, 99]}, {"range": [70, 79]}`), in(dport), tcp("10.0.0.4:1", "10.1.0.5:80"), "1.000 Accept"},
		{"the end of a range", set(`"inet_service"`, `"flags": ["interval"],`, `{"range": [90, 99]}, {"range": [70, 80]}`), in(dport), tcp("10.0.0.4:1", "10.1.0.5:80"), "1.000 Drop"},
		{"a concatenation with ranges", set(`["ipv4_addr", "inet_service"]`, `"flags": ["interval"],`, `{"concat": [{"range": ["10.0.0.2", "10.0.0.5"]}, {"range": [70, 80]}]}`), in(pair), tcp("10.0.0.4:1", "10.1.0.5:80"), "1.000 Drop"},
		{"one field outside", set(`["ipv4_addr", "inet_service"]`, `"flags": ["interval"],`, `{"concat": [{"range": ["10.0.0.2", "10.0.0.5"]}, {"range": [70, 79]}]}`), in(pair), tcp("10.0.0.4:1", "10.1.0.5:80"), "1.000 Accept"},
		{"an exact one beside ranges", set(`["ipv4_addr", "inet_service"]`, `"flags": ["interval"],`, `{"concat": [{"range": ["10.0.0.2", "10.0.0.5"]}, 9]}, {"concat": ["10.0.0.4", 80]}`), in(pair), tcp("10.0.0.4:1", "10.1.0.5:80"), "1.000 Drop"},
		{"an element with a comment", set(`"ipv4_addr"`, "", `{"elem": {"val": "10.0.0.1", "comment": "x", "timeout": 30}}`), in(saddr), tcp("10.0.0.1:1", "10.1.0.5:80"), "1.000 Drop"},
		{"part of the key is not known, the rest tells", set(`["ipv4_addr", "inet_service"]`, "", `{"concat": ["10.0.0.9", 80]}`), in(pair), echo, "1.000 Accept"},
		{"an unreadable element", set(`"ipv4_addr"`, "", `{"moon": 1}`), in(saddr), tcp("10.0.0.1:1", "10.1.0.5:80"), "0.500 Drop; 0.500 Accept"},
		{"a type that only the rule tells", set(`"integer"`, "", `80`), in(dport), tcp("10.0.0.1:1", "10.1.0.5:80"), "1.000 Drop"},
		{"a type that no one tells", set(`"integer"`, "", `80`), `{"match": {"op": "==", "left": {"moon": null}, "right": "@s"}}, ` + drop, tcp("10.0.0.1:1", "10.1.0.5:80"), "0.500 Drop; 0.500 Accept"},
		{"everything", set(`"ipv4_addr"`, `"flags": ["interval"],`, `"*"`), in(saddr), tcp("10.0.0.1:1", "10.1.0.5:80"), "1.000 Drop"},
	} {
		t.Run(row.name, func(t *testing.T) {
			r := nftRuleset(t, "forward", row.set, row.rule)
			if got := weights(r.Eval(Input{Hook: Forward, Packet: row.p, In: "eth0", Out: "eth1", Env: fakeEnv{}})); got != row.drops {
				t.Errorf("got %s, want %s", got, row.drops)
			}
		})
	}
}

// weights writes what can happen, without what it supposes.
func weights(out []Outcome) string {
	var all []string
	for _, o := range out {
		all = append(all, fmt.Sprintf("%.3f %s", o.Weight, o.Verdict))
	}
	return strings.Join(all, "; ")
}

// TestNFTDynamicSets follows elements that rules add as packets pass.
func TestNFTDynamicSets(t *testing.T) {
	set := []string{`{"set": {"family": "inet", "table": "t", "name": "s", "type": "ipv4_addr", "size": 4, "elem": ["10.9.9.9"]}}`}
	add := `{"set": {"op": "add", "elem": ` + saddr + `, "set": "@s"}}`
	in := `{"match": {"op": "==", "left": ` + saddr + `, "right": "@s"}}, ` + drop
	for _, row := range []struct {
		name  string
		rules []string
		src   string
		want  string
	}{
		{"added before", []string{add, in}, "10.0.0.1:1", "1.000 Drop"},
		{"added after", []string{in, add}, "10.0.0.1:1", "0.001 Drop; 0.999 Accept"},
		{"there already", []string{in, add}, "10.9.9.9:1", "1.000 Drop"},
		{"nobody adds", []string{in}, "10.0.0.1:1", "1.000 Accept"},
		{"deleted, perhaps", []string{`{"set": {"op": "delete", "elem": ` + saddr + `, "set": "@s"}}`, in}, "10.9.9.9:1", "0.500 Drop; 0.500 Accept"},
		{"with a rate", []string{`{"set": {"op": "add", "elem": ` + saddr + `, "set": "@s", "stmt": [{"limit": {"rate": 1, "per": "second", "inv": true}}]}}, ` + drop}, "10.0.0.1:1", "0.001 Drop; 0.999 Accept"},
	} {
		t.Run(row.name, func(t *testing.T) {
			r := nftRuleset(t, "forward", set, row.rules...)
			got := weights(r.Eval(Input{Hook: Forward, Packet: tcp(row.src, "10.1.0.5:80"), In: "eth0", Out: "eth1", Env: fakeEnv{}}))
			if got != row.want {
				t.Errorf("got %s, want %s", got, row.want)
			}
		})
	}
}

// kubeProxyNFT writes rules as kube-proxy's nftables mode does for so many Services.
func kubeProxyNFT(services int) string {
	var chains, elems, rules strings.Builder
	for i := range services {
		svc := fmt.Sprintf("service-%d", i)
		fmt.Fprintf(&chains, `, {"chain": {"family": "ip", "table": "kube-proxy", "name": %q, "handle": %d}}`, svc, i)
		if i > 0 {
			elems.WriteString(", ")
		}
		fmt.Fprintf(&elems, `[{"concat": ["10.96.%d.%d", "tcp", 80]}, {"goto": {"target": %q}}]`, i>>8, i&255, svc)
		var data []string
		for k := range 3 {
			end := fmt.Sprintf("endpoint-%d-%d", i, k)
			data = append(data, fmt.Sprintf(`[%d, {"goto": {"target": %q}}]`, k, end))
			fmt.Fprintf(&chains, `, {"chain": {"family": "ip", "table": "kube-proxy", "name": %q, "handle": %d}}`, end, i)
			fmt.Fprintf(&rules, `, {"rule": {"family": "ip", "table": "kube-proxy", "chain": %q, "handle": 1, "expr": [{"match": {"op": "==", "left": {"meta": {"key": "l4proto"}}, "right": "tcp"}}, {"dnat": {"addr": "10.244.%d.%d", "port": 8080}}]}}`, end, i>>6, (i<<2+k)&255)
		}
		fmt.Fprintf(&rules, `, {"rule": {"family": "ip", "table": "kube-proxy", "chain": %q, "handle": 1, "expr": [{"vmap": {"key": {"numgen": {"mode": "random", "mod": 3, "offset": 0}}, "data": {"set": [%s]}}}]}}`, svc, strings.Join(data, ", "))
	}
	return `{"nftables": [{"metainfo": {"version": "1.0.6"}}, {"table": {"family": "ip", "name": "kube-proxy", "handle": 1}}, ` +
		`{"map": {"family": "ip", "name": "service-ips", "table": "kube-proxy", "type": ["ipv4_addr", "inet_proto", "inet_service"], "handle": 1, "map": "verdict", "elem": [` + elems.String() + `]}}, ` +
		`{"chain": {"family": "ip", "table": "kube-proxy", "name": "nat-prerouting", "type": "nat", "hook": "prerouting", "prio": -100, "policy": "accept"}}` + chains.String() +
		`, {"rule": {"family": "ip", "table": "kube-proxy", "chain": "nat-prerouting", "handle": 9, "expr": [{"vmap": {"key": {"concat": [` + daddr + `, ` + proto + `, ` + dport + `]}, "data": "@service-ips"}}]}}` + rules.String() + `]}`
}

// TestNFTServices balances over the endpoints of one Service of many, and holds what it costs.
func TestNFTServices(t *testing.T) {
	r := &Ruleset{}
	if problems := r.ReadNFT(strings.NewReader(kubeProxyNFT(1000)), "nft.json"); len(problems) > 0 {
		t.Fatal(problems)
	}
	p := tcp("10.244.9.9:40000", "10.96.3.231:80")
	out := r.Eval(Input{Hook: PreRouting, Packet: p, Env: fakeEnv{}})
	if got := weights(out); got != "0.333 Accept; 0.333 Accept; 0.333 Accept" || out[0].Packet.Dst.Port() != 8080 {
		t.Errorf("%s", describe(out))
	}
	var e Evaluator
	var env Env = fakeEnv{}
	if allocs := testing.AllocsPerRun(10, func() { e.Eval(r, &Input{Hook: PreRouting, Packet: p, Env: env}) }); allocs > 60 {
		t.Errorf("%v allocations", allocs)
	}
}

func BenchmarkReadKubeProxyNFT(b *testing.B) {
	text := kubeProxyNFT(10_000)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		r := &Ruleset{}
		if problems := r.ReadNFT(strings.NewReader(text), "nft.json"); len(problems) > 0 {
			b.Fatal(problems)
		}
	}
}

func BenchmarkEvalKubeProxyNFT(b *testing.B) {
	for _, n := range []int{100, 10_000} {
		b.Run(fmt.Sprintf("services=%d", n), func(b *testing.B) {
			r := &Ruleset{}
			r.ReadNFT(strings.NewReader(kubeProxyNFT(n)), "nft.json")
			var e Evaluator
			var env Env = fakeEnv{}
			p := tcp("10.244.9.9:40000", fmt.Sprintf("10.96.%d.%d:80", (n-1)>>8, (n-1)&255))
			b.ReportAllocs()
			for b.Loop() {
				e.Eval(r, &Input{Hook: PreRouting, Packet: p, Env: env})
			}
		})
	}
}
