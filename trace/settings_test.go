package trace_test

import (
	"net/netip"
	"testing"

	"github.com/plumbnet/plumb/packet"
	"github.com/plumbnet/plumb/trace"
)

const (
	confAll = "net.ipv4.conf.all."
	confV1  = "net.ipv4.conf.v1."
	confV3  = "net.ipv4.conf.v3."
)

// TestSettings changes the sysctls of a host between three others. Its v3 has rp_filter 1; p3
// sends to p2 from 10.0.1.77, an address behind v1, and to p1 from 10.0.2.1, which is the host's own.
func TestSettings(t *testing.T) {
	const plain, spoof, own = "a/p1 tcp 10.0.3.2:8080", "a/p3 tcp 10.0.2.2:8080", "a/p3 tcp 10.0.1.2:8080"
	loop := rules("a/host", "nat", ":PREROUTING ACCEPT [0:0]", "-A PREROUTING -d 10.0.1.1/32 -p tcp -m tcp --dport 7 -j DNAT --to-destination 127.0.0.1:8080")
	listen := put("nodes/a/host/sockets", "tcp LISTEN 0 128 127.0.0.1:8080 0.0.0.0:*\n")
	rows(t, "router", []row{
		{name: "as recorded", ask: plain, want: trace.Delivered, reply: trace.Delivered},
		{name: "the device does not forward", ask: plain, changes: []change{set("a/host", confV1+"forwarding", "0")},
			want: trace.Dropped, at: "a/host/v1", why: "net.ipv4.conf.v1.forwarding is 0", told: "none"},
		{name: "nothing forwards", ask: plain, changes: []change{set("a/host", confV1+"forwarding", "0"), set("a/host", "net.ipv4.ip_forward", "0")},
			want: trace.Dropped, why: "net.ipv4.ip_forward is 0"},
		{name: "forwarding not collected", ask: plain, changes: []change{unset("a/host", confV1+"forwarding"), unset("a/host", "net.ipv4.ip_forward")},
			want: trace.Unknown, why: "net.ipv4.ip_forward was not collected"},
		{name: "forwarding of the device not collected, and ip_forward on", ask: plain, changes: []change{unset("a/host", confV1+"forwarding")},
			want: trace.Delivered, reply: trace.Delivered},
		{name: "strict rp_filter", ask: spoof, want: trace.Dropped, at: "a/host/v3", why: "rp_filter 1", told: "none"},
		{name: "loose rp_filter", ask: spoof, changes: []change{set("a/host", confV3+"rp_filter", "2")}, want: trace.Delivered, reply: trace.Dropped},
		{name: "no rp_filter", ask: spoof, changes: []change{set("a/host", confV3+"rp_filter", "0")}, want: trace.Delivered, reply: trace.Dropped},
		{name: "rp_filter of all counts too", ask: spoof, changes: []change{set("a/host", confV3+"rp_filter", "0"), set("a/host", confAll+"rp_filter", "1")},
			want: trace.Dropped, why: "rp_filter 1"},
		{name: "the larger rp_filter counts", ask: spoof, changes: []change{set("a/host", confAll+"rp_filter", "2")}, want: trace.Delivered},
		{name: "rp_filter not collected", ask: spoof, changes: []change{unset("a/host", confV3+"rp_filter")}, want: trace.Unknown, why: "rp_filter of a/host/v3 was not collected"},
		{name: "no way back at all", ask: spoof, changes: []change{sub("nodes/a/host/routes.json", `"dst":"10\.0\.1\.0/24"`, `"dst":"10.99.1.0/24"`)},
			want: trace.Dropped, why: "there is no way back to 10.0.1.77"},
		{name: "own address as the source", ask: own, want: trace.Dropped, why: "accept_local is off", told: "none"},
		{name: "accept_local, and strict rp_filter", ask: own, changes: []change{set("a/host", confV3+"accept_local", "1")}, want: trace.Dropped, why: "rp_filter 1"},
		{name: "accept_local", ask: own, changes: []change{set("a/host", confAll+"accept_local", "1"), set("a/host", confV3+"rp_filter", "0")},
			want: trace.Delivered, reply: trace.NoListener},
		{name: "accept_local not collected", ask: own, changes: []change{unset("a/host", confV3+"accept_local")}, want: trace.Unknown, why: "accept_local"},
		{name: "to loopback by DNAT", ask: "a/p1 tcp 10.0.1.1:7", changes: []change{loop, listen}, want: trace.Dropped, at: "a/host/v1", why: "route_localnet is off"},
		{name: "to loopback by DNAT, with route_localnet", ask: "a/p1 tcp 10.0.1.1:7", changes: []change{loop, listen, set("a/host", confV1+"route_localnet", "1")},
			want: trace.Delivered, reply: trace.Delivered},
		{name: "route_localnet not collected", ask: "a/p1 tcp 10.0.1.1:7", changes: []change{loop, listen, unset("a/host", confV1+"route_localnet"), unset("a/host", confAll+"route_localnet")},
			want: trace.Unknown, why: "route_localnet"},
		{name: "no echo", ask: "a/p1 ping 10.0.3.2", changes: []change{set("a/p3", "net.ipv4.icmp_echo_ignore_all", "1")},
			want: trace.Dropped, at: "a/p3", why: "icmp_echo_ignore_all is 1"},
		{name: "arp_ignore 8 answers nobody", ask: plain, changes: []change{put("nodes/a/p1/neigh.json", "[]"), set("a/host", confV1+"arp_ignore", "8")},
			want: trace.NoNeighbour, at: "a/p1/eth0"},
		{name: "arp_ignore 1 answers for the device's own", ask: plain, changes: []change{put("nodes/a/p1/neigh.json", "[]"), set("a/host", confV1+"arp_ignore", "1")},
			want: trace.Delivered, reply: trace.Delivered},
		{name: "arp_ignore 2 answers within the subnet", ask: plain, changes: []change{put("nodes/a/p1/neigh.json", "[]"), set("a/host", confV1+"arp_ignore", "2")},
			want: trace.Delivered, reply: trace.Delivered},
		{name: "an ARP request that rp_filter refuses", ask: spoof, changes: []change{put("nodes/a/p3/neigh.json", "[]")}, want: trace.NoNeighbour, at: "a/p3/eth0"},
		{name: "an ARP request from the asked one's address", ask: own, changes: []change{put("nodes/a/p3/neigh.json", "[]"), set("a/host", confV3+"rp_filter", "0")},
			want: trace.NoNeighbour, at: "a/p3/eth0"},
	})
}

