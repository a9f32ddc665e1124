package cidroverlap

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/plumbnet/plumb/check"
	"github.com/plumbnet/plumb/snapshot"
)

// The uses of a range.
const (
	pods     = "Pod"
	services = "Service"
	nodes    = "node"
)

// A usedRange is a range that the cluster uses, and where that is written.
type usedRange struct {
	use      string
	prefix   netip.Prefix
	where    string
	evidence snapshot.Evidence
}

// ranges returns the cluster's ranges, the widest of each use first.
func ranges(p *check.Pass) []usedRange {
	var out []usedRange
	add := func(use string, c netip.Prefix, where string, e snapshot.Evidence) {
		c = c.Masked()
		for _, r := range out {
			if r.use == use && r.prefix.Bits() <= c.Bits() && r.prefix.Contains(c.Addr()) {
				return
			}
		}
		out = append(out, usedRange{use, c, where, e})
	}
	for i := range p.Snapshot.Objects.ConfigMaps {
		m := &p.Snapshot.Objects.ConfigMaps[i]
		name := "configmap/" + m.Namespace + "/" + m.Name
		for _, s := range settings {
			for _, c := range s.find(m.Data[s.file]) {
				add(s.use, c, name, p.Object("ConfigMap", m.Namespace, m.Name, s.key+": "+c.String()))
			}
		}
	}
	for i := range p.Snapshot.Objects.Nodes {
		o := &p.Snapshot.Objects.Nodes[i]
		for _, c := range check.PodCIDRs(o) {
			add(pods, c, "node/"+o.Name, p.Object("Node", "", o.Name, "spec.podCIDR: "+c.String()))
		}
	}
	for _, ns := range p.Hosts() {
		up := p.UplinkOf(ns)
		if up == nil {
			continue
		}
		for _, a := range up.Addrs {
			if !a.Local.IsLinkLocalUnicast() {
				add(nodes, netip.PrefixFrom(a.Local, a.Len), check.Place(ns, up.Name), check.File(ns, "addr.json", up.Name+" "+netip.PrefixFrom(a.Local, a.Len).String(), "ip addr show "+up.Name))
			}
		}
	}
	if r, ok := strayService(p, out); ok {
		out = append(out, r)
	}
	return out
}

// strayService returns the first cluster IP that lies in a range of another use,
// or outside; the Service range itself is not always written down.
func strayService(p *check.Pass, rs []usedRange) (usedRange, bool) {
	for i := range p.Snapshot.Objects.Services {
		s := &p.Snapshot.Objects.Services[i]
		for _, a := range check.ClusterIPs(s) {
			holds := func(c netip.Prefix) bool { return c.Contains(a) }
			within := func(r usedRange) bool { return holds(r.prefix) }
			at := slices.IndexFunc(rs, within)
			if at >= 0 && rs[at].use == services || at < 0 && !slices.ContainsFunc(p.External, holds) {
				continue
			}
			return usedRange{services, netip.PrefixFrom(a, a.BitLen()), "service/" + s.Namespace + "/" + s.Name, p.Object("Service", s.Namespace, s.Name, "clusterIP: "+a.String())}, true
		}
	}
	return usedRange{}, false
}

// settings are where clusters write their ranges down.
var settings = []setting{
	{"ClusterConfiguration", "podSubnet", pods},
	{"ClusterConfiguration", "serviceSubnet", services},
	{"config.conf", "clusterCIDR", pods},
	{"net-conf.json", "Network", pods},
	{"net-conf.json", "IPv6Network", pods},
}

type setting struct{ file, key, use string }

// find returns the ranges that a setting holds, in YAML or JSON: the key, a
// colon, and one range or several with commas between.
func (s setting) find(data string) []netip.Prefix {
	var out []netip.Prefix
	for line := range strings.Lines(data) {
		key, value, ok := strings.Cut(line, ":")
		if !ok || strings.Trim(strings.TrimSpace(key), `"{ `) != s.key {
			continue
		}
		for word := range strings.SplitSeq(strings.Trim(strings.TrimSpace(value), `",`), ",") {
			if c, err := netip.ParsePrefix(strings.Trim(word, `" `)); err == nil {
				out = append(out, c)
			}
		}
	}
	return out
}

// private are ranges from which to propose a free one: 100.64.0.0/10 is for
// translation by carriers (RFC 6598), the others are private (RFC 1918, RFC 4193).
var private = []netip.Prefix{
	netip.MustParsePrefix("100.64.0.0/10"), netip.MustParsePrefix("172.16.0.0/12"), netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("192.168.0.0/16"),
	netip.MustParsePrefix("fd64::/16"),
}

// free returns the first range of the size that overlaps none of those in use, or one outside, or an invalid one.
func free(bits int, outside []netip.Prefix, rs []usedRange) netip.Prefix {
	is6 := len(rs) > 0 && rs[0].prefix.Addr().Is6()
	taken := func(c netip.Prefix) bool {
		return slices.ContainsFunc(outside, c.Overlaps) || slices.ContainsFunc(rs, func(r usedRange) bool { return r.prefix.Overlaps(c) })
	}
	for _, pool := range private {
		if pool.Addr().Is6() != is6 || pool.Bits() > bits {
			continue
		}
		c := netip.PrefixFrom(pool.Addr(), bits)
		for range 4096 {
			if !pool.Contains(c.Addr()) {
				break
			}
			if !taken(c) {
				return c
			}
			c = next(c)
		}
	}
	return netip.Prefix{}
}

// next returns the range of the same size after c.
func next(c netip.Prefix) netip.Prefix {
	b := c.Addr().AsSlice()
	for i, add := (c.Bits()-1)/8, 1<<((8-c.Bits()%8)%8); i >= 0 && add > 0; i-- {
		sum := int(b[i]) + add
		b[i], add = byte(sum), sum>>8
	}
	a, _ := netip.AddrFromSlice(b)
	return netip.PrefixFrom(a, c.Bits())
}
