//go:build linux

package bpf

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/cilium/ebpf/perf"
)

// packetMemory is how many bytes of packets all CPUs together have room for, between two times that the agent takes them. No
// CPU has less than the least, nor more than the most.
const (
	packetMemory = 2 << 20
	packetLeast  = 32 << 10
	packetMost   = 512 << 10
)

// newPackets returns the reader of the packets that programs hand over by bpf_skb_output. Who is handed
// them wakes nobody: they wait in their buffer.
func (s *Set) newPackets() (err error) {
	m := s.coll.Maps["packets"]
	if m == nil {
		return nil
	}
	size := max(packetLeast, min(packetMost, packetMemory/int(m.MaxEntries())))
	s.packets, err = perf.NewReaderWithOptions(m, size, perf.ReaderOptions{Watermark: size - 1})
	if err != nil {
		return fmt.Errorf("packets: %w", err)
	}
	s.packets.SetDeadline(time.Unix(1, 0)) // it never waits
	return nil
}

// Packets takes what has been handed over, CPU by CPU: not in the order of time. What take is given is not its to keep,
// and may have some bytes behind it. What was handed over before the time that it returns, by the kernel's clock, is among it.
func (s *Set) Packets(take func([]byte)) (until uint64, err error) {
	until = Now()
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
	for i, stage := range stages {
		if stage == "table" {
			continue
		}
		cpus, err := PerCPU[uint64](s, "lost", uint32(i))
		if err != nil {
			return 0, err
		}
		for _, c := range cpus {
			n += c
		}
	}
	return n, nil
}
