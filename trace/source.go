package trace

import (
	"net/netip"

	"github.com/plumbnet/plumb/fib"
	"github.com/plumbnet/plumb/network"
	"github.com/plumbnet/plumb/text"
)

var zeroNet = netip.MustParsePrefix("0.0.0.0/8")

// martian names what ip_route_input_slow refuses before it looks anything up.
func (w *walk) martian(s *state, r fib.Result, _ fib.Choice) (text.Text, []Quote) {
	if s.p.Is6() {
		return text.Text{}, nil
	}
	src, dst, d := s.p.Src.Addr(), s.p.Dst.Addr(), s.in
	switch {
	case src.IsMulticast() || src == netip.AddrFrom4([4]byte{255, 255, 255, 255}) || zeroNet.Contains(src):
		return text.F("%s takes no packet from %s: a martian source", d, src), nil
	case (dst.IsLoopback() || src.IsLoopback()) && d.Conf.RouteLocalnet == 0:
		return text.F("%s takes no packet from %s to %s: route_localnet is off", d, src, dst),
			[]Quote{s.sysctl("net.ipv4.conf." + d.Name() + ".route_localnet")}
	}
	return text.Text{}, nil
}

// sourceCheck is fib_validate_source: own addresses as sources, and rp_filter. gone says that it ended the packet.
func (w *walk) sourceCheck(s *state, r fib.Result, c fib.Choice) (stage, bool) {
	if s.p.Is6() || routeFailed(r) && !loopbackEnd(s) {
		return nil, false
	}
	d := s.in
	src := s.p.Src.Addr()
	if d.Conf.RouteLocalnet < 0 && loopbackEnd(s) {
		return w.unknown(s, text.F("route_localnet of %s was not collected, and the packet is from %s to %s", d, src, s.p.Dst.Addr())), true
	}
	back, ok := w.reverse(s, r, c)
	if !ok {
		return w.unknown(s, text.F("whether %s takes packets from %s is not known: %s", d, src, back.Unknown)), true
	}
	if !routeFailed(back) && back.Type == fib.Local && d.Conf.AcceptLocal < 0 {
		return w.unknown(s, text.F("accept_local of %s was not collected, and %s is an address of %s itself", d, src, s.ns)), true
	}
	if !routeFailed(back) && back.Type != fib.Unicast && !(back.Type == fib.Local && d.Conf.AcceptLocal.On()) {
		why := text.F("%s takes no packet from %s, which is an address of %s itself: accept_local is off", d, src, s.ns)
		if back.Type != fib.Local {
			why = text.F("%s takes no packet from %s: the way back to it is of type %s", d, src, back.Type)
		}
		return w.refuse(s, why, s.routeEvidence(&fib.Query{Dst: src}, deciding(back))), true
	}
	if d.Conf.RPFilter == 0 {
		return nil, false
	}
	if usesDevice(back, d.Name()) {
		return nil, false
	}
	return w.rpFilter(s, back)
}

// loopbackEnd reports whether the packet comes from or goes to 127.0.0.0/8.
func loopbackEnd(s *state) bool { return s.p.Src.Addr().IsLoopback() || s.p.Dst.Addr().IsLoopback() }

func routeFailed(r fib.Result) bool { _, bad := routeError(r); return bad }

// reverse looks up the way back to the packet's source.
func (w *walk) reverse(s *state, r fib.Result, c fib.Choice) (fib.Result, bool) {
	q := fib.Query{Dst: s.p.Src.Addr(), Src: s.p.Dst.Addr(), IIF: "lo", TOS: s.p.TOS, Proto: s.p.Proto, SrcPort: s.p.Dst.Port(), DstPort: s.p.Src.Port()}
	if r.Type == fib.Unicast && c.Hop.Dev != "" {
		q.IIF = c.Hop.Dev
	}
	if s.in.Conf.SrcValidMark.On() {
		q.Mark = s.p.Mark
	}
	back := lookup(s.ns, q, w.all.back[:])
	return back, back.Unknown == ""
}

// usesDevice reports whether one of the ways that a lookup found leaves by dev.
func usesDevice(r fib.Result, dev string) bool {
	for i := range r.Choices {
		if r.Choices[i].Hop.Dev == dev {
			return true
		}
	}
	return false
}

// rpFilter judges a packet whose way back does not leave by the device that it came in by.
func (w *walk) rpFilter(s *state, back fib.Result) (stage, bool) {
	d, src := s.in, s.p.Src.Addr()
	has4 := false
	for i := range d.Link.Addrs {
		has4 = has4 || d.Link.Addrs[i].Local.Is4()
	}
	if d.Conf.RPFilter == 2 && !routeFailed(back) && has4 {
		return nil, false
	}
	if d.Conf.RPFilter < 0 {
		why := text.F("rp_filter of %s was not collected, and the way back to %s is not by %s", d, src, d.Name())
		return w.unknown(s, why), true
	}
	key := "net.ipv4.conf." + d.Name() + ".rp_filter"
	if s.ns.Sysctl[key] == "0" {
		key = "net.ipv4.conf.all.rp_filter"
	}
	ev := s.routeEvidence(&fib.Query{Dst: src}, deciding(back))
	if rt := deciding(back); rt != nil {
		why := text.F("rp_filter %d of %s drops it: the way back to %s is by %s", int(d.Conf.RPFilter), d, src, back.Choices[0].Hop.Dev)
		return w.refuse(s, why, s.sysctl(key), ev), true
	}
	return w.refuse(s, text.F("rp_filter %d of %s drops it: there is no way back to %s", int(d.Conf.RPFilter), d, src), s.sysctl(key), ev), true
}

func (w *walk) refuse(s *state, why text.Text, ev ...Quote) stage {
	s.step(StageRoute, s.in.Name(), why, ev...)
	w.end(s, Dropped, s.in.Name(), why)
	return nil
}

// mayForward asks whether the namespace forwards what comes in by this device. IPv4 has
// a setting a device; IPv6 looks at "all" alone. gone says that the packet ended.
func (w *walk) mayForward(s *state, r fib.Result) (stage, bool) {
	set := s.ns.Conf.Forwarding6
	if !s.p.Is6() {
		if set = s.in.Conf.Forwarding; set < 0 {
			set = s.ns.Conf.IPForward
		}
	}
	if set.On() {
		return nil, false
	}
	key := s.forwardingKey(set)
	if set < 0 {
		return w.unknown(s, text.F("whether %s forwards packets is not known: %s was not collected", s.ns, key)), true
	}
	why := text.F("%s does not forward: %s is 0, and %s is not its own address", s.ns, key, s.p.Dst.Addr())
	s.step(StageForward, s.in.Name(), why, s.sysctl(key))
	w.end(s, Dropped, s.in.Name(), why)
	return nil, true
}

// forwardingKey names the setting that keeps the namespace from forwarding.
func (s *state) forwardingKey(set network.Setting) string {
	switch {
	case s.p.Is6():
		return "net.ipv6.conf.all.forwarding"
	case s.in.Conf.Forwarding < 0, s.ns.Conf.IPForward == 0 && set == 0:
		return "net.ipv4.ip_forward"
	}
	return "net.ipv4.conf." + s.in.Name() + ".forwarding"
}
