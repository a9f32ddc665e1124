//go:build linux

package observe

import (
	"math"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	dto "github.com/prometheus/client_model/go"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/plumbnet/plumb/event"
	"github.com/plumbnet/plumb/probe"
)

const (
	exemplarTime  = 5 * time.Minute // how long one is shown
	exemplarBests = time.Minute     // how long the slowest stays, where others come
	maxExemplars  = 1000
	maxExemplar   = 128 // runes of its names and values, by OpenMetrics
)

// exemplars have for histograms the flow that was slowest lately, of those that events told of.
type exemplars struct {
	mu sync.Mutex
	of map[counter]exemplar
}

// An exemplar is one, and when it was: its own time does not tell how long ago that is, where the clock was set since.
type exemplar struct {
	*dto.Exemplar
	at time.Time
}

// note takes in an event. What it measured is a sample of the histograms that say by which key.
func (x *exemplars) note(k *probe.Kind, e event.Event) {
	if !e.Packet.Dst.IsValid() {
		return
	}
	for _, s := range k.Stats {
		value, ok := detail(e, s.Event)
		seconds, err := time.ParseDuration(value)
		if !ok || err != nil {
			continue
		}
		c := counter{stat: s, pod: e.Pod}
		var labels []string
		for _, name := range s.Labels {
			l, has := detail(e, name)
			ok = ok && has
			labels = append(labels, l)
		}
		if c.labels = strings.Join(labels, "\xff"); ok {
			x.keep(c, exemplar{&dto.Exemplar{Label: flow(e), Value: proto.Float64(seconds.Seconds()), Timestamp: timestamppb.New(e.Time)}, e.Time})
		}
	}
}

// keep keeps the slower one, or the newer one where the other is old.
func (x *exemplars) keep(c counter, e exemplar) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.of == nil || len(x.of) >= maxExemplars {
		x.of = map[counter]exemplar{}
	}
	old, ok := x.of[c]
	if !ok || e.GetValue() >= old.GetValue() || e.at.Sub(old.at) > exemplarBests {
		x.of[c] = e
	}
}

func detail(e event.Event, key string) (string, bool) {
	i := slices.IndexFunc(e.Detail, func(f event.Field) bool { return f.Key == key })
	if i < 0 || key == "" {
		return "", false
	}
	return e.Detail[i].Value, true
}

// flow names what was slow, as far as there is room.
func flow(e event.Event) (out []*dto.LabelPair) {
	room := maxExemplar
	for _, l := range [][2]string{{"dst", e.Packet.Dst.String()}, {"src", e.Packet.Src.String()}, {"peer", e.Peer}} {
		size := utf8.RuneCountInString(l[0] + l[1])
		if l[1] == "" || size > room {
			continue
		}
		room -= size
		out = append(out, &dto.LabelPair{Name: proto.String(l[0]), Value: proto.String(l[1])})
	}
	return out
}

// show adds its exemplar to a series.
func (x *exemplars) show(s probe.Sample, h *dto.Histogram) {
	if s.Stat.Event == "" {
		return
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if len(x.of) == 0 {
		return
	}
	c := counterOf(s)
	e, ok := x.of[c]
	switch {
	case !ok:
	case time.Since(e.at) > exemplarTime:
		delete(x.of, c)
	default:
		if i := slices.IndexFunc(h.Bucket, func(b *dto.Bucket) bool { return e.GetValue() <= b.GetUpperBound() }); i >= 0 {
			h.Bucket[i].Exemplar = e.Exemplar
			return
		}
		h.Bucket = append(h.Bucket, &dto.Bucket{CumulativeCount: h.SampleCount, UpperBound: proto.Float64(math.Inf(1)), Exemplar: e.Exemplar})
	}
}
