package conntrackfull

import (
	"testing"

	"github.com/plumbnet/plumb/check"
	"github.com/plumbnet/plumb/check/checktest"
)

// table has node-b's hold so many entries, of at most 1000, after so many drops.
func table(count, drops uint64) func(*checktest.Facts) {
	return func(f *checktest.Facts) {
		ns := f.NS("node-b/host")
		ns.Sysctl[maxKey] = "1000"
		ns.Stat = map[string]uint64{"conntrack_count": count, "conntrack_drop": drops}
	}
}

func TestThresholds(t *testing.T) {
	full := func(n string) string {
		return "error: node-b/host: conntrack-full: the connection table is full: " + n + " of at most 1000 entries; new connections are dropped"
	}
	holds := func(n string) string {
		return "warning: node-b/host: conntrack-full: the connection table holds " + n + " of at most 1000 entries"
	}
	const path = "from shop/web-0\nto 10.244.1.2:8080"
	checktest.Rows(t, checktest.Flannel, []*check.Check{Check}, []checktest.Row{
		{Name: "as recorded"},
		{Name: "below the threshold", Edit: table(799, 0)},
		{Name: "at the threshold", Edit: table(800, 0), Want: holds("800"), Fix: []string{"sysctl -w net.netfilter.nf_conntrack_max=262144"}},
		{Name: "one entry free, and nothing dropped yet", Edit: table(999, 0), Want: holds("999")},
		{Name: "one entry free, after drops", Edit: table(999, 1), Want: full("999")},
		{Name: "drops that are long past", Edit: table(989, 7), Want: holds("989")},
		{Name: "at the brim, after drops", Edit: table(990, 7), Want: full("990")},
		{Name: "full", Edit: table(1000, 0), Want: full("1000")},
		{Name: "a large one is doubled", Edit: func(f *checktest.Facts) {
			table(200000, 0)(f)
			f.NS("node-b/host").Sysctl[maxKey] = "200000"
		}, Want: "error: node-b/host: conntrack-full: the connection table is full: 200000 of at most 200000 entries; new connections are dropped",
			Fix: []string{"sysctl -w net.netfilter.nf_conntrack_max=400000"}},
		{Name: "without limit", Edit: func(f *checktest.Facts) { table(1000, 0)(f); f.NS("node-b/host").Sysctl[maxKey] = "0" }},
		{Name: "a limit that is no number", Edit: func(f *checktest.Facts) { table(1000, 0)(f); f.NS("node-b/host").Sysctl[maxKey] = "many" }},
		{Name: "on the path", Edit: table(1000, 0), Ask: path, Want: "error on path" + full("1000")[5:]},
		{Name: "beside the path", Edit: table(1000, 0), Ask: "from shop/web-0\nto 10.244.2.2:8080", Want: full("1000")},
		{Name: "nearly full on the path, which works", Edit: table(900, 0), Ask: path, Want: holds("900")},
		{Name: "the counters were not collected", Without: []string{"nodes/node-b/host/stat"}, Want: "? nodes/node-b/host/stat: conntrack-full: not collected"},
	})
}

// TestLost: what a full table may drop is a share of the connections of a path that the trace sees arrive.
func TestLost(t *testing.T) {
	f := checktest.Row{Edit: table(1000, 0), Ask: "from shop/web-0\nto 10.244.1.2:8080"}
	r := checktest.RunRow(t, checktest.Flannel, f, Check)
	if len(r.Lost) != 1 || !r.Lost[0].Share {
		t.Errorf("lost: %+v, want a share of one path", r.Lost)
	}
}
