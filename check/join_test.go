package check

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/plumbnet/plumb/text"
)

func TestJoin(t *testing.T) {
	finding := func(name, where string, s Severity) Finding {
		return Finding{Check: name, Where: where, Severity: s, What: text.F("%s is wrong", where)}
	}
	got := Join(
		Result{
			Findings: []Finding{finding("service", "", Warning), finding("mtu", "a", Info)},
			Unjudged: []Unjudged{{"mtu", "nodes/b", "no answer"}, {"drops", "nodes/b", "no answer"}},
			Ran:      []string{"service", "mtu"},
		},
		Result{
			Findings: []Finding{finding("mtu", "c", Error), finding("service", "", Warning)},
			Unjudged: []Unjudged{{"mtu", "nodes/b", "no answer"}},
			Ran:      []string{"service", "mtu"},
		},
	)
	var findings []string
	for _, f := range got.Findings {
		findings = append(findings, f.Check+" "+f.Where)
	}
	if diff := cmp.Diff([]string{"mtu c", "service ", "mtu a"}, findings); diff != "" {
		t.Errorf("findings (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]Unjudged{{"drops", "nodes/b", "no answer"}, {"mtu", "nodes/b", "no answer"}}, got.Unjudged); diff != "" {
		t.Errorf("unjudged (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"service", "mtu"}, got.Ran); diff != "" {
		t.Errorf("ran (-want +got):\n%s", diff)
	}
	if none := Join(); len(none.Findings)+len(none.Unjudged)+len(none.Ran) > 0 {
		t.Errorf("of nothing: %v", none)
	}
}
