package netfilter

import (
	"net/netip"
	"strconv"
	"strings"

	"github.com/plumbnet/plumb/packet"
)

// protocols are the names that iptables-save prints for protocol numbers
// (/etc/protocols), beside those that packet.Proto has.
var protocols = map[string]packet.Proto{
	"icmp": 1, "igmp": 2, "ggp": 3, "ipencap": 4, "ipip": 4, "st": 5, "tcp": 6, "egp": 8, "igp": 9, "udp": 17,
	"dccp": 33, "ipv6": 41, "ipv6-route": 43, "ipv6-frag": 44, "rsvp": 46, "gre": 47, "esp": 50, "ah": 51, "skip": 57,
	"ipv6-icmp": 58, "icmpv6": 58, "icmp6": 58, "ipv6-nonxt": 59, "ipv6-opts": 60, "eigrp": 88, "ospf": 89, "etherip": 97,
	"encap": 98, "pim": 103, "ipcomp": 108, "vrrp": 112, "l2tp": 115, "sctp": 132, "mh": 135, "mobility-header": 135,
	"udplite": 136, "mpls-in-ip": 137,
}

// protocol reads the argument of -p; it reports whether it stands for any.
func (p *ruleParser) protocol(s string) (packet.Proto, bool) {
	if s == "tcp" { // as most rules have it
		return packet.TCP, false
	}
	s = strings.ToLower(s)
	if s == "all" || s == "0" {
		return 0, true
	}
	if n, ok := protocols[s]; ok {
		return n, false
	}
	if _, err := strconv.ParseUint(s, 0, 8); err != nil {
		p.misread("not a protocol: " + strconv.Quote(short(s)))
		return 0, true
	}
	return packet.Proto(p.number(s, 8)), false
}

// number reads a number as strtoul does: decimal, 0x…, or 0… for octal.
func (p *ruleParser) number(s string, bits int) uint64 {
	n, err := strconv.ParseUint(s, 0, bits)
	if err != nil {
		p.misread("not a number: " + strconv.Quote(short(s)))
	}
	return n
}

// span reads two numbers with sep between them, or one that is both. An end that is left out is lo or hi.
func (p *ruleParser) span(s, sep string, bits int) (lo, hi uint64) {
	a, b, two := strings.Cut(s, sep)
	if a != "" || !two {
		lo = p.number(a, bits)
	}
	switch {
	case !two:
		hi = lo
	case b == "":
		hi = 1<<bits - 1
	default:
		hi = p.number(b, bits)
	}
	return lo, hi
}

// address reads an address with a mask: 10.0.0.0/8, 10.0.0.1, 10.0.0.0/255.0.0.0.
func (p *ruleParser) address(s string) addrs {
	a, err := parsePrefix(s)
	if err != nil || a.Addr().Is6() != p.is6 {
		p.misread("not an address: " + strconv.Quote(short(s)))
		return addrs{}
	}
	return addrs{a}
}

// parsePrefix reads an address with an optional mask in either form.
func parsePrefix(s string) (netip.Prefix, error) {
	if i := strings.IndexByte(s, '/'); i < 0 {
		a, err := netip.ParseAddr(s)
		if err != nil {
			return netip.Prefix{}, err
		}
		return netip.PrefixFrom(a.WithZone(""), a.BitLen()), nil
	} else if strings.ContainsAny(s[i:], ".:") {
		return parseMasked(s[:i], s[i+1:])
	}
	n, err := netip.ParsePrefix(s)
	return n.Masked(), err
}

// parseMasked reads an address and a mask that is written as an address.
func parseMasked(addr, mask string) (netip.Prefix, error) {
	a, err := netip.ParseAddr(addr)
	if err != nil {
		return netip.Prefix{}, err
	}
	m, err := netip.ParseAddr(mask)
	if err != nil || m.Is6() != a.Is6() {
		return netip.Prefix{}, strconv.ErrSyntax
	}
	for n := range m.BitLen() + 1 {
		if ones, err := netip.PrefixFrom(allOnes(m), n).Addr().Prefix(n); err == nil && ones.Addr() == m {
			return a.Prefix(n)
		}
	}
	return netip.Prefix{}, strconv.ErrSyntax
}

// allOnes returns the address of a's family that has every bit set.
func allOnes(a netip.Addr) netip.Addr {
	b := a.AsSlice()
	for i := range b {
		b[i] = 0xff
	}
	ones, _ := netip.AddrFromSlice(b)
	return ones
}

// addrRange reads "10.0.0.1-10.0.0.9", or one address.
func (p *ruleParser) addrRange(s string) (lo, hi netip.Addr) {
	a, b, two := strings.Cut(s, "-")
	lo, err := netip.ParseAddr(a)
	hi = lo
	if err == nil && two {
		hi, err = netip.ParseAddr(b)
	}
	if err != nil || lo.Is6() != p.is6 || hi.Is6() != p.is6 || hi.Less(lo) {
		p.misread("not a range of addresses: " + strconv.Quote(short(s)))
		return netip.Addr{}, netip.Addr{}
	}
	return lo, hi
}

// masked is a value with a mask, as "--mark 0x4000/0x4000" has it.
type masked struct{ value, mask uint32 }

// masked reads VALUE or VALUE/MASK.
func (p *ruleParser) masked(s string) masked {
	v, m, ok := strings.Cut(s, "/")
	r := masked{uint32(p.number(v, 32)), 0xffffffff}
	if ok {
		r.mask = uint32(p.number(m, 32))
	}
	return r
}

func (m masked) meets(v uint32) bool { return v&m.mask == m.value }

// device reports whether a device meets a pattern; "eth+" stands for all that begin so.
func device(pattern, dev string) bool {
	if n := len(pattern) - 1; n >= 0 && pattern[n] == '+' {
		return strings.HasPrefix(dev, pattern[:n])
	}
	return pattern == dev
}
