package netfilter

import (
	"net/netip"
	"strconv"
	"strings"
)

// natTarget is DNAT and SNAT.
type natTarget struct {
	to natRange
	m  manip
}

func (t *natTarget) apply(e *eval, s *state, at Ref) bool {
	e.bind(s, t.m, t.to, at)
	return true
}

// bind sets up NAT where the hook allows it; a packet without a connection is let through.
func (e *eval) bind(s *state, m manip, r natRange, at Ref) {
	switch {
	case !s.tracked():
		e.add(s, at)
		e.passed = append(e.passed, s)
	case m != manipAt(e.in.Hook) || at.Table.Name != "nat":
		e.end(s, at, VerdictUnknown, "this NAT cannot be done at "+e.in.Hook.String())
	default:
		e.setup(s, m, r, at)
	}
}

func newDNAT(p *ruleParser, _ *rule, o []opt) target {
	return &natTarget{p.natRange(o), manipDst}
}

func newSNAT(p *ruleParser, _ *rule, o []opt) target {
	return &natTarget{p.natRange(o), manipSrc}
}

// natRange reads the options of all NAT targets.
func (p *ruleParser) natRange(o []opt) natRange {
	r := natRange{}
	for _, o := range o {
		switch o.name {
		case "--to-destination", "--to-source":
			p.natTo(&r, o.a)
		case "--to-ports":
			p.natPorts(&r, o.a)
		case "--random", "--random-fully":
			r.random = true
		}
	}
	return r
}

// natTo reads ADDR[-ADDR][:PORT[-PORT[/BASE]]], with IPv6 addresses in brackets where ports follow.
func (p *ruleParser) natTo(r *natRange, s string) {
	addrs, ports := s, ""
	switch {
	case strings.HasPrefix(s, "["):
		if i := strings.LastIndexByte(s, ']'); i > 0 {
			addrs, ports = s[:i+1], strings.TrimPrefix(s[i+1:], ":")
		}
		addrs = strings.NewReplacer("[", "", "]", "").Replace(addrs)
	case !p.is6:
		addrs, ports, _ = strings.Cut(s, ":")
	case strings.HasPrefix(s, ":") && !strings.HasPrefix(s, "::"): // a port alone
		addrs, ports = "", s[1:]
	}
	if addrs != "" {
		r.lo, r.hi = p.addrRange(addrs)
	}
	if ports != "" {
		p.natPorts(r, ports)
	}
}

// natPorts reads PORT[-PORT[/BASE]].
func (p *ruleParser) natPorts(r *natRange, s string) {
	s, base, shift := strings.Cut(s, "/")
	if shift {
		r.base, r.shift = uint16(p.number(base, 16)), true
	}
	lo, hi := p.span(s, "-", 16)
	if hi < lo {
		p.misread("not a range of ports: " + strconv.Quote(short(s)))
		hi = lo
	}
	r.plo, r.phi, r.hasPorts = uint16(lo), uint16(hi), true
}

// masquerade is MASQUERADE.
type masquerade struct{ to natRange }

func (t *masquerade) apply(e *eval, s *state, at Ref) bool {
	var a netip.Addr
	ok := false
	if e.in.Env != nil {
		a, ok = e.in.Env.MasqueradeSource(e.in.Out, s.p)
	}
	to := t.to
	to.lo, to.hi = a, a
	e.bindTo(s, manipSrc, to, ok, at)
	return true
}

// bindTo is bind with an address of the node's own; where it has none the kernel drops the packet.
func (e *eval) bindTo(s *state, m manip, to natRange, known bool, at Ref) {
	switch {
	case !s.tracked():
		e.bind(s, m, to, at)
	case !known:
		e.end(s, at, VerdictUnknown, "the address that "+at.Rule.targetName+" gives is not known")
	case !to.lo.IsValid():
		e.end(s, at, Drop, "")
	default:
		e.bind(s, m, to, at)
	}
}

func newMasquerade(p *ruleParser, _ *rule, o []opt) target { return &masquerade{p.natRange(o)} }

// redirect is REDIRECT: DNAT to the device's own address, or on OUTPUT to the loopback address.
type redirect struct{ to natRange }

func (t *redirect) apply(e *eval, s *state, at Ref) bool {
	a, ok := e.loopback(), true
	if e.in.Hook != LocalOut {
		a, ok = e.primary(e.in.In)
	}
	to := t.to
	to.lo, to.hi = a, a
	e.bindTo(s, manipDst, to, ok, at)
	return true
}

func (e *eval) loopback() netip.Addr {
	if e.is6 {
		return netip.IPv6Loopback()
	}
	return netip.AddrFrom4([4]byte{127, 0, 0, 1})
}

func newRedirect(p *ruleParser, _ *rule, o []opt) target { return &redirect{p.natRange(o)} }

// netmap is NETMAP: it replaces the network of an address, and keeps the host's part.
type netmap struct{ to netip.Prefix }

func (t *netmap) apply(e *eval, s *state, at Ref) bool {
	m := manipAt(e.in.Hook)
	a := s.p.Dst.Addr()
	if m == manipSrc {
		a = s.p.Src.Addr()
	}
	a = graft(t.to, a)
	e.bind(s, m, natRange{lo: a, hi: a}, at)
	return true
}

// graft returns a with the network of p.
func graft(p netip.Prefix, a netip.Addr) netip.Addr {
	net, host := p.Addr().AsSlice(), a.AsSlice()
	if len(net) != len(host) {
		return a
	}
	for i := range host {
		ones := min(max(p.Bits()-8*i, 0), 8)
		mask := byte(0xff) << (8 - ones)
		host[i] = net[i]&mask | host[i]&^mask
	}
	a, _ = netip.AddrFromSlice(host)
	return a
}

func newNetmap(p *ruleParser, _ *rule, o []opt) target {
	return &netmap{p.address(p.only(o).a).Prefix}
}
