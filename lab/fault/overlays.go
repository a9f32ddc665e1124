//go:build linux

package fault

import (
	"fmt"
	"net/netip"

	"github.com/plumbnet/plumb/lab"
)

var large = lab.Path{From: webA, To: webB + ":8080", Size: 1}

// overlays are faults of tunnels, of their registration, and of packet sizes.
var overlays = []Fault{
	{
		Name: "vtep-two-addresses", Check: "vtep-address", Incident: 5, Topologies: []string{"flannel"},
		Story:  "node-b's uplink has a static and a DHCP address; flanneld registered the one, the kernel sends VXLAN from the other, and the nodes' firewalls accept VXLAN from registered addresses only.",
		Path:   acrossNodes,
		Inject: both(ip("node-b", "addr add 192.168.10.112/24 dev eth0 valid_lft 86400 preferred_lft 86400\n"), register("node-b", "192.168.10.112"), peerFilter),
	},
	{
		Name: "vtep-address-gone", Check: "vtep-address", Incident: 5, Topologies: []string{"flannel"},
		Story:  "flanneld registered the DHCP address of node-b's uplink; the lease was not renewed, and the peers still send there.",
		Path:   acrossNodes,
		Inject: register("node-b", "192.168.10.112"),
	},
	{
		Name: "fdb-missing", Check: "fdb-drift", Incident: 2, Topologies: vxlan,
		Story:  "node-a's flannel.1 lost the forwarding entry for node-b's VTEP.",
		Path:   acrossNodes,
		Inject: func(l *lab.Lab) error { return fdb(l, "del", l.Node("node-b").IP) },
	},
	{
		Name: "fdb-wrong", Check: "fdb-drift", Topologies: vxlan,
		Story: "node-a's forwarding entry for node-b's VTEP leads to the address that node-b had before.",
		Path:  acrossNodes,
		Inject: func(l *lab.Lab) error {
			if err := fdb(l, "del", l.Node("node-b").IP); err != nil {
				return err
			}
			return fdb(l, "append", netip.MustParseAddr("192.168.10.77"))
		},
	},
	{
		Name: "neigh-missing", Check: "neigh-drift", Incident: 2, Topologies: vxlan,
		Story:  "node-a lost the permanent neighbour entry for node-b's VTEP.",
		Path:   acrossNodes,
		Inject: ip("node-a", "neigh del 10.244.1.0 dev flannel.1\n"),
	},
	{
		Name: "neigh-wrong", Check: "neigh-drift", Topologies: vxlan,
		Story:  "node-b's flannel.1 was made anew with another MAC address; node-a still writes to the old one.",
		Path:   acrossNodes,
		Inject: ip("node-b", "link set flannel.1 address 0a:00:00:00:00:02\n"),
	},
	{
		Name: "vni-mismatch", Check: "vni-mismatch", Topologies: []string{"flannel"},
		Story:  "node-b was joined with another net-conf.json: its VXLAN has the VNI 2.",
		Path:   acrossNodes,
		Inject: remakeVXLAN(2, 8472),
	},
	{
		Name: "vxlan-port-mismatch", Check: "vxlan-port-mismatch", Topologies: []string{"flannel"},
		Story:  "node-b's VXLAN uses port 4789, the others' 8472.",
		Path:   acrossNodes,
		Inject: remakeVXLAN(1, 4789),
	},
	{
		Name: "mtu-mismatch", Check: "mtu-mismatch", Incident: 6,
		Story:  "node-b's uplink has an MTU of 1400, all else is made for 1500: connections open, large messages hang.",
		Path:   large,
		Inject: both(ip("node-b", "link set eth0 mtu 1400\n"), fabricMTU("node-b", 1400)),
	},
	{
		Name: "pmtu-blackhole", Check: "pmtu-blackhole", Incident: 6,
		Story:  "node-a's way out is smaller than its Pods' devices, and a rule drops the ICMP errors that would tell them.",
		Path:   large,
		Inject: both(shrinkUplink, iptables("node-a", "-I", "OUTPUT", "-p", "icmp", "-j", "DROP")),
	},
	{
		Name: "jumbo-pod", Check: "mtu-mismatch", Topologies: []string{"flannel"},
		Story: "web-0's device was made before the overlay and has an MTU of 1500; flannel.1 has 1450, and cni0 does not tell.",
		Path:  lab.Path{From: webA, To: "outside:80", Size: 1},
		Inject: func(l *lab.Lab) error {
			p := l.Pod(webA)
			if err := lab.IPBatch(p.NS, "link set eth0 mtu 1500\n"); err != nil {
				return err
			}
			return lab.IPBatch(p.Node.NS, fmt.Sprintf("link set %s mtu 1450\n", p.Veth))
		},
	},
}

// register makes a node's flannel registration, and what its peers made of it, another address.
func register(node, addr string) func(*lab.Lab) error {
	return func(l *lab.Lab) error {
		n := l.Node(node)
		l.NodeObject(node).Annotations["flannel.alpha.coreos.com/public-ip"] = addr
		for _, o := range l.Nodes {
			if o == n {
				continue
			}
			if err := lab.BridgeBatch(o.NS, fmt.Sprintf("fdb del %s dev flannel.1 dst %s self\nfdb append %[1]s dev flannel.1 dst %[3]s self permanent\n", n.VTEP, n.IP, addr)); err != nil {
				return err
			}
		}
		return nil
	}
}

// peerFilter makes every node accept VXLAN only from the addresses that flannel has registered.
func peerFilter(l *lab.Lab) error {
	for _, n := range l.Nodes {
		rules := "*filter\n"
		for i := range l.Objects.Nodes {
			rules += fmt.Sprintf("-A INPUT -p udp --dport 8472 -s %s -j ACCEPT\n", l.Objects.Nodes[i].Annotations["flannel.alpha.coreos.com/public-ip"])
		}
		rules += "-A INPUT -p udp --dport 8472 -j DROP\nCOMMIT\n"
		if err := n.NS.Run(rules, l.IPTables("iptables-restore", "--noflush")...); err != nil {
			return err
		}
	}
	return nil
}

// fdb changes node-a's forwarding entry for node-b's VTEP.
func fdb(l *lab.Lab, verb string, dst netip.Addr) error {
	return lab.BridgeBatch(l.Node("node-a").NS, fmt.Sprintf("fdb %s %s dev flannel.1 dst %s self permanent\n", verb, l.Node("node-b").VTEP, dst))
}

// remakeVXLAN makes node-b's flannel.1 anew, with all that flanneld sets up around it.
func remakeVXLAN(vni, port int) func(*lab.Lab) error {
	return func(l *lab.Lab) error { return l.RemakeVXLAN(l.Node("node-b"), vni, port) }
}

// fabricMTU sets the MTU of the switch port that a node is on.
func fabricMTU(node string, mtu int) func(*lab.Lab) error {
	return func(l *lab.Lab) error {
		return lab.IPBatch(l.Fabric, fmt.Sprintf("link set p-%s mtu %d\n", node, mtu))
	}
}

// shrinkUplink makes node-a's uplink, and its tunnels in keeping with it, smaller than its Pods believe.
func shrinkUplink(l *lab.Lab) error {
	s := "link set eth0 mtu 1400\n"
	if l.Topology.CNI == "flannel" {
		s += "link set flannel.1 mtu 1350\n"
	}
	if l.Topology.CNI == "flannel" && l.Topology.IPv6 {
		s += "link set flannel-v6.1 mtu 1330\n"
	}
	if err := ip("node-a", s)(l); err != nil {
		return err
	}
	return fabricMTU("node-a", 1400)(l)
}
