//go:build linux

package recorder

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/plumbnet/plumb/event"
	"github.com/plumbnet/plumb/probe"
)

// A node makes the samples of pods Pods: of each 24 counters, 2 gauges and 4 histograms, of which a share changes
// in each second, and 20 events a second.
type node struct {
	samples []probe.Sample
	busy    float64 // share of the series that change
	rnd     *rand.Rand
}

func newNode(pods int, busy float64) *node {
	n := &node{busy: busy, rnd: rand.New(rand.NewPCG(1, 2))}
	edges := []float64{1e-5, 1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 1e-2, 2e-2, 5e-2, .1, .2, .5, 1}
	var stats []*probe.Stat
	for i := range 30 {
		s := &probe.Stat{Name: fmt.Sprintf("probe%d_packets_total", i), Second: true}
		switch {
		case i >= 28:
			s.Type = probe.Gauge
		case i >= 24:
			s.Type, s.Name = probe.Histogram, fmt.Sprintf("stage%d_seconds", i)
		case i >= 16:
			s.Labels = []string{"device"}
		case i >= 10:
			s.Name = fmt.Sprintf("probe%d_drops_total", i)
		}
		stats = append(stats, s)
	}
	for p := range pods {
		for _, st := range stats {
			s := probe.Sample{Stat: st, Pod: fmt.Sprintf("namespace-%d/deployment-7c9f8d6b5-%05d", p%7, p)}
			if st.Type == probe.Histogram {
				s.Hist = &probe.Hist{Bounds: edges, Counts: make([]uint64, len(edges)+1)}
			}
			if len(st.Labels) > 0 {
				s.Labels = []string{"eth0"}
			}
			n.samples = append(n.samples, s)
		}
	}
	return n
}

// second has the counters rise.
func (n *node) second() {
	for i := range n.samples {
		s := &n.samples[i]
		switch {
		case n.rnd.Float64() > n.busy || strings.Contains(s.Stat.Name, "drops"):
		case s.Hist != nil:
			for range 20 {
				at := min(max(int(5+2*n.rnd.NormFloat64()), 0), len(s.Hist.Counts)-1)
				s.Hist.Counts[at]++
				s.Hist.Sum += s.Hist.Bounds[min(at, len(s.Hist.Bounds)-1)] * n.rnd.Float64()
			}
		case s.Stat.Type == probe.Gauge:
			s.Value = float64(n.rnd.IntN(1000))
		default:
			s.Value += float64(1 + n.rnd.IntN(2000))
		}
	}
}

func resident() float64 {
	data, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	var size, rss float64
	_, _ = fmt.Sscan(string(data), &size, &rss)
	return rss * float64(os.Getpagesize())
}

func cpu() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkSecond records seconds of 100 Pods of 30 metrics, 20 events in each, as they would come within an hour,
// and says what a second costs, what the hour takes on disk, and the memory.
func BenchmarkSecond(b *testing.B) {
	for _, busy := range []float64{.2, 1} {
		b.Run(fmt.Sprintf("busy=%g", busy), func(b *testing.B) {
			dir := b.TempDir()
			n := newNode(100, busy)
			debug.FreeOSMemory()
			before := resident()
			r := open(b, Options{Dir: dir, Node: "node-a"})
			var spent time.Duration
			peak, written := 0., int64(0)
			i := 0
			for b.Loop() {
				n.second()
				for e := range 20 {
					v := someEvents[e%3]
					v.Time = at.Add(time.Duration(i) * time.Second)
					r.Event(v)
				}
				last, began := r.seconds.end, cpu()
				tick(r, i, n.samples...)
				spent += cpu() - began
				if r.seconds.end > last {
					written += r.seconds.end - last
				} else {
					written += r.seconds.end + r.seconds.size - last
				}
				if i++; i%100 == 0 {
					peak = max(peak, resident()-before)
				}
			}
			b.ReportMetric(float64(spent.Microseconds())/float64(i)/1e4, "%cpu")
			b.ReportMetric(float64(written)/float64(i)*3600/(1<<20), "MiB/h")
			b.ReportMetric(max(peak, resident()-before)/1e6, "MB-rss")
			debug.FreeOSMemory()
			b.ReportMetric((resident()-before)/1e6, "MB-live")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// BenchmarkFreeze says what an episode of two minutes costs, from full rings.
func BenchmarkFreeze(b *testing.B) {
	dir := b.TempDir()
	n := newNode(100, .2)
	r := open(b, Options{Dir: dir, Node: "node-a"})
	for i := range 4000 {
		n.second()
		r.Event(event.Event{Time: at.Add(time.Duration(i) * time.Second), Kind: "x", Pod: n.samples[0].Pod})
		tick(r, i, n.samples...)
	}
	runtime.GC()
	before := resident()
	for i := 0; b.Loop(); i++ {
		end := r.last.Time
		must(b, r.Freeze(fmt.Sprint("e", i), "", end.Add(-2*time.Minute), end))
	}
	all, err := r.Episodes()
	must(b, err)
	b.ReportMetric(float64(all[len(all)-1].Bytes)/1e6, "MB-file")
	b.ReportMetric((resident()-before)/1e6, "MB-rss")
	disk := int64(0)
	names, _ := filepath.Glob(filepath.Join(dir, "*.ring"))
	for _, name := range names {
		info, err := os.Stat(name)
		must(b, err)
		disk += info.Size()
	}
	b.ReportMetric(float64(disk)/(1<<20), "MiB-rings")
}

// BenchmarkCopy asks for the last 5 seconds of a full ring, as plumb top does.
func BenchmarkCopy(b *testing.B) {
	n := newNode(100, .2)
	r := open(b, Options{Dir: b.TempDir(), Node: "node-a"})
	for i := range 5000 {
		n.second()
		tick(r, i, n.samples...)
	}
	var sent written
	for b.Loop() {
		sent = 0
		must(b, r.Copy(&sent, Query{Last: 5 * time.Second}))
	}
	b.ReportMetric(float64(sent)/1e3, "kB-sent")
}

// written counts what is written to it.
type written int

func (w *written) Write(p []byte) (int, error) { *w += written(len(p)); return len(p), nil }
