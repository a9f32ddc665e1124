//go:build linux

package node

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/plumbnet/plumb/lab/sandbox"
	"github.com/plumbnet/plumb/probe"
	"golang.org/x/sys/unix"
)

// shopPods returns the Pods of the places that a test made: other namespaces of the machine are there as well.
func shopPods(p *Places) (out []string) {
	for _, place := range p.All() {
		if len(place.Pod) > 5 && place.Pod[:5] == "shop/" {
			out = append(out, place.Pod)
		}
	}
	slices.Sort(out)
	return out
}

func TestPlaces(t *testing.T) {
	sandbox.Need(t)
	host, a, b := newNS(t, "places-host"), newNS(t, "places-a"), newNS(t, "places-b")
	must(t, a.Run("", "ip", "link", "add", "eth0", "type", "veth", "peer", "name", "up", "netns", host.Path))
	must(t, a.Run("", "ip", "addr", "add", "10.9.8.7/24", "dev", "eth0"))
	r := newRoot(t)
	r.bind(a, "cni-a")
	r.record("1", "shop/web-0", "/var/run/netns/cni-a")
	r.record("2", "kube-system/kube-proxy", "")
	p, err := NewPlaces(Options{Node: "n", Root: r.root, Host: host.Path})
	must(t, err)
	if got := shopPods(p); !slices.Equal(got, []string{"shop/web-0"}) {
		t.Fatalf("%q", got)
	}
	all := p.All()
	if !all[0].Host || all[0].Pod != "" {
		t.Errorf("the first is %+v, want the node's own", all[0])
	}
	var web probe.Place
	for _, place := range all {
		if place.Pod == "shop/web-0" {
			web = place
		}
	}
	if got, ok := p.ByNet(web.Net); !ok || got != web {
		t.Errorf("ByNet: %+v %v, want %+v", got, ok, web)
	}
	if pod, _ := p.ByAddr(netip.MustParseAddr("10.9.8.7")); pod != "shop/web-0" {
		t.Errorf("ByAddr: %q", pod)
	}
	var up int
	must(t, host.Do(func() error { up, err = ifindex("up"); return err }))
	if pod, _ := p.ByDevice(up); pod != "shop/web-0" {
		t.Errorf("ByDevice(%d): %q", up, pod)
	}
	entered := map[string]uint64{}
	must(t, p.Each(func(place probe.Place) { entered[place.Pod], _ = inodeOf("/proc/thread-self/ns/net") }))
	if want, _ := inodeOf(a.Path); entered["shop/web-0"] != want {
		t.Errorf("entered %d, want %d", entered["shop/web-0"], want)
	}
	if want, _ := inodeOf(host.Path); entered[""] != want {
		t.Errorf("entered %d for the node's own, want %d", entered[""], want)
	}

	// One goes, another comes; what went is still told for a while.
	must(t, unix.Unmount(filepath.Join(r.root, "run/netns/cni-a"), unix.MNT_DETACH))
	must(t, os.RemoveAll(filepath.Dir(filepath.Join(r.root, "run/containerd/io.containerd.runtime.v2.task/k8s.io/1/config.json"))))
	must(t, os.Remove(filepath.Join(r.root, "run/netns/cni-a")))
	must(t, a.Delete()) // of its name beside the record's
	r.bind(b, "cni-b")
	r.record("3", "shop/web-1", "/var/run/netns/cni-b")
	p.Refresh()
	if got := shopPods(p); !slices.Equal(got, []string{"shop/web-1"}) {
		t.Errorf("%q", got)
	}
	if got, ok := p.ByNet(web.Net); !ok || got.Pod != "shop/web-0" {
		t.Errorf("of the one that ended: %+v %v", got, ok)
	}
	addr := netip.MustParseAddr("10.9.8.7")
	if pod, ok := p.ByAddr(addr); ok {
		t.Errorf("ByAddr of the one that ended: %q", pod)
	}
	if pod, _ := p.Former(addr); pod != "shop/web-0" {
		t.Errorf("Former: %q", pod)
	}
	p.byNet[web.Net].ended = time.Now().Add(-lingering)
	p.Refresh()
	if pod, ok := p.Former(addr); ok {
		t.Errorf("Former, long after its end: %q", pod)
	}
	p.byNet[web.Net].ended = time.Now().Add(-remembered)
	p.Refresh()
	if got, ok := p.ByNet(web.Net); ok {
		t.Errorf("long after its end: %+v", got)
	}
}

