package sink

import (
	"context"
	"errors"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/plumbnet/plumb/event"
)

// A script is a sink that answers as told, the last answer for ever; then it is fine.
type script struct {
	answers []error
	took    time.Duration // for each answer
	calls   []time.Time
	sizes   []int
	got     []string
	closed  int
}

func (s *script) Write(ctx context.Context, events []event.Event) error {
	s.calls, s.sizes = append(s.calls, time.Now()), append(s.sizes, len(events))
	select {
	case <-time.After(s.took):
	case <-ctx.Done():
		return ctx.Err()
	}
	if len(s.answers) > 0 {
		err := s.answers[0]
		s.answers = s.answers[1:]
		if err != nil {
			return err
		}
	}
	for _, e := range events {
		s.got = append(s.got, e.Kind)
	}
	return nil
}

func (s *script) Close() error { s.closed++; return nil }

func times(n int, err error) []error {
	out := make([]error, n)
	for i := range out {
		out[i] = err
	}
	return out
}

// play runs a queue before s by a clock of its own: n events are put, during passes, and it ends.
func play(t *testing.T, s *script, n int, during time.Duration) (st, end Stats, took time.Duration) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	q := NewQueue(s)
	done := make(chan struct{})
	go func() { defer close(done); _ = q.Run(ctx) }()
	for i := range n {
		q.Put(event.Event{Kind: strconv.Itoa(i)})
	}
	time.Sleep(during)
	synctest.Wait()
	st = q.Stats()
	cancel()
	began := time.Now()
	<-done
	q.Put(event.Event{Kind: "late"})
	end = q.Stats()
	if s.closed != 1 {
		t.Errorf("it is closed %d times", s.closed)
	}
	if got := uint64(end.Waiting) + end.Written + end.Full + end.Failed; got != uint64(n)+1 {
		t.Errorf("%d events were put, %d are told of: %+v", n+1, got, end)
	}
	for i, kind := range s.got {
		if i > 0 && len(kind) < len(s.got[i-1]) {
			t.Errorf("%s after %s", kind, s.got[i-1])
		}
	}
	return st, end, time.Since(began)
}

func TestQueue(t *testing.T) {
	dead := errors.New("connection refused")
	for _, row := range []struct {
		name    string
		sink    script
		n       int
		during  time.Duration
		want    Stats // before the end
		atEnd   Stats
		endTime time.Duration // at most
	}{
		{"all is well", script{}, 10, 2 * time.Second, Stats{Written: 10}, Stats{Written: 10, Full: 1}, 0},
		{"nothing happens", script{}, 0, time.Hour, Stats{}, Stats{Full: 1}, 0},
		{"it ends before a batch is full", script{}, 10, 0, Stats{Waiting: 10}, Stats{Written: 10, Full: 1}, 0},
		{"a second error is the same as the first", script{answers: times(2, dead)}, 10, 10 * time.Second, Stats{Written: 10, Retries: 2}, Stats{Written: 10, Retries: 2, Full: 1}, 0},
		{"refused", script{answers: []error{&refusal{3, errors.New("too old")}}}, 10, 2 * time.Second, Stats{Written: 7, Failed: 3, Err: "too old"}, Stats{Written: 7, Failed: 3, Full: 1, Err: "too old"}, 0},
		{"more refused than sent", script{answers: []error{&refusal{99, errors.New("what")}}}, 10, 2 * time.Second, Stats{Failed: 10, Err: "what"}, Stats{Failed: 10, Full: 1, Err: "what"}, 0},
		{"too many for the queue", script{answers: times(100, dead)}, room + 5, 2 * time.Second,
			Stats{Waiting: room, Full: 5, Retries: 2, Err: "connection refused"}, Stats{Failed: room, Full: 6, Retries: 2}, flushTime},
		{"it hangs", script{took: time.Hour}, 10, time.Minute, Stats{Waiting: 10}, Stats{Failed: 10, Full: 1, Err: "context canceled"}, flushTime},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				got, end, took := play(t, &row.sink, row.n, row.during)
				if row.want.Retries > 0 {
					row.atEnd.Retries, row.want.Retries, row.atEnd.Err = end.Retries, got.Retries, end.Err // chance has a part in them
					if got.Retries == 0 {
						t.Error("it was not tried again")
					}
				}
				if diff := cmp.Diff(row.want, got); diff != "" {
					t.Error(diff)
				}
				if diff := cmp.Diff(row.atEnd, end); diff != "" {
					t.Errorf("at the end: %s", diff)
				}
				if took > row.endTime {
					t.Errorf("it ended after %s, want %s", took, row.endTime)
				}
			})
		})
	}
}

