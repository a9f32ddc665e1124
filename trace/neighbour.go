package trace

import (
	"net/netip"
	"slices"

	"github.com/plumbnet/plumb/fib"
	"github.com/plumbnet/plumb/network"
	"github.com/plumbnet/plumb/packet"
	"github.com/plumbnet/plumb/text"
)

// neighbour finds the link-layer address of the next hop, and hands the packet to the device.
func neighbour(w *walk, s *state) stage {
	d := s.out
	s.frame = frame{}
	if d.IsLoopback() || !d.IsEthernet() || d.NoARP() || d.Kind() == "ipvlan" && !d.IsEthernet() {
		return transmit
	}
	nh := s.nextHop()
	if !d.Carrier() {
		return w.linkDown(s, d)
	}
	s.frame.src = d.Link.MAC
	e := s.ns.Neigh(d.Name(), nh)
	if e == nil || e.Proxy || e.MAC.IsZero() || e.State == "FAILED" || e.State == "INCOMPLETE" || e.State == "NONE" {
		return w.resolve(s, nh, e)
	}
	if e.State != "PERMANENT" && e.State != "NOARP" && !w.answered(d, e.MAC, nh) {
		s.assume(text.F("the neighbour entry for %s names %s, which nobody has; it is taken to be resolved anew", nh, e.MAC), s.neighEvidence(d, nh, e))
		return w.resolve(s, nh, e)
	}
	s.frame.dst = e.MAC
	s.step(StageNeighbour, d.Name(), text.F("next hop %s is at %s", s.ip(nh), &e.MAC), s.neighEvidence(d, nh, e))
	return transmit
}

// nextHop returns the address whose link-layer address is wanted.
func (s *state) nextHop() netip.Addr {
	if s.via.IsValid() {
		return s.via
	}
	return s.p.Dst.Addr()
}

// answered reports whether some device takes frames for mac that leave by d, or whether that cannot be told.
func (w *walk) answered(d *network.Iface, mac packet.MAC, nh netip.Addr) bool {
	f := w.flood(d, 0, nh, has(mac))
	return f.outside || f.unclear || f.found() || len(w.net.Behind(mac)) > 0
}

// resolve says who would answer a question for the link-layer address of nh.
func (w *walk) resolve(s *state, nh netip.Addr, e *fib.Neigh) stage {
	d := s.out
	f := w.ask(s, d, nh)
	switch {
	case len(f.got) == 1:
		return s.resolved(f.got[0], nh, e)
	case f.found():
		return w.duplicates(s, slices.Clone(f.got), nh)
	case !f.unclear && w.unknownProxy(d, nh):
		return w.unknown(s, text.F("whether a router on the link of %s answers for %s is not known: proxy_arp was not collected", d, nh))
	case f.unclear:
		return w.unknown(s, text.F("whether anyone on the link of %s answers for %s is not known: %s", d, nh, f.why))
	case f.outside && (e == nil || e.State != "FAILED") && !w.shouldAnswer(d, nh):
		s.assume(text.F("something outside the snapshot is supposed to answer for %s on the link of %s", nh, d), s.neighEvidence(d, nh, e))
		s.step(StageNeighbour, d.Name(), text.F("next hop %s is not in the snapshot", nh), s.neighEvidence(d, nh, e))
		return transmit
	}
	return w.noNeighbour(s, nh, e)
}

// ask floods a question of s for the link-layer address of nh out of d, to who answers it: one device for each such address.
func (w *walk) ask(s *state, d *network.Iface, nh netip.Addr) *flood {
	src, owners := s.asksFrom(d, nh), w.net.Owners(nh)
	f := w.flood(d, 0, nh, func(r *network.Iface) bool {
		return (r.Proxies() || hasNS(owners, r.NS)) && answers(r, nh, src, d)
	})
	list := f.got
	f.got = list[:0]
	for _, r := range list {
		if !slices.ContainsFunc(f.got, has(r.Link.MAC)) {
			f.got = append(f.got, r)
		}
	}
	return f
}

// shouldAnswer reports whether an uplink of another machine of the snapshot holds nh, on d's subnet: nobody else will answer for it.
func (w *walk) shouldAnswer(d *network.Iface, nh netip.Addr) bool {
	if !d.OnLink(nh) {
		return false
	}
	u := w.machineWith(nh, d.NS)
	return u != nil && u.Up()
}

func (w *walk) noNeighbour(s *state, nh netip.Addr, e *fib.Neigh) stage {
	d := s.out
	if missing := w.net.Missing(s.ns, "neigh.json"); e == nil && missing != "" {
		return w.unknown(s, text.F("whether %s has a neighbour entry for %s is not known: %s", d, nh, missing))
	}
	why := text.F("nobody on the link of %s answers for %s", d, nh)
	if e != nil && e.State == "FAILED" {
		why = text.F("nobody on the link of %s answers for %s: its neighbour entry says FAILED", d, nh)
	}
	s.step(StageNeighbour, d.Name(), why, s.neighEvidence(d, nh, e))
	path := w.end(s, NoNeighbour, d.Name(), why)
	if s.in != nil {
		w.tellSender(s, path, unreachable(&s.p, "host unreachable"))
	}
	return nil
}

