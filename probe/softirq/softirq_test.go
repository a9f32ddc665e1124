//go:build linux

package softirq

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/plumbnet/plumb/lab/sandbox"
	"github.com/plumbnet/plumb/probe"
	"github.com/plumbnet/plumb/probe/probetest"
)

func TestMain(m *testing.M) { sandbox.Main(m) }

// counts returns how many softirqs ran, by CPU, as /proc/softirqs has it.
func counts(t *testing.T, vector string) (n []uint64) {
	t.Helper()
	data, err := os.ReadFile("/proc/softirqs")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(data)) {
		if f := strings.Fields(line); f[0] == vector+":" {
			for _, word := range f[1:] {
				var c uint64
				if _, err := fmt.Sscan(word, &c); err != nil {
					t.Fatal(err)
				}
				n = append(n, c)
			}
		}
	}
	return n
}

// TestCounts: as many ran as the kernel counts, on each CPU.
func TestCounts(t *testing.T) {
	l := probetest.NewLab(t)
	before := counts(t, "NET_RX")
	p := probetest.Open(t, Kind, probe.Env{Places: l.Places, Threshold: time.Minute})
	opened := counts(t, "NET_RX")
	l.Echo(t, "udp", 2000, 10)
	least := counts(t, "NET_RX")
	got := make([]uint64, len(before))
	total := uint64(0)
	for cpu := range got {
		got[cpu], _ = probetest.Hist(t, p, fmt.Sprintf(`softirq_run_seconds{cpu="%d",vector="NET_RX"}`, cpu), 0)
		total += got[cpu]
	}
	most := counts(t, "NET_RX")
	for cpu := range got {
		if got[cpu]+1 < least[cpu]-opened[cpu] || got[cpu] > most[cpu]-before[cpu] {
			t.Errorf("cpu %d: %d, the kernel counts %d to %d", cpu, got[cpu], least[cpu]-opened[cpu], most[cpu]-before[cpu])
		}
	}
	if total < 100 {
		t.Errorf("%d softirqs only", total)
	}
	probetest.Cost(t, p)
}

// TestEvents: with no threshold to speak of each is an event, most of which are kept back.
func TestEvents(t *testing.T) {
	l := probetest.NewLab(t)
	p := probetest.Open(t, Kind, probe.Env{Node: "node-a", Places: l.Places, Threshold: time.Nanosecond})
	events := probetest.Watch(t, p)
	l.Echo(t, "udp", 100, 10)
	seen := map[string]bool{}
	for end := time.After(10 * time.Second); len(seen) < 2; {
		select {
		case e := <-events:
			if e.Pod != "" || !strings.HasPrefix(e.Detail[0].Value, "NET_") || e.Detail[1].Key != "cpu" {
				t.Fatalf("%v", e)
			}
			seen[e.Detail[2].Key] = true
		case <-end:
			t.Fatalf("saw %v only", seen)
		}
	}
}
