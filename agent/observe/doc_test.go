//go:build linux

package observe

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
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

// TestDocumented reads the configuration that doc/agent.md shows: it is in order, and no key is missing in it.
func TestDocumented(t *testing.T) {
	text, err := os.ReadFile("../../doc/agent.md")
	if err != nil {
		t.Fatal(err)
	}
	_, text, ok := bytes.Cut(text, []byte("```yaml\nlabels:"))
	text, _, end := bytes.Cut(text, []byte("```"))
	if !ok || !end {
		t.Fatal("no configuration")
	}
	text = append([]byte("labels:"), text...)
	web := filepath.Join(t.TempDir(), "web.yaml")
	if err := os.WriteFile(web, []byte(users), 0o600); err != nil {
		t.Fatal(err)
	}
	slow := kind("dns", fake{})
	all := append([]*probe.Kind{slow}, all.Kinds...) // the first of a name counts
	if _, err := ReadConfig("agent.md", bytes.ReplaceAll(text, []byte("/etc/plumbd/web.yaml"), []byte(web)), all); err != nil {
		t.Error(err)
	}
	for _, key := range keys(reflect.TypeFor[Config]()) {
		if !regexp.MustCompile(`(?m)[-{ ,]` + key + `:|^` + key + `:`).Match(text) {
			t.Errorf("doc/agent.md: no %s", key)
		}
	}
}

// keys returns the keys of a configuration of a type.
func keys(t reflect.Type) (out []string) {
	switch t.Kind() {
	case reflect.Slice, reflect.Pointer:
		return keys(t.Elem())
	case reflect.Struct:
		for i := range t.NumField() {
			f := t.Field(i)
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			if name != "" {
				out = append(out, name)
			}
			if f.IsExported() {
				out = append(out, keys(f.Type)...)
			}
		}
	}
	return out
}

func doc(kinds []*probe.Kind) []byte {
	var b bytes.Buffer
	b.WriteString("# Probes\n\nGenerated from the Doc and Stat values in `probe/`. `plumbd probes` says which of them run on a kernel.\n\n")
	fmt.Fprintf(&b, "Every metric is named %s…, and has the label `node` and those of the configuration's `labels`. A Pod's have `namespace` and `pod`, "+
		"both empty for the node's own network; `namespace` is empty for a network namespace that is no Pod's, and `pod` is `unknown` for those of which nobody has told whose they are for 30 s. "+
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
		if k.Heavy {
			fmt.Fprint(&b, "Paused beyond one of the configuration's `limits`.\n\n")
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
