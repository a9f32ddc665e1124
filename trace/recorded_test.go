package trace_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/plumbnet/plumb/network"
	"github.com/plumbnet/plumb/snapshot"
	"github.com/plumbnet/plumb/trace"
	"golang.org/x/tools/txtar"
)

// TestRecorded follows the packets of the recorded namespaces; what became of
// them in the kernel is what became of them in the model when they were recorded.
func TestRecorded(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no fixtures: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			n, want := load(t, file)
			for _, line := range strings.Split(strings.TrimSpace(want), "\n") {
				ask, _, _ := strings.Cut(line, ": ")
				got := ask + ": " + summary(trace.Run(n, parseProbe(n, ask)))
				if diff := cmp.Diff(line, got); diff != "" {
					t.Error(diff)
				}
			}
		})
	}
}

func load(t testing.TB, file string) (*network.Network, string) {
	t.Helper()
	a, err := txtar.ParseFile(file)
	if err != nil {
		t.Fatal(err)
	}
	files, want := snapshot.Files{}, ""
	for _, f := range a.Files {
		if f.Name == "want" {
			want = string(f.Data)
			continue
		}
		files[f.Name] = f.Data
	}
	c, err := snapshot.Read(files)
	if err != nil {
		t.Fatal(err)
	}
	return network.New(c), want
}
