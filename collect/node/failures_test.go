//go:build linux

package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/plumbnet/plumb/kernel/netlink"
	"github.com/plumbnet/plumb/lab/sandbox"
	"github.com/plumbnet/plumb/snapshot"
	"golang.org/x/sys/unix"
)

// TestEachSourceFails takes the netlink socket away, and wants each file to say so and none to say that there is nothing.
func TestEachSourceFails(t *testing.T) {
	route, err := netlink.Dial(unix.NETLINK_ROUTE)
	must(t, err)
	route.Close()
	w := &worker{ctx: context.Background(), proc: t.TempDir(), route: route, result: result{files: map[string][]byte{}}}
	w.netlink(space{inode: 1})
	for _, name := range []string{"addr.json", "routes.json", "routes6.json", "rules.json", "rules6.json", "nexthops.json", "neigh.json", "fdb.json", "vlan.json"} {
		if !strings.Contains(string(w.files[name+".error"]), "bad file descriptor") {
			t.Errorf("%s.error: %q", name, w.files[name+".error"])
		}
	}
	text, err := w.sysctlText()
	w.put("sysctl", text, err)
	if _, ok := w.files["sysctl"]; ok || !strings.HasPrefix(string(w.files["sysctl.error"]), "nothing below ") {
		t.Errorf("sysctl: %q", w.files["sysctl.error"])
	}
	files := snapshot.Files{}
	for name, data := range w.files {
		files["nodes/a/host/"+name] = data
	}
	c, err := snapshot.Read(files)
	must(t, err)
	for _, name := range []string{"addr.json", "routes.json", "fdb.json", "sysctl"} {
		if g, ok := c.GapAt("nodes/a/host/" + name); !ok || g.Why == "" {
			t.Errorf("%s: no gap", name)
		}
	}
}

// TestSysctlFails has a setting that cannot be read among those that can.
func TestSysctlFails(t *testing.T) {
	proc := t.TempDir()
	dir := filepath.Join(proc, "sys/net/ipv4/conf/eth0.5")
	must(t, os.MkdirAll(filepath.Join(dir, "rp_filter"), 0o755)) // a folder: EISDIR, whoever reads
	must(t, os.WriteFile(filepath.Join(dir, "forwarding"), []byte("1\n"), 0o644))
	w := &worker{proc: proc}
	text, err := w.sysctlText()
	if string(text) != "net.ipv4.conf.eth0/5.forwarding = 1\n" {
		t.Errorf("text %q", text)
	}
	if err == nil || !strings.Contains(err.Error(), "eth0.5/rp_filter: is a directory") {
		t.Errorf("error %v", err)
	}
}

// program puts a shell script into the PATH of a test, and nothing else.
func program(t *testing.T, scripts map[string]string) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range scripts {
		must(t, os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+text+"\n"), 0o755))
	}
	t.Setenv("PATH", dir)
	old := sbin
	sbin = nil
	t.Cleanup(func() { sbin = old })
}

func TestPrograms(t *testing.T) {
	program(t, map[string]string{
		"good": `echo "$1 $LC_ALL"`, "empty": "", "bad": "echo half; echo 'Permission denied (you must be root)' >&2; exit 4",
		"quiet": "exit 3", "loud": `i=0; while [ $i -lt 3000 ]; do echo xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx >&2; i=$((i+1)); done; exit 1`,
	})
	for _, tt := range []struct{ name, data, err string }{
		{"good", "arg C\n", ""},
		{"empty", "", "empty: prints nothing, although the kernel has something"},
		{"bad", "half\n", "exit status 4: Permission denied (you must be root)"},
		{"quiet", "", "exit status 3"},
		{"loud", "", "exit status 1: xxxx"},
		{"absent", "", "executable file not found"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := &worker{ctx: context.Background(), result: result{files: map[string][]byte{}}}
			ok := w.run("f", tt.name, "arg")
			data, has := w.files["f"]
			failed := string(w.files["f.error"])
			if ok != (tt.err == "") || string(data) != tt.data || has != (tt.data != "" || ok) {
				t.Errorf("%v, %q (%v)", ok, data, has)
			}
			if (failed == "") != ok || !strings.Contains(failed, tt.err) || len(failed) > 5000 {
				t.Errorf("error %.200q, want %q", failed, tt.err)
			}
		})
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	path, err := lookPath("good")
	must(t, err)
	if _, err := output(ctx, path, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("after the end: %v", err)
	}
}

