//go:build linux

package observe_test

import (
	"bytes"
	"os"
	"testing"
	"time"

	"github.com/plumbnet/plumb/lab/sandbox"
	"github.com/plumbnet/plumb/lab/soak"
)

// TestClock has the clock be set under plumbd itself.
func TestClock(t *testing.T) {
	plumbd := os.Getenv("PLUMB_CLOCK")
	if plumbd == "" {
		t.Skip("others go by this machine's clock: lab/kernels has machines with one of their own")
	}
	sandbox.Need(t)
	var said bytes.Buffer
	results, err := soak.Run(t.Context(), soak.Options{Plumbd: plumbd, Log: &said}, "clock")
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range results {
		t.Logf("%s; %d scrapes, %d MiB, %v", r.Came, r.Scrapes, r.Peak>>20, r.Took.Round(time.Second))
		if r.Err != nil {
			t.Errorf("%v; what was said:\n%s", r.Err, &said)
		}
	}
	if len(results) != 1 {
		t.Errorf("%d results: %s", len(results), &said)
	}
}
