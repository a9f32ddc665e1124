//go:build linux

package observe

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/netip"
	"os/exec"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"

	"github.com/plumbnet/plumb/collect/node"
	"github.com/plumbnet/plumb/event"
	"github.com/plumbnet/plumb/lab/sandbox"
	"github.com/plumbnet/plumb/packet"
	"github.com/plumbnet/plumb/probe"
	"github.com/plumbnet/plumb/probe/all"
)

// The first thread is the test's own, as plumbd's is: one that has been in another namespace must be able to end.
func init() { runtime.LockOSThread() }

func TestMain(m *testing.M) {
	if sandbox.Inside() { // whose loopback device is down
		if err := exec.Command("ip", "link", "set", "lo", "up").Run(); err != nil {
			panic(err)
		}
	}
	sandbox.Main(m)
}

// fake is a probe that does as a test says.
type fake struct {
	read   func(func(probe.Sample)) error
	readIn func(probe.Place, func(probe.Sample)) error
	watch  func(context.Context, func(event.Event)) error
	closed *atomic.Int32
}

func (f fake) Read(emit func(probe.Sample)) error {
	if f.read == nil {
		return nil
	}
	return f.read(emit)
}

func (f fake) ReadIn(p probe.Place, emit func(probe.Sample)) error {
	if f.readIn == nil {
		return nil
	}
	return f.readIn(p, emit)
}

func (f fake) Watch(ctx context.Context, emit func(event.Event)) error {
	if f.watch == nil {
		return nil
	}
	return f.watch(ctx, emit)
}

func (f fake) Close() error {
	if f.closed != nil {
		f.closed.Add(1)
	}
	return nil
}

var (
	drops = &probe.Stat{Name: "drops_total", Help: "Drops.", Labels: []string{"reason"}}
	queue = &probe.Stat{Name: "queue_bytes", Type: probe.Gauge, Help: "In the queue.", Node: true}
	waits = &probe.Stat{Name: "wait_seconds", Type: probe.Histogram, Help: "Waits."}
)

func kind(name string, f fake) *probe.Kind {
	return &probe.Kind{
		Name: name, Doc: "a title\n\nMore.", Stats: []*probe.Stat{drops, queue, waits}, Threshold: time.Second, Events: "What happens.",
		Open: func(*probe.Env) (probe.Probe, error) { return f, nil },
	}
}

func observer(t *testing.T, kinds ...*probe.Kind) *Observer {
	t.Helper()
	sandbox.Need(t)
	var made []*sandbox.NS
	for _, name := range []string{"observe-host", "observe-pod"} {
		ns, err := sandbox.NewNS(name)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = ns.Delete() })
		made = append(made, ns)
	}
	places, err := node.NewPlaces(node.Options{Node: "node-a", Host: made[0].Path, NetNS: []node.NetNS{{Path: made[1].Path, Pod: "shop/web-0"}}})
	if err != nil {
		t.Fatal(err)
	}
	o := New(Options{Version: "v0", Node: "node-a", Kinds: kinds, Places: places, Log: log.New(io.Discard, "", 0)})
	t.Cleanup(o.Close)
	o.Apply(Config{})
	return o
}

// text returns the answer to a scrape, without the agent's own metrics.
func text(t *testing.T, o *Observer) string {
	t.Helper()
	var b bytes.Buffer
	mfs, done, err := o.Gather()
	if err != nil {
		t.Fatal(err)
	}
	defer done()
	for _, mf := range mfs {
		if strings.HasPrefix(mf.GetName(), Prefix+"agent_") {
			continue
		}
		if _, err := expfmt.MetricFamilyToText(&b, mf); err != nil {
			t.Fatal(err)
		}
	}
	return b.String()
}

