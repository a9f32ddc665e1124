//go:build linux

package lab

import (
	"crypto/sha256"
	"encoding/base32"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
)

// proxyRules writes what kube-proxy 1.34 programs in iptables mode on one node for
// one family, from Services and EndpointSlices (pkg/proxy/iptables/proxier.go).
// Of its shapes it leaves out load balancer addresses, externalIPs and -m nfacct.
type proxyRules struct {
	l       *Lab
	node    string
	v6      bool
	cluster netip.Prefix

	services, nodePorts []string // rules of KUBE-SERVICES and KUBE-NODEPORTS
	chains              []string // further chains of nat, in order
	rules               []string // and their rules
	reject, external    []string // filter: KUBE-SERVICES and KUBE-EXTERNAL-SERVICES
	healthChecks        []string // filter: KUBE-NODEPORTS
}

func (l *Lab) proxyRules(node string, v6 bool) *proxyRules {
	p := &proxyRules{l: l, node: node, v6: v6, cluster: ClusterCIDR}
	if v6 {
		p.cluster = ClusterCIDR6
	}
	for i := range l.Objects.Services {
		s := &l.Objects.Services[i]
		ip := clusterIP(s, v6)
		if ip == "" {
			continue
		}
		for j := range s.Spec.Ports {
			p.servicePort(s, &s.Spec.Ports[j], ip)
		}
		if hc := s.Spec.HealthCheckNodePort; hc != 0 {
			p.healthChecks = append(p.healthChecks, fmt.Sprintf(
				`-A KUBE-NODEPORTS -m comment --comment "%s/%s health check node port" -m tcp -p tcp --dport %d -j ACCEPT`, s.Namespace, s.Name, hc))
		}
	}
	return p
}

func clusterIP(s *corev1.Service, v6 bool) string {
	for _, ip := range s.Spec.ClusterIPs {
		if ip != corev1.ClusterIPNone && strings.Contains(ip, ":") == v6 {
			return ip
		}
	}
	return ""
}

// An endpointAddr is one ready endpoint of a Service's port.
type endpointAddr struct {
	ip    string
	port  int32
	local bool
}

func (e endpointAddr) String() string {
	if strings.Contains(e.ip, ":") {
		return "[" + e.ip + "]:" + strconv.Itoa(int(e.port))
	}
	return e.ip + ":" + strconv.Itoa(int(e.port))
}

// endpoints returns the ready endpoints of a Service's port.
func (p *proxyRules) endpoints(s *corev1.Service, sp *corev1.ServicePort) []endpointAddr {
	var out []endpointAddr
	for _, slice := range p.l.Objects.EndpointSlices {
		if slice.Namespace != s.Namespace || slice.Labels["kubernetes.io/service-name"] != s.Name || (slice.AddressType == discoveryv1.AddressTypeIPv6) != p.v6 {
			continue
		}
		for _, port := range slice.Ports {
			if *port.Name != sp.Name || *port.Protocol != sp.Protocol {
				continue
			}
			for _, e := range slice.Endpoints {
				if *e.Conditions.Ready {
					out = append(out, endpointAddr{e.Addresses[0], *port.Port, e.NodeName != nil && *e.NodeName == p.node})
				}
			}
		}
	}
	return out
}

// hash names a chain as kube-proxy does.
func hash(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "")))
	return base32.StdEncoding.EncodeToString(sum[:])[:16]
}

func (p *proxyRules) chain(name string) { p.chains = append(p.chains, name) }

func (p *proxyRules) add(format string, args ...any) {
	p.rules = append(p.rules, fmt.Sprintf(format, args...))
}

func (p *proxyRules) mask() string {
	if p.v6 {
		return "/128"
	}
	return "/32"
}

