package trace_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/plumbnet/plumb/snapshot"
	"github.com/plumbnet/plumb/trace"
)

// TestAlikeMachines has the far node cloned with its link-layer address, or with its address and not that: the ways
// stay few, their weights are those of all, and it is said that some were not followed.
func TestAlikeMachines(t *testing.T) {
	const macOfB, alikeMAC, alikeIP = "26:8f:62:3d:ca:40", "have the link-layer address", "answer for 192.168.9.2"
	cloned := func(n int, alike string) change {
		return func(files snapshot.Files) {
			for name, data := range files {
				file, ok := strings.CutPrefix(name, "nodes/b/host/")
				for i := 0; ok && i < n; i++ {
					ip := strings.NewReplacer("192.168.9.2", fmt.Sprintf("192.168.9.%d", 10+i), "10.244.2.", fmt.Sprintf("10.244.%d.", 10+i))
					if alike == alikeIP {
						ip = strings.NewReplacer(macOfB, fmt.Sprintf("06:00:00:00:00:%02x", i), "10.244.2.", fmt.Sprintf("10.244.%d.", 10+i))
					}
					files[fmt.Sprintf("nodes/c%d/host/%s", i, file)] = []byte(ip.Replace(string(data)))
				}
			}
		}
	}
	for _, tt := range []struct {
		clones     int
		alike      string
		atMost     int
		unfollowed string
	}{
		{0, alikeMAC, 1, ""},
		{2, alikeMAC, 3, ""},
		{3, alikeMAC, 4, ""},
		{4, alikeMAC, 5, "5 devices"},
		{60, alikeMAC, 5, "61 devices"},
		{3, alikeIP, 4, ""},
		{60, alikeIP, 5, "61 devices"},
	} {
		t.Run(fmt.Sprintf("%d %s", tt.clones, tt.alike), func(t *testing.T) {
			n := fixture(t, "vxlan", cloned(tt.clones, tt.alike))
			q := parseProbe(n, toB)
			q.OneWay = true
			r := trace.Run(n, q)
			sum, why := 0.0, ""
			for i := range r.Paths {
				sum += r.Paths[i].Weight
				if w := r.Paths[i].Why.String(); r.Paths[i].End == trace.Unknown && strings.Contains(w, tt.alike) {
					why = w
				}
			}
			if len(r.Paths) > tt.atMost || sum < 0.999 || sum > 1.001 || !strings.HasPrefix(why, tt.unfollowed) || (why == "") != (tt.unfollowed == "") {
				t.Errorf("%d paths of weight %g, %q:\n%s", len(r.Paths), sum, why, explain(r))
			}
		})
	}
}
