package intent

import (
	"net/netip"
	"slices"

	"github.com/plumbnet/plumb/packet"
	"github.com/plumbnet/plumb/snapshot"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
	policyv1alpha2 "sigs.k8s.io/network-policy-api/apis/v1alpha2"
)

// reference judges one connection between two Pods by reading the objects, with the selectors
// of apimachinery and no index: slow, and plain. Both Pods have a network of their own.
type reference struct {
	o    *snapshot.Objects
	ns   map[string]labels.Set
	made map[*metav1.LabelSelector]labels.Selector
}

func newReference(o *snapshot.Objects) *reference {
	r := &reference{o, map[string]labels.Set{}, map[*metav1.LabelSelector]labels.Selector{}}
	for _, n := range o.Namespaces {
		r.ns[n.Name] = n.Labels
	}
	return r
}

func (r *reference) selects(s *metav1.LabelSelector, l map[string]string) bool {
	sel, ok := r.made[s]
	if !ok {
		var err error
		if sel, err = metav1.LabelSelectorAsSelector(s); err != nil {
			panic(err)
		}
		r.made[s] = sel
	}
	return sel.Matches(labels.Set(l))
}

func (r *reference) answer(from, to *corev1.Pod, port Port) Answer {
	out := r.side(from, to, to, port, true)
	in := r.side(to, from, to, port, false)
	switch {
	case len(out) == 1 && out[false] || len(in) == 1 && in[false]:
		return Denied
	case len(out) == 1 && len(in) == 1:
		return Allowed
	}
	return Unknown
}

// side returns what may become of it at the Pod: true is allowed.
func (r *reference) side(pod, other, dst *corev1.Pod, port Port, egress bool) map[bool]bool {
	verdicts := map[bool]bool{}
	for _, action := range r.tier(policyv1alpha2.AdminTier, pod, other, dst, port, egress) {
		switch action {
		case "Accept":
			verdicts[true] = true
		case "Deny":
			verdicts[false] = true
		default:
			for v := range r.rest(pod, other, dst, port, egress) {
				verdicts[v] = true
			}
		}
	}
	return verdicts
}

// rest asks the NetworkPolicies, and the baseline.
func (r *reference) rest(pod, other, dst *corev1.Pod, port Port, egress bool) map[bool]bool {
	isolated := false
	for i := range r.o.NetworkPolicies {
		p := &r.o.NetworkPolicies[i]
		kind := networkingv1.PolicyTypeIngress
		if egress {
			kind = networkingv1.PolicyTypeEgress
		}
		if p.Namespace != pod.Namespace || !r.selects(&p.Spec.PodSelector, pod.Labels) || !slices.Contains(p.Spec.PolicyTypes, kind) {
			continue
		}
		isolated = true
		if egress {
			for _, e := range p.Spec.Egress {
				if r.peers(p.Namespace, e.To, other) && ports(e.Ports, dst, port) {
					return map[bool]bool{true: true}
				}
			}
			continue
		}
		for _, e := range p.Spec.Ingress {
			if r.peers(p.Namespace, e.From, other) && ports(e.Ports, dst, port) {
				return map[bool]bool{true: true}
			}
		}
	}
	if isolated {
		return map[bool]bool{false: true}
	}
	verdicts := map[bool]bool{}
	for _, action := range r.tier(policyv1alpha2.BaselineTier, pod, other, dst, port, egress) {
		verdicts[action != "Deny"] = true
	}
	return verdicts
}

func (r *reference) peers(ns string, list []networkingv1.NetworkPolicyPeer, other *corev1.Pod) bool {
	return len(list) == 0 || slices.ContainsFunc(list, func(p networkingv1.NetworkPolicyPeer) bool {
		switch {
		case p.IPBlock != nil:
			a := netip.MustParseAddr(other.Status.PodIP)
			return netip.MustParsePrefix(p.IPBlock.CIDR).Contains(a) &&
				!slices.ContainsFunc(p.IPBlock.Except, func(s string) bool { return netip.MustParsePrefix(s).Contains(a) })
		case p.NamespaceSelector == nil:
			return other.Namespace == ns && r.selects(p.PodSelector, other.Labels)
		}
		return r.selects(p.NamespaceSelector, r.ns[other.Namespace]) && (p.PodSelector == nil || r.selects(p.PodSelector, other.Labels))
	})
}

