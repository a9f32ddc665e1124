package vtepaddress

import (
	"net/netip"
	"testing"

	"github.com/plumbnet/plumb/check"
	"github.com/plumbnet/plumb/check/checktest"
	"github.com/plumbnet/plumb/packet"
)

const publicIP = "flannel.alpha.coreos.com/public-ip"

// second gives node-b's uplink another address, which its VXLAN sends from.
func second(f *checktest.Facts) {
	f.Address("node-b/host/eth0", "192.168.10.112/24")
	f.Link("node-b/host/flannel.1").Info.Data.Local = "192.168.10.112"
}

func unregister(f *checktest.Facts) { f.Node("node-b").Annotations = nil }

func TestViews(t *testing.T) {
	const says = "error: node-b/host/flannel.1: vtep-address: flannel.1 sends from "
	const restart = "kubectl -n kube-flannel delete pod kube-flannel-ds-node-b"
	checktest.Rows(t, checktest.Flannel, []*check.Check{Check}, []checktest.Row{
		{Name: "as recorded"},
		{Name: "from the second address", Edit: second, Want: says + "192.168.10.112, but the node is registered as 192.168.10.12: answers go there",
			Fix: []string{"kubectl annotate node node-b --overwrite flannel.alpha.coreos.com/public-ip-overwrite=192.168.10.12", restart}},
		{Name: "registered by an address that it had", Edit: func(f *checktest.Facts) { f.Node("node-b").Annotations[publicIP] = "192.168.10.77" },
			Want: says + "192.168.10.12, but the node is registered as 192.168.10.77: answers go there",
			Fix:  []string{"kubectl annotate node node-b --overwrite flannel.alpha.coreos.com/public-ip-overwrite=192.168.10.12", restart}},
		{Name: "from an address that is gone", Edit: func(f *checktest.Facts) { f.Link("node-b/host/flannel.1").Info.Data.Local = "192.168.10.77" },
			Want: says + "192.168.10.77, which no device of the node has"},
		{Name: "not registered, and the others know another", Edit: func(f *checktest.Facts) { second(f); unregister(f) },
			Want: says + "192.168.10.112, but the other nodes know it at 192.168.10.12", Fix: []string{restart}},
		{Name: "not registered, and the others know nothing", Edit: func(f *checktest.Facts) {
			second(f)
			unregister(f)
			f.Link("node-b/host/flannel.1").MAC = packet.MAC{2, 0, 0, 0, 0, 9}
		}},
		{Name: "registered by the second, known to the API by the first", Edit: func(f *checktest.Facts) {
			second(f)
			f.Node("node-b").Annotations[publicIP] = "192.168.10.112"
		}, Want: says + "192.168.10.112, one of two addresses of its uplink; the node's InternalIP is 192.168.10.12"},
		{Name: "registered by one of another device: meant so", Edit: func(f *checktest.Facts) {
			f.Address("node-b/host/lo", "198.51.100.12/32")
			f.Link("node-b/host/flannel.1").Info.Data.Local = "198.51.100.12"
			f.Node("node-b").Annotations[publicIP] = "198.51.100.12"
		}},
		{Name: "the device leaves it to the kernel, which takes the right one", Edit: func(f *checktest.Facts) { f.Link("node-b/host/flannel.1").Info.Data.Local = "" }},
		{Name: "the device leaves it to the kernel, which takes the second", Edit: func(f *checktest.Facts) {
			second(f)
			f.Link("node-b/host/flannel.1").Info.Data.Local = ""
			f.Route("node-b/host", "192.168.10.0/24").PrefSrc = netip.MustParseAddr("192.168.10.112")
		}, Want: says + "192.168.10.112, but the node is registered as 192.168.10.12: answers go there"},
		{Name: "on the path, though nothing on it dies", Edit: second, Ask: "from shop/web-0\nto 10.244.1.2:8080",
			Want: says + "192.168.10.112, but the node is registered as 192.168.10.12: answers go there"},
		{Name: "the entries of others were not collected", Edit: func(f *checktest.Facts) { second(f); unregister(f) },
			Without: []string{"nodes/node-a/host/fdb.json", "nodes/node-c/host/fdb.json"},
			Want:    "? nodes/node-a/host/fdb.json: vtep-address: not collected\n? nodes/node-c/host/fdb.json: vtep-address: not collected"},
	})
	checktest.Rows(t, checktest.DualStack, []*check.Check{Check}, []checktest.Row{
		{Name: "as recorded, of both families"},
		{Name: "the tunnel of IPv6", Edit: func(f *checktest.Facts) {
			f.Node("node-b").Annotations["flannel.alpha.coreos.com/public-ipv6"] = "fd00:192:168:10::77"
		}, Want: "error: node-b/host/flannel-v6.1: vtep-address: flannel-v6.1 sends from fd00:192:168:10::12, but the node is registered as fd00:192:168:10::77: answers go there"},
	})
}
