// Package vxlan compares the settings of the nodes' VXLAN devices, which must agree.
package vxlan

import (
	"strconv"

	"github.com/plumbnet/plumb/check"
	"github.com/plumbnet/plumb/network"
	"github.com/plumbnet/plumb/snapshot"
	"github.com/plumbnet/plumb/text"
)

// VNI reports VXLAN devices whose network identifier differs from that of the other nodes.
var VNI = &check.Check{
	Name: "vni-mismatch",
	Doc: `a node's VXLAN has another network identifier than the others'

Symptom: Pods of the node reach no Pod on other nodes, and are not reached; the outer packets arrive and are dropped.
Cause: the tunnel was made under another configuration (flannel's Backend.VNI), or by hand.
Cure: delete the device and restart the CNI agent, which makes it again.
Commands:
    ip -d link show type vxlan
    kubectl -n kube-flannel get configmap kube-flannel-cfg -o yaml`,
	DocZH: `某节点 VXLAN 的网络标识（VNI）与其他节点不同

症状：该节点的 Pod 与其他节点的 Pod 互不相通；外层数据包到达后被丢弃。
原因：隧道是按另一份配置（flannel 的 Backend.VNI）或手工创建的。
处理：删除该设备并重启 CNI 代理，由它重新创建。
命令：
    ip -d link show type vxlan
    kubectl -n kube-flannel get configmap kube-flannel-cfg -o yaml`,
	Needs: []string{"host/addr.json"},
	Run: func(p *check.Pass) {
		odd(p, func(d *network.Iface, v, usual int, nodes int) check.Finding {
			return check.Finding{
				What: text.F("%s has the VXLAN network identifier %d; %d other nodes have %d", d.Name(), v, nodes, usual),
			}
		}, func(d *network.Iface) int { return d.Link.Info.Data.ID }, " id ")
	},
}

// Port reports VXLAN devices whose UDP port differs from that of the other nodes.
var Port = &check.Check{
	Name: "vxlan-port-mismatch",
	Doc: `a node's VXLAN uses another UDP port than the others'

Symptom: Pods of the node reach no Pod on other nodes, and are not reached; the far nodes answer the
outer packets with "port unreachable".
Cause: the tunnel was made under another configuration (flannel's Backend.Port; Linux's default is 8472, IANA's is 4789).
Cure: delete the device and restart the CNI agent, which makes it again.
Commands:
    ip -d link show type vxlan
    ss -lun | grep -e 8472 -e 4789`,
	DocZH: `某节点 VXLAN 使用的 UDP 端口与其他节点不同

症状：该节点的 Pod 与其他节点的 Pod 互不相通；对端对外层数据包回应 "port unreachable"。
原因：隧道是按另一份配置创建的（flannel 的 Backend.Port；Linux 默认 8472，IANA 规定 4789）。
处理：删除该设备并重启 CNI 代理，由它重新创建。
命令：
    ip -d link show type vxlan
    ss -lun | grep -e 8472 -e 4789`,
	Needs: []string{"host/addr.json"},
	Run: func(p *check.Pass) {
		odd(p, func(d *network.Iface, v, usual int, nodes int) check.Finding {
			return check.Finding{
				What: text.F("%s uses UDP port %d; %d other nodes use %d", d.Name(), v, nodes, usual),
			}
		}, func(d *network.Iface) int { return d.Link.Info.Data.Port }, " dstport ")
	},
}

// odd reports the VXLAN devices whose value differs from that of most devices of the same name.
func odd(p *check.Pass, say func(d *network.Iface, v, usual, nodes int) check.Finding, value func(*network.Iface) int, word string) {
	byName := map[string][]*network.Iface{}
	var names []string
	for _, ns := range p.Hosts() {
		for _, d := range ns.Ifaces {
			if d.Kind() != "vxlan" || d.Link.Info.Data.External {
				continue
			}
			if byName[d.Name()] == nil {
				names = append(names, d.Name())
			}
			byName[d.Name()] = append(byName[d.Name()], d)
		}
	}
	for _, name := range names {
		usual, n := most(byName[name], value)
		for _, d := range byName[name] {
			if v := value(d); v != usual && n > 1 {
				report(p, d, say(d, v, usual, n), word+strconv.Itoa(v))
			}
		}
	}
}

// most returns the value that most devices have, and how many.
func most(ds []*network.Iface, value func(*network.Iface) int) (usual, n int) {
	count := map[int]int{}
	for _, d := range ds {
		count[value(d)]++
	}
	for _, d := range ds { // in the snapshot's order, so that a tie has one outcome
		if v := value(d); count[v] > n {
			usual, n = v, count[v]
		}
	}
	return usual, n
}

func report(p *check.Pass, d *network.Iface, f check.Finding, setting string) {
	f.Severity, f.Where = check.Error, d.String()
	f.Fix = check.Fix{What: text.F("delete %s and restart the CNI agent, which makes it again", d.Name()), Commands: []string{check.Cmd("ip link delete %s", d.Name()), p.Restart(check.CNI, d.NS.Node.Name)}}
	f.Evidence = []snapshot.Evidence{check.File(d.NS, "addr.json", d.Name()+": vxlan"+setting, "ip -d link show "+d.Name())}
	p.Blame(&f, func(b check.Broken) bool { return check.Tunnels(b, d) })
	p.Report(f)
}
