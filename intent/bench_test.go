package intent

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/plumbnet/plumb/lab/policygen"
	"github.com/plumbnet/plumb/packet"
)

// sizes are the clusters that the benchmarks measure: their policies grow with their Pods, and
// the last is twenty times what Kubernetes calls big for one tenant.
var sizes = []policygen.Size{
	{Seed: 1, Namespaces: 10, Pods: 100, Nodes: 5, Policies: 20},
	{Seed: 1, Namespaces: 40, Pods: 1000, Nodes: 20, Policies: 200},
	{Seed: 1, Namespaces: 200, Pods: 10_000, Nodes: 100, Policies: 2000},
	{Seed: 1, Namespaces: 1000, Pods: 100_000, Nodes: 1000, Policies: 10_000},
}

func name(s policygen.Size) string { return fmt.Sprint(s.Pods) }

func BenchmarkNew(b *testing.B) {
	for _, s := range sizes {
		b.Run(name(s), func(b *testing.B) {
			o := policygen.Cluster(s)
			b.ReportAllocs()
			for b.Loop() {
				New(o)
			}
		})
	}
}

func BenchmarkVerdict(b *testing.B) {
	for _, s := range sizes[1:3] {
		b.Run(name(s), func(b *testing.B) {
			e := New(policygen.Cluster(s))
			peers := podPeers(e)
			port := Port{packet.TCP, 80}
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				i++
				e.Answer(peers[i%len(peers)], peers[i*7919%len(peers)], port)
			}
		})
	}
}

func podPeers(e *Engine) (out []Peer) {
	for i := range e.pods {
		out = append(out, e.pods[i].peer)
	}
	return out
}

// BenchmarkAllPairs loads the objects, and finds and counts the answers for all pairs of Pods on three ports.
func BenchmarkAllPairs(b *testing.B) {
	ports := []Port{{packet.TCP, 80}, {packet.TCP, 443}, {packet.UDP, 53}}
	for _, s := range sizes {
		b.Run(name(s), func(b *testing.B) {
			o := policygen.Cluster(s)
			var e *Engine
			b.ReportAllocs()
			for b.Loop() {
				e = New(o)
				for _, port := range ports {
					if n := e.AllPairs(port, false).Count(); n.Allowed == 0 || n.Denied == 0 {
						b.Fatal(n)
					}
				}
			}
			b.ReportMetric(float64(len(e.classes)), "classes")
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			b.ReportMetric(float64(m.Sys)/1e6, "MB")
		})
	}
}

// TestAnswerAllocates wants an answer to allocate nothing.
func TestAnswerAllocates(t *testing.T) {
	e := New(policygen.Cluster(sizes[0]))
	peers := podPeers(e)
	if n := testing.AllocsPerRun(100, func() {
		for i := range peers {
			e.Answer(peers[i], peers[(i+7)%len(peers)], Port{packet.TCP, 80})
		}
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
