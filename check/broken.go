package check

import (
	"net/netip"
	"slices"

	"github.com/plumbnet/plumb/fib"
	"github.com/plumbnet/plumb/network"
	"github.com/plumbnet/plumb/packet"
	"github.com/plumbnet/plumb/snapshot"
	"github.com/plumbnet/plumb/trace"
	corev1 "k8s.io/api/core/v1"
)

// PathBroken is the name of the check that says where a path dies; findings explain it.
const PathBroken = "path-broken"

// A Broken path is one way of the packet asked about, or of the answer to it, that does not arrive.
type Broken struct {
	Query   trace.Query
	Path    *trace.Path
	Request *trace.Path // of an answer: the way of the request; else nil
}

// Where returns the place where the packet dies, in the form of Finding.Where.
func (b Broken) Where() string { return b.Path.At.String() }

// Symptom returns what a finding must explain to be the cause of this death.
func (b Broken) Symptom() Symptom { return Symptom{PathBroken, b.Where()} }

// Evidence returns what the last step of the packet rests on.
func (b Broken) Evidence() []snapshot.Evidence {
	for i := len(b.Path.Hops) - 1; i >= 0; i-- {
		if steps := b.Path.Hops[i].Steps; len(steps) > 0 {
			return steps[len(steps)-1].Evidence()
		}
	}
	return nil
}

// Stage returns the stage of the last step.
func (b Broken) Stage() trace.Stage {
	for i := len(b.Path.Hops) - 1; i >= 0; i-- {
		if steps := b.Path.Hops[i].Steps; len(steps) > 0 {
			return steps[len(steps)-1].Stage
		}
	}
	return ""
}

// NS returns the namespace in which the packet dies, or nil.
func (p *Pass) NS(at trace.Place) *network.NS {
	for _, ns := range p.Network.NS {
		if ns.Node.Name == at.Node && ns.Name == at.NetNS {
			return ns
		}
	}
	return nil
}

// BrokenPaths returns the ways that do not arrive, of the path asked about or
// else of probes (see [Traced]). Not among them are those
// whose fate is not known, and those too big for a link whose ICMP message
// reaches the sender, who will send smaller packets.
func BrokenPaths(p *Pass) []Broken {
	if p.index.brokenSet {
		return p.index.broken
	}
	p.index.brokenSet = true
	results := Traced(p)
	for i := range results {
		r := &results[i]
		for j := range r.Paths {
			p.addBroken(r.Query, &r.Paths[j])
		}
	}
	return p.index.broken
}

func (p *Pass) addBroken(q trace.Query, path *trace.Path) {
	if p.fails(path) {
		p.index.broken = append(p.index.broken, Broken{Query: q, Path: path})
	}
	for i := range path.Reply {
		if p.fails(&path.Reply[i]) {
			p.index.broken = append(p.index.broken, Broken{Query: q, Path: &path.Reply[i], Request: path})
		}
	}
}

// fails reports whether a packet that takes the path does not arrive.
func (p *Pass) fails(path *trace.Path) bool {
	switch path.End {
	case trace.Unknown, trace.Delivered:
		return false
	case trace.LeftCluster:
		if p.broughtBack(path) || !p.mustStay(path) {
			return false
		}
		p.lose(path, false)
		return true
	case trace.TooBig:
		return !HeardOf(path) && !p.refused(path)
	}
	return true
}

// refused reports whether a packet is too big for the device that its sender
// sends it by: his own kernel tells him so (EMSGSIZE).
func (p *Pass) refused(path *trace.Path) bool {
	if len(path.Hops) != 1 || path.Hops[0].In != "" || path.Final.Inner != nil {
		return false
	}
	ns := p.NS(path.At)
	if ns == nil {
		return false
	}
	d := ns.Iface(path.At.Link)
	return d != nil && path.Final.Size > d.Link.MTU
}

// broughtBack reports whether the packet of a path that left the cluster is supposed to have been brought to where it
// is for, by a router that is not known.
func (p *Pass) broughtBack(path *trace.Path) bool {
	ns := p.NS(path.At)
	return ns != nil && ns.Owner(path.Final.Dst.Addr()) != nil
}

// mustStay reports whether the packet of a path that leaves the cluster is lost
// there. A router outside may know the way to Pods, where nodes do not route to
// each other, a load balancer has its addresses outside, and a cloud's network
// may answer for nodes with a link-layer address of its own.
func (p *Pass) mustStay(path *trace.Path) bool {
	a := path.Final.Dst.Addr()
	if in := path.Final.Inner; in != nil {
		return p.Misled(path)
	}
	if s := p.ServiceOf(a); s != nil {
		return slices.Contains(ClusterIPs(s), a)
	}
	return p.HostOf(a) == nil && p.Inside(a) && p.RoutesDirectly()
}

// Misled reports whether the path's packet carries one for a Pod to an address
// on the node's own link that no node has. Behind a router a node may have
// another address than its own; where a node was not collected, it may be its.
func (p *Pass) Misled(path *trace.Path) bool {
	ns, in := p.NS(path.At), path.Final.Inner
	if in == nil || ns == nil || path.Final.Proto == packet.ICMP || path.Final.Proto == packet.ICMPv6 {
		return false
	}
	d, far := ns.Iface(path.At.Link), path.Final.Dst.Addr()
	return d != nil && d.OnLink(far) && p.HostOf(far) == nil && p.Inside(in.Dst.Addr()) && p.Complete()
}

