package link

import (
	"net/netip"
	"strconv"
	"strings"

	"github.com/plumbnet/plumb/check"
	"github.com/plumbnet/plumb/network"
	"github.com/plumbnet/plumb/snapshot"
	"github.com/plumbnet/plumb/text"
)

func addressMissing(p *check.Pass) {
	for i := range p.Snapshot.Objects.Nodes {
		o := &p.Snapshot.Objects.Nodes[i]
		ns := p.Host(o.Name)
		if ns == nil || p.Lacks(ns, "addr.json") {
			continue
		}
		for _, a := range check.NodeAddrs(o) {
			if ns.Owner(a) == nil {
				p.Report(nodeFinding(p, ns, a))
			}
		}
	}
	for _, ns := range p.Network.NS {
		if pod := p.PodByName(ns.PodName); pod != nil && !ns.IsHost() && !p.Lacks(ns, "addr.json") {
			for _, a := range check.PodAddrs(pod) {
				judgePod(p, ns, a)
			}
			gateways(p, ns)
		}
	}
}

func nodeFinding(p *check.Pass, ns *network.NS, a netip.Addr) check.Finding {
	f := check.Finding{
		Severity: check.Error, Where: check.Place(ns, ""),
		What: text.F("no device has the node's address %s, which the API knows it by", a),
		Fix:  check.Fix{What: text.F("give %s back to the node's uplink, or set the kubelet's --node-ip and restart it", a), Commands: giveBack(p, ns, a)},
		Evidence: []snapshot.Evidence{
			p.Object("Node", "", ns.Node.Name, "InternalIP: "+a.String()),
			check.File(ns, "addr.json", addrText(ns), "ip -br addr"),
		},
		Explains: []check.Symptom{{Check: "vtep-address", Where: ns.Node.Name}},
	}
	p.Blame(&f, func(b check.Broken) bool { return b.Met(a) })
	return f
}

// giveBack returns the command that gives a node its address again, with the
// subnet that the other nodes' uplinks have it in; nil where none has.
func giveBack(p *check.Pass, ns *network.NS, a netip.Addr) []string {
	up := p.UplinkOf(ns)
	if up == nil {
		return nil
	}
	for _, other := range p.Hosts() {
		l := p.UplinkOf(other)
		if l == nil || other == ns {
			continue
		}
		for _, la := range l.Addrs {
			if c := netip.PrefixFrom(la.Local, la.Len); c.IsValid() && !c.IsSingleIP() && c.Contains(a) {
				return []string{check.Cmd("ip addr add %s dev %s", netip.PrefixFrom(a, la.Len), up.Name)}
			}
		}
	}
	return nil
}

func addrText(ns *network.NS) string {
	var out []string
	for _, l := range ns.Links {
		for _, a := range l.Addrs {
			if !a.Local.IsLoopback() && !a.Local.IsLinkLocalUnicast() {
				out = append(out, l.Name+" "+a.Local.String())
			}
		}
	}
	return strings.Join(out, ", ")
}

func judgePod(p *check.Pass, ns *network.NS, a netip.Addr) {
	if ns.Owner(a) != nil {
		return
	}
	f := check.Finding{
		Severity: check.Error, Where: check.Place(ns, ""),
		What: text.F("the Pod does not have its address %s", a),
		Fix:  check.Fix{What: text.F("delete the Pod, so that it is wired anew"), Commands: []string{p.Rewire(ns.PodName)}},
		Evidence: []snapshot.Evidence{
			check.File(ns, "addr.json", addrText(ns), "ip -br addr"),
		},
	}
	p.Blame(&f, func(b check.Broken) bool { return b.Met(a) || b.In(ns) })
	p.Report(f)
}

// gateways looks for the gateways of a Pod's routes on the node's end: on its
// bridge, or on any device where the node answers for others (proxy ARP).
func gateways(p *check.Pass, ns *network.NS) {
	for i := range ns.FIB.Routes {
		r := &ns.FIB.Routes[i]
		for _, h := range r.Hops {
			d := ns.Iface(h.Dev)
			if !h.Via.IsValid() || d == nil || d.Peer == nil || d.Peer.PortOf() == nil {
				continue
			}
			host := d.Peer.NS
			if host.Owner(h.Via) == nil && !p.Lacks(host, "addr.json") && len(p.Network.Owners(h.Via)) == 0 {
				p.Report(gatewayFinding(p, host, d.Peer.PortOf(), h.Via, len(d.Link.Addrs)))
			}
		}
	}
}

func gatewayFinding(p *check.Pass, host *network.NS, br *network.Iface, via netip.Addr, _ int) check.Finding {
	f := check.Finding{
		Severity: check.Error, Where: br.String(),
		What: text.F("%s does not have %s, the gateway of the node's Pods", br.Name(), via),
		Fix:  check.Fix{What: text.F("give %s its address %s again", br.Name(), via), Commands: []string{check.Cmd("ip addr add %s dev %s", via.String()+"/"+bits(p, host, via), br.Name())}},
		Evidence: []snapshot.Evidence{
			check.File(host, "addr.json", check.LinkText(br.Link), "ip addr show "+br.Name()),
		},
		Explains: []check.Symptom{{Check: "route-missing", Where: host.Node.Name}, {Check: "route-wrong", Where: host.Node.Name}},
	}
	p.Blame(&f, func(b check.Broken) bool {
		pod := p.PodByAddr(b.Path.Final.Dst.Addr())
		ns := p.NS(b.Path.At)
		return ns != nil && ns.Node == host.Node && (ns != host || pod != nil && pod.Spec.NodeName == host.Node.Name)
	})
	return f
}

// bits returns the length of the node's Pod range, which the gateway's address is in.
func bits(p *check.Pass, host *network.NS, a netip.Addr) string {
	if o := p.NodeObject(host.Node.Name); o != nil {
		for _, c := range check.PodCIDRs(o) {
			if c.Contains(a) {
				return strconv.Itoa(c.Bits())
			}
		}
	}
	return "24"
}
