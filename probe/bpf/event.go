//go:build linux

package bpf

import (
	"context"
	"encoding/binary"
	"fmt"
	"net/netip"
	"time"
	"unsafe"

	"github.com/cilium/ebpf/ringbuf"
	"github.com/plumbnet/plumb/event"
	"github.com/plumbnet/plumb/packet"
	"golang.org/x/sys/unix"
)

// An Event is one as programs tell it, plumb.h's struct event.
type Event struct {
	Time  uint64 // in ns, by the kernel's monotonic clock
	Net   uint64 // the namespace where it happened
	Owner Owner
	Tuple Tuple
	Arg   [4]uint64 // as the probe has it
}

// A Tuple is a packet's addresses, in network order.
type Tuple struct {
	Src, Dst     [16]byte
	Sport, Dport [2]byte
	Version      uint8 // 4, 6, or 0 where there are no addresses
	Proto        uint8
	Len          uint16
}

// quiet is how long an event waits in the ring at the most, and busy, where there are many of them. The kernel wakes nobody for
// it: that would cost whoever caused it microseconds. To wake up by itself costs an idle machine 0.3 ms of CPU each time.
const (
	quiet = 200 * time.Millisecond
	busy  = 20 * time.Millisecond
	many  = 100 // at once: the ring has room for 585 events
)

// Watch tells the events until ctx is done. What tell adds is the event's Detail.
func (s *Set) Watch(ctx context.Context, kind string, tell func(*Event, *event.Event), emit func(event.Event)) error {
	s.events.SetDeadline(time.Unix(1, 0)) // it never waits
	var rec ringbuf.Record
	return Every(ctx, func() (n int, err error) {
		for s.events.AvailableBytes() > 0 {
			if err := s.events.ReadInto(&rec); err != nil {
				break
			}
			e, err := decode(rec.RawSample)
			if err != nil {
				return n, fmt.Errorf("bpf: %w", err)
			}
			n++
			out := s.event(e, kind)
			out.Time = Time(e.Time)
			tell(e, &out)
			emit(out)
		}
		return n, nil
	})
}

// Every calls f, which returns how much it found, 5 times a second, and 50 times while that is much, until ctx is done or f
// fails. All probes wake up at the same moments, so that the machine does once.
func Every(ctx context.Context, f func() (int, error)) error {
	wait := time.NewTimer(0)
	defer wait.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-wait.C:
		}
		n, err := f()
		if err != nil {
			return err
		}
		pause := quiet
		if n > many {
			pause = busy
		}
		wait.Reset(pause - time.Duration(Now())%pause)
	}
}

// Time returns when it was that, by the clock of programs.
func Time(ns uint64) time.Time { return time.Now().Add(-time.Duration(Now() - ns)) }

func decode(raw []byte) (*Event, error) {
	if len(raw) < int(unsafe.Sizeof(Event{})) {
		return nil, fmt.Errorf("an event of %d bytes", len(raw))
	}
	return (*Event)(unsafe.Pointer(&raw[0])), nil
}

func (s *Set) event(e *Event, kind string) event.Event {
	out := event.Event{Kind: kind, Node: s.env.Node, Packet: e.Tuple.Packet()}
	out.Pod, out.By, _ = e.Owner.Pod(s.env.Places)
	if out.Pod == "" && event.Tier(e.Owner.By) == event.ByDevice {
		out.Pod, out.By = s.byAddr(out.Packet)
	}
	return out
}

// byAddr returns whose a packet is that came in by no Pod's device: whom it is for, or else who sent it.
func (s *Set) byAddr(p packet.Packet) (string, event.Tier) {
	for _, a := range []netip.AddrPort{p.Dst, p.Src} {
		if pod, ok := s.env.Places.ByAddr(a.Addr()); ok {
			return pod, event.ByAddress
		}
	}
	return "", event.Unattributed
}

// Now returns the time by the clock of programs, in ns.
func Now() uint64 {
	var t unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &t) // which is there always
	return uint64(t.Nano())
}

// Packet returns a tuple as a packet.
func (t *Tuple) Packet() packet.Packet {
	p := packet.Packet{Proto: packet.Proto(t.Proto), Size: int(t.Len)}
	src, dst := netip.AddrFrom16(t.Src).Unmap(), netip.AddrFrom16(t.Dst).Unmap()
	switch t.Version {
	case 4:
		src, dst = netip.AddrFrom4([4]byte(t.Src[:])), netip.AddrFrom4([4]byte(t.Dst[:]))
	case 6:
	default:
		return p
	}
	p.Src = netip.AddrPortFrom(src, binary.BigEndian.Uint16(t.Sport[:]))
	p.Dst = netip.AddrPortFrom(dst, binary.BigEndian.Uint16(t.Dport[:]))
	return p
}
