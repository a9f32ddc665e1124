//go:build linux

// Package agent is plumbd, the node daemon: it answers over HTTPS for the state of its node, and sends
// probes from it. Every request is authenticated and authorised by the API server, or, where an agent
// runs for one question, by the one token that it was started for. It reads and it sends probes; it
// changes nothing on the node, and runs no program but those that print netfilter's rules.
package agent

import (
	"cmp"
	"errors"
	"fmt"
	"log"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/plumbnet/plumb/agent/observe"
	"github.com/plumbnet/plumb/collect/kube"
	"github.com/plumbnet/plumb/collect/node"
	"golang.org/x/time/rate"
)

// Options say what an agent is for.
type Options struct {
	Version  string
	Collect  node.Options      // the node; its name is what rights are asked for
	Kube     *kube.Client      // tells who a caller is, and what he may
	Observer *observe.Observer // what watches the node; nil for an agent that does not
	RunToken []byte            // where not nil: the SHA-256 of the one token that may do everything. Kube is not asked then
	Log      *log.Logger
}

// A Server is an agent. It is an [http.Handler], of requests that came by TLS.
type Server struct {
	o       Options
	guard   *guard
	work    *work
	probes  chan struct{}
	probing atomic.Int32
	asked   atomic.Int64 // for counters, so far
	started time.Time
	routes  map[string]route

	scrapes  http.Handler
	watchers chan struct{}
	freezes  *rate.Limiter
}

// A route is what can be asked for, and the right that it takes.
type route struct {
	method string
	right  right
	serve  http.HandlerFunc
}

// maxProbes is how many probes are sent at once. Each holds a thread for up to 30 s.
const maxProbes = 16

// New makes an agent.
func New(o Options) *Server {
	s := &Server{o: o, work: newWork(), probes: make(chan struct{}, maxProbes), watchers: make(chan struct{}, maxWatchers), freezes: newFreezes(), started: time.Now()}
	s.guard = newGuard(o.Collect.Node, o.Kube, o.RunToken)
	s.routes = map[string]route{
		"/snapshot": {http.MethodGet, right{"get", "snapshot"}, s.snapshot},
		"/probe":    {http.MethodPost, right{"create", "probe"}, s.probe},
		"/status":   {http.MethodGet, right{"get", "status"}, s.status},
		"/healthz":  {http.MethodGet, right{"get", "status"}, s.healthz},
	}
	if o.Observer != nil {
		s.scrapes = o.Observer.Metrics()
		s.routes["/metrics"] = route{http.MethodGet, right{"get", "metrics"}, s.metrics}
		s.routes["/events"] = route{http.MethodGet, right{"get", "events"}, s.events}
		s.routes["/record"] = route{http.MethodGet, right{"get", "events"}, s.record}
		s.routes["/episodes"] = route{http.MethodGet, right{"get", "events"}, s.episodes}
		s.routes["/pprof"] = route{http.MethodGet, right{"get", "pprof"}, s.pprof}
		s.routes["/freeze"] = route{http.MethodPost, right{"create", "episodes"}, s.freeze}
	}
	return s
}

// bodyTime is how long the body of a request may take.
const bodyTime = 10 * time.Second

// ServeHTTP answers one request. Who may not ask does not learn what there is to ask for.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set(kube.AgentHeader, cmp.Or(s.o.Version, "unknown"))
	w.Header().Set("X-Content-Type-Options", "nosniff")
	if r.TLS == nil {
		fail(w, refuse(http.StatusBadRequest, "plumbd speaks HTTPS only"))
		return
	}
	if r.ContentLength != 0 {
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyTime)) // a test's recorder has none
	}
	rt, known := s.routes[r.URL.Path]
	if !known {
		rt.right = right{"get", "status"}
	}
	user, err := s.guard.check(r.Context(), bearer(r), rt.right)
	switch {
	case err != nil:
	case !known:
		err = refuse(http.StatusNotFound, "no such thing: %s", strings.Join(slices.Sorted(maps.Keys(s.routes)), ", "))
	case r.Method != rt.method:
		w.Header().Set("Allow", rt.method)
		err = refuse(http.StatusMethodNotAllowed, "use %s", rt.method)
	}
	if err != nil {
		fail(w, err)
		return
	}
	if rt.right.what != "status" && rt.right.what != "metrics" {
		s.o.Log.Printf("%s %q for %q", r.Method, r.URL.RequestURI(), user)
	}
	rt.serve(w, r)
}

// bearer returns the token of a request: of the header that passes the API server's proxy, or of the usual one.
func bearer(r *http.Request) string {
	for _, name := range []string{kube.TokenHeader, "Authorization"} {
		if scheme, token, ok := strings.Cut(r.Header.Get(name), " "); ok && strings.EqualFold(scheme, "Bearer") {
			return strings.TrimSpace(token)
		}
	}
	return ""
}

// A refusal is an answer that is not the one asked for.
type refusal struct {
	code int // of HTTP
	why  string
}

func (r *refusal) Error() string { return r.why }

func refuse(code int, format string, args ...any) error {
	return &refusal{code, fmt.Sprintf(format, args...)}
}

// fail writes an error as the answer.
func fail(w http.ResponseWriter, err error) {
	code := http.StatusInternalServerError
	if r := (*refusal)(nil); errors.As(err, &r) {
		code = r.code
	}
	switch code {
	case http.StatusUnauthorized:
		w.Header().Set("WWW-Authenticate", "Bearer")
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		w.Header().Set("Retry-After", strconv.Itoa(retryAfter))
	}
	http.Error(w, err.Error(), code)
}

// retryAfter is when who was turned away for want of room may come again, in seconds: a collection takes one or two.
const retryAfter = 2

func (s *Server) healthz(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") }
