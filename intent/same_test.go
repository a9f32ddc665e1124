package intent

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"github.com/plumbnet/plumb/lab/policygen"
	"github.com/plumbnet/plumb/packet"
	"github.com/plumbnet/plumb/snapshot"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	policyv1alpha2 "sigs.k8s.io/network-policy-api/apis/v1alpha2"
)

// This file writes random policies otherwise, so that they mean the same.

var samePorts = []Port{{packet.TCP, 80}, {packet.TCP, 9090}, {packet.TCP, 9091}, {packet.UDP, 443}, {packet.SCTP, 7}}

// edited returns the objects with their policies edited.
func edited(o *snapshot.Objects, f func(p *networkingv1.NetworkPolicy) []networkingv1.NetworkPolicy) *snapshot.Objects {
	out := *o
	out.NetworkPolicies = nil
	for i := range o.NetworkPolicies {
		out.NetworkPolicies = append(out.NetworkPolicies, f(o.NetworkPolicies[i].DeepCopy())...)
	}
	return &out
}

// eachSelector calls f for every selector of a policy.
func eachSelector(p *networkingv1.NetworkPolicy, f func(*metav1.LabelSelector)) {
	f(&p.Spec.PodSelector)
	eachPeer(p, func(list *[]networkingv1.NetworkPolicyPeer) {
		for i := range *list {
			for _, s := range []*metav1.LabelSelector{(*list)[i].PodSelector, (*list)[i].NamespaceSelector} {
				if s != nil {
					f(s)
				}
			}
		}
	})
}

func eachPeer(p *networkingv1.NetworkPolicy, f func(*[]networkingv1.NetworkPolicyPeer)) {
	for i := range p.Spec.Ingress {
		f(&p.Spec.Ingress[i].From)
	}
	for i := range p.Spec.Egress {
		f(&p.Spec.Egress[i].To)
	}
}

func eachPorts(p *networkingv1.NetworkPolicy, f func(*[]networkingv1.NetworkPolicyPort)) {
	for i := range p.Spec.Ingress {
		f(&p.Spec.Ingress[i].Ports)
	}
	for i := range p.Spec.Egress {
		f(&p.Spec.Egress[i].Ports)
	}
}

// halves returns the two halves of a range.
func halves(s string) [2]string {
	c := netip.MustParsePrefix(s).Masked()
	upper := c.Addr().AsSlice()
	upper[c.Bits()/8] |= 0x80 >> (c.Bits() % 8)
	a, _ := netip.AddrFromSlice(upper)
	return [2]string{netip.PrefixFrom(c.Addr(), c.Bits()+1).String(), netip.PrefixFrom(a, c.Bits()+1).String()}
}

