package check

import (
	"net/netip"
	"slices"

	"github.com/plumbnet/plumb/netfilter"
	"github.com/plumbnet/plumb/network"
	"github.com/plumbnet/plumb/service"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
)

// ClusterIPs is [service.ClusterIPs].
func ClusterIPs(s *corev1.Service) []netip.Addr { return service.ClusterIPs(s) }

// ServiceOf returns the Service that has the address a as a cluster IP, external IP or load balancer IP, or nil.
func (p *Pass) ServiceOf(a netip.Addr) *corev1.Service {
	if p.index.services == nil {
		p.index.services = map[netip.Addr]*corev1.Service{}
		for i := range p.Snapshot.Objects.Services {
			s := &p.Snapshot.Objects.Services[i]
			for _, a := range serviceAddrs(s) {
				p.index.services[a] = s
			}
		}
	}
	return p.index.services[a.Unmap()]
}

func serviceAddrs(s *corev1.Service) []netip.Addr {
	out := ClusterIPs(s)
	for _, ip := range s.Spec.ExternalIPs {
		out = appendAddr(out, ip)
	}
	for _, in := range s.Status.LoadBalancer.Ingress {
		out = appendAddr(out, in.IP)
	}
	return out
}

// ServiceByNodePort returns the Service and the port that a node port belongs to, or nil.
func (p *Pass) ServiceByNodePort(port uint16, proto corev1.Protocol) (*corev1.Service, *corev1.ServicePort) {
	for i := range p.Snapshot.Objects.Services {
		s := &p.Snapshot.Objects.Services[i]
		for j := range s.Spec.Ports {
			sp := &s.Spec.Ports[j]
			if sp.NodePort == int32(port) && ProtoOf(sp.Protocol) == proto {
				return s, sp
			}
		}
	}
	return nil, nil
}

// ProtoOf is [service.ProtoOf].
func ProtoOf(p corev1.Protocol) corev1.Protocol { return service.ProtoOf(p) }

// Endpoints returns all endpoints of a Service, ready or not, sorted by port and address.
func (p *Pass) Endpoints(s *corev1.Service) []service.Endpoint {
	if p.index.endpoints == nil {
		p.index.endpoints = make(map[objectName][]service.Endpoint, len(p.Snapshot.Objects.Services))
		for i := range p.Snapshot.Objects.EndpointSlices {
			sl := &p.Snapshot.Objects.EndpointSlices[i]
			key := objectName{sl.Namespace, sl.Labels[discoveryv1.LabelServiceName]}
			p.index.endpoints[key] = service.Append(p.index.endpoints[key], sl)
		}
		for key, es := range p.index.endpoints {
			p.index.endpoints[key] = service.Sort(es)
		}
	}
	return p.index.endpoints[objectName{s.Namespace, s.Name}]
}

// objectName is the name of an object of a known kind.
type objectName struct{ namespace, name string }

// Usable returns the endpoints of one port of a Service that proxies may send
// to, wherever they are: the ready ones, or where none is, those that end but still serve.
func (p *Pass) Usable(s *corev1.Service, port *corev1.ServicePort, is6 bool) []service.Endpoint {
	return service.Usable(service.Of(p.Endpoints(s), port, is6))
}

// Backs reports whether an address and port is an endpoint of a Service.
func (p *Pass) Backs(s *corev1.Service, a netip.AddrPort) bool {
	return slices.ContainsFunc(p.Endpoints(s), func(e service.Endpoint) bool { return e.Addr == a })
}

// ProxyTables returns the tables of kube-proxy's nftables mode that are in a node's namespace: of IPv4, of IPv6.
func ProxyTables(ns *network.NS) (out []*netfilter.Table) {
	for _, t := range ns.Netfilter.NFTables {
		if t.Name == "kube-proxy" && (t.Family == "ip" || t.Family == "ip6") {
			out = append(out, t)
		}
	}
	return out
}
