package intent

import (
	"testing"

	"github.com/plumbnet/plumb/lab/policygen"
	"github.com/plumbnet/plumb/packet"
)

// TestRandom compares the answers for random policies with those of the reference, one by one
// and all pairs at once.
func TestRandom(t *testing.T) {
	ports := []Port{{packet.TCP, 80}, {packet.TCP, 9090}, {packet.UDP, 443}}
	seen := map[Answer]int{}
	for seed := range uint64(80) {
		s := policygen.Size{Seed: seed, Namespaces: 4, Pods: 40, Nodes: 4, Policies: 16, Replicas: 2}
		if seed%2 == 1 {
			s.ClusterPolicies = 12
		}
		o := policygen.Cluster(s)
		e, ref := New(o), newReference(o)
		for _, port := range ports {
			all := e.AllPairs(port, false)
			var count Pairs
			for i := range o.Pods {
				for j := range o.Pods {
					from, to := &o.Pods[i], &o.Pods[j]
					if i == j || from.Spec.HostNetwork || to.Spec.HostNetwork {
						continue
					}
					want := ref.answer(from, to, port)
					f, _ := e.Pod(from.Namespace, from.Name)
					p, _ := e.Pod(to.Namespace, to.Name)
					if got := e.Answer(f, p, port); got != want {
						t.Fatalf("seed %d: %s/%s > %s/%s %v: %v, want %v", seed, from.Namespace, from.Name, to.Namespace, to.Name, port, got, want)
					}
					if got := all.Answer(f, p); got != want {
						t.Fatalf("seed %d: %s/%s > %s/%s %v: all pairs: %v, want %v", seed, from.Namespace, from.Name, to.Namespace, to.Name, port, got, want)
					}
					count.add(want, 1)
					seen[want]++
				}
			}
			if got := all.Count(); got != count {
				t.Fatalf("seed %d: counted %+v, want %+v", seed, got, count)
			}
		}
	}
	for _, a := range []Answer{Unknown, Allowed, Denied} {
		if seen[a] < 20 {
			t.Errorf("%v only %d times", a, seen[a])
		}
	}
	t.Logf("%v", seen)
}

// TestBulk compares both ways to answer for nodes and addresses outside, whose classes the
// reference does not judge.
func TestBulk(t *testing.T) {
	for seed := range uint64(10) {
		o := policygen.Cluster(policygen.Size{Seed: seed, Namespaces: 3, Pods: 30, Nodes: 3, Policies: 12, ClusterPolicies: 8})
		e := New(o)
		var peers []Peer
		for i := range o.Pods {
			p, _ := e.Pod(o.Pods[i].Namespace, o.Pods[i].Name)
			peers = append(peers, p)
		}
		for i := range o.Nodes {
			p, _ := e.Node(o.Nodes[i].Name)
			peers = append(peers, p)
		}
		port := Port{packet.TCP, 443}
		all := e.AllPairs(port, false)
		for i := range e.classes[:e.podCount] {
			for j := range e.classes {
				// A peer of the class, which is at no node and is nobody that the other end is.
				pod, other := Peer{kind: isPod, at: -2, node: -1, class: [2]int32{int32(i), -1}}, Peer{kind: e.classes[j].kind, at: -3, node: -2, maybe: -1, class: [2]int32{int32(j), -1}}
				in, out := e.Answer(other, pod, port), e.Answer(pod, other, port)
				if other.kind == isPod {
					continue // it has policies of its own
				}
				if got := settled(all.rows[ingress][all.inRow[i]], int32(j)); got != in {
					t.Fatalf("seed %d: class %d > %d: %v, want %v", seed, j, i, got, in)
				}
				if got := settled(all.rows[egress][e.classes[i].program[egress]], int32(j)); got != out && e.classes[j].parts[v4] >= 0 {
					t.Fatalf("seed %d: class %d > %d: %v, want %v", seed, i, j, got, out)
				}
			}
		}
		for _, a := range peers {
			for _, b := range peers {
				if got, want := all.Answer(a, b), e.Answer(a, b, port); got != want {
					t.Fatalf("seed %d: %+v > %+v: %v, want %v", seed, a, b, got, want)
				}
			}
		}
	}
}

func settled(r row, i int32) Answer {
	switch {
	case r.allow.has(i):
		return Allowed
	case r.deny.has(i):
		return Denied
	}
	return Unknown
}
