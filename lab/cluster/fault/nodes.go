//go:build linux

package fault

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/plumbnet/plumb/lab/cluster"
	"github.com/plumbnet/plumb/lab/machine"
)

// nodes are faults of the nodes themselves: of their rules, routes, addresses and tables.
var nodes = []Fault{
	{
		Name: "forward-drop", Check: "forward-drop",
		Story:    "A hardening script on node-b drops what is forwarded to its Pods.",
		Question: across,
		inject:   on("node-b", "iptables -I FORWARD -d {node-b.cidr} -j DROP"),
		heal:     on("node-b", "iptables -D FORWARD -d {node-b.cidr} -j DROP"),
	},
	{
		Name: "uplink-restart", Check: "route-missing", Incident: 2,
		Story:    "Someone edited /etc/hosts on node-b and restarted its network: the routes to the other nodes' Pods went with it, and nobody put them back.",
		Question: Question{From: "web@node-b", To: "web@node-a:8080"},
		inject:   on("node-b", "ip link set eth0 down; ip link set flannel.1 down; ip link set eth0 up; ip link set flannel.1 up"),
		heal:     every(on("node-b", "ip route replace default via 192.168.10.1"), flannelAnew),
	},
	{
		Name: "ip-forward-off", Check: "ip-forward", Incident: 2,
		Story:    "A sysctl profile turned ip_forward off on node-b.",
		Question: across,
		inject:   on("node-b", "sysctl -qw net.ipv4.ip_forward=0"),
		heal:     on("node-b", "sysctl -qw net.ipv4.ip_forward=1"),
	},
	{
		Name: "conntrack-full", Check: "conntrack-full",
		Story:    "A port scan filled node-b's conntrack table with connections that count as established: new ones are dropped.",
		Question: across,
		inject:   fillConntrack,
		heal:     on("node-b", "conntrack -F"),
	},
	{
		Name: "office-overlaps-pods", Check: "cidr-overlap", Incident: 1,
		Story:    "The partner's office uses the range of node-b's Pods: packets for the office never leave the cluster.",
		Question: Question{From: "web@node-a", To: "{node-b.net}.50:80", External: "{node-b.cidr}"},
		Healthy:  Question{From: "web@node-a", To: cluster.OfficeIP + ":80"},
		inject: do(on(cluster.Fabric, "ip addr flush dev p-office; ip addr add {node-b.net}.1/24 dev p-office"),
			on(cluster.Office, "ip addr flush dev eth0; ip addr add {node-b.net}.50/24 dev eth0; ip route add default via {node-b.net}.1")),
		heal: do(on(cluster.Fabric, "ip addr flush dev p-office; ip addr add 10.20.0.1/24 dev p-office"),
			on(cluster.Office, "ip addr flush dev eth0; ip addr add "+cluster.OfficeIP+"/24 dev eth0; ip route add default via 10.20.0.1")),
	},
	{
		Name: "node-not-ready", Check: "node-not-ready",
		Story:    "node-c's cable was pulled: the node is NotReady, and nothing on it can be reached.",
		Question: Question{From: "web@node-a", To: "web@node-c:8080"},
		inject:   do(on(cluster.Fabric, "ip link set p-node-c down"), await("node-c to be NotReady", func(p places) bool { return !p.nodeReady("node-c") })),
		heal:     do(on(cluster.Fabric, "ip link set p-node-c up"), await("node-c to be Ready", func(p places) bool { return p.nodeReady("node-c") })),
	},
	{
		Name: "duplicate-address", Check: "duplicate-address",
		Story:    "node-c was given node-b's address too, and answers ARP for it: node-a sends to the wrong machine.",
		Question: across,
		inject:   do(on("node-c", "ip addr add 192.168.10.12/24 dev eth0"), neighbour("node-a", "192.168.10.12", "node-c")),
		heal:     every(on("node-c", "ip addr del 192.168.10.12/24 dev eth0"), on("node-a", "ip neigh del 192.168.10.12 dev eth0")),
	},
}

// neighbour has one node send to another what is for an address.
func neighbour(at, addr, node string) step {
	return func(_ context.Context, c *cluster.Cluster) error {
		mac, err := c.Run(node, "cat", "/sys/class/net/eth0/address")
		if err != nil {
			return err
		}
		_, err = c.Run(at, "ip", "neigh", "replace", addr, "lladdr", strings.TrimSpace(mac), "dev", "eth0", "nud", "permanent")
		return err
	}
}

// fillConntrack has entries for all of node-b's conntrack table loaded, in a few seconds.
// The limit of a namespace that is not the first cannot be lowered.
var fillConntrack step = func(_ context.Context, c *cluster.Cluster) error {
	out, err := c.Run("node-b", "sysctl", "-n", "net.netfilter.nf_conntrack_max")
	if err != nil {
		return err
	}
	var limit int
	if _, err := fmt.Sscan(out, &limit); err != nil || limit > 1<<20 {
		return fmt.Errorf("nf_conntrack_max is %q: %v", out, err)
	}
	var s strings.Builder
	for i := range limit + 100 {
		fmt.Fprintf(&s, "-A -p tcp -s 198.18.%d.%d -d 192.168.10.12 --sport %d --dport 443 --state ESTABLISHED -u SEEN_REPLY,ASSURED -t 86400\n", i>>8&255, i&255, 1024+i>>16)
	}
	const file = "/var/tmp/conntrack"
	real := filepath.Join(machine.Dir(c.Dir, "node-b"), file)
	if err := os.MkdirAll(filepath.Dir(real), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(real, []byte(s.String()), 0o600); err != nil {
		return err
	}
	defer os.Remove(real)
	c.Run("node-b", "conntrack", "-R", file) // it fails where the table is full, as it must in the end
	return nil
}
