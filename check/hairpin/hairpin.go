// Package hairpin finds Pods that cannot reach themselves through their Service.
package hairpin

import (
	"github.com/plumbnet/plumb/check"
	"github.com/plumbnet/plumb/network"
	"github.com/plumbnet/plumb/snapshot"
	"github.com/plumbnet/plumb/text"
)

// Check reports bridge ports of Pods whose hairpin mode is off where it is needed.
var Check = &check.Check{
	Name: "hairpin-off",
	Doc: `a Pod cannot reach itself through its own Service

Symptom: a Pod's connections to a Service hang when the Service's endpoint is the Pod itself; with three replicas, one in three.
Cause: the bridge does not send a frame back by the port it came in by: hairpin mode is off for the
Pod's veth (the CNI configuration's hairpinMode). A promiscuous bridge, which once did instead, does not where the
kernel's bridge forgets the connection of what it takes in for that (Linux 6.9, and updates of older ones).
Cure: set hairpinMode in the CNI configuration, and turn it on for the Pods that are there.
Commands:
    bridge -d link show dev VETH
    ip link set VETH type bridge_slave hairpin on`,
	DocZH: `Pod 通过自己的 Service 访问不到自己

症状：当 Service 的后端恰好是该 Pod 自己时连接挂住；三个副本时约三分之一。
原因：网桥不会把帧从进来的端口再发回去：该 Pod 的 veth 没有开启 hairpin（CNI 配置的 hairpinMode）。
过去混杂模式的网桥可以代替它；自 Linux 6.9（及较旧版本的更新）起，网桥会忘记这类帧的连接，不再有效。
处理：在 CNI 配置中设置 hairpinMode，并为已有 Pod 打开。
命令：
    bridge -d link show dev VETH
    ip link set VETH type bridge_slave hairpin on`,
	Needs: []string{"host/addr.json"},
	Run:   run,
}

func run(p *check.Pass) {
	for _, ns := range p.Hosts() {
		on := 0
		var off []*network.Iface
		for _, d := range ns.Ifaces {
			if d.Peer == nil || d.Peer.NS == ns || d.Peer.NS.PodName == "" || d.PortOf() == nil {
				continue
			}
			if d.Link.Info.SlaveData.Hairpin {
				on++
			} else {
				off = append(off, d)
			}
		}
		for _, d := range off {
			judge(p, d, on)
		}
	}
}

// judge reports a port without hairpin mode: a fault where the path dies of it,
// worth a warning where other ports of the node have it, else only to know.
func judge(p *check.Pass, d *network.Iface, on int) {
	f := check.Finding{
		Severity: check.Info, Where: d.String(),
		What:     text.F("hairpin mode of %s is off: Pod %s does not reach itself through a Service", d.Name(), d.Peer.NS.PodName),
		Fix:      check.Fix{What: text.F("turn hairpin mode on for %s", d.Name()), Commands: []string{check.Cmd("ip link set %s type bridge_slave hairpin on", d.Name())}},
		Evidence: []snapshot.Evidence{check.File(d.NS, "addr.json", check.LinkText(d.Link)+" hairpin off", "bridge -d link show dev "+d.Name())},
	}
	if on > 0 {
		f.Severity = check.Warning
	}
	p.Blame(&f, func(b check.Broken) bool {
		return b.In(d.NS) && b.Query.From == d.Peer.NS && b.Path.Final.Dst.IsValid() && d.Peer.NS.Owner(b.Path.Final.Dst.Addr()) != nil
	})
	if len(f.Explains) > 0 {
		f.Severity = check.Error
	}
	p.Report(f)
}
