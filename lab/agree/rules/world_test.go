//go:build linux

package rules

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/plumbnet/plumb/lab/sandbox"
	"github.com/plumbnet/plumb/packet"
)

var cmpAddr = cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })

func ap(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }

func TestBuildAndParse(t *testing.T) {
	quoted := packet.Packet{Src: ap("10.1.0.2:1000"), Dst: ap("10.2.0.2:80"), Proto: packet.TCP, TTL: 3, Size: 48, DF: true}
	for _, row := range []struct {
		name string
		p    packet.Packet
	}{
		{"tcp", packet.Packet{Src: ap("10.1.0.2:1000"), Dst: ap("10.2.0.2:80"), Proto: packet.TCP, Flags: packet.SYN, MSS: 1400, TTL: 64, TOS: 8, Size: 60}},
		{"reset", packet.Packet{Src: ap("10.1.0.2:1000"), Dst: ap("10.2.0.2:80"), Proto: packet.TCP, Flags: packet.RST | packet.ACK, TTL: 64, Size: 60}},
		{"udp6", packet.Packet{Src: ap("[fd00::1]:1000"), Dst: ap("[fd00::2]:80"), Proto: packet.UDP, TTL: 64, TOS: 0xb8, Size: 101, DF: true}},
		{"sctp", packet.Packet{Src: ap("10.1.0.2:1000"), Dst: ap("10.2.0.2:80"), Proto: packet.SCTP, TTL: 64, Size: 72}},
		{"echo", packet.Packet{Src: ap("10.1.0.2:0"), Dst: ap("10.2.0.2:0"), Proto: packet.ICMP, ICMPType: 8, ICMPID: 77, TTL: 64, Size: 100}},
		{"icmp error", packet.Packet{Src: ap("10.2.0.2:0"), Dst: ap("10.1.0.2:0"), Proto: packet.ICMP, ICMPType: 3, ICMPCode: 3, TTL: 64, Size: 76, Inner: &quoted}},
	} {
		t.Run(row.name, func(t *testing.T) {
			got, id, ok := Parse(Build(row.p, 4711))
			if !ok || id != 4711 {
				t.Fatalf("id %d, ok %v", id, ok)
			}
			if d := cmp.Diff(row.p, got, cmpAddr); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestWorldForwardsAndAnswers(t *testing.T) {
	sandbox.Need(t)
	w, err := NewWorld("t", lab)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	for _, row := range []struct {
		name, dev, src, dst string
		want                string
	}{
		{"forward", "in0", "10.1.0.2:1000", "10.2.0.2:80", "pre out0 post"},
		{"forward v6", "in0", "[fd00:1::2]:1000", "[fd00:2::2]:80", "pre post out0"},
		{"local", "in0", "10.1.0.2:1000", "10.1.0.1:80", "pre in out post in0"},
		{"local v6", "in0", "[fd00:1::2]:1000", "[fd00:1::1]:80", "pre in out post in0"},
		{"out", "", "10.2.0.1:1000", "10.2.0.2:80", "out post out0"},
		{"out v6", "", "[fd00:2::1]:1000", "[fd00:2::2]:80", "out post out0"},
		{"to itself", "", "10.2.0.1:1000", "10.2.0.1:80", "out post pre in out post pre in"},
	} {
		t.Run(row.name, func(t *testing.T) {
			p := packet.Packet{Src: ap(row.src), Dst: ap(row.dst), Proto: packet.TCP, Flags: packet.SYN, TTL: 64, Size: 80}
			send := func() error { return w.Send(row.dev, packet.MAC{2, 0, 0, 0, 0, 9}, p, 5) }
			if row.dev == "" {
				send = func() error { return w.SendLocal(p, 5, 1000) }
			}
			if err := send(); err != nil {
				t.Fatal(err)
			}
			seen, err := w.Watch(50 * time.Millisecond)
			if err != nil {
				t.Fatal(err)
			}
			count := map[string]int{}
			for _, s := range seen {
				count[s.Where]++
				if s.ID != 5 {
					t.Errorf("id %d", s.ID)
				}
			}
			for _, f := range strings.Fields(row.want) {
				count[f]--
			}
			for k, n := range count {
				if n != 0 {
					t.Errorf("%s: %d too many; saw %v", k, n, seen)
				}
			}
		})
	}
}
