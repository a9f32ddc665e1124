// Package policygen makes clusters with random policies, for tests and measurements: the same
// ones for the same seed. Their Pods come in workloads, as real ones do, and their policies
// name the labels that the Pods have.
package policygen

import (
	"fmt"
	"math/rand/v2"
	"net/netip"

	"github.com/plumbnet/plumb/snapshot"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// A Size says how much to make.
type Size struct {
	Seed                               uint64
	Namespaces, Pods, Nodes            int
	Policies                           int  // NetworkPolicies
	ClusterPolicies                    int  // ClusterNetworkPolicies
	Replicas                           int  // Pods of a workload; 0 is 5
	NoBlocks, NoNamedPorts, NoAllPorts bool // kinds of rules to leave out
	NoHostNetwork                      bool
}

// generator makes one cluster.
type generator struct {
	*rand.Rand
	Size
	o snapshot.Objects
}

// Cluster makes a cluster.
func Cluster(s Size) *snapshot.Objects {
	if s.Replicas == 0 {
		s.Replicas = 5
	}
	g := &generator{Rand: rand.New(rand.NewPCG(s.Seed, 1)), Size: s}
	g.o.Have = map[string]bool{"Pod": true, "Namespace": true, "Node": true, "NetworkPolicy": true, "ClusterNetworkPolicy": true}
	for i := range s.Namespaces {
		name := namespace(i)
		g.o.Namespaces = append(g.o.Namespaces, corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{
			"kubernetes.io/metadata.name": name, "team": pick(g, teams), "stage": pick(g, stages)}}})
	}
	for i := range s.Nodes {
		g.o.Nodes = append(g.o.Nodes, g.node(i))
	}
	for i := range s.Pods {
		g.o.Pods = append(g.o.Pods, g.pod(i))
	}
	for i := range s.Policies {
		g.o.NetworkPolicies = append(g.o.NetworkPolicies, g.policy(i))
	}
	for i := range s.ClusterPolicies {
		g.o.ClusterNetworkPolicies = append(g.o.ClusterNetworkPolicies, g.clusterPolicy(i))
	}
	return &g.o
}

var (
	teams  = []string{"red", "green", "blue", "gold"}
	stages = []string{"dev", "prod"}
	layers = []string{"front", "back", "data"}
	apps   = []string{"web", "api", "db", "cache", "auth", "queue", "cron", "mail", "feed", "blob", "map", "log"}
	// Ports are those that rules and Pods have.
	Ports  = []int32{80, 443, 5432, 6379, 8080, 9090}
	protos = []corev1.Protocol{corev1.ProtocolTCP, corev1.ProtocolTCP, corev1.ProtocolTCP, corev1.ProtocolUDP}
	named  = []string{"http", "metrics"}
)

func namespace(i int) string { return fmt.Sprintf("ns-%03d", i) }

func pick[T any](g *generator, list []T) T { return list[g.IntN(len(list))] }

// chance is true in n of 100 cases.
func (g *generator) chance(n int) bool { return g.IntN(100) < n }

func (g *generator) node(i int) corev1.Node {
	a := netip.AddrFrom4([4]byte{192, 168, byte(i >> 8), byte(i)})
	return corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("node-%03d", i), Labels: map[string]string{"zone": pick(g, []string{"one", "two"})}},
		Spec:       corev1.NodeSpec{PodCIDR: fmt.Sprintf("10.%d.%d.0/24", 64+i>>8, i&255)},
		Status:     corev1.NodeStatus{Addresses: []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: a.String()}}},
	}
}

// pod makes a Pod of a workload: its labels are the workload's, and two that it has alone.
func (g *generator) pod(i int) corev1.Pod {
	workload := i / g.Replicas
	ns, app := workload%g.Namespaces, workload/g.Namespaces
	node := i % max(1, g.Nodes)
	name := fmt.Sprintf("%s-%d-%d", apps[app%len(apps)], app, i)
	p := corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace(ns), Name: name, Labels: map[string]string{
			"app": apps[app%len(apps)], "layer": layers[workload%len(layers)], "pod-template-hash": fmt.Sprint(workload), "statefulset.kubernetes.io/pod-name": name}},
		Spec: corev1.PodSpec{NodeName: fmt.Sprintf("node-%03d", node), Containers: []corev1.Container{{Name: "c", Ports: []corev1.ContainerPort{
			{Name: "http", ContainerPort: Ports[workload%2*4], Protocol: corev1.ProtocolTCP}, {Name: "metrics", ContainerPort: 9090, Protocol: corev1.ProtocolTCP}}}}},
		Status: corev1.PodStatus{Phase: corev1.PodRunning},
	}
	n := i / max(1, g.Nodes)
	ip := fmt.Sprintf("10.%d.%d.%d", 64+node>>8+n>>8, node&255, n&255)
	if !g.NoHostNetwork && g.chance(2) {
		p.Spec.HostNetwork = true
		ip = g.o.Nodes[node].Status.Addresses[0].Address
	}
	p.Status.PodIP, p.Status.PodIPs = ip, []corev1.PodIP{{IP: ip}}
	if g.Nodes > 0 {
		p.Status.HostIP = g.o.Nodes[node].Status.Addresses[0].Address
	}
	return p
}

