package intent

import (
	"cmp"

	"github.com/plumbnet/plumb/packet"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	policyv1alpha1 "sigs.k8s.io/network-policy-api/apis/v1alpha1"
	policyv1alpha2 "sigs.k8s.io/network-policy-api/apis/v1alpha2"
)

// This file reads the policies of the whole cluster. Of a rule with a peer that has no field,
// or none that is known, the API says that it "fails closed": an Accept matches nothing, and
// any other rule denies everything.

var (
	tiers   = map[policyv1alpha2.Tier]tier{policyv1alpha2.AdminTier: adminTier, policyv1alpha2.BaselineTier: baselineTier}
	actions = map[string]action{"Accept": accept, "Allow": accept, "Deny": deny, "Pass": pass}
)

// actionOf returns the action of that name.
func actionOf(name string) action {
	if a, ok := actions[name]; ok {
		return a
	}
	return unclear
}

// clusterPolicy reads a ClusterNetworkPolicy. What one of a tier that is not known does is unclear.
func (b *builder) clusterPolicy(o *policyv1alpha2.ClusterNetworkPolicy) policy {
	p := policy{kind: "ClusterNetworkPolicy", name: o.Name, priority: o.Spec.Priority}
	t, known := tiers[o.Spec.Tier]
	p.tier = t
	p.subject = b.subject(o.Spec.Subject.Namespaces, newPods(o.Spec.Subject.Pods))
	for _, r := range o.Spec.Ingress {
		to := clusterRule{name: r.Name, action: actionOf(string(r.Action))}
		for _, f := range r.From {
			to.peers = append(to.peers, b.clusterPeer(f.Namespaces, newPods(f.Pods), nil, nil, nil)...)
		}
		to.read(len(r.From) == 0, b.protocols(r.Protocols))
		p.add(ingress, to)
	}
	for _, r := range o.Spec.Egress {
		to := clusterRule{name: r.Name, action: actionOf(string(r.Action))}
		for _, f := range r.To {
			to.peers = append(to.peers, b.clusterPeer(f.Namespaces, newPods(f.Pods), f.Nodes, f.Networks, f.DomainNames)...)
		}
		to.read(len(r.To) == 0, b.protocols(r.Protocols))
		p.add(egress, to)
	}
	if !known {
		p.obscure()
	}
	return p
}

// obscure makes all that a policy does unclear.
func (p *policy) obscure() {
	for d := range p.rules {
		for i := range p.rules[d] {
			p.rules[d][i].action = unclear
		}
	}
}

// adminPolicy reads an AdminNetworkPolicy.
func (b *builder) adminPolicy(o *policyv1alpha1.AdminNetworkPolicy) policy {
	p := policy{kind: "AdminNetworkPolicy", name: o.Name, tier: adminTier, old: true, priority: o.Spec.Priority}
	p.subject = b.subject(o.Spec.Subject.Namespaces, oldPods(o.Spec.Subject.Pods))
	for _, r := range o.Spec.Ingress {
		p.add(ingress, b.oldIngress(r.Name, string(r.Action), r.From, r.Ports))
	}
	for _, r := range o.Spec.Egress {
		to := clusterRule{name: r.Name, action: actionOf(string(r.Action))}
		for _, f := range r.To {
			to.peers = append(to.peers, b.clusterPeer(f.Namespaces, oldPods(f.Pods), f.Nodes, asNew(f.Networks), names(f.DomainNames))...)
		}
		to.read(len(r.To) == 0, b.oldPorts(r.Ports))
		p.add(egress, to)
	}
	return p
}

