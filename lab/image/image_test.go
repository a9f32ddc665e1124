//go:build linux

package image

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

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
		if h.Uid != 0 || h.Gid != 0 || h.Uname != "" || !h.ModTime.Equal(time.Unix(0, 0)) {
			t.Errorf("%s: of %d:%d %s, %v", h.Name, h.Uid, h.Gid, h.Uname, h.ModTime)
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

// archive reads what Write wrote.
func archive(t *testing.T, images ...Image) ([]byte, map[string]string) {
	t.Helper()
	var buf bytes.Buffer
	if err := Write(&buf, images...); err != nil {
		t.Fatal(err)
	}
	names, body := entries(t, bytes.NewReader(buf.Bytes()))
	if names[0] != "oci-layout 644" || names[1] != "index.json 644" || !slices.Contains(names, "blobs/sha256/ 755") {
		t.Errorf("%q", names)
	}
	return buf.Bytes(), body
}

// read decodes the blob of a descriptor, which must be what it says.
func read(t *testing.T, body map[string]string, d descriptor, v any) string {
	t.Helper()
	blob, ok := body[d.path()]
	if !ok || d.Digest != digest([]byte(blob)) || d.Size != len(blob) {
		t.Fatalf("%+v: %v, %d bytes", d, ok, len(blob))
	}
	if v != nil {
		if err := json.Unmarshal([]byte(blob), v); err != nil {
			t.Fatal(err)
		}
	}
	return blob
}

type manifest struct {
	MediaType string
	Config    descriptor
	Layers    []descriptor
	Manifests []descriptor
}

type config struct {
	Created, Architecture, OS string
	Config                    struct {
		Entrypoint, Env []string
		Labels          map[string]string
	}
	Rootfs struct {
		DiffIDs []string `json:"diff_ids"`
	}
	History []any
}

func TestWrite(t *testing.T) {
	from := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(from, []byte("run me"), 0o700); err != nil {
		t.Fatal(err)
	}
	l := Layer{{Path: "/usr/bin/b", Link: "a"}, {Path: "/usr/bin/a", From: from}, {Path: "/etc/passwd", Text: "root\n", Mode: 0o644}}
	images := []Image{
		{Name: "plumb.lab/x:1", Entrypoint: []string{"/usr/bin/a"}, Layers: []Layer{l}},
		{Name: "y:1", Env: []string{"PATH=/usr/bin"}, Labels: map[string]string{"a": "b"}, Created: time.Unix(86400, 0), Layers: []Layer{l, {{Path: "/c", Text: "c"}}}},
	}
	first, body := archive(t, images...)
	if err := os.Chtimes(from, time.Now(), time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	if again, _ := archive(t, images...); !bytes.Equal(first, again) {
		t.Error("written twice, it differs")
	}
	var top manifest
	if err := json.Unmarshal([]byte(body["index.json"]), &top); err != nil || len(top.Manifests) != 2 {
		t.Fatalf("%v: %s", err, body["index.json"])
	}
	var docker []loadable
	if err := json.Unmarshal([]byte(body["manifest.json"]), &docker); err != nil || len(docker) != 2 {
		t.Fatalf("%v: %s", err, body["manifest.json"])
	}
	for i, d := range top.Manifests {
		if d.Annotations["io.containerd.image.name"] != Reference(images[i].Name) || d.Annotations["org.opencontainers.image.ref.name"] != "1" {
			t.Errorf("annotations %v", d.Annotations)
		}
		var m manifest
		var c config
		read(t, body, d, &m)
		read(t, body, m.Config, &c)
		want := config{Created: []string{"1970-01-01T00:00:00Z", "1970-01-02T00:00:00Z"}[i], Architecture: architecture, OS: "linux", History: c.History}
		want.Config.Entrypoint, want.Config.Env, want.Config.Labels = images[i].Entrypoint, images[i].Env, images[i].Labels
		for _, l := range m.Layers {
			want.Rootfs.DiffIDs = append(want.Rootfs.DiffIDs, digest([]byte(read(t, body, l, nil))))
		}
		if diff := cmp.Diff(want, c); diff != "" || len(c.History) != len(m.Layers) || len(m.Layers) != i+1 || m.Layers[0].MediaType != typeLayer {
			t.Errorf("%v (-want +got):\n%s", m.Layers, diff)
		}
		if diff := cmp.Diff(loadable{m.Config.path(), []string{images[i].Name}, []string{m.Layers[0].path()}}, docker[i]); i == 0 && diff != "" {
			t.Errorf("for docker (-want +got):\n%s", diff)
		}
		names, files := entries(t, strings.NewReader(body[m.Layers[0].path()]))
		paths := []string{"dev/ 755", "etc/ 755", "etc/passwd 644", "proc/ 755", "run/ 755", "sys/ 755", "tmp/ 1777",
			"usr/ 755", "usr/bin/ 755", "usr/bin/a 755", "usr/bin/b 755 -> a", "var/ 755"}
		if diff := cmp.Diff(paths, names); diff != "" || files["usr/bin/a"] != "run me" {
			t.Errorf("layer (-want +got):\n%s%q", diff, files["usr/bin/a"])
		}
	}
	if err := Write(io.Discard, Image{Layers: []Layer{{{Path: "/x", From: from + "-not-there"}}}}); err == nil {
		t.Error("wrote a file that is not there")
	}
}

// TestWriteIndex wants one image of two architectures.
func TestWriteIndex(t *testing.T) {
	l := []Layer{{{Path: "/a", Text: strings.Repeat("a", 1000)}}}
	_, body := archive(t, Image{Name: "a/b:2", Arch: "amd64", Gzip: true, Layers: l}, Image{Name: "a/b:2", Arch: "arm64", Gzip: true, Layers: l})
	var top, index manifest
	if err := json.Unmarshal([]byte(body["index.json"]), &top); err != nil || len(top.Manifests) != 1 || top.Manifests[0].MediaType != typeIndex {
		t.Fatalf("%v: %s", err, body["index.json"])
	}
	if n := top.Manifests[0].Annotations["io.containerd.image.name"]; n != "docker.io/a/b:2" {
		t.Errorf("its name: %s", n)
	}
	read(t, body, top.Manifests[0], &index)
	for i, arch := range []string{"amd64", "arm64"} {
		d := index.Manifests[i]
		var m manifest
		var c config
		read(t, body, d, &m)
		read(t, body, m.Config, &c)
		if *d.Platform != (platform{arch, "linux"}) || c.Architecture != arch || m.Layers[0].MediaType != typeLayer+"+gzip" {
			t.Errorf("%+v %+v", d, m)
		}
		in, err := gzip.NewReader(strings.NewReader(read(t, body, m.Layers[0], nil)))
		if err != nil {
			t.Fatal(err)
		}
		blob, err := io.ReadAll(in)
		if err != nil || c.Rootfs.DiffIDs[0] != digest(blob) {
			t.Errorf("%v, %q", err, c.Rootfs.DiffIDs)
		}
	}
	if !strings.Contains(body["manifest.json"], `"RepoTags":["a/b:2-arm64"]`) {
		t.Errorf("for docker: %s", body["manifest.json"])
	}
}

func TestReference(t *testing.T) {
	for name, want := range map[string]string{
		"plumbd:1": "docker.io/library/plumbd:1", "me/plumbd:1": "docker.io/me/plumbd:1", "plumb.lab/app:1": "plumb.lab/app:1",
		"localhost/x:1": "localhost/x:1", "host:5000/x:1": "host:5000/x:1",
	} {
		if got := Reference(name); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
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
