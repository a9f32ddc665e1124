package fib

import (
	"fmt"
	"io"
	"net/netip"
	"slices"
)

// ParseNextHops reads what "ip -j nexthop" prints, with -d or without.
func ParseNextHops(r io.Reader) ([]NextHopObject, error) {
	var out []NextHopObject
	err := readArrays("nexthops", r, func(o object, line int) error {
		n, err := parseNextHop(o)
		n.Line = line
		if err == nil {
			out = append(out, n)
		}
		return err
	})
	return out, err
}

func parseNextHop(o object) (NextHopObject, error) {
	n := NextHopObject{Hop: NextHop{Weight: 1}}
	o, n.Hop.Encap = takeEncap(o)
	for _, m := range o {
		known, err := n.Hop.member(m)
		if !known {
			err = n.member(m)
		}
		if err != nil {
			return n, err
		}
	}
	if n.ID == 0 {
		return n, fmt.Errorf("nexthop without an id")
	}
	return n, nil
}

func (n *NextHopObject) member(m member) (err error) {
	switch m.key {
	case "id":
		n.ID, err = m.number()
	case "group":
		n.Group, err = parseGroup(m)
	case "type":
		n.Type = m.text()
	case "scope":
		n.Scope = trimGlobal(m.text())
	case "protocol":
		if n.Protocol = m.text(); n.Protocol == "unspec" {
			n.Protocol = ""
		}
	case "blackhole":
		n.Blackhole = true
	case "fdb":
		n.FDB = true
	case "flags":
		n.Hop.Flags, err = m.texts()
	}
	return err
}

// parseGroup reads [{"id":1,"weight":3},{"id":2}].
func parseGroup(m member) ([]NextHopGroupMember, error) {
	list, err := m.objects()
	if err != nil {
		return nil, err
	}
	var out []NextHopGroupMember
	for _, o := range list {
		g := NextHopGroupMember{Weight: 1}
		for _, m := range o {
			switch m.key {
			case "id":
				g.ID, err = m.number()
			case "weight":
				g.Weight, err = m.int()
			}
			if err != nil {
				return nil, err
			}
		}
		if g.Weight < 1 || g.Weight > 1<<16 {
			return nil, fmt.Errorf("weight: %d is out of range", g.Weight)
		}
		out = append(out, g)
	}
	return out, nil
}

// FormatNextHops writes nexthop objects as "ip -j nexthop" prints them, one a line.
func FormatNextHops(w io.Writer, list []NextHopObject) error {
	return writeArray(w, list, formatNextHop)
}

func formatNextHop(n NextHopObject) string {
	var w writer
	w.number("id", n.ID)
	if len(n.Group) > 0 {
		w.raw("group", groupsText(n.Group))
	}
	if n.Type != "" {
		w.text("type", n.Type)
	}
	writeEncap(&w, n.Hop.Encap)
	if n.Hop.Via.IsValid() {
		w.text("gateway", n.Hop.Via.String())
	}
	if n.Hop.Dev != "" {
		w.text("dev", n.Hop.Dev)
	}
	if n.Scope != "" {
		w.text("scope", n.Scope)
	}
	if n.Blackhole {
		w.null("blackhole")
	}
	if n.Protocol != "" {
		w.text("protocol", n.Protocol)
	}
	w.texts("flags", n.Hop.Flags)
	if n.FDB {
		w.null("fdb")
	}
	return w.String()
}

func groupsText(list []NextHopGroupMember) string {
	s := "["
	for i, g := range list {
		if i > 0 {
			s += ","
		}
		var w writer
		w.number("id", g.ID)
		if g.Weight > 1 {
			w.number("weight", uint32(g.Weight))
		}
		s += w.String()
	}
	return s + "]"
}

// ParseNeighs reads what "ip -j neigh" prints, and "ip -j neigh show proxy" and "show nud all".
func ParseNeighs(r io.Reader) ([]Neigh, error) {
	var out []Neigh
	err := readArrays("neigh", r, func(o object, line int) error {
		n, err := parseNeigh(o)
		n.Line = line
		if err == nil {
			out = append(out, n)
		}
		return err
	})
	return out, err
}

