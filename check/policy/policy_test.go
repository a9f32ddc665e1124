package policy

import (
	"testing"

	"github.com/plumbnet/plumb/check"
	"github.com/plumbnet/plumb/check/checktest"
	"github.com/plumbnet/plumb/check/drops"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// with adds a NetworkPolicy of shop that selects all Pods, and allows nothing in one direction.
func with(name string, types ...networkingv1.PolicyType) func(*checktest.Facts) {
	return func(f *checktest.Facts) {
		f.Objects.Have["NetworkPolicy"] = true
		f.Objects.NetworkPolicies = append(f.Objects.NetworkPolicies, networkingv1.NetworkPolicy{
			ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name},
			Spec:       networkingv1.NetworkPolicySpec{PolicyTypes: types},
		})
	}
}

func drop(node, match string) []checktest.Swap {
	return []checktest.Swap{{File: "nodes/" + node + "/host/iptables", Old: "-A FORWARD ", New: "-A FORWARD " + match + " -j DROP\n-A FORWARD "}}
}

func Test(t *testing.T) {
	all := []*check.Check{Denies, NotEnforced, drops.Forward}
	const ask = "from shop/web-0\nto 10.244.1.2:8080"
	const packet = "tcp 10.244.0.2:40000 > 10.244.1.2:8080"
	checktest.Rows(t, checktest.Flannel, all, []checktest.Row{
		{Name: "no policies were collected, and it arrives", Ask: ask},
		{Name: "denied, and dropped", Ask: ask, Edit: with("none", networkingv1.PolicyTypeIngress), Swap: drop("node-b", "-d 10.244.1.2/32"),
			Want: "error on path: node-b/host: policy-denies: " + packet + " is not allowed: shop/web-1 receives only what a rule allows, and none matches: NetworkPolicy shop/none\n" +
				"> error on path: node-b/host: forward-drop: " + packet + " is dropped by -A FORWARD -d 10.244.1.2/32 -j DROP",
			Fix: []string{`echo '{"kind":"NetworkPolicy","apiVersion":"networking.k8s.io/v1","metadata":{"name":"allow-web-0-to-web-1","namespace":"shop"},"spec":{"podSelector":{"matchLabels":{"app":"web"}},` +
				`"ingress":[{"ports":[{"protocol":"TCP","port":8080}],"from":[{"podSelector":{"matchLabels":{"app":"web"}}}]}],"policyTypes":["Ingress"]}}' | kubectl apply -f -`}},
		{Name: "denied for egress, and dropped where it leaves", Ask: ask, Edit: with("out", networkingv1.PolicyTypeEgress), Swap: drop("node-a", "-s 10.244.0.2/32"),
			Want: "error on path: node-a/host: policy-denies: " + packet + " is not allowed: shop/web-0 may send only what a rule allows, and none matches: NetworkPolicy shop/out\n" +
				"> error on path: node-a/host: forward-drop: " + packet + " is dropped by -A FORWARD -s 10.244.0.2/32 -j DROP"},
		{Name: "denied, and it arrives", Ask: ask, Edit: with("none", networkingv1.PolicyTypeIngress),
			Want: "warning: pod/shop/web-1: policy-not-enforced: " + packet + " arrives, although the policies do not allow it: shop/web-1 receives only what a rule allows, and none matches: NetworkPolicy shop/none"},
		{Name: "allowed, and dropped: no policy is to blame", Ask: ask, Swap: drop("node-b", "-d 10.244.1.2/32"), Edit: func(f *checktest.Facts) {
			with("some", networkingv1.PolicyTypeIngress)(f)
			f.Objects.NetworkPolicies[0].Spec.Ingress = []networkingv1.NetworkPolicyIngressRule{{}}
		}, Want: "error on path: node-b/host: forward-drop: " + packet + " is dropped by -A FORWARD -d 10.244.1.2/32 -j DROP"},
		{Name: "masqueraded on its way: of the three Pods only that of the node itself is not meant", Ask: "from shop/web-0\nto 192.168.10.12:30080", Edit: with("none", networkingv1.PolicyTypeIngress),
			Want: "warning: pod/shop/web-0: policy-not-enforced: tcp 10.244.1.0:40000 > 10.244.0.2:8080 arrives, although the policies do not allow it: shop/web-0 receives only what a rule allows, and none matches: NetworkPolicy shop/none\n" +
				"warning: pod/shop/web-2: policy-not-enforced: tcp 10.244.1.0:40000 > 10.244.2.2:8080 arrives, although the policies do not allow it: shop/web-2 receives only what a rule allows, and none matches: NetworkPolicy shop/none"},
		{Name: "masqueraded on its way out", Ask: "from shop/web-0\nto 203.0.113.10:80", Edit: with("out", networkingv1.PolicyTypeEgress)},
		{Name: "the node reaches its own Pod, whatever policies say", Ask: "from node/node-b\nto 10.244.1.2:8080", Edit: with("none", networkingv1.PolicyTypeIngress)},
		{Name: "another node does not", Ask: "from node/node-a\nto 10.244.1.2:8080", Edit: with("none", networkingv1.PolicyTypeIngress),
			Want: "warning: pod/shop/web-1: policy-not-enforced: tcp 10.244.0.0:40000 > 10.244.1.2:8080 arrives, although the policies do not allow it: shop/web-1 receives only what a rule allows, and none matches: NetworkPolicy shop/none"},
		{Name: "a namespace whose labels are not known", Ask: ask, Edit: func(f *checktest.Facts) {
			with("some", networkingv1.PolicyTypeIngress)(f)
			f.Objects.Namespaces = nil
			f.Objects.NetworkPolicies[0].Spec.Ingress = []networkingv1.NetworkPolicyIngressRule{{From: []networkingv1.NetworkPolicyPeer{{
				NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"team": "red"}}}}}}
		}},
		{Name: "policies were not collected, and a rule drops", Ask: ask, Swap: drop("node-b", "-d 10.244.1.2/32"),
			Want: "error on path: node-b/host: forward-drop: " + packet + " is dropped by -A FORWARD -d 10.244.1.2/32 -j DROP\n? objects/NetworkPolicy: policy-denies: not collected"},
	})
}

