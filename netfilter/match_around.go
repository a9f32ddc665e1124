package netfilter

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/plumbnet/plumb/packet"
)

// addrType is "-m addrtype".
type addrType struct {
	src, dst       []AddrType
	notSrc, notDst bool
	in, out        bool // --limit-iface-in, --limit-iface-out
}

func (m *addrType) match(e *eval, s *state) Tri {
	dev := ""
	switch {
	case m.in:
		dev = e.in.In
	case m.out:
		dev = e.in.Out
	}
	r := Yes
	if m.src != nil {
		r = e.isType(s.p.Src.Addr(), dev, m.src).xor(m.notSrc)
	}
	if m.dst != nil && r != No {
		r = r.and(e.isType(s.p.Dst.Addr(), dev, m.dst).xor(m.notDst))
	}
	return r
}

// isType answers whether a has one of the types.
func (e *eval) isType(a netip.Addr, dev string, types []AddrType) Tri {
	if a.Is6() {
		return e.isType6(a, dev, types)
	}
	have := e.typeOf(a, dev)
	for _, t := range types {
		if t == have {
			return Yes
		}
	}
	if have == "" {
		return e.maybe("the type of the address " + a.String() + " is not known")
	}
	return No
}

// typeOf asks for the type of an address; "" is not known.
func (e *eval) typeOf(a netip.Addr, dev string) AddrType {
	if e.in.Env == nil {
		return ""
	}
	return e.in.Env.AddrType(a, dev)
}

// isType6 answers whether a has the types, as xt_addrtype's match_type6 does: of
// MULTICAST, UNICAST and UNSPEC each that is asked for must hold, by the form of the address alone,
// so that a local address is UNICAST too; of the others, which the routes tell, one.
func (e *eval) isType6(a netip.Addr, dev string, types []AddrType) Tri {
	var ask []AddrType
	for _, t := range types {
		switch t {
		case "MULTICAST":
			if !a.IsMulticast() {
				return No
			}
		case "UNICAST":
			if a.IsMulticast() || a.IsUnspecified() {
				return No
			}
		case "UNSPEC":
			if !a.IsUnspecified() {
				return No
			}
		case "LOCAL", "PROHIBIT", "UNREACHABLE":
			ask = append(ask, t)
		}
	}
	if ask == nil {
		return Yes
	}
	have := e.typeOf(a, dev)
	switch {
	case have == "":
		return e.maybe("the type of the address " + a.String() + " is not known")
	case have == "BLACKHOLE" || have == "PROHIBIT":
		have = "UNREACHABLE" // RTF_REJECT is all that is looked at
	}
	return tri(slices.Contains(ask, have))
}

func newAddrType(_ *ruleParser, _ *rule, o []opt) match {
	m := &addrType{}
	for _, o := range o {
		var types []AddrType
		for t := range strings.SplitSeq(o.a, ",") {
			types = append(types, AddrType(strings.ToUpper(t)))
		}
		switch o.name {
		case "--src-type":
			m.src, m.notSrc = types, o.not
		case "--dst-type":
			m.dst, m.notDst = types, o.not
		case "--limit-iface-in":
			m.in = true
		case "--limit-iface-out":
			m.out = true
		}
	}
	return m
}

// macMatch is "-m mac".
type macMatch struct {
	mac packet.MAC
	not bool
}

func (m *macMatch) match(e *eval, _ *state) Tri {
	if e.in.SrcMAC.IsZero() {
		return e.maybe("the source MAC address is not known")
	}
	return tri(e.in.SrcMAC == m.mac).xor(m.not)
}

func newMAC(p *ruleParser, _ *rule, o []opt) match {
	arg := p.only(o)
	mac, err := packet.ParseMAC(arg.a)
	if err != nil {
		p.misread(err.Error())
	}
	return &macMatch{mac, arg.not}
}

// physdev is "-m physdev": the ports of a bridge that a packet crosses.
type physdev struct {
	in, out                    string
	notIn, notOut              bool
	isIn, isOut, isBridged     bool
	notIsIn, notIsOut, notIsBr bool
}

// match follows xt_physdev.c: a packet that crosses no bridge meets only negations.
func (m *physdev) match(e *eval, _ *state) Tri {
	in, out := e.in.PhysIn, e.in.PhysOut
	if in == "" && out == "" {
		return tri((!m.isBridged || m.notIsBr) && (!m.isIn || m.notIsIn) && (!m.isOut || m.notIsOut) &&
			(m.in == "" || m.notIn) && (m.out == "" || m.notOut))
	}
	ok := (!m.isBridged || (in != "" && out != "") != m.notIsBr) &&
		(!m.isIn || (in != "") != m.notIsIn) &&
		(!m.isOut || (out != "") != m.notIsOut) &&
		(m.in == "" || device(m.in, in) != m.notIn) &&
		(m.out == "" || (out != "" && device(m.out, out)) != m.notOut)
	return tri(ok)
}

func newPhysdev(_ *ruleParser, _ *rule, o []opt) match {
	m := &physdev{}
	for _, o := range o {
		switch o.name {
		case "--physdev-in":
			m.in, m.notIn = o.a, o.not
		case "--physdev-out":
			m.out, m.notOut = o.a, o.not
		case "--physdev-is-in":
			m.isIn, m.notIsIn = true, o.not
		case "--physdev-is-out":
			m.isOut, m.notIsOut = true, o.not
		case "--physdev-is-bridged":
			m.isBridged, m.notIsBr = true, o.not
		}
	}
	return m
}

// pktType is "-m pkttype": how the link layer addressed the frame.
type pktType struct {
	kind string
	not  bool
}

func (m *pktType) match(e *eval, s *state) Tri {
	kind, dst := "unicast", s.p.Dst.Addr()
	switch {
	case dst.IsMulticast():
		kind = "multicast"
	case dst.Is4() && dst.As4() == [4]byte{255, 255, 255, 255}:
		kind = "broadcast"
	case dst.Is4() && e.in.Env != nil && e.in.Env.AddrType(dst, "") == "BROADCAST":
		kind = "broadcast"
	}
	return tri(kind == m.kind).xor(m.not)
}

func newPktType(p *ruleParser, _ *rule, o []opt) match {
	arg := p.only(o)
	m := &pktType{arg.a, arg.not}
	if m.kind != "unicast" && m.kind != "multicast" && m.kind != "broadcast" {
		p.misread("the packet type " + short(m.kind) + " is not understood")
	}
	return m
}

// newPolicy makes "-m policy". No packet here has been, or will be, transformed by IPsec.
func newPolicy(p *ruleParser, _ *rule, o []opt) match {
	for _, o := range o {
		if o.name == "--pol" && o.a == "none" {
			return nil
		}
		if o.not {
			p.misread("a negated " + o.name + " is not understood")
		}
	}
	return never{}
}
