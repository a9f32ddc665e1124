//go:build linux

package recorder

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/plumbnet/plumb/event"
	"github.com/plumbnet/plumb/lab/sandbox"
	"github.com/plumbnet/plumb/packet"
	"github.com/plumbnet/plumb/probe"
	"golang.org/x/sys/unix"
)

// childVar has a folder in which the child of TestKilled records.
const childVar = "PLUMB_RECORDER_CHILD"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childVar); dir != "" {
		child(dir)
	}
	sandbox.Main(m)
}

var (
	drops  = &probe.Stat{Name: "packetloss_dropped_total", Type: probe.Counter, Labels: []string{"reason"}, Second: true, Alarm: true}
	octets = &probe.Stat{Name: "netdev_received_bytes_total", Type: probe.Counter, Second: true}
	queue  = &probe.Stat{Name: "qdisc_backlog_bytes", Type: probe.Gauge, Second: true}
	waits  = &probe.Stat{Name: "dns_lookup_seconds", Type: probe.Histogram, Second: true, Alarm: true}

	bounds = []float64{.001, .01, .1}
	at     = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	same   = cmp.Options{cmpopts.EquateComparable(netip.AddrPort{}), cmpopts.EquateEmpty(), cmpopts.EquateNaNs()}
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func open(t testing.TB, o Options) *Recorder {
	t.Helper()
	r, err := Open(o)
	must(t, err)
	t.Cleanup(func() { _ = r.Close() })
	return r
}

// tick has a second of r come n seconds after at.
func tick(r *Recorder, n int, samples ...probe.Sample) {
	r.Second(at.Add(time.Duration(n)*time.Second), samples)
}

func counter(s *probe.Stat, pod string, v float64, labels ...string) probe.Sample {
	return probe.Sample{Stat: s, Pod: pod, Labels: labels, Value: v}
}

func hist(pod string, sum float64, counts ...uint64) probe.Sample {
	return probe.Sample{Stat: waits, Pod: pod, Hist: &probe.Hist{Bounds: bounds, Counts: counts, Sum: sum}}
}

// show writes what a second has on a line.
func show(s *Second) string {
	var out []string
	switch k := s.Break; {
	case k.Restart:
		out = append(out, fmt.Sprintf("restart,%s", k.Missing))
	case k != Break{}:
		out = append(out, fmt.Sprintf("missing %s,step %s", k.Missing, k.Step))
	}
	for _, v := range s.Values {
		value := fmt.Sprint(v.Value)
		if v.Hist != nil {
			value = fmt.Sprint(v.Hist.Counts, v.Hist.Sum)
		}
		out = append(out, strings.TrimPrefix(v.Pod+"/", "/")+v.String()+" "+value)
	}
	for _, e := range s.Events {
		out = append(out, e.String())
	}
	for _, l := range s.Lost {
		out = append(out, fmt.Sprintf("lost %s %d", l.Kind, l.Count))
	}
	return strings.Join(out, "; ")
}

func shown(t testing.TB, path string, q Query) (out []string) {
	t.Helper()
	tl, err := Read(path, q)
	must(t, err)
	if tl.Damaged > 0 {
		t.Errorf("%d places are damaged", tl.Damaged)
	}
	for i := range tl.Seconds {
		if s := show(&tl.Seconds[i]); s != "" {
			out = append(out, fmt.Sprintf("%d: %s", tl.Seconds[i].Seq, s))
		}
	}
	return out
}

// TestSeconds has each kind of change of a counter.
func TestSeconds(t *testing.T) {
	a, b := "shop/a", "shop/b"
	type seconds [][]probe.Sample
	nan, inf := math.NaN(), math.Inf(1)
	other := probe.Sample{Stat: waits, Pod: a, Hist: &probe.Hist{Bounds: []float64{1}, Counts: []uint64{5, 6}, Sum: 9}}
	torn := probe.Sample{Stat: waits, Pod: a, Hist: &probe.Hist{Bounds: bounds, Counts: []uint64{1}}}
	for _, row := range []struct {
		name string
		in   seconds
		want []string
	}{
		{"what a counter had when it was found is not of a second", seconds{{counter(octets, a, 1000)}, {counter(octets, a, 1500)}, {counter(octets, a, 1500)}, {counter(octets, a, 1501)}},
			[]string{"2: shop/a/netdev_received_bytes_total 500", "4: shop/a/netdev_received_bytes_total 1"}},
		{"one that begins anew", seconds{{counter(octets, a, 1000)}, {counter(octets, a, 30)}}, []string{"2: shop/a/netdev_received_bytes_total 30"}},
		{"a Pod that comes began at 0", seconds{{counter(octets, a, 1)}, {counter(octets, a, 1), counter(octets, b, 7)}}, []string{"2: shop/b/netdev_received_bytes_total 7"}},
		{"so does a label", seconds{{counter(drops, a, 1, "X")}, {counter(drops, a, 1, "X"), counter(drops, a, 4, `"Y"`)}}, []string{`2: shop/a/packetloss_dropped_total{reason="\"Y\""} 4`}},
		{"one that goes and comes", seconds{{counter(octets, a, 1)}, {}, {counter(octets, a, 9)}}, []string{"3: shop/a/netdev_received_bytes_total 8"}},
		{"a gauge is told when it changes, and once in each segment", seconds{{counter(queue, "", 5)}, {counter(queue, "", 5)}, {counter(queue, "", 5)}, {counter(queue, "", -2.5)}, {counter(queue, "", 0)}},
			[]string{"1: qdisc_backlog_bytes 5", "2: qdisc_backlog_bytes 5", "4: qdisc_backlog_bytes -2.5", "5: qdisc_backlog_bytes 0"}},
		{"what is no number", seconds{{counter(octets, a, 1)}, {counter(octets, a, nan)}, {counter(octets, a, inf)}, {counter(octets, a, 3)}}, []string{"4: shop/a/netdev_received_bytes_total 2"}},
		{"parts and large numbers", seconds{{counter(octets, a, 0)}, {counter(octets, a, .25)}, {counter(octets, a, 1<<60)}}, []string{"2: shop/a/netdev_received_bytes_total 0.25", "3: shop/a/netdev_received_bytes_total 1.152921504606847e+18"}},
		{"a histogram", seconds{{hist(a, 1, 1, 2, 3, 4)}, {hist(a, 1.5, 1, 4, 3, 5)}, {hist(a, 1.5, 1, 4, 3, 5)}}, []string{"2: shop/a/dns_lookup_seconds [0 2 0 1] 0.5"}},
		{"a histogram that begins anew", seconds{{hist(a, 1, 1, 2, 3, 4)}, {hist(a, .5, 0, 0, 5, 5)}}, []string{"2: shop/a/dns_lookup_seconds [0 0 5 5] 0.5"}},
		{"a histogram of other buckets", seconds{{hist(a, 1, 1, 2, 3, 4)}, {other}, {hist(a, 1, 1, 2, 3, 4)}, {hist(a, 2, 2, 2, 3, 4)}}, []string{"4: shop/a/dns_lookup_seconds [1 0 0 0] 1"}},
		{"a histogram without all its buckets", seconds{{hist(a, 1, 1, 2, 3, 4)}, {torn}, {hist(a, 2, 2, 2, 3, 4)}}, []string{"3: shop/a/dns_lookup_seconds [1 0 0 0] 1"}},
		{"labels beyond those declared", seconds{{counter(octets, a, 1)}, {counter(octets, a, 2, "x")}}, []string{"2: shop/a/netdev_received_bytes_total 2"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			dir := t.TempDir()
			r := open(t, Options{Dir: dir, Disk: minDisk})
			for i, samples := range row.in {
				tick(r, i, samples...)
			}
			if diff := cmp.Diff(row.want, shown(t, dir, Query{})); diff != "" {
				t.Error(diff)
			}
			if st := r.Stats(); st.Err != "" || st.Seconds != uint64(len(row.in)) {
				t.Errorf("%+v", st)
			}
		})
	}
}

// TestOpened has a probe loaded while the recorder runs: what it finds is no second's, and what comes later is.
func TestOpened(t *testing.T) {
	dir := t.TempDir()
	r := open(t, Options{Dir: dir, Disk: minDisk})
	tick(r, 0, counter(octets, "shop/a", 1))
	r.Opened([]*probe.Stat{drops})
	tick(r, 1, counter(octets, "shop/a", 1))
	tick(r, 2, counter(octets, "shop/a", 1), counter(drops, "shop/a", 3, "X"))
	r.Opened([]*probe.Stat{drops, octets})
	tick(r, 3, counter(octets, "shop/a", 50), counter(drops, "shop/a", 2, "X"))
	tick(r, 4, counter(octets, "shop/a", 51), counter(drops, "shop/a", 3, "X"))
	want := []string{
		`3: shop/a/packetloss_dropped_total{reason="X"} 3`,
		`5: shop/a/netdev_received_bytes_total 1; shop/a/packetloss_dropped_total{reason="X"} 1`,
	}
	if diff := cmp.Diff(want, shown(t, dir, Query{})); diff != "" {
		t.Error(diff)
	}
	if st := r.Stats(); st.Series != 2 {
		t.Errorf("%d series", st.Series)
	}
}

// TestBounds has more series than there is room for, and lets Pods go.
func TestBounds(t *testing.T) {
	r := open(t, Options{Dir: t.TempDir()})
	var all []probe.Sample
	for i := range maxSeries + 5 {
		all = append(all, counter(octets, fmt.Sprintf("shop/p%d", i), float64(i)))
	}
	tick(r, 0, all...)
	if st := r.Stats(); st.Series != maxSeries || st.Refused != 5 {
		t.Errorf("%+v", st)
	}
	for i := range 2 * forget {
		tick(r, 1+i, counter(octets, "shop/p0", float64(i)))
	}
	if st := r.Stats(); st.Series != 1 || st.Refused != 0 || len(r.tracker.pods) != 1 {
		t.Errorf("%+v, %d Pods", st, len(r.tracker.pods))
	}
}

var someEvents = []event.Event{
	{
		Time: at.Add(-300 * time.Millisecond), Kind: "packetloss", Node: "node-a", Pod: "shop/web-0", Peer: "shop/api-1", By: event.ByNetNS,
		Packet: packet.Packet{Src: netip.MustParseAddrPort("10.0.0.1:40000"), Dst: netip.MustParseAddrPort("[fd00::2]:80"), Proto: packet.TCP, Size: 60},
		Detail: []event.Field{{Key: "reason", Value: "NETFILTER_DROP"}, {Key: "at", Value: ""}},
	},
	{Time: at.Add(20 * time.Millisecond), Kind: "changes", Node: "node-a", Detail: []event.Field{{Key: "what", Value: "route\nadded \xff"}}},
	{Time: at, Kind: "packetloss", Pod: "shop/api-1", By: event.ByAddress, Packet: packet.Packet{Src: netip.MustParseAddrPort("[::ffff:10.0.0.1]:0"), Proto: packet.ICMPv6, Size: -1}},
}

func TestEvents(t *testing.T) {
	dir := t.TempDir()
	r := open(t, Options{Dir: dir, Node: "node-a", Disk: minDisk})
	for _, e := range someEvents[:2] {
		r.Event(e)
	}
	tick(r, 0)
	r.Event(someEvents[2])
	long := event.Event{Time: at, Kind: "x", Detail: []event.Field{{Key: "k", Value: strings.Repeat("y", 1000)}}}
	r.Event(long)
	must(t, r.Close()) // the second that it is in never ended
	tl, err := Read(dir, Query{})
	must(t, err)
	want := slices.Clone(someEvents)
	want = append(want, event.Event{Time: at, Kind: "x", Detail: []event.Field{{Key: "k", Value: strings.Repeat("y", maxText)}}})
	if diff := cmp.Diff(want, append(slices.Clone(tl.Seconds[0].Events), tl.Seconds[1].Events...), same); diff != "" {
		t.Error(diff)
	}
	if len(long.Detail[0].Value) != 1000 {
		t.Error("the event of the caller was changed")
	}
	if tl.Node != "node-a" || tl.Episode != nil {
		t.Errorf("%q, %v", tl.Node, tl.Episode)
	}
	for _, row := range []struct {
		q    Query
		want int
	}{
		{Query{}, 4}, {Query{Pod: "shop/api-1"}, 2}, {Query{Kinds: []string{"packetloss", "x"}}, 3}, {Query{Pod: "shop/web-0", Kinds: []string{"changes"}}, 0},
		{Query{From: at.Add(time.Millisecond)}, 0}, {Query{To: at.Add(-time.Second)}, 0}, {Query{From: at, To: at}, 4},
	} {
		tl, err := Read(dir, row.q)
		must(t, err)
		n := 0
		for _, s := range tl.Seconds {
			n += len(s.Events)
		}
		if n != row.want {
			t.Errorf("%+v: %d events, want %d", row.q, n, row.want)
		}
	}
}

// TestStorm has 100,000 events in each second: the first of each are there for ten minutes, and the rest is counted.
func TestStorm(t *testing.T) {
	dir := t.TempDir()
	r := open(t, Options{Dir: dir})
	const seconds, perSecond = 700, 10_000
	for i := range seconds {
		for range perSecond {
			e := someEvents[0]
			e.Time = at.Add(time.Duration(i) * time.Second)
			r.Event(e)
		}
		tick(r, i, counter(octets, "shop/web-0", float64(i)))
	}
	tl, err := Read(dir, Query{})
	must(t, err)
	st := r.Stats()
	if st.Events+st.Lost != seconds*perSecond {
		t.Errorf("%d recorded and %d lost, of %d", st.Events, st.Lost, seconds*perSecond)
	}
	first, n, values := -1, 0, 0
	for i, s := range tl.Seconds {
		if values += len(s.Values); len(s.Events) == 0 {
			continue
		}
		if first < 0 {
			first = i
		}
		n += len(s.Events)
		if len(s.Events)+int(s.Lost[0].Count) != perSecond || s.Lost[0].Kind != "packetloss" {
			t.Fatalf("second %d: %d events, lost %v", i, len(s.Events), s.Lost)
		}
	}
	if kept := seconds - first; first < 0 || kept < 600 {
		t.Errorf("events of %d seconds are there", kept)
	}
	if values != seconds-1 {
		t.Errorf("the storm cost %d values of counters", seconds-1-values)
	}
	t.Logf("%d events of the last %d seconds are there, %.0f a second", n, seconds-first, float64(n)/float64(seconds-first))
}

// TestWrap writes a ring many times over: the timeline is whole, and of the last seconds.
func TestWrap(t *testing.T) {
	dir := t.TempDir()
	r := open(t, Options{Dir: dir, Disk: minDisk})
	random := rand.New(rand.NewPCG(1, 2))
	const n = 20_000
	var total [50]float64
	for i := range n {
		var all []probe.Sample
		for p := range total {
			total[p] += float64(random.IntN(300))
			all = append(all, counter(octets, fmt.Sprintf("shop/p%d", p), total[p]))
		}
		tick(r, i, all...)
		if i%3000 == 10 { // a reload, or a crash
			must(t, r.Close())
			r = open(t, Options{Dir: dir, Disk: minDisk})
		}
	}
	tl, err := Read(dir, Query{})
	must(t, err)
	if len(tl.Seconds) < 1000 || tl.Damaged > 0 {
		t.Fatalf("%d seconds, %d damaged", len(tl.Seconds), tl.Damaged)
	}
	restarts := 0
	for i, s := range tl.Seconds {
		if want := uint64(n - len(tl.Seconds) + i + 1); s.Seq != want || s.Unread > 0 {
			t.Fatalf("second %d is %d, want %d; %d unread", i, s.Seq, want, s.Unread)
		}
		if s.Break.Restart {
			restarts++
		} else if s.Break != (Break{}) {
			t.Errorf("%d: %+v", s.Seq, s.Break)
		}
	}
	info, _ := filepath.Glob(filepath.Join(dir, "*"))
	var size int64
	for _, name := range info {
		st, err := os.Stat(name)
		must(t, err)
		size += st.Size()
	}
	if size > minDisk {
		t.Errorf("%d bytes on disk", size)
	}
	t.Logf("%d seconds, %d restarts", len(tl.Seconds), restarts)
}

// TestBreaks has the clock set, seconds missing and the recorder started again.
func TestBreaks(t *testing.T) {
	dir := t.TempDir()
	r := open(t, Options{Dir: dir, Disk: minDisk})
	for _, s := range []struct{ wall, mono float64 }{{0, 0}, {1, 1}, {2.2, 2.2}, {3700, 3}, {3701, 4}, {5, 5}, {6.4, 6}, {16, 15.6}} {
		r.second(at.Add(time.Duration(s.wall*1e9)), time.Duration(s.mono*1e9), nil)
	}
	must(t, r.Close())
	r = open(t, Options{Dir: dir, Disk: minDisk})
	r.Second(at.Add(60*time.Second), nil)
	want := []string{
		"4: missing 0s,step 1h1m37s", "6: missing 0s,step -1h1m37s", "8: missing 8.6s,step 0s", "9: restart,43s",
	}
	if diff := cmp.Diff(want, shown(t, dir, Query{})); diff != "" {
		t.Error(diff)
	}
	// What lies before the window that is wanted is told with it.
	if diff := cmp.Diff(want[3:], shown(t, dir, Query{From: at.Add(30 * time.Second), To: at.Add(90 * time.Second)})); diff != "" {
		t.Error(diff)
	}
}

// asked returns what a query has of the files, and of the recorder that writes them.
func asked(t *testing.T, r *Recorder, dir string, q Query) (disk, live *Timeline) {
	t.Helper()
	disk, err := Read(dir, q)
	must(t, err)
	var b bytes.Buffer
	must(t, r.Copy(&b, q))
	live, err = Decode(&b, Query{})
	must(t, err)
	return disk, live
}

// TestClockSet has the clock set by an hour, there and back: what is asked for by how long ago it was is that, and so is the
// window of an episode that was begun before.
func TestClockSet(t *testing.T) {
	dir := t.TempDir()
	r := open(t, Options{Dir: dir, Disk: minDisk})
	i := 0
	for _, set := range []time.Duration{0, time.Hour, 0, -2 * time.Hour} {
		for end := i + 50; i < end; i++ {
			if i%50 == 45 && i < 150 {
				must(t, r.Freeze(fmt.Sprint("e", i), "asked", r.last.Time.Add(-20*time.Second), r.last.Time.Add(20*time.Second)))
			}
			since := time.Duration(i) * time.Second
			r.second(at.Add(set+since), since, nil)
		}
		for _, last := range []int{10, 49, 70} {
			want := min(last+1, i)
			q := Query{Last: time.Duration(last) * time.Second}
			tl, live := asked(t, r, dir, q)
			if len(tl.Seconds) != want || len(live.Seconds) != want {
				t.Errorf("set by %s: of %d s there are %d on disk, %d live", set, last, len(tl.Seconds), len(live.Seconds))
			}
		}
	}
	for _, id := range []string{"e45", "e95", "e145"} {
		tl, err := Read(filepath.Join(dir, id+episodeExt), Query{})
		must(t, err)
		if n := len(tl.Seconds); n != 41 {
			t.Errorf("%s: %d seconds", id, n)
		}
	}
}

// TestRecent asks for the last seconds of a full ring, also after a restart and a step of the clock: they are those that the files have, and
// of the ring one or two segments are read for them.
func TestRecent(t *testing.T) {
	dir := t.TempDir()
	n := newNode(20, 1)
	clock := time.Duration(0)
	for run, step := range []time.Duration{0, time.Hour, -2 * time.Hour, 3 * time.Hour} {
		r := open(t, Options{Dir: dir, Disk: minDisk})
		clock += step
		for i := range 600 {
			n.second()
			r.second(at.Add(clock), time.Duration(i)*time.Second, n.samples)
			clock += time.Second
		}
		for _, q := range []Query{{Last: 5 * time.Second}, {Last: 5 * time.Minute}, {Last: time.Hour}, {From: at.Add(clock - 10*time.Second)}, {}} {
			tl, live := asked(t, r, dir, q)
			if diff := cmp.Diff(seqs(tl), seqs(live)); diff != "" || len(live.Seconds) == 0 {
				t.Errorf("run %d, %+v: %d seconds: %s", run, q, len(live.Seconds), diff)
			}
			visited := 0
			if q.Last > 0 {
				q.until(r.last)
			}
			must(t, r.seconds.each(held{}, &q, func([]byte) { visited++ }))
			// While the clock is set back, what was recorded before may be of later.
			if few := q.Last == 5*time.Second && run != 2; few && visited > 2 || q.From.IsZero() && visited != secondSegments {
				t.Errorf("run %d, %+v: %d segments of %d are read", run, q, visited, secondSegments)
			}
		}
		must(t, r.Close())
	}
}

func seqs(t *Timeline) (out []uint64) {
	for _, s := range t.Seconds {
		out = append(out, s.Seq)
	}
	return out
}

// TestSettle wants events in the second of their own time, but not beyond where the clock was set or the recorder began.
func TestSettle(t *testing.T) {
	told := func(seconds ...float64) (out []event.Event) {
		for _, s := range seconds {
			out = append(out, event.Event{Time: at.Add(time.Duration(s * float64(time.Second))), Kind: "x"})
		}
		return out
	}
	second := func(i int, k Break, seconds ...float64) Second {
		return Second{Time: at.Add(time.Duration(i) * time.Second), Break: k, Events: told(seconds...)}
	}
	tl := &Timeline{Seconds: []Second{
		second(1, Break{}, .5), second(2, Break{}, 1.9, 1.6), second(4, Break{Missing: time.Second}, 3.5, 1.7, 2, 2.5, .1, -9, 9),
		second(3, Break{Step: -2 * time.Second}, 1.5), second(4, Break{}, 1.5, 3), second(5, Break{Restart: true}, 1.5),
	}}
	tl.Settle()
	want := [][]event.Event{told(-9, .1, .5), told(1.6, 1.7, 1.9, 2), told(3.5, 2.5, 9), told(1.5, 1.5, 3), nil, told(1.5)}
	for i, s := range tl.Seconds {
		if diff := cmp.Diff(fmt.Sprint(want[i]), fmt.Sprint(s.Events)); diff != "" {
			t.Errorf("%d: %s", i, diff)
		}
	}
}

// TestOpenAgain wants a folder to be free at once when its recorder has ended, also while a program is being started, which has its files until then.
func TestOpenAgain(t *testing.T) {
	o := Options{Dir: t.TempDir(), Disk: minDisk}
	r := open(t, o)
	child, err := unix.Dup(int(r.lock.Fd()))
	must(t, err)
	defer unix.Close(child)
	if st := open(t, o).Stats(); !st.Memory {
		t.Errorf("two write to one folder: %+v", st)
	}
	must(t, r.Close())
	if st := open(t, o).Stats(); st.Memory {
		t.Errorf("%+v", st)
	}
}

// TestRealClock has times as time.Now tells them, with the clock that nobody sets.
func TestRealClock(t *testing.T) {
	r := open(t, Options{Dir: t.TempDir(), Disk: minDisk})
	now := time.Now()
	r.Second(now, nil)
	r.Second(now.Add(time.Second), nil)
	if r.last.Mono != time.Second {
		t.Error(r.last.Mono)
	}
}

func TestOpenErrors(t *testing.T) {
	if _, err := Open(Options{Disk: 5}); err == nil || !strings.Contains(err.Error(), "want 1048576 or more") {
		t.Error(err)
	}
	dir, file := t.TempDir(), filepath.Join(t.TempDir(), "file")
	must(t, os.WriteFile(file, nil, 0o600))
	open(t, Options{Dir: dir, Disk: minDisk})
	odd := t.TempDir()
	must(t, os.Mkdir(filepath.Join(odd, "seconds-03.ring"), 0o700))
	for name, row := range map[string]struct{ dir, want string }{
		"none":      {"", "from memory: no folder is configured"},
		"a file":    {file, "not a directory"},
		"another's": {dir, "another process writes to it"},
		"a folder":  {odd, "is a directory"},
	} {
		r := open(t, Options{Dir: row.dir, Disk: minDisk})
		st := r.Stats()
		if !st.Memory || !strings.Contains(st.Err, row.want) {
			t.Errorf("%s: %+v, want %q", name, st, row.want)
		}
		tick(r, 0, counter(octets, "shop/a", 1))
		tick(r, 1, counter(octets, "shop/a", 3))
		var b strings.Builder
		must(t, r.Copy(&b, Query{}))
		tl, err := Decode(strings.NewReader(b.String()), Query{})
		must(t, err)
		if len(tl.Seconds) != 2 || show(&tl.Seconds[1]) != "shop/a/netdev_received_bytes_total 2" {
			t.Errorf("%s: %+v", name, tl.Seconds)
		}
	}
}

// TestAtOnce has events, seconds, readers and windows come at the same time, and a reader that reads nothing.
func TestAtOnce(t *testing.T) {
	for _, dir := range []string{t.TempDir(), ""} {
		r := open(t, Options{Dir: dir, Disk: minDisk})
		tick(r, 0)
		tick(r, 1)
		slow, unread := io.Pipe()
		go func() { _ = r.Copy(unread, Query{}) }()
		defer slow.Close()
		var wg sync.WaitGroup
		wg.Go(func() {
			for i := range 2000 {
				tick(r, 2+i, counter(octets, "shop/a", float64(i)))
			}
		})
		wg.Go(func() {
			for range 2000 {
				r.Event(someEvents[0])
				_ = r.Stats()
			}
		})
		wg.Go(func() {
			for i := range 20 {
				if err := r.Freeze(fmt.Sprint("e", i), "", at, at.Add(time.Second)); err != nil && dir != "" {
					t.Error(err)
				}
				r.Opened([]*probe.Stat{drops})
				var b strings.Builder
				if err := r.Copy(&b, Query{}); err != nil {
					t.Error(err)
				}
				tl, err := Decode(strings.NewReader(b.String()), Query{})
				if err != nil || tl.Damaged > 0 {
					t.Errorf("%+v, %v", tl, err)
				}
			}
		})
		wg.Wait()
		if st := r.Stats(); st.Seconds != 2002 || st.Failed > 0 {
			t.Errorf("%+v", st)
		}
	}
}

// tmpfs mounts a small disk.
func tmpfs(t *testing.T, size string) string {
	t.Helper()
	sandbox.Need(t)
	must(t, sandbox.Setup())
	dir := t.TempDir()
	must(t, unix.Mount("tmpfs", dir, "tmpfs", 0, "size="+size))
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
	return dir
}

// stuff fills a disk to the last block.
func stuff(t *testing.T, dir string) (name string) {
	t.Helper()
	name = filepath.Join(dir, "ballast")
	f, err := os.Create(name)
	must(t, err)
	defer f.Close()
	for block := make([]byte, 4096); err == nil; {
		_, err = f.Write(block)
	}
	if !errors.Is(err, unix.ENOSPC) {
		t.Fatal(err)
	}
	return name
}

func TestDiskFullAtTheStart(t *testing.T) {
	dir := tmpfs(t, "700k")
	r := open(t, Options{Dir: dir, Disk: minDisk})
	if st := r.Stats(); !st.Memory || !strings.Contains(st.Err, "no space left on device") {
		t.Errorf("%+v", st)
	}
	tick(r, 0)
	if st := r.Stats(); st.Seconds != 1 {
		t.Errorf("%+v", st)
	}
	if err := r.Freeze("x", "", at.Add(-time.Second), at); err == nil || !strings.Contains(err.Error(), "no disk") {
		t.Error(err)
	}
}

// TestDiskFullLater has the disk fill up while it records: that hurts nothing but episodes, of which old ones go.
func TestDiskFullLater(t *testing.T) {
	dir := tmpfs(t, "2m")
	r := open(t, Options{Dir: dir, Disk: minDisk})
	tick(r, -1)
	must(t, r.Freeze("early", "", at.Add(-time.Second), at))
	ballast := stuff(t, dir)
	const n = 3000
	for i := range n {
		r.Event(someEvents[0])
		tick(r, i, counter(octets, "shop/a", float64(i*i)), counter(queue, "", float64(i)), hist("shop/b", float64(i), uint64(i), 0, 0, 0))
	}
	if st := r.Stats(); st.Memory || st.Failed > 0 || st.Seconds != n+1 {
		t.Errorf("%+v", st)
	}
	if got := shown(t, dir, Query{}); len(got) < 1000 {
		t.Errorf("%d seconds are there", len(got))
	}
	end := at.Add((n - 1) * time.Second)
	if err := r.Freeze("late", "", end.Add(-time.Minute), end); !errors.Is(err, unix.ENOSPC) {
		t.Error(err)
	}
	must(t, os.Remove(ballast))
	must(t, r.Freeze("late", "", end.Add(-time.Minute), end))
	all, err := r.Episodes()
	if err != nil || len(all) != 1 || all[0].ID != "late" {
		t.Errorf("%+v, %v", all, err)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "*.tmp")); len(left) > 0 {
		t.Errorf("%v are left", left)
	}
}

