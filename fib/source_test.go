package fib

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/plumbnet/plumb/packet"
)

func TestSourceAddr(t *testing.T) {
	a := func(dev, p, scope string, flags ...string) Addr {
		return Addr{Dev: dev, Prefix: prefix(p), Scope: scope, Flags: flags}
	}
	for _, c := range []struct {
		name  string
		addrs []Addr
		dev   string
		dst   string
		want  string
	}{
		{"the first", []Addr{a("a", "10.0.0.1/24", ""), a("a", "10.1.0.1/24", "")}, "a", "8.8.8.8", "10.0.0.1"},
		{"in the gateway's subnet", []Addr{a("a", "10.0.0.1/24", ""), a("a", "10.1.0.1/24", "")}, "a", "10.1.0.9", "10.1.0.1"},
		{"of another device", []Addr{a("lo", "127.0.0.1/8", "host"), a("b", "10.1.0.1/24", "")}, "a", "8.8.8.8", "10.1.0.1"},
		{"not of the link's scope", []Addr{a("a", "10.0.0.1/24", "link"), a("a", "10.1.0.1/24", "")}, "a", "8.8.8.8", "10.1.0.1"},
		{"none", []Addr{a("lo", "127.0.0.1/8", "host")}, "a", "8.8.8.8", ""},
		{"not a secondary one", []Addr{{Dev: "a", Prefix: prefix("10.0.0.1/24"), Secondary: true}, a("a", "10.1.0.1/24", "")}, "a", "10.0.0.9", "10.1.0.1"},
		{"in the subnet of a peer", []Addr{a("a", "10.0.0.1/24", ""), {Dev: "a", Prefix: prefix("10.5.0.1/32"), Peer: prefix("10.5.1.0/24")}}, "a", "10.5.1.9", "10.5.0.1"},
		{"another device's, not of the link's scope", []Addr{a("b", "10.0.0.1/24", "link"), a("b", "10.1.0.1/24", "")}, "a", "8.8.8.8", "10.1.0.1"},
		{"IPv4 in IPv6", []Addr{a("a", "10.0.0.1/24", "")}, "a", "::ffff:8.8.8.8", "10.0.0.1"},
		{"no device", []Addr{a("a", "10.0.0.1/24", "")}, "", "8.8.8.8", "10.0.0.1"},
		{"6: same address", []Addr{a("a", "fd00::1/64", ""), a("b", "fd00::2/64", "")}, "a", "fd00::2", "fd00::2"},
		{"6: scope", []Addr{a("a", "fe80::1/64", "link"), a("b", "2001:db8::1/64", "")}, "a", "2001:db8:9::1", "2001:db8::1"},
		{"6: link-local destination", []Addr{a("a", "fd00::1/64", ""), a("a", "fe80::1/64", "link"), a("b", "fe80::2/64", "link")}, "a", "fe80::9", "fe80::1"},
		{"6: not deprecated", []Addr{a("a", "fd00::1/64", "", "deprecated"), a("b", "fd00:0:0:1::1/64", "")}, "a", "fd00::9", "fd00:0:0:1::1"},
		{"6: of the device", []Addr{a("b", "fd00::2/64", ""), a("a", "fd00:1::1/64", "")}, "a", "fd00::9", "fd00:1::1"},
		{"6: label", []Addr{a("a", "fd00::1/64", ""), a("a", "2001:db8::1/64", "")}, "a", "2a00::1", "2001:db8::1"},
		{"6: not temporary", []Addr{a("a", "2001:db8::2/64", "", "temporary"), a("a", "2001:db8::1/64", "")}, "a", "2a00::1", "2001:db8::1"},
		{"6: longest prefix", []Addr{a("a", "2001:db8:1::1/64", ""), a("a", "2001:db8:2::1/64", "")}, "a", "2001:db8:2::9", "2001:db8:2::1"},
		{"6: the smallest scope that suffices", []Addr{a("a", "2001:db8::1/64", ""), a("a", "fec0::1/64", "site")}, "a", "fec0::9", "fec0::1"},
		{"6: a larger scope where none suffices", []Addr{a("a", "fe80::1/64", "link"), a("a", "fec0::1/64", "site")}, "a", "2001:db8::9", "fec0::1"},
		{"6: scope before deprecated", []Addr{a("a", "fe80::1/64", "link"), a("a", "2001:db8::1/64", "", "deprecated")}, "a", "2001:db8:9::9", "2001:db8::1"},
		{"6: deprecated before the device", []Addr{a("a", "2001:db8::1/64", "", "deprecated"), a("b", "2001:db8:1::1/64", "")}, "a", "2001:db8:9::9", "2001:db8:1::1"},
		{"6: the device before the label", []Addr{a("b", "2001:db8::1/64", ""), a("a", "fd00::1/64", "")}, "a", "2a00::1", "fd00::1"},
		{"6: the label before temporary", []Addr{a("a", "fd00::1/64", ""), a("a", "2001:db8::1/64", "", "temporary")}, "a", "2a00::1", "2001:db8::1"},
		{"6: temporary before the prefix", []Addr{a("a", "2a00::1/64", "", "temporary"), a("a", "2001:db8::1/64", "")}, "a", "2a00::9", "2001:db8::1"},
		{"6: label of 6to4", []Addr{a("a", "2001:db8::1/64", ""), a("a", "2002:a00::1/64", "")}, "a", "2002:b00::1", "2002:a00::1"},
		{"6: label of Teredo", []Addr{a("a", "2001:db8::1/64", ""), a("a", "2001::1/64", "")}, "a", "2001::9", "2001::1"},
		{"6: ORCHID for ORCHID", []Addr{a("a", "2001:db8::1/64", ""), a("a", "2001:10::1/64", "")}, "a", "2001:10::9", "2001:10::1"},
		{"6: bits past the address's prefix do not count", []Addr{a("a", "2001:db8::1/32", ""), a("a", "2001:db8:ffff::1/32", "")}, "a", "2001:db8:ffff::9", "2001:db8::1"},
		{"6: an optimistic one is as good as deprecated", []Addr{a("a", "2001:db8::1/64", "", "tentative", "optimistic"), a("a", "2001:db8:1::1/64", "")}, "a", "2001:db8::9", "2001:db8:1::1"},
		{"6: an optimistic one where there is no other", []Addr{a("a", "2001:db8::1/64", "", "tentative", "optimistic")}, "a", "2001:db8::9", "2001:db8::1"},
		{"6: multicast is of the device", []Addr{a("b", "2001:db8::1/64", ""), a("a", "fd00::1/64", "")}, "a", "ff0e::1", "fd00::1"},
		{"6: link-local of no other device", []Addr{a("b", "fe80::2/64", "link")}, "a", "fe80::9", ""},
		{"6: the loopback for itself", []Addr{a("a", "fd00::1/64", ""), a("lo", "::1/128", "host")}, "", "::1", "::1"},
		{"6: not tentative", []Addr{a("a", "fd00::1/64", "", "tentative")}, "a", "fd00::9", ""},
		{"6: first of equals", []Addr{a("a", "fd00::5/64", ""), a("a", "fd00::4/64", "")}, "a", "fd00::8000", "fd00::5"},
	} {
		t.Run(c.name, func(t *testing.T) {
			tb := &Tables{Addrs: c.addrs}
			got, ok := tb.SourceAddr(c.dev, addr(c.dst))
			if text := textOf(got); text != c.want || ok != (c.want != "") {
				t.Errorf("got %q %v, want %q", text, ok, c.want)
			}
		})
	}
}

