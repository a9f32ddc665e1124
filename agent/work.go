//go:build linux

package agent

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"
)

const (
	maxCollections = 2               // at once
	maxWaiting     = 64              // for their turn
	maxHeld        = 96 << 20        // bytes of bundles on their way to slow readers; one has 2 MB
	maxTime        = 2 * time.Minute // of waiting and collecting
)

// work does a few collections at once. Those who ask for the same get the same.
type work struct {
	turn    chan struct{}
	mu      sync.Mutex
	jobs    map[string]*job
	waiting int
	running int
	held    int
}

// A job is one collection.
type job struct {
	key    string
	users  int // who wait for it, or are being sent it
	cancel context.CancelFunc
	done   chan struct{}
	bundle []byte // once done is closed, as err
	err    error
}

func newWork() *work {
	return &work{turn: make(chan struct{}, maxCollections), jobs: map[string]*job{}}
}

// do returns the bundle that collect makes, or one that is being made under the same key.
// The caller calls release when it needs the bundle no more.
func (w *work) do(ctx context.Context, key string, collect func(context.Context) ([]byte, error)) (bundle []byte, release func(), err error) {
	j, err := w.join(key, collect)
	if err != nil {
		return nil, nil, err
	}
	select {
	case <-j.done:
	case <-ctx.Done():
		w.leave(j)
		return nil, nil, refuse(http.StatusServiceUnavailable, "the request ended first")
	}
	if j.err != nil {
		w.leave(j)
		return nil, nil, j.err
	}
	return j.bundle, func() { w.leave(j) }, nil
}

// join finds the job of a key, or starts one.
func (w *work) join(key string, collect func(context.Context) ([]byte, error)) (*job, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if j := w.jobs[key]; j != nil {
		j.users++
		return j, nil
	}
	switch {
	case w.waiting >= maxWaiting:
		return nil, refuse(http.StatusTooManyRequests, "%d collections wait for their turn", w.waiting)
	case w.held > maxHeld:
		return nil, refuse(http.StatusTooManyRequests, "%d MiB wait for slow readers", w.held>>20)
	}
	ctx, cancel := context.WithTimeoutCause(context.Background(), maxTime, errTooLong)
	j := &job{key: key, users: 1, cancel: cancel, done: make(chan struct{})}
	w.jobs[key] = j
	w.waiting++
	go w.run(ctx, j, collect)
	return j, nil
}

var errTooLong = refuse(http.StatusGatewayTimeout, "no bundle within %v", maxTime)

// run does a job when its turn comes. The bundle is whole before the first byte is sent: who reads slowly holds
// a bundle, which is small, and neither the turn nor the files.
func (w *work) run(ctx context.Context, j *job, collect func(context.Context) ([]byte, error)) {
	defer j.cancel()
	select {
	case w.turn <- struct{}{}:
		w.count(-1, +1)
		j.bundle, j.err = collect(ctx)
		w.count(0, -1) // before the next one's turn, which counts itself
		<-w.turn
	case <-ctx.Done():
		w.count(-1, 0)
		j.err = ctx.Err()
	}
	if j.err != nil && ctx.Err() != nil {
		j.err = context.Cause(ctx)
	}
	if errors.Is(j.err, context.Canceled) {
		j.err = refuse(http.StatusServiceUnavailable, "the collection was given up")
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.forget(j)
	if j.users > 0 {
		w.held += len(j.bundle)
	}
	close(j.done)
}

func (w *work) count(waiting, running int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.waiting += waiting
	w.running += running
}

// forget lets nobody join a job any more.
func (w *work) forget(j *job) {
	if w.jobs[j.key] == j {
		delete(w.jobs, j.key)
	}
}

// leave gives up one user's interest in a job. The last one's ends it.
func (w *work) leave(j *job) {
	w.mu.Lock()
	defer w.mu.Unlock()
	j.users--
	if j.users > 0 {
		return
	}
	w.forget(j)
	j.cancel()
	select {
	case <-j.done:
		w.held -= len(j.bundle)
	default:
	}
}

// load returns how many collections run, and how many wait.
func (w *work) load() (running, waiting int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.running, w.waiting
}
