//go:build linux

package lab

import (
	"encoding/json"
	"fmt"
	"net/netip"

	"github.com/plumbnet/plumb/snapshot"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

func (l *Lab) makeObjects() snapshot.Objects {
	o := snapshot.Objects{Have: map[string]bool{}, Source: map[string]string{}}
	for _, ns := range []string{"default", "kube-flannel", "kube-system", "shop"} {
		o.Namespaces = append(o.Namespaces, corev1.Namespace{
			TypeMeta: kind("v1", "Namespace"), ObjectMeta: metav1.ObjectMeta{Name: ns, Labels: map[string]string{"kubernetes.io/metadata.name": ns}},
			Status: corev1.NamespaceStatus{Phase: corev1.NamespaceActive},
		})
	}
	for _, n := range l.Nodes {
		o.Nodes = append(o.Nodes, l.nodeObject(n))
		for _, p := range n.Pods {
			o.Pods = append(o.Pods, l.podObject(p))
		}
	}
	o.Services = l.services()
	l.systemObjects(&o)
	return o
}

func kind(api, k string) metav1.TypeMeta { return metav1.TypeMeta{APIVersion: api, Kind: k} }

func addrs(as ...netip.Addr) []string {
	var out []string
	for _, a := range as {
		if a.IsValid() {
			out = append(out, a.String())
		}
	}
	return out
}

func (l *Lab) nodeObject(n *Node) corev1.Node {
	obj := corev1.Node{
		TypeMeta: kind("v1", "Node"),
		ObjectMeta: metav1.ObjectMeta{
			Name:        n.Name,
			Labels:      map[string]string{"kubernetes.io/hostname": n.Name, "kubernetes.io/os": "linux"},
			Annotations: map[string]string{},
		},
		Spec: corev1.NodeSpec{PodCIDR: n.PodCIDR.String(), PodCIDRs: []string{n.PodCIDR.String()}},
		Status: corev1.NodeStatus{
			Allocatable: corev1.ResourceList{corev1.ResourcePods: quantity("110")},
			Conditions:  []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue, Reason: "KubeletReady"}},
			NodeInfo:    corev1.NodeSystemInfo{KubeletVersion: "v1.34.2", OperatingSystem: "linux", ContainerRuntimeVersion: "containerd://2.1.4"},
		},
	}
	for _, a := range addrs(n.IP, n.IP6) {
		obj.Status.Addresses = append(obj.Status.Addresses, corev1.NodeAddress{Type: corev1.NodeInternalIP, Address: a})
	}
	obj.Status.Addresses = append(obj.Status.Addresses, corev1.NodeAddress{Type: corev1.NodeHostName, Address: n.Name})
	if n.PodCIDR6.IsValid() {
		obj.Spec.PodCIDRs = append(obj.Spec.PodCIDRs, n.PodCIDR6.String())
	}
	l.flannelAnnotations(n, obj.Annotations)
	return obj
}

// flannelAnnotations writes what flanneld registers on its node.
func (l *Lab) flannelAnnotations(n *Node, a map[string]string) {
	const prefix = "flannel.alpha.coreos.com/"
	switch l.Topology.CNI {
	case "flannel":
		a[prefix+"backend-type"] = "vxlan"
		a[prefix+"backend-data"] = vtepData(n.VTEP)
		if l.Topology.IPv6 {
			a[prefix+"backend-v6-data"] = vtepData(n.VTEP6)
			a[prefix+"public-ipv6"] = n.IP6.String()
		}
	case "hostgw":
		a[prefix+"backend-type"] = "host-gw"
		a[prefix+"backend-data"] = "null"
		if l.Topology.IPv6 {
			a[prefix+"public-ipv6"] = n.IP6.String()
		}
	default:
		return
	}
	a[prefix+"public-ip"] = n.IP.String()
	a[prefix+"kube-subnet-manager"] = "true"
}

func vtepData(mac string) string {
	b, _ := json.Marshal(struct {
		VNI     int
		VtepMAC string
	}{1, mac})
	return string(b)
}

func (l *Lab) podObject(p *Pod) corev1.Pod {
	obj := corev1.Pod{
		TypeMeta: kind("v1", "Pod"),
		ObjectMeta: metav1.ObjectMeta{
			Namespace: p.Namespace, Name: p.Name, Labels: map[string]string{"app": p.App},
		},
		Spec: corev1.PodSpec{
			NodeName: p.Node.Name, DNSPolicy: corev1.DNSClusterFirst,
			Containers: []corev1.Container{{
				Name: p.App, Image: "registry.k8s.io/e2e-test-images/agnhost:2.53",
				Ports: []corev1.ContainerPort{{Name: "http", ContainerPort: 8080, Protocol: corev1.ProtocolTCP}, {Name: "stats", ContainerPort: 8080, Protocol: corev1.ProtocolUDP}},
			}},
		},
	}
	if p.App == "coredns" {
		obj.Labels = map[string]string{"k8s-app": "kube-dns"}
		obj.Spec.PriorityClassName = "system-cluster-critical"
		obj.Spec.DNSPolicy = corev1.DNSDefault
		obj.Spec.Containers[0] = corev1.Container{
			Name: "coredns", Image: "registry.k8s.io/coredns/coredns:v1.12.1",
			Ports: []corev1.ContainerPort{
				{Name: "dns", ContainerPort: 53, Protocol: corev1.ProtocolUDP},
				{Name: "dns-tcp", ContainerPort: 53, Protocol: corev1.ProtocolTCP},
				{Name: "metrics", ContainerPort: 9153, Protocol: corev1.ProtocolTCP},
			},
		}
	}
	running(&obj, addrs(p.Node.IP, p.Node.IP6), addrs(p.IP, p.IP6))
	return obj
}