func (s *state) resolved(r *network.Iface, nh netip.Addr, e *fib.Neigh) stage {
	s.frame.dst = r.Link.MAC
	s.step(StageNeighbour, s.out.Name(), text.F("%s answers for next hop %s with %s", r, s.ip(nh), &r.Link.MAC), s.neighEvidence(s.out, nh, e))
	return transmit
}

// duplicates goes on to each of several devices that answer for one address.
func (w *walk) duplicates(s *state, who []*network.Iface, nh netip.Addr) stage {
	rest := text.F("%d devices answer for %s; only %d of them were followed", len(who), nh, maxAlike)
	return w.alike(s, len(who), rest, func(s *state, i int) stage {
		s.assume(text.F("%s and %s both answer for %s; %s is supposed to be first", who[0], who[1], nh, who[i]))
		return s.resolved(who[i], nh, nil)
	})
}

// asksFrom returns the address that an ARP request names as its sender's (arp_solicit, with arp_announce 0).
func (s *state) asksFrom(d *network.Iface, nh netip.Addr) netip.Addr {
	if nh.Is6() || s.ns.Owner(s.p.Src.Addr()) != nil {
		return s.p.Src.Addr()
	}
	src, _ := s.ns.FIB.SourceAddr(d.Name(), nh)
	return src
}

// hears reports whether the namespace of r takes an ARP request from src, as it would a packet
// (arp_process asks ip_route_input, which checks the source). What is not known counts as yes.
func hears(r *network.Iface, a, src netip.Addr) bool {
	if !src.Is4() {
		return true
	}
	if r.NS.Owner(src) != nil {
		return r.Conf.AcceptLocal != 0
	}
	if r.Conf.RPFilter != 1 {
		return true
	}
	var room [1]fib.Choice
	back := lookup(r.NS, fib.Query{Dst: src, Src: a, IIF: "lo"}, room[:])
	return back.Unknown != "" || !routeFailed(back) && usesDevice(back, r.Name())
}

// answers reports whether the namespace of r, asked by a frame from src that came in by r, gives r's link-layer address for a.
func answers(r *network.Iface, a, src netip.Addr, asker *network.Iface) bool {
	if a.Is6() {
		return answers6(r, a)
	}
	if own := r.NS.Owner(a); own != nil && own.Up() && !a.IsLoopback() {
		return answersOwn(r, a, asker) && hears(r, a, src)
	}
	return r.Conf.ProxyARP.On() && r.Conf.Forwarding.On() && routesElsewhere(r, a) && hears(r, a, src)
}

// unknownProxy reports whether one whom a question for nh out of d reaches may answer for others, as far as is known.
func (w *walk) unknownProxy(d *network.Iface, nh netip.Addr) bool {
	return nh.Is4() && w.flood(d, 0, nh, func(r *network.Iface) bool { return r.Conf.ProxyARP < 0 && r.NS.Conf.IPForward != 0 }).found()
}

// answersOwn applies arp_ignore (Documentation/networking/ip-sysctl.rst).
func answersOwn(r *network.Iface, a netip.Addr, asker *network.Iface) bool {
	switch r.Conf.ARPIgnore {
	case 1:
		return r.Has(a)
	case 2:
		return r.Has(a) && sharesSubnet(r, asker)
	case 8:
		return false
	}
	return true
}

func sharesSubnet(r, asker *network.Iface) bool {
	for i := range asker.Link.Addrs {
		if l := asker.Link.Addrs[i].Local; l.Is4() && r.OnLink(l) {
			return true
		}
	}
	return false
}

// answers6 reports whether r answers a neighbour solicitation: the address must be r's own and valid, or proxied.
func answers6(r *network.Iface, a netip.Addr) bool {
	for i := range r.Link.Addrs {
		if l := &r.Link.Addrs[i]; l.Local == a {
			return r.Up() && !l.DADFailed && !l.Tentative
		}
	}
	e := r.NS.Neigh(r.Name(), a)
	return e != nil && e.Proxy && r.Conf.ProxyNDP.On()
}

// routesElsewhere reports whether the namespace would route a by another device than the one asked on.
func routesElsewhere(r *network.Iface, a netip.Addr) bool {
	var room [1]fib.Choice
	res := lookup(r.NS, fib.Query{Dst: a}, room[:])
	if _, bad := routeError(res); bad || res.Unknown != "" || len(res.Choices) == 0 {
		return false
	}
	return res.Type == fib.Unicast && res.Choices[0].Hop.Dev != r.Name()
}
