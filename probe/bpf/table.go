//go:build linux

package bpf

import (
	"errors"
	"fmt"
	"math/bits"
	"time"
	"unsafe"

	"github.com/cilium/ebpf"
	"github.com/plumbnet/plumb/event"
	"github.com/plumbnet/plumb/probe"
	"golang.org/x/sys/unix"
)

// A Value is what a table has for each key: it is added up over the CPUs.
type Value[V any] interface {
	comparable
	Plus(V) V
	Minus(V) V
}

// A Count is a number of events.
type Count uint64

// Plus adds.
func (c Count) Plus(d Count) Count { return c + d }

// Minus subtracts.
func (c Count) Minus(d Count) Count { return c - d }

// A Hist is plumb.h's struct hist: how many of what took up to 1024 ns × 4^i.
type Hist struct {
	Sum  uint64 // in ns
	Slot [13]uint64
}

// Plus adds.
func (h Hist) Plus(d Hist) Hist {
	h.Sum += d.Sum
	for i := range h.Slot {
		h.Slot[i] += d.Slot[i]
	}
	return h
}

// Minus subtracts.
func (h Hist) Minus(d Hist) Hist {
	h.Sum -= d.Sum
	for i := range h.Slot {
		h.Slot[i] -= d.Slot[i]
	}
	return h
}

// bounds are those of a Hist, in seconds: 1.024 µs to 4.3 s.
var bounds = func() (b []float64) {
	for i := range len(Hist{}.Slot) - 1 {
		b = append(b, float64(uint64(1024)<<(2*i))/1e9)
	}
	return b
}()

// Add adds one time, in ns.
func (h *Hist) Add(ns uint64) {
	h.Sum += ns
	h.Slot[min((bits.Len64(ns>>10)+1)/2, len(h.Slot)-1)]++
}

// Seconds returns a Hist as samples have it.
func (h Hist) Seconds() *probe.Hist {
	return &probe.Hist{Bounds: bounds, Counts: h.Slot[:], Sum: float64(h.Sum) / 1e9}
}

// Series tells the series of a metric apart.
type Series struct {
	Pod    string
	Labels [4]string // as many as the Stat has
}

// A Table is a per-CPU hash of a Set or the agent's own sums, and what was counted by series. An entry counts for the Pod that its owner was when
// its events were read, and is removed some time after its owner ended: no series ever falls.
type Table[K comparable, V Value[V]] struct {
	set    *Set
	m      *ebpf.Map // nil where own is
	own    map[K]V
	owner  func(K) Owner
	labels func(K) [4]string
	keys   []K
	values []V
	seen   map[K]*entry[V]
	sums   map[Series]V
	round  int
}

// entry is what was read of a key before.
type entry[V any] struct {
	read    V // as it last was
	counted V // the part of it that the series has
	labels  [4]string
	pod     string    // whose it was
	owned   bool      // it has been somebody's
	first   time.Time // when it was first read
	lost    time.Time // since when it is nobody's and did not grow, or zero
	round   int       // when it was last there
}

// patience is how long an entry waits for who owns it, and stays when nobody does any more, after it last counted.
const patience = 30 * time.Second

// A table is read in parts of at most this many entries and bytes: each entry has a value of each CPU. A part has to
// have room for what falls on one hash, which is hardly ever two.
const (
	chunk      = 256
	chunkLeast = 16
	chunkBytes = 256 << 10
)

// NewTable returns a table of a map of s. Owner and labels say what a key stands for.
func NewTable[K comparable, V Value[V]](s *Set, name string, owner func(K) Owner, labels func(K) [4]string) (*Table[K, V], error) {
	m := s.coll.Maps[name]
	if m == nil {
		return nil, fmt.Errorf("bpf: no map %s", name)
	}
	cpus, err := ebpf.PossibleCPU()
	if err != nil {
		return nil, fmt.Errorf("bpf: %w", err)
	}
	var v V
	n := max(chunkLeast, min(chunk, chunkBytes/(cpus*int(unsafe.Sizeof(v)))))
	return &Table[K, V]{
		set: s, m: m, owner: owner, labels: labels,
		keys: make([]K, n), values: make([]V, n*cpus),
		seen: map[K]*entry[V]{}, sums: map[Series]V{},
	}, nil
}

// NewSums returns a table of what the agent itself counts, in sums. Those are the table's while it is read, and it deletes what
// it forgets from them.
func NewSums[K comparable, V Value[V]](s *Set, sums map[K]V, owner func(K) Owner, labels func(K) [4]string) *Table[K, V] {
	return &Table[K, V]{set: s, own: sums, owner: owner, labels: labels, seen: map[K]*entry[V]{}, sums: map[Series]V{}}
}

