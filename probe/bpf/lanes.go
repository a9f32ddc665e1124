//go:build linux

package bpf

import (
	"errors"
	"fmt"
	"math/bits"
	"sync/atomic"
	"unsafe"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// Lanes are memory that programs and the agent share: a CPU has one, of places for a packet each. A program writes to the next place,
// and the agent takes from them in their order.
type lanes struct {
	memory, places []byte
	size, long     int      // of a place, in bytes; and of a lane, in places
	seen           []uint64 // of each lane, what had been given at the last look
	until          uint64   // what Packets may return of that
}

// A lane is one of the map "lanes", as a program has it.
type lane struct {
	given uint64
	_     [7]uint64
	taken uint64
	_     [7]uint64
}

// lanesMemory is how many bytes all lanes take up. None has more places than the most, or fewer than the least.
const (
	lanesMemory = 1 << 20
	lanesMost   = 1024
	lanesLeast  = 16
)

// sizeLanes gives each CPU one, where programs want them.
func sizeLanes(spec *ebpf.CollectionSpec) error {
	l, p := spec.Maps["lanes"], spec.Maps["places"]
	if l == nil {
		return nil
	}
	n, err := ebpf.PossibleCPU()
	if err != nil {
		return err
	}
	long := min(max(lanesMemory/n/int(p.ValueSize), lanesLeast), lanesMost)
	long = 1 << (bits.Len(uint(long)) - 1)
	l.MaxEntries, p.MaxEntries = uint32(n), uint32(n*long)
	return spec.Variables["lane_long"].Set(uint32(long))
}

func newLanes(l, p *ebpf.Map) (*lanes, error) {
	n := int(l.MaxEntries())
	s := &lanes{size: int(p.ValueSize()), long: int(p.MaxEntries()) / n, seen: make([]uint64, n)}
	if l.ValueSize() != uint32(unsafe.Sizeof(lane{})) {
		return nil, fmt.Errorf("a lane has %d bytes", l.ValueSize())
	}
	var err error
	if s.memory, err = shared(l); err != nil {
		return nil, err
	}
	if s.places, err = shared(p); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

// shared maps what is in a map into the agent's memory.
func shared(m *ebpf.Map) ([]byte, error) {
	b, err := unix.Mmap(m.FD(), 0, int(m.MaxEntries()*m.ValueSize()), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("mmap of a map: %w", err)
	}
	return b, nil
}

func (s *lanes) close() error {
	var errs []error
	for _, b := range [][]byte{s.memory, s.places} {
		if b != nil {
			errs = append(errs, unix.Munmap(b))
		}
	}
	return errors.Join(errs...)
}

// take takes what had been given at the last look, since which it is in memory whatever the CPU's order of writing. What it returns is
// like that of Packets.
func (s *lanes) take(take func([]byte)) (until uint64) {
	until, s.until = s.until, Now()-uint64(handing)
	for cpu := range s.seen {
		l := (*lane)(unsafe.Pointer(&s.memory[cpu*int(unsafe.Sizeof(lane{}))]))
		for n := l.taken; n < s.seen[cpu]; n++ {
			take(s.places[(cpu*s.long+int(n%uint64(s.long)))*s.size:][:s.size])
		}
		if s.seen[cpu] > l.taken {
			atomic.StoreUint64(&l.taken, s.seen[cpu])
		}
		s.seen[cpu] = atomic.LoadUint64(&l.given)
	}
	return until
}
