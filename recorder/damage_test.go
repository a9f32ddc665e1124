//go:build linux

package recorder

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/plumbnet/plumb/event"
	"github.com/plumbnet/plumb/probe"
)

// random records n random seconds of r, and returns what each has, as show writes it.
func random(r *Recorder, rnd *rand.Rand, n int) {
	values := map[string]float64{}
	counts := make([]uint64, 4)
	for i := range n {
		var all []probe.Sample
		for p := range rnd.IntN(6) {
			pod := fmt.Sprintf("shop/p%d", p)
			values[pod] += float64(rnd.IntN(3) * rnd.IntN(1000))
			all = append(all, counter(octets, pod, values[pod]), counter(drops, pod, values[pod]/2, fmt.Sprint("R", rnd.IntN(9))))
		}
		counts[rnd.IntN(4)]++
		all = append(all, hist("shop/p0", values["shop/p0"], slices.Clone(counts)...), counter(queue, "", rnd.NormFloat64()))
		for range rnd.IntN(3) {
			e := someEvents[rnd.IntN(len(someEvents))]
			e.Detail = append(slices.Clone(e.Detail), event.Field{Key: fmt.Sprint("k", rnd.IntN(30)), Value: fmt.Sprint(rnd.Uint64())})
			r.Event(e)
		}
		tick(r, i, all...)
	}
}

// of returns what each second of data has; it fails where any of it is wrong.
func of(t *testing.T, data []byte) (out map[uint64]string, unread int) {
	t.Helper()
	out = map[uint64]string{}
	tl, err := Decode(strings.NewReader(string(data)), Query{})
	if err != nil {
		return out, 0
	}
	for i := range tl.Seconds {
		s := &tl.Seconds[i]
		s.Break = Break{}
		out[s.Seq] = show(s)
		unread += s.Unread
	}
	return out, unread
}

// TestDamage cuts off and flips what was written, at each end of a frame and anywhere: what is read is what was
// written, and what lacks is the frame that was hit.
func TestDamage(t *testing.T) {
	for seed := range uint64(3) {
		dir := t.TempDir()
		rnd := rand.New(rand.NewPCG(seed, 7))
		r := open(t, Options{Dir: dir, Disk: minDisk, Node: "node-a"})
		random(r, rnd, 60)
		for _, name := range []string{"seconds-00.ring", "events-00.ring"} {
			data, err := os.ReadFile(filepath.Join(dir, name))
			must(t, err)
			starts := []int{}
			s := newScanner(data)
			for _, p, ok := s.next(); ok; _, p, ok = s.next() {
				starts = append(starts, s.end-len(p)-headerSize)
			}
			end := s.end
			data = data[:end]
			want, _ := of(t, data)
			seqs := slices.Sorted(maps.Keys(want))
			if len(seqs) != len(starts) || len(seqs) < 30 {
				t.Fatalf("%d frames, %d seconds", len(starts), len(seqs))
			}
			hit := func(at int) int { i, _ := slices.BinarySearch(starts, at+1); return i - 1 }
			places := []int{}
			for _, at := range append(starts, end) {
				for off := -2; off <= 14; off++ {
					if at+off >= 0 && at+off < end {
						places = append(places, at+off)
					}
				}
			}
			for range 200 {
				places = append(places, rnd.IntN(end))
			}
			for _, at := range places {
				i := hit(at)
				cut, _ := of(t, data[:at])
				for j, seq := range seqs {
					if j < i && cut[seq] != want[seq] {
						t.Fatalf("cut off at %d: second %d is %q, want %q", at, seq, cut[seq], want[seq])
					}
					if _, ok := cut[seq]; ok && j >= i {
						t.Fatalf("cut off at %d: second %d is there", at, seq)
					}
				}
				bad := slices.Clone(data)
				bad[at] ^= 1 << rnd.IntN(8)
				flipped, unread := of(t, bad)
				if unread > 0 {
					t.Fatalf("flipped at %d: %d unread", at, unread)
				}
				for j, seq := range seqs {
					if got, ok := flipped[seq]; ok == (j == i) || ok && got != want[seq] {
						t.Fatalf("flipped at %d, in frame %d: second %d is there: %t, %q, want %q", at, i, j, ok, got, want[seq])
					}
				}
			}
		}
	}
}

