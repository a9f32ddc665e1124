package fib

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/plumbnet/plumb/packet"
)

// String prints the route as "ip route show table all" does, but on one line
// where it has several hops.
func (r Route) String() string {
	is6 := r.Dst.Addr().Is6()
	var w words
	if r.Type != Unicast {
		w.add(r.Type.String())
	}
	w.add(prefixText(r.Dst))
	if r.From.IsValid() {
		w.add("from", prefixText(r.From))
	}
	single := NextHop{}
	if len(r.Hops) == 1 {
		single = r.Hops[0]
	}
	if single.Encap != "" {
		w.add("encap", single.Encap)
	}
	if r.TOS != 0 {
		w.add("tos", tosText(r.TOS))
	}
	if r.NHID != 0 {
		w.add("nhid", num(r.NHID))
	}
	w.via(single, is6)
	if r.Table != TableMain {
		w.add("table", tableText(r.Table, r.TableName))
	}
	w.origin(r)
	if r.Metric != 0 || is6 {
		w.add("metric", num(r.Metric))
	}
	w.add(r.allFlags()...)
	if r.MTU != 0 {
		w.add("mtu", strconv.Itoa(r.MTU))
	}
	if r.AdvMSS != 0 {
		w.add("advmss", strconv.Itoa(r.AdvMSS))
	}
	if r.Pref != "" {
		w.add("pref", r.Pref)
	}
	if len(r.Hops) > 1 {
		w.hops(r.Hops, is6)
	}
	return strings.Join(w, " ")
}

// words is a line in the making.
type words []string

func (w *words) add(s ...string) { *w = append(*w, s...) }

func (w *words) via(h NextHop, is6 bool) {
	switch {
	case h.Via.IsValid() && h.Via.Is6() != is6:
		w.add("via", "inet6", h.Via.String())
	case h.Via.IsValid():
		w.add("via", h.Via.String())
	}
	if h.Dev != "" {
		w.add("dev", h.Dev)
	}
}

func (w *words) origin(r Route) {
	if r.Protocol != "" && r.Protocol != "boot" {
		w.add("proto", r.Protocol)
	}
	if r.Scope != "" {
		w.add("scope", r.Scope)
	}
	if r.PrefSrc.IsValid() {
		w.add("src", r.PrefSrc.String())
	}
}

func (w *words) hops(hops []NextHop, is6 bool) {
	for _, h := range hops {
		w.add("nexthop")
		if h.Encap != "" {
			w.add("encap", h.Encap)
		}
		w.via(h, is6)
		w.add("weight", strconv.Itoa(max(h.Weight, 1)))
		w.add(h.Flags...)
	}
}

func num(n uint32) string { return strconv.FormatUint(uint64(n), 10) }

// String prints the rule as "ip rule" does.
func (r Rule) String() string {
	w := words{}
	if r.Not {
		w.add("not")
	}
	w.add("from", ruleAddr(r.Src))
	if r.Dst.IsValid() {
		w.add("to", ruleAddr(r.Dst))
	}
	if r.TOS != 0 {
		w.add("tos", tosText(r.TOS))
	}
	w.mark(r)
	if r.IIF != "" {
		w.add("iif", r.IIF)
	}
	if r.OIF != "" {
		w.add("oif", r.OIF)
	}
	if r.UIDs != nil {
		w.add("uidrange", fmt.Sprintf("%d-%d", r.UIDs[0], r.UIDs[1]))
	}
	if r.Proto != 0 {
		w.add("ipproto", r.Proto.String())
	}
	w.ports("sport", r.SrcPorts)
	w.ports("dport", r.DstPorts)
	if r.Unknown != "" {
		w.add(r.Unknown)
	}
	w.action(r)
	return num(r.Priority) + ":\t" + strings.Join(w, " ")
}

func ruleAddr(p netip.Prefix) string {
	if !p.IsValid() {
		return "all"
	}
	if p.IsSingleIP() {
		return p.Addr().String()
	}
	return p.String()
}

