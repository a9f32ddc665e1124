//go:build linux

package node

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/plumbnet/plumb/lab/sandbox"
	"github.com/plumbnet/plumb/snapshot"
	"golang.org/x/sys/unix"
)

// runtime is a node's root with the records of a container runtime, and the namespaces bound in it as on a real node.
type runtimeRoot struct {
	t    *testing.T
	root string
}

func newRoot(t *testing.T) runtimeRoot {
	r := runtimeRoot{t, t.TempDir()}
	must(t, os.MkdirAll(filepath.Join(r.root, "run/netns"), 0o755))
	must(t, os.MkdirAll(filepath.Join(r.root, "var"), 0o755))
	must(t, os.Symlink("/run", filepath.Join(r.root, "var/run"))) // absolute, as Debian has it
	return r
}

// bind has a namespace at a path of the node.
func (r runtimeRoot) bind(ns *sandbox.NS, name string) string {
	r.t.Helper()
	path := filepath.Join(r.root, "run/netns", name)
	must(r.t, os.WriteFile(path, nil, 0o444))
	must(r.t, unix.Mount(ns.Path, path, "", unix.MS_BIND, ""))
	r.t.Cleanup(func() { _ = unix.Unmount(path, unix.MNT_DETACH) })
	return path
}

// link has another path of the node lead to a namespace that is bound, or to a file.
func (r runtimeRoot) link(name, path string) {
	r.t.Helper()
	at := filepath.Join(r.root, path)
	if err := os.Remove(at); err != nil && !os.IsNotExist(err) {
		r.t.Fatal(err)
	}
	must(r.t, os.Symlink("/run/netns/"+name, at))
}

// record is what containerd keeps of a sandbox; path "" for one on the node's own network.
func (r runtimeRoot) record(id, pod, path string) string {
	r.t.Helper()
	ns, name, _ := strings.Cut(pod, "/")
	network := ""
	if path != "" {
		network = fmt.Sprintf(`,{"type":"network","path":%q}`, path)
	}
	file := filepath.Join(r.root, "run/containerd/io.containerd.runtime.v2.task/k8s.io", id, "config.json")
	must(r.t, os.MkdirAll(filepath.Dir(file), 0o755))
	must(r.t, os.WriteFile(file, fmt.Appendf(nil, `{"annotations":{"io.kubernetes.cri.sandbox-namespace":%q,"io.kubernetes.cri.sandbox-name":%q},"linux":{"namespaces":[{"type":"pid"}%s]}}`, ns, name, network), 0o644))
	return file
}

func spaceNames(t *testing.T, o Options) ([]string, *snapshot.Cluster) {
	t.Helper()
	files, err := Collect(context.Background(), o)
	must(t, err)
	c, err := snapshot.Read(files)
	must(t, err)
	var out []string
	for _, ns := range c.Nodes[0].NetNS {
		out = append(out, strings.TrimSpace(ns.Name+" "+ns.Pod))
	}
	return out, c
}

// TestPods collects a node's own namespace and those of named Pods, and no more.
func TestPods(t *testing.T) {
	sandbox.Need(t)
	host, a, b := newNS(t, "pods-host"), newNS(t, "pods-a"), newNS(t, "pods-b")
	nameless := newNS(t, "pods-nameless")
	r := newRoot(t)
	r.bind(a, "cni-a")
	r.bind(b, "cni-b")
	r.record("1", "shop/web-0", "/var/run/netns/cni-a")
	r.record("2", "shop/web-1", "/run/netns/cni-b")
	r.record("3", "kube-system/kube-proxy", "")
	r.record("4", "shop/gone", "/run/netns/cni-gone")
	must(t, os.WriteFile(filepath.Join(r.root, "run/netns/file"), nil, 0o644))
	r.record("5", "shop/file", "/run/netns/file")
	r.record("6", "shop/out", "/../../../../../etc/passwd")
	must(t, os.Symlink("/proc/1/ns/net", filepath.Join(r.root, "run/netns/link")))
	r.record("7", "shop/link", "/run/netns/link")
	o := Options{Node: "n", Root: r.root, Host: host.Path}
	for _, tt := range []struct {
		name string
		pods []string
		want []string
		gap  string
	}{
		{"none", []string{}, []string{"host"}, ""},
		{"one, by way of a link to /run", []string{"shop/web-0"}, []string{"host", "pod-shop-web-0 shop/web-0"}, ""},
		{"two, one twice", []string{"shop/web-1", "shop/web-0", "shop/web-1"}, []string{"host", "pod-shop-web-0 shop/web-0", "pod-shop-web-1 shop/web-1"}, ""},
		{"on the node's own network", []string{"kube-system/kube-proxy"}, []string{"host"}, ""},
		{"gone", []string{"shop/gone"}, []string{"host"}, "no such file"},
		{"no namespace", []string{"shop/file"}, []string{"host"}, "/run/netns/file is not a network namespace"},
		{"a link out of the root", []string{"shop/link"}, []string{"host"}, "pod shop/link: open /run/netns/link: no such file"},
		{"out of the root", []string{"shop/out"}, []string{"host"}, "pod shop/out: "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o.Pods = tt.pods
			got, c := spaceNames(t, o)
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
			if g, ok := c.GapAt("nodes/n"); ok != (tt.gap != "") || !strings.Contains(g.Why, tt.gap) {
				t.Errorf("gap %q, want %q", g.Why, tt.gap)
			}
		})
	}
	t.Run("without a record", func(t *testing.T) {
		o.Pods = []string{"shop/unknown"}
		got, c := spaceNames(t, o)
		if s := strings.Join(got, ","); !strings.Contains(s, ",pods-nameless") || strings.Contains(s, "web-") || strings.Contains(s, "cni-a") {
			t.Errorf("%s: want what no record names, %s among it", s, nameless.Name)
		}
		if g, _ := c.GapAt("nodes/n"); g.Why != "pod shop/unknown: no container runtime on this node has a record of it" {
			t.Errorf("gap %q", g.Why)
		}
	})
	t.Run("the same as the whole node has", func(t *testing.T) {
		o.Pods = []string{"shop/web-0"}
		part, err := Collect(context.Background(), o)
		must(t, err)
		o.Pods = nil
		all, err := Collect(context.Background(), o)
		must(t, err)
		// The namespace has two names here: that of the record, a link, and that of the mount.
		path := regexp.MustCompile(`"path":"/run/netns/(cni-a|pods-a)"`)
		for _, name := range part.Names() {
			if !strings.HasSuffix(name, "node.json") && path.ReplaceAllString(string(part[name]), "PATH") != path.ReplaceAllString(string(all[name]), "PATH") {
				t.Errorf("%s differs:\n%s\n%s", name, part[name], all[name])
			}
		}
	})
}

