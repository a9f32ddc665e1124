package redact

import (
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/plumbnet/plumb/check/all"
	"github.com/plumbnet/plumb/check/checktest"
	"github.com/plumbnet/plumb/snapshot"
	"golang.org/x/tools/txtar"
)

var testKey = []byte("a key of thirty-two bytes, or so")

// cases returns the recorded snapshots of all checks, by file.
func cases(t *testing.T) map[string]*txtar.Archive {
	t.Helper()
	names, err := filepath.Glob("../../check/*/testdata/*.txtar")
	if err != nil || len(names) < 150 {
		t.Fatalf("%d cases: %v", len(names), err)
	}
	out := map[string]*txtar.Archive{}
	for _, name := range names {
		a, err := txtar.ParseFile(name)
		if err != nil {
			t.Fatal(err)
		}
		out[strings.TrimPrefix(name, "../../check/")] = a
	}
	return out
}

// split returns the snapshot of a case, and its query.
func split(a *txtar.Archive) (files snapshot.Files, query string) {
	files = snapshot.Files{}
	for _, f := range a.Files {
		switch f.Name {
		case "query":
			query = string(f.Data)
		case "want":
		default:
			files[f.Name] = f.Data
		}
	}
	return files, query
}

// ask redacts a query.
func ask(r *redactor, query string) string {
	var out []string
	for line := range strings.Lines(query) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		node, isNode := strings.CutPrefix(value, "node/")
		switch {
		case key == "proto" || key == "size":
		case isNode:
			value = "node/" + r.name(node)
		case key == "to":
			value = r.addresses(value)
		default:
			value = r.value(value)
		}
		out = append(out, key+" "+value)
	}
	return strings.Join(out, "\n")
}

// judge runs all checks.
func judge(t *testing.T, files snapshot.Files, query string) string {
	t.Helper()
	a := &txtar.Archive{}
	for _, name := range files.Names() {
		a.Files = append(a.Files, txtar.File{Name: name, Data: files[name]})
	}
	out, err := checktest.Judge(a, []byte(query), all.Checks...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// lines sorts what a result says, for the order within one rank is that of the names.
func lines(s string) []string {
	l := strings.Split(strings.TrimSpace(s), "\n")
	slices.Sort(l)
	return l
}

var head = regexp.MustCompile(`^([> ]*(?:info|warning|error|\?)(?: on path)?):? .*?: ([a-z-]+): `)

// heads returns, in order, of each finding its severity, whether it is on the path, and its check.
func heads(s string) []string {
	var out []string
	for line := range strings.Lines(s) {
		if m := head.FindStringSubmatch(line); m != nil {
			out = append(out, m[1]+" "+m[2])
		}
	}
	return out
}

// symmetric are the cases in which a check names one of two things that are alike, the first by
// name: which one that is depends on the pseudonyms.
var symmetric = map[string]bool{
	"noendpoints/testdata/port-name.txtar": true, "podcidr/testdata/podcidr-overlap.txtar": true, "duplicateaddress/testdata/duplicate-address-hostgw-gap.txtar": true,
	"ingress/testdata/host-twice.txtar": true,
}

// TestCases: every recorded snapshot says the same redacted, and once the originals are put back,
// in the same words.
func TestCases(t *testing.T) {
	for name, a := range cases(t) {
		t.Run(name, func(t *testing.T) {
			files, query := split(a)
			want := judge(t, files, query)
			for _, key := range []string{string(testKey), "another key of sixteen bytes"} {
				red, r, err := try(files, []byte(key))
				if err != nil {
					t.Fatal(err)
				}
				got := judge(t, red, ask(r, query))
				got = r.back().Restore(got) // ask may have met more originals
				if d := cmp.Diff(heads(want), heads(got)); d != "" {
					t.Errorf("findings (-want +got):\n%s", d)
				}
				if d := cmp.Diff(lines(want), lines(got)); d != "" && !symmetric[name] {
					t.Errorf("text (-want +got):\n%s", d)
				}
				if len(r.left) > 0 {
					t.Errorf("left out: %s", r.left)
				}
			}
		})
	}
}
