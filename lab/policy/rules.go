package policy

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// A builder collects the parts of a table.
type builder struct {
	pods       []identity // that are known
	namespaces map[string]labels.Set
	sets       []string
	have       map[string]bool     // the names of sets
	jumps      map[string][]string // the elements of the maps of the base chain, by their names
	chains     []string
}

// A direction is one of the two in which policies isolate, and the words in which nft speaks of the far end.
type direction struct {
	typ  networkingv1.PolicyType
	name string
	own  string // the field that holds the Pod's own address
	peer string // the field that holds the other's
}

var directions = []direction{
	{networkingv1.PolicyTypeEgress, "egress", "saddr", "daddr"},
	{networkingv1.PolicyTypeIngress, "ingress", "daddr", "saddr"},
}

// A peerRule is a rule of a policy, of either direction.
type peerRule struct {
	peers []networkingv1.NetworkPolicyPeer
	ports []networkingv1.NetworkPolicyPort
}

func rulesOf(p *networkingv1.NetworkPolicy, dir networkingv1.PolicyType) (out []peerRule) {
	if dir == networkingv1.PolicyTypeIngress {
		for _, r := range p.Spec.Ingress {
			out = append(out, peerRule{r.From, r.Ports})
		}
		return out
	}
	for _, r := range p.Spec.Egress {
		out = append(out, peerRule{r.To, r.Ports})
	}
	return out
}

// isolate adds the chains of a Pod.
func (b *builder) isolate(pod *identity, policies []networkingv1.NetworkPolicy) {
	for _, d := range directions {
		c := chain{builder: b, d: d, pod: pod}
		for i := range policies {
			p := &policies[i]
			if p.Namespace != pod.namespace || !isolates(p, d.typ) || !matches(&p.Spec.PodSelector, pod.labels) {
				continue
			}
			c.policies = append(c.policies, key(p))
			for n, r := range rulesOf(p, d.typ) {
				c.rule(key(p), n, r)
			}
		}
		if len(c.policies) > 0 {
			c.finish()
		}
	}
}

// A chain is that of a Pod in one direction: what returns from it is allowed.
type chain struct {
	*builder
	d        direction
	pod      *identity
	policies []string // that isolate the Pod
	rules    []string
}

// A family is one of addresses, in the words of nft.
type family struct{ name, typ, any string }

var (
	ipv4     = family{"ip", "ipv4_addr", "meta nfproto ipv4"}
	ipv6     = family{"ip6", "ipv6_addr", "meta nfproto ipv6"}
	families = []family{ipv4, ipv6}
)

func familyOf(a netip.Addr) family {
	if a.Is6() {
		return ipv6
	}
	return ipv4
}

// rule adds the n-th rule of a policy.
func (c *chain) rule(policy string, n int, r peerRule) {
	for _, f := range families {
		if _, ok := c.pod.addr(f); !ok {
			continue
		}
		for i, port := range portsOf(r.ports) {
			set := fmt.Sprintf("%s/%s-%d/%s", c.d.name, policy, n, f.name)
			if port.name != "" && c.d.typ == networkingv1.PolicyTypeEgress {
				c.named(fmt.Sprintf("%s-%d", set, i), policy, r.peers, port, f)
				continue
			}
			for _, match := range c.portMatches(port) {
				for _, peer := range c.peers(set, policy, r.peers, f) {
					c.allow(policy, peer, match)
				}
			}
		}
	}
}

// allow adds a rule that lets pass what all matches hold of.
func (c *chain) allow(policy string, matches ...string) {
	matches = slices.DeleteFunc(matches, func(s string) bool { return s == "" })
	c.rules = append(c.rules, strings.Join(append(matches, "counter return"), " ")+comment(policy))
}

// peers returns a match for each kind of peer: those that are known by their labels, as one set, and each ipBlock.
func (c *chain) peers(set, policy string, peers []networkingv1.NetworkPolicyPeer, f family) (out []string) {
	if len(peers) == 0 {
		return []string{f.any}
	}
	namespace, _, _ := strings.Cut(policy, "/")
	if slices.ContainsFunc(peers, func(p networkingv1.NetworkPolicyPeer) bool { return p.IPBlock == nil }) {
		c.set(set, f.typ, addresses(c.selected(namespace, peers), f))
		out = append(out, fmt.Sprintf("%s %s @%s", f.name, c.d.peer, name(set)))
	}
	for _, p := range peers {
		if p.IPBlock != nil {
			out = append(out, block(f.name+" "+c.d.peer, p.IPBlock, f)...)
		}
	}
	return out
}

// named adds a rule for a port that is known by its name, which may be another number at each of the peers.
func (c *chain) named(set, policy string, peers []networkingv1.NetworkPolicyPeer, port policyPort, f family) {
	namespace, _, _ := strings.Cut(policy, "/")
	pods := c.pods
	if len(peers) > 0 {
		pods = c.selected(namespace, peers)
	}
	var elements []string
	for i := range pods {
		a, ok := pods[i].addr(f)
		for _, n := range pods[i].named(port) {
			if ok {
				elements = append(elements, fmt.Sprintf("%s . %d", a, n))
			}
		}
	}
	c.set(set, f.typ+" . inet_service", elements)
	c.allow(policy, fmt.Sprintf("%s %s . %s dport @%s", f.name, c.d.peer, port.proto, name(set)))
}

// selected returns the known Pods that the peers of a policy in a namespace select.
func (b *builder) selected(namespace string, peers []networkingv1.NetworkPolicyPeer) (out []identity) {
	for _, pod := range b.pods {
		if slices.ContainsFunc(peers, func(p networkingv1.NetworkPolicyPeer) bool { return b.selects(namespace, &p, &pod) }) {
			out = append(out, pod)
		}
	}
	return out
}

func (b *builder) selects(namespace string, p *networkingv1.NetworkPolicyPeer, pod *identity) bool {
	if p.IPBlock != nil {
		return false
	}
	if p.NamespaceSelector == nil && pod.namespace != namespace {
		return false
	}
	if p.NamespaceSelector != nil && !matches(p.NamespaceSelector, b.namespaces[pod.namespace]) {
		return false
	}
	return p.PodSelector == nil || matches(p.PodSelector, pod.labels)
}

// finish adds the chain to the table: in front that a Pod reaches itself, at the end that nothing else is allowed.
func (c *chain) finish() {
	chain := name(c.d.name + "/" + c.pod.key())
	var b strings.Builder
	fmt.Fprintf(&b, "\tchain %s {\n", chain)
	for _, a := range c.pod.addrs {
		f := familyOf(a)
		fmt.Fprintf(&b, "\t\t%s %s %s return comment \"a Pod reaches itself\"\n", f.name, c.d.peer, a)
		at := c.d.name + "/" + f.name
		c.jumps[at] = append(c.jumps[at], fmt.Sprintf("%s : jump %s", a, chain))
	}
	for _, r := range c.rules {
		fmt.Fprintf(&b, "\t\t%s\n", r)
	}
	fmt.Fprintf(&b, "\t\tcounter drop%s\n\t}\n", comment(c.policies...))
	c.chains = append(c.chains, b.String())
}
