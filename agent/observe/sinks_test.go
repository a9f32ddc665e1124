//go:build linux

package observe

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/plumbnet/plumb/event"
	"github.com/plumbnet/plumb/sink"
)

// TestSinks: events reach every sink; one that is dead costs the others nothing; a sink that a new configuration does not
// have writes what it was given, and what was counted stays.
func TestSinks(t *testing.T) {
	const n = 50
	dead := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusBadRequest) }))
	defer dead.Close()
	start := make(chan struct{}, 2)
	o := observer(t, kind("ticks", fake{watch: func(ctx context.Context, emit func(event.Event)) error {
		for round := 0; ; round++ {
			select {
			case <-start:
			case <-ctx.Done():
				return nil
			}
			for i := range n {
				emit(event.Event{Detail: []event.Field{{Key: "n", Value: fmt.Sprint(round, " ", i)}}})
			}
		}
	}}))
	file := filepath.Join(t.TempDir(), "events.json")
	both := Config{Events: EventsConfig{PerSecond: 1000}, Sinks: []sink.Config{{File: &sink.File{Path: file}}, {Loki: &sink.Loki{HTTP: sink.HTTP{URL: dead.URL}}}}}
	o.Apply(both)
	if o.Trouble() != "" {
		t.Fatal(o.Trouble())
	}
	count := func() int {
		text, _ := os.ReadFile(file)
		lines := strings.Split(strings.TrimSpace(string(text)), "\n")
		var e event.Event
		if len(text) == 0 || json.Unmarshal([]byte(lines[len(lines)-1]), &e) != nil {
			return 0
		}
		return len(lines)
	}
	start <- struct{}{}
	until(t, func() bool { return count() == n })
	until(t, func() bool { return own1(t, o, "agent_sink_events_total", "loki", "failed") == n })
	if s := o.Sinks(); len(s) != 2 || s[1].Lost != n || !strings.Contains(s[1].Err, "400") {
		t.Errorf("%+v", s)
	}
	start <- struct{}{}
	until(t, func() bool { return o.States()[0].Events == 2*n })
	only := both
	only.Sinks = both.Sinks[1:]
	o.Apply(only) // at once: the file's queue has its second's worth still
	if count() != 2*n || own1(t, o, "agent_sink_events_total", "file", "written") != 2*n {
		t.Errorf("%d in the file, %g counted, want %d", count(), own1(t, o, "agent_sink_events_total", "file", "written"), 2*n)
	}
	only.Sinks = []sink.Config{{File: &sink.File{Path: "/proc/nowhere/x"}}}
	only.Web.Listen = strings.TrimPrefix(dead.URL, "http://")
	o.Apply(only)
	if got := o.Trouble(); !strings.Contains(got, "sink file: ") || !strings.Contains(got, "web.listen: ") {
		t.Errorf("of a file and an address that cannot be: %q", got)
	}
}

// TestSinkEnds: while a sink that is configured no more still writes, what it has written is told.
func TestSinkEnds(t *testing.T) {
	held := make(chan struct{})
	release := sync.OnceFunc(func() { close(held) })
	var asked atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if asked.Add(1) > 1 {
			<-held
		}
		w.WriteHeader(http.StatusNoContent)
	}))
	defer server.Close()
	defer release()
	start := make(chan struct{}, 2)
	o := observer(t, kind("ticks", fake{watch: func(ctx context.Context, emit func(event.Event)) error {
		for {
			select {
			case <-start:
				emit(event.Event{})
			case <-ctx.Done():
				return nil
			}
		}
	}}))
	o.Apply(Config{Sinks: []sink.Config{{Loki: &sink.Loki{HTTP: sink.HTTP{URL: server.URL}}}}})
	start <- struct{}{}
	until(t, func() bool { return own1(t, o, "agent_sink_events_total", "loki", "written") == 1 })
	start <- struct{}{}
	until(t, func() bool { return asked.Load() == 2 })
	done := make(chan struct{})
	go func() { defer close(done); o.Apply(Config{}) }()
	until(t, func() bool { return len(o.Sinks()) == 0 })
	if n := own1(t, o, "agent_sink_events_total", "loki", "written"); n != 1 {
		t.Errorf("%g written while the sink ends", n)
	}
	release()
	<-done
	if n := own1(t, o, "agent_sink_events_total", "loki", "written"); n != 2 {
		t.Errorf("%g written after it has", n)
	}
}

// TestSinkReplaced: what happens while one that was replaced still writes goes to the new one.
func TestSinkReplaced(t *testing.T) {
	held := make(chan struct{})
	release := sync.OnceFunc(func() { close(held) })
	var asked atomic.Int32
	old := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		<-held
		w.WriteHeader(http.StatusNoContent)
	}))
	defer old.Close()
	defer release()
	next := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }))
	defer next.Close()
	start := make(chan struct{})
	o := observer(t, kind("ticks", fake{watch: func(ctx context.Context, emit func(event.Event)) error {
		for {
			select {
			case <-start:
				emit(event.Event{})
			case <-ctx.Done():
				return nil
			}
		}
	}}))
	to := func(url string) Config {
		return Config{Sinks: []sink.Config{{Loki: &sink.Loki{HTTP: sink.HTTP{URL: url}}}}}
	}
	o.Apply(to(old.URL))
	start <- struct{}{}
	until(t, func() bool { return asked.Load() == 1 })
	done := make(chan struct{})
	go func() { defer close(done); o.Apply(to(next.URL)) }()
	until(t, func() bool { o.sinks.mu.RLock(); defer o.sinks.mu.RUnlock(); return len(o.sinks.ending) == 1 })
	start <- struct{}{}
	until(t, func() bool { return o.States()[0].Events == 2 })
	release()
	<-done
	until(t, func() bool { return own1(t, o, "agent_sink_events_total", "loki", "written") == 2 })
}

// TestSinkSaid: why a sink fails is in the log, once while it does, and that it does no more.
func TestSinkSaid(t *testing.T) {
	var said bytes.Buffer
	var err error
	s := newSpoken(writes(func() error { return err }), "loki", log.New(&said, "", 0))
	for _, err = range []error{nil, errors.New("no such host"), errors.New("no such host"), nil, nil, errors.New("no such host"), nil} {
		if got := s.Write(t.Context(), nil); got != err {
			t.Error(got)
		}
	}
	if want := "sink loki: no such host\nsink loki: it is written to again\n"; said.String() != want {
		t.Errorf("%q, want %q", said.String(), want)
	}
}

type writes func() error

func (w writes) Write(context.Context, []event.Event) error { return w() }
func (w writes) Close() error                               { return nil }
