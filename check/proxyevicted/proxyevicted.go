// Package proxyevicted finds nodes without a running kube-proxy.
package proxyevicted

import (
	"slices"

	"github.com/plumbnet/plumb/check"
	"github.com/plumbnet/plumb/text"
)

// Check reports nodes on which kube-proxy should run and does not.
var Check = &check.Check{
	Name: "proxy-evicted",
	Doc: `kube-proxy does not run on a node

Symptom: from that node and its Pods no Service answers, the cluster's DNS among them, or Services
answer with endpoints that are gone; Pod addresses answer well. New, autoscaled nodes are hit first.
Cause: the node's kube-proxy Pod is Pending, Evicted or crashing. Without the priority class
system-node-critical it loses its place to Pods of higher priority.
Cure: give the DaemonSet priorityClassName system-node-critical, and make room on the node.
Commands:
    kubectl -n kube-system get pods -l k8s-app=kube-proxy -o wide
    kubectl -n kube-system get daemonset kube-proxy -o jsonpath='{.spec.template.spec.priorityClassName}'`,
	DocZH: `节点上没有运行 kube-proxy

症状：该节点及其 Pod 访问任何 Service（包括集群 DNS）都不通，或访问到已不存在的后端；直接访问 Pod 地址正常。新扩容的节点最先出现。
原因：该节点的 kube-proxy Pod 处于 Pending、被驱逐或反复崩溃。没有 system-node-critical 优先级时，它会被高优先级 Pod 挤掉。
处理：给 DaemonSet 设置 priorityClassName system-node-critical，并为节点腾出资源。
命令：
    kubectl -n kube-system get pods -l k8s-app=kube-proxy -o wide
    kubectl -n kube-system get daemonset kube-proxy -o jsonpath='{.spec.template.spec.priorityClassName}'`,
	Needs: []string{"objects/Pod", "objects/Node"},
	Run:   run,
}

func run(p *check.Pass) {
	absent, known := p.Absent(check.Proxy)
	if !known {
		p.Unjudged("objects/Pod", "no kube-proxy Pod: it may run as a service of the node, or not at all")
		return
	}
	// The same DaemonSet lacks a Pod on many nodes for one reason, mostly: said once.
	for len(absent) > 0 {
		first := absent[0]
		alike := func(a check.NodeAgent) bool { return (a.Pod == nil) == (first.Pod == nil) && class(a) == class(first) }
		var fs []check.Finding
		for _, a := range absent {
			if alike(a) {
				fs = append(fs, finding(p, a))
			}
		}
		p.Report(together(first, fs))
		absent = slices.DeleteFunc(slices.Clone(absent), alike)
	}
}

// class returns the priority class of the Pod that waits, or "".
func class(a check.NodeAgent) string {
	if a.Pod == nil {
		return ""
	}
	return a.Pod.Spec.PriorityClassName
}

// together is one finding about the nodes that are like that of a.
func together(a check.NodeAgent, fs []check.Finding) check.Finding {
	if len(fs) == 1 {
		return fs[0]
	}
	f, nodes := check.Together(fs)
	switch {
	case a.Pod == nil:
		f.What = text.F("kube-proxy does not run on %d nodes (%s): it has no Pod there", len(fs), nodes)
	case class(a) != "system-node-critical":
		f.What = text.F("kube-proxy does not run on %d nodes (%s): %s/%s, for one, is %s; its priority class is %q, not system-node-critical", len(fs), nodes, a.Pod.Namespace, a.Pod.Name, check.StateOf(a.Pod), class(a))
		return f
	default:
		f.What = text.F("kube-proxy does not run on %d nodes (%s): %s/%s, for one, is %s", len(fs), nodes, a.Pod.Namespace, a.Pod.Name, check.StateOf(a.Pod))
	}
	f.Fix.What = text.F("get kube-proxy to run on these nodes")
	return f
}

func finding(p *check.Pass, a check.NodeAgent) check.Finding {
	f := check.Finding{
		Severity: check.Error, Where: "node/" + a.Node,
		What: text.F("kube-proxy does not run on the node: it has no Pod there"),
		Fix:  check.Fix{What: text.F("get kube-proxy to run on %s", a.Node)},
		Explains: []check.Symptom{
			{Check: "proxy-rules-missing", Where: a.Node},
			{Check: "proxy-rules-stale", Where: a.Node},
		},
	}
	if a.Pod == nil {
		return f
	}
	f.What = text.F("kube-proxy does not run on the node: %s/%s is %s", a.Pod.Namespace, a.Pod.Name, check.StateOf(a.Pod))
	f.Evidence = append(f.Evidence, p.Object("Pod", a.Pod.Namespace, a.Pod.Name, check.StateOf(a.Pod)))
	if pc := a.Pod.Spec.PriorityClassName; pc != "system-node-critical" {
		f.What = text.F("kube-proxy does not run on the node: %s/%s is %s; its priority class is %q, not system-node-critical", a.Pod.Namespace, a.Pod.Name, check.StateOf(a.Pod), pc)
		f.Fix = check.Fix{What: text.F("give kube-proxy the priority class system-node-critical"), Commands: []string{
			check.Cmd("kubectl -n %s patch daemonset kube-proxy -p %s", a.Pod.Namespace, `{"spec":{"template":{"spec":{"priorityClassName":"system-node-critical"}}}}`)}}
		f.Explains = append(f.Explains, check.Symptom{Check: "critical-priority", Where: "daemonset/" + a.Owner})
	}
	return f
}
