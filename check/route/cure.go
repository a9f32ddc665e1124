package route

import (
	"net/netip"
	"slices"

	"github.com/plumbnet/plumb/check"
	"github.com/plumbnet/plumb/fib"
	"github.com/plumbnet/plumb/network"
	"github.com/plumbnet/plumb/text"
)

// A shape is how the routes of a cluster's nodes to each other's Pods look.
type shape struct {
	tunnel string // the VXLAN device that they lead by; "" where they lead to the other node by the uplink
	onlink bool
}

// shapeOf returns the shape of the routes to Pods: of the node's own to other
// nodes than to, or else of any node's. There is none where a route is for
// another range than a node's: what made it knows more than the nodes' objects do.
func shapeOf(p *check.Pass, ns *network.NS, to string, is6 bool) (shape, bool) {
	for _, host := range append([]*network.NS{ns}, p.Hosts()...) {
		for i := range host.FIB.Routes {
			r := &host.FIB.Routes[i]
			if host == ns && p.NodeByPodCIDR(r.Dst.Addr()) == to || r.Dst.Addr().Is6() != is6 {
				continue
			}
			if s, ok := shapeIn(p, host, r); ok {
				return s, true
			}
		}
	}
	return shape{}, false
}

func shapeIn(p *check.Pass, host *network.NS, r *fib.Route) (shape, bool) {
	node := p.NodeByPodCIDR(r.Dst.Addr())
	o := p.NodeObject(node)
	if r.Type != fib.Unicast || r.Table != fib.TableMain || len(r.Hops) != 1 || o == nil || node == host.Node.Name || !slices.Contains(check.PodCIDRs(o), r.Dst) {
		return shape{}, false
	}
	h := r.Hops[0]
	d, owner := host.Iface(h.Dev), p.HostOf(h.Via)
	switch {
	case d != nil && d.Kind() == "vxlan" && h.Via == r.Dst.Addr():
		return shape{h.Dev, slices.Contains(h.Flags, "onlink") || slices.Contains(r.Flags, "onlink")}, true
	case owner != nil && owner.Node.Name == node:
		return shape{}, true
	}
	return shape{}, false
}

// rightRoute returns the command that writes a node's route to the Pods of
// another, or "" where nothing tells what it looks like.
func rightRoute(p *check.Pass, ns *network.NS, to string, c netip.Prefix) string {
	o := p.NodeObject(to)
	s, ok := shapeOf(p, ns, to, c.Addr().Is6())
	if !ok || o == nil || !slices.Contains(check.PodCIDRs(o), c) {
		return ""
	}
	if s.tunnel != "" {
		return byTunnel(ns, s, c)
	}
	for _, a := range check.NodeAddrs(o) {
		for _, d := range ns.Ifaces {
			if a.Is6() == c.Addr().Is6() && d.Up() && d.OnLink(a) && !d.Has(a) {
				return check.Cmd("ip route replace %s via %s dev %s", c, a, d.Name())
			}
		}
	}
	return ""
}

// byTunnel is the route by a VXLAN: via the first address of the range, which the far end has.
func byTunnel(ns *network.NS, s shape, c netip.Prefix) string {
	d := ns.Iface(s.tunnel)
	switch {
	case d == nil || d.Kind() != "vxlan" || !d.Up():
		return ""
	case s.onlink:
		return check.Cmd("ip route replace %s via %s dev %s onlink", c, c.Addr(), s.tunnel)
	}
	return check.Cmd("ip route replace %s via %s dev %s", c, c.Addr(), s.tunnel)
}

// lost returns the commands that write all routes again that a node lost, in an
// order in which the kernel takes them: the uplink's subnet, the Pods of the other
// nodes, the default. It is nil where one of the Pods' is not known.
func lost(p *check.Pass, ns *network.NS, first netip.Prefix) []string {
	out := connected(p, ns, first.Addr().Is6())
	var seen []netip.Prefix
	for _, w := range ways(p) {
		if w.ns != ns || w.fault != missing || w.cidr.Addr().Is6() != first.Addr().Is6() || slices.Contains(seen, w.cidr) {
			continue
		}
		seen = append(seen, w.cidr)
		command := rightRoute(p, ns, w.to, w.cidr)
		if command == "" {
			return nil
		}
		out = append(out, command)
	}
	if s := defaultRoute(p, ns, first.Addr().Is6()); s != "" && !hasDefault(ns, first.Addr().Is6()) {
		out = append(out, s)
	}
	return out
}

