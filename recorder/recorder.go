// Package recorder keeps the last hour of a node: what every counter of every Pod rose by in each second, and
// what happened, in files of a fixed size, of which no more than the last second is lost however the process
// ends. It knows what probes tell, and no probe; nor what any of it means, but for what is unusual, which it
// keeps for longer.
package recorder

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/plumbnet/plumb/event"
	"github.com/plumbnet/plumb/probe"
)

// Options say where a recorder writes, and how much.
type Options struct {
	Dir       string        // its own; "" for memory alone
	Node      string        // whose node it is
	Disk      int64         // bytes, of which all but those of episodes are taken at once; 0 for 64 MiB
	Triggered func(Episode) // is told of an episode of what was unusual when something is new of it, with the peers that are new: their nodes may have the same window. It does not wait
}

// How the disk is shared. At 100 Pods of 30 metrics, of which most change in each second, an hour of counters
// takes 43 MiB at most; it grows with the series that change.
const (
	defaultDisk  = 64 << 20
	minDisk      = 1 << 20
	shares       = 16
	secondShare  = 12
	eventShare   = 2
	episodeShare = 2

	secondSegments = 20
	eventSegments  = 8

	memorySize = 4 << 20 // without a disk
)

// An event takes its share of the ring of events for ten minutes, whatever the others do: so many bytes a second, and
// at once no more than a burst. In 64 MiB that are 11 kB a second: some 70 events.
const (
	eventTime  = 10 * time.Minute
	burstTime  = 15 * time.Second
	eventBytes = 48 // of an event, without its texts: at most, mostly
)

// Stats say how a recorder fares. Its counters rise only.
type Stats struct {
	Seconds uint64    // recorded
	Failed  uint64    // not recorded, for an error
	Events  uint64    // recorded
	Lost    uint64    // events that there was no room for; the timeline says when, and of which kind
	Newest  time.Time // when the last second was recorded, or it was opened, by time.Now
	Series  int
	Refused int    // samples of the last second beyond the most series
	Memory  bool   // it runs from memory, and why is in Err
	Err     string // the last error
}

// A Recorder records. Its methods may be called at the same time; Event waits for none.
type Recorder struct {
	o    Options
	lock *os.File // nil where it runs from memory

	mu    sync.Mutex // of what Event touches
	next  []event.Event
	lost  map[string]uint64
	room  float64 // bytes that events may yet take
	stats Stats

	writing sync.Mutex // of all else
	seconds *ring
	events  *ring
	tracker *tracker
	began   time.Time // the first second
	run     time.Time
	last    Second // without what it holds
	pending []*pending
}

// Open opens a recorder in a folder, and goes on after what is there. Where the disk is full, or the folder
// cannot be written, or another process has it, it runs from memory, and its Stats say so.
func Open(o Options) (*Recorder, error) {
	if o.Disk == 0 {
		o.Disk = defaultDisk
	}
	if o.Disk < minDisk {
		return nil, fmt.Errorf("recorder: %d bytes of disk: want %d or more", o.Disk, minDisk)
	}
	r := &Recorder{o: o, lost: map[string]uint64{}, tracker: newTracker()}
	r.stats.Newest = time.Now()
	r.run = r.stats.Newest.UTC()
	err := errors.New("no folder is configured")
	if o.Dir != "" {
		err = r.files()
	}
	if err != nil {
		r.fromMemory(err)
	}
	r.last.Seq = max(r.seconds.seq, r.events.seq)
	r.room = r.rate() * burstTime.Seconds()
	return r, nil
}

