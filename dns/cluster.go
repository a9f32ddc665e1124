package dns

import (
	"net/netip"
	"slices"
)

// A Cluster is what the plugin kubernetes serves, as plain values.
type Cluster struct {
	Namespaces []string
	Services   []Service
	Pods       []Pod // those that do not end
	// Missing are the kinds of objects that are not known: "Service", "EndpointSlice", "Namespace",
	// "Pod". An answer that depends on one is Unknown.
	Missing []string

	services map[string]*Service // by "name.namespace"
	byAddr   map[netip.Addr][]*Service
	backends map[netip.Addr][]*Service // those that have an endpoint with the address
	spaces   map[string]bool
	pods     map[netip.Addr][]*Pod
}

// A Service is one of Kubernetes.
type Service struct {
	Namespace, Name string
	Addrs           []netip.Addr // cluster addresses
	Headless        bool
	ExternalName    string // the name that one of type ExternalName stands for
	Ports           []Port // none: a record of it has no port
	Slices          []Slice
}

// A Port is one of a Service or a Slice.
type Port struct {
	Name   string
	Proto  string // "TCP"
	Number int    // 0 where none is set
}

// A Slice is an EndpointSlice, with its ready endpoints.
type Slice struct {
	Ports     []Port
	Endpoints []Endpoint
}

// An Endpoint is an address behind a Service.
type Endpoint struct {
	Addr     netip.Addr
	Hostname string // "" where the Pod sets none
	Pod      string // the name of what it is, where that is known
}

// A Pod has the addresses in its status.
type Pod struct {
	Namespace string
	Addrs     []netip.Addr
}

// Index makes a cluster ready to be asked. It is called once, after the last change.
func (c *Cluster) Index() {
	c.services, c.spaces = map[string]*Service{}, map[string]bool{}
	c.byAddr, c.backends = map[netip.Addr][]*Service{}, map[netip.Addr][]*Service{}
	c.pods = map[netip.Addr][]*Pod{}
	for _, n := range c.Namespaces {
		c.spaces[n] = true
	}
	for i := range c.Services {
		s := &c.Services[i]
		c.services[s.Name+"."+s.Namespace] = s
		for _, a := range s.Addrs {
			c.byAddr[a] = append(c.byAddr[a], s)
		}
		for _, sl := range s.Slices {
			for _, e := range sl.Endpoints {
				if !slices.Contains(c.backends[e.Addr], s) {
					c.backends[e.Addr] = append(c.backends[e.Addr], s)
				}
			}
		}
	}
	for i := range c.Pods {
		for _, a := range c.Pods[i].Addrs {
			c.pods[a] = append(c.pods[a], &c.Pods[i])
		}
	}
}

// lacks returns the first of the kinds that is not known, or "".
func (c *Cluster) lacks(kinds ...string) string {
	for _, k := range kinds {
		if c == nil || slices.Contains(c.Missing, k) {
			return k
		}
	}
	return ""
}

// label is the first label of an endpoint's own name.
func (e Endpoint) label(podNames bool) string {
	switch {
	case e.Hostname != "":
		return e.Hostname
	case podNames && e.Pod != "" && len(e.Pod) <= maxLabel:
		return e.Pod
	}
	return dashed(e.Addr)
}

// dashed is an address as a label: "10-0-0-1".
func dashed(a netip.Addr) string {
	b := []byte(a.String())
	for i := range b {
		if b[i] == '.' || b[i] == ':' {
			b[i] = '-'
		}
	}
	if n := len(b); n > 0 && b[n-1] == '-' {
		b = append(b, '0')
	}
	return string(b)
}
