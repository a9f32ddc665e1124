package snapshot

import "net/netip"

// A PodPlace says where a Pod is, as the objects tell it.
type PodPlace struct {
	Name        string // "shop/web-0"
	Node        string // "" where it is not scheduled
	HostNetwork bool
	Addrs       []netip.Addr // its own; the node's, where HostNetwork
}

// PodPlaces returns where the Pods are that run or may run, in the order of the objects.
// Pods that have ended no longer own their addresses and are left out.
func (c *Cluster) PodPlaces() []PodPlace {
	places := make([]PodPlace, 0, len(c.Objects.Pods))
	for i := range c.Objects.Pods {
		p := &c.Objects.Pods[i]
		if p.Status.Phase == "Succeeded" || p.Status.Phase == "Failed" {
			continue
		}
		place := PodPlace{Name: p.Namespace + "/" + p.Name, Node: p.Spec.NodeName, HostNetwork: p.Spec.HostNetwork}
		for _, ip := range p.Status.PodIPs {
			if a, err := netip.ParseAddr(ip.IP); err == nil {
				place.Addrs = append(place.Addrs, a)
			}
		}
		if a, err := netip.ParseAddr(p.Status.PodIP); err == nil && len(place.Addrs) == 0 {
			place.Addrs = append(place.Addrs, a)
		}
		places = append(places, place)
	}
	return places
}

// NodePlaces returns the nodes and their addresses, as the Node objects tell them.
func (c *Cluster) NodePlaces() []PodPlace {
	places := make([]PodPlace, 0, len(c.Objects.Nodes))
	for i := range c.Objects.Nodes {
		o := &c.Objects.Nodes[i]
		place := PodPlace{Name: o.Name, Node: o.Name, HostNetwork: true}
		for _, a := range o.Status.Addresses {
			if ip, err := netip.ParseAddr(a.Address); err == nil {
				place.Addrs = append(place.Addrs, ip)
			}
		}
		places = append(places, place)
	}
	return places
}
