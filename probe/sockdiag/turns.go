//go:build linux

package sockdiag

import (
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Turns says which namespaces' turn it is to be listed, so that all of them together take no more than share of one CPU,
// and a scrape no more than burst and what one takes. Who waited longest is the next.
type Turns struct {
	mu    sync.Mutex
	left  time.Duration // what may be spent
	since time.Time     // when left was last added to
	by    map[uint64]*turn
}

// A turn is when a namespace was last listed, and when it was asked about.
type turn struct{ listed, asked time.Time }

const (
	share  = 1.0 / 500
	burst  = 8 * time.Millisecond
	forget = time.Hour
)

// Take reports whether it is the turn of a namespace, by its Net.
func (t *Turns) Take(net uint64, now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.by == nil {
		t.by, t.left, t.since = map[uint64]*turn{}, burst, now
	}
	t.left = min(burst, t.left+time.Duration(float64(now.Sub(t.since))*share))
	t.since = now
	own := t.by[net]
	if own == nil {
		own = &turn{}
		t.by[net] = own
	}
	before := own.asked
	own.asked = now
	if t.left <= 0 {
		return false
	}
	for n, other := range t.by {
		if other.listed.Before(own.listed) && other.asked.After(before) { // else it has ended
			return false
		}
		if now.Sub(other.asked) > forget {
			delete(t.by, n)
		}
	}
	own.listed = now
	return true
}

// Took says how much of the CPU's time a turn took.
func (t *Turns) Took(d time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.left -= d
}

// CPU returns how long the thread has run.
func CPU() time.Duration {
	var ts unix.Timespec
	if unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &ts) != nil {
		return 0
	}
	return time.Duration(ts.Nano())
}
