// Package intent says what the Kubernetes objects ask for: whether the policies of a cluster
// let a connection through, and which of them decides.
//
// It reads NetworkPolicy as its API documents it (networking.k8s.io/v1), ClusterNetworkPolicy
// (policy.networking.k8s.io/v1alpha2) and its predecessors AdminNetworkPolicy and
// BaselineAdminNetworkPolicy (v1alpha1). What the API leaves to the implementation, and what
// was not collected, makes an answer [Unknown]. It judges new connections: answers to them are
// always let through. It knows nothing of what enforces the policies.
//
//	from a Pod: egress                              to a Pod: ingress
//	┌ Admin tier ─┬─ NetworkPolicies ─┬─ Baseline ┐ ┌ Admin tier ─┬─ … ┐
//	│ first match │ select the Pod?   │ first     │ │             │    │
//	│ by priority │ any rule matches? │ match     │ │             │    │ ─► allowed where both sides allow
//	└─ Pass, none ┴─ none selects it ─┴─ none ────┘ └─────────────┴────┘
//
// An [Engine] puts Pods that no selector, address range or port name tells apart into one
// class, and keeps of each rule the set of classes that it matches, as bits. An answer for one
// connection tests a few of these bits; [Engine.AllPairs] joins whole sets.
package intent

import (
	"net/netip"

	"github.com/plumbnet/plumb/packet"
	"github.com/plumbnet/plumb/snapshot"
)

// An Answer says whether the policies let a connection through.
type Answer uint8

// The answers. Unknown is the zero value: the objects do not say, or not all were collected.
const (
	Unknown Answer = iota
	Allowed
	Denied
)

// String returns "unknown", "allowed" or "denied".
func (a Answer) String() string { return [...]string{"unknown", "allowed", "denied"}[a] }

// A Port is what a connection goes to at its destination.
type Port struct {
	Proto  packet.Proto
	Number uint16 // 0 where the protocol has no ports
}

// A Peer is one end of a connection, as an Engine knows it. The zero Peer is nobody.
type Peer struct {
	kind    peerKind
	at      int32      // in Engine.pods or Engine.nodes
	node    int32      // that it runs on, or is; -1 where there is none, or it is not known
	maybe   int32      // the node that may have the address, which the objects do not tell; or -1
	class   [2]int32   // by family; -1 where it has no address of that family
	primary uint8      // the family of its first address
	addr    netip.Addr // that was asked for; of a Pod and a node it need not be valid
}

type peerKind uint8

const (
	nobody peerKind = iota
	isPod
	isNode    // a node, or a Pod in its network
	isOutside // an address that no object has
)

// The families, as they index Peer.class and the like.
const (
	v4 = 0
	v6 = 1
)

func familyOf(a netip.Addr) uint8 {
	if a.Is4() || a.Is4In6() {
		return v4
	}
	return v6
}

// The directions, as seen by the Pod that a policy selects.
const (
	ingress = 0
	egress  = 1
)

// An Engine answers for the objects that it was made of. It does not change, and may be used
// by several at once.
type Engine struct {
	objects    *snapshot.Objects
	policies   []policy
	pods       []pod
	nodes      []node
	byAddr     map[netip.Addr]Peer
	byPod      map[podName]int32
	byNode     map[string]int32
	byRange    map[netip.Prefix]int32 // the nodes' Pod ranges
	lengths    []int                  // of these
	namespaces []labelled             // by name
	classes    []class                // Pods' first, then nodes', then those outside the cluster
	podCount   int                    // how many of the classes are of Pods
	blocks     []block                // of the policies
	space      [2]space
	outside    [2][]int32    // the class of each part of a space
	programs   [2][]*program // by direction
	ports      [][]namedPort // port profiles, as class.ports has them
	portNames  map[string]int32
	missing    [2]string // why nothing is known of a direction, or ""
	noPods     bool      // Pods were not collected: any address may be one's
}

type podName struct{ namespace, name string }

// Pod returns the Pod of that name: its node, where it is in the node's network; false where
// there is none, or it has ended.
func (e *Engine) Pod(namespace, name string) (Peer, bool) {
	i, ok := e.byPod[podName{namespace, name}]
	if !ok {
		return Peer{}, false
	}
	return e.pods[i].peer, e.pods[i].peer.kind != nobody
}

// Node returns the node of that name, false where there is none.
func (e *Engine) Node(name string) (Peer, bool) {
	i, ok := e.byNode[name]
	if !ok {
		return Peer{}, false
	}
	return e.nodes[i].peer, true
}

// Addr returns who has the address: a Pod, a node, or somebody outside the cluster. It must be
// the address that packets have at the Pod that a policy selects: behind a Service the
// endpoint's, after masquerading the node's.
func (e *Engine) Addr(a netip.Addr) Peer {
	a = a.Unmap().WithZone("")
	if p, ok := e.byAddr[a]; ok {
		return p
	}
	if !a.IsValid() {
		return Peer{}
	}
	p := Peer{kind: isOutside, at: -1, node: -1, maybe: e.nodeOfRange(a), class: [2]int32{-1, -1}, primary: familyOf(a), addr: a}
	p.class[p.primary] = e.outside[p.primary][e.space[p.primary].find(a)]
	return p
}

// nodeOfRange returns the node whose Pod range holds a, or -1: its bridge and its tunnels have addresses in it.
func (e *Engine) nodeOfRange(a netip.Addr) int32 {
	for _, n := range e.lengths {
		p, err := a.Prefix(n)
		if err != nil {
			continue // of the other family
		}
		if i, ok := e.byRange[p]; ok {
			return i
		}
	}
	return -1
}

// In returns the peer with its address of one family: IPv6, or IPv4.
func (p Peer) In(is6 bool) Peer {
	f := uint8(v4)
	if is6 {
		f = v6
	}
	p.primary = f
	p.class[1-f] = -1
	return p
}

// Outside reports whether the peer is an address that no object has.
func (p Peer) Outside() bool { return p.kind == isOutside }
