//go:build linux

package tcpretransmit

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/plumbnet/plumb/event"
	"github.com/plumbnet/plumb/lab/sandbox"
	"github.com/plumbnet/plumb/probe"
	"github.com/plumbnet/plumb/probe/probetest"
)

func TestMain(m *testing.M) { sandbox.Main(m) }

// drop has the node drop what matches on its way, from now on.
const drop = `nft 'add table inet t; add chain inet t c { type filter hook forward priority 0; }; add rule inet t c %s drop'`

// dial connects n times from a Pod to the other, and writes on each connection once lose has them lose what is written.
func dial(t *testing.T, l *probetest.Lab, n int, lose func()) {
	t.Helper()
	l.In(t, l.B, func() error {
		_, err := net.Listen("tcp", ":80")
		return err
	})
	var conns []net.Conn
	l.In(t, l.A, func() error {
		for range n {
			c, err := net.Dial("tcp", "10.2.0.2:80")
			if err != nil {
				return err
			}
			conns = append(conns, c)
		}
		return nil
	})
	lose()
	for _, c := range conns {
		if _, err := c.Write([]byte("lost")); err != nil {
			t.Fatal(err)
		}
	}
	time.AfterFunc(2*time.Second, func() {
		for _, c := range conns {
			_ = c.(*net.TCPConn).SetLinger(0)
			c.Close()
		}
	})
}

// TestRetransmits loses data, SYNs, and the answers to them. The kernel's own count is of the same.
func TestRetransmits(t *testing.T) {
	for _, tt := range []struct {
		name, rule string
		n          int
		pod        string
		ns         func(*probetest.Lab) *sandbox.NS
		series     string
		detail     string
		tracepoint string
	}{
		{"data", "tcp dport 80", 50, "shop/a", func(l *probetest.Lab) *sandbox.NS { return l.A }, `{pod="shop/a",state="ESTABLISHED"}`, "srtt", "tcp/tcp_retransmit_skb"},
		{"SYN", "tcp dport 81", 0, "shop/a", func(l *probetest.Lab) *sandbox.NS { return l.A }, `{pod="shop/a",state="SYN_SENT"}`, "timeouts", "tcp/tcp_retransmit_skb"},
		{"the answer to it", "tcp sport 81", 0, "shop/b", func(l *probetest.Lab) *sandbox.NS { return l.B }, `{pod="shop/b",state="SYN_RECV"}`, "state", "tcp/tcp_retransmit_synack"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := probetest.NewLab(t)
			p := probetest.Open(t, Kind, probe.Env{Node: "node-a", Places: l.Places})
			events, hidden := probetest.Watch(t, p), probetest.Hidden(t, tt.tracepoint)
			if tt.n > 0 {
				dial(t, l, tt.n, func() { probetest.Sh(t, l.Node, fmt.Sprintf(drop, tt.rule)) })
			} else {
				probetest.Sh(t, l.Node, fmt.Sprintf(drop, tt.rule))
				l.In(t, l.B, func() error { _, err := net.Listen("tcp", ":81"); return err })
				go l.A.Do(func() error {
					_, err := net.DialTimeout("tcp", "10.2.0.2:81", 4*time.Second)
					return err
				})
			}
			want := 2 * max(tt.n, 1)
			probetest.Until(t, func() string {
				kernel, _ := retransmits(t, tt.ns(l))
				all := probetest.Collect(t, Kind, p.Read)
				got := all["tcpretransmit_segments_total"+tt.series]
				a, err := p.(probe.Accounted).Account()
				if err != nil {
					t.Fatal(err)
				}
				missed := hidden() // and on a busy machine the kernel may not let a program run, or have its table
				for _, x := range a.Lost {
					if x.Stage == "nested" || x.Stage == "table" {
						missed += float64(x.Events)
					}
				}
				if int(got) < want || got+missed < kernel || got > kernel {
					return fmt.Sprintf("%v, and %v missed; the kernel counts %v, want %d or more; all: %v; %+v", got, missed, kernel, want, all, a)
				}
				return ""
			})
			probetest.Cost(t, p)
			for {
				select {
				case e := <-events:
					if e.Pod != tt.pod {
						continue // another's
					}
					check(t, e, tt.detail)
				case <-time.After(5 * time.Second):
					t.Error("no event")
				}
				break
			}
		})
	}
}

// TestNotSent: what the namespace itself drops is not sent again, though the kernel counts that it is.
func TestNotSent(t *testing.T) {
	l := probetest.NewLab(t)
	p := probetest.Open(t, Kind, probe.Env{Node: "node-a", Places: l.Places})
	hidden := probetest.Hidden(t, "tcp/tcp_retransmit_skb")
	lose := fmt.Sprintf(drop, "tcp dport 80")
	dial(t, l, 10, func() { probetest.Sh(t, l.Node, lose) })
	probetest.Sh(t, l.A, strings.Replace(lose, "forward", "output", 1))
	probetest.Until(t, func() string {
		sent, not := retransmits(t, l.A)
		if not < 10 {
			return fmt.Sprintf("%v could not be sent", not)
		}
		if got := probetest.Collect(t, Kind, p.Read)[`tcpretransmit_segments_total{pod="shop/a",state="ESTABLISHED"}`]; got > sent || got+hidden() < sent {
			t.Errorf("%v are counted, and %v hidden, of %v that were sent and %v that were not", got, hidden(), sent, not)
		}
		return ""
	})
}

func check(t *testing.T, e event.Event, detail string) {
	t.Helper()
	has := false
	for _, f := range e.Detail {
		has = has || f.Key == detail
	}
	if !has || e.By != event.ByNetNS || e.Packet.Proto.String() != "tcp" || !e.Packet.Src.Addr().Is4() || e.Packet.Src.Port() == 0 || e.Packet.Dst.Port() == 0 {
		t.Errorf("%v: want a tuple, and %s", e, detail)
	}
}

// retransmits is the namespace's own count of what it sent, and of what it could not send.
func retransmits(t *testing.T, ns *sandbox.NS) (sent, not float64) {
	t.Helper()
	out, err := ns.Output("", "nstat", "-az", "TcpRetransSegs", "TcpExtTCPRetransFail")
	if err != nil {
		t.Fatal(err)
	}
	count := func(name string) (n float64) {
		_, rest, _ := strings.Cut(out, name)
		if _, err := fmt.Sscan(rest, &n); err != nil {
			t.Fatal(err, out)
		}
		return n
	}
	not = count("TcpExtTCPRetransFail")
	return count("TcpRetransSegs") - not, not
}
