package trace_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/plumbnet/plumb/snapshot"
	"github.com/plumbnet/plumb/trace"
)

// TestAlikeMachines has the far node cloned with its link-layer address: the ways stay few, their weights
// are those of all, and it is said that some were not followed.
func TestAlikeMachines(t *testing.T) {
	cloned := func(n int) change {
		return func(files snapshot.Files) {
			for name, data := range files {
				file, ok := strings.CutPrefix(name, "nodes/b/host/")
				for i := 0; ok && i < n; i++ {
					ip := strings.NewReplacer("192.168.9.2", fmt.Sprintf("192.168.9.%d", 10+i), "10.244.2.", fmt.Sprintf("10.244.%d.", 10+i))
					files[fmt.Sprintf("nodes/c%d/host/%s", i, file)] = []byte(ip.Replace(string(data)))
				}
			}
		}
	}
	for _, tt := range []struct {
		clones, atMost int
		unfollowed     string
	}{
		{0, 1, ""},
		{2, 3, ""},
		{3, 4, ""},
		{4, 5, "5 devices have the link-layer address"},
		{60, 5, "61 devices have the link-layer address"},
	} {
		t.Run(fmt.Sprint(tt.clones), func(t *testing.T) {
			n := fixture(t, "vxlan", cloned(tt.clones))
			q := parseProbe(n, toB)
			q.OneWay = true
			r := trace.Run(n, q)
			sum, why := 0.0, ""
			for i := range r.Paths {
				sum += r.Paths[i].Weight
				if w := r.Paths[i].Why.String(); r.Paths[i].End == trace.Unknown && strings.Contains(w, "have the link-layer address") {
					why = w
				}
			}
			if len(r.Paths) > tt.atMost || sum < 0.999 || sum > 1.001 || !strings.HasPrefix(why, tt.unfollowed) || (why == "") != (tt.unfollowed == "") {
				t.Errorf("%d paths of weight %g, %q:\n%s", len(r.Paths), sum, why, explain(r))
			}
		})
	}
}
