//go:build linux

package lab

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// SyncEndpoints does what the EndpointSlice controller does: it derives the
// slices of all Services from Services and Pods.
func (l *Lab) SyncEndpoints() {
	var out []discoveryv1.EndpointSlice
	for i := range l.Objects.Services {
		s := &l.Objects.Services[i]
		for _, family := range s.Spec.IPFamilies {
			if s.Name == "kubernetes" {
				out = append(out, l.apiserverSlice(s))
				continue
			}
			out = append(out, l.slices(s, family)...)
		}
	}
	l.Objects.EndpointSlices = out
}

func newSlice(s *corev1.Service, family corev1.IPFamily, suffix string) discoveryv1.EndpointSlice {
	return discoveryv1.EndpointSlice{
		TypeMeta: kind("discovery.k8s.io/v1", "EndpointSlice"),
		ObjectMeta: metav1.ObjectMeta{
			Namespace: s.Namespace, Name: s.Name + "-" + suffix,
			Labels:          map[string]string{"kubernetes.io/service-name": s.Name, "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io"},
			OwnerReferences: []metav1.OwnerReference{{APIVersion: "v1", Kind: "Service", Name: s.Name}},
		},
		AddressType: discoveryv1.AddressType(family),
	}
}

func (l *Lab) apiserverSlice(s *corev1.Service) discoveryv1.EndpointSlice {
	slice := newSlice(s, corev1.IPv4Protocol, "ipv4")
	name, proto, port, yes := "https", corev1.ProtocolTCP, int32(6443), true
	slice.Ports = []discoveryv1.EndpointPort{{Name: &name, Protocol: &proto, Port: &port}}
	slice.Endpoints = []discoveryv1.Endpoint{{Addresses: []string{l.Nodes[0].IP.String()}, Conditions: discoveryv1.EndpointConditions{Ready: &yes}}}
	return slice
}

// slices returns a slice for each set of port numbers that the Service's Pods resolve its named ports to.
func (l *Lab) slices(s *corev1.Service, family corev1.IPFamily) []discoveryv1.EndpointSlice {
	var out []discoveryv1.EndpointSlice
	var keys []string
	for i := range l.Objects.Pods {
		p := &l.Objects.Pods[i]
		ip := podIP(p, family)
		if p.Namespace != s.Namespace || ip == "" || !selects(s.Spec.Selector, p.Labels) {
			continue
		}
		ports := endpointPorts(s, p)
		key := fmt.Sprint(describe(ports))
		at := slices.Index(keys, key)
		if at < 0 {
			at = len(out)
			keys = append(keys, key)
			slice := newSlice(s, family, fmt.Sprintf("%s%d", strings.ToLower(string(family)), at))
			slice.Ports = ports
			out = append(out, slice)
		}
		out[at].Endpoints = append(out[at].Endpoints, endpoint(p, ip))
	}
	if len(out) == 0 {
		return []discoveryv1.EndpointSlice{newSlice(s, family, strings.ToLower(string(family))+"0")}
	}
	return out
}

func describe(ports []discoveryv1.EndpointPort) string {
	s := ""
	for _, p := range ports {
		s += fmt.Sprintf("%s/%s/%d ", *p.Name, *p.Protocol, *p.Port)
	}
	return s
}

func endpoint(p *corev1.Pod, ip string) discoveryv1.Endpoint {
	ready := false
	for _, c := range p.Status.Conditions {
		ready = ready || c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	}
	no := false
	return discoveryv1.Endpoint{
		Addresses:  []string{ip},
		Conditions: discoveryv1.EndpointConditions{Ready: &ready, Serving: &ready, Terminating: &no},
		NodeName:   &p.Spec.NodeName,
		TargetRef:  &corev1.ObjectReference{Kind: "Pod", Namespace: p.Namespace, Name: p.Name},
	}
}

func podIP(p *corev1.Pod, family corev1.IPFamily) string {
	for _, ip := range p.Status.PodIPs {
		if strings.Contains(ip.IP, ":") == (family == corev1.IPv6Protocol) {
			return ip.IP
		}
	}
	return ""
}

func selects(selector, labels map[string]string) bool {
	for k, v := range selector {
		if labels[k] != v {
			return false
		}
	}
	return len(selector) > 0
}

// endpointPorts resolves a Service's target ports in a Pod; a name that the Pod lacks leaves its port out.
func endpointPorts(s *corev1.Service, p *corev1.Pod) []discoveryv1.EndpointPort {
	var out []discoveryv1.EndpointPort
	for _, sp := range s.Spec.Ports {
		n := sp.TargetPort.IntVal
		if sp.TargetPort.Type == intstr.String {
			n = namedPort(p, sp.TargetPort.StrVal, sp.Protocol)
		}
		if n != 0 {
			out = append(out, discoveryv1.EndpointPort{Name: &sp.Name, Protocol: &sp.Protocol, Port: &n})
		}
	}
	return out
}

func namedPort(p *corev1.Pod, name string, proto corev1.Protocol) int32 {
	for _, c := range p.Spec.Containers {
		for _, cp := range c.Ports {
			if cp.Name == name && cp.Protocol == proto {
				return cp.ContainerPort
			}
		}
	}
	return 0
}
