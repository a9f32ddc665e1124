//go:build linux

package pingmesh

import (
	"fmt"
	"slices"
	"testing"
)

// TestPeers: for each number of nodes, whatever the order in which each has them, all ask as many as they are asked by, and each
// pair has its turn.
func TestPeers(t *testing.T) {
	for n := 2; n <= 50; n++ {
		var nodes []string
		for i := range n {
			nodes = append(nodes, fmt.Sprintf("node-%d", i))
		}
		asked := map[[2]string]int{}
		turns := (n - 1 + degree - 1) / degree
		for turn := range turns {
			by := map[string]int{}
			for i, self := range nodes {
				list := slices.Concat(nodes[i:], nodes[:i]) // another order
				peers := peersOf(list, self, degree, turn)
				if len(peers) != min(degree, n-1) || slices.Contains(peers, self) {
					t.Fatalf("%d nodes: %s asks %v", n, self, peers)
				}
				if !slices.Equal(peers, peersOf(nodes, self, degree, turn)) {
					t.Fatalf("%d nodes: %s asks others in another order", n, self)
				}
				for _, p := range peers {
					by[p]++
					asked[[2]string{self, p}]++
				}
			}
			for _, node := range nodes {
				if by[node] != min(degree, n-1) {
					t.Fatalf("%d nodes: %d ask %s", n, by[node], node)
				}
			}
		}
		if len(asked) != n*(n-1) {
			t.Errorf("%d nodes: %d pairs of %d in %d turns", n, len(asked), n*(n-1), turns)
		}
	}
}

func TestPeersOfFew(t *testing.T) {
	for _, tt := range []struct {
		name  string
		nodes []string
		want  []string
	}{
		{"none", nil, nil},
		{"itself", []string{"b"}, nil},
		{"one that is not in the list", []string{"a", "c"}, []string{"c", "a"}},
		{"one with two addresses", []string{"a", "a", "b", "b"}, []string{"a"}},
	} {
		if got := peersOf(tt.nodes, "b", degree, 0); !slices.Equal(got, tt.want) {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
}
