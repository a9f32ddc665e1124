package fib

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/plumbnet/plumb/packet"
)

var (
	addr   = netip.MustParseAddr
	prefix = netip.MustParsePrefix
)

// parseLine reads routes in the form that Route.String prints, as far as tests need it.
func parseLine(s string) Route {
	w := strings.Fields(s)
	r := Route{Table: TableMain}
	if t, ok := ParseRouteType(w[0]); ok {
		r.Type, w = t, w[1:]
	}
	r.Dst, w = dstOf(w[0], s), w[1:]
	hop := &r.Hops
	for i := 0; i < len(w); i++ {
		arg := ""
		if i+1 < len(w) {
			arg = w[i+1]
		}
		last := func() *NextHop {
			if len(*hop) == 0 {
				*hop = append(*hop, NextHop{Weight: 1})
			}
			return &(*hop)[len(*hop)-1]
		}
		switch w[i] {
		case "nexthop":
			*hop = append(*hop, NextHop{Weight: 1})
			continue
		case "dead", "linkdown", "onlink":
			last().Flags = append(last().Flags, w[i])
			continue
		case "via":
			last().Via = addr(arg)
		case "dev":
			last().Dev = arg
		case "weight":
			fmt.Sscan(arg, &last().Weight)
		case "table":
			r.Table, r.TableName = parseTable(arg)
		case "metric":
			fmt.Sscan(arg, &r.Metric)
		case "tos":
			fmt.Sscan(arg, &r.TOS)
		case "nhid":
			fmt.Sscan(arg, &r.NHID)
		case "src":
			r.PrefSrc = addr(arg)
		case "from":
			r.From = prefix(arg)
		case "scope":
			r.Scope = arg
		case "pref":
			r.Pref = arg
		default:
			panic("test: " + w[i])
		}
		i++
	}
	return r
}

func dstOf(s, line string) netip.Prefix {
	if s == "default" {
		return everything(strings.Contains(line, "::"))
	}
	if !strings.Contains(s, "/") {
		return netip.PrefixFrom(addr(s), addr(s).BitLen())
	}
	return prefix(s)
}

func tables(rules []Rule, lines ...string) *Tables {
	t := &Tables{Rules: rules, Forwarding6: true}
	for _, l := range lines {
		t.Routes = append(t.Routes, parseLine(l))
	}
	for _, a := range []struct{ dev, addr, scope string }{
		{"lo", "127.0.0.1/8", "host"}, {"lo", "::1/128", "host"},
		{"a", "10.0.0.1/24", ""}, {"a", "fd00:a::1/64", ""}, {"a", "fe80::a/64", "link"},
		{"b", "10.1.0.1/24", ""}, {"b", "fd00:b::1/64", ""}, {"b", "fe80::b/64", "link"},
	} {
		t.Addrs = append(t.Addrs, Addr{Dev: a.dev, Prefix: prefix(a.addr), Scope: a.scope})
	}
	return t
}

// own are the kernel's own routes for the addresses of tables.
var own = []string{
	"local 10.0.0.1 dev a table local scope host src 10.0.0.1", "broadcast 10.0.0.255 dev a table local scope link src 10.0.0.1",
	"local 10.1.0.1 dev b table local scope host src 10.1.0.1",
	"10.0.0.0/24 dev a scope link src 10.0.0.1", "10.1.0.0/24 dev b scope link src 10.1.0.1",
	"local fd00:a::1 dev a table local", "local fd00:b::1 dev b table local",
	"fd00:a::/64 dev a metric 256", "fd00:b::/64 dev b metric 256",
}

func rule(priority, table uint32) Rule {
	return Rule{Priority: priority, Table: table, SuppressPrefixLen: -1, SuppressGroup: -1}
}

// with are the kernel's own IPv4 rules and others.
func with(rules ...Rule) []Rule {
	out := append(rules, ownRules4...)
	SortRules(out)
	return out
}

func edit(r Rule, f func(*Rule)) Rule { f(&r); return r }

// brief is a Result on one line.
func brief(r Result) string {
	if r.Unknown != "" {
		return "unknown: " + r.Unknown
	}
	out := r.Type.String()
	if r.Err != "" {
		out = r.Err
	}
	for _, c := range r.Choices {
		out += fmt.Sprintf(" | %.2f", c.Weight)
		if c.Hop.Via.IsValid() {
			out += " via " + c.Hop.Via.String()
		}
		if c.Hop.Dev != "" {
			out += " dev " + c.Hop.Dev
		}
		if c.Src.IsValid() {
			out += " src " + c.Src.String()
		}
	}
	return out
}

