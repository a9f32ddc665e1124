package netfilter

import (
	"net/netip"

	"github.com/plumbnet/plumb/packet"
)

// An nftNAT is dnat, snat, masquerade or redirect.
type nftNAT struct {
	m     manip
	kind  string // "dnat" …
	v6    Tri    // the family that it is for; Maybe: any
	addr  *nftTyped
	port  *nftTyped
	both  bool // addr gives an address and a port
	fixed natRange
	net   bool // it replaces the network of an address (netmap)
}

func (t *nftNAT) run(w *nftWalk, s *state) nftFlow {
	if t.v6 != Maybe && (t.v6 == Yes) != w.e.is6 {
		return flowOn // nft_nat_inet_eval
	}
	switch r := t.fixed; {
	case t.addr != nil && isSpan(t.addr) && t.addr.choice == nil:
		return t.fromMap(w, s, r)
	case t.addr != nil:
		return w.with(t.addr, s, "the address of "+t.kind, func(w *nftWalk, s *state, v []byte) nftFlow {
			t.take(&r, v, v)
			return t.ports(w, s, r)
		})
	default:
		return t.ports(w, s, r)
	}
}

// isSpan reports whether t is a map, whose values may be ranges.
func isSpan(t *nftTyped) bool {
	_, ok := t.nftExpr.(*nftMap)
	return ok
}

// fromMap takes the address out of a map.
func (t *nftNAT) fromMap(w *nftWalk, s *state, r natRange) nftFlow {
	lo, hi, ok := t.addr.nftExpr.(*nftMap).span(&w.nftRun, s)
	switch {
	case !ok:
		return flowBreak
	case lo == "":
		w.e.end(s, w.at, VerdictUnknown, "the address of "+t.kind+" is not known: "+w.e.why)
		return flowEnd
	}
	t.take(&r, []byte(lo), []byte(hi))
	return t.ports(w, s, r)
}

// take puts a value into r: an address, or an address and a port.
func (t *nftNAT) take(r *natRange, lo, hi []byte) {
	n := t.addr.types[0].size
	r.lo, _ = netip.AddrFromSlice(lo[:n])
	r.hi, _ = netip.AddrFromSlice(hi[:n])
	if t.both {
		r.plo, r.phi, r.hasPorts = uint16(numOf(lo[n:])), uint16(numOf(hi[n:])), true
	}
}

// ports loads the port, and sets up NAT.
func (t *nftNAT) ports(w *nftWalk, s *state, r natRange) nftFlow {
	if t.port == nil {
		return t.setup(w, s, r)
	}
	return w.with(t.port, s, "the port of "+t.kind, func(w *nftWalk, s *state, v []byte) nftFlow {
		r := r
		r.plo, r.phi, r.hasPorts = uint16(numOf(v)), uint16(numOf(v)), true
		return t.setup(w, s, r)
	})
}

func (t *nftNAT) setup(w *nftWalk, s *state, r natRange) nftFlow {
	e, known := w.e, true
	switch t.kind {
	case "masquerade":
		r.lo, known = netip.Addr{}, false
		if e.in.Env != nil {
			r.lo, known = e.in.Env.MasqueradeSource(e.in.Out, s.p)
		}
		r.hi = r.lo
	case "redirect":
		r.lo = e.loopback()
		if e.in.Hook != LocalOut {
			r.lo, known = e.primary(e.in.In)
		}
		r.hi = r.lo
	}
	own := t.kind == "masquerade" || t.kind == "redirect"
	if t.net && r.lo.IsValid() {
		r.lo = graftRange(r.lo, r.hi, t.m.end(s).Addr())
		r.hi = r.lo
	}
	switch {
	case !known:
		e.end(s, w.at, VerdictUnknown, "the address that "+t.kind+" gives is not known")
	case own && !r.lo.IsValid():
		e.end(s, w.at, Drop, "")
	case t.m != manipAt(e.in.Hook) || w.c.nft == nil || w.t == nil:
		e.end(s, w.at, VerdictUnknown, t.kind+" cannot be done at "+e.in.Hook.String())
	case !s.tracked():
		e.add(s, w.at)
		e.passed = append(e.passed, s)
	default:
		e.setup(s, t.m, r, w.at)
	}
	return flowEnd
}

// end returns the end of a packet that NAT rewrites.
func (m manip) end(s *state) netip.AddrPort { return end(s, m == manipSrc) }

// graftRange returns a with the bits that are the same in both ends of a range (nft_nat_setup_netmap).
func graftRange(lo, hi, a netip.Addr) netip.Addr {
	l, h, b := lo.AsSlice(), hi.AsSlice(), a.AsSlice()
	if len(l) != len(b) || len(h) != len(b) {
		return lo
	}
	for i := range b {
		mask := ^(l[i] ^ h[i])
		b[i] = b[i]&^mask | l[i]&mask
	}
	a, _ = netip.AddrFromSlice(b)
	return a
}

func (p *nftParser) dnat(n *jsonNode) (nftStmt, error)       { return p.nat(n, "dnat", manipDst) }
func (p *nftParser) snat(n *jsonNode) (nftStmt, error)       { return p.nat(n, "snat", manipSrc) }
func (p *nftParser) masquerade(n *jsonNode) (nftStmt, error) { return p.nat(n, "masquerade", manipSrc) }
func (p *nftParser) redirect(n *jsonNode) (nftStmt, error)   { return p.nat(n, "redirect", manipDst) }

