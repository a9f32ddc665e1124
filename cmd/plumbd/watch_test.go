//go:build linux

package main

import (
	"io"
	"strings"
	"testing"

	"github.com/plumbnet/plumb/agent"
	"github.com/plumbnet/plumb/collect/kube"
)

// TestPeers wants other nodes to be asked for where the flag says so and there is an API server, on the port that this agent has.
func TestPeers(t *testing.T) {
	in, out := &agent.Options{Kube: &kube.Client{}}, &agent.Options{}
	for _, tt := range []struct {
		name   string
		a      *agent.Options
		args   string
		want   bool
		refuse string
	}{
		{"asked for", in, "--config x --peers", true, ""},
		{"on another port", in, "--config x --peers --listen 127.0.0.1:1234", true, ""},
		{"not asked for", in, "--config x", false, ""},
		{"outside of Kubernetes", out, "--config x --peers", false, ""},
		{"no port", in, "--config x --peers --listen localhost", false, "--listen: "},
		{"a port by name", in, "--config x --peers --listen :https", false, "--listen: "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o, err := parse(strings.Fields(tt.args), io.Discard)
			must(t, err)
			p, err := newPeers(tt.a, o)
			if (p != nil) != tt.want || (err != nil) != (tt.refuse != "") || err != nil && !strings.Contains(err.Error(), tt.refuse) {
				t.Errorf("%v, %v", p != nil, err)
			}
		})
	}
}