// TestSaveProgram finds the program of a back end under the names that distributions give it.
func TestSaveProgram(t *testing.T) {
	nft, legacy := "echo 'iptables-save v1.8.9 (nf_tables)'", "echo 'iptables-save v1.8.9 (legacy)'"
	for _, tt := range []struct {
		name          string
		scripts       map[string]string
		nft, legacy   string // what is found
		nftE, legacyE string
	}{
		{"both", map[string]string{"iptables-nft-save": "", "iptables-legacy-save": ""}, "iptables-nft-save", "iptables-legacy-save", "", ""},
		{"plain nft", map[string]string{"iptables-save": nft}, "iptables-save", "", "", "iptables-legacy-save"},
		{"plain legacy", map[string]string{"iptables-save": legacy}, "", "iptables-save", "iptables-nft-save", ""},
		{"before 1.8, without a word", map[string]string{"iptables-save": "echo iptables-save v1.6.1"}, "", "iptables-save", "iptables-nft-save", ""},
		{"broken", map[string]string{"iptables-save": "exit 1"}, "", "", "iptables-nft-save", "iptables-legacy-save"},
		{"none", nil, "", "", "iptables-nft-save", "iptables-legacy-save"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			program(t, tt.scripts)
			for _, v := range []struct{ backend, want, err string }{{"-nft", tt.nft, tt.nftE}, {"-legacy", tt.legacy, tt.legacyE}} {
				var p programs
				path, err := p.saveProgram(context.Background(), "iptables", v.backend)
				if filepath.Base("/"+path) != filepath.Base("/"+v.want) || (err != nil) != (v.err != "") || err != nil && !strings.Contains(err.Error(), v.err) {
					t.Errorf("%s: %q, %v; want %q", v.backend, path, err, v.want)
				}
			}
		})
	}
}

func TestLimited(t *testing.T) {
	l := limited{left: 5}
	for _, s := range []string{"abc", "def", "ghi"} {
		if n, err := l.Write([]byte(s)); n != 3 || err != nil {
			t.Errorf("%d, %v: a program that prints too much must not be stopped by it", n, err)
		}
	}
	if l.buf.String() != "abcde" || !l.over {
		t.Errorf("%q, over %v", l.buf.String(), l.over)
	}
	// As os/exec fills it.
	l = limited{left: 5}
	if _, err := io.Copy(&l, io.MultiReader(strings.NewReader(strings.Repeat("x", 100_000)))); err != nil || l.buf.Len() != 5 {
		t.Errorf("%d bytes, %v", l.buf.Len(), err)
	}
}

// TestVanish has namespaces that end between being found and being collected, and paths that lead elsewhere by then.
func TestVanish(t *testing.T) {
	sandbox.Need(t)
	host, gone := newNS(t, "vanish-host"), newNS(t, "vanish-gone")
	f := finder{o: Options{Host: host.Path}, at: map[uint64]int{}}
	must(t, f.host())
	defer f.close()
	inode, err := inodeOf(gone.Path)
	must(t, err)
	f.add(inode, "/run/netns/nowhere", "a", "")
	f.add(inode, host.Path, "b", "")
	if len(f.list) != 1 || len(f.gaps) != 0 {
		t.Errorf("namespaces that ended: %+v, %v", f.list, f.gaps)
	}
	f.add(inode, gone.Path, "c", "")
	if len(f.list) != 2 {
		t.Fatalf("%+v", f.list)
	}
	must(t, gone.Delete()) // its name; the open file keeps it
	w := &worker{ctx: context.Background(), proc: "/proc", spaces: f.list}
	must(t, host.Do(func() error {
		if r := w.collect(f.list[1]); len(r.gaps) > 0 || !strings.Contains(string(r.files["addr.json"]), `"lo"`) {
			t.Errorf("a namespace without its name: %v", r.gaps)
		}
		must(t, enter(f.list[0]))
		f.list[1].file.Close()
		if r := w.collect(f.list[1]); len(r.gaps) != 1 || !strings.Contains(r.gaps[0].Why, "enter the namespace") || len(r.files) != 0 {
			t.Errorf("a namespace that is gone: %v, %d files", r.gaps, len(r.files))
		}
		return nil
	}))
}

