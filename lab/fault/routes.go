//go:build linux

package fault

import (
	"fmt"

	"github.com/plumbnet/plumb/lab"
)

// routes are faults of routing and of the sysctls around it.
var routes = []Fault{
	{
		Name: "route-missing", Check: "route-missing", Topologies: peers,
		Story:  "node-a lost its route to node-b's Pods.",
		Path:   acrossNodes,
		Inject: ip("node-a", "route del 10.244.1.0/24\n"),
	},
	{
		Name: "uplink-restart", Check: "route-missing", Incident: 2, Topologies: routed,
		Story:  "Someone edited /etc/hosts on node-b and restarted its network card: the routes by eth0 went with it, and nobody put them back.",
		Path:   lab.Path{From: webB, To: webA + ":8080"},
		Inject: ip("node-b", "link set eth0 down\nlink set eth0 up\n"),
	},
	{
		Name: "default-route-missing", Check: "route-missing", Incident: 2,
		Story:      "Restarting its uplink cost node-b the default route: Pods reach each other, but nothing outside.",
		Path:       lab.Path{From: webB, To: "outside:80"},
		Inject:     ip("node-b", "link set eth0 down\nlink set eth0 up\n"),
		Topologies: []string{"flannel", "dualstack"},
	},
	{
		Name: "route-blackhole", Check: "route-blackhole", Topologies: peers,
		Story:  "A blackhole route to node-b's Pods was left on node-a.",
		Path:   acrossNodes,
		Inject: ip("node-a", "route replace blackhole 10.244.1.0/24\n"),
	},
	{
		Name: "route-unreachable", Check: "route-blackhole", Topologies: peers,
		Story:  "node-a has an unreachable route to web-1, longer than the route to its node's Pods.",
		Path:   acrossNodes,
		Inject: ip("node-a", "route add unreachable 10.244.1.2/32\n"),
	},
	{
		Name: "route-wrong", Check: "route-wrong", Topologies: []string{"hostgw", "flannel", "ptp", "dualstack", "dualstack-hostgw"},
		Story: "node-a's route to node-b's Pods names the next hop that node-b had before it was replaced.",
		Path:  acrossNodes,
		Inject: func(l *lab.Lab) error {
			if l.Topology.CNI == "flannel" {
				return ip("node-a", "route replace 10.244.1.0/24 via 10.244.9.0 dev flannel.1 onlink\n")(l)
			}
			return ip("node-a", "route replace 10.244.1.0/24 via 192.168.10.99\n")(l)
		},
	},
	{
		Name: "policy-route", Check: "policy-route", Topologies: peers,
		Story:  "A policy rule on node-a sends all that its Pods send by a table that knows only the router.",
		Path:   acrossNodes,
		Inject: ip("node-a", "rule add priority 100 from 10.244.0.0/24 lookup 100\nroute add default via 192.168.10.1 table 100\n"),
	},
	{
		Name: "ip-forward-off", Check: "ip-forward", Incident: 2,
		Story:  "A sysctl profile turned ip_forward off on node-b.",
		Path:   acrossNodes,
		Inject: sysctl("node-b", "net.ipv4.ip_forward", "0"),
	},
	{
		Name: "rp-filter", Check: "rp-filter",
		Story:  "node-b got a second uplink that leads to the office, and rp_filter=1: what the office sends still comes by eth0, and is dropped.",
		Path:   lab.Path{From: "office", To: "node/node-b:10250"},
		Inject: secondUplink,
	},
	{
		Name: "office-overlaps-pods", Check: "cidr-overlap", Incident: 1, Topologies: peers,
		Story:    "The partner's office uses 10.244.1.0/24, which is also node-b's Pod range: packets for the office never leave the cluster.",
		Path:     lab.Path{From: webA, To: "office:80"},
		External: []string{"10.244.1.0/24"},
		Inject:   officeInPodRange,
	},
	{
		Name: "office-replies-lost", Check: "cidr-overlap", Incident: 1, Topologies: peers,
		Story:    "The same, seen from the office: its connections to a node port arrive, and the replies go to a Pod range.",
		Path:     lab.Path{From: "office", To: "node/node-a:30080"},
		External: []string{"10.244.1.0/24"},
		Inject:   officeInPodRange,
	},
}

// secondUplink joins node-b to the router by a second device that it prefers for the office.
func secondUplink(l *lab.Lab) error {
	b := l.Node("node-b")
	if err := lab.IPBatch(l.Router, "link add eth3 type veth peer name eth1 netns node-b\nlink set eth3 up\naddr add 192.168.20.1/24 dev eth3\n"); err != nil {
		return err
	}
	if err := lab.IPBatch(b.NS, "link set eth1 up\naddr add 192.168.20.12/24 dev eth1\nroute add 10.20.0.0/16 via 192.168.20.1\n"); err != nil {
		return err
	}
	return l.Sysctl(b.NS, map[string]string{"net.ipv4.conf.all.rp_filter": "1", "net.ipv4.conf.eth0.rp_filter": "1"})
}

// officeInPodRange gives the office the range of node-b's Pods.
func officeInPodRange(l *lab.Lab) error {
	if err := lab.IPBatch(l.Router, "addr flush dev eth2\naddr add 10.244.1.1/24 dev eth2\n"); err != nil {
		return err
	}
	l.OfficeAt = l.Node("node-b").PodCIDR.Addr()
	for range 50 {
		l.OfficeAt = l.OfficeAt.Next()
	}
	return lab.IPBatch(l.Office, fmt.Sprintf("addr flush dev eth0\naddr add %s/24 dev eth0\nroute add default via 10.244.1.1\n", l.OfficeAt))
}
