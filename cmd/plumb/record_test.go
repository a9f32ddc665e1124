package main

import (
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/plumbnet/plumb/event"
	"github.com/plumbnet/plumb/packet"
	"github.com/plumbnet/plumb/probe"
	"github.com/plumbnet/plumb/recorder"
	"github.com/rogpeppe/go-internal/testscript"
)

// recorded has a recorder watch two Pods for two minutes, of which one loses packets for 2 s; then it is started
// again, with the clock set: recorded DIR.
func recorded(ts *testscript.TestScript, _ bool, args []string) {
	o := recorder.Options{Dir: ts.MkAbs(args[0]), Node: "node-a", Disk: 1 << 20}
	at := time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)
	r, err := recorder.Open(o)
	ts.Check(err)
	drops := &probe.Stat{Name: "packetloss_dropped_total", Labels: []string{"reason"}, Alarm: true}
	bytes := &probe.Stat{Name: "netdev_received_bytes_total"}
	queue := &probe.Stat{Name: "qdisc_backlog_bytes", Type: probe.Gauge}
	lookups := &probe.Stat{Name: "dns_lookup_seconds", Type: probe.Histogram}
	lost, slow := 0., uint64(0)
	tick := func(i int, at time.Time) {
		if i == 100 || i == 101 {
			lost += 400
			r.Event(event.Event{
				Time: at.Add(-300 * time.Millisecond), Kind: "packetloss", Node: "node-a", Pod: "shop/web-0", Peer: "shop/api-1",
				Packet: packet.Packet{Proto: packet.TCP, Src: netip.MustParseAddrPort("10.0.0.1:40000"), Dst: netip.MustParseAddrPort("10.0.0.2:80"), Size: 60},
				Detail: []event.Field{{Key: "reason", Value: "NO_SOCKET\x1b[31m"}},
			})
			slow += 20
		}
		if i == 99 {
			r.Event(event.Event{Time: at.Add(-time.Millisecond), Kind: "changes", Node: "node-a", Detail: []event.Field{{Key: "change", Value: "route"}, {Key: "what", Value: "10.244.2.0/24 via 10.0.0.3 dev eth0 deleted"}}})
		}
		r.Second(at, []probe.Sample{
			{Stat: drops, Pod: "shop/web-0", Labels: []string{"NO_SOCKET"}, Value: lost},
			{Stat: bytes, Pod: "shop/web-0", Value: float64(i / 10 * 1500)},
			{Stat: bytes, Pod: "shop/api-1", Value: float64(i)},
			{Stat: queue, Value: float64(i / 60)},
			{Stat: lookups, Pod: "shop/web-0", Hist: &probe.Hist{Bounds: []float64{.001, .25}, Counts: []uint64{0, slow, 0}, Sum: float64(slow) / 5}},
		})
	}
	for i := range 118 {
		tick(i, at.Add(time.Duration(i)*time.Second))
	}
	tick(118, at.Add(125*time.Second)) // the node had no time for it
	ts.Check(r.Freeze("asked", "node-b/shop/api-1", at.Add(10*time.Second), at.Add(20*time.Second)))
	ts.Check(r.Close())
	ts.Check(os.Rename(filepath.Join(o.Dir, "asked.episode"), filepath.Join(o.Dir, "asked.pinned")))
	if r, err = recorder.Open(o); err == nil {
		tick(119, at.Add(190*time.Second))
		err = r.Close()
	}
	ts.Check(err)
}

func TestUnit(t *testing.T) {
	for _, row := range []struct {
		name  string
		value float64
		want  string
	}{
		{"netdev_received_bytes_total", 1500, "1500"}, {"cgroup_throttled_seconds_total", .25, "250ms"}, {"dns_lookup_seconds", .0005, "500µs"}, {"x", 1e15, "1000000000000000"}, {"x", .1, "0.1"},
	} {
		if got := unit(row.name, row.value); got != row.want {
			t.Errorf("%s: %s, want %s", row.name, got, row.want)
		}
	}
}
