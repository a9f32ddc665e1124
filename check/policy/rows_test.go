package policy

import (
	"testing"

	"github.com/plumbnet/plumb/check"
	"github.com/plumbnet/plumb/check/checktest"
	"github.com/plumbnet/plumb/check/drops"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	policyv1alpha2 "sigs.k8s.io/network-policy-api/apis/v1alpha2"
)

// TestForgotten: the usual mistakes, each beside what it should have been.
func TestForgotten(t *testing.T) {
	all := []*check.Check{Denies, NotEnforced}
	tcp := metav1.LabelSelector{MatchLabels: map[string]string{"team": "shop"}}
	port := intstr.FromInt32(8080)
	egress := func(rules ...networkingv1.NetworkPolicyEgressRule) func(*checktest.Facts) {
		return func(f *checktest.Facts) {
			with("out", networkingv1.PolicyTypeEgress)(f)
			f.Objects.NetworkPolicies[0].Spec.Egress = rules
		}
	}
	ingress := func(peer networkingv1.NetworkPolicyPeer, edit func(*checktest.Facts)) func(*checktest.Facts) {
		return func(f *checktest.Facts) {
			with("in", networkingv1.PolicyTypeIngress)(f)
			f.Objects.NetworkPolicies[0].Spec.Ingress = []networkingv1.NetworkPolicyIngressRule{{From: []networkingv1.NetworkPolicyPeer{peer}}}
			if edit != nil {
				edit(f)
			}
		}
	}
	web := egress(networkingv1.NetworkPolicyEgressRule{Ports: []networkingv1.NetworkPolicyPort{{Port: &port}}})
	const arrives = " arrives, although the policies do not allow it: "
	checktest.Rows(t, checktest.Flannel, all, []checktest.Row{
		{Name: "what reaches no listener does not arrive", Ask: "from shop/web-0\nto 10.244.1.2:8081\nproto udp", Edit: web},
		{Name: "UDP was forgotten for egress", Ask: "from shop/web-0\nto 10.244.1.2:8080\nproto udp", Edit: web,
			Want: "warning: pod/shop/web-0: policy-not-enforced: udp 10.244.0.2:40000 > 10.244.1.2:8080" + arrives + "shop/web-0 may send only what a rule allows, and none matches: NetworkPolicy shop/out"},
		{Name: "TCP was not", Ask: "from shop/web-0\nto 10.244.1.2:8080", Edit: web},
		{Name: "a namespace lacks the label", Ask: "from shop/web-0\nto 10.244.1.2:8080", Edit: ingress(networkingv1.NetworkPolicyPeer{NamespaceSelector: &tcp}, nil),
			Want: "warning: pod/shop/web-1: policy-not-enforced: tcp 10.244.0.2:40000 > 10.244.1.2:8080" + arrives + "shop/web-1 receives only what a rule allows, and none matches: NetworkPolicy shop/in"},
		{Name: "and has it", Ask: "from shop/web-0\nto 10.244.1.2:8080", Edit: ingress(networkingv1.NetworkPolicyPeer{NamespaceSelector: &tcp}, func(f *checktest.Facts) {
			for i := range f.Objects.Namespaces {
				if f.Objects.Namespaces[i].Name == "shop" {
					f.Objects.Namespaces[i].Labels = map[string]string{"team": "shop"}
				}
			}
		})},
		{Name: "a range that leaves the Pods out", Ask: "from shop/web-0\nto 10.244.1.2:8080",
			Edit: ingress(networkingv1.NetworkPolicyPeer{IPBlock: &networkingv1.IPBlock{CIDR: "10.244.0.0/16", Except: []string{"10.244.0.0/24"}}}, nil),
			Want: "warning: pod/shop/web-1: policy-not-enforced: tcp 10.244.0.2:40000 > 10.244.1.2:8080" + arrives + "shop/web-1 receives only what a rule allows, and none matches: NetworkPolicy shop/in"},
		{Name: "DNS was forgotten for egress", Ask: "from shop/web-0\nto 10.96.0.10:53\nproto udp", Edit: web,
			Want: "warning: pod/shop/web-0: policy-not-enforced: udp 10.244.0.2:40000 > 10.244.0.4:53" + arrives + "shop/web-0 may send only what a rule allows, and none matches: NetworkPolicy shop/out"},
		{Name: "through the Service it is the Pod's port that counts", Ask: "from shop/web-0\nto 10.96.0.22:80", Edit: web},
		{Name: "and not the Service's", Ask: "from shop/web-0\nto 10.96.0.22:80", Edit: func(f *checktest.Facts) {
			eighty := intstr.FromInt32(80)
			egress(networkingv1.NetworkPolicyEgressRule{Ports: []networkingv1.NetworkPolicyPort{{Port: &eighty}}})(f)
		}, Want: "warning: pod/shop/web-0: policy-not-enforced: tcp 10.244.0.2:40000 > 10.244.1.2:8080" + arrives + "shop/web-0 may send only what a rule allows, and none matches: NetworkPolicy shop/out"},
	})
}

