package netfilter

import (
	"strings"

	"github.com/plumbnet/plumb/packet"
)

// ports is a range of ports.
type ports struct {
	lo, hi uint16
	not    bool
}

var anyPort = ports{hi: 65535}

func (p ports) has(n uint16) bool { return (p.lo <= n && n <= p.hi) != p.not }

// one reports whether p is a single port.
func (p ports) one() bool { return p.lo == p.hi && !p.not }

// portsMatch is "-m udp", and the ports of the other protocols.
type portsMatch struct {
	src, dst ports
	joined   bool // the kernel may compare both at once
}

// match follows xt_tcpudp.c. But some versions of iptables-nft (1.8.9) have the kernel compare two negated ports as one
// number of four bytes, which differs where only one port does; the rule as printed does not tell.
func (m *portsMatch) match(e *eval, s *state) Tri {
	src, dst := m.src.has(s.p.Src.Port()), m.dst.has(s.p.Dst.Port())
	if m.joined && src != dst {
		return e.maybe("whether the kernel compares two negated ports each or both at once is not printed (iptables-nft 1.8.9)")
	}
	return tri(src && dst)
}

func newPorts(p *ruleParser, r *rule, o []opt) match {
	return p.shared(p.readPorts(r, o))
}

// shared returns m, in the memory of the rule before where that has the same.
func (p *ruleParser) shared(m portsMatch) match {
	if m == (portsMatch{src: anyPort, dst: anyPort}) {
		return nil
	}
	if p.ports == nil || *p.ports != m {
		p.ports = &portsMatch{m.src, m.dst, m.joined}
	}
	return p.ports
}

// readPorts reads --sport and --dport.
func (p *ruleParser) readPorts(r *rule, o []opt) portsMatch {
	m := portsMatch{src: anyPort, dst: anyPort}
	for _, o := range o {
		switch o.name {
		case "--sport", "--source-port":
			m.src = p.portRange(o.a, ":", o.not)
		case "--dport", "--destination-port":
			m.dst = p.portRange(o.a, ":", o.not)
			if p.why == "" && m.dst.one() && !r.anyProto && r.not&notProto == 0 {
				d := m.dst
				r.dport, r.hasDPort = d.lo, true
			}
		}
	}
	m.joined = p.table.Backend == NFT && m.src.not && m.dst.not && m.src.lo == m.src.hi && m.dst.lo == m.dst.hi && (r.proto == packet.TCP || r.proto == packet.UDP)
	return m
}

func (p *ruleParser) portRange(s, sep string, not bool) ports {
	lo, hi := p.span(s, sep, 16)
	return ports{uint16(lo), uint16(hi), not}
}

// tcpMatch is "-m tcp" with more than ports.
type tcpMatch struct {
	portsMatch
	mask, comp packet.TCPFlags
	notFlags   bool
	option     uint8 // 0: any
	notOption  bool
}

func (m *tcpMatch) match(e *eval, s *state) Tri {
	met := m.portsMatch.match(e, s)
	if met == No || (s.p.Flags&m.mask == m.comp) == m.notFlags {
		return No
	}
	return met.and(m.hasOption(e, s))
}

// hasOption answers --tcp-option. Of a SYN only the MSS is known (kind 2).
func (m *tcpMatch) hasOption(e *eval, s *state) Tri {
	switch {
	case m.option == 0:
		return Yes
	case m.option == 2:
		return tri(s.p.MSS != 0).xor(m.notOption)
	}
	return e.maybe("the options of a TCP segment are not known")
}

var flagBits = map[string]packet.TCPFlags{
	"FIN": packet.FIN, "SYN": packet.SYN, "RST": packet.RST, "PSH": packet.PSH, "ACK": packet.ACK, "URG": packet.URG,
	"ALL": 0x3f, "NONE": 0,
}

func (p *ruleParser) flags(s string) (f packet.TCPFlags) {
	for name := range strings.SplitSeq(s, ",") {
		bit, ok := flagBits[name]
		if !ok {
			p.misread("not a TCP flag: " + short(name))
		}
		f |= bit
	}
	return f
}

func newTCP(p *ruleParser, r *rule, o []opt) match {
	m := tcpMatch{portsMatch: p.readPorts(r, o)}
	for _, o := range o {
		switch o.name {
		case "--tcp-flags":
			m.mask, m.comp, m.notFlags = p.flags(o.a), p.flags(o.b), o.not
		case "--syn":
			m.mask, m.comp, m.notFlags = packet.SYN|packet.RST|packet.ACK|packet.FIN, packet.SYN, o.not
		case "--tcp-option":
			m.option, m.notOption = uint8(p.number(o.a, 8)), o.not
		}
	}
	if m == (tcpMatch{portsMatch: m.portsMatch}) {
		return p.shared(m.portsMatch)
	}
	return &m
}

// sctpMatch is "-m sctp" with chunk types.
type sctpMatch struct {
	portsMatch
	kind  string // "all", "any" or "only"
	types string
	not   bool
}

// match takes a packet that opens an association to hold one chunk, INIT.
func (m *sctpMatch) match(e *eval, s *state) Tri {
	if m.portsMatch.match(e, s) == No {
		return No
	}
	if !s.hasConn || s.c.State != New {
		return e.maybe("the chunks of an SCTP packet are not known")
	}
	if strings.Contains(m.types, ":") {
		return e.maybe("the flags of SCTP chunks are not known")
	}
	named, others := false, false
	for t := range strings.SplitSeq(m.types, ",") {
		named = named || t == "INIT" || t == "ALL"
		others = others || t != "INIT"
	}
	if m.kind == "all" {
		return tri(named && !others).xor(m.not)
	}
	return tri(named).xor(m.not)
}

func newSCTP(p *ruleParser, r *rule, o []opt) match {
	m := sctpMatch{portsMatch: p.readPorts(r, o)}
	for _, o := range o {
		if o.name == "--chunk-types" {
			m.kind, m.types, m.not = o.a, o.b, o.not
		}
	}
	if m.kind != "" {
		return &m
	}
	return p.shared(m.portsMatch)
}

func newDCCP(p *ruleParser, r *rule, o []opt) match {
	for _, o := range o {
		if o.name == "--dccp-types" || o.name == "--dccp-option" {
			p.misread("the types and options of DCCP packets are not known")
		}
	}
	return newPorts(p, r, o)
}

// multiport is "-m multiport".
type multiport struct {
	list     []ports
	src, dst bool // either, where both are set
	not      bool
}

func (m *multiport) match(_ *eval, s *state) Tri {
	hit := false
	for _, r := range m.list {
		hit = hit || m.src && r.has(s.p.Src.Port()) || m.dst && r.has(s.p.Dst.Port())
	}
	return tri(hit).xor(m.not)
}

func newMultiport(p *ruleParser, _ *rule, o []opt) match {
	m := &multiport{}
	for _, o := range o {
		m.src = o.name != "--dports" && o.name != "--destination-ports"
		m.dst = o.name != "--sports" && o.name != "--source-ports"
		m.not = o.not
		for s := range strings.SplitSeq(o.a, ",") {
			m.list = append(m.list, p.portRange(s, ":", false))
		}
	}
	return m
}
