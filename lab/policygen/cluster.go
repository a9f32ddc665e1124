package policygen

import (
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	policyv1alpha2 "sigs.k8s.io/network-policy-api/apis/v1alpha2"
)

// clusterPolicy makes a ClusterNetworkPolicy. Some of them have a priority in common.
func (g *generator) clusterPolicy(i int) policyv1alpha2.ClusterNetworkPolicy {
	p := policyv1alpha2.ClusterNetworkPolicy{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("cluster-%03d", i)}}
	p.Spec.Tier = pick(g, []policyv1alpha2.Tier{policyv1alpha2.AdminTier, policyv1alpha2.BaselineTier})
	p.Spec.Priority = int32(g.IntN(6))
	if g.chance(50) {
		spaces := g.namespaceSelector()
		p.Spec.Subject.Namespaces = &spaces
	} else {
		p.Spec.Subject.Pods = g.namespacedPod()
	}
	for range g.IntN(3) {
		r := policyv1alpha2.ClusterNetworkPolicyIngressRule{Action: g.action(), Protocols: g.protocols(true)}
		for range 1 + g.IntN(2) {
			var peer policyv1alpha2.ClusterNetworkPolicyIngressPeer
			peer.Namespaces, peer.Pods = g.clusterPods()
			r.From = append(r.From, peer)
		}
		p.Spec.Ingress = append(p.Spec.Ingress, r)
	}
	for range g.IntN(3) {
		r := policyv1alpha2.ClusterNetworkPolicyEgressRule{Action: g.action(), Protocols: g.protocols(false)}
		for range 1 + g.IntN(2) {
			r.To = append(r.To, g.egressPeer())
		}
		p.Spec.Egress = append(p.Spec.Egress, r)
	}
	return p
}

func (g *generator) action() policyv1alpha2.ClusterNetworkPolicyRuleAction {
	return pick(g, []policyv1alpha2.ClusterNetworkPolicyRuleAction{"Accept", "Deny", "Pass"})
}

func (g *generator) namespacedPod() *policyv1alpha2.NamespacedPod {
	return &policyv1alpha2.NamespacedPod{NamespaceSelector: g.namespaceSelector(), PodSelector: g.podSelector()}
}

func (g *generator) clusterPods() (*metav1.LabelSelector, *policyv1alpha2.NamespacedPod) {
	if g.chance(50) {
		return nil, g.namespacedPod()
	}
	spaces := g.namespaceSelector()
	return &spaces, nil
}

func (g *generator) egressPeer() (p policyv1alpha2.ClusterNetworkPolicyEgressPeer) {
	switch n := g.IntN(10); {
	case n == 0 && !g.NoBlocks:
		p.Nodes = &metav1.LabelSelector{MatchLabels: map[string]string{"zone": pick(g, []string{"one", "two"})}}
	case n < 3 && !g.NoBlocks:
		p.Networks = []policyv1alpha2.CIDR{policyv1alpha2.CIDR(fmt.Sprintf("10.64.%d.0/24", g.IntN(max(1, g.Nodes)))), "172.16.0.0/12"}
	default:
		p.Namespaces, p.Pods = g.clusterPods()
	}
	return p
}

func (g *generator) protocols(names bool) (out []policyv1alpha2.ClusterNetworkPolicyProtocol) {
	if g.chance(50) {
		return nil
	}
	port := &policyv1alpha2.Port{Number: pick(g, Ports)}
	switch g.IntN(4) {
	case 0:
		port = &policyv1alpha2.Port{Range: &policyv1alpha2.PortRange{Start: 1, End: 1 + pick(g, Ports)}}
	case 1:
		if names && !g.NoNamedPorts {
			return []policyv1alpha2.ClusterNetworkPolicyProtocol{{DestinationNamedPort: pick(g, named)}}
		}
	}
	return []policyv1alpha2.ClusterNetworkPolicyProtocol{{TCP: &policyv1alpha2.ClusterNetworkPolicyProtocolTCP{DestinationPort: port}}}
}