func own1(t *testing.T, o *Observer, name string, labels ...string) float64 {
	t.Helper()
	mfs, done, _ := o.Gather()
	defer done()
	for _, mf := range mfs {
		for _, m := range mf.Metric {
			if mf.GetName() == Prefix+name && has(m, labels) {
				return m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	t.Fatalf("no %s %q", name, labels)
	return 0
}

func has(m *dto.Metric, labels []string) bool {
	for _, want := range labels {
		found := false
		for _, l := range m.Label {
			found = found || l.GetValue() == want
		}
		if !found {
			return false
		}
	}
	return true
}

func TestGather(t *testing.T) {
	o := observer(t, kind("dropper", fake{
		read: func(emit func(probe.Sample)) error {
			emit(probe.Sample{Stat: queue, Value: 7})
			emit(probe.Sample{Stat: drops, Pod: "shop/web-0", Labels: []string{"NO_SOCKET"}, Value: 3})
			emit(probe.Sample{Stat: drops, Labels: []string{"a\xffb"}, Value: 1})
			emit(probe.Sample{Stat: waits, Pod: "build", Hist: &probe.Hist{Bounds: []float64{0.1, 1}, Counts: []uint64{5, 1, 2}, Sum: 9}})
			return nil
		},
		readIn: func(p probe.Place, emit func(probe.Sample)) error {
			emit(probe.Sample{Stat: drops, Pod: p.Pod, Labels: []string{"IN"}, Value: 2})
			return nil
		},
	}))
	o.Apply(Config{Labels: map[string]string{"zone": "b"}})
	want := `# HELP plumb_drops_total Drops.
# TYPE plumb_drops_total counter
plumb_drops_total{node="node-a",zone="b",namespace="shop",pod="web-0",reason="NO_SOCKET"} 3
plumb_drops_total{node="node-a",zone="b",namespace="",pod="",reason="a` + "\uFFFD" + `b"} 1
plumb_drops_total{node="node-a",zone="b",namespace="",pod="",reason="IN"} 2
plumb_drops_total{node="node-a",zone="b",namespace="shop",pod="web-0",reason="IN"} 2
# HELP plumb_queue_bytes In the queue.
# TYPE plumb_queue_bytes gauge
plumb_queue_bytes{node="node-a",zone="b"} 7
# HELP plumb_wait_seconds Waits.
# TYPE plumb_wait_seconds histogram
plumb_wait_seconds_bucket{node="node-a",zone="b",namespace="",pod="build",le="0.1"} 5
plumb_wait_seconds_bucket{node="node-a",zone="b",namespace="",pod="build",le="1"} 6
plumb_wait_seconds_bucket{node="node-a",zone="b",namespace="",pod="build",le="+Inf"} 8
plumb_wait_seconds_sum{node="node-a",zone="b",namespace="",pod="build"} 9
plumb_wait_seconds_count{node="node-a",zone="b",namespace="",pod="build"} 8
`
	if diff := cmp.Diff(want, text(t, o)); diff != "" {
		t.Error(diff)
	}
	if n := own1(t, o, "agent_probe_errors_total", "dropper"); n != 0 {
		t.Errorf("%g errors: %+v", n, o.States())
	}
}

// TestBroken: whatever one probe does, the others are told, and it is said what is wrong with the one.
func TestBroken(t *testing.T) {
	good := kind("good", fake{read: func(emit func(probe.Sample)) error {
		emit(probe.Sample{Stat: queue, Value: 1})
		return nil
	}})
	for _, tt := range []struct {
		name string
		read func(func(probe.Sample)) error
		want string
	}{
		{"an error", func(func(probe.Sample)) error { return errors.New("no such file") }, "no such file"},
		{"a panic", func(func(probe.Sample)) error { panic("oops") }, "panic: oops"},
		{"too few labels", func(emit func(probe.Sample)) error { emit(probe.Sample{Stat: drops}); return nil }, "drops_total: 0 labels, want 1"},
		{"another's metric", func(emit func(probe.Sample)) error {
			emit(probe.Sample{Stat: &probe.Stat{Name: "x"}})
			return nil
		}, "not the probe's"},
		{"no metric", func(emit func(probe.Sample)) error { emit(probe.Sample{}); return nil }, "not the probe's"},
		{"no histogram", func(emit func(probe.Sample)) error {
			emit(probe.Sample{Stat: waits, Hist: &probe.Hist{Bounds: []float64{1}}})
			return nil
		}, "wait_seconds: no histogram"},
		{"a counter below 0", func(emit func(probe.Sample)) error {
			emit(probe.Sample{Stat: drops, Labels: []string{""}, Value: -1})
			return nil
		}, "a counter of -1"},
		{"twice", func(emit func(probe.Sample)) error {
			emit(probe.Sample{Stat: drops, Labels: []string{"a"}, Value: 1})
			emit(probe.Sample{Stat: drops, Labels: []string{"a"}, Value: 1})
			return nil
		}, "there twice"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bad := kind("bad", fake{read: tt.read})
			bad.Stats = bad.Stats[:1:1]
			if tt.name == "no histogram" {
				bad.Stats = []*probe.Stat{waits}
			}
			o := observer(t, bad, good)
			if got := text(t, o); !strings.Contains(got, "plumb_queue_bytes{node=\"node-a\"} 1\n") {
				t.Errorf("the other is missing:\n%s", got)
			}
			if s := o.States()[0]; !strings.Contains(s.Last, tt.want) || s.Errors == 0 {
				t.Errorf("%+v, want %q", s, tt.want)
			}
		})
	}
}

// TestStuck: a reading that does not come back costs one scrape, and is left out of the next.
func TestStuck(t *testing.T) {
	read, lock := readTime, lockTime
	t.Cleanup(func() { readTime, lockTime = read, lock }) // when the observer is closed
	readTime, lockTime = 300*time.Millisecond, 50*time.Millisecond
	block := make(chan struct{})
	o := observer(t, kind("stuck", fake{readIn: func(probe.Place, func(probe.Sample)) error { <-block; return nil }}),
		kind("good", fake{read: func(emit func(probe.Sample)) error { emit(probe.Sample{Stat: queue, Value: 1}); return nil }}))
	began := time.Now()
	if got := text(t, o); got != "" || time.Since(began) > readTime+3*time.Second {
		t.Errorf("after %v: %q", time.Since(began), got)
	}
	began = time.Now()
	if got := text(t, o); !strings.Contains(got, "plumb_queue_bytes") || time.Since(began) > readTime {
		t.Errorf("after %v: %q", time.Since(began), got)
	}
	if s := o.States()[0]; s.Last != "read: "+errTurn.Error() && s.Last != errTurn.Error() {
		t.Errorf("%+v", s)
	}
	close(block)
}

// TestLate: what a probe tells when it is waited for no more is not written to the answer that went without it.
func TestLate(t *testing.T) {
	read := readTime
	t.Cleanup(func() { readTime = read })
	readTime = 50 * time.Millisecond
	block, told := make(chan struct{}), make(chan struct{})
	o := observer(t, kind("late", fake{read: func(emit func(probe.Sample)) error {
		<-block
		emit(probe.Sample{Stat: queue, Value: 1})
		close(told)
		return nil
	}}))
	_, done, err := o.Gather()
	if err != nil {
		t.Fatal(err)
	}
	close(block)
	<-told
	done()
	if f := o.spare.families.Load(); f.by[queue] != nil {
		t.Error("it is")
	}
}

func TestNotOpened(t *testing.T) {
	lacks := kind("lacks", fake{})
	lacks.Needs = []probe.Feature{{Name: "tp_btf/kfree_skb", Have: func() error { return errors.New("not supported (kernel 4.18)") }}}
	refused := kind("refused", fake{})
	refused.Open = func(*probe.Env) (probe.Probe, error) { return nil, errors.New("permission denied") }
	panics := kind("panics", fake{})
	panics.Open = func(*probe.Env) (probe.Probe, error) { panic("oops") }
	off := kind("off", fake{})
	off.Off = true
	o := observer(t, lacks, refused, panics, off, kind("good", fake{}))
	want := []State{
		{Name: "lacks", Why: "needs tp_btf/kfree_skb: not supported (kernel 4.18)"}, {Name: "refused", Why: "permission denied"},
		{Name: "panics", Why: "panic: oops"}, {Name: "off", Why: "off"}, {Name: "good", Up: true},
	}
	if diff := cmp.Diff(want, o.States()); diff != "" {
		t.Error(diff)
	}
	if own1(t, o, "agent_probe_up", "lacks") != 0 || own1(t, o, "agent_probe_up", "good") != 1 {
		t.Error("agent_probe_up")
	}
}

// TestReload: any number of times; what a configuration does not touch runs on, and what was counted stays.
func TestReload(t *testing.T) {
	var opened, closed, kept atomic.Int32
	a := kind("a", fake{watch: func(ctx context.Context, emit func(event.Event)) error {
		emit(event.Event{})
		<-ctx.Done()
		return ctx.Err()
	}, closed: &closed})
	open := a.Open
	a.Open = func(e *probe.Env) (probe.Probe, error) { opened.Add(1); return open(e) }
	b := kind("b", fake{closed: &kept})
	o := observer(t, a, b)
	before := runtime.NumGoroutine()
	for i := range 50 {
		c := Config{}
		switch i % 3 {
		case 0:
			c.Probes.Off = []string{"a"}
		case 1:
			c.Probes.Threshold = map[string]string{"a": fmt.Sprintf("%dms", i+1)}
		}
		o.Apply(c)
	}
	if opened.Load() != closed.Load()+1 && opened.Load() != closed.Load() || opened.Load() < 33 || kept.Load() != 0 {
		t.Errorf("a opened %d and closed %d times, b closed %d times", opened.Load(), closed.Load(), kept.Load())
	}
	until(t, func() bool { return o.States()[0].Events == uint64(opened.Load()) })
	until(t, func() bool { return runtime.NumGoroutine() <= before+2 })
	if n := own1(t, o, "agent_config_reloads_total", "taken"); n != 51 {
		t.Errorf("%g reloads", n)
	}
	o.Refuse(errors.New("plumbd.yaml:3: probs: unknown field"))
	if o.Trouble() == "" || own1(t, o, "agent_config_valid") != 0 || o.States()[1].Up != true {
		t.Error("a refused configuration is not told, or changed something")
	}
}

func until(t *testing.T, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("not within a minute")
		}
	}
}

