package check

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/plumbnet/plumb/dns"
	"github.com/plumbnet/plumb/snapshot"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
)

// A CoreDNS is the cluster's name server, as the objects have it.
type CoreDNS struct {
	ConfigMap *corev1.ConfigMap
	Corefile  *dns.Corefile // nil where CoreDNS refuses it
	Refusal   error         // why; nil where it does not
	Version   string        // "1.12.1", by the image's tag; "" where that tells none
	Known     bool          // the image is one of the project's own plugins, as far as its name tells
	Services  []*corev1.Service
	Pods      []*corev1.Pod
	Confs     []PodConf // the resolv.conf of each of Pods, where it is known
}

// A PodConf is the resolv.conf of a Pod, and where that is told.
type PodConf struct {
	Pod  *corev1.Pod
	Conf dns.Conf
	File string // in the snapshot
}

// ConfOf returns the resolv.conf of a Pod. Where its own was not collected, and it is the node's by the Pod's dnsPolicy, that is
// its; of a node with two, which of them kubelets give is not known.
func ConfOf(nodes []*snapshot.Node, pod *corev1.Pod) (out PodConf, ok bool) {
	i := slices.IndexFunc(nodes, func(n *snapshot.Node) bool { return n.Name == pod.Spec.NodeName })
	if i < 0 || pod.Spec.HostNetwork {
		return out, false
	}
	has := func(ns *snapshot.NetNS, file string) bool {
		text, ok := ns.Resolv[file]
		out = PodConf{pod, dns.ParseConf(text), ns.Path(file)}
		return ok
	}
	for _, ns := range nodes[i].NetNS {
		if ns.Pod == pod.Namespace+"/"+pod.Name && has(ns, snapshot.ResolvConf) {
			return out, true
		}
	}
	host := nodes[i].Host()
	if host == nil || pod.Spec.DNSPolicy != corev1.DNSDefault || pod.Spec.DNSConfig != nil || has(host, snapshot.SystemdResolvConf) {
		return PodConf{}, false
	}
	return out, has(host, snapshot.ResolvConf)
}

// The folder in which CoreDNS finds the keys of its ConfigMap, and the one for those of the
// ConfigMap that clouds and k3s leave to users.
const (
	corefileDir = "/etc/coredns"
	customDir   = "/etc/coredns/custom"
)

// etcResolv is where its Pods find the name servers that "forward . /etc/resolv.conf" means.
const etcResolv = "/etc/resolv.conf"

// FindCoreDNS returns the cluster's CoreDNS, or nil where its ConfigMap was not collected. Of nodes, and the
// Pods on them, it takes their resolv.conf.
func FindCoreDNS(o *snapshot.Objects, nodes []*snapshot.Node) *CoreDNS {
	files := dns.Files{Corefile: corefileDir + "/Corefile", Text: map[string]string{}}
	var d CoreDNS
	for i := range o.ConfigMaps {
		m := &o.ConfigMaps[i]
		dir := map[string]string{"coredns": corefileDir, "coredns-custom": customDir}[m.Name]
		if m.Namespace != "kube-system" || dir == "" {
			continue
		}
		for key, text := range m.Data {
			files.Text[dir+"/"+key] = text
		}
		if dir == corefileDir {
			d.ConfigMap = m
		}
	}
	text, ok := files.Text[files.Corefile]
	if !ok {
		return nil
	}
	if o.Have["ConfigMap"] {
		files.Dirs = []string{corefileDir, customDir}
	}
	for i := range o.Pods {
		if p := &o.Pods[i]; RoleOf(p.Labels) == DNS && p.Namespace == "kube-system" {
			d.Pods = append(d.Pods, p)
			if c, ok := ConfOf(nodes, p); ok {
				d.Confs = append(d.Confs, c)
				for _, a := range c.Conf.Servers {
					files.Text[etcResolv] += "nameserver " + a.String() + "\n"
				}
			}
		}
	}
	for i := range o.Services {
		if s := &o.Services[i]; s.Namespace == "kube-system" && RoleOf(s.Labels) == DNS {
			d.Services = append(d.Services, s)
		}
	}
	d.Version, d.Known = imageVersion(d.Pods)
	d.Corefile, d.Refusal = dns.Parse(text, dns.Options{Files: files, Version: d.Version})
	return &d
}

// imageVersion returns the version that the first Pod's image names: "1.12.1" of "registry/coredns:v1.12.1-build.2".
func imageVersion(pods []*corev1.Pod) (version string, known bool) {
	for _, p := range pods {
		for _, c := range p.Spec.Containers {
			image, _, _ := strings.Cut(c.Image, "@")
			name := image[strings.LastIndexByte(image, '/')+1:]
			name, tag, _ := strings.Cut(name, ":")
			if !strings.HasSuffix(name, "coredns") {
				continue
			}
			tag, _, _ = strings.Cut(strings.TrimPrefix(tag, "v"), "-")
			if strings.Count(tag, ".") != 2 || strings.Trim(tag, "0123456789.") != "" {
				tag = ""
			}
			return tag, true
		}
	}
	return "", false
}

// Serves reports whether an address is one of CoreDNS's Services.
func (d *CoreDNS) Serves(a netip.Addr) bool {
	return slices.ContainsFunc(d.Services, func(s *corev1.Service) bool { return slices.Contains(ClusterIPs(s), a) })
}

