//go:build linux

package observe

import (
	"bytes"
	"context"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/plumbnet/plumb/event"
	"github.com/plumbnet/plumb/probe"
	"github.com/plumbnet/plumb/recorder"
)

// TestRecord: each second has what rose in it and what happened, whether it is read from the running agent or from its files; a
// reload that does not concern the recorder leaves it alone, and one that turns it off ends it.
func TestRecord(t *testing.T) {
	waited := &probe.Stat{Name: "waited_total", Help: "Waits.", Labels: []string{"for"}, Second: true}
	var n atomic.Int64
	told := make(chan struct{}, 2)
	labels := []string{"disk"} // one slice for all that is told, as a probe may do it
	k := kind("ticks", fake{
		read: func(emit func(probe.Sample)) error {
			emit(probe.Sample{Stat: waited, Pod: "shop/web-0", Labels: labels, Value: float64(n.Add(7))})
			emit(probe.Sample{Stat: drops, Pod: "shop/web-0", Labels: []string{"x"}, Value: 1})
			return nil
		},
		watch: func(ctx context.Context, emit func(event.Event)) error {
			emit(event.Event{Pod: "shop/web-0", Detail: []event.Field{{Key: "a", Value: "b"}}})
			told <- struct{}{}
			<-ctx.Done()
			return nil
		},
	})
	k.Stats = append(k.Stats, waited)
	o := observer(t, k)
	<-told // in memory, before there is a folder
	dir := filepath.Join(t.TempDir(), "record")
	with := Config{Recorder: RecorderConfig{Dir: dir, Megabytes: 2}}
	o.Apply(Config{Probes: ProbesConfig{Off: []string{"ticks"}}, Recorder: with.Recorder})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); o.Record(ctx) }()
	defer func() { cancel(); <-done }()
	o.Apply(with)
	until(t, func() bool { s := o.Recorder(); return s != nil && s.Seconds >= 3 && s.Events == 2 })
	if s := o.Recorder(); s.Memory || s.Err != "" {
		t.Errorf("%+v", s)
	}
	var b bytes.Buffer
	if err := o.Recorded(&b, recorder.Query{Pod: "shop/web-0"}); err != nil {
		t.Fatal(err)
	}
	live, err := recorder.Decode(&b, recorder.Query{})
	if err != nil {
		t.Fatal(err)
	}
	onDisk, err := recorder.Read(dir, recorder.Query{Pod: "shop/web-0"})
	if err != nil {
		t.Fatal(err)
	}
	for name, line := range map[string]*recorder.Timeline{"live": live, "files": onDisk} {
		rose, events := 0, 0
		for _, s := range line.Seconds {
			events += len(s.Events)
			for _, v := range s.Values {
				if v.Series.Name != "waited_total" || v.Series.Pod != "shop/web-0" || v.Series.Labels[0].Value != "disk" {
					t.Errorf("%s: %+v", name, v.Series)
				}
				rose++
			}
		}
		if rose == 0 || events != 1 {
			t.Errorf("%s: %d values and %d events in %d seconds", name, rose, events, len(line.Seconds))
		}
	}
	if own1(t, o, "agent_recorder_events_total") != 2 {
		t.Error("agent_recorder_events_total")
	}
	o.Apply(Config{Recorder: RecorderConfig{Off: true}})
	if err := o.Recorded(&b, recorder.Query{}); err != errNoRecorder || o.Recorder() != nil {
		t.Errorf("of a recorder that is off: %v, %+v", err, o.Recorder())
	}
	o.Apply(Config{})
	if s := o.Recorder(); s == nil || !s.Memory || s.Events != 2 {
		t.Errorf("without a folder: %+v", s)
	}
}

func TestRecorderConfig(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{"recorder: {dir: /var/lib/plumb, megabytes: 8}", ""},
		{"recorder: {dir: var/lib/plumb}", "c.yaml:1: recorder.dir: want a path from the root"},
		{"recorder:\n  megabytes: -1", "c.yaml:2: recorder.megabytes: want 1 to"},
		{"recorder:\n  size: 1", "c.yaml:2: recorder.size: unknown field"},
	} {
		_, err := ReadConfig("c.yaml", []byte(tt.in), nil)
		if (err != nil) != (tt.want != "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.in, err, tt.want)
		}
	}
}

// TestRecordStuck: a probe that does not come back costs a few seconds of the record, and no more; the recorder ends all the same.
func TestRecordStuck(t *testing.T) {
	read, lock := readTime, lockTime
	t.Cleanup(func() { readTime, lockTime = read, lock }) // when the observer is closed
	readTime, lockTime = 300*time.Millisecond, 50*time.Millisecond
	waited := &probe.Stat{Name: "waited_total", Help: "Waits.", Second: true}
	block := make(chan struct{})
	defer close(block)
	stuck := kind("stuck", fake{read: func(func(probe.Sample)) error { <-block; return nil }})
	stuck.Stats = append(stuck.Stats, waited)
	o := observer(t, stuck)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); o.Record(ctx) }()
	defer func() { cancel(); <-done }()
	until(t, func() bool { s := o.Recorder(); return s != nil && s.Seconds >= 2 })
}