// TestStale: the policies allow it, and the rules of the agent on the way do not.
func TestStale(t *testing.T) {
	all := []*check.Check{Denies, NotEnforced, Stale, drops.Forward}
	const ask = "from shop/web-0\nto 10.244.1.2:8080"
	const packet = "tcp 10.244.0.2:40000 > 10.244.1.2:8080"
	open := func(f *checktest.Facts) {
		with("some", networkingv1.PolicyTypeIngress)(f)
		f.Objects.NetworkPolicies[0].Spec.Ingress = []networkingv1.NetworkPolicyIngressRule{{From: []networkingv1.NetworkPolicyPeer{{PodSelector: &metav1.LabelSelector{}}}}}
	}
	agent := drop("node-b", `-d 10.244.1.2/32 -m comment --comment "pod firewall: shop/some"`)
	const dropped = packet + ` is dropped by -A FORWARD -d 10.244.1.2/32 -m comment --comment "pod firewall: shop/some" -j DROP`
	checktest.Rows(t, checktest.Flannel, all, []checktest.Row{
		{Name: "a rule that names the policy", Ask: ask, Edit: open, Swap: agent,
			Want: "error on path: node-b/host: policy-stale: the policy agent's rules drop " + packet + ", which the policies allow: NetworkPolicy shop/some ingress[0] allows it\n> error on path: node-b/host: forward-drop: " + dropped,
			Fix: []string{`echo '{"kind":"NetworkPolicy","apiVersion":"networking.k8s.io/v1","metadata":{"name":"allow-pods-of-node-a","namespace":"shop"},"spec":{"podSelector":{"matchLabels":{"app":"web"}},` +
				`"ingress":[{"from":[{"ipBlock":{"cidr":"10.244.0.0/24"}}]}],"policyTypes":["Ingress"]}}' | kubectl apply -f -`}},
		{Name: "an agent's chain", Ask: ask, Edit: open, Swap: drop("node-b", `-d 10.244.1.2/32 -m comment --comment "cali-fw"`),
			Want: "error on path: node-b/host: policy-stale: the policy agent's rules drop " + packet + ", which the policies allow: NetworkPolicy shop/some ingress[0] allows it\n> error on path: node-b/host: forward-drop: " +
				packet + ` is dropped by -A FORWARD -d 10.244.1.2/32 -m comment --comment "cali-fw" -j DROP`},
		{Name: "anybody else's rule", Ask: ask, Edit: open, Swap: drop("node-b", "-d 10.244.1.2/32"),
			Want: "error on path: node-b/host: forward-drop: " + packet + " is dropped by -A FORWARD -d 10.244.1.2/32 -j DROP"},
		{Name: "the policy denies it", Ask: ask, Edit: with("some", networkingv1.PolicyTypeIngress), Swap: agent,
			Want: "error on path: node-b/host: policy-denies: " + packet + " is not allowed: shop/web-1 receives only what a rule allows, and none matches: NetworkPolicy shop/some\n> error on path: node-b/host: forward-drop: " + dropped},
		{Name: "without the node's range there is no policy to apply", Ask: ask, Swap: agent, Edit: func(f *checktest.Facts) { open(f); f.Objects.Nodes = nil },
			Want: "error on path: node-b/host: policy-stale: the policy agent's rules drop " + packet + ", which the policies allow: NetworkPolicy shop/some ingress[0] allows it\n> error on path: node-b/host: forward-drop: " + dropped,
			Fix:  []string{}},
	})
}
