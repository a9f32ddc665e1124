package intent

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/plumbnet/plumb/lab/policygen"
	"github.com/plumbnet/plumb/packet"
	"github.com/plumbnet/plumb/snapshot"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// changed are the changes of one pair of Pods and one port, as their From, To and Ports have them.
func changed(changes []Change, from, to, name string, port Port) (out [][2]Answer) {
	has := func(list []Member, ns, name string) bool {
		return slices.ContainsFunc(list, func(m Member) bool { return m.Namespace == ns && m.Name == name })
	}
	for i := range changes {
		c := &changes[i]
		if slices.ContainsFunc(c.Ports, func(r PortRange) bool { return r.Proto == port.Proto && r.Lo <= port.Number && port.Number <= r.Hi }) &&
			has(c.From, from, name) && has(c.To, to, name) {
			out = append(out, [2]Answer{c.Before.Answer, c.After.Answer})
		}
	}
	return out
}

// A pairKey is two Pods and a port.
type pairKey struct {
	from, to string
	port     Port
}

// expand makes of changes the pairs of Pods, which are their own workloads, on some ports.
func expand(t *testing.T, changes []Change, ports []Port) map[pairKey][2]Answer {
	out := map[pairKey][2]Answer{}
	for i := range changes {
		c := &changes[i]
		for _, port := range ports {
			if !slices.ContainsFunc(c.Ports, func(r PortRange) bool { return r.Proto == port.Proto && r.Lo <= port.Number && port.Number <= r.Hi }) {
				continue
			}
			for _, f := range c.From {
				for _, to := range c.To {
					if f.Kind != "Pod" || to.Kind != "Pod" || f == to {
						continue
					}
					k := pairKey{f.Namespace + "/" + f.Name, to.Namespace + "/" + to.Name, port}
					if _, dup := out[k]; dup {
						t.Fatalf("%v is in two changes", k)
					}
					out[k] = [2]Answer{c.Before.Answer, c.After.Answer}
				}
			}
		}
	}
	return out
}

// mutate changes some of the objects: policies of another cluster, labels of Pods and namespaces, ports' names.
func mutate(r *rand.Rand, o *snapshot.Objects, other *snapshot.Objects) *snapshot.Objects {
	out := *o
	out.Pods, out.Namespaces = slices.Clone(o.Pods), slices.Clone(o.Namespaces)
	out.NetworkPolicies, out.ClusterNetworkPolicies = slices.Clone(o.NetworkPolicies), slices.Clone(o.ClusterNetworkPolicies)
	for range r.IntN(4) {
		i := r.IntN(len(out.NetworkPolicies))
		out.NetworkPolicies[i].Spec = other.NetworkPolicies[i].Spec
	}
	if len(out.ClusterNetworkPolicies) > 0 {
		for range r.IntN(3) {
			i := r.IntN(len(out.ClusterNetworkPolicies))
			out.ClusterNetworkPolicies[i].Spec = other.ClusterNetworkPolicies[i].Spec
		}
	}
	if r.IntN(3) == 0 {
		i := r.IntN(len(out.NetworkPolicies))
		out.NetworkPolicies = slices.Delete(out.NetworkPolicies, i, i+1)
	}
	if r.IntN(3) == 0 {
		i := r.IntN(len(out.Namespaces))
		out.Namespaces[i].ObjectMeta = *out.Namespaces[i].ObjectMeta.DeepCopy()
		out.Namespaces[i].Labels["team"] = "green"
	}
	for range r.IntN(4) {
		p := &out.Pods[r.IntN(len(out.Pods))]
		*p = *p.DeepCopy()
		if r.IntN(3) == 0 {
			p.Spec.Containers[0].Ports[0].Name = "www"
		} else {
			p.Labels["app"] = "api"
		}
	}
	return &out
}