func (p *nftParser) nat(n *jsonNode, kind string, m manip) (nftStmt, error) {
	t := &nftNAT{m: m, kind: kind}
	switch n.get("family").str() {
	case "ip":
		t.v6 = No
	case "ip6":
		t.v6 = Yes
	}
	for _, f := range n.get("flags").strs() {
		t.fixed.random = t.fixed.random || f == "random" || f == "fully-random"
		t.net = t.net || f == "netmap"
	}
	if err := p.natAddr(t, n.get("addr")); err != nil {
		return nil, err
	}
	return t, p.natPort(t, n.get("port"))
}

// natAddr reads the address of a NAT: one, a range, or an expression.
func (p *nftParser) natAddr(t *nftNAT, n *jsonNode) error {
	if n == nil {
		return nil
	}
	typ := typeV4
	if t.v6 == Yes || t.v6 == Maybe && p.table.Family == "ip6" {
		typ = typeV6
	}
	if op, _ := n.only(); op == "" || op == "range" || op == "prefix" {
		lo, hi, ok := typ.span(n)
		if !ok {
			return notUnderstood("the address of %s", t.kind)
		}
		t.addr = &nftTyped{types: []nftType{typ}}
		t.take(&t.fixed, []byte(lo), []byte(hi))
		t.addr = nil
		return nil
	}
	x, err := p.expr(n, &typ)
	if err != nil {
		return err
	}
	t.addr, t.both = &x, len(x.types) == 2
	if x.types[0].size != typ.size || len(x.types) > 2 || t.both && x.types[1].size != 2 {
		return notUnderstood("the address of %s is of type %s", t.kind, p.text(x.types))
	}
	return nil
}

// natPort reads the port of a NAT: one, a range, or an expression.
func (p *nftParser) natPort(t *nftNAT, n *jsonNode) error {
	if n == nil {
		return nil
	}
	if op, _ := n.only(); op == "" || op == "range" {
		lo, hi, ok := typePort.span(n)
		if !ok {
			return notUnderstood("the port of %s", t.kind)
		}
		t.fixed.plo, t.fixed.phi, t.fixed.hasPorts = uint16(numOf([]byte(lo))), uint16(numOf([]byte(hi))), true
		return nil
	}
	x, err := p.expr(n, &typePort)
	if err == nil && x.size() != 2 {
		err = notUnderstood("the port of %s is of type %s", t.kind, p.text(x.types))
	}
	t.port = &x
	return err
}

// An nftTProxy gives the packet to a local socket, if there is one that is transparent.
type nftTProxy struct {
	v6   Tri
	addr netip.Addr
	port uint16 // 0: the packet's own
}

// run follows nft_tproxy_eval: without such a socket the packet goes on to the next rule.
func (t *nftTProxy) run(w *nftWalk, s *state) nftFlow {
	if s.p.Proto != packet.TCP && s.p.Proto != packet.UDP || t.v6 != Maybe && (t.v6 == Yes) != w.e.is6 {
		return flowBreak
	}
	to, port := t.addr, t.port
	if port == 0 {
		port = s.p.Dst.Port()
	}
	if !to.IsValid() {
		to = s.p.Dst.Addr()
		if a, ok := w.e.primary(w.e.in.In); ok && a.IsValid() {
			to = a
		}
	}
	there := w.proxy(s, netip.AddrPortFrom(to, port))
	if there == No {
		return flowBreak
	}
	if there == Maybe {
		w.forked = true
		hit := w.divide(s, true)
		w.next = append(w.next, s)
		w.adopt(hit, netip.AddrPortFrom(to, port))
		w.from(w.rest, hit, w.visit+1)
		return flowEnd
	}
	w.adopt(s, netip.AddrPortFrom(to, port))
	return flowOn
}

// adopt notes the socket that takes the packet.
func (w *nftWalk) adopt(s *state, to netip.AddrPort) {
	w.e.add(s, w.at)
	s.proxy = to
}

// proxy answers whether a transparent socket listens at an address.
func (w *nftWalk) proxy(s *state, at netip.AddrPort) Tri {
	env := w.e.in.Env
	if env == nil {
		return w.e.maybe("whether a transparent socket listens at " + at.String() + " is not known")
	}
	p := s.p
	p.Dst = at
	there := env.Socket(p, true, false)
	if there == Maybe {
		w.e.maybe("whether a transparent socket listens at " + at.String() + " is not known")
		if env.Socket(p, false, false) == Yes {
			w.e.share = likely
		}
	}
	return there
}

func (p *nftParser) tproxy(n *jsonNode) (nftStmt, error) {
	t := &nftTProxy{}
	switch n.get("family").str() {
	case "ip":
		t.v6 = No
	case "ip6":
		t.v6 = Yes
	}
	if a := n.get("addr"); a != nil {
		var err error
		if t.addr, err = netip.ParseAddr(a.str()); err != nil {
			return nil, notUnderstood("the address of tproxy")
		}
	}
	if port := n.get("port"); port != nil {
		v, ok := port.num()
		if !ok || v > 65535 {
			return nil, notUnderstood("the port of tproxy")
		}
		t.port = uint16(v)
	}
	return t, nil
}
