package diagnose

import (
	"net/netip"
	"slices"

	"github.com/plumbnet/plumb/check"
	"github.com/plumbnet/plumb/packet"
	"github.com/plumbnet/plumb/snapshot"
	"github.com/plumbnet/plumb/trace"
)

// A Want is a part of the cluster that the answer rests on and that is not in the snapshot.
type Want struct {
	Node string
	Pods []string // "shop/web-0": their namespaces, beside the node's own
}

// Wants returns what an answer to ask still lacks of c: the nodes and Pods that the source and
// the destination are, and those whose addresses the followed packets bear, in the order in
// which they are met. A collector that fetches them, and asks again, has what the path touches
// and nothing else.
func Wants(c *snapshot.Cluster, ask Ask, r *Report) []Want {
	w := wants{c: c, places: map[netip.Addr]snapshot.PodPlace{}, seen: map[netip.Addr]bool{}}
	for _, list := range [][]snapshot.PodPlace{c.NodePlaces(), c.PodPlaces()} {
		for _, p := range list {
			for _, a := range p.Addrs {
				if _, taken := w.places[a]; !taken || !p.HostNetwork {
					w.places[a] = p
				}
			}
		}
	}
	for _, name := range []string{ask.Src, ask.Dst} {
		w.named(name, ask.Namespace)
	}
	for _, name := range r.vias {
		w.named(name, "")
	}
	for _, t := range r.Traces {
		w.paths(t.Result.Paths)
	}
	w.paths(r.server.Result.Paths)
	if r.Name != nil {
		for _, t := range r.Name.Ways() {
			w.paths(t.Result.Paths)
		}
	}
	if d := check.FindCoreDNS(&c.Objects, c.Nodes); d != nil && asks(r, d) { // also where none of its Pods is an endpoint
		for _, p := range d.Pods {
			w.named(p.Namespace+"/"+p.Name, "")
		}
	}
	return w.list
}

// asks reports whether a report is about names: then what CoreDNS's Pods have in their resolv.conf decides.
func asks(r *Report, d *check.CoreDNS) bool {
	return r.Name != nil || slices.ContainsFunc(r.Traces, func(t Trace) bool { return d.Serves(t.Result.Query.Dst.Addr()) })
}

type wants struct {
	c      *snapshot.Cluster
	places map[netip.Addr]snapshot.PodPlace
	seen   map[netip.Addr]bool
	list   []Want
}

// named adds what a source or destination names. What cannot be read Run complains about.
func (w *wants) named(name, namespace string) {
	t, err := parseTarget("", name, namespace)
	if err != nil {
		return
	}
	switch t.kind {
	case "node":
		w.place(snapshot.PodPlace{Name: t.name, Node: t.name, HostNetwork: true})
	case "pod":
		for _, p := range w.c.PodPlaces() {
			if p.Name == t.ns+"/"+t.name {
				w.place(p)
			}
		}
	case "address":
		w.addr(t.addr)
	}
}

func (w *wants) paths(ps []trace.Path) {
	for i := range ps {
		p := &ps[i]
		for _, h := range p.Hops {
			for j := range h.Steps {
				w.packet(h.Steps[j].Out)
			}
		}
		w.packet(&p.Final)
		w.paths(p.Reply)
		w.paths(p.ICMP)
	}
}

func (w *wants) packet(p *packet.Packet) {
	for ; p != nil; p = p.Inner {
		w.addr(p.Src.Addr())
		w.addr(p.Dst.Addr())
	}
}

func (w *wants) addr(a netip.Addr) {
	if w.seen[a] {
		return
	}
	w.seen[a] = true
	if p, ok := w.places[a.Unmap()]; ok {
		w.place(p)
	}
}

// place adds a Pod or a node, if it is not in the snapshot.
func (w *wants) place(p snapshot.PodPlace) {
	if p.Node == "" {
		return
	}
	n := w.c.Node(p.Node)
	has := n != nil && n.Host() != nil
	pod := !p.HostNetwork && (!has || !slices.ContainsFunc(n.NetNS, func(ns *snapshot.NetNS) bool { return ns.Pod == p.Name }))
	if has && !pod {
		return
	}
	i := slices.IndexFunc(w.list, func(x Want) bool { return x.Node == p.Node })
	if i < 0 {
		i = len(w.list)
		w.list = append(w.list, Want{Node: p.Node})
	}
	if pod && !slices.Contains(w.list[i].Pods, p.Name) {
		w.list[i].Pods = append(w.list[i].Pods, p.Name)
	}
}
