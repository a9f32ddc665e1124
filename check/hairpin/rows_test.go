package hairpin

import (
	"testing"

	"github.com/plumbnet/plumb/check"
	"github.com/plumbnet/plumb/check/checktest"
)

func TestHairpin(t *testing.T) {
	off := func(f *checktest.Facts) { f.Veth("node-a/pod-shop-web-0").Info.SlaveData.Hairpin = false }
	const says = "node-a/host/vethad0f4c26: hairpin-off: hairpin mode of vethad0f4c26 is off: Pod shop/web-0 does not reach itself through a Service"
	all := func(f *checktest.Facts) {
		for i := range f.NS("node-a/host").Links {
			f.NS("node-a/host").Links[i].Info.SlaveData.Hairpin = false
		}
	}
	checktest.Rows(t, checktest.Flannel, []*check.Check{Check}, []checktest.Row{
		{Name: "as recorded"},
		{Name: "off for one of three", Edit: off, Want: "warning: " + says, Fix: []string{"ip link set vethad0f4c26 type bridge_slave hairpin on"}},
		{Name: "off for all: meant so", Edit: all, Want: "info: node-a/host/vethabf3e716: hairpin-off: hairpin mode of vethabf3e716 is off: Pod kube-system/coredns-76f75df574-h8x2k does not reach itself through a Service\n" +
			"info: " + says + "\n" +
			"info: node-a/host/vethef65e200: hairpin-off: hairpin mode of vethef65e200 is off: Pod shop/api-6c9f7d5b8-4xk2p does not reach itself through a Service"},
		{Name: "off, of a veth that is in no bridge", Edit: func(f *checktest.Facts) { off(f); f.Veth("node-a/pod-shop-web-0").Master = "" }},
		{Name: "the path comes back to its Pod", Edit: off, Ask: "from shop/web-0\nto 10.96.0.24:80", Want: "error on path: " + says},
		{Name: "the path of another Pod", Edit: off, Ask: "from shop/web-1\nto 10.96.0.24:80", Want: "warning: " + says},
		{Name: "not collected", Without: []string{"nodes/node-a/host/addr.json"}, Want: "? nodes/node-a/host/addr.json: hairpin-off: not collected"},
	})
}
