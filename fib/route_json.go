package fib

import (
	"cmp"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
)

// ParseRoutes reads what "ip -j -d route show table all" prints, or the same
// with -6. Without a family that command prints both: routes of the family that
// was not asked for are left out, since its own file has them. Routes that cannot
// be read are left out too; the error names the first, and the others are returned
// beside it.
func ParseRoutes(r io.Reader, is6 bool) ([]Route, error) {
	var out []Route
	err := readArrays("routes", r, func(o object, line int) error {
		if o.is6(is6) != is6 {
			return nil
		}
		rt, err := parseRoute(o, is6)
		if err != nil {
			return err
		}
		rt.Line = line
		out = append(out, rt)
		return nil
	})
	return out, err
}

// is6 says of which family a route is; asked is that of the file, for a default
// route that does not show it. "ip -d" prints a router preference and a metric
// with every IPv6 route, and only IPv4 knows scopes.
func (o object) is6(asked bool) bool {
	seen := map[string]string{}
	for _, m := range o {
		if _, ok := seen[m.key]; !ok {
			seen[m.key] = m.text()
		}
	}
	if dst, ok := seen["dst"]; ok && dst != "default" {
		return strings.Contains(dst, ":")
	}
	if _, ok := seen["pref"]; ok {
		return true
	}
	if via, ok := seen["gateway"]; ok {
		return strings.Contains(via, ":")
	}
	scope, detailed := seen["scope"]
	_, metric := seen["metric"]
	if detailed && (scope != "global" || !metric) {
		return false
	}
	return asked
}

func parseRoute(o object, is6 bool) (Route, error) {
	r := Route{Table: TableMain}
	hop := NextHop{Weight: 1}
	o, hop.Encap = takeEncap(o)
	for _, m := range o {
		known, err := hop.member(m)
		if !known {
			err = r.member(m, is6)
		}
		if err != nil {
			return r, err
		}
	}
	if !r.Dst.IsValid() {
		return r, fmt.Errorf("route without a destination")
	}
	if r.Dst.Addr().Is6() != is6 {
		return r, fmt.Errorf("dst: %s is of the other family", r.Dst)
	}
	if len(r.Hops) == 0 && (hop.Dev != "" || hop.Via.IsValid()) {
		hop.Flags = hopFlags(r.Flags)
		r.Hops = []NextHop{hop}
	}
	return r, nil
}

// hopFlags picks the flags that belong to a hop (RTNH_F_*) from those that a
// route with a single hop is printed with.
func hopFlags(flags []string) []string {
	var out []string
	for _, f := range flags {
		switch f {
		case "dead", "onlink", "linkdown", "pervasive":
			out = append(out, f)
		}
	}
	return out
}

// member reads one member of a route, but for those that are the hop's.
func (r *Route) member(m member, is6 bool) (err error) {
	switch m.key {
	case "type":
		t, ok := ParseRouteType(m.text())
		if !ok {
			return fmt.Errorf("type: %.40q is not known", m.text())
		}
		r.Type = t
	case "dst":
		r.Dst, err = m.prefix(is6)
	case "from":
		r.From, err = m.prefix(is6)
		if err == nil && r.From.Addr().Is6() != is6 {
			err = fmt.Errorf("from: %s is of the other family", r.From)
		}
	case "tos":
		var n uint32
		n, err = m.bounded(255)
		r.TOS = uint8(n)
	case "table":
		r.Table, r.TableName = parseTable(m.text())
	case "protocol":
		r.Protocol = m.text()
	case "scope":
		r.Scope = trimGlobal(m.text())
	case "prefsrc":
		r.PrefSrc, err = m.addr()
	case "metric":
		r.Metric, err = m.number()
	case "flags":
		r.Flags, err = m.texts()
	case "nhid":
		r.NHID, err = m.number()
	case "pref":
		r.Pref = m.text()
	case "metrics":
		err = r.metrics(m)
	case "nexthops":
		r.Hops, err = parseHops(m)
	}
	return err
}

func trimGlobal(s string) string {
	if s == "global" {
		return ""
	}
	return s
}