func (g *generator) policy(i int) networkingv1.NetworkPolicy {
	p := networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: namespace(i % g.Namespaces), Name: fmt.Sprintf("policy-%04d", i)}}
	p.Spec.PodSelector = g.podSelector()
	in, out := g.chance(80), g.chance(35)
	if in || !out {
		p.Spec.PolicyTypes = append(p.Spec.PolicyTypes, networkingv1.PolicyTypeIngress)
		for range g.IntN(4) {
			p.Spec.Ingress = append(p.Spec.Ingress, networkingv1.NetworkPolicyIngressRule{From: g.peers(), Ports: g.ports()})
		}
	}
	if out {
		p.Spec.PolicyTypes = append(p.Spec.PolicyTypes, networkingv1.PolicyTypeEgress)
		for range g.IntN(4) {
			p.Spec.Egress = append(p.Spec.Egress, networkingv1.NetworkPolicyEgressRule{To: g.peers(), Ports: g.ports()})
		}
	}
	return p
}

func (g *generator) podSelector() metav1.LabelSelector {
	switch n := g.IntN(10); {
	case n == 0:
		return metav1.LabelSelector{}
	case n < 6:
		return metav1.LabelSelector{MatchLabels: map[string]string{"app": pick(g, apps)}}
	case n < 8:
		return metav1.LabelSelector{MatchLabels: map[string]string{"layer": pick(g, layers)}}
	}
	return g.expression("app", apps)
}

func (g *generator) expression(key string, values []string) metav1.LabelSelector {
	r := metav1.LabelSelectorRequirement{Key: key, Operator: pick(g, []metav1.LabelSelectorOperator{
		metav1.LabelSelectorOpIn, metav1.LabelSelectorOpNotIn, metav1.LabelSelectorOpExists, metav1.LabelSelectorOpDoesNotExist})}
	if r.Operator == metav1.LabelSelectorOpIn || r.Operator == metav1.LabelSelectorOpNotIn {
		r.Values = []string{pick(g, values), pick(g, values)}
	}
	return metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{r}}
}

func (g *generator) namespaceSelector() metav1.LabelSelector {
	switch g.IntN(4) {
	case 0:
		return metav1.LabelSelector{}
	case 1:
		return metav1.LabelSelector{MatchLabels: map[string]string{"team": pick(g, teams)}}
	case 2:
		return metav1.LabelSelector{MatchLabels: map[string]string{"kubernetes.io/metadata.name": namespace(g.IntN(g.Namespaces))}}
	}
	return g.expression("stage", stages)
}

func (g *generator) peers() (out []networkingv1.NetworkPolicyPeer) {
	for range g.IntN(4) {
		var p networkingv1.NetworkPolicyPeer
		pods, spaces := g.podSelector(), g.namespaceSelector()
		switch n := g.IntN(10); {
		case n < 4:
			p.PodSelector = &pods
		case n < 6:
			p.NamespaceSelector = &spaces
		case n < 9 || g.NoBlocks:
			p.PodSelector, p.NamespaceSelector = &pods, &spaces
		default:
			p.IPBlock = g.block()
		}
		out = append(out, p)
	}
	return out
}

func (g *generator) block() *networkingv1.IPBlock {
	switch g.IntN(4) {
	case 0:
		return &networkingv1.IPBlock{CIDR: "0.0.0.0/0", Except: []string{"10.0.0.0/8"}}
	case 1:
		return &networkingv1.IPBlock{CIDR: fmt.Sprintf("172.16.%d.0/24", g.IntN(20))}
	case 2:
		return &networkingv1.IPBlock{CIDR: "10.64.0.0/16", Except: []string{fmt.Sprintf("10.64.%d.0/24", g.IntN(max(1, g.Nodes)))}}
	}
	return &networkingv1.IPBlock{CIDR: fmt.Sprintf("192.168.0.%d/31", g.IntN(max(2, g.Nodes))&^1)}
}

func (g *generator) ports() (out []networkingv1.NetworkPolicyPort) {
	if !g.NoAllPorts && g.chance(35) {
		return nil
	}
	for range 1 + g.IntN(2) {
		proto := pick(g, protos)
		number := intstr.FromInt32(pick(g, Ports))
		p := networkingv1.NetworkPolicyPort{Protocol: &proto, Port: &number}
		switch n := g.IntN(10); {
		case n == 0 && !g.NoNamedPorts:
			name := intstr.FromString(pick(g, named))
			p.Port = &name
		case n == 1:
			end := number.IntVal + int32(g.IntN(4000))
			p.EndPort = &end
		}
		out = append(out, p)
	}
	return out
}
