package trace

import (
	"net/netip"
	"slices"

	"github.com/plumbnet/plumb/netfilter"
	"github.com/plumbnet/plumb/network"
	"github.com/plumbnet/plumb/packet"
)

// A slab gives memory for the many small things that a Result holds, a piece at a
// time. What it has given belongs to the Result: a slab never uses it again.
type slab[T any] struct{ piece []T }

// grow makes a piece with room for n values and more: each is larger than the one before, within bounds.
func (l *slab[T]) grow(n int) { l.piece = make([]T, 0, max(n, 4, min(2*cap(l.piece), 32))) }

// list returns a copy of v.
func (l *slab[T]) list(v []T) []T {
	if len(v) == 0 {
		return nil
	}
	if len(v) > cap(l.piece)-len(l.piece) {
		l.grow(len(v))
	}
	n := len(l.piece)
	l.piece = append(l.piece, v...)
	return slices.Clip(l.piece[n:])
}

// add returns a list with v at its end. The list that was added to last grows where it is.
func (l *slab[T]) add(list []T, v T) []T {
	n := len(l.piece)
	if len(list) == 0 || n == 0 || n == cap(l.piece) || &list[len(list)-1] != &l.piece[n-1] {
		if n+len(list) >= cap(l.piece) {
			l.grow(len(list) + 1)
		}
		n = len(l.piece) + len(list)
		l.piece = append(l.piece, list...)
	}
	l.piece = append(l.piece, v)
	return slices.Clip(l.piece[n-len(list):])
}

// get returns a zero value.
func (l *slab[T]) get() *T {
	if len(l.piece) == cap(l.piece) {
		l.grow(1)
	}
	l.piece = l.piece[:len(l.piece)+1]
	return &l.piece[len(l.piece)-1]
}

// packet returns a copy of p.
func (m *slabs) packet(p packet.Packet) *packet.Packet {
	room := m.packets.get()
	*room = p
	return room
}

// slabs are the memory of one Result, beside its paths.
type slabs struct {
	hops    slab[Hop]
	steps   slab[Step]
	packets slab[packet.Packet]
	quotes  slab[Quote]
	routes  slab[routeQuote]
	neighs  slab[neighQuote]
	fdb     slab[fdbQuote]
	rules   slab[ruleQuote]
	addrs   slab[netip.Addr]
	ends    slab[endpoint]
	ct      slab[tracked]
}

// rulesOf quotes the last rules that decided, at most n.
func (m *slabs) rulesOf(refs []netfilter.Ref, n int) []Quote {
	if len(refs) > n {
		refs = refs[len(refs)-n:]
	}
	var room [4]Quote
	all := room[:0]
	for i := range refs {
		q := m.rules.get()
		*q = ruleQuote(refs[i])
		all = append(all, q)
	}
	return m.quotes.list(all)
}

// What a sentence speaks of is kept by pointers, which need no memory of their own, and printed when it is said.

// ip returns the address for a sentence.
func (s *state) ip(a netip.Addr) *netip.Addr {
	p := s.all.keep.addrs.get()
	*p = a
	return p
}

// named is a device that prints as its name alone.
type named struct{ d *network.Iface }

func (n named) String() string { return n.d.Name() }

// An endpoint is an address that prints with its port where the protocol has ports.
type endpoint struct {
	addr  netip.AddrPort
	ports bool
}

func (e *endpoint) String() string {
	if e.ports {
		return e.addr.String()
	}
	return e.addr.Addr().String()
}

// endpoint returns an end of the packet for a sentence.
func (s *state) endpoint(a netip.AddrPort) *endpoint {
	e := s.all.keep.ends.get()
	*e = endpoint{a, s.p.Proto.HasPorts()}
	return e
}
