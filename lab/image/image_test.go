//go:build linux

package image

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// entries reads a tar file: what each entry is, and what is in it.
func entries(t *testing.T, r io.Reader) (names []string, body map[string]string) {
	t.Helper()
	body = map[string]string{}
	for in := tar.NewReader(r); ; {
		h, err := in.Next()
		if err == io.EOF {
			return names, body
		}
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(in)
		if err != nil {
			t.Fatal(err)
		}
		what := fmt.Sprintf("%s %o", h.Name, h.Mode)
		if h.Linkname != "" {
			what += " -> " + h.Linkname
		}
		names = append(names, what)
		body[h.Name] = string(b)
	}
}

func TestWrite(t *testing.T) {
	from := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(from, []byte("run me"), 0o700); err != nil {
		t.Fatal(err)
	}
	l := Layer{{Path: "/usr/bin/b", Link: "a"}, {Path: "/usr/bin/a", From: from}, {Path: "/etc/passwd", Text: "root\n", Mode: 0o644}}
	images := []Image{{Name: "plumb.lab/x:1", Entrypoint: []string{"/usr/bin/a"}}, {Name: "plumb.lab/y:1", Env: []string{"PATH=/usr/bin"}}}
	var archive, again bytes.Buffer
	if err := Write(&archive, l, images...); err != nil {
		t.Fatal(err)
	}
	if err := Write(&again, l, images...); err != nil || !bytes.Equal(archive.Bytes(), again.Bytes()) {
		t.Errorf("written twice, it differs (%v)", err)
	}
	_, body := entries(t, &archive)
	var manifest []struct {
		Config           string
		RepoTags, Layers []string
	}
	if err := json.Unmarshal([]byte(body["manifest.json"]), &manifest); err != nil || len(manifest) != 2 {
		t.Fatalf("manifest.json: %v: %s", err, body["manifest.json"])
	}
	for i, m := range manifest {
		if m.RepoTags[0] != images[i].Name || len(m.Layers) != 1 {
			t.Errorf("%+v", m)
		}
		blob := body[m.Layers[0]]
		sum := fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(blob)))
		if config := body[m.Config]; !strings.Contains(config, `"diff_ids":["`+sum+`"]`) {
			t.Errorf("the configuration does not name its layer %s: %s", sum, config)
		}
	}
	names, files := entries(t, strings.NewReader(body[manifest[0].Layers[0]]))
	want := []string{"dev/ 755", "etc/ 755", "etc/passwd 644", "proc/ 755", "run/ 755", "sys/ 755", "tmp/ 1777",
		"usr/ 755", "usr/bin/ 755", "usr/bin/a 755", "usr/bin/b 755 -> a", "var/ 755"}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Errorf("layer (-want +got):\n%s", diff)
	}
	if files["usr/bin/a"] != "run me" {
		t.Errorf("the program: %q", files["usr/bin/a"])
	}
	if err := Write(io.Discard, Layer{{Path: "/x", From: from + "-not-there"}}); err == nil {
		t.Error("wrote a file that is not there")
	}
}

// TestPrograms takes a shell with all it needs, and runs it where there is nothing else.
func TestPrograms(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("chroot needs root")
	}
	l, err := Programs("/bin/sh", "/usr/sbin/iptables")
	if err != nil {
		t.Fatal(err)
	}
	root := t.TempDir()
	for _, f := range l {
		to := filepath.Join(root, f.Path)
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			t.Fatal(err)
		}
		if f.Link != "" {
			err = os.Symlink(f.Link, to)
		} else {
			var b []byte
			if b, err = os.ReadFile(f.From); err == nil {
				err = os.WriteFile(to, b, 0o755)
			}
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct{ script, want string }{
		{"echo hello", "hello\n"},
		{"iptables --version", "iptables v"},
	} {
		out, err := inRoot(root, c.script)
		if err != nil || !strings.HasPrefix(out, c.want) {
			t.Errorf("%s: %q, %v", c.script, out, err)
		}
	}
	if _, err := Programs("/no/such/program"); err == nil {
		t.Error("found what is not there")
	}
}
