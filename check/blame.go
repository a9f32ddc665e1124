package check

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/plumbnet/plumb/fib"
	"github.com/plumbnet/plumb/netfilter"
	"github.com/plumbnet/plumb/network"
	"github.com/plumbnet/plumb/snapshot"
	"github.com/plumbnet/plumb/trace"
	corev1 "k8s.io/api/core/v1"
)

// Blame makes f the cause of the broken paths for which dies holds.
func (p *Pass) Blame(f *Finding, dies func(Broken) bool) {
	for _, b := range BrokenPaths(p) {
		if dies(b) {
			f.OnPath = len(p.Results) > 0
			f.Explains = append(f.Explains, b.Symptom())
		}
	}
}

// Lose makes f the cause of a path that the trace does not know to fail.
// Where nobody asked about the path it is a probe's, and f may speak for many.
func (p *Pass) Lose(f *Finding, path *trace.Path, share bool) {
	f.Explains = append(f.Explains, Symptom{PathBroken, path.At.String()})
	f.OnPath = len(p.Results) > 0
	p.lose(path, share)
}

// LoseBehindRouter makes f the cause of what routers outside bring to Pods, where
// a trace ends: of the packets for a Pod's device for which dies holds.
func (p *Pass) LoseBehindRouter(f *Finding, dies func(pod *network.Iface) bool) {
	for i := range p.Results {
		for j := range p.Results[i].Paths {
			path := &p.Results[i].Paths[j]
			if pod := p.BehindRouter(path); pod != nil && dies(pod) {
				p.Lose(f, path, false)
			}
		}
	}
}

// BehindRouter returns the device of the Pod on another node that a path's packet
// is for, which leaves for a router outside that knows the nodes' Pods; else nil.
func (p *Pass) BehindRouter(path *trace.Path) *network.Iface {
	if path.End != trace.LeftCluster || path.Final.Inner != nil || p.RoutesDirectly() {
		return nil
	}
	owners := p.Network.Owners(path.Final.Dst.Addr())
	if len(owners) != 1 || owners[0].NS.PodName == "" || owners[0].NS.Node.Name == path.At.Node {
		return nil
	}
	return owners[0]
}

func (p *Pass) lose(path *trace.Path, share bool) {
	l := LossOf(path)
	l.Share = share
	p.index.lost = append(p.index.lost, l)
}

// In reports whether the packet dies in ns.
func (b Broken) In(ns *network.NS) bool {
	return ns != nil && b.Path.At.Node == ns.Node.Name && b.Path.At.NetNS == ns.Name
}

// Passes reports whether the packet was in ns.
func (b Broken) Passes(ns *network.NS) bool {
	for _, h := range b.Path.Hops {
		if h.Node == ns.Node.Name && h.NetNS == ns.Name {
			return true
		}
	}
	return b.In(ns)
}

// Toward reports whether the packet as it died, or one that it carries, was going into c.
func (b Broken) Toward(c netip.Prefix) bool {
	for f := &b.Path.Final; f != nil; f = f.Inner {
		if c.Contains(f.Dst.Addr()) {
			return true
		}
	}
	return false
}

// File returns evidence from a file of a namespace that has no lines.
func File(ns *network.NS, file, text, command string) snapshot.Evidence {
	return snapshot.Evidence{File: ns.Dir + "/" + file, Text: text, Command: Within(ns, command)}
}

// Within returns the command as a person runs it on the node of ns, in ns.
func Within(ns *network.NS, command string) string {
	if ns.IsHost() {
		return command
	}
	if ns.File == "" {
		return "ip netns exec " + Quote(ns.Name) + " " + command
	}
	return ns.Enter() + command
}

// Object returns evidence from an API object: kind as the API writes it ("Pod"), and what of it is meant.
func (p *Pass) Object(kind, namespace, name, text string) snapshot.Evidence {
	file := p.Snapshot.Objects.Source[kind+"/"+namespace+"/"+name]
	command := Cmd("kubectl get %s %s -o yaml", strings.ToLower(kind), name)
	if namespace != "" {
		command = Cmd("kubectl -n %s get %s %s -o yaml", namespace, strings.ToLower(kind), name)
	}
	return snapshot.Evidence{File: file, Text: text, Command: command}
}

// RuleLine returns the evidence that a netfilter rule is.
func RuleLine(t *netfilter.Table, r *netfilter.Rule) snapshot.Evidence {
	return snapshot.Evidence{File: t.File, Line: r.Line, Text: r.Text, Command: Save(t) + " -t " + t.Name}
}

// RuleOf returns the evidence that a netfilter rule is, of iptables or of nf_tables.
func RuleOf(r netfilter.Ref) snapshot.Evidence {
	if !r.IsNative() {
		return RuleLine(r.Table, r.Rule)
	}
	return snapshot.Evidence{File: r.File(), Line: r.Line(), Text: r.Quote(), Command: r.Command()}
}

// Save returns the name of the program that prints a table.
func Save(t *netfilter.Table) string {
	name := "iptables"
	if t.Is6 {
		name = "ip6tables"
	}
	if t.Backend == netfilter.Legacy {
		name += "-legacy"
	}
	return name + "-save"
}

