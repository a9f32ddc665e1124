//go:build linux

package fault

import (
	"fmt"

	"github.com/plumbnet/plumb/lab"
)

// links are faults of devices and of their addresses.
var links = []Fault{
	{
		Name: "veth-detached", Check: "veth-detached", Topologies: bridged,
		Story:  "web-1's veth is no longer a port of the bridge.",
		Path:   acrossNodes,
		Inject: onVeth(webB, "link set %s nomaster\n"),
	},
	{
		Name: "veth-down", Check: "link-down",
		Story:  "The node's end of web-1's veth is down.",
		Path:   acrossNodes,
		Inject: onVeth(webB, "link set %s down\n"),
	},
	{
		Name: "tunnel-down", Check: "link-down", Incident: 2, Topologies: []string{"flannel"},
		Story:  "node-b's flannel.1 is down.",
		Path:   acrossNodes,
		Inject: ip("node-b", "link set flannel.1 down\n"),
	},
	{
		Name: "address-missing", Check: "address-missing", Topologies: bridged,
		Story: "A network manager took the address of node-b's Pod bridge away: its Pods have no gateway.",
		Path:  lab.Path{From: webB, To: webA + ":8080"},
		Inject: func(l *lab.Lab) error {
			n := l.Node("node-b")
			dev := map[string]string{"kubenet": "cbr0"}[l.Topology.CNI]
			if dev == "" {
				dev = "cni0"
			}
			return ip("node-b", fmt.Sprintf("addr del %s/24 dev %s\n", n.Gateway(), dev))(l)
		},
	},
	{
		Name: "duplicate-address", Check: "duplicate-address",
		Story:      "node-c was given node-b's address too, and answers ARP for it: node-a sends to the wrong machine.",
		Path:       lab.Path{From: webA, To: webB + ":8080"},
		Topologies: []string{"flannel", "hostgw", "ptp"},
		Inject: func(l *lab.Lab) error {
			if err := ip("node-c", "addr add 192.168.10.12/24 dev eth0\n")(l); err != nil {
				return err
			}
			return ip("node-a", "neigh replace 192.168.10.12 lladdr "+l.Node("node-c").MAC+" dev eth0 nud permanent\n")(l)
		},
	},
	{
		Name: "duplicate-pod-address", Check: "duplicate-address", Topologies: []string{"flannel", "hostgw", "kubenet"},
		Story: "The address manager of node-b's CNI lost its records: the API Pod got the address that web-1 has, and took its traffic.",
		Path:  lab.Path{From: webA, To: webB + ":8080"},
		Inject: func(l *lab.Lab) error {
			b, p := l.Node("node-b"), l.Pod(apiB)
			if err := lab.IPBatch(p.NS, "addr add 10.244.1.2/24 dev eth0\n"); err != nil {
				return err
			}
			if err := l.Unlisten(p.NS, "tcp", ":8080"); err != nil {
				return err
			}
			dev := "cni0"
			if l.Topology.CNI == "kubenet" {
				dev = "cbr0"
			}
			return lab.IPBatch(b.NS, fmt.Sprintf("neigh replace 10.244.1.2 lladdr %s dev %s nud permanent\n", p.MAC, dev))
		},
	},
	{
		Name: "hairpin-off", Check: "hairpin-off", Topologies: bridged, Share: true,
		Story:  "Hairpin mode is off for web-0's bridge port: a third of its connections to its own Service fail.",
		Path:   lab.Path{From: webA, To: "svc/shop/web:http"},
		Inject: onVeth(webA, "link set %s type bridge_slave hairpin off\n"),
	},
	{
		Name: "bridge-nf-off", Check: "bridge-nf-off", Topologies: bridged, Share: true,
		Story:  "br_netfilter's call to iptables is off on node-a: answers of a Service's Pod on the same bridge come back from the wrong address.",
		Path:   lab.Path{From: webA, To: "svc/shop/api:http"},
		Inject: sysctl("node-a", "net.bridge.bridge-nf-call-iptables", "0"),
	},
}

// onVeth runs an "ip -batch" line about the node's end of a Pod's eth0.
func onVeth(pod, format string) func(*lab.Lab) error {
	return func(l *lab.Lab) error {
		p := l.Pod(pod)
		return lab.IPBatch(p.Node.NS, fmt.Sprintf(format, p.Veth))
	}
}
