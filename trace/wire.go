package trace

import (
	"net/netip"

	"github.com/plumbnet/plumb/network"
	"github.com/plumbnet/plumb/text"
)

// wire carries a frame from an uplink to the uplink of another machine on the
// segment, or to a router that the snapshot does not know.
func wire(w *walk, s *state) stage {
	u := s.out
	to := w.across(u, s)
	switch len(to) {
	case 0:
		return w.beyond(s, u)
	case 1:
		return w.cross(s, u, to[0])
	}
	rest := text.F("%d devices have the link-layer address %s; only %d of them were followed", len(to), s.frame.dst, maxAlike)
	return w.alike(s, len(to), rest, func(s *state, i int) stage {
		s.assume(text.F("%s has the link-layer address %s too; the frame is supposed to reach %s", to[0], s.frame.dst, to[i]))
		return w.cross(s, u, to[i])
	})
}

// maxAlike is how many devices with one address are followed. Machines cloned with their
// addresses can be many, and each is one more way at every hop.
const maxAlike = 4

// alike goes on by each of n devices that the packet may reach, all as likely. Of many only
// maxAlike are followed; rest says so of the others.
func (w *walk) alike(s *state, n int, rest text.Text, by func(s *state, i int) stage) stage {
	if more := n - maxAlike; more > 0 {
		w.branch(s.clone(), float64(more)/float64(n), func(w *walk, s *state) stage { return w.unknown(s, rest) })
	}
	for i := min(n, maxAlike) - 1; i >= 0; i-- {
		w.branch(s.clone(), 1/float64(n), func(_ *walk, s *state) stage { return by(s, i) })
	}
	return nil
}

// across returns the uplinks behind which the frame's address answers; where several have it, those that are on u's segment.
func (w *walk) across(u *network.Iface, s *state) []*network.Iface {
	if s.frame.dst.IsZero() {
		return nil
	}
	var all, meet []*network.Iface
	for _, v := range w.net.Behind(s.frame.dst) {
		if v == u || v.NS == u.NS && v.L3() == u.L3() || idle(v) {
			continue
		}
		all = append(all, v)
		if network.Meet(u, v) {
			meet = append(meet, v)
		}
	}
	if len(meet) > 0 {
		return meet
	}
	return all
}

// idle reports whether a device is a port of a bond that uses another: the switch has the address on that one.
func idle(v *network.Iface) bool {
	if v.Master == nil || v.Master.Kind() != "bond" {
		return false
	}
	active := activePort(v.Master)
	return active != nil && active != v
}

func (w *walk) cross(s *state, u, v *network.Iface) stage {
	if !v.Carrier() {
		return w.linkDown(s, v)
	}
	if size := s.frameSize(); size > v.Link.MTU+vlanHeader {
		why := text.F("%s has MTU %d, and does not take a packet of %d bytes from %s", v, v.Link.MTU, size, u)
		s.step(StageWire, v.Name(), why, linkEvidence(u), linkEvidence(v))
		w.end(s, TooBig, v.Name(), why)
		return nil
	}
	s.step(StageWire, u.Name(), text.F("crosses the segment from %s to %s", u, v), linkEvidence(u))
	s.scrub(v.NS)
	s.enter(v.NS, v)
	s.in, s.out, s.route = v, nil, nil
	s.p.Mark = 0
	return receive
}

// beyond gives the packet to a router that the snapshot does not know. Where the
// destination is another machine of the snapshot, it is supposed to arrive there.
func (w *walk) beyond(s *state, u *network.Iface) stage {
	dst, nh := s.p.Dst.Addr(), s.nextHop()
	v := w.machineWith(dst, s.ns)
	if v == nil || !s.via.IsValid() && network.Meet(u, v) {
		return w.left(s, u, nh)
	}
	s.beyond = true
	s.assume(text.F("router %s is not in the snapshot; it is supposed to bring packets for %s to %s", nh, dst, v), linkEvidence(u))
	s.step(StageWire, u.Name(), text.F("leaves by %s for router %s, which is not in the snapshot; supposed to come to %s", u, nh, v), linkEvidence(u))
	s.scrub(v.NS)
	s.enter(v.NS, v)
	s.in, s.out, s.route = v, nil, nil
	s.p.Mark = 0
	s.frame = frame{dst: v.L3().Link.MAC}
	if s.p.TTL > 1 {
		s.p.TTL--
	}
	return receive
}

func (w *walk) left(s *state, u *network.Iface, nh netip.Addr) stage {
	dst := s.p.Dst.Addr()
	if what := w.net.Uncollected(dst); what != "" {
		why := text.F("%s is the address of %s, whose namespace was not collected", dst, what)
		s.step(StageWire, u.Name(), why)
		return w.unknown(s, why)
	}
	why := text.F("leaves the cluster by %s to %s, which the snapshot does not know", u, nh)
	s.step(StageWire, u.Name(), why, linkEvidence(u))
	w.leave(s, u.Name(), why)
	return nil
}

// machineWith returns an uplink of another machine that holds the address, or nil.
func (w *walk) machineWith(a netip.Addr, from *network.NS) *network.Iface {
	for _, o := range w.net.Owners(a) {
		if o.NS.Node == from.Node {
			continue
		}
		for _, u := range o.NS.Ifaces {
			if u.Uplink && u.L3() == o {
				return u
			}
		}
	}
	return nil
}