func parseNeigh(o object) (Neigh, error) {
	var n Neigh
	for _, m := range o {
		var err error
		switch m.key {
		case "dst":
			n.Dst, err = m.addr()
		case "dev":
			n.Dev = m.text()
		case "lladdr":
			n.MAC = parseMAC(m.text())
		case "proxy":
			n.Proxy = true
		case "state":
			n.State, err = firstText(m)
		case "router", "extern_learn", "managed", "offload", "extern_valid":
			n.Flags = append(n.Flags, m.key)
		}
		if err != nil {
			return n, err
		}
	}
	if !n.Dst.IsValid() {
		return n, fmt.Errorf("neighbour without an address")
	}
	return n, nil
}

func firstText(m member) (string, error) {
	list, err := m.texts()
	if err != nil || len(list) == 0 {
		return "", err
	}
	return list[0], nil
}

// FormatNeighs writes neighbours as "ip -j neigh" prints them, one a line.
func FormatNeighs(w io.Writer, list []Neigh) error { return writeArray(w, list, formatNeigh) }

func formatNeigh(n Neigh) string {
	var w writer
	w.text("dst", n.Dst.String())
	if n.Dev != "" {
		w.text("dev", n.Dev)
	}
	if !n.MAC.IsZero() {
		w.text("lladdr", n.MAC.String())
	}
	for _, f := range n.Flags {
		w.null(f)
	}
	if n.Proxy {
		w.null("proxy")
	}
	if n.State != "" {
		w.texts("state", []string{n.State})
	}
	return w.String()
}

// ParseFDB reads what "bridge -j fdb" prints.
func ParseFDB(r io.Reader) ([]FDBEntry, error) {
	var out []FDBEntry
	err := readArrays("fdb", r, func(o object, line int) error {
		e, err := parseFDBEntry(o)
		e.Line = line
		if err == nil {
			out = append(out, e)
		}
		return err
	})
	return out, err
}

func parseFDBEntry(o object) (FDBEntry, error) {
	var e FDBEntry
	for _, m := range o {
		var err error
		switch m.key {
		case "mac":
			e.MAC = parseMAC(m.text())
		case "ifname":
			e.Dev = m.text()
		case "master":
			e.Master = m.text()
		case "vlan":
			e.VLAN, err = m.int()
		case "dst":
			e.Dst, err = m.fdbDst()
		case "port":
			e.Port, err = m.int()
		case "vni":
			e.VNI, err = m.int()
		case "src_vni":
			e.SrcVNI, err = m.int()
		case "viaIf", "viaIfIndex":
			e.Via = m.text()
		case "nhid":
			e.NHID, err = m.number()
		case "flags":
			e.Flags, err = m.texts()
		case "state":
			e.State = m.text()
		}
		if err != nil {
			return e, err
		}
	}
	return e, nil
}

// fdbDst reads the remote VTEP, which may be empty.
func (m member) fdbDst() (netip.Addr, error) {
	if m.text() == "" {
		return netip.Addr{}, nil
	}
	return m.addr()
}

// FormatFDB writes forwarding entries as "bridge -j fdb" prints them, one a line.
func FormatFDB(w io.Writer, list []FDBEntry) error { return writeArray(w, list, formatFDBEntry) }

func formatFDBEntry(e FDBEntry) string {
	var w writer
	w.text("mac", e.MAC.String())
	w.text("ifname", e.Dev)
	if e.Dst.IsValid() {
		w.text("dst", e.Dst.String())
	}
	for _, n := range []struct {
		key string
		val int
	}{{"vlan", e.VLAN}, {"port", e.Port}, {"vni", e.VNI}, {"src_vni", e.SrcVNI}, {"nhid", int(e.NHID)}} {
		if n.val != 0 {
			w.number(n.key, uint32(n.val))
		}
	}
	if e.Via != "" {
		w.text("viaIf", e.Via)
	}
	w.texts("flags", slices.Clone(e.Flags))
	if e.Master != "" {
		w.text("master", e.Master)
	}
	w.text("state", e.State)
	return w.String()
}