func TestLookup(t *testing.T) {
	uid := uint32(1000)
	for _, c := range []struct {
		name   string
		rules  []Rule
		routes []string
		q      Query
		want   string
	}{
		{"on the link", nil, nil, Query{Dst: addr("10.0.0.9")}, "unicast | 1.00 dev a src 10.0.0.1"},
		{"own address", nil, nil, Query{Dst: addr("10.1.0.1")}, "local | 1.00 src 10.1.0.1"},
		{"broadcast", nil, nil, Query{Dst: addr("10.0.0.255")}, "broadcast | 1.00 dev a src 10.0.0.1"},
		{"no route", nil, nil, Query{Dst: addr("8.8.8.8")}, "network unreachable"},
		{"no route, bound to a device", nil, nil, Query{Dst: addr("8.8.8.8"), OIF: "b"}, "unicast | 1.00 dev b src 10.1.0.1"},
		{"gateway", nil, []string{"default via 10.0.0.2 dev a"}, Query{Dst: addr("8.8.8.8")}, "unicast | 1.00 via 10.0.0.2 dev a src 10.0.0.1"},
		{"own address as a gateway is none", nil, []string{"default via 10.0.0.1 dev a"}, Query{Dst: addr("8.8.8.8")}, "unicast | 1.00 dev a src 10.0.0.1"},
		{"longest prefix", nil, []string{"8.0.0.0/8 via 10.0.0.2 dev a", "8.8.0.0/16 via 10.1.0.2 dev b"}, Query{Dst: addr("8.8.8.8")}, "unicast | 1.00 via 10.1.0.2 dev b src 10.1.0.1"},
		{"metric", nil, []string{"8.0.0.0/8 via 10.0.0.2 dev a metric 20", "8.0.0.0/8 via 10.1.0.2 dev b metric 10"}, Query{Dst: addr("8.8.8.8")}, "unicast | 1.00 via 10.1.0.2 dev b src 10.1.0.1"},
		{"tos", nil, []string{"8.0.0.0/8 via 10.0.0.2 dev a", "8.0.0.0/8 tos 16 via 10.1.0.2 dev b metric 10"}, Query{Dst: addr("8.8.8.8"), TOS: 0x30}, "unicast | 1.00 via 10.1.0.2 dev b src 10.1.0.1"},
		{"src of the route", nil, []string{"default via 10.0.0.2 dev a src 10.1.0.1"}, Query{Dst: addr("8.8.8.8")}, "unicast | 1.00 via 10.0.0.2 dev a src 10.1.0.1"},
		{"blackhole", nil, []string{"blackhole 8.0.0.0/8"}, Query{Dst: addr("8.8.8.8")}, "invalid argument | 1.00"},
		{"unreachable", nil, []string{"unreachable 8.0.0.0/8"}, Query{Dst: addr("8.8.8.8")}, "host unreachable | 1.00"},
		{"prohibit", nil, []string{"prohibit 8.0.0.0/8"}, Query{Dst: addr("8.8.8.8")}, "permission denied | 1.00"},
		{"throw goes on with the next rule", with(rule(10, 100)), []string{"throw 8.0.0.0/8 table 100", "default via 10.0.0.9 dev a table 100", "default via 10.1.0.2 dev b"}, Query{Dst: addr("8.8.8.8")}, "unicast | 1.00 via 10.1.0.2 dev b src 10.1.0.1"},
		{"mark", with(edit(rule(10, 100), func(r *Rule) { r.Mark, r.Mask = 0x10, 0xf0 })), []string{"default via 10.0.0.9 dev a table 100"}, Query{Dst: addr("8.8.8.8"), Mark: 0x1f}, "unicast | 1.00 via 10.0.0.9 dev a src 10.0.0.1"},
		{"another mark", with(edit(rule(10, 100), func(r *Rule) { r.Mark, r.Mask = 0x10, 0xf0 })), []string{"default via 10.0.0.9 dev a table 100"}, Query{Dst: addr("8.8.8.8"), Mark: 0x2f}, "network unreachable"},
		{"not from", with(edit(rule(10, 100), func(r *Rule) { r.Not, r.Src = true, prefix("10.0.0.1/32") })), []string{"default via 10.0.0.9 dev a table 100"}, Query{Dst: addr("8.8.8.8"), Src: addr("10.1.0.1")}, "unicast | 1.00 via 10.0.0.9 dev a"},
		{"iif lo is local origin", with(edit(rule(10, 100), func(r *Rule) { r.IIF = "lo" })), []string{"default via 10.0.0.9 dev a table 100"}, Query{Dst: addr("8.8.8.8")}, "unicast | 1.00 via 10.0.0.9 dev a src 10.0.0.1"},
		{"iif", with(edit(rule(10, 100), func(r *Rule) { r.IIF = "b" })), []string{"default via 10.0.0.9 dev a table 100"}, Query{Dst: addr("8.8.8.8"), Src: addr("10.1.0.7"), IIF: "b"}, "unicast | 1.00 via 10.0.0.9 dev a"},
		{"dport", with(edit(rule(10, 100), func(r *Rule) { r.Proto, r.DstPorts = packet.TCP, [2]uint16{80, 90} })), []string{"default via 10.0.0.9 dev a table 100"}, Query{Dst: addr("8.8.8.8"), Proto: packet.TCP, DstPort: 85}, "unicast | 1.00 via 10.0.0.9 dev a src 10.0.0.1"},
		{"another user", with(edit(rule(10, 100), func(r *Rule) { r.UIDs = &[2]uint32{0, 99} })), []string{"default via 10.0.0.9 dev a table 100"}, Query{Dst: addr("8.8.8.8"), UID: &uid}, "network unreachable"},
		{"user not known", with(edit(rule(10, 100), func(r *Rule) { r.UIDs = &[2]uint32{0, 99} })), []string{"default via 10.0.0.9 dev a table 100"}, Query{Dst: addr("8.8.8.8")}, "unknown: rule 10 asks for the user of the socket, which is not known"},
		{"unknown selector that decides", with(edit(rule(10, 100), func(r *Rule) { r.Unknown = "dscp 46" })), []string{"default via 10.0.0.9 dev a table 100"}, Query{Dst: addr("8.8.8.8")}, `unknown: rule 10 asks for "dscp 46", which is not understood`},
		{"unknown selector that cannot decide", with(edit(rule(10, 100), func(r *Rule) { r.Unknown = "dscp 46" })), []string{"9.0.0.0/8 via 10.0.0.9 dev a table 100"}, Query{Dst: addr("8.8.8.8")}, "network unreachable"},
		{"suppress_prefixlength", with(edit(rule(10, TableMain), func(r *Rule) { r.SuppressPrefixLen = 0 }), rule(20, 100)), []string{"default via 10.0.0.2 dev a", "default via 10.1.0.9 dev b table 100"}, Query{Dst: addr("8.8.8.8")}, "unicast | 1.00 via 10.1.0.9 dev b src 10.1.0.1"},
		{"suppress_ifgroup, groups not known", with(edit(rule(10, TableMain), func(r *Rule) { r.SuppressGroup = 0 })), []string{"default via 10.0.0.2 dev a"}, Query{Dst: addr("8.8.8.8")}, "unknown: rule 10 asks for the group of a device, which was not collected"},
		{"goto", with(edit(rule(10, 0), func(r *Rule) { r.Action, r.Goto = "goto", 32766 }), edit(rule(20, 0), func(r *Rule) { r.Action = "prohibit" })), nil, Query{Dst: addr("10.0.0.9")}, "unicast | 1.00 dev a src 10.0.0.1"},
		{"goto nowhere", with(edit(rule(10, 0), func(r *Rule) { r.Action, r.Goto = "goto", 15 }), edit(rule(20, 0), func(r *Rule) { r.Action = "prohibit" })), nil, Query{Dst: addr("10.0.0.9")}, "permission denied"},
		{"l3mdev, VRFs not known", with(edit(rule(10, 0), func(r *Rule) { r.L3MDev = true })), nil, Query{Dst: addr("10.0.0.9")}, "unknown: which devices are in a VRF was not collected"},
		{"multipath", nil, []string{"default nexthop via 10.0.0.2 dev a weight 3 nexthop via 10.1.0.2 dev b"}, Query{Dst: addr("8.8.8.8")}, "unicast | 0.75 via 10.0.0.2 dev a src 10.0.0.1 | 0.25 via 10.1.0.2 dev b src 10.1.0.1"},
		{"multipath, one dead", nil, []string{"default nexthop via 10.0.0.2 dev a weight 3 dead linkdown nexthop via 10.1.0.2 dev b"}, Query{Dst: addr("8.8.8.8")}, "unicast | 1.00 via 10.1.0.2 dev b src 10.1.0.1"},
		{"multipath, bound", nil, []string{"default nexthop via 10.0.0.2 dev a nexthop via 10.1.0.2 dev b"}, Query{Dst: addr("8.8.8.8"), OIF: "b"}, "unicast | 1.00 via 10.1.0.2 dev b src 10.1.0.1"},
		{"two defaults of one metric", nil, []string{"default via 10.0.0.2 dev a", "default via 10.1.0.2 dev b"}, Query{Dst: addr("8.8.8.8")}, "unicast | 0.50 via 10.0.0.2 dev a src 10.0.0.1 | 0.50 via 10.1.0.2 dev b src 10.1.0.1"},
		{"nexthop that is missing", nil, []string{"default nhid 7"}, Query{Dst: addr("8.8.8.8")}, "unknown: nexthop 7 was not collected"},
		{"source not local", nil, nil, Query{Dst: addr("10.0.0.9"), Src: addr("9.9.9.9")}, "network unreachable"},
		{"source not local, allowed", nil, nil, Query{Dst: addr("10.0.0.9"), Src: addr("9.9.9.9"), AnySrc: true}, "unicast | 1.00 dev a"},
		{"loopback source to the outside", nil, []string{"local 127.0.0.0/8 dev lo table local scope host"}, Query{Dst: addr("10.0.0.9"), Src: addr("127.0.0.1")}, "invalid argument | 1.00 dev a"},
		{"multicast", nil, []string{"default via 10.0.0.2 dev a"}, Query{Dst: addr("239.1.1.1")}, "multicast | 1.00 dev a src 10.0.0.1"},
		{"limited broadcast, bound", nil, nil, Query{Dst: addr("255.255.255.255"), OIF: "b"}, "broadcast | 1.00 dev b src 10.1.0.1"},
		{"zero destination", nil, nil, Query{Dst: addr("0.0.0.0")}, "local | 1.00 src 127.0.0.1"},
		{"forwarded to an anycast", nil, []string{"anycast 8.8.8.8 dev a table local"}, Query{Dst: addr("8.8.8.8"), Src: addr("10.1.0.7"), IIF: "b"}, "invalid argument | 1.00"},
		{"families differ", nil, nil, Query{Dst: addr("10.0.0.9"), Src: addr("fd00:a::1")}, "invalid argument"},
		{"no destination", nil, nil, Query{}, "invalid argument"},

		{"6: on the link", nil, nil, Query{Dst: addr("fd00:b::9")}, "unicast | 1.00 dev b src fd00:b::1"},
		{"6: own address", nil, nil, Query{Dst: addr("fd00:b::1")}, "local | 1.00 src fd00:b::1"},
		{"6: no route", nil, nil, Query{Dst: addr("2001:db8::1")}, "network unreachable"},
		{"6: bound to another device", nil, nil, Query{Dst: addr("fd00:b::9"), OIF: "a"}, "network unreachable"},
		{"6: blackhole", nil, []string{"blackhole 2001:db8::/32 dev lo metric 1024"}, Query{Dst: addr("2001:db8::1")}, "invalid argument | 1.00"},
		{"6: preference", nil, []string{"default via fe80::1 dev a metric 10", "default via fe80::2 dev b metric 10 pref high"}, Query{Dst: addr("2001:db8::1")}, "unicast | 1.00 via fe80::2 dev b src fd00:b::1"},
		{"6: rather back by the same device", nil, []string{"default via fe80::1 dev a metric 10", "default via fe80::2 dev b metric 10"}, Query{Dst: addr("2001:db8::1"), Src: addr("fd00:b::9"), IIF: "b"}, "unicast | 1.00 via fe80::2 dev b"},
		{"6: multipath", nil, []string{"default metric 10 nexthop via fe80::1 dev a nexthop via fe80::2 dev b weight 3"}, Query{Dst: addr("2001:db8::1")}, "unicast | 0.25 via fe80::1 dev a src fd00:a::1 | 0.75 via fe80::2 dev b src fd00:b::1"},
		{"6: source-specific", nil, []string{"default from fd00:b::/64 via fe80::2 dev b", "default via fe80::1 dev a"}, Query{Dst: addr("2001:db8::1"), Src: addr("fd00:b::1")}, "unicast | 1.00 via fe80::2 dev b"},
		{"6: of another source", nil, []string{"default from fd00:b::/64 via fe80::2 dev b", "default via fe80::1 dev a"}, Query{Dst: addr("2001:db8::1"), Src: addr("fd00:a::1")}, "unicast | 1.00 via fe80::1 dev a"},
		{"6: a prefix with routes of other sources is passed over", nil, []string{"2001:db8::/64 from fd00:b::/64 via fe80::2 dev b", "2001:db8::/64 via fe80::3 dev b", "2001:db8::/60 via fe80::1 dev a"}, Query{Dst: addr("2001:db8::1"), Src: addr("fd00:a::1")}, "unicast | 1.00 via fe80::1 dev a"},
	} {
		t.Run(c.name, func(t *testing.T) {
			tb := tables(c.rules, append(c.routes, own...)...)
			if d := cmp.Diff(c.want, brief(tb.Lookup(c.q))); d != "" {
				t.Error(d)
			}
			tb.Index()
			if d := cmp.Diff(c.want, brief(tb.Lookup(c.q))); d != "" {
				t.Error("with an index:", d)
			}
		})
	}
}

