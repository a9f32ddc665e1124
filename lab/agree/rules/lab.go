//go:build linux

package rules

import "net/netip"

func addrs(s ...string) (out []netip.Addr) {
	for _, a := range s {
		out = append(out, netip.MustParseAddr(a))
	}
	return out
}

func nets(s ...string) (out []netip.Prefix) {
	for _, a := range s {
		out = append(out, netip.MustParsePrefix(a))
	}
	return out
}

// lab is the topology of the random rulesets: two networks of clients, and the way out.
var lab = Topology{Devs: []Dev{
	{Name: "lo", Addrs: addrs("10.9.9.9", "fd00:9::9")},
	{Name: "in0", Addrs: addrs("10.1.0.1", "fd00:1::1"), Nets: nets("10.1.0.0/16", "fd00:1::/32"), Bcast: netip.MustParseAddr("10.1.0.255")},
	{Name: "in1", Addrs: addrs("10.4.0.1", "fd00:4::1"), Nets: nets("10.4.0.0/16", "fd00:4::/32")},
	{Name: "out0", Addrs: addrs("10.2.0.1", "10.2.0.3", "fd00:2::1"), Nets: nets("0.0.0.0/0", "::/0")},
}}
