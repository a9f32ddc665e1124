package sink

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/plumbnet/plumb/event"
)

const (
	room      = 8192                   // events that wait at most: some 4 MB, and 5 minutes of 27 a second
	batchSize = 1000                   // events that are written at once: some 0.5 MB
	linger    = time.Second            // after its first event a batch waits so long for more
	firstWait = 500 * time.Millisecond // until a batch is tried again; twice as long each time
	lastWait  = 30 * time.Second
	maxAfter  = 5 * time.Minute  // a server may ask for a pause that long
	patience  = 10 * time.Minute // then a batch is given up, and the next one is tried
	flushTime = 5 * time.Second  // for what waits when the agent stops, or is configured anew
)

// Stats is what became of the events that a queue was given. Its counters rise only; their sum and Waiting
// is what was put.
type Stats struct {
	Waiting int    // in the queue, or being written
	Written uint64 // the sink has them
	Full    uint64 // lost: the queue was full
	Failed  uint64 // lost: refused by the sink, or tried in vain for too long
	Retries uint64 // of batches
	Err     string // why a batch was last not written; "" once one was
}

// A Queue stands before a sink.
type Queue struct {
	sink event.Sink
	wake chan struct{} // has something in it when the first event came, or a batch is full

	mu      sync.Mutex
	waiting []event.Event
	stats   Stats // without Waiting
	inHand  int
	closed  bool
}

// NewQueue returns the queue of a sink, which it closes. Nothing is written before Run.
func NewQueue(s event.Sink) *Queue { return &Queue{sink: s, wake: make(chan struct{}, 1)} }

// Put adds an event. It never waits: where there is no room the event is lost, and counted.
func (q *Queue) Put(e event.Event) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed || len(q.waiting)+q.inHand >= room {
		q.stats.Full++
		return
	}
	q.waiting = append(q.waiting, e)
	if n := len(q.waiting); n == 1 || n == batchSize {
		select {
		case q.wake <- struct{}{}:
		default:
		}
	}
}

// Stats returns what became of the events until now.
func (q *Queue) Stats() Stats {
	q.mu.Lock()
	defer q.mu.Unlock()
	s := q.stats
	s.Waiting = len(q.waiting) + q.inHand
	return s
}

// Run writes events until ctx ends, then what waits within 5 s, and closes the sink.
func (q *Queue) Run(ctx context.Context) error {
	write, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	context.AfterFunc(ctx, func() {
		select {
		case <-time.After(flushTime):
			cancel()
		case <-write.Done():
		}
	})
	for batch := q.next(ctx); len(batch) > 0; batch = q.next(ctx) {
		q.write(ctx, write, batch)
	}
	return q.sink.Close()
}

// next waits for a batch. It returns none when ctx is done and nothing waits, and from then on nothing is taken in.
func (q *Queue) next(ctx context.Context) []event.Event {
	for q.len() == 0 && ctx.Err() == nil {
		select {
		case <-q.wake:
		case <-ctx.Done():
		}
	}
	full := time.NewTimer(linger)
	defer full.Stop()
	for late := false; !late && q.len() < batchSize && ctx.Err() == nil; {
		select {
		case <-q.wake:
		case <-full.C:
			late = true
		case <-ctx.Done():
		}
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	n := min(len(q.waiting), batchSize)
	batch := slices.Clone(q.waiting[:n])
	q.waiting = slices.Delete(q.waiting, 0, n)
	if cap(q.waiting) > batchSize && len(q.waiting) < batchSize {
		q.waiting = slices.Clip(slices.Clone(q.waiting)) // what a storm took is given back
	}
	q.inHand, q.closed = n, n == 0
	return batch
}

func (q *Queue) len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.waiting)
}

// write writes a batch until it is written, refused, given up, or write ends.
func (q *Queue) write(ctx, write context.Context, batch []event.Event) {
	began, wait := time.Now(), firstWait
	for {
		err := q.sink.Write(write, batch)
		lost, again := verdict(err, len(batch))
		after := wait/2 + rand.N(wait/2) // many nodes do not come back at once
		if l := (*later)(nil); errors.As(err, &l) {
			after = max(after, min(l.after, maxAfter))
		}
		again = again && time.Since(began)+after < patience
		q.note(err, len(batch), lost, again)
		if !again {
			return
		}
		if !pause(ctx, write, after) {
			q.note(err, len(batch), len(batch), false)
			return
		}
		q.mu.Lock()
		q.stats.Retries++
		q.mu.Unlock()
		wait = min(2*wait, lastWait)
	}
}

// verdict returns how many of n events an error loses, and whether to try again instead.
func verdict(err error, n int) (lost int, again bool) {
	if err == nil {
		return 0, false
	}
	if r := (*refusal)(nil); errors.As(err, &r) {
		return min(r.n, n), false
	}
	return n, true
}

// note notes how a try ended.
func (q *Queue) note(err error, n, lost int, again bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.stats.Err = ""
	if err != nil {
		q.stats.Err = err.Error()
	}
	if !again {
		q.stats.Written += uint64(n - lost)
		q.stats.Failed += uint64(lost)
		q.inHand = 0
	}
}

// pause waits, but not on when ctx ends: then there is little time left to try in. It returns false when write ended.
func pause(ctx, write context.Context, d time.Duration) bool {
	ended := ctx.Done()
	if ctx.Err() != nil {
		ended, d = nil, min(d, firstWait)
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ended:
	case <-write.Done():
	}
	return write.Err() == nil
}
