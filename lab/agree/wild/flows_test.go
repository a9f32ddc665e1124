//go:build linux

package wild

import (
	"testing"

	"github.com/plumbnet/plumb/lab/agree/rules"
	"github.com/plumbnet/plumb/packet"
)

func TestAround(t *testing.T) {
	text := "-A FORWARD -d 10.1.0.7/32 -p tcp -m tcp --dport 8443 -j DROP\n-A FORWARD -d 224.0.0.0/4 -j DROP\n-A FORWARD -d 172.30.0.0/16 -j DROP\n"
	type seen struct {
		dev, dst string
		proto    packet.Proto
	}
	got := map[seen]bool{}
	ids := map[uint16]bool{}
	for _, p := range Around(text, machine, false) {
		if own := p.P.Src.Port() | p.P.ICMPID; ids[own] {
			t.Errorf("%s: its port or identifier is not its own", p)
		} else {
			ids[own] = true
		}
		got[seen{p.Dev, p.P.Dst.Addr().String(), p.P.Proto}] = true
	}
	for _, want := range []seen{
		{"in0", "198.51.100.66", packet.TCP},
		{"out0", "10.1.0.7", packet.UDP},
		{"out0", "172.30.0.77", packet.ICMP},
		{"", "10.1.0.66", packet.TCP},
		{"in0", "10.2.0.1", packet.TCP},
	} {
		if !got[want] {
			t.Errorf("no probe %v", want)
		}
	}
	if got[seen{"in0", "224.0.0.77", packet.TCP}] {
		t.Error("a probe to a multicast address")
	}
}

func TestThin(t *testing.T) {
	for _, row := range []struct{ have, most, want int }{{0, 5, 0}, {3, 5, 3}, {5, 5, 5}, {17, 5, 5}, {1000, 240, 240}} {
		if got := len(thin(make([]rules.Probe, row.have), row.most)); got != row.want {
			t.Errorf("%d of %d: got %d", row.most, row.have, got)
		}
	}
}
