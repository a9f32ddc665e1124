package policy

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// block returns the match of an ipBlock, none where it is of the other family.
func block(field string, b *networkingv1.IPBlock, f family) []string {
	all, err := netip.ParsePrefix(b.CIDR)
	if err != nil || familyOf(all.Addr()) != f {
		return nil
	}
	match := fmt.Sprintf("%s %s", field, all.Masked())
	if all.Bits() == 0 {
		match = f.any
	}
	var out []netip.Prefix
	for _, e := range b.Except {
		p, err := netip.ParsePrefix(e)
		if err == nil && familyOf(p.Addr()) == f && !slices.ContainsFunc(out, func(o netip.Prefix) bool { return o.Bits() <= p.Bits() && o.Contains(p.Addr()) }) {
			out = slices.DeleteFunc(out, func(o netip.Prefix) bool { return p.Contains(o.Addr()) })
			out = append(out, p.Masked())
		}
	}
	if len(out) == 0 {
		return []string{match}
	}
	var words []string
	for _, p := range out {
		words = append(words, p.String())
	}
	return []string{match + fmt.Sprintf(" %s != { %s }", field, strings.Join(words, ", "))}
}

// A policyPort is a port of a policy's rule: a range of numbers, or a name; the zero value is any packet.
type policyPort struct {
	proto       string // "tcp"
	first, last int32  // 0: any port
	name        string
}

// portsOf returns the ports of a rule. Without ports it is about every packet.
func portsOf(ports []networkingv1.NetworkPolicyPort) (out []policyPort) {
	if len(ports) == 0 {
		return []policyPort{{}}
	}
	for _, p := range ports {
		o := policyPort{proto: "tcp"}
		if p.Protocol != nil {
			o.proto = strings.ToLower(string(*p.Protocol))
		}
		switch {
		case p.Port == nil:
		case p.Port.Type == intstr.String:
			o.name = p.Port.StrVal
		default:
			o.first, o.last = p.Port.IntVal, p.Port.IntVal
			if p.EndPort != nil {
				o.last = *p.EndPort
			}
		}
		out = append(out, o)
	}
	return out
}

// portMatches returns the matches of a port at the chain's own Pod, each of which is enough; for any packet, an empty one.
func (c *chain) portMatches(p policyPort) (out []string) {
	switch {
	case p == policyPort{}:
		return []string{""}
	case p.name != "":
		for _, n := range c.pod.named(p) {
			out = append(out, p.proto+" dport "+strconv.Itoa(int(n)))
		}
		return out
	case p.first == 0:
		return []string{"meta l4proto " + p.proto}
	case p.first == p.last:
		return []string{p.proto + " dport " + strconv.Itoa(int(p.first))}
	}
	return []string{fmt.Sprintf("%s dport %d-%d", p.proto, p.first, p.last)}
}

// named returns the numbers that a Pod has for a port's name.
func (p *identity) named(port policyPort) (out []int32) {
	for _, cp := range p.ports {
		proto := cp.Protocol
		if proto == "" {
			proto = corev1.ProtocolTCP
		}
		if cp.Name == port.name && strings.EqualFold(string(proto), port.proto) && !slices.Contains(out, cp.ContainerPort) {
			out = append(out, cp.ContainerPort)
		}
	}
	return out
}
