// Package link checks that the devices that carry Pods' packets are up, joined, and have their addresses.
package link

import (
	"slices"

	"github.com/plumbnet/plumb/check"
	"github.com/plumbnet/plumb/fib"
	"github.com/plumbnet/plumb/network"
	"github.com/plumbnet/plumb/snapshot"
	"github.com/plumbnet/plumb/text"
)

// Down reports devices on the way of Pods' packets that are not up.
var Down = &check.Check{
	Name: "link-down",
	Doc: `a device that carries Pods' packets is down

Symptom: all that goes by the device is lost; its routes are gone, too.
Cause: the device was set down ("ip link set … down", a restarted network service), or its cable or its other end is.
Cure: set it up, then restart the CNI agent, since the kernel removed the device's routes when it went down.
Commands:
    ip -br link
    ip link set DEVICE up
    journalctl -k | grep -i 'link is'`,
	DocZH: `承载 Pod 流量的网卡没有启用

症状：经过该网卡的流量全部丢失，其上的路由也消失。
原因：网卡被关闭（"ip link set … down"、重启网络服务），或网线、对端断开。
处理：启用网卡，然后重启 CNI 代理：网卡关闭时内核已删除其路由。
命令：
    ip -br link
    ip link set 网卡 up
    journalctl -k | grep -i 'link is'`,
	Needs: []string{"addr.json"},
	Run:   down,
}

// Detached reports Pods whose end on the node is not in the bridge that the node's other Pods are in.
var Detached = &check.Check{
	Name: "veth-detached",
	Doc: `a Pod's veth is not in its node's bridge

Symptom: one Pod reaches nothing, not even its gateway; other Pods of the node are well.
Cause: the node's end of the veth lost its master: a restarted network service, a bridge that was deleted and made again.
Cure: put it back, or delete the Pod so that the CNI plugin wires it anew.
Commands:
    bridge link
    ip link set VETH master cni0`,
	DocZH: `Pod 的 veth 没有接在节点网桥上

症状：某个 Pod 什么都访问不到，连网关也不通；同节点其他 Pod 正常。
原因：veth 在节点一侧失去了 master：重启网络服务，或网桥被删除后重建。
处理：把它重新接上，或删除 Pod 让 CNI 插件重新接线。
命令：
    bridge link
    ip link set VETH master cni0`,
	Needs: []string{"addr.json"},
	Run:   detached,
}

// AddressMissing reports addresses that the API promises and no device has.
var AddressMissing = &check.Check{
	Name: "address-missing",
	Doc: `a Pod, a node or a Pods' gateway does not have its address

Symptom: packets to the address find nobody; a Pod without its gateway reaches only its own subnet.
Cause: the address was removed or moved: a restarted network service, a DHCP lease, a hand at work.
Cure: add it again; for a Pod delete the Pod, for a bridge restart the CNI agent.
Commands:
    ip -br addr
    kubectl get pods -A -o wide`,
	DocZH: `Pod、节点或 Pod 网关缺少应有的地址

症状：发往该地址的包无人应答；Pod 缺少网关时只能访问同一子网。
原因：地址被删除或迁移：重启网络服务、DHCP 租约变化、人为操作。
处理：把地址加回去；Pod 的话删除重建，网桥的话重启 CNI 代理。
命令：
    ip -br addr
    kubectl get pods -A -o wide`,
	Needs: []string{"addr.json"},
	Run:   addressMissing,
}

func down(p *check.Pass) {
	for _, ns := range p.Network.NS {
		up := p.UplinkOf(ns)
		for _, d := range ns.Ifaces {
			if needed(d, up != nil && ns.IsHost() && up.Name == d.Name()) && !d.Carrier() {
				p.Report(downFinding(p, d))
			}
		}
	}
}

// needed reports whether Pods' packets depend on a device. A bridge has a
// carrier only while one of its ports has.
func needed(d *network.Iface, uplink bool) bool {
	switch {
	case uplink, d.Kind() == "vxlan":
		return true
	case d.Peer != nil && d.Peer.NS != d.NS: // an end of a Pod's veth
		return true
	case d.Kind() == "bridge":
		return slices.ContainsFunc(d.Ports, func(port *network.Iface) bool { return port.Peer != nil && port.Peer.NS != d.NS && port.Carrier() })
	}
	return d.IsLoopback() && d.NS.PodName != ""
}

