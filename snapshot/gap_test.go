package snapshot

import (
	"errors"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
)

// TestErrorFiles wants what a collector says of its failures, and what it has all the same.
func TestErrorFiles(t *testing.T) {
	for _, tt := range []struct {
		name, in string
		want     []Gap // at nodes/a/host/stat, nodes/a/host and nodes/a/web
		stat     uint64
	}{
		{"nothing", "-- nodes/a/host/addr.json --\n", []Gap{{"nodes/a/host/stat", notCollected}}, 0},
		{"an empty file is the word that there is nothing", "-- nodes/a/host/stat --\n", nil, 0},
		{"an error alone", "-- nodes/a/host/stat.error --\nno  such\n file\n", []Gap{{"nodes/a/host/stat", "no such file"}}, 0},
		{"an error and a part", "-- nodes/a/host/stat.error --\nkilled\n-- nodes/a/host/stat --\nx 5\n", []Gap{{"nodes/a/host/stat", "killed"}}, 5},
		{"an error and a part that is bad", "-- nodes/a/host/stat.error --\nkilled\n-- nodes/a/host/stat --\nx 5\ny\n",
			[]Gap{{"nodes/a/host/stat", "killed"}, {"nodes/a/host/stat", `stat: line 2: want NAME COUNT, have "y"`}}, 5},
		{"an empty error", "-- nodes/a/host/stat.error --\n", []Gap{{"nodes/a/host/stat", "collecting it failed"}}, 0},
		{"a long error", "-- nodes/a/host/stat.error --\n" + strings.Repeat("x", 600), []Gap{{"nodes/a/host/stat", strings.Repeat("x", 500) + "…"}}, 0},
		{"an error that is no text", "-- nodes/a/host/stat.error --\na\xff\xfeb", []Gap{{"nodes/a/host/stat", "a?b"}}, 0},
		{"a namespace that could not be entered", "-- nodes/a/web.error --\nno such process\n-- nodes/a/host/stat --\n", []Gap{{"nodes/a/web", "no such process"}}, 0},
		{"the node's own could not be", "-- nodes/a/host.error --\ndenied\n", []Gap{{"nodes/a/host", "denied"}, {"nodes/a/host", notCollected}}, 0},
		{"gaps of node.json", "-- nodes/a/node.json --\n{\"gaps\":[{\"path\":\"web\",\"why\":\"gone\"},{\"path\":\"../../x\",\"why\":\"out\"},{\"path\":\"\",\"why\":\"too many\"}]}\n-- nodes/a/host/stat --\n",
			[]Gap{{"nodes/a", "too many"}, {"nodes/a/web", "gone"}, {"nodes/a/x", "out"}}, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := mustRead(t, tree(tt.in))
			var got []Gap
			for _, g := range c.Gaps {
				if !strings.HasPrefix(g.Path, "nodes/a/host/") || g.Path == "nodes/a/host/stat" {
					got = append(got, g)
				}
			}
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Errorf("gaps (-want +got):\n%s", d)
			}
			if h := c.Nodes[0].Host(); tt.stat > 0 && h.Stat["x"] != tt.stat {
				t.Errorf("stat %v, want %d", h.Stat, tt.stat)
			}
		})
	}
}

// deniedFS is a tree in which some files may not be read, and some folders not be listed.
type deniedFS struct {
	fs.FS
	files, dirs map[string]bool
}

func (d deniedFS) Open(name string) (fs.File, error) {
	if d.files[name] {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrPermission}
	}
	return d.FS.Open(name)
}

func (d deniedFS) ReadDir(name string) ([]fs.DirEntry, error) {
	if d.dirs[name] {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrPermission}
	}
	return fs.ReadDir(d.FS, name)
}