// With use_tempaddr of 2 a device prefers its temporary addresses.
func TestTemporaryAddrs(t *testing.T) {
	tb := &Tables{Addrs: []Addr{
		{Dev: "a", Prefix: prefix("2001:db8::1/64")},
		{Dev: "a", Prefix: prefix("2001:db8::2/64"), Flags: []string{"temporary"}},
	}}
	for want, use := range map[string]map[string]bool{"2001:db8::1": {"b": true}, "2001:db8::2": {"a": true}} {
		tb.UseTempAddr = use
		if got, _ := tb.SourceAddr("a", addr("2a00::1")); got != addr(want) {
			t.Errorf("%v: got %s, want %s", use, got, want)
		}
	}
}

// With route_localnet the loopback's addresses may be those of other devices, and 127.0.0.0/8 may leave.
func TestRouteLocalnet(t *testing.T) {
	tb := tables(nil, append([]string{"127.7.0.0/16 dev a"}, own...)...)
	for _, c := range []struct {
		name string
		on   map[string]bool
		q    Query
		want string
	}{
		{"off, out", nil, Query{Dst: addr("10.0.0.9"), Src: addr("127.0.0.1")}, "invalid argument | 1.00 dev a"},
		{"on, out", map[string]bool{"a": true}, Query{Dst: addr("10.0.0.9"), Src: addr("127.0.0.1")}, "unicast | 1.00 dev a"},
		{"on for another, out", map[string]bool{"b": true}, Query{Dst: addr("10.0.0.9"), Src: addr("127.0.0.1")}, "invalid argument | 1.00 dev a"},
		{"off, in", nil, Query{Dst: addr("127.0.0.1"), Src: addr("10.1.0.7"), IIF: "b"}, "invalid argument"},
		{"on, in", map[string]bool{"b": true}, Query{Dst: addr("127.0.0.1"), Src: addr("10.1.0.7"), IIF: "b"}, "local | 1.00"},
		{"on for all, in", map[string]bool{"all": true}, Query{Dst: addr("127.0.0.1"), Src: addr("10.1.0.7"), IIF: "b"}, "local | 1.00"},
	} {
		t.Run(c.name, func(t *testing.T) {
			tb.RouteLocalnet = c.on
			if d := cmp.Diff(c.want, brief(tb.Lookup(c.q))); d != "" {
				t.Error(d)
			}
		})
	}
}

