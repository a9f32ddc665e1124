//go:build linux

package node

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/plumbnet/plumb/fib"
	"github.com/plumbnet/plumb/kernel/netlink"
	"github.com/plumbnet/plumb/packet"
	"golang.org/x/sys/unix"
)

// sizeofRtNexthop is the size of struct rtnexthop.
const sizeofRtNexthop = 8

// Attributes and values of linux/rtnetlink.h that x/sys/unix has no names for.
const (
	fraL3MDev      = 19
	fraProtocol    = 21
	fraSrcPortMask = 28
	fraDstPortMask = 29
	rtaNHID        = 30
	rtnhDead       = 1
	rtnhPervasive  = 2
	rtnhOnlink     = 4
	rtnhOffload    = 8
	rtnhLinkdown   = 16
	rtnhUnresolved = 32
	rtnhTrap       = 64
	fibRuleInvert  = 2
)

// hopFlags are the flags of a next hop, in the order in which ip prints them.
var hopFlags = []struct {
	bit  uint32
	name string
}{
	{rtnhDead, "dead"}, {rtnhOnlink, "onlink"}, {rtnhPervasive, "pervasive"}, {rtnhOffload, "offload"},
	{rtnhTrap, "trap"}, {1 << 14, "rt_offload"}, {1 << 15, "rt_trap"}, {1 << 29, "rt_offload_failed"},
	{unix.RTM_F_NOTIFY, "notify"}, {rtnhLinkdown, "linkdown"}, {rtnhUnresolved, "unresolved"},
}

func hopFlagNames(flags uint32) []string {
	var out []string
	for _, f := range hopFlags {
		if flags&f.bit != 0 {
			out = append(out, f.name)
		}
	}
	return out
}

// ownFlags are those that belong to a hop and not to its route.
const ownFlags = rtnhDead | rtnhPervasive | rtnhOnlink | rtnhLinkdown

// encaps are the names of LWTUNNEL_ENCAP_*. What is in the encapsulation is not kept.
var encaps = []string{"none", "mpls", "ip", "ila", "ip6", "seg6", "bpf", "seg6local", "rpl", "ioam6", "xfrm"}

// routes reads the routes of all tables.
func (w *worker) routes(n names, is6 bool) ([]fib.Route, error) {
	req := make([]byte, unix.SizeofRtMsg)
	req[0] = family(is6)
	var out []fib.Route
	err := w.route.Dump(unix.RTM_GETROUTE, req, func() { out = nil }, func(b []byte) {
		if r, ok := decodeRoute(b, n); ok && r.Dst.Addr().Is6() == is6 {
			out = append(out, r)
		}
	})
	return out, err
}

func family(is6 bool) uint8 {
	if is6 {
		return unix.AF_INET6
	}
	return unix.AF_INET
}

// decodeRoute reads an RTM_NEWROUTE message. Cloned routes, which are no configuration, it refuses.
func decodeRoute(b []byte, n names) (fib.Route, bool) {
	if len(b) < unix.SizeofRtMsg || b[0] != unix.AF_INET && b[0] != unix.AF_INET6 {
		return fib.Route{}, false
	}
	flags := native.Uint32(b[8:])
	if flags&unix.RTM_F_CLONED != 0 {
		return fib.Route{}, false
	}
	is6 := b[0] == unix.AF_INET6
	r := fib.Route{
		Dst: prefix(nil, b[1], is6), TOS: b[3], Table: uint32(b[4]), Protocol: fib.ProtocolName(b[5]),
		Scope: fib.ScopeName(b[6]), Flags: hopFlagNames(flags),
	}
	if b[7] > 0 {
		r.Type = fib.RouteType(b[7] - 1) // RTN_UNICAST is 1
	}
	hop := fib.NextHop{Weight: 1, Flags: hopFlagNames(flags & ownFlags)}
	single := false
	for t, v := range netlink.Attrs(b[unix.SizeofRtMsg:]) {
		switch t {
		case unix.RTA_DST:
			r.Dst = prefix(v, b[1], is6)
		case unix.RTA_SRC:
			r.From = prefix(v, b[2], is6)
		case unix.RTA_PRIORITY:
			r.Metric = u32(v)
		case unix.RTA_PREFSRC:
			r.PrefSrc = addr(v)
		case unix.RTA_TABLE:
			r.Table = u32(v)
		case unix.RTA_PREF:
			r.Pref = map[uint8]string{0: "medium", 1: "high", 3: "low"}[u8(v)]
		case rtaNHID:
			r.NHID = u32(v)
		case unix.RTA_METRICS:
			routeMetrics(&r, v)
		case unix.RTA_MULTIPATH:
			r.Hops = decodeHops(v, n)
		default:
			single = hopAttr(&hop, t, v, n) || single
		}
	}
	if single && len(r.Hops) == 0 {
		r.Hops = []fib.NextHop{hop}
	}
	return r, r.Dst.IsValid()
}

