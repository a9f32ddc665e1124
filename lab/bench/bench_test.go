//go:build linux

// Package bench measures plumb on one node the size of a busy one: 100 Pods and
// 10,000 Services, whose rules a real kernel took and printed again.
package bench

import (
	"bufio"
	"bytes"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/plumbnet/plumb/check/all"
	"github.com/plumbnet/plumb/diagnose"
	"github.com/plumbnet/plumb/lab"
	"github.com/plumbnet/plumb/lab/sandbox"
	"github.com/plumbnet/plumb/network"
	"github.com/plumbnet/plumb/snapshot"
	"github.com/plumbnet/plumb/trace"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

func TestMain(m *testing.M) {
	if os.Getenv(measured) != "" {
		os.Exit(measure(os.Args[1:]))
	}
	if !sandbox.Inside() {
		sandbox.Main(m)
	}
	code := m.Run()
	for _, dir := range recorded {
		os.RemoveAll(dir)
	}
	os.Exit(code)
}

// sizes are the numbers of Services: about 10 iptables rules each.
var sizes = []int{100, 1000, 10_000}

// recorded holds the folder of each size's snapshot.
var recorded = map[int]string{}

// record returns the folder of the snapshot of node-a with 100 Pods and that many
// Services of two endpoints each, and of the objects. All sizes are recorded at once.
func record(b *testing.B, services int) string {
	b.Helper()
	sandbox.Need(b)
	if len(recorded) == 0 {
		recordAll(b)
	}
	return recorded[services]
}

func recordAll(b *testing.B) {
	b.Helper()
	l, err := lab.Up(lab.Flannel)
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	n := l.Nodes[0]
	for i := len(n.Pods); i < 100; i++ {
		if err := l.AddPod(n, "load", fmt.Sprintf("load-%d", i), fmt.Sprintf("load-%d", i/2)); err != nil {
			b.Fatal(err)
		}
	}
	own := l.Objects.Services
	for _, size := range sizes {
		l.Objects.Services = slices.Clip(own)
		for i := range size {
			l.Objects.Services = append(l.Objects.Services, service(i))
		}
		l.SyncEndpoints()
		if err := l.SyncNode(n); err != nil {
			b.Fatal(err)
		}
		if err := write(l, n, size); err != nil {
			b.Fatal(err)
		}
	}
}

// write collects node-a as plumb does, and writes its files and those of the objects.
func write(l *lab.Lab, n *lab.Node, size int) error {
	objects, err := l.ObjectFiles()
	if err != nil {
		return err
	}
	files, err := l.NodeFiles(n)
	if err != nil {
		return err
	}
	maps.Copy(files, objects)
	dir, err := os.MkdirTemp("", "plumb-bench-")
	if err != nil {
		return err
	}
	recorded[size] = dir
	for _, name := range files.Names() {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, files[name], 0o644); err != nil {
			return err
		}
	}
	return nil
}

// service returns the i-th Service; its endpoints are two Pods of node-a.
func service(i int) corev1.Service {
	var s corev1.Service
	s.APIVersion, s.Kind = "v1", "Service"
	s.Namespace, s.Name = "load", fmt.Sprintf("svc-%d", i)
	s.Spec.Type = corev1.ServiceTypeClusterIP
	s.Spec.ClusterIP = fmt.Sprintf("10.100.%d.%d", i/250, 1+i%250)
	s.Spec.ClusterIPs = []string{s.Spec.ClusterIP}
	s.Spec.IPFamilies = []corev1.IPFamily{corev1.IPv4Protocol}
	s.Spec.Selector = map[string]string{"app": fmt.Sprintf("load-%d", 10+i%40)}
	s.Spec.Ports = []corev1.ServicePort{{Name: "http", Port: 80, Protocol: corev1.ProtocolTCP, TargetPort: intstr.FromInt32(8080)}}
	return s
}

// ask is the path that is diagnosed: from a Pod through a Service to another Pod.
var ask = diagnose.Ask{Src: "load/load-20", Dst: "svc/load/svc-5:80"}

// measured makes this program run another one and say what that took. The kernel counts
// the memory of the process that starts a program as the program's own (exec_mmap in
// fs/exec.c), so a small one must do it.
const measured = "PLUMB_BENCH_MEASURE"

// cost is what a program took.
type cost struct {
	RSS int64 // KiB, at its most
	CPU time.Duration
}

