package intent

import (
	"fmt"
	"slices"
	"testing"

	"github.com/plumbnet/plumb/lab/policygen"
	"github.com/plumbnet/plumb/snapshot"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	policyv1alpha2 "sigs.k8s.io/network-policy-api/apis/v1alpha2"
)

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
	for _, s := range sizes[1:3] {
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
