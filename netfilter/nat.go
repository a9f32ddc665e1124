package netfilter

import (
	"fmt"
	"net/netip"

	"github.com/plumbnet/plumb/packet"
)

// A manip is the end of a connection that NAT rewrites.
type manip uint8

const (
	manipSrc manip = iota
	manipDst
)

// manipAt returns what NAT rewrites at a hook (HOOK2MANIP).
func manipAt(h Hook) manip {
	if h == PostRouting || h == LocalIn {
		return manipSrc
	}
	return manipDst
}

// done returns the flag of c that says that the nat table was asked.
func (m manip) done(c *Conn) *bool {
	if m == manipSrc {
		return &c.SrcDone
	}
	return &c.DstDone
}

// natStage does what nf_nat_inet_fn does: the nat tables see the first packet of
// a connection, once for its source and once for its destination; what they
// decided, or the reversal of it, is then done to every packet.
func (e *eval) natStage(states []*state) []*state {
	m := manipAt(e.in.Hook)
	ask, pass := states[:0], e.few()
	for _, s := range states {
		switch {
		case !s.tracked():
			pass = append(pass, s)
		case s.c.State == Related && s.p.IsICMPError() && !e.translateError(s, m):
		case (s.c.State == New || s.c.State == Related) && !*m.done(&s.c):
			ask = append(ask, s)
		default:
			s.rewrite(m)
			pass = append(pass, s)
		}
	}
	for i, steps := 0, e.natTables(); i < len(steps); i++ {
		ask, pass = bound(m, e.run(&steps[i], ask), pass)
	}
	for _, s := range ask {
		*m.done(&s.c) = true // a null binding
		s.rewrite(m)
	}
	return joinAll(append(pass, ask...))
}

// bound moves the states that a nat table has decided about from asked to pass.
func bound(m manip, asked, pass []*state) (rest, out []*state) {
	rest = asked[:0]
	for _, s := range asked {
		if !*m.done(&s.c) {
			rest = append(rest, s)
			continue
		}
		s.rewrite(m)
		pass = append(pass, s)
	}
	return rest, pass
}

// rewrite does what nf_nat_packet does: in the direction of the answer, undoing
// the other end's NAT is what this hook does.
func (s *state) rewrite(m manip) {
	if !s.c.natted(m) {
		return
	}
	to := s.c.Back.Invert()
	if s.c.Reply {
		to = s.c.Orig.Invert()
	}
	if m == manipSrc {
		s.p = setSrc(s.p, to.Src)
	} else {
		s.p = setDst(s.p, to.Dst)
	}
}

// natted reports whether a packet of c is rewritten by m.
func (c *Conn) natted(m manip) bool {
	if (m == manipSrc) != c.Reply {
		return c.SNAT
	}
	return c.DNAT
}

// translateError does what nf_nat_icmp_reply_translation does: an ICMP error about
// a connection gets addresses that its receiver knows, and so does the packet that
// it quotes. It returns false if the error is dropped.
func (e *eval) translateError(s *state, m manip) bool {
	if s.c.natted(m) && s.p.Inner != nil {
		quoted := s.c.Back
		if s.c.Reply {
			quoted = s.c.Orig
		}
		inner := *s.p.Inner
		if m == manipSrc {
			inner = setDst(inner, quoted.Dst)
		} else {
			inner = setSrc(inner, quoted.Src)
		}
		s.p.Inner = &inner
	}
	if s.p.Proto == packet.ICMP && s.p.ICMPType == 5 && (s.c.SNAT || s.c.DNAT) {
		e.end(s, Ref{}, Drop, "")
		return false
	}
	return true
}

// A natRange is where NAT may send a connection to, or let it come from.
type natRange struct {
	lo, hi   netip.Addr // invalid: the address stays
	plo, phi uint16
	hasPorts bool
	base     uint16 // the port that plo stands for, where shift
	shift    bool
	random   bool // --random, --random-fully
}

// maxChoice bounds how many addresses or ports of a range are followed.
const maxChoice = 64

