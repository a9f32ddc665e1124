package intent

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestOtherPolicies: the answer is unknown where a policy of another API may select a Pod, and nowhere else.
func TestOtherPolicies(t *testing.T) {
	cilium := func(spec string) string {
		return `{"apiVersion":"cilium.io/v2","kind":"CiliumNetworkPolicy","metadata":{"namespace":"a","name":"x"},"spec":` + spec + `}`
	}
	wide := func(spec string) string {
		return `{"apiVersion":"cilium.io/v2","kind":"CiliumClusterwideNetworkPolicy","metadata":{"name":"x"},"spec":` + spec + `}`
	}
	calico := func(spec string) string {
		return `{"apiVersion":"crd.projectcalico.org/v1","kind":"NetworkPolicy","metadata":{"namespace":"a","name":"x"},"spec":` + spec + `}`
	}
	global := func(spec string) string {
		return `{"apiVersion":"projectcalico.org/v3","kind":"GlobalNetworkPolicy","metadata":{"name":"x"},"spec":` + spec + `}`
	}
	const toDB, toWeb, fromDB = "b/web > a/db tcp/80", "b/web > a/web tcp/80", "a/db > b/web tcp/80"
	for _, tt := range []struct {
		name, objects, flow string
		want                Answer
	}{
		{"Cilium: the Pod", cilium(`{"endpointSelector":{"matchLabels":{"app":"db"}},"ingress":[{}]}`), toDB, Unknown},
		{"another Pod", cilium(`{"endpointSelector":{"matchLabels":{"app":"db"}},"ingress":[{}]}`), toWeb, Allowed},
		{"by its source", cilium(`{"endpointSelector":{"matchLabels":{"k8s:app":"db"}},"ingress":[{}]}`), toWeb, Allowed},
		{"of a source that is not understood", cilium(`{"endpointSelector":{"matchLabels":{"container:app":"db"}},"ingress":[{}]}`), toWeb, Unknown},
		{"the other direction", cilium(`{"endpointSelector":{"matchLabels":{"app":"db"}},"ingress":[{}]}`), fromDB, Allowed},
		{"egressDeny", cilium(`{"endpointSelector":{},"egressDeny":[{}]}`), fromDB, Unknown},
		{"no rules", cilium(`{"endpointSelector":{}}`), fromDB, Unknown},
		{"another namespace", cilium(`{"endpointSelector":{}}`), "b/web > lost/x tcp/80", Allowed},
		{"no spec that is understood", cilium(`7`), toWeb, Unknown},
		{"a selector that is not understood", cilium(`{"endpointSelector":{"matchExpressions":[{"key":"app","operator":"Like"}]}}`), toWeb, Unknown},
		{"of the cluster, by namespace", wide(`{"endpointSelector":{"matchLabels":{"k8s:io.kubernetes.pod.namespace":"a"}},"ingress":[{}]}`), toWeb, Unknown},
		{"of another namespace", wide(`{"endpointSelector":{"matchLabels":{"k8s:io.kubernetes.pod.namespace":"c"}},"ingress":[{}]}`), toWeb, Allowed},
		{"by a label of namespaces", wide(`{"endpointSelector":{"matchLabels":{"io.cilium.k8s.namespace.labels.team":"blue"}},"ingress":[{}]}`), toWeb, Allowed},
		{"for nodes", wide(`{"nodeSelector":{},"ingress":[{}]}`), toWeb, Allowed},
		{"Calico: the Pod", calico(`{"selector":"app == 'db'","types":["Ingress"]}`), toDB, Unknown},
		{"another Pod", calico(`{"selector":"app == \"db\" && has(tier)","types":["Ingress"]}`), "b/web > a/ending tcp/80", Allowed},
		{"the other direction", calico(`{"selector":"all()","types":["Ingress"]}`), fromDB, Allowed},
		{"no types, and an egress rule", calico(`{"selector":"all()","egress":[{"action":"Allow"}]}`), toDB, Allowed},
		{"no types: ingress", calico(`{"selector":"all()"}`), toDB, Unknown},
		{"a selector that is not understood", calico(`{"selector":"app == 'db' || app == 'x'"}`), toWeb, Unknown},
		{"a term that is not understood beside one that is", calico(`{"selector":"app == 'db' && tier != 'x'"}`), toWeb, Allowed},
		{"a term in brackets", calico(`{"selector":"(app == 'db')"}`), toWeb, Unknown},
		{"not, of several", calico(`{"selector":"!(has(x) && app == 'db' && has(y))"}`), toWeb, Unknown},
		{"not", calico(`{"selector":"!has(app)"}`), toWeb, Unknown},
		{"no spec that is understood", calico(`{"selector":7}`), toWeb, Unknown},
		{"of the cluster", global(`{"selector":"app == 'db'"}`), toDB, Unknown},
		{"of namespaces", global(`{"namespaceSelector":"team == 'blue'"}`), toDB, Allowed},
		{"nodes have other policies", global(`{"selector":"all()","types":["Ingress","Egress"]}`), "node/n1 > node/n2 tcp/80", Allowed},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e := New(objectsOf(t, world+tt.objects))
			w := strings.Fields(tt.flow)
			a, b, port := peerOf(t, e, w[0]), peerOf(t, e, w[2]), portOf(t, w[3])
			if got := e.Answer(a, b, port); got != tt.want {
				t.Errorf("%s: %v, want %v", tt.flow, got, tt.want)
			}
			if got := e.AllPairs(port, false).Answer(a, b); got != tt.want {
				t.Errorf("%s: all pairs: %v, want %v", tt.flow, got, tt.want)
			}
		})
	}
	e := New(objectsOf(t, world+calico(`{"selector":"all()"}`)))
	want := "unknown\negress allowed: no policy limits what b/web sends there\n" +
		"ingress unknown: policies of another API may decide, whose rules are not judged: NetworkPolicy (Calico) a/x"
	if d := cmp.Diff(want, told(e.Verdict(peerOf(t, e, "b/web"), peerOf(t, e, "a/db"), Port{6, 80}))); d != "" {
		t.Error(d)
	}
}

func FuzzCalicoSelector(f *testing.F) {
	for _, s := range []string{"all()", "app == 'db' && has(tier)", `x == "y'" || !has(a)`, "has()", "== ''", "a in {'b'}"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, r := range calicoSelector(s).MatchExpressions {
			if r.Key == "" || r.Operator != metav1.LabelSelectorOpIn && r.Operator != metav1.LabelSelectorOpExists {
				t.Errorf("%q: %+v", s, r)
			}
		}
	})
}
