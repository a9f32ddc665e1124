//go:build linux

package observe

import (
	"fmt"
	"hash/maphash"
	"maps"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"

	dto "github.com/prometheus/client_model/go"
	"google.golang.org/protobuf/proto"

	"github.com/plumbnet/plumb/event"
	"github.com/plumbnet/plumb/probe"
)

// Prefix begins the name of every metric.
const Prefix = "plumb_"

// maxSeries bounds the series of one metric. 500 Pods have 20 of most; what is beyond is summed up in one series
// whose labels say "overflow".
const maxSeries = 20000

// overflowing is what the labels of that series say.
const overflowing = "overflow"

// families are the metrics of one reading, and afterwards of another one. They are made by hand and not by Prometheus'
// registry, which checks and sorts what these already are, at ten times the cost: a node of 100 Pods has 10,000 series.
type families struct {
	reading   uint64     // which it is, from 1
	exemplars *exemplars // nil for none
	of        map[string]string
	constant  []*dto.LabelPair
	by        map[*probe.Stat]*family
	kinds     []*probe.Stat // in the order in which they came
	pods      map[string][]*dto.LabelPair
	words     map[[2]string]*dto.LabelPair
	seed      maphash.Seed
}

// A family is one metric.
type family struct {
	stat *probe.Stat
	mf   *dto.MetricFamily
	made map[uint64]*entry // by labels; also those of earlier readings, for the next
	last []*entry          // those of this reading, and then those of the last, which as a rule come in the same order
	n    int               // how many are of this reading
	over float64           // the sum of what is beyond maxSeries
	lost int               // how many series these are
}

// An entry is a series, and the reading that last told it.
type entry struct {
	pod     string
	labels  []string
	metric  dto.Metric
	value   float64
	reading uint64
}

func newFamilies(node string, labels map[string]string) *families {
	f := &families{reading: 1, of: labels, by: map[*probe.Stat]*family{}, pods: map[string][]*dto.LabelPair{}, words: map[[2]string]*dto.LabelPair{}, seed: maphash.MakeSeed()}
	f.constant = []*dto.LabelPair{f.word("node", node)}
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		f.constant = append(f.constant, f.word(name, labels[name]))
	}
	return f
}

// again makes them ready for another reading. Series that the last one told are kept, since most come again.
func (f *families) again() {
	for _, m := range f.by {
		if len(m.made) > 2*m.n {
			maps.DeleteFunc(m.made, func(_ uint64, x *entry) bool { return x.reading < f.reading })
		}
		m.last = m.last[:m.n]
		m.mf.Metric, m.n, m.over, m.lost = m.mf.Metric[:0], 0, 0, 0
	}
	if len(f.words) > maxSeries {
		clear(f.words)
		clear(f.pods)
	}
	f.reading++
}

// word returns a label; the same one for the same words.
func (f *families) word(name, value string) *dto.LabelPair {
	key := [2]string{name, value}
	if l := f.words[key]; l != nil {
		return l
	}
	if !utf8.ValidString(value) {
		value = strings.ToValidUTF8(value, "\uFFFD")
	}
	l := &dto.LabelPair{Name: proto.String(name), Value: proto.String(value)}
	f.words[key] = l
	return l
}

// pod returns the labels that all series of a Pod have.
func (f *families) pod(pod string) []*dto.LabelPair {
	if l := f.pods[pod]; l != nil {
		return l
	}
	namespace, name := event.Split(pod)
	l := slices.Concat(f.constant, []*dto.LabelPair{f.word("namespace", namespace), f.word("pod", name)})
	f.pods[pod] = l
	return l
}

var types = map[probe.Type]*dto.MetricType{probe.Counter: dto.MetricType_COUNTER.Enum(), probe.Gauge: dto.MetricType_GAUGE.Enum(), probe.Histogram: dto.MetricType_HISTOGRAM.Enum()}

func (f *families) family(s *probe.Stat) *family {
	m := f.by[s]
	if m == nil {
		m = &family{stat: s, made: map[uint64]*entry{}}
		m.mf = &dto.MetricFamily{Name: proto.String(Prefix + s.Name), Help: proto.String(s.Help), Type: types[s.Type]}
		f.by[s] = m
		f.kinds = append(f.kinds, s)
	}
	return m
}

