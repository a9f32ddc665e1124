//go:build linux

package agent

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"
)

// eventually polls until f holds.
func eventually(t *testing.T, what string, f func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !f(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("never: " + what)
		}
	}
}

// TestWork has many ask at once, with keys of their own or the same.
func TestWork(t *testing.T) {
	for _, tt := range []struct {
		name      string
		key       func(i int) string
		collected int
		refused   int
	}{
		{"the same", func(int) string { return "whole" }, 1, 0},
		{"each its own", func(i int) string { return fmt.Sprint(i) }, maxCollections + maxWaiting, 100 - maxCollections - maxWaiting},
		{"ten, ten times", func(i int) string { return fmt.Sprint(i % 10) }, 10, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWork()
			gate := make(chan struct{})
			var mu sync.Mutex
			collected, atOnce, most := 0, 0, 0
			collect := func(context.Context) ([]byte, error) {
				mu.Lock()
				collected, atOnce = collected+1, atOnce+1
				most = max(most, atOnce)
				mu.Unlock()
				<-gate
				mu.Lock()
				atOnce--
				mu.Unlock()
				return []byte("bundle"), nil
			}
			var wg sync.WaitGroup
			refused, got := 0, 0
			for i := range 100 {
				if i == 2 { // they have their turn: what comes now waits, or is too much
					eventually(t, "the first run", func() bool { n, _ := w.load(); return n == min(2, tt.collected) })
				}
				wg.Go(func() {
					bundle, release, err := w.do(context.Background(), tt.key(i), collect)
					mu.Lock()
					defer mu.Unlock()
					if r := (*refusal)(nil); errors.As(err, &r) && r.code == 429 {
						refused++
						return
					}
					got += len(bundle) / len("bundle")
					release()
				})
			}
			users := func() (n int) {
				w.mu.Lock()
				defer w.mu.Unlock()
				for _, j := range w.jobs {
					n += j.users
				}
				return n
			}
			eventually(t, "all have asked", func() bool { mu.Lock(); defer mu.Unlock(); return users()+refused == 100 })
			close(gate)
			wg.Wait()
			if collected != tt.collected || refused != tt.refused || got != 100-refused || most > maxCollections {
				t.Errorf("%d collected, %d at once, %d refused, %d got it; want %d, %d refused", collected, most, refused, got, tt.collected, tt.refused)
			}
			if w.held != 0 || w.waiting != 0 || w.running != 0 || len(w.jobs) != 0 {
				t.Errorf("left over: %d bytes, %d waiting, %d running, %d jobs", w.held, w.waiting, w.running, len(w.jobs))
			}
		})
	}
}

// TestGivenUp wants a collection to end with the last who waits for it, and not before.
func TestGivenUp(t *testing.T) {
	w := newWork()
	ended := make(chan struct{})
	collect := func(ctx context.Context) ([]byte, error) { <-ctx.Done(); close(ended); return nil, ctx.Err() }
	one, leave1 := context.WithCancel(context.Background())
	two, leave2 := context.WithCancel(context.Background())
	done := make(chan error, 2)
	for _, ctx := range []context.Context{one, two} {
		go func() { _, _, err := w.do(ctx, "k", collect); done <- err }()
	}
	eventually(t, "both wait", func() bool { w.mu.Lock(); defer w.mu.Unlock(); return w.jobs["k"] != nil && w.jobs["k"].users == 2 })
	leave1()
	if err := <-done; err == nil {
		t.Error("no error for the one who left")
	}
	select {
	case <-ended:
		t.Error("the collection ended with the first")
	default:
	}
	leave2()
	<-ended
	<-done
	eventually(t, "nothing runs", func() bool { n, m := w.load(); return n+m == 0 })
}

// TestSlowReaders wants who does not read to hold neither a turn nor more than so many bytes.
func TestSlowReaders(t *testing.T) {
	w := newWork()
	const size = 20 << 20
	var kept []func()
	for i := range 20 {
		_, release, err := w.do(context.Background(), fmt.Sprint(i), func(context.Context) ([]byte, error) { return make([]byte, size), nil })
		if err != nil {
			if r := (*refusal)(nil); !errors.As(err, &r) || r.code != 429 || i*size < maxHeld {
				t.Errorf("request %d: %v", i, err)
			}
			break
		}
		kept = append(kept, release)
	}
	if n := len(kept); n == 0 || n > maxHeld/size+1 {
		t.Errorf("%d bundles of %d MiB are held", n, size>>20)
	}
	for _, release := range kept {
		release()
	}
	if w.held != 0 {
		t.Errorf("%d bytes are held by nobody", w.held)
	}
}

// TestSend cuts off a reader who does not read.
func TestSend(t *testing.T) {
	defer func(old time.Duration) { chunkTime = old }(chunkTime)
	chunkTime = 100 * time.Millisecond
	ended := make(chan time.Duration, 1)
	h := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		start := time.Now()
		send(w, make([]byte, 64<<20))
		ended <- time.Since(start)
	}))
	defer h.Close()
	resp, err := h.Client().Get(h.URL)
	must(t, err)
	defer resp.Body.Close()
	select {
	case took := <-ended:
		t.Logf("cut off after %v", took)
	case <-time.After(20 * time.Second):
		t.Error("a reader who does not read is still being sent to")
	}
}
