package trace

import (
	"github.com/plumbnet/plumb/fib"
	"github.com/plumbnet/plumb/network"
	"github.com/plumbnet/plumb/packet"
	"github.com/plumbnet/plumb/text"
)

// bridgeReceive takes a frame in by a port of a bridge (br_handle_frame).
func bridgeReceive(w *walk, s *state) stage {
	port := s.in
	b := port.PortOf()
	if !b.Up() {
		return w.linkDown(s, b)
	}
	if !port.Forwards() {
		why := text.F("port %s of bridge %s is in state %s", port, b.Name(), port.Link.Info.SlaveData.State)
		return w.bridgeDrop(s, port, why, linkEvidence(port))
	}
	vid, ok, known := ingressVLAN(b, port, s.frame.vlan)
	if !known {
		return w.unknown(s, text.F("which VLANs port %s is in is not known: bridge %s filters by VLAN", port, b.Name()))
	}
	if !ok {
		return w.bridgeDrop(s, port, text.F("port %s is not in VLAN %d of bridge %s", port, vid, b.Name()), vlanEvidence(port))
	}
	s.frame.vlan = vid
	s.phys[0] = port
	if b.NS.Conf.BridgeNF < 0 && len(b.NS.Netfilter.Tables) > 0 {
		s.assume(text.F("whether iptables rules see what crosses bridge %s was not collected; they are supposed not to", b), s.sysctl("net.bridge.bridge-nf-call-iptables"))
	}
	if !s.bridgeNF(b) {
		return bridgeForward
	}
	s.in = b
	return w.hook(s, hookPrerouting, b.Name(), "", bridgeNATed)
}

// bridgeNATed goes on after PREROUTING saw a frame on a bridge (br_nf_pre_routing_finish): where
// the destination was changed the frame goes up to be routed, or straight on where the route leads back to the bridge.
func bridgeNATed(w *walk, s *state, before packet.Packet) stage {
	s.bridged = true
	if s.p.Dst.Addr() == before.Dst.Addr() {
		return bridgeForward
	}
	q := query(&s.p)
	q.IIF = s.in.Name()
	return w.route(s, q, bridgeRouted)
}

func bridgeRouted(w *walk, s *state, r fib.Result, c fib.Choice) stage {
	b := s.in
	if _, bad := routeError(r); bad || r.Type != fib.Unicast || c.Hop.Dev != b.Name() {
		s.frame.dst = b.Link.MAC
		return bridgeForward
	}
	s.out, s.route, s.via = b, c.Route, c.Hop.Via
	return w.bridgedDNAT(s, b)
}

// bridgedDNAT gives a frame whose new destination is on the same bridge the link-layer address of that destination.
func (w *walk) bridgedDNAT(s *state, b *network.Iface) stage {
	nh := s.nextHop()
	if e := s.ns.Neigh(b.Name(), nh); e != nil && !e.MAC.IsZero() {
		s.frame.dst = e.MAC
		s.step(StageNeighbour, b.Name(), text.F("the frame stays on bridge %s, to %s at %s", named{b}, s.ip(nh), &e.MAC), s.neighEvidence(b, nh, e))
		return bridgeForward
	}
	if f := w.ask(s, b, nh); f.found() {
		to := &f.got[0].Link.MAC
		s.frame.dst = *to
		s.step(StageNeighbour, b.Name(), text.F("the frame stays on bridge %s, to %s at %s", named{b}, s.ip(nh), to), s.neighEvidence(b, nh, nil))
		return bridgeForward
	}
	return w.noNeighbour(s, nh, nil)
}

// bridgeForward finds where a frame goes: up to the bridge device, out of a port, or out of all (br_handle_frame_finish).
func bridgeForward(w *walk, s *state) stage {
	port := s.phys[0]
	b := port.PortOf()
	if w.bridgeLocal(b, s.frame.dst, s.frame.vlan) {
		s.step(StageBridge, b.Name(), text.F("bridge %s takes the frame for %s itself", named{b}, s.frame.dst), linkEvidence(b))
		return bridgeUp
	}
	e, out := w.bridgePort(s, b, port)
	if out == nil {
		return w.bridgeNobody(s, b, port, e)
	}
	if why := mayLeave(b, port, out, s.frame.vlan); why != "" {
		return w.bridgeRefuses(s, b, port, out, why, e)
	}
	s.bridgeStep(b, out, e)
	s.phys[1] = out
	if !s.bridgeNF(b) {
		return bridgeOut
	}
	s.in = b
	return w.hook(s, hookForward, b.Name(), b.Name(), bridgeForwarded)
}

