package policy

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/plumbnet/plumb/check"
	"github.com/plumbnet/plumb/intent"
	"github.com/plumbnet/plumb/network"
	"github.com/plumbnet/plumb/snapshot"
	"github.com/plumbnet/plumb/trace"
	corev1 "k8s.io/api/core/v1"
)

// The sweep asks, where nobody asked about a path, whether the nodes keep what the policies say. It does not try pairs
// of Pods: on each node it takes one of the Pods that have the same namespace and labels, which no policy tells apart, and
// for each rule of their policies one connection that it is for, and a few that none allows. So its work grows with
// the kinds of Pods on each node and the rules that select them.
const (
	maxTried = 20000 // connections
	maxPeers = 100   // kinds of Pods at the far end
	maxBlock = 16    // addresses outside that policies name
)

// A swept Pod is one that stands for all of its kind on its node.
type swept struct {
	pod  *corev1.Pod
	ns   *network.NS
	peer intent.Peer
}

// A sweep is what became of the connections that were tried.
type sweep struct {
	*check.Pass
	engine  *intent.Engine
	kinds   [][]swept     // by kind, one of each node
	near    map[place]int // in its kind
	outside []netip.Addr
	results []trace.Result
	left    int // Pods that were not tried, for there were too many
}

// A place is a kind of Pods on a node.
type place struct {
	kind int
	node *snapshot.Node
}

type sweepKey struct{}

// observed returns what is known of packets: those asked about or, where none was, those of the sweep.
func observed(p *check.Pass) []trace.Result {
	if len(p.Results) > 0 {
		return p.Results
	}
	return sweepOf(p).results
}

func sweepOf(p *check.Pass) *sweep {
	return check.Once(p, sweepKey{}, func() *sweep {
		s := &sweep{Pass: p, engine: engine(p)}
		if s.engine == nil {
			return s
		}
		s.collect()
		s.blocks()
		for j, more := 0, true; more; j++ { // all kinds on one node each, before any on another
			more = false
			for i, kind := range s.kinds {
				if j < len(kind) {
					more = true
					s.try(&kind[j], i+j)
				}
			}
		}
		return s
	})
}

// collect finds the Pods that stand for others.
func (s *sweep) collect() {
	at := map[string]int{}
	s.near = map[place]int{}
	for i := range s.Snapshot.Objects.Pods {
		pod := &s.Snapshot.Objects.Pods[i]
		ns := s.Network.Pod(pod.Namespace + "/" + pod.Name)
		peer, ok := s.engine.Pod(pod.Namespace, pod.Name)
		if ns == nil || !ok || len(check.PodAddrs(pod)) == 0 || s.Host(ns.Node.Name) == nil {
			continue
		}
		kind := kindOf(pod)
		n, known := at[kind]
		if !known {
			n, at[kind] = len(s.kinds), len(s.kinds)
			s.kinds = append(s.kinds, nil)
		}
		if _, dup := s.near[place{n, ns.Node}]; !dup {
			s.near[place{n, ns.Node}] = len(s.kinds[n])
			s.kinds[n] = append(s.kinds[n], swept{pod, ns, peer})
		}
	}
}

// kindOf returns what no policy tells Pods apart by that have it in common.
func kindOf(pod *corev1.Pod) string {
	var b strings.Builder
	b.WriteString(pod.Namespace)
	for _, k := range slices.Sorted(maps.Keys(pod.Labels)) {
		fmt.Fprintf(&b, " %s=%s", k, pod.Labels[k])
	}
	return b.String()
}

// blocks finds addresses outside that egress rules are for.
func (s *sweep) blocks() {
	s.outside = []netip.Addr{check.Outside(false), check.Outside(true)}
	for i := range s.Snapshot.Objects.NetworkPolicies {
		for _, r := range s.Snapshot.Objects.NetworkPolicies[i].Spec.Egress {
			for _, to := range r.To {
				if to.IPBlock == nil || len(s.outside) >= maxBlock {
					continue
				}
				c, err := netip.ParsePrefix(to.IPBlock.CIDR)
				if err == nil && c.Bits() > 0 && !s.Inside(c.Masked().Addr()) {
					s.outside = append(s.outside, c.Masked().Addr())
				}
			}
		}
	}
}

