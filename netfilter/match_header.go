package netfilter

import (
	"net/netip"
	"strconv"
	"strings"

	"github.com/plumbnet/plumb/packet"
)

// icmpMatch is "-m icmp" and "-m icmp6".
type icmpMatch struct {
	typ            uint8
	codeLo, codeHi uint8
	not            bool
}

func (m *icmpMatch) match(_ *eval, s *state) Tri {
	if s.p.Proto != packet.ICMP && s.p.Proto != packet.ICMPv6 {
		return No
	}
	hit := m.typ == anyType || s.p.ICMPType == m.typ && m.codeLo <= s.p.ICMPCode && s.p.ICMPCode <= m.codeHi
	return tri(hit).xor(m.not)
}

// anyType is how ICMP's "any" is loaded into the kernel.
const anyType = 255

func newICMP(p *ruleParser, _ *rule, o []opt) match {
	if len(o) == 0 {
		return nil
	}
	m := &icmpMatch{codeHi: 255, not: o[0].not}
	if n, ok := icmpNames[p.is6][o[0].a]; ok {
		m.typ = n.typ
		if n.code >= 0 {
			m.codeLo, m.codeHi = uint8(n.code), uint8(n.code)
		}
		return m
	}
	typ, code, ok := strings.Cut(o[0].a, "/")
	m.typ = uint8(p.number(typ, 8))
	if ok {
		lo, hi := p.span(code, ":", 8)
		m.codeLo, m.codeHi = uint8(lo), uint8(hi)
	}
	return m
}

// icmpName is a type and a code, or -1 for any code.
type icmpName struct {
	typ  uint8
	code int
}

// icmpNames are the names that iptables knows, for IPv4 and for IPv6.
var icmpNames = map[bool]map[string]icmpName{
	false: {"any": {anyType, -1}, "echo-reply": {0, -1}, "pong": {0, -1}, "destination-unreachable": {3, -1},
		"network-unreachable": {3, 0}, "host-unreachable": {3, 1}, "protocol-unreachable": {3, 2}, "port-unreachable": {3, 3},
		"fragmentation-needed": {3, 4}, "source-route-failed": {3, 5}, "network-unknown": {3, 6}, "host-unknown": {3, 7},
		"network-prohibited": {3, 9}, "host-prohibited": {3, 10}, "TOS-network-unreachable": {3, 11},
		"TOS-host-unreachable": {3, 12}, "communication-prohibited": {3, 13}, "host-precedence-violation": {3, 14},
		"precedence-cutoff": {3, 15}, "source-quench": {4, -1}, "redirect": {5, -1}, "network-redirect": {5, 0},
		"host-redirect": {5, 1}, "TOS-network-redirect": {5, 2}, "TOS-host-redirect": {5, 3}, "echo-request": {8, -1},
		"ping": {8, -1}, "router-advertisement": {9, -1}, "router-solicitation": {10, -1}, "time-exceeded": {11, -1},
		"ttl-exceeded": {11, -1}, "ttl-zero-during-transit": {11, 0}, "ttl-zero-during-reassembly": {11, 1},
		"parameter-problem": {12, -1}, "ip-header-bad": {12, 0}, "required-option-missing": {12, 1},
		"timestamp-request": {13, -1}, "timestamp-reply": {14, -1}, "address-mask-request": {17, -1}, "address-mask-reply": {18, -1}},
	true: {"any": {anyType, -1}, "destination-unreachable": {1, -1}, "no-route": {1, 0}, "communication-prohibited": {1, 1},
		"beyond-scope": {1, 2}, "address-unreachable": {1, 3}, "port-unreachable": {1, 4}, "failed-policy": {1, 5},
		"reject-route": {1, 6}, "packet-too-big": {2, -1}, "time-exceeded": {3, -1}, "ttl-exceeded": {3, -1},
		"ttl-zero-during-transit": {3, 0}, "ttl-zero-during-reassembly": {3, 1}, "parameter-problem": {4, -1},
		"bad-header": {4, 0}, "unknown-header-type": {4, 1}, "unknown-option": {4, 2}, "echo-request": {128, -1},
		"ping": {128, -1}, "echo-reply": {129, -1}, "pong": {129, -1}, "mld-listener-query": {130, -1},
		"mld-listener-report": {131, -1}, "mld-listener-done": {132, -1}, "mld-listener-reduction": {132, -1},
		"router-solicitation": {133, -1}, "router-advertisement": {134, -1}, "neighbor-solicitation": {135, -1},
		"neighbour-solicitation": {135, -1}, "neighbor-advertisement": {136, -1}, "neighbour-advertisement": {136, -1},
		"redirect": {137, -1}},
}

// between is a number in the header that lies in a range.
type between struct {
	lo, hi uint64
	not    bool
	of     func(p *packet.Packet) (v uint64, known bool)
	why    string
}

func (m *between) match(e *eval, s *state) Tri {
	v, ok := m.of(&s.p)
	if !ok {
		return e.maybe(m.why)
	}
	return tri(m.lo <= v && v <= m.hi).xor(m.not)
}

func size(p *packet.Packet) (uint64, bool) { return uint64(p.Size), p.Size > 0 }

