package intent

import (
	"cmp"
	"net/netip"
	"slices"

	"github.com/plumbnet/plumb/snapshot"
	corev1 "k8s.io/api/core/v1"
)

// A pod is a Pod, as the Engine knows it.
type pod struct {
	object *corev1.Pod
	peer   Peer // the node's, of a Pod in its node's network; nobody, of one that has ended
}

// A node is a node that there is an object of, or that a Pod says it runs on.
type node struct {
	name   string
	labels labelled
	peer   Peer
	addrs  []netip.Addr   // of its status, in its order
	ranges []netip.Prefix // of its Pods: its bridge and its tunnels have addresses in them
	ports  []namedPort    // of the Pods in its network
}

// A class is Pods, nodes or addresses that no policy tells apart.
type class struct {
	kind    peerKind
	ns      int32    // of Pods: in builder.namespaces
	words   []int32  // of Pods: their labels, as the vocabulary numbers them
	labels  labelled // of nodes
	parts   [2]int32 // of the spaces; -1: no address of that family, partUnknown: none yet
	from    [2][]int32
	ports   int32 // in Engine.ports
	count   int32 // how many Pods it is of
	program [2]int32
}

// partUnknown is the part of a Pod that has no address yet.
const partUnknown = -2

// New makes an Engine of objects, which must not change as long as it is used.
func New(o *snapshot.Objects) *Engine {
	e := &Engine{objects: o, byAddr: map[netip.Addr]Peer{}, byPod: map[podName]int32{}, byNode: map[string]int32{}, byRange: map[netip.Prefix]int32{}, portNames: map[string]int32{}}
	b := &builder{Engine: e, blockAt: map[string]int32{}, peerSets: map[string]*[2]tri{}, profiles: map[string]int32{}}
	b.readPolicies()
	b.readNamespaces()
	e.space = [2]space{newSpace(v4, b.blocks), newSpace(v6, b.blocks)}
	b.words.learn(b.podSel.list)
	b.addPods()
	b.addNodes()
	b.addHostPods()
	b.addOutside()
	b.evaluate()
	b.compile()
	return e
}

// readPolicies reads all policies, in the order in which they are asked.
func (b *builder) readPolicies() {
	o := b.objects
	for i := range o.ClusterNetworkPolicies {
		b.policies = append(b.policies, b.clusterPolicy(&o.ClusterNetworkPolicies[i]))
	}
	for i := range o.AdminNetworkPolicies {
		b.policies = append(b.policies, b.adminPolicy(&o.AdminNetworkPolicies[i]))
	}
	for i := range o.BaselineAdminNetworkPolicies {
		b.policies = append(b.policies, b.baselinePolicy(&o.BaselineAdminNetworkPolicies[i]))
	}
	for i := range o.NetworkPolicies {
		b.policies = append(b.policies, b.networkPolicy(&o.NetworkPolicies[i]))
	}
	b.otherPolicies()
	slices.SortStableFunc(b.policies, func(x, y policy) int {
		return cmp.Or(cmp.Compare(x.tier, y.tier), cmp.Compare(x.priority, y.priority),
			cmp.Compare(x.kind, y.kind), cmp.Compare(x.namespace, y.namespace), cmp.Compare(x.name, y.name))
	})
	if !o.Have["NetworkPolicy"] {
		b.missing = [2]string{"NetworkPolicy", "NetworkPolicy"}
	}
	b.noPods = !o.Have["Pod"]
}

// readNamespaces numbers the namespaces by name: those that there are objects of, and those that Pods are in.
func (b *builder) readNamespaces() {
	o := b.objects
	b.nsAt = map[string]int32{}
	for i := range o.Namespaces {
		ns := &o.Namespaces[i]
		b.namespaces = append(b.namespaces, labelled{ns.Labels, ns.Name, true})
		b.nsAt[ns.Name] = 0
	}
	for i := range o.Pods {
		if _, ok := b.nsAt[o.Pods[i].Namespace]; !ok {
			b.nsAt[o.Pods[i].Namespace] = 0
			b.namespaces = append(b.namespaces, labelled{name: o.Pods[i].Namespace})
		}
	}
	slices.SortFunc(b.namespaces, func(x, y labelled) int { return cmp.Compare(x.name, y.name) })
	for i, ns := range b.namespaces {
		b.nsAt[ns.name] = int32(i)
	}
}

// ended reports whether a Pod's containers have ended for good. Its address may be another's by now.
func ended(p *corev1.Pod) bool {
	return p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed
}

// addPods puts the Pods into classes. The classes of a namespace stand together.
func (b *builder) addPods() {
	o := b.objects
	b.pods = make([]pod, len(o.Pods))
	order := make([]int32, 0, len(o.Pods))
	for i := range o.Pods {
		p := &o.Pods[i]
		b.pods[i].object = p
		b.byPod[podName{p.Namespace, p.Name}] = int32(i)
		if !ended(p) && !p.Spec.HostNetwork {
			order = append(order, int32(i))
		}
	}
	nsOf := func(i int32) int32 { return b.nsAt[o.Pods[i].Namespace] }
	slices.SortStableFunc(order, func(x, y int32) int { return cmp.Compare(nsOf(x), nsOf(y)) })
	b.nsRange = make([][2]int32, len(b.namespaces))
	b.ports = [][]namedPort{nil}
	known := map[string]int32{}
	var key []byte
	ns := int32(-1)
	for _, i := range order {
		if n := nsOf(i); n != ns {
			ns = n
			clear(known)
			b.nsRange[ns][0] = int32(len(b.classes))
		}
		b.addPod(i, ns, known, &key)
		b.nsRange[ns][1] = int32(len(b.classes))
	}
	b.podCount = len(b.classes)
}

