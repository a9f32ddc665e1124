package fib

import "net/netip"

// deviceOf returns the device that an IPv4 address is local to (__ip_dev_find).
func (x *Index) deviceOf(a netip.Addr) (string, bool) {
	if dev, ok := x.addrs[a]; ok {
		return dev, true
	}
	tb := x.tables[0][TableLocal]
	if x.merged != nil {
		tb = x.merged
	}
	if tb == nil {
		return "", false
	}
	got, ok := x.table4(tb, &flow{q: Query{Dst: a}, dst: a})
	if !ok || got.err != "" || got.why != "" || got.e.r.Type != Local {
		return "", false
	}
	return got.e.hops[got.hop].Dev, true
}

// selectAddr is inet_select_addr: the first address of the device whose scope is
// wide enough, but rather one whose subnet has dst; else one of any device.
func (x *Index) selectAddr(dev string, dst netip.Addr, scope uint8) (netip.Addr, bool) {
	hostScope := uint8(scopeHost)
	if x.routeLocalnet(dev) {
		hostScope = scopeLink
	}
	var first netip.Addr
	for i := range x.t.Addrs {
		a := &x.t.Addrs[i]
		if a.Dev != dev || !a.Prefix.Addr().Is4() || a.Secondary || min(scopeNumber(a.Scope), hostScope) > scope {
			continue
		}
		if !dst.IsValid() || dst.IsUnspecified() || a.subnet().Contains(dst) {
			return a.Prefix.Addr(), true
		}
		if !first.IsValid() {
			first = a.Prefix.Addr()
		}
	}
	if first.IsValid() {
		return first, true
	}
	for i := range x.t.Addrs {
		a := &x.t.Addrs[i]
		s := scopeNumber(a.Scope)
		if a.Prefix.Addr().Is4() && !a.Secondary && s != scopeLink && s <= scope {
			return a.Prefix.Addr(), true
		}
	}
	return netip.Addr{}, false
}

// subnet is the prefix that the address puts on its link.
func (a *Addr) subnet() netip.Prefix {
	if a.Peer.IsValid() {
		return a.Peer
	}
	return a.Prefix
}

// SourceAddr returns the address that a packet to dst gets as its source where it
// leaves by dev, when no route says otherwise. That is MASQUERADE's choice too,
// which gives the next hop for dst. It returns false where there is none.
func (t *Tables) SourceAddr(dev string, dst netip.Addr) (netip.Addr, bool) {
	x := t.indexed()
	if dst.Is6() && !dst.Is4In6() {
		return x.source6(dev, dst)
	}
	return x.selectAddr(dev, dst.Unmap(), scopeUniverse)
}

// PrimaryAddr returns the first address of a device, to which REDIRECT sends packets.
func (t *Tables) PrimaryAddr(dev string, is6 bool) (netip.Addr, bool) {
	for _, a := range t.Addrs {
		if a.Dev == dev && a.Prefix.Addr().Is6() == is6 {
			return a.Prefix.Addr(), true
		}
	}
	return netip.Addr{}, false
}
