//go:build linux

package qdisc

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/plumbnet/plumb/kernel/netlink"
	"github.com/plumbnet/plumb/lab/sandbox"
	"github.com/plumbnet/plumb/probe"
	"github.com/plumbnet/plumb/probe/probetest"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) { sandbox.Main(m) }

func u32(list ...uint32) (b []byte) {
	for _, n := range list {
		b = netlink.Native.AppendUint32(b, n)
	}
	return b
}

// message is that of a queue of device 2.
func message(parent uint32, attrs ...[]byte) []byte {
	return append(u32(0, 2, 0x80010000, parent, 2), slices.Concat(attrs...)...)
}

var (
	tbf   = netlink.Attr(nil, tcaKind, []byte("tbf\x00"))
	basic = netlink.Attr(nil, statsBasic, append(netlink.Native.AppendUint64(nil, 5<<32), u32(7, 0)...))
	full  = netlink.Attr(nil, statsQueue, u32(1, 2, 3, 4, 5))
)

func TestDecode(t *testing.T) {
	for _, tt := range []struct {
		name string
		in   []byte
		want queue
		ok   bool
	}{
		{"all", message(parentRoot, tbf, netlink.Attr(nil, tcaStats2, slices.Concat(basic, full))), queue{2, parentRoot, "tbf", 5 << 32, 7, [5]uint32{1, 2, 3, 4, 5}}, true},
		{"packets of 64 bits", message(1, tbf, netlink.Attr(nil, tcaStats2, slices.Concat(netlink.Attr(nil, statsPackets, netlink.Native.AppendUint64(nil, 9<<32)), basic))), queue{2, 1, "tbf", 5 << 32, 9 << 32, [5]uint32{}}, true},
		{"no counters", message(1, tbf), queue{device: 2, parent: 1, kind: "tbf"}, true},
		{"counters too short", message(1, tbf, netlink.Attr(nil, tcaStats2, slices.Concat(netlink.Attr(nil, statsBasic, u32(1)), netlink.Attr(nil, statsQueue, u32(1))))), queue{device: 2, parent: 1, kind: "tbf"}, true},
		{"no kind", message(1), queue{device: 2, parent: 1}, false},
		{"too short", message(1)[:19], queue{}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, ok := decode(tt.in)
			if diff := cmp.Diff(tt.want, got, cmp.AllowUnexported(queue{})); ok != tt.ok || diff != "" {
				t.Errorf("%v\n%s", ok, diff)
			}
		})
	}
}

func TestParent(t *testing.T) {
	for id, want := range map[uint32]string{parentRoot: "root", parentIngress: "ingress", 0x80010002: "8001:2", 0x1: ":1"} {
		if got := parent(id); got != want {
			t.Errorf("%x: %q, want %q", id, got, want)
		}
	}
}

// TestAgree has queues that drop and that hold packets back, and compares all with tc.
func TestAgree(t *testing.T) {
	ns, place := probetest.NS(t, "qdisc")
	p := probetest.Open(t, Kind, probe.Env{})
	for _, argv := range []string{
		"ip link add eth0 numtxqueues 2 type veth peer name p0", "ip addr add 10.0.0.1/24 dev eth0", "ip link set eth0 up", "ip link set p0 up",
		"ip neigh add 10.0.0.2 lladdr 02:00:00:00:00:02 dev eth0", "tc qdisc add dev eth0 root handle 1: tbf rate 8kbit burst 1600 limit 5000", "tc qdisc add dev p0 ingress",
	} {
		if err := ns.Run("", strings.Fields(argv)...); err != nil {
			t.Skipf("this kernel has no such queue: %v", err)
		}
	}
	probetest.Up(t, ns, "eth0", "p0")
	const many = 60
	before := probetest.ReadIn(t, Kind, p, ns, place)
	probetest.In(t, ns, func() {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(fd)
		for range many {
			_ = unix.Sendto(fd, make([]byte, 958), 0, &unix.SockaddrInet4{Port: 9, Addr: [4]byte{10, 0, 0, 2}}) // 1000 bytes each on the wire
		}
	})
	for try := range 20 {
		now := probetest.ReadIn(t, Kind, p, ns, place)
		want := byTC(t, ns, place.Pod)
		if len(now.Since(probetest.ReadIn(t, Kind, p, ns, place))) != 0 && try < 19 {
			continue // the queue let one more through
		}
		if diff := cmp.Diff(want, now); diff != "" {
			t.Error(diff)
		}
		const of = `{pod="shop/qdisc",device="eth0",kind="tbf",parent="root"}`
		since := now.Since(before)
		if sum := since["qdisc_drops_total"+of] + since["qdisc_packets_total"+of] + now["qdisc_queue_packets"+of]; sum < many || sum > many+12 || since["qdisc_drops_total"+of] < many-12 { // and a few of IPv6
			t.Errorf("dropped, let through and held %g of %d: %v", sum, many, since)
		}
		t.Logf("agree: tc -s qdisc: %d numbers", len(want))
		return
	}
}

// byTC returns the samples that tc's output amounts to.
func byTC(t *testing.T, ns *sandbox.NS, pod string) probetest.Samples {
	t.Helper()
	out, err := ns.Output("", "tc", "-j", "-s", "qdisc")
	if err != nil {
		t.Fatal(err)
	}
	var list []struct {
		Kind, Dev, Parent                                          string
		Root                                                       bool
		Bytes, Packets, Drops, Overlimits, Requeues, Backlog, Qlen float64
	}
	if err := json.Unmarshal([]byte(out), &list); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	all := probetest.Samples{}
	for _, q := range list {
		if q.Kind == "noqueue" {
			continue
		}
		if q.Root {
			q.Parent = "root"
		}
		if q.Parent == "ffff:fff1" {
			q.Parent = "ingress"
		}
		for name, v := range map[string]float64{"bytes_total": q.Bytes, "packets_total": q.Packets, "drops_total": q.Drops, "overlimits_total": q.Overlimits, "requeues_total": q.Requeues, "backlog_bytes": q.Backlog, "queue_packets": q.Qlen} {
			all[fmt.Sprintf("qdisc_%s{pod=%q,device=%q,kind=%q,parent=%q}", name, pod, q.Dev, q.Kind, q.Parent)] = v
		}
	}
	return all
}

func FuzzDecode(f *testing.F) {
	f.Add(message(parentRoot, tbf, netlink.Attr(nil, tcaStats2, slices.Concat(basic, full))))
	f.Fuzz(func(t *testing.T, b []byte) {
		if q, ok := decode(b); ok {
			q.tell("", "", func(probe.Sample) {})
		}
	})
}
