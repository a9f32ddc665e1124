// Package vtepaddress compares the addresses that a node's end of a VXLAN is known by.
package vtepaddress

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/plumbnet/plumb/check"
	"github.com/plumbnet/plumb/fib"
	"github.com/plumbnet/plumb/netfilter"
	"github.com/plumbnet/plumb/network"
	"github.com/plumbnet/plumb/snapshot"
	"github.com/plumbnet/plumb/text"
	"github.com/plumbnet/plumb/trace"
)

// Check reports nodes whose VXLAN sends from another address than they are registered by.
var Check = &check.Check{
	Name: "vtep-address",
	Doc: `a node's VXLAN sends from another address than the node is registered by

Symptom: a new node's own host cannot reach a ClusterIP or Pods elsewhere, though routes and iptables
are right; answers go to an address where nobody waits.
Cause: the uplink has two addresses (often one static, one by DHCP). The CNI agent registered one
(flannel: the annotation public-ip, from which peers make their FDB), and the kernel sends from the other.
Cure: remove the address that should not be there, or name the right one to the agent (flannel: --iface, --public-ip), and restart it.
Commands:
    ip -br addr show eth0
    ip -d link show flannel.1
    kubectl get node NODE -o jsonpath='{.metadata.annotations}'
    bridge fdb show dev flannel.1`,
	DocZH: `节点 VXLAN 发包所用的地址与它登记的地址不一致

症状：新节点本机访问不了 ClusterIP 或其他节点的 Pod，而路由和 iptables 都正确；应答发往了无人等待的地址。
原因：上行网卡有两个地址（常见为一个静态、一个 DHCP）。CNI 代理登记了其中一个（flannel：注解 public-ip，其他节点据此写 FDB），而内核用另一个发包。
处理：删除多余的地址，或向代理指明正确地址（flannel：--iface、--public-ip）并重启。
命令：
    ip -br addr show eth0
    ip -d link show flannel.1
    kubectl get node 节点 -o jsonpath='{.metadata.annotations}'
    bridge fdb show dev flannel.1`,
	Needs: []string{"host/addr.json", "host/fdb.json"},
	Run:   run,
}

// The five views of where a node's end of the tunnel is.
type views struct {
	internal   []netip.Addr // Node.status.addresses, InternalIP
	registered netip.Addr   // the agent's annotation
	local      netip.Addr   // the device's local address
	peers      []netip.Addr // where the FDB of other nodes sends what is for its MAC
	kernel     netip.Addr   // the source the kernel would choose toward peers, where the device leaves it open
	peerLines  []snapshot.Evidence
}

func run(p *check.Pass) {
	for _, ns := range p.Hosts() {
		for _, d := range check.VTEPs(ns) {
			judge(p, d)
		}
	}
}

func judge(p *check.Pass, d *network.Iface) {
	v := look(p, d)
	from := v.local
	if !from.IsValid() {
		from = v.kernel
	}
	switch {
	case !from.IsValid():
		return
	case p.Network.Host(d.NS.Node.Name).Owner(from) == nil:
		report(p, d, v, text.F("%s sends from %s, which no device of the node has", d.Name(), from), from)
	case v.registered.IsValid() && v.registered != from:
		report(p, d, v, text.F("%s sends from %s, but the node is registered as %s: answers go there", d.Name(), from, v.registered), from)
	case !v.registered.IsValid() && len(v.peers) > 0 && !slices.Contains(v.peers, from):
		report(p, d, v, text.F("%s sends from %s, but the other nodes know it at %s", d.Name(), from, join(v.peers)), from)
	case v.registered.IsValid() && len(v.internal) > 0 && !slices.Contains(v.internal, from) && twoOnUplink(d, from, v.internal):
		report(p, d, v, text.F("%s sends from %s, one of two addresses of its uplink; the node's InternalIP is %s", d.Name(), from, join(v.internal)), from)
	}
}

func look(p *check.Pass, d *network.Iface) views {
	v := views{local: check.LocalOf(d)}
	is6 := check.Is6(d)
	reg := check.Registration{}
	if o := p.NodeObject(d.NS.Node.Name); o != nil {
		reg = check.Registered(o, is6)
		v.registered = reg.PublicIP
		for _, a := range check.NodeAddrs(o) {
			if a.Is6() == is6 {
				v.internal = append(v.internal, a)
			}
		}
	}
	for _, ns := range p.Hosts() {
		if ns == d.NS {
			continue
		}
		for _, e := range ns.FDB(d.Name(), d.Link.MAC) {
			if e.Dst.IsValid() {
				v.peers = append(v.peers, e.Dst)
				v.peerLines = append(v.peerLines, check.File(ns, "fdb.json", e.MAC.String()+" dev "+e.Dev+" dst "+e.Dst.String(), "bridge fdb show dev "+e.Dev))
			}
		}
	}
	slices.SortFunc(v.peers, netip.Addr.Compare)
	v.peers = slices.Compact(v.peers)
	v.kernel = kernelSource(p, d)
	return v
}

