// Package route checks that each node has a route to the Pods of every other.
package route

import (
	"net/netip"
	"slices"

	"github.com/plumbnet/plumb/check"
	"github.com/plumbnet/plumb/fib"
	"github.com/plumbnet/plumb/network"
	"github.com/plumbnet/plumb/snapshot"
	"github.com/plumbnet/plumb/text"
	"github.com/plumbnet/plumb/trace"
)

// Missing reports Pod ranges of other nodes that a node has no route to.
var Missing = &check.Check{
	Name: "route-missing",
	Doc: `a node has no route to the Pods of another node

Symptom: Pods on one node do not reach those on another ("no route to host", or packets leave by the default route and are lost).
Cause: the CNI agent does not run there, or a restarted network service removed its routes.
Cure: restart the CNI agent on the node, which writes its routes again.
Commands:
    ip route show
    ip route get POD-ADDRESS
    kubectl get nodes -o custom-columns=NAME:.metadata.name,PODCIDR:.spec.podCIDR`,
	DocZH: `节点缺少到另一节点 Pod 网段的路由

症状：某节点的 Pod 访问不到另一节点的 Pod（"no route to host"，或包从默认路由出去后丢失）。
原因：该节点的 CNI 代理没有运行，或重启网络服务时删掉了它的路由。
处理：重启该节点的 CNI 代理，由它重新写入路由。
命令：
    ip route show
    ip route get Pod地址
    kubectl get nodes -o custom-columns=NAME:.metadata.name,PODCIDR:.spec.podCIDR`,
	Needs: []string{"objects/Node", "host/routes.json"},
	Run:   func(p *check.Pass) { run(p, missing) },
}

// BlackHole reports Pod ranges of other nodes that a route discards.
var BlackHole = &check.Check{
	Name: "route-blackhole",
	Doc: `a route discards what is for the Pods of another node

Symptom: Pods on one node do not reach those on another: packets vanish (blackhole) or are refused (unreachable, prohibit).
Cause: a blackhole route for the other node's range was left over or set by hand, and is more specific or preferred.
Cure: delete it; restart the CNI agent if it does not bring its own route back.
Commands:
    ip route show table all type blackhole
    ip route show table all type unreachable
    ip route get POD-ADDRESS`,
	DocZH: `有路由把发往另一节点 Pod 的包丢弃

症状：某节点的 Pod 访问不到另一节点的 Pod：包消失（blackhole）或被拒（unreachable、prohibit）。
原因：另一节点网段的黑洞路由是残留或手工设置的，并且更具体或更优先。
处理：删除它；如 CNI 代理没有补回自己的路由则重启代理。
命令：
    ip route show table all type blackhole
    ip route show table all type unreachable
    ip route get Pod地址`,
	Needs: []string{"objects/Node", "host/routes.json"},
	Run:   func(p *check.Pass) { run(p, blackhole) },
}

// Wrong reports routes to the Pods of a node that lead to another node or device.
var Wrong = &check.Check{
	Name: "route-wrong",
	Doc: `a route to the Pods of a node leads elsewhere

Symptom: Pods on one node do not reach those on another; the packets arrive at a third node, or leave by the wrong device.
Cause: the node's range moved and the route did not; a route was set by hand; two agents write routes.
Cure: delete the route and restart the CNI agent.
Commands:
    ip route get POD-ADDRESS
    kubectl get nodes -o custom-columns=NAME:.metadata.name,PODCIDR:.spec.podCIDR,IP:.status.addresses[0].address`,
	DocZH: `到某节点 Pod 的路由指向了别处

症状：某节点的 Pod 访问不到另一节点的 Pod；包到了第三个节点，或从错误的网卡出去。
原因：节点网段变了而路由没变；手工设置的路由；两个代理都在写路由。
处理：删除该路由并重启 CNI 代理。
命令：
    ip route get Pod地址
    kubectl get nodes -o custom-columns=NAME:.metadata.name,PODCIDR:.spec.podCIDR,IP:.status.addresses[0].address`,
	Needs: []string{"objects/Node", "host/routes.json", "host/addr.json"},
	Run:   func(p *check.Pass) { run(p, wrong) },
}