func (b *builder) addPod(i, ns int32, known map[string]int32, key *[]byte) {
	p := b.pods[i].object
	c := class{kind: isPod, ns: ns, words: b.words.numbers(nil, p.Labels), ports: b.profile(b.podPorts(nil, p))}
	peer := Peer{kind: isPod, at: i, node: -1, maybe: -1, class: [2]int32{-1, -1}}
	addrs := podAddrs(p)
	c.parts = [2]int32{-1, -1}
	if len(addrs) == 0 {
		c.parts = [2]int32{partUnknown, partUnknown}
	}
	for _, a := range slices.Backward(addrs) {
		peer.primary = familyOf(a)
		c.parts[peer.primary] = b.space[peer.primary].find(a)
	}
	*key = appendInts(append((*key)[:0], byte(len(c.words))), c.words)
	*key = appendInts(*key, []int32{c.parts[v4], c.parts[v6], c.ports})
	at, ok := known[string(*key)]
	if !ok {
		at = int32(len(b.classes))
		known[string(*key)] = at
		b.classes = append(b.classes, c)
	}
	b.classes[at].count++
	for f := range peer.class {
		if c.parts[f] != -1 {
			peer.class[f] = at
		}
	}
	b.pods[i].peer = peer
	for _, a := range addrs {
		if _, ok := b.byAddr[a]; !ok {
			b.byAddr[a] = peer.In(familyOf(a) == v6)
		}
	}
}

// podAddrs returns the addresses of a Pod, the first one first.
func podAddrs(p *corev1.Pod) (out []netip.Addr) {
	for _, ip := range p.Status.PodIPs {
		out = appendAddr(out, ip.IP)
	}
	if len(out) == 0 {
		out = appendAddr(out, p.Status.PodIP)
	}
	return out
}

func appendAddr(out []netip.Addr, s string) []netip.Addr {
	if a, err := netip.ParseAddr(s); err == nil {
		return append(out, a.Unmap().WithZone(""))
	}
	return out
}

// podPorts appends the ports of a Pod that some policy names.
func (b *builder) podPorts(out []namedPort, p *corev1.Pod) []namedPort {
	for _, list := range [2][]corev1.Container{p.Spec.InitContainers, p.Spec.Containers} {
		for i := range list {
			for _, c := range list[i].Ports {
				name, ok := b.portNames[c.Name]
				if ok && c.Name != "" && c.ContainerPort > 0 && c.ContainerPort <= 65535 {
					out = append(out, namedPort{name, protoOf(c.Protocol), uint16(c.ContainerPort)})
				}
			}
		}
	}
	return out
}

// profile returns the number of a list of ports.
func (b *builder) profile(list []namedPort) int32 {
	if len(list) == 0 {
		return 0
	}
	slices.SortFunc(list, func(x, y namedPort) int {
		return cmp.Or(cmp.Compare(x.name, y.name), cmp.Compare(x.proto, y.proto), cmp.Compare(x.number, y.number))
	})
	list = slices.Compact(list)
	var key []byte
	for _, p := range list {
		key = append(appendInt(key, p.name), byte(p.proto), byte(p.number>>8), byte(p.number))
	}
	n, ok := b.profiles[string(key)]
	if !ok {
		n = int32(len(b.ports))
		b.profiles[string(key)] = n
		b.ports = append(b.ports, list)
	}
	return n
}

// addOutside makes a class of each part of the spaces.
func (b *builder) addOutside() {
	for f := range b.space {
		for part := range b.space[f].parts {
			c := class{kind: isOutside, ns: -1, parts: [2]int32{-1, -1}}
			c.parts[f] = int32(part)
			b.outside[f] = append(b.outside[f], int32(len(b.classes)))
			b.classes = append(b.classes, c)
		}
	}
}

// policyKinds are the kinds that an Engine reads.
var policyKinds = []string{"Pod", "Namespace", "Node", "NetworkPolicy", "ClusterNetworkPolicy", "AdminNetworkPolicy", "BaselineAdminNetworkPolicy",
	"CiliumNetworkPolicy", "CiliumClusterwideNetworkPolicy", "CalicoNetworkPolicy", "CalicoGlobalNetworkPolicy"}

// Missing returns the kinds of objects that were not collected. Without NetworkPolicies nothing
// is known to be allowed; the policies of the whole cluster, and of CNI plugins, are kinds that
// most clusters do not have, so without them answers suppose that there are none.
func (e *Engine) Missing() (out []string) {
	for _, k := range policyKinds {
		if !e.objects.Have[k] {
			out = append(out, k)
		}
	}
	return out
}
