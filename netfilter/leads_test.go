package netfilter

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// leadText writes a way in a line.
func leadText(l Lead) string {
	var s []string
	if l.At.IsValid() {
		s = append(s, fmt.Sprintf("%s %s", l.Proto, l.At))
	} else if l.At.Port() != 0 {
		s = append(s, fmt.Sprintf("%s *:%d", l.Proto, l.At.Port()))
	}
	if l.Some {
		s = append(s, "of some")
	}
	if l.Bound {
		s = append(s, fmt.Sprintf("clients of %q %v", l.Set, l.Clients))
	}
	if l.Chain != nil {
		s = append(s, "to chain "+l.Chain.Name)
	}
	if l.To.IsValid() {
		s = append(s, "to "+l.To.String())
	}
	if l.Odd != "" {
		s = append(s, "odd: "+l.Odd)
	}
	return strings.Join(s, ", ")
}

func leadTexts(t *Table, chain string) string {
	var out []string
	for l := range t.Leads(t.Chains[chain]) {
		out = append(out, leadText(l))
	}
	return strings.Join(out, "\n")
}

func TestLeadsOfNFTables(t *testing.T) {
	const (
		daddr = `{"payload": {"protocol": "ip", "field": "daddr"}}`
		saddr = `{"payload": {"protocol": "ip", "field": "saddr"}}`
		proto = `{"meta": {"key": "l4proto"}}`
		dport = `{"payload": {"protocol": "th", "field": "dport"}}`
		dest  = `{"concat": [` + daddr + `, ` + proto + `, ` + dport + `]}`
		svc   = `[[{"concat": ["10.96.0.1", 6, 443]}, {"goto": {"target": "svc"}}], [{"elem": {"val": {"concat": ["10.96.0.2", 17, 53]}, "comment": "x"}}, {"drop": null}]]`
	)
	for _, tt := range []struct{ name, expr, want string }{
		{"nothing", `{"accept": null}`, ""},
		{"a jump", `{"jump": {"target": "svc"}}`, "to chain svc"},
		{"a jump of some", `{"match": {"op": "==", "left": ` + proto + `, "right": 6}}, {"goto": {"target": "svc"}}`, "to chain svc"},
		{"a map of destinations", `{"vmap": {"key": ` + dest + `, "data": "@ips"}}`, "tcp 10.96.0.1:443, to chain svc"},
		{"a map of sources", `{"vmap": {"key": {"concat": [` + saddr + `, ` + proto + `, ` + dport + `]}, "data": "@ips"}}`, "to chain svc"},
		{"a map that is not whole", `{"vmap": {"key": ` + dest + `, "data": "@odd"}}`, "odd: map odd was not read to its end: an element is not understood"},
		{"a chance", `{"vmap": {"key": {"numgen": {"mode": "random", "mod": 2, "offset": 0}}, "data": {"set": [[0, {"goto": {"target": "svc"}}], [1, {"goto": {"target": "c"}}]]}}}`, "to chain svc\nto chain c"},
		{"clients that are remembered", `{"match": {"op": "==", "left": ` + saddr + `, "right": "@aff"}}, {"goto": {"target": "svc"}}`, `of some, clients of "aff" [10.244.0.9 10.244.1.2], to chain svc`},
		{"all other clients", `{"match": {"op": "!=", "left": ` + saddr + `, "right": "@aff"}}, {"goto": {"target": "svc"}}`, "of some, to chain svc"},
		{"Pods alone", `{"match": {"op": "==", "left": ` + saddr + `, "right": {"prefix": {"addr": "10.0.0.0", "len": 8}}}}, {"goto": {"target": "svc"}}`, "of some, to chain svc"},
		{"the node itself", `{"match": {"op": "==", "left": {"fib": {"result": "type", "flags": ["saddr"]}}, "right": "local"}}, {"goto": {"target": "svc"}}`, "of some, to chain svc"},
		{"by a device", `{"match": {"op": "==", "left": {"meta": {"key": "iifname"}}, "right": "cni0"}}, {"goto": {"target": "svc"}}`, "of some, to chain svc"},
		{"for the node itself", `{"match": {"op": "==", "left": {"fib": {"result": "type", "flags": ["daddr"]}}, "right": "local"}}, {"goto": {"target": "svc"}}`, "to chain svc"},
		{"a map of node ports", `{"vmap": {"key": {"concat": [` + proto + `, ` + dport + `]}, "data": "@ports"}}`, "tcp *:30080, to chain svc"},
		{"a map of source ports", `{"vmap": {"key": {"concat": [` + proto + `, {"payload": {"protocol": "th", "field": "sport"}}]}, "data": "@ports"}}`, "to chain svc"},
		{"one destination", `{"dnat": {"addr": "10.244.0.2", "port": 8080}}`, "to 10.244.0.2:8080"},
		{"several destinations", `{"dnat": {"addr": "10.244.0.2"}}`, "odd: dnat to more than one address and port"},
		{"by chance", `{"dnat": {"family": "ip", "addr": {"map": {"key": {"numgen": {"mode": "random", "mod": 2, "offset": 0}}, "data": {"set": [[0, {"concat": ["10.244.0.2", 80]}], [1, {"concat": ["10.244.1.2", 81]}]]}}}}}`,
			"to 10.244.0.2:80\nto 10.244.1.2:81"},
		{"where the packet goes anyway", `{"dnat": {"addr": ` + daddr + `}}`, "odd: where dnat sends to is computed"},
		{"source NAT", `{"snat": {"addr": "10.244.0.2"}}`, ""},
		{"a strange condition", `{"match": {"op": "==", "left": {"osf": {"key": "name"}}, "right": "x"}}, {"goto": {"target": "svc"}}`, "to chain svc"},
		{"a strange statement", `{"queue": null}`, "odd: a process decides (queue)"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := &Ruleset{}
			const chain = `{"chain": {"family": "ip", "table": "t", "name": `
			problems := r.ReadNFT(strings.NewReader(`{"nftables": [{"table": {"family": "ip", "name": "t"}},`+
				`{"map": {"family": "ip", "table": "t", "name": "ips", "type": ["ipv4_addr", "inet_proto", "inet_service"], "map": "verdict", "elem": `+svc+`}},`+
				`{"map": {"family": "ip", "table": "t", "name": "odd", "type": ["ipv4_addr", "inet_proto", "inet_service"], "map": "verdict", "elem": [[{"concat": [1]}, {"drop": null}]]}},`+
				`{"set": {"family": "ip", "table": "t", "name": "aff", "type": "ipv4_addr", "flags": ["timeout"], "elem": [{"elem": {"val": "10.244.1.2", "expires": 9}}, "10.244.0.9", {"range": ["10.1.0.0", "10.1.0.9"]}]}},`+
				`{"map": {"family": "ip", "table": "t", "name": "ports", "type": ["inet_proto", "inet_service"], "map": "verdict", "elem": [[{"concat": [6, 30080]}, {"goto": {"target": "svc"}}]]}},`+
				chain+`"c"}},`+chain+`"svc"}}, {"rule": {"family": "ip", "table": "t", "chain": "c", "expr": [`+tt.expr+`]}}]}`), "f")
			if len(problems) > 0 {
				t.Fatal(problems)
			}
			if diff := cmp.Diff(tt.want, leadTexts(r.NFTables[0], "c")); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestLeadsOfIPTables(t *testing.T) {
	const rules = `*nat
:PREROUTING ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:SVC - [0:0]
:SEP - [0:0]
-A PREROUTING -d 10.96.0.1/32 -p tcp -m tcp --dport 443 -j SVC
-A PREROUTING -s 10.0.0.0/8
-A PREROUTING -j SVC
-A SVC -m recent --rcheck --seconds 10800 --reap --name SEP --mask 255.255.255.255 --rsource -j SEP
-A SVC -j MASQUERADE
-A SVC -p udp -m udp --dport 30081 -j SEP
-A SVC -d 127.0.0.0/8 -p tcp -m tcp --dport 30080 -j SEP
-A SVC -s 10.0.0.0/8 -j SEP
-A SVC -m addrtype --src-type LOCAL -j SEP
-A SVC -i cni0 -j SEP
-A SEP -p tcp -m recent --set --name SEP --mask 255.255.255.255 --rsource -m tcp -j DNAT --to-destination 10.244.0.2:8080
COMMIT
`
	tables, problems := ParseSave(strings.NewReader(rules), false, NFT, "f")
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	for chain, want := range map[string]string{
		"PREROUTING": "tcp 10.96.0.1:443, to chain SVC\nto chain SVC",
		"SVC":        "clients of \"\" [], to chain SEP\n\nudp *:30081, to chain SEP\nto chain SEP\nof some, to chain SEP\nof some, to chain SEP\nof some, to chain SEP",
		"SEP":        "to 10.244.0.2:8080",
	} {
		if diff := cmp.Diff(want, leadTexts(tables[0], chain)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", chain, diff)
		}
	}
}

func TestNAT(t *testing.T) {
	r := &Ruleset{}
	const base = `{"chain": {"family": "ip", "table": "t", "name": "`
	r.ReadNFT(strings.NewReader(`{"nftables": [{"table": {"family": "ip", "name": "t"}},`+
		base+`a", "type": "nat", "hook": "prerouting", "prio": -100}},`+base+`b", "type": "filter", "hook": "prerouting", "prio": -100}},`+
		base+`c"}},`+base+`d", "type": "nat", "hook": "output", "prio": -100}}]}`), "f")
	tables, _ := ParseSave(strings.NewReader("*nat\n:PREROUTING ACCEPT [0:0]\nCOMMIT\n"), false, Legacy, "f")
	for _, tt := range []struct {
		table *Table
		hook  Hook
		want  string
	}{
		{r.NFTables[0], PreRouting, "a"}, {r.NFTables[0], LocalOut, "d"}, {r.NFTables[0], Forward, ""},
		{tables[0], PreRouting, "PREROUTING"}, {tables[0], LocalOut, ""},
	} {
		var got []string
		for _, c := range tt.table.NAT(tt.hook) {
			got = append(got, c.Name)
		}
		if s := strings.Join(got, " "); s != tt.want {
			t.Errorf("%s at %s: got %q, want %q", tt.table.Name, tt.hook, s, tt.want)
		}
	}
}
