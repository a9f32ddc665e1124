package recorder

import (
	"math"
	"slices"

	"github.com/plumbnet/plumb/event"
	"github.com/plumbnet/plumb/probe"
)

const (
	maxSeries = 10_000 // of some 400 bytes each; what is beyond is counted, and not recorded
	maxText   = 256    // bytes of a label or of a detail that are kept
	forget    = 300    // seconds after which a series that is no longer told of is forgotten
)

// A tracker makes of what probes tell, counters since something began, by how much they rose in a second.
type tracker struct {
	stats  map[*probe.Stat]*statState
	pods   map[string]*podState
	alarms *alarms
	n      int // series
	refuse int // samples of the last second that there was no room for
	key    []byte
	values []Value // of the last second
}

type statState struct {
	since  uint64 // the second in which it was first told of, or could have been
	series map[string]*state
}

type podState struct{ since, seen uint64 }

// A state is what was last known of a series.
type state struct {
	series *Series
	seen   uint64
	wrote  uint64 // the segment that has its value: a gauge is written when it changes, and once in each segment
	last   float64
	counts []uint64
	sum    float64
	hist   probe.Hist // what came in the last second
	base   *baseline  // nil for what no alarm is for
}

func newTracker() *tracker {
	return &tracker{stats: map[*probe.Stat]*statState{}, pods: map[string]*podState{}, alarms: newAlarms()}
}

// opened forgets all series of stats whose probe begins anew. What comes in seconds after seq began at 0.
func (t *tracker) opened(stats []*probe.Stat, seq uint64) {
	for _, st := range stats {
		if s := t.stats[st]; s != nil {
			t.n -= len(s.series)
		}
		t.stats[st] = &statState{since: seq, series: map[string]*state{}}
	}
}

// second returns what changed. The values are valid until the next call.
func (t *tracker) second(seq, segment uint64, samples []probe.Sample) []Value {
	t.values, t.refuse = t.values[:0], 0
	for i := range samples {
		t.sample(seq, segment, &samples[i])
	}
	if seq%forget == 0 {
		t.clean(seq)
	}
	return t.values
}

func (t *tracker) sample(seq, segment uint64, x *probe.Sample) {
	st := t.stats[x.Stat]
	if st == nil {
		st = &statState{since: seq, series: map[string]*state{}}
		t.stats[x.Stat] = st
	}
	pod := t.pods[x.Pod]
	if pod == nil {
		pod = &podState{since: seq}
		t.pods[x.Pod] = pod
	}
	pod.seen = seq
	t.key = append(t.key[:0], x.Pod...)
	for _, l := range x.Labels {
		t.key = append(append(t.key, 0), l...)
	}
	s := st.series[string(t.key)]
	if s == nil {
		if t.n >= maxSeries {
			t.refuse++
			return
		}
		s = t.add(st, pod, seq, x)
		if st.since >= seq { // it has counted for longer than it is told of
			s.keep(x)
			if x.Stat.Type != probe.Gauge {
				s.seen = seq
				return
			}
		}
	}
	s.seen = seq
	t.step(s, segment, x)
}

// add begins a series.
func (t *tracker) add(st *statState, pod *podState, seq uint64, x *probe.Sample) *state {
	t.n++
	series := &Series{Name: x.Stat.Name, Type: x.Stat.Type, Pod: x.Pod, Alarm: x.Stat.Alarm}
	for i, l := range x.Labels[:min(len(x.Labels), len(x.Stat.Labels))] {
		series.Labels = append(series.Labels, event.Field{Key: x.Stat.Labels[i], Value: clip(l)})
	}
	s := &state{series: series, wrote: math.MaxUint64, base: t.alarms.baseline(x, max(st.since, pod.since), seq)}
	if x.Hist != nil {
		s.begin(x.Hist)
	}
	st.series[string(t.key)] = s
	return s
}

// begin begins a histogram at 0, with the buckets that it now has.
func (s *state) begin(h *probe.Hist) {
	next := *s.series // what was written has the one before
	next.Bounds = slices.Clone(h.Bounds)
	s.series = &next
	s.counts, s.sum = make([]uint64, len(h.Counts)), 0
	s.hist = probe.Hist{Bounds: next.Bounds, Counts: make([]uint64, len(h.Counts))}
}

// clip cuts what is too long to keep.
func clip(s string) string { return s[:min(len(s), maxText)] }

// keep remembers a value.
func (s *state) keep(x *probe.Sample) {
	s.last = x.Value
	if x.Hist != nil {
		copy(s.counts, x.Hist.Counts)
		s.sum = x.Hist.Sum
	}
}

// step adds what changed in a series to the values.
func (t *tracker) step(s *state, segment uint64, x *probe.Sample) {
	if x.Stat.Type == probe.Histogram {
		if x.Hist != nil && len(x.Hist.Counts) == len(x.Hist.Bounds)+1 {
			t.stepHist(s, x)
		}
		return
	}
	v := x.Value
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return
	}
	if x.Stat.Type == probe.Gauge {
		if v != s.last || s.wrote != segment {
			s.last, s.wrote = v, segment
			t.values = append(t.values, Value{Series: s.series, Value: v})
		}
		return
	}
	rose := v - s.last
	if rose < 0 { // it began anew, as Prometheus has it
		rose = v
	}
	s.last = v
	if rose > 0 {
		t.values = append(t.values, Value{Series: s.series, Value: rose})
		s.base.add(rose)
	}
}

func (t *tracker) stepHist(s *state, x *probe.Sample) {
	h := x.Hist
	if !slices.Equal(h.Bounds, s.series.Bounds) {
		s.begin(h)
		s.keep(x)
		return
	}
	for i, c := range h.Counts {
		if c < s.counts[i] {
			clear(s.counts)
			s.sum = 0
			break
		}
	}
	n := uint64(0)
	for i, c := range h.Counts {
		s.hist.Counts[i] = c - s.counts[i]
		n += s.hist.Counts[i]
	}
	s.hist.Sum = math.Round((h.Sum-s.sum)*1e9) / 1e9 // nothing is measured finer, and it takes half the room
	s.keep(x)
	if n > 0 {
		t.values = append(t.values, Value{Series: s.series, Hist: &s.hist})
		s.base.addHist(&s.hist)
	}
}

// clean forgets what is no longer told of.
func (t *tracker) clean(seq uint64) {
	for _, st := range t.stats {
		for key, s := range st.series {
			if seq-s.seen >= forget {
				delete(st.series, key)
				t.n--
			}
		}
	}
	for pod, s := range t.pods {
		if seq-s.seen >= forget {
			delete(t.pods, pod)
			t.alarms.forget(pod)
		}
	}
}
