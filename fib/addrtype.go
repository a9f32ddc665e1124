package fib

import "net/netip"

// AddrType returns the type of an address as "-m addrtype" names it: "LOCAL",
// "UNICAST", "BROADCAST", "MULTICAST", "ANYCAST", "UNREACHABLE", "UNSPEC". With
// dev not "", only what belongs to dev counts as local (inet_dev_addr_type;
// for IPv6 the lookup of xt_addrtype).
func (t *Tables) AddrType(a netip.Addr, dev string) string {
	a = a.Unmap()
	if !a.IsValid() {
		return ""
	}
	if a.Is6() {
		return t.addrType6(a, dev)
	}
	return t.indexed().addrType4(a, dev)
}

var typeWords = map[RouteType]string{Unicast: "UNICAST", Local: "LOCAL", Broadcast: "BROADCAST", Anycast: "ANYCAST", Multicast: "MULTICAST"}

func (x *Index) addrType4(a netip.Addr, dev string) string {
	if isZeronet(a) || a == broadcast4 {
		return "BROADCAST"
	}
	if a.IsMulticast() {
		return "MULTICAST"
	}
	tb := x.tables[0][TableLocal]
	if x.merged != nil {
		tb = x.merged
	}
	if tb == nil {
		return "UNICAST"
	}
	got, ok := x.table4(tb, &flow{q: Query{Dst: a}, dst: a})
	if !ok || got.err != "" || got.why != "" || dev != "" && got.e.hops[0].Dev != dev {
		return "UNICAST"
	}
	return typeWords[got.e.r.Type]
}

func (t *Tables) addrType6(a netip.Addr, dev string) string {
	if a.IsUnspecified() {
		return "UNSPEC"
	}
	if a.IsMulticast() {
		return "MULTICAST"
	}
	if dev != "" {
		return t.addrTypeOn(a, dev)
	}
	res := t.Lookup(Query{Dst: a})
	switch {
	case res.Unknown != "":
		return ""
	case res.Err != "":
		return "UNREACHABLE"
	}
	return typeWords[res.Type]
}

// addrTypeOn says whether dev has the address (nf_ipv6_chk_addr).
func (t *Tables) addrTypeOn(a netip.Addr, dev string) string {
	for _, ad := range t.Addrs {
		if ad.Dev == dev && ad.Prefix.Addr() == a {
			return "LOCAL"
		}
	}
	res := t.Lookup(Query{Dst: a, OIF: dev})
	if res.Unknown == "" && res.Err != "" {
		return "UNREACHABLE"
	}
	return "UNICAST"
}

// IsLocal reports whether packets to a are this host's own, by its local routes.
func (t *Tables) IsLocal(a netip.Addr) bool {
	a = a.Unmap()
	if a.Is6() {
		res := t.Lookup(Query{Dst: a})
		return res.Unknown == "" && res.Err == "" && res.Type == Local
	}
	return t.AddrType(a, "") == "LOCAL"
}
