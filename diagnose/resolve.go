package diagnose

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/plumbnet/plumb/network"
	"github.com/plumbnet/plumb/packet"
	"github.com/plumbnet/plumb/snapshot"
	"github.com/plumbnet/plumb/text"
	corev1 "k8s.io/api/core/v1"
)

// A question is an Ask whose names have been looked up.
type question struct {
	src, dst Endpoint
	from     *network.NS // nil: outside the cluster, or not collected
	proto    packet.Proto
	aims     []aim
	needs    []Need
	links    []Link    // of a URL
	vias     []string  // the Pods that its requests come from
	nothing  text.Text // why there is nothing to trace, where that is so and is itself the answer
	name     *Resolution
}

// need notes what the answer lacks.
func (q *question) need(what text.Text) { q.needs = append(q.needs, Need{What: what}) }

// An aim is one address that a connection can be opened to.
type aim struct {
	src     netip.Addr // of the same family; invalid: the kernel chooses
	dst     netip.AddrPort
	missing bool
	from    *network.NS // where it is not from the source: that of
	via     string      // this Pod
}

func (a aim) String() string {
	if a.dst.Port() == 0 {
		return a.dst.Addr().String()
	}
	return a.dst.String()
}

// resolve looks up the names in ask.
func resolve(n *network.Network, ask Ask) (question, error) {
	st, err := parseTarget("-s", ask.Src, ask.Namespace)
	if err != nil {
		return question{}, err
	}
	dt, err := parseTarget("-d", ask.Dst, ask.Namespace)
	if err != nil {
		return question{}, err
	}
	if ask.Port != "" {
		if dt.kind == "url" {
			return question{}, fmt.Errorf("-p %s: -d %s names its port itself", ask.Port, ask.Dst)
		}
		if dt.port != "" && dt.port != ask.Port {
			return question{}, fmt.Errorf("-p %s: -d %s names port %s already", ask.Port, ask.Dst, dt.port)
		}
		dt.port = ask.Port
	}
	r := resolver{n: n, c: n.Snapshot, ask: ask}
	if err := r.source(st); err != nil {
		return question{}, fmt.Errorf("-s %s: %w", ask.Src, err)
	}
	if err := r.dest(dt); err != nil {
		return question{}, fmt.Errorf("-d %s: %w", ask.Dst, err)
	}
	return r.q, nil
}

// A resolver looks up names in one snapshot.
type resolver struct {
	n   *network.Network
	c   *snapshot.Cluster
	ask Ask
	q   question
}

// source finds the namespace that sends.
func (r *resolver) source(t target) error {
	e := Endpoint{Kind: t.kind, Name: t.name}
	switch t.kind {
	case "pod":
		e.Name = t.ns + "/" + t.name
		pod := find(r.c.Objects.Pods, t.ns, t.name)
		r.q.from = r.n.Pod(e.Name)
		if pod == nil && r.q.from == nil {
			return fmt.Errorf("no Pod of that name in the snapshot%s", r.candidates(t))
		}
		if pod != nil {
			e.Node, e.Addrs = pod.Spec.NodeName, podAddrs(pod)
		}
	case "node":
		r.q.from = r.n.Host(t.name)
		node := find(r.c.Objects.Nodes, "", t.name)
		if node == nil && r.q.from == nil {
			return fmt.Errorf("no node of that name in the snapshot%s", r.nodes())
		}
		e.Node = t.name
		if node != nil {
			e.Addrs = nodeAddrs(node)
		}
	case "address":
		e.Name, e.Addrs = t.addr.String(), []netip.Addr{t.addr}
		if own := r.n.Owners(t.addr); len(own) > 0 {
			r.q.from = own[0].NS
		}
	case "service":
		return fmt.Errorf("a Service sends nothing: name one of its Pods")
	default:
		return fmt.Errorf("a source is a Pod, a node or an address: %s", hint)
	}
	switch {
	case r.q.from != nil:
		e.Node, e.NetNS = r.q.from.Node.Name, r.q.from.Name
	case t.kind == "address":
	case t.kind == "pod" && len(e.Addrs) == 0:
		r.q.nothing = text.F("%s has no address", e.Name)
	case r.n.Host(e.Node) != nil:
		r.q.need(text.F("the network namespace of %s, which was not found on node %s", e.Name, e.Node))
	default:
		r.q.need(text.F("the state of node %s, on which %s is: no snapshot of it was given", orUnknown(e.Node), e.Name))
	}
	r.q.src = e
	return nil
}