// TestEvents: a storm is bounded, and each event is told or counted as lost.
func TestEvents(t *testing.T) {
	const storm = 100_000
	start := make(chan struct{})
	o := observer(t, kind("stormy", fake{watch: func(ctx context.Context, emit func(event.Event)) error {
		<-start
		for range storm {
			emit(event.Event{Pod: "shop/web-0"})
		}
		return nil
	}}))
	slow, fast := o.Subscribe(1), o.Subscribe(storm)
	close(start)
	until(t, func() bool { return o.States()[0].Events == storm })
	got := len(fast.C)
	if e := <-fast.C; e.Kind != "stormy" || e.Node != "node-a" || e.Time.IsZero() {
		t.Errorf("%+v", e)
	}
	kept := own1(t, o, "agent_events_lost_total", "rate", "stormy")
	if got < defaultRate || got+int(kept) != storm {
		t.Errorf("%d told and %g kept of %d", got, kept, storm)
	}
	if slow.Lost() != uint64(got-1) || own1(t, o, "agent_events_lost_total", "reader") != float64(got-1) {
		t.Errorf("a reader that takes none lost %d of %d", slow.Lost(), got)
	}
	o.Leave(slow)
	o.Leave(fast)
	if own1(t, o, "agent_events_lost_total", "reader") != float64(got-1) {
		t.Error("what a reader lost is forgotten when it leaves")
	}
}