// TestGiven wants only what the caller names, once each, and by unique names.
func TestGiven(t *testing.T) {
	sandbox.Need(t)
	host, a, b := newNS(t, "given-host"), newNS(t, "given-a"), newNS(t, "given-b")
	for _, tt := range []struct {
		name    string
		netns   []NetNS
		exclude []string
		want    []string
		gap     string
	}{
		{"none", []NetNS{}, nil, []string{"host"}, ""},
		{"by path", []NetNS{{Path: a.Path}}, nil, []string{"host", "given-a"}, ""},
		{"twice", []NetNS{{Path: a.Path, Name: "x"}, {Path: a.Path, Name: "y"}}, nil, []string{"host", "x"}, ""},
		{"the host's again", []NetNS{{Path: host.Path, Name: "x"}}, nil, []string{"host"}, ""},
		{"one name for two", []NetNS{{Path: a.Path, Name: "x"}, {Path: b.Path, Name: "x"}}, nil, []string{"host", "x", "x-2"}, ""},
		{"the host's name", []NetNS{{Path: a.Path, Name: "host"}}, nil, []string{"host", "host-2"}, ""},
		{"left out", []NetNS{{Path: a.Path}, {Path: b.Path}}, []string{a.Path, "/nowhere"}, []string{"host", "given-b"}, ""},
		{"the host left out", []NetNS{{Path: a.Path}}, []string{host.Path}, []string{"host", "given-a"}, ""},
		{"absent", []NetNS{{Name: "z/../x", Path: "/nowhere"}}, nil, []string{"host"}, "nodes/n_1/z_.._x"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			files, err := Collect(context.Background(), Options{Node: "n 1", Host: host.Path, NetNS: tt.netns, Exclude: tt.exclude})
			must(t, err)
			c, err := snapshot.Read(files)
			must(t, err)
			var got []string
			for _, ns := range c.Nodes[0].NetNS {
				got = append(got, ns.Name)
			}
			slices.Sort(got)
			slices.Sort(tt.want)
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
			if _, ok := c.GapAt(tt.gap); tt.gap != "" && !ok {
				t.Errorf("no gap at %s in %v", tt.gap, c.Gaps)
			}
			if c.Nodes[0].Name != "n 1" {
				t.Errorf("node %q", c.Nodes[0].Name)
			}
		})
	}
}

// TestPodsByNetNS reads the records of containerd and CRI-O, and passes over what is no Pod's or leads nowhere.
func TestPodsByNetNS(t *testing.T) {
	root := t.TempDir()
	put := func(path, text string) {
		must(t, os.MkdirAll(filepath.Dir(filepath.Join(root, path)), 0o755))
		must(t, os.WriteFile(filepath.Join(root, path), []byte(text), 0o644))
	}
	record := func(prefix, ns, name, path string) string {
		b, err := json.Marshal(map[string]any{
			"annotations": map[string]string{prefix + "namespace": ns, prefix + "name": name},
			"linux":       map[string]any{"namespaces": []map[string]string{{"type": "network", "path": path}}},
		})
		must(t, err)
		return string(b)
	}
	const containerd = "run/containerd/io.containerd.runtime.v2.task/k8s.io/"
	const crio = "run/containers/storage/overlay-containers/"
	put("run/netns/a", "")
	put("var/run/netns/b", "")
	put(containerd+"1/config.json", record("io.kubernetes.cri.sandbox-", "shop", "web-0", "/run/netns/a"))
	put(containerd+"2/config.json", record("io.kubernetes.cri.sandbox-", "shop", "gone", "/run/netns/gone"))
	put(containerd+"3/config.json", "{")
	put(crio+"4/userdata/config.json", record("io.kubernetes.pod.", "shop", "web-1", "/var/run/netns/b"))
	put(crio+"5/userdata/config.json", strings.Repeat(" ", maxConfig)+record("io.kubernetes.pod.", "shop", "huge", "/run/netns/a"))
	got := map[string]string{}
	pods, release := podsByNetNS(root)
	defer release()
	for inode, pod := range pods {
		for _, path := range []string{"run/netns/a", "var/run/netns/b"} {
			if i, _ := inodeOf(filepath.Join(root, path)); i == inode {
				got[path] = pod
			}
		}
	}
	if d := cmp.Diff(map[string]string{"run/netns/a": "shop/web-0", "var/run/netns/b": "shop/web-1"}, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

// TestUsers names the processes of sockets from a /proc that is made by hand.
func TestUsers(t *testing.T) {
	proc := t.TempDir()
	for pid, comm := range map[int]string{10: "nginx\n", 11: "evil\"\x1b[31m\n", 12: ""} {
		dir := filepath.Join(proc, itoa(pid))
		must(t, os.MkdirAll(filepath.Join(dir, "fd"), 0o755))
		if comm != "" {
			must(t, os.WriteFile(filepath.Join(dir, "comm"), []byte(comm), 0o644))
		}
		must(t, os.Symlink(fmt.Sprintf("socket:[%d]", 1000+pid), filepath.Join(dir, "fd/3")))
		must(t, os.Symlink("/dev/null", filepath.Join(dir, "fd/0")))
	}
	must(t, os.Symlink("socket:[1010]", filepath.Join(proc, "11/fd/4"))) // nginx's, held by another too
	got, all := findUsers(proc, []int{10, 11, 12, 13})
	want := users{1010: {"nginx", 10, "3"}, 1011: {"evil??[31m", 11, "3"}, 1012: {"?", 12, "3"}}
	if d := cmp.Diff(want, got, cmp.AllowUnexported(user{})); d != "" || !all {
		t.Errorf("all %v (-want +got):\n%s", all, d)
	}
	for in, want := range map[string]uint32{"socket:[7]": 7, "socket:[x]": 0, "pipe:[7]": 0, "": 0, "socket:[99999999999]": 0} {
		if n, ok := socketInode([]byte(in)); ok != (want != 0) || ok && n != want {
			t.Errorf("%q: %d, %v", in, n, ok)
		}
	}
}