// dest finds the addresses to connect to, and the protocol.
func (r *resolver) dest(t target) error {
	e := Endpoint{Kind: t.kind, Name: t.name}
	var err error
	switch t.kind {
	case "pod":
		err = r.pod(t, &e)
	case "service":
		return r.service(t, e)
	case "node":
		err = r.node(t, &e)
	case "address":
		e.Name, e.Addrs = t.addr.String(), []netip.Addr{t.addr}
		if own := r.n.Owners(t.addr); len(own) > 0 {
			e.Node, e.NetNS = own[0].NS.Node.Name, own[0].NS.Name
		}
	case "host":
		return r.host(t, e)
	case "url":
		return r.url(t.name)
	}
	if err != nil {
		return err
	}
	port, named, err := r.port(t, e)
	if err != nil {
		return err
	}
	e.Port = port
	return r.aim(e, e.Addrs, port, named != "" || port != 0)
}

// aim fixes the protocol and pairs the destination's addresses with the source's, family by family.
func (r *resolver) aim(e Endpoint, addrs []netip.Addr, port uint16, havePort bool) error {
	if len(addrs) == 0 {
		r.q.dst = e
		r.q.nothing = text.F("%s has no address", e.Name)
		return nil
	}
	proto, err := parseProto(r.ask.Proto, havePort, addrs[0].Is6())
	if err != nil {
		return err
	}
	if proto.HasPorts() && port == 0 {
		return fmt.Errorf("%s needs a port: write %s:PORT or -p PORT", proto, e.Name)
	}
	if !proto.HasPorts() && port != 0 {
		return fmt.Errorf("--proto %s has no ports, and port %d was given", r.ask.Proto, port)
	}
	r.q.proto = proto
	r.q.dst = e
	for _, a := range addrs {
		src, ok := r.sourceAddr(a)
		if !ok {
			r.q.need(text.F("an address of %s of the same family as %s", r.q.src.Name, a))
			continue
		}
		r.q.aims = append(r.q.aims, aim{src: src, dst: netip.AddrPortFrom(a, port), missing: r.q.from == nil && r.q.src.Kind != "address"})
	}
	return nil
}

// sourceAddr returns the source address to use for dst: the one that was named,
// or none, so that the kernel chooses. It is false where the source has no address of dst's family.
func (r *resolver) sourceAddr(dst netip.Addr) (netip.Addr, bool) {
	if r.q.src.Kind == "address" {
		a := r.q.src.Addrs[0]
		return a, a.Is6() == dst.Is6()
	}
	if len(r.q.src.Addrs) == 0 || r.q.src.Kind == "node" {
		return netip.Addr{}, true
	}
	return netip.Addr{}, slices.ContainsFunc(r.q.src.Addrs, func(a netip.Addr) bool { return a.Is6() == dst.Is6() })
}

// pod fills in what is known of a Pod that is the destination.
func (r *resolver) pod(t target, e *Endpoint) error {
	e.Name = t.ns + "/" + t.name
	pod, ns := find(r.c.Objects.Pods, t.ns, t.name), r.n.Pod(e.Name)
	if pod == nil && ns == nil {
		return fmt.Errorf("no Pod of that name in the snapshot%s", r.candidates(t))
	}
	if ns != nil {
		e.Node, e.NetNS = ns.Node.Name, ns.Name
	}
	if pod != nil {
		e.Node, e.Addrs = pod.Spec.NodeName, podAddrs(pod)
	} else {
		e.Addrs = nsAddrs(ns)
	}
	return nil
}