// TestDiskGoes has the disk fail under it.
func TestDiskGoes(t *testing.T) {
	r := open(t, Options{Dir: t.TempDir(), Disk: minDisk})
	tick(r, 0, counter(octets, "shop/a", 1))
	for _, f := range r.seconds.segments {
		f.Close()
	}
	tick(r, 1, counter(octets, "shop/a", 2))
	tick(r, 2, counter(octets, "shop/a", 4))
	if st := r.Stats(); !st.Memory || st.Failed != 1 || st.Seconds != 2 {
		t.Errorf("%+v", st)
	}
	var b strings.Builder
	must(t, r.Copy(&b, Query{}))
	if tl, err := Decode(strings.NewReader(b.String()), Query{}); err != nil || len(tl.Seconds) != 1 || show(&tl.Seconds[0]) != "shop/a/netdev_received_bytes_total 2" {
		t.Errorf("%v, %v", tl, err)
	}
}

// child records a second after the other, as fast as it can, and prints each when it is recorded.
func child(dir string) {
	r, err := Open(Options{Dir: dir, Disk: minDisk})
	if err != nil || r.Stats().Memory {
		fmt.Println(err, r.Stats())
		os.Exit(1)
	}
	first := r.last.Seq + 1
	for i := 0; ; i++ {
		r.Event(someEvents[0])
		tick(r, i, counter(octets, "shop/a", float64(i)), counter(queue, "", float64(i)))
		fmt.Println(first + uint64(i))
	}
}

