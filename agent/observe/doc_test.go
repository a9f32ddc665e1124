//go:build linux

package observe

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/plumbnet/plumb/probe"
	"github.com/plumbnet/plumb/probe/all"
)

// TestGenerated compares doc/probes.md with what the probes say of themselves. UPDATE=1 writes it.
func TestGenerated(t *testing.T) {
	const name = "../../doc/probes.md"
	text := doc(all.Kinds)
	if os.Getenv("UPDATE") != "" {
		if err := os.WriteFile(name, text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(text)); diff != "" {
		t.Errorf("%s (-is +should be; \"make generate\" writes it):\n%s", name, diff)
	}
}

func doc(kinds []*probe.Kind) []byte {
	var b bytes.Buffer
	b.WriteString("# Probes\n\nGenerated from the Doc and Stat values in `probe/`. `plumbd probes` says which of them run on a kernel.\n\n")
	fmt.Fprintf(&b, "Every metric is named %s…, and has the label `node` and those of the configuration's `labels`. A Pod's have `namespace` and `pod`, "+
		"both empty for the node's own network; `namespace` is empty for a network namespace that is no Pod's. "+
		"A metric has at most %d series; what is beyond is summed up in one whose labels say `%s`.\n\n| probe | what | from | cost |\n|---|---|---|---|\n", "`"+Prefix+"`", maxSeries, overflowing)
	for _, k := range kinds {
		title, _, _ := strings.Cut(k.Doc, "\n")
		if k.Off {
			title += " (where it is turned on)"
		}
		fmt.Fprintf(&b, "| [`%s`](#%s) | %s | `%s` | %s |\n", k.Name, k.Name, title, k.Source, k.Cost)
	}
	for _, k := range kinds {
		title, more, _ := strings.Cut(k.Doc, "\n\n")
		fmt.Fprintf(&b, "\n## %s\n\n%s\n\n%s\n\n", k.Name, strings.ToUpper(title[:1])+title[1:]+".", more)
		for _, f := range k.Needs {
			fmt.Fprintf(&b, "Needs %s.\n\n", f.Name)
		}
		if k.Threshold > 0 {
			fmt.Fprintf(&b, "Threshold: %v, in the configuration `probes.threshold.%s`.\n\n", k.Threshold, k.Name)
		}
		if k.Events != "" {
			fmt.Fprintf(&b, "Events: %s\n\n", k.Events)
		}
		metrics(&b, k.Stats)
	}
	b.WriteString("\n## The agent itself\n\n")
	metrics(&b, Own)
	return b.Bytes()
}

func metrics(b *bytes.Buffer, stats []*probe.Stat) {
	if len(stats) == 0 {
		return
	}
	b.WriteString("| metric | type | labels | what |\n|---|---|---|---|\n")
	for _, s := range stats {
		labels := s.Labels
		if !s.Node {
			labels = append([]string{"namespace", "pod"}, labels...)
		}
		fmt.Fprintf(b, "| `%s%s` | %s | %s | %s |\n", Prefix, s.Name, strings.ToLower(types[s.Type].String()), strings.Join(labels, ", "), s.Help)
	}
}
