package netfilter

import (
	"strings"
	"testing"
)

// nftJSON is what "nft -j list ruleset" printed, in short.
const nftJSON = `{"nftables": [{"metainfo": {"version": "1.0.6", "release_name": "Lester Gooch #5", "json_schema_version": 1}},
 {"table": {"family": "ip", "name": "nat", "handle": 1}},
 {"chain": {"family": "ip", "table": "nat", "name": "PREROUTING", "handle": 1, "type": "nat", "hook": "prerouting", "prio": -100, "policy": "accept"}},
 {"chain": {"family": "ip", "table": "nat", "name": "KUBE-X", "handle": 3}},
 {"rule": {"family": "ip", "table": "nat", "chain": "PREROUTING", "handle": 2, "expr": [{"xt": {"type": "match", "name": "comment"}}, {"counter": {"packets": 0, "bytes": 0}}]}},
 {"rule": {"family": "ip", "table": "nat", "chain": "KUBE-X", "handle": 2, "expr": [{"xt": {"type": "target", "name": "DNAT"}}]}},
 {"chain": {"family": "ip", "table": "nat", "name": "prerouting", "handle": 9, "type": "nat", "hook": "prerouting", "prio": -100, "policy": "accept"}},
 {"rule": {"family": "ip", "table": "nat", "chain": "prerouting", "handle": 2, "expr": [{"drop": null}]}},
 {"table": {"family": "inet", "name": "x", "handle": 7}},
 {"chain": {"family": "inet", "table": "x", "name": "y", "handle": 1, "type": "filter", "hook": "input", "prio": 5, "policy": "accept"}},
 {"chain": {"family": "inet", "table": "x", "name": "z", "handle": 3, "type": "filter", "hook": "forward", "prio": -5, "policy": "drop"}},
 {"chain": {"family": "inet", "table": "x", "name": "empty", "handle": 4, "type": "filter", "hook": "output", "prio": 0, "policy": "accept"}},
 {"chain": {"family": "inet", "table": "x", "name": "u", "handle": 5}},
 {"rule": {"family": "inet", "table": "x", "chain": "y", "handle": 2, "expr": [{"match": {"op": "==", "left": {"payload": {"protocol": "tcp", "field": "dport"}}, "right": 80}}, {"log": {"prefix": "}]\"{"}}]}},
 {"rule": {"family": "inet", "table": "x", "chain": "u", "handle": 2, "expr": [{"drop": null}]}},
 {"table": {"family": "netdev", "name": "n", "handle": 8}},
 {"chain": {"family": "netdev", "table": "n", "name": "i", "handle": 1, "dev": "d0", "type": "filter", "hook": "ingress", "prio": 0, "policy": "drop"}},
 {"table": {"family": "bridge", "name": "b", "handle": 9}},
 {"chain": {"family": "bridge", "table": "b", "name": "f", "handle": 1, "type": "filter", "hook": "forward", "prio": 0, "policy": "drop"}},
 {"table": {"family": "arp", "name": "q", "handle": 10}},
 {"chain": {"family": "arp", "table": "q", "name": "i", "handle": 1, "type": "filter", "hook": "input", "prio": 0, "policy": "drop"}}]}`

// TestReadNFTSkipsIPTables wants of a table that iptables-save has printed only the chains that are not of iptables.
func TestReadNFTSkipsIPTables(t *testing.T) {
	for _, row := range []struct {
		name, saved string
		tables      int // native
		kept        int // of iptables
	}{
		{"nothing was saved", "", 5, 0},
		{"saved whole", "*nat\n:PREROUTING ACCEPT [0:0]\n:KUBE-X - [0:0]\nCOMMIT\n", 5, 1},
		{"not saved whole", "# Table `nat' is incompatible, use 'nft' tool.\n", 5, 0},
		{"another table was saved", "*filter\n:INPUT ACCEPT [0:0]\nCOMMIT\n", 5, 1},
	} {
		t.Run(row.name, func(t *testing.T) {
			r := &Ruleset{}
			r.Tables, _ = ParseSave(strings.NewReader(row.saved), false, NFT, "iptables")
			if problems := r.ReadNFT(strings.NewReader(nftJSON), "nft.json"); len(problems) > 0 {
				t.Fatal(problems)
			}
			if len(r.NFTables) != row.tables || len(r.Tables) != row.kept {
				t.Errorf("%d native tables and %d of iptables", len(r.NFTables), len(r.Tables))
			}
		})
	}
}

