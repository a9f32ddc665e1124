package snapshot

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"
)

// nodeAt is a bundle of one node with one setting.
func nodeAt(t *testing.T, name, taken, value string) *Cluster {
	t.Helper()
	if taken != "" {
		taken = fmt.Sprintf(`,"taken":%q`, taken)
	}
	return mustRead(t, tree(fmt.Sprintf("-- nodes/%s/node.json --\n{\"name\":%q%s}\n-- nodes/%[1]s/host/sysctl --\nx = %[4]s\n", name, name, taken, value)))
}

func TestMergeNodes(t *testing.T) {
	const noon, one = "2024-05-01T12:00:00Z", "2024-05-01T13:00:00Z"
	for _, tt := range []struct {
		name  string
		parts []*Cluster
		want  string
		gap   string
	}{
		{"two nodes", []*Cluster{nodeAt(t, "b", "", "1"), nodeAt(t, "a", "", "2")}, "a=2 b=1 ", ""},
		{"the newer comes last", []*Cluster{nodeAt(t, "a", noon, "1"), nodeAt(t, "a", one, "2")}, "a=2 ",
			"collected twice: the state of 2024-05-01 13:00:00 was taken, that of 2024-05-01 12:00:00 left out"},
		{"the newer comes first", []*Cluster{nodeAt(t, "a", one, "1"), nodeAt(t, "a", noon, "2")}, "a=1 ",
			"collected twice: the state of 2024-05-01 13:00:00 was taken, that of 2024-05-01 12:00:00 left out"},
		{"not known which is newer", []*Cluster{nodeAt(t, "a", one, "1"), nodeAt(t, "a", "", "2")}, "a=2 ", "collected twice: the later one was taken"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := Merge(tt.parts...)
			got := ""
			for _, n := range c.Nodes {
				got += n.Name + "=" + n.Host().Sysctl["x"] + " "
			}
			if got != tt.want {
				t.Errorf("nodes %q, want %q", got, tt.want)
			}
			if g, _ := c.GapAt("nodes/a"); g.Why != tt.gap {
				t.Errorf("gap %q, want %q", g.Why, tt.gap)
			}
		})
	}
}

// TestMissing wants a node that only the objects name to be a gap until its bundle comes.
func TestMissing(t *testing.T) {
	objects := mustRead(t, tree(`
-- objects/nodes.json --
{"kind":"List","items":[{"apiVersion":"v1","kind":"Node","metadata":{"name":"a"}},{"apiVersion":"v1","kind":"Node","metadata":{"name":"b"}}]}
-- objects/services.json.error --
Forbidden
`))
	a := nodeAt(t, "a", "", "1")
	c := Merge(objects, a)
	absent := Gap{"nodes/b", absentNode}
	if d := cmp.Diff([]Gap{{"nodes/a/host/addr.json", notCollected}, absent}, c.Missing("addr.json")); d != "" {
		t.Errorf("addr.json (-want +got):\n%s", d)
	}
	if d := cmp.Diff([]Gap{absent}, c.Missing("sysctl")); d != "" {
		t.Errorf("sysctl (-want +got):\n%s", d)
	}
	for source, want := range map[string][]Gap{
		"objects/Node":    nil,
		"objects/Service": {{"objects/services.json", "Forbidden"}},
		"objects/Pod":     {{"objects/Pod", notCollected}},
	} {
		if d := cmp.Diff(want, c.Missing(source)); d != "" {
			t.Errorf("%s (-want +got):\n%s", source, d)
		}
	}
	if _, missing := c.MissingKind("Node"); missing {
		t.Error("Nodes count as missing")
	}
	if g, _ := Merge(objects, a, nodeAt(t, "b", "", "1")).GapAt("nodes/b"); g.Why != "" {
		t.Errorf("b is there, and yet %v", g)
	}
	if d := cmp.Diff([]Gap{{"nodes/a", absentNode}, {"nodes/b", absentNode}, {"nodes", notCollected}}, objects.Missing("sysctl")); d != "" {
		t.Errorf("objects only (-want +got):\n%s", d)
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte(small))
	f.Add([]byte("-- x/nodes/a/host/addr.json --\n[{}]\n-- x/nodes/a/host/vlan.json --\n[{\"ifname\":\"x\",\"vlans\":[{\"vlan\":1}]}]\n"))
	f.Add([]byte("-- nodes/a/host/iptables --\n*filter\n:INPUT ACCEPT\n-A INPUT -j DROP\nCOMMIT\n-- nodes/a/host/ipvs --\nTCP  0A600001:01BB rr\n"))
	f.Fuzz(func(t *testing.T, in []byte) {
		files := Files{}
		for _, e := range txtar.Parse(in).Files {
			files[e.Name] = e.Data
		}
		c, err := Read(files)
		if err != nil {
			return
		}
		Merge(c).Missing("addr.json")
	})
}