// TestPeer wants who has the address at the other end, or had it until lately, to be named.
func TestPeer(t *testing.T) {
	sandbox.Need(t)
	var all [3]*sandbox.NS
	var pods []node.NetNS
	for i, name := range []string{"host", "a", "b"} {
		ns, err := sandbox.NewNS("observe-peer-" + name)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = ns.Delete() })
		if err := ns.Run("", "ip", "addr", "add", fmt.Sprintf("10.9.0.%d/24", i), "dev", "lo"); err != nil {
			t.Fatal(err)
		}
		all[i] = ns
		pods = append(pods, node.NetNS{Path: ns.Path, Pod: "shop/" + name})
	}
	places, err := node.NewPlaces(node.Options{Node: "node-a", Host: all[0].Path, NetNS: pods[1:]})
	if err != nil {
		t.Fatal(err)
	}
	again := make(chan struct{})
	o := New(Options{Node: "node-a", Places: places, Log: log.New(io.Discard, "", 0), Kinds: []*probe.Kind{kind("x", fake{watch: func(_ context.Context, emit func(event.Event)) error {
		for range again {
			emit(event.Event{Pod: "shop/a", Packet: packet.Packet{Src: netip.MustParseAddrPort("10.9.0.1:1"), Dst: netip.MustParseAddrPort("10.9.0.2:80")}})
		}
		return nil
	}})}})
	t.Cleanup(o.Close)
	defer close(again)
	o.Apply(Config{})
	sub := o.Subscribe(1)
	peer := func() string {
		again <- struct{}{}
		return (<-sub.C).Peer
	}
	if got := peer(); got != "shop/b" {
		t.Errorf("%q", got)
	}
	for _, ns := range all[1:] {
		if err := ns.Delete(); err != nil {
			t.Fatal(err)
		}
	}
	places.Refresh()
	if got := peer(); got != "shop/b" {
		t.Errorf("after its end: %q", got)
	}
}

