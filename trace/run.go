package trace

import (
	"net/netip"

	"github.com/plumbnet/plumb/network"
	"github.com/plumbnet/plumb/packet"
	"github.com/plumbnet/plumb/text"
)

// Run follows the packet that q asks about.
func Run(n *network.Network, q Query) Result {
	r := Result{Query: q}
	if !q.Dst.Addr().IsValid() {
		r.Paths = []Path{{Weight: 1, Why: text.F("no destination was asked for")}}
		return r
	}
	w := &walk{net: n, total: new(int), q: &q, mss: mssWanted(n, q)}
	s, from := w.begin()
	if s == nil {
		r.Paths = w.paths
		return r
	}
	r.Paths = w.run(s, from)
	return r
}

// begin returns the first packet, and where it begins.
func (w *walk) begin() (*state, stage) {
	q := w.q
	p := packet.Packet{
		Src: netip.AddrPortFrom(q.Src, q.SrcPort), Dst: q.Dst, Proto: q.Proto, Size: q.Size, DF: q.DF || q.Dst.Addr().Is6(), TTL: initialTTL,
	}
	if p.Src.Port() == 0 && p.Proto.HasPorts() {
		p.Src = netip.AddrPortFrom(q.Src, ephemeralPort)
	}
	switch p.Proto {
	case packet.TCP:
		p.Flags = packet.SYN
	case packet.ICMP:
		p.ICMPType, p.ICMPID = 8, 1
	case packet.ICMPv6:
		p.ICMPType, p.ICMPID = 128, 1
	}
	if p.Size == 0 {
		p.Size = smallest(&p)
	}
	s := &state{p: p, weight: 1, uid: q.UID}
	if q.From == nil {
		return w.fromOutside(s)
	}
	s.enter(q.From, nil)
	return s, send
}

// fromOutside has a packet come in by the uplink of the machine that holds the destination.
func (w *walk) fromOutside(s *state) (*state, stage) {
	if !s.p.Src.Addr().IsValid() {
		w.unknown(s, text.F("a packet from outside the cluster needs a source address"))
		return nil, nil
	}
	if s.p.Size == FullSegment {
		s.p.Size = 1500
	}
	for _, o := range w.net.Owners(s.p.Dst.Addr()) {
		for _, u := range o.NS.Ifaces {
			if u.Uplink && u.L3() == o {
				s.first, s.sent = s.p, true
				s.enter(o.NS, u)
				s.frame.dst = o.Link.MAC
				s.step(StageWire, u.Name(), text.F("comes from outside by %s", u), linkEvidence(u))
				return s, receive
			}
		}
	}
	w.unknown(s, text.F("by which machine a packet from outside to %s comes in is not known: no uplink has that address", s.p.Dst.Addr()))
	return nil, nil
}

// mssWanted follows a SYN and its answer, where full segments are asked for, and returns the MSS that the client is told; 0 where none is.
func mssWanted(n *network.Network, q Query) int {
	if q.Proto != packet.TCP || q.Size != FullSegment {
		return 0
	}
	q.Size, q.ReplySize = 0, 0
	r := Run(n, q)
	for i := range r.Paths {
		for k := range r.Paths[i].Reply {
			if b := &r.Paths[i].Reply[k]; b.End == Delivered {
				return b.Final.MSS
			}
		}
	}
	return 0
}

// sizeSegment gives a full segment its size: what the route takes, and the MSS that the other end announced allows.
func (w *walk) sizeSegment(s *state) {
	head := 40
	if s.p.Is6() {
		head = 60
	}
	mtu := s.routeMTU()
	if s.p.Proto == packet.TCP && s.p.Flags&packet.SYN != 0 {
		s.p.MSS = mtu - head
		if s.route != nil && s.route.AdvMSS > 0 {
			s.p.MSS = s.route.AdvMSS
		}
	}
	if s.p.Size != FullSegment {
		return
	}
	s.p.Size = mtu
	if w.mss > 0 {
		s.p.Size = min(mtu, w.mss+head)
	}
}
