//go:build linux

package cluster

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestEnforcers(t *testing.T) {
	nodes := nodeNames(3)
	for _, c := range []struct {
		wanted  string
		on, own []string
		err     string
	}{
		{"", nil, nil, ""},
		{"all", nodes, nil, ""},
		{"own", []string{"node-b", "node-c"}, []string{"node-b", "node-c"}, ""},
		{"own=node-c", []string{"node-c"}, []string{"node-c"}, ""},
		{"own=node-a,node-d", nil, nil, "no such node"},
		{"own=", nil, nil, "no such node"},
		{"others", nil, nil, "want all, own"},
		{"all=node-a", nil, nil, "want all, own"},
	} {
		t.Run(c.wanted, func(t *testing.T) {
			on, own, err := enforcers(nodes, c.wanted)
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) {
					t.Errorf("%v, want %q", err, c.err)
				}
				return
			}
			if err != nil || !cmp.Equal(on, c.on) || !cmp.Equal(own, c.own) {
				t.Errorf("%v, %v, %v", on, own, err)
			}
		})
	}
	if _, _, err := enforcers(nodes[:1], "own"); err == nil {
		t.Error("a cluster of one node has no others")
	}
}