func TestNextHopGroup(t *testing.T) {
	tb := tables(nil, append([]string{"default nhid 10"}, own...)...)
	hop := func(via, dev string) NextHop { return NextHop{Via: addr(via), Dev: dev, Weight: 1} }
	tb.NextHops = []NextHopObject{
		{ID: 1, Hop: hop("10.0.0.2", "a")}, {ID: 2, Hop: hop("10.0.0.3", "a")}, {ID: 3, Hop: hop("10.1.0.2", "b")},
		{ID: 10, Group: []NextHopGroupMember{{1, 2}, {2, 1}, {3, 1}}},
	}
	q := Query{Dst: addr("8.8.8.8")}
	for _, c := range []struct {
		name   string
		failed []string
		want   string
	}{
		{"by weight", nil, "unicast | 0.50 via 10.0.0.2 dev a src 10.0.0.1 | 0.25 via 10.0.0.3 dev a src 10.0.0.1 | 0.25 via 10.1.0.2 dev b src 10.1.0.1"},
		{"the next takes over", []string{"10.0.0.3"}, "unicast | 0.50 via 10.0.0.2 dev a src 10.0.0.1 | 0.50 via 10.1.0.2 dev b src 10.1.0.1"},
		{"the last falls to the first", []string{"10.1.0.2"}, "unicast | 0.75 via 10.0.0.2 dev a src 10.0.0.1 | 0.25 via 10.0.0.3 dev a src 10.0.0.1"},
		{"none answers", []string{"10.0.0.2", "10.0.0.3", "10.1.0.2"}, "unicast | 1.00 via 10.0.0.2 dev a src 10.0.0.1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			tb.Neighs = nil
			for _, f := range c.failed {
				dev := "a"
				if f == "10.1.0.2" {
					dev = "b"
				}
				tb.Neighs = append(tb.Neighs, Neigh{Dst: addr(f), Dev: dev, State: "FAILED"})
			}
			if d := cmp.Diff(c.want, brief(tb.Lookup(q))); d != "" {
				t.Error(d)
			}
		})
	}
}

