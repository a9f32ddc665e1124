package drops

import (
	"net/netip"

	"github.com/plumbnet/plumb/check"
	"github.com/plumbnet/plumb/netfilter"
	"github.com/plumbnet/plumb/network"
	"github.com/plumbnet/plumb/packet"
	"github.com/plumbnet/plumb/snapshot"
	"github.com/plumbnet/plumb/text"
	"github.com/plumbnet/plumb/trace"
)

// behindRouter asks the FORWARD hook of each node about a packet from a Pod
// elsewhere to a Pod of the node. It is for clusters whose nodes reach each
// other's Pods by a router outside, which no trace can follow.
func behindRouter(p *check.Pass) {
	if p.RoutesDirectly() {
		return
	}
	for _, ns := range p.Hosts() {
		up := p.UplinkOf(ns)
		to := podOn(ns)
		from := otherPod(p, ns)
		if up == nil || to == nil || !from.IsValid() || p.Network.Missing(ns, "iptables") != "" {
			continue
		}
		pk := packet.Packet{Src: netip.AddrPortFrom(from, 40000), Dst: netip.AddrPortFrom(addr4(to.Peer), 8080), Proto: packet.TCP, Flags: packet.SYN, Size: 60, TTL: 63}
		tuple := netfilter.Tuple{Src: pk.Src, Dst: pk.Dst, Proto: pk.Proto}
		conn := netfilter.Conn{State: netfilter.New, Orig: tuple, Back: netfilter.Tuple{Src: pk.Dst, Dst: pk.Src, Proto: pk.Proto}}
		outs := ns.Netfilter.Eval(netfilter.Input{Hook: netfilter.Forward, Packet: pk, In: up.Name, Out: to.L3().Name(), Conn: &conn, Env: env{}})
		if len(outs) == 1 && (outs[0].Verdict == netfilter.Drop || outs[0].Verdict == netfilter.Reject) && len(outs[0].Assumed) == 0 {
			p.Report(staticFinding(p, ns, pk, outs[0]))
		}
	}
}

func staticFinding(p *check.Pass, ns *network.NS, pk packet.Packet, o netfilter.Outcome) check.Finding {
	ref := o.Rules[len(o.Rules)-1]
	e := snapshot.Evidence{File: ref.File(), Line: ref.Line(), Text: ref.Text(), Command: check.Save(ref.Table) + " -t " + ref.Table.Name}
	f := check.Finding{
		Severity: check.Error, Where: ns.String(),
		What:     text.F("%s is dropped by %s", pk.String(), e.Text),
		Fix:      fix(p, e),
		Evidence: []snapshot.Evidence{e},
	}
	for _, r := range p.Results {
		for i := range r.Paths {
			path := &r.Paths[i]
			f.OnPath = f.OnPath || path.End == trace.LeftCluster && p.NodeByPodCIDR(path.Final.Dst.Addr()) == ns.Node.Name
		}
	}
	return f
}

// podOn returns the node's end of the veth of a Pod with an IPv4 address, or nil.
func podOn(ns *network.NS) *network.Iface {
	for _, d := range ns.Ifaces {
		if d.Peer != nil && d.Peer.NS != ns && d.Peer.NS.PodName != "" && addr4(d.Peer).IsValid() {
			return d
		}
	}
	return nil
}

func addr4(d *network.Iface) netip.Addr {
	for _, a := range d.Link.Addrs {
		if a.Local.Is4() {
			return a.Local
		}
	}
	return netip.Addr{}
}

// otherPod returns the address of a Pod on another node.
func otherPod(p *check.Pass, ns *network.NS) netip.Addr {
	for i := range p.Snapshot.Objects.Pods {
		pod := &p.Snapshot.Objects.Pods[i]
		for _, a := range check.PodAddrs(pod) {
			if a.Is4() && pod.Spec.NodeName != ns.Node.Name {
				return a
			}
		}
	}
	return netip.Addr{}
}

// env knows nothing of a namespace: what rules ask about it stays open, and nothing is reported then.
type env struct{}

func (env) Conntrack(packet.Packet, uint16) netfilter.Conn                    { return netfilter.Conn{} }
func (env) AddrType(netip.Addr, string) netfilter.AddrType                    { return "" }
func (env) PrimaryAddr(string, bool) (netip.Addr, bool)                       { return netip.Addr{}, false }
func (env) Socket(packet.Packet, bool, bool) netfilter.Tri                    { return netfilter.Maybe }
func (env) PathMTU(packet.Packet, string) int                                 { return 0 }
func (env) ReversePath(packet.Packet, string, bool, bool, bool) netfilter.Tri { return netfilter.Maybe }
func (env) MasqueradeSource(string, packet.Packet) (netip.Addr, bool)         { return netip.Addr{}, false }