// TestTwoLost has two frames hit that follow each other: names may lack then, and are not made up.
func TestTwoLost(t *testing.T) {
	enc := newEncoder(1, Episode{})
	var frames [][]byte
	for i := range 4 {
		s := Second{Seq: uint64(i + 1), Run: at, Time: at.Add(time.Duration(i) * time.Second), Values: []Value{{Series: &Series{Name: fmt.Sprint("a", i)}, Value: 1}}}
		if i == 3 {
			s.Values = nil
			for series := range enc.series {
				s.Values = append(s.Values, Value{Series: series, Value: 2})
			}
			s.Events = []event.Event{{Time: at, Kind: "a1"}}
		}
		frames = append(frames, slices.Clone(enc.encode(&s)))
	}
	frames[1][60] ^= 1
	frames[2][60] ^= 1
	tl, err := Decode(strings.NewReader(string(slices.Concat(frames...))), Query{})
	must(t, err)
	last := tl.Seconds[len(tl.Seconds)-1]
	if len(tl.Seconds) != 2 || len(last.Values) != 2 || len(last.Events) != 0 || last.Unread != 2 || tl.Damaged != 1 {
		t.Errorf("%+v", tl)
	}
}

// TestOldRemains has a file written again over what another run wrote: what is left of that is not read.
func TestOldRemains(t *testing.T) {
	dir := t.TempDir()
	r := open(t, Options{Dir: dir, Disk: minDisk})
	for i := range 400 {
		tick(r, i, counter(octets, "shop/a", float64(i)))
	}
	old, err := os.ReadFile(filepath.Join(dir, "seconds-00.ring"))
	must(t, err)
	next := memoryRing(1, int64(len(old)), Episode{})
	copy(next.segments[0].(memory), old)
	must(t, next.find())
	next.end = 0
	for i := range 3 {
		must(t, next.put(&Second{Seq: uint64(1000 + i), Run: at, Time: at.Add(time.Hour)}))
	}
	got, _ := of(t, next.segments[0].(memory))
	if keys := slices.Sorted(maps.Keys(got)); !slices.Equal(keys, []uint64{1000, 1001, 1002}) {
		t.Errorf("%v", keys)
	}
}

// TestLarge has seconds that no segment has room for as one frame.
func TestLarge(t *testing.T) {
	r := memoryRing(3, 8<<10, Episode{})
	s := Second{Seq: 1, Run: at, Time: at}
	for i := range 200 {
		s.Values = append(s.Values, Value{Series: &Series{Name: fmt.Sprintf("%040d", i)}, Value: 1})
	}
	must(t, r.put(&s))
	seen := 0
	must(t, r.each(held{}, &Query{}, func(data []byte) {
		frames(data, map[string]*Series{}, &Query{}, false, func(s Second, _ *decoder) bool { seen += len(s.Values); return true })
	}))
	if seen != 200 {
		t.Errorf("%d values of 200", seen)
	}
	s = Second{Seq: 2, Run: at, Time: at, Events: []event.Event{{Time: at, Kind: strings.Repeat("x", 9000)}}}
	if err := r.put(&s); err != errLarge {
		t.Error(err)
	}
	s.Events = append(s.Events, event.Event{Time: at, Kind: "y"})
	if err := r.put(&s); err == nil {
		t.Error("half of it is not told of")
	}
}

