//go:build linux

package observe

import (
	"context"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/plumbnet/plumb/probe"
	"github.com/plumbnet/plumb/probe/sched"
)

// TestBreaker plays loads, of so many looks each, and wants the looks that pause probes and bring them back.
func TestBreaker(t *testing.T) {
	type spell struct {
		looks int
		load
	}
	calm := load{cpu: 5, cpuPressure: 50, memoryPressure: 1, memory: 30}
	busy, edge := calm, calm
	busy.cpu, edge.cpu = 60, 45
	for _, row := range []struct {
		name  string
		c     LimitsConfig
		plays []spell
		want  []int
		limit string
	}{
		{"calm", LimitsConfig{}, []spell{{100, calm}}, nil, ""},
		{"a burst", LimitsConfig{}, []spell{{4, busy}, {1, calm}, {4, busy}, {10, calm}}, nil, ""},
		{"too much CPU", LimitsConfig{}, []spell{{10, calm}, {20, busy}}, []int{14}, "cpu"},
		{"back after a minute", LimitsConfig{}, []spell{{5, busy}, {40, calm}}, []int{4, 34}, ""},
		{"not while it is near", LimitsConfig{}, []spell{{5, busy}, {29, calm}, {1, edge}, {29, calm}, {100, edge}}, []int{4}, "cpu"},
		{"which alone pauses nothing", LimitsConfig{}, []spell{{100, edge}}, nil, ""},
		{"as configured", LimitsConfig{CPU: 20}, []spell{{100, edge}}, []int{4}, "cpu"},
		{"the node's CPUs", LimitsConfig{}, []spell{{5, load{cpuPressure: 99}}}, []int{4}, "cpuPressure"},
		{"they may be busy", LimitsConfig{CPUPressure: 100}, []spell{{50, load{cpuPressure: 100}}}, nil, ""},
		{"the node's memory", LimitsConfig{}, []spell{{5, load{memoryPressure: 21}}}, []int{4}, "memoryPressure"},
		{"its own", LimitsConfig{}, []spell{{5, load{memory: 90}}}, []int{4}, "memory"},
		{"twice", LimitsConfig{}, []spell{{5, busy}, {30, calm}, {5, busy}}, []int{4, 34, 39}, "cpu"},
	} {
		t.Run(row.name, func(t *testing.T) {
			var b breaker
			var got []int
			i := 0
			for _, s := range row.plays {
				for range s.looks {
					if b.look(s.load, row.c) {
						got = append(got, i)
					}
					i++
				}
			}
			if diff := cmp.Diff(row.want, got); diff != "" || b.name != row.limit || (b.why == "") != (b.name == "") {
				t.Errorf("%s %+v", diff, b)
			}
		})
	}
}

// TestPause has heavy probes be paused and come back: the others run on, a new configuration does not bring them back, and no counter falls.
func TestPause(t *testing.T) {
	var opened, closed atomic.Int32
	heavy, light := kind("heavy", fake{closed: &closed}), kind("light", fake{closed: &closed})
	heavy.Heavy = true
	for _, k := range []*probe.Kind{heavy, light} {
		open := k.Open
		k.Open = func(e *probe.Env) (probe.Probe, error) { opened.Add(1); return open(e) }
	}
	o := observer(t, heavy, light)
	state := func() (out []string) {
		for _, s := range o.States() {
			out = append(out, s.Name+" "+s.Why)
		}
		return append(out, o.Paused())
	}
	want := func(list ...string) {
		t.Helper()
		if diff := cmp.Diff(list, state()); diff != "" {
			t.Error(diff)
		}
	}
	want("heavy ", "light ", "")
	o.pause("cpu", "too much")
	want("heavy paused: too much", "light ", "too much")
	if own1(t, o, "agent_paused", "cpu") != 1 || own1(t, o, "agent_paused", "memory") != 0 || own1(t, o, "agent_probe_up", "heavy") != 0 || own1(t, o, "agent_pauses_total") != 1 {
		t.Error("the metrics do not say so")
	}
	reloads := own1(t, o, "agent_config_reloads_total", "taken")
	o.Apply(Config{Events: EventsConfig{PerSecond: 7}})
	want("heavy paused: too much", "light ", "too much")
	o.Apply(Config{Probes: ProbesConfig{Off: []string{"heavy"}}})
	want("heavy off", "light ", "too much")
	o.Apply(Config{})
	o.pause("", "")
	want("heavy ", "light ", "")
	if own1(t, o, "agent_paused", "cpu") != 0 || own1(t, o, "agent_probe_up", "heavy") != 1 || own1(t, o, "agent_pauses_total") != 1 {
		t.Error("the metrics do not say that it is over")
	}
	if n := own1(t, o, "agent_config_reloads_total", "taken"); n != reloads+3 {
		t.Errorf("a pause counts as a configuration: %g, %g", reloads, n)
	}
	if opened.Load()-closed.Load() != 2 {
		t.Errorf("%d are opened, %d closed", opened.Load(), closed.Load())
	}
}

