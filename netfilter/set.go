package netfilter

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/plumbnet/plumb/packet"
)

// A Set is an ipset.
type Set struct {
	Name     string
	Type     string   // "hash:ip", "hash:net,port" …
	Is6      bool     // family inet6
	Members  int      // the number of its entries
	dims     []string // "ip", "net", "port", "iface", "mac", "mark", "set"
	hash     bool
	keep     netip.Addr // of "netmask" and "bitmask": the bits that count; invalid for all
	markMask uint32
	elems    []elem
	byAddr   map[netip.Prefix][]int32 // elems by their first address
	lens     []int                    // the lengths of the prefixes in byAddr, the longest first
	unread   string                   // why entries may be missing, "" if none is
}

// elem is one entry of a set.
type elem struct {
	addr     [2]netip.Prefix // of the first, and of the second address
	plo, phi uint16
	proto    packet.Proto
	nomatch  bool
	wildcard bool // iface is a prefix
	phys     bool // iface is a port of a bridge
	mac      packet.MAC
	hasMAC   bool
	mark     uint32
	iface    string // or the name of the set in a list:set
}

// setMatch is "-m set".
type setMatch struct {
	name          string
	src           []bool // for each dimension: the source, not the destination
	not           bool
	returnNomatch bool
	counters      bool
}

func newSetMatch(p *ruleParser, _ *rule, o []opt) match {
	m := &setMatch{}
	for _, o := range o {
		switch o.name {
		case "--match-set":
			m.name, m.not = o.a, o.not
			for d := range strings.SplitSeq(o.b, ",") {
				m.src = append(m.src, d == "src")
			}
		case "--return-nomatch":
			m.returnNomatch = true
		case "--update-counters", "--update-subcounters":
		default:
			m.counters = true
		}
	}
	return m
}

func (m *setMatch) match(e *eval, s *state) Tri {
	set := e.r.Sets[m.name]
	if set == nil {
		return e.maybe("the set " + m.name + " was not collected")
	}
	in := set.test(e, s, m.src, m.returnNomatch)
	if in == Yes && m.counters {
		return e.maybe("the counters of set " + m.name + " were not collected")
	}
	if in == No && set.unread != "" {
		return e.maybe("set " + m.name + " was not read to its end: " + set.unread)
	}
	return in.xor(m.not)
}

// test is ip_set_test: --return-nomatch, which finds the exceptions alone, counts
// where a set can hold any, and for each set of a list on its own.
func (t *Set) test(e *eval, s *state, src []bool, returnNomatch bool) Tri {
	if t.Type == "list:set" {
		return t.anyOf(e, s, src, returnNomatch)
	}
	in, nomatch := t.has(e, s, src)
	if !slices.Contains(t.dims, "net") {
		return in
	}
	return in.and(tri(nomatch == returnNomatch))
}

// has looks the packet up. nomatch reports that the entry found is an exception.
func (t *Set) has(e *eval, s *state, src []bool) (in Tri, nomatch bool) {
	switch {
	case len(src) < len(t.dims):
		return No, false
	case t.byAddr == nil:
		return t.best(e, s, src, nil)
	}
	a := end(s, src[0]).Addr()
	if a.Is6() != t.Is6 {
		return No, false
	}
	a = t.masked(a)
	for _, n := range t.lens {
		p, err := a.Prefix(n)
		if err != nil {
			continue
		}
		list := t.byAddr[p]
		// A net that is there for another device hides wider ones ("multi" in
		// mtype_test_cidrs); one for a bridge port, which has another hash, does not.
		hides := slices.Contains(t.dims, "iface") && slices.ContainsFunc(list, func(i int32) bool { return !t.elems[i].phys })
		if in, nomatch = t.best(e, s, src, list); len(list) > 0 && (in != No || hides) {
			return in, nomatch
		}
	}
	return No, false
}

