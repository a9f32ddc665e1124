package trace

import (
	"net/netip"

	"github.com/plumbnet/plumb/network"
	"github.com/plumbnet/plumb/packet"
	"github.com/plumbnet/plumb/text"
)

// Run follows the packet that q asks about. The Result is the caller's: no later Run changes it. It points into n
// and its snapshot, which nobody may change; several goroutines may Run on one n.
func Run(n *network.Network, q Query) Result {
	r := Result{Query: q}
	if !q.Dst.Addr().IsValid() {
		r.Paths = []Path{{Weight: 1, Why: text.F("no destination was asked for")}}
		return r
	}
	if q.Proto == packet.TCP && q.Size == FullSegment {
		r.Paths = smaller(runSegments(n, q), func(size int) []Path {
			q := q
			q.Size = size
			return runWith(n, q, 0)
		})
		return r
	}
	r.Paths = runWith(n, q, 0)
	return r
}

// runWith follows the packet of a sender that was told an MSS; 0 where none is known.
func runWith(n *network.Network, q Query, mss int) []Path {
	w := &walk{net: n, all: new(run), q: &q, mss: mss}
	s, from := w.begin()
	if s == nil {
		return w.paths
	}
	return w.run(s, from)
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
	s := &state{all: w.all, p: p, weight: 1, uid: q.UID, whole: q.DF && p.Is6()}
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
		s.p.Size = w.segment(s, usualMTU)
	}
	for _, o := range w.net.Owners(s.p.Dst.Addr()) {
		for _, u := range o.NS.Ifaces {
			if u.Uplink && u.L3() == o {
				s.first = w.all.keep.packet(s.p)
				s.enter(o.NS, u)
				s.frame.dst = o.Link.MAC
				if s.p.Size > u.Link.MTU+vlanHeader {
					return w.tooBigFrom(s, u)
				}
				s.step(StageWire, u.Name(), text.F("comes from outside by %s", u), linkEvidence(u))
				return s, receive
			}
		}
	}
	w.unknown(s, text.F("by which machine a packet from outside to %s comes in is not known: no uplink has that address", s.p.Dst.Addr()))
	return nil, nil
}

// tooBigFrom ends a packet from outside that an uplink does not take.
func (w *walk) tooBigFrom(s *state, u *network.Iface) (*state, stage) {
	why := text.F("%s has MTU %d, and does not take a packet of %d bytes from %s", u, u.Link.MTU, s.p.Size, s.p.Src.Addr())
	s.step(StageWire, u.Name(), why, linkEvidence(u))
	w.end(s, TooBig, u.Name(), why)
	return nil, nil
}
