package intent

import (
	"cmp"
	"net/netip"
	"slices"
)

// This file puts Pods, nodes and addresses into classes that neither of two Engines tells
// apart, and names what is in them.

// A joint is one of these classes: a class of each Engine.
type joint struct {
	kind  peerKind
	class [2]int32
	pods  []int32     // in the old Engine
	nodes []string    // their names
	cuts  []addrRange // of addresses outside the cluster
	named bool        // a policy of one of the two names them
}

// An addrRange is addresses from one to another, both included.
type addrRange struct{ from, to netip.Addr }

// String returns "10.0.0.0/8" or, where it is no prefix, "10.0.0.0-10.9.255.255".
func (r addrRange) String() string {
	for bits := range r.from.BitLen() + 1 {
		if p := netip.PrefixFrom(r.from, bits); p.Masked() == p && last(p) == r.to {
			return p.String()
		}
	}
	return r.from.String() + "-" + r.to.String()
}

// jointer makes the joints of a family.
type jointer struct {
	engines [2]*Engine
	family  uint8
	known   map[[2]int32]int32
	list    []joint
}

// joints returns the joint classes of what both Engines know and has an address of the family:
// Pods first. A Pod that is in its node's network in one of them is left out.
func joints(engines [2]*Engine, family uint8) []joint {
	x := &jointer{engines: engines, family: family, known: map[[2]int32]int32{}}
	was, is := engines[0], engines[1]
	for i := range was.pods {
		o := was.pods[i].object
		j, ok := is.byPod[podName{o.Namespace, o.Name}]
		if ok && was.pods[i].peer.kind == isPod && is.pods[j].peer.kind == isPod {
			if at, ok := x.at(isPod, was.pods[i].peer.class[family], is.pods[j].peer.class[family]); ok {
				x.list[at].pods = append(x.list[at].pods, int32(i))
			}
		}
	}
	for i := range was.nodes {
		n := &was.nodes[i]
		if j, ok := is.byNode[n.name]; ok {
			if at, ok := x.at(isNode, n.peer.class[family], is.nodes[j].peer.class[family]); ok {
				x.list[at].nodes = append(x.list[at].nodes, n.name)
			}
		}
	}
	x.outside()
	return x.list
}

// at returns the joint of two classes, false where there is no address of the family.
func (x *jointer) at(kind peerKind, was, is int32) (int32, bool) {
	if was < 0 || is < 0 {
		return 0, false
	}
	key := [2]int32{was, is}
	at, ok := x.known[key]
	if !ok {
		at = int32(len(x.list))
		x.known[key] = at
		x.list = append(x.list, joint{kind: kind, class: key})
	}
	return at, true
}

// outside adds the parts into which both Engines cut the addresses.
func (x *jointer) outside() {
	var spaces [2]*space
	for k, e := range x.engines {
		spaces[k] = &e.space[x.family]
	}
	starts := slices.Concat(spaces[0].starts, spaces[1].starts)
	slices.SortFunc(starts, netip.Addr.Compare)
	starts = slices.Compact(starts)
	for i, a := range starts {
		part := [2]int32{spaces[0].find(a), spaces[1].find(a)}
		at, _ := x.at(isOutside, x.engines[0].outside[x.family][part[0]], x.engines[1].outside[x.family][part[1]])
		r := addrRange{a, last(netip.PrefixFrom(a, 0))}
		if i+1 < len(starts) {
			r.to = starts[i+1].Prev()
		}
		j := &x.list[at]
		j.named = len(spaces[0].parts[part[0]])+len(spaces[1].parts[part[1]]) > 0
		if n := len(j.cuts); n > 0 && j.cuts[n-1].to.Next() == a {
			j.cuts[n-1].to = r.to
			continue
		}
		j.cuts = append(j.cuts, r)
	}
}

// Outside is the kind of the Member that stands for all addresses outside the cluster.
const Outside = "Outside"

// A namer names what is in joints.
type namer struct {
	engine *Engine
	joints []joint
	owners []Member // the workloads, sorted, with none of their Pods
	owner  []int32  // of each Pod, in owners
	ranges int      // how many joints are of addresses outside
}

func newNamer(e *Engine, joints []joint) *namer {
	n := &namer{engine: e, joints: joints, owner: make([]int32, len(e.pods))}
	owners, total := e.owners(), map[workload]int{}
	for i := range joints {
		if joints[i].kind == isOutside {
			n.ranges++
		}
		for _, p := range joints[i].pods {
			total[owners.of(e.pods[p].object)]++
		}
	}
	for w, count := range total { // they are sorted below
		n.owners = append(n.owners, Member{w.namespace, w.kind, w.name, 0, count})
	}
	slices.SortFunc(n.owners, compareMembers)
	at := make(map[workload]int32, len(n.owners))
	for i, m := range n.owners {
		at[workload{m.Namespace, m.Kind, m.Name}] = int32(i)
	}
	for i := range e.pods {
		n.owner[i] = at[owners.of(e.pods[i].object)]
	}
	return n
}

// members returns the workloads, nodes and ranges in some of the joints, sorted.
func (n *namer) members(list []int32) (out []Member) {
	pods, outside := make([]int, len(n.owners)), 0
	for _, i := range list {
		if n.joints[i].kind == isOutside {
			outside++
		}
	}
	if outside == n.ranges {
		out = append(out, Member{Kind: Outside})
	}
	for _, i := range list {
		j := &n.joints[i]
		for _, p := range j.pods {
			pods[n.owner[p]]++
		}
		for _, name := range j.nodes {
			out = append(out, Member{Kind: "Node", Name: name})
		}
		switch {
		case j.kind == isOutside && outside == n.ranges:
			continue
		case j.kind == isOutside && !j.named:
			out = append(out, Member{})
			continue
		}
		for _, r := range j.cuts {
			out = append(out, Member{Name: r.String()})
		}
	}
	slices.SortFunc(out, func(a, b Member) int { // nodes before addresses
		return cmp.Or(cmp.Compare(place(a), place(b)), compareMembers(a, b))
	})
	var workloads []Member
	for i, count := range pods {
		if count > 0 {
			m := n.owners[i]
			m.Pods = count
			workloads = append(workloads, m)
		}
	}
	return append(workloads, out...)
}

func place(m Member) int {
	if m.Kind == "Node" {
		return 0
	}
	return 1
}
