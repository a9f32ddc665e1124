//go:build linux

// Package fault holds the faults that a lab can be given. Each really changes
// what becomes of a packet, and names the check that must find it.
package fault

import (
	"slices"

	"github.com/plumbnet/plumb/lab"
)

// A Fault is something that goes wrong in a cluster.
type Fault struct {
	Name     string
	Check    string // the check that must name it first
	Incident int    // of the incidents that the project started from, 1 to 7; 0 for none
	Story    string // one line
	// Topologies are those that the fault applies to, by name; nil: all. The first is the usual one.
	Topologies []string
	Path       lab.Path // whose fate changes
	// Preventive faults break nothing yet: no packet's fate changes.
	Preventive bool
	// Share says that only some connections of the path fail, such as those to one of three endpoints.
	Share bool
	// Slow says that the injection takes ten seconds or more.
	Slow bool
	// Opens makes the state in which no packet of the path arrives, as it should be: the fault lets them. nil of other faults.
	Opens func(*lab.Lab) error
	// External are the ranges outside the cluster that a user would name.
	External []string
	// Prepare makes what the fault needs to have something to break; nil: nothing. [Fault.Inject] begins with it.
	Prepare func(*lab.Lab) error
	URL     string // what a user would ask about, where the path's end is not it
	Inject  func(*lab.Lab) error
}

// Applies reports whether the fault can be injected into a topology.
func (f Fault) Applies(t lab.Topology) bool {
	return f.Topologies == nil || slices.Contains(f.Topologies, t.Name)
}

// Topology returns the usual topology for the fault.
func (f Fault) Topology() lab.Topology {
	if f.Topologies == nil {
		return lab.Flannel
	}
	t, _ := lab.TopologyNamed(f.Topologies[0])
	return t
}

// All lists the faults.
func All() []Fault {
	return slices.Concat(filters, routes, overlays, links, services, names, ingresses, policies, agents, ranges, load)
}

// Named returns the fault of that name.
func Named(name string) (Fault, bool) {
	for _, f := range All() {
		if f.Name == name {
			return f, true
		}
	}
	return Fault{}, false
}

// The topologies that share a property.
var (
	vxlan   = []string{"flannel", "dualstack", "apart"}
	bridged = []string{"flannel", "hostgw", "kubenet", "dualstack", "dualstack-hostgw", "apart"}
	routed  = []string{"hostgw", "ptp", "dualstack-hostgw"}                                  // nodes have routes to each other's Pods by eth0
	peers   = []string{"flannel", "hostgw", "ptp", "dualstack", "dualstack-hostgw", "apart"} // nodes have routes to each other's Pods
)

// The usual ends of a path.
const (
	webA, webB, webC = "shop/web-0", "shop/web-1", "shop/web-2"
	apiA, apiB, apiC = "shop/api-6c9f7d5b8-4xk2p", "shop/api-6c9f7d5b8-9qjtl", "shop/api-6c9f7d5b8-zw7hc"
)

var acrossNodes = lab.Path{From: webA, To: webB + ":8080"}

// ip returns an injection that runs "ip -batch" lines in a node.
func ip(node, script string) func(*lab.Lab) error {
	return func(l *lab.Lab) error { return lab.IPBatch(l.Node(node).NS, script) }
}

// iptables returns an injection that runs iptables, of the lab's back end, in a node.
func iptables(node string, args ...string) func(*lab.Lab) error {
	return func(l *lab.Lab) error { return l.Node(node).NS.Run("", l.IPTables("iptables", args...)...) }
}

// both runs injections in order.
func both(fs ...func(*lab.Lab) error) func(*lab.Lab) error {
	return func(l *lab.Lab) error {
		for _, f := range fs {
			if err := f(l); err != nil {
				return err
			}
		}
		return nil
	}
}

// sysctl returns an injection that sets a sysctl of a node.
func sysctl(node, name, value string) func(*lab.Lab) error {
	return func(l *lab.Lab) error { return l.Sysctl(l.Node(node).NS, map[string]string{name: value}) }
}

// sync makes changed objects felt: endpoints first, then the rules of every node.
func sync(l *lab.Lab) error {
	l.SyncEndpoints()
	return l.SyncRules()
}