// setup does what nf_nat_setup_info does: it chooses the addresses of the
// connection. The kernel chooses by a hash; all of its choices are followed.
func (e *eval) setup(s *state, m manip, r natRange, at Ref) {
	now := s.c.Back.Invert()
	end := now.Dst
	if m == manipSrc {
		end = now.Src
	}
	var addr [1]netip.Addr
	var port [1]uint16
	addrs := r.addrs(addr[:0], m, end)
	ports, random := r.ports(port[:0], m, end.Port(), s.p.Proto)
	if len(addrs)*len(ports) == 0 {
		e.end(s, at, VerdictUnknown, fmt.Sprintf("NAT chooses among more than %d addresses or ports", maxChoice))
		return
	}
	share := 1 / float64(len(addrs)*len(ports))
	for _, a := range addrs {
		for _, port := range ports {
			t := s
			if share < 1 {
				t = e.fork(s, share)
			}
			t.c.bind(m, now, netip.AddrPortFrom(a, port), random)
			e.add(t, at)
			e.passed = append(e.passed, t)
		}
	}
}

// bind notes where the connection goes.
func (c *Conn) bind(m manip, now Tuple, to netip.AddrPort, random bool) {
	next := now
	if m == manipSrc {
		next.Src = to
		c.SNAT = c.SNAT || next != now || random
	} else {
		next.Dst = to
		if isICMP(now.Proto) {
			next.Dst = netip.AddrPortFrom(to.Addr(), now.Dst.Port())
		}
		c.DNAT = c.DNAT || next != now || random
	}
	c.RandomPort = c.RandomPort || random
	if m == manipSrc && isICMP(now.Proto) { // the identifier stands in both ports
		next.Dst = netip.AddrPortFrom(next.Dst.Addr(), to.Port())
	}
	c.Back = next.Invert()
	*m.done(c) = true
}

func isICMP(p packet.Proto) bool { return p == packet.ICMP || p == packet.ICMPv6 }

// addrs returns the addresses that r leaves to choose from, or none if there are too many.
// A source that is in the range stays. It appends to list.
func (r *natRange) addrs(list []netip.Addr, m manip, now netip.AddrPort) []netip.Addr {
	a := now.Addr()
	switch {
	case !r.lo.IsValid():
		return append(list, a)
	case r.lo == r.hi:
		return append(list, r.lo)
	case m == manipSrc && !r.random && r.lo.Compare(a) <= 0 && a.Compare(r.hi) <= 0 &&
		(!r.hasPorts || r.plo <= now.Port() && now.Port() <= r.phi):
		return append(list, a)
	}
	for a := r.lo; a.IsValid() && a.Compare(r.hi) <= 0; a = a.Next() {
		if list = append(list, a); len(list) > maxChoice {
			return nil
		}
	}
	return list
}

// ports returns the ports that r leaves to choose from, or none if there are too
// many; a source port that is chosen at random is one of many. It follows
// get_unique_tuple and nf_nat_l4proto_unique_tuple of nf_nat_core.c.
// It appends to list.
func (r *natRange) ports(list []uint16, m manip, now uint16, proto packet.Proto) (ports []uint16, random bool) {
	if !proto.HasPorts() && !isICMP(proto) {
		return append(list, now), false
	}
	switch {
	case r.hasPorts && r.shift:
		n := uint32(r.phi) - uint32(r.plo) + 1
		return append(list, r.plo+uint16(uint32(now-r.base)%n)), false
	case r.hasPorts && r.plo == r.phi:
		return append(list, r.plo), false
	case !r.random && (!r.hasPorts || r.plo <= now && now <= r.phi):
		return append(list, now), false
	case m == manipSrc && r.hasPorts:
		return append(list, r.plo), true
	case m == manipSrc || isICMP(proto):
		return append(list, now), true
	case !r.hasPorts: // --random alone does not change a destination port
		return append(list, now), false
	case !r.random:
		return append(list, r.plo), false
	case int(r.phi)-int(r.plo) >= maxChoice:
		return nil, false
	}
	for p := int(r.plo); p <= int(r.phi); p++ {
		list = append(list, uint16(p))
	}
	return list, false
}
