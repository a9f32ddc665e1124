package main

import (
	"os"
	"strings"
	"testing"

	"github.com/plumbnet/plumb/lab/fault"
	"github.com/plumbnet/plumb/lab/sandbox"
	"github.com/plumbnet/plumb/snapshot"
)

func TestMain(m *testing.M) { sandbox.Main(m) }

// TestRecord records a cluster with a fault by the usual commands, and reads it back.
func TestRecord(t *testing.T) {
	sandbox.Need(t)
	dir := t.TempDir()
	if err := record([]string{"--fault", "vtep-address-gone", "-o", dir}); err != nil {
		t.Fatal(err)
	}
	c, err := snapshot.Read(os.DirFS(dir))
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Nodes) != 3 || len(c.Objects.Services) != 8 || len(c.Gaps) != 0 {
		t.Errorf("%d nodes, %d Services, gaps %v", len(c.Nodes), len(c.Objects.Services), c.Gaps)
	}
	for _, n := range c.Nodes {
		if len(n.NetNS) < 3 || n.NetNS[0].Name != "host" {
			t.Errorf("%s: %d namespaces", n.Name, len(n.NetNS))
		}
	}
}

func TestBuildRefuses(t *testing.T) {
	for _, c := range []struct {
		name string
		choice
		want string
	}{
		{"no such fault", choice{fault: "gremlins"}, "no fault is named"},
		{"no such topology", choice{topology: "token-ring"}, "no topology is named"},
		{"a fault of another topology", choice{fault: "fdb-missing", topology: "hostgw"}, "does not apply"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, _, err := c.build(false)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("build: %v, want %q", err, c.want)
			}
		})
	}
}

func TestIncidents(t *testing.T) {
	for name, f := range incidents {
		if _, ok := fault.Named(f); !ok {
			t.Errorf("incident %q: no fault is named %q", name, f)
		}
	}
}