// hopAttr reads an attribute of a next hop, and reports whether it leads anywhere.
func hopAttr(h *fib.NextHop, t uint16, v []byte, n names) bool {
	switch t {
	case unix.RTA_OIF:
		h.Dev = n.of(int(u32(v)))
		return true
	case unix.RTA_GATEWAY:
		h.Via = addr(v)
		return true
	case unix.RTA_VIA: // struct rtvia: the family, then the address
		if len(v) > 2 {
			h.Via = addr(v[2:])
		}
		return true
	case unix.RTA_ENCAP_TYPE:
		h.Encap = nth(encaps, int(u16(v)))
	}
	return false
}

func routeMetrics(r *fib.Route, b []byte) {
	for t, v := range netlink.Attrs(b) {
		switch t {
		case unix.RTAX_MTU:
			r.MTU = int(u32(v))
		case unix.RTAX_ADVMSS:
			r.AdvMSS = int(u32(v))
		}
	}
}

// decodeHops reads RTA_MULTIPATH: struct rtnexthop, each followed by attributes.
func decodeHops(b []byte, n names) []fib.NextHop {
	var out []fib.NextHop
	for len(b) >= sizeofRtNexthop {
		size := int(native.Uint16(b))
		if size < sizeofRtNexthop || size > len(b) {
			return out
		}
		h := fib.NextHop{Weight: int(b[3]) + 1, Flags: hopFlagNames(uint32(b[2])), Dev: n.of(int(native.Uint32(b[4:])))}
		for t, v := range netlink.Attrs(b[sizeofRtNexthop:size]) {
			hopAttr(&h, t, v, n)
		}
		out = append(out, h)
		b = b[min(len(b), (size+3)&^3):]
	}
	return out
}

// rules reads the policy rules.
func (w *worker) rules(is6 bool) ([]fib.Rule, error) {
	req := make([]byte, unix.SizeofRtMsg) // struct fib_rule_hdr has the same size
	req[0] = family(is6)
	var out []fib.Rule
	err := w.route.Dump(unix.RTM_GETRULE, req, func() { out = nil }, func(b []byte) {
		if r, ok := decodeRule(b); ok && r.Is6 == is6 {
			out = append(out, r)
		}
	})
	return out, err
}

// ruleActions are the names of FR_ACT_*; RTN_* of old. "lookup" is written "".
var ruleActions = map[uint8]string{1: "", 2: "goto", 3: "nop", 6: "blackhole", 7: "unreachable", 8: "prohibit"}

// decodeRule reads an RTM_NEWRULE message.
func decodeRule(b []byte) (fib.Rule, bool) {
	if len(b) < unix.SizeofRtMsg || b[0] != unix.AF_INET && b[0] != unix.AF_INET6 {
		return fib.Rule{}, false
	}
	r := fib.Rule{
		Is6: b[0] == unix.AF_INET6, TOS: b[3], Table: uint32(b[4]), SuppressPrefixLen: -1, SuppressGroup: -1,
		Not: native.Uint32(b[8:])&fibRuleInvert != 0,
	}
	action, ok := ruleActions[b[7]]
	r.Action = action
	if !ok {
		r.Unknown = "action " + nth(nil, int(b[7]))
	}
	var mask *uint32
	for t, v := range netlink.Attrs(b[unix.SizeofRtMsg:]) {
		if t == unix.FRA_FWMASK {
			m := u32(v)
			mask = &m
			continue
		}
		ruleAttr(&r, t, v, b[1], b[2])
	}
	if mask != nil {
		r.Mask = *mask
	}
	return r, true
}