func downFinding(p *check.Pass, d *network.Iface) check.Finding {
	f := check.Finding{
		Severity: check.Error, Where: d.String(),
		What:     text.F("%s is down", d.Name()),
		Fix:      check.Fix{What: text.F("set %s up", d.Name()), Commands: []string{check.Within(d.NS, check.Cmd("ip link set %s up", d.Name()))}},
		Evidence: []snapshot.Evidence{check.File(d.NS, "addr.json", check.LinkText(d.Link), "ip link show "+d.Name())},
	}
	if d.Kind() == "vxlan" {
		f.Fix.What = text.F("set %s up, and restart the CNI agent: the routes by it are gone", d.Name())
		f.Fix.Commands = append(f.Fix.Commands, p.Restart(check.CNI, d.NS.Node.Name))
	}
	if d.Up() {
		f.What = text.F("%s is up, but has no carrier: its other end is down", d.Name())
		f.Fix = check.Fix{What: text.F("set the other end of %s up", d.Name())}
		if d.Peer != nil && !d.Peer.Up() {
			f.Severity = check.Warning // the other end's finding says it
		}
	}
	if d.Peer != nil {
		f.Explains = append(f.Explains, lessThan(d)...)
	}
	for _, c := range []string{"route-missing", "route-wrong", "neigh-drift"} {
		if !d.Up() && d.NS.IsHost() {
			f.Explains = append(f.Explains, check.Symptom{Check: c, Where: d.NS.Node.Name})
		}
	}
	ends := []*network.Iface{d, d.Peer}
	if d.Kind() == "bridge" {
		ends = append(ends, d.Ports...)
	}
	p.Blame(&f, func(b check.Broken) bool {
		return slices.ContainsFunc(ends, func(e *network.Iface) bool { return e != nil && (p.DiesAt(b, e) || leadsTo(b, e)) }) || bounced(b, d)
	})
	p.LoseBehindRouter(&f, func(pod *network.Iface) bool {
		return pod == d || pod.Peer != nil && (pod.Peer == d || pod.Peer.PortOf() == d)
	})
	return f
}

// leadsTo reports whether the packet dies on the node of a Pod's veth on its way to that Pod.
func leadsTo(b check.Broken, e *network.Iface) bool {
	if e.Peer == nil || b.Path.At.Node != e.NS.Node.Name {
		return false
	}
	return slices.ContainsFunc(e.Link.Addrs, func(a snapshot.LinkAddr) bool { return b.Met(a.Local) })
}

// bounced reports whether the packet comes to its node for a tunnel device, and is not taken.
func bounced(b check.Broken, d *network.Iface) bool {
	return d.Kind() == "vxlan" && b.In(d.NS) && b.Path.Final.Inner != nil && int(b.Path.Final.Dst.Port()) == d.Link.Info.Data.Port
}

// lessThan names the finding that the other end of a veth has no carrier, which follows from this end's being down.
func lessThan(d *network.Iface) []check.Symptom {
	if d.Up() {
		return nil
	}
	return []check.Symptom{{Check: "link-down", Where: d.Peer.String()}}
}

func detached(p *check.Pass) {
	for _, ns := range p.Hosts() {
		bridge := usual(ns)
		if bridge == "" {
			continue
		}
		for _, d := range ns.Ifaces {
			if d.Peer != nil && d.Peer.NS != ns && d.Peer.NS.PodName != "" && d.Master == nil && !routed(ns, d) {
				p.Report(detachedFinding(p, d, bridge))
			}
		}
	}
}

// usual returns the bridge that Pods of the node are in: of those that ports of Pods
// are in, or where none is, one that has the address of Pods' gateway.
func usual(ns *network.NS) string {
	for _, d := range ns.Ifaces {
		if d.Peer != nil && d.Peer.NS != ns && d.PortOf() != nil {
			return d.PortOf().Name()
		}
	}
	for _, d := range ns.Ifaces {
		if d.Kind() == "bridge" && (d.Name() == "cni0" || d.Name() == "cbr0") {
			return d.Name()
		}
	}
	return ""
}

// routed reports whether the node has a route to the Pod by the device itself, as point-to-point plugins make.
func routed(ns *network.NS, d *network.Iface) bool {
	for i := range ns.FIB.Routes {
		r := &ns.FIB.Routes[i]
		if r.Type == fib.Unicast && r.Dst.IsSingleIP() && len(r.Hops) == 1 && r.Hops[0].Dev == d.Name() && d.Peer.Has(r.Dst.Addr()) {
			return true
		}
	}
	return false
}

func detachedFinding(p *check.Pass, d *network.Iface, bridge string) check.Finding {
	f := check.Finding{
		Severity: check.Error, Where: d.String(),
		What:     text.F("%s, the veth of Pod %s, is in no bridge; it belongs in %s", d.Name(), d.Peer.NS.PodName, bridge),
		Fix:      check.Fix{What: text.F("put %s into %s", d.Name(), bridge), Commands: []string{check.Cmd("ip link set %s master %s", d.Name(), bridge)}},
		Evidence: []snapshot.Evidence{check.File(d.NS, "addr.json", check.LinkText(d.Link), "ip link show "+d.Name())},
	}
	p.LoseBehindRouter(&f, func(pod *network.Iface) bool { return pod == d.Peer })
	p.Blame(&f, func(b check.Broken) bool {
		if p.DiesAt(b, d) || p.DiesAt(b, d.Peer) || b.In(d.Peer.NS) {
			return true
		}
		return slices.ContainsFunc(d.Peer.Link.Addrs, func(a snapshot.LinkAddr) bool { return b.Met(a.Local) })
	})
	return f
}
