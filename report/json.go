package report

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"unicode"

	"github.com/plumbnet/plumb/check"
	"github.com/plumbnet/plumb/diagnose"
	"github.com/plumbnet/plumb/snapshot"
	"github.com/plumbnet/plumb/text"
)

// Schema names the form of the JSON reports. Fields are added to it, never changed or taken away.
const Schema = "plumb.report/v1"

// JSON writes a diagnosis in the schema that schema.md describes.
func JSON(w io.Writer, r *diagnose.Report, o Options) error {
	j := jsoner{o.Lang, r}
	v := jsonDiagnosis{
		Schema: Schema, Kind: "diagnosis",
		Ask:    jsonAsk{Source: r.Ask.Src, Destination: askedDest(r), Proto: askedProto(r), External: list(r.Ask.External)},
		Source: endpoint(r.Source), Destination: endpoint(r.Dest),
		Resolution: j.name(r.Name),
		Verdict:    r.Verdict.String(), Summary: j.text(r.Summary),
		Findings: j.findings(r.Checks.Findings), Unjudged: j.unjudged(r.Checks.Unjudged),
		ChecksRun: list(r.Checks.Ran), Gaps: j.gaps(r.Gaps),
		Traces: []jsonTrace{}, Needs: []jsonText{}, Observed: j.observed(r.Observed), Disagree: r.Disagree,
	}
	for _, l := range r.Links {
		v.Links = append(v.Links, jsonLink{l.Object, l.Verdict.String(), j.text(l.What)})
	}
	for _, t := range r.Traces {
		v.Traces = append(v.Traces, j.trace(t))
	}
	for _, n := range r.Needs {
		v.Needs = append(v.Needs, j.text(n.What))
	}
	return writeJSON(w, v)
}

// CheckJSON writes what the checks found in the schema that schema.md describes.
func CheckJSON(w io.Writer, r check.Result, gaps []snapshot.Gap, o Options) error {
	j := jsoner{lang: o.Lang}
	return writeJSON(w, jsonCheck{
		Schema: Schema, Kind: "check",
		Findings: j.findings(r.Findings), Unjudged: j.unjudged(r.Unjudged),
		ChecksRun: list(r.Ran), Gaps: j.gaps(gaps),
	})
}

// writeJSON writes v so that not even a control character that JSON allows reaches a terminal.
func writeJSON(w io.Writer, v any) error {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(v); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	_, err := io.WriteString(w, escapeControls(b.String()))
	return err
}

// escapeControls writes DEL, the C1 controls and format characters as \u escapes;
// json has escaped the others. None can stand outside of a string.
func escapeControls(s string) string {
	bad := func(r rune) bool { return r >= 0x7f && r <= 0x9f || unicode.Is(unicode.Cf, r) }
	if !strings.ContainsFunc(s, bad) {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		switch {
		case bad(r) && r > 0xffff:
			r -= 0x10000
			fmt.Fprintf(&b, `\u%04x\u%04x`, 0xd800+r>>10, 0xdc00+r&0x3ff)
		case bad(r):
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// list returns s, or an empty list: the schema has no null lists.
func list[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}

// A jsoner turns values into those of the schema.
type jsoner struct {
	lang   string
	report *diagnose.Report // nil of a check
}

func (j jsoner) text(t text.Text) jsonText {
	v := jsonText{EN: Say(t, "en")}
	if j.lang == "zh" {
		v.ZH = Say(t, "zh")
	}
	return v
}

// reason is text for a reason that is a string in English.
func (j jsoner) reason(s string) jsonText {
	v := jsonText{EN: s}
	if j.lang == "zh" {
		v.ZH = plainIn(s, "zh")
	}
	return v
}

func endpoint(e diagnose.Endpoint) jsonEndpoint {
	return jsonEndpoint{Kind: e.Kind, Name: e.Name, Node: e.Node, NetNS: e.NetNS, Addresses: list(e.Addrs), Port: e.Port}
}

func (j jsoner) findings(fs []check.Finding) []jsonFinding {
	out := []jsonFinding{}
	for _, f := range fs {
		out = append(out, jsonFinding{
			Check: f.Check, Severity: severityNames[f.Severity], Where: f.Where, Also: f.Also, OnPath: f.OnPath, What: j.text(f.What),
			Fix:      jsonFix{What: j.text(f.Fix.What), Commands: list(f.Fix.Commands)},
			Evidence: list(f.Evidence), Consequences: j.findings(f.Consequences),
		})
	}
	return out
}

func (j jsoner) unjudged(us []check.Unjudged) []jsonUnjudged {
	out := []jsonUnjudged{}
	for _, u := range us {
		out = append(out, jsonUnjudged{Check: u.Check, Where: u.Where, Why: j.reason(u.Why)})
	}
	return out
}

func (j jsoner) gaps(gs []snapshot.Gap) []jsonGap {
	out := []jsonGap{}
	for _, g := range gs {
		out = append(out, jsonGap{Path: g.Path, Why: j.reason(g.Why)})
	}
	return out
}
