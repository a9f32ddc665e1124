package netfilter

import (
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"

	"github.com/plumbnet/plumb/packet"
)

// setParser reads what "ipset save" prints.
type setParser struct {
	ruleParser
	file     string
	line     int
	sets     map[string]*Set
	problems []Problem
	last     *Set
	count    int // of entries
}

// ParseIPSet reads what "ipset save" prints. An entry that cannot be read is a
// Problem, and a packet that is not in the rest of its set may be in it.
func ParseIPSet(r io.Reader, file string) (map[string]*Set, []Problem) {
	text, err := readAll(r)
	p := &setParser{file: file, sets: map[string]*Set{}}
	for rest, line, whole := text, "", false; rest != ""; {
		line, rest, whole = strings.Cut(rest, "\n")
		p.line++
		if line = strings.TrimSpace(line); line == "" || line[0] == '#' {
			continue
		}
		if !whole {
			p.damage("the text ends within a line")
			continue
		}
		p.command(line)
	}
	if err != nil {
		p.damage(err.Error())
	}
	for _, s := range p.sets {
		s.finish()
	}
	return p.sets, p.problems
}

// damage notes a Problem, and that the set that was being read may lack entries.
func (p *setParser) damage(why string) {
	problem := Problem{p.file, p.line, why}
	p.problems = append(p.problems, problem)
	if p.last != nil && p.last.unread == "" {
		p.last.unread = fmt.Sprintf("line %d: %s", p.line, why)
	}
}

func (p *setParser) command(line string) {
	if !p.tokenize(line) || len(p.toks) < 3 {
		p.damage(fmt.Sprintf("not a command of ipset: %q", short(line)))
		return
	}
	p.why = ""
	switch p.toks[0].s {
	case "create", "-N":
		p.create()
	case "add", "-A":
		p.add()
	default:
		p.damage(fmt.Sprintf("not a command of ipset: %q", short(line)))
		return
	}
	if p.why != "" {
		p.damage(p.why)
	}
}

// setDims are the parts of a set's type that are known.
var setDims = map[string]bool{"ip": true, "net": true, "port": true, "iface": true, "mac": true, "mark": true, "set": true}

func (p *setParser) create() {
	name, typ := p.toks[1].s, p.toks[2].s
	s := &Set{Name: name, Type: typ, markMask: 0xffffffff}
	method, dims, _ := strings.Cut(typ, ":")
	s.dims, s.hash = strings.Split(dims, ","), method == "hash"
	for _, d := range s.dims {
		if !setDims[d] {
			s.unread = "the type " + short(typ) + " is not understood"
		}
	}
	if s.dims[0] == "ip" || s.dims[0] == "net" {
		s.byAddr = map[netip.Prefix][]int32{}
	}
	p.last, p.sets[name] = s, s
	for i := 3; i+1 < len(p.toks); i++ {
		switch v := p.toks[i+1].s; p.toks[i].s {
		case "family":
			s.Is6 = v == "inet6"
			p.is6 = s.Is6
		case "netmask", "bitmask":
			s.keep = p.setMask(v, s.Is6)
		case "markmask":
			s.markMask = uint32(p.number(v, 32))
		}
	}
}

// setMask reads a netmask, as a length or as an address.
func (p *setParser) setMask(v string, is6 bool) netip.Addr {
	if a, err := netip.ParseAddr(v); err == nil && a.Is6() == is6 {
		return a
	}
	ones := allOnes(netip.IPv4Unspecified())
	if is6 {
		ones = allOnes(netip.IPv6Unspecified())
	}
	n, err := ones.Prefix(int(p.number(v, 8)))
	if err != nil {
		p.misread("not a netmask: " + short(v))
	}
	return n.Addr()
}

func (p *setParser) add() {
	s := p.sets[p.toks[1].s]
	if s == nil {
		p.last = nil
		p.misread("set " + short(p.toks[1].s) + " was not created")
		return
	}
	p.last = s
	p.is6 = s.Is6
	x := elem{phi: 65535}
	for _, t := range p.toks[3:] {
		x.nomatch = x.nomatch || t.s == "nomatch" && !t.quoted
		x.wildcard = x.wildcard || t.s == "wildcard" && !t.quoted
	}
	ranges := p.parts(s, &x, p.toks[2].s)
	if p.count += len(ranges[0]) * len(ranges[1]); p.count > maxMembers {
		p.misread(fmt.Sprintf("more than %d entries", maxMembers))
	}
	if p.why != "" {
		return
	}
	for _, a := range ranges[0] {
		for _, b := range ranges[1] {
			x.addr = [2]netip.Prefix{a, b}
			s.insert(x)
		}
	}
}