// best returns the entry that fits most closely; list nil stands for all entries.
func (t *Set) best(e *eval, s *state, src []bool, list []int32) (in Tri, nomatch bool) {
	in, bits := No, -1
	look := func(x *elem) {
		m := t.fits(e, s, src, x)
		if m == No || x.addr[1].Bits() < bits && in == Yes {
			return
		}
		in, nomatch, bits = m, x.nomatch, max(x.addr[1].Bits(), 0)
	}
	if t.byAddr == nil {
		for i := range t.elems {
			look(&t.elems[i])
		}
		return in, nomatch
	}
	for _, i := range list {
		look(&t.elems[i])
	}
	return in, nomatch
}

// fits answers whether an entry covers the packet in all dimensions.
func (t *Set) fits(e *eval, s *state, src []bool, x *elem) Tri {
	r, nth := Yes, 0
	for i, d := range t.dims {
		switch d {
		case "ip", "net":
			a := end(s, src[i]).Addr()
			if nth == 0 {
				a = t.masked(a)
			}
			r = r.and(tri(x.addr[nth].Contains(a)))
			nth++
		case "port":
			r = r.and(tri(t.port(s, src[i], x)))
		case "iface":
			r = r.and(tri(x.onDevice(e, src[i])))
		case "mac":
			r = r.and(x.hasFrom(e, src[i]))
		case "mark":
			r = r.and(tri(s.p.Mark&t.markMask == x.mark))
		}
	}
	return r
}

// masked returns the bits of a that count in the set.
func (t *Set) masked(a netip.Addr) netip.Addr {
	if !t.keep.IsValid() || t.keep.BitLen() != a.BitLen() {
		return a
	}
	b, m := a.AsSlice(), t.keep.AsSlice()
	for i := range b {
		b[i] &= m[i]
	}
	a, _ = netip.AddrFromSlice(b)
	return a
}

func end(s *state, src bool) netip.AddrPort {
	if src {
		return s.p.Src
	}
	return s.p.Dst
}

// port compares protocol and port; an ICMP message has its type and code for a port.
func (t *Set) port(s *state, src bool, x *elem) bool {
	n := end(s, src).Port()
	switch {
	case !t.hash:
		return (s.p.Proto == packet.TCP || s.p.Proto == packet.UDP) && x.plo <= n && n <= x.phi
	case s.p.Proto == packet.ICMP || s.p.Proto == packet.ICMPv6:
		n = uint16(s.p.ICMPType)<<8 | uint16(s.p.ICMPCode)
	case !s.p.Proto.HasPorts():
		n = 0
	}
	return x.proto == s.p.Proto && x.plo <= n && n <= x.phi
}

func (x *elem) onDevice(e *eval, src bool) bool {
	dev := e.in.Out
	switch {
	case x.phys && src:
		dev = e.in.PhysIn
	case x.phys:
		dev = e.in.PhysOut
	case src:
		dev = e.in.In
	}
	return dev != "" && (dev == x.iface || x.wildcard && strings.HasPrefix(dev, x.iface))
}

func (x *elem) hasFrom(e *eval, src bool) Tri {
	switch {
	case !x.hasMAC:
		return Yes
	case !src || e.in.SrcMAC.IsZero():
		return e.maybe("the MAC address that a set asks for is not known")
	}
	return tri(e.in.SrcMAC == x.mac)
}

// anyOf looks the packet up in the sets of a list. Lists hold no lists.
func (t *Set) anyOf(e *eval, s *state, src []bool, returnNomatch bool) Tri {
	r := No
	for _, x := range t.elems {
		set := e.r.Sets[x.iface]
		if set == nil {
			r = e.maybe("the set " + x.iface + " was not collected")
			continue
		}
		if set.Type == "list:set" {
			continue
		}
		in := set.test(e, s, src, returnNomatch)
		if in == Yes {
			return Yes
		}
		if in == Maybe || set.unread != "" {
			r = e.maybe("set " + x.iface + " is not known to its end")
		}
	}
	return r
}