// add adds a sample. It refuses one that would make the whole answer invalid.
func (f *families) add(k *probe.Kind, s probe.Sample) error {
	switch {
	case s.Stat == nil || k != nil && !slices.Contains(k.Stats, s.Stat):
		return fmt.Errorf("a sample of a metric that is not the probe's: %+v", s.Stat)
	case len(s.Labels) != len(s.Stat.Labels):
		return fmt.Errorf("%s: %d labels, want %d", s.Stat.Name, len(s.Labels), len(s.Stat.Labels))
	case s.Stat.Type == probe.Histogram && (s.Hist == nil || len(s.Hist.Counts) != len(s.Hist.Bounds)+1):
		return fmt.Errorf("%s: no histogram", s.Stat.Name)
	case s.Stat.Type == probe.Counter && !(s.Value >= 0):
		return fmt.Errorf("%s: a counter of %g", s.Stat.Name, s.Value)
	}
	m := f.family(s.Stat)
	x := f.entry(m, s)
	if x != nil && x.reading == f.reading {
		return fmt.Errorf("%s: %q %q is there twice", s.Stat.Name, s.Pod, s.Labels)
	}
	if m.n >= maxSeries {
		m.over += s.Value
		m.lost++
		return nil
	}
	if x == nil {
		x = newEntry(s.Stat, f.labels(s.Stat, s.Pod, s.Labels))
		x.pod, x.labels = s.Pod, slices.Clone(s.Labels)
		m.made[f.hash(s)] = x
	}
	if m.n == len(m.last) {
		m.last = append(m.last, nil)
	}
	m.last[m.n] = x
	m.put(x, s)
	if s.Stat.Type == probe.Histogram && f.exemplars != nil {
		f.exemplars.show(s, x.metric.Histogram)
	}
	m.n++
	x.reading = f.reading
	return nil
}

// entry returns the series of a sample, or nil for a new one.
func (f *families) entry(m *family, s probe.Sample) *entry {
	if m.n < len(m.last) {
		if x := m.last[m.n]; x.pod == s.Pod && slices.Equal(x.labels, s.Labels) {
			return x
		}
	}
	return m.made[f.hash(s)]
}

func (f *families) hash(s probe.Sample) uint64 {
	var h maphash.Hash
	h.SetSeed(f.seed)
	h.WriteString(s.Pod)
	for _, l := range s.Labels {
		h.WriteByte(0xff)
		h.WriteString(l)
	}
	return h.Sum64()
}

func (f *families) labels(s *probe.Stat, pod string, values []string) []*dto.LabelPair {
	of := f.constant
	if !s.Node {
		of = f.pod(pod)
	}
	if len(values) == 0 {
		return of
	}
	out := make([]*dto.LabelPair, len(of), len(of)+len(values))
	copy(out, of)
	for i, v := range values {
		out = append(out, f.word(s.Labels[i], v))
	}
	return out
}

func newEntry(s *probe.Stat, labels []*dto.LabelPair) *entry {
	x := &entry{metric: dto.Metric{Label: labels}}
	switch s.Type {
	case probe.Counter:
		x.metric.Counter = &dto.Counter{Value: &x.value}
	case probe.Gauge:
		x.metric.Gauge = &dto.Gauge{Value: &x.value}
	}
	return x
}

// put appends a series, with its value.
func (m *family) put(x *entry, s probe.Sample) {
	if x.value = s.Value; s.Stat.Type == probe.Histogram {
		x.metric.Histogram = histogram(s.Hist)
	}
	m.mf.Metric = append(m.mf.Metric, &x.metric)
}

func histogram(h *probe.Hist) *dto.Histogram {
	out, n := &dto.Histogram{SampleSum: proto.Float64(h.Sum)}, uint64(0)
	for i, c := range h.Counts {
		n += c
		if i < len(h.Bounds) {
			out.Bucket = append(out.Bucket, &dto.Bucket{CumulativeCount: proto.Uint64(n), UpperBound: proto.Float64(h.Bounds[i])})
		}
	}
	out.SampleCount = &n
	return out
}

// list returns the families by name.
func (f *families) list() []*dto.MetricFamily {
	var out []*dto.MetricFamily
	for _, s := range f.kinds {
		if m := f.by[s]; len(m.mf.Metric) > 0 {
			out = append(out, m.mf)
		}
	}
	slices.SortFunc(out, func(a, b *dto.MetricFamily) int { return strings.Compare(a.GetName(), b.GetName()) })
	return out
}

// overflow keeps the series of what is beyond maxSeries rising: which series these are changes with every Pod.
type overflow struct {
	mu   sync.Mutex
	last map[*probe.Stat]float64
	sum  map[*probe.Stat]float64
}

// apply adds those series.
func (o *overflow) apply(f *families) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.last == nil {
		o.last, o.sum = map[*probe.Stat]float64{}, map[*probe.Stat]float64{}
	}
	for _, s := range f.kinds {
		m := f.by[s]
		if s.Type == probe.Histogram || m.lost == 0 && o.sum[s] == 0 {
			continue
		}
		value := m.over
		if s.Type == probe.Counter {
			o.sum[s] += max(0, m.over-o.last[s])
			o.last[s], value = m.over, o.sum[s]
		}
		labels := make([]string, len(s.Labels))
		for i := range labels {
			labels[i] = overflowing
		}
		m.put(newEntry(s, f.labels(s, overflowing, labels)), probe.Sample{Stat: s, Value: value})
	}
}
