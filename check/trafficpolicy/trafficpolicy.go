// Package trafficpolicy finds nodes that drop a Service's traffic for want of a local endpoint.
package trafficpolicy

import (
	"strings"

	"github.com/plumbnet/plumb/check"
	"github.com/plumbnet/plumb/network"
	"github.com/plumbnet/plumb/snapshot"
	"github.com/plumbnet/plumb/text"
	corev1 "k8s.io/api/core/v1"
)

// Check reports Services with a traffic policy Local on nodes without a local endpoint.
var Check = &check.Check{
	Name: "traffic-policy-local",
	Doc: `a Service answers only on nodes that have one of its Pods

Symptom: the node port or the load balancer's address times out on some nodes; from Pods of some nodes the cluster IP does.
Cause: externalTrafficPolicy (or internalTrafficPolicy) is Local, and the node has no ready endpoint: kube-proxy drops there by design.
Cure: send to nodes with endpoints only (a load balancer asks healthCheckNodePort), run a Pod on each node, or set the policy to Cluster.
Commands:
    kubectl -n NAMESPACE get service SERVICE -o jsonpath='{.spec.externalTrafficPolicy} {.spec.internalTrafficPolicy}'
    kubectl -n NAMESPACE get endpointslices -l kubernetes.io/service-name=SERVICE -o wide`,
	DocZH: `Service 只在有其 Pod 的节点上应答

症状：部分节点的 NodePort 或负载均衡地址超时；或部分节点的 Pod 访问 ClusterIP 超时。
原因：externalTrafficPolicy（或 internalTrafficPolicy）为 Local，而该节点没有就绪的后端：kube-proxy 按设计丢弃。
处理：只把流量发到有后端的节点（负载均衡查询 healthCheckNodePort），在每个节点运行一个 Pod，或把策略改为 Cluster。
命令：
    kubectl -n 命名空间 get service 服务名 -o jsonpath='{.spec.externalTrafficPolicy} {.spec.internalTrafficPolicy}'
    kubectl -n 命名空间 get endpointslices -l kubernetes.io/service-name=服务名 -o wide`,
	Needs: []string{"objects/Service", "objects/EndpointSlice", "objects/Node"},
	Run:   run,
}

func run(p *check.Pass) {
	for i := range p.Snapshot.Objects.Services {
		s := &p.Snapshot.Objects.Services[i]
		outer := s.Spec.ExternalTrafficPolicy == corev1.ServiceExternalTrafficPolicyLocal
		inner := s.Spec.InternalTrafficPolicy != nil && *s.Spec.InternalTrafficPolicy == corev1.ServiceInternalTrafficPolicyLocal
		if outer || inner {
			judge(p, s, outer, inner)
		}
	}
}

func judge(p *check.Pass, s *corev1.Service, outer, inner bool) {
	for j := range s.Spec.Ports {
		port := &s.Spec.Ports[j]
		has := map[string]bool{}
		for _, e := range p.Endpoints(s) {
			has[e.Node] = has[e.Node] || e.Ready && e.Port == port.Name
		}
		var without []string
		for _, o := range p.Snapshot.Objects.Nodes {
			if !has[o.Name] {
				without = append(without, o.Name)
			}
		}
		if len(has) == 0 || len(without) == 0 {
			continue // without any endpoint, no-endpoints says so
		}
		p.Report(finding(p, s, port, without, outer, inner))
	}
}

func finding(p *check.Pass, s *corev1.Service, port *corev1.ServicePort, without []string, outer, inner bool) check.Finding {
	field := "externalTrafficPolicy"
	if !outer {
		field = "internalTrafficPolicy"
	}
	f := check.Finding{
		Severity: check.Info, Where: "service/" + s.Namespace + "/" + s.Name,
		What: text.F("%s is Local, and %d of %d nodes have no endpoint of port %d: %s", field, len(without), len(p.Snapshot.Objects.Nodes), port.Port, strings.Join(without, " ")),
		Fix: check.Fix{What: text.F("use the Service on nodes that have a Pod of it, or set %s to Cluster", field), Commands: []string{
			check.Cmd("kubectl -n %s patch service %s -p %s", s.Namespace, s.Name, `{"spec":{"`+field+`":"Cluster"}}`)}},
		Evidence: []snapshot.Evidence{p.Object("Service", s.Namespace, s.Name, field+": Local")},
	}
	lacks := func(ns *network.NS) bool {
		for _, w := range without {
			if ns != nil && ns.Node.Name == w {
				return true
			}
		}
		return false
	}
	p.Blame(&f, func(b check.Broken) bool {
		if b.Request != nil || !lacks(p.NS(b.Path.At)) {
			return false
		}
		nodePort := port.NodePort != 0 && int32(b.Query.Dst.Port()) == port.NodePort && lacks(p.HostOf(b.Query.Dst.Addr()))
		clusterIP := int32(b.Query.Dst.Port()) == port.Port && p.ServiceOf(b.Query.Dst.Addr()) == s
		return outer && (nodePort || clusterIP) || inner && clusterIP
	})
	if len(f.Explains) > 0 {
		f.Severity = check.Error
	}
	return f
}
