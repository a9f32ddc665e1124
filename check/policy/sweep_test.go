package policy

import (
	"fmt"
	"strings"
	"testing"

	"github.com/plumbnet/plumb/check"
	"github.com/plumbnet/plumb/check/checktest"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// closed has a policy that lets nothing reach the shop's Pods, and then changes more.
func closed(more ...func(*checktest.Facts)) func(*checktest.Facts) {
	return func(f *checktest.Facts) {
		with("none", networkingv1.PolicyTypeIngress)(f)
		for _, m := range more {
			m(f)
		}
	}
}

// device gives a node a device.
func device(node, name string) func(*checktest.Facts) {
	return func(f *checktest.Facts) {
		l := *f.Link(node + "/host/lo")
		l.Name, l.Index, l.Addrs = name, 900, nil
		ns := f.NS(node + "/host")
		ns.Links = append(ns.Links, l)
	}
}

func TestSweep(t *testing.T) {
	const (
		nobody = "warning: node/node-a%s: no-policy-enforcer: NetworkPolicies exist, and nothing on node-a%s enforces them: shop/api-6c9f7d5b8-4xk2p receives only what a rule allows, and none matches: NetworkPolicy shop/none"
		other  = "? %s/host: policy-not-enforced: what enforces policies here is not a rule of netfilter, and is not understood\n"
	)
	all := fmt.Sprintf(nobody, " node/node-b node/node-c", ", node-b, node-c")
	agent := checktest.Swap{File: "nodes/node-b/host/iptables", Old: "-A FORWARD ", New: "-A FORWARD -j KUBE-POD-FW-X\n-A FORWARD "}
	chain := checktest.Swap{File: "nodes/node-b/host/iptables", Old: ":KUBE-FORWARD - [0:0]", New: ":KUBE-FORWARD - [0:0]\n:KUBE-POD-FW-X - [0:0]"}
	drop := func(rule string) checktest.Swap {
		return checktest.Swap{File: "nodes/node-b/host/iptables", Old: "-A FORWARD ", New: "-A FORWARD " + rule + "\n-A FORWARD "}
	}
	checktest.Rows(t, checktest.Flannel, []*check.Check{Stale, NoEnforcer, NotEnforced}, []checktest.Row{
		{Name: "no policy"},
		{Name: "no policy, and they were collected", Edit: func(f *checktest.Facts) { f.Objects.Have["NetworkPolicy"] = true }},
		{Name: "nothing enforces it", Edit: closed(), Want: all},
		{Name: "one that allows all", Edit: closed(func(f *checktest.Facts) {
			f.Objects.NetworkPolicies[0].Spec.Ingress = []networkingv1.NetworkPolicyIngressRule{{}}
		})},
		{Name: "one that selects nobody", Edit: closed(func(f *checktest.Facts) {
			f.Objects.NetworkPolicies[0].Spec.PodSelector = metav1.LabelSelector{MatchLabels: map[string]string{"app": "none"}}
		})},
		{Name: "for what is sent to one address outside", Edit: closed(func(f *checktest.Facts) {
			f.Objects.NetworkPolicies[0].Spec = networkingv1.NetworkPolicySpec{PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeEgress},
				Egress: []networkingv1.NetworkPolicyEgressRule{{To: []networkingv1.NetworkPolicyPeer{{IPBlock: &networkingv1.IPBlock{CIDR: "0.0.0.0/0", Except: []string{"198.51.100.0/24"}}}}}}}
		}), Want: strings.ReplaceAll(all, "receives only what a rule allows", "may send only what a rule allows")},
		{Name: "eBPF enforces it, it may be", Edit: closed(device("node-a", "cilium_host"), device("node-b", "bpfin.cali"), device("node-c", "antrea-gw0")),
			Want: fmt.Sprintf(other+other+other, "node-a", "node-b", "node-c")},
		{Name: "an agent of such a plugin", Edit: closed(func(f *checktest.Facts) {
			for _, n := range []string{"node-a", "node-b", "node-c"} {
				p := corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: "aws-node-" + n, Labels: map[string]string{"k8s-app": "aws-node"}}}
				p.Spec.NodeName = n
				f.Objects.Pods = append(f.Objects.Pods, p)
			}
		}), Want: fmt.Sprintf(other+other+other, "node-a", "node-b", "node-c")},
		{Name: "an agent on one node lets it through", Edit: closed(), Swap: []checktest.Swap{chain, agent},
			Want: fmt.Sprintf(nobody, " node/node-c", ", node-c") + "\n" +
				"warning: pod/shop/api-6c9f7d5b8-9qjtl pod/shop/web-1: policy-not-enforced: tcp 10.244.1.4:40000 > 10.244.1.3:8080 arrives, although the policies do not allow it: " +
				"shop/api-6c9f7d5b8-9qjtl receives only what a rule allows, and none matches: NetworkPolicy shop/none"},
		{Name: "rules of nf_tables were not collected", Edit: closed(), Without: []string{"nodes/node-b/host/nft.json"},
			Want: fmt.Sprintf(nobody, " node/node-c", ", node-c") + "\n? node-b/host: policy-not-enforced: what becomes of 17 of the 28 connections that were tried is not known"},
		{Name: "no policy is left, and rules are", Edit: func(f *checktest.Facts) { f.Objects.Have["NetworkPolicy"] = true },
			Swap: []checktest.Swap{chain, drop("-d 10.244.1.2/32 -j KUBE-POD-FW-X\n-A KUBE-POD-FW-X -j DROP")},
			Want: "error: node-b/host: policy-stale: the policy agent's rules drop tcp 10.244.1.4:40000 > 10.244.1.2:8080, which the policies allow: no policy limits what shop/web-1 receives from there"},
		{Name: "rules of a policy that is gone", Edit: func(f *checktest.Facts) { f.Objects.Have["NetworkPolicy"] = true },
			Swap: []checktest.Swap{chain, drop("-d 10.244.1.2/32 -m comment --comment \"policy shop/old\" -j KUBE-POD-FW-X\n-A KUBE-POD-FW-X -m comment --comment \"policy shop/old\" -j DROP")},
			Want: "error: node-b/host: policy-stale: the policy agent's rules for NetworkPolicy shop/old drop tcp 10.244.1.4:40000 > 10.244.1.2:8080, and there is no such policy"},
		{Name: "rules of an agent, and policies were not collected", Swap: []checktest.Swap{chain, drop("-d 10.244.1.2/32 -j KUBE-POD-FW-X\n-A KUBE-POD-FW-X -j DROP")}},
	})
}
