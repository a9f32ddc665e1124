//go:build linux

package soak

import (
	"bytes"
	"context"
	"errors"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/plumbnet/plumb/lab/sandbox"
)

// The first thread is the test's own: one that has been in another namespace must be able to end.
func init() { runtime.LockOSThread() }

func TestMain(m *testing.M) { sandbox.Main(m) }

// TestShort runs parts that take little, for seconds each.
func TestShort(t *testing.T) {
	sandbox.Need(t)
	plumbd := filepath.Join(t.TempDir(), "plumbd")
	if out, err := exec.Command("go", "build", "-o", plumbd, "github.com/plumbnet/plumb/cmd/plumbd").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var said bytes.Buffer
	results, err := Run(t.Context(), Options{Plumbd: plumbd, Short: true, Log: &said}, "kill", "loki", "churn")
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range results {
		t.Logf("%s: %s; %d scrapes, %d MiB, %v", r.Name, r.Came, r.Scrapes, r.Peak>>20, r.Took.Round(time.Millisecond))
		if r.Err != nil {
			t.Errorf("%s: %v", r.Name, r.Err)
		}
	}
	if len(results) != 3 {
		t.Errorf("%d results\n%s", len(results), &said)
	}
}

func TestUnknown(t *testing.T) {
	sandbox.Need(t)
	if _, err := Run(context.Background(), Options{}, "sleep"); err == nil || !strings.Contains(err.Error(), `"sleep"`) {
		t.Error(err)
	}
}

func TestDoc(t *testing.T) {
	var b bytes.Buffer
	Doc(&b, time.Now(), "1.5", []Result{
		{Part: Part{Name: "kill", Does: "kill -9"}, Came: "2 times", Scrapes: 3, Peak: 5 << 20},
		{Part: Part{Name: "disk", Does: "no room"}, Came: "a|b", Err: errors.New("one\ntwo")},
	})
	for _, want := range []string{"| `kill` | kill -9 | 2 times | 3 | 5 MiB | ✓ |\n", "| `disk` | no room | a\\|b: one two | 0 | 0 MiB | ✗ |\n", " cores, "} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, &b)
		}
	}
}

func TestParse(t *testing.T) {
	m, err := parse("# TYPE a counter\na_total{pod=\"x y\",r=\"1\"} 3\na_total{pod=\"z\",r=\"1\"} 4\nb{x=\"1\"} 2e3\n")
	if err != nil || m.sum("a_total") != 7 || m.sum("a_total", `pod="z"`) != 4 || m.sum("b") != 2000 || m.sum("c") != 0 {
		t.Error(m, err)
	}
	if _, err := parse("a_total{} x\n"); err == nil {
		t.Error("what is no number is taken")
	}
	for series, want := range map[string]bool{`a_total{x="1"}`: true, `a_bucket{le="1"}`: true, `a_bytes{x="_total"}`: false} {
		if counts(series) != want {
			t.Error(series)
		}
	}
}
