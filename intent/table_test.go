package intent

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/plumbnet/plumb/lab/policygen"
	"github.com/plumbnet/plumb/packet"
)

// drawn is a table as text.
func drawn(t *Table) string {
	var b strings.Builder
	for i, g := range t.Groups {
		var names []string
		for _, m := range g.Members {
			name := strings.TrimPrefix(m.Namespace+"/"+m.Name, "/")
			if m.Pods < m.Of {
				name += fmt.Sprintf(" %d of %d", m.Pods, m.Of)
			}
			names = append(names, strings.TrimSpace(name))
		}
		fmt.Fprintf(&b, "%d %s: %s |", i, g.Kind, strings.Join(names, ", "))
		for j := range t.Groups {
			b.WriteString(" " + cellText(t.Cells[i][j]))
		}
		b.WriteString("\n")
	}
	return b.String()
}

func cellText(c Cell) string {
	switch {
	case c.None:
		return "."
	case c.Mixed:
		return fmt.Sprint(c.Allowed)
	}
	return map[Answer]string{Allowed: "yes", Denied: "no", Unknown: "?"}[c.Answer]
}

func TestTable(t *testing.T) {
	eighty := []PortRange{{packet.TCP, 80, 80}}
	for _, tt := range []struct {
		name, policies string
		ports          []PortRange
		namespaces     []string
		want           string
	}{
		{"no policy: all are one", "", eighty, nil, `
0 pods: a/db, a/ending, a/new, a/web, b/web, lost/x | yes yes yes
1 nodes: n1, n2 | yes . .
2 outside:  | yes . .
`},
		{"one isolated", isolateDB + `{"from":[{"podSelector":{"matchLabels":{"app":"web"}}}]}]}`, eighty, nil, `
0 pods: a/db, a/ending, a/new | no yes yes yes yes
1 pods: a/web | yes . yes yes yes
2 pods: b/web, lost/x | no yes yes yes yes
3 nodes: n1, n2 | no yes yes . .
4 outside:  | no yes yes . .
`},
		{"all ports", isolateDB + `{"ports":[{"port":80},{"port":443,"endPort":445}]}]}`, nil, nil, `
0 pods: a/db, a/ending, a/new | [tcp 80 tcp 443-445] yes yes yes
1 pods: a/web, b/web, lost/x | [tcp 80 tcp 443-445] yes yes yes
2 nodes: n1, n2 | [tcp 80 tcp 443-445] yes . .
3 outside:  | [tcp 80 tcp 443-445] yes . .
`},
		{"one namespace: the others are told apart by what they are to it", isolateA + `np lost/x {"podSelector":{}}`, eighty, []string{"b"}, `
0 pods: a/db, a/ending, a/new, a/web, lost/x | . yes . .
1 pods: b/web | no . yes yes
2 nodes: n1, n2 | . yes . .
3 outside:  | . yes . .
`},
		{"ranges outside", `np a/x {"podSelector":{},"policyTypes":["Egress"],"egress":[{"to":[{"ipBlock":{"cidr":"8.0.0.0/8"}}]}]}`, eighty, []string{"a"}, `
0 pods: a/db, a/ending, a/web | no ? no no no yes
1 pods: a/new | no . no no no yes
2 pods: b/web, lost/x | yes yes . . . .
3 nodes: n1, n2 | yes yes . . . .
4 outside:  | yes yes . . . .
5 outside: 8.0.0.0/8 | yes yes . . . .
`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e := engineOf(t, tt.policies)
			if tt.ports == nil {
				tt.ports = e.Ports()
			}
			got, err := e.Table(tt.ports, false, tt.namespaces...)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(strings.TrimPrefix(tt.want, "\n"), drawn(got)); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

// TestTableIsRight compares the cells of random tables with the answers for the Pods.
func TestTableIsRight(t *testing.T) {
	port := PortRange{packet.TCP, 443, 443}
	for seed := range uint64(10) {
		o := policygen.Cluster(policygen.Size{Seed: seed, Namespaces: 3, Pods: 24, Nodes: 3, Policies: 8, ClusterPolicies: 4, Replicas: 3, NoHostNetwork: true})
		e := New(o)
		table, err := e.Table([]PortRange{port}, false)
		if err != nil {
			t.Fatal(err)
		}
		group := map[podName]int{}
		for i, g := range table.Groups {
			for _, m := range g.Members {
				group[podName{m.Namespace, m.Name}] = i
			}
		}
		for i := range e.pods {
			for j := range e.pods {
				a, b := e.pods[i].object, e.pods[j].object
				c := table.Cells[group[podName{a.Namespace, a.Name}]][group[podName{b.Namespace, b.Name}]]
				if want := e.Answer(e.pods[i].peer, e.pods[j].peer, port.Port()); i != j && c.Answer != want {
					t.Fatalf("seed %d: %s > %s: %v, want %v", seed, a.Name, b.Name, c.Answer, want)
				}
			}
		}
	}
}

// TestTableOfNamespace wants the groups of one namespace's table to be no more than those of all, and its cells right.
func TestTableOfNamespace(t *testing.T) {
	port := PortRange{packet.TCP, 80, 80}
	o := policygen.Cluster(policygen.Size{Seed: 3, Namespaces: 8, Pods: 400, Nodes: 4, Policies: 60, Replicas: 4, NoHostNetwork: true})
	e := New(o)
	all, err := e.Table([]PortRange{port}, false)
	if err != nil {
		t.Fatal(err)
	}
	one, err := e.Table([]PortRange{port}, false, "ns-002")
	if err != nil {
		t.Fatal(err)
	}
	if len(one.Groups) >= len(all.Groups) {
		t.Errorf("%d groups of one namespace, %d of all", len(one.Groups), len(all.Groups))
	}
	rows := map[string]bool{}
	for i, g := range one.Groups {
		if g.Focus || g.Kind != "pods" {
			continue
		}
		key := ""
		for j := range one.Groups {
			key += cellText(one.Cells[i][j]) + cellText(one.Cells[j][i])
		}
		if rows[key] {
			t.Errorf("two groups are alike: %s", key)
		}
		rows[key] = true
	}
}

func TestPortRanges(t *testing.T) {
	e := engineOf(t, isolateDB+`{"ports":[{"port":80},{"port":79,"endPort":90},{"protocol":"UDP","port":53},{"port":"http"}]}]}`)
	var got []string
	for _, r := range e.Ports() {
		got = append(got, r.String())
	}
	want := []string{"tcp 1-78", "tcp 79", "tcp 80", "tcp 81-90", "tcp 91-8079", "tcp 8080", "tcp 8081-15000", "tcp 15001", "tcp 15002-65535",
		"udp 1-52", "udp 53", "udp 54-65535", "sctp 1-65535"}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]PortRange{{6, 1, 90}, {17, 1, 5}}, joinPorts([]PortRange{{6, 1, 79}, {6, 80, 90}, {17, 1, 5}})); d != "" {
		t.Error(d)
	}
}
