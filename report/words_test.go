package report

import (
	"encoding/json"
	"io"
	"strings"
	"testing"

	"github.com/plumbnet/plumb/check"
	"github.com/plumbnet/plumb/diagnose"
	"github.com/plumbnet/plumb/snapshot"
	"github.com/plumbnet/plumb/text"
	"github.com/plumbnet/plumb/trace"
)

// TestNoNamesOfCode wants words, not the names of constants, wherever a fate is said.
func TestNoNamesOfCode(t *testing.T) {
	r := sampleNoEndpoints()
	r.Checks.Findings[0].What = text.F("the packet %s ends here (%s): %s", "tcp a > b", trace.NoListener, text.F("%s at %s", trace.LeftCluster, "x"))
	for name, write := range map[string]func(io.Writer) error{
		"text": func(w io.Writer) error { return Text(w, r, Options{}) },
		"page": func(w io.Writer) error { return HTML(w, r, Options{}) },
		"JSON": func(w io.Writer) error { return JSON(w, r, Options{Lang: "zh"}) },
	} {
		got := string(render(t, write))
		if !strings.Contains(got, "ends here (nothing listens)") || strings.Contains(got, "(no-listener)") {
			t.Errorf("%s says a fate by its name", name)
		}
	}
}

// TestShareWords keeps a small share from reading as none, and a large one as all.
func TestShareWords(t *testing.T) {
	for _, row := range []struct {
		share  float64
		en, zh string
	}{
		{1, "all of connections", "全部 的连接"},
		{0.9994, "99.9 % of connections", "99.9 % 的连接"},
		{1.0 / 3, "33.3 % of connections", "33.3 % 的连接"},
		{0.5, "50 % of connections", "50 % 的连接"},
		{0.0001, "under 0.1 % of connections", ""},
	} {
		s := text.F("%s of connections", percent(row.share))
		if got := Say(s, "en"); got != row.en {
			t.Errorf("%v: %q, want %q", row.share, got, row.en)
		}
		if got := Say(s, "zh"); got != row.zh && row.zh != "" {
			t.Errorf("%v: %q, want %q", row.share, got, row.zh)
		}
	}
}

// TestNothingFollowed shows what the checks found in full where there is no path that it could be on or off.
func TestNothingFollowed(t *testing.T) {
	r := sampleMTU()
	r.Traces, r.Verdict, r.Summary = nil, diagnose.Broken, text.F("%s has no address", "shop/web-0")
	for i := range r.Checks.Findings {
		r.Checks.Findings[i].OnPath = false
	}
	got := string(render(t, func(w io.Writer) error { return Text(w, r, Options{}) }))
	for _, want := range []string{"✗ BROKEN  shop/web-0 has no address", "\nWhat is wrong\n", "Fix: lower flannel.1 to 1350"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	if strings.Contains(got, "not on this path") || strings.Contains(got, "Root cause") {
		t.Errorf("it speaks of a path:\n%s", got)
	}
}

// TestHostileNames puts a hostile name into every string of a finding and of a gap, in both languages and all forms.
func TestHostileNames(t *testing.T) {
	const evil = "<img src=x onerror=alert(1)>\x1b[31m\u202e"
	r := sampleUnknown()
	r.Checks.Findings = []check.Finding{{
		Check: evil, Where: evil, Severity: check.Error, What: text.F("%s is down", evil), OnPath: true,
		Fix:      check.Fix{What: text.F("%s is down", evil), Commands: []string{"ip link set " + evil}},
		Evidence: []snapshot.Evidence{{File: "nodes/" + evil + "/host/x", Text: evil, Command: evil}},
	}}
	r.Gaps = append(r.Gaps, snapshot.Gap{Path: evil, Why: evil})
	r.Checks.Unjudged = append(r.Checks.Unjudged, check.Unjudged{Check: evil, Where: evil, Why: evil})
	for _, lang := range []string{"en", "zh"} {
		o := Options{Lang: lang, Verbose: true}
		for name, write := range map[string]func(io.Writer) error{
			"text":       func(w io.Writer) error { return Text(w, r, o) },
			"check":      func(w io.Writer) error { return CheckText(w, r.Checks, r.Gaps, o) },
			"page":       func(w io.Writer) error { return HTML(w, r, o) },
			"check page": func(w io.Writer) error { return CheckHTML(w, r.Checks, r.Gaps, o) },
			"JSON":       func(w io.Writer) error { return JSON(w, r, o) },
			"check JSON": func(w io.Writer) error { return CheckJSON(w, r.Checks, r.Gaps, o) },
		} {
			got := string(render(t, write))
			if strings.ContainsAny(got, "\x1b\u202e") {
				t.Errorf("%s in %s: a control character", name, lang)
			}
			if strings.Contains(name, "page") && strings.Contains(got, "<img") {
				t.Errorf("%s in %s: a name is markup", name, lang)
			}
			if strings.Contains(name, "JSON") && !json.Valid([]byte(got)) {
				t.Errorf("%s in %s: not JSON", name, lang)
			}
			if !strings.Contains(got, "onerror") {
				t.Errorf("%s in %s: the name is not shown", name, lang)
			}
		}
	}
}
