//go:build linux

package bench

import (
	"fmt"
	"io"
	"log"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/plumbnet/plumb/agent/observe"
	"github.com/plumbnet/plumb/collect/node"
	"github.com/plumbnet/plumb/lab/figures"
	"github.com/plumbnet/plumb/lab/sandbox"
	"github.com/plumbnet/plumb/probe"
	"github.com/plumbnet/plumb/probe/all"
	"golang.org/x/sys/unix"
)

// connections are those of each Pod, over its loopback device.
const connections = 20

// scrapes holds what one scrape takes.
var scrapes = figures.Table{Head: fmt.Sprintf("one scrape, %d connections a Pod; Pods:", connections), Of: "Pods", Sizes: []int{10, 50, 100}, Figures: append([]figures.Figure{
	{What: "CPU, all probes of the default set", At: 2, Goal: 50e-3},
	{What: "  until it is there"},
	{What: "  series", Unit: figures.Count},
	{What: "  what is sent", Unit: figures.Bytes},
	{What: "CPU, to read alone:"},
}, kindFigures()...)}

func kindFigures() (out []figures.Figure) {
	for _, k := range all.Kinds {
		out = append(out, figures.Figure{What: "  probe " + k.Name})
	}
	return out
}

// BenchmarkScrape has an agent scraped on nodes of some Pods, each with a veth to a bridge, connections, a process and its cgroups.
func BenchmarkScrape(b *testing.B) {
	sandbox.Need(b)
	n := &scraped{b: b, root: b.TempDir()}
	n.must(os.MkdirAll(filepath.Join(n.root, "run/netns"), 0o755))
	n.host = n.bind("/proc/thread-self/ns/net", filepath.Join(n.root, "host")) // that of process 1 is its first thread's, which may be in a Pod by then
	n.ip("link", "add", "cni0", "type", "bridge")
	n.ip("link", "set", "cni0", "up")
	for at, size := range scrapes.Sizes {
		for n.pods < size {
			n.add()
		}
		b.Run(fmt.Sprintf("pods=%d", size), func(b *testing.B) { n.scrape(b, at) })
	}
	b.Run("plumbd", n.plumbd)
}

type scraped struct {
	b    *testing.B
	root string // of what the container runtime keeps
	host string // the node's own network namespace
	pods int
}

func (n *scraped) must(err error) {
	n.b.Helper()
	if err != nil {
		n.b.Fatal(err)
	}
}

func (n *scraped) ip(argv ...string) {
	n.b.Helper()
	if out, err := exec.Command("ip", argv...).CombinedOutput(); err != nil {
		n.b.Fatalf("%v: %v\n%s", argv, err, out)
	}
}

// add adds a Pod.
func (n *scraped) add() {
	n.b.Helper()
	i := n.pods
	n.pods++
	ns, err := sandbox.NewNS(fmt.Sprintf("cni-%d", i))
	n.must(err)
	veth := fmt.Sprintf("veth%d", i)
	n.ip("link", "add", veth, "type", "veth", "peer", "name", "eth0", "netns", ns.Path)
	n.ip("link", "set", veth, "master", "cni0", "up")
	n.must(ns.Run("", "ip", "addr", "add", fmt.Sprintf("10.244.%d.%d/16", i/250, i%250+2), "dev", "eth0"))
	n.must(ns.Run("", "ip", "link", "set", "eth0", "up"))
	n.must(ns.Do(n.connect))
	n.record(i, ns.Path, n.cgroup(i))
}

// connect makes the connections, in the thread's namespace.
func (n *scraped) connect() error {
	to := &unix.SockaddrInet4{Port: 8080, Addr: [4]byte{127, 0, 0, 1}}
	socket := func() (int, error) {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		n.b.Cleanup(func() { unix.Close(fd) })
		return fd, err
	}
	l, err := socket()
	if err == nil {
		err = unix.Bind(l, to)
	}
	if err == nil {
		err = unix.Listen(l, connections)
	}
	for range connections {
		c, e := socket()
		if err != nil || e != nil {
			return fmt.Errorf("%v %v", err, e)
		}
		if err = unix.Connect(c, to); err != nil {
			return err
		}
		s, _, e := unix.Accept4(l, unix.SOCK_CLOEXEC)
		if e != nil {
			return e
		}
		n.b.Cleanup(func() { unix.Close(s) })
	}
	return err
}