func bridgeForwarded(w *walk, s *state, _ packet.Packet) stage {
	return w.hook(s, hookPostrouting, s.in.Name(), s.in.Name(), bridgePostrouted)
}

func bridgePostrouted(_ *walk, s *state, _ packet.Packet) stage {
	s.confirm()
	return bridgeOut
}

// bridgeUp gives a frame to the bridge device as if it had come in by it.
func bridgeUp(_ *walk, s *state) stage {
	b := s.phys[0].PortOf()
	s.in = b
	if v := vlanUpper(b, s.frame.vlan); s.frame.vlan != 0 && v != nil && !untaggedAt(b, b, s.frame.vlan) {
		s.in = v
	}
	s.frame.vlan = 0
	for _, u := range s.in.Uppers {
		if u.Kind() == "macvlan" && u.Link.MAC == s.frame.dst && u.Up() {
			s.step(StageReceive, s.in.Name(), text.F("the frame is for %s, on top of %s", u, s.in), linkEvidence(u))
			s.phys[0] = nil
			return s.goUp(u)
		}
	}
	return ipReceive
}

// bridgeOut sends a frame out of the port in s.phys[1].
func bridgeOut(w *walk, s *state) stage {
	out := s.phys[1]
	b := out.PortOf()
	s.frame.vlan = egressTag(b, out, s.frame.vlan)
	if size := s.frameSize(); size > out.Link.MTU+vlanHeader {
		why := text.F("port %s of bridge %s has MTU %d, and drops a packet of %d bytes without a word", out, b.Name(), out.Link.MTU, size)
		s.step(StageBridge, out.Name(), why, linkEvidence(out))
		w.end(s, TooBig, out.Name(), why)
		return nil
	}
	s.out = out
	return transmit
}

// bridgeTransmit sends a frame that was routed to the bridge device (br_dev_xmit).
func bridgeTransmit(w *walk, s *state) stage {
	b := s.out
	s.frame.vlan = bridgeVLAN(b, s.frame.vlan)
	e, out := w.bridgePort(s, b, nil)
	if out == nil {
		return w.bridgeNobody(s, b, nil, e)
	}
	if why := mayLeave(b, nil, out, s.frame.vlan); why != "" {
		return w.bridgeRefuses(s, b, nil, out, why, e)
	}
	s.bridgeStep(b, out, e)
	s.phys[1] = out
	return bridgeOut
}

// bridgeStep writes down by which port a bridge sends a frame on.
func (s *state) bridgeStep(b, out *network.Iface, e *fib.FDBEntry) {
	ev := s.fdbEvidence(nil, s.frame.dst, e)
	switch {
	case e != nil:
		s.step(StageBridge, b.Name(), text.F("bridge %s has %s on port %s", named{b}, &e.MAC, named{out}), ev)
	case s.frame.dst.IsZero():
		s.step(StageBridge, b.Name(), text.F("bridge %s sends the frame out by port %s", named{b}, named{out}), ev)
	default:
		s.step(StageBridge, b.Name(), text.F("bridge %s does not know %s and floods; behind port %s it is taken", named{b}, s.frame.dst, named{out}), ev)
	}
}

