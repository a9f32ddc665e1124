//go:build linux

package lab

import (
	"fmt"
	"strings"
)

// cniScript returns the "ip -batch" lines that give a node what its CNI plugin
// and agent set up before the first Pod.
func (l *Lab) cniScript(n *Node) string {
	switch l.Topology.CNI {
	case "flannel":
		return l.bridgeScript(n) + l.flannelScript(n)
	case "hostgw":
		return l.bridgeScript(n) + l.peerRoutes(n, "")
	case "kubenet":
		return l.bridgeScript(n) + "link set cbr0 promisc on\n"
	case "ptp":
		return l.peerRoutes(n, "proto bird") + fmt.Sprintf("route add blackhole %s proto bird\n", n.PodCIDR)
	}
	return ""
}

// bridgeScript makes the bridge that Pods are on.
func (l *Lab) bridgeScript(n *Node) string {
	br := l.Topology.bridge()
	s := fmt.Sprintf("link add %s address %s mtu %d type bridge\nlink set %[1]s up\naddr add %[4]s/24 brd + dev %[1]s\n",
		br, mac(n.Name+"/"+br), l.Topology.podMTU(), n.Gateway())
	if l.Topology.IPv6 {
		s += fmt.Sprintf("addr add %s/64 dev %s nodad\n", n.Gateway6(), br)
	}
	return s
}

// flannelScript makes the VXLAN devices, and for each other node a route and a permanent neighbour.
func (l *Lab) flannelScript(n *Node) string {
	var b strings.Builder
	fmt.Fprintf(&b, "link add flannel.1 address %s mtu %d type vxlan id 1 local %s dev eth0 dstport 8472 nolearning\n", n.VTEP, 1450, n.IP)
	fmt.Fprintf(&b, "link set flannel.1 up\naddr add %s/32 dev flannel.1\n", n.PodCIDR.Addr())
	for _, o := range l.others(n) {
		fmt.Fprintf(&b, "route add %s via %s dev flannel.1 onlink\n", o.PodCIDR, o.PodCIDR.Addr())
		fmt.Fprintf(&b, "neigh add %s lladdr %s dev flannel.1 nud permanent\n", o.PodCIDR.Addr(), o.VTEP)
	}
	if !l.Topology.IPv6 {
		return b.String()
	}
	fmt.Fprintf(&b, "link add flannel-v6.1 address %s mtu %d type vxlan id 1 local %s dev eth0 dstport 8472 nolearning\n", n.VTEP6, 1430, n.IP6)
	fmt.Fprintf(&b, "link set flannel-v6.1 up\naddr add %s/128 dev flannel-v6.1 nodad\n", n.PodCIDR6.Addr())
	for _, o := range l.others(n) {
		fmt.Fprintf(&b, "route add %s via %s dev flannel-v6.1 onlink\n", o.PodCIDR6, o.PodCIDR6.Addr())
		fmt.Fprintf(&b, "neigh add %s lladdr %s dev flannel-v6.1 nud permanent\n", o.PodCIDR6.Addr(), o.VTEP6)
	}
	return b.String()
}

// flannelFDB tells the VXLAN devices behind which node each other VTEP is.
func (l *Lab) flannelFDB(n *Node) error {
	var b strings.Builder
	for _, o := range l.others(n) {
		fmt.Fprintf(&b, "fdb append %s dev flannel.1 dst %s self permanent\n", o.VTEP, o.IP)
		if l.Topology.IPv6 {
			fmt.Fprintf(&b, "fdb append %s dev flannel-v6.1 dst %s self permanent\n", o.VTEP6, o.IP6)
		}
	}
	return BridgeBatch(n.NS, b.String())
}

// peerRoutes returns routes to the Pods of the other nodes, by their uplinks.
func (l *Lab) peerRoutes(n *Node, extra string) string {
	var b strings.Builder
	for _, o := range l.others(n) {
		fmt.Fprintf(&b, "route add %s via %s dev eth0 %s\n", o.PodCIDR, o.IP, extra)
		if l.Topology.IPv6 {
			fmt.Fprintf(&b, "route add %s via %s dev eth0 %s\n", o.PodCIDR6, o.IP6, extra)
		}
	}
	return b.String()
}

func (l *Lab) others(n *Node) []*Node {
	var out []*Node
	for _, o := range l.Nodes {
		if o != n {
			out = append(out, o)
		}
	}
	return out
}

// wirePod makes a Pod's eth0 and its routes.
func (l *Lab) wirePod(p *Pod) error {
	if l.Topology.CNI == "ptp" {
		return l.wirePTP(p)
	}
	n, br, mtu := p.Node, l.Topology.bridge(), l.Topology.podMTU()
	if err := IPBatch(n.NS, lines(fmt.Sprintf(`
		link add %s mtu %d type veth peer name eth0 address %s mtu %[2]d netns %[4]s
		link set %[1]s master %[5]s up
		link set %[1]s type bridge_slave hairpin on
	`, p.Veth, mtu, p.MAC, p.netns(), br))); err != nil {
		return err
	}
	script := fmt.Sprintf("link set eth0 up\naddr add %s/24 brd + dev eth0\nroute add default via %s\n", p.IP, n.Gateway())
	if l.Topology.CNI == "flannel" || l.Topology.CNI == "hostgw" {
		script += fmt.Sprintf("route add %s via %s\n", ClusterCIDR, n.Gateway())
	}
	if l.Topology.IPv6 {
		script += fmt.Sprintf("addr add %s/64 dev eth0 nodad\nroute add default via %s\n", p.IP6, n.Gateway6())
		script += fmt.Sprintf("route add %s via %s\n", ClusterCIDR6, n.Gateway6())
	}
	return l.finishPod(p, script)
}

// wirePTP makes a Pod's eth0 as Calico does: no subnet, and a gateway that only proxy ARP knows.
func (l *Lab) wirePTP(p *Pod) error {
	if err := IPBatch(p.Node.NS, lines(fmt.Sprintf(`
		link add %s address ee:ee:ee:ee:ee:ee type veth peer name eth0 address %s netns %s
		link set %[1]s up
		route add %[4]s dev %[1]s scope link
	`, p.Veth, p.MAC, p.netns(), p.IP))); err != nil {
		return err
	}
	if err := l.Sysctl(p.Node.NS, map[string]string{
		"net.ipv4.conf." + p.Veth + ".proxy_arp":      "1",
		"net.ipv4.neigh." + p.Veth + ".proxy_delay":   "0",
		"net.ipv4.conf." + p.Veth + ".route_localnet": "1",
	}); err != nil {
		return err
	}
	return l.finishPod(p, fmt.Sprintf(
		"link set eth0 up\naddr add %s/32 dev eth0\nroute add 169.254.1.1 dev eth0 scope link\nroute add default via 169.254.1.1 dev eth0\n", p.IP))
}

func (l *Lab) finishPod(p *Pod, script string) error {
	if err := IPBatch(p.NS, script); err != nil {
		return err
	}
	if err := NoOffload(p.NS, "eth0"); err != nil {
		return err
	}
	return NoOffload(p.Node.NS, p.Veth)
}
