package intent

// A Matrix holds the answers for all pairs of Pods, nodes and addresses and one port. It takes a
// row of bits for each program, not for each Pod.
type Matrix struct {
	e      *Engine
	family uint8
	port   Port
	rows   [2][]row // by direction: of egress by program, of ingress by inRow
	inRow  []int32  // of each class of Pods
}

// A row says for each class at the other end what the policies of one program may do.
type row struct{ allow, deny set }

// settle makes of a row one that says what the policies do for sure: a class in neither set is unknown.
func (r row) settle() row {
	sure := r.allow.clone()
	sure.without(r.deny)
	r.deny.without(r.allow)
	return row{sure, r.deny}
}

// AllPairs finds the answers for all pairs of peers that have an address of one family.
func (e *Engine) AllPairs(port Port, is6 bool) *Matrix {
	m := &Matrix{e: e, port: port, family: v4, inRow: make([]int32, e.podCount)}
	if is6 {
		m.family = v6
	}
	b := bulk{Engine: e, port: port, family: m.family, names: map[portSpec]tri{}}
	for _, p := range e.programs[egress] {
		m.rows[egress] = append(m.rows[egress], b.run(p, egress, -1).settle())
	}
	type variant struct{ program, ports int32 }
	known := map[variant]int32{}
	for i := range e.classes[:e.podCount] {
		c := &e.classes[i]
		v := variant{program: c.program[ingress]}
		if e.programs[ingress][v.program].byName {
			v.ports = c.ports
		}
		at, ok := known[v]
		if !ok {
			at = int32(len(m.rows[ingress]))
			known[v] = at
			m.rows[ingress] = append(m.rows[ingress], b.run(e.programs[ingress][v.program], ingress, int32(i)).settle())
		}
		m.inRow[i] = at
	}
	return m
}

// Answer returns the answer for one pair.
func (m *Matrix) Answer(from, to Peer) Answer {
	special := from.kind != isPod || to.kind != isPod || from.at == to.at
	i, j := from.class[m.family], to.class[m.family]
	if special || i < 0 || j < 0 {
		return m.e.Answer(from.In(m.family == v6), to.In(m.family == v6), m.port)
	}
	return m.of(i, j)
}

// of returns the answer for two peers of two classes, of which at least one is of Pods.
func (m *Matrix) of(i, j int32) Answer {
	out, in := row{}, row{} // of nothing: who has no policies
	if int(i) < m.e.podCount {
		out = m.rows[egress][m.e.classes[i].program[egress]]
	}
	if int(j) < m.e.podCount {
		in = m.rows[ingress][m.inRow[j]]
	}
	switch {
	case out.deny != nil && out.deny.has(j) || in.deny != nil && in.deny.has(i):
		return Denied
	case (out.allow == nil || out.allow.has(j)) && (in.allow == nil || in.allow.has(i)):
		return Allowed
	}
	return Unknown
}
