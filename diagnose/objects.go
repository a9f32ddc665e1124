package diagnose

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/plumbnet/plumb/network"
	"github.com/plumbnet/plumb/text"
	corev1 "k8s.io/api/core/v1"
)

// find returns the object with that namespace and name, or nil.
func find[T any, P interface {
	*T
	GetNamespace() string
	GetName() string
}](objects []T, ns, name string) P {
	i := slices.IndexFunc(objects, func(o T) bool { return P(&o).GetNamespace() == ns && P(&o).GetName() == name })
	if i < 0 {
		return nil
	}
	return &objects[i]
}

// podAddrs returns the addresses in a Pod's status.
func podAddrs(p *corev1.Pod) []netip.Addr {
	var ips []string
	for _, ip := range p.Status.PodIPs {
		ips = append(ips, ip.IP)
	}
	if len(ips) == 0 {
		ips = []string{p.Status.PodIP}
	}
	return parseAddrs(ips)
}

// nodeAddrs returns a node's InternalIPs.
func nodeAddrs(n *corev1.Node) []netip.Addr {
	var ips []string
	for _, a := range n.Status.Addresses {
		if a.Type == corev1.NodeInternalIP {
			ips = append(ips, a.Address)
		}
	}
	return parseAddrs(ips)
}

func parseAddrs(ips []string) []netip.Addr {
	var addrs []netip.Addr
	for _, ip := range ips {
		if a, err := netip.ParseAddr(ip); err == nil {
			addrs = append(addrs, a.Unmap())
		}
	}
	return addrs
}

// nsAddrs returns the global addresses of a namespace whose object is not known.
func nsAddrs(ns *network.NS) []netip.Addr {
	var addrs []netip.Addr
	for _, l := range ns.Links {
		for _, a := range l.Addrs {
			if a.Scope == "global" && !a.Temporary {
				addrs = append(addrs, a.Local)
			}
		}
	}
	return addrs
}

// service fills in the cluster addresses of a Service, or its endpoints where it is headless.
func (r *resolver) service(t target, e Endpoint) error {
	e.Name = t.ns + "/" + t.name
	svc := find(r.c.Objects.Services, t.ns, t.name)
	if svc == nil {
		return fmt.Errorf("no Service of that name in the snapshot%s", r.serviceNames(t.ns))
	}
	if svc.Spec.Type == corev1.ServiceTypeExternalName {
		return fmt.Errorf("the Service is an ExternalName for %q: ask for that name", svc.Spec.ExternalName)
	}
	if p, err := parseProto(r.ask.Proto, true, false); err == nil && !p.HasPorts() {
		return fmt.Errorf("--proto %s: a Service answers no ping: kube-proxy translates its ports only; ask for a port", r.ask.Proto)
	}
	port, err := servicePort(svc, t.port, r.ask.Proto)
	if err != nil {
		return err
	}
	r.protoFrom(port.Protocol)
	e.Port = uint16(port.Port)
	e.Addrs = parseAddrs(svc.Spec.ClusterIPs)
	if len(e.Addrs) == 0 {
		e.Addrs = parseAddrs([]string{svc.Spec.ClusterIP})
	}
	if len(e.Addrs) > 0 {
		return r.aim(e, e.Addrs, e.Port, true)
	}
	return r.headless(svc, port, e)
}

// headless aims at each endpoint of a Service without a cluster address.
func (r *resolver) headless(svc *corev1.Service, port *corev1.ServicePort, e Endpoint) error {
	r.q.dst = e
	for _, s := range r.c.Objects.EndpointSlices {
		if s.Namespace != svc.Namespace || s.Labels["kubernetes.io/service-name"] != svc.Name {
			continue
		}
		for _, p := range s.Ports {
			if p.Port == nil || p.Name == nil || *p.Name != port.Name {
				continue
			}
			for _, ep := range s.Endpoints {
				if ep.Conditions.Ready != nil && !*ep.Conditions.Ready {
					continue
				}
				e.Addrs = append(e.Addrs, parseAddrs(ep.Addresses)...)
				e.Port = uint16(*p.Port)
			}
		}
	}
	if len(e.Addrs) == 0 {
		r.q.dst = e
		r.q.nothing = text.F("Service %s has no cluster address and no ready endpoint, so its name resolves to nothing", e.Name)
		return nil
	}
	return r.aim(e, e.Addrs, e.Port, true)
}

// servicePort finds a port of svc by number or name; none is needed where it has just one. Of two of one
// number it is that of the protocol, where that was asked for.
func servicePort(svc *corev1.Service, want, proto string) (found *corev1.ServicePort, err error) {
	var have []string
	for i, p := range svc.Spec.Ports {
		if want == p.Name && want != "" || want == fmt.Sprint(p.Port) || want == "" && len(svc.Spec.Ports) == 1 {
			if found == nil || strings.EqualFold(string(p.Protocol), proto) {
				found = &svc.Spec.Ports[i]
			}
		}
		have = append(have, fmt.Sprintf("%d/%s %s", p.Port, p.Protocol, p.Name))
	}
	switch {
	case found != nil:
		return found, nil
	case want == "":
		return nil, fmt.Errorf("the Service has %d ports: name one%s", len(svc.Spec.Ports), list(have))
	}
	return nil, fmt.Errorf("port %q: the Service has no such port%s", want, list(have))
}

func (r *resolver) serviceNames(ns string) string {
	var names []string
	for _, s := range r.c.Objects.Services {
		if s.Namespace == ns {
			names = append(names, "svc/"+s.Namespace+"/"+s.Name)
		}
	}
	if len(r.c.Objects.Services) == 0 {
		return ": it holds no Services: add one of the objects (kubectl get pods,services,endpointslices,nodes -A -o json)"
	}
	return list(names)
}
