// Package policy is the lab's own enforcer of NetworkPolicy: one nftables table
// on each node, which drops what no policy lets reach the node's Pods or leave them.
// It is as small as a lab can do with, and no product: it is there so that a
// cluster of the lab has an enforcer, and one that can be wrong.
//
//	table inet plumb-lab-policy
//	  forward ── of a connection that is open ── accept
//	          ├─ from a Pod that a policy isolates ── egress/NS/POD ─┬─ allowed: return
//	          └─ to a Pod that a policy isolates ──── ingress/NS/POD ┴─ drop
//
// What a node itself sends to its Pods, as the kubelet does, and what they send to
// it is not forwarded, and always passes. Pods in the network of their node are
// the node: no policy isolates them, and none knows them by their labels.
package policy

import (
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// Table is the table that an enforcer keeps.
const Table = "inet plumb-lab-policy"

// Label begins the comment of each rule; the policies that the rule is of follow it, as "NAMESPACE/NAME".
const Label = "plumb-lab policy "

// A World is what the API server holds.
type World struct {
	Pods       []corev1.Pod
	Namespaces []corev1.Namespace
	Policies   []networkingv1.NetworkPolicy
}

// An Enforcer is that of one node.
type Enforcer struct {
	Node string
	// Own are the nodes whose Pods it knows; nil: all. Pods of other nodes have no
	// identity for it: like any address of the world, only an ipBlock lets them in.
	Own []string
}

// Ruleset returns what "nft -f -" is to read, so that the node's table is what the
// world asks for. The kernel takes it as one transaction.
func (e Enforcer) Ruleset(w World) string {
	b := &builder{pods: e.known(w.Pods), namespaces: map[string]labels.Set{}, have: map[string]bool{}, jumps: map[string][]string{}}
	for _, ns := range w.Namespaces {
		b.namespaces[ns.Name] = ns.Labels
	}
	policies := slices.Clone(w.Policies)
	slices.SortFunc(policies, func(a, b networkingv1.NetworkPolicy) int { return strings.Compare(key(&a), key(&b)) })
	for _, p := range identities(w.Pods) {
		if p.node == e.Node {
			b.isolate(&p, policies)
		}
	}
	return b.script()
}

// Removal returns what "nft -f -" is to read, so that no table is left.
func Removal() string { return "add table " + Table + "\ndelete table " + Table + "\n" }

// known returns the Pods that the enforcer knows by their labels.
func (e Enforcer) known(pods []corev1.Pod) []identity {
	all := identities(pods)
	if e.Own == nil {
		return all
	}
	return slices.DeleteFunc(all, func(p identity) bool { return !slices.Contains(e.Own, p.node) })
}

// An identity is a Pod that has addresses of its own.
type identity struct {
	namespace, name, node string
	labels                labels.Set
	addrs                 []netip.Addr
	ports                 []corev1.ContainerPort
}

func (p *identity) key() string { return p.namespace + "/" + p.name }

// addr returns the Pod's address of a family.
func (p *identity) addr(f family) (netip.Addr, bool) {
	for _, a := range p.addrs {
		if familyOf(a) == f {
			return a, true
		}
	}
	return netip.Addr{}, false
}

// identities returns the Pods that have addresses of their own, in order. Of two with the same
// address, of which one must be about to go, the first one has it.
func identities(pods []corev1.Pod) (out []identity) {
	pods = slices.Clone(pods)
	slices.SortFunc(pods, func(a, b corev1.Pod) int {
		return strings.Compare(a.Namespace+"/"+a.Name, b.Namespace+"/"+b.Name)
	})
	taken := map[netip.Addr]bool{}
	for i := range pods {
		p := &pods[i]
		if p.Spec.HostNetwork || p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed {
			continue
		}
		id := identity{namespace: p.Namespace, name: p.Name, node: p.Spec.NodeName, labels: p.Labels, ports: containerPorts(p)}
		for _, ip := range p.Status.PodIPs {
			if a, err := netip.ParseAddr(ip.IP); err == nil && !taken[a] {
				taken[a] = true
				id.addrs = append(id.addrs, a)
			}
		}
		if len(id.addrs) > 0 {
			out = append(out, id)
		}
	}
	return out
}

// containerPorts returns the ports of the containers that run as long as the Pod does.
func containerPorts(p *corev1.Pod) (out []corev1.ContainerPort) {
	for _, c := range p.Spec.Containers {
		out = append(out, c.Ports...)
	}
	for _, c := range p.Spec.InitContainers {
		if c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways {
			out = append(out, c.Ports...)
		}
	}
	return out
}

func key(p *networkingv1.NetworkPolicy) string { return p.Namespace + "/" + p.Name }

// isolates reports whether a policy isolates the Pods that it selects in a direction.
func isolates(p *networkingv1.NetworkPolicy, dir networkingv1.PolicyType) bool {
	if len(p.Spec.PolicyTypes) > 0 {
		return slices.Contains(p.Spec.PolicyTypes, dir)
	}
	return dir == networkingv1.PolicyTypeIngress || len(p.Spec.Egress) > 0
}

// matches reports whether a selector selects a set of labels. One that makes no sense selects nothing.
func matches(s *metav1.LabelSelector, set labels.Set) bool {
	sel, err := metav1.LabelSelectorAsSelector(s)
	return err == nil && sel.Matches(set)
}
