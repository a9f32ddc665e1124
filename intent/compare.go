package intent

import (
	"slices"

	"github.com/plumbnet/plumb/packet"
)

// This file compares two Engines without asking about pairs of Pods. What a source may send
// depends on its egress program alone, and what a destination receives on its ingress program.
// So for one pair of programs and one range of ports the connections that change are whole
// rectangles: sources that the ingress program tells apart, by destinations that the egress
// program does. Programs that are made of the same rules in both Engines are passed over.

// A comparer compares for one family.
type comparer struct {
	engines [2]*Engine
	family  uint8
	joints  []joint
	sides   [2][]*side // by direction
	bulks   [2]map[uint32]*bulk
	same    map[[2]*[2]tri]bool // which peers match the same in both Engines
	names   [2][]string         // of ports
	ported  bool                // Pods have the same named ports in both
}

// A side is what the joints that have a program of each Engine in common may do in one direction.
type side struct {
	key     sideKey
	members []int32  // joints
	starts  []uint32 // where its ports begin to differ, as [portKey] has them
	rows    [][2]row // by start; without sets where they were not made yet
	dirty   bool     // it does not the same in both
	changed set      // joints at the other end of which it does not; made by differing
}

type sideKey struct{ program, ports [2]int32 } // a program of -1: no policy selects nodes and what is outside

func (k sideKey) free() bool { return k.program[0] < 0 }

// A rectangle is connections from some joints to others that change alike.
type rectangle struct {
	from, to []int32
	ports    []PortRange
	answers  [2]Answer
	egress   bool // the source's policies decide
}

// withPorts are the protocols that have ports, in the order of Engine.Ports.
var withPorts = []packet.Proto{packet.TCP, packet.UDP, packet.SCTP}

// portKey puts ports of all protocols into one order.
func portKey(proto int, number int) uint32 { return uint32(proto)<<17 | uint32(number) }

func portOfKey(k uint32) Port { return Port{withPorts[k>>17], uint16(k & 0xffff)} }

func newComparer(engines [2]*Engine, family uint8) *comparer {
	c := &comparer{engines: engines, family: family, joints: joints(engines, family), same: map[[2]*[2]tri]bool{}}
	for k, e := range engines {
		c.bulks[k] = map[uint32]*bulk{}
		c.names[k] = make([]string, len(e.portNames))
		for name, at := range e.portNames {
			c.names[k][at] = name
		}
	}
	c.ported = c.samePorts()
	c.makeSides()
	c.judge()
	return c
}

func (c *comparer) classOf(j *joint, k int) *class { return &c.engines[k].classes[j.class[k]] }

// samePorts reports whether the Pods have the same named ports in both.
func (c *comparer) samePorts() bool {
	for i := range c.joints {
		j := &c.joints[i]
		var list [2][]namedPort
		for k, e := range c.engines {
			list[k] = e.ports[c.classOf(j, k).ports]
		}
		if !slices.EqualFunc(list[0], list[1], func(a, b namedPort) bool {
			return c.names[0][a.name] == c.names[1][b.name] && a.proto == b.proto && a.number == b.number
		}) {
			return false
		}
	}
	return true
}

// makeSides puts the joints into sides.
func (c *comparer) makeSides() {
	for d := range c.sides {
		known := map[sideKey]*side{}
		for i := range c.joints {
			key := c.keyOf(&c.joints[i], d)
			s := known[key]
			if s == nil {
				s = &side{key: key, starts: c.starts(key, d)}
				s.rows = make([][2]row, len(s.starts))
				known[key] = s
				c.sides[d] = append(c.sides[d], s)
			}
			s.members = append(s.members, int32(i))
		}
	}
}

func (c *comparer) keyOf(j *joint, direction int) sideKey {
	if j.kind != isPod {
		return sideKey{program: [2]int32{-1, -1}}
	}
	var key sideKey
	for k, e := range c.engines {
		cl := c.classOf(j, k)
		key.program[k] = cl.program[direction]
		if direction == ingress && e.programs[ingress][key.program[k]].byName {
			key.ports[k] = cl.ports
		}
	}
	return key
}

