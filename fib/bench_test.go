package fib

import (
	"bytes"
	"fmt"
	"net/netip"
	"testing"

	"github.com/plumbnet/plumb/packet"
)

// many are tables with n routes to /24s and /120s, as a large cluster's node has.
func many(n int) *Tables {
	tb := tables(nil, append([]string{"default via 10.0.0.2 dev a"}, own...)...)
	for i := range n / 2 {
		b := [4]byte{11 + byte(i>>16), byte(i >> 8), byte(i), 0}
		v6 := [16]byte{0: 0xfd, 1: 1, 12: b[0], 13: b[1], 14: b[2]}
		tb.Routes = append(tb.Routes,
			Route{Dst: netip.PrefixFrom(netip.AddrFrom4(b), 24), Table: TableMain, Hops: []NextHop{{Via: addr("10.0.0.7"), Dev: "a", Weight: 1}}},
			Route{Dst: netip.PrefixFrom(netip.AddrFrom16(v6), 120), Table: TableMain, Metric: 1024, Hops: []NextHop{{Via: addr("fe80::7"), Dev: "a", Weight: 1}}})
	}
	return tb
}

// BenchmarkLookup is one lookup in tables of 5,000 and of 100,000 routes, with memory for its choice and without.
func BenchmarkLookup(b *testing.B) {
	for _, n := range []int{5000, 100000} {
		tb := many(n)
		tb.Index()
		for name, q := range map[string]Query{
			"4":         {Dst: addr("11.3.7.9")},
			"4-forward": {Dst: addr("11.3.7.9"), Src: addr("10.1.0.7"), IIF: "b"},
			"6":         {Dst: addr("fd01::b03:709")},
		} {
			for _, room := range [][]Choice{nil, make([]Choice, 1)} {
				b.Run(fmt.Sprintf("%d/%s/room=%d", n, name, len(room)), func(b *testing.B) {
					b.ReportAllocs()
					for b.Loop() {
						if r := tb.LookupIn(q, room); r.Err != "" {
							b.Fatal(r.Err)
						}
					}
				})
			}
		}
	}
}

func BenchmarkIndex(b *testing.B) {
	tb := many(5000)
	for b.Loop() {
		tb.Index()
	}
}

func BenchmarkParseRoutes(b *testing.B) {
	var buf bytes.Buffer
	if err := FormatRoutes(&buf, many(5000).Routes); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(buf.Len()))
	for b.Loop() {
		if _, err := ParseRoutes(bytes.NewReader(buf.Bytes()), false); err != nil {
			b.Fatal(err)
		}
	}
}

// The forwarding entries of a bridge with many ports.
func BenchmarkFDBLookup(b *testing.B) {
	tb := &Tables{}
	for i := range 5000 {
		tb.FDB = append(tb.FDB, FDBEntry{MAC: packet.MAC{2, 0, 0, 0, byte(i >> 8), byte(i)}, Dev: "p", Master: "br"})
	}
	last := tb.FDB[len(tb.FDB)-1].MAC
	for _, indexed := range []bool{false, true} {
		b.Run(fmt.Sprintf("indexed=%v", indexed), func(b *testing.B) {
			if indexed {
				tb.Index()
			}
			for b.Loop() {
				if _, ok := tb.FDBLookup("br", last, 0); !ok {
					b.Fatal("not found")
				}
			}
		})
	}
}