// parts reads an entry "10.0.0.0/24,tcp:80,eth0", and returns its addresses.
func (p *setParser) parts(s *Set, x *elem, entry string) (addrs [2][]netip.Prefix) {
	addrs = [2][]netip.Prefix{{{}}, {{}}}
	nth := 0
	for i, d := range s.dims {
		part, rest, more := strings.Cut(entry, ",")
		if entry = rest; !more && i < len(s.dims)-1 && s.Type != "bitmap:ip,mac" {
			p.misread("an entry of set " + s.Name + " lacks a part")
		}
		switch d {
		case "ip", "net":
			addrs[min(nth, 1)] = p.prefixes(part)
			nth++
		case "port":
			p.setPort(x, part)
		case "iface":
			x.iface, x.phys = strings.CutPrefix(part, "physdev:")
		case "set":
			x.iface = part
		case "mark":
			x.mark = uint32(p.number(part, 32)) & s.markMask
		case "mac":
			p.setMAC(x, part)
		}
	}
	return addrs
}

func (p *setParser) setMAC(x *elem, part string) {
	if part == "" {
		return
	}
	mac, err := packet.ParseMAC(part)
	if err != nil {
		p.misread(err.Error())
	}
	x.mac, x.hasMAC = mac, true
}

// setPort reads "80", "80-90", "udp:53" or "icmp:echo-request".
func (p *setParser) setPort(x *elem, s string) {
	proto, port, ok := strings.Cut(s, ":")
	x.proto = packet.TCP
	if !ok {
		port = s
	} else {
		x.proto, _ = p.protocol(proto)
	}
	if x.proto == packet.ICMP || x.proto == packet.ICMPv6 {
		x.plo = p.icmpPort(port)
		x.phi = x.plo
		return
	}
	lo, hi := p.span(port, "-", 16)
	x.plo, x.phi = uint16(lo), uint16(hi)
}

// icmpPort reads an ICMP type and code as the port that ipset makes of them.
func (p *setParser) icmpPort(s string) uint16 {
	if n, ok := icmpNames[p.is6][s]; ok {
		return uint16(n.typ)<<8 | uint16(max(n.code, 0))
	}
	typ, code, _ := strings.Cut(s, "/")
	if code == "" {
		code = "0"
	}
	return uint16(p.number(typ, 8))<<8 | uint16(p.number(code, 8))
}

// prefixes reads an address, a network or a range.
func (p *setParser) prefixes(s string) []netip.Prefix {
	if !strings.Contains(s, "-") {
		a := p.address(s).Prefix
		return []netip.Prefix{a}
	}
	lo, hi := p.addrRange(s)
	if p.why != "" {
		return nil
	}
	return rangePrefixes(lo, hi)
}

// rangePrefixes returns the networks that make up a range.
func rangePrefixes(lo, hi netip.Addr) (list []netip.Prefix) {
	for lo.IsValid() && lo.Compare(hi) <= 0 {
		n := lo.BitLen()
		for n > 0 {
			up, _ := lo.Prefix(n - 1)
			if up.Addr() != lo || last(up).Compare(hi) > 0 {
				break
			}
			n--
		}
		list = append(list, netip.PrefixFrom(lo, n))
		lo = last(netip.PrefixFrom(lo, n)).Next()
	}
	return list
}

// last returns the last address of a network.
func last(p netip.Prefix) netip.Addr {
	b := p.Addr().AsSlice()
	for i := range b {
		ones := min(max(p.Bits()-8*i, 0), 8)
		b[i] |= 0xff >> ones
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}

func (t *Set) insert(x elem) {
	if t.byAddr != nil {
		t.byAddr[x.addr[0]] = append(t.byAddr[x.addr[0]], int32(len(t.elems)))
	}
	t.elems = append(t.elems, x)
	t.Members++
}

// finish lists the lengths of prefixes.
func (t *Set) finish() {
	seen := [129]bool{}
	for p := range t.byAddr {
		if b := p.Bits(); b >= 0 && !seen[b] {
			seen[b] = true
			t.lens = append(t.lens, b)
		}
	}
	slices.Sort(t.lens)
	slices.Reverse(t.lens)
}
