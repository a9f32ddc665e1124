// Package cnimissing finds nodes whose CNI plugin is not set up or whose CNI agent does not run.
package cnimissing

import (
	"strings"

	"github.com/plumbnet/plumb/check"
	"github.com/plumbnet/plumb/text"
	corev1 "k8s.io/api/core/v1"
)

// Check reports nodes without a running CNI agent, or without a CNI configuration.
var Check = &check.Check{
	Name: "cni-missing",
	Doc: `the CNI agent does not run on a node, or the node has no CNI configuration

Symptom: new Pods stay in ContainerCreating, the node is NotReady; routes and tunnel entries to and
from the node go missing or stale.
Cause: the agent's Pod (flannel, calico-node, cilium …) is Pending, Evicted or crashing, or /etc/cni/net.d is empty.
Cure: get the agent to run; it writes the configuration and the routes again.
Commands:
    kubectl get pods -A -o wide | grep -e flannel -e calico -e cilium
    kubectl describe node NODE
    ls /etc/cni/net.d`,
	DocZH: `节点上没有运行 CNI 代理，或节点没有 CNI 配置

症状：新 Pod 一直处于 ContainerCreating，节点 NotReady；进出该节点的路由和隧道表项缺失或过期。
原因：代理的 Pod（flannel、calico-node、cilium 等）处于 Pending、被驱逐或崩溃，或 /etc/cni/net.d 为空。
处理：让代理运行起来，它会重新写入配置和路由。
命令：
    kubectl get pods -A -o wide | grep -e flannel -e calico -e cilium
    kubectl describe node 节点
    ls /etc/cni/net.d`,
	Needs: []string{"objects/Pod", "objects/Node"},
	Run:   run,
}

// drifts are the checks whose findings on a node, or about it, follow from an agent that does not run there.
var drifts = []string{"route-missing", "route-wrong", "fdb-drift", "neigh-drift", "podcidr-missing", "address-missing"}

func run(p *check.Pass) {
	absent, _ := p.Absent(check.CNI)
	seen := map[string]bool{}
	var without []check.Finding // any Pod of the agent
	with := map[string][]check.Finding{}
	for _, a := range absent {
		seen[a.Node] = true
		f := finding(a.Node)
		f.What = text.F("the CNI agent of %s has no Pod on the node", a.Owner)
		blame(p, &f, a.Node)
		if a.Pod == nil {
			without = append(without, f)
			continue
		}
		state := check.StateOf(a.Pod)
		f.What = text.F("the CNI agent does not run on the node: %s/%s is %s", a.Pod.Namespace, a.Pod.Name, state)
		e := p.Object("Pod", a.Pod.Namespace, a.Pod.Name, state)
		e.Command = check.Cmd("kubectl -n %s logs %s --all-containers --previous", a.Pod.Namespace, a.Pod.Name)
		f.Evidence = append(f.Evidence, e)
		with[state] = append(with[state], f)
	}
	report(p, without)
	for _, a := range absent {
		if a.Pod != nil {
			state := check.StateOf(a.Pod)
			report(p, with[state])
			delete(with, state)
		}
	}
	for i := range p.Snapshot.Objects.Nodes {
		o := &p.Snapshot.Objects.Nodes[i]
		if msg := notReady(o); msg != "" && !seen[o.Name] {
			f := finding(o.Name)
			f.What = text.F("the node is not ready for want of a CNI configuration: %s", msg)
			f.Evidence = append(f.Evidence, p.Object("Node", "", o.Name, msg))
			blame(p, &f, o.Name)
			p.Report(f)
		}
	}
}

// report reports findings about nodes that are alike, as one. The first one's sentence ends in what is so of its Pod.
func report(p *check.Pass, fs []check.Finding) {
	switch len(fs) {
	case 0:
		return
	case 1:
		p.Report(fs[0])
		return
	}
	f, nodes := check.Together(fs)
	f.What = text.F("%s; the same on %d nodes: %s", fs[0].What, len(fs), nodes)
	f.Fix.What = text.F("get the CNI agent to run on these nodes")
	p.Report(f)
}

// blame makes f the cause of broken paths from Pods that were not wired.
func blame(p *check.Pass, f *check.Finding, node string) {
	p.Blame(f, func(b check.Broken) bool { return b.Unwired(node) })
}

func finding(node string) check.Finding {
	f := check.Finding{
		Severity: check.Error, Where: "node/" + node,
		Fix: check.Fix{What: text.F("get the CNI agent to run on %s", node)},
	}
	for _, d := range drifts {
		f.Explains = append(f.Explains, check.Symptom{Check: d, Where: node}, check.Symptom{Check: d, Where: "node/" + node})
	}
	return f
}

// notReady returns the kubelet's word about the network plugin, "" where it is content.
func notReady(o *corev1.Node) string {
	for _, c := range o.Status.Conditions {
		bad := c.Type == corev1.NodeReady && c.Status != corev1.ConditionTrue && (strings.Contains(c.Message, "cni") || strings.Contains(c.Message, "NetworkPluginNotReady"))
		bad = bad || c.Type == corev1.NodeNetworkUnavailable && c.Status == corev1.ConditionTrue
		if bad {
			return c.Reason + ": " + c.Message
		}
	}
	return ""
}
