package fib

import (
	"bytes"
	"io"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// roundTrips parses what it is given, which must not panic, and checks that what
// was read comes back from what Format writes of it.
func roundTrips[T any](f *testing.F, seed string, parse func(io.Reader) ([]T, error), format func(io.Writer, []T) error) {
	f.Add([]byte(read(f, seed)))
	f.Add([]byte(`[{"dst":"default","encap":"mpls","dst":"16/17","via":{"family":"inet6","host":"fd00::2"},"dev":"\u00e9"}]`))
	text := func(t *testing.T, list []T) string {
		var b bytes.Buffer
		if err := format(&b, list); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		list, _ := parse(bytes.NewReader(in))
		once := text(t, list)
		again, err := parse(strings.NewReader(once))
		if err != nil {
			t.Fatalf("what Format wrote is refused: %v\n%s", err, once)
		}
		if d := cmp.Diff(once, text(t, again)); d != "" {
			t.Error(d)
		}
	})
}

func FuzzParseRoutes(f *testing.F) {
	roundTrips(f, "routes.json", ofFamily(false, ParseRoutes), FormatRoutes)
}
func FuzzParseRoutes6(f *testing.F) {
	roundTrips(f, "routes6.json", ofFamily(true, ParseRoutes), FormatRoutes)
}
func FuzzParseRules(f *testing.F) {
	roundTrips(f, "rules.json", ofFamily(false, ParseRules), FormatRules)
}
func FuzzParseRules6(f *testing.F) {
	roundTrips(f, "rules6.json", ofFamily(true, ParseRules), FormatRules)
}
func FuzzParseNextHops(f *testing.F) {
	roundTrips(f, "nexthops.json", ParseNextHops, FormatNextHops)
}
func FuzzParseNeighs(f *testing.F) { roundTrips(f, "neigh.json", ParseNeighs, FormatNeighs) }
func FuzzParseFDB(f *testing.F)    { roundTrips(f, "fdb.json", ParseFDB, FormatFDB) }

// FuzzLookup looks up in tables of any content.
func FuzzLookup(f *testing.F) {
	f.Add([]byte(read(f, "routes.json")), []byte(read(f, "rules.json")), []byte{10, 3, 0, 1}, "v0", "")
	f.Add([]byte(read(f, "routes6.json")), []byte(read(f, "rules6.json")), netip.MustParseAddr("fd11::1").AsSlice(), "", "v0")
	f.Fuzz(func(t *testing.T, routes, rules, dst []byte, iif, oif string) {
		a, ok := netip.AddrFromSlice(dst)
		if !ok {
			return
		}
		tb := &Tables{}
		tb.Routes, _ = ParseRoutes(bytes.NewReader(routes), a.Is6())
		tb.Rules, _ = ParseRules(bytes.NewReader(rules), a.Is6())
		src := everything(a.Is6()).Addr().Next()
		for _, q := range []Query{{Dst: a, IIF: iif, Src: src}, {Dst: a, OIF: oif}, {Dst: a}} {
			r := tb.Lookup(q)
			if r.Unknown == "" && r.Err == "" && len(r.Choices) == 0 {
				t.Errorf("%+v: no choice, no error", q)
			}
		}
		tb.AddrType(a, iif)
		tb.SourceAddr(oif, a)
	})
}
