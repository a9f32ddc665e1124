package fib

import (
	"cmp"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strconv"

	"github.com/plumbnet/plumb/packet"
)

// protoNames are the names that "ip rule" prints (/etc/protocols) for those that
// packet.Proto names otherwise or not at all.
var protoNames = map[string]packet.Proto{
	"icmp": packet.ICMP, "igmp": 2, "ipencap": packet.IPIP, "ipip": packet.IPIP, "tcp": packet.TCP, "udp": packet.UDP, "dccp": 33,
	"ipv6": packet.IPv6, "gre": packet.GRE, "esp": 50, "ah": 51, "ipv6-icmp": packet.ICMPv6, "icmpv6": packet.ICMPv6, "ospf": 89,
	"vrrp": 112, "sctp": packet.SCTP, "udplite": 136,
}

// ParseRules reads what "ip -j -d rule" prints, or the same with -6. A selector
// that is not understood is kept in Rule.Unknown. Rules that cannot be read are
// left out; the error names the first, and the others are returned beside it.
func ParseRules(r io.Reader, is6 bool) ([]Rule, error) {
	var out []Rule
	err := readArrays("rules", r, func(o object, line int) error {
		rule := Rule{Is6: is6, SuppressPrefixLen: -1, SuppressGroup: -1, Line: line}
		if err := rule.parse(o); err != nil {
			return err
		}
		out = append(out, rule)
		return nil
	})
	return out, err
}

func (r *Rule) parse(o object) error {
	src, dst := everything(r.Is6), everything(r.Is6)
	for _, m := range o {
		var err error
		switch m.key {
		case "src":
			src, err = m.prefix(r.Is6)
		case "dst":
			dst, err = m.prefix(r.Is6)
		case "srclen":
			src, err = m.shorten(src)
		case "dstlen":
			dst, err = m.shorten(dst)
		default:
			err = r.member(m)
		}
		if err != nil {
			return err
		}
	}
	if src.Addr().Is6() != r.Is6 || dst.Addr().Is6() != r.Is6 {
		return fmt.Errorf("from %s to %s: of the other family", src, dst)
	}
	r.Src, r.Dst = unlessAll(src), unlessAll(dst)
	return nil
}

// unlessAll returns p, or the invalid prefix where p is everything.
func unlessAll(p netip.Prefix) netip.Prefix {
	if p.Bits() == 0 {
		return netip.Prefix{}
	}
	return p
}

// shorten reads the length of a prefix whose address was read before.
func (m member) shorten(p netip.Prefix) (netip.Prefix, error) {
	n, err := m.bounded(uint32(p.Addr().BitLen()))
	if err != nil {
		return p, err
	}
	return p.Addr().Prefix(int(n))
}

// member reads one member of a rule but for its addresses.
func (r *Rule) member(m member) (err error) {
	switch m.key {
	case "priority":
		r.Priority, err = m.number()
	case "not":
		r.Not = true
	case "table":
		r.Table, r.TableName = parseTable(m.text())
	case "goto":
		r.Action = "goto"
		r.Goto, err = m.number()
	case "nop":
		r.Action = "nop"
	case "action":
		r.Action = trimLookup(m.text())
	case "l3mdev":
		r.L3MDev = true
	case "suppress_prefixlen":
		r.SuppressPrefixLen, err = m.int()
	case "suppress_ifgroup":
		r.suppressGroup(m.text())
	case "protocol":
		r.Protocol = m.text()
	case "masquerade", "nat_gateway", "to":
		r.Action = "masquerade"
	case "iif_detached", "oif_detached", "unresolved", "flow_from", "flow_to":
		// Said of the state of the machine, or does not decide.
	default:
		return r.selector(m)
	}
	return err
}

func trimLookup(s string) string {
	if s == "lookup" {
		return ""
	}
	return s
}

func (r *Rule) suppressGroup(name string) {
	if name == "default" {
		r.SuppressGroup = 0
		return
	}
	n, err := strconv.ParseUint(name, 0, 31)
	if err != nil {
		r.Unknown = joinText(r.Unknown, "suppress_ifgroup "+name)
		return
	}
	r.SuppressGroup = int(n)
}

func joinText(a, b string) string {
	if a == "" {
		return b
	}
	return a + " " + b
}

