package fib

import (
	"math/bits"
	"net/netip"
	"slices"
)

// source6 is ipv6_dev_get_saddr: RFC 6724 as the kernel implements it.
func (x *Index) source6(dev string, dst netip.Addr) (netip.Addr, bool) {
	scope := scope6(dst)
	onlyDev := dev != "" && (dst.IsMulticast() || scope <= scopeLinkLocal6)
	best := -1
	var bestScore [8]int
	for i := range x.t.Addrs {
		a := &x.t.Addrs[i]
		addr := a.Prefix.Addr()
		if !addr.Is6() || onlyDev && a.Dev != dev || addr.IsMulticast() || addr.IsUnspecified() {
			continue
		}
		if slices.Contains(a.Flags, "tentative") && !slices.Contains(a.Flags, "optimistic") {
			continue
		}
		s := x.scoreSource(a, dev, dst, scope)
		if best < 0 || slices.Compare(s[:], bestScore[:]) > 0 {
			best, bestScore = i, s
		}
	}
	if best < 0 {
		return netip.Addr{}, false
	}
	return x.t.Addrs[best].Prefix.Addr(), true
}

// scoreSource is ipv6_get_saddr_eval for each of its rules, the first weighing most.
func (x *Index) scoreSource(a *Addr, dev string, dst netip.Addr, scope int) [8]int {
	addr := a.Prefix.Addr()
	scoped := scope6(addr)
	if scoped >= scope {
		scoped = -scoped
	} else {
		scoped -= 128
	}
	optimistic := slices.Contains(a.Flags, "optimistic")
	deprecated := slices.Contains(a.Flags, "deprecated") || optimistic
	temporary := slices.Contains(a.Flags, "temporary")
	return [8]int{
		truth(addr == dst),
		scoped,
		truth(addr.IsLoopback() || addr.Is4In6() || !deprecated),
		truth(dev == "" || a.Dev == dev),
		truth(label6(addr) == label6(dst)),
		truth(temporary == x.t.UseTempAddr[a.Dev]),
		truth(isOrchid(addr) == isOrchid(dst)),
		2*min(commonBits(addr, dst), a.Prefix.Bits()) + truth(!optimistic),
	}
}

func truth(b bool) int {
	if b {
		return 1
	}
	return 0
}

const scopeLinkLocal6 = 2

// scope6 is __ipv6_addr_src_scope: the scope of RFC 4291.
func scope6(a netip.Addr) int {
	b := a.As16()
	switch {
	case a.IsMulticast():
		return int(b[1] & 0xf)
	case a.IsLoopback(), a.IsLinkLocalUnicast():
		return scopeLinkLocal6
	case b[0] == 0xfe && b[1]&0xc0 == 0xc0:
		return 5
	}
	return 0xe
}

// labels6 is the policy table that the kernel starts with ("ip addrlabel").
var labels6 = []struct {
	prefix netip.Prefix
	label  int
}{
	{netip.MustParsePrefix("::1/128"), 0},
	{netip.MustParsePrefix("::/96"), 3},
	{netip.MustParsePrefix("::ffff:0:0/96"), 4},
	{netip.MustParsePrefix("2001::/32"), 6},
	{netip.MustParsePrefix("2001:10::/28"), 7},
	{netip.MustParsePrefix("3ffe::/16"), 12},
	{netip.MustParsePrefix("2002::/16"), 2},
	{netip.MustParsePrefix("fec0::/10"), 11},
	{netip.MustParsePrefix("fc00::/7"), 5},
}

func label6(a netip.Addr) int {
	for _, l := range labels6 {
		if l.prefix.Contains(a) {
			return l.label
		}
	}
	return 1
}

var orchid = netip.MustParsePrefix("2001:10::/28")

func isOrchid(a netip.Addr) bool { return orchid.Contains(a) }

// commonBits returns the length of the longest prefix that two addresses share.
func commonBits(a, b netip.Addr) int {
	x, y := a.As16(), b.As16()
	for i := range x {
		if d := x[i] ^ y[i]; d != 0 {
			return 8*i + bits.LeadingZeros8(d)
		}
	}
	return 128
}
