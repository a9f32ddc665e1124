package netfilter

import "net/netip"

// indexFrom is the length from which a chain has an index.
const indexFrom = 12

// An index finds the rules of a chain that a packet may meet. Each rule is
// filed under its most telling condition; kube-proxy writes a rule a Service
// into KUBE-SERVICES, and a packet meets the few of its destination.
type index struct {
	dst, src map[netip.Addr]int32 // rules for one address
	port     map[uint32]int32     // rules for one destination port: protocol << 16 | port
	in, out  map[string]int32     // rules for one device
	rest     int32                // the other rules
	next     []int32              // the next rule that is filed in the same place; -1: none
}

// none ends a list of rules.
const none = -1

// buildIndex files the rules, from the last to the first, so that each list is in order.
func (c *Chain) buildIndex() {
	if len(c.Rules) < indexFrom {
		return
	}
	x := &index{rest: none, next: make([]int32, len(c.Rules))}
	for i := len(c.Rules) - 1; i >= 0; i-- {
		x.file(c.Rules[i], int32(i))
	}
	c.index = x
}

func (x *index) file(r *Rule, i int32) {
	switch {
	case r.noop:
	case r.dst.IsSingleIP() && r.not&notDst == 0:
		put(&x.dst, r.dst.Addr(), i, x.next)
	case r.hasDPort:
		put(&x.port, uint32(r.proto)<<16|uint32(r.dport), i, x.next)
	case r.src.IsSingleIP() && r.not&notSrc == 0:
		put(&x.src, r.src.Addr(), i, x.next)
	case exact(r.in) && r.not&notIn == 0:
		put(&x.in, r.in, i, x.next)
	case exact(r.out) && r.not&notOut == 0:
		put(&x.out, r.out, i, x.next)
	default:
		x.next[i], x.rest = x.rest, i
	}
}

func exact(dev string) bool { return dev != "" && dev[len(dev)-1] != '+' }

func put[K comparable](m *map[K]int32, k K, i int32, next []int32) {
	if *m == nil {
		*m = map[K]int32{}
	}
	next[i] = get(*m, k)
	(*m)[k] = i
}

func get[K comparable](m map[K]int32, k K) int32 {
	if m == nil {
		return none
	}
	if i, ok := m[k]; ok {
		return i
	}
	return none
}

// A cursor goes through the rules of a chain that a packet may meet, in order.
type cursor struct {
	c     *Chain
	i     int      // without an index
	heads [6]int32 // with one: the next rule of each list
}

func (c *Chain) start(e *eval, s *state) cursor {
	at := cursor{c: c}
	if x := c.index; x != nil {
		at.heads = [6]int32{
			get(x.dst, s.p.Dst.Addr()), get(x.port, uint32(s.p.Proto)<<16|uint32(s.p.Dst.Port())),
			get(x.src, s.p.Src.Addr()), get(x.in, e.in.In), get(x.out, e.in.Out), x.rest,
		}
	}
	return at
}

// next returns the next rule, or nil.
func (at *cursor) next() *Rule {
	if at.c.index == nil {
		if at.i == len(at.c.Rules) {
			return nil
		}
		at.i++
		return at.c.Rules[at.i-1]
	}
	first := -1
	for k, i := range at.heads {
		if i != none && (first < 0 || i < at.heads[first]) {
			first = k
		}
	}
	if first < 0 {
		return nil
	}
	i := at.heads[first]
	at.heads[first] = at.c.index.next[i]
	return at.c.Rules[i]
}
