//go:build linux

package procnet_test

import (
	"fmt"
	"net"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/plumbnet/plumb/lab/sandbox"
	"github.com/plumbnet/plumb/probe"
	"github.com/plumbnet/plumb/probe/icmp"
	"github.com/plumbnet/plumb/probe/ip"
	"github.com/plumbnet/plumb/probe/probetest"
	"github.com/plumbnet/plumb/probe/tcp"
	"github.com/plumbnet/plumb/probe/tcpext"
	"github.com/plumbnet/plumb/probe/udp"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) { sandbox.Main(m) }

var kinds = []*probe.Kind{ip.Kind, tcp.Kind, udp.Kind, icmp.Kind, tcpext.Kind}

func open(t *testing.T) (all []probe.Probe) {
	for _, k := range kinds {
		all = append(all, probetest.Open(t, k, probe.Env{}))
	}
	return all
}

// read reads all kinds as the agent does: one after the other.
func read(t *testing.T, probes []probe.Probe, ns *sandbox.NS, place probe.Place) probetest.Samples {
	t.Helper()
	out := probetest.Samples{}
	probetest.In(t, ns, func() {
		for i, k := range kinds {
			for s, v := range probetest.Collect(t, k, func(emit func(probe.Sample)) error { return probes[i].ReadIn(place, emit) }) {
				out[s] = v
			}
		}
	})
	return out
}

const many = 50

// dial opens sockets of the namespace that its thread is in, without the goroutines of package net.
func dial(t *testing.T, network, address string) {
	t.Helper()
	a, err := net.ResolveTCPAddr("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	family, sa := unix.AF_INET, unix.Sockaddr(&unix.SockaddrInet4{Port: a.Port, Addr: [4]byte(append(slices.Clone(a.IP.To4()), 0, 0, 0, 0)[:4])})
	if a.IP.To4() == nil {
		family, sa = unix.AF_INET6, &unix.SockaddrInet6{Port: a.Port, Addr: [16]byte(a.IP)}
	}
	kind := unix.SOCK_DGRAM
	if network == "tcp" {
		kind = unix.SOCK_STREAM
	}
	fd, err := unix.Socket(family, kind|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := unix.Connect(fd, sa); err != nil || network == "tcp" {
		return
	}
	_, _ = unix.Write(fd, []byte("ping"))
}

// listen opens a socket that nobody reads of, with little room.
func listen(t *testing.T, kind, port int) int {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, kind|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 1)
	if err := unix.Bind(fd, &unix.SockaddrInet4{Port: port}); err != nil {
		t.Fatal(err)
	}
	if kind == unix.SOCK_STREAM {
		if err := unix.Listen(fd, 0); err != nil {
			t.Fatal(err)
		}
	}
	return fd
}

// TestCounts makes something happen so many times, and sees it so many times.
func TestCounts(t *testing.T) {
	ns, place := probetest.NS(t, "counts")
	probes := open(t)
	for _, tt := range []struct {
		name string
		make func() (want float64)
		in   []string // the series that rise by that
	}{
		{"datagrams that nothing listens for", func() float64 {
			for range many {
				dial(t, "udp", "127.0.0.1:9")
			}
			return many
		}, []string{`udp_total{%sfamily="4",counter="NoPorts"}`, `udp_total{%sfamily="4",counter="OutDatagrams"}`, `icmp_total{%sfamily="4",counter="OutDestUnreachs"}`, `icmp_total{%sfamily="4",counter="InType3"}`}},
		{"the same of IPv6", func() float64 {
			for range many {
				dial(t, "udp", "[::1]:9")
			}
			return many
		}, []string{`udp_total{%sfamily="6",counter="NoPorts"}`, `icmp_total{%sfamily="6",counter="InType1"}`}},
		{"connections that are refused", func() float64 {
			for range many {
				dial(t, "tcp", "127.0.0.1:9")
			}
			return many
		}, []string{`tcp_total{%scounter="AttemptFails"}`, `tcp_total{%scounter="OutRsts"}`, `tcp_total{%scounter="ActiveOpens"}`}},
		{"packets without a route", func() float64 {
			for range many {
				dial(t, "udp", "192.0.2.1:9")
			}
			return many
		}, []string{`ip_total{%sfamily="4",counter="OutNoRoutes"}`}},
		{"datagrams that the application does not read", func() float64 {
			fd := listen(t, unix.SOCK_DGRAM, 9001)
			defer unix.Close(fd)
			for range many {
				dial(t, "udp", "127.0.0.1:9001")
			}
			lost := many
			for buf := make([]byte, 9); ; lost-- {
				if _, err := unix.Read(fd, buf); err != nil {
					return float64(lost)
				}
			}
		}, []string{`udp_total{%sfamily="4",counter="RcvbufErrors"}`, `udp_total{%sfamily="4",counter="InErrors"}`}},
		{"connections that the application does not accept", func() float64 {
			fd := listen(t, unix.SOCK_STREAM, 9002)
			defer unix.Close(fd)
			for range many + 1 { // one has room
				dial(t, "tcp", "127.0.0.1:9002")
			}
			return many
		}, []string{`tcpext_total{%scounter="ListenOverflows"}`, `tcpext_total{%scounter="ListenDrops"}`}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			before, want := read(t, probes, ns, place), 0.0
			probetest.In(t, ns, func() { want = tt.make() })
			if want < 1 {
				t.Fatal("nothing happened")
			}
			time.Sleep(10 * time.Millisecond) // what was read just before is told once more for 5
			got := read(t, probes, ns, place).Since(before)
			for _, s := range tt.in {
				if s = fmt.Sprintf(s, `pod="shop/counts",`); got[s] != want {
					t.Errorf("%s rose by %g, want %g", s, got[s], want)
				}
			}
		})
	}
}

