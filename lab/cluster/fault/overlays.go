//go:build linux

package fault

import (
	"context"
	"fmt"

	"github.com/plumbnet/plumb/lab/cluster"
)

const publicIP = "flannel.alpha.coreos.com/public-ip"

// second is the address that node-b's uplink gets beside its own.
const second = "192.168.10.112"

// overlays are faults of the tunnel, of its registration, and of packet sizes.
var overlays = []Fault{
	{
		Name: "vtep-two-addresses", Check: "vtep-address", Incident: 5,
		Story:    "node-b's uplink has a static and a DHCP address; flanneld registered the one, the kernel sends VXLAN from the other, and the nodes' firewalls accept VXLAN from registered addresses only.",
		Question: across,
		inject:   do(on("node-b", "ip addr add "+second+"/24 dev eth0 valid_lft 86400 preferred_lft 86400"), register(second), peerFilter),
		heal:     every(unfilter, register("192.168.10.12"), on("node-b", "ip addr del "+second+"/24 dev eth0")),
	},
	{
		Name: "vtep-address-gone", Check: "vtep-address", Incident: 5,
		Story:    "flanneld registered the DHCP address of node-b's uplink; the lease was not renewed, and the peers still send there.",
		Question: across,
		inject: do(on("node-b", "ip addr add "+second+"/24 dev eth0 valid_lft 86400 preferred_lft 86400"), register(second), on("node-b", "ip addr del "+second+"/24 dev eth0"),
			on("node-a", "ip neigh flush dev eth0 to "+second)),
		heal: register("192.168.10.12"),
	},
	{
		Name: "pmtu-blackhole", Check: "pmtu-blackhole", Incident: 6,
		Story:    "node-a's way out is smaller than its Pods' devices, and a rule drops the ICMP errors that would tell them: connections open, large answers hang.",
		Question: Question{From: "web@node-b", To: "web@node-a:8080", By: large},
		inject: do(on("node-a", "ip link set eth0 mtu 1400; ip link set flannel.1 mtu 1350; iptables -I OUTPUT -p icmp -j DROP"),
			on(cluster.Fabric, "ip link set p-node-a mtu 1400")),
		heal: every(on("node-a", "iptables -D OUTPUT -p icmp -j DROP; ip link set eth0 mtu 1500; ip link set flannel.1 mtu 1450"),
			on(cluster.Fabric, "ip link set p-node-a mtu 1500")),
	},
	{
		Name: "mtu-mismatch", Check: "mtu-mismatch", Incident: 6,
		Story:    "node-b's uplink has an MTU of 1400, all else is made for 1500: connections open, large messages to its Pods hang.",
		Question: Question{From: "web@node-b", To: "web@node-a:8080", By: large},
		inject:   do(on("node-a", offloads+"off"), on("node-b", "ip link set eth0 mtu 1400"), on(cluster.Fabric, "ip link set p-node-b mtu 1400")),
		heal:     every(on(cluster.Fabric, "ip link set p-node-b mtu 1500"), on("node-b", "ip link set eth0 mtu 1500"), on("node-a", offloads+"on")),
	},
	{
		Name:     "fabric-drops-large",
		Story:    "Something between the nodes, of which no node knows, drops VXLAN packets of more than 1400 bytes: connections open, large answers hang.",
		Question: Question{From: "web@node-b", To: "web@node-a:8080", By: large},
		inject: on(cluster.Fabric, "nft add table bridge hole; nft add chain bridge hole c '{ type filter hook forward priority 0; }';"+
			"nft add rule bridge hole c udp dport 8472 ip length gt 1400 drop"),
		heal: on(cluster.Fabric, "nft delete table bridge hole"),
	},
}

// offloads turns those off, or on, by which packets larger than the MTU would pass as one.
const offloads = `s() { for d in eth0 flannel.1; do ethtool -K $d tso $1 gso $1 gro $1 tx $1 >/dev/null; done; }; s `

// register has flannel on node-b register an address, and waits until it has.
func register(addr string) step {
	return do(func(ctx context.Context, c *cluster.Cluster) error {
		set := publicIP + "-overwrite=" + addr
		if addr == c.Addr("node-b").String() {
			set = publicIP + "-overwrite-"
		}
		_, err := c.Kubectl(ctx, "annotate", "--overwrite", "node", "node-b", set)
		return err
	}, flannelAnew, await("flannel to register "+addr, func(p places) bool { return p.node("node-b").Annotations[publicIP] == addr }))
}

// peerFilter makes every node accept VXLAN only from the addresses that flannel has registered.
var peerFilter step = func(ctx context.Context, c *cluster.Cluster) error {
	p, err := placesOf(ctx, c)
	if err != nil {
		return err
	}
	script := "iptables -N PEERS; iptables -I INPUT -p udp --dport 8472 -j PEERS;"
	for _, n := range p.nodes {
		script += fmt.Sprintf("iptables -A PEERS -s %s -j ACCEPT;", n.Annotations[publicIP])
	}
	return onNodes(script+"iptables -A PEERS -j DROP")(ctx, c)
}

var unfilter = onNodes("iptables -D INPUT -p udp --dport 8472 -j PEERS; iptables -F PEERS; iptables -X PEERS")

// onNodes runs a script on every node.
func onNodes(script string) step {
	return func(ctx context.Context, c *cluster.Cluster) error {
		var steps []step
		for _, n := range c.Nodes {
			steps = append(steps, on(n, script))
		}
		return every(steps...)(ctx, c)
	}
}
