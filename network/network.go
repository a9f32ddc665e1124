// Package network joins the namespaces of a snapshot: which device is at the
// other end of which. It knows veth pairs, bridges, tunnels and uplinks, and
// who owns an address. It knows no policy and sends no packet.
package network

import (
	"net/netip"

	"github.com/plumbnet/plumb/snapshot"
)

// A Network is a cluster's namespaces and the wires between them.
type Network struct {
	Snapshot *snapshot.Cluster
	NS       []*NS // in the order of the snapshot
}

// An NS is one network namespace, and the node that it is on.
type NS struct {
	*snapshot.NetNS
	Node *snapshot.Node
}

// String returns, for example, "node-a/host".
func (n *NS) String() string { return n.Node.Name + "/" + n.Name }

// An Iface is a device in its namespace.
type Iface struct {
	NS   *NS
	Link *snapshot.Link
}

// New joins up the namespaces of c.
func New(c *snapshot.Cluster) *Network { return &Network{Snapshot: c} }

// Host returns a node's own namespace, or nil.
func (n *Network) Host(node string) *NS { return nil }

// Pod returns the namespace of a Pod ("shop/web-0"), or nil. A Pod with
// hostNetwork has its node's. Where the snapshot does not name a namespace's Pod,
// the Pod's addresses tell.
func (n *Network) Pod(name string) *NS { return nil }

// Owners returns the devices that hold the address a, in the snapshot's order.
func (n *Network) Owners(a netip.Addr) []Iface { return nil }
