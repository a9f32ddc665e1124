//go:build linux

package observe

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/plumbnet/plumb/probe"
)

// TestOrder: a reading has the series that it was told and no others, whatever the one before had and in which order.
func TestOrder(t *testing.T) {
	stat := &probe.Stat{Name: "seen_total", Labels: []string{"device"}}
	f := newFamilies("node-a", nil)
	label := make([]string, 1) // a probe may use it again
	for i, reading := range []string{
		"a/x:lo=1 a/x:eth0=2 b/y:lo=3",
		"a/x:lo=2 a/x:eth0=3 b/y:lo=4",
		"b/y:lo=5 a/x:eth0=4 a/x:lo=3",            // in another order
		"b/y:lo=6 c/z:lo=1 a/x:eth0=5 a/x:lo=4",   // one came
		"c/z:lo=2 a/x:lo=5",                       // two have gone
		"",                                        // all have
		"a/x:lo=6 a/x:lo=7 b/y:lo=8",              // one is told twice
		"a/x:lo=7 a/x:eth0=6 b/y:lo=9 b/y:eth0=1", // they are back
	} {
		if i > 0 {
			f.again()
		}
		var want []string
		for _, w := range strings.Fields(reading) {
			name, value, _ := strings.Cut(w, "=")
			s := probe.Sample{Stat: stat, Labels: label}
			s.Pod, label[0], _ = strings.Cut(name, ":")
			if _, err := fmt.Sscan(value, &s.Value); err != nil {
				t.Fatal(err)
			}
			twice := slices.ContainsFunc(want, func(w string) bool { return strings.HasPrefix(w, name+"=") })
			if err := f.add(nil, s); (err != nil) != twice {
				t.Errorf("%s: %v", w, err)
			}
			if !twice {
				want = append(want, w)
			}
		}
		var got []string
		for _, mf := range f.list() {
			for _, m := range mf.Metric {
				l := map[string]string{}
				for _, p := range m.Label {
					l[p.GetName()] = p.GetValue()
				}
				got = append(got, fmt.Sprintf("%s/%s:%s=%g", l["namespace"], l["pod"], l["device"], m.GetCounter().GetValue()))
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("reading %q:\n%s", reading, diff)
		}
	}
}