// ifindex returns the index of a device of the thread's namespace.
func ifindex(name string) (int, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	defer unix.Close(fd)
	req, err := unix.NewIfreq(name)
	if err != nil {
		return 0, err
	}
	err = unix.IoctlIfreq(fd, unix.SIOCGIFINDEX, req)
	return int(req.Uint32()), err
}

// TestPlacesRun: a Pod that comes is named within less than the 2 s that it may live, without a refresh by time.
func TestPlacesRun(t *testing.T) {
	sandbox.Need(t)
	host, a, b := newNS(t, "run-host"), newNS(t, "run-a"), newNS(t, "run-b")
	r := newRoot(t)
	must(t, os.MkdirAll(filepath.Join(r.root, "run/containerd/io.containerd.runtime.v2.task/k8s.io"), 0o755))
	p, err := NewPlaces(Options{Node: "n", Root: r.root, Host: host.Path})
	must(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); p.Run(ctx) }()
	defer func() { cancel(); <-done }()
	// The first may come before the folders are watched, the second does not.
	for i, ns := range []*sandbox.NS{a, b} {
		began, name := time.Now(), fmt.Sprintf("cni-%d", i)
		r.bind(ns, name)
		r.record(name, "shop/"+name, "/run/netns/"+name)
		for !slices.Contains(shopPods(p), "shop/"+name) {
			if time.Since(began) > 2*time.Second {
				t.Fatal("not named within 2 s")
			}
			time.Sleep(5 * time.Millisecond)
		}
		t.Logf("named after %v", time.Since(began).Round(time.Millisecond))
	}
}

func TestCgroupPath(t *testing.T) {
	for in, want := range map[string]string{
		"":                                "",
		"/kubepods/burstable/pod1/2":      "/kubepods/burstable/pod1/2",
		"kubepods.slice:cri-containerd:2": "kubepods.slice/cri-containerd-2.scope",
		"kubepods-burstable-pod1_2.slice:cri-containerd:abc": "kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod1_2.slice/cri-containerd-abc.scope",
		"kubelet-kubepods-pod7.slice:crio:f":                 "kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-pod7.slice/crio-f.scope",
	} {
		if got := cgroupPath(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func TestGroupsOf(t *testing.T) {
	const pod = "kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod1_2.slice"
	got := groupsOf([]podRecord{
		{pod: "shop/web-0", cgroup: pod + "/cri-containerd-a.scope"}, {pod: "shop/web-0", cgroup: pod + "/cri-containerd-b.scope"},
		{pod: "shop/api-0", cgroup: "/kubepods/besteffort/pod3/c"}, {pod: "shop/odd", cgroup: "/kubepods/x"}, {pod: "shop/none"},
	})
	want := []probe.Cgroup{{Pod: "shop/api-0", Path: "kubepods/besteffort/pod3"}, {Pod: "shop/odd", Path: "kubepods/x"}, {Pod: "shop/web-0", Path: pod}}
	if !slices.Equal(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
}

// TestByCgroup makes a cgroup where the unified hierarchy is mounted, and a Pod on the node's own network in it.
func TestByCgroup(t *testing.T) {
	sandbox.Need(t)
	root := unified("/sys/fs/cgroup")
	if root == "" {
		t.Skip("no unified hierarchy of cgroups")
	}
	host, r := newNS(t, "cgroup-host"), newRoot(t)
	must(t, os.MkdirAll(filepath.Join(r.root, "sys/fs"), 0o755))
	must(t, os.Symlink(root, filepath.Join(r.root, "sys/fs/cgroup")))
	dir := filepath.Join(root, "plumb-test-places")
	must(t, os.Mkdir(dir, 0o755))
	defer os.Remove(dir)
	file := filepath.Join(r.root, "run/containerd/io.containerd.runtime.v2.task/k8s.io/1/config.json")
	must(t, os.MkdirAll(filepath.Dir(file), 0o755))
	must(t, os.WriteFile(file, []byte(`{"annotations":{"io.kubernetes.cri.sandbox-namespace":"shop","io.kubernetes.cri.sandbox-name":"hostly"},"linux":{"cgroupsPath":"/plumb-test-places","namespaces":[]}}`), 0o644))
	p, err := NewPlaces(Options{Node: "n", Root: r.root, Host: host.Path})
	must(t, err)
	id, err := inodeOf(dir)
	must(t, err)
	if pod, _ := p.ByCgroup(id); pod != "shop/hostly" {
		t.Errorf("%q", pod)
	}
}
