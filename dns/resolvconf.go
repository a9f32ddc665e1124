package dns

import (
	"cmp"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// A Conf is what a resolv.conf says (resolv.conf(5)).
type Conf struct {
	Servers []netip.Addr // in the order in which they are asked; all of them
	Search  []string     // without a dot at the end; "" is the root
	Options []string     // "ndots:5"; of two of one name the later
}

// ParseConf reads a resolv.conf. Lines that are not understood say nothing to resolvers either.
func ParseConf(s string) (c Conf) {
	for line := range strings.Lines(s) {
		f := strings.Fields(line)
		if len(f) < 2 || strings.ContainsAny(line[:1], "#;") {
			continue
		}
		switch f[0] {
		case "nameserver":
			if a, err := netip.ParseAddr(f[1]); err == nil {
				c.Servers = append(c.Servers, a)
			}
		case "domain":
			c.Search = []string{strings.TrimSuffix(f[1], ".")}
		case "search":
			c.Search = nil
			for _, d := range f[1:] {
				if strings.ContainsAny(d[:1], "#;") {
					break
				}
				c.Search = append(c.Search, strings.TrimSuffix(d, "."))
			}
		case "options":
			for _, o := range f[1:] {
				c.setOption(o)
			}
		}
	}
	return c
}

// setOption adds an option, in the place of one of its name.
func (c *Conf) setOption(o string) {
	name, _, _ := strings.Cut(o, ":")
	for i, old := range c.Options {
		if was, _, _ := strings.Cut(old, ":"); was == name {
			c.Options[i] = o
			return
		}
	}
	c.Options = append(c.Options, o)
}

// maxNDots is the most that resolvers take for ndots.
const maxNDots = 15

// NDots returns how many dots a name must have to be asked for as it is first: 1 where nothing is said.
func (c Conf) NDots() int {
	for _, o := range c.Options {
		if s, ok := strings.CutPrefix(o, "ndots:"); ok {
			if n, err := strconv.Atoi(s); err == nil && n >= 0 {
				return min(n, maxNDots)
			}
		}
	}
	return 1
}

// String writes the file.
func (c Conf) String() string {
	var b strings.Builder
	for _, s := range c.Servers {
		b.WriteString("nameserver " + s.String() + "\n")
	}
	if len(c.Search) > 0 {
		b.WriteString("search")
		for _, d := range c.Search {
			b.WriteString(" " + cmp.Or(d, "."))
		}
		b.WriteString("\n")
	}
	if len(c.Options) > 0 {
		b.WriteString("options " + strings.Join(c.Options, " ") + "\n")
	}
	return b.String()
}

// A Libc is the C library whose resolver looks names up. They differ in what they try.
type Libc uint8

// The C libraries. Glibc is the zero value: most images have it, and Go's own resolver does the same.
const (
	Glibc Libc = iota
	Musl       // Alpine
)

// maxServers is how many name servers either asks.
const maxServers = 3

// Asked returns the name servers that are asked: the first three. Where none is named it is the machine itself.
func (c Conf) Asked() []netip.Addr {
	if len(c.Servers) == 0 {
		return []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1})}
	}
	return slices.Clone(c.Servers[:min(maxServers, len(c.Servers))])
}

// Expand returns the names that are asked for, in their order, until one is found ([Libc.Next] says
// when): that of a search list, and the name as it is. A dot at its end makes it complete.
func (c Conf) Expand(name string, l Libc) (out []string) {
	if strings.HasSuffix(name, ".") {
		return []string{fqdn(name)}
	}
	asIs := fqdn(name)
	first := strings.Count(name, ".") >= c.NDots()
	if first && l == Musl {
		return []string{asIs}
	}
	add := func(s string) {
		if isName(s) && !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	if first {
		add(asIs)
	}
	for _, d := range c.Search {
		if d == "" {
			add(asIs)
			continue
		}
		add(fqdn(name + "." + d))
	}
	add(asIs)
	return out
}

// Next reports whether the next name is tried after an answer: after one that there is no such name
// both do. After one without an address, and after a failure, only glibc does.
func (l Libc) Next(rcode string, addresses bool) bool {
	switch {
	case rcode == NXDomain:
		return true
	case rcode == NoError:
		return !addresses && l == Glibc
	}
	return l == Glibc && rcode == ServFail
}
