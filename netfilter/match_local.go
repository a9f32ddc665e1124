package netfilter

// rpfilter is "-m rpfilter".
type rpfilter struct{ loose, validMark, acceptLocal, invert bool }

func (m *rpfilter) match(e *eval, s *state) Tri {
	r := Maybe
	if e.in.Env != nil {
		r = e.in.Env.ReversePath(s.p, e.in.In, m.loose, m.validMark, m.acceptLocal)
	}
	if r == Maybe {
		e.maybe("the route back to the source is not known (-m rpfilter)")
	}
	return r.xor(m.invert)
}

func newRPFilter(_ *ruleParser, _ *rule, o []opt) match {
	m := &rpfilter{}
	for _, o := range o {
		m.loose = m.loose || o.name == "--loose"
		m.validMark = m.validMark || o.name == "--validmark"
		m.acceptLocal = m.acceptLocal || o.name == "--accept-local"
		m.invert = m.invert || o.name == "--invert" || o.not
	}
	return m
}

// socketMatch is "-m socket".
type socketMatch struct{ transparent, noWildcard bool }

func (m *socketMatch) match(e *eval, s *state) Tri {
	r := Maybe
	if e.in.Env != nil {
		r = e.in.Env.Socket(s.p, m.transparent, m.noWildcard)
	}
	if r == Maybe {
		e.maybe("whether a local socket would take the packet is not known")
	}
	return r
}

func newSocket(p *ruleParser, _ *rule, o []opt) match {
	m := &socketMatch{}
	for _, o := range o {
		if o.name == "--restore-skmark" {
			p.misread("the marks of sockets are not known")
		}
		m.transparent = m.transparent || o.name == "--transparent"
		m.noWildcard = m.noWildcard || o.name == "--nowildcard"
	}
	return m
}

// owner is "-m owner": who owns the socket that sends. Packets of others have none.
type owner struct {
	lo, hi                    uint64
	uid, gid, exists          bool
	notUID, notGID, notExists bool
}

func (m *owner) match(e *eval, _ *state) Tri {
	if e.in.Hook != LocalOut && (e.in.Hook != PostRouting || e.in.In != "") {
		return tri((!m.uid || m.notUID) && (!m.gid || m.notGID) && (!m.exists || m.notExists))
	}
	if e.in.UID == nil {
		return e.maybe("the user whose process sends is not known")
	}
	r := tri(!m.exists || !m.notExists)
	if m.uid {
		uid := uint64(*e.in.UID)
		r = r.and(tri(m.lo <= uid && uid <= m.hi).xor(m.notUID))
	}
	if m.gid && r != No {
		return e.maybe("the group whose process sends is not known")
	}
	return r
}

func newOwner(p *ruleParser, _ *rule, o []opt) match {
	m := &owner{}
	for _, o := range o {
		switch o.name {
		case "--uid-owner":
			m.lo, m.hi = p.span(o.a, "-", 32)
			m.uid, m.notUID = true, o.not
		case "--gid-owner":
			m.gid, m.notGID = true, o.not
		case "--socket-exists":
			m.exists, m.notExists = true, o.not
		}
	}
	return m
}
