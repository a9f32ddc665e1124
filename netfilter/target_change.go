package netfilter

import (
	"net/netip"

	"github.com/plumbnet/plumb/packet"
)

// markTarget is MARK.
type markTarget struct{ set masked }

// apply gives the mark that mark_tg of xt_mark.c would.
func (t *markTarget) apply(e *eval, s *state, at Ref) bool {
	return change(e, s, at, &s.p.Mark, t.set.apply(s.p.Mark))
}

// apply replaces the bits of the mask, and inverts those of the value.
func (m masked) apply(v uint32) uint32 { return v&^m.mask ^ m.value }

// change sets a field, and notes the rule if that made a difference. The packet goes on to the next rule.
func change[T comparable](e *eval, s *state, at Ref, field *T, v T) bool {
	if *field != v {
		*field = v
		e.add(s, at)
	}
	return false
}

// markOption reads --set-mark and its like.
func (p *ruleParser) markOption(o opt) (masked, bool) {
	switch o.name {
	case "--set-mark":
		m := p.masked(o.a)
		m.mask |= m.value
		return m, true
	case "--set-xmark":
		return p.masked(o.a), true
	case "--and-mark":
		return masked{0, ^uint32(p.number(o.a, 32))}, true
	case "--or-mark":
		n := uint32(p.number(o.a, 32))
		return masked{n, n}, true
	case "--xor-mark":
		return masked{uint32(p.number(o.a, 32)), 0}, true
	}
	return masked{}, false
}

func newMarkTarget(p *ruleParser, _ *rule, o []opt) target {
	set, _ := p.markOption(p.only(o))
	return &markTarget{set}
}

// connmarkTarget is CONNMARK.
type connmarkTarget struct {
	set            masked
	save, restore  bool
	nfMask, ctMask uint32
}

func (t *connmarkTarget) apply(e *eval, s *state, at Ref) bool {
	switch {
	case !s.tracked():
		return false
	case t.save:
		return change(e, s, at, &s.c.Mark, s.c.Mark&^t.ctMask^s.p.Mark&t.nfMask)
	case t.restore:
		return change(e, s, at, &s.p.Mark, s.p.Mark&^t.nfMask^s.c.Mark&t.ctMask)
	}
	return change(e, s, at, &s.c.Mark, t.set.apply(s.c.Mark))
}

func newConnmarkTarget(p *ruleParser, _ *rule, o []opt) target {
	t := &connmarkTarget{nfMask: 0xffffffff, ctMask: 0xffffffff}
	for _, o := range o {
		switch o.name {
		case "--save-mark":
			t.save = true
		case "--restore-mark":
			t.restore = true
		case "--mask":
			t.nfMask = uint32(p.number(o.a, 32))
			t.ctMask = t.nfMask
		case "--nfmask":
			t.nfMask = uint32(p.number(o.a, 32))
		case "--ctmask":
			t.ctMask = uint32(p.number(o.a, 32))
		case "--left-shift-mark", "--right-shift-mark":
			return &unknownTarget{"a CONNMARK that shifts is not understood"}
		default:
			t.set, _ = p.markOption(o)
		}
	}
	return t
}

// ctTarget is CT and NOTRACK.
type ctTarget struct {
	noTrack bool
	zone    uint16
}

func (t *ctTarget) apply(e *eval, s *state, at Ref) bool {
	switch {
	case s.hasConn || s.template: // the first of them has decided
	case t.noTrack:
		s.hasConn = true
		s.c = Conn{State: Untracked}
		e.add(s, at)
	default:
		s.template = true
		return change(e, s, at, &s.zone, t.zone)
	}
	return false
}

func newCT(p *ruleParser, r *rule, o []opt) target {
	t := &ctTarget{noTrack: r.targetName == "NOTRACK"}
	for _, o := range o {
		switch o.name {
		case "--notrack":
			t.noTrack = true
		case "--zone-orig", "--zone-reply":
			return &unknownTarget{"a conntrack zone of one direction is not understood"}
		case "--zone":
			if o.a == "mark" {
				return &unknownTarget{"a conntrack zone that follows the mark is not understood"}
			}
			t.zone = uint16(p.number(o.a, 16))
		}
	}
	return t
}

// tproxy is TPROXY: the packet goes to a local socket, unchanged.
type tproxy struct {
	port uint16 // 0: the packet's own
	ip   netip.Addr
	mark masked
}