// starts returns where the ports begin that the rules of a side tell apart.
func (c *comparer) starts(key sideKey, direction int) []uint32 {
	out := []uint32{portKey(0, 1), portKey(1, 1), portKey(2, 1)}
	if key.free() {
		return out
	}
	for k, e := range c.engines {
		e.programs[direction][key.program[k]].eachRule(direction, func(r *rule) {
			for i := range r.ports {
				profiles := e.ports
				if direction == ingress {
					profiles = profiles[key.ports[k] : key.ports[k]+1]
				}
				out = r.ports[i].cuts(out, profiles)
			}
		})
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// cuts adds where the ports begin, and end, that s selects of those with names.
func (s *portSpec) cuts(out []uint32, profiles [][]namedPort) []uint32 {
	cut := func(proto packet.Proto, lo, hi int) {
		at := slices.Index(withPorts, proto)
		if at < 0 {
			return
		}
		if lo = max(lo, 1); lo <= 65535 {
			out = append(out, portKey(at, lo))
		}
		if hi < 65535 {
			out = append(out, portKey(at, hi+1))
		}
	}
	switch s.kind {
	case portRange:
		cut(s.proto, int(s.lo), int(s.hi))
	case portNamed, portAnyName:
		for _, list := range profiles {
			for _, p := range list {
				if p.name == s.name {
					cut(p.proto, int(p.number), int(p.number))
				}
			}
		}
	}
	return out
}

// eachRule calls f for the rules of a program.
func (p *program) eachRule(direction int, f func(*rule)) {
	p.eachPolicy(func(a *applied) {
		for i := range a.rules[direction] {
			f(&a.rules[direction][i])
		}
	})
}

// eachPolicy calls f for the policies of a program, in the order in which they are asked.
func (p *program) eachPolicy(f func(*applied)) {
	for _, l := range [2]*layer{&p.admin, &p.baseline} {
		for _, groups := range l {
			for _, g := range groups {
				for i := range g {
					f(&g[i])
				}
			}
		}
	}
	for _, list := range [2][]applied{p.named, p.others} {
		for i := range list {
			f(&list[i])
		}
	}
}

// judge finds the sides that are dirty: those that are not made of the same rules, and of which
// some answer differs.
func (c *comparer) judge() {
	for d := range c.sides {
		for _, s := range c.sides[d] {
			if s.key.free() || c.sameProgram(s.key, d) {
				continue
			}
			for at := range s.starts {
				if s.dirty = c.differ(s, d, at); s.dirty {
					break
				}
			}
		}
	}
}

// sameProgram reports whether both programs are made of the same rules.
func (c *comparer) sameProgram(key sideKey, direction int) bool {
	var lists [2][]*applied
	for k, e := range c.engines {
		p := e.programs[direction][key.program[k]]
		if p.byName && !c.ported || e.missing[direction] != c.engines[0].missing[direction] {
			return false
		}
		p.eachPolicy(func(a *applied) { lists[k] = append(lists[k], a) })
	}
	return slices.EqualFunc(lists[0], lists[1], func(a, b *applied) bool {
		return a.sure == b.sure && a.kind == b.kind && a.tier == b.tier && a.priority == b.priority && a.old == b.old &&
			slices.EqualFunc(a.rules[direction], b.rules[direction], c.sameRule)
	})
}

func (c *comparer) sameRule(a, b rule) bool {
	return a.action == b.action && c.samePeers(a.sets, b.sets) && slices.EqualFunc(a.ports, b.ports, func(x, y portSpec) bool {
		named := x.kind == portNamed || x.kind == portAnyName
		return x.kind == y.kind && x.proto == y.proto && x.lo == y.lo && x.hi == y.hi && (!named || c.names[0][x.name] == c.names[1][y.name])
	})
}

// samePeers reports whether the same joints match.
func (c *comparer) samePeers(a, b *[2]tri) bool {
	if a == nil || b == nil {
		return a == b
	}
	key := [2]*[2]tri{a, b}
	out, ok := c.same[key]
	if !ok {
		out = !slices.ContainsFunc(c.joints, func(j joint) bool {
			return a[c.family].matches(j.class[0]) != b[c.family].matches(j.class[1])
		})
		c.same[key] = out
	}
	return out
}

// differ reports whether some answer of a side differs for the ports that begin at a start.
func (c *comparer) differ(s *side, direction, at int) bool {
	rows := c.rows(s, direction, at)
	return slices.ContainsFunc(c.joints, func(j joint) bool { return rows[0].answer(j.class[0]) != rows[1].answer(j.class[1]) })
}

// differing returns those of some joints, at the other end of a side, of which it does not say the same in both.
func (c *comparer) differing(s *side, direction int, list []int32) (out []int32) {
	if s.changed == nil {
		s.changed = newSet(len(c.joints))
		for at := range s.starts {
			rows := c.rows(s, direction, at)
			for i := range c.joints {
				if j := &c.joints[i]; rows[0].answer(j.class[0]) != rows[1].answer(j.class[1]) {
					s.changed.add(int32(i))
				}
			}
		}
	}
	for _, i := range list {
		if s.changed.has(i) {
			out = append(out, i)
		}
	}
	return out
}

// answer returns what a row, which is settled, says of a class.
func (r *row) answer(i int32) Answer {
	switch {
	case r.allow.has(i):
		return Allowed
	case r.deny.has(i):
		return Denied
	}
	return Unknown
}

// rows returns what both programs of a side say, for the ports that begin at a start.
func (c *comparer) rows(s *side, direction, at int) *[2]row {
	out := &s.rows[at]
	if out[0].allow != nil {
		return out
	}
	for k, e := range c.engines {
		b := c.bulks[k][s.starts[at]]
		if b == nil {
			b = &bulk{Engine: e, port: portOfKey(s.starts[at]), family: c.family, names: map[portSpec]tri{}}
			c.bulks[k][s.starts[at]] = b
		}
		dst := int32(-1)
		if direction == ingress {
			dst = c.joints[s.members[0]].class[k]
		}
		out[k] = b.run(e.programs[direction][s.key.program[k]], direction, dst).settle()
	}
	return out
}