// TestCompareRandom compares what Compare says of random changes with what the reference says
// pair by pair of the objects before and after.
func TestCompareRandom(t *testing.T) {
	ports := []Port{{packet.TCP, 80}, {packet.TCP, 9090}, {packet.UDP, 443}, {packet.TCP, 1}, {packet.UDP, 65535}}
	seen, pairs := map[[2]Answer]int{}, 0
	for seed := range uint64(60) {
		s := policygen.Size{Seed: seed, Namespaces: 4, Pods: 30, Nodes: 4, Policies: 14, Replicas: 2}
		if seed%2 == 1 {
			s.ClusterPolicies = 10
		}
		o := policygen.Cluster(s)
		s.Seed += 1000
		is := mutate(rand.New(rand.NewPCG(seed, 2)), o, policygen.Cluster(s))
		got := expand(t, Compare(New(o), New(is)), ports)
		before, after := newReference(o), newReference(is)
		for _, port := range ports {
			for i := range o.Pods {
				for j := range o.Pods {
					if i == j || o.Pods[i].Spec.HostNetwork || o.Pods[j].Spec.HostNetwork {
						continue
					}
					pairs++
					k := pairKey{o.Pods[i].Namespace + "/" + o.Pods[i].Name, o.Pods[j].Namespace + "/" + o.Pods[j].Name, port}
					want := [2]Answer{before.answer(&o.Pods[i], &o.Pods[j], port), after.answer(&is.Pods[i], &is.Pods[j], port)}
					if answers, ok := got[k]; ok != (want[0] != want[1]) || ok && answers != want {
						t.Fatalf("seed %d: %v: %v (%v), want %v", seed, k, answers, ok, want)
					}
					if want[0] != want[1] {
						seen[want]++
					}
				}
			}
		}
	}
	for _, k := range [][2]Answer{{Allowed, Denied}, {Denied, Allowed}, {Allowed, Unknown}, {Unknown, Denied}} {
		if seen[k] < 20 {
			t.Errorf("%v only %d times", k, seen[k])
		}
	}
	fmt.Printf("agree: changes and the reference, pair by pair: %d comparisons, 0 disagreements\n", pairs)
}

// shortChanges are changes as text, a line each.
func shortChanges(changes []Change) string {
	var b strings.Builder
	names := func(list []Member) string {
		var out []string
		for _, m := range list {
			name := strings.TrimPrefix(m.Namespace+"/"+m.Name, "/")
			if m.Pods < m.Of {
				name += fmt.Sprintf("(%d of %d)", m.Pods, m.Of)
			}
			if m.Name == "" {
				name = "*"
			}
			out = append(out, name)
		}
		return strings.Join(out, " ")
	}
	for _, c := range changes {
		fmt.Fprintf(&b, "%s > %s %v: %v (%s) => %v (%s)", names(c.From), names(c.To), c.Ports, c.Before.Answer, c.Before.Why, c.After.Answer, c.After.Why)
		if c.Is6 {
			b.WriteString(" IPv6")
		}
		b.WriteString("\n")
	}
	return b.String()
}