// TestNews wants what Kubernetes did to be told as the probe of changes tells what was changed, where that is on.
func TestNews(t *testing.T) {
	o := observer(t, kind("ticks", fake{}), kind(changesProbe, fake{}))
	sub := o.Subscribe(10)
	defer o.Leave(sub)
	said := event.Event{Time: time.Unix(1e9, 0), Pod: "shop/web-0", Detail: []event.Field{{Key: "change", Value: "kubernetes"}}}
	o.Apply(Config{})
	o.news(said)
	o.Apply(Config{Probes: ProbesConfig{Off: []string{changesProbe}}})
	o.news(said)
	o.Apply(Config{})
	o.news(said)
	said.Kind, said.Node = changesProbe, "node-a"
	for range 2 {
		if diff := cmp.Diff(said.String(), (<-sub.C).String()); diff != "" {
			t.Error(diff)
		}
	}
	if len(sub.C) > 0 {
		t.Errorf("%v is told of a probe that is off", <-sub.C)
	}
}

// TestOverflow: what is beyond the bound is one series, and rises.
func TestOverflow(t *testing.T) {
	n, each := maxSeries+10, 1.0
	o := observer(t, kind("wide", fake{read: func(emit func(probe.Sample)) error {
		for i := range n {
			emit(probe.Sample{Stat: drops, Pod: fmt.Sprintf("shop/p%06d", i), Labels: []string{"x"}, Value: each})
		}
		return nil
	}}))
	series := func() (count int, over float64) {
		mfs, done, _ := o.Gather()
		defer done()
		for _, mf := range mfs {
			if mf.GetName() == "plumb_drops_total" {
				last := mf.Metric[len(mf.Metric)-1]
				if !has(last, []string{overflowing}) {
					return len(mf.Metric), -1
				}
				return len(mf.Metric), last.GetCounter().GetValue()
			}
		}
		return 0, 0
	}
	if count, over := series(); count != maxSeries+1 || over != 10 {
		t.Errorf("%d series, overflow %g, want %d and 10", count, over, maxSeries+1)
	}
	if got := own1(t, o, "agent_series_dropped", "plumb_drops_total"); got != 10 {
		t.Errorf("agent_series_dropped %g", got)
	}
	n -= 5 // Pods end
	if _, over := series(); over != 10 {
		t.Errorf("overflow %g after Pods ended, want 10 still", over)
	}
	each = 3
	if _, over := series(); over != 20 {
		t.Errorf("overflow %g, want 20", over)
	}
	n = 3
	if _, over := series(); over != 20 {
		t.Errorf("overflow %g, want 20", over)
	}
}

