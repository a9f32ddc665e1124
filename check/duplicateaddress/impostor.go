package duplicateaddress

import (
	"net/netip"
	"slices"

	"github.com/plumbnet/plumb/check"
	"github.com/plumbnet/plumb/fib"
	"github.com/plumbnet/plumb/network"
	"github.com/plumbnet/plumb/snapshot"
	"github.com/plumbnet/plumb/text"
	"github.com/plumbnet/plumb/trace"
	corev1 "k8s.io/api/core/v1"
)

// impostors reports machines of which there is no snapshot that answer for the address of a node:
// another node's neighbour entry holds a link-layer address that nobody is known by.
func impostors(p *check.Pass, ns *network.NS) {
	for i := range ns.FIB.Neighs {
		e := &ns.FIB.Neighs[i]
		if d := rightfulOwner(p, ns, e); d != nil {
			p.Report(answered(p, ns, e, d))
		}
	}
}

// rightfulOwner returns the uplink of another node on the same link whose address a neighbour entry
// is of, where the entry holds a link-layer address of which nothing is known; else nil. What answers
// for several addresses is a router, or a network that hides its hosts.
func rightfulOwner(p *check.Pass, ns *network.NS, e *fib.Neigh) *network.Iface {
	holds := e.MAC.IsZero() || e.Proxy || e.State == "FAILED" || e.State == "INCOMPLETE" || e.State == "NONE" || e.State == "NOARP"
	owners := p.Network.Owners(e.Dst)
	if holds || len(owners) != 1 || len(p.Network.Behind(e.MAC)) > 0 {
		return nil
	}
	d := owners[0]
	if !d.NS.IsHost() || d.NS == ns || d.Link.MAC.IsZero() || d.Link.MAC == e.MAC || !ownsByAPI(p, d, e.Dst) || !sameLink(ns, e.Dev, d) {
		return nil
	}
	if !alone(p, ns, e) {
		return nil
	}
	return d
}

// alone reports whether the one that answers for an address answers for no other, or is a node and
// answers for its own beside.
func alone(p *check.Pass, ns *network.NS, e *fib.Neigh) bool {
	var others []netip.Addr
	for i := range ns.FIB.Neighs {
		if o := &ns.FIB.Neighs[i]; o.MAC == e.MAC && o.Dev == e.Dev && o.Dst != e.Dst && o.Dst.Is4() == e.Dst.Is4() {
			others = append(others, o.Dst)
		}
	}
	ofNode := func(a netip.Addr) bool {
		return slices.ContainsFunc(p.Snapshot.Objects.Nodes, func(n corev1.Node) bool { return slices.Contains(check.NodeAddrs(&n), a) })
	}
	return len(others) == 0 || len(others) == 1 && ofNode(others[0])
}

// ownsByAPI reports whether the API knows the node of d by an address.
func ownsByAPI(p *check.Pass, d *network.Iface, a netip.Addr) bool {
	o := p.NodeObject(d.NS.Node.Name)
	return o != nil && slices.Contains(check.NodeAddrs(o), a)
}

// sameLink reports whether a device of ns has an address in a prefix of d's.
func sameLink(ns *network.NS, dev string, d *network.Iface) bool {
	for _, mine := range ns.FIB.Addrs {
		for _, a := range d.NS.FIB.Addrs {
			if mine.Dev == dev && a.Dev == d.Name() && a.Prefix.Masked().Contains(mine.Prefix.Addr()) {
				return true
			}
		}
	}
	return false
}

func answered(p *check.Pass, ns *network.NS, e *fib.Neigh, d *network.Iface) check.Finding {
	f := check.Finding{
		Severity: check.Error, Where: ns.String() + "/" + e.Dev,
		What: text.F("another machine answers for %s, an address of %s: the neighbour entry holds %s, and %s has %s", e.Dst, d.NS.Node.Name, e.MAC, d.String(), d.Link.MAC),
		Fix: check.Fix{What: text.F("take %s from the machine that has the link-layer address %s, then have %s ask anew", e.Dst, e.MAC, ns.Node.Name),
			Commands: []string{check.Within(ns, check.Cmd("ip neigh del %s dev %s", e.Dst, e.Dev))}},
		Evidence: []snapshot.Evidence{
			check.File(ns, "neigh.json", e.Dst.String()+" dev "+e.Dev+" lladdr "+e.MAC.String()+" "+e.State, "ip neigh show "+e.Dst.String()),
			check.File(d.NS, "addr.json", check.LinkText(d.Link), "ip addr show "+d.Name()),
		},
	}
	for i := range p.Results {
		for j := range p.Results[i].Paths {
			path := &p.Results[i].Paths[j]
			if path.End == trace.LeftCluster && path.At.Node == ns.Node.Name && path.At.NetNS == ns.Name && by(ns, path.Final.Dst.Addr(), e.Dst) {
				p.Lose(&f, path, false)
			}
		}
	}
	return f
}

// by reports whether ns sends what is for a to the next hop: it is the same, or a route says so.
func by(ns *network.NS, a, hop netip.Addr) bool {
	return a == hop || slices.ContainsFunc(ns.FIB.Routes, func(r fib.Route) bool {
		return r.Dst.Bits() > 0 && r.Dst.Contains(a) && slices.ContainsFunc(r.Hops, func(h fib.NextHop) bool { return h.Via == hop })
	})
}
