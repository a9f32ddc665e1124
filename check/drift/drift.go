// Package drift compares the forwarding and neighbour entries of tunnels and
// Pods with the devices that they stand for.
package drift

import (
	"net/netip"

	"github.com/plumbnet/plumb/check"
	"github.com/plumbnet/plumb/fib"
	"github.com/plumbnet/plumb/network"
	"github.com/plumbnet/plumb/packet"
	"github.com/plumbnet/plumb/snapshot"
	"github.com/plumbnet/plumb/text"
)

// FDB reports VXLAN forwarding entries that are missing or lead to another node.
var FDB = &check.Check{
	Name: "fdb-drift",
	Doc: `a node's VXLAN forwarding entry for another node is missing or wrong

Symptom: Pods of one node do not reach those of one other node; in the other direction requests arrive and answers do not.
Cause: the forwarding entry for the peer's MAC is missing or holds an old address: the agent was not
running when the peer came or moved, or a restarted network service flushed it.
Cure: restart the CNI agent on the node, which writes its entries again.
Commands:
    bridge fdb show dev flannel.1
    ip neigh show dev flannel.1
    kubectl -n kube-flannel logs -l app=flannel --tail 50`,
	DocZH: `VXLAN 转发表缺少对端条目，或指向了错误的节点

症状：某节点的 Pod 访问不到另一个节点的 Pod；反方向请求能到而应答回不来。
原因：对端 MAC 的转发条目缺失或仍是旧地址：对端加入或迁移时代理没有运行，或重启网络服务时被清掉。
处理：重启该节点的 CNI 代理，由它重新写入条目。
命令：
    bridge fdb show dev flannel.1
    ip neigh show dev flannel.1
    kubectl -n kube-flannel logs -l app=flannel --tail 50`,
	Needs: []string{"host/addr.json", "host/routes.json", "host/neigh.json", "host/fdb.json"},
	Run:   func(p *check.Pass) { eachPeer(p, judgeFDB) },
}

// Neigh reports neighbour entries that are missing on a VXLAN, or hold another MAC than the address's owner has.
var Neigh = &check.Check{
	Name: "neigh-drift",
	Doc: `a neighbour entry is missing, or holds the wrong link-layer address

Symptom: one Pod, or all Pods of one other node, are not reached from this node.
Cause: the permanent entry that the CNI agent writes is missing or old, or somebody set one by hand.
Cure: restart the CNI agent on the node; delete a wrong entry, and the kernel asks again.
Commands:
    ip neigh show
    ip neigh del ADDRESS dev DEVICE`,
	DocZH: `邻居表条目缺失，或链路层地址不对

症状：从该节点访问不到某个 Pod，或访问不到另一节点的全部 Pod。
原因：CNI 代理写入的永久条目缺失或过期，或有人手工设置。
处理：重启该节点的 CNI 代理；删除错误条目后内核会重新解析。
命令：
    ip neigh show
    ip neigh del 地址 dev 网卡`,
	Needs: []string{"addr.json", "host/routes.json", "neigh.json"},
	Run: func(p *check.Pass) {
		eachPeer(p, judgeNeigh)
		for _, ns := range p.Network.NS {
			for i := range ns.FIB.Neighs {
				judgePod(p, ns, &ns.FIB.Neighs[i])
			}
		}
	},
}

// A peer is the far end of a VXLAN, as a route of the node names it.
type peer struct {
	d     *network.Iface // the node's VXLAN device
	route *fib.Route
	via   netip.Addr
	node  string         // the node whose Pods the route leads to
	far   *network.Iface // its VXLAN device; nil where its state was not collected
}

// eachPeer calls judge for each route through a VXLAN to the Pods of another node.
func eachPeer(p *check.Pass, judge func(*check.Pass, peer)) {
	for _, ns := range p.Hosts() {
		if p.Lacks(ns, "fdb.json", "neigh.json", "routes.json") {
			continue
		}
		for i := range ns.FIB.Routes {
			r := &ns.FIB.Routes[i]
			if r.Type != fib.Unicast || len(r.Hops) != 1 || !r.Hops[0].Via.IsValid() {
				continue
			}
			d := ns.Iface(r.Hops[0].Dev)
			node := p.NodeByPodCIDR(r.Dst.Addr())
			if d == nil || d.Kind() != "vxlan" || d.Link.Info.Data.External || node == "" || node == ns.Node.Name {
				continue
			}
			judge(p, peer{d, r, r.Hops[0].Via, node, farEnd(p, d, node)})
		}
	}
}

