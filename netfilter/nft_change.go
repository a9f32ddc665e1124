package netfilter

import (
	"net/netip"
	"strings"

	"github.com/plumbnet/plumb/packet"
)

// An nftSetter changes something to a value. What is harmless has none.
type nftSetter func(w *nftWalk, s *state, v []byte) nftFlow

// An nftMangle sets a field, a mark or the like.
type nftMangle struct {
	value nftTyped
	set   nftSetter
	what  string
}

func (m *nftMangle) run(w *nftWalk, s *state) nftFlow {
	header, _, _ := strings.Cut(m.what, " ")
	switch h, ok := nftHeaders[header]; {
	case ok && !h.has(&w.nftRun, s):
		return flowBreak
	case m.what == "tcp option maxseg size" && s.p.MSS == 0:
		return flowOn
	}
	return w.with(&m.value, s, m.what, m.set)
}

// with does something with the value of an expression, for each that the kernel may pick.
func (w *nftWalk) with(t *nftTyped, s *state, what string, do nftSetter) nftFlow {
	c := t.choice
	if c == nil {
		return w.one(t, s, what, do)
	}
	if c.mod > maxForced {
		w.e.end(s, w.at, VerdictUnknown, "the number that the kernel picks for "+what+" is not known")
		return flowEnd
	}
	w.forked = true
	rest, visit := w.rest, w.visit+1
	for i := range c.mod {
		t2 := s
		if i < c.mod-1 {
			t2 = w.e.fork(s, 1/float64(c.mod))
		} else {
			s.weight /= float64(c.mod)
		}
		w.isForced, w.forced = true, c.off+i
		f := w.one(t, t2, what, do)
		w.isForced = false
		switch f {
		case flowOn:
			w.from(rest, t2, visit)
		case flowBreak:
			w.next = append(w.next, t2)
		}
	}
	return flowEnd
}

// one is with for a value that is not picked.
func (w *nftWalk) one(t *nftTyped, s *state, what string, do nftSetter) nftFlow {
	v, ok := w.value(t, s)
	if !ok {
		return flowBreak
	}
	if w.isDark {
		w.e.end(s, w.at, VerdictUnknown, "what "+what+" becomes is not known: "+w.e.why)
		return flowEnd
	}
	return do(w, s, v)
}

// changed notes the rule where something has become different.
func changed[T comparable](w *nftWalk, s *state, field *T, v T) nftFlow {
	change(w.e, s, w.at, field, v)
	return flowOn
}

// reroute notes that something changes which routes are chosen by. After it only a
// chain of type "route" has the kernel look for the route again (nf_route_table_hook4).
func (w *nftWalk) reroute(s *state) {
	if w.e.in.Hook == LocalOut {
		s.moved = s.moved || w.e.typ == "route"
		s.stray = s.stray || w.e.typ != "route"
	}
}

func setMark(w *nftWalk, s *state, v []byte) nftFlow {
	w.reroute(s)
	return changed(w, s, &s.p.Mark, uint32(numOf(v)))
}

func setCTMark(w *nftWalk, s *state, v []byte) nftFlow {
	if !s.tracked() {
		return flowOn
	}
	return changed(w, s, &s.c.Mark, uint32(numOf(v)))
}

// setZone chooses the zone for conntrack; the first rule that does decides (nft_ct_set_zone_eval).
func setZone(w *nftWalk, s *state, v []byte) nftFlow {
	if s.hasConn || s.template {
		return flowOn
	}
	s.template = true
	return changed(w, s, &s.zone, uint16(numOf(v)))
}

func setAddr(src bool) nftSetter {
	return func(w *nftWalk, s *state, v []byte) nftFlow {
		a, _ := netip.AddrFromSlice(v)
		w.reroute(s)
		if src {
			return changed(w, s, &s.p.Src, netip.AddrPortFrom(a, s.p.Src.Port()))
		}
		return changed(w, s, &s.p.Dst, netip.AddrPortFrom(a, s.p.Dst.Port()))
	}
}

func setPort(src bool) nftSetter {
	return func(w *nftWalk, s *state, v []byte) nftFlow {
		if !s.p.Proto.HasPorts() {
			return flowOn
		}
		if src {
			return changed(w, s, &s.p.Src, netip.AddrPortFrom(s.p.Src.Addr(), uint16(numOf(v))))
		}
		return changed(w, s, &s.p.Dst, netip.AddrPortFrom(s.p.Dst.Addr(), uint16(numOf(v))))
	}
}

func setTOS(mask byte, shift int) nftSetter {
	return func(w *nftWalk, s *state, v []byte) nftFlow {
		w.reroute(s)
		return changed(w, s, &s.p.TOS, s.p.TOS&^mask|byte(numOf(v)<<shift)&mask)
	}
}

func setHops(w *nftWalk, s *state, v []byte) nftFlow {
	return changed(w, s, &s.p.TTL, byte(numOf(v)))
}

// setMSS lowers the MSS of a segment that offers one (nft_exthdr_tcp_set_eval).
func setMSS(w *nftWalk, s *state, v []byte) nftFlow {
	if s.p.Proto != packet.TCP {
		return flowBreak
	}
	if n := int(numOf(v)); s.p.MSS > n {
		return changed(w, s, &s.p.MSS, n)
	}
	return flowOn
}

