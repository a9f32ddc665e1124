//go:build linux

package observe

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/plumbnet/plumb/probe"
	"github.com/plumbnet/plumb/probe/all"
)

// TestCounted: what a probe had counted when it was closed is told on when it is opened again, until its Pod ends; what the kernel
// counts, and what is no counter, is told as it is.
func TestCounted(t *testing.T) {
	opened := 0
	k := kind("a", fake{})
	k.Open = func(*probe.Env) (probe.Probe, error) {
		opened++
		this, reads := opened, 0
		return programs{fake{read: func(emit func(probe.Sample)) error {
			emit(probe.Sample{Stat: queue, Value: 7})
			emit(probe.Sample{Stat: drops, Labels: []string{"KERNEL"}, Value: 5})
			if reads++; this == 2 || this > 1 && reads == 1 { // nothing has happened yet
				return nil
			}
			labels := []string{"x"} // the probe's own
			for _, pod := range []string{"shop/web-0", "shop/gone"} {
				if pod != "shop/gone" || this == 1 {
					emit(probe.Sample{Stat: drops, Pod: pod, Labels: labels, Value: 3})
				}
			}
			labels[0] = "y"
			counts := []uint64{1, 0, 2}
			emit(probe.Sample{Stat: waits, Hist: &probe.Hist{Bounds: []float64{0.1, 1}, Counts: counts, Sum: 9}})
			counts[0] = 100
			return nil
		}}}, nil
	}
	o := observer(t, k)
	want := func(drops string, waits int) string {
		return fmt.Sprintf(`# HELP plumb_drops_total Drops.
# TYPE plumb_drops_total counter
plumb_drops_total{node="node-a",namespace="",pod="",reason="KERNEL"} 5
%s# HELP plumb_queue_bytes In the queue.
# TYPE plumb_queue_bytes gauge
plumb_queue_bytes{node="node-a"} 7
# HELP plumb_wait_seconds Waits.
# TYPE plumb_wait_seconds histogram
plumb_wait_seconds_bucket{node="node-a",namespace="",pod="",le="0.1"} %d
plumb_wait_seconds_bucket{node="node-a",namespace="",pod="",le="1"} %[2]d
plumb_wait_seconds_bucket{node="node-a",namespace="",pod="",le="+Inf"} %d
plumb_wait_seconds_sum{node="node-a",namespace="",pod=""} %d
plumb_wait_seconds_count{node="node-a",namespace="",pod=""} %[3]d
`, drops, waits, 3*waits, 9*waits)
	}
	const web, gone = `plumb_drops_total{node="node-a",namespace="shop",pod="web-0",reason="x"} %d` + "\n", `plumb_drops_total{node="node-a",namespace="shop",pod="gone",reason="x"} 3` + "\n"
	for i, step := range []struct {
		c    Config
		want string
	}{
		{Config{}, want(fmt.Sprintf(web, 3)+gone, 1)},
		{Config{Events: EventsConfig{PerSecond: 5}}, want(fmt.Sprintf(web, 3), 1)},
		{Config{Events: EventsConfig{PerSecond: 6}}, want(fmt.Sprintf(web, 6), 2)},
		{Config{Probes: ProbesConfig{Off: []string{"a"}}}, ""},
		{Config{}, want(fmt.Sprintf(web, 9), 3)},
	} {
		o.Apply(step.c)
		for range 2 { // the second time it is the same
			if diff := cmp.Diff(step.want, text(t, o)); diff != "" {
				t.Errorf("step %d: %s", i, diff)
			}
		}
	}
}

// TestEachFails has each probe there is fail to open in turn, in each way: it says so, the others run on, and nothing is left open.
func TestEachFails(t *testing.T) {
	var kinds []*probe.Kind
	failing, way := "", error(nil)
	for _, k := range all.Kinds {
		one := *k
		one.Open = func(e *probe.Env) (probe.Probe, error) {
			p, err := k.Open(e)
			if err != nil || k.Name != failing {
				return p, err
			}
			_ = p.Close()
			if way == nil {
				panic("oops")
			}
			return nil, way
		}
		kinds = append(kinds, &one)
	}
	o := observer(t, kinds...)
	o.Apply(Config{Probes: ProbesConfig{On: []string{"all"}}})
	up := func() (names []string) {
		for _, s := range o.States() {
			if s.Up {
				names = append(names, s.Name)
			}
		}
		return names
	}
	files := func() int { list, _ := os.ReadDir("/proc/self/fd"); return len(list) }
	whole := up()
	_ = text(t, o)
	before, routines := files(), runtime.NumGoroutine()
	for i, name := range whole {
		failing, way = name, errors.New("operation not permitted")
		if i%2 == 1 {
			way = nil
		}
		off := Config{Probes: ProbesConfig{On: []string{"all"}, Off: []string{name}}}
		o.Apply(off)
		o.Apply(Config{Probes: ProbesConfig{On: []string{"all"}}})
		for _, s := range o.States() {
			if s.Name == name && (s.Up || !strings.Contains(s.Why, "not permitted") && !strings.Contains(s.Why, "oops")) {
				t.Errorf("%+v", s)
			}
		}
		if got := up(); len(got) != len(whole)-1 {
			t.Errorf("without %s: %q run", name, got)
		}
		failing = ""
		o.Apply(off)
		o.Apply(Config{Probes: ProbesConfig{On: []string{"all"}}})
	}
	if diff := cmp.Diff(whole, up()); diff != "" {
		t.Error(diff)
	}
	until(t, func() bool { return files() <= before && runtime.NumGoroutine() <= routines+2 })
}
