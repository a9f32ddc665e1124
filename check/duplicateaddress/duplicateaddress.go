// Package duplicateaddress finds addresses that two Pods or nodes hold.
package duplicateaddress

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

// Check reports addresses of Pods and of nodes' uplinks that more than one namespace holds.
var Check = &check.Check{
	Name: "duplicate-address",
	Doc: `two Pods or nodes hold the same address

Symptom: connections to the address reach now one, now the other, or hang; "it works every other time".
Cause: an address was set by hand, a CNI plugin gave one out twice (its store was lost), a node was cloned, two nodes have the same Pod range.
Cure: remove it where it does not belong; delete the Pod that holds it wrongly.
Commands:
    kubectl get pods -A -o wide | grep ADDRESS
    arping -D -I eth0 ADDRESS`,
	DocZH: `两个 Pod 或节点持有同一个地址

症状：访问该地址时而到这个、时而到那个，或挂住，"一会儿好一会儿坏"。
原因：手工设置了地址，CNI 插件重复分配（其存储丢失），节点是克隆的，或两个节点的 Pod 网段相同。
处理：在不该有的地方删除该地址；删除错误持有它的 Pod。
命令：
    kubectl get pods -A -o wide | grep 地址
    arping -D -I eth0 地址`,
	Needs: []string{"addr.json"},
	Run:   run,
}

func run(p *check.Pass) {
	seen := map[netip.Addr]bool{}
	for _, ns := range p.Network.NS {
		if ns.IsHost() {
			impostors(p, ns)
		}
		for _, d := range ns.Ifaces {
			for _, a := range d.Link.Addrs {
				if a.DADFailed {
					p.Report(dadFailed(d, a.Local))
				}
				if !seen[a.Local] && !shared(a.Local) {
					seen[a.Local] = true
					judge(p, a.Local)
				}
			}
		}
	}
}

// shared reports whether an address may be on many machines at once.
func shared(a netip.Addr) bool {
	return a.IsLoopback() || a.IsLinkLocalUnicast() || a.IsMulticast() || a.IsUnspecified()
}

func judge(p *check.Pass, a netip.Addr) {
	var who []*network.Iface
	for _, d := range p.Network.Owners(a) {
		twin := slices.ContainsFunc(who, func(o *network.Iface) bool { return o.NS == d.NS })
		if !twin && exclusive(p, d, a) {
			who = append(who, d)
		}
	}
	if len(who) < 2 {
		return
	}
	rightful := owner(p, who, a)
	for _, d := range who {
		if d != rightful {
			p.Report(finding(p, d, rightful, a))
		}
	}
}

// owner returns the device that the address belongs to: that of the Pod or node that the API knows by
// it, else the first.
func owner(p *check.Pass, who []*network.Iface, a netip.Addr) *network.Iface {
	pod := p.PodByAddr(a)
	for _, d := range who {
		o := p.NodeObject(d.NS.Node.Name)
		ofPod := pod != nil && d.NS.PodName == pod.Namespace+"/"+pod.Name
		ofNode := pod == nil && d.NS.IsHost() && o != nil && slices.Contains(check.NodeAddrs(o), a)
		if ofPod || ofNode {
			return d
		}
	}
	return who[0]
}

// exclusive reports whether a device's address should be its alone: it is a
// Pod's, or the API knows the node by it, or it is in the way of a Pod's.
// Addresses of node-local bridges such as docker0 recur on every node.
func exclusive(p *check.Pass, d *network.Iface, a netip.Addr) bool {
	if !d.NS.IsHost() || p.PodByAddr(a) != nil {
		return true
	}
	for i := range p.Snapshot.Objects.Nodes {
		if slices.Contains(check.NodeAddrs(&p.Snapshot.Objects.Nodes[i]), a) {
			return true
		}
	}
	return false
}

func finding(p *check.Pass, d, rightful *network.Iface, a netip.Addr) check.Finding {
	f := check.Finding{
		Severity: check.Error, Where: d.String(),
		What: text.F("%s is on %s and on %s", a, d.String(), rightful.String()),
		Fix:  check.Fix{What: text.F("remove %s where it does not belong", a), Commands: []string{check.Within(d.NS, check.Cmd("ip addr del %s dev %s", prefix(d, a), d.Name()))}},
		Evidence: []snapshot.Evidence{
			check.File(d.NS, "addr.json", check.LinkText(d.Link), "ip addr show "+d.Name()),
			check.File(rightful.NS, "addr.json", check.LinkText(rightful.Link), "ip addr show "+rightful.Name()),
		},
		Explains: []check.Symptom{{Check: "neigh-drift", Where: d.NS.Node.Name}, {Check: "neigh-drift", Where: rightful.NS.Node.Name}, {Check: "not-listening", Where: d.NS.String()}},
	}
	if name := d.NS.PodName; name != "" && !d.NS.IsHost() {
		f.Fix.Commands = append(f.Fix.Commands, p.Rewire(name))
	}
	if routesBy(d.NS, a) { // which the node takes for its own address now
		f.Explains = append(f.Explains, check.Symptom{Check: "route-wrong", Where: d.NS.String()})
	}
	p.Blame(&f, func(b check.Broken) bool { return b.Went(a) || b.Path.Final.Src.Addr() == a })
	for i := range p.Results {
		for j := range p.Results[i].Paths {
			if path := &p.Results[i].Paths[j]; astray(path, d) {
				p.Lose(&f, path, true)
			}
		}
	}
	return f
}

// astray reports whether a path comes to the machine that wrongly holds the address, and is sent on by the same
// device. Where that arrives after all it is by luck: answers take another way, and a firewall there sees but half.
func astray(path *trace.Path, d *network.Iface) bool {
	for i, h := range path.Hops {
		if i > 0 && h.Node == d.NS.Node.Name && h.NetNS == d.NS.Name && h.In == d.Name() && h.Out == d.Name() {
			return true
		}
	}
	return false
}

// routesBy reports whether a route of ns names a as its gateway.
func routesBy(ns *network.NS, a netip.Addr) bool {
	return slices.ContainsFunc(ns.FIB.Routes, func(r fib.Route) bool {
		return slices.ContainsFunc(r.Hops, func(h fib.NextHop) bool { return h.Via == a })
	})
}

func prefix(d *network.Iface, a netip.Addr) string {
	for _, la := range d.Link.Addrs {
		if la.Local == a {
			return netip.PrefixFrom(a, la.Len).String()
		}
	}
	return a.String()
}

func dadFailed(d *network.Iface, a netip.Addr) check.Finding {
	return check.Finding{
		Severity: check.Error, Where: d.String(),
		What:     text.F("%s is not in use: another host on the link answered for it (dadfailed)", a),
		Fix:      check.Fix{What: text.F("give one of the two hosts another address than %s", a)},
		Evidence: []snapshot.Evidence{check.File(d.NS, "addr.json", a.String()+" dadfailed", "ip -6 addr show dev "+d.Name())},
	}
}