func (p *proxyRules) servicePort(s *corev1.Service, sp *corev1.ServicePort, ip string) {
	name := s.Namespace + "/" + s.Name + ":" + sp.Name
	proto := strings.ToLower(string(sp.Protocol))
	match := fmt.Sprintf("-m %s -p %[1]s -d %s%s --dport %d", proto, ip, p.mask(), sp.Port)
	all := p.endpoints(s, sp)
	local := s.Spec.ExternalTrafficPolicy == corev1.ServiceExternalTrafficPolicyLocal
	var mine []endpointAddr
	for _, e := range all {
		if e.local {
			mine = append(mine, e)
		}
	}
	if sp.NodePort != 0 && (len(all) == 0 || local && len(mine) == 0) {
		why, target := "has no endpoints", "REJECT"
		if len(all) > 0 {
			why, target = "has no local endpoints", "DROP"
		}
		p.external = append(p.external, fmt.Sprintf(`-A KUBE-EXTERNAL-SERVICES -m comment --comment "%s %s" -m addrtype --dst-type LOCAL -m %s -p %[3]s --dport %d -j %s`, name, why, proto, sp.NodePort, target))
	}
	if len(all) == 0 {
		p.reject = append(p.reject, fmt.Sprintf(`-A KUBE-SERVICES -m comment --comment "%s has no endpoints" %s -j REJECT`, name, match))
		return
	}
	svc := "KUBE-SVC-" + hash(name, proto)
	p.services = append(p.services, fmt.Sprintf(`-A KUBE-SERVICES -m comment --comment "%s cluster IP" %s -j %s`, name, match, svc))
	p.chain(svc)
	p.add(`-A %s -m comment --comment "%s cluster IP" %s ! -s %s -j KUBE-MARK-MASQ`, svc, name, match, p.cluster)
	p.balance(s, svc, name, proto, all)
	if sp.NodePort != 0 {
		p.externalChains(s, sp, name, proto, local, mine)
	}
	for _, e := range all {
		p.endpoint(s, name, proto, e)
	}
}

// externalChains writes the chains that traffic to a node port takes.
func (p *proxyRules) externalChains(s *corev1.Service, sp *corev1.ServicePort, name, proto string, local bool, mine []endpointAddr) {
	svc, ext, svl := "KUBE-SVC-"+hash(name, proto), "KUBE-EXT-"+hash(name, proto), "KUBE-SVL-"+hash(name, proto)
	p.nodePorts = append(p.nodePorts, fmt.Sprintf(`-A KUBE-NODEPORTS -m comment --comment %s -m %s -p %[2]s --dport %d -j %s`, name, proto, sp.NodePort, ext))
	p.chain(ext)
	if !local {
		p.add(`-A %s -m comment --comment "masquerade traffic for %s external destinations" -j KUBE-MARK-MASQ`, ext, name)
		p.add(`-A %s -j %s`, ext, svc)
		return
	}
	p.add(`-A %s -m comment --comment "pod traffic for %s external destinations" -s %s -j %s`, ext, name, p.cluster, svc)
	p.add(`-A %s -m comment --comment "masquerade LOCAL traffic for %s external destinations" -m addrtype --src-type LOCAL -j KUBE-MARK-MASQ`, ext, name)
	p.add(`-A %s -m comment --comment "route LOCAL traffic for %s external destinations" -m addrtype --src-type LOCAL -j %s`, ext, name, svc)
	if len(mine) == 0 {
		return
	}
	p.add(`-A %s -j %s`, ext, svl)
	p.chain(svl)
	p.balance(s, svl, name, proto, mine)
}

// balance writes the rules that choose an endpoint.
func (p *proxyRules) balance(s *corev1.Service, chain, name, proto string, eps []endpointAddr) {
	if s.Spec.SessionAffinity == corev1.ServiceAffinityClientIP {
		for _, e := range eps {
			sep := "KUBE-SEP-" + hash(name, proto, e.String())
			p.add(`-A %s -m comment --comment "%s -> %s" -m recent --name %s --rcheck --seconds 10800 --reap -j %[4]s`, chain, name, e, sep)
		}
	}
	for i, e := range eps {
		statistic := ""
		if left := len(eps) - i; left > 1 {
			statistic = fmt.Sprintf("-m statistic --mode random --probability %0.10f ", 1/float64(left))
		}
		p.add(`-A %s -m comment --comment "%s -> %s" %s-j KUBE-SEP-%s`, chain, name, e, statistic, hash(name, proto, e.String()))
	}
}

// endpoint writes the chain that sends a connection to one endpoint.
func (p *proxyRules) endpoint(s *corev1.Service, name, proto string, e endpointAddr) {
	sep := "KUBE-SEP-" + hash(name, proto, e.String())
	p.chain(sep)
	p.add(`-A %s -m comment --comment %s -s %s%s -j KUBE-MARK-MASQ`, sep, name, e.ip, p.mask())
	recent := ""
	if s.Spec.SessionAffinity == corev1.ServiceAffinityClientIP {
		recent = fmt.Sprintf("-m recent --name %s --set ", sep)
	}
	p.add(`-A %s -m comment --comment %s %s-m %s -p %[4]s -j DNAT --to-destination %s`, sep, name, recent, proto, e)
}
