//go:build linux

package observe

import (
	"cmp"
	"context"
	"errors"
	"io"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/plumbnet/plumb/event"
	"github.com/plumbnet/plumb/manifest"
	"github.com/plumbnet/plumb/probe"
	"github.com/plumbnet/plumb/recorder"
)

// A RecorderConfig is where the recorder keeps the last hour.
type RecorderConfig struct {
	Off       bool   `json:"off"`
	Dir       string `json:"dir"`       // "" for memory alone, which has some minutes and ends with the agent
	Megabytes int    `json:"megabytes"` // of disk; 0 for 64, an hour of 100 Pods
}

const maxRecorder = 1 << 20 // megabytes

func (c RecorderConfig) faults() (out []manifest.Fault) {
	if c.Dir != "" && !filepath.IsAbs(c.Dir) {
		out = append(out, manifest.Fault{Path: "recorder.dir", Why: "want a path from the root"})
	}
	if c.Megabytes < 0 || c.Megabytes > maxRecorder {
		out = append(out, manifest.Fault{Path: "recorder.megabytes", Why: "want 1 to 1048576, or 0 for 64"})
	}
	return out
}

// record is the recorder that runs, if one does.
type record struct {
	mu     sync.RWMutex
	config RecorderConfig
	r      *recorder.Recorder
	before recorder.Stats // of those that ran before

	triggered func(recorder.Episode)
}

// apply has the recorder be as configured. One that stays as it is goes on.
func (r *record) apply(c RecorderConfig, node string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if c == r.config && (r.r != nil || c.Off) {
		return nil
	}
	err := r.end()
	r.config = c
	if c.Off {
		return err
	}
	next, openErr := recorder.Open(recorder.Options{Dir: c.Dir, Node: node, Disk: int64(c.Megabytes) << 20, Triggered: r.triggered})
	r.r = next
	if openErr != nil {
		return openErr
	}
	return err
}

// end ends the one that runs.
func (r *record) end() error {
	if r.r == nil {
		return nil
	}
	err, st := r.r.Close(), r.r.Stats()
	r.before.Seconds += st.Seconds
	r.before.Failed += st.Failed
	r.before.Events += st.Events
	r.before.Lost += st.Lost
	r.r = nil
	return err
}

func (r *record) close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.end()
}

func (r *record) with(f func(*recorder.Recorder)) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if r.r != nil {
		f(r.r)
	}
}

func (r *record) event(e event.Event) { r.with(func(to *recorder.Recorder) { to.Event(e) }) }

// stats returns how the recorder fares; ok is false where none runs.
func (r *record) stats() (st recorder.Stats, ok bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if r.r != nil {
		st, ok = r.r.Stats(), true
	}
	st.Seconds += r.before.Seconds
	st.Failed += r.before.Failed
	st.Events += r.before.Events
	st.Lost += r.before.Lost
	return st, ok
}

// Record records each second until ctx ends.
func (o *Observer) Record(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	var samples []probe.Sample
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if _, ok := o.record.stats(); !ok {
			continue
		}
		read := make(chan []probe.Sample, 1)
		go func(list []probe.Sample) {
			o.Samples(func(s probe.Sample) {
				s.Labels = slices.Clone(s.Labels) // the probe's, for as long as it tells this one
				if s.Hist != nil {
					h := *s.Hist
					h.Counts = slices.Clone(h.Counts)
					s.Hist = &h
				}
				list = append(list, s)
			})
			read <- list
		}(samples[:0])
		select {
		case samples = <-read:
		case <-time.After(readTime): // the next time, the probe that does not come back is left out
			samples = nil
			continue
		}
		now := time.Now()
		o.record.with(func(r *recorder.Recorder) { r.Second(now, samples) })
	}
}

var errNoRecorder = errors.New("the recorder is off")

func (o *Observer) noRecorder() error { return cmp.Or(o.Blind(), errNoRecorder) }

// Recorded writes what was recorded, as [recorder.Decode] reads it.
func (o *Observer) Recorded(w io.Writer, q recorder.Query) error {
	err := o.noRecorder()
	o.record.with(func(r *recorder.Recorder) { err = r.Copy(w, q) })
	return err
}

// Episodes returns what was frozen.
func (o *Observer) Episodes() (out []recorder.Episode, err error) {
	err = o.noRecorder()
	o.record.with(func(r *recorder.Recorder) { out, err = r.Episodes() })
	return out, err
}

// Freeze keeps a window as an episode, as another node asks for.
func (o *Observer) Freeze(id, why string, from, to time.Time) error {
	err := o.noRecorder()
	o.record.with(func(r *recorder.Recorder) { err = r.Freeze(id, why, from, to) })
	return err
}

// A RecorderState is how the recorder is.
type RecorderState struct {
	Seconds uint64  `json:"seconds"`    // recorded since the agent started
	Age     float64 `json:"ageSeconds"` // of the last one
	Events  uint64  `json:"events"`
	Lost    uint64  `json:"lost"`
	Memory  bool    `json:"memory"` // it has no disk
	Err     string  `json:"error,omitempty"`
}

// Recorder returns how the recorder is; nil where none runs.
func (o *Observer) Recorder() *RecorderState {
	st, ok := o.record.stats()
	if !ok {
		return nil
	}
	return &RecorderState{st.Seconds, time.Since(st.Newest).Seconds(), st.Events, st.Lost, st.Memory, st.Err}
}
