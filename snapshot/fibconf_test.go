package snapshot

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/plumbnet/plumb/fib"
)

const links = `
-- nodes/a/host/addr.json --
[{"ifindex":1,"ifname":"lo","group":"default"},{"ifindex":2,"ifname":"eth0","group":"7"},{"ifindex":3,"ifname":"eth0.5","group":"default"}]
-- nodes/a/host/sysctl --
`

// What Read fills in of the settings and devices that a route lookup asks for.
func TestFIBSettings(t *testing.T) {
	type m = map[string]bool
	none, groups := map[string]uint32{}, map[string]int{"lo": 0, "eth0": 7, "eth0.5": 0}
	for _, tt := range []struct {
		name, in string
		want     fib.Tables
	}{
		{"nothing collected", "-- nodes/a/host/stat --\n", fib.Tables{}},
		{"no settings", links, fib.Tables{VRF: none, Groups: groups}},
		{"all of IPv4", links + "net.ipv4.conf.all.route_localnet = 1\nnet.ipv4.conf.all.ignore_routes_with_linkdown = 1\n",
			fib.Tables{VRF: none, Groups: groups, RouteLocalnet: m{"lo": true, "eth0": true, "eth0.5": true}, IgnoreLinkdown: m{"lo": true, "eth0": true, "eth0.5": true}}},
		{"one device", links + "net.ipv4.conf.eth0/5.route_localnet = 1\nnet.ipv4.conf.eth0.ignore_routes_with_linkdown = 1\n",
			fib.Tables{VRF: none, Groups: groups, RouteLocalnet: m{"eth0.5": true}, IgnoreLinkdown: m{"eth0": true}}},
		{"all of IPv6 is no device's own", links + "net.ipv6.conf.all.ignore_routes_with_linkdown = 1\nnet.ipv6.conf.all.use_tempaddr = 2\nnet.ipv6.conf.eth0.ignore_routes_with_linkdown = 1\n",
			fib.Tables{VRF: none, Groups: groups, IgnoreLinkdown6: m{"eth0": true}}},
		{"temporary addresses are preferred from 2 on", links + "net.ipv6.conf.lo.use_tempaddr = -1\nnet.ipv6.conf.eth0.use_tempaddr = 2\nnet.ipv6.conf.eth0/5.use_tempaddr = 1\n",
			fib.Tables{VRF: none, Groups: groups, UseTempAddr: m{"eth0": true}}},
		{"forwarding", links + "net.ipv6.conf.all.forwarding = 1\n", fib.Tables{VRF: none, Groups: groups, Forwarding6: true}},
		{"forwarding of a device alone", links + "net.ipv6.conf.eth0.forwarding = 1\n", fib.Tables{VRF: none, Groups: groups}},
		{"a group with a name", "-- nodes/a/host/addr.json --\n" + `[{"ifindex":1,"ifname":"lo","group":"default"},{"ifindex":2,"ifname":"eth0","group":"lan"}]`,
			fib.Tables{VRF: none}},
		{"a port of a VRF, and a port of that", "-- nodes/a/host/addr.json --\n" + `[{"ifindex":5,"ifname":"red","linkinfo":{"info_kind":"vrf","info_data":{"table":10}}},
			{"ifindex":2,"ifname":"br0","master":"red"},{"ifindex":3,"ifname":"port","master":"br0"},{"ifindex":4,"ifname":"eth0"}]`,
			fib.Tables{VRF: map[string]uint32{"red": 10, "br0": 10}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := mustRead(t, tree(tt.in)).Nodes[0].Host().FIB
			got.Built = nil
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Error(d)
			}
		})
	}
}