func ports(list []networkingv1.NetworkPolicyPort, dst *corev1.Pod, port Port) bool {
	return len(list) == 0 || slices.ContainsFunc(list, func(p networkingv1.NetworkPolicyPort) bool {
		switch {
		case protocols[*p.Protocol] != port.Proto:
			return false
		case p.Port.Type == intstr.String:
			return hasPort(dst, p.Port.StrVal, port)
		case p.EndPort != nil:
			return int32(port.Number) >= p.Port.IntVal && int32(port.Number) <= *p.EndPort
		}
		return int32(port.Number) == p.Port.IntVal
	})
}

var protocols = map[corev1.Protocol]packet.Proto{"TCP": packet.TCP, "UDP": packet.UDP}

func hasPort(dst *corev1.Pod, name string, port Port) bool {
	return slices.ContainsFunc(dst.Spec.Containers[0].Ports, func(c corev1.ContainerPort) bool {
		return c.Name == name && protocols[c.Protocol] == port.Proto && c.ContainerPort == int32(port.Number)
	})
}

// tier returns the actions that a tier may come to; "Pass" also where nothing matches.
func (r *reference) tier(t policyv1alpha2.Tier, pod, other, dst *corev1.Pod, port Port, egress bool) (out []policyv1alpha2.ClusterNetworkPolicyRuleAction) {
	best := int32(2000)
	for i := range r.o.ClusterNetworkPolicies {
		p := &r.o.ClusterNetworkPolicies[i].Spec
		if p.Tier != t || p.Priority > best || !r.pods(p.Subject.Namespaces, p.Subject.Pods, pod) {
			continue
		}
		action := r.first(p, other, dst, port, egress)
		if action == "" {
			continue
		}
		if p.Priority < best {
			best, out = p.Priority, nil
		}
		out = append(out, action)
	}
	if len(out) == 0 {
		return []policyv1alpha2.ClusterNetworkPolicyRuleAction{"Pass"}
	}
	return out
}

func (r *reference) pods(spaces *metav1.LabelSelector, pods *policyv1alpha2.NamespacedPod, pod *corev1.Pod) bool {
	if spaces != nil {
		return r.selects(spaces, r.ns[pod.Namespace])
	}
	return pods != nil && r.selects(&pods.NamespaceSelector, r.ns[pod.Namespace]) && r.selects(&pods.PodSelector, pod.Labels)
}

// first returns the action of the first rule that matches, or "".
func (r *reference) first(p *policyv1alpha2.ClusterNetworkPolicySpec, other, dst *corev1.Pod, port Port, egress bool) policyv1alpha2.ClusterNetworkPolicyRuleAction {
	if egress {
		for _, e := range p.Egress {
			if slices.ContainsFunc(e.To, func(t policyv1alpha2.ClusterNetworkPolicyEgressPeer) bool {
				return r.pods(t.Namespaces, t.Pods, other) || slices.ContainsFunc(t.Networks, func(c policyv1alpha2.CIDR) bool {
					return netip.MustParsePrefix(string(c)).Contains(netip.MustParseAddr(other.Status.PodIP))
				})
			}) && clusterPorts(e.Protocols, dst, port) {
				return e.Action
			}
		}
		return ""
	}
	for _, e := range p.Ingress {
		if slices.ContainsFunc(e.From, func(f policyv1alpha2.ClusterNetworkPolicyIngressPeer) bool {
			return r.pods(f.Namespaces, f.Pods, other)
		}) &&
			clusterPorts(e.Protocols, dst, port) {
			return e.Action
		}
	}
	return ""
}

func clusterPorts(list []policyv1alpha2.ClusterNetworkPolicyProtocol, dst *corev1.Pod, port Port) bool {
	return len(list) == 0 || slices.ContainsFunc(list, func(p policyv1alpha2.ClusterNetworkPolicyProtocol) bool {
		switch n := int32(port.Number); {
		case p.DestinationNamedPort != "":
			return hasPort(dst, p.DestinationNamedPort, port)
		case port.Proto != packet.TCP:
			return false
		case p.TCP.DestinationPort.Range != nil:
			return p.TCP.DestinationPort.Range.Start <= n && n <= p.TCP.DestinationPort.Range.End
		default:
			return p.TCP.DestinationPort.Number == n
		}
	})
}
