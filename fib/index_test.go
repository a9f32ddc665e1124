package fib

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Tables with and without an index are the same data.
func TestIndexIsNotData(t *testing.T) {
	a, b := tables(nil, own...), tables(nil, own...)
	a.Index()
	b.Index()
	opts := cmp.Comparer(func(x, y Route) bool { return x.String() == y.String() })
	addrs := cmp.Comparer(func(x, y Addr) bool { return x.Prefix == y.Prefix && x.Dev == y.Dev })
	if d := cmp.Diff(a, b, opts, addrs); d != "" {
		t.Error(d)
	}
}

// The kernel keeps default routes of one prefix by TOS, then by metric, then as they were added.
func TestOrderWithinAPrefix(t *testing.T) {
	tb := tables(with(rule(5, 77)), "default via 10.0.0.3 dev a metric 10", "default via 10.0.0.4 dev a", "default tos 16 via 10.0.0.5 dev a metric 50")
	tb.Index()
	var got []string
	for _, e := range tb.Built.tables[0][TableMain].lens[0].node[everything(false).Addr()].routes {
		got = append(got, e.hops[0].Via.String())
	}
	if d := cmp.Diff([]string{"10.0.0.5", "10.0.0.4", "10.0.0.3"}, got); d != "" {
		t.Error(d)
	}
}

func TestOnlyOwnRules(t *testing.T) {
	for _, c := range []struct {
		name  string
		rules []Rule
		want  bool
	}{
		{"none were collected", nil, true},
		{"the kernel's own", with(), true},
		{"one more", with(rule(5, 100)), false},
		{"one less", ownRules4[:2], false},
		{"only those of IPv6", ownRules6, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := newIndex(&Tables{Rules: c.rules}).onlyOwnRules(); got != c.want {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}

// A route whose gateway is an own address goes to the destination itself, unless
// its own table has a route to that gateway.
func TestOwnGatewayInAnotherTable(t *testing.T) {
	q := Query{Dst: addr("8.8.8.8"), Src: addr("10.1.0.7"), IIF: "b"}
	rules := with(rule(5, 100))
	alone := append([]string{"default via 10.0.0.1 dev a table 100"}, own...)
	if got, want := brief(tables(rules, alone...).Lookup(q)), "unicast | 1.00 dev a"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	both := append([]string{"10.0.0.0/24 dev a table 100 scope link"}, alone...)
	if got, want := brief(tables(rules, both...).Lookup(q)), "unicast | 1.00 via 10.0.0.1 dev a"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// A host route to an own address, before the local one, makes it a gateway like any other.
func TestOwnGatewayWithAHostRoute(t *testing.T) {
	routes := append([]string{"10.0.0.1 dev a table local", "default via 10.0.0.1 dev a"}, own...)
	if got, want := brief(tables(nil, routes...).Lookup(Query{Dst: addr("8.8.8.8")})), "unicast | 1.00 via 10.0.0.1 dev a src 10.0.0.1"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}
