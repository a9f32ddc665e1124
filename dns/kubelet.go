package dns

import (
	"net/netip"
	"slices"
	"strings"
)

// A Kubelet is what a node's kubelet makes Pods' resolv.conf of (its configuration: clusterDNS,
// clusterDomain, resolvConf).
type Kubelet struct {
	DNS    []netip.Addr // none: Pods get the node's
	Domain string       // "cluster.local"; "" adds nothing to search lists
	Host   *Conf        // the node's resolv.conf, of which kubelets take no line "domain"; nil: not known
}

// A PodDNS is what a Pod asks for.
type PodDNS struct {
	Namespace   string
	Policy      string // "" is "ClusterFirst"
	HostNetwork bool
	Config      bool     // it has a dnsConfig, be it an empty one
	Servers     []string // of that, as are the others
	Search      []string
	Options     []string // "ndots:2", "edns0"
}

// The bounds of what the kubelet writes (k8s.io/kubernetes/pkg/apis/core/validation).
const (
	maxSearch      = 32
	maxSearchChars = 2048
)

// Conf returns the resolv.conf that the kubelet gives a Pod. host says that what the node's own
// holds, and is not known, is in it too: all of it, or its search list behind the cluster's domains.
func (k Kubelet) Conf(p PodDNS) (c Conf, host bool) {
	node := Conf{}
	if k.Host != nil {
		node = *k.Host
		node.Search = slices.DeleteFunc(slices.Clone(node.Search), func(s string) bool { return s == "" }) // as they leave out the root
	}
	switch {
	case p.Policy == "None":
	case p.Policy == "Default", p.HostNetwork && p.Policy != "ClusterFirstWithHostNet", len(k.DNS) == 0:
		c, host = node, k.Host == nil
	default:
		c.Servers, c.Search, host = k.DNS, node.Search, k.Host == nil
		if k.Domain != "" {
			c.Search = unique(slices.Concat([]string{p.Namespace + ".svc." + k.Domain, "svc." + k.Domain, k.Domain}, node.Search))
		}
		c.Options = []string{"ndots:5"}
	}
	c.Servers, c.Search, c.Options = slices.Clone(c.Servers), slices.Clone(c.Search), slices.Clone(c.Options)
	for _, s := range p.Servers {
		if a, err := netip.ParseAddr(s); err == nil {
			c.Servers = append(c.Servers, a)
		}
	}
	for _, s := range p.Search {
		c.Search = append(c.Search, strings.TrimSuffix(s, "."))
	}
	for _, o := range p.Options {
		c.setOption(o)
	}
	if p.Config || len(p.Servers)+len(p.Search)+len(p.Options) > 0 { // else what the node's file has twice stays so
		c.Servers, c.Search = unique(c.Servers), unique(c.Search)
	}
	c.Search = fit(c.Search)
	c.Servers = c.Servers[:min(maxServers, len(c.Servers))]
	return c, host
}

// fit shortens a search list to what may be written.
func fit(list []string) []string {
	list = list[:min(maxSearch, len(list))]
	list = slices.DeleteFunc(list, func(s string) bool { return len(s) > maxName-1 })
	for len(strings.Join(list, " ")) > maxSearchChars {
		list = list[:len(list)-1]
	}
	return list
}

// unique leaves out what came before.
func unique[T comparable](list []T) (out []T) {
	for _, v := range list {
		if !slices.Contains(out, v) {
			out = append(out, v)
		}
	}
	return out
}