// TestAway has a sink that is away for 5 minutes, with 20 events a second: none is lost, and it is not asked often.
func TestAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &awayUntil{until: time.Now().Add(5 * time.Minute)}
		q := NewQueue(s)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); _ = q.Run(ctx) }()
		const n = 20 * 360
		for i := range n {
			q.Put(event.Event{Kind: strconv.Itoa(i)})
			time.Sleep(50 * time.Millisecond)
		}
		time.Sleep(time.Minute)
		cancel()
		<-done
		st := q.Stats()
		if st.Written != n || st.Full != 0 || st.Failed != 0 {
			t.Errorf("%+v, want %d written", st, n)
		}
		if st.Retries < 8 || st.Retries > 25 {
			t.Errorf("it was asked %d times in vain", st.Retries)
		}
		for i, kind := range s.got {
			if kind != strconv.Itoa(i) {
				t.Fatalf("event %d is %s", i, kind)
			}
		}
	})
}

type awayUntil struct {
	script
	until time.Time
}

func (a *awayUntil) Write(ctx context.Context, events []event.Event) error {
	if time.Now().Before(a.until) {
		return errors.New("no route to host")
	}
	return a.script.Write(ctx, events)
}

// TestPatience has a batch given up after 10 minutes, and the next one tried.
func TestPatience(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{answers: times(1000, errors.New("dead"))}
		began := time.Now()
		_, end, _ := play(t, s, batchSize+1, 25*time.Minute)
		if end.Failed != batchSize+1 || end.Written != 0 {
			t.Errorf("%+v", end)
		}
		if s.sizes[len(s.sizes)-1] != 1 {
			t.Error("the next batch was not tried")
		}
		if over := s.calls[len(s.calls)-1].Sub(began); over > 2*patience+linger { // the second batch waits for more
			t.Errorf("the last was tried after %s", over)
		}
	})
}

// TestRetryAfter has the server's pause kept, within bounds.
func TestRetryAfter(t *testing.T) {
	for asked, want := range map[time.Duration]time.Duration{
		0: 0, 7 * time.Second: 7 * time.Second, time.Hour: maxAfter,
	} {
		synctest.Test(t, func(t *testing.T) {
			s := &script{answers: []error{&later{asked, errors.New("busy")}}}
			play(t, s, 1, 6*time.Minute)
			if got := s.calls[1].Sub(s.calls[0]); got < want || got > want+time.Second {
				t.Errorf("asked for %s: tried again after %s", asked, got)
			}
		})
	}
}

// TestEndWhileItWaits has it tried once more at the end, instead of waiting.
func TestEndWhileItWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{answers: []error{&later{time.Minute, errors.New("busy")}}}
		_, end, took := play(t, s, 1, 5*time.Second)
		if end.Written != 1 || took != 0 {
			t.Errorf("%+v after %s", end, took)
		}
	})
}

// TestPutNeverWaits puts 100,000 events before a sink that hangs.
func TestPutNeverWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		q := NewQueue(&script{took: time.Hour})
		done := make(chan struct{})
		go func() { defer close(done); _ = q.Run(ctx) }()
		began := time.Now()
		for range 100_000 {
			q.Put(event.Event{})
		}
		if st := q.Stats(); st.Full != 100_000-room || time.Since(began) != 0 {
			t.Errorf("%+v after %s", st, time.Since(began))
		}
		cancel()
		<-done
	})
}
