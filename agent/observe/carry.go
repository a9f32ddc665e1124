//go:build linux

package observe

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/plumbnet/plumb/event"
	"github.com/plumbnet/plumb/probe"
)

// counted is where the counters of a probe stood when it was closed: of those that begin at 0 when it is opened again, as
// a program's do. What is told does not begin again.
type counted struct {
	list []probe.Sample // in the order in which they were told; Stat is nil of those that have ended, or go on by themselves
	at   map[counter]int
}

// A counter is one series.
type counter struct {
	stat        *probe.Stat
	pod, labels string
}

func counterOf(s probe.Sample) counter { return counter{s.Stat, s.Pod, strings.Join(s.Labels, "\xff")} }

// forget takes one out.
func (c *counted) forget(i int) {
	delete(c.at, counterOf(c.list[i]))
	c.list[i].Stat = nil
}

// count ends the reading of a probe that is about to be closed, with what its counters then are.
func (o *Observer) count(r *running) {
	if r.probe == nil {
		return
	}
	r.end()
	select {
	case r.reading <- struct{}{}:
		defer r.unlock()
	case <-time.After(lockTime): // what it had counted before stays
		return
	}
	c := &counted{at: map[counter]int{}}
	err := guard(func() error {
		return o.whole(r, func(s probe.Sample) {
			if s.Stat == nil || s.Stat.Type == probe.Gauge {
				return
			}
			s.Labels = slices.Clone(s.Labels)
			if s.Hist != nil {
				s.Hist = sum(s.Hist, nil)
			}
			c.at[counterOf(s)] = len(c.list)
			c.list = append(c.list, s)
		})
	})
	if err != nil {
		r.failed(fmt.Errorf("read: %w", err))
	}
	r.counted = c
}

// settle finds out which counters of a probe that was opened again are the kernel's own, and have gone on: those that are not below
// where they stood.
func (o *Observer) settle(r *running) {
	c := r.counted
	if c == nil || r.probe == nil {
		return
	}
	o.readOne(r, r.probe.Read, func(_ *running, s probe.Sample) error {
		if i, ok := c.at[counterOf(s)]; ok && observed(s) >= observed(c.list[i]) {
			c.forget(i)
		}
		return nil
	})
}

// observed returns a counter's value; of a histogram, how much it has observed.
func observed(s probe.Sample) float64 {
	if s.Hist == nil {
		return s.Value
	}
	n := uint64(0)
	for _, c := range s.Hist.Counts {
		n += c
	}
	return float64(n)
}

// whole reads what a probe tells of the whole node, and adds what it had counted before it was opened.
func (o *Observer) whole(r *running, emit func(probe.Sample)) error {
	c := r.counted
	if c == nil {
		return r.probe.Read(emit)
	}
	told := make([]bool, len(c.list))
	err := r.probe.Read(func(s probe.Sample) {
		if i, ok := c.at[counterOf(s)]; ok && !told[i] {
			told[i] = true
			s.Value += c.list[i].Value
			if s.Hist != nil {
				s.Hist = sum(s.Hist, c.list[i].Hist)
			}
		}
		emit(s)
	})
	if err != nil { // some of them may not have been told yet
		return err
	}
	there := map[string]bool{"": true, event.Unknown: true}
	for _, p := range o.o.Places.All() {
		there[p.Pod] = true
	}
	for i, s := range c.list {
		switch {
		case told[i] || s.Stat == nil:
		case there[s.Pod]:
			emit(s)
		default: // its Pod has ended
			c.forget(i)
		}
	}
	return nil
}

// sum returns the sum of two histograms, of which b may be nil.
func sum(a, b *probe.Hist) *probe.Hist {
	out := *a
	out.Counts = slices.Clone(a.Counts)
	if b != nil && len(b.Counts) == len(a.Counts) {
		out.Sum += b.Sum
		for i := range out.Counts {
			out.Counts[i] += b.Counts[i]
		}
	}
	return &out
}