func TestReadNFTProblems(t *testing.T) {
	for _, row := range []struct{ name, in, problem string }{
		{"nothing", "", ""},
		{"no ruleset", `{"nftables": [{"metainfo": {"version": "1.0.6"}}]}`, ""},
		{"not JSON", "table inet x {\n}\n", `f: nft: not the JSON of "nft -j list ruleset"`},
		{"cut", nftJSON[:700], "f: nft: line 6: unexpected EOF"},
		{"not an element", `{"nftables": [5]}`, "f: nft: line 1: unexpected '5' between elements"},
		{"broken within", `{"nftables": [{"chain": {"family": 5}}]}`, "f: nft: line 1: \"{\\\"chain\\\": {\\\"family\\\": 5}}\": a chain of a table that was not listed"},
		{"a table that comes later", nftList("\n"+chainOf("ip", "t", "c", "filter", "input", 0), tableOf("ip", "t")), `f: nft: line 2: "{\"chain\": {\"family\": \"ip\", \"table\": \"t\", \"name\": \"c\", \"type\"…": a chain of a table that was not listed`},
		{"a chain twice", nftList(tableOf("ip", "t"), chainOf("ip", "t", "c", "filter", "input", 0), chainOf("ip", "t", "c", "filter", "input", 0)), "f: nft: line 3: chain c of table t is listed twice, or has no name"},
		{"a chain without a name", nftList(tableOf("ip", "t"), `{"chain": {"family": "ip", "table": "t"}}`), "f: nft: line 2: chain  of table t is listed twice, or has no name"},
		{"a priority in words", nftList(tableOf("ip", "t"), `{"chain": {"family": "ip", "table": "t", "name": "c", "hook": "input", "prio": "first"}}`), "f: nft: line 2: the priority of chain c is not a number"},
		{"a rule of no chain", nftList(tableOf("ip", "t"), ruleOf("ip", "t", "c", drop)), "f: nft: line 2: a rule of chain c, which was not listed"},
		{"nested too deep", nftList(tableOf("ip", "t"), `{"rule": `+strings.Repeat("[", 70)+strings.Repeat("]", 70)+`}`), "f: nft: line 2: nested more than 64 deep"},
		{"no JSON in an element", nftList(tableOf("ip", "t"), `{"rule": moon}`), "f: nft: line 2: not JSON"},
		{"what stands between elements", nftList(tableOf("ip", "t") + "; " + tableOf("ip", "u")), "f: nft: line 1: unexpected ';' between elements"},
		{"a list that does not end", `{"nftables": [` + tableOf("ip", "t") + ",\n\n", "f: nft: line 3: unexpected EOF"},
	} {
		t.Run(row.name, func(t *testing.T) {
			r := &Ruleset{}
			problems := r.ReadNFT(strings.NewReader(row.in), "f")
			list := r.Opaque
			got := ""
			if len(problems) > 0 {
				got = problems[0].Error()
			}
			if quoted := strings.Index(got, ` "{`); quoted > 0 && !strings.Contains(row.problem, `"{`) {
				got = got[:quoted+1] + got[strings.LastIndex(got, `": `)+3:]
			}
			if got != row.problem {
				t.Errorf("got  %s\nwant %s", got, row.problem)
			}
			if (len(problems) > 0) != (len(list) > 0) {
				t.Errorf("what was not read is opaque at every hook, and only then: %d", len(list))
			}
		})
	}
}

func TestOpaque(t *testing.T) {
	r := &Ruleset{Opaque: []Opaque{
		{Hook: Forward, What: "a"}, {Hook: LocalIn, Bridge: true, What: "b"}, {Hook: PreRouting, Dev: "eth0", What: "c"}, {Hook: PostRouting, Dev: "eth1", What: "d"},
	}}
	p, p6 := tcp("10.1.0.1:1", "10.2.0.2:80"), tcp("[fd00::1]:1", "[fd00::2]:80")
	for _, row := range []struct {
		name string
		in   Input
		want string
	}{
		{"met", Input{Hook: Forward, Packet: p}, "1.000 Unknown a"},
		{"the other family", Input{Hook: Forward, Packet: p6}, "1.000 Accept"},
		{"another hook", Input{Hook: LocalOut, Packet: p}, "1.000 Accept"},
		{"routed, not bridged", Input{Hook: LocalIn, Packet: p}, "1.000 Accept"},
		{"bridged", Input{Hook: LocalIn, Packet: p, PhysIn: "v"}, "1.000 Unknown b"},
		{"the device", Input{Hook: PreRouting, Packet: p, In: "eth0"}, "1.000 Unknown c"},
		{"another device", Input{Hook: PreRouting, Packet: p, In: "eth1"}, "1.000 Accept"},
		{"the device that it leaves by", Input{Hook: PostRouting, Packet: p, In: "eth0", Out: "eth1"}, "1.000 Unknown d"},
	} {
		t.Run(row.name, func(t *testing.T) {
			if got := supposed(r.Eval(row.in)); got != row.want {
				t.Errorf("%s, want %s", got, row.want)
			}
		})
	}
	r.Tables = load(t, false, "*filter\n:FORWARD DROP [0:0]").Tables
	if got := supposed(r.Eval(Input{Hook: Forward, Packet: p})); got != "1.000 Drop" {
		t.Errorf("what iptables drops stays dropped: %s", got)
	}
}
