//go:build linux

package tcpreset

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/plumbnet/plumb/event"
	"github.com/plumbnet/plumb/lab/sandbox"
	"github.com/plumbnet/plumb/probe"
	"github.com/plumbnet/plumb/probe/bpf"
	"github.com/plumbnet/plumb/probe/probetest"
)

func TestMain(m *testing.M) { sandbox.Main(m) }

// TestResets refuses and aborts connections, and wants both ends to count each once, as the kernel does.
func TestResets(t *testing.T) {
	for _, tt := range []struct {
		name, addr string
		n          int
		listen     bool
		sender     string
		want       probetest.Samples
	}{
		{"refused", "10.2.0.2:81", 1000, false, "b", probetest.Samples{
			`tcpreset_resets_total{pod="shop/b",direction="tx",state="",reason="NO_SOCKET"}`: 1000,
			`tcpreset_resets_total{pod="shop/a",direction="rx",state="SYN_SENT",reason=""}`:  1000,
		}},
		{"refused, IPv6", "[fd00:2::2]:81", 200, false, "b", probetest.Samples{
			`tcpreset_resets_total{pod="shop/b",direction="tx",state="",reason="NO_SOCKET"}`: 200,
			`tcpreset_resets_total{pod="shop/a",direction="rx",state="SYN_SENT",reason=""}`:  200,
		}},
		{"aborted", "10.2.0.2:80", 200, true, "a", probetest.Samples{
			`tcpreset_resets_total{pod="shop/a",direction="tx",state="CLOSE",reason="TCP_STATE"}`: 200,
			`tcpreset_resets_total{pod="shop/b",direction="rx",state="ESTABLISHED",reason=""}`:    200,
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := probetest.NewLab(t)
			if tt.listen {
				l.In(t, l.B, func() error { return listen(":80") })
			}
			p := probetest.Open(t, Kind, probe.Env{Node: "node-a", Places: l.Places})
			events := probetest.Watch(t, p)
			l.In(t, l.A, func() error { return dial(tt.addr, tt.n, tt.listen) })
			var diff string
			probetest.Until(t, func() string {
				diff = cmp.Diff(told(tt.want), probetest.Collect(t, Kind, p.Read))
				return diff
			})
			ns := map[string]*sandbox.NS{"a": l.A, "b": l.B}[tt.sender]
			if got := outRsts(t, ns); got != tt.n {
				t.Errorf("the kernel counts %d, want %d", got, tt.n)
			}
			probetest.Cost(t, p)
			seen := map[string]bool{}
			for len(seen) < len(told(tt.want)) {
				select {
				case e := <-events:
					if strings.HasPrefix(e.Pod, "shop/") {
						seen[e.Pod] = true
						check(t, e, "shop/"+tt.sender, tt.addr)
					}
				case <-time.After(5 * time.Second):
					t.Fatalf("events of %v only", seen)
				}
			}
		})
	}
}

// check wants an event's packet to be the reset: from who sent it to who received it.
func check(t *testing.T, e event.Event, sender, addr string) {
	t.Helper()
	direction := "rx"
	if e.Pod == sender {
		direction = "tx"
	}
	server := e.Packet.Src.String() == addr
	if e.Detail[0].Value != direction || server != (sender == "shop/b") || e.Packet.Src.Port() == 0 || e.Packet.Dst.Port() == 0 || e.By != event.ByNetNS {
		t.Errorf("%v", e)
	}
}

func listen(addr string) error {
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	go func() {
		for {
			if _, err := ln.Accept(); err != nil {
				return
			}
		}
	}()
	return nil
}

// dial connects n times, and cuts off what it gets.
func dial(addr string, n int, listens bool) error {
	for range n {
		c, err := net.Dial("tcp", addr)
		if !listens && errors.Is(err, syscall.ECONNREFUSED) {
			continue
		}
		if err != nil {
			return err
		}
		_ = c.(*net.TCPConn).SetLinger(0)
		c.Close()
	}
	return nil
}

// outRsts is the namespace's own count.
func outRsts(t *testing.T, ns *sandbox.NS) (n int) {
	t.Helper()
	out, err := ns.Output("", "nstat", "-az", "TcpOutRsts")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(out, "TcpOutRsts")
	if _, err := fmt.Sscan(rest, &n); err != nil {
		t.Fatal(err, out)
	}
	return n
}

// told returns what this kernel tells of want: reasons since 6.10, and since then also what had no socket.
func told(want probetest.Samples) probetest.Samples {
	if bpf.Enum("sk_rst_reason") != nil {
		return want
	}
	out := probetest.Samples{}
	for s, v := range want {
		if !strings.Contains(s, "NO_SOCKET") {
			before, _, _ := strings.Cut(s, `reason="`)
			out[before+`reason=""}`] = v
		}
	}
	return out
}

func TestReasons(t *testing.T) {
	p := &tcpreset{reasons: map[uint64]string{1: "SK_RST_REASON_NO_SOCKET"}}
	for n, want := range map[uint64]string{1: "NO_SOCKET", 99: "99", noReason: ""} {
		if got := p.reason(n); got != want {
			t.Errorf("%d: %q, want %q", n, got, want)
		}
	}
}