// TestKilled kills a process with SIGKILL while it writes, again and again: all that it had recorded is there.
func TestKilled(t *testing.T) {
	dir := t.TempDir()
	for round := range 20 {
		cmd := exec.Command("/proc/self/exe")
		cmd.Env = append(os.Environ(), childVar+"="+dir)
		out, err := cmd.StdoutPipe()
		must(t, err)
		must(t, cmd.Start())
		lines := bufio.NewScanner(out)
		for range 20 + rand.IntN(400) {
			if !lines.Scan() {
				t.Fatal("it ended by itself")
			}
		}
		must(t, cmd.Process.Kill())
		var last uint64
		for ok := true; ok; ok = lines.Scan() {
			if _, err := fmt.Sscan(lines.Text(), &last); err != nil {
				t.Fatalf("%q: %v", lines.Text(), err)
			}
		}
		_ = cmd.Wait() // killed
		tl, err := Read(dir, Query{})
		must(t, err)
		got := tl.Seconds[len(tl.Seconds)-1].Seq
		if tl.Damaged > 0 || got < last || got > last+1 {
			t.Fatalf("round %d: %d damaged, the last is %d, %d was recorded", round, tl.Damaged, got, last)
		}
		for i, s := range tl.Seconds {
			if s.Unread > 0 || i > 0 && s.Seq != tl.Seconds[i-1].Seq+1 {
				t.Fatalf("round %d: after %d comes %d, %d unread", round, tl.Seconds[max(0, i-1)].Seq, s.Seq, s.Unread)
			}
		}
	}
}