// running writes the status of a Pod that is ready.
func running(obj *corev1.Pod, host, pod []string) {
	obj.Status.Phase = corev1.PodRunning
	obj.Status.HostIP, obj.Status.PodIP = host[0], pod[0]
	for _, a := range host {
		obj.Status.HostIPs = append(obj.Status.HostIPs, corev1.HostIP{IP: a})
	}
	for _, a := range pod {
		obj.Status.PodIPs = append(obj.Status.PodIPs, corev1.PodIP{IP: a})
	}
	for _, c := range []corev1.PodConditionType{corev1.PodScheduled, corev1.PodInitialized, corev1.ContainersReady, corev1.PodReady} {
		obj.Status.Conditions = append(obj.Status.Conditions, corev1.PodCondition{Type: c, Status: corev1.ConditionTrue})
	}
	for _, c := range obj.Spec.Containers {
		obj.Status.ContainerStatuses = append(obj.Status.ContainerStatuses, corev1.ContainerStatus{
			Name: c.Name, Image: c.Image, Ready: true, State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}},
		})
	}
}

// SetReady sets whether a Pod is ready. SyncEndpoints makes it felt.
func (l *Lab) SetReady(key string, ready bool) {
	p := l.PodObject(key)
	status := corev1.ConditionFalse
	if ready {
		status = corev1.ConditionTrue
	}
	for i := range p.Status.Conditions {
		c := &p.Status.Conditions[i]
		if c.Type == corev1.PodReady || c.Type == corev1.ContainersReady {
			c.Status = status
		}
	}
	for i := range p.Status.ContainerStatuses {
		p.Status.ContainerStatuses[i].Ready = ready
	}
}

// PodObject returns the object of a Pod, by "namespace/name". It panics where there is none.
func (l *Lab) PodObject(key string) *corev1.Pod {
	for i := range l.Objects.Pods {
		if p := &l.Objects.Pods[i]; p.Namespace+"/"+p.Name == key {
			return p
		}
	}
	panic("lab: no Pod " + key)
}

// Service returns a Service, by "namespace/name". It panics where there is none.
func (l *Lab) Service(key string) *corev1.Service {
	for i := range l.Objects.Services {
		if s := &l.Objects.Services[i]; s.Namespace+"/"+s.Name == key {
			return s
		}
	}
	panic("lab: no Service " + key)
}

// NodeObject returns the object of a node. It panics where there is none.
func (l *Lab) NodeObject(name string) *corev1.Node {
	for i := range l.Objects.Nodes {
		if n := &l.Objects.Nodes[i]; n.Name == name {
			return n
		}
	}
	panic("lab: no node " + name)
}

// services returns the Services of a lab: each shape that kube-proxy knows.
func (l *Lab) services() []corev1.Service {
	web, api := map[string]string{"app": "web"}, map[string]string{"app": "api"}
	http := port("http", "TCP", 80, intstr.FromString("http"))
	list := []corev1.Service{
		l.service("default", "kubernetes", 1, nil, port("https", "TCP", 443, intstr.FromInt32(6443))),
		l.service("kube-system", "kube-dns", 10, map[string]string{"k8s-app": "kube-dns"},
			port("dns", "UDP", 53, intstr.FromInt32(53)), port("dns-tcp", "TCP", 53, intstr.FromInt32(53)), port("metrics", "TCP", 9153, intstr.FromInt32(9153))),
		l.service("shop", "api", 20, api, http, port("stats", "UDP", 9000, intstr.FromString("stats"))),
		l.service("shop", "db", 0, web, port("http", "TCP", 8080, intstr.FromInt32(8080))),
		l.service("shop", "front", 21, web, nodePort(http, 30080), nodePort(port("stats", "UDP", 9000, intstr.FromInt32(8080)), 30081)),
		l.service("shop", "front-local", 22, web, nodePort(http, 30090)),
		l.service("shop", "sticky", 23, api, http),
		l.service("shop", "web", 24, web, http),
	}
	list[1].Labels = map[string]string{"k8s-app": "kube-dns", "kubernetes.io/name": "CoreDNS"}
	list[5].Spec.ExternalTrafficPolicy = corev1.ServiceExternalTrafficPolicyLocal
	list[6].Spec.SessionAffinity = corev1.ServiceAffinityClientIP
	timeout := int32(10800)
	list[6].Spec.SessionAffinityConfig = &corev1.SessionAffinityConfig{ClientIP: &corev1.ClientIPConfig{TimeoutSeconds: &timeout}}
	return list
}

