package intent

import (
	"net/netip"
	"strings"

	"github.com/plumbnet/plumb/packet"
	"github.com/plumbnet/plumb/text"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	policyv1alpha2 "sigs.k8s.io/network-policy-api/apis/v1alpha2"
)

// A Fix is what would let a connection through: objects to apply, which open nothing else than
// that port between the Pods with the labels of the two.
type Fix struct {
	What                   text.Text
	NetworkPolicies        []networkingv1.NetworkPolicy
	ClusterNetworkPolicies []policyv1alpha2.ClusterNetworkPolicy
}

// fixer makes the Fix of one connection.
type fixer struct {
	*Engine
	from, to Peer
	port     Port
	family   uint8
	out      Fix
}

// fix returns what would let a connection through that is denied, or a Fix without objects that
// names the rule which stands against it.
func (e *Engine) fix(v *Verdict, from, to Peer, port Port, family uint8) Fix {
	f := &fixer{Engine: e, from: from, to: to, port: port, family: family}
	f.out.What = text.F("allow it by a policy")
	for _, s := range []*Side{&v.Egress, &v.Ingress} {
		if s.Answer == Denied && !f.allow(s, s == &v.Egress) {
			return Fix{What: text.F("take out, or narrow, %s", list(s.Rules[len(s.Rules)-1:]))}
		}
	}
	return f.out
}

// allow adds an object for one side, and reports whether there is one that does.
func (f *fixer) allow(s *Side, out bool) bool {
	if len(s.Rules) == 0 {
		return false
	}
	last := s.Rules[len(s.Rules)-1]
	if last.Kind == "NetworkPolicy" {
		return f.namespaced(out)
	}
	return f.cluster(last.policy, out)
}

// namespaced adds a NetworkPolicy.
func (f *fixer) namespaced(out bool) bool {
	pod, other := f.ends(out)
	o := f.pods[pod.at].object
	p := networkingv1.NetworkPolicy{
		TypeMeta:   metav1.TypeMeta{APIVersion: "networking.k8s.io/v1", Kind: "NetworkPolicy"},
		ObjectMeta: metav1.ObjectMeta{Namespace: o.Namespace, Name: f.name()},
	}
	p.Spec.PodSelector = metav1.LabelSelector{MatchLabels: WorkloadLabels(o)}
	peers, ports := f.peers(o.Namespace, other), f.ports()
	if len(peers) == 0 {
		return false
	}
	if out {
		p.Spec.PolicyTypes = []networkingv1.PolicyType{networkingv1.PolicyTypeEgress}
		p.Spec.Egress = []networkingv1.NetworkPolicyEgressRule{{To: peers, Ports: ports}}
	} else {
		p.Spec.PolicyTypes = []networkingv1.PolicyType{networkingv1.PolicyTypeIngress}
		p.Spec.Ingress = []networkingv1.NetworkPolicyIngressRule{{From: peers, Ports: ports}}
	}
	f.out.NetworkPolicies = append(f.out.NetworkPolicies, p)
	return true
}

// ends returns the Pod whose side it is, and the other end.
func (f *fixer) ends(out bool) (pod, other Peer) {
	if out {
		return f.from, f.to
	}
	return f.to, f.from
}

// name names the objects after both ends.
func (f *fixer) name() string {
	return strings.ToLower(strings.Join([]string{"allow", f.short(f.from), "to", f.short(f.to)}, "-"))
}

// short names a peer as an object's name may.
func (f *fixer) short(p Peer) string {
	const longest = 60
	s := ""
	switch p.kind {
	case isPod:
		s = f.pods[p.at].object.Name
	case isNode:
		s = f.nodes[p.at].name
	default:
		s = strings.NewReplacer(":", "-", ".", "-").Replace(p.addr.String())
	}
	return strings.Trim(s[:min(len(s), longest)], "-.")
}

// perPod are the labels that tell a Pod from others of its workload, or one rollout from the next.
var perPod = []string{
	"pod-template-hash", "controller-revision-hash", "pod-template-generation", "statefulset.kubernetes.io/pod-name", "apps.kubernetes.io/pod-index",
	"controller-uid", "batch.kubernetes.io/controller-uid", "job-name", "batch.kubernetes.io/job-name",
}

// WorkloadLabels returns the labels that a Pod has in common with its workload's others.
func WorkloadLabels(p *corev1.Pod) map[string]string {
	out := map[string]string{}
	for k, v := range p.Labels {
		out[k] = v
	}
	for _, k := range perPod {
		delete(out, k)
	}
	if len(out) == 0 {
		return p.Labels
	}
	return out
}

// peers names the other end for a NetworkPolicy of a namespace.
func (f *fixer) peers(namespace string, p Peer) (out []networkingv1.NetworkPolicyPeer) {
	if p.kind != isPod {
		for _, a := range f.addrs(p) {
			out = append(out, networkingv1.NetworkPolicyPeer{IPBlock: &networkingv1.IPBlock{CIDR: netip.PrefixFrom(a, a.BitLen()).String()}})
		}
		return out
	}
	o := f.pods[p.at].object
	peer := networkingv1.NetworkPolicyPeer{PodSelector: &metav1.LabelSelector{MatchLabels: WorkloadLabels(o)}}
	if o.Namespace != namespace {
		peer.NamespaceSelector = byName(o.Namespace)
	}
	return []networkingv1.NetworkPolicyPeer{peer}
}

