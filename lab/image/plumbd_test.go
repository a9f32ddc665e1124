package image

import (
	"os"
	"path/filepath"
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
	if have["/plumbd"] != binary || i.Name != "plumbd:1" || i.Entrypoint[0] != "/plumbd" {
		t.Errorf("%q, %+v", have["/plumbd"], i)
	}
}
