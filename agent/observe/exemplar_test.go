//go:build linux

package observe

import (
	"context"
	"fmt"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	dto "github.com/prometheus/client_model/go"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/plumbnet/plumb/event"
	"github.com/plumbnet/plumb/packet"
	"github.com/plumbnet/plumb/probe"
)

// TestExemplars wants a histogram's bucket to have the flow of the slowest event that is counted in it, and text that has no room for that to go without.
func TestExemplars(t *testing.T) {
	stage := &probe.Stat{Name: "stage_seconds", Type: probe.Histogram, Help: "Stages.", Event: "took", Labels: []string{"stage"}}
	at := time.Now().Truncate(time.Second)
	flow := packet.Packet{Proto: packet.TCP, Src: netip.MustParseAddrPort("10.0.0.1:40000"), Dst: netip.MustParseAddrPort("[fd00::2]:80")}
	happened := []event.Event{
		{Pod: "shop/a", Peer: "shop/b", Packet: flow, Time: at, Detail: []event.Field{{Key: "stage", Value: "rx"}, {Key: "took", Value: "500ms"}}},
		{Pod: "shop/a", Peer: "shop/x", Packet: flow, Time: at, Detail: []event.Field{{Key: "stage", Value: "rx"}, {Key: "took", Value: "200ms"}}}, // not the slowest
		{Pod: "shop/b", Peer: "shop/" + strings.Repeat("x", 120), Packet: flow, Time: at, Detail: []event.Field{{Key: "stage", Value: "tx"}, {Key: "took", Value: "5s"}}},
		{Pod: "shop/c", Packet: flow, Time: at, Detail: []event.Field{{Key: "took", Value: "1s"}}},                                                     // of which series is not said
		{Pod: "shop/c", Packet: flow, Time: at, Detail: []event.Field{{Key: "stage", Value: "rx"}, {Key: "took", Value: "long"}}},                      // no time
		{Pod: "shop/c", Time: at, Detail: []event.Field{{Key: "stage", Value: "rx"}, {Key: "took", Value: "1s"}}},                                      // no flow
		{Pod: "shop/d", Packet: flow, Time: at.Add(-2 * exemplarTime), Detail: []event.Field{{Key: "stage", Value: "rx"}, {Key: "took", Value: "1s"}}}, // long ago
	}
	k := kind("stages", fake{
		read: func(emit func(probe.Sample)) error {
			for pod, label := range map[string]string{"shop/a": "rx", "shop/b": "tx", "shop/c": "rx", "shop/d": "rx"} {
				emit(probe.Sample{Stat: stage, Pod: pod, Labels: []string{label}, Hist: &probe.Hist{Bounds: []float64{.1, 1}, Counts: []uint64{5, 1, 2}, Sum: 9}})
			}
			return nil
		},
		watch: func(ctx context.Context, emit func(event.Event)) error {
			for _, e := range happened {
				emit(e)
			}
			<-ctx.Done()
			return nil
		},
	})
	k.Stats = append(k.Stats, stage)
	o := observer(t, k)
	until(t, func() bool { return o.States()[0].Events == uint64(len(happened)) })
	get := func(accept string) (out []string) {
		w := httptest.NewRecorder()
		r := httptest.NewRequest("GET", "/metrics", nil)
		r.Header.Set("Accept", accept)
		o.Metrics().ServeHTTP(w, r)
		for line := range strings.Lines(w.Body.String()) {
			if strings.Contains(line, " # {") {
				out = append(out, strings.TrimSpace(strings.TrimPrefix(line, Prefix)))
			}
		}
		return out
	}
	want := []string{
		fmt.Sprintf(`stage_seconds_bucket{node="node-a",namespace="shop",pod="a",stage="rx",le="1.0"} 6 # {dst="[fd00::2]:80",src="10.0.0.1:40000",peer="shop/b"} 0.5 %s`, seconds(at)),
		fmt.Sprintf(`stage_seconds_bucket{node="node-a",namespace="shop",pod="b",stage="tx",le="+Inf"} 8 # {dst="[fd00::2]:80",src="10.0.0.1:40000"} 5.0 %s`, seconds(at)),
	}
	for range 2 { // series are kept from one scrape for the next
		got := get("application/openmetrics-text; version=1.0.0")
		if len(got) == 2 && got[0] > got[1] {
			got[0], got[1] = got[1], got[0]
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	}
	if got := get("text/plain"); got != nil {
		t.Errorf("%q", got)
	}
	if n := len(o.exemplars.of); n != 2 {
		t.Errorf("%d are held", n)
	}
	// A slow one does not stay for ever, and many are not held.
	e := happened[1]
	e.Time = at.Add(2 * exemplarBests)
	o.exemplars.note(k, e)
	if x := o.exemplars.of[counter{stage, "shop/a", "rx"}]; x.GetValue() != .2 {
		t.Errorf("%v", x)
	}
	for i := range 5 * maxExemplars {
		e.Pod = fmt.Sprint("shop/p", i)
		o.exemplars.note(k, e)
	}
	if n := len(o.exemplars.of); n > maxExemplars {
		t.Errorf("%d are held", n)
	}
}

// TestExemplarClockSet has an event told with a time that is yet to come, since the clock was set back after it: it is
// shown no longer for that, and another takes its place.
func TestExemplarClockSet(t *testing.T) {
	c := counter{stat: &probe.Stat{Name: "stage_seconds", Type: probe.Histogram, Event: "took"}, pod: "shop/a"}
	told := func(value float64, ago time.Duration) exemplar {
		now := time.Now()
		return exemplar{&dto.Exemplar{Value: proto.Float64(value), Timestamp: timestamppb.New(now.Add(time.Hour))}, now.Add(-ago)}
	}
	var x exemplars
	x.keep(c, told(5, 2*exemplarBests))
	now := told(1, 0)
	now.Timestamp = timestamppb.Now()
	x.keep(c, now)
	if got := x.of[c].GetValue(); got != 1 {
		t.Errorf("%g stays", got)
	}
	x.keep(c, told(5, 2*exemplarTime))
	h := &dto.Histogram{Bucket: []*dto.Bucket{{UpperBound: proto.Float64(10)}}}
	x.show(probe.Sample{Stat: c.stat, Pod: c.pod}, h)
	if h.Bucket[0].Exemplar != nil || len(x.of) != 0 {
		t.Errorf("shown: %v", h.Bucket[0].Exemplar)
	}
}

// seconds is how OpenMetrics writes a time.
func seconds(t time.Time) string {
	s := fmt.Sprintf("%g", float64(t.Unix()))
	if !strings.ContainsAny(s, ".") {
		s += ".0"
	}
	return s
}
