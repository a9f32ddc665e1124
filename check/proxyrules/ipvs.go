package proxyrules

import (
	"net/netip"

	"github.com/plumbnet/plumb/check"
	"github.com/plumbnet/plumb/netfilter"
	"github.com/plumbnet/plumb/network"
	"github.com/plumbnet/plumb/snapshot"
)

// device is what kube-proxy gives the addresses of Services to in IPVS mode.
const device = "kube-ipvs0"

// readIPVS reads the virtual services of a family. One at an address of another device of the node is a node port, or an
// external IP: it stands for both. Real servers of weight 0 only end what they have.
func readIPVS(ns *network.NS, is6 bool) *book {
	b := &book{ways: map[dest]*way{}}
	own := map[netip.Addr]bool{}
	for _, l := range ns.Links {
		for _, a := range l.Addrs {
			own[a.Local] = own[a.Local] || l.Name != device
		}
	}
	for i := range ns.IPVS {
		v := &ns.IPVS[i]
		if !v.At.IsValid() || v.Is6 != is6 {
			continue
		}
		exact := dest{v.At, v.Proto}
		d := exact
		if own[v.At.Addr()] {
			d.at = netip.AddrPortFrom(netip.Addr{}, v.At.Port())
		}
		w := b.ways[d]
		if w == nil {
			w = &way{virtual: v}
			b.ways[d], b.dests = w, append(b.dests, d)
		}
		b.ways[exact] = w
		for _, r := range v.To {
			if r.Weight > 0 {
				w.add(r.At, netfilter.Ref{}, false)
			}
		}
	}
	return b
}

// quote returns the evidence that a way sends to a target, or of -1 that it is there.
func (n node) quote(w *way, target int, from netfilter.Ref) snapshot.Evidence {
	switch {
	case w.virtual != nil:
		text := w.virtual.At.String()
		if target >= 0 {
			text += " -> " + w.targets[target].String()
		}
		e := check.File(n.ns, "ipvs", text, "ipvsadm -Ln")
		e.Line = w.virtual.Line
		return e
	case target >= 0:
		return check.RuleOf(w.rules[target])
	}
	return check.RuleOf(from)
}