// baselinePolicy reads a BaselineAdminNetworkPolicy.
func (b *builder) baselinePolicy(o *policyv1alpha1.BaselineAdminNetworkPolicy) policy {
	p := policy{kind: "BaselineAdminNetworkPolicy", name: o.Name, tier: baselineTier, old: true}
	p.subject = b.subject(o.Spec.Subject.Namespaces, oldPods(o.Spec.Subject.Pods))
	for _, r := range o.Spec.Ingress {
		p.add(ingress, b.oldIngress(r.Name, string(r.Action), r.From, r.Ports))
	}
	for _, r := range o.Spec.Egress {
		to := clusterRule{name: r.Name, action: actionOf(string(r.Action))}
		for _, f := range r.To {
			to.peers = append(to.peers, b.clusterPeer(f.Namespaces, oldPods(f.Pods), f.Nodes, asNew(f.Networks), nil)...)
		}
		to.read(len(r.To) == 0, b.oldPorts(r.Ports))
		p.add(egress, to)
	}
	return p
}

func (b *builder) oldIngress(name, action string, from []policyv1alpha1.AdminNetworkPolicyIngressPeer, ports *[]policyv1alpha1.AdminNetworkPolicyPort) clusterRule {
	to := clusterRule{name: name, action: actionOf(action)}
	for _, f := range from {
		to.peers = append(to.peers, b.clusterPeer(f.Namespaces, oldPods(f.Pods), nil, nil, nil)...)
	}
	to.read(len(from) == 0, b.oldPorts(ports))
	return to
}

// A clusterRule is a rule on its way into the common form.
type clusterRule struct {
	name   string
	action action
	peers  []clusterPeer
	ports  []portSpec
}

type clusterPeer struct {
	peerSpec
	empty bool // it has no field that is known
}

// read ends the reading of a rule. One without a peer the API server refuses.
func (r *clusterRule) read(noPeers bool, ports []portSpec) {
	r.ports = ports
	if noPeers {
		r.peers = []clusterPeer{{peerSpec: peerSpec{kind: specMaybe}}}
	}
}

// add adds a rule, closed where it must fail closed. An Accept that matches nothing keeps its place.
func (p *policy) add(direction int, r clusterRule) {
	p.touches[direction] = true
	out := rule{name: r.name, action: r.action, ports: r.ports}
	for _, peer := range r.peers {
		if !peer.empty {
			out.peers = append(out.peers, peer.peerSpec)
			continue
		}
		if r.action == accept {
			out.peers = []peerSpec{{kind: specBlock, block: -1}}
		} else {
			out = rule{name: r.name, action: deny}
		}
		break
	}
	p.rules[direction] = append(p.rules[direction], out)
}

// namespacedPods is the one form of both versions' NamespacedPod.
type namespacedPods struct{ namespaces, pods *metav1.LabelSelector }

func newPods(p *policyv1alpha2.NamespacedPod) *namespacedPods {
	if p == nil {
		return nil
	}
	return &namespacedPods{&p.NamespaceSelector, &p.PodSelector}
}

func oldPods(p *policyv1alpha1.NamespacedPod) *namespacedPods {
	if p == nil {
		return nil
	}
	return &namespacedPods{&p.NamespaceSelector, &p.PodSelector}
}

func asNew(list []policyv1alpha1.CIDR) (out []policyv1alpha2.CIDR) {
	for _, c := range list {
		out = append(out, policyv1alpha2.CIDR(c))
	}
	return out
}

func names(list []policyv1alpha1.DomainName) (out []policyv1alpha2.DomainName) {
	for _, n := range list {
		out = append(out, policyv1alpha2.DomainName(n))
	}
	return out
}

// subject reads whom a policy is for. The API server wants exactly one field.
func (b *builder) subject(namespaces *metav1.LabelSelector, pods *namespacedPods) peerSpec {
	switch {
	case (namespaces == nil) == (pods == nil):
		return peerSpec{kind: specMaybe}
	case pods != nil:
		return b.podsIn("", pods.namespaces, pods.pods)
	}
	return b.podsIn("", namespaces, nil)
}

