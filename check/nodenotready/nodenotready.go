// Package nodenotready finds nodes whose kubelet does not say that all is well.
package nodenotready

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/plumbnet/plumb/check"
	"github.com/plumbnet/plumb/text"
	corev1 "k8s.io/api/core/v1"
)

// Check reports nodes that are not Ready, but for want of a network plugin, which cni-missing tells of.
var Check = &check.Check{
	Name: "node-not-ready",
	Doc: `a node is NotReady

Symptom: Services leave out the Pods of the node; where it is down, nothing on it answers, and
packets to it are lost.
Cause: the node is down or cut off, or its kubelet or container runtime does not run. After 40
seconds without a word of the kubelet the control plane calls the node NotReady, and its Pods not ready.
Cure: reach the node by its console; start it, its network, its container runtime or its kubelet.
Commands:
    kubectl describe node NODE
    journalctl -u kubelet -u containerd --since -1h`,
	DocZH: `节点处于 NotReady 状态

症状：Service 不再使用该节点上的 Pod；若节点已宕机，其上的一切都不应答，发往它的包全部丢失。
原因：节点宕机或断网，或 kubelet、容器运行时没有运行。kubelet 超过 40 秒没有上报，控制面就把节点标为 NotReady，并把其上的 Pod 标为未就绪。
处理：通过控制台登录该节点，恢复节点、网络、容器运行时或 kubelet。
命令：
    kubectl describe node 节点
    journalctl -u kubelet -u containerd --since -1h`,
	Needs: []string{"objects/Node"},
	Run:   run,
}

func run(p *check.Pass) {
	for i := range p.Snapshot.Objects.Nodes {
		n := &p.Snapshot.Objects.Nodes[i]
		for _, c := range n.Status.Conditions {
			if c.Type == corev1.NodeReady && c.Status != corev1.ConditionTrue && !wantsPlugin(c) {
				p.Report(finding(p, n, c))
			}
		}
	}
}

// wantsPlugin reports whether the kubelet lacks a network plugin.
func wantsPlugin(c corev1.NodeCondition) bool {
	return c.Status == corev1.ConditionFalse && (strings.Contains(c.Message, "cni") || strings.Contains(c.Message, "NetworkPluginNotReady"))
}

func finding(p *check.Pass, n *corev1.Node, c corev1.NodeCondition) check.Finding {
	node := n.Name
	f := check.Finding{
		Severity: check.Error, Where: "node/" + node,
		What: text.F("the node is not ready: %s: %s", c.Reason, c.Message),
		Fix: check.Fix{What: text.F("look at %s by its console: whether it runs, has its network, and runs a kubelet", node),
			Commands: []string{check.Cmd("kubectl describe node %s", node)}},
		// The control plane calls each Pod of such a node not ready.
		Explains: []check.Symptom{{Check: "proxy-evicted", Where: "node/" + node}, {Check: "cni-missing", Where: "node/" + node}},
	}
	f.Evidence = append(f.Evidence, p.Object("Node", "", node, c.Reason+": "+c.Message))
	p.Blame(&f, func(b check.Broken) bool { return p.Host(node) == nil && toward(n, b) }) // nothing is known of its kernel
	return f
}

// toward reports whether a packet died on its way to a node's Pods.
func toward(n *corev1.Node, b check.Broken) bool {
	return slices.ContainsFunc(append(n.Spec.PodCIDRs, n.Spec.PodCIDR), func(text string) bool {
		cidr, err := netip.ParsePrefix(text)
		return err == nil && b.Toward(cidr)
	})
}
