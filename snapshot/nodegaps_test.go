package snapshot

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestWithGaps reads back, from a bundle, why a node's state is not there.
func TestWithGaps(t *testing.T) {
	for _, tt := range []struct {
		name  string
		files Files
		gaps  []Gap
	}{
		{"a node that did not answer", nil, []Gap{{"nodes/a", "connection refused"}}},
		{"one that lacks a file", Files{"nodes/a/host/sockets": nil, "nodes/a/node.json": []byte(`{"name":"a","kernel":"6.1","gaps":[{"path":"host/nft.json","why":"no nft"}]}`)},
			[]Gap{{"nodes/a/host/ipset", "cut off"}}},
		{"a node.json that cannot be read", Files{"nodes/a/host/sockets": nil, "nodes/a/node.json": []byte(`{`)}, []Gap{{"nodes/a/host/ipset", "cut off"}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			before := len(tt.files)
			c, err := Read(WithGaps(tt.files, "a", tt.gaps))
			if err != nil {
				t.Fatal(err)
			}
			if c.Nodes[0].Name != "a" || len(tt.files) != before {
				t.Errorf("%v", c.Nodes[0])
			}
			for _, g := range tt.gaps {
				if got, ok := c.GapAt(g.Path); !ok || got != g {
					t.Errorf("%v, want %v among %v", got, g, c.Gaps)
				}
			}
			if _, kept := c.GapAt("nodes/a/host/nft.json"); len(tt.files["nodes/a/node.json"]) > 1 && !kept {
				t.Errorf("a Gap is lost: %v", c.Gaps)
			}
		})
	}
	whole := Files{"nodes/a/host/sockets": nil}
	if diff := cmp.Diff(whole, WithGaps(whole, "a", nil)); diff != "" {
		t.Error(diff)
	}
}
