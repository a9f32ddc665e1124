// Package service says what a Kubernetes Service asks of the proxies of a node: at which
// addresses and ports it is reached, and which of its endpoints a connection may go to.
//
// It reads Services and EndpointSlices as their APIs document them, and decides where they leave
// it open as kube-proxy does. A Service without a selector, one that publishes addresses that are
// not ready, and its trafficDistribution all show in its slices, which others write. A headless
// Service and an ExternalName are DNS's: they have no [Front].
package service

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"

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
	Node        string   // where known
	Pod         string   // "shop/web-0", where it is a Pod
	Zones       []string // that are to use it; none: any
	Nodes       []string // that are to use it; none: any
	Slice       string   // the object it is from: "EndpointSlice/shop/api-x2x4"
}

// ProtoOf returns the protocol of a port, which is TCP where none is written.
func ProtoOf(p corev1.Protocol) corev1.Protocol { return cmp.Or(p, corev1.ProtocolTCP) }

// ClusterIPs returns the addresses of a Service; none where it is headless or an ExternalName.
func ClusterIPs(s *corev1.Service) []netip.Addr {
	if s.Spec.Type == corev1.ServiceTypeExternalName {
		return nil
	}
	ips := s.Spec.ClusterIPs
	if len(ips) == 0 {
		ips = []string{s.Spec.ClusterIP}
	}
	return addrs(ips) // "None" is no address
}

func addrs(list []string) (out []netip.Addr) {
	for _, s := range list {
		if a, err := netip.ParseAddr(s); err == nil {
			out = append(out, a.Unmap())
		}
	}
	return out
}

// Append adds the endpoints of one slice. A nil condition means true for ready and serving,
// false for terminating. Of an endpoint's addresses, which have no documented difference, the
// first counts, as it does for kube-proxy.
func Append(out []Endpoint, sl *discoveryv1.EndpointSlice) []Endpoint {
	name := "EndpointSlice/" + sl.Namespace + "/" + sl.Name
	for i := range sl.Endpoints {
		e := &sl.Endpoints[i]
		if len(e.Addresses) == 0 {
			continue
		}
		a, err := netip.ParseAddr(e.Addresses[0])
		if err != nil {
			continue // a name
		}
		for _, port := range sl.Ports {
			if deref(port.Port, 0) == 0 {
				continue
			}
			ep := Endpoint{
				Addr: netip.AddrPortFrom(a.Unmap(), uint16(*port.Port)), Port: deref(port.Name, ""), Proto: ProtoOf(deref(port.Protocol, "")),
				Ready: deref(e.Conditions.Ready, true), Serving: deref(e.Conditions.Serving, true), Terminating: deref(e.Conditions.Terminating, false),
				Node: deref(e.NodeName, ""), Slice: name,
			}
			if e.TargetRef != nil && e.TargetRef.Kind == "Pod" {
				ep.Pod = e.TargetRef.Namespace + "/" + e.TargetRef.Name
			}
			ep.hint(e.Hints)
			out = append(out, ep)
		}
	}
	return out
}

func (e *Endpoint) hint(h *discoveryv1.EndpointHints) {
	if h == nil {
		return
	}
	for _, z := range h.ForZones {
		e.Zones = append(e.Zones, z.Name)
	}
	for _, n := range h.ForNodes {
		e.Nodes = append(e.Nodes, n.Name)
	}
}

func deref[T any](p *T, zero T) T {
	if p == nil {
		return zero
	}
	return *p
}

// Sort puts endpoints in order, of port and address. Of two with one address, where it went from a
// Pod that ends to another, the one stays that does not end.
func Sort(all []Endpoint) []Endpoint {
	slices.SortStableFunc(all, func(a, b Endpoint) int {
		return cmp.Or(strings.Compare(a.Port, b.Port), a.Addr.Compare(b.Addr), order(a.Terminating, b.Terminating))
	})
	return slices.CompactFunc(all, func(a, b Endpoint) bool { return a.Port == b.Port && a.Addr == b.Addr })
}

// order puts false first.
func order(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

// Of returns the endpoints of one port, by its name, which no other port of the Service has, and of one family.
func Of(all []Endpoint, port *corev1.ServicePort, is6 bool) []Endpoint {
	return filter(all, func(e *Endpoint) bool { return e.Port == port.Name && e.Addr.Addr().Is6() == is6 })
}

// filter returns those that keep keeps; all of them without a copy.
func filter(all []Endpoint, keep func(*Endpoint) bool) []Endpoint {
	n := 0
	for i := range all {
		if keep(&all[i]) {
			n++
		}
	}
	if n == 0 || n == len(all) {
		return all[:n:n]
	}
	out := make([]Endpoint, 0, n)
	for i := range all {
		if keep(&all[i]) {
			out = append(out, all[i])
		}
	}
	return out
}
