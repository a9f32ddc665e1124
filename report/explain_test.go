package report

import (
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/plumbnet/plumb/check"
	"github.com/plumbnet/plumb/check/all"
)

var explained = &check.Check{
	Name: "no-endpoints",
	Doc: `a Service has no endpoint that may be used

Symptom: connections to the Service are refused at once, or time out; an Ingress
answers 503.
Cause: its selector matches no Pod.
Commands:
    kubectl -n NAMESPACE get pods -l SELECTOR -o wide
    kubectl -n NAMESPACE describe pod POD`,
	DocZH: `Service 没有可用的后端

症状：访问该 Service 立即被拒绝，
或超时。
命令：
    kubectl get pods`,
	Needs: []string{"objects/Service"},
}

func TestParseDoc(t *testing.T) {
	title, parts := parseDoc(explained.Doc)
	if title != "a Service has no endpoint that may be used" {
		t.Errorf("title %q", title)
	}
	want := []docPart{
		{"Symptom", "connections to the Service are refused at once, or time out; an Ingress answers 503.", nil},
		{"Cause", "its selector matches no Pod.", nil},
		{"Commands", "", []string{"kubectl -n NAMESPACE get pods -l SELECTOR -o wide", "kubectl -n NAMESPACE describe pod POD"}},
	}
	if diff := cmp.Diff(want, parts, cmp.AllowUnexported(docPart{})); diff != "" {
		t.Error(diff)
	}
	_, parts = parseDoc(explained.DocZH)
	if parts[0].label != "症状" || parts[0].body != "访问该 Service 立即被拒绝，或超时。" {
		t.Errorf("got %+v", parts[0])
	}
}

func TestExplain(t *testing.T) {
	for _, lang := range []string{"en", "zh"} {
		got := render(t, func(w io.Writer) error { return Explain(w, explained, lang) })
		golden(t, "explain."+lang+".txt", got)
		checkLines(t, string(got))
	}
}

func TestChecksDoc(t *testing.T) {
	got := render(t, func(w io.Writer) error { return ChecksDoc(w, []*check.Check{explained}) })
	golden(t, "checks.md", got)
}

// TestEveryCheckExplains lays out the Doc of every check there is: each has
// its parts in both languages, and no word of it is lost.
func TestEveryCheckExplains(t *testing.T) {
	for _, k := range all.Checks {
		for _, lang := range []string{"en", "zh"} {
			title, parts := parseDoc(tongue(lang).docIn(k))
			if title == "" || len(parts) < 3 || parts[0].label == "" {
				t.Errorf("%s in %s: %d parts under %q", k.Name, lang, len(parts), title)
			}
			got := render(t, func(w io.Writer) error { return Explain(w, k, lang) })
			squeeze := func(s string) string { return strings.Join(strings.Fields(s), "") }
			for _, p := range parts {
				if !strings.Contains(squeeze(string(got)), squeeze(p.body)) {
					t.Errorf("%s in %s: %q is lost", k.Name, lang, p.body)
				}
			}
		}
	}
}
