//go:build linux

package bench

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/plumbnet/plumb/collect/kube/kubetest"
	"github.com/plumbnet/plumb/lab/sandbox"
	"github.com/plumbnet/plumb/snapshot"
)

// A big cluster: what Kubernetes supports are five times as many nodes, and three times as many Pods.
const (
	fleetNodes   = 1000
	podsOfNode   = 50
	recordedPods = "../../check/checktest/testdata/flannel.txtar"
)

// BenchmarkFleet asks about a path over two nodes of a thousand, with 50,000 Pods, and has all of them
// checked, the objects and the agents being served at the level of HTTP. A quarter of them shows how memory grows.
func BenchmarkFleet(b *testing.B) {
	sandbox.Need(b)
	if out, err := exec.Command("ip", "link", "set", "lo", "up").CombinedOutput(); err != nil {
		b.Fatalf("%v\n%s", err, out)
	}
	plumb := build(b)
	for _, tt := range []struct {
		name  string
		nodes int
		argv  []string
	}{
		{"a path over 2 nodes", fleetNodes, []string{"diagnose", "-s", "shop/web-0", "-d", "shop/web-1:8080"}},
		{"every check, a quarter", fleetNodes / 4, []string{"check"}},
		{"every check", fleetNodes, []string{"check"}},
	} {
		b.Run(tt.name, func(b *testing.B) {
			s := bigCluster(b, tt.nodes)
			config := filepath.Join(b.TempDir(), "config")
			if err := os.WriteFile(config, s.Start(), 0o600); err != nil {
				b.Fatal(err)
			}
			defer s.Close()
			var sum cost
			for b.Loop() {
				c := run(b, append([]string{plumb, tt.argv[0], "--kubeconfig", config}, tt.argv[1:]...)...)
				sum = cost{max(sum.RSS, c.RSS), sum.CPU + c.CPU}
			}
			snapshots := 0
			for _, a := range s.Asked() {
				if strings.Contains(a, " snapshot") {
					snapshots++
				}
			}
			b.ReportMetric(float64(sum.RSS)*1024/1e6, "MB-RSS")
			b.ReportMetric(float64(sum.CPU.Milliseconds())/float64(b.N), "cpu-ms/op")
			b.ReportMetric(float64(snapshots)/float64(b.N), "snapshots/op")
		})
	}
}

// bigCluster is a recorded cluster of three nodes, and many more beside it.
func bigCluster(b testing.TB, nodes int) *kubetest.Server {
	b.Helper()
	f, err := os.Open(recordedPods)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	files, _, err := snapshot.Unpack(recordedPods, f)
	if err != nil {
		b.Fatal(err)
	}
	s, err := kubetest.Grow(files, nodes, podsOfNode)
	if err != nil {
		b.Fatal(err)
	}
	return s
}