// cgroup makes those of a Pod and its container, with a process in it, and returns the container's. Where a hierarchy of version 2
// has controllers it is in that, else in those of version 1.
func (n *scraped) cgroup(i int) string {
	n.b.Helper()
	path := fmt.Sprintf("plumb-bench-%d/pod%d/c", os.Getppid(), i)
	sleep := exec.Command("sleep", "3600")
	n.must(sleep.Start())
	roots := []string{"cpu", "cpuacct", "memory", "unified"}
	if _, err := os.Stat("/sys/fs/cgroup/cgroup.controllers"); err == nil {
		roots = []string{""}
	}
	for _, r := range roots {
		dir := filepath.Join("/sys/fs/cgroup", r, path)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			n.b.Logf("no cgroup: %v", err)
			continue
		}
		n.must(os.WriteFile(filepath.Join(dir, "cgroup.procs"), fmt.Append(nil, sleep.Process.Pid), 0))
		n.b.Cleanup(func() {
			_, _ = sleep.Process.Kill(), sleep.Wait()
			for d := dir; strings.Contains(d, "plumb-bench"); d = filepath.Dir(d) {
				_ = os.Remove(d)
			}
		})
	}
	return "/" + path
}

// bind has a namespace at a path.
func (n *scraped) bind(netns, path string) string {
	n.b.Helper()
	n.must(os.WriteFile(path, nil, 0o444))
	n.must(unix.Mount(netns, path, "", unix.MS_BIND, ""))
	n.b.Cleanup(func() { _ = unix.Unmount(path, unix.MNT_DETACH) })
	return path
}

// record writes what containerd keeps of the Pod.
func (n *scraped) record(i int, netns, cgroup string) {
	n.b.Helper()
	n.bind(netns, filepath.Join(n.root, "run/netns", filepath.Base(netns)))
	file := filepath.Join(n.root, "run/containerd/io.containerd.runtime.v2.task/k8s.io", fmt.Sprint(i), "config.json")
	n.must(os.MkdirAll(filepath.Dir(file), 0o755))
	n.must(os.WriteFile(file, fmt.Appendf(nil, `{"annotations":{"io.kubernetes.cri.sandbox-namespace":"load","io.kubernetes.cri.sandbox-name":"load-%d"},"linux":{"cgroupsPath":%q,"namespaces":[{"type":"network","path":%q}]}}`,
		i, cgroup, "/run/netns/"+filepath.Base(netns)), 0o644))
}

// scrape measures at one of the sizes.
func (n *scraped) scrape(b *testing.B, at int) {
	places, err := node.NewPlaces(node.Options{Node: "node-a", Root: n.root, Host: n.host})
	n.must(err)
	if got := len(places.All()) - 1; got < n.pods || len(places.Cgroups()) < n.pods {
		b.Fatalf("%d places and %d cgroups of %d Pods", got, len(places.Cgroups()), n.pods)
	}
	o := observe.New(observe.Options{Node: "node-a", Kinds: all.Kinds, Places: places, Log: log.New(io.Discard, "", 0)})
	o.Apply(observe.Config{})
	metrics := o.Metrics()
	var answer string
	get := func() {
		w := httptest.NewRecorder()
		metrics.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
		answer = w.Body.String()
	}
	get()
	settle(b)
	before := cpu()
	for b.Loop() {
		get()
	}
	took := (cpu() - before).Seconds() / float64(b.N)
	b.ReportMetric(took*1000, "cpu-ms/op")
	scrapes.Note(at, "CPU, all probes of the default set", took)
	scrapes.Note(at, "until it is there", b.Elapsed().Seconds()/float64(b.N))
	scrapes.Note(at, "series", float64(strings.Count(answer, "\n")-strings.Count("\n"+answer, "\n#")))
	scrapes.Note(at, "what is sent", float64(len(answer)))
	for _, s := range o.States() {
		if s.Errors > 0 {
			b.Errorf("probe %s: %s", s.Name, s.Last)
		}
	}
	o.Close() // what its probes do meanwhile is not theirs who are measured now
	for _, k := range all.Kinds {
		scrapes.Note(at, "probe "+k.Name, n.alone(places, k))
	}
}

// settle waits until this process does nothing: until its probes have found in the kernel what they need.
func settle(b *testing.B) {
	b.Helper()
	const little = 2 * time.Millisecond
	for range 200 {
		before := cpu()
		time.Sleep(50 * time.Millisecond)
		if cpu()-before < little {
			return
		}
	}
	b.Log("it did not settle")
}

// alone returns what it takes to read one probe, without what it takes to go from place to place: in the round in
// which the least else went on.
func (n *scraped) alone(places *node.Places, k *probe.Kind) float64 {
	for _, f := range k.Needs {
		if f.Have() != nil {
			return 0
		}
	}
	p, err := k.Open(&probe.Env{Node: "node-a", Proc: "/proc", Sys: "/sys", Places: places})
	if err != nil {
		return 0
	}
	defer p.Close()
	const rounds = 20
	least := func(in func(probe.Place)) float64 {
		best := math.Inf(1)
		for range rounds {
			began := cpu()
			_ = places.Each(in)
			best = min(best, (cpu() - began).Seconds())
		}
		return best
	}
	none := func(probe.Sample) {}
	there := least(func(probe.Place) {})
	return max(0, least(func(place probe.Place) {
		if place.Host {
			_ = p.Read(none)
		}
		_ = p.ReadIn(place, none)
	})-there)
}
