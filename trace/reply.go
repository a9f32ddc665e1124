package trace

import (
	"net/netip"

	"github.com/plumbnet/plumb/netfilter"
	"github.com/plumbnet/plumb/network"
	"github.com/plumbnet/plumb/packet"
	"github.com/plumbnet/plumb/text"
)

// An awaited is the socket that waits for an answer.
type awaited struct {
	ns            *network.NS // nil: outside the cluster
	local, remote netip.AddrPort
	first         packet.Packet // the request as its socket made it
}

func (a *awaited) takes(p *packet.Packet) bool { return p.Dst == a.local && p.Src == a.remote }

// delivered ends a request at who takes it, and follows the answer.
func (w *walk) delivered(s *state, why text.Text) stage {
	fate := Delivered
	if s.beyond {
		fate = LeftCluster
	}
	path := w.end(s, fate, "", why)
	if w.q.OneWay || w.kind != request {
		return nil
	}
	path.Reply = w.answers(s, 0)
	if s.p.Proto == packet.TCP && w.q.ReplySize == FullSegment {
		path.Reply = smaller(path.Reply, func(size int) []Path { return w.answers(s, size) })
	}
	return nil
}

// answers follows the answer to a packet that arrived: of a size, or of the one that the Query asks for.
func (w *walk) answers(s *state, size int) []Path {
	r := w.answer(s)
	if size > 0 {
		r.p.Size = size
	}
	sub := &walk{net: w.net, all: w.all, q: w.q, kind: reply, want: w.awaits(s), mss: s.p.MSS, origin: s.ns}
	return sub.run(r, send)
}

// awaits returns who waits for the answer to the packet that s began as.
func (w *walk) awaits(s *state) *awaited {
	return &awaited{ns: w.q.From, local: s.first.Src, remote: s.first.Dst, first: *s.first}
}

// answer returns the answer to a packet that arrived: a SYN/ACK, an echo reply, a datagram.
func (w *walk) answer(s *state) *state {
	p := packet.Packet{Src: s.p.Dst, Dst: s.p.Src, Proto: s.p.Proto, TTL: initialTTL, DF: true, Size: s.p.Size}
	cuts := false
	switch p.Proto {
	case packet.TCP:
		p.Flags = packet.SYN | packet.ACK
		p.Size = smallest(&p)
	case packet.UDP, packet.SCTP:
		p.Size, cuts = smallest(&p), p.Proto == packet.UDP
	case packet.ICMP:
		p.ICMPType, p.ICMPID, p.DF = 0, s.p.ICMPID, false
	case packet.ICMPv6:
		p.ICMPType, p.ICMPID = 129, s.p.ICMPID
	}
	if w.q.ReplySize != 0 {
		p.Size = w.q.ReplySize
	}
	n := w.start(s, p)
	n.cuts = cuts
	return n
}

// start returns the state of a packet that is made where s is, in the light of what s left behind in conntrack.
func (w *walk) start(s *state, p packet.Packet) *state {
	n := &state{all: w.all, p: p, ct: s.ct, weight: 1, beyond: s.beyond}
	n.enter(s.ns, nil)
	return n
}

// smallest returns the size of the smallest packet that opens a connection: a SYN with the options that Linux sends, an empty datagram.
func smallest(p *packet.Packet) int {
	ip := 20
	if p.Dst.Addr().Is6() {
		ip = 40
	}
	switch p.Proto {
	case packet.TCP:
		return ip + 40
	case packet.UDP:
		return ip + 8
	case packet.SCTP:
		return ip + 48
	case packet.ICMP, packet.ICMPv6:
		return ip + 64
	}
	return ip
}

// answerArrives judges an answer or an error message that came to a host.
func (w *walk) answerArrives(s *state) stage {
	if s.p.IsICMPError() {
		return w.errorArrives(s)
	}
	a := w.want
	switch {
	case s.ns == a.ns && a.takes(&s.p):
		why := text.F("the answer reaches the socket that waits for it")
		s.step(StageDeliver, "", why)
		return w.delivered(s, why)
	case s.ns == a.ns:
		why := text.F("the answer comes from %s to %s, and the socket waits for one from %s to %s: nothing takes it", s.p.Src, s.p.Dst, a.remote, a.local)
		s.step(StageDeliver, "", why)
		w.end(s, NoListener, "", why)
		return nil
	}
	why := text.F("the answer comes to %s, where no connection with %s is known", s.ns, s.p.Src)
	s.step(StageDeliver, "", why)
	w.end(s, NoListener, "", why)
	return nil
}

// errorArrives judges an ICMP error: the sender's kernel must find the socket by the packet that is quoted.
func (w *walk) errorArrives(s *state) stage {
	a, in := w.want, s.p.Inner
	if s.ns == a.ns && in != nil && in.Src == a.local && in.Dst == a.remote {
		why := text.F("the sender is told")
		s.step(StageDeliver, "", why)
		return w.delivered(s, why)
	}
	why := text.F("the error message comes to %s, and quotes no packet of a socket there", s.ns)
	s.step(StageDeliver, "", why)
	w.end(s, NoListener, "", why)
	return nil
}