// selector reads what a rule asks of a packet; what is not known goes to Unknown.
func (r *Rule) selector(m member) (err error) {
	var n uint32
	switch m.key {
	case "fwmark":
		r.Mark, err = m.number()
		if r.Mask == 0 {
			r.Mask = 1<<32 - 1
		}
	case "fwmask":
		r.Mask, err = m.number()
	case "iif":
		r.IIF = m.text()
	case "oif":
		r.OIF = m.text()
	case "tos":
		n, err = m.bounded(255)
		r.TOS = uint8(n)
	case "ipproto":
		r.proto(m)
	case "sport", "sport_start", "sport_end":
		err = ports(&r.SrcPorts, m, m.key[len("sport"):])
	case "dport", "dport_start", "dport_end":
		err = ports(&r.DstPorts, m, m.key[len("dport"):])
	case "uid_start", "uid_end":
		if r.UIDs == nil {
			r.UIDs = &[2]uint32{0, 1<<32 - 1}
		}
		n, err = m.number()
		r.UIDs[uidEnd[m.key]] = n
	default:
		r.Unknown = joinText(r.Unknown, m.key+" "+m.text())
	}
	return err
}

func (r *Rule) proto(m member) {
	if p, ok := protoNames[m.text()]; ok {
		r.Proto = p
		return
	}
	n, err := m.bounded(255)
	if err != nil || n == 0 {
		r.Unknown = joinText(r.Unknown, "ipproto "+m.text())
		return
	}
	r.Proto = packet.Proto(n)
}

// ports reads "sport", which is both ends of a range, or "_start" or "_end".
func ports(to *[2]uint16, m member, end string) error {
	n, err := m.bounded(65535)
	if end != "_end" {
		to[0] = uint16(n)
	}
	if end != "_start" {
		to[1] = uint16(n)
	}
	return err
}

// SortRules puts rules in the order in which the kernel asks them: by priority,
// and as they are within one.
func SortRules(rules []Rule) {
	slices.SortStableFunc(rules, func(a, b Rule) int { return cmp.Compare(a.Priority, b.Priority) })
}

// FormatRules writes rules as "ip -j -d rule" prints them, one a line.
func FormatRules(w io.Writer, rules []Rule) error { return writeArray(w, rules, formatRule) }

func formatRule(r Rule) string {
	var w writer
	w.number("priority", r.Priority)
	if r.Not {
		w.null("not")
	}
	writeRuleAddr(&w, "src", r.Src)
	if r.Dst.IsValid() {
		writeRuleAddr(&w, "dst", r.Dst)
	}
	if r.TOS != 0 {
		w.text("tos", tosText(r.TOS))
	}
	if r.Mark != 0 || r.Mask != 0 {
		w.text("fwmark", hex(r.Mark))
	}
	if r.Mask != 0 && r.Mask != 1<<32-1 {
		w.text("fwmask", hex(r.Mask))
	}
	if r.IIF != "" {
		w.text("iif", r.IIF)
	}
	if r.OIF != "" {
		w.text("oif", r.OIF)
	}
	if r.UIDs != nil {
		w.number("uid_start", r.UIDs[0])
		w.number("uid_end", r.UIDs[1])
	}
	if r.Proto != 0 {
		w.text("ipproto", r.Proto.String())
	}
	writePorts(&w, "sport", r.SrcPorts)
	writePorts(&w, "dport", r.DstPorts)
	writeAction(&w, r)
	if r.Protocol != "" {
		w.text("protocol", r.Protocol)
	}
	return w.String()
}

func writeRuleAddr(w *writer, key string, p netip.Prefix) {
	if !p.IsValid() {
		w.text(key, "all")
		return
	}
	w.text(key, p.Addr().String())
	if !p.IsSingleIP() {
		w.number(key+"len", uint32(p.Bits()))
	}
}

func writePorts(w *writer, key string, p [2]uint16) {
	switch {
	case p == [2]uint16{}:
	case p[0] == p[1]:
		w.number(key, uint32(p[0]))
	default:
		w.number(key+"_start", uint32(p[0]))
		w.number(key+"_end", uint32(p[1]))
	}
}

func writeAction(w *writer, r Rule) {
	switch {
	case r.L3MDev:
		w.null("l3mdev")
	case r.Action == "":
		w.text("table", tableText(r.Table, r.TableName))
	case r.Action == "goto":
		w.number("goto", r.Goto)
	case r.Action == "nop":
		w.null("nop")
	case r.Action == "masquerade":
		w.null("masquerade")
	default:
		w.text("action", r.Action)
	}
	if r.SuppressPrefixLen >= 0 {
		w.number("suppress_prefixlen", uint32(r.SuppressPrefixLen))
	}
	if r.SuppressGroup >= 0 {
		w.text("suppress_ifgroup", groupText(r.SuppressGroup))
	}
}

func groupText(n int) string {
	if n == 0 {
		return "default"
	}
	return strconv.Itoa(n)
}

// hex prints as printf("%#x") does: no 0x before a zero.
func hex(n uint32) string {
	if n == 0 {
		return "0"
	}
	return fmt.Sprintf("%#x", n)
}

var uidEnd = map[string]int{"uid_start": 0, "uid_end": 1}
