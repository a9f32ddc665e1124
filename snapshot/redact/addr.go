package redact

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/plumbnet/plumb/packet"
)

// spans4 and spans6 are the ranges that mean something to kernels. The pseudonym of what is
// in one is in it, and of what is in a fixed one it is the same. The ranges of IPv6 that are
// not fixed are those that the choice of a source address asks for (RFC 6724).
var (
	spans4 = spansOf([]string{"0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/3"}, nil)
	spans6 = spansOf([]string{"::/96", "ff00::/8"},
		[]string{"::ffff:0:0/96", "64:ff9b::/96", "100::/64", "2001::/32", "2001:10::/28", "2002::/16", "3ffe::/16", "fc00::/7", "fe80::/10", "fec0::/10"})
	// spansMAC are those of no device and of Calico's, and the groups of IPv4.
	spansMAC = []span{
		{make([]byte, 6), 48, true}, {[]byte{0xee, 0xee, 0xee, 0xee, 0xee, 0xee}, 48, true}, {[]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, 48, true},
		{[]byte{0x01, 0, 0x5e, 0, 0, 0}, 25, true}, {[]byte{0x01, 0x80, 0xc2, 0, 0, 0}, 24, true}, {[]byte{0x33, 0x33, 0xff, 0, 0, 0}, 24, false}, {[]byte{0x33, 0x33, 0, 0, 0, 0}, 16, true},
	}
)

func spansOf(fixed, kept []string) []span {
	var out []span
	for i, s := range slices.Concat(fixed, kept) {
		p := netip.MustParsePrefix(s)
		out = append(out, span{p.Addr().AsSlice(), p.Bits(), i < len(fixed)})
	}
	return out
}

// free4 says where an IPv4 address may change. The last byte does not, for a network of /24 or
// less to keep its first and last address; in the third, the first and last values do not.
func free4(b []byte) func(int) bool {
	return func(depth int) bool {
		if depth >= 24 || depth >= 16 && (same(b, 16, depth, 0) || same(b, 16, depth, 1)) {
			return false
		}
		return !leads(spans4, b, depth)
	}
}

// free6 says where an IPv6 address may change. Not in the last byte, nor in the zeros that a
// network, or an interface identifier, begins with.
func free6(b []byte) func(int) bool {
	return func(depth int) bool {
		switch {
		case depth >= 120,
			depth >= 64 && same(b, 64, depth, 0),
			depth >= 48 && depth < 64 && same(b, 48, depth, 0):
			return false
		}
		return !leads(spans6, b, depth)
	}
}

// freeMAC says where a MAC address may change: not in the bits "local" and "group".
func freeMAC(b []byte) func(int) bool {
	return func(depth int) bool { return depth != 6 && depth != 7 && !leads(spansMAC, b, depth) }
}

// mac returns the pseudonym of a MAC address.
func (r *redactor) mac(m packet.MAC) packet.MAC {
	if to, ok := r.macOf[m]; ok {
		return to
	}
	b := m[:]
	to := packet.MAC(r.macs.permute(b, freeMAC(b)))
	if m[0] == 0x33 && m[1] == 0x33 && m[2] == 0xff {
		copy(to[3:], r.solicited(m[3:]))
	}
	r.macOf[m] = to
	return to
}

// solicited redacts the end of a solicited-node address, or of the group that carries it,
// which is the end of a device's own (RFC 4291, 2.7.1).
func (r *redactor) solicited(end []byte) []byte {
	return r.groups.permute(end, func(int) bool { return true })
}

// addr returns the pseudonym of an address.
func (r *redactor) addr(a netip.Addr) netip.Addr {
	return r.host(netip.PrefixFrom(a.WithZone(""), a.BitLen())).Addr().WithZone(r.iface(a.Zone()))
}

// host is addr, and keeps what it finds.
func (r *redactor) host(p netip.Prefix) netip.Prefix {
	if to, ok := r.prefixOf[p]; ok {
		return to
	}
	to := netip.PrefixFrom(r.compute(p.Addr()), p.Bits())
	r.prefixOf[p] = to
	return to
}

var (
	nat64     = netip.MustParsePrefix("64:ff9b::/96")
	linkLocal = netip.MustParsePrefix("fe80::/64")
	nodeGroup = netip.MustParsePrefix("ff02::1:ff00:0/104")
)

func (r *redactor) compute(a netip.Addr) netip.Addr {
	b := a.AsSlice()
	switch {
	case a.Is4():
		return addrOf(r.v4.permute(b, free4(b)))
	case a.Is4In6(), nat64.Contains(a):
		v4 := r.addr(netip.AddrFrom4([4]byte(b[12:])))
		return addrOf(append(b[:12], v4.AsSlice()...))
	case nodeGroup.Contains(a):
		return addrOf(append(b[:13], r.solicited(b[13:])...))
	case linkLocal.Contains(a):
		return addrOf(append(b[:8], r.identifier(b[8:])...))
	}
	return addrOf(r.v6.permute(b, free6(b)))
}