// nftSetters are what a rule can set, by what nft calls it.
var nftSetters = map[string]nftSetter{
	"meta mark": setMark, "ct mark": setCTMark, "ct zone": setZone, "tcp option maxseg size": setMSS,
	"ip saddr": setAddr(true), "ip daddr": setAddr(false),
	"ip6 saddr": setAddr(true), "ip6 daddr": setAddr(false),
	"ip dscp": setTOS(0xfc, 2), "ip ecn": setTOS(3, 0), "ip ttl": setHops,
	"ip6 dscp": setTOS(0xfc, 2), "ip6 ecn": setTOS(3, 0), "ip6 hoplimit": setHops,
	"tcp sport": setPort(true), "tcp dport": setPort(false),
	"udp sport": setPort(true), "udp dport": setPort(false),
	"sctp sport": setPort(true), "sctp dport": setPort(false),
	"th sport": setPort(true), "th dport": setPort(false),
}

// nftHarmless is what a rule may set without a trace in what a packet is followed by.
var nftHarmless = map[string]bool{
	"meta priority": true, "meta nftrace": true, "meta secmark": true, "ct label": true, "ct event": true, "ct secmark": true,
	"ether saddr": true, "ip id": true, "ip6 flowlabel": true, "tcp window": true, "udp checksum": true,
}

// mangle compiles "meta mark set …" and its like.
func (p *nftParser) mangle(n *jsonNode) (nftStmt, error) {
	key := n.get("key")
	what := settable(key)
	if nftHarmless[what] {
		return nil, nil
	}
	set := nftSetters[what]
	if set == nil {
		return nil, notUnderstood("%s set", short(what))
	}
	left, err := p.expr(key, nil)
	if err != nil {
		return nil, err
	}
	value, err := p.expr(n.get("value"), &left.types[0])
	if err == nil && value.size() != left.size() {
		err = notUnderstood("%s is set to a value of %d bytes", what, value.size())
	}
	return &nftMangle{value, set, what}, err
}

// settable names what a rule sets, as nft does.
func settable(key *jsonNode) string {
	op, arg := key.only()
	switch op {
	case "meta":
		return "meta " + arg.get("key").str()
	case "ct":
		if dir := arg.get("dir").str(); dir != "" {
			return "ct " + dir + " " + arg.get("key").str()
		}
		return "ct " + arg.get("key").str()
	case "payload":
		return arg.get("protocol").str() + " " + arg.get("field").str()
	case "tcp option":
		return "tcp option " + arg.get("name").str() + " " + arg.get("field").str()
	}
	return op
}

// nftNotrack is notrack.
type nftNotrack struct{}

func (nftNotrack) run(w *nftWalk, s *state) nftFlow {
	(&ctTarget{noTrack: true}).apply(w.e, s, w.at)
	return flowOn
}

func (p *nftParser) notrack(*jsonNode) (nftStmt, error) { return nftNotrack{}, nil }

// nftReset takes an option out of a TCP segment. Of those only the MSS is followed.
type nftReset struct{ mss bool }

func (r nftReset) run(w *nftWalk, s *state) nftFlow {
	switch {
	case s.p.Proto != packet.TCP:
		return flowBreak
	case r.mss:
		return changed(w, s, &s.p.MSS, 0)
	}
	return flowOn
}

func (p *nftParser) reset(n *jsonNode) (nftStmt, error) {
	o := n.get("tcp option")
	if o == nil {
		return nil, notUnderstood("reset")
	}
	return nftReset{o.get("name").str() == "maxseg"}, nil
}

// An nftUpdate adds the packet to a set, or takes it out.
type nftUpdate struct {
	key  nftTyped
	set  *nftSet
	del  bool
	rate nftStmt // of the element: nil, or what may keep the rule from going on
}

func (u *nftUpdate) run(w *nftWalk, s *state) nftFlow {
	v, ok := w.value(&u.key, s)
	switch {
	case !ok:
		return flowBreak
	case u.del:
		return flowOn
	case !w.isDark && u.set.find(v) == none && u.set.size > 0 && len(u.set.elems) >= u.set.size:
		w.e.maybe("whether set " + u.set.name + " is full is not known")
		return flowEither
	}
	if !w.isDark && !s.added.has(u.set, v) {
		s.added = &nftAdded{u.set, string(v), s.added}
	}
	if u.rate == nil {
		return flowOn
	}
	return u.rate.run(w, s)
}

// setStmt compiles "add @s { ip saddr }", and the like for a map.
func (p *nftParser) setStmt(n *jsonNode) (nftStmt, error) {
	elem, name := n.get("elem"), n.get("set")
	if name == nil {
		name = n.get("map")
	}
	if e := elem.get("elem"); e != nil {
		elem = e.get("val")
	}
	key, err := p.expr(elem, nil)
	if err != nil {
		return nil, err
	}
	set, err := p.setFor(name, &key, nil, false)
	if err != nil {
		return nil, err
	}
	u := &nftUpdate{key: key, set: set, del: n.get("op").str() == "delete", rate: p.inner(n.get("stmt"))}
	set.shrinks = set.shrinks || u.del
	set.changes = set.changes || !u.del
	p.updates = append(p.updates, set)
	return u, nil
}
