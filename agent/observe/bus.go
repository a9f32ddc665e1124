//go:build linux

package observe

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/plumbnet/plumb/event"
)

// A Subscription receives events. Who does not take them in time loses them, which is counted; nobody waits.
type Subscription struct {
	C    <-chan event.Event
	in   chan event.Event
	lost atomic.Uint64
}

// Lost returns how many events were lost so far.
func (s *Subscription) Lost() uint64 { return s.lost.Load() }

// bus hands events to all who subscribed.
type bus struct {
	mu   sync.RWMutex
	subs map[*Subscription]bool
	gone atomic.Uint64 // lost by those who left
}

func (b *bus) subscribe(size int) *Subscription {
	in := make(chan event.Event, size)
	s := &Subscription{C: in, in: in}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.subs == nil {
		b.subs = map[*Subscription]bool{}
	}
	b.subs[s] = true
	return s
}

func (b *bus) leave(s *Subscription) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.subs[s] {
		delete(b.subs, s)
		b.gone.Add(s.Lost())
	}
}

func (b *bus) publish(e event.Event) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	for s := range b.subs {
		select {
		case s.in <- e:
		default:
			s.lost.Add(1)
		}
	}
}

// lost returns how many events did not reach a subscriber.
func (b *bus) lost() uint64 {
	b.mu.RLock()
	defer b.mu.RUnlock()
	n := b.gone.Load()
	for s := range b.subs {
		n += s.Lost()
	}
	return n
}

// A limit lets so many through a second, and a second's worth at once.
type limit struct {
	mu    sync.Mutex
	rate  float64
	left  float64
	since time.Time
}

func newLimit(perSecond int) *limit {
	return &limit{rate: float64(perSecond), left: float64(perSecond)}
}

func (l *limit) allow(now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if passed := now.Sub(l.since).Seconds(); passed > 0 {
		l.left = min(l.rate, l.left+passed*l.rate)
		l.since = now
	}
	if l.left < 1 {
		return false
	}
	l.left--
	return true
}
