//go:build linux

package bpf

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/cilium/ebpf/perf"
	"github.com/cilium/ebpf/ringbuf"
	"golang.org/x/sys/unix"
)

// packetMemory is how many bytes all CPUs together have room for of packets that are in more than one piece, between two times
// that the agent takes them. No CPU has more than the most, and none less than the least.
const (
	packetMemory = 2 << 20
	packetLeast  = 8 << 10
	packetMost   = 512 << 10
)

// newPackets has the readers of the packets that programs hand over: those that they copied, and others, by bpf_skb_output. Who is handed
// them wakes nobody: they wait in their buffer. Of locked memory, which the latter's is, there may be as much left as
// others of the same user have not taken (kernel.perf_event_mlock_kb, ulimit -l).
func (s *Set) newPackets() (err error) {
	m := s.coll.Maps["packets"]
	if m == nil {
		return nil
	}
	if s.pieces, err = ringbuf.NewReader(s.coll.Maps["pieces"]); err != nil {
		return err
	}
	s.pieces.SetDeadline(time.Unix(1, 0)) // it never waits
	if s.lanes, err = newLanes(s.coll.Maps["lanes"], s.coll.Maps["places"]); err != nil {
		return err
	}
	for size := min(packetMost, packetMemory/int(m.MaxEntries())); ; size /= 2 {
		size = max(size, packetLeast)
		s.packets, err = perf.NewReaderWithOptions(m, size, perf.ReaderOptions{Watermark: size - 1})
		if err == nil {
			break
		}
		// The error has lost its number.
		if size == packetLeast || !strings.Contains(err.Error(), unix.EPERM.Error()) {
			return fmt.Errorf("packets, of %d bytes a CPU: %w", size, err)
		}
	}
	s.packets.SetDeadline(time.Unix(1, 0))
	return nil
}

// handing is longer than a program takes to hand a packet over, on a CPU that is taken from the machine meanwhile.
const handing = 20 * time.Millisecond

// Packets takes what has been handed over, not in the order of time. What take is given is not its to keep,
// and may have some bytes behind it. Packets of before the time that it returns, by the kernel's clock, are among it.
func (s *Set) Packets(take func([]byte)) (until uint64, err error) {
	until = s.lanes.take(take)
	for s.pieces.AvailableBytes() > 0 {
		if err := s.pieces.ReadInto(&s.piece); err != nil {
			break // the next is still being written
		}
		take(s.piece.RawSample)
	}
	for {
		switch err := s.packets.ReadInto(&s.packet); {
		case errors.Is(err, os.ErrDeadlineExceeded):
			return until, nil
		case err != nil:
			return until, fmt.Errorf("bpf: packets: %w", err)
		}
		take(s.packet.RawSample) // nothing where it says what was lost, which the programs count
	}
}

// Lost returns how many packets were not handed over.
func (s *Set) Lost() (n uint64, err error) {
	lost, err := s.lost()
	for i, stage := range stages {
		if stage != "table" {
			n += lost[i]
		}
	}
	return n, err
}
