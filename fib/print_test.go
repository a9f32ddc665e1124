package fib

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func printed[T fmt.Stringer](parse func(io.Reader) ([]T, error)) func(*testing.T, string) []string {
	return func(t *testing.T, in string) []string {
		list, err := parse(strings.NewReader(in))
		if err != nil {
			t.Fatal(err)
		}
		var out []string
		for _, v := range list {
			out = append(out, v.String())
		}
		return out
	}
}

// String prints what the ip tool printed for the same state, but for the members
// that are not kept, and with the hops of a route on its line.
func TestStringIsWhatIPPrints(t *testing.T) {
	for _, c := range []struct {
		json, text string
		printed    func(*testing.T, string) []string
	}{
		{"routes.json", "routes.short.txt", printed(ofFamily(false, ParseRoutes))},
		{"routes6.json", "routes6.short.txt", printed(ofFamily(true, ParseRoutes))},
		{"rules.json", "rules.txt", printed(ofFamily(false, ParseRules))},
		{"rules6.json", "rules6.txt", printed(ofFamily(true, ParseRules))},
		{"nexthops.json", "nexthops.txt", printed(ParseNextHops)},
		{"neigh.json", "neigh.txt", printed(ParseNeighs)},
		{"fdb.json", "fdb.txt", printed(ParseFDB)},
	} {
		t.Run(c.text, func(t *testing.T) {
			text := strings.ReplaceAll(read(t, c.text), "\n\tnexthop", " nexthop")
			var want []string
			for l := range strings.Lines(text) {
				want = append(want, strings.TrimSpace(strings.ReplaceAll(l, "  ", " ")))
			}
			got := c.printed(t, read(t, c.json))
			if len(got) != len(want) {
				t.Fatalf("%d printed, want %d", len(got), len(want))
			}
			for i := len(want) - 1; i >= 0; i-- {
				if strings.Contains(want[i], "realms") || strings.Contains(want[i], "rtt") || strings.Contains(want[i], "expires") {
					want, got = slices.Delete(want, i, i+1), slices.Delete(got, i, i+1)
				}
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestLinesAreThoseOfTheFile(t *testing.T) {
	routes, err := ParseRoutes(strings.NewReader(read(t, "routes6.json")), true)
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range routes {
		if r.Line != i+1 {
			t.Errorf("route %d is of line %d", i, r.Line)
		}
	}
	spread := "[\n  {\n    \"dst\": \"10.0.0.0/8\",\n    \"dev\": \"a\"\n  },\n  {\n    \"dst\": \"default\",\n \"dev\": \"b\"\n  }\n]\n"
	routes, err = ParseRoutes(strings.NewReader(spread), false)
	if err != nil || len(routes) != 2 || routes[0].Line != 2 || routes[1].Line != 6 {
		t.Errorf("got %+v, %v", routes, err)
	}
}

func TestParseKeepsTheRest(t *testing.T) {
	routes, err := ParseRoutes(strings.NewReader(`[{"dst":"10.0.0.0/8","dev":"a"},{"dst":"x"},{},{"dst":"10.1.0.0/16","dev":"b"}]`), false)
	if err == nil || len(routes) != 2 {
		t.Errorf("got %v, %v", routes, err)
	}
}

func TestUnknownSelectorIsKept(t *testing.T) {
	rules, err := ParseRules(strings.NewReader(`[{"priority":5,"src":"all","flowlabel":"0x5","dscp":"0x2e","table":"vpn"}]`), true)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := rules[0].String(), "5:\tfrom all flowlabel 0x5 dscp 0x2e lookup vpn"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	routes, err := ParseRoutes(strings.NewReader(`[{"dst":"fd00::/8","dev":"a","table":"vpn"}]`), true)
	if err != nil || routes[0].Table != rules[0].Table {
		t.Errorf("table vpn is %d for rules, %d for routes, %v", rules[0].Table, routes[0].Table, err)
	}
}

func TestNames(t *testing.T) {
	for n, want := range map[uint8]string{2: "kernel", 3: "boot", 12: "bird", 77: "77"} {
		if got := ProtocolName(n); got != want {
			t.Errorf("protocol %d is %q, want %q", n, got, want)
		}
	}
	for _, n := range []uint8{0, 200, 253, 254, 255, 7} {
		if got := scopeNumber(ScopeName(n)); got != n {
			t.Errorf("scope %d comes back as %d", n, got)
		}
	}
	for id, want := range map[uint32]string{254: "main", 255: "local", 253: "default", 100: "100"} {
		if got := TableName(id); got != want {
			t.Errorf("table %d is %q, want %q", id, got, want)
		}
		if got, name := parseTable(want); got != id || name != "" {
			t.Errorf("table %q is %d %q, want %d", want, got, name, id)
		}
	}
}
