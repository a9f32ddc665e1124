package redact

import (
	"cmp"
	"net/netip"
	"regexp"
	"strings"
)

// isAddr reports whether a text is an address.
func (r *redactor) isAddr(text string) bool {
	s := scan{text: text}
	return s.next() && s.kind != tokWord && len(s.tok) == len(text)
}

// netmask reports whether a text is an IPv4 netmask: "255.255.255.0".
func netmask(text string) bool {
	a, err := netip.ParseAddr(text)
	n, ok := maskBits(a)
	return err == nil && ok && (n > 7 || a.Is6() && n > 0)
}

// addresses redacts an argument of addresses: "10.0.0.1", "10.0.0.0/8", "10.0.0.0/255.0.0.0",
// "10.0.0.1-10.0.0.9:80-90", "[fd00::1]:80", and several with commas between.
func (r *redactor) addresses(text string) string {
	list := strings.Split(text, ",")
	for i, one := range list {
		list[i] = r.address(one)
	}
	return strings.Join(list, ",")
}

func (r *redactor) address(text string) string {
	if to, ok := r.one(text); ok || plain(text) {
		return cmp.Or(to, text)
	}
	host, ports := cutPorts(text)
	open, end := "", ""
	if inner, ok := strings.CutPrefix(host, "["); ok {
		host, open, end = strings.TrimSuffix(inner, "]"), "[", "]"
	}
	if !portSpan.MatchString(ports) {
		return r.name(text)
	}
	lo, hi, isRange := strings.Cut(host, "-")
	a, err := netip.ParseAddr(lo)
	switch {
	case host == "":
		return text
	case err == nil && !isRange:
		return open + r.addr(a).String() + end + ports
	case err == nil:
		b, err := netip.ParseAddr(hi)
		from, to, ok := r.between(a, b)
		if err != nil || !ok {
			return lost
		}
		return open + from.String() + "-" + to.String() + end + ports
	}
	if at, mask, ok := strings.Cut(host, "/"); ok && ports == "" {
		return r.masked(at, mask)
	}
	return r.name(text)
}

// portSpan is what follows an address: ":80", ":80-90/100".
var portSpan = regexp.MustCompile(`^(:[0-9]{1,5}(-[0-9]{1,5})?(/[0-9]{1,5})?)?$`)

// cutPorts cuts an address before its ports.
func cutPorts(text string) (host, ports string) {
	i := strings.LastIndexByte(text, ':')
	if i < 0 || strings.HasSuffix(text, "]") || strings.Count(text, ":") > 1 && !strings.Contains(text, "]") {
		return text, ""
	}
	return text[:i], text[i:]
}

// masked redacts an address with a netmask that is written as one.
func (r *redactor) masked(at, mask string) string {
	a, err := netip.ParseAddr(at)
	m, err2 := netip.ParseAddr(mask)
	n, ok := maskBits(m)
	if err != nil || err2 != nil || !ok || m.BitLen() != a.BitLen() {
		return lost
	}
	return r.prefix(netip.PrefixFrom(a, n)).Addr().String() + "/" + mask
}
