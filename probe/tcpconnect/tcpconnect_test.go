//go:build linux

package tcpconnect

import (
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/plumbnet/plumb/event"
	"github.com/plumbnet/plumb/lab/sandbox"
	"github.com/plumbnet/plumb/probe"
	"github.com/plumbnet/plumb/probe/probetest"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) { sandbox.Main(m) }

// read returns how many are in each histogram, and the counters.
func read(t *testing.T, p probe.Probe) probetest.Samples {
	t.Helper()
	out := probetest.Samples{}
	err := p.Read(func(s probe.Sample) {
		if s.Pod == event.Unknown || s.Stat == reports && s.Labels[0] == "EHOSTUNREACH" { // which is told more than once
			return
		}
		out[probetest.Series(s)] = s.Value
		if s.Hist != nil {
			n := uint64(0)
			for _, c := range s.Hist.Counts {
				n += c
			}
			out[probetest.Series(s)] = float64(n)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// dial tries to connect n times.
func dial(t *testing.T, l *probetest.Lab, n int, addr string, patience time.Duration, want error) {
	t.Helper()
	l.In(t, l.A, func() error {
		for range n {
			c, err := net.DialTimeout("tcp", addr, patience)
			timeout := want == os.ErrDeadlineExceeded && err != nil && err.(net.Error).Timeout()
			if !errors.Is(err, want) && !timeout {
				return fmt.Errorf("%v, want %v", err, want)
			}
			if c != nil {
				c.Close()
			}
		}
		return nil
	})
}

func TestConnections(t *testing.T) {
	const n = 500
	for _, tt := range []struct {
		name  string
		setup string // of the node
		do    func(*testing.T, *probetest.Lab)
		want  probetest.Samples
		event string
	}{
		{"made and accepted", "true", func(t *testing.T, l *probetest.Lab) {
			l.In(t, l.B, func() error { return listen(":80", 0) })
			dial(t, l, n, "10.2.0.2:80", time.Second, nil)
			dial(t, l, n, "[fd00:2::2]:80", time.Second, nil)
		}, probetest.Samples{`tcpconnect_seconds{pod="shop/a"}`: 2 * n, `tcpconnect_accept_wait_seconds{pod="shop/b"}`: 2 * n}, ""},
		{"refused", "true", func(t *testing.T, l *probetest.Lab) {
			dial(t, l, n, "10.2.0.2:81", time.Second, syscall.ECONNREFUSED)
		}, probetest.Samples{`tcpconnect_failures_total{pod="shop/a",error="ECONNREFUSED"}`: n, `tcpconnect_socket_errors_total{pod="shop/a",error="ECONNREFUSED"}`: n}, "shop/a error=ECONNREFUSED"},
		{"no route", "ip route add unreachable 10.9.9.9", func(t *testing.T, l *probetest.Lab) {
			l.In(t, l.A, func() error {
				fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
				if err != nil {
					return err
				}
				defer unix.Close(fd)
				if err := unix.Connect(fd, &unix.SockaddrInet4{Addr: [4]byte{10, 9, 9, 9}, Port: 80}); err != syscall.EHOSTUNREACH {
					return fmt.Errorf("%v, want EHOSTUNREACH", err)
				}
				return nil
			})
		}, probetest.Samples{`tcpconnect_failures_total{pod="shop/a",error="EHOSTUNREACH"}`: 1}, "shop/a error=EHOSTUNREACH"},
		{"given up", "nft 'add table inet t; add chain inet t c { type filter hook forward priority 0; }; add rule inet t c tcp dport 82 drop'", func(t *testing.T, l *probetest.Lab) {
			dial(t, l, 3, "10.2.0.2:82", 50*time.Millisecond, os.ErrDeadlineExceeded)
		}, probetest.Samples{`tcpconnect_failures_total{pod="shop/a",error="closed"}`: 3}, "shop/a error=closed"},
		{"accepted late", "true", func(t *testing.T, l *probetest.Lab) {
			l.In(t, l.B, func() error { return listen(":80", 150*time.Millisecond) })
			dial(t, l, 1, "10.2.0.2:80", time.Second, nil)
		}, probetest.Samples{`tcpconnect_seconds{pod="shop/a"}`: 1, `tcpconnect_accept_wait_seconds{pod="shop/b"}`: 1}, "shop/b accepted="},
		{"a SYN was lost", "nft 'add table inet t; add chain inet t c { type filter hook forward priority 0; }; add rule inet t c tcp dport 80 limit rate 1/day burst 1 packets drop'", func(t *testing.T, l *probetest.Lab) {
			l.In(t, l.B, func() error { return listen(":80", 0) })
			dial(t, l, 1, "10.2.0.2:80", 5*time.Second, nil)
		}, probetest.Samples{`tcpconnect_seconds{pod="shop/a"}`: 1, `tcpconnect_accept_wait_seconds{pod="shop/b"}`: 1}, "shop/a connected=1."},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := probetest.NewLab(t)
			probetest.Sh(t, l.Node, tt.setup)
			threshold := 100 * time.Millisecond
			if tt.event == "" {
				threshold = time.Minute // so many wait longer than that on a machine that is slow
			}
			p := probetest.Open(t, Kind, probe.Env{Node: "node-a", Places: l.Places, Threshold: threshold})
			events := probetest.Watch(t, p)
			tt.do(t, l)
			if a, err := p.(probe.Accounted).Account(); err != nil || slices.Contains(a.Missing, "inet_csk_accept") {
				t.Log("of accepting nothing is told here: ", a.Missing, err)
				delete(tt.want, `tcpconnect_accept_wait_seconds{pod="shop/b"}`)
				if strings.Contains(tt.event, "accepted") {
					t.Skip("no fexit")
				}
			}
			probetest.Until(t, func() string { return cmp.Diff(tt.want, read(t, p)) })
			probetest.Cost(t, p)
			if tt.event == "" {
				for len(events) > 0 {
					if e := <-events; strings.HasPrefix(e.Pod, "shop/") {
						t.Errorf("%v", e)
					}
				}
				return
			}
			for {
				select {
				case e := <-events:
					if e.Pod == event.Unknown {
						continue
					}
					check(t, e, tt.event)
				case <-time.After(5 * time.Second):
					t.Error("no event")
				}
				break
			}
		})
	}
}

func check(t *testing.T, e event.Event, want string) {
	t.Helper()
	pod, detail, _ := strings.Cut(want, " ")
	if e.Pod != pod || !strings.Contains(e.String(), detail) || e.Packet.Src.Addr() != probetest.AddrA || e.Packet.Src.Port() == 0 || e.Packet.Dst.Port() < 80 {
		t.Errorf("%v, want %s", e, want)
	}
}

// listen accepts, each connection after a pause.
func listen(addr string, pause time.Duration) error {
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	go func() {
		for {
			time.Sleep(pause)
			c, err := ln.Accept()
			if err != nil {
				return
			}
			c.Close()
		}
	}()
	return nil
}

func TestErrorName(t *testing.T) {
	for _, tt := range []struct {
		what uint32
		n    uint64
		want string
	}{{failed, 111, "ECONNREFUSED"}, {reported, 110, "ETIMEDOUT"}, {failed, 0, "closed"}, {failed, 9999, "9999"}, {connected, 0, ""}} {
		if got := errorName(tt.what, tt.n); got != tt.want {
			t.Errorf("%d %d: %q, want %q", tt.what, tt.n, got, tt.want)
		}
	}
}