// connected returns the command that writes the route to the uplink's own subnet again, where it is gone.
func connected(p *check.Pass, ns *network.NS, is6 bool) []string {
	up := p.UplinkOf(ns)
	if up == nil || is6 {
		return nil
	}
	for _, a := range up.Addrs {
		c := netip.PrefixFrom(a.Local, a.Len).Masked()
		if a.Local.Is6() || c.IsSingleIP() || !c.IsValid() || slices.ContainsFunc(ns.FIB.Routes, func(r fib.Route) bool { return r.Dst == c }) {
			continue
		}
		return []string{check.Cmd("ip route replace %s dev %s src %s", c, up.Name, a.Local)}
	}
	return nil
}

func hasDefault(ns *network.NS, is6 bool) bool {
	return slices.ContainsFunc(ns.FIB.Routes, func(r fib.Route) bool {
		return r.Dst.Bits() == 0 && r.Dst.Addr().Is6() == is6 && r.Type == fib.Unicast && r.Table == fib.TableMain
	})
}

// defaultRoute returns the command that adds the default route that the other
// nodes of the link have, where they agree; else "".
func defaultRoute(p *check.Pass, ns *network.NS, is6 bool) string {
	found := ""
	for _, other := range p.Hosts() {
		for _, r := range other.FIB.Routes {
			if r.Dst.Bits() != 0 || r.Dst.Addr().Is6() != is6 || r.Table != fib.TableMain || len(r.Hops) == 0 || !r.Hops[0].Via.IsValid() {
				continue
			}
			s := viaOf(ns, r.Hops[0].Via)
			if s != "" && found != "" && s != found {
				return ""
			}
			found = max(found, s)
		}
	}
	return found
}

func viaOf(ns *network.NS, gateway netip.Addr) string {
	for _, d := range ns.Ifaces {
		if d.Uplink && d.OnLink(gateway) && !gateway.IsLinkLocalUnicast() {
			return check.Cmd("ip route replace default via %s dev %s", gateway, d.Name())
		}
	}
	return ""
}

// cure returns how to give the node its way again.
func (w way) cure(p *check.Pass, r *fib.Route) check.Fix {
	restart := check.Fix{
		What:     text.F("restart the CNI agent on %s, which writes its routes again", w.ns.Node.Name),
		Commands: []string{p.Restart(check.CNI, w.ns.Node.Name)},
	}
	switch {
	case w.to == "":
		s := defaultRoute(p, w.ns, w.cidr.Addr().Is6())
		if s == "" {
			s = "ip route add default via <GATEWAY>"
		}
		return check.Fix{What: text.F("add the node's default route again"), Commands: []string{s}}
	case w.fault == missing:
		if all := lost(p, w.ns, w.cidr); len(all) > 0 {
			return check.Fix{What: text.F("add the routes of %s again; if they do not stay, restart its CNI agent", w.ns.Node.Name), Commands: all}
		}
		return restart
	case w.fault == policy:
		return check.Fix{What: text.F("delete the rule"), Commands: []string{check.Cmd("ip rule del pref %s", w.res.Rule.Priority)}}
	}
	return w.instead(p, r, restart)
}

// instead returns how to put the right route in the place of r.
func (w way) instead(p *check.Pass, r *fib.Route, restart check.Fix) check.Fix {
	if r == nil || r.Protocol == "kernel" {
		return restart
	}
	right := rightRoute(p, w.ns, w.to, w.cidr)
	switch {
	case w.covered(p, r):
		return check.Fix{What: text.F("delete the route: another one is right"), Commands: []string{del(r)}}
	case right == "":
		restart.Commands = append([]string{del(r)}, restart.Commands...)
		restart.What = text.F("delete the route, and restart the CNI agent on %s, which writes its routes again", w.ns.Node.Name)
		return restart
	case r.Dst == w.cidr && r.Metric == 0 && r.Table == fib.TableMain || r.Dst.Bits() < w.cidr.Bits():
		return check.Fix{What: text.F("put the right route in its place"), Commands: []string{right}}
	}
	return check.Fix{What: text.F("put the right route in its place"), Commands: []string{del(r), right}}
}

// covered reports whether the rest of the node's way to the Pods is right: r is for a part of the range only.
func (w way) covered(p *check.Pass, r *fib.Route) bool {
	return slices.ContainsFunc(ways(p), func(o way) bool {
		return o.ns == w.ns && o.to == w.to && o.fault == none && o.cidr.Contains(r.Dst.Addr()) && o.cidr.Bits() < r.Dst.Bits()
	})
}

func del(r *fib.Route) string {
	s := "ip route del "
	if name := typeName(r.Type); name != "" {
		s += name + " "
	}
	s += check.Quote(r.Dst.String())
	if r.Metric != 0 {
		s += " metric " + itoa(r.Metric)
	}
	if r.Table != 0 && r.Table != fib.TableMain {
		s += " table " + itoa(r.Table)
	}
	return s
}