// Read adds up what was counted since it was last read, and tells all series.
func (t *Table[K, V]) Read(emit func(Series, V)) error {
	if err := t.update(time.Now()); err != nil {
		return fmt.Errorf("bpf: %w", err)
	}
	for s, v := range t.sums {
		emit(s, v)
	}
	return nil
}

func (t *Table[K, V]) update(now time.Time) error {
	t.round++
	if t.m == nil {
		for k, v := range t.own {
			t.count(k, v, now)
		}
		return t.forget(now)
	}
	cpus := len(t.values) / len(t.keys)
	var cursor ebpf.MapBatchCursor
	for done := false; !done; {
		n, err := t.m.BatchLookup(&cursor, t.keys, t.values, nil)
		if done = errors.Is(err, ebpf.ErrKeyNotExist); err != nil && !done {
			return err
		}
		for i, k := range t.keys[:n] {
			var v V
			for _, c := range t.values[i*cpus : (i+1)*cpus] {
				v = v.Plus(c)
			}
			t.count(k, v, now)
		}
	}
	return t.forget(now)
}

func (t *Table[K, V]) count(k K, v V, now time.Time) {
	e := t.seen[k]
	if e == nil {
		e = &entry[V]{labels: t.labels(k), first: now}
		t.seen[k] = e
	}
	grown := v != e.read
	e.read, e.round = v, t.round
	switch pod, _, ok := t.owner(k).Pod(t.set.env.Places); {
	case ok && (pod != "" || e.pod == ""):
		e.pod, e.owned, e.lost = pod, true, time.Time{}
	case grown || e.lost.IsZero():
		e.lost = now
	}
	if !e.owned && now.Sub(e.first) > patience {
		e.pod, e.owned = event.Unknown, true
	}
	if e.owned {
		s := Series{e.pod, e.labels}
		t.sums[s] = t.sums[s].Plus(v.Minus(e.counted))
		e.counted = v
	}
}

// forget removes the entries whose owner ended, and then the series of Pods that have none left.
func (t *Table[K, V]) forget(now time.Time) error {
	gone, has := false, map[string]bool{"": true, event.Unknown: true}
	for k, e := range t.seen {
		if e.round == t.round && (e.lost.IsZero() || now.Sub(e.lost) <= patience || !e.owned) {
			has[e.pod] = true
			continue
		}
		if t.m == nil {
			delete(t.own, k)
		} else if err := t.m.Delete(k); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
			return err
		}
		delete(t.seen, k)
		gone = true
	}
	for s := range t.sums {
		if gone && !has[s.Pod] {
			delete(t.sums, s)
		}
	}
	return nil
}

// Entries tells all that a hash of s has, which is one for all CPUs.
func Entries[K comparable, V any](s *Set, name string, visit func(K, V)) error {
	m := s.coll.Maps[name]
	if m == nil {
		return fmt.Errorf("bpf: no map %s", name)
	}
	var cursor ebpf.MapBatchCursor
	keys, values := make([]K, chunk), make([]V, chunk)
	for done := false; !done; {
		n, err := m.BatchLookup(&cursor, keys, values, nil)
		if done = errors.Is(err, ebpf.ErrKeyNotExist); err != nil && !done {
			return fmt.Errorf("bpf: %s: %w", name, err)
		}
		for i, k := range keys[:n] {
			visit(k, values[i])
		}
	}
	return nil
}

// Delete removes an entry from a hash of s, where it is there.
func (s *Set) Delete(name string, key any) error {
	if err := s.coll.Maps[name].Delete(key); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
		return fmt.Errorf("bpf: %s: %w", name, err)
	}
	return nil
}

// Text returns what a map of s has under a key as text, or "".
func (s *Set) Text(name string, key uint64) string {
	m := s.coll.Maps[name]
	if m == nil {
		return ""
	}
	b, err := m.LookupBytes(key)
	if err != nil {
		return ""
	}
	return unix.ByteSliceToString(b)
}

// PerCPU returns what each CPU has under an index of a per-CPU array of s.
func PerCPU[V any](s *Set, name string, index uint32) (values []V, err error) {
	m := s.coll.Maps[name]
	if m == nil {
		return nil, fmt.Errorf("bpf: no map %s", name)
	}
	if err := m.Lookup(index, &values); err != nil {
		return nil, fmt.Errorf("bpf: %s: %w", name, err)
	}
	return values, nil
}