func measure(argv []string) int {
	cmd := exec.Command(argv[0], argv[1:]...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		fmt.Fprintf(os.Stderr, "%v\n%s", err, out)
		return 1
	}
	p := cmd.ProcessState
	fmt.Println(p.SysUsage().(*syscall.Rusage).Maxrss, int64(p.UserTime()+p.SystemTime()))
	return 0
}

func run(b *testing.B, argv ...string) (c cost) {
	b.Helper()
	cmd := exec.Command("/proc/self/exe", argv...)
	cmd.Env = append(os.Environ(), measured+"=1")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		b.Fatal(err)
	}
	if _, err := fmt.Sscan(string(out), &c.RSS, &c.CPU); err != nil {
		b.Fatalf("%v: %s", err, out)
	}
	return c
}

// BenchmarkDiagnose is the whole command, from the folder to the verdict, in a
// process of its own, so that the memory it reports is all that it took.
func BenchmarkDiagnose(b *testing.B) {
	plumb := filepath.Join(b.TempDir(), "plumb")
	if out, err := exec.Command("go", "build", "-o", plumb, "github.com/plumbnet/plumb/cmd/plumb").CombinedOutput(); err != nil {
		b.Fatalf("%v\n%s", err, out)
	}
	for _, n := range sizes {
		dir := record(b, n)
		b.Run(fmt.Sprintf("services=%d", n), func(b *testing.B) {
			var sum cost
			for b.Loop() {
				c := run(b, plumb, "diagnose", "-s", ask.Src, "-d", ask.Dst, "--snapshot", dir)
				sum = cost{max(sum.RSS, c.RSS), sum.CPU + c.CPU}
			}
			b.ReportMetric(float64(sum.RSS)/1024, "MiB-RSS")
			b.ReportMetric(float64(sum.CPU.Milliseconds())/float64(b.N), "cpu-ms/op")
			b.ReportMetric(rules(b, dir), "rules")
		})
	}
}

// rules counts the iptables rules of node-a in a snapshot.
func rules(b *testing.B, dir string) (n float64) {
	data, err := os.ReadFile(filepath.Join(dir, "nodes/node-a/host/iptables"))
	if err != nil {
		b.Fatal(err)
	}
	for s := bufio.NewScanner(bytes.NewReader(data)); s.Scan(); {
		if strings.HasPrefix(s.Text(), "-A ") || strings.HasPrefix(s.Text(), "[") {
			n++
		}
	}
	return n
}

// BenchmarkPacket is one more packet through a snapshot that is loaded: there and back.
func BenchmarkPacket(b *testing.B) {
	for _, n := range sizes {
		dir := record(b, n)
		c := read(b, dir)
		r, err := diagnose.Run(c, ask)
		if err != nil {
			b.Fatal(err)
		}
		q := r.Traces[0].Result.Query
		net := network.New(c)
		q.From = net.Pod(ask.Src)
		walk := func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if res := trace.Run(net, q); len(res.Paths) == 0 {
					b.Fatal("no path")
				}
			}
			b.ReportMetric(rules(b, dir), "rules")
		}
		b.Run(fmt.Sprintf("services=%d", n), walk)
		q.OneWay = true
		b.Run(fmt.Sprintf("services=%d/one-way", n), walk)
	}
}

// BenchmarkChecks is every check over a snapshot that is loaded, with one path asked about.
func BenchmarkChecks(b *testing.B) {
	for _, n := range sizes {
		dir := record(b, n)
		c := read(b, dir)
		b.Run(fmt.Sprintf("services=%d", n), func(b *testing.B) {
			for b.Loop() {
				if _, err := diagnose.Run(c, ask, all.Checks...); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(rules(b, dir), "rules")
		})
	}
}

// BenchmarkRead is the reading of a snapshot from files.
func BenchmarkRead(b *testing.B) {
	for _, n := range sizes {
		dir := record(b, n)
		b.Run(fmt.Sprintf("services=%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				read(b, dir)
			}
			b.ReportMetric(rules(b, dir), "rules")
		})
	}
}

func read(b *testing.B, dir string) *snapshot.Cluster {
	b.Helper()
	c, err := snapshot.Read(os.DirFS(dir))
	if err != nil {
		b.Fatal(err)
	}
	return c
}