// A host that does not forward passes over an IPv6 gateway that does not answer.
func TestUnreachableRouter(t *testing.T) {
	tb := tables(nil, "default via fe80::1 dev a metric 10", "default via fe80::2 dev b metric 20")
	tb.Neighs = []Neigh{{Dst: addr("fe80::1"), Dev: "a", State: "FAILED"}}
	q := Query{Dst: addr("2001:db8::1"), Src: addr("fd00:a::1")}
	tb.Forwarding6 = false
	if got, want := brief(tb.Lookup(q)), "unicast | 1.00 via fe80::2 dev b"; got != want {
		t.Errorf("host: %s, want %s", got, want)
	}
	tb.Forwarding6 = true
	if got, want := brief(tb.Lookup(q)), "unicast | 1.00 via fe80::1 dev a"; got != want {
		t.Errorf("router: %s, want %s", got, want)
	}
}

func TestIgnoreLinkdown(t *testing.T) {
	tb := tables(nil, "default via 10.0.0.2 dev a metric 1 linkdown", "default via 10.1.0.2 dev b metric 2")
	q := Query{Dst: addr("8.8.8.8")}
	if got, want := brief(tb.Lookup(q)), "unicast | 1.00 via 10.0.0.2 dev a src 10.0.0.1"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	tb.IgnoreLinkdown = map[string]bool{"a": true}
	if got, want := brief(tb.Lookup(q)), "unicast | 1.00 via 10.1.0.2 dev b src 10.1.0.1"; got != want {
		t.Errorf("ignored: %s, want %s", got, want)
	}
}

// While there are no rules but the kernel's own, local and main are one table.
func TestMergedTables(t *testing.T) {
	routes := []string{"local 10.9.0.0/16 dev lo table local scope host", "10.9.1.0/24 via 10.0.0.2 dev a"}
	q := Query{Dst: addr("10.9.1.1"), Src: addr("10.1.0.7"), IIF: "b"}
	if got, want := brief(tables(nil, routes...).Lookup(q)), "unicast | 1.00 via 10.0.0.2 dev a"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if got, want := brief(tables(with(rule(5, 77)), routes...).Lookup(q)), "local | 1.00"; got != want {
		t.Errorf("with a rule: %s, want %s", got, want)
	}
}
