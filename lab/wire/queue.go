//go:build linux

package wire

import (
	"container/heap"
	"io"
	"sync"
	"sync/atomic"
	"time"
)

// A frame waits for its time to leave.
type frame struct {
	at   time.Duration
	n    int // of those that leave at the same time, the earlier one is first
	data []byte
}

// waiting is a heap of frames, the next one first.
type waiting []frame

func (w waiting) Len() int { return len(w) }
func (w waiting) Less(i, j int) bool {
	return w[i].at < w[j].at || w[i].at == w[j].at && w[i].n < w[j].n
}
func (w waiting) Swap(i, j int) { w[i], w[j] = w[j], w[i] }
func (w *waiting) Push(x any)   { *w = append(*w, x.(frame)) }
func (w *waiting) Pop() any {
	last := len(*w) - 1
	f := (*w)[last]
	(*w)[last].data = nil
	*w = (*w)[:last]
	return f
}

// A way carries frames in one direction, from one device to another.
type way struct {
	d     *direction
	begun time.Time
	wake  chan struct{} // has room for one

	mu sync.Mutex
	q  waiting
	n  int

	passed, lost atomic.Int64
}

func newWay(d *direction) *way {
	return &way{d: d, begun: time.Now(), wake: make(chan struct{}, 1)}
}

// largest is more than any frame of a TAP.
const largest = 1 << 16

// read takes frames from a device until it is closed.
func (w *way) read(from io.Reader) {
	buf := make([]byte, largest)
	for {
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		w.admit(buf[:n])
	}
}

func (w *way) admit(data []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	at, ok := w.d.admit(time.Since(w.begun), len(data), len(w.q))
	if !ok {
		w.lost.Add(1)
		return
	}
	w.n++
	heap.Push(&w.q, frame{at, w.n, append([]byte(nil), data...)})
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// next returns a frame whose time has come, or how long to wait for one.
func (w *way) next() (data []byte, wait time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.q) == 0 {
		return nil, time.Hour
	}
	if wait = w.q[0].at - time.Since(w.begun); wait > 0 {
		return nil, wait
	}
	return heap.Pop(&w.q).(frame).data, 0
}

// write hands frames to a device when their time has come, until done.
func (w *way) write(to io.Writer, done <-chan struct{}) {
	for timer := time.NewTimer(0); ; {
		data, wait := w.next()
		if data != nil {
			if _, err := to.Write(data); err == nil {
				w.passed.Add(1)
			} else {
				w.lost.Add(1)
			}
			continue
		}
		timer.Reset(wait)
		select {
		case <-done:
			timer.Stop()
			return
		case <-w.wake:
		case <-timer.C:
		}
	}
}
