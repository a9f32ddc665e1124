//go:build linux

package lab

import (
	"crypto/sha256"
	"fmt"
	"net/netip"
)

// The addresses of a lab.
var (
	ClusterCIDR  = netip.MustParsePrefix("10.244.0.0/16")
	ClusterCIDR6 = netip.MustParsePrefix("fd00:10:244::/48")
	ServiceCIDR  = netip.MustParsePrefix("10.96.0.0/16")
	ServiceCIDR6 = netip.MustParsePrefix("fd00:10:96::/112")
	NodeCIDR     = netip.MustParsePrefix("192.168.10.0/24")
	NodeCIDR6    = netip.MustParsePrefix("fd00:192:168:10::/64")
	RouterIP     = netip.MustParseAddr("192.168.10.1")
	RouterIP6    = netip.MustParseAddr("fd00:192:168:10::1")
	OutsideIP    = netip.MustParseAddr("203.0.113.10") // a server on the Internet
	OutsideIP6   = netip.MustParseAddr("2001:db8:113::10")
	OfficeIP     = netip.MustParseAddr("10.20.0.50") // a host in the partner's office
	OfficeIP6    = netip.MustParseAddr("fd00:20::50")
)

// podPlan says which Pods each node has: namespace, name, app.
var podPlan = [][][3]string{
	{{"shop", "web-0", "web"}, {"shop", "api-6c9f7d5b8-4xk2p", "api"}, {"kube-system", "coredns-76f75df574-h8x2k", "coredns"}},
	{{"shop", "web-1", "web"}, {"shop", "api-6c9f7d5b8-9qjtl", "api"}, {"kube-system", "coredns-76f75df574-m4v9z", "coredns"}},
	{{"shop", "web-2", "web"}, {"shop", "api-6c9f7d5b8-zw7hc", "api"}},
}

// plan lays out nodes, Pods and addresses. It makes nothing.
func (l *Lab) plan() {
	for i, pods := range podPlan {
		n := &Node{
			Name:    "node-" + string(rune('a'+i)),
			IP:      addr4(192, 168, 10, 11+i),
			PodCIDR: netip.PrefixFrom(addr4(10, 244, i, 0), 24),
			MAC:     mac("node-" + string(rune('a'+i))),
			index:   i,
		}
		n.VTEP, n.VTEP6 = mac(n.Name+"/flannel.1"), mac(n.Name+"/flannel-v6.1")
		if l.Topology.IPv6 {
			n.IP6 = netip.MustParseAddr(fmt.Sprintf("fd00:192:168:10::%d", 11+i))
			n.PodCIDR6 = netip.MustParsePrefix(fmt.Sprintf("fd00:10:244:%d::/64", i))
		}
		for j, p := range pods {
			n.Pods = append(n.Pods, n.newPod(l.Topology, p, j+2))
		}
		l.Nodes = append(l.Nodes, n)
	}
}

func (n *Node) newPod(t Topology, p [3]string, host int) *Pod {
	pod := &Pod{Namespace: p[0], Name: p[1], App: p[2], Node: n}
	pod.IP = addr4(10, 244, n.index, host)
	pod.MAC = mac(pod.Key())
	sum := sha256.Sum256([]byte(pod.Key()))
	pod.Veth = fmt.Sprintf("veth%x", sum[:4])
	if t.CNI == "ptp" {
		pod.Veth = fmt.Sprintf("cali%x", sum[:5])
	}
	if t.IPv6 {
		pod.IP6 = netip.MustParseAddr(fmt.Sprintf("fd00:10:244:%d::%d", n.index, host))
	}
	return pod
}

// Gateway returns the address of the node's bridge.
func (n *Node) Gateway() netip.Addr { return n.PodCIDR.Addr().Next() }

// Gateway6 is Gateway for IPv6.
func (n *Node) Gateway6() netip.Addr { return n.PodCIDR6.Addr().Next() }

func addr4(a, b, c, d int) netip.Addr {
	return netip.AddrFrom4([4]byte{byte(a), byte(b), byte(c), byte(d)})
}

// mac returns a locally administered address that is always the same for a name.
func mac(name string) string {
	s := sha256.Sum256([]byte(name))
	return fmt.Sprintf("%02x:%02x:%02x:%02x:%02x:%02x", s[0]&0xfc|2, s[1], s[2], s[3], s[4], s[5])
}
