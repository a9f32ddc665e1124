package intent

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/plumbnet/plumb/lab/policygen"
	"github.com/plumbnet/plumb/packet"
	"github.com/plumbnet/plumb/snapshot"
)

// told is a verdict as text: a line a side, and the fix.
func told(v Verdict) string {
	var b strings.Builder
	b.WriteString(v.Answer.String())
	for _, s := range []struct {
		name string
		Side
	}{{"egress", v.Egress}, {"ingress", v.Ingress}} {
		if s.Pod != "" && !s.Why.IsZero() {
			b.WriteString("\n" + s.name + " " + s.Answer.String() + ": " + s.Why.String())
		}
	}
	if !v.Fix.What.IsZero() {
		b.WriteString("\nfix: " + v.Fix.What.String())
	}
	return b.String()
}

func TestVerdict(t *testing.T) {
	const free = "egress allowed: no policy limits what b/web sends there\n"
	for _, tt := range []struct{ name, policies, flow, want string }{
		{"no policies", "", "b/web > a/db tcp/80", "allowed\n" + free + "ingress allowed: no policy limits what a/db receives from there"},
		{"a policy that allows", fromPeers(`{"namespaceSelector":{}}`), "b/web > a/db tcp/80", "allowed\n" + free + "ingress allowed: NetworkPolicy a/db ingress[0] allows it"},
		{"policies without a rule for it", isolateA + fromPeers(`{"podSelector":{}}`), "b/web > a/db tcp/80",
			"denied\n" + free + "ingress denied: a/db receives only what a rule allows, and none matches: NetworkPolicy a/db, NetworkPolicy a/none\nfix: allow it by a policy"},
		{"at both ends", isolateA + `np b/out {"podSelector":{},"policyTypes":["Egress"]}`, "b/web > a/db tcp/80",
			"denied\negress denied: b/web may send only what a rule allows, and none matches: NetworkPolicy b/out\n" +
				"ingress denied: a/db receives only what a rule allows, and none matches: NetworkPolicy a/none\nfix: allow it by a policy"},
		{"a policy of the cluster", cnp("x", "Admin", "5", `{"name":"no blue","action":"Deny",`+fromBlue+`}`), "b/web > a/db tcp/80",
			"denied\n" + free + "ingress denied: ClusterNetworkPolicy x ingress[0] no blue denies it\nfix: allow it by a policy"},
		{"one that is asked before all", cnp("x", "Admin", "0", denyB), "b/web > a/db tcp/80",
			"denied\n" + free + "ingress denied: ClusterNetworkPolicy x ingress[0] denies it\nfix: take out, or narrow, ClusterNetworkPolicy x ingress[0]"},
		{"one that passes, and a NetworkPolicy", cnp("x", "Admin", "5", passB) + isolateA, "b/web > a/db tcp/80",
			"denied\n" + free + "ingress denied: a/db receives only what a rule allows, and none matches: NetworkPolicy a/none\nfix: allow it by a policy"},
		{"equal priorities", cnp("x", "Admin", "5", denyB) + cnp("y", "Admin", "5", acceptB), "b/web > a/db tcp/80",
			"unknown\n" + free + "ingress unknown: policies that have equal precedence disagree: ClusterNetworkPolicy x ingress[0], ClusterNetworkPolicy y ingress[0]"},
		{"a namespace without object", fromPeers(`{"namespaceSelector":{"matchLabels":{"team":"blue"}}}`), "lost/x > a/db tcp/80",
			"unknown\negress allowed: no policy limits what lost/x sends there\n" +
				"ingress unknown: the labels of the namespace lost were not collected, and NetworkPolicy a/db ingress[0] asks for them"},
		{"an operator of later", fromPeers(`{"podSelector":{"matchExpressions":[{"key":"app","operator":"Like"}]}}`), "a/web > a/db tcp/80",
			"unknown\negress allowed: no policy limits what a/web sends there\ningress unknown: whether it matches is not known: NetworkPolicy a/db ingress[0]"},
		{"ICMP", isolateA, "b/web > a/db icmp",
			"unknown\n" + free + "ingress unknown: for protocols other than TCP, UDP and SCTP the API does not say what a NetworkPolicy does: NetworkPolicy a/none"},
		{"its own node", isolateA, "node/n1 > a/web tcp/80", "allowed\ningress allowed: NetworkPolicies never stop traffic with the Pod's own node"},
		{"maybe its own node", isolateA, "10.1.1.1 > a/web tcp/80",
			"unknown\ningress unknown: the address may be one of the Pod's own node, n1, which NetworkPolicies never stop"},
		{"its own node, denied by a policy of the cluster", cnpOut("Admin", `{"action":"Deny","to":[{"nodes":{}}]}`), "a/web > node/n1 tcp/80",
			"unknown\negress unknown: ClusterNetworkPolicy out egress[0] denies it, and whether it may stop traffic with the Pod's own node no document says"},
		{"itself", isolateA, "a/db > a/db tcp/80", "allowed\negress allowed: a Pod reaches itself within its own network namespace\ningress allowed: a Pod reaches itself within its own network namespace"},
		{"no common family", "", "b/web > b/six tcp/80", "unknown\negress unknown: the two have no address of one family in common\ningress unknown: the two have no address of one family in common"},
		{"nodes", "", "node/n1 > node/n2 tcp/80", "allowed"},
		{"outside, by a rule that may match", cnpOut("Admin", `{"action":"Accept","to":[{"domainNames":["a.example.com"]}]}`) + `np a/x {"podSelector":{},"policyTypes":["Egress"]}`, "a/web > 8.8.8.8 tcp/80",
			"unknown\negress unknown: whether it matches is not known: ClusterNetworkPolicy out egress[0]"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e := engineOf(t, tt.policies)
			w := strings.Fields(tt.flow)
			if d := cmp.Diff(tt.want, told(e.Verdict(peerOf(t, e, w[0]), peerOf(t, e, w[2]), portOf(t, w[3])))); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

func TestVerdictNotCollected(t *testing.T) {
	o := objectsOf(t, world)
	o.Have["NetworkPolicy"] = false
	e := New(o)
	want := "unknown\negress unknown: NetworkPolicies were not collected\ningress unknown: NetworkPolicies were not collected"
	if d := cmp.Diff(want, told(e.Verdict(peerOf(t, e, "a/web"), peerOf(t, e, "b/web"), Port{packet.TCP, 80}))); d != "" {
		t.Error(d)
	}
	o = objectsOf(t, world)
	o.Have["Pod"] = false
	e = New(o)
	want = "unknown\ningress unknown: Pods were not collected, and the address may be one's"
	if d := cmp.Diff(want, told(e.Verdict(peerOf(t, e, "8.8.8.8"), peerOf(t, e, "b/web"), Port{packet.TCP, 80}))); d != "" {
		t.Error(d)
	}
}

// TestFix wants what a Fix says: the objects let the connection through, and change the answer
// for no other Pods than those with the labels of the two.
func TestFix(t *testing.T) {
	fixed, none := 0, 0
	for seed := range uint64(6) {
		o := policygen.Cluster(policygen.Size{Seed: seed, Namespaces: 3, Pods: 24, Nodes: 3, Policies: 12, ClusterPolicies: 8, Replicas: 2, NoHostNetwork: true})
		e := New(o)
		port := Port{packet.TCP, 80}
		peers := podPeers(e)
		for i := range peers {
			from, to := peers[i], peers[(i*7+3)%len(peers)]
			v := e.Verdict(from, to, port)
			if v.Answer != Denied {
				continue
			}
			if len(v.Fix.NetworkPolicies)+len(v.Fix.ClusterNetworkPolicies) == 0 {
				none++
				continue
			}
			fixed++
			after := New(apply(o, v.Fix))
			if got := after.Verdict(after.pods[from.at].peer, after.pods[to.at].peer, port); got.Answer != Allowed {
				t.Fatalf("seed %d: %s\nafter %+v:\n%s", seed, told(v), v.Fix, told(got))
			}
			same := func(a, b Peer) bool {
				x, y := e.pods[a.at].object, e.pods[b.at].object
				return x.Namespace == y.Namespace && cmp.Equal(WorkloadLabels(x), WorkloadLabels(y))
			}
			for _, a := range peers {
				for _, b := range peers {
					was, is := e.Answer(a, b, port), after.Answer(after.pods[a.at].peer, after.pods[b.at].peer, port)
					if was != is && !(same(a, from) || same(b, to)) {
						t.Fatalf("seed %d: the fix makes %v %v", seed, was, is)
					}
					if was != is && !(same(a, from) && same(b, to)) && is == Denied {
						t.Fatalf("seed %d: the fix denies", seed)
					}
				}
			}
		}
	}
	if fixed < 25 {
		t.Errorf("only %d fixes, and %d without", fixed, none)
	}
}

// apply adds the objects of a fix.
func apply(o *snapshot.Objects, f Fix) *snapshot.Objects {
	out := *o
	out.NetworkPolicies = slices.Concat(o.NetworkPolicies, f.NetworkPolicies)
	out.ClusterNetworkPolicies = slices.Concat(o.ClusterNetworkPolicies, f.ClusterNetworkPolicies)
	return &out
}

func TestFixObjects(t *testing.T) {
	for _, tt := range []struct{ name, policies, flow, want string }{
		{"another namespace", isolateA, "b/web > a/db tcp/80",
			`{"podSelector":{"matchLabels":{"app":"db","tier":"back"}},"ingress":[{"ports":[{"protocol":"TCP","port":80}],"from":[{"podSelector":{"matchLabels":{"app":"web"}},"namespaceSelector":{"matchLabels":{"kubernetes.io/metadata.name":"b"}}}]}],"policyTypes":["Ingress"]}`},
		{"its own namespace, without a rollout's label", isolateA, "a/web > a/db udp/53",
			`{"podSelector":{"matchLabels":{"app":"db","tier":"back"}},"ingress":[{"ports":[{"protocol":"UDP","port":53}],"from":[{"podSelector":{"matchLabels":{"app":"web"}}}]}],"policyTypes":["Ingress"]}`},
		{"from outside", isolateA, "8.8.8.8 > a/db tcp/80",
			`{"podSelector":{"matchLabels":{"app":"db","tier":"back"}},"ingress":[{"ports":[{"protocol":"TCP","port":80}],"from":[{"ipBlock":{"cidr":"8.8.8.8/32"}}]}],"policyTypes":["Ingress"]}`},
		{"to a node", `np a/x {"podSelector":{},"policyTypes":["Egress"]}`, "a/db > node/n1 tcp/80",
			`{"podSelector":{"matchLabels":{"app":"db","tier":"back"}},"egress":[{"ports":[{"protocol":"TCP","port":80}],"to":[{"ipBlock":{"cidr":"10.0.0.1/32"}}]}],"policyTypes":["Egress"]}`},
		{"a policy of the cluster", cnp("x", "Admin", "5", denyB) + cnp("y", "Admin", "4", ""), "b/web > a/db tcp/80",
			`{"tier":"Admin","priority":3,"subject":{"pods":{"namespaceSelector":{"matchLabels":{"kubernetes.io/metadata.name":"a"}},"podSelector":{"matchLabels":{"app":"db","tier":"back"}}}},` +
				`"ingress":[{"action":"Accept","from":[{"pods":{"namespaceSelector":{"matchLabels":{"kubernetes.io/metadata.name":"b"}},"podSelector":{"matchLabels":{"app":"web"}}}}],"protocols":[{"tcp":{"destinationPort":{"number":80}}}]}]}`},
		{"to a network", cnpOut("Admin", `{"action":"Deny","to":[{"networks":["8.0.0.0/8"]}]}`), "a/web > 8.8.8.8 sctp/9",
			`{"tier":"Admin","priority":4,"subject":{"pods":{"namespaceSelector":{"matchLabels":{"kubernetes.io/metadata.name":"a"}},"podSelector":{"matchLabels":{"app":"web"}}}},` +
				`"egress":[{"action":"Accept","to":[{"networks":["8.8.8.8/32"]}],"protocols":[{"sctp":{"destinationPort":{"number":9}}}]}]}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e := engineOf(t, tt.policies)
			w := strings.Fields(tt.flow)
			from, to, port := peerOf(t, e, w[0]), peerOf(t, e, w[2]), portOf(t, w[3])
			fix := e.Verdict(from, to, port).Fix
			if d := cmp.Diff(tt.want, specOf(t, fix)); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
			after := New(apply(e.objects, fix))
			if got := after.Answer(peerOf(t, after, w[0]), peerOf(t, after, w[2]), port); got != Allowed {
				t.Errorf("after the fix: %v", got)
			}
		})
	}
}

// TestFixes: where one object is not enough, and where none does.
func TestFixes(t *testing.T) {
	bothEnds := isolateA + `np b/out {"podSelector":{},"policyTypes":["Egress"]}` + "\n"
	for _, tt := range []struct {
		name, policies, flow string
		np, cnp              int
		want                 string // what it says
	}{
		{"both ends", bothEnds, "b/web > a/db tcp/80", 2, 0, "allow it by a policy"},
		{"a policy of the cluster and one of the namespace", cnpOut("Admin", `{"action":"Deny","to":[{"namespaces":{}}]}`) + `np b/x {"podSelector":{}}` + "\n", "a/web > b/web tcp/80", 1, 1, "allow it by a policy"},
		{"the baseline", cnp("x", "Baseline", "5", denyB), "b/web > a/db udp/53", 0, 1, "allow it by a policy"},
		{"nothing is asked before priority 0", cnp("x", "Admin", "0", denyB), "b/web > a/db tcp/80", 0, 0, "take out, or narrow, ClusterNetworkPolicy x ingress[0]"},
		{"all before it are taken", cnp("x", "Admin", "1", denyB) + cnp("y", "Admin", "0", ""), "b/web > a/db tcp/80", 0, 0, "take out, or narrow, ClusterNetworkPolicy x ingress[0]"},
		{"one that is taken is passed over", cnp("x", "Admin", "2", denyB) + cnp("y", "Admin", "1", ""), "b/web > a/db tcp/80", 0, 1, "allow it by a policy"},
		{"a predecessor", `anp x {"priority":5,"subject":{"namespaces":{}},"ingress":[` + denyB + `]}`, "b/web > a/db tcp/80", 0, 0, "take out, or narrow, AdminNetworkPolicy x ingress[0]"},
		{"a protocol without ports", cnp("x", "Admin", "5", denyB), "b/web > a/db icmp", 0, 1, "allow it by a policy"},
		{"by IPv6", isolateA, "2001:db8::1 > 6:a/db tcp/80", 1, 0, "allow it by a policy"},
		{"what is allowed needs none", "", "b/web > a/db tcp/80", 0, 0, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e := engineOf(t, tt.policies)
			w := strings.Fields(tt.flow)
			port := portOf(t, w[3])
			fix := e.Verdict(peerOf(t, e, w[0]), peerOf(t, e, w[2]), port).Fix
			if len(fix.NetworkPolicies) != tt.np || len(fix.ClusterNetworkPolicies) != tt.cnp || fix.What.String() != tt.want {
				t.Fatalf("%d and %d: %s", len(fix.NetworkPolicies), len(fix.ClusterNetworkPolicies), fix.What)
			}
			if tt.np+tt.cnp == 0 {
				return
			}
			after := New(apply(e.objects, fix))
			if got := after.Answer(peerOf(t, after, w[0]), peerOf(t, after, w[2]), port); got != Allowed {
				t.Errorf("after the fix: %v", got)
			}
		})
	}
}
