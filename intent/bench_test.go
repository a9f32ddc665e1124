package intent

import (
	"fmt"
	"slices"
	"testing"

	"github.com/plumbnet/plumb/lab/policygen"
	"github.com/plumbnet/plumb/packet"
	"github.com/plumbnet/plumb/snapshot"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	policyv1alpha2 "sigs.k8s.io/network-policy-api/apis/v1alpha2"
)

// sizes are clusters whose policies grow with their Pods. Package oracle measures more, beside others.
var sizes = []policygen.Size{
	{Seed: 1, Namespaces: 10, Pods: 100, Nodes: 5, Policies: 20},
	{Seed: 1, Namespaces: 40, Pods: 1000, Nodes: 20, Policies: 200},
	{Seed: 1, Namespaces: 200, Pods: 10_000, Nodes: 100, Policies: 2000},
}

// TestAnswerAllocates wants an answer to allocate nothing.
func TestAnswerAllocates(t *testing.T) {
	e := New(policygen.Cluster(sizes[0]))
	peers := podPeers(e)
	if n := testing.AllocsPerRun(100, func() {
		for i := range peers {
			e.Answer(peers[i], peers[(i+7)%len(peers)], Port{packet.TCP, 80})
		}
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func podPeers(e *Engine) (out []Peer) {
	for i := range e.pods {
		out = append(out, e.pods[i].peer)
	}
	return out
}

// The changes that are measured: a namespace that is closed, one for every Pod, and none.
var benchChanges = []struct {
	name string
	edit func(*snapshot.Objects)
}{
	{"nothing", func(*snapshot.Objects) {}},
	{"namespace", func(o *snapshot.Objects) {
		p := networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: "ns-002", Name: "closed"}}
		p.Spec.PolicyTypes = []networkingv1.PolicyType{networkingv1.PolicyTypeIngress, networkingv1.PolicyTypeEgress}
		o.NetworkPolicies = append(slices.Clone(o.NetworkPolicies), p)
	}},
	{"cluster", func(o *snapshot.Objects) {
		p := policyv1alpha2.ClusterNetworkPolicy{ObjectMeta: metav1.ObjectMeta{Name: "all"}}
		p.Spec.Tier = policyv1alpha2.AdminTier
		p.Spec.Subject.Namespaces = &metav1.LabelSelector{}
		p.Spec.Ingress = []policyv1alpha2.ClusterNetworkPolicyIngressRule{{Action: "Deny", From: []policyv1alpha2.ClusterNetworkPolicyIngressPeer{{
			Namespaces: &metav1.LabelSelector{MatchLabels: map[string]string{"team": "red"}}}}}}
		o.ClusterNetworkPolicies = append(slices.Clone(o.ClusterNetworkPolicies), p)
	}},
}

// BenchmarkCompare loads the objects before and after a change, and finds what it changes on all ports.
func BenchmarkCompare(b *testing.B) {
	for _, s := range sizes[1:] {
		o := policygen.Cluster(s)
		for _, ch := range benchChanges {
			b.Run(fmt.Sprintf("%d-%s", s.Pods, ch.name), func(b *testing.B) {
				is := *o
				ch.edit(&is)
				n := 0
				for b.Loop() {
					n = len(Compare(New(o), New(&is)))
				}
				b.ReportMetric(float64(n), "changes")
			})
		}
	}
}