// kernelSource returns the address that the kernel would send from toward the first peer.
func kernelSource(p *check.Pass, d *network.Iface) netip.Addr {
	for i := range d.NS.FIB.FDB {
		e := &d.NS.FIB.FDB[i]
		if e.Dev != d.Name() || !e.Dst.IsValid() {
			continue
		}
		r := d.NS.FIB.Lookup(fib.Query{Dst: e.Dst})
		if r.Unknown == "" && len(r.Choices) > 0 && r.Choices[0].Src.IsValid() {
			return r.Choices[0].Src
		}
	}
	return netip.Addr{}
}

// twoOnUplink reports whether from and one of the node's known addresses are on one device.
func twoOnUplink(d *network.Iface, from netip.Addr, internal []netip.Addr) bool {
	up := d.NS.Owner(from)
	return up != nil && slices.ContainsFunc(internal, up.Has)
}

func join(as []netip.Addr) string {
	var out []string
	for _, a := range as {
		out = append(out, a.String())
	}
	return strings.Join(out, ", ")
}

func report(p *check.Pass, d *network.Iface, v views, what text.Text, from netip.Addr) {
	f := check.Finding{
		Severity: check.Error, Where: d.String(), What: what,
		Fix: check.Fix{What: text.F("register the address that the tunnel of %s is to use, then restart the CNI agent there", d.NS.Node.Name)},
		Evidence: []snapshot.Evidence{
			check.File(d.NS, "addr.json", d.Name()+": vxlan local "+from.String(), "ip -d link show "+d.Name()),
		},
		Explains: []check.Symptom{{Check: "fdb-drift"}},
	}
	if up := uplink(d, from); up != nil {
		f.Evidence = append(f.Evidence, check.File(d.NS, "addr.json", check.LinkText(up.Link), "ip addr show "+up.Name()))
	}
	if o := p.NodeObject(d.NS.Node.Name); o != nil {
		text := "InternalIP " + join(v.internal)
		if v.registered.IsValid() {
			text += "; public-ip " + v.registered.String()
		}
		f.Evidence = append(f.Evidence, p.Object("Node", "", o.Name, text))
	}
	f.Evidence = append(f.Evidence, v.peerLines[:min(2, len(v.peerLines))]...)
	f.Fix.Commands = commands(p, d, v)
	f.Explains = append(f.Explains, refused(p, d, v.registered, from)...)
	p.Blame(&f, func(b check.Broken) bool { return check.Tunnels(b, d) || b.Met(v.registered) })
	p.Report(f)
}

// refused names the firewalls' findings that follow: what the tunnel sends from
// the other address is dropped where a rule knows the registered one.
func refused(p *check.Pass, d *network.Iface, registered, from netip.Addr) []check.Symptom {
	var out []check.Symptom
	for _, b := range check.DiesOf(p, trace.Dropped, trace.Rejected) {
		end, ns := b.Path.Final, p.NS(b.Path.At)
		if ns == nil || ns == d.NS || !registered.IsValid() || end.Inner == nil || end.Src.Addr() != from || int(end.Dst.Port()) != d.Link.Info.Data.Port {
			continue
		}
		if knows(ns, registered) {
			out = append(out, check.Symptom{Check: "firewall-drop", Where: b.Where()})
		}
	}
	return out
}

// knows reports whether a rule of the namespace names the source a.
func knows(ns *network.NS, a netip.Addr) bool {
	source := " -s " + netip.PrefixFrom(a, a.BitLen()).String() + " "
	for _, t := range ns.Netfilter.Tables {
		for _, c := range t.Chains {
			if slices.ContainsFunc(c.Rules, func(r *netfilter.Rule) bool { return strings.Contains(r.Text, source) }) {
				return true
			}
		}
	}
	return false
}

// uplink returns the device under the tunnel.
func uplink(d *network.Iface, from netip.Addr) *network.Iface {
	if up := d.NS.Iface(d.Link.Info.Data.Link); up != nil {
		return up
	}
	return d.NS.Owner(from)
}

func commands(p *check.Pass, d *network.Iface, v views) []string {
	right := v.registered
	if len(v.internal) > 0 && d.NS.Owner(v.internal[0]) != nil {
		right = v.internal[0]
	}
	if !v.registered.IsValid() { // not flannel's way
		return []string{p.Restart(check.CNI, d.NS.Node.Name)}
	}
	return []string{
		check.Cmd("kubectl annotate node %s --overwrite %s", d.NS.Node.Name, "flannel.alpha.coreos.com/public-ip-overwrite="+right.String()),
		p.Restart(check.CNI, d.NS.Node.Name),
	}
}