func newLength(p *ruleParser, _ *rule, o []opt) match {
	m := &between{of: size, why: "the size of the packet is not known"}
	arg := p.only(o)
	m.lo, m.hi = p.span(arg.a, ":", 16)
	m.not = arg.not
	return m
}

func ttl(p *packet.Packet) (uint64, bool) { return uint64(p.TTL), p.TTL > 0 }

func newTTL(p *ruleParser, _ *rule, o []opt) match {
	m := &between{of: ttl, why: "the TTL of the packet is not known"}
	for _, o := range o {
		n := p.number(o.a, 8)
		m.lo, m.hi, m.not = n, n, o.not
		switch {
		case strings.HasSuffix(o.name, "-lt"):
			m.lo, m.hi, m.not = n, 255, !o.not
		case strings.HasSuffix(o.name, "-gt"):
			m.lo, m.hi, m.not = 0, n, !o.not
		}
	}
	return m
}

// tosMatch is "-m tos" and "-m dscp".
type tosMatch struct {
	value, mask uint8
	not         bool
}

func (m *tosMatch) match(_ *eval, s *state) Tri { return tri(s.p.TOS&m.mask == m.value).xor(m.not) }

var tosNames = map[string]uint8{"Minimize-Delay": 16, "Maximize-Throughput": 8, "Maximize-Reliability": 4, "Minimize-Cost": 2, "Normal-Service": 0}

// tosValue reads a TOS byte with a mask; a name stands for the bits of RFC 1349.
func (p *ruleParser) tosValue(s string, nameMask uint8) (value, mask uint8) {
	if v, ok := tosNames[s]; ok {
		return v, nameMask
	}
	v, m, ok := strings.Cut(s, "/")
	if !ok {
		return uint8(p.number(v, 8)), 0xff
	}
	return uint8(p.number(v, 8)), uint8(p.number(m, 8))
}

func newTOS(p *ruleParser, _ *rule, o []opt) match {
	arg := p.only(o)
	value, mask := p.tosValue(arg.a, 0x3f)
	return &tosMatch{value, mask, arg.not}
}

// dscp reads a DSCP as a number or a class: EF, CS1, AF21, BE.
func (p *ruleParser) dscp(s string) uint8 {
	u := strings.ToUpper(s)
	switch {
	case u == "EF":
		return 46
	case u == "BE":
		return 0
	case len(u) == 3 && u[:2] == "CS" && '0' <= u[2] && u[2] <= '7':
		return (u[2] - '0') << 3
	case len(u) == 4 && u[:2] == "AF" && '1' <= u[2] && u[2] <= '4' && '1' <= u[3] && u[3] <= '3':
		return (u[2]-'0')<<3 | (u[3]-'0')<<1
	}
	return uint8(p.number(s, 6))
}

func newDSCP(p *ruleParser, _ *rule, o []opt) match {
	arg := p.only(o)
	return &tosMatch{p.dscp(arg.a) << 2, 0xfc, arg.not}
}

// newTCPMSS makes "-m tcpmss"; a segment without the option never meets a range, and always its negation.
func newTCPMSS(p *ruleParser, _ *rule, o []opt) match {
	m := &between{of: func(p *packet.Packet) (uint64, bool) { return uint64(p.MSS), true }}
	arg := p.only(o)
	m.lo, m.hi = p.span(arg.a, ":", 16)
	m.lo, m.not = max(m.lo, 1), arg.not
	return m
}

// ipRange is "-m iprange".
type ipRange struct {
	lo, hi [2]netip.Addr // of the source, and of the destination
	not    [2]bool
}

func (m *ipRange) match(_ *eval, s *state) Tri {
	for i, a := range [2]netip.Addr{s.p.Src.Addr(), s.p.Dst.Addr()} {
		if m.lo[i].IsValid() && (m.lo[i].Compare(a) <= 0 && a.Compare(m.hi[i]) <= 0) == m.not[i] {
			return No
		}
	}
	return Yes
}

func newIPRange(p *ruleParser, _ *rule, o []opt) match {
	m := &ipRange{}
	for _, o := range o {
		i := 0
		if o.name == "--dst-range" {
			i = 1
		}
		m.lo[i], m.hi[i] = p.addrRange(o.a)
		m.not[i] = o.not
	}
	return m
}

// never is a match on something that packets here do not have: fragments and IPv6 extension headers.
type never struct{}

func (never) match(*eval, *state) Tri { return No }

func newNever(p *ruleParser, _ *rule, o []opt) match {
	for _, o := range o {
		if o.not {
			p.misread("a negated " + o.name + " is not understood")
		}
	}
	return never{}
}

// statistic is part of the rule: the share of packets that match.
func newStatistic(p *ruleParser, r *rule, o []opt) match {
	share, not, ok := 0.0, false, false
	for _, o := range o {
		switch o.name {
		case "--probability":
			f, err := strconv.ParseFloat(o.a, 64)
			share, not, ok = f, o.not, err == nil && f >= 0 && f <= 1
		case "--every":
			n := p.number(o.a, 32)
			share, not, ok = 1/float64(max(n, 1)), o.not, n > 0
		}
	}
	if !ok {
		p.misread("-m statistic is not understood")
		return nil
	}
	if not {
		share = 1 - share
	}
	r.share *= share
	return nil
}
