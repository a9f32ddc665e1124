// Package bridgenf finds nodes whose bridges do not show their packets to iptables.
package bridgenf

import (
	"strings"

	"github.com/plumbnet/plumb/check"
	"github.com/plumbnet/plumb/network"
	"github.com/plumbnet/plumb/snapshot"
	"github.com/plumbnet/plumb/text"
)

// Check reports nodes with Pods on a bridge where bridge-nf-call-iptables is 0.
var Check = &check.Check{
	Name: "bridge-nf-off",
	Doc: `bridged packets do not meet iptables

Symptom: a Pod cannot use a Service when the endpoint is a Pod on the same node; endpoints elsewhere answer.
Cause: net.bridge.bridge-nf-call-iptables is 0. The answer crosses the bridge without the Service's
translation being undone, and the client refuses a packet from an address it never spoke to.
Cure: load br_netfilter and set the sysctl to 1, in /etc/sysctl.d so that it stays.
Commands:
    sysctl net.bridge.bridge-nf-call-iptables
    lsmod | grep br_netfilter`,
	DocZH: `经过网桥的数据包不进入 iptables

症状：后端与客户端在同一节点时，Pod 访问 Service 不通；后端在其他节点时正常。
原因：net.bridge.bridge-nf-call-iptables 为 0。应答直接经网桥返回，没有还原 Service 的地址转换，客户端拒收来自陌生地址的包。
处理：加载 br_netfilter 模块并把该参数设为 1，写入 /etc/sysctl.d 使其持久。
命令：
    sysctl net.bridge.bridge-nf-call-iptables
    lsmod | grep br_netfilter`,
	Needs: []string{"host/sysctl", "host/addr.json"},
	Run:   run,
}

func run(p *check.Pass) {
	for _, ns := range p.Hosts() {
		br := podBridge(ns)
		if br == "" || !translates(ns) {
			continue
		}
		v4, v6 := p.Families(ns)
		if v4 {
			judge(p, ns, br, "net.bridge.bridge-nf-call-iptables")
		}
		if v6 {
			judge(p, ns, br, "net.bridge.bridge-nf-call-ip6tables")
		}
	}
}

// podBridge returns the name of a bridge with Pods on it, or "".
func podBridge(ns *network.NS) string {
	for _, d := range ns.Ifaces {
		if d.Peer != nil && d.Peer.NS != ns && d.PortOf() != nil {
			return d.PortOf().Name()
		}
	}
	return ""
}

// translates reports whether kube-proxy's rules are in ns: br_netfilter calls those of nf_tables as well.
func translates(ns *network.NS) bool {
	if len(check.ProxyTables(ns)) > 0 {
		return true
	}
	for _, t := range ns.Netfilter.Tables {
		if t.Name == "nat" && t.Chains["KUBE-SERVICES"] != nil {
			return true
		}
	}
	return false
}

func judge(p *check.Pass, ns *network.NS, br, key string) {
	if ns.Sysctl[key] != "0" {
		return
	}
	f := check.Finding{
		Severity: check.Error, Where: check.Place(ns, ""),
		What: text.F("%s is 0: a Service's answers between Pods on %s are not translated back", key, br),
		Fix: check.Fix{What: text.F("set %s to 1", key), Commands: []string{
			"modprobe br_netfilter", check.Cmd("sysctl -w %s", key+"=1"), check.Cmd("echo %s > /etc/sysctl.d/90-bridge.conf", key+" = 1")}},
		Evidence: []snapshot.Evidence{check.File(ns, "sysctl", key+" = 0", "sysctl "+key)},
	}
	is6 := strings.HasSuffix(key, "ip6tables")
	p.Blame(&f, func(b check.Broken) bool {
		return b.Request != nil && b.Passes(ns) && b.Query.Dst.Addr().Is6() == is6 && p.ServiceOf(b.Query.Dst.Addr()) != nil
	})
	p.Report(f)
}