// TestSrcValidMark has a rule that sends marked packets another way: rp_filter asks for the way back with the mark only where src_valid_mark says so.
func TestSrcValidMark(t *testing.T) {
	mark := []change{
		rules("a/host", "mangle", ":PREROUTING ACCEPT [0:0]", "-A PREROUTING -i v1 -j MARK --set-xmark 0x1/0xffffffff"),
		sub("nodes/a/host/rules.json", `^\[`, `[{"priority":100,"src":"all","fwmark":"0x1","table":"100"},`),
		sub("nodes/a/host/routes.json", `^\[`, `[{"dst":"default","gateway":"10.0.3.2","dev":"v3","table":"100","protocol":"static","scope":"global","flags":[]},`),
		set("a/host", confV1+"rp_filter", "1"),
	}
	with := func(more ...change) []change { return append(mark[:len(mark):len(mark)], more...) }
	rows(t, "router", []row{
		{name: "off", ask: "a/p1 tcp 10.0.3.2:8080", changes: with(), want: trace.Delivered},
		{name: "of the device", ask: "a/p1 tcp 10.0.3.2:8080", changes: with(set("a/host", confV1+"src_valid_mark", "1")), want: trace.Dropped, why: "by v3"},
		{name: "of all", ask: "a/p1 tcp 10.0.3.2:8080", changes: with(set("a/host", confAll+"src_valid_mark", "1")), want: trace.Dropped, why: "by v3"},
	})
}

// TestMartians has packets with impossible sources come from outside.
func TestMartians(t *testing.T) {
	n := fixture(t, "vxlan", put("nodes/b/host/sockets", "tcp LISTEN 0 128 0.0.0.0:8080 *:*\n"))
	for src, want := range map[string]trace.Fate{
		"224.0.0.1": trace.Dropped, "255.255.255.255": trace.Dropped, "0.1.2.3": trace.Dropped, "127.0.0.5": trace.Dropped,
		"192.168.9.2": trace.Dropped, "192.168.9.50": trace.Delivered,
	} {
		q := trace.Query{Src: netip.MustParseAddr(src), Dst: netip.MustParseAddrPort("192.168.9.2:8080"), Proto: packet.TCP}
		if p := trace.Run(n, q).Paths[0]; p.End != want {
			t.Errorf("from %s: %s: %s; want %s", src, p.End, p.Why, want)
		}
	}
}