// rewrites are ways to say the same.
var rewrites = []struct {
	name string
	edit func(p *networkingv1.NetworkPolicy) []networkingv1.NetworkPolicy
}{
	{"labels as expressions", func(p *networkingv1.NetworkPolicy) []networkingv1.NetworkPolicy {
		eachSelector(p, func(s *metav1.LabelSelector) {
			for k, v := range s.MatchLabels {
				s.MatchExpressions = append(s.MatchExpressions, metav1.LabelSelectorRequirement{Key: k, Operator: metav1.LabelSelectorOpIn, Values: []string{v, v, "nobody's"}})
			}
			s.MatchLabels = nil
		})
		return []networkingv1.NetworkPolicy{*p}
	}},
	{"a policy for each rule", func(p *networkingv1.NetworkPolicy) (out []networkingv1.NetworkPolicy) {
		bare := *p.DeepCopy()
		bare.Spec.Ingress, bare.Spec.Egress = nil, nil
		out = append(out, bare)
		for i := range p.Spec.Ingress {
			one := *bare.DeepCopy()
			one.Name = fmt.Sprint(p.Name, "-in-", i)
			one.Spec.Ingress = p.Spec.Ingress[i : i+1]
			one.Spec.PolicyTypes = []networkingv1.PolicyType{networkingv1.PolicyTypeIngress}
			out = append(out, one)
		}
		for i := range p.Spec.Egress {
			one := *bare.DeepCopy()
			one.Name = fmt.Sprint(p.Name, "-out-", i)
			one.Spec.Egress = p.Spec.Egress[i : i+1]
			one.Spec.PolicyTypes = []networkingv1.PolicyType{networkingv1.PolicyTypeEgress}
			out = append(out, one)
		}
		return out
	}},
	{"a rule for each peer", func(p *networkingv1.NetworkPolicy) []networkingv1.NetworkPolicy {
		var in []networkingv1.NetworkPolicyIngressRule
		for _, r := range p.Spec.Ingress {
			for i := range r.From {
				in = append(in, networkingv1.NetworkPolicyIngressRule{From: r.From[i : i+1], Ports: r.Ports})
			}
			if len(r.From) == 0 {
				in = append(in, r)
			}
		}
		p.Spec.Ingress = in
		return []networkingv1.NetworkPolicy{*p}
	}},
	{"a range in halves", func(p *networkingv1.NetworkPolicy) []networkingv1.NetworkPolicy {
		eachPeer(p, func(list *[]networkingv1.NetworkPolicyPeer) {
			var out []networkingv1.NetworkPolicyPeer
			for _, peer := range *list {
				if peer.IPBlock == nil || netip.MustParsePrefix(peer.IPBlock.CIDR).Bits() > 30 {
					out = append(out, peer)
					continue
				}
				for _, half := range halves(peer.IPBlock.CIDR) {
					block := networkingv1.IPBlock{CIDR: half}
					for _, e := range peer.IPBlock.Except {
						if netip.MustParsePrefix(half).Overlaps(netip.MustParsePrefix(e)) {
							block.Except = append(block.Except, e)
						}
					}
					out = append(out, networkingv1.NetworkPolicyPeer{IPBlock: &block})
				}
			}
			*list = out
		})
		return []networkingv1.NetworkPolicy{*p}
	}},
	{"an exception, and its halves", func(p *networkingv1.NetworkPolicy) []networkingv1.NetworkPolicy {
		eachPeer(p, func(list *[]networkingv1.NetworkPolicyPeer) {
			for i := range *list {
				if b := (*list)[i].IPBlock; b != nil && len(b.Except) > 0 {
					h := halves(b.Except[0])
					b.Except = append(b.Except, h[0], h[1])
				}
			}
		})
		return []networkingv1.NetworkPolicy{*p}
	}},
	{"a range of ports in two", func(p *networkingv1.NetworkPolicy) []networkingv1.NetworkPolicy {
		eachPorts(p, func(list *[]networkingv1.NetworkPolicyPort) {
			for i := range *list {
				port := &(*list)[i]
				if port.EndPort == nil || port.Port.IntVal == *port.EndPort {
					continue
				}
				second := *port.DeepCopy()
				second.Port.IntVal++ // the first port alone, and those behind it
				port.EndPort = nil
				*list = append(*list, second)
			}
		})
		return []networkingv1.NetworkPolicy{*p}
	}},
	{"everything said twice", func(p *networkingv1.NetworkPolicy) []networkingv1.NetworkPolicy {
		second := *p.DeepCopy()
		second.Name += "-again"
		eachPeer(p, func(list *[]networkingv1.NetworkPolicyPeer) { *list = append(*list, *list...) })
		return []networkingv1.NetworkPolicy{second, *p}
	}},
	{"a policy for nobody beside each", func(p *networkingv1.NetworkPolicy) []networkingv1.NetworkPolicy {
		none := *p.DeepCopy()
		none.Name += "-none"
		none.Spec.PodSelector = metav1.LabelSelector{MatchLabels: map[string]string{"app": "nobody's"}}
		return []networkingv1.NetworkPolicy{none, *p}
	}},
}

// TestSameMeaning: what is said otherwise is answered as before, and is no change.
func TestSameMeaning(t *testing.T) {
	for _, tt := range rewrites {
		t.Run(tt.name, func(t *testing.T) {
			n := 0
			for seed := range uint64(8) {
				o := policygen.Cluster(policygen.Size{Seed: 300 + seed, Namespaces: 3, Pods: 30, Nodes: 3, Policies: 14, ClusterPolicies: 4, Replicas: 2})
				was, is := New(o), New(edited(o, tt.edit))
				if changes := Compare(was, is); len(changes) > 0 {
					t.Fatalf("seed %d: %s", seed, shortChanges(changes))
				}
				for _, port := range samePorts {
					all := is.AllPairs(port, false)
					for i := range was.pods {
						for j := range was.pods {
							from, to := was.pods[i].peer, was.pods[j].peer
							x, y := is.pods[i].peer, is.pods[j].peer
							want := was.Answer(from, to, port)
							if got, bulk := is.Answer(x, y, port), all.Answer(x, y); got != want || bulk != want {
								t.Fatalf("seed %d: %s > %s %v: %v, all pairs %v, want %v", seed, o.Pods[i].Name, o.Pods[j].Name, port, got, bulk, want)
							}
							n++
						}
					}
				}
			}
			if n < 20_000 {
				t.Errorf("only %d", n)
			}
		})
	}
}

