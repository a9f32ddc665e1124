package snapshot

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestReadBundle reads one state in every form that people send it in.
func TestReadBundle(t *testing.T) {
	stat, pods := file("nodes/a/host/stat", "x 1\n"), file("objects/pods.json", list(pod("a", "x", "1")))
	within := func(dir string) []byte {
		s, p := stat, pods
		s.Name, p.Name = dir+s.Name, dir+p.Name
		return pack(t, s, p)
	}
	text := "-- nodes/a/host/stat --\n" + stat.Linkname + "-- objects/pods.json --\n" + pods.Linkname + "\n"
	half := zip(t, pack(t, stat, pods))
	for _, tt := range []struct {
		name, file string
		data       []byte
		node, pod  bool
		gap        string
	}{
		{"tar", "x.tar", within(""), true, true, ""},
		{"tgz", "x.tgz", zip(t, within("")), true, true, ""},
		{"with ./ before its names, as tar c . makes", "x.tar", within("./"), true, true, ""},
		{"in a folder of its own", "x.tar.gz", zip(t, within("bundle-2024/")), true, true, ""},
		{"in two folders", "x.tar.gz", zip(t, within("a/b/")), true, true, ""},
		{"gzip in two members", "x.tar.gz", append(zip(t, within("")[:700]), zip(t, within("")[700:])...), true, true, ""},
		{"two tars, one after the other: the first counts", "x.tar", append(pack(t, stat), pack(t, pods)...), true, false, ""},
		{"txtar", "x.txtar", []byte(text), true, true, ""},
		{"txtar of DOS, gzipped", "x", zip(t, []byte("a story\n"+text)), true, true, ""},
		{"objects", "pods.json", []byte(pods.Linkname), false, true, ""},
		{"objects of two commands, one after the other", "all.json", []byte(pods.Linkname + "\n" + list(svcB)), false, true, ""},
		{"nothing at all", "pods.json.gz", nil, false, false, "empty"},
		{"a tar, gzipped and cut short", "x.tar.gz", half[:len(half)-20], true, false, "damaged"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, err := ReadBundle(tt.file, bytes.NewReader(tt.data))
			if err != nil {
				if tt.gap == "" || !strings.Contains(err.Error(), tt.gap) {
					t.Errorf("error %v, want %q", err, tt.gap)
				}
				return
			}
			if node := c.Node("a") != nil && c.Node("a").Host().Stat["x"] == 1; node != tt.node {
				t.Errorf("the node is there: %v, want %v", node, tt.node)
			}
			if p := len(c.Objects.Pods) == 1 && c.Objects.Have["Pod"]; tt.pod && !p {
				t.Errorf("Pods: %v, have %v", c.Objects.Pods, c.Objects.Have)
			}
			why := ""
			for _, g := range c.Gaps {
				if !strings.HasPrefix(g.Path, "nodes/") && !strings.HasPrefix(g.Path, "objects/") {
					why += g.Why
				}
			}
			if !strings.Contains(why, tt.gap) && tt.gap != "" {
				t.Errorf("gaps %q, want %q", c.Gaps, tt.gap)
			}
			if tt.gap == "" && why != "" {
				t.Errorf("a gap where there is none: %s", why)
			}
		})
	}
}

// TestUnpackBounds wants text that is too much to be refused, or cut with a Gap.
func TestUnpackBounds(t *testing.T) {
	l := limits{unpacked: 4 << 20, file: 1 << 20, count: 2}
	big := strings.Repeat(" ", 1<<20)
	for _, tt := range []struct {
		name, file, in string
		files          []string
		gap, err       string
	}{
		{"objects just small enough", "pods.json", "{" + big[2:] + "}", []string{"objects/pods.json"}, "", ""},
		{"objects too big", "pods.json", "{" + big + "}", nil, "", "pods.json: more than 1 MiB"},
		{"a txtar too big", "x.txtar", "-- a --\n" + big, nil, "", "x.txtar: more than 1 MiB"},
		{"a txtar of too many files", "x.txtar", "-- a --\n-- b --\n-- c --\n", []string{"a", "b"}, "more than 2 entries: the rest was not read", ""},
		{"a txtar that leads out", "x.txtar", "-- ../a --\n-- b --\n", []string{"b"}, "left out: the name leads out of the folder, or is no plain path", ""},
		{"a txtar with a name twice", "x.txtar", "-- a --\n-- a --\n", []string{"a"}, "comes twice in the archive: the first was taken", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			files, gaps, err := l.unpack(tt.file, strings.NewReader(tt.in))
			checkErr(t, err, tt.err)
			if d := cmp.Diff(tt.files, files.Names()); d != "" {
				t.Errorf("files (-want +got):\n%s", d)
			}
			if got := fmt.Sprint(gaps); (tt.gap == "") != (len(gaps) == 0) || !strings.Contains(got, tt.gap) {
				t.Errorf("gaps %s, want %q", got, tt.gap)
			}
		})
	}
}

// TestMergeClash wants objects that two bundles have differently to be one object, with a Gap at
// the file that lost or won, and everything else to be joined.
func TestMergeClash(t *testing.T) {
	read := func(file, content string) *Cluster {
		return mustRead(t, Files{"objects/" + file: []byte(content)})
	}
	c := Merge(
		read("a.json", list(pod("a", "x", "5"), pod("a", "only-a", "1"), svcB)),
		read("b.json", list(pod("a", "x", "7"), pod("a", "only-b", "1"), svcB)),
		read("c.json", list(pod("a", "x", "6"))),
	)
	if d := cmp.Diff([]string{"Pod a/only-a", "Pod a/only-b", "Pod a/x", "Service b/s"}, names(&c.Objects)); d != "" {
		t.Errorf("objects (-want +got):\n%s", d)
	}
	if v := c.Objects.Pods[2].ResourceVersion; v != "7" {
		t.Errorf("version %s of a/x, want 7", v)
	}
	want := map[string]string{"Pod/a/x": "objects/b.json", "Pod/a/only-a": "objects/a.json", "Pod/a/only-b": "objects/b.json", "Service/b/s": "objects/a.json"}
	if d := cmp.Diff(want, c.Objects.Source); d != "" {
		t.Errorf("source (-want +got):\n%s", d)
	}
	gaps := []Gap{
		{"objects/b.json", `Pod/a/x: collected twice, with resourceVersion "5" and "7", and different: the later one was taken`},
		{"objects/c.json", `Pod/a/x: collected twice, with resourceVersion "7" and "6": the newer one was taken`},
	}
	if d := cmp.Diff(gaps, c.Gaps); d != "" {
		t.Errorf("gaps (-want +got):\n%s", d)
	}
}
