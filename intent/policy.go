package intent

import (
	"cmp"
	"net/netip"
	"slices"

	"github.com/plumbnet/plumb/packet"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// A tier is one of the steps in which policies are asked.
type tier uint8

const (
	adminTier tier = iota
	namespacedTier
	baselineTier
)

// A policy is one object in the form that all kinds have in common.
type policy struct {
	kind, namespace, name string
	tier                  tier
	priority              int32
	old                   bool // of v1alpha1: how it stands to others of its tier is not said
	subject               peerSpec
	touches               [2]bool // the directions that it says something of
	rules                 [2][]rule
}

// An action is what a rule does with what it matches.
type action uint8

const (
	accept action = iota
	deny
	pass
	unclear // the API does not know the action
)

// A rule is one rule of a policy, in one direction.
type rule struct {
	name   string
	action action
	peers  []peerSpec // none: any
	ports  []portSpec // none: any
	sets   *[2]tri    // the classes that peers match, by family; nil: all
}

// A peerSpec selects peers.
type peerSpec struct {
	kind      specKind
	namespace string // of specPods with nsSel < 0
	nsSel     int32  // of namespaces, in builder.nsSel; -1: the one namespace
	sel       int32  // of Pods or nodes, -1: all
	block     int32
}

type specKind uint8

const (
	specPods specKind = iota
	specNodes
	specBlock
	specMaybe // it is not understood, and may match anything
	specNames // domain names, which may be those of any address
)

// A portSpec selects ports.
type portSpec struct {
	kind   portKind
	proto  packet.Proto
	lo, hi uint16
	name   int32
}

type portKind uint8

const (
	portRange   portKind = iota // of one protocol
	portNamed                   // of one protocol
	portAnyName                 // a name, of any protocol
	portMaybe                   // it is not understood
)

// A namedPort is a container port that some policy names.
type namedPort struct {
	name   int32
	proto  packet.Proto
	number uint16
}

// builder makes an Engine.
type builder struct {
	*Engine
	podSel, nsSel, nodeSel selectors
	blockAt                map[string]int32
	profiles               map[string]int32 // of Engine.ports
	nsAt                   map[string]int32
	nsRange                [][2]int32 // the classes of each namespace's Pods
	words                  labelIndex
	peerSets               map[string]*[2]tri
}

// podsIn selects Pods by namespace and label; a nil namespaces means one namespace.
func (b *builder) podsIn(namespace string, namespaces, pods *metav1.LabelSelector) peerSpec {
	s := peerSpec{kind: specPods, namespace: namespace, nsSel: -1, sel: -1}
	if namespaces != nil {
		s.namespace, s.nsSel = "", b.nsSel.put(namespaces)
	}
	if pods != nil && selectorKey(pods) != "" {
		s.sel = b.podSel.put(pods)
	}
	return s
}

// networkPolicy reads a NetworkPolicy (https://kubernetes.io/docs/concepts/services-networking/network-policies/).
func (b *builder) networkPolicy(o *networkingv1.NetworkPolicy) policy {
	p := policy{kind: "NetworkPolicy", namespace: o.Namespace, name: o.Name, tier: namespacedTier}
	p.subject = b.podsIn(o.Namespace, nil, &o.Spec.PodSelector)
	p.touches = policyTypes(&o.Spec)
	if p.touches[ingress] {
		for _, r := range o.Spec.Ingress {
			p.rules[ingress] = append(p.rules[ingress], b.namespacedRule(o.Namespace, r.From, r.Ports))
		}
	}
	if p.touches[egress] {
		for _, r := range o.Spec.Egress {
			p.rules[egress] = append(p.rules[egress], b.namespacedRule(o.Namespace, r.To, r.Ports))
		}
	}
	return p
}

// policyTypes returns the directions of a NetworkPolicy. One that names none is for ingress, and
// for egress where it has a rule of it.
func policyTypes(s *networkingv1.NetworkPolicySpec) (out [2]bool) {
	if len(s.PolicyTypes) == 0 {
		return [2]bool{ingress: true, egress: len(s.Egress) > 0}
	}
	out[ingress] = slices.Contains(s.PolicyTypes, networkingv1.PolicyTypeIngress)
	out[egress] = slices.Contains(s.PolicyTypes, networkingv1.PolicyTypeEgress)
	return out
}

func (b *builder) namespacedRule(namespace string, peers []networkingv1.NetworkPolicyPeer, ports []networkingv1.NetworkPolicyPort) rule {
	r := rule{action: accept}
	for _, p := range peers {
		r.peers = append(r.peers, b.namespacedPeer(namespace, p))
	}
	for _, p := range ports {
		r.ports = append(r.ports, b.namespacedPort(p))
	}
	return r
}

func (b *builder) namespacedPeer(namespace string, p networkingv1.NetworkPolicyPeer) peerSpec {
	switch {
	case p.IPBlock != nil && p.PodSelector == nil && p.NamespaceSelector == nil:
		return b.block(p.IPBlock.CIDR, p.IPBlock.Except)
	case p.IPBlock == nil && (p.PodSelector != nil || p.NamespaceSelector != nil):
		return b.podsIn(namespace, p.NamespaceSelector, p.PodSelector)
	}
	return peerSpec{kind: specMaybe} // the API server refuses it
}

// block adds a range of addresses.
func (b *builder) block(cidr string, except []string) peerSpec {
	key := cidr
	for _, x := range except {
		key += " " + x
	}
	if i, ok := b.blockAt[key]; ok {
		return peerSpec{kind: specBlock, block: i}
	}
	c, err := netip.ParsePrefix(cidr)
	if err != nil {
		return peerSpec{kind: specMaybe}
	}
	out := block{cidr: c.Masked()}
	for _, x := range except {
		e, err := netip.ParsePrefix(x)
		if err != nil || familyOf(e.Addr()) != familyOf(c.Addr()) {
			return peerSpec{kind: specMaybe}
		}
		out.except = append(out.except, e.Masked())
	}
	b.blockAt[key] = int32(len(b.blocks))
	b.blocks = append(b.blocks, out)
	return peerSpec{kind: specBlock, block: int32(len(b.blocks) - 1)}
}

// namespacedPort reads a port, whose protocol is TCP where none is written.
func (b *builder) namespacedPort(p networkingv1.NetworkPolicyPort) portSpec {
	proto := corev1.ProtocolTCP
	if p.Protocol != nil {
		proto = *p.Protocol
	}
	s := portSpec{kind: portRange, proto: protos[proto], hi: 65535}
	switch {
	case s.proto == 0:
		s.kind = portMaybe
	case p.Port == nil && p.EndPort == nil:
	case p.Port == nil:
		s.kind = portMaybe
	case p.Port.Type == intstr.String && p.EndPort == nil:
		s.kind, s.name = portNamed, b.portName(p.Port.StrVal)
	case p.Port.Type == intstr.String:
		s.kind = portMaybe
	case p.EndPort != nil:
		s = numbers(s, p.Port.IntVal, *p.EndPort)
	default:
		s = numbers(s, p.Port.IntVal, p.Port.IntVal)
	}
	return s
}

// protos are the protocols of the API. A protocol that is not written is TCP.
var protos = map[corev1.Protocol]packet.Proto{
	corev1.ProtocolTCP: packet.TCP, corev1.ProtocolUDP: packet.UDP, corev1.ProtocolSCTP: packet.SCTP,
}

func protoOf(p corev1.Protocol) packet.Proto { return protos[cmp.Or(p, corev1.ProtocolTCP)] }

// numbers sets the range of ports, which is not understood where it is none.
func numbers(s portSpec, lo, hi int32) portSpec {
	if lo < 1 || hi > 65535 || lo > hi {
		s.kind = portMaybe
		return s
	}
	s.lo, s.hi = uint16(lo), uint16(hi)
	return s
}

func (b *builder) portName(name string) int32 {
	i, ok := b.portNames[name]
	if !ok {
		i = int32(len(b.portNames))
		b.portNames[name] = i
	}
	return i
}
