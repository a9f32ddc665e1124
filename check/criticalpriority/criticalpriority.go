// Package criticalpriority finds parts of the network that may be evicted.
package criticalpriority

import (
	"strconv"

	"github.com/plumbnet/plumb/check"
	"github.com/plumbnet/plumb/snapshot"
	"github.com/plumbnet/plumb/text"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
)

// Check reports kube-proxy, CNI and DNS workloads without a critical priority class.
var Check = &check.Check{
	Name: "critical-priority",
	Doc: `kube-proxy, the CNI agent or DNS runs without a critical priority

Symptom: none yet. On a full node these Pods are evicted or stay Pending, and the node's network with them.
Cause: priorityClassName is neither system-node-critical nor system-cluster-critical.
Cure: set it: system-node-critical for what runs on each node, system-cluster-critical for DNS.
Commands:
    kubectl get daemonsets,deployments -A -o custom-columns=NS:.metadata.namespace,NAME:.metadata.name,PRIO:.spec.template.spec.priorityClassName`,
	DocZH: `kube-proxy、CNI 代理或 DNS 没有设置关键优先级

症状：暂时没有。节点资源紧张时，这些 Pod 会被驱逐或一直 Pending，节点网络随之中断。
原因：priorityClassName 既不是 system-node-critical，也不是 system-cluster-critical。
处理：每节点组件设为 system-node-critical，DNS 设为 system-cluster-critical。
命令：
    kubectl get daemonsets,deployments -A -o custom-columns=NS:.metadata.namespace,NAME:.metadata.name,PRIO:.spec.template.spec.priorityClassName`,
	Run: run,
}

func run(p *check.Pass) {
	o := &p.Snapshot.Objects
	if !o.Have["DaemonSet"] && !o.Have["Deployment"] {
		p.Unjudged("objects/DaemonSet", "no objects of this kind were collected")
		return
	}
	for i := range o.DaemonSets {
		d := &o.DaemonSets[i]
		judge(p, "DaemonSet", d.Namespace, d.Name, d.Spec.Template)
	}
	for i := range o.Deployments {
		d := &o.Deployments[i]
		if replicas(d) > 0 {
			judge(p, "Deployment", d.Namespace, d.Name, d.Spec.Template)
		}
	}
}

func replicas(d *appsv1.Deployment) int32 {
	if d.Spec.Replicas == nil {
		return 1
	}
	return *d.Spec.Replicas
}

var places = map[string]string{"DaemonSet": "daemonset/", "Deployment": "deployment/"}

func judge(p *check.Pass, kind, namespace, name string, t corev1.PodTemplateSpec) {
	role := check.RoleOf(t.Labels)
	pc := t.Spec.PriorityClassName
	if role == check.NoRole || pc == "system-node-critical" || pc == "system-cluster-critical" {
		return
	}
	want := "system-node-critical"
	if role == check.DNS {
		want = "system-cluster-critical"
	}
	p.Report(check.Finding{
		Severity: check.Warning, Where: places[kind] + namespace + "/" + name,
		What: text.F("its priority class is %q: on a full node it is evicted, and the node's network with it", pc),
		Fix: check.Fix{What: text.F("set priorityClassName to %s", want), Commands: []string{
			check.Cmd("kubectl -n %s patch %s %s -p %s", namespace, kind, name, `{"spec":{"template":{"spec":{"priorityClassName":"`+want+`"}}}}`)}},
		Evidence: []snapshot.Evidence{p.Object(kind, namespace, name, "priorityClassName: "+strconv.Quote(pc))},
	})
}
