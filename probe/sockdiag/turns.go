//go:build linux

package sockdiag

import (
	"time"

	"golang.org/x/sys/unix"
)

// Turns says which namespaces' turn it is to be listed, so that a reading takes of the CPU's time no more than budget, and what
// one takes. Who waited longest is the next. The zero Turns is ready.
type Turns struct {
	round int
	left  time.Duration // what may be spent in this round
	by    map[uint64]*turn
}

// A turn is the round in which a namespace was last listed, and that in which it was last asked about. The first is 1.
type turn struct{ listed, asked int }

const budget = 5 * time.Millisecond

// Next begins a reading of all namespaces.
func (t *Turns) Next() {
	for net, x := range t.by {
		if x.asked < t.round { // it has ended
			delete(t.by, net)
		}
	}
	t.round++
	t.left = budget
}

// Take reports whether it is the turn of a namespace, by its Net.
func (t *Turns) Take(net uint64) bool {
	own := t.by[net]
	if own == nil {
		own = &turn{}
		if t.by == nil {
			t.by = map[uint64]*turn{}
		}
		t.by[net] = own
	}
	own.asked = t.round
	if t.left <= 0 {
		return false
	}
	for _, other := range t.by {
		if other.listed < own.listed {
			return false
		}
	}
	own.listed = t.round
	return true
}

// Pass says that a namespace needs no turn: that is as good as one.
func (t *Turns) Pass(net uint64) {
	if own := t.by[net]; own != nil {
		own.asked, own.listed = t.round, t.round
	}
}

// Took says how much of the CPU's time a turn took.
func (t *Turns) Took(d time.Duration) { t.left -= d }

// CPU returns how long the thread has run.
func CPU() time.Duration {
	var ts unix.Timespec
	if unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &ts) != nil {
		return 0
	}
	return time.Duration(ts.Nano())
}
