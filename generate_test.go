package plumb

import (
	"bytes"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/plumbnet/plumb/check/all"
	"github.com/plumbnet/plumb/report"
)

// TestGenerated compares the generated documents with what they are generated from. UPDATE=1 writes them.
func TestGenerated(t *testing.T) {
	var b bytes.Buffer
	if err := report.ChecksDoc(&b, all.Checks); err != nil {
		t.Fatal(err)
	}
	const name = "doc/checks.md"
	if os.Getenv("UPDATE") != "" {
		if err := os.WriteFile(name, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), b.String()); diff != "" {
		t.Errorf("%s (-is +should be; \"make generate\" writes it):\n%s", name, diff)
	}
}
