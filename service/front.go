package service

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// A Kind says what sort of address a Service is reached at.
type Kind uint8

// The kinds of addresses. ClusterIP is the zero value.
const (
	ClusterIP    Kind = iota
	ExternalIP        // spec.externalIPs
	LoadBalancer      // an address in the status that proxies answer for: not where its ipMode is Proxy
	NodePort          // any address of a node, if the proxies were not told to use fewer
)

// A Front is an address and port at which a port of a Service is reached.
type Front struct {
	Kind    Kind
	Addr    netip.AddrPort // of a NodePort the address is not valid
	Sources []netip.Prefix // that may; none: all
	Local   bool           // the policy is Local: of connections from outside alone, except at the cluster IP
}

// proxyName is the label that gives a Service to another proxy than that of the nodes (apis/well_known_labels.go of kube-proxy).
const proxyName = "service.kubernetes.io/service-proxy-name"

// Fronts returns where a port of a Service is reached, in one family. There is none of a Service that
// has no cluster IP of the family, or that a label gives to another proxy.
func Fronts(s *corev1.Service, port *corev1.ServicePort, is6 bool) []Front {
	own := family(ClusterIPs(s), is6)
	if _, other := s.Labels[proxyName]; other || len(own) == 0 {
		return nil
	}
	out := []Front{{Addr: netip.AddrPortFrom(own[0], uint16(port.Port)), Local: InternalLocal(s)}}
	add := func(k Kind, a netip.Addr, port int32, from []netip.Prefix) {
		out = append(out, Front{Kind: k, Addr: netip.AddrPortFrom(a, uint16(port)), Sources: from, Local: ExternalLocal(s)})
	}
	for _, a := range family(addrs(s.Spec.ExternalIPs), is6) {
		add(ExternalIP, a, port.Port, nil)
	}
	for _, in := range s.Status.LoadBalancer.Ingress {
		if a := family(addrs([]string{in.IP}), is6); len(a) > 0 && deref(in.IPMode, corev1.LoadBalancerIPModeVIP) == corev1.LoadBalancerIPModeVIP {
			add(LoadBalancer, a[0], port.Port, sources(s, is6))
		}
	}
	if port.NodePort != 0 {
		add(NodePort, netip.Addr{}, port.NodePort, nil)
	}
	return out
}

// To returns the endpoints that a proxy sends connections at a front to. One from the cluster's own Pods
// or from the node itself is internal, though it be at an address for those outside.
func (c Choice) To(f Front, internal bool) []Endpoint {
	if f.Local && (f.Kind == ClusterIP || !internal) {
		return c.Local
	}
	return c.Cluster
}

// InternalLocal reports whether connections to the cluster IP stay on the node.
func InternalLocal(s *corev1.Service) bool {
	return deref(s.Spec.InternalTrafficPolicy, "") == corev1.ServiceInternalTrafficPolicyLocal
}

// ExternalLocal reports whether connections from outside the cluster stay on the node.
func ExternalLocal(s *corev1.Service) bool {
	return s.Spec.ExternalTrafficPolicy == corev1.ServiceExternalTrafficPolicyLocal
}

// HealthCheck returns the port at which a proxy tells load balancers whether its node has an endpoint; 0 for none.
func HealthCheck(s *corev1.Service) int32 {
	if s.Spec.Type != corev1.ServiceTypeLoadBalancer || !ExternalLocal(s) {
		return 0
	}
	return s.Spec.HealthCheckNodePort
}

// Affinity returns how long a client stays with its endpoint; 0 where each connection may go to another.
func Affinity(s *corev1.Service) time.Duration {
	if s.Spec.SessionAffinity != corev1.ServiceAffinityClientIP {
		return 0
	}
	c := s.Spec.SessionAffinityConfig
	if c == nil || c.ClientIP == nil {
		return time.Duration(corev1.DefaultClientIPServiceAffinitySeconds) * time.Second
	}
	return time.Duration(deref(c.ClientIP.TimeoutSeconds, corev1.DefaultClientIPServiceAffinitySeconds)) * time.Second
}

// sources returns loadBalancerSourceRanges of a family; none where one of them is everybody. The API lets
// white space stand around them.
func sources(s *corev1.Service, is6 bool) (out []netip.Prefix) {
	for _, r := range s.Spec.LoadBalancerSourceRanges {
		p, err := netip.ParsePrefix(strings.TrimSpace(r))
		if err == nil && p.Addr().Is6() == is6 {
			out = append(out, p.Masked())
		}
	}
	if slices.ContainsFunc(out, func(p netip.Prefix) bool { return p.Bits() == 0 }) {
		return nil
	}
	return out
}

func family(list []netip.Addr, is6 bool) []netip.Addr {
	return slices.DeleteFunc(list, func(a netip.Addr) bool { return a.Is6() != is6 })
}