func (w *words) mark(r Rule) {
	switch {
	case r.Mask == 1<<32-1:
		w.add("fwmark", hex(r.Mark))
	case r.Mask != 0:
		w.add("fwmark", hex(r.Mark)+"/"+hex(r.Mask))
	}
}

func (w *words) ports(name string, p [2]uint16) {
	switch {
	case p == [2]uint16{}:
	case p[0] == p[1]:
		w.add(name, strconv.Itoa(int(p[0])))
	default:
		w.add(name, fmt.Sprintf("%d-%d", p[0], p[1]))
	}
}

func (w *words) action(r Rule) {
	switch {
	case r.L3MDev:
		w.add("lookup", "[l3mdev-table]")
	case r.Action == "":
		w.add("lookup", tableText(r.Table, r.TableName))
	case r.Action == "goto":
		w.add("goto", num(r.Goto))
	default:
		w.add(r.Action)
	}
	if r.SuppressPrefixLen >= 0 && r.Action == "" {
		w.add("suppress_prefixlength", strconv.Itoa(r.SuppressPrefixLen))
	}
	if r.SuppressGroup >= 0 && r.Action == "" {
		w.add("suppress_ifgroup", groupText(r.SuppressGroup))
	}
}

// String prints the entry as "ip neigh" does.
func (n Neigh) String() string {
	w := words{n.Dst.String()}
	if n.Dev != "" {
		w.add("dev", n.Dev)
	}
	if !n.MAC.IsZero() {
		w.add("lladdr", n.MAC.String())
	}
	w.add(n.Flags...)
	if n.Proxy {
		w.add("proxy")
	}
	if n.State != "" {
		w.add(n.State)
	}
	return strings.Join(w, " ")
}

// String prints the entry as "bridge fdb" does.
func (e FDBEntry) String() string {
	w := words{e.MAC.String(), "dev", e.Dev}
	if e.Dst.IsValid() {
		w.add("dst", e.Dst.String())
	}
	for _, n := range []struct {
		name string
		val  int
	}{{"vlan", e.VLAN}, {"port", e.Port}, {"vni", e.VNI}, {"src_vni", e.SrcVNI}, {"nhid", int(e.NHID)}} {
		if n.val != 0 {
			w.add(n.name, strconv.Itoa(n.val))
		}
	}
	if e.Via != "" {
		w.add("via", e.Via)
	}
	w.add(e.Flags...)
	if e.Master != "" {
		w.add("master", e.Master)
	}
	if e.State != "" {
		w.add(e.State)
	}
	return strings.Join(w, " ")
}

// String prints the object as "ip nexthop" does.
func (n NextHopObject) String() string {
	w := words{"id", num(n.ID)}
	if len(n.Group) > 0 {
		w.add("group", n.groupText())
	}
	if n.Type != "" {
		w.add("type", n.Type)
	}
	if n.Hop.Encap != "" {
		w.add("encap", n.Hop.Encap)
	}
	if n.Hop.Via.IsValid() {
		w.add("via", n.Hop.Via.String())
	}
	if n.Hop.Dev != "" {
		w.add("dev", n.Hop.Dev)
	}
	if n.Scope != "" {
		w.add("scope", n.Scope)
	}
	if n.Blackhole {
		w.add("blackhole")
	}
	if n.Protocol != "" {
		w.add("proto", n.Protocol)
	}
	w.add(n.Hop.Flags...)
	if n.FDB {
		w.add("fdb")
	}
	return strings.Join(w, " ")
}

func (n NextHopObject) groupText() string {
	var parts []string
	for _, g := range n.Group {
		s := num(g.ID)
		if g.Weight > 1 {
			s += "," + strconv.Itoa(g.Weight)
		}
		parts = append(parts, s)
	}
	return strings.Join(parts, "/")
}

// zeroMAC is the destination of a VXLAN device's default entries.
var zeroMAC packet.MAC
