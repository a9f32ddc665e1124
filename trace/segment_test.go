package trace_test

import (
	"testing"

	"github.com/plumbnet/plumb/trace"
)

// TestSegments has a Service of two endpoints that announce different MSS: a full segment to each
// has the size that this one announced.
func TestSegments(t *testing.T) {
	service := rules("a/host", "nat", pre,
		"-A PREROUTING -d 10.96.0.10/32 -p tcp -m tcp --dport 80 -m statistic --mode random --probability 0.25000000000 -j DNAT --to-destination 10.244.2.2:8080",
		"-A PREROUTING -d 10.96.0.10/32 -p tcp -m tcp --dport 80 -j DNAT --to-destination 10.244.1.3:8080")
	small := sub("nodes/b/p1/addr.json", `"mtu":1500`, `"mtu":1450`)
	closed := sub("nodes/a/p2/sockets", `8080`, `9090`)
	first := sub("nodes/a/host/addr.json", `("ifname":"v1"[^\n]*"mtu":)1500`, "${1}1450")
	for _, tt := range []struct {
		name    string
		changes []change
		want    map[string]float64 // weight, by fate, size and end
	}{
		{"each its own", []change{service, small}, map[string]float64{"delivered 1450 b/p1": 0.25, "delivered 1500 a/p2": 0.75}},
		{"both the same", []change{service}, map[string]float64{"too-big 1500 a/host": 0.25, "delivered 1500 a/p2": 0.75}},
		{"one does not listen", []change{service, small, closed}, map[string]float64{"delivered 1450 b/p1": 0.25, "no-listener 1450 a/p2": 0.75}},
		{"a large one dies before it is known whose it is", []change{service, small, first}, map[string]float64{"delivered 1450 b/p1": 0.25, "too-big 1500 a/p1": 0.75}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			n := fixture(t, "vxlan", tt.changes...)
			q := parseProbe(n, "a/p1 tcp 10.96.0.10:80")
			q.Size = trace.FullSegment
			r := trace.Run(n, q)
			got := map[string]float64{}
			for _, p := range r.Paths {
				got[ending(p)] += p.Weight
			}
			if len(got) != len(tt.want) {
				t.Errorf("%v", got)
			}
			for k, w := range tt.want {
				if d := got[k] - w; d < -1e-9 || d > 1e-9 {
					t.Errorf("%s has weight %g, want %g: %v", k, got[k], w, got)
				}
			}
		})
	}
}
