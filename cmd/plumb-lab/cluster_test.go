//go:build linux

package main

import (
	"errors"
	"os"
	"strings"
	"testing"
)

func TestClusterRefuses(t *testing.T) {
	empty := t.TempDir()
	for _, c := range []struct{ name, args, want string }{
		{"no verb", "", "usage: plumb-lab cluster"},
		{"no such verb", "sideways", "usage: plumb-lab cluster"},
		{"no such flag", "down --sideways", "usage: plumb-lab cluster"},
		{"too much", "up now", "usage: plumb-lab cluster"},
		{"no such mode", "up --proxy ipvs --dir " + empty, "no mode"},
		{"no such node", "up --proxy node-z=nftables --dir " + empty, "no such node"},
		{"no such back end", "up --backend ipip --dir " + empty, "no back end"},
		{"no such enforcer", "up --policy=others --dir " + empty, "no enforcers of policies"},
		{"an enforcer on no node", "up --policy=own=node-a,node-z --dir " + empty, "no such node"},
		{"a wire at no node", "wire", "usage: plumb-lab cluster"},
		{"a wire of no kind", "wire --dir " + empty + " node-a --speed 1", "usage: plumb-lab cluster"},
		{"a wire that is none", "wire --dir " + empty + " node-a --off --delay 1ms", "usage: plumb-lab cluster"},
		{"a wire in nothing", "wire --dir " + empty + " node-a --delay 1ms", "no cluster is up"},
		{"nothing to take down", "down --dir " + empty, "no rack in"},
		{"nothing is up", "status --dir " + empty, "no cluster is up"},
		{"nothing to enter", "exec --dir " + empty + " node-a -- true", "nothing is up"},
		{"nothing to break", "fault --dir " + empty + " forward-drop", "no cluster is up"},
		{"no such fault", "fault --dir " + empty + " sunshine", "no fault is named"},
		{"no fault is named", "fault --dir " + empty, "usage: plumb-lab cluster"},
		{"nothing to heal", "heal --dir " + empty, "no cluster is up"},
		{"too much to list", "faults all", "usage: plumb-lab cluster"},
		{"no command", "exec --dir " + empty + " node-a --", "want a machine and a command"},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := clusterVerb(strings.Fields(c.args))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q", err, c.want)
			}
			if usage := strings.HasPrefix(c.want, "usage"); errors.Is(err, errClusterUsage) != usage {
				t.Errorf("a matter of usage: %v", !usage)
			}
		})
	}
	if entries, _ := os.ReadDir(empty); len(entries) > 0 {
		t.Errorf("%v was made all the same", entries)
	}
}