// metrics reads [{"mtu":1400,"advmss":1300}].
func (r *Route) metrics(m member) error {
	list, err := m.objects()
	if err != nil {
		return err
	}
	for _, m := range slices.Concat(list...) {
		switch m.key {
		case "mtu":
			r.MTU, err = m.int()
		case "advmss":
			r.AdvMSS, err = m.int()
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// member reads one member of a hop, and reports whether it is one.
func (h *NextHop) member(m member) (known bool, err error) {
	switch m.key {
	case "gateway":
		h.Via, err = m.addr()
	case "via":
		h.Via, err = parseVia(m)
	case "dev":
		h.Dev = m.text()
	case "weight":
		h.Weight, err = m.int()
		if err == nil && (h.Weight < 1 || h.Weight > 1<<16) {
			err = fmt.Errorf("weight: %d is out of range", h.Weight)
		}
	default:
		return false, nil
	}
	return true, err
}

// parseVia reads {"family":"inet6","host":"fd00::2"}.
func parseVia(m member) (netip.Addr, error) {
	o, err := parseObject(m.val)
	if err != nil {
		return netip.Addr{}, err
	}
	for _, m := range o {
		if m.key == "host" {
			return m.addr()
		}
	}
	return netip.Addr{}, fmt.Errorf("via: no host")
}

func parseHops(m member) ([]NextHop, error) {
	list, err := m.objects()
	if err != nil {
		return nil, err
	}
	var out []NextHop
	for _, o := range list {
		h := NextHop{Weight: 1}
		o, h.Encap = takeEncap(o)
		for _, m := range o {
			known, err := h.member(m)
			if !known && m.key == "flags" {
				h.Flags, err = m.texts()
			}
			if err != nil {
				return nil, err
			}
		}
		out = append(out, h)
	}
	return out, nil
}

// takeEncap takes the members of a lightweight tunnel out of those of a route
// or hop, and returns them as ip prints them: "ip id 5 src 0.0.0.0 dst 10.0.0.2".
// They begin with "encap" and end where members of the route go on; "tos" is the
// tunnel's where it is a number, and the route's where it is a string.
func takeEncap(o object) (object, string) {
	at := slices.IndexFunc(o, func(m member) bool { return m.key == "encap" })
	if at < 0 {
		return o, ""
	}
	words := []string{o[at].text()}
	end := at + 1
	for ; end < len(o) && !afterEncap(o[end]); end++ {
		m := o[end]
		if m.key == "dst" && words[0] == "mpls" {
			words = append(words, m.text())
			continue
		}
		words = append(words, m.key, m.text())
	}
	return slices.Concat(o[:at:at], o[end:]), strings.Join(words, " ")
}

func afterEncap(m member) bool {
	switch m.key {
	case "nhid", "gateway", "via", "dev", "table", "protocol", "scope", "weight", "flags", "prefsrc", "metric", "metrics", "nexthops", "pref":
		return true
	case "tos":
		return len(m.val) > 0 && m.val[0] == '"'
	}
	return false
}

// FormatRoutes writes routes as "ip -j -d route" prints them, one a line.
func FormatRoutes(w io.Writer, routes []Route) error { return writeArray(w, routes, formatRoute) }

func formatRoute(r Route) string {
	var w writer
	is6 := r.Dst.Addr().Is6()
	w.text("type", r.Type.String())
	w.text("dst", prefixText(r.Dst))
	if r.From.IsValid() {
		w.text("from", prefixText(r.From))
	}
	single := NextHop{}
	if len(r.Hops) == 1 {
		single = r.Hops[0]
	}
	writeEncap(&w, single.Encap)
	if r.TOS != 0 {
		w.text("tos", tosText(r.TOS))
	}
	if r.NHID != 0 {
		w.number("nhid", r.NHID)
	}
	writeVia(&w, single, is6)
	w.text("table", tableText(r.Table, r.TableName))
	if r.Protocol != "" {
		w.text("protocol", r.Protocol)
	}
	w.text("scope", scopeText(r.Scope))
	if r.PrefSrc.IsValid() {
		w.text("prefsrc", r.PrefSrc.String())
	}
	if r.Metric != 0 || is6 {
		w.number("metric", r.Metric)
	}
	w.texts("flags", r.allFlags())
	writeMetrics(&w, r)
	if is6 {
		w.text("pref", cmp.Or(r.Pref, "medium"))
	}
	if len(r.Hops) > 1 {
		w.raw("nexthops", hopsText(r.Hops, is6))
	}
	return w.String()
}

// allFlags are the flags of the route and, where it has a single hop, that hop's.
func (r Route) allFlags() []string {
	if len(r.Hops) != 1 {
		return r.Flags
	}
	out := slices.Clone(r.Flags)
	for _, f := range r.Hops[0].Flags {
		if !slices.Contains(out, f) {
			out = append(out, f)
		}
	}
	return out
}

func writeMetrics(w *writer, r Route) {
	var m writer
	if r.MTU != 0 {
		m.number("mtu", uint32(r.MTU))
	}
	if r.AdvMSS != 0 {
		m.number("advmss", uint32(r.AdvMSS))
	}
	if m.b.Len() > 0 {
		w.raw("metrics", "["+m.String()+"]")
	}
}

func writeVia(w *writer, h NextHop, is6 bool) {
	switch {
	case h.Via.IsValid() && h.Via.Is6() != is6:
		var v writer
		v.text("family", "inet6")
		v.text("host", h.Via.String())
		w.raw("via", v.String())
	case h.Via.IsValid():
		w.text("gateway", h.Via.String())
	}
	if h.Dev != "" {
		w.text("dev", h.Dev)
	}
}

func hopsText(hops []NextHop, is6 bool) string {
	var out []string
	for _, h := range hops {
		var w writer
		writeEncap(&w, h.Encap)
		writeVia(&w, h, is6)
		w.number("weight", uint32(max(h.Weight, 1)))
		w.texts("flags", h.Flags)
		out = append(out, w.String())
	}
	return "[" + strings.Join(out, ",") + "]"
}

// writeEncap writes the members that takeEncap read.
func writeEncap(w *writer, encap string) {
	words := strings.Fields(encap)
	if len(words) == 0 {
		return
	}
	w.text("encap", words[0])
	words = words[1:]
	if len(words) == 1 {
		w.text("dst", words[0])
	}
	for ; len(words) > 1; words = words[2:] {
		if isNumber(words[1]) || words[1] == "null" {
			w.raw(words[0], words[1])
			continue
		}
		w.text(words[0], words[1])
	}
}

func isNumber(s string) bool {
	return s == "0" || s != "" && s[0] != '0' && strings.Trim(s, "0123456789") == ""
}

func scopeText(s string) string {
	if s == "" {
		return "global"
	}
	return s
}

func tosText(tos uint8) string { return fmt.Sprintf("0x%02x", tos) }

// prefixText prints a prefix as ip does: "default", and an address alone where
// the prefix has full length.
func prefixText(p netip.Prefix) string {
	switch {
	case p.Bits() == 0:
		return "default"
	case p.IsSingleIP():
		return p.Addr().String()
	}
	return p.String()
}