func TestDecodeErrors(t *testing.T) {
	if _, err := Decode(strings.NewReader("nothing of ours"), Query{}); err == nil || !strings.Contains(err.Error(), "nothing that a recorder wrote") {
		t.Error(err)
	}
	if tl, err := Decode(strings.NewReader(""), Query{}); err != nil || len(tl.Seconds) != 0 {
		t.Error(tl, err)
	}
	if _, err := Read(t.TempDir(), Query{}); err == nil || !strings.Contains(err.Error(), "no files of a recorder") {
		t.Error(err)
	}
	if _, err := Read(filepath.Join(t.TempDir(), "x"), Query{}); !os.IsNotExist(err) {
		t.Error(err)
	}
	h := head{1, 1, 0, 0, 0}
	for name, payload := range map[string][]byte{
		"an unknown record":          {99},
		"a text beyond the end":      {recordText, 0, 200, 1, 'x'},
		"a number without end":       {recordValues, 1, 0, 255, 255},
		"more values than bytes":     {recordValues, 255, 255, 255, 255, 15},
		"a number without its bytes": {recordText, 0, 1, 'x', recordSeries, 0, 0, 0, 0, 0, 0, recordValues, 1, 0, 1, 1, 1, 1},
		"an address of five bytes":   {recordEvent, 0, 0, 0, 0, 0, 0, 0, 5, 1, 2, 3, 4, 5, 0, 0, 0, 0, 0},
		"a port of three bytes":      {recordEvent, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 4, 0, 0, 0, 0},
		"a tier of two bytes":        {recordEvent, 0, 0, 0, 0, 0, 255, 2, 0, 0, 0, 0, 0, 0, 0},
		"what is no JSON":            {recordMeta, 1, '{'},
		"a bucket that there is not": {recordText, 0, 0, recordSeries, 0, 0, 2, 0, 0, 0, recordHists, 1, 0, 0, 1, 1, 1, 1, 1},
	} {
		tl, err := Decode(strings.NewReader(string(appendFrame(nil, h, payload))), Query{})
		if err == nil && (tl.Damaged != 1 || len(tl.Seconds) != 0) {
			t.Errorf("%s: %+v", name, tl)
		}
	}
	// A bomb: a few bytes that ask for gigabytes of buckets.
	bomb := append([]byte{recordText, 0, 0xc0, 0x84, 0x3d}, make([]byte, 1e6)...)
	bomb = append(bomb, recordText, 1, 0, recordSeries, 0, 1, 2, 1, 0, 0, recordHists, 0xa0, 0x8d, 6)
	bomb = append(bomb, make([]byte, 300_000)...)
	if tl, err := Decode(strings.NewReader(string(appendFrame(nil, h, bomb))), Query{}); err == nil && tl.Damaged != 1 {
		t.Errorf("%+v", tl)
	}
	// Markers at every fourth byte, with lengths that reach far.
	began := time.Now()
	_, _ = Decode(strings.NewReader(strings.Repeat(marker+"\x00\x00\x20\x00", 1<<19)), Query{})
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("hostile data took %s", took)
	}
}

func FuzzDecode(f *testing.F) {
	enc := newEncoder(1, Episode{Node: "node-a"})
	s := Second{Seq: 1, Run: at, Time: at, Events: someEvents, Lost: []Loss{{"x", 3}}, Values: []Value{
		{Series: &Series{Name: "a", Pod: "shop/a", Labels: []event.Field{{Key: "k", Value: "v"}}}, Value: 2.5},
		{Series: &Series{Name: "h", Type: probe.Histogram, Bounds: bounds}, Hist: &probe.Hist{Counts: []uint64{0, 2, 0, 9}, Sum: 1}},
	}}
	f.Add(slices.Clone(enc.encode(&s)[headerSize:]))
	s.Seq++
	f.Add(slices.Clone(enc.encode(&s)[headerSize:]))
	f.Fuzz(func(t *testing.T, payload []byte) {
		if tl, err := Decode(strings.NewReader(string(payload)), Query{}); err == nil { // as it is, and with a head that is right
			_ = tl
		}
		tl, err := Decode(strings.NewReader(string(appendFrame(nil, head{1, 1, 0, 0, 0}, payload))), Query{})
		if err != nil || len(tl.Seconds) == 0 {
			return
		}
		// What was read is written and read as it is.
		first := tl.Seconds[0]
		again, err := Decode(strings.NewReader(string(newEncoder(1, Episode{}).encode(&first))), Query{})
		if err != nil || len(again.Seconds) != 1 {
			t.Fatal(err)
		}
		if a, b := show(&first), show(&again.Seconds[0]); a != b {
			t.Errorf("%q\n%q", a, b)
		}
	})
}
