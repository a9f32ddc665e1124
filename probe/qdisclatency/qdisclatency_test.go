//go:build linux

package qdisclatency

import (
	"fmt"
	"testing"
	"time"

	"github.com/plumbnet/plumb/lab/sandbox"
	"github.com/plumbnet/plumb/probe"
	"github.com/plumbnet/plumb/probe/probetest"
)

func TestMain(m *testing.M) { sandbox.Main(m) }

// TestWaits: a device with a limit that is not reached, and one that is limited to a packet each 100 ms.
func TestWaits(t *testing.T) {
	for _, tt := range []struct {
		name, qdisc string
		n, size     int
		slow        uint64
	}{
		{"hardly limited", "tbf rate 10gbit burst 1mb latency 1s", 500, 100, 0},
		{"limited", "tbf rate 80kbit burst 1540 latency 10s", 5, 1000, 3},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := probetest.NewLab(t)
			l.Echo(t, "udp", 1, 10)
			probetest.Sh(t, l.A, "tc qdisc add dev eth0 root "+tt.qdisc)
			p := probetest.Open(t, Kind, probe.Env{Node: "node-a", Places: l.Places, Threshold: 60 * time.Millisecond})
			events := probetest.Watch(t, p)
			l.Echo(t, "udp", tt.n, tt.size)
			probetest.Until(t, func() string {
				all, slow := probetest.Hist(t, p, `qdisclatency_seconds{pod="shop/a",device="eth0"}`, 16*time.Millisecond)
				if all < uint64(tt.n) || all > uint64(tt.n)+20 || slow < tt.slow {
					return fmt.Sprintf("%d packets, %d slow; want %d and %d", all, slow, tt.n, tt.slow)
				}
				return ""
			})
			probetest.Cost(t, p)
			if tt.slow == 0 {
				return
			}
			for {
				select {
				case e := <-events:
					if e.Pod != "shop/a" {
						continue
					}
					if e.Packet.Dst.String() != "10.2.0.2:7" || e.Detail[0].Value != "eth0" || e.Detail[1].Key != "waited" {
						t.Errorf("%v", e)
					}
				case <-time.After(5 * time.Second):
					t.Error("no event")
				}
				break
			}
		})
	}
}