// farEnd returns the device of the same name and family on another node.
func farEnd(p *check.Pass, d *network.Iface, node string) *network.Iface {
	host := p.Host(node)
	if host == nil {
		return nil
	}
	return host.Iface(d.Name())
}

// farMAC returns the link-layer address of the far end, as its device or its registration says.
func (pr peer) farMAC(p *check.Pass) packet.MAC {
	if pr.far != nil {
		return pr.far.Link.MAC
	}
	if o := p.NodeObject(pr.node); o != nil {
		return check.Registered(o, check.Is6(pr.d)).MAC
	}
	return packet.MAC{}
}

// resolves reports whether the device can ask for a link-layer address: an
// entry for the zero MAC, or a group, floods the question.
func resolves(d *network.Iface) bool {
	return len(d.NS.FDB(d.Name(), packet.MAC{})) > 0 || d.Link.Info.Data.Group.IsValid() || d.Link.Info.Data.Group6.IsValid()
}

func judgeNeigh(p *check.Pass, pr peer) {
	if resolves(pr.d) {
		return
	}
	want := pr.farMAC(p)
	e := pr.d.NS.Neigh(pr.d.Name(), pr.via)
	f := check.Finding{Severity: check.Error, Where: pr.d.String()}
	cmd := "ip neigh show " + pr.via.String() + " dev " + pr.d.Name()
	switch {
	case e == nil || e.MAC.IsZero():
		f.What = text.F("no neighbour entry for %s, the gateway to the Pods of %s (%s)", pr.via, pr.node, pr.route.Dst)
		f.Evidence = []snapshot.Evidence{check.RouteLine(pr.d.NS, pr.route), check.File(pr.d.NS, "neigh.json", "(none)", cmd)}
	case !want.IsZero() && e.MAC != want:
		f.What = text.F("the neighbour entry for %s holds %s; the VXLAN of %s has %s", pr.via, e.MAC, pr.node, want)
		f.Evidence = []snapshot.Evidence{check.File(pr.d.NS, "neigh.json", neighText(e), cmd)}
	default:
		return
	}
	f.Fix = restart(p, pr.d.NS)
	if !want.IsZero() {
		f.Fix = pr.renew(p, f.Fix, want)
	}
	f.Explains = append(f.Explains, check.Symptom{Check: "fdb-drift", Where: pr.d.String()})
	p.Blame(&f, func(b check.Broken) bool { return b.Passes(pr.d.NS) && b.Toward(pr.route.Dst) || b.Met(pr.via) })
	p.Report(f)
}

// renew puts the entries that the node lacks before the restart of its agent.
// Where the far device has another address than is registered, agents would
// write the old one again: the far agent is to register it.
func (pr peer) renew(p *check.Pass, f check.Fix, mac packet.MAC) check.Fix {
	now := []string{check.Cmd("ip neigh replace %s lladdr %s dev %s nud permanent", pr.via, mac, pr.d.Name())}
	o, right := p.NodeObject(pr.node), farAddr(p, pr)
	if right.IsValid() && !leads(pr.d.NS.FDB(pr.d.Name(), mac), right) {
		now = append(now, pr.forward(mac, right))
	}
	if o != nil {
		if known := check.Registered(o, check.Is6(pr.d)).MAC; !known.IsZero() && known != mac {
			f = check.Fix{What: text.F("restart the CNI agent on %s, which registers its VXLAN again", pr.node), Commands: []string{p.Restart(check.CNI, pr.node)}}
		}
	}
	f.Commands = append(now, f.Commands...)
	return f
}

// forward returns the command that writes the forwarding entry for the far end.
func (pr peer) forward(mac packet.MAC, at netip.Addr) string {
	return check.Cmd("bridge fdb replace %s dev %s dst %s self permanent", mac, pr.d.Name(), at)
}

func neighText(e *fib.Neigh) string {
	return e.Dst.String() + " dev " + e.Dev + " lladdr " + e.MAC.String() + " " + e.State
}

func restart(p *check.Pass, ns *network.NS) check.Fix {
	return check.Fix{What: text.F("restart the CNI agent on %s, which writes its entries again", ns.Node.Name), Commands: []string{p.Restart(check.CNI, ns.Node.Name)}}
}