func textOf(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

func TestAddrType(t *testing.T) {
	for _, rules := range [][]Rule{nil, with(rule(5, 77))} {
		tb := tables(rules, append([]string{"local 127.0.0.0/8 dev lo table local scope host", "local ::1 dev lo table local", "anycast fd00:a:: dev a table local"}, own...)...)
		tb.Index()
		for _, c := range []struct{ addr, dev, want string }{
			{"10.0.0.1", "", "LOCAL"}, {"10.0.0.1", "a", "LOCAL"}, {"10.0.0.1", "b", "UNICAST"}, {"127.3.3.3", "", "LOCAL"},
			{"10.0.0.255", "", "BROADCAST"}, {"255.255.255.255", "", "BROADCAST"}, {"0.0.0.0", "", "BROADCAST"},
			{"224.0.0.1", "", "MULTICAST"}, {"8.8.8.8", "", "UNICAST"}, {"10.0.0.9", "", "UNICAST"},
			{"fd00:a::1", "", "LOCAL"}, {"fd00:a::1", "a", "LOCAL"}, {"fd00:a::9", "a", "UNICAST"}, {"ff02::1", "", "MULTICAST"}, {"::", "", "UNSPEC"},
			{"fd00:a::", "", "ANYCAST"}, {"2001:db8::1", "", "UNREACHABLE"}, {"2001:db8::1", "a", "UNREACHABLE"},
		} {
			if got := tb.AddrType(addr(c.addr), c.dev); got != c.want {
				t.Errorf("%s on %q is %s, want %s", c.addr, c.dev, got, c.want)
			}
			if got, want := tb.IsLocal(addr(c.addr)), c.want == "LOCAL"; c.dev == "" && got != want {
				t.Errorf("IsLocal(%s) is %v", c.addr, got)
			}
		}
	}
	if got := (&Tables{}).AddrType(netip.Addr{}, ""); got != "" {
		t.Errorf("no address is %q", got)
	}
}

func TestPrimaryAddr(t *testing.T) {
	tb := tables(nil)
	if got, ok := tb.PrimaryAddr("b", false); !ok || got != addr("10.1.0.1") {
		t.Errorf("got %s", got)
	}
	if got, ok := tb.PrimaryAddr("b", true); !ok || got != addr("fd00:b::1") {
		t.Errorf("got %s", got)
	}
	if got, ok := tb.PrimaryAddr("none", true); ok {
		t.Errorf("got %s", got)
	}
}

func TestNeighboursAndFDB(t *testing.T) {
	m := func(n byte) packet.MAC { return packet.MAC{0, 0x11, 0x22, 0, 0, n} }
	tb := &Tables{
		Neighs: []Neigh{{Dst: addr("10.0.0.9"), Dev: "a", Proxy: true}, {Dst: addr("10.0.0.9"), Dev: "a", MAC: m(1), State: "STALE"}},
		FDB: []FDBEntry{
			{MAC: m(1), Dev: "vx", Dst: addr("192.0.2.1")}, {Dev: "vx", Dst: addr("192.0.2.2")}, {Dev: "vx", Dst: addr("192.0.2.3")},
			{MAC: m(2), Dev: "p1", Master: "br"}, {MAC: m(2), Dev: "p2", Master: "br", VLAN: 7}, {MAC: m(3), Dev: "vx", Master: "br"},
			{MAC: m(5), Dev: "vx", Master: "br", Dst: addr("192.0.2.5")}, {MAC: m(5), Dev: "p1", Master: "br"}, {MAC: m(5), Dev: "p2", Master: "br"},
			{MAC: m(4), Dev: "ex", Dst: addr("192.0.2.4"), SrcVNI: 5},
		},
	}
	for range 2 {
		if n, ok := tb.Neigh("a", addr("10.0.0.9")); !ok || n.MAC != m(1) {
			t.Errorf("neigh: %v %v", n, ok)
		}
		if n, ok := tb.Neigh("b", addr("10.0.0.9")); ok {
			t.Errorf("neigh of another device: %v", n)
		}
		for _, c := range []struct {
			dev  string
			mac  packet.MAC
			vni  int
			want int
		}{{"vx", m(1), 0, 1}, {"vx", m(9), 0, 2}, {"vx", m(3), 0, 2}, {"ex", m(4), 5, 1}, {"ex", m(4), 6, 0}, {"none", m(1), 0, 0}} {
			if got := tb.VTEPs(c.dev, c.mac, c.vni); len(got) != c.want {
				t.Errorf("VTEPs(%s, %s, %d) is %v, want %d", c.dev, c.mac, c.vni, got, c.want)
			}
		}
		if e, ok := tb.FDBLookup("br", m(2), 7); !ok || e.Dev != "p2" {
			t.Errorf("fdb: %v %v", e, ok)
		}
		if e, ok := tb.FDBLookup("br", m(5), 0); !ok || e.Dev != "p1" {
			t.Errorf("the bridge's own entry is not the first: %v %v", e, ok)
		}
		if e, ok := tb.FDBLookup("br", m(2), 8); ok {
			t.Errorf("fdb of another VLAN: %v", e)
		}
		if e, ok := tb.FDBLookup("br", m(8), 0); ok {
			t.Errorf("fdb of nobody: %v", e)
		}
		tb.Index()
	}
}
