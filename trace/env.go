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

// AddrType implements [netfilter.Env].
func (e *env) AddrType(a netip.Addr, dev string) netfilter.AddrType {
	return netfilter.AddrType(e.s.ns.FIB.AddrType(a, dev))
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
	var room [1]fib.Choice
	r := lookup(e.s.ns, q, room[:])
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

// MasqueradeSource implements [netfilter.Env] (nf_nat_masquerade.c): IPv4 asks for the next hop, IPv6 for the destination.
func (e *env) MasqueradeSource(dev string, p packet.Packet) (netip.Addr, bool) {
	if p.Is6() {
		return e.s.ns.FIB.SourceAddr(dev, p.Dst.Addr())
	}
	return e.s.ns.FIB.SourceAddr(dev, e.s.nextHop())
}

// PrimaryAddr implements [netfilter.Env].
func (e *env) PrimaryAddr(dev string, v6 bool) (netip.Addr, bool) {
	return e.s.ns.FIB.PrimaryAddr(dev, v6)
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
	case l.best == nil, noWildcard && l.best.Local.Addr().IsUnspecified():
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
	var room [1]fib.Choice
	back := lookup(e.s.ns, fib.Query{Dst: p.Src.Addr()}, room[:])
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
