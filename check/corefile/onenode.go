package corefile

import (
	"github.com/plumbnet/plumb/check"
	"github.com/plumbnet/plumb/snapshot"
	"github.com/plumbnet/plumb/text"
)

// OneNode reports that all of CoreDNS's Pods are on one node.
var OneNode = &check.Check{
	Name: "dns-one-node",
	Doc: `all Pods of CoreDNS are on one node

Symptom: none yet. When the node restarts, no name resolves in the whole cluster.
Cause: the Pods were placed before there were other nodes, or nothing spreads them.
Cure: restart the Deployment, so that they are placed anew, with a topologySpreadConstraint or anti-affinity.
Commands:
    kubectl -n kube-system get pods -l k8s-app=kube-dns -o wide
    kubectl -n kube-system rollout restart deployment coredns`,
	DocZH: `CoreDNS 的所有 Pod 都在同一个节点上

症状：暂时没有。该节点重启时，整个集群的名称都无法解析。
原因：调度这些 Pod 时还没有其他节点，或没有设置打散。
处理：设置 topologySpreadConstraint 或反亲和，并重启 Deployment 使其重新调度。
命令：
    kubectl -n kube-system get pods -l k8s-app=kube-dns -o wide
    kubectl -n kube-system rollout restart deployment coredns`,
	Needs: []string{"objects/Pod", "objects/Node"},
	Run:   oneNode,
}

func oneNode(p *check.Pass) {
	var evidence []snapshot.Evidence
	node := ""
	for _, pod := range p.SystemPods(check.DNS) {
		if !check.Running(pod) {
			continue
		}
		if node != "" && pod.Spec.NodeName != node {
			return
		}
		node = pod.Spec.NodeName
		evidence = append(evidence, p.Object("Pod", pod.Namespace, pod.Name, "nodeName: "+node))
	}
	if len(evidence) < 2 || len(p.Snapshot.Objects.Nodes) < 2 {
		return
	}
	p.Report(check.Finding{
		Severity: check.Info, Where: "deployment/kube-system/coredns",
		What: text.F("all %d Pods of CoreDNS are on %s: when it is away, no name resolves", len(evidence), node),
		Fix: check.Fix{What: text.F("spread them over nodes, and place them anew"), Commands: []string{
			"kubectl -n kube-system rollout restart deployment coredns"}},
		Evidence: evidence,
	})
}