// clusterPeer reads a peer, of which the API server wants exactly one field.
func (b *builder) clusterPeer(namespaces *metav1.LabelSelector, pods *namespacedPods, nodes *metav1.LabelSelector,
	networks []policyv1alpha2.CIDR, domains []policyv1alpha2.DomainName) (out []clusterPeer) {
	add := func(s peerSpec) { out = append(out, clusterPeer{peerSpec: s}) }
	fields := 0
	if namespaces != nil {
		fields++
		add(b.podsIn("", namespaces, nil))
	}
	if pods != nil {
		fields++
		add(b.podsIn("", pods.namespaces, pods.pods))
	}
	if nodes != nil {
		fields++
		add(peerSpec{kind: specNodes, sel: b.nodeSel.put(nodes)})
	}
	if len(networks) > 0 {
		fields++
		for _, c := range networks {
			add(b.block(string(c), nil))
		}
	}
	if len(domains) > 0 {
		fields++
		add(peerSpec{kind: specNames})
	}
	switch fields {
	case 0:
		return []clusterPeer{{empty: true}}
	case 1:
		return out
	}
	return []clusterPeer{{peerSpec: peerSpec{kind: specMaybe}}}
}

func (b *builder) protocols(list []policyv1alpha2.ClusterNetworkPolicyProtocol) (out []portSpec) {
	for _, p := range list {
		out = append(out, b.protocol(p))
	}
	return out
}

// protocol reads a protocol, of which the API server wants exactly one field.
func (b *builder) protocol(p policyv1alpha2.ClusterNetworkPolicyProtocol) portSpec {
	var out []portSpec
	if p.TCP != nil {
		out = append(out, clusterPort(packet.TCP, p.TCP.DestinationPort))
	}
	if p.UDP != nil {
		out = append(out, clusterPort(packet.UDP, p.UDP.DestinationPort))
	}
	if p.SCTP != nil {
		out = append(out, clusterPort(packet.SCTP, p.SCTP.DestinationPort))
	}
	if p.DestinationNamedPort != "" {
		out = append(out, portSpec{kind: portAnyName, name: b.portName(p.DestinationNamedPort)})
	}
	if len(out) != 1 {
		return portSpec{kind: portMaybe}
	}
	return out[0]
}

func clusterPort(proto packet.Proto, p *policyv1alpha2.Port) portSpec {
	s := portSpec{proto: proto, hi: 65535}
	switch {
	case p == nil:
		return s
	case p.Number != 0 && p.Range == nil:
		return numbers(s, p.Number, p.Number)
	case p.Number == 0 && p.Range != nil:
		return numbers(s, p.Range.Start, p.Range.End)
	}
	return portSpec{kind: portMaybe}
}

func (b *builder) oldPorts(list *[]policyv1alpha1.AdminNetworkPolicyPort) (out []portSpec) {
	if list == nil {
		return nil
	}
	for _, p := range *list {
		out = append(out, b.oldPort(p))
	}
	return out
}

// oldPort reads a port of v1alpha1, of which the API server wants exactly one field.
func (b *builder) oldPort(p policyv1alpha1.AdminNetworkPolicyPort) portSpec {
	switch n, name, r := p.PortNumber, p.NamedPort, p.PortRange; {
	case n != nil && name == nil && r == nil:
		return numbers(portSpec{proto: protoOf(n.Protocol), kind: knownProto(string(n.Protocol))}, n.Port, n.Port)
	case n == nil && name != nil && r == nil:
		return portSpec{kind: portAnyName, name: b.portName(*name)}
	case n == nil && name == nil && r != nil:
		return numbers(portSpec{proto: protoOf(r.Protocol), kind: knownProto(string(r.Protocol))}, r.Start, r.End)
	}
	return portSpec{kind: portMaybe}
}

func knownProto(name string) portKind {
	switch cmp.Or(name, "TCP") {
	case "TCP", "UDP", "SCTP":
		return portRange
	}
	return portMaybe
}