// mirror returns an address, or a range, of IPv4 as one of IPv6: the same bits behind 64:ff9b::.
func mirror(s string) string {
	const front = 96
	of := func(a netip.Addr) netip.Addr {
		b, four := netip.MustParseAddr("64:ff9b::").As16(), a.As4()
		copy(b[12:], four[:])
		return netip.AddrFrom16(b)
	}
	if a, err := netip.ParseAddr(s); err == nil {
		return of(a).String()
	}
	c := netip.MustParsePrefix(s)
	return netip.PrefixFrom(of(c.Addr()), c.Bits()+front).String()
}

// mirrored returns the objects with all addresses of IPv6.
func mirrored(o *snapshot.Objects) *snapshot.Objects {
	out := edited(o, func(p *networkingv1.NetworkPolicy) []networkingv1.NetworkPolicy {
		eachPeer(p, func(list *[]networkingv1.NetworkPolicyPeer) {
			for i := range *list {
				if b := (*list)[i].IPBlock; b != nil {
					b.CIDR = mirror(b.CIDR)
					for j := range b.Except {
						b.Except[j] = mirror(b.Except[j])
					}
				}
			}
		})
		return []networkingv1.NetworkPolicy{*p}
	})
	out.Pods, out.Nodes, out.ClusterNetworkPolicies = slices.Clone(o.Pods), slices.Clone(o.Nodes), slices.Clone(o.ClusterNetworkPolicies)
	for i := range out.Pods {
		p := out.Pods[i].DeepCopy()
		p.Status.PodIP = mirror(p.Status.PodIP)
		p.Status.PodIPs[0].IP = p.Status.PodIP
		out.Pods[i] = *p
	}
	for i := range out.Nodes {
		n := out.Nodes[i].DeepCopy()
		n.Spec.PodCIDR = mirror(n.Spec.PodCIDR)
		n.Status.Addresses[0].Address = mirror(n.Status.Addresses[0].Address)
		out.Nodes[i] = *n
	}
	for i := range out.ClusterNetworkPolicies {
		p := out.ClusterNetworkPolicies[i].DeepCopy()
		for j := range p.Spec.Egress {
			for k := range p.Spec.Egress[j].To {
				for l, c := range p.Spec.Egress[j].To[k].Networks {
					p.Spec.Egress[j].To[k].Networks[l] = policyv1alpha2.CIDR(mirror(string(c)))
				}
			}
		}
		out.ClusterNetworkPolicies[i] = *p
	}
	return out
}

// TestMirror: a cluster of IPv6 is answered as the one of IPv4 with the same bits, and changes as it does.
func TestMirror(t *testing.T) {
	changes := 0
	for seed := range uint64(10) {
		size := policygen.Size{Seed: 500 + seed, Namespaces: 3, Pods: 30, Nodes: 3, Policies: 14, ClusterPolicies: 5, Replicas: 2}
		o := policygen.Cluster(size)
		size.Seed++
		next := *o
		next.NetworkPolicies = policygen.Cluster(size).NetworkPolicies
		four, six := New(o), New(mirrored(o))
		for _, port := range samePorts {
			bulk := six.AllPairs(port, true)
			for i := range four.pods {
				for j := range four.pods {
					want := four.Answer(four.pods[i].peer, four.pods[j].peer, port)
					from, to := six.pods[i].peer, six.pods[j].peer
					if got, all := six.Answer(from, to, port), bulk.Answer(from, to); got != want || all != want {
						t.Fatalf("seed %d: %s > %s %v: %v, all pairs %v, want %v", seed, o.Pods[i].Name, o.Pods[j].Name, port, got, all, want)
					}
				}
			}
		}
		a, b := expand(t, Compare(four, New(&next)), samePorts), expand(t, Compare(six, New(mirrored(&next))), samePorts)
		if len(a) != len(b) {
			t.Fatalf("seed %d: %d changes of IPv4, %d of IPv6", seed, len(a), len(b))
		}
		for k, v := range a {
			if changes++; b[k] != v {
				t.Fatalf("seed %d: %v: %v, by IPv6 %v", seed, k, v, b[k])
			}
		}
	}
	if changes < 1000 {
		t.Errorf("only %d changes", changes)
	}
}