// bridgePort returns the port for a frame and the entry that says so; without an
// entry, the port behind which somebody takes the frame. A learned entry behind which
// nobody takes it is passed over: the owner's next frame would correct it.
func (w *walk) bridgePort(s *state, b, from *network.Iface) (*fib.FDBEntry, *network.Iface) {
	for _, e := range s.ns.FDB(b.Name(), s.frame.dst) {
		out := s.ns.Iface(e.Dev)
		if out == nil || out.Master != b || s.frame.vlan != 0 && e.VLAN != 0 && e.VLAN != s.frame.vlan {
			continue
		}
		if e.State == "permanent" || e.State == "static" || e.Dst.IsValid() || w.takenBehind(out, s, b) {
			return e, out
		}
	}
	var outside *network.Iface
	for _, p := range b.Ports {
		if !p.Link.Info.SlaveData.Flood || mayLeave(b, from, p, s.frame.vlan) != "" {
			continue
		}
		f := w.floodTo(s, b, p)
		if f.found() {
			return nil, p
		}
		if f.outside || f.unclear || p.Kind() == "vxlan" {
			outside = p
		}
	}
	return nil, outside
}

func (w *walk) takenBehind(p *network.Iface, s *state, b *network.Iface) bool {
	f := w.floodTo(s, b, p)
	return f.outside || f.unclear || p.Kind() == "vxlan" || f.found()
}

// bridgeLocal reports whether a bridge takes frames for m itself: its own address, a port's, or a permanent entry for the bridge.
func (w *walk) bridgeLocal(b *network.Iface, m packet.MAC, vlan int) bool {
	if m == b.Link.MAC {
		return true
	}
	for _, p := range b.Ports {
		if p.Link.MAC == m {
			return true
		}
	}
	for _, u := range b.Uppers {
		if u.Link.MAC == m {
			return true
		}
	}
	return false
}

// bridgeNobody ends a frame that a bridge has no port for.
func (w *walk) bridgeNobody(s *state, b, from *network.Iface, e *fib.FDBEntry) stage {
	if from != nil {
		if w.floodTo(s, b, from).found() {
			why := text.F("%s is behind port %s, by which the frame came, and hairpin is off", s.frame.dst, from)
			return w.bridgeDrop(s, from, why, linkEvidence(from))
		}
	}
	for _, p := range b.Ports {
		refused := mayLeave(b, from, p, s.frame.vlan)
		if p == from || refused == "" || !w.floodTo(s, b, p).found() {
			continue
		}
		return w.bridgeRefuses(s, b, from, p, refused, e)
	}
	why := text.F("behind no port of bridge %s is there anyone with %s", b, s.frame.dst)
	s.step(StageBridge, b.Name(), why, s.fdbEvidence(nil, s.frame.dst, e))
	w.end(s, NoNeighbour, b.Name(), why)
	return nil
}

// bridgeRefuses ends a frame that a bridge may not pass from one port (nil: its own) to another.
func (w *walk) bridgeRefuses(s *state, b, from, to *network.Iface, refused string, e *fib.FDBEntry) stage {
	why := text.F("bridge %s may not pass the frame to port %s: %s", b, to.Name(), refused)
	if from != nil {
		why = text.F("bridge %s may not pass the frame from port %s to port %s: %s", b, from.Name(), to.Name(), refused)
	}
	return w.bridgeDrop(s, to, why, s.fdbEvidence(nil, s.frame.dst, e), linkEvidence(to))
}

func (w *walk) bridgeDrop(s *state, at *network.Iface, why text.Text, ev ...Quote) stage {
	s.step(StageBridge, at.Name(), why, ev...)
	w.end(s, Dropped, at.Name(), why)
	return nil
}

// bridgeNF reports whether iptables rules see what crosses the bridge.
func (s *state) bridgeNF(b *network.Iface) bool {
	if s.p.Is6() {
		return b.NS.Conf.BridgeNF6.On() || b.Link.Info.Data.NFCallIP6Tables != 0
	}
	return b.NS.Conf.BridgeNF.On() || b.Link.Info.Data.NFCallIPTables != 0
}

// mayLeave says why a bridge would not pass a frame from a port (nil: its own) to another; "" where it would.
func mayLeave(b, from, to *network.Iface, vid int) string {
	switch {
	case !to.Forwards():
		return "its state is " + to.Link.Info.SlaveData.State
	case from == to && !to.Link.Info.SlaveData.Hairpin:
		return "it came by that port, and hairpin is off"
	case from != nil && from.Link.Info.SlaveData.Isolated && to.Link.Info.SlaveData.Isolated:
		return "both ports are isolated"
	case !vlanAllows(b, to, vid):
		return "the port is not in the VLAN"
	}
	return ""
}
