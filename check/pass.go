package check

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/plumbnet/plumb/network"
	"github.com/plumbnet/plumb/service"
	"github.com/plumbnet/plumb/snapshot"
	corev1 "k8s.io/api/core/v1"
)

// index is what the checks of one Run look up often; each part is made when it is first asked for.
type index struct {
	hosts     map[string]*network.NS
	nodeAddr  map[netip.Addr]*network.NS
	nodes     map[string]*corev1.Node
	podAddr   map[netip.Addr]*corev1.Pod
	podName   map[string]*corev1.Pod
	services  map[netip.Addr]*corev1.Service
	endpoints map[objectName][]service.Endpoint
	broken    []Broken
	brokenSet bool
	lost      []Loss
	memo      map[any]any
}

// Hosts returns the nodes' own namespaces, in the snapshot's order.
func (p *Pass) Hosts() []*network.NS {
	var hosts []*network.NS
	for _, ns := range p.Network.NS {
		if ns.IsHost() {
			hosts = append(hosts, ns)
		}
	}
	return hosts
}

// Host returns a node's own namespace, or nil.
func (p *Pass) Host(node string) *network.NS {
	if p.index.hosts == nil {
		p.index.hosts = map[string]*network.NS{}
		for _, ns := range p.Hosts() {
			p.index.hosts[ns.Node.Name] = ns
		}
	}
	return p.index.hosts[node]
}

// Lacks reports whether one of the files of ns was not collected or not
// understood, and says so.
func (p *Pass) Lacks(ns *network.NS, files ...string) bool {
	lacks := false
	for _, file := range files {
		if why := p.Network.Missing(ns, file); why != "" {
			p.Unjudged(ns.Dir+"/"+file, why)
			lacks = true
		}
	}
	return lacks
}

// NodeObject returns a node's API object, or nil.
func (p *Pass) NodeObject(name string) *corev1.Node {
	if p.index.nodes == nil {
		p.index.nodes = map[string]*corev1.Node{}
		for i := range p.Snapshot.Objects.Nodes {
			o := &p.Snapshot.Objects.Nodes[i]
			p.index.nodes[o.Name] = o
		}
	}
	return p.index.nodes[name]
}

// HostOf returns the namespace of the node that has the address a, or nil: of several, that of the node
// that the API knows by it, else the first.
func (p *Pass) HostOf(a netip.Addr) *network.NS {
	if p.index.nodeAddr == nil {
		p.index.nodeAddr = map[netip.Addr]*network.NS{}
		for _, ns := range p.Hosts() {
			p.indexOwn(ns)
		}
		for _, ns := range p.Hosts() {
			p.indexAddrs(ns)
		}
	}
	return p.index.nodeAddr[a.Unmap()]
}

// indexOwn indexes the addresses that the API knows the node by, where it has them.
func (p *Pass) indexOwn(ns *network.NS) {
	o := p.NodeObject(ns.Node.Name)
	if o == nil {
		return
	}
	for _, a := range NodeAddrs(o) {
		if LinkWith(ns, a) != nil && p.index.nodeAddr[a] == nil {
			p.index.nodeAddr[a] = ns
		}
	}
}

func (p *Pass) indexAddrs(ns *network.NS) {
	for _, l := range ns.Links {
		for _, a := range l.Addrs {
			if a.Local.IsLoopback() || a.Local.IsLinkLocalUnicast() || p.index.nodeAddr[a.Local] != nil {
				continue
			}
			p.index.nodeAddr[a.Local] = ns
		}
	}
}

// PodByName returns the Pod "namespace/name", or nil.
func (p *Pass) PodByName(name string) *corev1.Pod {
	p.indexPods()
	return p.index.podName[name]
}

// PodByAddr returns the running Pod with the address a that is not its node's, or nil.
func (p *Pass) PodByAddr(a netip.Addr) *corev1.Pod {
	p.indexPods()
	return p.index.podAddr[a.Unmap()]
}

func (p *Pass) indexPods() {
	if p.index.podAddr != nil {
		return
	}
	p.index.podAddr, p.index.podName = map[netip.Addr]*corev1.Pod{}, map[string]*corev1.Pod{}
	for i := range p.Snapshot.Objects.Pods {
		pod := &p.Snapshot.Objects.Pods[i]
		p.index.podName[pod.Namespace+"/"+pod.Name] = pod
		for _, a := range PodAddrs(pod) {
			p.index.podAddr[a] = pod
		}
	}
}