// TestOpenPod opens the namespaces that probes are sent from.
func TestOpenPod(t *testing.T) {
	sandbox.Need(t)
	host, a := newNS(t, "open-host"), newNS(t, "open-a")
	r := newRoot(t)
	r.bind(a, "cni-a")
	r.record("1", "shop/web-0", "/run/netns/cni-a")
	r.record("2", "kube-system/kube-proxy", "")
	for _, tt := range []struct{ pod, path, err string }{
		{"", host.Path, ""},
		{"shop/web-0", a.Path, ""},
		{"kube-system/kube-proxy", host.Path, ""},
		{"shop/web-1", "", "pod shop/web-1: no container runtime on this node has a record of it"},
	} {
		t.Run(tt.pod, func(t *testing.T) {
			f, err := OpenPod(Options{Node: "n", Root: r.root, Host: host.Path}, tt.pod)
			if tt.err != "" {
				if err == nil || err.Error() != tt.err {
					t.Errorf("error %v", err)
				}
				return
			}
			must(t, err)
			_, got, err := stated(f)
			must(t, err)
			want, err := inodeOf(tt.path)
			must(t, err)
			if f.Close(); got != want {
				t.Errorf("namespace %d, want %d", got, want)
			}
		})
	}
}

// TestSwapped has a Pod go, and another come to its path, between the reading of its record and the opening of its
// namespace: who asks for a Pod gets its namespace or an error, and never the other's.
func TestSwapped(t *testing.T) {
	sandbox.Need(t)
	a, b := newNS(t, "swap-a"), newNS(t, "swap-b")
	want, err := inodeOf(a.Path)
	must(t, err)
	const path = "/run/netns/x"
	for _, tt := range []struct {
		name string
		meet func(r runtimeRoot, record string)
		err  string
	}{
		{"nothing", func(runtimeRoot, string) {}, ""},
		{"the Pod is gone", func(r runtimeRoot, record string) { must(t, os.Remove(record)) }, path + ": changed while it was opened"},
		{"another has its path and its record's name", func(r runtimeRoot, record string) {
			must(t, os.Remove(record))
			r.record("1", "shop/b", path)
			r.link("b", path)
		}, path + ": changed while it was opened"},
		{"another was there in between", func(r runtimeRoot, record string) {
			must(t, os.Remove(record))
			r.record("1", "shop/b", path)
			must(t, os.Remove(record))
			r.record("1", "shop/a", path)
		}, path + ": changed while it was opened"},
		{"another record of the same time", func(r runtimeRoot, record string) {
			info, err := os.Stat(record)
			must(t, err)
			must(t, os.Remove(record))
			r.record("1", "shop/a", path)
			must(t, os.Chtimes(record, info.ModTime(), info.ModTime()))
		}, path + ": changed while it was opened"},
		{"the record is written again", func(r runtimeRoot, record string) {
			r.record("1", "shop/a", path)
			must(t, os.Chtimes(record, time.Time{}, time.Unix(1, 0)))
		}, path + ": changed while it was opened"},
		{"its path leads to a file", func(r runtimeRoot, record string) {
			must(t, os.WriteFile(filepath.Join(r.root, "run/netns/file"), nil, 0o600))
			r.link("file", path)
		}, path + " is not a network namespace"},
		{"its path leads nowhere", func(r runtimeRoot, record string) { must(t, os.Remove(filepath.Join(r.root, path))) }, "no such file or directory"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRoot(t)
			r.bind(a, "a")
			r.bind(b, "b")
			r.link("a", path)
			file := r.record("1", "shop/a", path)
			record := readRecord(file)
			f, before, err := openRecord(record)
			must(t, err)
			defer f.Close()
			tt.meet(r, file)
			ns, got, err := record.openSince(before, r.root)
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Fatalf("error %v, want %q", err, tt.err)
				}
				return
			}
			must(t, err)
			if ns.Close(); got != want {
				t.Errorf("namespace %d, want %d", got, want)
			}
		})
	}
}