func byName(namespace string) *metav1.LabelSelector {
	return &metav1.LabelSelector{MatchLabels: map[string]string{nameLabel: namespace}}
}

// addrs returns the addresses of a peer that is no Pod.
func (f *fixer) addrs(p Peer) (out []netip.Addr) {
	if p.addr.IsValid() {
		return []netip.Addr{p.addr}
	}
	for _, a := range f.nodes[p.at].addrs {
		if familyOf(a) == f.family {
			out = append(out, a)
		}
	}
	return out
}

var protoNames = map[packet.Proto]corev1.Protocol{packet.TCP: corev1.ProtocolTCP, packet.UDP: corev1.ProtocolUDP, packet.SCTP: corev1.ProtocolSCTP}

func (f *fixer) ports() []networkingv1.NetworkPolicyPort {
	proto, ok := protoNames[f.port.Proto]
	if !ok {
		return nil
	}
	number := intstr.FromInt32(int32(f.port.Number))
	return []networkingv1.NetworkPolicyPort{{Protocol: &proto, Port: &number}}
}

// cluster adds a ClusterNetworkPolicy that is asked before one that denies.
func (f *fixer) cluster(denies *policy, out bool) bool {
	pod, other := f.ends(out)
	priority, ok := f.before(denies)
	if !ok || denies.old || other.kind != isPod && !out {
		return false
	}
	o := f.pods[pod.at].object
	p := policyv1alpha2.ClusterNetworkPolicy{
		TypeMeta:   metav1.TypeMeta{APIVersion: "policy.networking.k8s.io/v1alpha2", Kind: "ClusterNetworkPolicy"},
		ObjectMeta: metav1.ObjectMeta{Name: f.name() + map[bool]string{true: "-egress", false: "-ingress"}[out]},
	}
	p.Spec.Tier, p.Spec.Priority = policyv1alpha2.AdminTier, priority
	if denies.tier == baselineTier {
		p.Spec.Tier = policyv1alpha2.BaselineTier
	}
	p.Spec.Subject.Pods = &policyv1alpha2.NamespacedPod{NamespaceSelector: *byName(o.Namespace), PodSelector: metav1.LabelSelector{MatchLabels: WorkloadLabels(o)}}
	peer := f.clusterPeer(other)
	const accept = policyv1alpha2.ClusterNetworkPolicyRuleActionAccept
	if out {
		p.Spec.Egress = []policyv1alpha2.ClusterNetworkPolicyEgressRule{{Action: accept, To: []policyv1alpha2.ClusterNetworkPolicyEgressPeer{peer}, Protocols: f.protocols()}}
	} else {
		from := policyv1alpha2.ClusterNetworkPolicyIngressPeer{Pods: peer.Pods}
		p.Spec.Ingress = []policyv1alpha2.ClusterNetworkPolicyIngressRule{{Action: accept, From: []policyv1alpha2.ClusterNetworkPolicyIngressPeer{from}, Protocols: f.protocols()}}
	}
	f.out.ClusterNetworkPolicies = append(f.out.ClusterNetworkPolicies, p)
	return true
}

// before returns the priority next to that of a policy, and asked before it, that no policy of its tier has.
func (f *fixer) before(p *policy) (int32, bool) {
	taken := map[int32]bool{}
	for i := range f.policies {
		if f.policies[i].tier == p.tier {
			taken[f.policies[i].priority] = true
		}
	}
	for n := p.priority - 1; n >= 0; n-- {
		if !taken[n] {
			return n, true
		}
	}
	return 0, false
}

func (f *fixer) clusterPeer(p Peer) (out policyv1alpha2.ClusterNetworkPolicyEgressPeer) {
	if p.kind != isPod {
		for _, a := range f.addrs(p) {
			out.Networks = append(out.Networks, policyv1alpha2.CIDR(netip.PrefixFrom(a, a.BitLen()).String()))
		}
		return out
	}
	o := f.pods[p.at].object
	out.Pods = &policyv1alpha2.NamespacedPod{NamespaceSelector: *byName(o.Namespace), PodSelector: metav1.LabelSelector{MatchLabels: WorkloadLabels(o)}}
	return out
}

func (f *fixer) protocols() []policyv1alpha2.ClusterNetworkPolicyProtocol {
	port := &policyv1alpha2.Port{Number: int32(f.port.Number)}
	var p policyv1alpha2.ClusterNetworkPolicyProtocol
	switch f.port.Proto {
	case packet.TCP:
		p.TCP = &policyv1alpha2.ClusterNetworkPolicyProtocolTCP{DestinationPort: port}
	case packet.UDP:
		p.UDP = &policyv1alpha2.ClusterNetworkPolicyProtocolUDP{DestinationPort: port}
	case packet.SCTP:
		p.SCTP = &policyv1alpha2.ClusterNetworkPolicyProtocolSCTP{DestinationPort: port}
	default:
		return nil
	}
	return []policyv1alpha2.ClusterNetworkPolicyProtocol{p}
}
