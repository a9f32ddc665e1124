//go:build linux

package netdev

import (
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/plumbnet/plumb/lab/sandbox"
	"github.com/plumbnet/plumb/probe"
	"github.com/plumbnet/plumb/probe/probetest"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) { sandbox.Main(m) }

const head = `Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
`

func TestParse(t *testing.T) {
	for _, tt := range []struct{ name, in, want, err string }{
		{"a device that lost some", head + "  eth0: 266 3 1 2 4 0 0 5 516 6 0 7 0 0 8 0\n", `
netdev_bytes_total{pod="shop/web-0",device="eth0",direction="receive"} 266
netdev_bytes_total{pod="shop/web-0",device="eth0",direction="transmit"} 516
netdev_detail_total{pod="shop/web-0",device="eth0",counter="multicast"} 5
netdev_detail_total{pod="shop/web-0",device="eth0",counter="rx_fifo"} 4
netdev_detail_total{pod="shop/web-0",device="eth0",counter="tx_carrier"} 8
netdev_dropped_total{pod="shop/web-0",device="eth0",direction="receive"} 2
netdev_dropped_total{pod="shop/web-0",device="eth0",direction="transmit"} 7
netdev_errors_total{pod="shop/web-0",device="eth0",direction="receive"} 1
netdev_packets_total{pod="shop/web-0",device="eth0",direction="receive"} 3
netdev_packets_total{pod="shop/web-0",device="eth0",direction="transmit"} 6`, ""},
		{"no device", head, "", ""},
		{"none", "", "", ""},
		{"no number", head + "eth0: 1 2 x\n", "", `line 3: column 3: "x"`},
		{"too few", head + "eth0: 1 2\n", "", `line 3: column 3: ""`},
		{"no name", head + "1 2\n", "", `line 3: "1 2"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := probetest.Samples{}
			err := parse([]byte(tt.in), "shop/web-0", func(s probe.Sample) { got[probetest.Series(s)] = s.Value })
			if (err != nil) != (tt.err != "") || err != nil && !strings.Contains(err.Error(), tt.err) {
				t.Errorf("%v, want %q", err, tt.err)
			}
			if diff := probetest.Diff(tt.want, got); diff != "" && tt.err == "" {
				t.Error(diff)
			}
		})
	}
}

// columnsOfIP are those of "ip -s link".
var columnsOfIP = map[string]string{
	"netdev_bytes_total": "bytes", "netdev_packets_total": "packets", "netdev_errors_total": "errors", "netdev_dropped_total": "dropped",
}

// TestAgree has a device drop frames, counts them, and compares all with ip.
func TestAgree(t *testing.T) {
	ns, place := probetest.NS(t, "netdev")
	p := probetest.Open(t, Kind, probe.Env{})
	for _, argv := range []string{"ip link add eth0 mtu 1500 type veth peer name p0", "ip link set eth0 up", "ip link set p0 up"} {
		if err := ns.Run("", strings.Fields(argv)...); err != nil {
			t.Fatal(err)
		}
	}
	probetest.Up(t, ns, "eth0", "p0")
	const many = 40
	before := probetest.ReadIn(t, Kind, p, ns, place)
	probetest.In(t, ns, func() { // frames of a protocol that nobody takes
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(fd)
		device, err := net.InterfaceByName("eth0")
		if err != nil {
			t.Fatal(err)
		}
		frame := append(make([]byte, 12), 0x88, 0xb5)
		for i := range frame[:6] {
			frame[i] = 0xff
		}
		for range many {
			if err := unix.Sendto(fd, append(frame, make([]byte, 50)...), 0, &unix.SockaddrLinklayer{Ifindex: device.Index, Halen: 6}); err != nil {
				t.Fatal(err)
			}
		}
	})
	got := probetest.ReadIn(t, Kind, p, ns, place).Since(before)
	if s := `netdev_dropped_total{pod="shop/netdev",device="p0",direction="receive"}`; got[s] != many {
		t.Errorf("%s rose by %g, want %d", s, got[s], many)
	}
	compare(t, ns, p, place)
}

func compare(t *testing.T, ns *sandbox.NS, p probe.Probe, place probe.Place) {
	t.Helper()
	for try := range 20 {
		first := probetest.ReadIn(t, Kind, p, ns, place)
		links := probetest.Links(t, ns)
		if len(first.Since(probetest.ReadIn(t, Kind, p, ns, place))) != 0 && try < 19 {
			continue
		}
		n := 0
		for device, stats := range links {
			for series, column := range columnsOfIP {
				for direction, of := range map[string]map[string]float64{"receive": stats.RX, "transmit": stats.TX} {
					s := fmt.Sprintf("%s{pod=%q,device=%q,direction=%q}", series, place.Pod, device, direction)
					if n++; first[s] != of[column] {
						t.Errorf("%s: %g, ip has %g", s, first[s], of[column])
					}
				}
			}
		}
		t.Logf("agree: ip -s link: %d counters of %d devices", n, len(links))
		return
	}
}

func FuzzParse(f *testing.F) {
	f.Add(head + "  eth0: 266 3 1 2 4 0 0 5 516 6 0 7 0 0 8 0\n")
	f.Fuzz(func(t *testing.T, in string) { _ = parse([]byte(in), "", func(probe.Sample) {}) })
}
