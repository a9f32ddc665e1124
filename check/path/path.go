// Package path turns the deaths that a trace found into findings, which the
// checks that know a cause then explain.
package path

import (
	"github.com/plumbnet/plumb/check"
	"github.com/plumbnet/plumb/text"
	"github.com/plumbnet/plumb/trace"
)

// Check reports each place where the packet asked about, or the answer to it, does not get on.
var Check = &check.Check{
	Name: check.PathBroken,
	Doc: `a packet does not arrive, and nothing more particular explains why

Symptom: the connection asked about times out, is refused, or hangs on big packets.
Cause: the place, the device and the route or rule that decided are in the finding; it is
what is left where no other check knows the cause.
Cure: look at the last step of the path, and at the rule or route it quotes.
Commands:
    ip route get DESTINATION from SOURCE iif DEVICE
    iptables-save -c | grep -e DROP -e REJECT
    tcpdump -ni any host DESTINATION`,
	DocZH: `数据包没有到达，且没有更具体的检查能解释原因

症状：所问的连接超时、被拒绝，或在传大包时挂住。
原因：结论中给出了位置、设备，以及起决定作用的路由或规则；没有其他检查能说明原因时，只剩下它。
处理：查看路径的最后一步，以及它引用的规则或路由。
命令：
    ip route get 目的地址 from 源地址 iif 设备
    iptables-save -c | grep -e DROP -e REJECT
    tcpdump -ni any host 目的地址`,
	Run: run,
}

func run(p *check.Pass) {
	for _, b := range check.BrokenPaths(p) {
		p.Report(check.Finding{
			Severity: severity(p),
			Where:    b.Where(),
			What:     what(b),
			OnPath:   len(p.Results) > 0,
			Evidence: b.Evidence(),
		})
	}
}

// severity returns how bad it is that a packet does not arrive. Where nobody
// asked about it, the packet is one between two Pods, which network policies may well mean to stop.
func severity(p *check.Pass) check.Severity {
	switch {
	case len(p.Results) > 0:
		return check.Error
	case len(p.Snapshot.Objects.NetworkPolicies) > 0:
		return check.Info
	}
	return check.Warning
}

// what says in a sentence how the packet ends.
func what(b check.Broken) text.Text {
	packet, why := b.Path.Final.String(), b.Path.Why
	if !b.Path.Final.Src.IsValid() { // it has no source address yet
		packet = b.Path.Final.Proto.String() + " to " + b.Path.Final.Dst.String()
	}
	if b.Path.End == trace.LeftCluster {
		why = text.F("it leaves the cluster, although its destination %s is inside", b.Path.Final.Dst.Addr())
		if in := b.Path.Final.Inner; in != nil {
			why = text.F("it carries a packet for %s to %s, which no node has", in.Dst.Addr(), b.Path.Final.Dst.Addr())
		}
	}
	if b.Request != nil {
		return text.F("the answer %s ends here (%s): %s", packet, b.Path.End, why)
	}
	return text.F("the packet %s ends here (%s): %s", packet, b.Path.End, why)
}
