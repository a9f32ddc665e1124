package ipforward

import (
	"testing"

	"github.com/plumbnet/plumb/check"
	"github.com/plumbnet/plumb/check/checktest"
	"github.com/plumbnet/plumb/snapshot"
)

const (
	v4 = "net.ipv4.ip_forward"
	v6 = "net.ipv6.conf.all.forwarding"
)

// off sets sysctls of node-b to 0.
func off(keys ...string) func(*checktest.Facts) {
	return func(f *checktest.Facts) {
		for _, k := range keys {
			f.NS("node-b/host").Sysctl[k] = "0"
		}
	}
}

func TestForwarding(t *testing.T) {
	const says = "error: node-b/host: ip-forward: "
	checktest.Rows(t, checktest.Flannel, []*check.Check{Check}, []checktest.Row{
		{Name: "as recorded"},
		{Name: "off", Edit: off(v4), Want: says + v4 + " is 0: the node forwards nothing for its Pods",
			Fix: []string{"sysctl -w net.ipv4.ip_forward=1", "echo 'net.ipv4.ip_forward = 1' > /etc/sysctl.d/90-forward.conf"}},
		{Name: "off for IPv6, which no Pod has", Edit: off(v6)},
		{Name: "off, and so for each device: said once", Edit: off(v4, "net.ipv4.conf.eth0.forwarding", "net.ipv4.conf.cni0.forwarding"),
			Want: says + v4 + " is 0: the node forwards nothing for its Pods"},
		{Name: "off for the uplink", Edit: off("net.ipv4.conf.eth0.forwarding"), Want: says + "net.ipv4.conf.eth0.forwarding is 0: the node forwards nothing for its Pods"},
		{Name: "off for the Pods' bridge", Edit: off("net.ipv4.conf.cni0.forwarding"), Want: says + "net.ipv4.conf.cni0.forwarding is 0: the node forwards nothing for its Pods"},
		{Name: "off for the tunnel", Edit: off("net.ipv4.conf.flannel/1.forwarding"), Want: says + "net.ipv4.conf.flannel/1.forwarding is 0: the node forwards nothing for its Pods"},
		{Name: "off for a port of a bridge, which routes nothing", Edit: off("net.ipv4.conf.veth0bc001f3.forwarding")},
		{Name: "off for a veth that is in no bridge", Edit: func(f *checktest.Facts) {
			off("net.ipv4.conf.veth0bc001f3.forwarding")(f)
			f.Veth("node-b/pod-shop-web-1").Master = ""
		}, Want: says + "net.ipv4.conf.veth0bc001f3.forwarding is 0: the node forwards nothing for its Pods"},
		{Name: "off for a bridge without ports", Edit: func(f *checktest.Facts) {
			off("net.ipv4.conf.docker0.forwarding")(f)
			ns := f.NS("node-b/host")
			ns.Links = append(ns.Links, snapshot.Link{Index: 77, Name: "docker0", Flags: []string{"UP"}, MTU: 1500, Info: snapshot.LinkInfo{Kind: "bridge"}})
		}},
		{Name: "off on a node without Pods", Edit: func(f *checktest.Facts) {
			off(v4)(f)
			f.Nodes[1].NetNS = f.Nodes[1].NetNS[:1]
			f.Node("node-b").Spec.PodCIDR, f.Node("node-b").Spec.PodCIDRs = "", nil
		}},
		{Name: "not collected", Edit: off(v4), Without: []string{"nodes/node-a/host/sysctl"},
			Want: says + v4 + " is 0: the node forwards nothing for its Pods\n? nodes/node-a/host/sysctl: ip-forward: not collected"},
		{Name: "a path that ends on the node is not lost by it", Edit: off(v4), Ask: "from shop/web-0\nto 192.168.10.12:10250",
			Want: says + v4 + " is 0: the node forwards nothing for its Pods"},
		{Name: "a path that another node does not forward is lost by that", Edit: func(f *checktest.Facts) {
			off(v4)(f)
			f.NS("node-c/host").Sysctl[v4] = "0"
		}, Ask: "from shop/web-0\nto 10.244.2.2:8080", Want: "error on path: node-c/host: ip-forward: " + v4 + " is 0: the node forwards nothing for its Pods\n" +
			says + v4 + " is 0: the node forwards nothing for its Pods"},
		{Name: "a path through the node is", Edit: off(v4), Ask: "from shop/web-0\nto 10.244.1.2:8080",
			Want: "error on path: node-b/host: ip-forward: " + v4 + " is 0: the node forwards nothing for its Pods"},
	})
	checktest.Rows(t, checktest.Kubenet, []*check.Check{Check}, []checktest.Row{
		{Name: "behind a router, where the trace ends", Edit: off(v4), Ask: "from shop/web-0\nto 10.244.1.2:8080",
			Want: "error on path: node-b/host: ip-forward: " + v4 + " is 0: the node forwards nothing for its Pods"},
	})
	checktest.Rows(t, checktest.DualStack, []*check.Check{Check}, []checktest.Row{
		{Name: "as recorded, of both families"},
		{Name: "off for IPv6", Edit: off(v6), Want: says + v6 + " is 0: the node forwards nothing for its Pods",
			Fix: []string{"sysctl -w net.ipv6.conf.all.forwarding=1", "echo 'net.ipv6.conf.all.forwarding = 1' > /etc/sysctl.d/90-forward.conf"}},
		{Name: "off for both", Edit: off(v4, v6), Want: says + v4 + " is 0: the node forwards nothing for its Pods\n" + says + v6 + " is 0: the node forwards nothing for its Pods"},
	})
}