// Complete reports whether the addresses of all nodes that the API knows were collected.
func (p *Pass) Complete() bool {
	return !slices.ContainsFunc(p.Snapshot.Objects.Nodes, func(o corev1.Node) bool {
		ns := p.Host(o.Name)
		return ns == nil || p.Network.Missing(ns, "addr.json") != ""
	})
}

type directKey struct{}

// RoutesDirectly reports whether nodes are meant to have routes to each other's
// Pods: one has, to an address of the other node or by a VXLAN. Otherwise a
// router outside knows the ranges.
func (p *Pass) RoutesDirectly() bool {
	return Once(p, directKey{}, func() bool { return slices.ContainsFunc(p.Hosts(), p.routesDirectly) })
}

func (p *Pass) routesDirectly(ns *network.NS) bool {
	if len(VTEPs(ns)) > 0 {
		return true
	}
	return slices.ContainsFunc(ns.FIB.Routes, func(r fib.Route) bool {
		if r.Type != fib.Unicast || r.Dst.Bits() == 0 || len(r.Hops) == 0 {
			return false
		}
		node, owner := p.NodeByPodCIDR(r.Dst.Addr()), p.HostOf(r.Hops[0].Via)
		return node != ns.Node.Name && owner != nil && owner.Node.Name == node
	})
}

// HeardOf reports whether the sender of a packet gets the ICMP message about
// its end or, where he is outside, whether the message leaves the cluster.
func HeardOf(path *trace.Path) bool {
	for _, icmp := range path.ICMP {
		if icmp.End == trace.Delivered || icmp.End == trace.LeftCluster {
			return true
		}
	}
	return false
}

// Inside reports whether an address is the cluster's: a Service's, a Pod's, a node's, or in a node's Pod range.
func (p *Pass) Inside(a netip.Addr) bool {
	if p.ServiceOf(a) != nil || p.PodByAddr(a) != nil || p.HostOf(a) != nil {
		return true
	}
	return p.NodeByPodCIDR(a) != ""
}

// NodeByPodCIDR returns the node in whose Pod range a lies, or "".
func (p *Pass) NodeByPodCIDR(a netip.Addr) string {
	first := -1
	for _, c := range p.PodCIDRsOf(a) {
		if i := p.podRanges().node[c]; first < 0 || i < first {
			first = i
		}
	}
	if first < 0 {
		return ""
	}
	return p.Snapshot.Objects.Nodes[first].Name
}

// PodCIDRsOf returns the Pod ranges of nodes in which a lies: one, unless they overlap.
func (p *Pass) PodCIDRsOf(a netip.Addr) (out []netip.Prefix) {
	r := p.podRanges()
	for _, bits := range r.bits {
		c, err := a.Prefix(bits)
		if _, ok := r.node[c]; ok && err == nil {
			out = append(out, c)
		}
	}
	return out
}

// podRanges are the Pod ranges of all nodes, to be found by an address that lies in them.
type podRanges struct {
	node map[netip.Prefix]int // the first one with it, by its place among the Node objects
	bits []int                // their lengths, each one once: clusters have one or two
}

func (p *Pass) podRanges() *podRanges {
	type key struct{}
	return Once(p, key{}, func() *podRanges {
		r := &podRanges{node: map[netip.Prefix]int{}}
		for i := range p.Snapshot.Objects.Nodes {
			for _, c := range PodCIDRs(&p.Snapshot.Objects.Nodes[i]) {
				if _, dup := r.node[c]; dup {
					continue
				}
				r.node[c] = i
				if !slices.Contains(r.bits, c.Bits()) {
					r.bits = append(r.bits, c.Bits())
				}
			}
		}
		return r
	})
}

// Within reports whether c is a part of the Pod range of a node.
func (p *Pass) Within(node string, c netip.Prefix) bool {
	o := p.NodeObject(node)
	return o != nil && slices.ContainsFunc(PodCIDRs(o), func(r netip.Prefix) bool { return r.Bits() <= c.Bits() && r.Contains(c.Addr()) })
}

// DiesOf returns the broken paths that end in one of fates.
func DiesOf(p *Pass, fates ...trace.Fate) []Broken {
	var out []Broken
	for _, b := range BrokenPaths(p) {
		if slices.Contains(fates, b.Path.End) {
			out = append(out, b)
		}
	}
	return out
}

// Met reports whether the packet of a broken path, as it died, was going to
// the address: as the inner packet, where it died inside a tunnel.
func (b Broken) Met(a netip.Addr) bool {
	for f := &b.Path.Final; f != nil; f = f.Inner {
		if f.Dst.Addr() == a && f.Proto != packet.ICMP {
			return true
		}
	}
	return false
}

// Went reports whether the packet was at any time on its way to a, in a tunnel's outer header too.
func (b Broken) Went(a netip.Addr) bool {
	for _, h := range b.Path.Hops {
		for _, s := range h.Steps {
			for f := s.Out; f != nil; f = f.Inner {
				if f.Dst.Addr() == a {
					return true
				}
			}
		}
	}
	return b.Met(a)
}

// TooLarge reports whether the packet died of its size.
func TooLarge(b Broken) bool { return b.Path.End == trace.TooBig }