// Policy reports policy rules that lead packets of Pods past the routes that would bring them to their node.
var Policy = &check.Check{
	Name: "policy-route",
	Doc: `a policy rule leads Pods' packets past the right route

Symptom: some packets take the right way and others, by their source or mark, do not; "ip route get" without "from" looks fine.
Cause: a rule ("ip rule") sends them to another table, or discards them: a VPN client, a second uplink, an old CNI plugin.
Cure: delete the rule, or put a rule for the Pod range with lookup main before it.
Commands:
    ip rule
    ip route get POD-ADDRESS from POD-ADDRESS iif cni0
    ip route show table TABLE`,
	DocZH: `策略路由规则使 Pod 的包绕开了正确路由

症状：部分包走对了路，另一些（按源地址或标记）没有；不带 "from" 的 "ip route get" 看起来正常。
原因：某条规则（"ip rule"）把它们引到另一张表或直接丢弃：VPN 客户端、第二条上行链路、旧的 CNI 插件。
处理：删除该规则，或在它之前为 Pod 网段加一条 lookup main 的规则。
命令：
    ip rule
    ip route get Pod地址 from Pod地址 iif cni0
    ip route show table 表号`,
	Needs: []string{"objects/Node", "host/routes.json", "host/rules.json"},
	Run:   func(p *check.Pass) { run(p, policy) },
}

// A fault is what is wrong with the way from a node to the Pods of another.
type fault uint8

const (
	none fault = iota
	missing
	blackhole
	wrong
	policy
)

// A way is how a node sends to the Pods of another node.
type way struct {
	ns    *network.NS
	to    string
	cidr  netip.Prefix
	query fib.Query
	res   fib.Result
	fault fault
	owner string // the node that a wrong route leads to, "" where it is another device
}

func run(p *check.Pass, want fault) {
	seen := map[string]bool{}
	for _, w := range slices.Concat(ways(p), discards(p), unrouted(p)) {
		key := w.ns.String() + w.cidr.String()
		if w.fault == want && !seen[key] {
			seen[key] = true
			p.Report(finding(p, w))
		}
	}
}

type waysKey struct{}

// ways returns the ways between all nodes, for packets of the node itself and of a Pod on it.
func ways(p *check.Pass) []way {
	return check.Once(p, waysKey{}, func() []way {
		var out []way
		direct := p.RoutesDirectly()
		for _, ns := range p.Hosts() {
			if p.Network.Missing(ns, "routes.json") != "" {
				continue
			}
			for i := range p.Snapshot.Objects.Nodes {
				o := &p.Snapshot.Objects.Nodes[i]
				for _, c := range check.PodCIDRs(o) {
					if o.Name != ns.Node.Name && !(c.Addr().Is6() && p.Network.Missing(ns, "routes6.json") != "") {
						out = append(out, between(p, ns, o.Name, c, direct)...)
					}
				}
			}
		}
		return out
	})
}

// between looks up the way from ns to a node's Pods, as the node's own packets and as those of a Pod take it.
func between(p *check.Pass, ns *network.NS, to string, c netip.Prefix, direct bool) []way {
	dst := c.Addr().Next().Next()
	var out []way
	queries := []fib.Query{{Dst: dst}}
	if src, dev, ok := podOf(p, ns, c.Addr().Is6()); ok {
		queries = append(queries, fib.Query{Dst: dst, Src: src, IIF: dev})
	}
	for _, q := range queries {
		w := way{ns: ns, to: to, cidr: c, query: q, res: ns.FIB.Lookup(q)}
		if w.res.Unknown != "" {
			p.Unjudged(ns.String(), w.res.Unknown)
			continue
		}
		w.judge(p, direct)
		out = append(out, w)
	}
	return out
}

// podOf returns the address of a Pod on the node, and the device its packets come in by.
func podOf(p *check.Pass, ns *network.NS, is6 bool) (netip.Addr, string, bool) {
	for _, d := range ns.Ifaces {
		if d.Peer == nil || d.Peer.NS == ns || d.Peer.NS.PodName == "" {
			continue
		}
		for _, a := range d.Peer.Link.Addrs {
			if a.Local.Is6() == is6 && !a.Local.IsLinkLocalUnicast() {
				return a.Local, d.L3().Name(), true
			}
		}
	}
	return netip.Addr{}, "", false
}