func judgeFDB(p *check.Pass, pr peer) {
	e := pr.d.NS.Neigh(pr.d.Name(), pr.via)
	mac := pr.farMAC(p)
	if e != nil && !e.MAC.IsZero() {
		mac = e.MAC
	}
	right := farAddr(p, pr)
	if mac.IsZero() || resolves(pr.d) {
		return
	}
	entries := pr.d.NS.FDB(pr.d.Name(), mac)
	f := check.Finding{Severity: check.Error, Where: pr.d.String()}
	cmd := "bridge fdb show dev " + pr.d.Name() + " | grep " + mac.String()
	switch {
	case len(entries) == 0:
		f.What = text.F("no forwarding entry for %s, the VXLAN of %s", mac, pr.node)
		f.Evidence = []snapshot.Evidence{check.File(pr.d.NS, "fdb.json", "(none)", cmd)}
	case right.IsValid() && !leads(entries, right):
		f.What = text.F("the forwarding entry for %s, the VXLAN of %s, leads to %s; the node is at %s", mac, pr.node, entries[0].Dst, right)
		f.Evidence = []snapshot.Evidence{check.File(pr.d.NS, "fdb.json", mac.String()+" dev "+pr.d.Name()+" dst "+entries[0].Dst.String(), cmd)}
	default:
		return
	}
	f.Fix = restart(p, pr.d.NS)
	if right.IsValid() {
		f.Fix.Commands = append([]string{pr.forward(mac, right)}, f.Fix.Commands...)
	}
	p.Blame(&f, func(b check.Broken) bool { return b.Toward(pr.route.Dst) && b.Passes(pr.d.NS) })
	p.Report(f)
}

// farAddr returns the address that the far end is reached at: as it is
// registered, else as its device has it.
func farAddr(p *check.Pass, pr peer) netip.Addr {
	if o := p.NodeObject(pr.node); o != nil {
		if a := check.Registered(o, check.Is6(pr.d)).PublicIP; a.IsValid() {
			return a
		}
	}
	if pr.far != nil {
		return check.LocalOf(pr.far)
	}
	return netip.Addr{}
}

// leads reports whether one of the entries leads to a. An entry with a nexthop object is not judged.
func leads(entries []*fib.FDBEntry, a netip.Addr) bool {
	for _, e := range entries {
		if e.Dst == a || e.NHID != 0 || !e.Dst.IsValid() {
			return true
		}
	}
	return false
}

// judgePod compares an entry with the MAC of the device that has the address,
// where both are on one node: between nodes a cloud's network may answer with its own.
func judgePod(p *check.Pass, ns *network.NS, e *fib.Neigh) {
	owners := p.Network.Owners(e.Dst)
	if e.MAC.IsZero() || e.Proxy || len(owners) != 1 || e.State == "FAILED" {
		return
	}
	own, d := owners[0], ns.Iface(e.Dev)
	near := own.NS.Node == ns.Node && own.NS != ns
	if !near || d == nil || d.Kind() == "vxlan" || own.Link.MAC.IsZero() || own.Link.MAC == e.MAC || answersFor(p, d) {
		return
	}
	f := check.Finding{
		Severity: check.Warning, Where: d.String(),
		What:     text.F("the neighbour entry for %s holds %s; %s has %s", e.Dst, e.MAC, own.String(), own.Link.MAC),
		Fix:      check.Fix{What: text.F("delete the entry, so that the kernel asks again"), Commands: []string{check.Within(ns, check.Cmd("ip neigh del %s dev %s", e.Dst, e.Dev))}},
		Evidence: []snapshot.Evidence{check.File(ns, "neigh.json", neighText(e), "ip neigh show "+e.Dst.String())},
	}
	if e.State == "PERMANENT" {
		f.Severity = check.Error
	}
	p.Blame(&f, func(b check.Broken) bool { return b.Met(e.Dst) || b.Passes(ns) && !ns.IsHost() })
	p.Report(f)
}

// answersFor reports whether the device, or the other end of it, answers for addresses that it does not hold (proxy ARP).
func answersFor(p *check.Pass, d *network.Iface) bool {
	for _, e := range []*network.Iface{d, d.Peer} {
		if e != nil && (e.NS.Sysctl[check.Conf(e.Name(), "proxy_arp")] == "1" || e.NS.Sysctl["net.ipv4.conf.all.proxy_arp"] == "1") {
			return true
		}
	}
	return false
}
