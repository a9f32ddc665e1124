package trace

import (
	"github.com/plumbnet/plumb/network"
	"github.com/plumbnet/plumb/text"
)

// transmit has the device s.out send the frame (dev_queue_xmit).
func transmit(w *walk, s *state) stage {
	d := s.out
	s.hop.Out = d.Name()
	if d.IsLoopback() {
		s.in, s.out = d, nil
		return ipReceive
	}
	if !d.Carrier() {
		return w.linkDown(s, d)
	}
	if f := transmitters[d.Kind()]; f != nil {
		return f
	}
	if d.Uplink {
		return wire
	}
	return w.unknown(s, text.F("what device %s, a %s, does with a packet is not modelled", d, d.Kind()))
}

var transmitters map[string]stage

func init() {
	transmitters = map[string]stage{
		"veth": vethTransmit, "netkit": vethTransmit, "bridge": bridgeTransmit, "vlan": vlanTransmit,
		"macvlan": macvlanTransmit, "ipvlan": ipvlanTransmit, "bond": bondTransmit, "dummy": dummyTransmit,
		"vxlan": vxlanTransmit, "ipip": ipTunnelTransmit, "sit": ipTunnelTransmit, "gre": ipTunnelTransmit,
	}
}

func (w *walk) linkDown(s *state, d *network.Iface) stage {
	why := text.F("device %s is down", d)
	if d.Up() {
		why = text.F("device %s has no carrier", d)
	}
	s.step(StageTransmit, d.Name(), why, linkEvidence(d))
	w.end(s, LinkDown, d.Name(), why)
	return nil
}

// vethTransmit hands the frame to the other end, which forgets mark and conntrack entry on
// the way to another namespace, and drops what is larger than its own MTU (is_skb_forwardable).
func vethTransmit(w *walk, s *state) stage {
	d := s.out
	p := d.Peer
	if p == nil && d.Uplink {
		return wire
	}
	if p == nil {
		return w.unknown(s, text.F("where %s leads is not known: %s", d, d.PeerWhy))
	}
	if !p.Up() {
		return w.linkDown(s, p)
	}
	if size := s.frameSize(); size > p.Link.MTU+vlanHeader {
		why := text.F("%s has MTU %d, and drops a packet of %d bytes that comes from %s without a word", p, p.Link.MTU, size, d)
		s.step(StageTransmit, p.Name(), why, linkEvidence(d), linkEvidence(p))
		w.end(s, TooBig, p.Name(), why)
		return nil
	}
	s.step(StageTransmit, d.Name(), text.F("%s is joined to %s", d, p), linkEvidence(d))
	s.scrub(p.NS)
	s.arrive(p)
	return receive
}

// scrub forgets what does not go from one namespace, or from a tunnel's inside, to the other (skb_scrub_packet).
func (s *state) scrub(to *network.NS) {
	s.conn, s.bridged, s.phys = nil, false, [2]*network.Iface{}
	s.proxy = false
	if to != s.ns {
		s.p.Mark = 0
		s.uid = nil
	}
}

// arrive has the frame come in by a device.
func (s *state) arrive(d *network.Iface) {
	if d.NS != s.ns {
		s.enter(d.NS, d)
	}
	s.in, s.out, s.route = d, nil, nil
}

func vlanTransmit(w *walk, s *state) stage {
	d := s.out
	if d.Lower == nil {
		return w.lowerMissing(s)
	}
	s.frame.vlan = d.Link.Info.Data.ID
	s.step(StageTransmit, d.Name(), text.F("%s adds VLAN tag %d and sends by %s", d, d.Link.Info.Data.ID, d.Lower), linkEvidence(d))
	return s.goBelow(d.Lower)
}

// goBelow has the device under s.out send the frame.
func (s *state) goBelow(lower *network.Iface) stage {
	if lower.NS != s.ns {
		s.hop.Out = s.out.Name()
		s.enter(lower.NS, nil)
	}
	s.out = lower
	return transmit
}

func (w *walk) lowerMissing(s *state) stage {
	if s.out.Uplink {
		return wire
	}
	return w.unknown(s, text.F("which device carries %s is not known: %s", s.out, s.out.PeerWhy))
}

// macvlanTransmit gives the frame to a sibling in bridge mode, or to the device below. The
// device below never hears it itself (macvlan_queue_xmit).
func macvlanTransmit(w *walk, s *state) stage {
	d := s.out
	if d.Lower == nil {
		return w.lowerMissing(s)
	}
	if d.Link.Info.Data.Mode == "bridge" {
		for _, u := range d.Lower.Uppers {
			if u != d && u.Kind() == "macvlan" && u.Link.MAC == s.frame.dst && u.Link.Info.Data.Mode == "bridge" && u.Up() {
				s.step(StageTransmit, d.Name(), text.F("%s and %s are on the same device", d, u), linkEvidence(d))
				s.scrub(u.NS)
				s.arrive(u)
				return ipReceive
			}
		}
	}
	s.step(StageTransmit, d.Name(), text.F("%s sends by %s, beside that device's own IP stack", d, d.Lower), linkEvidence(d))
	return s.goBelow(d.Lower)
}

// ipvlanTransmit gives a frame to the sibling that holds the destination, or to the device below;
// all of them have one link-layer address (ipvlan_xmit_mode_l2).
func ipvlanTransmit(w *walk, s *state) stage {
	d := s.out
	switch {
	case d.Link.Info.Data.Mode != "l2":
		return w.unknown(s, text.F("what an ipvlan device in mode %s does with a packet is not modelled: %s", d.Link.Info.Data.Mode, d))
	case d.Lower == nil:
		return w.lowerMissing(s)
	case s.frame.dst != d.Link.MAC:
		s.step(StageTransmit, d.Name(), text.F("%s sends by %s, beside that device's own IP stack", d, d.Lower), linkEvidence(d))
		return s.goBelow(d.Lower)
	}
	for _, u := range d.Lower.Uppers {
		if u != d && u.Kind() == "ipvlan" && u.Up() && u.Has(s.p.Dst.Addr()) {
			s.step(StageTransmit, d.Name(), text.F("%s and %s are on the same device", d, u), linkEvidence(d))
			s.scrub(u.NS)
			s.arrive(u)
			return ipReceive
		}
	}
	s.step(StageTransmit, d.Name(), text.F("%s gives it to %s, which has the same link-layer address", d, d.Lower), linkEvidence(d))
	s.scrub(d.Lower.NS)
	s.arrive(d.Lower)
	return ipReceive
}

func bondTransmit(w *walk, s *state) stage {
	d := s.out
	p := activePort(d)
	if p == nil {
		return w.linkDown(s, d)
	}
	s.step(StageTransmit, d.Name(), text.F("bond %s sends by %s", d, p.Name()), linkEvidence(d))
	s.out = p
	return transmit
}

func dummyTransmit(w *walk, s *state) stage {
	why := text.F("%s is a dummy device, and throws away what is sent", s.out)
	s.step(StageTransmit, s.out.Name(), why, linkEvidence(s.out))
	w.end(s, Dropped, s.out.Name(), why)
	return nil
}
