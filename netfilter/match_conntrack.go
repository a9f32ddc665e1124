package netfilter

import (
	"net/netip"
	"strings"

	"github.com/plumbnet/plumb/packet"
)

// stateBits are the names of "--ctstate".
var stateBits = map[string]uint8{
	"NEW": 1 << New, "ESTABLISHED": 1 << Established, "RELATED": 1 << Related, "INVALID": 1 << Invalid,
	"UNTRACKED": 1 << Untracked, "SNAT": bitSNAT, "DNAT": bitDNAT,
}

const (
	bitSNAT = 1 << 6
	bitDNAT = 1 << 7
)

// ctState is "--ctstate" and "-m state".
type ctState struct {
	bits uint8
	not  bool
}

func (m *ctState) match(_ *eval, s *state) Tri {
	bits := uint8(1) << Invalid
	if s.onTemplate() {
		bits = 1 << New
	}
	if s.hasConn {
		bits = 1 << s.c.State
		if s.tracked() && s.c.SNAT {
			bits |= bitSNAT
		}
		if s.tracked() && s.c.DNAT {
			bits |= bitDNAT
		}
	}
	return tri(bits&m.bits != 0).xor(m.not)
}

// conntrack is "-m conntrack" with more than the state. A packet that belongs to no connection meets none of it.
type conntrack struct {
	state *ctState
	tests []func(e *eval, s *state) Tri
}

func (m *conntrack) match(e *eval, s *state) Tri {
	r := Yes
	if m.state != nil {
		r = m.state.match(e, s)
	}
	if s.onTemplate() {
		of := *s
		of.c = Conn{}
		s = &of
	} else if !s.tracked() {
		return r.and(tri(m.state != nil))
	}
	for _, test := range m.tests {
		r = r.and(test(e, s))
	}
	return r
}

func newConntrack(p *ruleParser, _ *rule, o []opt) match {
	m := &conntrack{}
	for _, o := range o {
		if o.name == "--ctstate" || o.name == "--state" {
			m.state = p.ctState(o)
			continue
		}
		if test := p.ctTest(o); test != nil {
			m.tests = append(m.tests, test)
		}
	}
	if m.state != nil && m.tests == nil {
		return m.state
	}
	return m
}

func (p *ruleParser) ctState(o opt) *ctState {
	m := &ctState{not: o.not}
	for name := range strings.SplitSeq(o.a, ",") {
		bit, ok := stateBits[name]
		if !ok {
			p.misread("not a state of a connection: " + short(name))
		}
		m.bits |= bit
	}
	return m
}

// ctEnds are the options about one end of a connection.
var ctEnds = map[string]func(c *Conn) netip.AddrPort{
	"--ctorigsrc": func(c *Conn) netip.AddrPort { return c.Orig.Src }, "--ctorigsrcport": func(c *Conn) netip.AddrPort { return c.Orig.Src },
	"--ctorigdst": func(c *Conn) netip.AddrPort { return c.Orig.Dst }, "--ctorigdstport": func(c *Conn) netip.AddrPort { return c.Orig.Dst },
	"--ctreplsrc": func(c *Conn) netip.AddrPort { return c.Back.Src }, "--ctreplsrcport": func(c *Conn) netip.AddrPort { return c.Back.Src },
	"--ctrepldst": func(c *Conn) netip.AddrPort { return c.Back.Dst }, "--ctrepldstport": func(c *Conn) netip.AddrPort { return c.Back.Dst },
}

// ctPort returns what conntrack keeps in the place of a port. The identifier of an
// ICMP echo is its source port; its destination port is its type and code (union nf_conntrack_man_proto).
func ctPort(option string, end netip.AddrPort, proto packet.Proto) uint16 {
	switch icmp := option == "--ctorigdstport" || option == "--ctrepldstport"; {
	case !icmp || !isICMP(proto):
		return end.Port()
	case proto == packet.ICMPv6 && option == "--ctorigdstport":
		return 128 << 8
	case proto == packet.ICMPv6:
		return 129 << 8
	case option == "--ctorigdstport":
		return 8 << 8
	}
	return 0
}

