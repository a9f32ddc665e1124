//go:build linux

package agent

import (
	"net/http"
	"runtime/pprof"
	"strconv"
	"time"
)

// maxProfile is how long the CPU may be profiled, in seconds.
const maxProfile = 60

// pprof sends a profile of the agent itself, in the format of go tool pprof: the one that the query names (heap,
// allocs, goroutine, mutex, block, threadcreate), or that of the CPU for so many seconds.
func (s *Server) pprof(w http.ResponseWriter, r *http.Request) {
	if !s.o.Observer.Pprof() {
		fail(w, refuse(http.StatusNotFound, "pprof is off: the configuration does not have it"))
		return
	}
	q := r.URL.Query()
	if name := q.Get("profile"); name != "cpu" {
		p := pprof.Lookup(name)
		if p == nil {
			fail(w, refuse(http.StatusBadRequest, "profile: %q: want cpu, heap, allocs or goroutine", name))
			return
		}
		_ = p.WriteTo(w, 0) // who asked may be gone
		return
	}
	n, err := strconv.Atoi(q.Get("seconds"))
	if err != nil || n < 1 || n > maxProfile {
		fail(w, refuse(http.StatusBadRequest, "seconds: %q: want 1 to %d", q.Get("seconds"), maxProfile))
		return
	}
	if err := pprof.StartCPUProfile(w); err != nil {
		fail(w, refuse(http.StatusTooManyRequests, "%v", err))
		return
	}
	defer pprof.StopCPUProfile()
	select {
	case <-time.After(time.Duration(n) * time.Second):
	case <-r.Context().Done():
	}
}
