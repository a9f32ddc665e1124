package check

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/plumbnet/plumb/snapshot"
	"github.com/plumbnet/plumb/text"
)

// TestGather makes one of findings that say the same and are cured the same, at several places.
func TestGather(t *testing.T) {
	at := func(where string, change func(*Finding)) Finding {
		f := Finding{Check: "ip-forward", Severity: Error, Where: where, What: text.F("ip_forward is %d", 0), Fix: Fix{What: text.F("set it"), Commands: []string{"sysctl -w x=1"}},
			Evidence: []snapshot.Evidence{{File: "nodes/" + where + "/sysctl"}}}
		if change != nil {
			change(&f)
		}
		return f
	}
	for _, tt := range []struct {
		name string
		in   []Finding
		want string // places, a finding a line
	}{
		{"none", nil, ""},
		{"one", []Finding{at("a/host", nil)}, "a/host"},
		{"three nodes", []Finding{at("b/host", nil), at("c/host", nil), at("a/host", nil)}, "b/host: a/host c/host"},
		{"another sentence", []Finding{at("a/host", nil), at("b/host", func(f *Finding) { f.What = text.F("ip_forward is %d", 1) })}, "a/host\nb/host"},
		{"another cure", []Finding{at("a/host", nil), at("b/host", func(f *Finding) { f.Fix.Commands = []string{"reboot"} })}, "a/host\nb/host"},
		{"another check", []Finding{at("a/host", nil), at("b/host", func(f *Finding) { f.Check = "x" })}, "a/host\nb/host"},
		{"less bad", []Finding{at("a/host", nil), at("b/host", func(f *Finding) { f.Severity = Warning })}, "a/host\nb/host"},
		{"of Services", []Finding{at("a/host", func(f *Finding) { f.Evidence[0].File = "objects/services.json" }), at("b/host", func(f *Finding) { f.Evidence[0].File = "objects/services.json" })}, "a/host\nb/host"},
		{"without evidence", []Finding{at("a/host", func(f *Finding) { f.Evidence = nil }), at("b/host", func(f *Finding) { f.Evidence = nil })}, "a/host\nb/host"},
		{"on the path", []Finding{at("a/host", func(f *Finding) { f.OnPath = true }), at("b/host", nil), at("c/host", nil)}, "a/host\nb/host: c/host"},
		{"with consequences", []Finding{at("a/host", func(f *Finding) { f.Consequences = []Finding{{}} }), at("b/host", nil), at("c/host", func(f *Finding) { f.Consequences = []Finding{{}} })}, "a/host\nb/host\nc/host"},
		{"gathered before", []Finding{at("a/host", func(f *Finding) { f.Also = []string{"c/host"} }), at("b/host", func(f *Finding) { f.Also = []string{"d/host"} })}, "a/host: b/host c/host d/host"},
	} {
		var got []string
		for _, f := range gather(tt.in) {
			s := f.Where
			if len(f.Also) > 0 {
				s += ": " + strings.Join(f.Also, " ")
			}
			got = append(got, s)
		}
		if diff := cmp.Diff(tt.want, strings.Join(got, "\n")); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
	var many []Finding
	for i := range 100 {
		many = append(many, at(fmt.Sprintf("n%02d/host", i), nil))
	}
	one := gather(slices.Clone(many))
	if len(one) != 1 || len(one[0].Also) != 99 || len(one[0].Evidence) != 1+maxAlso {
		t.Errorf("%d findings, %d further places, %d pieces of evidence", len(one), len(one[0].Also), len(one[0].Evidence))
	}
	if len(many[0].Evidence) != 1 {
		t.Error("what was gathered has changed")
	}
	parts := Join(Result{Findings: many[:50]}, Result{Findings: many[50:]})
	if len(parts.Findings) != 1 || len(parts.Findings[0].Also) != 99 {
		t.Errorf("of two runs: %d findings", len(parts.Findings))
	}
}