// TestAgain has Pods come and go between readings, which keep series for each other.
func TestAgain(t *testing.T) {
	var now int
	o := observer(t, kind("some", fake{read: func(emit func(probe.Sample)) error {
		for i := now; i < now+3; i++ {
			emit(probe.Sample{Stat: drops, Pod: fmt.Sprintf("shop/p%d", i), Labels: []string{"x"}, Value: float64(10*now + i)})
		}
		return nil
	}}))
	for now = range 20 {
		want := "# HELP plumb_drops_total Drops.\n# TYPE plumb_drops_total counter\n"
		for i := now; i < now+3; i++ {
			want += fmt.Sprintf("plumb_drops_total{node=\"node-a\",namespace=\"shop\",pod=\"p%d\",reason=\"x\"} %d\n", i, 10*now+i)
		}
		if got := text(t, o); got != want {
			t.Fatalf("%s\nwant\n%s", got, want)
		}
	}
	f := o.spare.families.Load()
	if n := len(f.by[drops].made); n > 9 {
		t.Errorf("%d series are kept, of 3", n)
	}
	o.Apply(Config{Labels: map[string]string{"cluster": "eu"}})
	if got := text(t, o); strings.Count(got, `cluster="eu"`) != 3 {
		t.Errorf("with another label:\n%s", got)
	}
}

// TestNames has Prometheus' own rules judge the name and the help of every metric that there is.
func TestNames(t *testing.T) {
	f := newFamilies("node-a", nil)
	seen := map[string]string{}
	for _, k := range all.Kinds {
		for _, s := range k.Stats {
			one(t, f, k, s)
			if seen[s.Name] != "" {
				t.Errorf("%s is of %s and of %s", s.Name, seen[s.Name], k.Name)
			}
			seen[s.Name] = k.Name
			if s.Event != "" && (s.Type != probe.Histogram || k.Events == "") {
				t.Errorf("%s: only a histogram has measurements that events tell", s.Name)
			}
			if s.Alarm && (!s.Second || s.Type == probe.Gauge) {
				t.Errorf("%s: an alarm is for what is kept by the second, and no gauge", s.Name)
			}
		}
		title, more, _ := strings.Cut(k.Doc, "\n\n")
		if title == "" || strings.HasSuffix(title, ".") || more == "" || k.Source == "" || k.Cost == "" {
			t.Errorf("%s: want a title, what it means when it rises, its source, and what it costs", k.Name)
		}
	}
	for _, s := range Own {
		one(t, f, nil, s)
	}
	problems, err := promlint.NewWithMetricFamilies(f.list()).Lint()
	if err != nil {
		t.Error(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
	if _, err := exec.LookPath("promtool"); err != nil {
		t.Log("no promtool here: its rules are those of promlint, which were asked")
		return
	}
	var in bytes.Buffer
	for _, mf := range f.list() {
		_, _ = expfmt.MetricFamilyToText(&in, mf)
	}
	cmd := exec.Command("promtool", "check", "metrics")
	cmd.Stdin = &in
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("promtool: %v\n%s", err, out)
	}
}

func one(t *testing.T, f *families, k *probe.Kind, s *probe.Stat) {
	t.Helper()
	labels := make([]string, len(s.Labels))
	for i := range labels {
		labels[i] = "x"
	}
	if err := f.add(k, probe.Sample{Stat: s, Labels: labels, Value: 1, Hist: &probe.Hist{Bounds: []float64{1}, Counts: []uint64{1, 1}}}); err != nil {
		t.Errorf("%s: %v", s.Name, err)
	}
}