func (p *ruleParser) ctTest(o opt) func(e *eval, s *state) Tri {
	if end := ctEnds[o.name]; end != nil && strings.HasSuffix(o.name, "port") {
		r := p.portRange(o.a, ":", o.not)
		return func(e *eval, s *state) Tri {
			chosen := "--ctrepldstport"
			if isICMP(s.c.Orig.Proto) {
				chosen = "--ctreplsrcport"
			}
			if s.c.RandomPort && o.name == chosen {
				return e.maybe("the source port that NAT chose is not known")
			}
			return tri(r.has(ctPort(o.name, end(&s.c), s.c.Orig.Proto)))
		}
	} else if end != nil {
		a := p.address(o.a)
		return func(_ *eval, s *state) Tri { return tri(a.Contains(end(&s.c).Addr())).xor(o.not) }
	}
	switch o.name {
	case "--ctdir":
		reply := o.a == "REPLY"
		return func(_ *eval, s *state) Tri { return tri(s.c.Reply == reply).xor(o.not) }
	case "--ctproto":
		proto, _ := p.protocol(o.a)
		return func(_ *eval, s *state) Tri { return tri(s.c.Orig.Proto == proto).xor(o.not) }
	case "--ctstatus":
		return p.ctStatus(o)
	case "--ctexpire":
		return func(e *eval, _ *state) Tri { return e.maybe("when a connection expires is not known") }
	}
	return nil
}

// ctStatus reads --ctstatus. NONE stands for no bit, and so never matches.
func (p *ruleParser) ctStatus(o opt) func(e *eval, s *state) Tri {
	names := strings.Split(o.a, ",")
	return func(e *eval, s *state) Tri {
		r := No
		for _, n := range names {
			if got := statusBit(n, s); got == Yes || r == No {
				r = got
			}
		}
		if r == Maybe {
			e.maybe("the status of a connection is not known")
		}
		return r.xor(o.not)
	}
}

// statusBit says whether a connection has a status. One whose first packet is on
// its way is not confirmed, nor has it seen an answer.
func statusBit(name string, s *state) Tri {
	fresh := s.c.State == New
	switch name {
	case "CONFIRMED": // which follows the question to the nat table about the source
		return tri(!fresh || s.c.SrcDone)
	case "SEEN_REPLY":
		if s.c.State == Related {
			return Maybe
		}
		return tri(!fresh)
	case "ASSURED", "EXPECTED":
		if fresh {
			return No
		}
		return Maybe
	}
	return No
}

// markMatch is "-m mark".
type markMatch struct {
	masked
	not bool
}

func (m *markMatch) match(_ *eval, s *state) Tri { return tri(m.meets(s.p.Mark)).xor(m.not) }

func newMark(p *ruleParser, _ *rule, o []opt) match {
	arg := p.only(o)
	return &markMatch{p.masked(arg.a), arg.not}
}

// connmark is "-m connmark"; a packet that belongs to no connection never meets it.
type connmark struct {
	masked
	not bool
}

func (m *connmark) match(_ *eval, s *state) Tri {
	if s.onTemplate() {
		return tri(m.meets(0)).xor(m.not)
	}
	if !s.tracked() {
		return No
	}
	return tri(m.meets(s.c.Mark)).xor(m.not)
}

func newConnmark(p *ruleParser, _ *rule, o []opt) match {
	arg := p.only(o)
	return &connmark{p.masked(arg.a), arg.not}
}

// helper is "-m helper": whether a protocol helper made the connection, or expects it.
type helper struct{ not bool }

func (m *helper) match(e *eval, s *state) Tri {
	if s.tracked() && s.c.State == Related && !s.p.IsICMPError() {
		return e.maybe("the helper that expected a connection is not known")
	}
	return tri(s.tracked() && m.not)
}

func newHelper(p *ruleParser, _ *rule, o []opt) match { return &helper{p.only(o).not} }
