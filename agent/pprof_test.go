//go:build linux

package agent

import (
	"strings"
	"testing"

	"github.com/plumbnet/plumb/agent/observe"
	"github.com/plumbnet/plumb/collect/node"
	"github.com/plumbnet/plumb/lab/sandbox"
)

// TestPprof wants profiles for those alone who have the right, and where they were asked for alone.
func TestPprof(t *testing.T) {
	sandbox.Need(t)
	_, client := newAPI(t)
	w := watcher(t, "n", nil, nil)
	_, h := start(t, Options{Collect: node.Options{Node: "n"}, Kube: client, Observer: w})
	w.Apply(observe.Config{Recorder: observe.RecorderConfig{Off: true}})
	if code, body, _ := ask(t, h, "GET", "/pprof?profile=heap", withGood, ""); code != 404 || !strings.Contains(body, "pprof is off") {
		t.Errorf("%d %q", code, body)
	}
	w.Apply(observe.Config{Recorder: observe.RecorderConfig{Off: true}, Pprof: true})
	for _, tt := range []struct {
		query, header string
		code          int
		says          string
	}{
		{"profile=heap", "Authorization: Bearer " + watch, 403, `resources: ["nodes/pprof"], verbs: ["get"]`},
		{"profile=heap", "", 401, "no bearer token"},
		{"profile=heap", withGood, 200, "\x1f\x8b"},
		{"profile=goroutine", withGood, 200, "\x1f\x8b"},
		{"profile=cpu&seconds=1", withGood, 200, "\x1f\x8b"},
		{"profile=cpu", withGood, 400, "want 1 to 60"},
		{"profile=cpu&seconds=3600", withGood, 400, "want 1 to 60"},
		{"profile=cmdline", withGood, 400, "want cpu, heap"},
		{"", withGood, 400, "want cpu, heap"},
	} {
		code, body, _ := ask(t, h, "GET", "/pprof?"+tt.query, tt.header, "")
		if code != tt.code || !strings.Contains(body, tt.says) {
			t.Errorf("%s: %d %.100q; want %d, %q", tt.query, code, body, tt.code, tt.says)
		}
	}
}
