package intent

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/plumbnet/plumb/lab/policygen"
	"github.com/plumbnet/plumb/packet"
	"github.com/plumbnet/plumb/snapshot"
)

// shuffled returns the objects in another order.
func shuffled(r *rand.Rand, o *snapshot.Objects) *snapshot.Objects {
	out := *o
	out.Pods, out.Namespaces, out.Nodes = mixed(r, o.Pods), mixed(r, o.Namespaces), mixed(r, o.Nodes)
	out.NetworkPolicies, out.ClusterNetworkPolicies = mixed(r, o.NetworkPolicies), mixed(r, o.ClusterNetworkPolicies)
	return &out
}

func mixed[T any](r *rand.Rand, list []T) []T {
	out := append([]T(nil), list...)
	r.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	return out
}

// TestOrder wants the order of the objects to make no difference: not in answers, tables, or sentences.
func TestOrder(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 1))
	port := Port{packet.TCP, 80}
	for seed := range uint64(5) {
		o := policygen.Cluster(policygen.Size{Seed: seed, Namespaces: 3, Pods: 30, Nodes: 3, Policies: 15, ClusterPolicies: 8})
		other := shuffled(r, o)
		a, b := New(o), New(other)
		for i := range o.Pods {
			for j := range o.Pods {
				x, y := &o.Pods[i], &o.Pods[j]
				ax, ok := a.Pod(x.Namespace, x.Name)
				ay, _ := a.Pod(y.Namespace, y.Name)
				bx, _ := b.Pod(x.Namespace, x.Name)
				by, _ := b.Pod(y.Namespace, y.Name)
				if d := cmp.Diff(told(a.Verdict(ax, ay, port)), told(b.Verdict(bx, by, port))); d != "" || !ok {
					t.Fatalf("seed %d: %s > %s: %s", seed, x.Name, y.Name, d)
				}
			}
		}
		ta, err1 := a.Table(a.Ports(), false)
		tb, err2 := b.Table(b.Ports(), false)
		if err1 != nil || err2 != nil {
			t.Fatal(err1, err2)
		}
		if d := cmp.Diff(drawn(ta), drawn(tb)); d != "" {
			t.Fatalf("seed %d: the table differs:\n%s", seed, d)
		}
		if got, want := a.AllPairs(port, false).Count(), b.AllPairs(port, false).Count(); got != want {
			t.Fatalf("seed %d: %+v, %+v", seed, got, want)
		}
	}
}

func TestEitherFirst(t *testing.T) {
	for _, tt := range []struct {
		name       string
		a, b, want outcome
	}{
		{"nothing matches", mayGoOn, mayGoOn, mayGoOn},
		{"one matches", mayGoOn, mayDeny, mayDeny},
		{"the other", mayAllow, mayGoOn, mayAllow},
		{"they agree", mayDeny, mayDeny, mayDeny},
		{"they do not", mayDeny, mayAllow, mayDeny | mayAllow},
		{"a Pass is a decision of its tier", mayPass, mayDeny, mayPass | mayDeny},
		{"one may match", mayDeny | mayGoOn, mayAllow, mayDeny | mayAllow},
		{"both may", mayDeny | mayGoOn, mayAllow | mayGoOn, mayDeny | mayAllow | mayGoOn},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := eitherFirst(tt.a, tt.b); got != tt.want {
				t.Errorf("%b, want %b", got, tt.want)
			}
			if got := eitherFirst(tt.b, tt.a); got != tt.want {
				t.Errorf("turned round: %b, want %b", got, tt.want)
			}
		})
	}
}

func TestRefs(t *testing.T) {
	for want, r := range map[string]Ref{
		"NetworkPolicy shop/web":                        {Kind: "NetworkPolicy", Namespace: "shop", Name: "web", Rule: -1},
		"NetworkPolicy shop/web ingress[0]":             {Kind: "NetworkPolicy", Namespace: "shop", Name: "web"},
		"ClusterNetworkPolicy all egress[2] no office":  {Kind: "ClusterNetworkPolicy", Name: "all", Egress: true, Rule: 2, RuleName: "no office"},
		"BaselineAdminNetworkPolicy default ingress[1]": {Kind: "BaselineAdminNetworkPolicy", Name: "default", Rule: 1},
	} {
		if got := r.String(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	five := make([]Ref, 5)
	for i := range five {
		five[i] = Ref{Kind: "NetworkPolicy", Namespace: "a", Name: string(rune('p' + i)), Rule: -1}
	}
	if got := list(five); got != "NetworkPolicy a/p, NetworkPolicy a/q, NetworkPolicy a/r, +2" {
		t.Error(got)
	}
	if list(nil) != "" {
		t.Error(list(nil))
	}
}

func TestMissing(t *testing.T) {
	o := objectsOf(t, world)
	want := "ClusterNetworkPolicy AdminNetworkPolicy BaselineAdminNetworkPolicy CiliumNetworkPolicy CiliumClusterwideNetworkPolicy CalicoNetworkPolicy CalicoGlobalNetworkPolicy"
	if got := strings.Join(New(o).Missing(), " "); got != want {
		t.Error(got)
	}
	if got := New(&snapshot.Objects{}).Missing(); len(got) != len(policyKinds) || got[0] != "Pod" {
		t.Error(got)
	}
}

// TestNodeWithoutObject: a Pod in the network of a node that there is no object of tells the node's address.
func TestNodeWithoutObject(t *testing.T) {
	e := New(objectsOf(t, strings.Replace(world, `"name":"n1","labels":{"zone":"one"}`, `"name":"n9"`, 1)+policies(t, isolateA+cnpOut("Admin", `{"action":"Deny","to":[{"nodes":{"matchLabels":{"zone":"two"}}}]}`))))
	host, ok := e.Pod("b", "host")
	if node, found := e.Node("n1"); !ok || !found || node != host {
		t.Fatalf("%+v, %+v", host, node)
	}
	for _, tt := range []struct {
		flow string
		want Answer
	}{
		{"b/host > a/web tcp/80", Allowed}, // it is the Pod's own node
		{"b/host > a/db tcp/80", Denied},
		{"a/db > b/host tcp/80", Unknown}, // the node's labels are not known
		{"a/db > node/n2 tcp/80", Unknown},
		{"a/web > node/n2 tcp/80", Denied},
	} {
		w := strings.Fields(tt.flow)
		if got := e.Answer(peerOf(t, e, w[0]), peerOf(t, e, w[2]), portOf(t, w[3])); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.flow, got, tt.want)
		}
	}
}

// TestWeights counts Pods of one class as often as they are.
func TestWeights(t *testing.T) {
	e := engineOf(t, isolateDB+`{"from":[{"podSelector":{"matchLabels":{"app":"web"}}}]}]}`)
	// Of IPv4: a/web, b/web and lost/x; a/db, a/ending and a/new, which only a/web reaches.
	want := Pairs{Allowed: 3*2 + 3*3 + 3, Denied: 3*2 + 2*3}
	if got := e.AllPairs(Port{packet.TCP, 80}, false).Count(); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	// Of IPv6: a/web, b/six, a/db and a/new.
	want = Pairs{Allowed: 2*1 + 2*2 + 2, Denied: 2 + 2}
	if got := e.AllPairs(Port{packet.TCP, 80}, true).Count(); got != want {
		t.Errorf("IPv6: %+v, want %+v", got, want)
	}
}
