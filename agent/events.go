//go:build linux

package agent

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/plumbnet/plumb/event"
)

const (
	maxWatchers   = 16               // at once
	watchBuffer   = 1024             // events that a watcher may be behind
	heartbeat     = 15 * time.Second // an empty line, so that nothing between ends a stream that is silent
	watchDeadline = 10 * time.Second // for a watcher to take a line
)

// metrics answers a scrape.
func (s *Server) metrics(w http.ResponseWriter, r *http.Request) { s.scrapes.ServeHTTP(w, r) }

// events sends what happens from now on, an event a line, until the watcher goes: those of the kinds, namespace and Pod
// that the query names.
func (s *Server) events(w http.ResponseWriter, r *http.Request) {
	if err := s.o.Observer.Blind(); err != nil {
		fail(w, refuse(http.StatusServiceUnavailable, "%v", err))
		return
	}
	want, err := s.filter(r)
	if err != nil {
		fail(w, err)
		return
	}
	select {
	case s.watchers <- struct{}{}:
		defer func() { <-s.watchers }()
	default:
		fail(w, refuse(http.StatusTooManyRequests, "more than %d watch already", maxWatchers))
		return
	}
	sub := s.o.Observer.Subscribe(watchBuffer)
	defer s.o.Observer.Leave(sub)
	control := http.NewResponseController(w)
	w.Header().Set("Content-Type", "application/x-ndjson")
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	line := []byte{'\n'} // at once: the watcher sees that it is connected
	for {
		_ = control.SetWriteDeadline(time.Now().Add(watchDeadline))
		if _, err := w.Write(line); err != nil || control.Flush() != nil {
			return
		}
		line = []byte{'\n'}
		for next := false; !next; {
			select {
			case <-r.Context().Done():
				return
			case <-beat.C:
				next = true
			case e := <-sub.C:
				if next = want(e); next {
					data, err := json.Marshal(e)
					next = err == nil
					line = append(data, '\n')
				}
			}
		}
	}
}

// filter returns what the query asks for: kind=a,b, namespace=shop, pod=shop/web-0. A kind of which there will never be one it refuses:
// who misspelt it would take the silence for health.
func (s *Server) filter(r *http.Request) (func(event.Event) bool, error) {
	q, all := r.URL.Query(), s.o.Observer.Kinds()
	var kinds []string
	if k := q.Get("kind"); k != "" {
		kinds = strings.Split(k, ",")
	}
	for _, k := range kinds {
		if !slices.Contains(all, k) {
			return nil, refuse(http.StatusBadRequest, "kind: %q has no events; %s have", k, strings.Join(all, ", "))
		}
	}
	namespace, pod := q.Get("namespace"), q.Get("pod")
	return func(e event.Event) bool {
		of, _ := event.Split(e.Pod)
		return (kinds == nil || slices.Contains(kinds, e.Kind)) &&
			(pod == "" || e.Pod == pod || e.Peer == pod) && (namespace == "" || of == namespace || event.NamespaceOf(e.Peer) == namespace)
	}, nil
}
