//go:build linux

package cluster

import (
	"net/netip"
	"path/filepath"

	"github.com/plumbnet/plumb/lab/machine"
)

// The addresses of a cluster. They are those of the lab's level 1.
const (
	podCIDR     = "10.244.0.0/16"
	serviceCIDR = "10.96.0.0/16"
	dnsIP       = "10.96.0.10"
	routerAddr  = "192.168.10.1/24"
	controlIP   = "192.168.10.10"
	OutsideIP   = "203.0.113.10" // a server on the Internet, which also answers for names outside the cluster
	OfficeIP    = "10.20.0.50"   // a host in the partner's office
)

// The machines beside the nodes.
const (
	Control = "control" // etcd, API server, controller manager, scheduler
	Outside = "outside"
	Office  = "office"
)

// Fabric is the name of the network between the machines: the switch br0 with
// a port "p-NAME" for each node, and the router.
const Fabric = ""

// nodeNames returns the names of n nodes.
func nodeNames(n int) (names []string) {
	for i := range n {
		names = append(names, "node-"+string(rune('a'+i)))
	}
	return names
}

// nodeIP returns the address of the i-th node.
func nodeIP(i int) netip.Addr {
	return netip.AddrFrom4([4]byte{192, 168, 10, byte(11 + i)})
}

// rack lays out the machines.
func (c *Cluster) rack() *machine.Rack {
	r := &machine.Rack{Dir: c.Dir, Router: routerAddr, Forward: controlIP + ":6443", Share: []string{c.bin}}
	router := netip.MustParsePrefix(routerAddr)
	in := func(a netip.Addr) netip.Prefix { return netip.PrefixFrom(a, router.Bits()) }
	r.Machines = append(r.Machines, machine.Machine{Name: Control, Addr: in(netip.MustParseAddr(controlIP)), Gateway: router.Addr()})
	for i, n := range c.Nodes {
		r.Machines = append(r.Machines, machine.Machine{Name: n, Addr: in(nodeIP(i)), Gateway: router.Addr(), Forward: true, Cgroups: true})
	}
	r.Machines = append(r.Machines,
		machine.Machine{Name: Outside, Addr: netip.MustParsePrefix(OutsideIP + "/24"), Gateway: netip.MustParseAddr("203.0.113.1")},
		machine.Machine{Name: Office, Addr: netip.MustParsePrefix(OfficeIP + "/24"), Gateway: netip.MustParseAddr("10.20.0.1")},
	)
	return r
}

// path returns a path below the cluster's directory.
func (c *Cluster) path(elem ...string) string {
	return filepath.Join(append([]string{c.Dir}, elem...)...)
}
