package check

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/plumbnet/plumb/network"
	"github.com/plumbnet/plumb/snapshot"
	"github.com/plumbnet/plumb/text"
)

// says returns a check that reports fs.
func says(name string, fs ...Finding) *Check {
	return &Check{Name: name, Run: func(p *Pass) {
		for _, f := range fs {
			p.Report(f)
		}
	}}
}

// tree writes findings as "check@where[consequences]", with "*" for those on the path.
func tree(fs []Finding) string {
	var out []string
	for _, f := range fs {
		s := f.Check + "@" + f.Where
		if f.OnPath {
			s = "*" + s
		}
		if len(f.Consequences) > 0 {
			s += "[" + tree(f.Consequences) + "]"
		}
		out = append(out, s)
	}
	return strings.Join(out, " ")
}

func TestRunOrder(t *testing.T) {
	by := func(check, where string) []Symptom { return []Symptom{{check, where}} }
	tests := []struct {
		name   string
		checks []*Check
		want   string
	}{
		{"nothing", []*Check{says("a")}, ""},
		{"severity", []*Check{says("a", Finding{Where: "x"}), says("b", Finding{Where: "x", Severity: Error}), says("c", Finding{Where: "x", Severity: Warning})}, "b@x c@x a@x"},
		{"the path's death before an error", []*Check{says("a", Finding{Where: "x", Severity: Error}), says("b", Finding{Where: "x", Severity: Warning, OnPath: true})}, "*b@x a@x"},
		{"order of checks", []*Check{says("z", Finding{Where: "x"}), says("a", Finding{Where: "x"})}, "z@x a@x"},
		{"order of places", []*Check{says("a", Finding{Where: "y"}, Finding{Where: "x"})}, "a@x a@y"},
		{"the same twice", []*Check{says("a", Finding{Where: "x"}, Finding{Where: "x"})}, "a@x"},
		{"twice, said otherwise", []*Check{says("a", Finding{Where: "x", What: text.F("2")}, Finding{Where: "x", What: text.F("1")})}, "a@x a@x"},
		{"folded", []*Check{says("a", Finding{Where: "x", Severity: Error}), says("b", Finding{Where: "y", Explains: by("a", "x")})}, "b@y[a@x]"},
		{"folded lends the path", []*Check{says("a", Finding{Where: "x", OnPath: true}), says("b", Finding{Where: "y", Explains: by("a", "")}), says("c", Finding{Where: "z", Severity: Error})}, "*b@y[*a@x] c@z"},
		{"transitive", []*Check{says("a", Finding{Where: "x"}), says("b", Finding{Where: "x", Explains: by("a", "x")}), says("c", Finding{Where: "x", Explains: by("b", "x")})}, "c@x[b@x[a@x]]"},
		{"transitive lends the path", []*Check{says("a", Finding{Where: "x", OnPath: true}), says("b", Finding{Where: "x", Explains: by("a", "x")}), says("c", Finding{Where: "x", Explains: by("b", "x")})}, "*c@x[*b@x[*a@x]]"},
		{"a circle keeps the first", []*Check{says("a", Finding{Where: "x", Explains: by("b", "")}), says("b", Finding{Where: "x", Explains: by("a", "")})}, "a@x[b@x]"},
		{"a circle of three", []*Check{says("a", Finding{Where: "x", Explains: by("b", "")}), says("b", Finding{Where: "x", Explains: by("c", "")}), says("c", Finding{Where: "x", Explains: by("a", "")})}, "a@x[b@x[c@x]]"},
		{"itself", []*Check{says("a", Finding{Where: "x", Explains: by("a", "")})}, "a@x"},
		{"two causes: the weightier", []*Check{says("a", Finding{Where: "x", Explains: by("c", "")}), says("b", Finding{Where: "x", Severity: Error, Explains: by("c", "")}), says("c", Finding{Where: "x"})}, "b@x[c@x] a@x"},
		{"a place below", []*Check{says("a", Finding{Where: "n/host/eth0"}, Finding{Where: "n/host2"}), says("b", Finding{Where: "n", Explains: by("a", "n/host")})}, "a@n/host2 b@n[a@n/host/eth0]"},
		{"a place with a slash", []*Check{says("a", Finding{Where: "n/host"}), says("b", Finding{Where: "z", Explains: by("a", "n/")})}, "b@z[a@n/host]"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := &snapshot.Cluster{}
			r := Run(c, network.New(c), nil, nil, tt.checks...)
			if diff := cmp.Diff(tt.want, tree(r.Findings)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestRunNeeds(t *testing.T) {
	c := &snapshot.Cluster{
		Nodes: []*snapshot.Node{{Name: "a"}},
		Gaps:  []snapshot.Gap{{Path: "nodes/a/host/iptables", Why: "denied"}, {Path: "nodes/a/pod/iptables", Why: "denied too"}, {Path: "nodes/b", Why: "gone"}},
		Objects: snapshot.Objects{
			Have: map[string]bool{"Node": true},
		},
	}
	one := Finding{Where: "x"}
	needs := func(k *Check, needs ...string) *Check { k.Needs = needs; return k }
	absent := Unjudged{Where: "nodes/b", Why: "gone"}
	tests := []struct {
		name  string
		needs string
		want  []Unjudged
		found int
	}{
		{"an object kind that is there", "objects/Node", nil, 1},
		{"an object kind that is not", "objects/Pod", []Unjudged{{Where: "objects/Pod", Why: "not collected"}}, 0},
		{"a file of all namespaces", "iptables", []Unjudged{{Where: "nodes/a/host/iptables", Why: "denied"}, {Where: "nodes/a/pod/iptables", Why: "denied too"}, absent}, 1},
		{"a file of the node's own", "host/iptables", []Unjudged{{Where: "nodes/a/host/iptables", Why: "denied"}, absent}, 1},
		{"a file that is there", "host/addr.json", []Unjudged{absent}, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := Run(c, network.New(c), nil, nil, needs(says("", one), tt.needs))
			if diff := cmp.Diff(tt.want, r.Unjudged); diff != "" {
				t.Errorf("unjudged (-want +got):\n%s", diff)
			}
			if len(r.Findings) != tt.found || len(r.Ran) != 1 {
				t.Errorf("found %d, ran %q; want %d, one", len(r.Findings), r.Ran, tt.found)
			}
		})
	}
}
