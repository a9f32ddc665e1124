package fib

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var (
	addr   = netip.MustParseAddr
	prefix = netip.MustParsePrefix
)

// parseLine reads routes in the form that Route.String prints, as far as tests need it.
func parseLine(s string) Route {
	w := strings.Fields(strings.ReplaceAll(s, "via inet6", "via"))
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
	"local 127.0.0.0/8 dev lo table local scope host src 127.0.0.1",
	"local 127.0.0.1 dev lo table local scope host src 127.0.0.1",
	"broadcast 127.255.255.255 dev lo table local scope link src 127.0.0.1",
	"local 10.0.0.1 dev a table local scope host src 10.0.0.1",
	"broadcast 10.0.0.255 dev a table local scope link src 10.0.0.1",
	"local 10.1.0.1 dev b table local scope host src 10.1.0.1",
	"broadcast 10.1.0.255 dev b table local scope link src 10.1.0.1",
	"10.0.0.0/24 dev a scope link src 10.0.0.1",
	"10.1.0.0/24 dev b scope link src 10.1.0.1",
	"local ::1 dev lo table local",
	"local fd00:a::1 dev a table local",
	"local fe80::a dev a table local",
	"local fd00:b::1 dev b table local",
	"local fe80::b dev b table local",
	"anycast fd00:a:: dev a table local",
	"anycast fe80:: dev a table local",
	"anycast fd00:b:: dev b table local",
	"anycast fe80:: dev b table local",
	"multicast ff00::/8 dev a table local metric 256",
	"multicast ff00::/8 dev b table local metric 256",
	"fd00:a::/64 dev a metric 256",
	"fe80::/64 dev a metric 256",
	"fd00:b::/64 dev b metric 256",
	"fe80::/64 dev b metric 256",
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

// What the words of ip cannot say.
func TestLookupOddQueries(t *testing.T) {
	for _, c := range []struct {
		name string
		q    Query
		want string
	}{
		{"source not local, allowed", Query{Dst: addr("10.0.0.9"), Src: addr("9.9.9.9"), AnySrc: true}, "unicast | 1.00 dev a"},
		{"source not local, to all", Query{Dst: addr("255.255.255.255"), Src: addr("9.9.9.9"), AnySrc: true}, "network unreachable"},
		{"families differ", Query{Dst: addr("10.0.0.9"), Src: addr("fd00:a::1")}, "invalid argument"},
		{"no destination", Query{}, "invalid argument"},
		{"zones are not looked at", Query{Dst: addr("fe80::9%b"), OIF: "b"}, "unicast | 1.00 dev b src fe80::b"},
		{"source 0.0.0.0 is none", Query{Dst: addr("10.0.0.9"), Src: addr("0.0.0.0")}, "unicast | 1.00 dev a src 10.0.0.1"},
		{"IGMP bound to a device asks no route", Query{Dst: addr("8.8.8.8"), OIF: "b", Proto: igmp}, "unicast | 1.00 dev b src 10.1.0.1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if d := cmp.Diff(c.want, brief(tables(nil, own...).Lookup(c.q))); d != "" {
				t.Error(d)
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

// Members of an IPv6 group share the flows by weight, and all have the source of the first.
func TestNextHopGroup6(t *testing.T) {
	tb := tables(nil, append([]string{"default nhid 10 metric 5 from ::/0"}, own...)...)
	tb.NextHops = []NextHopObject{
		{ID: 1, Hop: NextHop{Via: addr("fe80::2"), Dev: "a", Weight: 1}},
		{ID: 2, Hop: NextHop{Via: addr("fe80::3"), Dev: "b", Weight: 1}},
		{ID: 10, Group: []NextHopGroupMember{{1, 3}, {2, 1}}},
	}
	q := Query{Dst: addr("2001:db8::1")}
	if got, want := brief(tb.Lookup(q)), "unicast | 0.75 via fe80::2 dev a src fd00:a::1 | 0.25 via fe80::3 dev b src fd00:a::1"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	tb.Neighs = []Neigh{{Dst: addr("fe80::2"), Dev: "a", State: "FAILED"}}
	if got, want := brief(tb.Lookup(q)), "unicast | 1.00 via fe80::3 dev b src fd00:a::1"; got != want {
		t.Errorf("one failed: %s, want %s", got, want)
	}
	tb.NextHops = tb.NextHops[1:]
	if got, want := brief(tb.Lookup(q)), "unknown: nexthop 1 was not collected"; got != want {
		t.Errorf("one missing: %s, want %s", got, want)
	}
}

func TestNextHopObjects(t *testing.T) {
	objects := []NextHopObject{
		{ID: 1, Hop: NextHop{Via: addr("10.0.0.2"), Dev: "a", Weight: 1}},
		{ID: 2, Hop: NextHop{Via: addr("fe80::2"), Dev: "b", Weight: 1}},
		{ID: 3, Hop: NextHop{Dev: "b", Weight: 1, Flags: []string{"dead"}}},
		{ID: 4, Blackhole: true},
		{ID: 11, Group: []NextHopGroupMember{{2, 1}}},
		{ID: 12, Group: []NextHopGroupMember{{1, 1}, {9, 1}}},
	}
	for _, c := range []struct {
		name, route, want string
	}{
		{"one", "default nhid 1", "unicast | 1.00 via 10.0.0.2 dev a src 10.0.0.1"},
		{"by an IPv6 gateway", "default nhid 2", "unicast | 1.00 via fe80::2 dev b src 10.1.0.1"},
		{"that is dead", "default nhid 3", "network unreachable"},
		{"a group of one", "default nhid 11", "unicast | 1.00 via fe80::2 dev b src 10.1.0.1"},
		{"a member is missing", "default nhid 12", "unknown: nexthop 9 was not collected"},
		{"hops that ip resolved", "default nhid 99 via 10.1.0.2 dev b", "unicast | 1.00 via 10.1.0.2 dev b src 10.1.0.1"},
		{"blackhole, as ip prints it", "blackhole default nhid 4", "invalid argument | 1.00"},
	} {
		t.Run(c.name, func(t *testing.T) {
			tb := tables(nil, append([]string{c.route}, own...)...)
			tb.NextHops = objects
			if d := cmp.Diff(c.want, brief(tb.Lookup(Query{Dst: addr("8.8.8.8")}))); d != "" {
				t.Error(d)
			}
		})
	}
}

// A dead hop by a nexthop object makes the kernel pass over all routes with that network
// address, whatever their length; one of the route's own does not.
func TestDeadNextHopLeavesTheLeaf(t *testing.T) {
	for _, c := range []struct{ name, dead, want string }{
		{"of the route", "8.0.0.0/16 via 10.1.0.2 dev b dead", "unicast | 1.00 via 10.0.0.3 dev a src 10.0.0.1"},
		{"of an object", "8.0.0.0/16 nhid 1 via 10.1.0.2 dev b dead", "unicast | 1.00 via 10.0.0.2 dev a src 10.0.0.1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			tb := tables(nil, append([]string{c.dead, "8.0.0.0/8 via 10.0.0.3 dev a", "default via 10.0.0.2 dev a"}, own...)...)
			if d := cmp.Diff(c.want, brief(tb.Lookup(Query{Dst: addr("8.0.0.8")}))); d != "" {
				t.Error(d)
			}
		})
	}
}

// Groups of devices that were not collected make a suppress_ifgroup rule unknown, where it could decide.
func TestGroupsNotKnown(t *testing.T) {
	rules := with(parseRule("10: from all lookup main suppress_ifgroup 7", false))
	tb := tables(rules, append([]string{"default via 10.0.0.2 dev a"}, own...)...)
	want := "unknown: rule 10 asks for the group of a device, which was not collected"
	if got := brief(tb.Lookup(Query{Dst: addr("8.8.8.8")})); got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if got, want := brief(tb.Lookup(Query{Dst: addr("10.0.0.1")})), "local | 1.00 src 10.0.0.1"; got != want {
		t.Errorf("before the rule: %s, want %s", got, want)
	}
	six := []Rule{parseRule("10: from all lookup main suppress_ifgroup 7", true)}
	tb = tables(six, append([]string{"default metric 9 nexthop via fe80::1 dev a nexthop via fe80::2 dev b"}, own...)...)
	tb.Groups = map[string]int{"b": 7}
	want = "unknown: rule 10 suppresses some of the hops that a hash chooses from"
	if got := brief(tb.Lookup(Query{Dst: addr("2001:db8::1")})); got != want {
		t.Errorf("6: %s, want %s", got, want)
	}
}