// judge decides what is wrong with the way.
func (w *way) judge(p *check.Pass, direct bool) {
	ruled := w.res.Rule != nil && ruledAside(w.res.Rule)
	switch {
	case w.res.Type == fib.Blackhole || w.res.Type == fib.Unreachable || w.res.Type == fib.Prohibit:
		if len(w.res.Choices) == 0 || w.res.Choices[0].Route == nil || w.res.Choices[0].Route.Dst.Bits() <= w.cidr.Bits() {
			w.fault = blackhole // of a part of the range, discards says it
		}
	case len(w.res.Choices) == 0:
		if direct {
			w.fault = missing
		}
	default:
		w.fault, w.owner = w.follow(p, direct)
	}
	if w.fault != none && ruled {
		w.fault = policy
	}
}

// ruledAside reports whether a rule is not one of the three that every kernel has.
func ruledAside(r *fib.Rule) bool {
	usual := r.Table == fib.TableLocal || r.Table == fib.TableMain || r.Table == fib.TableDefault
	return !usual || r.Action != ""
}

// follow judges where a route leads.
func (w *way) follow(p *check.Pass, direct bool) (fault, string) {
	c := w.res.Choices[0]
	if c.Route == nil {
		return none, ""
	}
	d := w.ns.Iface(c.Hop.Dev)
	owner := p.HostOf(c.Hop.Via)
	switch {
	case c.Route.Dst.Bits() == 0:
		if direct {
			return missing, ""
		}
		return none, ""
	case owner != nil && owner.Node.Name != w.to:
		return wrong, owner.Node.Name
	case owner == nil && p.NodeByPodCIDR(c.Hop.Via) != "" && p.NodeByPodCIDR(c.Hop.Via) != w.to && d != nil && d.Kind() == "vxlan":
		return wrong, p.NodeByPodCIDR(c.Hop.Via)
	case d != nil && (d.Kind() == "bridge" || d.Peer != nil && d.Peer.NS != d.NS && d.Peer.NS.PodName != "") && !c.Hop.Via.IsValid():
		return wrong, "" // into the node's own Pods
	case c.Hop.Dev == "lo":
		return wrong, ""
	case owner == nil && c.Hop.Via.IsValid() && direct && p.Host(w.to) != nil && p.NodeByPodCIDR(c.Hop.Via) != w.to && !defaultGateway(w.ns, c.Hop.Via):
		return wrong, "" // a next hop that the other node does not have
	case !c.Hop.Via.IsValid() && d != nil && d.Uplink:
		return wrong, "" // on the uplink's link, where Pods are not
	}
	return none, ""
}

// defaultGateway reports whether a is the way out of the node: a router there may know the Pods of nodes on other links.
func defaultGateway(ns *network.NS, a netip.Addr) bool {
	return slices.ContainsFunc(ns.FIB.Routes, func(r fib.Route) bool {
		return r.Dst.Bits() == 0 && slices.ContainsFunc(r.Hops, func(h fib.NextHop) bool { return h.Via == a })
	})
}

// discards returns the routes of nodes that discard a part of another node's Pod range.
func discards(p *check.Pass) []way {
	var out []way
	for _, ns := range p.Hosts() {
		for i := range ns.FIB.Routes {
			r := &ns.FIB.Routes[i]
			if typeName(r.Type) == "" || r.Dst.Bits() == 0 {
				continue
			}
			node := p.NodeByPodCIDR(r.Dst.Addr())
			if node == "" || node == ns.Node.Name || !p.Within(node, r.Dst) {
				continue
			}
			res := ns.FIB.Lookup(fib.Query{Dst: inside(r.Dst)})
			if res.Unknown == "" && res.Type == r.Type {
				res.Choices = []fib.Choice{{Route: r}}
				out = append(out, way{ns: ns, to: node, cidr: r.Dst, query: fib.Query{Dst: inside(r.Dst)}, res: res, fault: blackhole})
			}
		}
	}
	return out
}

// inside returns an address of c that is not its network's own where c has more than one.
func inside(c netip.Prefix) netip.Addr {
	if c.IsSingleIP() {
		return c.Addr()
	}
	return c.Addr().Next()
}