// PodAddrs returns the addresses of a Pod that has a network of its own and has not ended.
func PodAddrs(pod *corev1.Pod) []netip.Addr {
	if pod.Spec.HostNetwork || Ended(pod) {
		return nil
	}
	var out []netip.Addr
	for _, ip := range pod.Status.PodIPs {
		out = appendAddr(out, ip.IP)
	}
	if len(out) == 0 {
		out = appendAddr(out, pod.Status.PodIP)
	}
	return out
}

func appendAddr(out []netip.Addr, s string) []netip.Addr {
	if a, err := netip.ParseAddr(s); err == nil {
		return append(out, a.Unmap())
	}
	return out
}

// Ended reports whether a Pod's containers have ended for good; its address may be another's by now.
func Ended(pod *corev1.Pod) bool {
	return pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed
}

// Ready reports whether a Pod's condition Ready is true.
func Ready(pod *corev1.Pod) bool {
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

// NodeAddrs returns the InternalIPs of a node, as the API has them.
func NodeAddrs(o *corev1.Node) []netip.Addr {
	var out []netip.Addr
	for _, a := range o.Status.Addresses {
		if a.Type == corev1.NodeInternalIP {
			out = appendAddr(out, a.Address)
		}
	}
	return out
}

// PodCIDRs returns the Pod ranges of a node.
func PodCIDRs(o *corev1.Node) []netip.Prefix {
	specs := o.Spec.PodCIDRs
	if len(specs) == 0 && o.Spec.PodCIDR != "" {
		specs = []string{o.Spec.PodCIDR}
	}
	var out []netip.Prefix
	for _, s := range specs {
		if c, err := netip.ParsePrefix(s); err == nil {
			out = append(out, c.Masked())
		}
	}
	return out
}

// LinkOf returns the device of ns with the name, or nil.
func LinkOf(ns *network.NS, name string) *snapshot.Link {
	for i := range ns.Links {
		if ns.Links[i].Name == name {
			return &ns.Links[i]
		}
	}
	return nil
}

// UplinkOf returns the device by which a node reaches other nodes: the one
// that has the node's InternalIP, or else that of the default route, or nil.
func (p *Pass) UplinkOf(ns *network.NS) *snapshot.Link {
	if o := p.NodeObject(ns.Node.Name); o != nil {
		for _, a := range NodeAddrs(o) {
			if l := LinkWith(ns, a); l != nil {
				return l
			}
		}
	}
	for _, r := range ns.FIB.Routes {
		if r.Dst.IsValid() && r.Dst.Bits() == 0 && len(r.Hops) > 0 && r.Hops[0].Dev != "" && r.Hops[0].Dev != "lo" {
			return LinkOf(ns, r.Hops[0].Dev)
		}
	}
	return nil
}

// LinkWith returns the device of ns that has the address a, or nil.
func LinkWith(ns *network.NS, a netip.Addr) *snapshot.Link {
	for i := range ns.Links {
		for _, la := range ns.Links[i].Addrs {
			if la.Local == a {
				return &ns.Links[i]
			}
		}
	}
	return nil
}

// HasFlag reports whether a device has a flag: "UP", "LOWER_UP", "NO-CARRIER".
func HasFlag(l *snapshot.Link, flag string) bool {
	return slices.Contains(l.Flags, flag)
}

// Place returns "node/netns" or "node/netns/link", the form of Finding.Where.
func Place(ns *network.NS, link string) string {
	if link == "" {
		return ns.String()
	}
	return ns.String() + "/" + link
}

// Conf returns the name of a device's IPv4 sysctl as sysctl prints and takes it,
// with "/" for a "." in the device's name: "net.ipv4.conf.flannel/1.rp_filter".
func Conf(dev, name string) string {
	return "net.ipv4.conf." + strings.ReplaceAll(dev, ".", "/") + "." + name
}

// Once returns what make makes, which is called once in a Run for each key. Keys
// are values of a type of the calling package.
func Once[T any](p *Pass, key any, make func() T) T {
	if v, ok := p.index.memo[key]; ok {
		return v.(T)
	}
	v := make()
	if p.index.memo == nil {
		p.index.memo = map[any]any{}
	}
	p.index.memo[key] = v
	return v
}
