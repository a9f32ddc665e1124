//go:build linux

package recorder

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/plumbnet/plumb/event"
	"github.com/plumbnet/plumb/probe"
)

// TestAlarms plays two Pods' seconds, of which the second Pod is quiet, and wants the seconds of the alarms.
func TestAlarms(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	flat := func(v float64) func(int) float64 { return func(int) float64 { return v } }
	spike := func(usual func(int) float64, at, long int, v float64) func(int) float64 {
		return func(i int) float64 {
			if i >= at && i < at+long {
				return v
			}
			return usual(i)
		}
	}
	noisy := func(i int) float64 { return float64(rnd.IntN(40)) }
	daily := func(i int) float64 { return 100 + 90*float64(i%300)/300 }
	for _, row := range []struct {
		name  string
		drops func(int) float64 // in each second
		wait  func(int) float64 // the mean latency of 20 lookups
		want  []int
	}{
		{"nothing", flat(0), flat(.001), nil},
		{"drops where there were none", spike(flat(0), 200, 3, 50), flat(.001), []int{200}},
		{"drops that begin with a few", func(i int) float64 { return map[int]float64{200: 8, 201: 32}[i] }, flat(.001), []int{201}},
		{"a few", spike(flat(0), 200, 3, 9), flat(.001), nil},
		{"while it starts", spike(flat(0), 20, 3, 5000), flat(.001), nil},
		{"what is always noisy", noisy, flat(.001), nil},
		{"noise, and then far more", spike(noisy, 300, 1, 1000), flat(.001), []int{300}},
		{"what rises slowly", daily, flat(.001), nil},
		{"a fault that stays is one, for ten minutes", spike(flat(0), 200, 500, 50), flat(.001), []int{200}},
		{"two faults", func(i int) float64 { return map[bool]float64{true: 500}[i == 100 || i == 900] }, flat(.001), []int{100, 900}},
		{"latency", flat(0), spike(flat(.001), 200, 3, .05), []int{200}},
		{"latency that nobody notices", flat(0), spike(flat(.0001), 200, 3, .0009), nil},
		{"latency that is always so", flat(0), func(i int) float64 { return .2 + .1*rnd.Float64() }, nil},
	} {
		t.Run(row.name, func(t *testing.T) {
			tr := newTracker()
			var sum [2]float64
			var got []int
			var seconds float64
			counts := []uint64{0, 0, 0, 0}
			for i := range 1000 {
				sum[0] += row.drops(i)
				wait := row.wait(i)
				seconds += 20 * wait
				bucket, _ := slices.BinarySearch(bounds, wait)
				counts[bucket] += 19 // and one that is slow, as there always is
				counts[3]++
				samples := []probe.Sample{counter(octets, "shop/b", float64(i)), hist("shop/a", seconds, slices.Clone(counts)...), counter(drops, "shop/b", 7, "Z"),
					counter(octets, "shop/a", 1000*sum[0]), counter(drops, event.Unknown, float64(i/100*1000), "X")} // for which no alarm is
				if sum[0] > 0 { // a reason is there when it first happened
					samples = append(samples, counter(drops, "shop/a", sum[0], "X"))
				}
				tr.second(uint64(i+1), 1, samples)
				for _, r := range tr.alarms.second(uint64(i + 1)) {
					if r.Pod != "shop/a" || r.Value < r.Usual*times {
						t.Errorf("%+v", r)
					}
					got = append(got, i)
				}
			}
			if diff := cmp.Diff(row.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// calm has n seconds of nothing come, from second i on.
func calm(r *Recorder, i, n int) int {
	for end := i + n; i < end; i++ {
		tick(r, i, counter(drops, "shop/a", 3, "X"), counter(octets, "shop/b", float64(i)))
	}
	return i
}

// TestEpisode has a Pod lose packets: the window around it is an episode, which outlives the ring.
func TestEpisode(t *testing.T) {
	dir := t.TempDir()
	var told []Episode
	r := open(t, Options{Dir: dir, Node: "node-a", Disk: minDisk, Triggered: func(e Episode) { told = append(told, e) }})
	i := calm(r, 0, 300)
	r.Event(event.Event{Time: at.Add(300 * time.Second), Kind: "packetloss", Pod: "shop/a", Peer: "shop/b"})
	tick(r, i, counter(drops, "shop/a", 503, "X"), counter(octets, "shop/b", float64(i)))
	i++
	// Who is at the other end is also told later, and of those that are new.
	for _, peer := range []string{"shop/b", "svc/shop/api", "shop/c"} { // a Service is on no node
		r.Event(event.Event{Time: at.Add(301 * time.Second), Kind: "packetloss", Pod: "shop/a", Peer: peer})
	}
	r.Event(event.Event{Time: at.Add(301 * time.Second), Kind: "packetloss", Pod: "shop/x", Peer: "shop/y"}) // another Pod's
	tick(r, i, counter(drops, "shop/a", 503, "X"), counter(octets, "shop/b", float64(i)))
	i++
	reason := Reason{"packetloss_dropped_total", "shop/a", 500, 0}
	want := Episode{ID: "20260304T051107Z-node-a", Node: "node-a", From: at.Add(240 * time.Second), To: at.Add(360 * time.Second), Reasons: []Reason{reason}, Peers: []string{"shop/b"}}
	later := want
	later.Peers = []string{"shop/c"}
	if diff := cmp.Diff([]Episode{want, later}, told); diff != "" {
		t.Fatal(diff)
	}
	// What came before is kept at once: the node may die of it.
	name := filepath.Join(dir, want.ID+".episode")
	tl, err := Read(name, Query{})
	must(t, err)
	if n := len(tl.Seconds); n != 61 || tl.Node != "node-a" || tl.Episode.Reasons[0] != reason {
		t.Errorf("%d seconds, %+v", n, tl.Episode)
	}
	for _, v := range tl.Seconds[60].Values {
		if v.Trouble() != (v.Name == drops.Name) || v.Type != probe.Counter {
			t.Errorf("%+v", v.Series)
		}
	}
	for ; i < 20_000; i++ {
		tick(r, i, counter(drops, "shop/a", 503, "X"), counter(octets, "shop/b", float64(i)), counter(queue, "", float64(i)), hist("shop/c", float64(i), uint64(i), 0, 0, 0))
	}
	tl, err = Read(dir, Query{})
	must(t, err)
	if first := slices.IndexFunc(tl.Seconds, func(s Second) bool { return len(s.Values) > 0 }); tl.Seconds[first].Time.Before(at.Add(400 * time.Second)) {
		t.Fatal("the ring still has its counters")
	}
	for _, s := range tl.Seconds { // its events are there, and nothing is said to lack between them
		if s.Break != (Break{}) {
			t.Errorf("%d: %+v", s.Seq, s.Break)
		}
	}
	tl, err = Read(name, Query{})
	must(t, err)
	got := tl.Seconds
	if len(got) != 121 || !got[0].Time.Equal(want.From) || !got[120].Time.Equal(want.To) {
		t.Fatalf("%d seconds from %s to %s", len(got), got[0].Time, got[len(got)-1].Time)
	}
	if s := show(&got[60]); !strings.HasPrefix(s, `shop/a/packetloss_dropped_total{reason="X"} 500; shop/b/netdev_received_bytes_total 1; `) || !strings.Contains(s, "(shop/b)") {
		t.Error(s)
	}
	if s := show(&got[61]); !strings.Contains(s, "episode node-a shop/a id="+want.ID+" metric=packetloss_dropped_total value=500 usual=0") {
		t.Error(s)
	}
	all, err := r.Episodes()
	must(t, err)
	info, err := os.Stat(name)
	must(t, err)
	want.Bytes, want.Peers = info.Size(), []string{"shop/b", "shop/c"}
	if diff := cmp.Diff([]Episode{want}, all); diff != "" {
		t.Error(diff)
	}
}

// TestManyFaults has Pods fail one after the other, within a window and later: what is unusual within it is told with it.
func TestManyFaults(t *testing.T) {
	dir := t.TempDir()
	r := open(t, Options{Dir: dir, Disk: minDisk})
	var total [40]float64
	for i := range 3000 {
		var all []probe.Sample
		for p := range total {
			if i == 300+p*61 || i == 330+p*61 {
				total[p] += 1000
			}
			all = append(all, counter(drops, fmt.Sprintf("shop/p%d", p), total[p], "X"))
		}
		tick(r, i, all...)
	}
	all, err := r.Episodes()
	must(t, err)
	if len(all) < 10 || len(all) > maxEpisodes {
		t.Errorf("%d episodes", len(all))
	}
	var size int64
	for _, e := range all {
		size += e.Bytes
		if len(e.Reasons) == 0 || len(e.Reasons) > maxReasons {
			t.Errorf("%+v", e)
		}
	}
	if size > minDisk*episodeShare/shares {
		t.Errorf("%d bytes", size)
	}
	if st := r.Stats(); st.Err != "" {
		t.Error(st.Err)
	}
}

// TestFreeze has others ask for windows: past, under way, and such as are refused.
func TestFreeze(t *testing.T) {
	dir := t.TempDir()
	r := open(t, Options{Node: "node-a", Dir: dir, Disk: minDisk})
	i := calm(r, 0, 100)
	s := func(n int) time.Time { return at.Add(time.Duration(n) * time.Second) }
	for _, row := range []struct {
		id       string
		from, to int
		want     string
	}{
		{"past", 10, 20, ""}, {"past", 30, 40, ""}, {"half", 90, 110, ""}, {"half", 0, 110, ""}, {"later", 120, 130, ""},
		{"../x", 1, 2, "want letters"}, {"", 1, 2, "want letters"}, {".x", 1, 2, "want letters"}, {strings.Repeat("x", 101), 1, 2, "want letters"}, {"a/b", 1, 2, "want letters"},
		{"turned", 20, 10, "want a window"}, {"long", 0, 3601, "want a window"}, {"never", 9000, 9001, "ends too late"}, {"unknown", -50, -40, "nothing is recorded"},
		{"20260304T051107Z-node-a", 10, 20, "this node names its own so"},
		{"p3", 90, 140, ""}, {"p4", 90, 140, ""}, {"p5", 90, 140, "4 others are not over"},
	} {
		err := r.Freeze(row.id, "asked", s(row.from), s(row.to))
		if row.want == "" && err != nil || row.want != "" && (err == nil || !strings.Contains(err.Error(), row.want)) {
			t.Errorf("%s: %v, want %q", row.id, err, row.want)
		}
	}
	calm(r, i, 35)
	must(t, r.Close()) // before two of them are over
	for id, want := range map[string]int{"past": 11, "half": 21, "later": 11, "p3": 45} {
		tl, err := Read(filepath.Join(dir, id+".episode"), Query{})
		must(t, err)
		if len(tl.Seconds) != want || tl.Episode.Why != "asked" {
			t.Errorf("%s: %d seconds, want %d; %+v", id, len(tl.Seconds), want, tl.Episode)
		}
	}
}

// TestPinned has episodes that an operator keeps: they stay, also where there is room for no other.
func TestPinned(t *testing.T) {
	dir := t.TempDir()
	r := open(t, Options{Dir: dir, Disk: minDisk})
	calm(r, 0, 200)
	freeze := func(n int) error {
		return r.Freeze(fmt.Sprintf("e%03d", n), "", at.Add(time.Duration(n)*time.Second), at.Add(time.Duration(n+9)*time.Second))
	}
	must(t, freeze(0))
	must(t, os.Rename(filepath.Join(dir, "e000.episode"), filepath.Join(dir, "e000.pinned")))
	must(t, freeze(0)) // which is there
	for n := 1; n < 50; n++ {
		must(t, freeze(n))
	}
	all, err := List(dir)
	must(t, err)
	if len(all) != maxEpisodes || all[0].ID != "e000" || !all[0].Pinned || all[1].ID != "e031" || all[1].Pinned {
		t.Errorf("%d: %+v", len(all), all[:2])
	}
	for _, e := range all[1:] {
		must(t, os.Rename(filepath.Join(dir, e.ID+".episode"), filepath.Join(dir, e.ID+".pinned")))
	}
	if err := freeze(60); err == nil || !strings.Contains(err.Error(), "pinned leave no room") {
		t.Error(err)
	}
	// One that cannot be read is told of by its name, and is the first to go.
	must(t, os.Rename(filepath.Join(dir, "e031.pinned"), filepath.Join(dir, "e031.episode")))
	must(t, os.WriteFile(filepath.Join(dir, "e031.episode"), []byte("garbage"), 0o600))
	must(t, freeze(60))
	if all, err = List(dir); err != nil || len(all) != maxEpisodes || all[len(all)-1].ID != "e060" {
		t.Errorf("%+v, %v", all, err)
	}
}

// TestAskedGoFirst wants the windows that others asked for to make room, and not the node's own.
func TestAskedGoFirst(t *testing.T) {
	dir := t.TempDir()
	r := open(t, Options{Dir: dir, Disk: minDisk})
	calm(r, 0, 200)
	for n := range 30 {
		why := map[bool]string{true: "asked"}[n >= 15]
		must(t, r.Freeze(fmt.Sprintf("e%03d", n), why, at.Add(time.Duration(n)*time.Second), at.Add(time.Duration(n+9)*time.Second)))
	}
	all, err := List(dir)
	must(t, err)
	own := slices.DeleteFunc(slices.Clone(all), func(e Episode) bool { return e.Why != "" })
	if len(all) != maxEpisodes || len(own) != 15 || all[len(all)-1].ID != "e029" {
		t.Errorf("%d episodes, %d of its own: %+v", len(all), len(own), all)
	}
}

// TestLeftovers has a process killed while it wrote an episode.
func TestLeftovers(t *testing.T) {
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "x.episode.tmp"), []byte("half"), 0o600))
	r := open(t, Options{Dir: dir, Disk: minDisk, Node: "Knoten ü/..%!"})
	if left, _ := filepath.Glob(filepath.Join(dir, "*.tmp")); len(left) > 0 {
		t.Error(left)
	}
	if got := r.name(); got != "Knoten___..__" {
		t.Error(got)
	}
	if all, err := List(filepath.Join(dir, "none")); err != nil || len(all) != 0 {
		t.Error(all, err)
	}
}
