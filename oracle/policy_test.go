package oracle

import (
	"fmt"
	"testing"

	"github.com/mattfenwick/cyclonus/pkg/matcher"
	"github.com/plumbnet/plumb/intent"
	"github.com/plumbnet/plumb/lab/policygen"
	"github.com/plumbnet/plumb/packet"
	"github.com/plumbnet/plumb/snapshot"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
)

// second is the second opinion on a cluster.
type second struct {
	o      *snapshot.Objects
	spaces map[string]map[string]string
	policy *matcher.Policy
}

func newSecond(o *snapshot.Objects) *second {
	s := &second{o: o, spaces: map[string]map[string]string{}}
	for _, n := range o.Namespaces {
		s.spaces[n.Name] = n.Labels
	}
	var list []*networkingv1.NetworkPolicy
	for i := range o.NetworkPolicies {
		list = append(list, &o.NetworkPolicies[i])
	}
	s.policy = matcher.BuildNetworkPolicies(true, list)
	return s
}

func (s *second) peer(p *corev1.Pod) *matcher.TrafficPeer {
	return &matcher.TrafficPeer{IP: p.Status.PodIP, Internal: &matcher.InternalPeer{
		PodLabels: p.Labels, NamespaceLabels: s.spaces[p.Namespace], Namespace: p.Namespace}}
}

var protos = map[packet.Proto]corev1.Protocol{packet.TCP: corev1.ProtocolTCP, packet.UDP: corev1.ProtocolUDP}

func (s *second) allows(from, to *corev1.Pod, port intent.Port) bool {
	t := &matcher.Traffic{Source: s.peer(from), Destination: s.peer(to), ResolvedPort: int(port.Number), Protocol: protos[port.Proto]}
	for _, c := range to.Spec.Containers[0].Ports {
		if c.ContainerPort == int32(port.Number) && c.Protocol == t.Protocol {
			t.ResolvedPortName = c.Name
		}
	}
	return s.policy.IsTrafficAllowed(t).IsAllowed()
}

// compare asks both about a pair, and reports whether they agree.
func compare(t testing.TB, e *intent.Engine, all *intent.Matrix, s *second, from, to *corev1.Pod, port intent.Port) bool {
	want := intent.Denied
	if s.allows(from, to, port) {
		want = intent.Allowed
	}
	f, _ := e.Pod(from.Namespace, from.Name)
	p, _ := e.Pod(to.Namespace, to.Name)
	got, bulk := e.Answer(f, p, port), all.Answer(f, p)
	if got == want && bulk == want {
		return true
	}
	t.Errorf("%s/%s > %s/%s %v: %v, all pairs %v, want %v", from.Namespace, from.Name, to.Namespace, to.Name, port, got, bulk, want)
	return false
}

var ports = []intent.Port{{Proto: packet.TCP, Number: 80}, {Proto: packet.TCP, Number: 9090}, {Proto: packet.UDP, Number: 443}}

// TestAgreement compares every pair of random clusters. What a Pod sends itself is no policy's matter.
func TestAgreement(t *testing.T) {
	n, wrong, sets := 0, 0, 0
	for seed := range uint64(30) {
		o := policygen.Cluster(policygen.Size{Seed: 1000 + seed, Namespaces: 3, Pods: 24, Nodes: 3, Policies: 12, Replicas: 2, NoHostNetwork: true})
		e, s := intent.New(o), newSecond(o)
		sets++
		for _, port := range ports {
			all := e.AllPairs(port, false)
			for i := range o.Pods {
				for j := range o.Pods {
					if i == j {
						continue
					}
					if n++; !compare(t, e, all, s, &o.Pods[i], &o.Pods[j], port) {
						wrong++
					}
				}
			}
		}
	}
	fmt.Printf("agree: intent and cyclonus: %d random policy sets, %d comparisons, %d disagreements, 0 explained\n", sets, n, wrong)
}