// TestCluster: policies of the whole cluster.
func TestCluster(t *testing.T) {
	deny := func(tier policyv1alpha2.Tier, action policyv1alpha2.ClusterNetworkPolicyRuleAction) func(*checktest.Facts) {
		return func(f *checktest.Facts) {
			f.Objects.Have["NetworkPolicy"] = true
			p := policyv1alpha2.ClusterNetworkPolicy{ObjectMeta: metav1.ObjectMeta{Name: "guard"}}
			p.Spec.Tier, p.Spec.Priority = tier, 5
			p.Spec.Subject.Namespaces = &metav1.LabelSelector{}
			p.Spec.Ingress = []policyv1alpha2.ClusterNetworkPolicyIngressRule{{Name: "shut", Action: action,
				From: []policyv1alpha2.ClusterNetworkPolicyIngressPeer{{Namespaces: &metav1.LabelSelector{}}}}}
			f.Objects.ClusterNetworkPolicies = append(f.Objects.ClusterNetworkPolicies, p)
		}
	}
	const ask = "from shop/web-0\nto 10.244.1.2:8080"
	const packet = "tcp 10.244.0.2:40000 > 10.244.1.2:8080"
	checktest.Rows(t, checktest.Flannel, []*check.Check{Denies, NotEnforced, drops.Forward}, []checktest.Row{
		{Name: "it denies, and a rule drops", Ask: ask, Edit: deny("Admin", "Deny"), Swap: drop("node-b", "-d 10.244.1.2/32"),
			Want: "error on path: node-b/host: policy-denies: " + packet + " is not allowed: ClusterNetworkPolicy guard ingress[0] shut denies it\n" +
				"> error on path: node-b/host: forward-drop: " + packet + " is dropped by -A FORWARD -d 10.244.1.2/32 -j DROP",
			Fix: []string{`echo '{"kind":"ClusterNetworkPolicy","apiVersion":"policy.networking.k8s.io/v1alpha2","metadata":{"name":"allow-web-0-to-web-1-ingress"},"spec":{"tier":"Admin","priority":4,` +
				`"subject":{"pods":{"namespaceSelector":{"matchLabels":{"kubernetes.io/metadata.name":"shop"}},"podSelector":{"matchLabels":{"app":"web"}}}},` +
				`"ingress":[{"action":"Accept","from":[{"pods":{"namespaceSelector":{"matchLabels":{"kubernetes.io/metadata.name":"shop"}},"podSelector":{"matchLabels":{"app":"web"}}}}],` +
				`"protocols":[{"tcp":{"destinationPort":{"number":8080}}}]}]}}' | kubectl apply -f -`}},
		{Name: "the baseline denies, and it arrives", Ask: ask, Edit: deny("Baseline", "Deny"),
			Want: "warning: pod/shop/web-1: policy-not-enforced: " + packet + " arrives, although the policies do not allow it: ClusterNetworkPolicy guard ingress[0] shut denies it"},
		{Name: "it accepts, and a rule drops", Ask: ask, Edit: deny("Admin", "Accept"), Swap: drop("node-b", "-d 10.244.1.2/32"),
			Want: "error on path: node-b/host: forward-drop: " + packet + " is dropped by -A FORWARD -d 10.244.1.2/32 -j DROP"},
		{Name: "an action of later: nothing is said", Ask: ask, Edit: deny("Admin", "Log")},
	})
}