// unrouted returns the ways of broken paths that end for want of any route in a node's own namespace.
func unrouted(p *check.Pass) []way {
	var out []way
	for _, b := range check.DiesOf(p, trace.NoRoute, trace.NoNeighbour) {
		ns, dst := p.NS(b.Path.At), b.Path.Final.Dst.Addr()
		if b.Path.End == trace.NoNeighbour {
			ns = silent(p, b)
		}
		if ns == nil || !ns.IsHost() || p.NodeByPodCIDR(dst) != "" || p.Network.Missing(ns, "routes.json") != "" {
			continue
		}
		q := fib.Query{Dst: dst}
		if res := ns.FIB.Lookup(q); res.Unknown == "" && len(res.Choices) == 0 && typeName(res.Type) == "" {
			out = append(out, way{ns: ns, cidr: netip.PrefixFrom(dst, dst.BitLen()), query: q, res: res, fault: missing})
		}
	}
	return out
}

// silent returns the node whose end of a Pod's device would answer for the Pod's gateway by proxy ARP, and does
// not for want of a route to the gateway (arp_process); nil where the path does not die of that.
func silent(p *check.Pass, b check.Broken) *network.NS {
	pod := p.NS(b.Path.At)
	if b.Path.End != trace.NoNeighbour || pod == nil || pod.IsHost() {
		return nil
	}
	d := pod.Iface(b.Path.At.Link)
	if d == nil || d.Peer == nil || !d.Peer.Conf.ProxyARP.On() || p.Network.Missing(d.Peer.NS, "routes.json") != "" {
		return nil
	}
	out := pod.FIB.Lookup(fib.Query{Dst: b.Path.Final.Dst.Addr()})
	if out.Unknown != "" || len(out.Choices) == 0 || !out.Choices[0].Hop.Via.IsValid() {
		return nil
	}
	way := d.Peer.NS.FIB.Lookup(fib.Query{Dst: out.Choices[0].Hop.Via})
	if way.Unknown != "" || len(way.Choices) > 0 {
		return nil
	}
	return d.Peer.NS
}

func finding(p *check.Pass, w way) check.Finding {
	f := check.Finding{Severity: check.Error, Where: w.ns.String()}
	get := w.get()
	var r *fib.Route
	if len(w.res.Choices) > 0 {
		r = w.res.Choices[0].Route
	}
	if r != nil {
		e := check.RouteLine(w.ns, r)
		e.Command = get
		f.Evidence = []snapshot.Evidence{e}
	} else {
		f.Evidence = []snapshot.Evidence{check.File(w.ns, "routes.json", "(no route to "+w.cidr.String()+")", get)}
	}
	switch {
	case w.to == "":
		f.What = text.F("no route to %s, and no default route", w.cidr.Addr())
	case w.fault == missing:
		f.What = text.F("no route to %s, the Pods of %s", w.cidr, w.to)
	case w.fault == blackhole:
		f.What = text.F("a route of type %s discards what is for %s, Pods of %s", typeName(w.res.Type), w.cidr, w.to)
	case w.fault == wrong:
		f.What = text.F("the route to %s, the Pods of %s, leads to %s", w.cidr, w.to, w.leads())
	case w.fault == policy:
		f.What = text.F("the rule %q leads packets for %s, the Pods of %s, past the right route", ruleText(w.res.Rule), w.cidr, w.to)
		f.Evidence = append([]snapshot.Evidence{check.File(w.ns, "rules.json", ruleText(w.res.Rule), "ip rule")}, f.Evidence...)
	}
	f.Fix = w.cure(p, r)
	if w.fault == wrong { // whose next hop has no entries, being none
		for _, c := range []string{"neigh-drift", "fdb-drift"} {
			f.Explains = append(f.Explains, check.Symptom{Check: c, Where: w.ns.String() + "/" + w.res.Choices[0].Hop.Dev})
		}
	}
	p.Blame(&f, func(b check.Broken) bool {
		return b.Toward(w.cidr) && (b.Passes(w.ns) || w.fault == missing && silent(p, b) == w.ns)
	})
	return f
}

func (w way) leads() string {
	h := w.res.Choices[0].Hop
	switch {
	case w.owner != "":
		return w.owner + " (" + h.Via.String() + ")"
	case h.Via.IsValid():
		return h.Via.String() + " by " + h.Dev
	}
	return h.Dev
}

// get returns the command that asks the kernel the same question.
func (w way) get() string {
	s := "ip route get " + w.query.Dst.String()
	if w.query.IIF != "" {
		s += " from " + w.query.Src.String() + " iif " + w.query.IIF
	}
	return s
}
