package diagnose

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/plumbnet/plumb/check"
	"github.com/plumbnet/plumb/check/all"
	"github.com/plumbnet/plumb/snapshot"
	"golang.org/x/tools/txtar"
)

// A recording is one of the checks' recorded cases that asks about a path.
type recording struct {
	name    string
	fault   string // the name of the fault, without "-healthy" and "-gap"
	variant string // "fault", "healthy" or "gap"
	cluster *snapshot.Cluster
	ask     Ask
}

// recordings reads them all.
func recordings(t *testing.T) []recording {
	t.Helper()
	files, err := filepath.Glob("../check/*/testdata/*.txtar")
	if err != nil || len(files) < 50 {
		t.Fatalf("%d recorded cases, %v", len(files), err)
	}
	var out []recording
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		a := txtar.Parse(data)
		i := slices.IndexFunc(a.Files, func(f txtar.File) bool { return f.Name == "query" })
		if i < 0 {
			continue
		}
		fsys, err := txtar.FS(a)
		if err != nil {
			t.Fatal(err)
		}
		c, err := snapshot.Read(fsys)
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		r := recording{name: filepath.Base(file), cluster: c, variant: "fault", fault: strings.TrimSuffix(filepath.Base(file), ".txtar")}
		for _, v := range []string{"healthy", "gap"} {
			if base, ok := strings.CutSuffix(r.fault, "-"+v); ok {
				r.fault, r.variant = base, v
			}
		}
		for line := range strings.Lines(string(a.Files[i].Data)) {
			key, value, _ := strings.Cut(strings.TrimSpace(line), " ")
			switch key {
			case "from":
				r.ask.Src = value
			case "to":
				r.ask.Dst = value
			case "proto":
				r.ask.Proto = value
			}
		}
		out = append(out, r)
	}
	return out
}

// TestRecorded diagnoses every recorded path: where a fault was injected, it does not all
// work; on the healthy twin, nothing is broken; where evidence is absent, nothing is called
// fine that rests on it.
func TestRecorded(t *testing.T) {
	count := map[string]int{}
	for _, r := range recordings(t) {
		t.Run(r.name, func(t *testing.T) {
			got, err := Run(r.cluster, r.ask, all.Checks...)
			if err != nil {
				t.Fatal(err)
			}
			count[r.variant]++
			if got.Summary.IsZero() {
				t.Error("no summary")
			}
			worst, onPath := check.Info, check.Info
			for _, f := range got.Checks.Findings {
				worst = max(worst, f.Severity)
				if f.OnPath { // the recordings are cut down: off the path, objects are missing
					onPath = max(onPath, f.Severity)
				}
			}
			switch r.variant {
			case "fault":
				if got.Verdict == Works && worst == check.Info {
					t.Errorf("nothing is found: %s", got.Summary)
				}
			case "healthy":
				if got.Verdict == Broken || got.Verdict == Partly || onPath > check.Info {
					t.Errorf("a false alarm: %v: %s; %v", got.Verdict, got.Summary, got.Checks.Findings)
				}
			case "gap":
				if got.Verdict == CannotTell && len(got.Needs)+len(got.Checks.Unjudged) == 0 {
					t.Error("cannot tell, and does not say what was missing")
				}
			}
		})
	}
	for _, v := range slices.Sorted(maps.Keys(count)) {
		if count[v] < 20 {
			t.Errorf("%d cases of kind %s: some are missing", count[v], v)
		}
	}
}