// An end is the far end of a connection: a Pod, or an address outside.
type end struct {
	ns   *network.NS
	addr [2]netip.Addr // by family
}

// try tries the connections of a Pod. Each begins its search for far ends with another kind of Pods.
func (s *sweep) try(x *swept, turn int) {
	how := enforcer(s.Pass, s.Host(x.ns.Node.Name))
	if how == byOther {
		return // said once, of the node
	}
	if len(s.results) >= maxTried {
		s.left++
		return
	}
	for _, sends := range []bool{false, true} {
		if how == byNobody && !s.engine.Limits(x.peer, sends) {
			continue
		}
		far, near := s.peers(x, turn, sends)
		s.connect(x, sends, far)
		s.connect(x, sends, near)
	}
}

// A group is far ends, as policies and as the network know them.
type group struct {
	peers []intent.Peer
	ends  []end
}

func (g *group) add(p intent.Peer, e end) {
	g.peers, g.ends = append(g.peers, p), append(g.ends, e)
}

// peers returns a Pod of each kind on another node, and one on the same.
func (s *sweep) peers(x *swept, turn int, sends bool) (far, near group) {
	for i := range min(maxPeers, len(s.kinds)) {
		k := (turn + i) % len(s.kinds)
		kind := s.kinds[k]
		for j := range kind {
			o := &kind[(turn+j)%len(kind)]
			if o.pod != x.pod && o.ns.Node != x.ns.Node {
				far.add(o.peer, endOf(o))
				break
			}
		}
		if j, ok := s.near[place{k, x.ns.Node}]; ok && kind[j].pod != x.pod {
			near.add(kind[j].peer, endOf(&kind[j]))
		}
	}
	for _, a := range s.outside {
		if p := s.engine.Addr(a); sends && p.Outside() {
			e := end{}
			e.addr[familyOf(a)] = a
			far.add(p, e)
		}
	}
	return far, near
}

func endOf(o *swept) (e end) {
	e.ns = o.ns
	for _, a := range check.PodAddrs(o.pod) {
		if f := familyOf(a); !e.addr[f].IsValid() {
			e.addr[f] = a
		}
	}
	return e
}

func familyOf(a netip.Addr) int {
	if a.Is6() {
		return 1
	}
	return 0
}

// connect follows the first packet of each connection.
func (s *sweep) connect(x *swept, sends bool, g group) {
	own := endOf(x)
	for f, is6 := range []bool{false, true} {
		if !own.addr[f].IsValid() {
			continue
		}
		for _, c := range s.engine.Samples(x.peer, sends, is6, g.peers) {
			from, to := g.ends[c.Peer], own
			if sends {
				from, to = own, from
			}
			if !to.addr[f].IsValid() || from.ns == nil {
				continue
			}
			s.results = append(s.results, trace.Run(s.Network, trace.Query{
				From: from.ns, Src: from.addr[f], Dst: netip.AddrPortFrom(to.addr[f], c.Port.Number), Proto: c.Port.Proto, OneWay: true}))
		}
	}
}

// unjudged says what the sweep could not judge.
func unjudged(p *check.Pass) {
	if len(p.Results) > 0 || engine(p) == nil {
		return
	}
	s := sweepOf(p)
	if s.left > 0 {
		p.Unjudged("policies", fmt.Sprintf("%d kinds of Pods were not tried, after %d connections of others", s.left, len(s.results)))
	}
	for _, ns := range p.Hosts() {
		if enforcer(p, ns) == byOther && p.HostsPods(ns) {
			p.Unjudged(ns.String(), "what enforces policies here is not a rule of netfilter, and is not understood")
		}
	}
	lost := map[string]int{}
	for _, r := range s.results {
		if len(r.Paths) > 0 && r.Paths[0].End == trace.Unknown {
			lost[r.Paths[0].At.String()]++
		}
	}
	for _, at := range slices.Sorted(maps.Keys(lost)) {
		p.Unjudged(at, fmt.Sprintf("what becomes of %d of the %d connections that were tried is not known", lost[at], len(s.results)))
	}
}
