package rpfilter

import (
	"net/netip"
	"testing"

	"github.com/plumbnet/plumb/check"
	"github.com/plumbnet/plumb/check/checktest"
	"github.com/plumbnet/plumb/fib"
	"github.com/plumbnet/plumb/network"
	"github.com/plumbnet/plumb/snapshot"
)

func TestStrict(t *testing.T) {
	for _, tt := range []struct {
		name     string
		all, own string
		want     int
	}{
		{"neither", "0", "0", 0},
		{"the device's", "0", "1", 1},
		{"all's", "1", "0", 1},
		{"loose wins over strict", "1", "2", 2},
		{"only all's is known", "1", "", 1},
		{"only the device's is known", "", "1", 1},
		{"not known", "", "", -1},
		{"no number", "x", "y", -1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ns := &network.NS{NetNS: &snapshot.NetNS{Sysctl: map[string]string{}}}
			for key, v := range map[string]string{"all": tt.all, "eth0": tt.own} {
				if v != "" {
					ns.Sysctl["net.ipv4.conf."+key+".rp_filter"] = v
				}
			}
			if got := Strict(ns, "eth0"); got != tt.want {
				t.Errorf("got %d, want %d", got, tt.want)
			}
		})
	}
}

// aside sends node-b's answers to node-a's Pods by the uplink, with rp_filter of the tunnel and of all.
func aside(own, all string) func(*checktest.Facts) {
	return func(f *checktest.Facts) {
		r := f.Route("node-b/host", "10.244.0.0/24")
		r.Hops = []fib.NextHop{{Dev: "eth0", Via: netip.MustParseAddr("192.168.10.11")}}
		f.NS("node-b/host").Sysctl["net.ipv4.conf.flannel/1.rp_filter"] = own
		f.NS("node-b/host").Sysctl["net.ipv4.conf.all.rp_filter"] = all
	}
}

func TestFilter(t *testing.T) {
	const ask = "from shop/web-0\nto 10.244.1.2:8080"
	const says = "error on path: node-b/host/flannel.1: rp-filter: packets from 10.244.0.2 come in by flannel.1 and answers leave by eth0: rp_filter 1 drops them"
	fix := []string{"sysctl -w net.ipv4.conf.all.rp_filter=2", "sysctl -w net.ipv4.conf.flannel/1.rp_filter=2"}
	checktest.Rows(t, checktest.Flannel, []*check.Check{Check}, []checktest.Row{
		{Name: "as recorded", Ask: ask},
		{Name: "the device's is strict", Edit: aside("1", "0"), Ask: ask, Want: says, Fix: fix},
		{Name: "all's is strict", Edit: aside("0", "1"), Ask: ask, Want: says, Fix: fix},
		{Name: "loose", Edit: aside("2", "1"), Ask: ask},
		{Name: "off", Edit: aside("0", "0"), Ask: ask},
		{Name: "off, and a rule drops the packet", Edit: aside("0", "0"), Ask: ask,
			Swap: []checktest.Swap{{File: "nodes/node-b/host/iptables", Old: "-A FORWARD ", New: "-A FORWARD -i flannel.1 -j DROP\n-A FORWARD "}}},
		{Name: "strict, and the way back is the same", Ask: ask, Edit: func(f *checktest.Facts) {
			f.NS("node-b/host").Sysctl["net.ipv4.conf.all.rp_filter"] = "1"
		}},
		{Name: "a path that does not come so", Edit: aside("1", "0"), Ask: "from shop/web-0\nto 10.244.2.2:8080"},
		{Name: "not collected", Edit: aside("1", "0"), Ask: ask, Without: []string{"nodes/node-c/host/sysctl"}, Want: says + "\n? nodes/node-c/host/sysctl: rp-filter: not collected"},
	})
}
