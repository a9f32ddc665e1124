package fib

import (
	"io"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/plumbnet/plumb/packet"
)

// parsed reads a text of one element.
func parsed[T any](t *testing.T, parse func(io.Reader) ([]T, error), in string) T {
	t.Helper()
	list, err := parse(strings.NewReader(in))
	if err != nil || len(list) != 1 {
		t.Fatalf("%d read of %s: %v", len(list), in, err)
	}
	return list[0]
}

var comparable = cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{})

func TestParseRule(t *testing.T) {
	for _, c := range []struct {
		name, in string
		want     Rule
	}{
		{"srclen", `{"priority":7,"src":"10.1.2.3","srclen":8,"table":"main"}`,
			Rule{Priority: 7, Src: prefix("10.0.0.0/8"), Table: TableMain}},
		{"all is nothing asked", `{"priority":7,"src":"all","dst":"0.0.0.0","dstlen":0,"table":"main"}`,
			Rule{Priority: 7, Table: TableMain}},
		{"not", `{"priority":7,"not":null,"src":"10.0.0.1","table":"100"}`,
			Rule{Priority: 7, Not: true, Src: prefix("10.0.0.1/32"), Table: 100}},
		{"a mark is under all bits", `{"priority":7,"src":"all","fwmark":"0x10","table":"100"}`,
			Rule{Priority: 7, Mark: 16, Mask: 1<<32 - 1, Table: 100}},
		{"a mark under a mask", `{"priority":7,"src":"all","fwmark":"0x10","fwmask":"0xff","table":"100"}`,
			Rule{Priority: 7, Mark: 16, Mask: 255, Table: 100}},
		{"one port", `{"priority":7,"src":"all","dport":53,"table":"100"}`,
			Rule{Priority: 7, DstPorts: [2]uint16{53, 53}, Table: 100}},
		{"a range of ports", `{"priority":7,"src":"all","sport_start":5,"sport_end":9,"table":"100"}`,
			Rule{Priority: 7, SrcPorts: [2]uint16{5, 9}, Table: 100}},
		{"users from one on", `{"priority":7,"src":"all","uid_start":5,"table":"100"}`,
			Rule{Priority: 7, UIDs: &[2]uint32{5, 1<<32 - 1}, Table: 100}},
		{"a protocol by name", `{"priority":7,"src":"all","ipproto":"ipv6-icmp","table":"100"}`,
			Rule{Priority: 7, Proto: packet.ICMPv6, Table: 100}},
		{"a protocol by number", `{"priority":7,"src":"all","ipproto":"99","table":"100"}`,
			Rule{Priority: 7, Proto: 99, Table: 100}},
		{"a protocol that is not known", `{"priority":7,"src":"all","ipproto":"odd","table":"100"}`,
			Rule{Priority: 7, Unknown: "ipproto odd", Table: 100}},
		{"a group that is not known", `{"priority":7,"src":"all","table":"100","suppress_ifgroup":"lan"}`,
			Rule{Priority: 7, Unknown: "suppress_ifgroup lan", Table: 100}},
		{"a selector that is not known", `{"priority":7,"src":"all","flowlabel":"0x5","table":"100"}`,
			Rule{Priority: 7, Unknown: "flowlabel 0x5", Table: 100}},
		{"an action by name", `{"priority":7,"src":"all","action":"prohibit"}`,
			Rule{Priority: 7, Action: "prohibit"}},
		{"lookup by name", `{"priority":7,"src":"all","action":"lookup","table":"local"}`,
			Rule{Priority: 7, Table: TableLocal}},
		{"masquerade is of old", `{"priority":7,"src":"all","masquerade":null}`,
			Rule{Priority: 7, Action: "masquerade"}},
		{"a device that is gone still counts", `{"priority":7,"src":"all","iif":"a","iif_detached":null,"oif":"b","oif_detached":null,"table":"100"}`,
			Rule{Priority: 7, IIF: "a", OIF: "b", Table: 100}},
		{"l3mdev", `{"priority":7,"src":"all","l3mdev":null,"protocol":"kernel"}`,
			Rule{Priority: 7, L3MDev: true, Protocol: "kernel"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := parsed(t, ofFamily(false, ParseRules), "["+c.in+"]")
			c.want.Line, c.want.SuppressPrefixLen, c.want.SuppressGroup = 1, -1, -1
			if d := cmp.Diff(c.want, got, comparable); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestParseRoute(t *testing.T) {
	hops := func(h ...NextHop) []NextHop { return h }
	for _, c := range []struct {
		name, in string
		want     Route
	}{
		{"default", `{"dst":"default","gateway":"10.0.0.2","dev":"a","flags":[]}`,
			Route{Dst: prefix("0.0.0.0/0"), Hops: hops(NextHop{Via: addr("10.0.0.2"), Dev: "a", Weight: 1})}},
		{"bits past the length are dropped", `{"dst":"10.1.2.3/8","dev":"a"}`,
			Route{Dst: prefix("10.0.0.0/8"), Hops: hops(NextHop{Dev: "a", Weight: 1})}},
		{"a host route has no length", `{"type":"local","dst":"10.0.0.1","dev":"a","table":"local","scope":"host","prefsrc":"10.0.0.1"}`,
			Route{Type: Local, Dst: prefix("10.0.0.1/32"), Table: TableLocal, Scope: "host", PrefSrc: addr("10.0.0.1"), Hops: hops(NextHop{Dev: "a", Weight: 1})}},
		{"flags of a single hop are the hop's too", `{"dst":"10.0.0.0/8","dev":"a","flags":["onlink","offload","linkdown"]}`,
			Route{Dst: prefix("10.0.0.0/8"), Flags: []string{"onlink", "offload", "linkdown"}, Hops: hops(NextHop{Dev: "a", Weight: 1, Flags: []string{"onlink", "linkdown"}})}},
		{"blackhole has no hop", `{"type":"blackhole","dst":"10.0.0.0/8","scope":"global"}`,
			Route{Type: Blackhole, Dst: prefix("10.0.0.0/8")}},
		{"an IPv6 gateway", `{"dst":"10.0.0.0/8","via":{"family":"inet6","host":"fd00::2"},"dev":"a"}`,
			Route{Dst: prefix("10.0.0.0/8"), Hops: hops(NextHop{Via: addr("fd00::2"), Dev: "a", Weight: 1})}},
		{"metrics", `{"dst":"10.0.0.0/8","dev":"a","metric":5,"metrics":[{"mtu":1400},{"advmss":1300,"rtt":7}]}`,
			Route{Dst: prefix("10.0.0.0/8"), Metric: 5, MTU: 1400, AdvMSS: 1300, Hops: hops(NextHop{Dev: "a", Weight: 1})}},
		{"two hops", `{"dst":"10.0.0.0/8","nexthops":[{"gateway":"10.0.0.2","dev":"a","weight":3,"flags":["dead"]},{"dev":"b"}]}`,
			Route{Dst: prefix("10.0.0.0/8"), Hops: hops(NextHop{Via: addr("10.0.0.2"), Dev: "a", Weight: 3, Flags: []string{"dead"}}, NextHop{Dev: "b", Weight: 1})}},
		{"a nexthop object that is not resolved", `{"dst":"10.0.0.0/8","nhid":7}`,
			Route{Dst: prefix("10.0.0.0/8"), NHID: 7}},
		{"a tunnel's members are not the route's", `{"dst":"10.0.0.0/8","encap":"ip","id":5,"src":"0.0.0.0","dst":"192.0.2.1","ttl":5,"tos":0,"tos":"0x10","dev":"a"}`,
			Route{Dst: prefix("10.0.0.0/8"), TOS: 16, Hops: hops(NextHop{Dev: "a", Weight: 1, Encap: "ip id 5 src 0.0.0.0 dst 192.0.2.1 ttl 5 tos 0"})}},
		{"a table with a number", `{"dst":"10.0.0.0/8","dev":"a","table":"0x100"}`,
			Route{Dst: prefix("10.0.0.0/8"), Table: 256, Hops: hops(NextHop{Dev: "a", Weight: 1})}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.want.Table == 0 {
				c.want.Table = TableMain
			}
			c.want.Line = 1
			if d := cmp.Diff(c.want, parsed(t, ofFamily(false, ParseRoutes), "["+c.in+"]"), comparable); d != "" {
				t.Error(d)
			}
		})
	}
}

// What a file of one family says of a route whose family does not show.
func TestFamilyOfADefaultRoute(t *testing.T) {
	for _, c := range []struct {
		name, in string
		in4, in6 int
	}{
		{"a gateway of IPv4", `[{"dst":"default","gateway":"10.0.0.1","dev":"a"}]`, 1, 0},
		{"a gateway of IPv6", `[{"dst":"default","gateway":"fe80::1","dev":"a"}]`, 0, 1},
		{"a preference", `[{"dst":"default","dev":"a","pref":"medium"}]`, 0, 1},
		{"a scope of IPv4", `[{"dst":"default","dev":"a","scope":"link","metric":5}]`, 1, 0},
		{"a scope without a metric", `[{"dst":"default","dev":"a","scope":"global"}]`, 1, 0},
		{"nothing: that of the file", `[{"dst":"default","dev":"a"}]`, 1, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			four, err4 := ParseRoutes(strings.NewReader(c.in), false)
			six, err6 := ParseRoutes(strings.NewReader(c.in), true)
			if err4 != nil || err6 != nil || len(four) != c.in4 || len(six) != c.in6 {
				t.Errorf("got %v %v, %v %v", four, err4, six, err6)
			}
		})
	}
}

func TestParseNeighAndFDB(t *testing.T) {
	mac := packet.MAC{0, 0x11, 0x22, 0x33, 0x44, 0x55}
	n := parsed(t, ParseNeighs, `[{"dst":"fe80::1","dev":"a","lladdr":"00:11:22:33:44:55","router":null,"state":["STALE"]}]`)
	if d := cmp.Diff(Neigh{Dst: addr("fe80::1"), Dev: "a", MAC: mac, State: "STALE", Flags: []string{"router"}, Line: 1}, n, comparable); d != "" {
		t.Error(d)
	}
	n = parsed(t, ParseNeighs, `[{"dst":"10.0.0.1","dev":"tun","lladdr":"192.0.2.1","state":[]}]`)
	if d := cmp.Diff(Neigh{Dst: addr("10.0.0.1"), Dev: "tun", Line: 1}, n, comparable); d != "" {
		t.Errorf("an address that is not Ethernet: %s", d)
	}
	e := parsed(t, ParseFDB, `[{"mac":"00:11:22:33:44:55","ifname":"vx","dst":"192.0.2.1","port":4789,"vni":7,"src_vni":8,"viaIf":"eth0","flags":["self"],"state":"permanent"}]`)
	want := FDBEntry{MAC: mac, Dev: "vx", Dst: addr("192.0.2.1"), Port: 4789, VNI: 7, SrcVNI: 8, Via: "eth0", Flags: []string{"self"}, State: "permanent", Line: 1}
	if d := cmp.Diff(want, e, comparable); d != "" {
		t.Error(d)
	}
	if e := parsed(t, ParseFDB, `[{"mac":"00:11:22:33:44:55","ifname":"p","dst":"","vlan":5,"master":"br"}]`); e.Dst.IsValid() || e.VLAN != 5 || e.Master != "br" {
		t.Errorf("an entry without a VTEP: %+v", e)
	}
}

// An l3mdev rule leads to the table of the VRF that the packet leaves by or came in by.
func TestVRF(t *testing.T) {
	l3mdev := Rule{Priority: 1000, L3MDev: true, SuppressPrefixLen: -1, SuppressGroup: -1}
	tb := tables(with(l3mdev), append([]string{"default via 10.1.0.9 dev b table 10", "default via 10.0.0.2 dev a"}, own...)...)
	for _, c := range []struct {
		name string
		vrf  map[string]uint32
		q    Query
		want string
	}{
		{"not collected", nil, Query{Dst: addr("8.8.8.8")}, "unknown: which devices are in a VRF was not collected"},
		{"there are none", map[string]uint32{}, Query{Dst: addr("8.8.8.8")}, "unicast | 1.00 via 10.0.0.2 dev a src 10.0.0.1"},
		{"came in by a port", map[string]uint32{"red": 10, "b": 10}, Query{Dst: addr("8.8.8.8"), Src: addr("10.1.0.7"), IIF: "b"}, "unicast | 1.00 via 10.1.0.9 dev b"},
		{"came in by another device", map[string]uint32{"red": 10, "b": 10}, Query{Dst: addr("8.8.8.8"), Src: addr("10.0.0.7"), IIF: "a"}, "unicast | 1.00 via 10.0.0.2 dev a"},
		{"bound to a port", map[string]uint32{"red": 10, "b": 10}, Query{Dst: addr("8.8.8.8"), OIF: "b"}, "unicast | 1.00 via 10.1.0.9 dev b src 10.1.0.1"},
		{"a table without routes", map[string]uint32{"b": 11}, Query{Dst: addr("8.8.8.8"), Src: addr("10.1.0.7"), IIF: "b"}, "unicast | 1.00 via 10.0.0.2 dev a"},
	} {
		t.Run(c.name, func(t *testing.T) {
			tb.VRF = c.vrf
			if d := cmp.Diff(c.want, brief(tb.Lookup(c.q))); d != "" {
				t.Error(d)
			}
		})
	}
}