func port(name string, proto corev1.Protocol, p int32, target intstr.IntOrString) corev1.ServicePort {
	return corev1.ServicePort{Name: name, Protocol: proto, Port: p, TargetPort: target}
}

func nodePort(p corev1.ServicePort, n int32) corev1.ServicePort { p.NodePort = n; return p }

// service returns a Service whose ClusterIP ends in host; 0 is headless.
func (l *Lab) service(ns, name string, host int, selector map[string]string, ports ...corev1.ServicePort) corev1.Service {
	s := corev1.Service{
		TypeMeta:   kind("v1", "Service"),
		ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name},
		Spec: corev1.ServiceSpec{
			Type: corev1.ServiceTypeClusterIP, Selector: selector, Ports: ports,
			SessionAffinity: corev1.ServiceAffinityNone, ClusterIP: corev1.ClusterIPNone,
			IPFamilies: []corev1.IPFamily{corev1.IPv4Protocol},
		},
	}
	policy, family := corev1.ServiceInternalTrafficPolicyCluster, corev1.IPFamilyPolicySingleStack
	dual := l.Topology.IPv6 && ns != "default"
	if dual {
		family = corev1.IPFamilyPolicyPreferDualStack
		s.Spec.IPFamilies = append(s.Spec.IPFamilies, corev1.IPv6Protocol)
	}
	s.Spec.InternalTrafficPolicy, s.Spec.IPFamilyPolicy = &policy, &family
	if ports[0].NodePort != 0 {
		s.Spec.Type, s.Spec.ExternalTrafficPolicy = corev1.ServiceTypeNodePort, corev1.ServiceExternalTrafficPolicyCluster
	}
	s.Spec.ClusterIPs = []string{corev1.ClusterIPNone}
	if host == 0 {
		return s
	}
	s.Spec.ClusterIP = addr4(10, 96, 0, host).String()
	s.Spec.ClusterIPs = []string{s.Spec.ClusterIP}
	if dual {
		s.Spec.ClusterIPs = append(s.Spec.ClusterIPs, fmt.Sprintf("fd00:10:96::%d", host))
	}
	return s
}

func (l *Lab) systemObjects(o *snapshot.Objects) {
	l.configMaps(o)
	l.daemonSet(o, "kube-system", "kube-proxy", "registry.k8s.io/kube-proxy:v1.34.2", "system-node-critical")
	if l.Topology.CNI == "flannel" || l.Topology.CNI == "hostgw" {
		l.daemonSet(o, "kube-flannel", "kube-flannel-ds", "ghcr.io/flannel-io/flannel:v0.28.0", "system-node-critical")
	}
	if l.Topology.CNI == "ptp" {
		l.daemonSet(o, "kube-system", "calico-node", "docker.io/calico/node:v3.31.0", "system-node-critical")
	}
	replicas := int32(2)
	o.Deployments = append(o.Deployments, appsv1.Deployment{
		TypeMeta: kind("apps/v1", "Deployment"), ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: "coredns"},
		Spec: appsv1.DeploymentSpec{Replicas: &replicas, Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"k8s-app": "kube-dns"}},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"k8s-app": "kube-dns"}},
				Spec:       corev1.PodSpec{PriorityClassName: "system-cluster-critical", Containers: []corev1.Container{{Name: "coredns", Image: "registry.k8s.io/coredns/coredns:v1.12.1"}}},
			}},
		Status: appsv1.DeploymentStatus{Replicas: 2, ReadyReplicas: 2, AvailableReplicas: 2},
	})
}

// daemonSet adds a DaemonSet of host network Pods, and a running Pod of it on every node.
func (l *Lab) daemonSet(o *snapshot.Objects, ns, name, image, priority string) {
	labels := map[string]string{"k8s-app": name}
	if name == "kube-flannel-ds" {
		labels = map[string]string{"app": "flannel", "tier": "node"}
	}
	spec := corev1.PodSpec{HostNetwork: true, PriorityClassName: priority, Containers: []corev1.Container{{Name: name, Image: image}},
		Tolerations: []corev1.Toleration{{Operator: corev1.TolerationOpExists}}}
	n := int32(len(l.Nodes))
	o.DaemonSets = append(o.DaemonSets, appsv1.DaemonSet{
		TypeMeta: kind("apps/v1", "DaemonSet"), ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name, Labels: labels},
		Spec: appsv1.DaemonSetSpec{Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: spec}},
		Status: appsv1.DaemonSetStatus{DesiredNumberScheduled: n, CurrentNumberScheduled: n, NumberReady: n, NumberAvailable: n, UpdatedNumberScheduled: n},
	})
	for _, node := range l.Nodes {
		p := corev1.Pod{
			TypeMeta: kind("v1", "Pod"),
			ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name + "-" + node.Name, Labels: labels,
				OwnerReferences: []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "DaemonSet", Name: name}}},
			Spec: spec,
		}
		p.Spec.NodeName = node.Name
		running(&p, addrs(node.IP, node.IP6), addrs(node.IP, node.IP6))
		o.Pods = append(o.Pods, p)
	}
}
