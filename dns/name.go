package dns

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// fqdn returns a name in lower case and with the dot at its end, as all names are compared.
func fqdn(s string) string {
	if !strings.HasSuffix(s, ".") {
		s += "."
	}
	return strings.ToLower(s)
}

// The bounds of RFC 1035, 2.3.4: a label, and a name as it is sent, less the root's byte.
const (
	maxLabel = 63
	maxName  = 254
)

// isName reports whether s can be asked for. Names with escapes are none here.
func isName(s string) bool {
	if s == "." {
		return true
	}
	s = strings.TrimSuffix(s, ".")
	if s == "" || len(s) > maxName || strings.Contains(s, `\`) {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > maxLabel {
			return false
		}
	}
	return true
}

// within reports whether a name is a zone's own or below it. Both end in a dot.
func within(name, zone string) bool {
	return zone == "." || name == zone || strings.HasSuffix(name, "."+zone)
}

// zones are names of zones: "cluster.local.".
type zones []string

// match returns the longest zone that a name is within, or "".
func (z zones) match(name string) (longest string) {
	for _, zone := range z {
		if within(name, zone) && len(zone) > len(longest) {
			longest = zone
		}
	}
	return longest
}

// below returns the labels of a name that are in front of a zone's.
func below(name, zone string) []string {
	rest := strings.TrimSuffix(name, ".")
	if zone != "." {
		rest = strings.TrimSuffix(strings.TrimSuffix(name, zone), ".")
	}
	if rest == "" {
		return nil
	}
	return strings.Split(rest, ".")
}

// The zones of names for addresses.
const (
	arpa4 = ".in-addr.arpa."
	arpa6 = ".ip6.arpa."
)

// isReverse reports whether a zone or name is one of names for addresses, as CoreDNS sees it: in-addr.arpa
// itself is none.
func isReverse(name string) bool {
	return strings.HasSuffix(name, arpa4) || strings.HasSuffix(name, arpa6)
}

// reverseAddr returns the address that a name of in-addr.arpa or ip6.arpa stands for, if it is one's.
func reverseAddr(name string) (a netip.Addr, ok bool) {
	if s, is4 := strings.CutSuffix(name, arpa4); is4 {
		parts := strings.Split(s, ".")
		slices.Reverse(parts)
		a, err := netip.ParseAddr(strings.Join(parts, "."))
		return a, err == nil && a.Is4()
	}
	s, is6 := strings.CutSuffix(name, arpa6)
	nibbles := strings.Split(s, ".")
	if !is6 || len(nibbles) != 32 {
		return a, false
	}
	slices.Reverse(nibbles)
	digits := strings.Join(nibbles, "")
	if len(digits) != 32 {
		return a, false
	}
	var groups []string
	for i := 0; i < 32; i += 4 {
		groups = append(groups, digits[i:i+4])
	}
	a, err := netip.ParseAddr(strings.Join(groups, ":"))
	return a, err == nil && !a.Is4In6()
}

// ReverseName returns the name under which the name of an address is looked up.
func ReverseName(a netip.Addr) string {
	if a = a.Unmap(); a.Is4() {
		b := a.As4()
		return fmt.Sprintf("%d.%d.%d.%d.in-addr.arpa.", b[3], b[2], b[1], b[0])
	}
	var s strings.Builder
	b := a.As16()
	for i := len(b) - 1; i >= 0; i-- {
		fmt.Fprintf(&s, "%x.%x.", b[i]&15, b[i]>>4)
	}
	return s.String() + "ip6.arpa."
}

// A zoneKey is what a server block or a plugin's argument names as a zone.
type zoneKey struct {
	transport string   // "dns", "tls", "quic", "grpc", "https", "https3", "unix"
	zones     []string // one, or those that a range of addresses comes to
	port      string   // "" where none is written
}

// transports are the schemes that a zone or upstream may begin with; their default ports.
var transports = map[string]string{"dns": "53", "tls": "853", "quic": "853", "grpc": "443", "https": "443", "https3": "443", "unix": ""}

// cutTransport splits "tls://example.org" in two; without a scheme it is "dns".
func cutTransport(s string) (transport, rest string) {
	scheme, rest, found := strings.Cut(s, "://")
	if _, known := transports[scheme]; found && known {
		return scheme, rest
	}
	return "dns", s
}

// parseZone reads "[scheme://]zone[:port]", where the zone may be a range of addresses.
func parseZone(s string) (zoneKey, error) {
	k := zoneKey{}
	k.transport, s = cutTransport(s)
	colon := strings.LastIndexByte(s, ':')
	if colon == len(s)-1 {
		return k, fmt.Errorf("expecting data after last colon: %q", s)
	}
	if colon >= 0 {
		if n, err := strconv.Atoi(s[colon+1:]); err == nil {
			k.port, s = strconv.Itoa(n), s[:colon]
		}
	}
	if !isName(s) && !strings.Contains(s, `\`) {
		return k, fmt.Errorf("zone is not a valid domain name: %s", s)
	}
	if c, err := netip.ParsePrefix(s); err == nil {
		k.zones = reverseZones(c.Masked())
		return k, nil
	}
	k.zones = []string{fqdn(s)}
	return k, nil
}

// reverseZones returns the zones of names for the addresses of a range: one, where it ends at a
// label, and else all those that it is made of.
func reverseZones(c netip.Prefix) (out []string) {
	step, all := 8, 32
	if c.Addr().Is6() {
		step, all = 4, 128
	}
	bits := (c.Bits() + step - 1) / step * step
	a := c.Addr()
	for range 1 << (bits - c.Bits()) {
		labels := strings.SplitAfter(ReverseName(a), ".")
		out = append(out, strings.Join(labels[(all-bits)/step:], ""))
		a = nextRange(a, bits)
	}
	return out
}

// nextRange returns the first address after the range of that length which a begins.
func nextRange(a netip.Addr, bits int) netip.Addr {
	b := a.AsSlice()
	add := 1 << ((8 - bits%8) % 8)
	for i := (bits - 1) / 8; i >= 0 && bits > 0 && add > 0; i-- {
		sum := int(b[i]) + add
		b[i], add = byte(sum), sum>>8
	}
	next, _ := netip.AddrFromSlice(b)
	return next
}

// parseZones reads the zones that a plugin names; those that are none are left out, as CoreDNS
// does. Without any they are those of the server block.
func parseZones(args, block []string) (out zones) {
	if len(args) == 0 {
		return block
	}
	for _, s := range args {
		if k, err := parseZone(s); err == nil {
			out = append(out, k.zones...)
		}
	}
	return out
}
