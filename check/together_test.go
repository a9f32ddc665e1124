package check

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/plumbnet/plumb/snapshot"
)

func TestTogether(t *testing.T) {
	var fs []Finding
	for i := range 7 {
		node := fmt.Sprintf("n%d", i)
		fs = append(fs, Finding{Where: "node/" + node, OnPath: i == 3, Explains: []Symptom{{"x", node}}, Evidence: []snapshot.Evidence{{File: node}}})
	}
	f, nodes := Together(fs)
	if nodes != "n0, n1, n2, n3, n4, …" || f.Where != "node/n0" || !f.OnPath {
		t.Errorf("%s: %+v", nodes, f)
	}
	if diff := cmp.Diff("node/n1 node/n2 node/n3 node/n4 node/n5 node/n6", strings.Join(f.Also, " ")); diff != "" {
		t.Error(diff)
	}
	if len(f.Explains) != 7 || len(f.Evidence) != 1+maxAlso {
		t.Errorf("explains %v by %v", f.Explains, f.Evidence)
	}
	if f, nodes := Together(fs[1:2]); nodes != "n1" || len(f.Also) != 0 {
		t.Errorf("one: %s %+v", nodes, f)
	}
}