// leave ends a packet that leaves the cluster.
func (w *walk) leave(s *state, link string, why text.Text) {
	a := w.want
	if a == nil || a.ns != nil || s.p.IsICMPError() || a.takes(&s.p) {
		w.end(s, LeftCluster, link, why)
		return
	}
	if s.p.Dst.Addr() != a.local.Addr() {
		w.end(s, LeftCluster, link, why)
		return
	}
	w.end(s, NoListener, link, text.F("the answer leaves as %s to %s, and the client waits for one from %s to %s: nothing takes it", s.p.Src, s.p.Dst, a.remote, a.local))
}

// An icmpError is what a kernel tells the sender of a packet that it cannot pass on.
type icmpError struct {
	typ, code uint8
	mtu       int
	reset     bool // a TCP reset instead
	byRule    bool // REJECT sends it in the destination's name
}

// tellSender follows the message about a packet's end back to its sender. The reset of a rule that saw the packet by a
// bridge goes straight back out of the port, past OUTPUT and what would give it the Service's address again (nf_send_reset).
func (w *walk) tellSender(s *state, path *Path, e icmpError) {
	if w.kind == message || s.p.IsICMPError() || len(s.inner) > 0 {
		return
	}
	sub := &walk{net: w.net, all: w.all, q: w.q, kind: message, want: w.sender(s)}
	n, from := w.notice(s, e), send
	if port := s.shown(0); port != nil && e.reset && e.byRule {
		n.ct, n.conn, n.out, n.frame, from = nil, nil, port, frame{dst: s.frame.src}, transmit
	}
	path.ICMP = sub.run(n, from)
}

// sender returns who made the packet, to whom an error message has to come.
func (w *walk) sender(s *state) *awaited {
	want := w.awaits(s)
	if w.kind == reply {
		want.ns = w.origin
	}
	return want
}

// notice returns the message: a reset, or an ICMP error that quotes the packet.
func (w *walk) notice(s *state, e icmpError) *state {
	if e.reset {
		n := w.start(s, packet.Packet{Src: s.p.Dst, Dst: s.p.Src, Proto: packet.TCP, Flags: packet.RST | packet.ACK, TTL: initialTTL, DF: true, Size: smallest(&s.p) - 20})
		if e.byRule {
			n.anySrc = true
			n.attach(s)
		}
		return n
	}
	quoted := s.p
	p := packet.Packet{
		Dst: netip.AddrPortFrom(s.p.Src.Addr(), 0), Proto: packet.ICMP, ICMPType: e.typ, ICMPCode: e.code, MTU: e.mtu,
		TTL: initialTTL, Size: min(576, 28+s.p.Size), Inner: &quoted,
	}
	if s.p.Is6() {
		p.Proto, p.Size, p.DF = packet.ICMPv6, min(1280, 48+s.p.Size), true
	}
	if s.ns.Owner(s.p.Dst.Addr()) != nil {
		p.Src = netip.AddrPortFrom(s.p.Dst.Addr(), 0)
	}
	n := w.start(s, p)
	n.attach(s)
	return n
}

// attach gives a message the connection of the packet that it is about, also where that
// was never confirmed (nf_ct_attach).
func (n *state) attach(s *state) {
	if s.conn == nil || !s.conn.Orig.Src.IsValid() || s.conn.State == netfilter.Invalid || s.conn.State == netfilter.Untracked {
		return
	}
	n.attached(s.conn)
	n.conn.State, n.conn.Reply = netfilter.Related, !s.conn.Reply
	n.ct = &tracked{ns: s.ns, conn: *s.conn, older: n.ct}
}

// rejections are the messages of REJECT, by the names that iptables-save prints.
var rejections = map[string]icmpError{
	"icmp-net-unreachable": {typ: 3, code: 0}, "icmp-host-unreachable": {typ: 3, code: 1}, "icmp-proto-unreachable": {typ: 3, code: 2},
	"icmp-port-unreachable": {typ: 3, code: 3}, "icmp-net-prohibited": {typ: 3, code: 9}, "icmp-host-prohibited": {typ: 3, code: 10},
	"icmp-admin-prohibited": {typ: 3, code: 13}, "tcp-reset": {reset: true, byRule: true},
	"icmp6-no-route": {typ: 1, code: 0}, "icmp6-adm-prohibited": {typ: 1, code: 1}, "icmp6-addr-unreachable": {typ: 1, code: 3},
	"icmp6-port-unreachable": {typ: 1, code: 4}, "icmp6-policy-fail": {typ: 1, code: 5}, "icmp6-reject-route": {typ: 1, code: 6},
}

func rejection(with string, p *packet.Packet) icmpError {
	if e, ok := rejections[with]; ok {
		return e
	}
	if p.Is6() {
		return icmpError{typ: 1, code: 4}
	}
	return icmpError{typ: 3, code: 3}
}
