//go:build linux

package agent

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/plumbnet/plumb/agent/observe"
	"github.com/plumbnet/plumb/collect/node"
	"github.com/plumbnet/plumb/event"
	"github.com/plumbnet/plumb/lab/sandbox"
	"github.com/plumbnet/plumb/probe"
)

// ticker tells events of two Pods, in turn.
type ticker struct{ probe.Quiet }

func (ticker) Watch(ctx context.Context, emit func(event.Event)) error {
	for i := 0; ctx.Err() == nil; i++ {
		emit(event.Event{Pod: fmt.Sprintf("shop/web-%d", i%2), Detail: []event.Field{{Key: "n", Value: fmt.Sprint(i)}}})
		time.Sleep(time.Millisecond)
	}
	return nil
}

func watching(t *testing.T) (*httptest.Server, *Server) {
	t.Helper()
	sandbox.Need(t)
	host := newNS(t, "events-host")
	o := node.Options{Node: "n", Host: host.Path, NetNS: []node.NetNS{}}
	places, err := node.NewPlaces(o)
	must(t, err)
	kind := &probe.Kind{Name: "ticks", Events: "Ticks.", Open: func(*probe.Env) (probe.Probe, error) { return ticker{}, nil }}
	none := &probe.Kind{Name: "none", Events: "None.", Open: func(*probe.Env) (probe.Probe, error) { return probe.Quiet{}, nil }}
	silent := &probe.Kind{Name: "silent", Open: none.Open}
	_, client := newAPI(t)
	quiet := log.New(io.Discard, "", 0)
	w := observe.New(observe.Options{Version: "v0", Node: "n", Kinds: []*probe.Kind{kind, none, silent}, Places: places, Log: quiet})
	t.Cleanup(w.Close)
	w.Apply(observe.Config{})
	a := New(Options{Version: "v0", Collect: o, Kube: client, Observer: w, Log: quiet})
	s := httptest.NewTLSServer(a)
	t.Cleanup(s.Close)
	return s, a
}

func request(t *testing.T, s *httptest.Server, path, token string) *http.Response {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	t.Cleanup(cancel)
	r, err := http.NewRequestWithContext(ctx, "GET", s.URL+path, nil)
	must(t, err)
	r.Header.Set("Authorization", "Bearer "+token)
	out, err := s.Client().Do(r)
	must(t, err)
	t.Cleanup(func() { out.Body.Close() })
	return out
}

func TestEventStream(t *testing.T) {
	s, a := watching(t)
	for _, tt := range []struct {
		name, query string
		want        func(event.Event) bool
	}{
		{"all", "", func(event.Event) bool { return true }},
		{"of a Pod", "?pod=shop/web-1", func(e event.Event) bool { return e.Pod == "shop/web-1" }},
		{"of a namespace and kinds", "?namespace=shop&kind=ticks,none", func(e event.Event) bool { return e.Kind == "ticks" }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			lines := bufio.NewScanner(request(t, s, "/events"+tt.query, good).Body)
			for n := 0; n < 20; {
				if !lines.Scan() {
					t.Fatalf("it ended after %d: %v", n, lines.Err())
				}
				if lines.Text() == "" {
					continue
				}
				var e event.Event
				must(t, json.Unmarshal(lines.Bytes(), &e))
				if e.Node != "n" || e.Kind != "ticks" || !tt.want(e) {
					t.Errorf("%s", lines.Text())
				}
				n++
			}
		})
	}
	quietly := request(t, s, "/events?kind=none", good)
	if line, err := bufio.NewReader(quietly.Body).ReadString('\n'); line != "\n" || err != nil {
		t.Errorf("the first line is %q, %v: a watcher does not see that it is connected", line, err)
	}
	for range maxWatchers + 1 {
		r := request(t, s, "/events?kind=none", good)
		if r.StatusCode == http.StatusTooManyRequests && r.Header.Get("Retry-After") != "" {
			return
		}
	}
	t.Errorf("%d watch, and no end", len(a.watchers))
}

// TestWhoMayWatch: metrics and events are rights of their own; a scraper's token of the API server is good for metrics alone.
func TestWhoMayWatch(t *testing.T) {
	s, _ := watching(t)
	for _, tt := range []struct {
		path, token string
		status      int
		says        string
	}{
		{"/metrics", good, 200, "plumb_agent_info"},
		{"/metrics", watch, 403, `resources: ["nodes/metrics"]`},
		{"/metrics", "scraper", 200, "plumb_agent_events_total"},
		{"/metrics", "unknown", 401, "not valid"},
		{"/events", watch, 403, `resources: ["nodes/events"]`},
		{"/events", "scraper", 401, "not valid"},
		{"/events?kind=tick", good, 400, `kind: "tick" has no events; ticks, none have`},
		{"/events?kind=ticks,silent", good, 400, `kind: "silent" has no events`},
		{"/snapshot", "scraper", 401, "not valid"},
		{"/record", watch, 403, `resources: ["nodes/events"]`},
		{"/record?since=soon", good, 400, `since: "soon"`},
		{"/record?from=noon", good, 400, `from: "noon"`},
		{"/record?pod=web-0", good, 400, `pod "web-0"`},
		{"/record?since=10m&kind=ticks&pod=shop/web-1", good, 200, ""},
		{"/record?pod=unknown", good, 200, ""},
		{"/record?pod=svc/shop/api", good, 200, ""},
		{"/record?pod=svc/shop/", good, 400, `pod "shop/"`},
		{"/episodes", good, 200, ""},
		{"/status", watch, 200, `"name":"ticks","up":true`},
	} {
		r := request(t, s, tt.path, tt.token)
		body, _ := io.ReadAll(io.LimitReader(r.Body, 1<<20))
		if r.StatusCode != tt.status || !strings.Contains(strings.ReplaceAll(string(body), ": ", ":"), strings.ReplaceAll(tt.says, ": ", ":")) {
			t.Errorf("%s by %s: %d, want %d with %q:\n%.300s", tt.path, tt.token, r.StatusCode, tt.status, tt.says, body)
		}
	}
}

// TestBlind has an agent that started with a file that is not in order: who watches is told so, and not that nothing happens.
func TestBlind(t *testing.T) {
	sandbox.Need(t)
	_, client := newAPI(t)
	w := watcher(t, "n", nil, nil)
	_, h := start(t, Options{Collect: node.Options{Node: "n"}, Kube: client, Observer: w})
	w.Refuse(errors.New("plumbd.yaml:3: probs: unknown field"))
	for path, code := range map[string]int{"/events": 503, "/record": 422, "/episodes": 422} {
		if got, body, _ := ask(t, h, "GET", path, withGood, ""); got != code || !strings.Contains(body, "nothing is watched until the configuration is in order: plumbd.yaml:3: probs") {
			t.Errorf("%s: %d %q", path, got, body)
		}
	}
	w.Apply(observe.Config{Recorder: observe.RecorderConfig{Off: true}})
	w.Refuse(errors.New("plumbd.yaml:3: probs: unknown field"))
	if got, body, _ := ask(t, h, "GET", "/record", withGood, ""); got != 422 || !strings.Contains(body, "the recorder is off") {
		t.Errorf("where an older one runs: %d %q", got, body)
	}
}