// Itself reports whether a query to an address comes back to CoreDNS: it is one of its Services or Pods, or in a Pod that Pod itself.
func (d *CoreDNS) Itself(a netip.Addr) bool {
	return a.IsLoopback() || d.Serves(a) || slices.ContainsFunc(d.Pods, func(p *corev1.Pod) bool { return slices.Contains(PodAddrs(p), a) })
}

// Kubelet returns what the kubelets make Pods' resolv.conf of: by their configuration's usual
// values, the first address of CoreDNS's Service and its domain.
func (d *CoreDNS) Kubelet() (k dns.Kubelet) {
	if len(d.Services) > 0 {
		ips := ClusterIPs(d.Services[0])
		k.DNS = ips[:min(1, len(ips))]
	}
	if k.Domain = "cluster.local"; d.Corefile != nil && d.Corefile.Domain() != "" {
		k.Domain = d.Corefile.Domain()
	}
	return k
}

// PodDNS returns what a Pod asks of its resolv.conf.
func PodDNS(p *corev1.Pod) dns.PodDNS {
	out := dns.PodDNS{Namespace: p.Namespace, Policy: string(p.Spec.DNSPolicy), HostNetwork: p.Spec.HostNetwork}
	if c := p.Spec.DNSConfig; c != nil {
		out.Config, out.Servers, out.Search = true, c.Nameservers, c.Searches
		for _, o := range c.Options {
			if o.Value != nil && *o.Value != "" {
				o.Name += ":" + *o.Value
			}
			out.Options = append(out.Options, o.Name)
		}
	}
	return out
}

// DNSCluster returns what CoreDNS serves of a cluster's objects.
func DNSCluster(o *snapshot.Objects) *dns.Cluster {
	c := &dns.Cluster{}
	for _, kind := range []string{"Service", "EndpointSlice", "Namespace", "Pod"} {
		if !o.Have[kind] {
			c.Missing = append(c.Missing, kind)
		}
	}
	for _, n := range o.Namespaces {
		c.Namespaces = append(c.Namespaces, n.Name)
	}
	bySvc := map[objectName][]dns.Slice{}
	for i := range o.EndpointSlices {
		sl := &o.EndpointSlices[i]
		key := objectName{sl.Namespace, sl.Labels[discoveryv1.LabelServiceName]}
		bySvc[key] = append(bySvc[key], dnsSlice(sl))
	}
	for i := range o.Services {
		s := &o.Services[i]
		d := dns.Service{Namespace: s.Namespace, Name: s.Name, Addrs: ClusterIPs(s), Headless: s.Spec.ClusterIP == corev1.ClusterIPNone,
			Slices: bySvc[objectName{s.Namespace, s.Name}]}
		if s.Spec.Type == corev1.ServiceTypeExternalName {
			d.ExternalName, d.Headless = s.Spec.ExternalName, false
		}
		for _, p := range s.Spec.Ports {
			d.Ports = append(d.Ports, dns.Port{Name: p.Name, Proto: string(ProtoOf(p.Protocol)), Number: int(p.Port)})
		}
		c.Services, c.Namespaces = append(c.Services, d), append(c.Namespaces, s.Namespace)
	}
	for i := range o.Pods {
		p := &o.Pods[i]
		c.Namespaces = append(c.Namespaces, p.Namespace)
		if p.DeletionTimestamp == nil {
			d := dns.Pod{Namespace: p.Namespace}
			for _, ip := range p.Status.PodIPs {
				d.Addrs = appendAddr(d.Addrs, ip.IP)
			}
			c.Pods = append(c.Pods, d)
		}
	}
	c.Index()
	return c
}

// dnsSlice returns a slice with its ready endpoints.
func dnsSlice(sl *discoveryv1.EndpointSlice) (out dns.Slice) {
	for _, p := range sl.Ports {
		d := dns.Port{Number: -1}
		if p.Port != nil {
			d.Number = int(*p.Port)
		}
		if p.Name != nil {
			d.Name = *p.Name
		}
		if p.Protocol != nil {
			d.Proto = string(*p.Protocol)
		}
		out.Ports = append(out.Ports, d)
	}
	for _, e := range sl.Endpoints {
		if e.Conditions.Ready != nil && !*e.Conditions.Ready {
			continue
		}
		for _, s := range e.Addresses {
			a, err := netip.ParseAddr(s)
			if err != nil {
				continue
			}
			d := dns.Endpoint{Addr: a}
			if e.Hostname != nil {
				d.Hostname = *e.Hostname
			}
			if e.TargetRef != nil {
				d.Pod = e.TargetRef.Name
			}
			out.Endpoints = append(out.Endpoints, d)
		}
	}
	return out
}

// CoreDNS returns the cluster's CoreDNS, or nil.
func (p *Pass) CoreDNS() *CoreDNS {
	type key struct{}
	return Once(p, key{}, func() *CoreDNS { return FindCoreDNS(&p.Snapshot.Objects, p.Snapshot.Nodes) })
}

// DNSCluster is what CoreDNS serves of the snapshot.
func (p *Pass) DNSCluster() *dns.Cluster {
	type key struct{}
	return Once(p, key{}, func() *dns.Cluster { return DNSCluster(&p.Snapshot.Objects) })
}
