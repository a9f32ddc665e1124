package trace

import (
	"github.com/plumbnet/plumb/network"
	"github.com/plumbnet/plumb/packet"
	"github.com/plumbnet/plumb/text"
)

// frameSize returns the size of the largest IP packet that is on the wire for s: a fragment's, where it was fragmented.
func (s *state) frameSize() int {
	if s.frag > 0 && s.frag < s.p.Size {
		return s.frag
	}
	return s.p.Size
}

// routeMTU returns the largest packet for the route and device that s leaves by.
func (s *state) routeMTU() int {
	mtu := deviceMTU(s.out, s.p.Is6())
	if s.route != nil && s.route.MTU > 0 && (s.in != nil || s.route.MTU < mtu) {
		return s.route.MTU
	}
	return mtu
}

func deviceMTU(d *network.Iface, v6 bool) int {
	if v6 && d.Conf.MTU6 >= 1280 && int(d.Conf.MTU6) < d.Link.MTU {
		return int(d.Conf.MTU6)
	}
	return d.Link.MTU
}

// tooBigToForward is the check of ip_forward and ip6_forward, before FORWARD sees the packet.
func (w *walk) tooBigToForward(s *state) bool {
	mtu := s.routeMTU()
	if s.frameSize() <= mtu || !s.p.Is6() && !s.p.DF {
		return false
	}
	if s.p.Is6() && s.frag > 0 && s.shown(0) != nil {
		return false // br_netfilter put it together, and how large its fragments were is forgotten since (ip6_rcv_core)
	}
	why := text.F("%s may not forward %d bytes by %s: its MTU is %d", s.ns, s.p.Size, s.out.Name(), mtu)
	s.step(StageForward, s.out.Name(), why, linkEvidence(s.out))
	path := w.end(s, TooBig, s.out.Name(), why)
	w.tellSender(s, path, fragNeeded(&s.p, mtu))
	return true
}

func fragNeeded(p *packet.Packet, mtu int) icmpError {
	if p.Is6() {
		return icmpError{typ: 2, mtu: mtu}
	}
	return icmpError{typ: 3, code: 4, mtu: mtu}
}

// made reports whether the packet is still in the namespace that made it.
func (s *state) made() bool { return len(s.hops) == 0 && s.hop.In == "" }

// learned is what the kernel itself notes for its own packets that a tunnel makes too large: no message goes
// about, but the next segment is smaller (skb_tunnel_check_pmtu).
func (s *state) learned(mtu int) Path {
	in := s.p.Inner
	p := packet.Packet{Src: in.Dst, Dst: in.Src, Proto: packet.ICMPv6, ICMPType: 2, MTU: mtu - (s.p.Size - in.Size), Inner: in}
	return Path{Weight: 1, End: Delivered, At: Place{Node: s.ns.Node.Name, NetNS: s.ns.Name}, Why: text.F("the sender is told"), Final: p}
}

// finishOutput is ip_finish_output: what is too large is cut into fragments, where it may be. Of what may not be a
// socket is told where OUTPUT sends it by a smaller device than the socket chose; that the way to an own
// address could be small no kernel learns, though it is told (__ip_rt_update_pmtu). A tunnel's packets over IPv6 are never cut.
func finishOutput(w *walk, s *state) stage {
	mtu := s.routeMTU()
	if s.frameSize() <= mtu {
		return neighbour
	}
	if s.p.DF && !s.p.Is6() || s.p.Is6() && (s.p.Proto == packet.TCP || len(s.inner) > 0 || s.whole && s.made()) {
		why := text.F("%d bytes do not fit %s: its MTU is %d", s.p.Size, s.out, mtu)
		s.step(StageTransmit, s.out.Name(), why, linkEvidence(s.out))
		path := w.end(s, TooBig, s.out.Name(), why)
		switch {
		case s.moved:
			w.tellSender(s, path, fragNeeded(&s.p, mtu))
		case len(s.inner) > 0 && s.made():
			path.ICMP = []Path{s.learned(mtu)}
		}
		return nil
	}
	s.frag = mtu
	s.step(StageTransmit, s.out.Name(), text.F("%d bytes are cut into fragments of at most %d", s.p.Size, mtu), linkEvidence(s.out))
	return neighbour
}
