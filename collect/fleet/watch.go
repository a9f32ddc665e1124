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

// ErrNoWatch means that an agent does not watch its node.
var ErrNoWatch = errors.New("plumbd there does not watch its node: it runs without --config")

// Watch follows what agents see happen until ctx ends, or none of them watches. It calls tell for each event, and state
// when a node is heard, with nil, or not heard, with the reason; it is asked again then, unless what was asked is what it refuses. Both are called by one goroutine at a time.
func (f *Fleet) Watch(ctx context.Context, nodes []string, query url.Values, tell func(event.Event), state func(node string, err error)) {
	var mu sync.Mutex
	var wg sync.WaitGroup
	for _, node := range nodes {
		wg.Go(func() {
			for pause := firstPause; ctx.Err() == nil; pause = min(2*pause, longestWait) {
				err := f.follow(ctx, node, query, func(e event.Event) {
					mu.Lock()
					defer mu.Unlock()
					tell(e)
				}, func() {
					pause = firstPause
					mu.Lock()
					defer mu.Unlock()
					state(node, nil)
				})
				if ctx.Err() != nil {
					return
				}
				mu.Lock()
				state(node, err)
				mu.Unlock()
				if said := (*kube.StatusError)(nil); errors.Is(err, ErrNoWatch) || errors.As(err, &said) && said.Agent && said.Code == http.StatusBadRequest {
					return
				}
				select {
				case <-ctx.Done():
				case <-time.After(pause):
				}
			}
		})
	}
	wg.Wait()
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

// Metrics returns what the agent of a node answers to a scrape, which the caller closes.
func (f *Fleet) Metrics(ctx context.Context, node string) (io.ReadCloser, error) {
	return f.Recorded(ctx, node, "metrics", nil)
}

// Recorded returns what the agent of a node tells of what it watched: its "record" or its "episodes". The caller closes it. It ends with an
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
