package trace

import (
	"net/netip"

	"github.com/plumbnet/plumb/fib"
	"github.com/plumbnet/plumb/netfilter"
	"github.com/plumbnet/plumb/packet"
)

// An env answers what rules ask about the namespace that a packet is in.
type env struct {
	w *walk
	s *state
}

// Conntrack implements [netfilter.Env].
func (e *env) Conntrack(p packet.Packet, zone uint16) netfilter.Conn { return e.s.conntrack(&p, zone) }

var limited = netip.AddrFrom4([4]byte{255, 255, 255, 255})

// AddrType implements [netfilter.Env], as inet_addr_type and its IPv6 twin do.
func (e *env) AddrType(a netip.Addr, dev string) netfilter.AddrType {
	switch {
	case a.IsMulticast():
		return "MULTICAST"
	case a == limited, a.Is4() && zeroNet.Contains(a):
		return "BROADCAST"
	}
	r := lookup(e.s.ns, fib.Query{Dst: a, IIF: "lo"})
	if r.Unknown != "" {
		return ""
	}
	here := dev == "" || usesDevice(r, dev) || len(r.Choices) > 0 && r.Choices[0].Route != nil && onDevice(r.Choices[0].Route, dev)
	switch {
	case r.Type == fib.Local && r.Err == "" && here:
		return "LOCAL"
	case r.Type == fib.Broadcast && r.Err == "" && here:
		return "BROADCAST"
	case a.Is6() && r.Type == fib.Anycast && here:
		return "ANYCAST"
	case a.Is6() && routeFailed(r):
		return "UNREACHABLE"
	}
	return "UNICAST"
}

func onDevice(r *fib.Route, dev string) bool {
	for i := range r.Hops {
		if r.Hops[i].Dev == dev {
			return true
		}
	}
	return false
}

// ReversePath implements [netfilter.Env] (ipt_rpfilter.c).
func (e *env) ReversePath(p packet.Packet, dev string, loose, validMark, acceptLocal bool) netfilter.Tri {
	if dev == "lo" {
		return netfilter.Yes
	}
	q := fib.Query{Dst: p.Src.Addr(), Src: p.Dst.Addr(), IIF: "lo", TOS: p.TOS}
	if p.Is6() {
		q.Src = netip.Addr{}
	}
	if validMark {
		q.Mark = p.Mark
	}
	r := lookup(e.s.ns, q)
	switch {
	case r.Unknown != "":
		return netfilter.Maybe
	case routeFailed(r), r.Type != fib.Unicast && !(r.Type == fib.Local && acceptLocal):
		return netfilter.No
	case loose, usesDevice(r, dev):
		return netfilter.Yes
	}
	return netfilter.No
}

// MasqueradeSource implements [netfilter.Env] (nf_nat_masquerade.c).
func (e *env) MasqueradeSource(dev string, p packet.Packet) (netip.Addr, bool) {
	if p.Is6() {
		r := lookup(e.s.ns, fib.Query{Dst: p.Dst.Addr(), OIF: dev})
		if len(r.Choices) > 0 && r.Choices[0].Src.IsValid() {
			return r.Choices[0].Src, true
		}
		return e.PrimaryAddr(dev, true)
	}
	d := e.s.ns.Iface(dev)
	if d == nil {
		return netip.Addr{}, false
	}
	nh := e.s.nextHop()
	var first netip.Addr
	for i := range d.Link.Addrs {
		a := &d.Link.Addrs[i]
		if !a.Local.Is4() || a.Secondary || a.Scope != "" && a.Scope != "global" {
			continue
		}
		if !first.IsValid() {
			first = a.Local
		}
		if pfx, err := a.Local.Prefix(a.Len); err == nil && pfx.Contains(nh) {
			return a.Local, true
		}
	}
	if first.IsValid() {
		return first, true
	}
	r := lookup(e.s.ns, fib.Query{Dst: p.Dst.Addr(), OIF: dev})
	if len(r.Choices) > 0 && r.Choices[0].Src.IsValid() {
		return r.Choices[0].Src, true
	}
	return netip.Addr{}, false
}

// PrimaryAddr implements [netfilter.Env].
func (e *env) PrimaryAddr(dev string, v6 bool) (netip.Addr, bool) {
	d := e.s.ns.Iface(dev)
	if d == nil {
		return netip.Addr{}, false
	}
	for i := range d.Link.Addrs {
		if a := &d.Link.Addrs[i]; a.Local.Is6() == v6 && !a.Secondary && !a.Tentative && !(v6 && a.Local.IsLinkLocalUnicast()) {
			return a.Local, true
		}
	}
	return netip.Addr{}, false
}

// Socket implements [netfilter.Env].
func (e *env) Socket(p packet.Packet, transparent, noWildcard bool) netfilter.Tri {
	if e.w.want != nil && e.w.want.ns == e.s.ns && e.w.want.takes(&p) {
		return netfilter.Yes
	}
	l := listeners(e.s.ns, &p, e.s.in)
	switch {
	case l.best == nil && e.w.net.Missing(e.s.ns, "sockets") != "":
		return netfilter.Maybe
	case l.best == nil, !noWildcard && false, noWildcard && l.best.Local.Addr().IsUnspecified():
		return netfilter.No
	case transparent:
		return netfilter.Maybe // whether a socket is transparent is not collected
	}
	return netfilter.Yes
}

// PathMTU implements [netfilter.Env].
func (e *env) PathMTU(p packet.Packet, out string) int {
	mtu := 0
	if e.s.out != nil && e.s.out.Name() == out {
		mtu = e.s.routeMTU()
	}
	back := lookup(e.s.ns, fib.Query{Dst: p.Src.Addr()})
	if len(back.Choices) == 0 {
		return mtu
	}
	d := e.s.ns.Iface(back.Choices[0].Hop.Dev)
	if d == nil || d.IsLoopback() {
		return mtu
	}
	m := deviceMTU(d, p.Is6())
	if r := back.Choices[0].Route; r != nil && r.MTU > 0 {
		m = r.MTU
	}
	if mtu == 0 {
		return m
	}
	return min(mtu, m)
}
