package fib

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// TestLookupIn gives every lookup of the tables a room that holds another's choices.
func TestLookupIn(t *testing.T) {
	left := Choice{Route: &Route{Metric: 77}, Hop: NextHop{Via: addr("10.9.9.9"), Dev: "left", Weight: 9}, Src: addr("10.9.9.8"), Weight: 7}
	for _, c := range lookupCases {
		t.Run(c.name, func(t *testing.T) {
			tb, q := c.tables(), parseQuery(c.get)
			want := tb.Lookup(q)
			for _, size := range []int{1, 2, 8} {
				room := make([]Choice, size)
				for i := range room {
					room[i] = left
				}
				got := tb.LookupIn(q, room)
				if d := cmp.Diff(want, got, comparable, cmpopts.EquateEmpty()); d != "" {
					t.Errorf("room for %d: %s", size, d)
				}
				if n := len(got.Choices); n > 0 && n <= size && &got.Choices[0] != &room[0] {
					t.Errorf("room for %d: %d choices are elsewhere", size, n)
				}
			}
		})
	}
}

// TestLookupInAllocates wants a lookup in tables that have an index to allocate nothing.
func TestLookupInAllocates(t *testing.T) {
	tb := many(100)
	tb.Index()
	room := make([]Choice, 1)
	for _, q := range []Query{
		{Dst: addr("11.0.7.9")}, {Dst: addr("11.0.7.9"), Src: addr("10.1.0.7"), IIF: "b"}, {Dst: addr("10.0.0.1")},
		{Dst: addr("fd01::b00:709")}, {Dst: addr("11.0.7.9"), OIF: "nowhere"}, {Dst: addr("224.0.0.1"), IIF: "a"},
	} {
		if n := testing.AllocsPerRun(20, func() { tb.LookupIn(q, room) }); n != 0 {
			t.Errorf("%+v: %v allocations", q, n)
		}
	}
}
