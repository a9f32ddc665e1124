package intent

import (
	"fmt"
	"slices"
)

// run finds the rectangles, one destination side after the other.
func (c *comparer) run() []rectangle {
	var found []rectangle
	for _, in := range c.sides[ingress] {
		m := merger{at: map[string]int{}}
		for _, out := range c.sides[egress] {
			if in.dirty || out.dirty {
				c.cross(out, in, &m)
			}
		}
		found = append(found, widen(m.list, func(r *rectangle) *[]int32 { return &r.from }, func(r *rectangle) []int32 { return r.to })...)
		for i := range in.rows {
			in.rows[i] = [2]row{} // of each destination side only once
		}
	}
	return widen(found, func(r *rectangle) *[]int32 { return &r.to }, func(r *rectangle) []int32 { return r.from })
}

// A cell is joints of which a side says the same, in each Engine.
type cell struct {
	answers [2]Answer
	joints  []int32
}

// split puts joints into cells by what the rows of the other side say of them; nil is free.
func (c *comparer) split(list []int32, rows *[2]row) []cell {
	if rows == nil {
		return []cell{{[2]Answer{Allowed, Allowed}, list}}
	}
	said := func(i int32) [2]Answer {
		j := &c.joints[i]
		return [2]Answer{rows[0].answer(j.class[0]), rows[1].answer(j.class[1])}
	}
	var out []cell
	for at, i := range list {
		a := said(i)
		k := slices.IndexFunc(out, func(x cell) bool { return x.answers == a })
		switch {
		case k >= 0 && len(out) == 1: // mostly it says the same of all
			out[0].joints = list[: at+1 : at+1]
		case k >= 0:
			out[k].joints = append(out[k].joints, i)
		default:
			out = append(out, cell{a, []int32{i}})
		}
	}
	return out
}

// A half is one of two sides that cross, as it says of the other's joints.
type half struct {
	*comparer
	*side
	direction int
	list      []int32 // the other's joints
	at        int     // the start that cells are of
	cells     []cell
}

// of returns the cells for ports that begin at a start of either side.
func (h *half) of(start uint32) []cell {
	at, ok := slices.BinarySearch(h.side.starts, start)
	if !ok {
		at--
	}
	if at == h.at {
		return h.cells
	}
	h.at = at
	var rows *[2]row
	if !h.key.free() {
		rows = h.rows(at)
	}
	h.cells = h.split(h.list, rows)
	return h.cells
}

func (h *half) rows(at int) *[2]row { return h.comparer.rows(h.side, h.direction, at) }

// cross adds what changes between the joints of two sides.
func (c *comparer) cross(out, in *side, m *merger) {
	if out.key.free() && in.key.free() {
		return
	}
	from := half{comparer: c, side: in, direction: ingress, list: out.members, at: -1}
	to := half{comparer: c, side: out, direction: egress, list: in.members, at: -1}
	switch { // where one says the same as before, only what the other says otherwise counts
	case !out.dirty:
		from.list = c.differing(in, ingress, from.list)
	case !in.dirty:
		to.list = c.differing(out, egress, to.list)
	}
	if len(from.list) == 0 || len(to.list) == 0 {
		return
	}
	starts := slices.Concat(out.starts, in.starts)
	slices.Sort(starts)
	starts = slices.Compact(starts)
	for i, start := range starts {
		p := portOfKey(start)
		ports := PortRange{p.Proto, p.Number, 65535}
		if i+1 < len(starts) && starts[i+1]>>17 == start>>17 {
			ports.Hi = uint16(starts[i+1]&0x1ffff) - 1
		}
		for _, f := range from.of(start) {
			if !out.dirty && f.answers[0] == f.answers[1] {
				continue // for these ports neither says otherwise
			}
			for _, t := range to.of(start) {
				was, is := bothAnswers(t.answers[0], f.answers[0]), bothAnswers(t.answers[1], f.answers[1])
				if was != is {
					c.add(m, &f, &t, ports, [2]Answer{was, is})
				}
			}
		}
	}
}

// bothAnswers is what two answers say together: both sides must allow.
func bothAnswers(a, b Answer) Answer {
	switch {
	case a == Denied || b == Denied:
		return Denied
	case a == Allowed && b == Allowed:
		return Allowed
	}
	return Unknown
}

// add adds one rectangle. The side that decides is the one that is to blame where not all is
// allowed; of both, the one that changes.
func (c *comparer) add(m *merger, f, t *cell, ports PortRange, answers [2]Answer) {
	at := 0
	if answers[1] != Allowed {
		at = 1
	}
	egress := t.answers[at] == answers[at] && (f.answers[at] != answers[at] || t.answers[0] != t.answers[1])
	key := []byte{byte(answers[0]), byte(answers[1]), map[bool]byte{true: 1}[egress]}
	key = appendInts(appendInts(appendInt(key, int32(len(f.joints))), f.joints), t.joints)
	m.add(string(key), rectangle{f.joints, t.joints, []PortRange{ports}, answers, egress})
}

// A merger joins the ports of rectangles that are else the same.
type merger struct {
	at   map[string]int
	list []rectangle
}

func (m *merger) add(key string, r rectangle) {
	i, ok := m.at[key]
	if !ok {
		m.at[key] = len(m.list)
		m.list = append(m.list, r)
		return
	}
	m.list[i].ports = joinPorts(append(m.list[i].ports, r.ports...))
}

// widen joins rectangles that differ only in one of their ends.
func widen(list []rectangle, end func(*rectangle) *[]int32, other func(*rectangle) []int32) (out []rectangle) {
	at := map[string]int{}
	for i := range list {
		r := &list[i]
		key := fmt.Sprint(r.answers, r.egress, r.ports) + string(appendInts(nil, other(r)))
		j, ok := at[key]
		if !ok {
			at[key] = len(out)
			out = append(out, *r)
			*end(&out[len(out)-1]) = slices.Clone(*end(r))
			continue
		}
		to := end(&out[j])
		*to = append(*to, *end(r)...)
	}
	for i := range out {
		to := end(&out[i])
		slices.Sort(*to)
		*to = slices.Compact(*to)
	}
	return out
}
