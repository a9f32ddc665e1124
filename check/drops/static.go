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

// behindRouter asks the hooks of a Pod's node, and of the Pod, about packets that
// a router outside brings it. It is for clusters whose nodes reach each other's
// Pods by such a router, where a trace ends.
func behindRouter(p *check.Pass, want kind) {
	for _, r := range check.Traced(p) {
		for i := range r.Paths {
			if pod := p.BehindRouter(&r.Paths[i]); pod != nil && pod.Peer != nil && pod.Peer.NS.IsHost() {
				arrive(p, &r.Paths[i], pod, want)
			}
		}
	}
}

// A stop is a hook that a packet meets on its way from the uplink to a Pod.
type stop struct {
	ns      *network.NS
	hook    netfilter.Hook
	in, out string
	kind    kind
}

// arrive has the packet of a path come to the Pod's device that it is for.
func arrive(p *check.Pass, path *trace.Path, pod *network.Iface, want kind) {
	out := pod.Peer
	up := p.UplinkOf(out.NS)
	if up == nil {
		return
	}
	for _, s := range []stop{
		{out.NS, netfilter.PreRouting, up.Name, "", firewall},
		{out.NS, netfilter.Forward, up.Name, out.L3().Name(), forward},
		{pod.NS, netfilter.PreRouting, pod.Name(), "", firewall},
		{pod.NS, netfilter.LocalIn, pod.Name(), "", firewall},
	} {
		o, certain := s.eval(path)
		if !certain {
			return // what comes after it is not known
		}
		if o.Verdict == netfilter.Drop || o.Verdict == netfilter.Reject {
			if s.kind == want && len(o.Rules) > 0 {
				p.Report(staticFinding(p, s.ns, path, o))
			}
			return
		}
	}
}

// eval asks the hook. It is certain where there is one outcome that rests on no
// supposition and leaves the packet's addresses as they are.
func (s stop) eval(path *trace.Path) (netfilter.Outcome, bool) {
	pk := path.Final
	if s.ns.RulesMissing(pk.Is6()) != "" {
		return netfilter.Outcome{}, false
	}
	pk.TTL = max(pk.TTL, 2) - 1
	tuple := netfilter.Tuple{Src: pk.Src, Dst: pk.Dst, Proto: pk.Proto}
	conn := netfilter.Conn{State: netfilter.New, Orig: tuple, Back: netfilter.Tuple{Src: pk.Dst, Dst: pk.Src, Proto: pk.Proto}}
	outs := s.ns.Netfilter.Eval(netfilter.Input{Hook: s.hook, Packet: pk, In: s.in, Out: s.out, Conn: &conn, Env: env{}})
	if len(outs) != 1 || len(outs[0].Assumed) > 0 || outs[0].Packet.Dst != pk.Dst || outs[0].Packet.Src != pk.Src {
		return netfilter.Outcome{}, false
	}
	return outs[0], true
}

func staticFinding(p *check.Pass, ns *network.NS, path *trace.Path, o netfilter.Outcome) check.Finding {
	ref := o.Rules[len(o.Rules)-1]
	e := snapshot.Evidence{File: ref.File(), Line: ref.Line(), Text: ref.Quote(), Command: check.Save(ref.Table) + " -t " + ref.Table.Name}
	if ref.IsNative() {
		e.Command = ref.Command()
	}
	f := check.Finding{
		Severity: severity(p), Where: ns.String(),
		What:     text.F("%s is dropped by %s", path.Final.String(), named(e)),
		Fix:      fix(ns, e),
		Evidence: []snapshot.Evidence{e},
	}
	p.Lose(&f, path, false)
	return f
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
