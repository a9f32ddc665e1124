package vxlan

import (
	"testing"

	"github.com/plumbnet/plumb/check"
	"github.com/plumbnet/plumb/check/checktest"
)

// set has the VXLAN of nodes differ.
func set(vni, port int, nodes ...string) func(*checktest.Facts) {
	return func(f *checktest.Facts) {
		for _, n := range nodes {
			d := &f.Link(n + "/host/flannel.1").Info.Data
			d.ID, d.Port = vni, port
		}
	}
}

func TestOdd(t *testing.T) {
	restart := func(node string) []string {
		return []string{"ip link delete flannel.1", "kubectl -n kube-flannel delete pod kube-flannel-ds-" + node}
	}
	checktest.Rows(t, checktest.Flannel, []*check.Check{VNI, Port}, []checktest.Row{
		{Name: "as recorded"},
		{Name: "one VNI", Edit: set(7, 8472, "node-a"), Want: "error: node-a/host/flannel.1: vni-mismatch: flannel.1 has the VXLAN network identifier 7; 2 other nodes have 1", Fix: restart("node-a")},
		{Name: "two of three have the other VNI: the third is odd", Edit: set(7, 8472, "node-a", "node-c"),
			Want: "error: node-b/host/flannel.1: vni-mismatch: flannel.1 has the VXLAN network identifier 1; 2 other nodes have 7", Fix: restart("node-b")},
		{Name: "one port", Edit: set(1, 4789, "node-c"), Want: "error: node-c/host/flannel.1: vxlan-port-mismatch: flannel.1 uses UDP port 4789; 2 other nodes use 8472", Fix: restart("node-c")},
		{Name: "both", Edit: set(7, 4789, "node-c"), Want: "error: node-c/host/flannel.1: vni-mismatch: flannel.1 has the VXLAN network identifier 7; 2 other nodes have 1\n" +
			"error: node-c/host/flannel.1: vxlan-port-mismatch: flannel.1 uses UDP port 4789; 2 other nodes use 8472"},
		{Name: "each another: none is odd", Edit: func(f *checktest.Facts) { set(7, 8472, "node-b")(f); set(8, 8472, "node-c")(f) }},
		{Name: "of another name: another network", Edit: func(f *checktest.Facts) {
			set(7, 8472, "node-c")(f)
			f.Link("node-c/host/flannel.1").Name = "vxlan.calico"
		}},
		{Name: "one that takes the VNI from its routes", Edit: func(f *checktest.Facts) {
			set(0, 8472, "node-c")(f)
			f.Link("node-c/host/flannel.1").Info.Data.External = true
		}},
		{Name: "on the path there", Edit: set(7, 8472, "node-b"), Ask: "from shop/web-0\nto 10.244.1.2:8080",
			Want: "error on path: node-b/host/flannel.1: vni-mismatch: flannel.1 has the VXLAN network identifier 7; 2 other nodes have 1"},
		{Name: "beside a path that other nodes take", Edit: set(7, 8472, "node-b"), Ask: "from shop/web-0\nto 10.244.2.2:8080",
			Want: "error: node-b/host/flannel.1: vni-mismatch: flannel.1 has the VXLAN network identifier 7; 2 other nodes have 1"},
		{Name: "of two, where the third was not collected, no one is odd", Edit: set(7, 8472, "node-a"), Without: []string{"nodes/node-b/host/addr.json"},
			Want: "? nodes/node-b/host/addr.json: vni-mismatch: not collected\n? nodes/node-b/host/addr.json: vxlan-port-mismatch: not collected"},
	})
}
