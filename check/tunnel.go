package check

import (
	"encoding/json"
	"net/netip"

	"github.com/plumbnet/plumb/network"
	"github.com/plumbnet/plumb/packet"
	corev1 "k8s.io/api/core/v1"
)

// Tunnels reports whether the packet was sent into a tunnel device, or came to its node inside one of its kind.
func Tunnels(b Broken, d *network.Iface) bool {
	for _, h := range b.Path.Hops {
		if h.Node == d.NS.Node.Name && h.NetNS == d.NS.Name && (h.Out == d.Name() || h.In == d.Name()) {
			return true
		}
		for _, s := range h.Steps {
			if h.Node == d.NS.Node.Name && h.NetNS == d.NS.Name && s.Link == d.Name() {
				return true
			}
		}
	}
	return b.In(d.NS) && b.Path.Final.Inner != nil
}

// An Registration is what flannel registers of a node's end of a tunnel, in
// the annotations of the node's object.
type Registration struct {
	PublicIP netip.Addr // "flannel.alpha.coreos.com/public-ip"; invalid where there is none
	MAC      packet.MAC // VtepMAC in "backend-data"
}

const flannel = "flannel.alpha.coreos.com/"

// Registered returns what flannel registered of a node for a family.
func Registered(o *corev1.Node, is6 bool) Registration {
	ip, data := "public-ip", "backend-data"
	if is6 {
		ip, data = "public-ipv6", "backend-v6-data"
	}
	var r Registration
	r.PublicIP, _ = netip.ParseAddr(o.Annotations[flannel+ip])
	var v struct{ VtepMAC string }
	if json.Unmarshal([]byte(o.Annotations[flannel+data]), &v) == nil {
		r.MAC, _ = packet.ParseMAC(v.VtepMAC)
	}
	return r
}

// LocalOf returns the address that a tunnel device sends from, invalid where it leaves that to the kernel.
func LocalOf(d *network.Iface) netip.Addr {
	if a := d.Link.Info.Data.Local6; a.IsValid() {
		return a
	}
	a, _ := netip.ParseAddr(d.Link.Info.Data.Local)
	if a.IsUnspecified() {
		return netip.Addr{}
	}
	return a
}

// VTEPs returns the VXLAN devices of a node's own namespace that hold no list of peers in other places.
func VTEPs(ns *network.NS) []*network.Iface {
	var out []*network.Iface
	for _, d := range ns.Ifaces {
		if d.Kind() == "vxlan" && !d.Link.Info.Data.External {
			out = append(out, d)
		}
	}
	return out
}

// Is6 reports whether a tunnel device runs over IPv6.
func Is6(d *network.Iface) bool {
	return d.Link.Info.Data.Local6.IsValid() || d.Link.Info.Data.Remote6.IsValid() || d.Link.Info.Data.Group6.IsValid()
}
