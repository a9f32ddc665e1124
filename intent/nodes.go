package intent

import (
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
)

// This file puts nodes into classes, and the Pods in their networks with them: no policy
// selects such a Pod, and its traffic is the node's.

// addNodes makes a node of each object, and of each name that a Pod in a node's network runs on.
func (b *builder) addNodes() {
	for i := range b.objects.Nodes {
		o := &b.objects.Nodes[i]
		n := node{name: o.Name, labels: labelled{labels: o.Labels, known: true}, addrs: nodeAddrs(o), ranges: podRanges(o)}
		b.byNode[o.Name] = int32(len(b.nodes))
		b.nodes = append(b.nodes, n)
	}
	for i := range b.pods {
		if p := b.pods[i].object; p.Spec.HostNetwork && !ended(p) {
			b.addHostPod(p)
		}
	}
	known := map[string]int32{}
	for i := range b.nodes {
		b.classify(int32(i), known)
	}
	slices.Sort(b.lengths)
	b.lengths = slices.Compact(b.lengths)
	for i := range b.pods {
		p := &b.pods[i]
		if at, ok := b.byNode[p.object.Spec.NodeName]; ok && p.peer.kind == isPod {
			p.peer.node = at
			b.ownAddrs(p.object, at)
		}
	}
}

// ownAddrs notes the node of a Pod where it is looked up by address.
func (b *builder) ownAddrs(p *corev1.Pod, at int32) {
	for _, a := range podAddrs(p) {
		if peer := b.byAddr[a]; peer.kind == isPod && b.pods[peer.at].object == p {
			peer.node = at
			b.byAddr[a] = peer
		}
	}
}

// addHostPod adds what a Pod in its node's network tells of the node.
func (b *builder) addHostPod(p *corev1.Pod) {
	at, ok := b.byNode[p.Spec.NodeName]
	if !ok {
		at = int32(len(b.nodes))
		b.byNode[p.Spec.NodeName] = at
		b.nodes = append(b.nodes, node{name: p.Spec.NodeName})
	}
	n := &b.nodes[at]
	n.ports = b.podPorts(n.ports, p)
	for _, a := range podAddrs(p) {
		if !slices.Contains(n.addrs, a) {
			n.addrs = append(n.addrs, a)
		}
	}
}

// addHostPods makes the Pods in a node's network the node.
func (b *builder) addHostPods() {
	for i := range b.pods {
		if p := &b.pods[i]; p.object.Spec.HostNetwork && !ended(p.object) {
			p.peer = b.nodes[b.byNode[p.object.Spec.NodeName]].peer
		}
	}
}

// nodeAddrs returns the addresses of a node's status, its InternalIPs first.
func nodeAddrs(o *corev1.Node) (out []netip.Addr) {
	for _, a := range o.Status.Addresses {
		if a.Type == corev1.NodeInternalIP {
			out = appendAddr(out, a.Address)
		}
	}
	for _, a := range o.Status.Addresses {
		if a.Type != corev1.NodeInternalIP {
			out = appendAddr(out, a.Address)
		}
	}
	return out
}

func podRanges(o *corev1.Node) (out []netip.Prefix) {
	list := o.Spec.PodCIDRs
	if len(list) == 0 {
		list = []string{o.Spec.PodCIDR}
	}
	for _, s := range list {
		if c, err := netip.ParsePrefix(s); err == nil {
			out = append(out, c.Masked())
		}
	}
	return out
}

// maxParts is how many parts of a space the Pod range of a node may touch, before they are all
// taken for possible sources of its packets.
const maxParts = 64

// classify finds the class of each address of a node, and the one of the node itself: that of
// its first address of each family.
func (b *builder) classify(at int32, known map[string]int32) {
	n := &b.nodes[at]
	peer := Peer{kind: isNode, at: at, node: at, maybe: -1, class: [2]int32{-1, -1}}
	var from [2][]int32 // a packet of the node may have any of its addresses, by its route
	for _, a := range n.addrs {
		f := familyOf(a)
		from[f] = append(from[f], b.space[f].find(a))
	}
	for _, c := range n.ranges {
		if _, taken := b.byRange[c]; !taken {
			b.byRange[c] = at
			b.lengths = append(b.lengths, c.Bits())
		}
		f := familyOf(c.Addr())
		from[f] = b.space[f].findRange(from[f], c)
	}
	for f := range from {
		slices.Sort(from[f])
		from[f] = slices.Compact(from[f])
		if len(from[f]) > maxParts {
			from[f] = nil
		}
	}
	ports := b.profile(slices.Clone(n.ports))
	for _, a := range slices.Backward(n.addrs) {
		f := familyOf(a)
		c := class{kind: isNode, ns: -1, labels: n.labels, parts: [2]int32{-1, -1}, from: from, ports: ports}
		c.parts[f] = b.space[f].find(a)
		peer.class[f], peer.primary = b.nodeClass(c, known), f
		if _, taken := b.byAddr[a]; taken {
			continue
		}
		c.from = [2][]int32{}
		c.from[f] = []int32{c.parts[f]} // whoever asks for an address means this one
		one := Peer{kind: isNode, at: at, node: at, maybe: -1, class: [2]int32{-1, -1}, primary: f, addr: a}
		one.class[f] = b.nodeClass(c, known)
		b.byAddr[a] = one
	}
	if len(n.addrs) > 0 {
		peer.primary = familyOf(n.addrs[0])
	}
	n.peer = peer
}

// nodeClass returns the class that is like c.
func (b *builder) nodeClass(c class, known map[string]int32) int32 {
	key := []byte{0}
	if c.labels.known {
		key[0] = 1
	}
	for _, s := range b.nodeSel.list {
		key = append(key, byte(matchLabels(s, c.labels)))
	}
	key = appendInts(key, []int32{c.parts[v4], c.parts[v6], c.ports, int32(len(c.from[v4])), int32(len(c.from[v6]))})
	key = appendInts(appendInts(key, c.from[v4]), c.from[v6])
	i, ok := known[string(key)]
	if !ok {
		i = int32(len(b.classes))
		known[string(key)] = i
		b.classes = append(b.classes, c)
	}
	return i
}
