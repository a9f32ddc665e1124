//go:build linux

package soak

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net"
	"sync"
	"time"

	"github.com/plumbnet/plumb/event"
	"github.com/plumbnet/plumb/lab/sandbox"
	"golang.org/x/sys/unix"
)

// sights are the events that /events tells.
type sights struct {
	mu     sync.Mutex
	clocks []time.Duration // what the clock has been off by, the newest last
	wall   wall
	of     map[string]int // Pods, since the clock was last set
	all    int
	wrong  []string // those of another time than a clock's
}

// begin begins anew, with a clock that is off by so much.
func (s *sights) begin(off time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clocks, s.of = append(s.clocks, off), map[string]int{}
}

func (s *sights) pod(name string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.of[name]
}

// take takes an event: its time is the clock's as it is, or as it was before.
func (s *sights) take(e event.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all++
	now := s.wall.real + clockNow(unix.CLOCK_MONOTONIC) - s.wall.mono
	for i := len(s.clocks) - 1; i >= max(0, len(s.clocks)-2); i-- {
		if d := now + s.clocks[i] - time.Duration(e.Time.UnixNano()); d > -time.Second && d < near {
			if i == len(s.clocks)-1 {
				s.of[e.Pod]++
			}
			return
		}
	}
	if len(s.wrong) < 5 {
		s.wrong = append(s.wrong, e.String())
	}
}

// told returns how many there were, and those that are wrong.
func (s *sights) told() (int, []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.all, s.wrong
}

// read reads what /events answers until it ends. A line that is no event is a watcher's sign that it is connected.
func (s *sights) read(body io.Reader) {
	for lines := bufio.NewScanner(body); lines.Scan(); {
		var e event.Event
		if json.Unmarshal(lines.Bytes(), &e) == nil {
			s.take(e)
		}
	}
}

// lookups has a Pod ask a name server of its own, which takes its time, until ctx ends.
func lookups(ctx context.Context, ns *sandbox.NS) error {
	var server, client net.PacketConn
	err := ns.Do(func() (err error) {
		if server, err = net.ListenPacket("udp4", "127.0.0.1:53"); err == nil {
			client, err = net.ListenPacket("udp4", "127.0.0.1:0")
		}
		return err
	})
	if err != nil {
		return err
	}
	defer client.Close()
	var serving sync.WaitGroup
	serving.Go(func() {
		var late sync.WaitGroup
		defer late.Wait()
		for {
			b := make([]byte, 512)
			n, from, err := server.ReadFrom(b)
			if err != nil {
				return
			}
			late.Go(func() {
				pause(ctx, answers)
				b[2] |= 0x80 // an answer, to the same question
				_, _ = server.WriteTo(b[:n], from)
			})
		}
	})
	defer serving.Wait()
	defer server.Close()
	for id := uint16(1); pause(ctx, 200*time.Millisecond); id++ {
		q := append([]byte{byte(id >> 8), byte(id), 1, 0, 0, 1, 0, 0, 0, 0, 0, 0}, "\x04slow\x04test\x00\x00\x01\x00\x01"...)
		if _, err := client.WriteTo(q, server.LocalAddr()); err != nil {
			return err
		}
	}
	return nil
}

// refuse has connections of a Pod be refused, one after the other with a pause, until ctx ends.
func refuse(ctx context.Context, ns *sandbox.NS, d time.Duration) error {
	return ns.Do(func() error {
		for i := 0; ctx.Err() == nil; i++ {
			if err := refused(1000 + i%1000); err != nil {
				return err
			}
			pause(ctx, d)
		}
		return nil
	})
}