// ruleAttr reads one attribute of a rule.
func ruleAttr(r *fib.Rule, t uint16, v []byte, dstLen, srcLen uint8) {
	switch t {
	case unix.FRA_DST:
		r.Dst = prefix(v, dstLen, r.Is6)
	case unix.FRA_SRC:
		r.Src = prefix(v, srcLen, r.Is6)
	case unix.FRA_IIFNAME:
		r.IIF = str(v)
	case unix.FRA_OIFNAME:
		r.OIF = str(v)
	case unix.FRA_GOTO:
		r.Goto = u32(v)
	case unix.FRA_PRIORITY:
		r.Priority = u32(v)
	case unix.FRA_FWMARK:
		r.Mark = u32(v)
	case unix.FRA_TABLE:
		r.Table = u32(v)
	case unix.FRA_SUPPRESS_PREFIXLEN:
		r.SuppressPrefixLen = int(int32(u32(v)))
	case unix.FRA_SUPPRESS_IFGROUP:
		r.SuppressGroup = int(int32(u32(v)))
	case fraL3MDev:
		r.L3MDev = u8(v) != 0
	case fraProtocol:
		r.Protocol = fib.ProtocolName(u8(v))
	case unix.FRA_IP_PROTO:
		r.Proto = packet.Proto(u8(v))
	case unix.FRA_SPORT_RANGE:
		r.SrcPorts = portRange(v)
	case unix.FRA_DPORT_RANGE:
		r.DstPorts = portRange(v)
	case unix.FRA_UID_RANGE:
		if len(v) >= 8 {
			r.UIDs = &[2]uint32{native.Uint32(v), native.Uint32(v[4:])}
		}
	case unix.FRA_FLOW, unix.FRA_PAD:
	case fraSrcPortMask, fraDstPortMask:
		if m := u16(v); m != 0 && m != 0xffff { // 0xffff is said of a single port
			r.Unknown = strings.TrimSpace(fmt.Sprintf("%s port_mask %#x", r.Unknown, m))
		}
	case unix.FRA_TUN_ID:
		if len(v) >= 8 {
			r.Unknown = strings.TrimSpace(fmt.Sprintf("%s tun_id %d", r.Unknown, binary.BigEndian.Uint64(v)))
		}
	default: // FRA_DSCP, FRA_FLOWLABEL, and what comes later
		r.Unknown = strings.TrimSpace(fmt.Sprintf("%s attribute %d", r.Unknown, t))
	}
}

func portRange(b []byte) [2]uint16 {
	if len(b) < 4 {
		return [2]uint16{}
	}
	return [2]uint16{native.Uint16(b), native.Uint16(b[2:])}
}

// formatRules is fib.FormatRules, and writes what is not understood as members that
// a reader will not understand either.
func formatRules(rules []fib.Rule) ([]byte, error) {
	var b bytes.Buffer
	if err := fib.FormatRules(&b, rules); err != nil {
		return nil, err
	}
	lines := strings.SplitAfter(b.String(), "\n") // one a rule
	for i, r := range rules {
		words := strings.Fields(r.Unknown)
		for j := 0; j+1 < len(words) && i < len(lines); j += 2 {
			at := strings.LastIndexByte(lines[i], '}')
			lines[i] = lines[i][:at] + `,"` + words[j] + `":"` + words[j+1] + `"` + lines[i][at:]
		}
	}
	return []byte(strings.Join(lines, "")), nil
}

// nextHops reads the nexthop objects.
func (w *worker) nextHops(n names) ([]fib.NextHopObject, error) {
	const sizeofNhmsg = 8
	var out []fib.NextHopObject
	err := w.route.Dump(unix.RTM_GETNEXTHOP, make([]byte, sizeofNhmsg), func() { out = nil }, func(b []byte) {
		if o, ok := decodeNextHop(b, n); ok {
			out = append(out, o)
		}
	})
	if notSupported(err) {
		return nil, nil // before 5.3
	}
	return out, err
}

// NHA_* that x/sys/unix has no names for.
const (
	nhaGroupType = 3
	nhaEncapType = 7
	nhaFDB       = 11
)

// decodeNextHop reads an RTM_NEWNEXTHOP message.
func decodeNextHop(b []byte, n names) (fib.NextHopObject, bool) {
	if len(b) < 8 {
		return fib.NextHopObject{}, false
	}
	o := fib.NextHopObject{Hop: fib.NextHop{Weight: 1, Flags: hopFlagNames(native.Uint32(b[4:]))}, Scope: fib.ScopeName(b[1])}
	if b[2] != 0 {
		o.Protocol = fib.ProtocolName(b[2])
	}
	for t, v := range netlink.Attrs(b[8:]) {
		switch t {
		case unix.NHA_ID:
			o.ID = u32(v)
		case unix.NHA_GROUP: // struct nexthop_grp: id, weight-1, its high byte, two reserved
			for ; len(v) >= 8; v = v[8:] {
				o.Group = append(o.Group, fib.NextHopGroupMember{ID: native.Uint32(v), Weight: (int(v[4]) | int(v[5])<<8) + 1})
			}
		case nhaGroupType:
			if u16(v) == 1 {
				o.Type = "resilient"
			}
		case unix.NHA_BLACKHOLE:
			o.Blackhole = true
		case unix.NHA_OIF:
			o.Hop.Dev = n.of(int(u32(v)))
		case unix.NHA_GATEWAY:
			o.Hop.Via = addr(v)
		case nhaEncapType:
			o.Hop.Encap = nth(encaps, int(u16(v)))
		case nhaFDB:
			o.FDB = true
		}
	}
	return o, o.ID != 0
}
