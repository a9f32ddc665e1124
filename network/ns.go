package network

import (
	"net/netip"

	"github.com/plumbnet/plumb/fib"
	"github.com/plumbnet/plumb/packet"
	"github.com/plumbnet/plumb/snapshot"
)

// An NS is one network namespace, and the node that it is on.
type NS struct {
	*snapshot.NetNS
	Node    *snapshot.Node
	Index   int      // in Network.NS
	PodName string   // the Pod whose namespace it is, where known: by its own word or by the Pod's addresses
	Ifaces  []*Iface // in the order of Links

	byName   map[string]*Iface
	byIndex  map[int]*Iface
	neighs   map[neighKey]*fib.Neigh
	fdb      map[fdbKey][]*fib.FDBEntry
	local    map[netip.Addr]*Iface
	sockets  map[sockKey][]*snapshot.Socket
	Conf     Conf
	full     string // "node-a/host"
	prefix   string
	noRoutes [2]string // why the routes of IPv4 and IPv6 are not known, or ""
	noRules  [2]string // why the rules of IPv4 and IPv6 are not known, or ""
}

type neighKey struct {
	dev string
	dst netip.Addr
}

type fdbKey struct {
	dev string // the bridge, or the VXLAN device
	mac packet.MAC
}

type sockKey struct {
	proto packet.Proto
	port  uint16
}

// hostNS is the name that the snapshot gives a node's own namespace.
const hostNS = "host"

func newNS(i int, node *snapshot.Node, s *snapshot.NetNS) *NS {
	ns := &NS{
		NetNS: s, Node: node, Index: i, PodName: s.Pod,
		byName:  make(map[string]*Iface, len(s.Links)),
		byIndex: make(map[int]*Iface, len(s.Links)),
		neighs:  make(map[neighKey]*fib.Neigh, len(s.FIB.Neighs)),
		fdb:     make(map[fdbKey][]*fib.FDBEntry, len(s.FIB.FDB)),
		local:   map[netip.Addr]*Iface{},
		sockets: map[sockKey][]*snapshot.Socket{},
	}
	ns.Conf = readConf(s)
	ns.full = node.Name + "/" + s.Name
	ns.prefix = s.Enter()
	for i := range s.Links {
		ns.addLink(&s.Links[i])
	}
	for i := range s.FIB.Neighs {
		e := &s.FIB.Neighs[i]
		k := neighKey{e.Dev, e.Dst}
		if ns.neighs[k] == nil || ns.neighs[k].Proxy {
			ns.neighs[k] = e
		}
	}
	for i := range s.FIB.FDB {
		e := &s.FIB.FDB[i]
		ns.addFDB(e)
	}
	for i := range s.Sockets {
		k := sockKey{s.Sockets[i].Proto, s.Sockets[i].Local.Port()}
		ns.sockets[k] = append(ns.sockets[k], &s.Sockets[i])
	}
	return ns
}

func (n *NS) addLink(l *snapshot.Link) {
	d := newIface(n, l)
	n.Ifaces = append(n.Ifaces, d)
	n.byName[l.Name] = d
	n.byIndex[l.Index] = d
	for _, a := range l.Addrs {
		if n.local[a.Local] == nil {
			n.local[a.Local] = d
		}
	}
}

// addFDB indexes an entry: a bridge's under the bridge, a VXLAN device's own under the device.
func (n *NS) addFDB(e *fib.FDBEntry) {
	dev := e.Dev
	if e.Master != "" && !e.Dst.IsValid() && e.NHID == 0 {
		dev = e.Master
	}
	k := fdbKey{dev, e.MAC}
	n.fdb[k] = append(n.fdb[k], e)
}

// String returns, for example, "node-a/host".
func (n *NS) String() string { return n.full }

// Prefix returns what a person puts before a command to run it in the namespace; "" in the node's own.
func (n *NS) Prefix() string { return n.prefix }

// IsHost reports whether it is the node's own namespace.
func (n *NS) IsHost() bool { return n.Name == hostNS }

// Iface returns the device of that name, or nil.
func (n *NS) Iface(name string) *Iface { return n.byName[name] }

// Owner returns a device of the namespace that holds the address, or nil.
func (n *NS) Owner(a netip.Addr) *Iface { return n.local[a] }

// RoutesMissing returns why the routes or policy rules of a family are not all known, or "".
func (n *NS) RoutesMissing(v6 bool) string {
	if v6 {
		return n.noRoutes[1]
	}
	return n.noRoutes[0]
}

// RulesMissing returns why the iptables rules of a family are not known, or "".
func (n *NS) RulesMissing(v6 bool) string {
	if v6 {
		return n.noRules[1]
	}
	return n.noRules[0]
}

// Neigh returns the neighbour entry for an address on a device, or nil.
func (n *NS) Neigh(dev string, a netip.Addr) *fib.Neigh { return n.neighs[neighKey{dev, a}] }

// FDB returns the forwarding entries for a link-layer address: of a bridge, or
// of a VXLAN device, where the zero MAC asks for the default entries.
func (n *NS) FDB(dev string, mac packet.MAC) []*fib.FDBEntry { return n.fdb[fdbKey{dev, mac}] }

// SocketsOn returns the sockets on a port, in the snapshot's order.
func (n *NS) SocketsOn(proto packet.Proto, port uint16) []*snapshot.Socket {
	return n.sockets[sockKey{proto, port}]
}
