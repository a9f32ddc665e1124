//go:build linux

package kernellatency

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/plumbnet/plumb/lab/sandbox"
	"github.com/plumbnet/plumb/probe"
	"github.com/plumbnet/plumb/probe/probetest"
)

func TestMain(m *testing.M) { sandbox.Main(m) }

func series(pod, stage string) string {
	return fmt.Sprintf(`kernellatency_seconds{pod=%q,stage=%q}`, pod, stage)
}

// TestStages: each message passes each stage once in a Pod's namespace; in the node's, those by the Pod's device do again.
func TestStages(t *testing.T) {
	const n = 500
	l := probetest.NewLab(t)
	l.Echo(t, "udp", 1, 10) // neighbours are known from here on
	p := probetest.Open(t, Kind, probe.Env{Places: l.Places, Threshold: 10 * time.Second})
	l.Echo(t, "tcp", n, 10)
	for _, tt := range []struct {
		pod, stage string
		min, max   uint64
	}{
		{"shop/a", "rx_deliver", n, n}, {"shop/b", "rx_deliver", n, n},
		{"shop/a", "rx_backlog", n, 4*n + 100}, {"shop/b", "rx_backlog", n, 4*n + 100},
		{"shop/a", "tx_qdisc", n, 4*n + 100}, {"shop/b", "tx_qdisc", n, 4*n + 100},
		{"shop/a", "tx_driver", n, 4*n + 100}, {"shop/b", "tx_driver", n, 4*n + 100},
	} {
		probetest.Until(t, func() string {
			// Two packets may want the same slot of the table, of which one is then not measured.
			if got, _ := probetest.Hist(t, p, series(tt.pod, tt.stage), 0); got < tt.min-tt.min/50 || got > tt.max {
				return fmt.Sprintf("%s %s: %d, want %d to %d", tt.pod, tt.stage, got, tt.min, tt.max)
			}
			return ""
		})
	}
	probetest.Cost(t, p)
}

// TestSlowStage: where a Pod's device is limited, packets are long in tx_qdisc, and nowhere else on their way out.
func TestSlowStage(t *testing.T) {
	l := probetest.NewLab(t)
	l.Echo(t, "udp", 1, 10)
	probetest.Sh(t, l.A, "tc qdisc add dev eth0 root tbf rate 80kbit burst 1540 latency 10s")
	p := probetest.Open(t, Kind, probe.Env{Node: "node-a", Places: l.Places, Threshold: 60 * time.Millisecond})
	events := probetest.Watch(t, p)
	l.Echo(t, "udp", 8, 1000)
	probetest.Until(t, func() string {
		if _, slow := probetest.Hist(t, p, series("shop/a", "tx_qdisc"), 16*time.Millisecond); slow < 3 {
			return fmt.Sprintf("%d slow in tx_qdisc", slow)
		}
		return ""
	})
	for {
		select {
		case e := <-events:
			if e.Pod != "shop/a" || e.Detail[0].Value != "tx_qdisc" {
				continue
			}
			if e.Packet.Dst.String() != "10.2.0.2:7" || !strings.HasSuffix(e.Detail[1].Value, "ms") {
				t.Errorf("%v", e)
			}
		case <-time.After(5 * time.Second):
			t.Error("no event")
		}
		break
	}
}
