package whatif_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/plumbnet/plumb/manifest"
	"github.com/plumbnet/plumb/whatif"
	"golang.org/x/tools/txtar"
)

// FuzzCompare applies anything to the base: nothing panics, what breaks is a change, what was is not
// touched, and the same objects again are no change.
func FuzzCompare(f *testing.F) {
	o, text := base(f)
	f.Add(text)
	a, err := txtar.ParseFile("testdata/breaks.txtar")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range a.Files {
		for line := range strings.Lines(string(file.Data)) {
			if rest, ok := strings.CutPrefix(line, "new "); ok {
				f.Add(rest)
			}
		}
	}
	for item := range strings.SplitSeq(text, "\n- ") {
		f.Add("apiVersion: v1\nkind: List\nitems:\n- " + item)
	}
	same := whatif.Compare(o, whatif.Apply(o, objects(f, "base.yaml", text), nil), slices.Sorted(maps.Keys(o.Source)))
	if !same.None() {
		f.Fatalf("applied to itself: %s", told(f, same))
	}
	f.Fuzz(func(t *testing.T, yaml string) {
		if len(yaml) > 1<<14 {
			return
		}
		list, err := manifest.Read("f.yaml", []byte(yaml), "shop")
		if err != nil {
			return
		}
		over, err := manifest.Objects(list)
		if err != nil {
			return
		}
		var touched []string
		for i := range list {
			if list[i].Kind != "" {
				touched = append(touched, list[i].Key())
			}
		}
		is := whatif.Apply(o, over, nil)
		d := whatif.Compare(o, is, touched)
		if d.None() && (d.Breaks() || len(d.Unjudged) > 0) {
			t.Fatalf("nothing changes, and: %+v", d)
		}
		if told(t, d) == "" {
			t.Fatal("it says nothing")
		}
		whatif.Undo(o, is, touched)
		if again := whatif.Compare(is, whatif.Apply(is, over, nil), touched); !again.None() && !again.Unsure() {
			t.Fatalf("applied again: %s", told(t, again))
		}
	})
}
