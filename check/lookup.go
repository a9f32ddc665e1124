package check

import (
	"slices"

	"github.com/plumbnet/plumb/fib"
	"github.com/plumbnet/plumb/network"
)

// Lookup asks the routing tables of a namespace.
func Lookup(ns *network.NS, q fib.Query) fib.Result {
	l, ok := any(&ns.FIB).(interface{ Lookup(fib.Query) fib.Result })
	if !ok {
		return fib.Result{Unknown: "no lookup"}
	}
	return l.Lookup(q)
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
