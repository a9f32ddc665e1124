// Package ipforward finds nodes that do not forward packets.
package ipforward

import (
	"github.com/plumbnet/plumb/check"
	"github.com/plumbnet/plumb/network"
	"github.com/plumbnet/plumb/snapshot"
	"github.com/plumbnet/plumb/text"
)

// Check reports nodes with Pods on which forwarding is off, in all or for one device that Pods' packets come in by.
var Check = &check.Check{
	Name: "ip-forward",
	Doc: `a node does not forward packets

Symptom: Pods on the node reach each other over their bridge, and nothing else; the node itself reaches everything.
Cause: net.ipv4.ip_forward (or net.ipv6.conf.all.forwarding) is 0: a restarted network service or a
hardening script wrote it back. It also stands for each device: net.ipv4.conf.DEVICE.forwarding.
Cure: set it to 1, and in /etc/sysctl.d so that it stays.
Commands:
    sysctl net.ipv4.ip_forward net.ipv6.conf.all.forwarding
    sysctl -a | grep '[.]forwarding = 0'
    grep -r forward /etc/sysctl.conf /etc/sysctl.d`,
	DocZH: `节点不转发数据包

症状：该节点上的 Pod 只能在同一网桥内互通，其余全部不通；节点本机访问一切正常。
原因：net.ipv4.ip_forward（或 net.ipv6.conf.all.forwarding）为 0：重启网络服务或安全加固脚本把它改了回去。每个网卡也有各自的开关：net.ipv4.conf.网卡.forwarding。
处理：设为 1，并写入 /etc/sysctl.d 使其持久。
命令：
    sysctl net.ipv4.ip_forward net.ipv6.conf.all.forwarding
    sysctl -a | grep '[.]forwarding = 0'
    grep -r forward /etc/sysctl.conf /etc/sysctl.d`,
	Needs: []string{"host/sysctl"},
	Run:   run,
}

func run(p *check.Pass) {
	for _, ns := range p.Hosts() {
		if !p.HostsPods(ns) {
			continue
		}
		v4, v6 := p.Families(ns)
		if v4 && !report(p, ns, "net.ipv4.ip_forward") {
			perDevice(p, ns)
		}
		if v6 {
			report(p, ns, "net.ipv6.conf.all.forwarding")
		}
	}
}

// perDevice looks at the devices by which packets for Pods, and from them, come in.
func perDevice(p *check.Pass, ns *network.NS) {
	for _, d := range ns.Ifaces {
		pods := d.Kind() == "bridge" && len(d.Ports) > 0 || d.Kind() == "vxlan" || d.Peer != nil && d.Peer.NS != ns && d.Master == nil
		up := p.UplinkOf(ns)
		if pods || up != nil && up.Name == d.Name() {
			report(p, ns, check.Conf(d.Name(), "forwarding"))
		}
	}
}

func report(p *check.Pass, ns *network.NS, key string) bool {
	if ns.Sysctl[key] != "0" {
		return false
	}
	f := check.Finding{
		Severity: check.Error, Where: check.Place(ns, ""),
		What:     text.F("%s is 0: the node forwards nothing for its Pods", key),
		Fix:      check.Fix{What: text.F("set %s to 1", key), Commands: []string{check.Cmd("sysctl -w %s", key+"=1"), check.Cmd("echo %s > /etc/sysctl.d/90-forward.conf", key+" = 1")}},
		Evidence: []snapshot.Evidence{check.File(ns, "sysctl", key+" = 0", "sysctl "+key)},
	}
	p.Blame(&f, func(b check.Broken) bool { return b.In(ns) && b.Forwarded() })
	if key == "net.ipv4.ip_forward" {
		p.LoseBehindRouter(&f, func(pod *network.Iface) bool { return pod.NS.Node == ns.Node })
	}
	p.Report(f)
	return true
}