func TestCompare(t *testing.T) {
	const web = `{"from":[{"podSelector":{"matchLabels":{"app":"web"}}}]}`
	out := func(rules string) string {
		return `np a/out {"podSelector":{"matchLabels":{"app":"web"}},"policyTypes":["Egress"],"egress":[` + rules + `]}` + "\n"
	}
	for _, tt := range []struct{ name, was, is, want string }{
		{"nothing", isolateA, isolateA, ""},
		{"another name", isolateA, `np a/other {"podSelector":{}}`, ""},
		{"the order of peers, as expressions", fromPeers(`{"podSelector":{"matchLabels":{"app":"web"}}},{"ipBlock":{"cidr":"9.0.0.0/8"}}`),
			fromPeers(`{"ipBlock":{"cidr":"9.0.0.0/9"}},{"ipBlock":{"cidr":"9.128.0.0/9"}},{"podSelector":{"matchExpressions":[{"key":"app","operator":"In","values":["web"]}]}}`), ""},
		{"a rule is gone", isolateDB + web + `]}`, isolateDB + `]}`,
			"a/web > a/db a/ending a/new [tcp 1-65535 udp 1-65535 sctp 1-65535]: allowed (NetworkPolicy a/db ingress[0] allows it) => denied (no rule allows it: NetworkPolicy a/db)\n" +
				"a/web > a/db a/new [tcp 1-65535 udp 1-65535 sctp 1-65535]: allowed (NetworkPolicy a/db ingress[0] allows it) => denied (no rule allows it: NetworkPolicy a/db) IPv6\n"},
		{"an address is taken out", out(`{"to":[{"ipBlock":{"cidr":"8.0.0.0/8"}}]}`), out(`{"to":[{"ipBlock":{"cidr":"8.0.0.0/8","except":["8.8.0.0/16"]}}]}`),
			"a/web > 8.8.0.0/16 [tcp 1-65535 udp 1-65535 sctp 1-65535]: allowed (NetworkPolicy a/out egress[0] allows it) => denied (no rule allows it: NetworkPolicy a/out)\n"},
		{"what is left is no prefix", out(`{"to":[{"ipBlock":{"cidr":"8.0.0.0/8","except":["8.8.0.0/16"]}}]}`), out(``),
			"a/web > 8.0.0.0/13 8.9.0.0-8.255.255.255 [tcp 1-65535 udp 1-65535 sctp 1-65535]: allowed (NetworkPolicy a/out egress[0] allows it) => denied (no rule allows it: NetworkPolicy a/out)\n" +
				"a/web > a/new [tcp 1-65535 udp 1-65535 sctp 1-65535]: unknown (whether it matches is not known: NetworkPolicy a/out egress[0]) => denied (no rule allows it: NetworkPolicy a/out)\n"},
		{"a port", out(`{"ports":[{"port":80,"endPort":90}]}`), out(`{"ports":[{"port":80,"endPort":89}]}`),
			"a/web > a/db a/ending a/new b/web lost/x n1 n2 * [tcp 90]: allowed (NetworkPolicy a/out egress[0] allows it) => denied (no rule allows it: NetworkPolicy a/out)\n" +
				"a/web > a/db a/new b/six n1 n2 * [tcp 90]: allowed (NetworkPolicy a/out egress[0] allows it) => denied (no rule allows it: NetworkPolicy a/out) IPv6\n"},
		{"a policy of the cluster", "", cnp("x", "Admin", "5", `{"name":"no blue","action":"Deny",`+fromBlue+`}`),
			"b/web > a/db a/ending a/new a/web [tcp 1-65535 udp 1-65535 sctp 1-65535]: allowed (no policy limits it) => denied (ClusterNetworkPolicy x ingress[0] no blue denies it)\n" +
				"b/six > a/db a/new a/web [tcp 1-65535 udp 1-65535 sctp 1-65535]: allowed (no policy limits it) => denied (ClusterNetworkPolicy x ingress[0] no blue denies it) IPv6\n" +
				"lost/x > a/db a/ending a/new a/web [tcp 1-65535 udp 1-65535 sctp 1-65535]: allowed (no policy limits it) => unknown (the labels of the namespace lost were not collected, and ClusterNetworkPolicy x ingress[0] no blue asks for them)\n" +
				"b/web lost/x > lost/x [tcp 1-65535 udp 1-65535 sctp 1-65535]: allowed (no policy limits it) => unknown (the labels of the namespace lost were not collected, and ClusterNetworkPolicy x ingress[0] no blue asks for them)\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			changes := Compare(engineOf(t, tt.was), engineOf(t, tt.is))
			got := strings.Split(shortChanges(changes), "\n")
			want := strings.Split(tt.want, "\n")
			slices.Sort(got)
			slices.Sort(want)
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

// TestCompareLabels: Pods keep their names, and their labels change.
func TestCompareLabels(t *testing.T) {
	o := objectsOf(t, world+policies(t, isolateDB+`{"from":[{"podSelector":{"matchLabels":{"app":"web"}}}]}]}`))
	is := *o
	is.Pods = slices.Clone(o.Pods)
	for i := range is.Pods {
		if is.Pods[i].Namespace == "a" && is.Pods[i].Name == "web" {
			is.Pods[i].ObjectMeta = metav1.ObjectMeta{Namespace: "a", Name: "web", Labels: map[string]string{"app": "website"}}
		}
	}
	changes := Compare(New(o), New(&is))
	if got := changed(changes, "a", "a", "web", Port{packet.TCP, 80}); got != nil {
		t.Errorf("with itself: %v", got)
	}
	if len(changes) != 2 || changes[0].From[0].Name != "web" || changes[0].After.Answer != Denied || !strings.HasPrefix(changes[0].To[0].Name, "db") || changes[0].Before.Egress {
		t.Errorf("%s", shortChanges(changes))
	}
}
