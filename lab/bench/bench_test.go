//go:build linux

// Package bench measures plumb on a node the size of a busy one: 100 Pods and
// 10,000 Services, whose rules a real kernel took and printed again.
package bench

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

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

func TestMain(m *testing.M) { sandbox.Main(m) }

// sizes are the numbers of Services: about 10 iptables rules each.
var sizes = []int{100, 1000, 10_000}

// recorded holds the folder of each size's snapshot, which is made once a run.
var recorded = map[int]string{}

// record makes a cluster with 100 Pods on node-a and that many Services of two
// endpoints each, and returns the folder of its snapshot.
func record(b *testing.B, services int) string {
	b.Helper()
	sandbox.Need(b)
	if dir, ok := recorded[services]; ok {
		return dir
	}
	l, err := lab.Up(lab.Flannel)
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	for i := len(l.Nodes[0].Pods); i < 100; i++ {
		if err := l.AddPod(l.Nodes[0], "load", fmt.Sprintf("load-%d", i), fmt.Sprintf("load-%d", i/2)); err != nil {
			b.Fatal(err)
		}
	}
	for i := range services {
		l.Objects.Services = append(l.Objects.Services, service(i))
	}
	l.SyncEndpoints()
	if err := l.SyncRules(); err != nil {
		b.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "plumb-bench-")
	if err != nil {
		b.Fatal(err)
	}
	if err := l.Record(dir); err != nil {
		b.Fatal(err)
	}
	recorded[services] = dir
	return dir
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

// ask is the path that is diagnosed: across nodes, through a Service.
var ask = diagnose.Ask{Src: "shop/web-0", Dst: "svc/shop/api:80"}

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
			var rss int64
			for b.Loop() {
				cmd := exec.Command(plumb, "diagnose", "-s", ask.Src, "-d", ask.Dst, "--snapshot", dir)
				out, err := cmd.CombinedOutput()
				if cmd.ProcessState.ExitCode() != 0 {
					b.Fatalf("%v\n%s", err, out)
				}
				rss = max(rss, cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss)
			}
			b.ReportMetric(float64(rss)/1024, "MiB-RSS")
			b.ReportMetric(float64(rules(b, dir)), "rules")
		})
	}
}

// rules counts the iptables rules of node-a in a snapshot.
func rules(b *testing.B, dir string) (n int) {
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
		c, err := snapshot.Read(os.DirFS(dir))
		if err != nil {
			b.Fatal(err)
		}
		r, err := diagnose.Run(c, ask)
		if err != nil {
			b.Fatal(err)
		}
		q := r.Traces[0].Result.Query
		net := network.New(c)
		q.From = net.Pod(ask.Src)
		b.Run(fmt.Sprintf("services=%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if res := trace.Run(net, q); len(res.Paths) == 0 {
					b.Fatal("no path")
				}
			}
		})
		q.OneWay = true
		b.Run(fmt.Sprintf("services=%d/one-way", n), func(b *testing.B) {
			for b.Loop() {
				trace.Run(net, q)
			}
		})
	}
}

// BenchmarkChecks is every check over a snapshot that is loaded, with one path asked about.
func BenchmarkChecks(b *testing.B) {
	for _, n := range sizes {
		c, err := snapshot.Read(os.DirFS(record(b, n)))
		if err != nil {
			b.Fatal(err)
		}
		b.Run(fmt.Sprintf("services=%d", n), func(b *testing.B) {
			for b.Loop() {
				if _, err := diagnose.Run(c, ask, all.Checks...); err != nil {
					b.Fatal(err)
				}
			}
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
				if _, err := snapshot.Read(os.DirFS(dir)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
