package cidroverlap

import (
	"net/netip"
	"testing"

	"github.com/plumbnet/plumb/check"
	"github.com/plumbnet/plumb/check/checktest"
	"github.com/plumbnet/plumb/fib"
	corev1 "k8s.io/api/core/v1"
)

// writes changes a setting in the ConfigMaps.
func writes(file, text string) func(*checktest.Facts) {
	return func(f *checktest.Facts) {
		for i := range f.Objects.ConfigMaps {
			if m := &f.Objects.ConfigMaps[i]; m.Data[file] != "" {
				m.Data[file] = text
			}
		}
	}
}

func TestInner(t *testing.T) {
	checktest.Rows(t, checktest.Flannel, []*check.Check{Check}, []checktest.Row{
		{Name: "as recorded"},
		{Name: "the Service range in the Pod range", Edit: writes("ClusterConfiguration", "podSubnet: 10.244.0.0/16\nserviceSubnet: 10.244.128.0/20\n"),
			Want: "error: configmap/kube-system/kubeadm-config: cidr-overlap: the Service range 10.244.128.0/20 overlaps the Pod range 10.244.0.0/16"},
		{Name: "the Service range beside the Pod range", Edit: writes("ClusterConfiguration", "podSubnet: 10.244.0.0/16\nserviceSubnet: 10.245.0.0/16\n")},
		{Name: "the nodes' network in the Pod range", Edit: writes("ClusterConfiguration", "podSubnet: 192.168.0.0/16\nserviceSubnet: 10.96.0.0/16\n"),
			Want: "error: node-a/host/eth0: cidr-overlap: the node range 192.168.10.0/24 overlaps the Pod range 192.168.0.0/16"},
		{Name: "a cluster IP among the nodes, where no Service range is written", Edit: func(f *checktest.Facts) {
			f.Objects.ConfigMaps = nil
			f.Service("shop/web").Spec.ClusterIPs = []string{"192.168.10.200"}
		}, Want: "error: service/shop/web: cidr-overlap: the Service range 192.168.10.200/32 overlaps the node range 192.168.10.0/24"},
		{Name: "a headless Service has no address", Edit: func(f *checktest.Facts) {
			f.Objects.ConfigMaps = nil
			f.Service("shop/web").Spec.ClusterIPs = []string{corev1.ClusterIPNone}
		}},
		{Name: "nodes were not collected", Without: []string{"objects/nodes.json"}, Want: "? objects/Node: cidr-overlap: not collected"},
	})
	checktest.Rows(t, checktest.DualStack, []*check.Check{Check}, []checktest.Row{
		{Name: "as recorded, of both families"},
		{Name: "of IPv6", Edit: writes("ClusterConfiguration", "podSubnet: 10.244.0.0/16,fd00:10:244::/48\nserviceSubnet: 10.96.0.0/16,fd00:10:244:ff::/112\n"),
			Want: "error: configmap/kube-system/kubeadm-config: cidr-overlap: the Service range fd00:10:244:ff::/112 overlaps the Pod range fd00:10:244::/48"},
	})
}

func TestOuter(t *testing.T) {
	const says = ": what is for the outside stays in the cluster"
	const kubeadm = "configmap/kube-system/kubeadm-config: cidr-overlap: the outside range "
	const pods = "configmap/kube-flannel/kube-flannel-cfg: cidr-overlap: the outside range "
	checktest.Rows(t, checktest.Flannel, []*check.Check{Check}, []checktest.Row{
		{Name: "a free range", Ask: "external 10.20.0.0/16"},
		{Name: "in the Pod range", Ask: "external 10.244.9.0/24", Want: "error: " + pods + "10.244.9.0/24 overlaps the Pod range 10.244.0.0/16" + says,
			Fix: []string{"iptables -t nat -A POSTROUTING -s 10.244.9.0/24 -j NETMAP --to 100.64.0.0/24", "iptables -t nat -A PREROUTING -d 100.64.0.0/24 -j NETMAP --to 10.244.9.0/24"}},
		{Name: "around the Service range", Ask: "external 10.64.0.0/10", Want: "error: " + kubeadm + "10.64.0.0/10 overlaps the Service range 10.96.0.0/16" + says},
		{Name: "the nodes' network", Ask: "external 192.168.10.0/25", Want: "error: node-a/host/eth0: cidr-overlap: the outside range 192.168.10.0/25 overlaps the node range 192.168.10.0/24" + says},
		{Name: "two of them, of which one overlaps", Ask: "external 10.20.0.0/16\nexternal 10.244.0.0/24", Want: "error: " + pods + "10.244.0.0/24 overlaps the Pod range 10.244.0.0/16" + says},
		{Name: "the proposal keeps clear of the others outside", Ask: "external 10.244.9.0/24\nexternal 100.64.0.0/16", Want: "error: " + pods + "10.244.9.0/24 overlaps the Pod range 10.244.0.0/16" + says,
			Fix: []string{"iptables -t nat -A POSTROUTING -s 10.244.9.0/24 -j NETMAP --to 100.65.0.0/24", "iptables -t nat -A PREROUTING -d 100.65.0.0/24 -j NETMAP --to 10.244.9.0/24"}},
		{Name: "asked about a host there", Ask: "external 10.244.1.0/24\nfrom shop/web-0\nto 10.244.1.50:80", Want: "error on path: " + pods + "10.244.1.0/24 overlaps the Pod range 10.244.0.0/16" + says},
		{Name: "asked about a Pod there, which is meant", Ask: "external 10.244.1.0/24\nfrom shop/web-0\nto 10.244.1.2:8080", Want: "error: " + pods + "10.244.1.0/24 overlaps the Pod range 10.244.0.0/16" + says},
		{Name: "asked from a host there", Ask: "external 10.244.9.0/24\nfrom 10.244.9.50\nto 192.168.10.11:30080", Want: "error on path: " + pods + "10.244.9.0/24 overlaps the Pod range 10.244.0.0/16" + says},
	})
}

func TestForeign(t *testing.T) {
	to := func(dst, via string) func(*checktest.Facts) {
		return func(f *checktest.Facts) {
			t := &f.NS("node-a/host").FIB
			t.Routes = append(t.Routes, fib.Route{Dst: netip.MustParsePrefix(dst), Type: fib.Unicast, Table: fib.TableMain, Hops: []fib.NextHop{{Dev: "eth0", Via: netip.MustParseAddr(via)}}})
		}
	}
	const says = "warning: node-a/host/eth0: cidr-overlap: the node has a route to "
	checktest.Rows(t, checktest.Flannel, []*check.Check{Check}, []checktest.Row{
		{Name: "to a part of the Service range", Edit: to("10.96.8.0/24", "192.168.10.1"), Want: says + "10.96.8.0/24 outside, which overlaps the Service range 10.96.0.0/16", Fix: []string{"ip route del 10.96.8.0/24"}},
		{Name: "to a part of the Pod range that no node has", Edit: to("10.244.9.0/24", "192.168.10.1"), Want: says + "10.244.9.0/24 outside, which overlaps the Pod range 10.244.0.0/16"},
		{Name: "to a node's Pods, which other checks judge", Edit: to("10.244.1.0/24", "192.168.10.1")},
		{Name: "to another node", Edit: to("10.244.9.0/24", "192.168.10.12")},
		{Name: "wider than the range: less specific than what is right", Edit: to("10.0.0.0/8", "192.168.10.1")},
		{Name: "beside the ranges", Edit: to("10.20.0.0/16", "192.168.10.1")},
	})
}
