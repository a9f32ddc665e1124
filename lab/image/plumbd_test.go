package image

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// TestPlumbd wants in the image what plumbd calls on a node.
func TestPlumbd(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "built")
	if err := os.WriteFile(binary, nil, 0o700); err != nil {
		t.Fatal(err)
	}
	l, i, err := Plumbd(binary, "plumbd:1")
	if os.IsNotExist(err) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	have := map[string]string{}
	for _, f := range l {
		have[f.Path] = f.From
	}
	for _, s := range saves {
		if _, ok := have[s]; !ok {
			t.Errorf("%s is missing", s)
		}
	}
	for _, like := range []string{"/usr/lib/*/xtables/libxt_statistic.so", "/*/*/libm.so.6"} { // the second is for the first
		found := slices.ContainsFunc(l, func(f File) bool { ok, _ := filepath.Match(like, f.Path); return ok })
		if !found {
			t.Errorf("%s is missing", like)
		}
	}
	if have["/plumbd"] != binary || i.Name != "plumbd:1" || i.Entrypoint[0] != "/plumbd" {
		t.Errorf("%q, %+v", have["/plumbd"], i)
	}
}