// RouteText returns a route as "ip route" prints it, with its first hops.
func RouteText(r *fib.Route) string {
	s := r.Dst.String()
	if r.Dst.Bits() == 0 {
		s = "default"
	}
	if r.Type != fib.Unicast {
		s = routeTypes[r.Type] + " " + s
	}
	for _, h := range r.Hops {
		if h.Via.IsValid() {
			s += " via " + h.Via.String()
		}
		if h.Dev != "" {
			s += " dev " + h.Dev
		}
	}
	if r.Table != 0 && r.Table != fib.TableMain {
		s += " table " + strconv.Itoa(int(r.Table))
	}
	return s
}

var routeTypes = map[fib.RouteType]string{
	fib.Local: "local", fib.Broadcast: "broadcast", fib.Anycast: "anycast", fib.Multicast: "multicast", fib.Blackhole: "blackhole",
	fib.Unreachable: "unreachable", fib.Prohibit: "prohibit", fib.Throw: "throw", fib.NAT: "nat",
}

// RouteLine returns the evidence that a route of ns is.
func RouteLine(ns *network.NS, r *fib.Route) snapshot.Evidence {
	if r.Dst.Addr().Is6() {
		return File(ns, "routes6.json", RouteText(r), "ip -6 route show table all")
	}
	return File(ns, "routes.json", RouteText(r), "ip route show table all")
}

// BlameService makes f the cause of the broken paths whose query asks for a
// port of the Service: by its cluster IPs, or as a node port.
func (p *Pass) BlameService(f *Finding, s *corev1.Service, port *corev1.ServicePort) {
	proto := ProtoOf(port.Protocol)
	p.Blame(f, func(b Broken) bool {
		dst := b.Query.Dst
		switch {
		case strings.ToUpper(b.Query.Proto.String()) != string(proto):
			return false
		case port.NodePort != 0 && int32(dst.Port()) == port.NodePort:
			return p.HostOf(dst.Addr()) != nil
		}
		return int32(dst.Port()) == port.Port && slices.Contains(serviceAddrs(s), dst.Addr())
	})
}

// Forwarded reports whether the packet dies in a namespace that it was passing through.
func (b Broken) Forwarded() bool {
	hops := b.Path.Hops
	if len(hops) == 0 || hops[len(hops)-1].In == "" {
		return false
	}
	return b.Path.End != trace.NoListener
}

// DiesAt reports whether the packet dies at the device, or in its namespace on the way in or out by it.
func (p *Pass) DiesAt(b Broken, d *network.Iface) bool {
	if !b.In(d.NS) {
		return false
	}
	if b.Path.At.Link != "" {
		return b.Path.At.Link == d.Name()
	}
	if len(b.Path.Hops) == 0 {
		return false
	}
	last := b.Path.Hops[len(b.Path.Hops)-1]
	return last.In == d.Name() || last.Out == d.Name()
}

// LinkText returns a device's state as "ip addr" prints it, in one line.
func LinkText(l *snapshot.Link) string {
	s := l.Name + ": <" + strings.Join(l.Flags, ",") + "> mtu " + strconv.Itoa(l.MTU)
	if l.Master != "" {
		s += " master " + l.Master
	}
	if l.OperState != "" {
		s += " state " + l.OperState
	}
	for _, a := range l.Addrs {
		s += " " + a.Family + " " + netip.PrefixFrom(a.Local, a.Len).String()
	}
	return s
}

// HostsPods reports whether Pods' namespaces are on the node of a host's namespace, or should be.
func (p *Pass) HostsPods(ns *network.NS) bool {
	for _, other := range p.Network.NS {
		if other.Node == ns.Node && other != ns && other.PodName != "" {
			return true
		}
	}
	o := p.NodeObject(ns.Node.Name)
	return o != nil && len(PodCIDRs(o)) > 0
}

// Families reports which families the Pods of a node have addresses of.
func (p *Pass) Families(ns *network.NS) (v4, v6 bool) {
	if o := p.NodeObject(ns.Node.Name); o != nil {
		for _, c := range PodCIDRs(o) {
			v4, v6 = v4 || c.Addr().Is4(), v6 || c.Addr().Is6()
		}
	}
	return v4 || !v6, v6
}

// DecidedBy reports whether a rule of a back end's table of ns is what the packet died of.
func DecidedBy(b Broken, backend netfilter.Backend, ns *network.NS) bool {
	for _, e := range b.Evidence() {
		for _, t := range ns.Netfilter.Tables {
			if t.Backend == backend && t.File == e.File {
				return true
			}
		}
	}
	return false
}

// Unwired reports whether the packet dies in a Pod on the node for want of any route: the CNI plugin never ran for it.
func (b Broken) Unwired(node string) bool {
	from := b.Query.From
	return from != nil && !from.IsHost() && from.Node.Name == node && b.In(from) && b.Path.End == trace.NoRoute &&
		!slices.ContainsFunc(from.FIB.Routes, func(r fib.Route) bool {
			return r.Type == fib.Unicast && r.Dst.Addr().Is4() && !r.Dst.Addr().IsLoopback()
		})
}
