//go:build linux

package observe

import (
	"errors"
	"fmt"
	"maps"
	"sync/atomic"
	"time"

	dto "github.com/prometheus/client_model/go"

	"github.com/plumbnet/plumb/probe"
)

// Variables for the tests.
var (
	lockTime = time.Second     // how long it is waited for one probe's turn, which another reading has
	readTime = 8 * time.Second // what all probes together have: Prometheus waits for 10 s
)

// Gather reads all probes, and returns their metrics, which are the caller's until done is called. It is Prometheus'
// TransactionalGatherer. Without those of a probe that failed, and, where one does not come back in time, with the agent's own
// alone: the next time that one is left out.
func (o *Observer) Gather() (metrics []*dto.MetricFamily, done func(), err error) {
	o.mu.RLock()
	list, labels := o.running, o.config.Labels
	o.mu.RUnlock()
	f := o.spare.take(o.o.Node, labels)
	f.exemplars = &o.exemplars
	read := make(chan struct{})
	go func(f *families) {
		defer close(read)
		o.read(list, func(r *running, s probe.Sample) error { return f.add(r.kind, s) })
	}(f)
	select {
	case <-read:
		o.overflow.apply(f)
	case <-time.After(readTime):
		f = newFamilies(o.o.Node, labels) // the other one is still written to
	}
	o.own(f, list)
	return f.list(), func() { o.spare.give(f) }, nil
}

// A spare holds the families of the last reading for the next.
type spare struct{ families atomic.Pointer[families] }

func (s *spare) take(node string, labels map[string]string) *families {
	f := s.families.Swap(nil)
	if f == nil || !maps.Equal(f.of, labels) {
		return newFamilies(node, labels)
	}
	f.again()
	return f
}

func (s *spare) give(f *families) { s.families.Store(f) }

// Samples reads the probes that have something to keep by the second, and not by entering each place.
func (o *Observer) Samples(keep func(probe.Sample)) {
	o.mu.RLock()
	list := o.running
	o.mu.RUnlock()
	for _, r := range list {
		if r.probe != nil && r.second() {
			o.readOne(r, func(emit func(probe.Sample)) error { return o.whole(r, emit) }, func(_ *running, s probe.Sample) error {
				if s.Stat.Second {
					keep(s)
				}
				return nil
			})
		}
	}
}

func (r *running) second() bool {
	for _, s := range r.kind.Stats {
		if s.Second {
			return true
		}
	}
	return false
}

type add func(*running, probe.Sample) error

// read reads the probes, first what is of the whole node, then place by place.
func (o *Observer) read(list []*running, add add) {
	one := func(read func(*running, func(probe.Sample)) error) {
		var next []*running
		for _, r := range list {
			if r.probe != nil && o.readOne(r, func(emit func(probe.Sample)) error { return read(r, emit) }, add) {
				next = append(next, r)
			}
		}
		list = next
	}
	one(o.whole)
	err := o.o.Places.Each(func(p probe.Place) {
		one(func(r *running, emit func(probe.Sample)) error { return r.probe.ReadIn(p, emit) })
	})
	if err != nil {
		o.o.Log.Printf("enter the network namespaces: %v", err)
	}
}

var errTurn = errors.New("it is still being read")

// readOne reads one probe, and counts what that takes and what is wrong with it. It returns
// false for one whose turn it is not: another reading of it goes on, or it was closed.
func (o *Observer) readOne(r *running, read func(func(probe.Sample)) error, add add) bool {
	if !r.lock() {
		if !r.isEnded() {
			r.failed(errTurn)
		}
		return false
	}
	defer r.unlock()
	began := time.Now()
	var bad error
	err := guard(func() error {
		return read(func(s probe.Sample) {
			if err := add(r, s); err != nil {
				bad = err
			}
		})
	})
	r.nanos.Add(int64(time.Since(began)))
	if err := errors.Join(err, bad); err != nil {
		r.failed(fmt.Errorf("read: %w", err))
	}
	return true
}

func (r *running) lock() bool {
	select {
	case r.reading <- struct{}{}: // as a rule, and without a timer
	default:
		select {
		case r.reading <- struct{}{}:
		case <-r.ended:
			return false
		case <-time.After(lockTime):
			return false
		}
	}
	if r.isEnded() {
		r.unlock()
		return false
	}
	return true
}

func (r *running) unlock() { <-r.reading }
