//go:build linux

package lab

// A Topology is a way to join the Pods of a cluster.
type Topology struct {
	Name string
	Doc  string
	CNI  string // "flannel", "hostgw", "kubenet" or "ptp"
	IPv6 bool   // Pods and Services have an address of each family
	// Apart says that no two nodes share a subnet: all that goes from one to another goes by the
	// router, as in clouds that give a machine a /32, and in data centres with a subnet a rack.
	Apart bool
}

// The topologies.
var (
	Flannel = Topology{Name: "flannel", CNI: "flannel", Doc: "flannel: VXLAN on UDP 8472, bridge cni0"}
	HostGW  = Topology{Name: "hostgw", CNI: "hostgw", Doc: "flannel host-gw: routes between nodes, bridge cni0"}
	Kubenet = Topology{Name: "kubenet", CNI: "kubenet", Doc: "kubenet: bridge cbr0, promiscuous; the router knows the Pod ranges"}
	PTP     = Topology{Name: "ptp", CNI: "ptp", Doc: "Calico without tunnel: a /32 route a Pod, proxy ARP for 169.254.1.1"}
	Dual    = Topology{Name: "dualstack", CNI: "flannel", IPv6: true, Doc: "flannel with IPv4 and IPv6, a VXLAN of each"}
	Apart   = Topology{Name: "apart", CNI: "flannel", Apart: true, Doc: "flannel by VXLAN between nodes on subnets of their own, with a router between"}
	DualGW  = Topology{Name: "dualstack-hostgw", CNI: "hostgw", IPv6: true, Doc: "flannel host-gw with IPv4 and IPv6"}
)

// Topologies lists them all.
var Topologies = []Topology{Flannel, HostGW, Kubenet, PTP, Dual, DualGW, Apart}

// TopologyNamed returns the topology of that name.
func TopologyNamed(name string) (Topology, bool) {
	for _, t := range Topologies {
		if t.Name == name {
			return t, true
		}
	}
	return Topology{}, false
}

// bridge returns the name of the bridge that Pods are on, "" where there is none.
func (t Topology) bridge() string {
	return map[string]string{"flannel": "cni0", "hostgw": "cni0", "kubenet": "cbr0"}[t.CNI]
}

// podMTU returns the MTU of Pods' devices.
func (t Topology) podMTU() int {
	switch {
	case t.CNI == "flannel" && t.IPv6:
		return 1430 // the outer header is IPv6
	case t.CNI == "flannel":
		return 1450
	}
	return 1500
}
