package service

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
)

// A Node is where a proxy runs.
type Node struct {
	Name string
	Zone string // its label topology.kubernetes.io/zone; "" where it has none
}

// NodeOf returns what a proxy knows of the node that it runs on.
func NodeOf(n *corev1.Node) Node { return Node{n.Name, n.Labels[corev1.LabelTopologyZone]} }

// A Choice is what of a port's endpoints a node's proxy may use.
type Choice struct {
	Cluster []Endpoint // under the policy Cluster; hints may leave out some
	Local   []Endpoint // under the policy Local: those on the node
	Any     bool       // there is one that somebody may use: where a node has none, packets are dropped, else rejected
}

// Choose chooses among the endpoints of one port and family, by [Of], as a proxy on the node does.
func Choose(all []Endpoint, n Node) Choice {
	ready := Usable(all)
	c := Choice{Cluster: hinted(ready, n), Any: len(ready) > 0}
	c.Local = Usable(filter(all, func(e *Endpoint) bool { return n.Name != "" && e.Node == n.Name }))
	return c
}

// Usable returns the endpoints that are ready or, where none is, those that end but still serve.
func Usable(all []Endpoint) []Endpoint {
	if ready := filter(all, func(e *Endpoint) bool { return e.Ready }); len(ready) > 0 {
		return ready
	}
	return filter(all, func(e *Endpoint) bool { return e.Serving && e.Terminating })
}

// hinted returns those of the ready endpoints that hints give to a node or to its zone: where all have
// hints, and one is for it.
func hinted(ready []Endpoint, n Node) []Endpoint {
	if len(ready) == 0 || !ready[0].Ready {
		return ready
	}
	for _, is := range []struct {
		hints func(*Endpoint) []string
		here  string
	}{
		{func(e *Endpoint) []string { return e.Nodes }, n.Name},
		{func(e *Endpoint) []string { return e.Zones }, n.Zone},
	} {
		if slices.ContainsFunc(ready, func(e Endpoint) bool { return len(is.hints(&e)) == 0 }) {
			continue
		}
		if out := filter(ready, func(e *Endpoint) bool { return slices.Contains(is.hints(e), is.here) }); len(out) > 0 {
			return out
		}
	}
	return ready
}
