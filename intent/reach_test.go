package intent

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// targetsOf reads "a/db:80 a/web:8080".
func targetsOf(t *testing.T, words string) (out []Target) {
	for _, w := range strings.Fields(words) {
		pod, port, _ := strings.Cut(w, ":")
		ns, name, _ := strings.Cut(pod, "/")
		out = append(out, Target{ns, name, portOf(t, "tcp/"+port)})
	}
	return out
}

var reachNames = [...]string{ReachUnknown: "?", ReachNone: "none", ReachSome: "some", ReachAll: "all"}

// TestCompareReach: whose connections to a Service the policies treat otherwise where it leads elsewhere.
func TestCompareReach(t *testing.T) {
	onlyWeb := isolateDB + `{"from":[{"podSelector":{"matchLabels":{"app":"web"}}}],"ports":[{"port":80}]}]}` + "\n"
	const everybody = "a/db a/ending a/new a/web b/web lost/x"
	for _, tt := range []struct {
		name, was, is, before, after string
		want                         []string
	}{
		{"the same targets", isolateA, isolateA, "a/db:80", "a/db:80", nil},
		{"other targets that all reach", "", "", "a/db:80", "a/web:80", nil},
		{"a port that the policy does not have", onlyWeb, onlyWeb, "a/db:80", "a/db:81", []string{"a/web: all, then none"}},
		{"a port that it has", onlyWeb, onlyWeb, "a/db:81", "a/db:80", []string{"a/web: none, then all"}},
		{"one target more that is closed", onlyWeb, onlyWeb, "a/web:80", "a/web:80 a/db:80", []string{"a/db a/ending a/new b/web lost/x: all, then some", "b/six: all, then some"}},
		{"no target is left", "", "", "a/db:80", "", []string{everybody + ": all, then none", "b/six: all, then none"}},
		{"a target that is not there", "", "", "a/db:80", "a/gone:80", []string{everybody + ": all, then none", "b/six: all, then none"}},
		{"the policies change, and the targets do not", "", isolateA, "a/db:80", "a/db:80", []string{everybody + ": all, then none", "b/six: all, then none"}},
		{"a target in a node's network", `np b/x {"podSelector":{}}`, `np b/x {"podSelector":{}}`, "b/web:80", "b/host:80", []string{everybody + ": none, then all", "b/six: none, then all"}},
		{"what is not known", "", `np a/x {"podSelector":{"matchExpressions":[{"key":"app","operator":"Like"}]}}`, "a/db:80", "a/db:80", []string{everybody + ": all, then ?", "b/six: all, then ?"}},
		{"by IPv6 alone", "", "", "a/db:80", "b/web:80", []string{"b/six: all, then none"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			for _, c := range CompareReach(engineOf(t, tt.was), engineOf(t, tt.is), targetsOf(t, tt.before), targetsOf(t, tt.after)) {
				var from []string
				for _, m := range c.From {
					from = append(from, m.Namespace+"/"+m.Name)
				}
				got = append(got, fmt.Sprintf("%s: %s, then %s", strings.Join(from, " "), reachNames[c.Before], reachNames[c.After]))
			}
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

// TestDualStack: a rule of one family says nothing of the other.
func TestDualStack(t *testing.T) {
	out := func(peers string) string {
		return `np a/x {"podSelector":{},"policyTypes":["Egress"],"egress":[{"to":[` + peers + `]}]}`
	}
	const site = `{"ipBlock":{"cidr":"fd01::/16","except":["fd01:2::/64"]}}`
	runFlows(t, []flowRow{
		{"in an exception of IPv6", out(site), "6:a/web > 6:a/db tcp/80", Denied},
		{"beside it", out(site), "a/web > fd01:3::9 tcp/80", Allowed},
		{"the last address of the exception", out(site), "a/web > fd01:2::ffff:ffff:ffff:ffff tcp/80", Denied},
		{"the first behind it", out(site), "a/web > fd01:2:0:1:: tcp/80", Allowed},
		{"the exception is allowed by another peer", out(site + `,{"ipBlock":{"cidr":"fd01:2::/64"}}`), "6:a/web > 6:a/db tcp/80", Allowed},
		{"an exception within an exception is not", out(`{"ipBlock":{"cidr":"10.0.0.0/8","except":["10.8.0.0/16","10.8.1.0/24"]}}`), "a/web > 10.8.1.1 tcp/80", Denied},
		{"everything of IPv6", out(`{"ipBlock":{"cidr":"::/0"}}`), "6:a/web > 6:a/db tcp/80", Allowed},
		{"and nothing of IPv4", out(`{"ipBlock":{"cidr":"::/0"}}`), "a/web > a/db tcp/80", Denied},
		{"selectors have no family", out(`{"podSelector":{}}`), "6:a/web > 6:a/db tcp/80", Allowed},
		{"nor has a rule without peers", isolateDB + `{"ports":[{"port":80}]}]}`, "6:a/web > 6:a/db tcp/80", Allowed},
		{"a policy without rules closes both", isolateA, "b/six > 6:a/db tcp/80", Denied},
		{"a node by its IPv6 address", fromPeers(`{"ipBlock":{"cidr":"fd00::2/128"}}`), "fd00::2 > 6:a/web tcp/80", Allowed},
		{"a Pod's own node by IPv6", isolateA, "6:node/n2 > 6:a/db tcp/80", Allowed},
		{"another node by IPv6", isolateA, "6:node/n1 > 6:a/db tcp/80", Denied},
		{"an address of the node's IPv6 Pod range may be its own", isolateA, "fd01:2::1 > 6:a/db tcp/80", Unknown},
		{"a network of IPv6 in a policy of the cluster", cnpOut("Admin", `{"action":"Deny","to":[{"networks":["fd01:2::/64"]}]}`), "6:a/web > 6:a/db tcp/80", Denied},
		{"and the same Pod by IPv4", cnpOut("Admin", `{"action":"Deny","to":[{"networks":["fd01:2::/64"]}]}`), "a/web > a/db tcp/80", Allowed},
		{"a zone is no part of an address", out(site), "a/web > fd01:3::9%eth0 tcp/80", Allowed},
	})
}

// TestPortEdges: the ends of ranges, and names where there are several.
func TestPortEdges(t *testing.T) {
	in := func(p string) string { return isolateDB + `{"ports":[` + p + `]}]}` }
	runFlows(t, []flowRow{
		{"the first port of a range", in(`{"port":1000,"endPort":2000}`), "b/web > a/db tcp/1000", Allowed},
		{"the one before", in(`{"port":1000,"endPort":2000}`), "b/web > a/db tcp/999", Denied},
		{"a range of one", in(`{"port":80,"endPort":80}`), "b/web > a/db tcp/80", Allowed},
		{"the last port there is", in(`{"port":1,"endPort":65535}`), "b/web > a/db tcp/65535", Allowed},
		{"a range of SCTP", in(`{"protocol":"SCTP","port":3000,"endPort":3010}`), "b/web > a/db sctp/3010", Allowed},
		{"is none of TCP", in(`{"protocol":"SCTP","port":3000,"endPort":3010}`), "b/web > a/db tcp/3010", Denied},
		{"two ranges, and between them", in(`{"port":1,"endPort":10},{"port":20,"endPort":30}`), "b/web > a/db tcp/15", Denied},
		{"two that overlap", in(`{"port":1,"endPort":25},{"port":20,"endPort":30}`), "b/web > a/db tcp/26", Allowed},
		{"all TCP", in(`{"protocol":"TCP"}`), "b/web > a/db tcp/1", Allowed},
		{"a name beside a number", in(`{"port":"http"},{"port":81}`), "b/web > a/db tcp/81", Allowed},
		{"a name that another Pod of the policy has elsewhere", `np a/x {"podSelector":{},"ingress":[{"ports":[{"port":"http"}]}]}`, "b/web > a/web tcp/8080", Allowed},
		{"and this one has not", `np a/x {"podSelector":{},"ingress":[{"ports":[{"port":"http"}]}]}`, "b/web > a/web tcp/80", Denied},
		{"a Pod that declares no ports", `np b/x {"podSelector":{},"ingress":[{"ports":[{"port":"http"}]}]}`, "a/web > b/web tcp/80", Denied},
		{"a name of UDP", `np a/x {"podSelector":{},"ingress":[{"ports":[{"port":"dns","protocol":"UDP"}]}]}`, "b/web > a/web udp/53", Allowed},
		{"is none of TCP, which is what no protocol means", `np a/x {"podSelector":{},"ingress":[{"ports":[{"port":"dns"}]}]}`, "b/web > a/web udp/53", Denied},
		{"a number in quotes is a name", in(`{"port":"80"}`), "b/web > a/db tcp/80", Denied},
		{"port 0", in(`{"port":0}`), "b/web > a/db tcp/80", Unknown},
		{"ports of one rule do not go with peers of another", isolateDB + `{"from":[{"podSelector":{}}],"ports":[{"port":80}]},{"from":[{"namespaceSelector":{}}],"ports":[{"port":81}]}]}`, "b/web > a/db tcp/80", Denied},
		{"each rule has its own", isolateDB + `{"from":[{"podSelector":{}}],"ports":[{"port":80}]},{"from":[{"namespaceSelector":{}}],"ports":[{"port":81}]}]}`, "b/web > a/db tcp/81", Allowed},
	})
}

// TestOldPolicies: what the predecessors have beside what ClusterNetworkPolicy has.
func TestOldPolicies(t *testing.T) {
	const red = `"subject":{"namespaces":{"matchLabels":{"team":"red"}}}`
	anp := func(egress string) string { return `anp x {"priority":5,` + red + `,"egress":[` + egress + `]}` + "\n" }
	banp := func(egress string) string { return `banp default {` + red + `,"egress":[` + egress + `]}` + "\n" }
	closed := `np a/x {"podSelector":{},"policyTypes":["Egress"]}` + "\n"
	runFlows(t, []flowRow{
		{"a baseline of egress by namespace", banp(`{"action":"Deny","to":[{"namespaces":{"matchLabels":{"team":"blue"}}}]}`), "a/web > b/web tcp/80", Denied},
		{"and not to another", banp(`{"action":"Deny","to":[{"namespaces":{"matchLabels":{"team":"blue"}}}]}`), "a/web > a/db tcp/80", Allowed},
		{"by Pods", banp(`{"action":"Deny","to":[{"pods":{"namespaceSelector":{},"podSelector":{"matchLabels":{"app":"db"}}}}]}`), "a/web > a/db tcp/80", Denied},
		{"by a network", banp(`{"action":"Deny","to":[{"networks":["8.0.0.0/8"]}]}`), "a/web > 8.1.1.1 tcp/80", Denied},
		{"by nodes", banp(`{"action":"Deny","to":[{"nodes":{"matchLabels":{"zone":"two"}}}]}`), "a/web > node/n2 tcp/80", Denied},
		{"by a port", banp(`{"action":"Deny","to":[{"namespaces":{}}],"ports":[{"portNumber":{"port":53,"protocol":"UDP"}}]}`), "a/web > b/web udp/53", Denied},
		{"without peers", banp(`{"action":"Deny","to":[]}`), "a/web > b/web tcp/80", Unknown},
		{"which NetworkPolicies override", banp(`{"action":"Allow","to":[{"namespaces":{}}]}`) + closed, "a/web > b/web tcp/80", Denied},
		{"domain names may be anybody's", anp(`{"action":"Allow","to":[{"domainNames":["*.example.com"]}]}`) + closed, "a/web > 8.8.8.8 tcp/443", Unknown},
		{"a range of SCTP", anp(`{"action":"Deny","to":[{"namespaces":{}}],"ports":[{"portRange":{"protocol":"SCTP","start":10,"end":20}}]}`), "a/web > b/web sctp/20", Denied},
		{"is none of TCP", anp(`{"action":"Deny","to":[{"namespaces":{}}],"ports":[{"portRange":{"protocol":"SCTP","start":10,"end":20}}]}`), "a/web > b/web tcp/20", Allowed},
		{"no ports in a list", anp(`{"action":"Deny","to":[{"namespaces":{}}],"ports":[]}`), "a/web > b/web tcp/20", Denied},
		{"Pass over a NetworkPolicy to nobody", anp(`{"action":"Pass","to":[{"namespaces":{}}]},{"action":"Deny","to":[{"namespaces":{}}]}`), "a/web > b/web tcp/80", Allowed},
	})
}

// TestWorkloads: who a Pod is of, as other packages ask.
func TestWorkloads(t *testing.T) {
	o := objectsOf(t, world+`
{"apiVersion":"v1","kind":"Pod","metadata":{"namespace":"a","name":"set-0","ownerReferences":[{"apiVersion":"apps/v1","kind":"StatefulSet","name":"set","uid":"1","controller":true}]},"spec":{"containers":[]}}`)
	of := Workloads(o)
	got := map[string]Member{}
	for i := range o.Pods {
		if p := &o.Pods[i]; p.Name == "set-0" || p.Name == "db" {
			got[p.Name] = of(p)
		}
	}
	want := map[string]Member{"db": {Namespace: "a", Kind: "Pod", Name: "db"}, "set-0": {Namespace: "a", Kind: "StatefulSet", Name: "set"}}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}