func (t *tproxy) apply(e *eval, s *state, at Ref) bool {
	to, port := t.ip, t.port
	if port == 0 {
		port = s.p.Dst.Port()
	}
	if !to.IsValid() || to.IsUnspecified() {
		to = s.p.Dst.Addr()
		if a, ok := e.primary(e.in.In); ok && a.IsValid() {
			to = a
		}
	}
	e.add(s, at)
	s.p.Mark = t.mark.apply(s.p.Mark)
	s.proxy = netip.AddrPortFrom(to, port)
	e.passed = append(e.passed, s)
	return true
}

// primary returns the first address of a device.
func (e *eval) primary(dev string) (netip.Addr, bool) {
	if e.in.Env == nil {
		return netip.Addr{}, false
	}
	return e.in.Env.PrimaryAddr(dev, e.is6)
}

func newTProxy(p *ruleParser, _ *rule, o []opt) target {
	t := &tproxy{}
	for _, o := range o {
		switch o.name {
		case "--on-port":
			t.port = uint16(p.number(o.a, 16))
		case "--on-ip":
			t.ip, _ = p.addrRange(o.a)
		case "--tproxy-mark":
			t.mark = p.masked(o.a)
			t.mark.mask |= t.mark.value
		}
	}
	return t
}

// maxTCPOptions is the room for options in a TCP header (RFC 9293).
const maxTCPOptions = 40

// tcpMSS is TCPMSS, which lowers the MSS that a SYN offers.
type tcpMSS struct {
	to int // 0: what the path takes
}

// apply follows tcpmss_mangle_packet of xt_TCPMSS.c: it never raises an MSS, and
// adds one only up to the default of the protocol.
func (t *tcpMSS) apply(e *eval, s *state, at Ref) bool {
	headers, byDefault := 40, 536
	if e.is6 {
		headers, byDefault = 60, 1220
	}
	to := t.to
	if to == 0 && e.in.Env != nil {
		to = e.in.Env.PathMTU(s.p, e.in.Out) - headers
	}
	// A SYN without the option, but with more than a TCP header can hold, carries data: nothing can be added.
	if s.p.MSS == 0 && s.p.Size > headers+maxTCPOptions {
		return false
	}
	if to <= 0 || s.p.Flags&packet.SYN == 0 || s.p.MSS != 0 && s.p.MSS <= to {
		return false
	}
	if s.p.MSS == 0 {
		to = min(to, byDefault)
	}
	return change(e, s, at, &s.p.MSS, to)
}

func newTCPMSSTarget(p *ruleParser, _ *rule, o []opt) target {
	t := &tcpMSS{}
	for _, o := range o {
		if o.name == "--set-mss" {
			t.to = int(p.number(o.a, 16))
		}
	}
	return t
}

// tosTarget is TOS and DSCP.
type tosTarget struct{ value, mask uint8 }

func (t *tosTarget) apply(e *eval, s *state, at Ref) bool {
	return change(e, s, at, &s.p.TOS, s.p.TOS&^t.mask^t.value)
}

func newTOSTarget(p *ruleParser, _ *rule, o []opt) target {
	t := &tosTarget{}
	for _, o := range o {
		switch o.name {
		case "--set-tos":
			t.value, t.mask = p.tosValue(o.a, 0x3f)
		case "--and-tos":
			t.value, t.mask = 0, ^uint8(p.number(o.a, 8))
		case "--or-tos":
			t.value = uint8(p.number(o.a, 8))
			t.mask = t.value
		case "--xor-tos":
			t.value, t.mask = uint8(p.number(o.a, 8)), 0
		}
	}
	return t
}

func newDSCPTarget(p *ruleParser, _ *rule, o []opt) target {
	return &tosTarget{p.dscp(p.only(o).a) << 2, 0xfc}
}

// ttlTarget is TTL and HL.
type ttlTarget struct {
	op byte // 's', 'd' or 'i'
	n  int
}

func (t *ttlTarget) apply(e *eval, s *state, at Ref) bool {
	n := t.n
	switch t.op {
	case 'd':
		n = max(int(s.p.TTL)-t.n, 0)
	case 'i':
		n = min(int(s.p.TTL)+t.n, 255)
	}
	return change(e, s, at, &s.p.TTL, uint8(n))
}

func newTTLTarget(p *ruleParser, _ *rule, o []opt) target {
	arg := p.only(o)
	if arg.name == "" {
		return nil
	}
	return &ttlTarget{arg.name[len(arg.name)-3], int(p.number(arg.a, 8))}
}
