package recorder

import (
	"cmp"
	"math"
	"slices"

	"github.com/plumbnet/plumb/event"
	"github.com/plumbnet/plumb/probe"
)

// When loss, retransmits or latency of a Pod are far above what is usual for it, that is worth keeping.
const (
	learning  = 60        // seconds that a Pod, and a metric, is watched before anything of it is unusual: it starts, and others find it
	weight    = 1. / 120  // of a second in what is usual: that is of the last minutes
	far       = 8         // deviations above the mean. Of what is usual, that happens less than once in hours
	times     = 4         // and times the mean: what is always noisy has a small deviation now and then
	fewest    = 10        // and of a counter so many a second: a few retransmits are everyday
	slowest   = 5e-3      // and of a latency so many seconds: nobody notices less
	again     = 10 * 60   // seconds until the same is unusual again: a fault that stays is one
	samplesOf = 10        // measurements of a latency in a second: of fewer, a single slow one would do
	share     = .9        // of them are not slower than what is looked at
	mostBase  = maxSeries // baselines
)

// Trouble reports whether a series counts what should not happen.
func (s *Series) Trouble() bool { return s.Alarm && s.Type == probe.Counter }

// Slow returns what 9 of 10 measurements of a histogram are not above, and how many there were. Where they are
// beyond its last bound, it is that.
func Slow(h *probe.Hist) (seconds float64, n uint64) {
	for _, c := range h.Counts {
		n += c
	}
	under := uint64(0)
	for i, c := range h.Counts {
		if under += c; n > 0 && len(h.Bounds) > 0 && float64(under) >= share*float64(n) {
			return h.Bounds[min(i, len(h.Bounds)-1)], n
		}
	}
	return 0, n
}

type baseKey struct {
	stat *probe.Stat
	pod  string
}

// A baseline is what is usual for a Pod, of all series of a metric together.
type baseline struct {
	baseKey
	since     uint64  // the second from which it could be told of
	sum       float64 // of this second: what a counter rose by
	counts    []uint64
	bounds    []float64 // of a latency's measurements
	mean, dev float64   // as usual: the mean, and the mean distance from it
	seen      float64   // seconds that it was learnt of
	quiet     uint64    // until then there is no alarm
}

func (b *baseline) add(rose float64) {
	if b != nil {
		b.sum += rose
	}
}

// addHist adds what came to a histogram.
func (b *baseline) addHist(h *probe.Hist) {
	if b == nil {
		return
	}
	if len(b.counts) != len(h.Counts) {
		b.counts, b.bounds = make([]uint64, len(h.Counts)), h.Bounds
	}
	for i, c := range h.Counts {
		b.counts[i] += c
	}
}

// A Reason is why a window was frozen: what was how unusual.
type Reason struct {
	Metric string  `json:"metric"`
	Pod    string  `json:"pod,omitempty"`
	Value  float64 `json:"value"` // in the second; of a latency what 9 of 10 stay below, in seconds
	Usual  float64 `json:"usual"` // as long as it was watched
}

// alarms are the baselines of all Pods.
type alarms struct {
	of   map[baseKey]*baseline
	list []*baseline // in the order in which they came
}

func newAlarms() *alarms { return &alarms{of: map[baseKey]*baseline{}} }

// baseline returns that of a sample's Pod and metric, or nil. [event.Unknown] has none: it is of many, and counted late. Of a
// counter that comes in a second after since, as one does that first rises then, it is learnt that it was 0.
func (a *alarms) baseline(x *probe.Sample, since, seq uint64) *baseline {
	key := baseKey{x.Stat, x.Pod}
	b := a.of[key]
	if b == nil && x.Stat.Alarm && x.Pod != event.Unknown && len(a.of) < mostBase {
		b = &baseline{baseKey: key, since: since}
		if x.Stat.Type == probe.Counter && seq > since {
			b.seen = float64(seq - since)
		}
		a.of[key] = b
		a.list = append(a.list, b)
	}
	return b
}

func (a *alarms) forget(pod string) {
	a.list = slices.DeleteFunc(a.list, func(b *baseline) bool {
		if b.pod == pod {
			delete(a.of, b.baseKey)
		}
		return b.pod == pod
	})
}

// second ends a second, and returns what was unusual in it, the most unusual first.
func (a *alarms) second(seq uint64) (out []Reason) {
	for _, b := range a.list {
		if r, ok := b.second(seq); ok {
			out = append(out, r)
		}
	}
	slices.SortStableFunc(out, func(x, y Reason) int { return cmp.Compare(y.Value/max(y.Usual, 1e-9), x.Value/max(x.Usual, 1e-9)) })
	return out
}

func (b *baseline) second(seq uint64) (Reason, bool) {
	x, floor := b.sum, float64(fewest)
	b.sum = 0
	if b.stat.Type == probe.Histogram {
		seconds, n := Slow(&probe.Hist{Bounds: b.bounds, Counts: b.counts})
		clear(b.counts)
		if n < samplesOf || len(b.bounds) == 0 {
			return Reason{}, false
		}
		x, floor = seconds, slowest
	}
	ripe := seq >= b.since+learning && (b.stat.Type == probe.Counter || b.seen >= learning)
	unusual := x >= floor && x > times*b.mean && x > b.mean+far*b.dev
	r := Reason{b.stat.Name, b.pod, x, b.mean}
	b.learn(x, floor)
	if !unusual || !ripe || seq < b.quiet {
		return Reason{}, false
	}
	b.quiet = seq + again
	return r, true
}

// learn makes x a part of what is usual; of an outlier, no more than the edge of what would be unusual.
func (b *baseline) learn(x, floor float64) {
	x = min(x, b.mean+far*b.dev+floor)
	w := max(weight, 1/(b.seen+1)) // at first it is the plain mean
	b.dev += w * (math.Abs(x-b.mean) - b.dev)
	b.mean += w * (x - b.mean)
	b.seen++
}