// TestDenied wants what may not be read to be a Gap, never "not there".
func TestDenied(t *testing.T) {
	base := fstest.MapFS{"nodes/a/host/stat": {Data: []byte("x 1\n")}, "nodes/a/host/stat.error": {Data: []byte("late")}, "objects/pods.json": {Data: []byte("{}")}}
	const denied = "permission denied"
	for _, tt := range []struct {
		name        string
		files, dirs map[string]bool
		want        Gap
		stat        uint64
	}{
		{"a file", map[string]bool{"nodes/a/host/stat": true}, nil, Gap{"nodes/a/host/stat", denied}, 0},
		{"an error's file", map[string]bool{"nodes/a/host/stat.error": true}, nil, Gap{"nodes/a/host/stat", "collecting it failed, and why cannot be read: " + denied}, 1},
		{"the list of a namespace's files", nil, map[string]bool{"nodes/a/host": true}, Gap{"nodes/a/host/stat", "late"}, 1},
		{"the list of namespaces", nil, map[string]bool{"nodes/a": true}, Gap{"nodes/a", denied}, 0},
		{"the list of nodes", nil, map[string]bool{"nodes": true}, Gap{"nodes", denied}, 0},
		{"the list of objects", nil, map[string]bool{"objects": true}, Gap{"objects", denied}, 1},
		{"objects", map[string]bool{"objects/pods.json": true}, nil, Gap{"objects/pods.json", denied}, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, err := Read(deniedFS{base, tt.files, tt.dirs})
			if err != nil {
				t.Fatal(err)
			}
			found := false
			for _, g := range c.Gaps {
				found = found || g == tt.want
			}
			if !found {
				t.Errorf("no gap %q in %q", tt.want, c.Gaps)
			}
			if c.Objects.Have["Pod"] && tt.want.Path != "nodes" && strings.HasPrefix(tt.want.Path, "objects") {
				t.Error("Pods count as collected")
			}
			if tt.stat == 0 {
				return
			}
			if h := c.Nodes[0].Host(); h == nil || h.Stat["x"] != tt.stat {
				t.Errorf("host: %+v", h)
			}
		})
	}
	_, err := Read(deniedFS{base, nil, map[string]bool{".": true}})
	if !errors.Is(err, fs.ErrPermission) {
		t.Errorf("the whole snapshot: error %v", err)
	}
}

// TestGapsOfSources wants each gap to concern the sources that it can have touched.
func TestGapsOfSources(t *testing.T) {
	c := &Cluster{Nodes: []*Node{{Name: "a"}}, Objects: Objects{Have: map[string]bool{"Pod": true, "Service": true}}, Gaps: []Gap{
		{"nodes/a/host/addr.json", "1"}, {"nodes/a/host/iptables", "2"}, {"nodes/a/web", "3"}, {"nodes/b", "4"},
		{"objects/services.json", "5"}, {"objects/all.json", "item 6: Secret: bad"}, {"objects/all.json", "item 7: Node: no name"},
		{"objects/more.json", "item 8: Ingress of \"v9\" is not understood"}, {"x.tar", "7"},
	}}
	for _, tt := range []struct{ source, want string }{
		{"addr.json", "134"}, {"iptables", "234"}, {"ipset", "34"}, {"host", "34"},
		{"objects/Service", "5item 6: Secret: bad"}, {"objects/Pod", "item 6: Secret: bad"}, {"objects/Node", "item 6: Secret: baditem 7: Node: no name"},
		{"objects/Ingress", "item 6: Secret: baditem 8: Ingress of \"v9\" is not understood"}, {"objects/", "item 6: Secret: bad"},
	} {
		t.Run(tt.source, func(t *testing.T) {
			got := ""
			for _, g := range c.Missing(tt.source) {
				got += g.Why
			}
			if got != tt.want {
				t.Errorf("%s, want %s", got, tt.want)
			}
		})
	}
	for kind, want := range map[string]Gap{"Service": {"objects/services.json", "5"}, "Pod": {"objects/all.json", "item 6: Secret: bad"}} {
		if g, missing := c.MissingKind(kind); g != want || missing != (want != Gap{}) {
			t.Errorf("%s: %v %v, want %v", kind, g, missing, want)
		}
	}
	for path, want := range map[string]string{"nodes/b": "4", "nodes/a": "", "nodes/b/host": "", "x.tar": "7"} {
		if g, ok := c.GapAt(path); g.Why != want || ok != (want != "") {
			t.Errorf("%s: %v %v, want %q", path, g, ok, want)
		}
	}
}
