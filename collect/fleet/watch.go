package fleet

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/plumbnet/plumb/collect/kube"
	"github.com/plumbnet/plumb/event"
)

const (
	firstPause  = time.Second // until a node that went silent is asked again; each time twice as long
	longestWait = 30 * time.Second
	silence     = 40 * time.Second // of an agent, which sends an empty line every 15 s
	maxEvent    = 64 << 10         // bytes
)

// RenewTime lies between two looks which nodes there are, by who goes on asking.
const RenewTime = time.Minute

// ErrNoWatch means that an agent does not watch its node.
var ErrNoWatch = errors.New("plumbd there does not watch its node: it runs without --config")

// A Watch is what the events of many agents are followed with. Its functions are called one at a time.
type Watch struct {
	Query url.Values                     // what the agents are asked for
	Tell  func(event.Event)              // is called for each event
	State func(node string, err error)   // is called when a node is heard, with nil, or is not, with the reason where that is a new one
	Renew func(context.Context) []string // if not nil, returns the nodes that there are by then, each minute

	mu sync.Mutex
}

// Watch follows what the agents of nodes see happen until ctx ends, or none of them watches. One that is not heard is asked again,
// unless it refuses what is asked, or half a minute later there is none on that node.
func (f *Fleet) Watch(ctx context.Context, nodes []string, w *Watch) {
	known, running := map[string]bool{}, 0
	type end struct {
		node  string
		again bool // there may be an agent later
	}
	ended := make(chan end)
	follow := func(nodes []string) {
		for _, node := range nodes {
			if !known[node] {
				known[node] = true
				running++
				go func() { ended <- end{node, f.keep(ctx, node, w)} }()
			}
		}
	}
	follow(nodes)
	renew := time.NewTicker(RenewTime)
	defer renew.Stop()
	for running > 0 {
		select {
		case e := <-ended:
			running--
			known[e.node] = !e.again
		case <-renew.C:
			if w.Renew != nil && ctx.Err() == nil {
				follow(w.Renew(ctx))
			}
		}
	}
}

// keep follows one node until ctx ends or its agent does not watch, or, which it reports, there is none.
func (f *Fleet) keep(ctx context.Context, node string, w *Watch) (gone bool) {
	said := ""
	state := func(err error) {
		w.mu.Lock()
		defer w.mu.Unlock()
		if why := fmt.Sprint(err); why != said {
			said = why
			w.State(node, err)
		}
	}
	for pause := firstPause; ctx.Err() == nil; pause = min(2*pause, longestWait) {
		err := f.follow(ctx, node, w.Query, func(e event.Event) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.Tell(e)
		}, func() {
			pause = firstPause
			state(nil)
		})
		if ctx.Err() != nil {
			break
		}
		state(err)
		if said := (*kube.StatusError)(nil); errors.Is(err, ErrNoWatch) || errors.As(err, &said) && said.Agent && said.Code == http.StatusBadRequest {
			break
		}
		if errors.Is(err, ErrNoAgent) && pause == longestWait {
			return true
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
	return false
}

// follow reads the events of one node until they end, which they do not without an error.
func (f *Fleet) follow(ctx context.Context, node string, query url.Values, tell func(event.Event), heard func()) error {
	body, err := f.Recorded(ctx, node, "events", query)
	if err != nil {
		return err
	}
	defer body.Close()
	lines := bufio.NewScanner(body)
	lines.Buffer(nil, maxEvent)
	for first := true; lines.Scan(); first = false {
		if first {
			heard()
		}
		if len(lines.Bytes()) == 0 {
			continue
		}
		var e event.Event
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			return err
		}
		e.Node = node // whatever it says
		tell(e)
	}
	if err := lines.Err(); err != nil {
		return err
	}
	return io.ErrUnexpectedEOF
}

// Recorded returns what the agent of a node tells of what it watches: its "record", "episodes" or "status". The caller closes it. It ends with an
// error where nothing is heard for 40 s: a node that is away does not say so.
func (f *Fleet) Recorded(ctx context.Context, node, what string, query url.Values) (io.ReadCloser, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	a := &hearing{ctx: ctx, end: cancel, quiet: time.AfterFunc(silence, func() { cancel(fmt.Errorf("nothing was heard for %v", silence)) })}
	var err error
	a.ReadCloser, err = f.Ask(ctx, node, http.MethodGet, what, query, nil)
	if err == nil {
		return a, nil
	}
	err = cause(ctx, err)
	a.quiet.Stop()
	cancel(nil)
	if s := (*kube.StatusError)(nil); errors.As(err, &s) && s.Agent && s.Code == http.StatusNotFound {
		return nil, ErrNoWatch
	}
	return nil, err
}

// A hearing ends where nothing of it is heard for long.
type hearing struct {
	io.ReadCloser
	ctx   context.Context
	end   context.CancelCauseFunc
	quiet *time.Timer
}

// Read reads what was heard.
func (a *hearing) Read(p []byte) (int, error) {
	n, err := a.ReadCloser.Read(p)
	a.quiet.Reset(silence)
	if err != nil && err != io.EOF {
		err = cause(a.ctx, err)
	}
	return n, err
}

// Close hears no more.
func (a *hearing) Close() error {
	a.quiet.Stop()
	a.end(nil)
	return a.ReadCloser.Close()
}
