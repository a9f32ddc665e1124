// Package noendpoints finds Services that have nothing behind them, and says why.
package noendpoints

import (
	"slices"
	"strconv"
	"strings"

	"github.com/plumbnet/plumb/check"
	"github.com/plumbnet/plumb/snapshot"
	"github.com/plumbnet/plumb/text"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// Check reports ports of Services without a usable endpoint.
var Check = &check.Check{
	Name: "no-endpoints",
	Doc: `a Service has no endpoint that may be used

Symptom: connections to the Service are refused at once, or time out; an Ingress answers 503.
Cause: its selector matches no Pod, or the Pods that it matches are not ready, or the
controller that writes EndpointSlices is behind.
Cure: make the selector and the Pods' labels agree, or make the Pods ready.
Commands:
    kubectl -n NAMESPACE get endpointslices -l kubernetes.io/service-name=SERVICE
    kubectl -n NAMESPACE get pods -l SELECTOR -o wide
    kubectl -n NAMESPACE describe pod POD`,
	DocZH: `Service 没有可用的后端

症状：访问该 Service 立即被拒绝或超时；Ingress 返回 503。
原因：选择器没有匹配到任何 Pod，或匹配到的 Pod 未就绪，或写 EndpointSlice 的控制器落后。
处理：使选择器与 Pod 标签一致，或让 Pod 就绪。
命令：
    kubectl -n 命名空间 get endpointslices -l kubernetes.io/service-name=服务名
    kubectl -n 命名空间 get pods -l 选择器 -o wide
    kubectl -n 命名空间 describe pod POD名`,
	Needs: []string{"objects/Service", "objects/EndpointSlice", "objects/Pod"},
	Run:   run,
}

// PortName reports Services whose port has a name that their Pods do not have.
var PortName = &check.Check{
	Name: "port-name",
	Doc: `a Service's targetPort is a name that no container port has

Symptom: the Service has no endpoints for that port, although its Pods are ready.
Cause: targetPort names a port; the Pods' containers declare none of that name and protocol.
Cure: use the name that the containers declare, or the port's number.
Commands:
    kubectl -n NAMESPACE get service SERVICE -o jsonpath='{.spec.ports}'
    kubectl -n NAMESPACE get pods -l SELECTOR -o jsonpath='{..containers[*].ports}'`,
	DocZH: `Service 的 targetPort 是一个容器没有声明的端口名

症状：Pod 都就绪，但该端口没有任何后端。
原因：targetPort 写的是名字，而 Pod 的容器没有声明同名同协议的端口。
处理：改用容器声明的名字，或直接写端口号。
命令：
    kubectl -n 命名空间 get service 服务名 -o jsonpath='{.spec.ports}'
    kubectl -n 命名空间 get pods -l 选择器 -o jsonpath='{..containers[*].ports}'`,
	Needs: []string{"objects/Service", "objects/Pod"},
	Run:   runPortName,
}

func run(p *check.Pass) {
	byNS := podsByNamespace(p)
	for i := range p.Snapshot.Objects.Services {
		s := &p.Snapshot.Objects.Services[i]
		if s.Spec.Type == corev1.ServiceTypeExternalName {
			continue
		}
		for j := range s.Spec.Ports {
			port := &s.Spec.Ports[j]
			if len(p.Usable(s, port, false)) == 0 && len(p.Usable(s, port, true)) == 0 {
				p.Report(finding(p, s, port, selected(byNS[s.Namespace], s)))
			}
		}
	}
}

// Where returns how findings name a port of a Service: "service/shop/api:http".
func where(s *corev1.Service, port *corev1.ServicePort) string {
	name := port.Name
	if name == "" {
		name = strconv.Itoa(int(port.Port))
	}
	return "service/" + s.Namespace + "/" + s.Name + ":" + name
}

func finding(p *check.Pass, s *corev1.Service, port *corev1.ServicePort, pods []*corev1.Pod) check.Finding {
	f := check.Finding{Severity: check.Warning, Where: where(s, port)}
	f.Evidence = append(f.Evidence, snapshot.Evidence{
		File:    p.Object("Service", s.Namespace, s.Name, "").File,
		Text:    "selector: " + labels.FormatLabels(s.Spec.Selector),
		Command: check.Cmd("kubectl -n %s get service %s -o wide", s.Namespace, s.Name),
	})
	f.What, f.Fix = why(p, s, port, pods)
	for _, pod := range pods[:min(3, len(pods))] {
		e := p.Object("Pod", pod.Namespace, pod.Name, state(pod))
		if !check.Ready(pod) { // its events say why
			e.Command = check.Cmd("kubectl -n %s describe pod %s", pod.Namespace, pod.Name)
		}
		f.Evidence = append(f.Evidence, e)
	}
	if len(s.Spec.Selector) == 0 {
		f.Severity = check.Info // its endpoints are made by hand: maybe none is wanted
	}
	p.BlameService(&f, s, port)
	if f.OnPath {
		f.Severity = check.Error
	}
	return f
}

// why says why the port has no endpoint, and what to do.
func why(p *check.Pass, s *corev1.Service, port *corev1.ServicePort, pods []*corev1.Pod) (text.Text, check.Fix) {
	ready := 0
	for _, pod := range pods {
		if check.Ready(pod) && !check.Ended(pod) {
			ready++
		}
	}
	edit := []string{check.Cmd("kubectl -n %s edit service %s", s.Namespace, s.Name)}
	selector := labels.FormatLabels(s.Spec.Selector)
	switch {
	case len(s.Spec.Selector) == 0:
		return text.F("the Service has no selector and no endpoints"), check.Fix{What: text.F("write an EndpointSlice for it, or give it a selector")}
	case len(pods) == 0:
		return text.F("no endpoints for port %d: its selector %s matches no Pod", port.Port, selector),
			check.Fix{What: text.F("make the Service's selector match its Pods' labels"), Commands: edit}
	case ready == 0:
		return text.F("no endpoints for port %d: none of the %d Pods that it selects is ready", port.Port, len(pods)),
			check.Fix{What: text.F("make the Pods ready: look at their readiness probes and events")}
	case len(p.Endpoints(s)) == 0 || port.TargetPort.Type != intstr.String:
		return text.F("no endpoints for port %d, although %d Pods that it selects are ready: the EndpointSlices are behind", port.Port, ready),
			check.Fix{What: text.F("look why the endpointslice controller does not run")}
	}
	return text.F("no endpoints for port %d, although %d Pods that it selects are ready", port.Port, ready),
		check.Fix{What: text.F("make targetPort %s a port that the Pods declare", port.TargetPort.String()), Commands: edit}
}

func state(pod *corev1.Pod) string {
	ready := "not ready"
	if check.Ready(pod) {
		ready = "ready"
	}
	return "phase " + string(pod.Status.Phase) + ", " + ready
}

func podsByNamespace(p *check.Pass) map[string][]*corev1.Pod {
	out := map[string][]*corev1.Pod{}
	for i := range p.Snapshot.Objects.Pods {
		pod := &p.Snapshot.Objects.Pods[i]
		out[pod.Namespace] = append(out[pod.Namespace], pod)
	}
	return out
}

func selected(pods []*corev1.Pod, s *corev1.Service) []*corev1.Pod {
	if len(s.Spec.Selector) == 0 {
		return nil
	}
	sel := labels.SelectorFromSet(s.Spec.Selector)
	var out []*corev1.Pod
	for _, pod := range pods {
		if sel.Matches(labels.Set(pod.Labels)) && !check.Ended(pod) {
			out = append(out, pod)
		}
	}
	return out
}

func runPortName(p *check.Pass) {
	byNS := podsByNamespace(p)
	for i := range p.Snapshot.Objects.Services {
		s := &p.Snapshot.Objects.Services[i]
		for j := range s.Spec.Ports {
			port := &s.Spec.Ports[j]
			if port.TargetPort.Type != intstr.String {
				continue
			}
			if pods := selected(byNS[s.Namespace], s); len(pods) > 0 {
				judgeName(p, s, port, pods)
			}
		}
	}
}

func judgeName(p *check.Pass, s *corev1.Service, port *corev1.ServicePort, pods []*corev1.Pod) {
	var names []string
	for _, pod := range pods {
		for _, c := range slices.Concat(pod.Spec.Containers, pod.Spec.InitContainers) {
			for _, cp := range c.Ports {
				if check.ProtoOf(cp.Protocol) == check.ProtoOf(port.Protocol) && cp.Name == port.TargetPort.StrVal {
					return
				}
				names = append(names, cp.Name+"="+strconv.Itoa(int(cp.ContainerPort))+"/"+string(check.ProtoOf(cp.Protocol)))
			}
		}
	}
	slices.Sort(names)
	names = slices.Compact(names)
	f := check.Finding{
		Severity: check.Error, Where: where(s, port),
		What: text.F("port %d goes to the port named %q, which none of its %d Pods has; they have %s", port.Port, port.TargetPort.StrVal, len(pods), strings.Join(names, " ")),
		Fix: check.Fix{What: text.F("set targetPort to a name or number that the Pods declare"), Commands: []string{
			check.Cmd("kubectl -n %s edit service %s", s.Namespace, s.Name)}},
		Evidence: []snapshot.Evidence{
			p.Object("Service", s.Namespace, s.Name, "targetPort: "+port.TargetPort.StrVal),
			p.Object("Pod", pods[0].Namespace, pods[0].Name, "ports: "+strings.Join(names, " ")),
		},
		Explains: []check.Symptom{{Check: "no-endpoints", Where: where(s, port)}},
	}
	p.BlameService(&f, s, port)
	p.Report(f)
}
