// Package network joins the namespaces of a snapshot: which device is at the
// other end of which. It knows veth pairs, bridges, tunnels and uplinks, and
// who owns an address. It knows no policy and sends no packet.
//
// What it says of wires rests on device indexes and namespace ids, never on
// names; where they do not tell, the other end is not known, and why.
package network

import (
	"net/netip"
	"path"

	"github.com/plumbnet/plumb/packet"
	"github.com/plumbnet/plumb/snapshot"
)

// A Network is a cluster's namespaces and the wires between them.
type Network struct {
	Snapshot *snapshot.Cluster
	NS       []*NS // in the order of the snapshot

	hosts   map[string]*NS
	pods    map[string]*NS
	owners  map[netip.Addr][]*Iface
	uplinks []*Iface
	behind  map[packet.MAC][]*Iface // uplinks by the link-layer addresses that answer behind them
	missing map[string]string       // gaps by path
	absent  map[netip.Addr]string   // who has an address, and was not collected
}

// New joins up the namespaces of c.
func New(c *snapshot.Cluster) *Network {
	n := &Network{
		Snapshot: c,
		hosts:    map[string]*NS{},
		pods:     map[string]*NS{},
		owners:   map[netip.Addr][]*Iface{},
		behind:   map[packet.MAC][]*Iface{},
		missing:  map[string]string{},
		absent:   map[netip.Addr]string{},
	}
	for _, g := range c.Gaps {
		n.missing[g.Path] = g.Why
	}
	for _, node := range c.Nodes {
		for _, ns := range node.NetNS {
			n.add(newNS(len(n.NS), node, ns))
		}
	}
	n.namePods()
	n.joinAll()
	n.findUplinks()
	return n
}

func (n *Network) add(ns *NS) {
	n.NS = append(n.NS, ns)
	if ns.FIB.Built == nil {
		ns.FIB.Index()
	}
	ns.noRoutes = [2]string{n.routesMissing(ns, "addr.json", "routes.json", "rules.json"), n.routesMissing(ns, "addr.json", "routes6.json", "rules6.json")}
	ns.noRules = [2]string{n.rulesMissing(ns, false), n.rulesMissing(ns, true)}
	if ns.IsHost() && n.hosts[ns.Node.Name] == nil {
		n.hosts[ns.Node.Name] = ns
	}
	for _, d := range ns.Ifaces {
		for _, a := range d.Link.Addrs {
			if a.Local.IsValid() {
				n.owners[a.Local] = append(n.owners[a.Local], d)
			}
		}
	}
}

// routesMissing says why not all that a route lookup rests on was read: a source address is among it.
func (n *Network) routesMissing(ns *NS, files ...string) string {
	for _, f := range files {
		if why := n.Missing(ns, f); why != "" {
			return f + ": " + why
		}
	}
	return ""
}

// rulesMissing says which rules that a packet of a family passes were not read, though there may be some. A file of which
// a part was read is not missing.
func (n *Network) rulesMissing(ns *NS, v6 bool) string {
	read := map[string]bool{"nft.json": len(ns.Netfilter.NFTables) > 0}
	for _, t := range ns.Netfilter.Tables {
		read[path.Base(t.File)] = true
	}
	files := []string{"iptables", "iptables-legacy", "nft.json", "ipvs"}
	if v6 {
		files[0], files[1] = "ip6tables", "ip6tables-legacy"
	}
	for _, f := range files {
		if why := n.Missing(ns, f); why != "" && !read[f] {
			return f + ": " + why
		}
	}
	return ""
}

// namePods fills the names of Pods: what a namespace says of itself, else what the snapshot knows of its addresses.
func (n *Network) namePods() {
	for _, ns := range n.NS {
		if ns.NetNS.Pod != "" && n.pods[ns.NetNS.Pod] == nil {
			n.pods[ns.NetNS.Pod] = ns
		}
	}
	places := n.Snapshot.PodPlaces()
	for i := range places {
		p := &places[i]
		if n.pods[p.Name] != nil {
			continue
		}
		if ns := n.place(p); ns != nil {
			n.pods[p.Name] = ns
			if ns.PodName == "" && !ns.IsHost() {
				ns.PodName = p.Name
			}
			continue
		}
		n.addAbsent(holder(p), p.Addrs)
	}
	for _, p := range n.Snapshot.NodePlaces() {
		if host := n.hosts[p.Name]; host != nil && n.Missing(host, "addr.json") == "" {
			continue // it was collected, and has lost the address
		}
		n.addAbsent("node "+p.Name, p.Addrs)
	}
}

// holder names who has the addresses of a Pod: with hostNetwork, they are its node's.
func holder(p *snapshot.PodPlace) string {
	if p.HostNetwork && p.Node != "" {
		return "node " + p.Node
	}
	return "Pod " + p.Name
}

func (n *Network) addAbsent(who string, addrs []netip.Addr) {
	for _, a := range addrs {
		if len(n.owners[a]) == 0 && n.absent[a] == "" {
			n.absent[a] = who
		}
	}
}

func (n *Network) place(p *snapshot.PodPlace) *NS {
	if p.HostNetwork {
		return n.hosts[p.Node]
	}
	for _, a := range p.Addrs {
		for _, d := range n.owners[a] {
			if !d.NS.IsHost() && (p.Node == "" || d.NS.Node.Name == p.Node) {
				return d.NS
			}
		}
	}
	return nil
}

// Host returns a node's own namespace, or nil.
func (n *Network) Host(node string) *NS { return n.hosts[node] }

// Pod returns the namespace of a Pod ("shop/web-0"), or nil. A Pod with
// hostNetwork has its node's. Where the snapshot does not name a namespace's Pod,
// the Pod's addresses tell.
func (n *Network) Pod(name string) *NS { return n.pods[name] }

// Owners returns the devices that hold the address a, in the snapshot's order.
func (n *Network) Owners(a netip.Addr) []*Iface { return n.owners[a] }

// Missing returns why a file of a namespace ("sockets") is not in the snapshot, or "".
func (n *Network) Missing(ns *NS, file string) string { return n.missing[ns.Dir+"/"+file] }

// Uncollected returns what is known to have the address a though its namespace is not in the snapshot: "Pod shop/web-0", or "".
func (n *Network) Uncollected(a netip.Addr) string { return n.absent[a] }