// TestAgree compares every counter that nstat knows with ours, after traffic of all sorts.
func TestAgree(t *testing.T) {
	if _, err := exec.LookPath("nstat"); err != nil {
		t.Skip(err)
	}
	ns, place := probetest.NS(t, "agree")
	probes := open(t)
	probetest.In(t, ns, func() {
		fd := listen(t, unix.SOCK_STREAM, 9002)
		defer unix.Close(fd)
		for range many {
			for _, to := range []string{"127.0.0.1:9", "[::1]:9", "192.0.2.1:9", "127.0.0.1:9002"} {
				dial(t, "udp", to)
				dial(t, "tcp", to)
			}
		}
	})
	agree, known := 0, 0
	for try := range 10 { // in which a timer of TCP may have come in between
		first := read(t, probes, ns, place)
		nstat := probetest.Nstat(t, ns)
		if len(first.Since(read(t, probes, ns, place))) != 0 && try < 9 {
			continue
		}
		ours := byNstat(t, first, place.Pod)
		for name, want := range nstat {
			if agree++; ours[name] != want {
				t.Errorf("%s: %g, nstat has %g", name, ours[name], want)
			}
			if want != 0 {
				known++
			}
			delete(ours, name)
		}
		delete(ours, "TcpCurrEstab")
		if len(ours) > 0 {
			t.Errorf("nstat lacks %v", ours)
		}
		break
	}
	if agree < 300 || known < 40 {
		t.Errorf("compared only %d counters, %d of them not 0", agree, known)
	}
	t.Logf("agree: nstat: %d counters, %d of them not 0", agree, known)
}

var prefixes = map[string]string{"ip": "Ip", "ip_bytes": "Ip", "tcp": "Tcp", "udp": "Udp", "udplite": "UdpLite", "icmp": "Icmp", "tcpext": "TcpExt", "mptcp": "MPTcpExt"}

// byNstat renames our series as nstat has them. nstat tells the counters of files apart that are one family here.
func byNstat(t *testing.T, all probetest.Samples, pod string) map[string]float64 {
	out := map[string]float64{}
	for s, v := range all {
		s = strings.Replace(s, fmt.Sprintf("pod=%q", pod), "", 1)
		switch s {
		case "tcp_established{}":
			out["TcpCurrEstab"] = v
			continue
		case "tcpext_memory_pressure_seconds_total{}":
			out["TcpExtTCPMemoryPressuresChrono"] = v * 1000
			continue
		}
		stat, labels, _ := strings.Cut(s, "{")
		_, counter, ok := strings.Cut(strings.TrimSuffix(labels, `"}`), `counter="`)
		prefix := prefixes[strings.TrimSuffix(stat, "_total")]
		if !ok || prefix == "" {
			t.Fatalf("%s: no name of nstat's", s)
		}
		if strings.Contains(labels, `family="6"`) {
			prefix += "6"
		}
		if prefix == "Ip" && slices.Contains(ipExt, counter) {
			prefix = "IpExt"
		}
		if prefix == "Icmp" && strings.Contains(counter, "Type") {
			prefix = "IcmpMsg"
		}
		out[prefix+counter] = v
	}
	return out
}

var ipExt = strings.Fields("InNoRoutes InTruncatedPkts InMcastPkts OutMcastPkts InBcastPkts OutBcastPkts InOctets OutOctets InMcastOctets OutMcastOctets InBcastOctets OutBcastOctets InCsumErrors InNoECTPkts InECT1Pkts InECT0Pkts InCEPkts ReasmOverlaps")