// node fills in what is known of a node that is the destination.
func (r *resolver) node(t target, e *Endpoint) error {
	node, ns := find(r.c.Objects.Nodes, "", t.name), r.n.Host(t.name)
	if node == nil && ns == nil {
		return fmt.Errorf("no node of that name in the snapshot%s", r.nodes())
	}
	e.Node = t.name
	if ns != nil {
		e.NetNS = ns.Name
	}
	if node != nil {
		e.Addrs = nodeAddrs(node)
	}
	if len(e.Addrs) == 0 && ns != nil {
		e.Addrs = nsAddrs(ns)
	}
	return nil
}

// host resolves a host name: a Service's name in the cluster's domain, or what the edge resolved.
func (r *resolver) host(t target, e Endpoint) error {
	if done, err := r.named(t, e); done || err != nil {
		return err
	}
	labels := strings.Split(strings.TrimSuffix(t.name, "."), ".")
	if len(labels) == 1 || len(labels) == 2 || labels[2] == "svc" {
		ns := strings.Split(r.q.src.Name, "/")[0]
		if len(labels) > 1 {
			ns = labels[1]
		}
		if find(r.c.Objects.Services, ns, labels[0]) != nil {
			r.q.need(text.F("the name lookup itself, which was not followed: %s was taken for Service %s/%s", t.name, ns, labels[0]))
			e.Kind, t.ns, t.name = "service", ns, labels[0]
			return r.service(t, e)
		}
	}
	e.Addrs = r.ask.Hosts[t.name]
	if len(e.Addrs) == 0 {
		return fmt.Errorf("no Service of that name in the snapshot, and no address is known for it: give an address")
	}
	port, named, err := r.port(t, e)
	if err != nil {
		return err
	}
	e.Port = port
	return r.aim(e, e.Addrs, port, named != "" || port != 0)
}

// port returns the destination's port as a number; named is what was asked for.
func (r *resolver) port(t target, e Endpoint) (port uint16, named string, err error) {
	if t.port == "" {
		return 0, "", nil
	}
	port, ok, err := parsePort(t.port)
	if err != nil || ok {
		return port, t.port, err
	}
	pod := find(r.c.Objects.Pods, t.ns, t.name)
	if e.Kind != "pod" || pod == nil {
		return 0, t.port, fmt.Errorf("port %q: only a Pod and a Service have named ports", t.port)
	}
	var have []string
	for _, c := range slices.Concat(pod.Spec.InitContainers, pod.Spec.Containers) {
		for _, p := range c.Ports {
			if p.Name == t.port {
				r.protoFrom(p.Protocol)
				return uint16(p.ContainerPort), t.port, nil
			}
			have = append(have, fmt.Sprintf("%s=%d", p.Name, p.ContainerPort))
		}
	}
	return 0, t.port, fmt.Errorf("port %q: the Pod names no such port%s", t.port, list(have))
}

// protoFrom takes the protocol from an object's port where the user named none.
func (r *resolver) protoFrom(p corev1.Protocol) {
	if r.ask.Proto == "" && p != "" {
		r.ask.Proto = strings.ToLower(string(p))
	}
}

// candidates lists names like the one that was not found.
func (r *resolver) candidates(t target) string {
	var names []string
	for _, p := range r.c.Objects.Pods {
		if p.Namespace == t.ns && len(names) < 8 {
			names = append(names, p.Namespace+"/"+p.Name)
		}
	}
	if len(names) == 0 && len(r.c.Objects.Pods) == 0 {
		return ": it holds no Pods: add one of the objects (kubectl get pods,services,endpointslices,nodes -A -o json)"
	}
	return list(names)
}

func (r *resolver) nodes() string {
	var names []string
	for _, n := range r.c.Nodes {
		names = append(names, n.Name)
	}
	return list(names)
}

func list(names []string) string {
	if len(names) == 0 {
		return ""
	}
	return ": there are " + strings.Join(names[:min(len(names), 8)], ", ")
}

func orUnknown(s string) string {
	if s == "" {
		return "?"
	}
	return s
}
