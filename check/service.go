package check

import (
	"cmp"
	"net/netip"
	"slices"

	"github.com/plumbnet/plumb/netfilter"
	"github.com/plumbnet/plumb/network"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
)

// An Endpoint is one address and port behind a port of a Service.
type Endpoint struct {
	Addr        netip.AddrPort
	Port        string // the name of the Service's port
	Proto       corev1.Protocol
	Ready       bool
	Serving     bool
	Terminating bool
	Node        string // where known
	Pod         string // "shop/web-0", where it is a Pod
	Hints       bool   // the slice restricts which nodes may use it
	Slice       string // the object it is from: "EndpointSlice/shop/api-x2x4"
}

// ClusterIPs returns the addresses of a Service; none where it is headless or an ExternalName.
func ClusterIPs(s *corev1.Service) []netip.Addr {
	if s.Spec.Type == corev1.ServiceTypeExternalName {
		return nil
	}
	ips := s.Spec.ClusterIPs
	if len(ips) == 0 {
		ips = []string{s.Spec.ClusterIP}
	}
	var out []netip.Addr
	for _, ip := range ips {
		out = appendAddr(out, ip) // "None" does not parse
	}
	return out
}

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

// ProtoOf returns the protocol of a port, which is TCP where none is written.
func ProtoOf(p corev1.Protocol) corev1.Protocol { return cmp.Or(p, corev1.ProtocolTCP) }

// Endpoints returns all endpoints of a Service, ready or not, sorted by port and address.
func (p *Pass) Endpoints(s *corev1.Service) []Endpoint {
	if p.index.endpoints == nil {
		p.index.endpoints = make(map[objectName][]Endpoint, len(p.Snapshot.Objects.Services))
		for i := range p.Snapshot.Objects.EndpointSlices {
			sl := &p.Snapshot.Objects.EndpointSlices[i]
			key := objectName{sl.Namespace, sl.Labels[discoveryv1.LabelServiceName]}
			p.index.endpoints[key] = appendSlice(p.index.endpoints[key], sl)
		}
		for _, es := range p.index.endpoints {
			slices.SortFunc(es, func(a, b Endpoint) int {
				return cmp.Or(cmp.Compare(a.Port, b.Port), a.Addr.Compare(b.Addr))
			})
		}
	}
	return p.index.endpoints[objectName{s.Namespace, s.Name}]
}

// objectName is the name of an object of a known kind.
type objectName struct{ namespace, name string }

// appendSlice adds the endpoints of one slice. A nil condition means true for
// ready and serving, false for terminating (discovery/v1).
func appendSlice(out []Endpoint, sl *discoveryv1.EndpointSlice) []Endpoint {
	name := "EndpointSlice/" + sl.Namespace + "/" + sl.Name
	for _, e := range sl.Endpoints {
		for _, port := range sl.Ports {
			if port.Port == nil {
				continue
			}
			for _, s := range e.Addresses {
				a, err := netip.ParseAddr(s)
				if err != nil {
					continue
				}
				ep := Endpoint{
					Addr: netip.AddrPortFrom(a, uint16(*port.Port)), Port: deref(port.Name, ""), Proto: ProtoOf(deref(port.Protocol, "")),
					Ready: deref(e.Conditions.Ready, true), Terminating: deref(e.Conditions.Terminating, false),
					Node: deref(e.NodeName, ""), Hints: e.Hints != nil, Slice: name,
				}
				ep.Serving = deref(e.Conditions.Serving, ep.Ready)
				if e.TargetRef != nil && e.TargetRef.Kind == "Pod" {
					ep.Pod = e.TargetRef.Namespace + "/" + e.TargetRef.Name
				}
				out = append(out, ep)
			}
		}
	}
	return out
}

func deref[T any](p *T, zero T) T {
	if p == nil {
		return zero
	}
	return *p
}

// Usable returns the endpoints of one port of a Service that proxies may send
// to: the ready ones, or where none is, those that end but still serve.
func (p *Pass) Usable(s *corev1.Service, port string, is6 bool) []Endpoint {
	all := p.Endpoints(s)
	if !slices.ContainsFunc(all, func(e Endpoint) bool { return e.Port != port || e.Addr.Addr().Is6() != is6 || !e.Ready }) {
		return slices.Clip(all)
	}
	var ready, ending []Endpoint
	for _, e := range all {
		switch {
		case e.Port != port || e.Addr.Addr().Is6() != is6:
		case e.Ready:
			ready = append(ready, e)
		case e.Serving && e.Terminating:
			ending = append(ending, e)
		}
	}
	if len(ready) > 0 {
		return ready
	}
	return ending
}

// Backs reports whether an address and port is an endpoint of a Service.
func (p *Pass) Backs(s *corev1.Service, a netip.AddrPort) bool {
	return slices.ContainsFunc(p.Endpoints(s), func(e Endpoint) bool { return e.Addr == a })
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