// TestLoad reads what the kernel and the runtime tell.
func TestLoad(t *testing.T) {
	o := New(Options{Proc: t.TempDir()})
	begin := usage()
	for time.Since(begin.at) < 50*time.Millisecond {
	}
	if l := o.load(begin, usage()); l.cpu <= 0 || l.cpu > 10_000 || l.cpuPressure != 0 || l.memoryPressure != 0 {
		t.Errorf("%+v", l)
	}
	if err := os.MkdirAll(filepath.Join(o.o.Proc, "pressure"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"cpu":    "some avg10=86.01 avg60=60.72 avg300=48.51 total=39326929952\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0\n",
		"memory": "some avg10=0.25 avg60=0.00 avg300=0.00 total=1\nfull avg10=9.00 avg60=0.00 avg300=0.00 total=0\n",
	} {
		if err := os.WriteFile(filepath.Join(o.o.Proc, "pressure", name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if l := o.load(begin, usage()); l.cpuPressure != 86.01 || l.memoryPressure != .25 {
		t.Errorf("%+v", l)
	}
	if err := os.WriteFile(filepath.Join(o.o.Proc, "pressure/cpu"), []byte("some avg10=x"), 0o644); err != nil {
		t.Fatal(err)
	}
	if p := pressure(filepath.Join(o.o.Proc, "pressure/cpu")); p != 0 {
		t.Error(p)
	}
	before := debug.SetMemoryLimit(1 << 40)
	defer debug.SetMemoryLimit(before)
	held := make([]byte, 8<<20)
	debug.FreeOSMemory() // collects
	if h := heap(); h < 100*8/float64(1<<20) || h > 1 {
		t.Errorf("%g %% of 1 TiB, with %d bytes held", h, len(held))
	}
	runtime.KeepAlive(held)
}

// TestGuard has the agent be over a limit for real: the probe is paused, without a word from anybody. Before, it
// was counted for a while what its programs cost.
func TestGuard(t *testing.T) {
	k := kind("heavy", fake{})
	k.Heavy = true
	defer func(d time.Duration) { lookTime = d }(lookTime)
	lookTime = 100 * time.Millisecond
	o := observer(t, k, sched.Kind)
	o.Apply(Config{Probes: ProbesConfig{On: []string{"sched"}}, Limits: LimitsConfig{CPU: 1, CPUPressure: 100, MemoryPressure: 100}})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); o.Guard(ctx) }()
	defer func() { cancel(); <-done }()
	go func() {
		for n := 0; ctx.Err() == nil; n++ { // far more than 1 % of a CPU
		}
	}()
	deadline := time.Now().Add(time.Minute)
	for o.States()[0].Why == "" && time.Now().Before(deadline) {
		time.Sleep(50 * time.Millisecond)
	}
	if why := o.States()[0].Why; !strings.HasPrefix(why, "paused: the agent takes ") || !strings.HasSuffix(why, "% of a CPU, of 1") {
		t.Errorf("%q", why)
	}
	for _, f := range sched.Kind.Needs {
		if f.Have() != nil {
			return
		}
	}
	n, spent := own1(t, o, "agent_probe_program_runs_total", "sched"), own1(t, o, "agent_probe_program_seconds_total", "sched")
	if ns := spent / n * 1e9; n == 0 || ns < 10 || ns > 100_000 {
		t.Errorf("%g runs of %g ns", n, ns)
	}
}

func TestLimitsConfig(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{"limits: {cpu: 200, cpuPressure: 100, memoryPressure: 50}\npprof: true", ""},
		{"limits: {cpu: -1}", "c.yaml:1: limits.cpu: -1: want a percentage"},
		{"limits:\n  cpuPressure: 101", "c.yaml:2: limits.cpuPressure: 101: want a percentage, at most 100"},
		{"limits:\n  memory: 1", "c.yaml:2: limits.memory: unknown field"},
		{"pprof: 6060", "c.yaml:1: "},
	} {
		_, err := ReadConfig("c.yaml", []byte(tt.in), nil)
		if (err != nil) != (tt.want != "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.in, err, tt.want)
		}
	}
}
