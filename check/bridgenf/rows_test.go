package bridgenf

import (
	"testing"

	"github.com/plumbnet/plumb/check"
	"github.com/plumbnet/plumb/check/checktest"
)

const (
	v4 = "net.bridge.bridge-nf-call-iptables"
	v6 = "net.bridge.bridge-nf-call-ip6tables"
)

func off(keys ...string) func(*checktest.Facts) {
	return func(f *checktest.Facts) {
		for _, k := range keys {
			f.NS("node-a/host").Sysctl[k] = "0"
		}
	}
}

func TestBridges(t *testing.T) {
	says := func(key string) string {
		return "error: node-a/host: bridge-nf-off: " + key + " is 0: a Service's answers between Pods on cni0 are not translated back"
	}
	checktest.Rows(t, checktest.Flannel, []*check.Check{Check}, []checktest.Row{
		{Name: "as recorded"},
		{Name: "off", Edit: off(v4), Want: says(v4), Fix: []string{"modprobe br_netfilter", "sysctl -w " + v4 + "=1", "echo '" + v4 + " = 1' > /etc/sysctl.d/90-bridge.conf"}},
		{Name: "off for a family that no Pod has", Edit: off(v6)},
		{Name: "off where rules translate no Service", Edit: off(v4), Swap: []checktest.Swap{{File: "nodes/node-a/host/iptables", Old: "*nat", New: "*security"}}},
		{Name: "off where no Pod is on a bridge", Edit: func(f *checktest.Facts) {
			off(v4)(f)
			for i := range f.NS("node-a/host").Links {
				f.NS("node-a/host").Links[i].Master = ""
			}
		}},
		{Name: "on the path by a Service", Edit: off(v4), Ask: "from shop/web-0\nto 10.96.0.20:80", Want: "error on path" + says(v4)[5:]},
		{Name: "beside a path to a Pod", Edit: off(v4), Ask: "from shop/web-0\nto 10.244.0.3:8080", Want: says(v4)},
		{Name: "the devices were not collected", Without: []string{"nodes/node-a/host/addr.json"}, Edit: off(v4), Want: "? nodes/node-a/host/addr.json: bridge-nf-off: not collected"},
	})
	checktest.Rows(t, checktest.DualStack, []*check.Check{Check}, []checktest.Row{
		{Name: "off for IPv6", Edit: off(v6), Want: says(v6)},
		{Name: "off for IPv6, on its path", Edit: off(v6), Ask: "from shop/web-0\nto [fd00:10:96::20]:80", Want: "error on path" + says(v6)[5:]},
		{Name: "off for IPv6, beside a path of IPv4", Edit: off(v6), Ask: "from shop/web-0\nto 10.96.0.20:80", Want: says(v6)},
	})
}