func addrOf(b []byte) netip.Addr {
	a, _ := netip.AddrFromSlice(b)
	return a
}

// identifier redacts an interface identifier of fe80::/64. One that is made of a MAC address
// (RFC 4291, appendix A: ff:fe in its middle) is made of that one's pseudonym; others stay others.
func (r *redactor) identifier(id []byte) []byte {
	if id[3] == 0xff && id[4] == 0xfe {
		m := r.mac(packet.MAC{id[0] ^ 2, id[1], id[2], id[5], id[6], id[7]})
		return []byte{m[0] ^ 2, m[1], m[2], 0xff, 0xfe, m[3], m[4], m[5]}
	}
	b := []byte{id[3], id[4], id[0], id[1], id[2], id[5], id[6], id[7]}
	middle := []span{{[]byte{0xff, 0xfe}, 16, true}}
	to := r.ids.permute(b, func(depth int) bool {
		return depth < 56 && !same(b, 0, depth, 0) && !leads(middle, b, depth)
	})
	return []byte{to[2], to[3], to[4], to[0], to[1], to[5], to[6], to[7]}
}

// prefix returns the pseudonym of a prefix. What is below it stays so: of a network the bits after
// the length are zero, of an address with a length they are its own.
func (r *redactor) prefix(p netip.Prefix) netip.Prefix {
	if p.Bits() == p.Addr().BitLen() {
		return r.host(p)
	}
	if p != p.Masked() {
		return netip.PrefixFrom(r.addr(p.Addr()), p.Bits())
	}
	to, ok := r.prefixOf[p]
	if !ok {
		to = netip.PrefixFrom(r.compute(p.Addr()), p.Bits()).Masked()
		r.prefixOf[p] = to
	}
	return to
}

// prefixText writes a prefix, or the address alone where it is one.
func prefixText(p netip.Prefix) string {
	if p.IsSingleIP() {
		return p.Addr().String()
	}
	return p.String()
}

// maskBits returns the length of a netmask; false where a is none.
func maskBits(a netip.Addr) (int, bool) {
	b := a.AsSlice()
	n := 0
	for n < len(b)*8 && bit(b, n) == 1 {
		n++
	}
	return n, len(b) > 0 && same(b, n, len(b)*8, 0)
}

// between returns the pseudonym of a range. Of a range that is neither a network nor within
// the last byte of its addresses there is none, for its pseudonyms are no range.
func (r *redactor) between(lo, hi netip.Addr) (_, _ netip.Addr, ok bool) {
	if lo.BitLen() != hi.BitLen() || hi.Less(lo) {
		return lo, hi, false
	}
	a, b := lo.AsSlice(), hi.AsSlice()
	n := common(a, b, len(a)*8)
	if same(a, n, len(a)*8, 0) && same(b, n, len(b)*8, 1) {
		p := r.prefix(netip.PrefixFrom(lo, n))
		return p.Addr(), lastOf(p), true
	}
	if n < len(a)*8-8 || linkLocal.Contains(lo) {
		return lo, hi, false
	}
	return r.addr(lo), r.addr(hi), true
}

// lastOf returns the last address of a prefix.
func lastOf(p netip.Prefix) netip.Addr {
	b := p.Addr().AsSlice()
	for i := p.Bits(); i < len(b)*8; i++ {
		b[i/8] |= 1 << (7 - i%8)
	}
	return addrOf(b)
}

// hexAddr redacts an address as /proc/net/ip_vs prints it: "0A60000A".
func (r *redactor) hexAddr(s string) (string, bool) {
	n, err := strconv.ParseUint(s, 16, 32)
	if err != nil || len(s) != 8 {
		return "", false
	}
	to := r.addr(netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, uint32(n))))).As4()
	return strings.ToUpper(strconv.FormatUint(1<<32|uint64(binary.BigEndian.Uint32(to[:])), 16)[1:]), true
}

// mobile returns how many bits of a prefix may change at all.
func mobile(p netip.Prefix) int {
	a, b := p.Addr(), p.Addr().AsSlice()
	free := free6(b)
	switch {
	case a.Is4():
		free = free4(b)
	case a.Is4In6(), nat64.Contains(a):
		return mobile(netip.PrefixFrom(netip.AddrFrom4([4]byte(b[12:])), max(p.Bits()-96, 0)))
	case nodeGroup.Contains(a):
		return max(p.Bits()-104, 0)
	case linkLocal.Contains(a):
		return mobileID(b[8:])
	}
	n := 0
	for depth := range p.Bits() {
		if free(depth) {
			n++
		}
	}
	return n
}

// mobileID is mobile for an interface identifier.
func mobileID(id []byte) int {
	mac := []byte{id[0] ^ 2, id[1], id[2], id[5], id[6], id[7]}
	if same(id, 0, 56, 0) || id[3] == 0xff && id[4] == 0xfe && leads(spansMAC, mac, 47) {
		return 0
	}
	return 32
}