// files opens the files.
func (r *Recorder) files() (err error) {
	if err = os.MkdirAll(r.o.Dir, 0o700); err != nil {
		return err
	}
	lock, err := os.OpenFile(filepath.Join(r.o.Dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	if err = own(lock); err != nil {
		lock.Close()
		return fmt.Errorf("%s: another process writes to it: %w", r.o.Dir, err)
	}
	left, _ := filepath.Glob(filepath.Join(r.o.Dir, "*.tmp"))
	for _, name := range left { // of a process that was killed
		os.Remove(name)
	}
	meta := Episode{Node: r.o.Node}
	r.seconds, err = fileRing(r.o.Dir, "seconds", secondSegments, r.o.Disk*secondShare/shares/secondSegments, meta)
	if err == nil {
		if r.events, err = fileRing(r.o.Dir, "events", eventSegments, r.o.Disk*eventShare/shares/eventSegments, meta); err != nil {
			r.seconds.close()
		}
	}
	if err != nil {
		_ = disown(lock)
		return err
	}
	r.lock = lock
	return nil
}

// fromMemory goes on without a disk.
func (r *Recorder) fromMemory(why error) {
	meta := Episode{Node: r.o.Node}
	r.seconds = memoryRing(4, memorySize*3/4/4, meta)
	r.events = memoryRing(4, memorySize/4/4, meta)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stats.Memory, r.stats.Err = true, fmt.Sprintf("from memory: %v", why)
}

// rate returns the bytes of events that may be recorded in a second.
func (r *Recorder) rate() float64 {
	usable := r.events.size * int64(len(r.events.segments)-1) // the last one is being overwritten
	return float64(usable) * 15 / 16 / (eventTime + burstTime).Seconds()
}

// Event records an event with the second that it is in. It does not wait.
func (r *Recorder) Event(e event.Event) {
	size := eventBytes + len(e.Kind) + len(e.Node) + len(e.Pod) + len(e.Peer)
	for _, f := range e.Detail {
		size += 4 + len(f.Key) + min(len(f.Value), maxText)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if float64(size) > r.room {
		r.stats.Lost++
		if _, ok := r.lost[e.Kind]; ok || len(r.lost) < 64 {
			r.lost[e.Kind]++
		}
		return
	}
	r.room -= float64(size)
	for i, f := range e.Detail {
		if len(f.Value) > maxText {
			e.Detail = slices.Clone(e.Detail)
			e.Detail[i].Value = clip(f.Value)
		}
	}
	r.next = append(r.next, e)
}

// Opened tells that the probe of these metrics begins anew: what it tells next is where its counters stand, and
// series that come later began at 0. Without it, that holds from the first sample of each metric on.
func (r *Recorder) Opened(stats []*probe.Stat) {
	r.writing.Lock()
	defer r.writing.Unlock()
	r.tracker.opened(stats, r.last.Seq+1)
}

// Second ends a second, at t, with what the counters now are; the samples are not kept.
func (r *Recorder) Second(t time.Time, samples []probe.Sample) {
	r.writing.Lock()
	defer r.writing.Unlock()
	if r.began.IsZero() {
		r.began = t
	}
	r.second(t, t.Sub(r.began), samples)
}

// second is Second with the clock that nobody sets apart.
func (r *Recorder) second(t time.Time, mono time.Duration, samples []probe.Sample) {
	passed := mono - r.last.Mono
	r.last = Second{Seq: r.last.Seq + 1, Run: r.run, Time: t.Round(0).UTC(), Mono: mono}
	s, e := r.last, r.last
	e.Events, e.Lost = r.take(passed)
	s.Values = r.tracker.second(s.Seq, r.seconds.number(), samples)
	err := r.seconds.put(&s)
	if err == nil && len(e.Events)+len(e.Lost) > 0 {
		err = r.events.put(&e)
	}
	r.count(&e, err)
	if err != nil && err != errLarge && r.lock != nil {
		r.away(err)
	}
	r.trigger(r.tracker.alarms.second(s.Seq), e.Events)
	r.over()
}

// take returns the events of a second, and makes room for those of the next.
func (r *Recorder) take(passed time.Duration) (events []event.Event, lost []Loss) {
	r.mu.Lock()
	defer r.mu.Unlock()
	events = r.next
	r.next = nil
	for _, kind := range slices.Sorted(maps.Keys(r.lost)) {
		lost = append(lost, Loss{kind, r.lost[kind]})
	}
	clear(r.lost)
	rate := r.rate()
	r.room = min(r.room+rate*max(0, passed.Seconds()), rate*burstTime.Seconds())
	return events, lost
}

func (r *Recorder) count(s *Second, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stats.Series, r.stats.Refused = r.tracker.n, r.tracker.refuse
	if err != nil {
		r.stats.Failed++
		r.stats.Lost += uint64(len(s.Events))
		r.stats.Err = err.Error()
		return
	}
	r.stats.Seconds++
	r.stats.Newest = time.Now()
	r.stats.Events += uint64(len(s.Events))
}

// away goes on in memory after the disk failed.
func (r *Recorder) away(err error) {
	_ = errors.Join(r.seconds.close(), r.events.close(), disown(r.lock))
	r.lock = nil
	r.fromMemory(err)
}

func (r *Recorder) note(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stats.Err = err.Error()
}

// Stats returns how it fares.
func (r *Recorder) Stats() Stats {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.stats
}

// Close writes what is not written, and the episodes that are not over as far as they are.
func (r *Recorder) Close() error {
	r.writing.Lock()
	defer r.writing.Unlock()
	e := r.last
	e.Seq++
	e.Events, e.Lost = r.take(0)
	var err error
	if len(e.Events)+len(e.Lost) > 0 {
		err = r.events.put(&e)
		r.count(&e, err)
	}
	for _, p := range r.pending {
		err = cmp.Or(err, r.keep(p.Episode, p.asked))
	}
	err = errors.Join(err, r.seconds.close(), r.events.close())
	if r.lock != nil {
		err = errors.Join(err, disown(r.lock))
	}
	return err
}
