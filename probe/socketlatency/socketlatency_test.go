//go:build linux

package socketlatency

import (
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/plumbnet/plumb/event"
	"github.com/plumbnet/plumb/lab/sandbox"
	"github.com/plumbnet/plumb/probe"
	"github.com/plumbnet/plumb/probe/probetest"
)

func TestMain(m *testing.M) { sandbox.Main(m) }

// slow and fast count the waits of a Pod, above and below 268 ms.
func read(t *testing.T, p probe.Probe, pod string) (fast, slow uint64) {
	t.Helper()
	err := p.Read(func(s probe.Sample) {
		if s.Pod != pod {
			return
		}
		for i, n := range s.Hist.Counts {
			if i > 0 && s.Hist.Bounds[i-1] > 0.2 {
				slow += n
			} else {
				fast += n
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return fast, slow
}

// TestSlowReader: shop/b reads some messages late, and the others at once.
func TestSlowReader(t *testing.T) {
	const quick, late = 500, 3
	const pause = 400 * time.Millisecond
	for _, network := range []string{"tcp", "udp", "tcp, as before Linux 6.3"} {
		t.Run(network, func(t *testing.T) {
			l := probetest.NewLab(t)
			kind := *Kind
			network, old, _ := strings.Cut(network, ",")
			if old != "" {
				kind.Open = func(env *probe.Env) (probe.Probe, error) { return openOn(env, false) }
			}
			p := probetest.Open(t, &kind, probe.Env{Node: "node-a", Places: l.Places, Threshold: pause / 2})
			a, err := p.(probe.Accounted).Account()
			if err != nil {
				t.Fatal(err)
			}
			if without := slices.Contains(a.Missing, "sock_recv_length"); without && network == "udp" {
				t.Skip("before Linux 6.3 there is nothing of UDP")
			} else if !without && old != "" {
				t.Errorf("only %v are missing", a.Missing)
			}
			events := probetest.Watch(t, p)
			l.In(t, l.B, func() error { return answer(network, ":80", pause) })
			l.In(t, l.A, func() error {
				c, err := net.Dial(network, "10.2.0.2:80")
				if err != nil {
					return err
				}
				defer c.Close()
				for i := range quick + late {
					word := "quick"
					if i >= quick {
						word = "late!"
					}
					for range 2 { // the second waits for the pause after the first
						if _, err := io.WriteString(c, word); err != nil {
							return err
						}
						if word == "quick" {
							break
						}
						time.Sleep(pause / 10)
					}
					if _, err := io.ReadFull(c, make([]byte, 5)); err != nil {
						return err
					}
				}
				return nil
			})
			probetest.Until(t, func() string {
				if fast, slow := read(t, p, "shop/b"); slow != late || fast < quick || fast > quick+2*late {
					return fmt.Sprintf("%d fast, %d slow; want some %d and %d", fast, slow, quick+late, late)
				}
				return ""
			})
			if _, slow := read(t, p, "shop/a"); slow != 0 && network == "udp" {
				t.Errorf("%d slow ones of who reads at once", slow)
			}
			probetest.Cost(t, p)
			for {
				select {
				case e := <-events:
					if e.Pod == event.Unknown {
						continue
					}
					if e.Pod != "shop/b" || e.Packet.Dst.Port() != 80 || e.Detail[0].Key != "waited" || !strings.HasPrefix(e.Detail[0].Value, "3") {
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

// answer says what it hears; after "late!" it pauses, so that the next waits, and tells of both.
func answer(network, addr string, pause time.Duration) error {
	serve := func(c io.ReadWriter) {
		for b := make([]byte, 5); ; {
			if _, err := io.ReadFull(c, b); err != nil {
				return
			}
			if string(b) == "late!" {
				time.Sleep(pause)
				if _, err := io.ReadFull(c, b); err != nil {
					return
				}
			}
			if _, err := c.Write(b); err != nil {
				return
			}
		}
	}
	if network == "udp" {
		c, err := net.ListenPacket(network, addr)
		if err == nil {
			go serve(&peer{PacketConn: c})
		}
		return err
	}
	ln, err := net.Listen(network, addr)
	if err == nil {
		go func() {
			if c, err := ln.Accept(); err == nil {
				serve(c)
			}
		}()
	}
	return err
}

// peer answers whom it last heard.
type peer struct {
	net.PacketConn
	last net.Addr
}

func (p *peer) Read(b []byte) (n int, err error) {
	n, p.last, err = p.ReadFrom(b)
	return n, err
}

func (p *peer) Write(b []byte) (int, error) { return p.WriteTo(b, p.last) }
