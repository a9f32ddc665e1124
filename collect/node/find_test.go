//go:build linux

package node

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/plumbnet/plumb/lab/sandbox"
	"github.com/plumbnet/plumb/snapshot"
	"golang.org/x/sys/unix"
)

// TestFindsNamespaces wants the named namespaces, those of processes only, and the names of Pods, without being told of any.
func TestFindsNamespaces(t *testing.T) {
	sandbox.Need(t)
	host := newNS(t, "the-host") // not that of process 1, whose first thread other tests may have moved
	newNS(t, "cni-a")
	left := newNS(t, "left-out")
	root := t.TempDir()
	record := filepath.Join(root, "run/containerd/io.containerd.runtime.v2.task/k8s.io/abc/config.json")
	must(t, os.MkdirAll(filepath.Dir(record), 0o755))
	must(t, os.WriteFile(record, []byte(containerdConfig), 0o644))
	must(t, os.MkdirAll(filepath.Join(root, "run/netns"), 0o755))
	bound := filepath.Join(root, "run/netns/cni-a")
	must(t, os.WriteFile(bound, nil, 0o444))
	must(t, unix.Mount("/run/netns/cni-a", bound, "", unix.MS_BIND, ""))
	t.Cleanup(func() { _ = unix.Unmount(bound, unix.MNT_DETACH) })
	sleep := exec.Command("unshare", "-n", "sleep", "60")
	must(t, sleep.Start())
	t.Cleanup(func() { _ = sleep.Process.Kill(); _ = sleep.Wait() })
	waitFor(t, func() bool {
		b, _ := os.ReadFile(filepath.Join("/proc", itoa(sleep.Process.Pid), "comm"))
		return string(b) == "sleep\n"
	})
	files, err := Collect(context.Background(), Options{Node: "n/x", Root: root, Host: host.Path, Exclude: []string{left.Path}})
	must(t, err)
	c, err := snapshot.Read(files)
	must(t, err)
	inode, err := inodeOf(filepath.Join("/proc", itoa(sleep.Process.Pid), "ns/net"))
	must(t, err)
	var names []string
	for _, ns := range c.Nodes[0].NetNS {
		names = append(names, ns.Name+" "+ns.Pod)
	}
	slices.Sort(names)
	want := []string{"host ", "net-" + itoa(int(inode)) + " ", "pod-shop-web-0 shop/web-0"}
	names = slices.DeleteFunc(names, func(s string) bool { return strings.HasPrefix(s, "net-") && !slices.Contains(want, s) }) // of this process
	if d := cmp.Diff(want, names); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if c.Nodes[0].Name != "n/x" || c.Nodes[0].Kernel == "" || c.Nodes[0].Taken.IsZero() {
		t.Errorf("node: %+v", c.Nodes[0])
	}
}

// TestCollectSaysWhatFails wants a gap for each thing that goes wrong, and the rest all the same.
func TestCollectSaysWhatFails(t *testing.T) {
	sandbox.Need(t)
	host := newNS(t, "host2")
	sh(t, host, "iptables-nft -A INPUT -j DROP\nipset create x hash:ip")
	t.Setenv("PATH", "/nowhere")
	defer func(old []string) { sbin = old }(sbin)
	sbin = nil
	files, err := Collect(context.Background(), Options{Node: "n", Host: host.Path, NetNS: []NetNS{{Path: "/run/netns/absent"}}})
	must(t, err)
	c, err := snapshot.Read(files)
	must(t, err)
	for path, why := range map[string]string{
		"nodes/n/host/iptables": "iptables-nft-save: executable file not found in $PATH",
		"nodes/n/host/ipset":    "ipset: executable file not found in $PATH",
		"nodes/n/absent":        "stat /run/netns/absent: no such file or directory",
	} {
		if g, _ := c.GapAt(path); g.Why != why {
			t.Errorf("gap at %s: %q, want %q", path, g.Why, why)
		}
	}
	if g, ok := c.GapAt("nodes/n/host/ip6tables"); ok {
		t.Errorf("there are no ip6tables rules, and yet a gap: %v", g)
	}
	if len(c.Nodes[0].Host().Links) != 1 {
		t.Errorf("links: %+v", c.Nodes[0].Host().Links)
	}
}

func TestCollectEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Collect(ctx, Options{NetNS: []NetNS{}}); err == nil {
		t.Error("collected although the context had ended")
	}
	if _, err := Collect(context.Background(), Options{Host: "/nowhere"}); err == nil || !strings.Contains(err.Error(), "/nowhere") {
		t.Errorf("error %v, want one about /nowhere", err)
	}
}

const containerdConfig = `{"ociVersion":"1.0.2","annotations":{"io.kubernetes.cri.container-type":"sandbox","io.kubernetes.cri.sandbox-name":"web-0","io.kubernetes.cri.sandbox-namespace":"shop"},
"linux":{"namespaces":[{"type":"pid"},{"type":"network","path":"/run/netns/cni-a"}]}}`

func TestParseRecord(t *testing.T) {
	for _, tt := range []struct{ name, in, pod, netns string }{
		{"containerd's sandbox", containerdConfig, "shop/web-0", "/run/netns/cni-a"},
		{"CRI-O", `{"annotations":{"io.kubernetes.pod.name":"a","io.kubernetes.pod.namespace":"b"},"linux":{"namespaces":[{"type":"network","path":"/var/run/netns/x"}]}}`, "b/a", "/var/run/netns/x"},
		{"a container in it", `{"annotations":{"io.kubernetes.cri.sandbox-name":"a","io.kubernetes.cri.sandbox-namespace":"b"},"linux":{"namespaces":[{"type":"network","path":"/proc/17/ns/net"}]}}`, "b/a", ""},
		{"the node's network", `{"annotations":{"io.kubernetes.cri.sandbox-name":"a","io.kubernetes.cri.sandbox-namespace":"b"},"linux":{"namespaces":[{"type":"pid"}]}}`, "b/a", ""},
		{"Docker's sandbox", `{"Config":{"Labels":{"io.kubernetes.pod.name":"a","io.kubernetes.pod.namespace":"b"}},"NetworkSettings":{"SandboxKey":"/var/run/docker/netns/x"}}`, "b/a", "/var/run/docker/netns/x"},
		{"a container of Docker in it", `{"Config":{"Labels":{"io.kubernetes.pod.name":"a","io.kubernetes.pod.namespace":"b"}},"NetworkSettings":{"SandboxKey":""}}`, "b/a", ""},
		{"no Pod", `{"linux":{"namespaces":[{"type":"network","path":"/run/netns/x"}]}}`, "", ""},
		{"cut short", `{"annotations":{`, "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := parseRecord(strings.NewReader(tt.in))
			if r.pod != tt.pod || r.path != tt.netns || r.host != (tt.name == "the node's network") {
				t.Errorf("%+v; want %q, %q", r, tt.pod, tt.netns)
			}
		})
	}
}

func TestParseMountinfo(t *testing.T) {
	got := parseMountinfo(`22 1 0:21 / /proc rw - proc proc rw
505 480 0:4 net:[4026532341] /run/netns/a rw shared:7 - nsfs nsfs rw
506 480 0:4 mnt:[4026532342] /run/mntns/a rw shared:7 - nsfs nsfs rw
507 480 0:4 net:[4026532343] /run/netns/a\040b rw - nsfs nsfs rw
short
`)
	want := []found{{4026532341, "/run/netns/a"}, {4026532343, "/run/netns/a b"}}
	if d := cmp.Diff(want, got, cmp.AllowUnexported(found{})); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestSumColumns(t *testing.T) {
	got := sumColumns("entries  drop early_drop\n00000005  0000000a 00000000\n00000005  00000001 00000002\n")
	want := []column{{"drop", 11}, {"early_drop", 2}}
	if d := cmp.Diff(want, got, cmp.AllowUnexported(column{})); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if got := sumColumns(""); len(got) != 0 {
		t.Errorf("of nothing: %v", got)
	}
}
