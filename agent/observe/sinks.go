//go:build linux

package observe

import (
	"context"
	"errors"
	"fmt"
	"log"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/plumbnet/plumb/event"
	"github.com/plumbnet/plumb/manifest"
	"github.com/plumbnet/plumb/sink"
)

// sinks are where events go.
type sinks struct {
	mu      sync.RWMutex
	running []*outlet
	ending  []*outlet             // they write what they were given, and take nothing more
	before  map[string]sink.Stats // by name, of those that ended: counters do not go back
}

// An outlet is one sink with its queue.
type outlet struct {
	name   string // "loki", and "loki-2" for another
	config sink.Config
	queue  *sink.Queue
	cancel context.CancelFunc
	done   chan struct{}
}

// sinkFaults returns what is wrong with a list of sinks.
func sinkFaults(list []sink.Config) (out []manifest.Fault) {
	for i, c := range list {
		err := c.Validate()
		if err == nil {
			if j := slices.IndexFunc(list, func(o sink.Config) bool { return same(o, c) }); j < i {
				out = append(out, manifest.Fault{Path: fmt.Sprintf("sinks[%d]", i), Why: fmt.Sprintf("sinks[%d] is the same: it would be told all twice", j)})
			}
			continue
		}
		f := manifest.Fault{Path: fmt.Sprintf("sinks[%d]", i), Why: err.Error()}
		if field, why, ok := strings.Cut(f.Why, ": "); ok && strings.HasPrefix(field, c.Name()+".") {
			f.Path, f.Why = f.Path+"."+field, why
		}
		out = append(out, f)
	}
	return out
}

// same reports whether two sinks are one: the same file, or all is the same.
func same(a, b sink.Config) bool {
	if a.File != nil && b.File != nil {
		return a.File.Path == b.File.Path
	}
	return reflect.DeepEqual(a, b)
}

// apply makes the sinks those of a configuration. One that is in both runs on, with what waits in it; one
// that is not has its time to write that, while what happens goes to the others.
func (s *sinks) apply(list []sink.Config, log *log.Logger) error {
	s.mu.RLock()
	old := slices.Clone(s.running)
	s.mu.RUnlock()
	var now []*outlet
	var errs []error
	count := map[string]int{}
	for _, c := range list {
		count[c.Name()]++
		r := &outlet{name: c.Name(), config: c}
		if n := count[c.Name()]; n > 1 {
			r.name = fmt.Sprintf("%s-%d", r.name, n)
		}
		i := slices.IndexFunc(old, func(o *outlet) bool { return o.name == r.name && reflect.DeepEqual(o.config, c) })
		if i >= 0 {
			now = append(now, old[i])
			old = slices.Delete(old, i, i+1)
			continue
		}
		to, err := sink.Open(r.config)
		if err != nil {
			errs = append(errs, fmt.Errorf("sink %s: %w", r.name, err))
			continue
		}
		r.start(to, log)
		now = append(now, r)
	}
	s.set(now, old...)
	for _, r := range old {
		s.end(r)
	}
	return errors.Join(errs...)
}

func (s *sinks) set(now []*outlet, ending ...*outlet) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.running = now
	s.ending = append(s.ending, ending...)
}

func (r *outlet) start(to event.Sink, log *log.Logger) {
	ctx, cancel := context.WithCancel(context.Background())
	r.queue, r.cancel, r.done = sink.NewQueue(newSpoken(to, r.name, log)), cancel, make(chan struct{})
	go func() {
		defer close(r.done)
		if err := r.queue.Run(ctx); err != nil {
			log.Printf("sink %s: close: %v", r.name, err)
		}
	}()
}

// spoken is a sink whose failures are logged.
type spoken struct {
	event.Sink
	name     string
	log      *log.Logger
	complain rate.Sometimes
	bad      bool // the last that is logged is a failure
}

func newSpoken(to event.Sink, name string, log *log.Logger) *spoken {
	return &spoken{Sink: to, name: name, log: log, complain: rate.Sometimes{Interval: 10 * time.Minute}}
}

// Write writes events.
func (s *spoken) Write(ctx context.Context, events []event.Event) error {
	err := s.Sink.Write(ctx, events)
	switch {
	case err == nil && s.bad:
		s.log.Printf("sink %s: it is written to again", s.name)
		s.bad = false
	case err != nil && ctx.Err() == nil:
		s.complain.Do(func() {
			s.log.Printf("sink %s: %v", s.name, err)
			s.bad = true
		})
	}
	return err
}

// end has a sink write what waits, within its time, and adds up what became of its events.
func (s *sinks) end(r *outlet) {
	r.cancel()
	<-r.done
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.before == nil {
		s.before = map[string]sink.Stats{}
	}
	s.before[r.name] = plus(s.before[r.name], r.queue.Stats())
	s.ending = slices.DeleteFunc(s.ending, func(o *outlet) bool { return o == r })
}

func plus(a, b sink.Stats) sink.Stats {
	return sink.Stats{Waiting: b.Waiting, Written: a.Written + b.Written, Full: a.Full + b.Full, Failed: a.Failed + b.Failed, Retries: a.Retries + b.Retries, Err: b.Err}
}

// put gives an event to each sink.
func (s *sinks) put(e event.Event) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, r := range s.running {
		r.queue.Put(e)
	}
}

// close ends all sinks, at the same time.
func (s *sinks) close() {
	s.mu.RLock()
	old := slices.Clone(s.running)
	s.mu.RUnlock()
	s.set(nil, old...)
	var wg sync.WaitGroup
	for _, r := range old {
		wg.Go(func() { s.end(r) })
	}
	wg.Wait()
}

// each tells what became of the events for each sink, those that ended too.
func (s *sinks) each(tell func(name string, running bool, st sink.Stats)) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	ended := maps.Clone(s.before)
	if ended == nil {
		ended = map[string]sink.Stats{}
	}
	for _, r := range s.ending {
		ended[r.name] = plus(ended[r.name], r.queue.Stats())
	}
	for _, r := range s.running {
		tell(r.name, true, plus(ended[r.name], r.queue.Stats()))
		delete(ended, r.name)
	}
	for _, name := range slices.Sorted(maps.Keys(ended)) {
		tell(name, false, ended[name])
	}
}

// A SinkState is how a sink is.
type SinkState struct {
	Name    string `json:"name"`
	Waiting int    `json:"waiting"`
	Written uint64 `json:"written"`
	Lost    uint64 `json:"lost"`
	Err     string `json:"error,omitempty"` // why events were last not written
}

// Sinks returns how the sinks are.
func (o *Observer) Sinks() (out []SinkState) {
	o.sinks.each(func(name string, running bool, st sink.Stats) {
		if running {
			out = append(out, SinkState{name, st.Waiting, st.Written, st.Full + st.Failed, st.Err})
		}
	})
	return out
}
