package snapshot

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// pack makes a tar of entries.
func pack(t testing.TB, entries ...tar.Header) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range entries {
		body := h.Linkname
		if h.Typeflag == 0 {
			h.Typeflag = tar.TypeReg
		}
		if h.Typeflag == tar.TypeReg {
			h.Size, h.Linkname = int64(len(body)), "" // Linkname serves as the content
		}
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if h.Typeflag == tar.TypeReg {
			if _, err := w.Write([]byte(body)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func zip(t testing.TB, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func file(name, body string) tar.Header { return tar.Header{Name: name, Linkname: body} }

func TestWriteThenUnpack(t *testing.T) {
	want := tree(small)
	long := "nodes/a/" + strings.Repeat("x", 150) + "/stat"
	want[long] = []byte("a 1\n")
	var a, b bytes.Buffer
	if err := Write(&a, want); err != nil {
		t.Fatal(err)
	}
	if err := Write(&b, want); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(a.Bytes(), b.Bytes()) {
		t.Error("the same files give different bundles")
	}
	got, gaps, err := Unpack("x.tar.gz", &a)
	if err != nil || len(gaps) > 0 {
		t.Fatalf("%v, gaps %v", err, gaps)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestUnpackHostile(t *testing.T) {
	for _, tt := range []struct {
		name    string
		entries []tar.Header
		files   []string
		gap     Gap
	}{
		{"a way out", []tar.Header{file("../../etc/passwd", "x"), file("nodes/a", "y")}, []string{"nodes/a"},
			Gap{"../../etc/passwd", "left out: the name leads out of the folder, or is no plain path"}},
		{"a way out in the middle", []tar.Header{file("nodes/../../x", "x")}, nil,
			Gap{"nodes/../../x", "left out: the name leads out of the folder, or is no plain path"}},
		{"an absolute path", []tar.Header{file("/etc/passwd", "x")}, nil,
			Gap{"/etc/passwd", "left out: the name leads out of the folder, or is no plain path"}},
		{"a backslash", []tar.Header{file(`nodes\a`, "x")}, nil,
			Gap{`nodes\a`, "left out: the name leads out of the folder, or is no plain path"}},
		{"a symbolic link", []tar.Header{{Name: "nodes/a", Typeflag: tar.TypeSymlink, Linkname: "/etc/passwd"}}, nil,
			Gap{"nodes/a", "left out: neither a file nor a folder (tar type '2')"}},
		{"a hard link", []tar.Header{{Name: "nodes/a", Typeflag: tar.TypeLink, Linkname: "x"}}, nil,
			Gap{"nodes/a", "left out: neither a file nor a folder (tar type '1')"}},
		{"a device", []tar.Header{{Name: "nodes/a", Typeflag: tar.TypeChar}}, nil,
			Gap{"nodes/a", "left out: neither a file nor a folder (tar type '3')"}},
		{"a name twice", []tar.Header{file("nodes/a", "x"), file("./nodes/a", "y")}, []string{"nodes/a"},
			Gap{"nodes/a", "comes twice in the archive: the first was taken"}},
		{"too big a file", []tar.Header{file("nodes/a", strings.Repeat("x", 3<<20)), file("nodes/b", "y")}, []string{"nodes/b"},
			Gap{"nodes/a", "left out: 3145728 bytes are more than the 2 MiB that a file may have"}},
		{"too much", []tar.Header{file("nodes/a", strings.Repeat("x", 2<<20)), file("nodes/b", strings.Repeat("y", 2<<20)), file("nodes/c", strings.Repeat("y", 2<<20))}, []string{"nodes/a", "nodes/b"},
			Gap{"x.tar", "more than 4 MiB unpacked: the rest was not read"}},
		{"too many", []tar.Header{file("nodes/a", ""), file("nodes/b", ""), file("nodes/c", ""), file("nodes/d", "")}, []string{"nodes/a", "nodes/b", "nodes/c"},
			Gap{"x.tar", "more than 3 entries: the rest was not read"}},
		{"an unprintable name", []tar.Header{file("/\x1b[31m", "x")}, nil,
			Gap{"/?[31m", "left out: the name leads out of the folder, or is no plain path"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			files, gaps, err := limits{4 << 20, 2 << 20, 3}.unpack("x.tar.gz", bytes.NewReader(zip(t, pack(t, tt.entries...))))
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(tt.files, files.Names()); d != "" {
				t.Errorf("files (-want +got):\n%s", d)
			}
			if len(gaps) == 0 || gaps[len(gaps)-1] != tt.gap {
				t.Errorf("gaps %q, want %q", gaps, tt.gap)
			}
		})
	}
}

// TestUnpackDamaged cuts a bundle at every place: what was read is used, and something says that it is not all.
func TestUnpackDamaged(t *testing.T) {
	whole := pack(t, file("nodes/a/host/stat", "a 1\n"), file("nodes/a/host/sysctl", "x = 1\n"))
	for _, data := range [][]byte{whole, zip(t, whole)} {
		for n := range len(data) - 1024 {
			files, gaps, err := Unpack("x", bytes.NewReader(data[:n]))
			if err == nil && len(gaps) == 0 && len(files) < 2 {
				t.Fatalf("cut at %d of %d: %d files, and nothing says that this is not all", n, len(data), len(files))
			}
		}
	}
	c, err := ReadBundle("x.tar", bytes.NewReader(whole[:1024+300]))
	if err != nil {
		t.Fatal(err)
	}
	if c.Nodes[0].Host().Stat["a"] != 1 {
		t.Errorf("the first file: %+v", c.Nodes[0].Host())
	}
	if g := c.Gaps[len(c.Gaps)-1]; g.Path != "x.tar" || !strings.Contains(g.Why, "unexpected EOF") {
		t.Errorf("gaps: %v", c.Gaps)
	}
}

func TestUnpackForms(t *testing.T) {
	for _, tt := range []struct {
		name, file string
		data       []byte
		want       []string
		err        string
	}{
		{"tar", "x", pack(t, file("nodes/a/host/stat", "")), []string{"nodes/a/host/stat"}, ""},
		{"tgz", "x.tgz", zip(t, pack(t, file("nodes/a/host/stat", ""))), []string{"nodes/a/host/stat"}, ""},
		{"txtar", "x.txtar", []byte("A story.\n-- nodes/a/host/stat --\na 1\n"), []string{"nodes/a/host/stat"}, ""},
		{"objects", "dir/pods.json", []byte(`{"kind":"List"}`), []string{"objects/pods.json"}, ""},
		{"objects, gzipped", "pods.json.gz", zip(t, []byte(" {\"kind\":\"List\"}")), []string{"objects/pods.json"}, ""},
		{"objects from a pipe", "-", []byte(`{"kind":"List"}`), []string{"objects/objects.json"}, ""},
		{"empty", "x", nil, nil, "x: empty"},
		{"something else", "x", []byte("hello"), nil, "x: not a snapshot: want a tar, tar.gz or txtar, or Kubernetes objects as JSON"},
		{"damaged gzip", "x", []byte("\x1f\x8bhello"), nil, "x: gzip: unexpected EOF"},
		{"a txtar of nothing", "x.txtar", []byte("hello"), nil, "x.txtar: a txtar without files"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			files, _, err := Unpack(tt.file, bytes.NewReader(tt.data))
			if d := cmp.Diff(tt.want, files.Names()); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
			if (err == nil) != (tt.err == "") || err != nil && err.Error() != tt.err {
				t.Errorf("error %v, want %s", err, tt.err)
			}
		})
	}
}

func FuzzBundle(f *testing.F) {
	f.Add(pack(f, file("nodes/a/host/stat", "a 1\n"), tar.Header{Name: "l", Typeflag: tar.TypeSymlink, Linkname: "x"}))
	f.Add(zip(f, pack(f, file("nodes/a/host/stat", "a 1\n"))))
	f.Add([]byte("-- ../x --\n-- nodes/a/host/addr.json --\n[]\n"))
	f.Add([]byte(`{"kind":"PodList","apiVersion":"v1","items":[{"metadata":{"name":"a"}}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		files, _, err := limits{1 << 20, 1 << 20, 100}.unpack("x", bytes.NewReader(data))
		if err != nil {
			return
		}
		for name := range files {
			if strings.HasPrefix(name, "/") || strings.Contains("/"+name+"/", "/../") {
				t.Errorf("a file %q", name)
			}
		}
		_, _ = Read(files)
	})
}
