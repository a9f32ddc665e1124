package report

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"strings"

	"github.com/plumbnet/plumb/check"
	"github.com/plumbnet/plumb/diagnose"
	"github.com/plumbnet/plumb/snapshot"
	"github.com/plumbnet/plumb/text"
)

//go:embed page.html.tmpl
var pageSource string

//go:embed page.css
var pageCSS string

// HTML writes a diagnosis as one self-contained page: no network, no script.
// It shows the verdict and the root cause first, then the ways, hop by hop;
// each step opens to its evidence.
func HTML(w io.Writer, r *diagnose.Report, o Options) error {
	v := viewer{tongue(o.Lang), o.Verbose, judge{r}, clean(r.Dest.Name)}
	p := parted(v, folded(r))
	if len(p.Causes) > 1 {
		p.Causes, p.Also = p.Causes[:1], p.Causes[1:]
	}
	p.Ask = &viewAsk{From: clean(r.Ask.Src), FromNode: clean(r.Source.Node), To: clean(askedDest(r)), ToNode: clean(r.Dest.Node), Proto: clean(askedProto(r))}
	p.Title = v.say(text.F("%s → %s", r.Ask.Src, askedDest(r)))
	p.Class, p.Mark, p.Word, p.Summary = classOf[r.Verdict], verdictMarks[r.Verdict], v.say(verdictWords[r.Verdict]), v.say(r.Summary)
	if u := noCause(r); u != nil {
		e := v.end(u.fail)
		p.NoCause = &e
	}
	p.Probes = v.probes(r)
	p.Name = v.name(r)
	for _, l := range r.Links {
		p.Links = append(p.Links, viewProbe{Class: classOf[l.Verdict], Mark: verdictMarks[l.Verdict], What: clean(strings.TrimPrefix(l.Object+v.say(text.F(": "))+v.say(l.What), v.say(text.F(": "))))})
	}
	p.Traces = v.traces(r)
	v.missing(&p, missingOf(r.Needs, r.Checks.Unjudged, r.Gaps))
	return v.write(w, pageSource, p)
}

// CheckHTML writes what the checks found as one self-contained page.
func CheckHTML(w io.Writer, r check.Result, gaps []snapshot.Gap, o Options) error {
	v := viewer{tongue: tongue(o.Lang), all: o.Verbose}
	p := parted(v, r)
	p.Also, p.Wrong = append(p.Causes, p.Wrong...), nil
	p.Causes = nil
	v.missing(&p, missingOf(nil, r.Unjudged, gaps))
	p.Title = v.say(text.F("Every check over every node"))
	p.Class, p.Mark, p.Word = "good", "✓", v.say(text.F("nothing wrong"))
	p.Summary = v.say(text.F("nothing wrong; checks that ran: %d", len(r.Ran)))
	if len(r.Unjudged) > 0 {
		p.Class, p.Mark, p.Word = "unknown", "?", v.say(text.F("cannot tell"))
		p.Summary = v.say(text.F("cannot tell: nothing was found, but not all could be judged"))
	}
	if n := len(p.Also); n > 0 {
		p.Class, p.Mark, p.Word = "bad", "✗", v.say(text.F("something is wrong"))
		p.Summary = v.say(text.F("root causes: %d; checks that ran: %d", n, len(r.Ran)))
	}
	return v.write(w, pageSource, p)
}

// parted begins a page with the findings in their groups.
func parted(v viewer, r check.Result) viewPage {
	g := group(r.Findings)
	return viewPage{
		Lang: v.code(), Causes: v.findings(g.path), Wrong: v.findings(g.wrong), Notes: v.findings(g.info),
		ChecksRan: clean(strings.Join(r.Ran, ", ")),
	}
}

// write fills in a page.
func (v viewer) write(w io.Writer, source string, p any) error {
	t, err := template.New("page").Funcs(v.funcs()).Parse(source)
	if err != nil {
		return fmt.Errorf("report: %w", err)
	}
	var b strings.Builder
	if err := t.Execute(&b, p); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	_, err = io.WriteString(w, b.String())
	return err
}

// funcs are what the templates call.
func (v viewer) funcs() template.FuncMap {
	return template.FuncMap{
		"t":   func(s string) string { return v.say(text.Text{Format: s}) },
		"css": func() template.CSS { return template.CSS(pageCSS) },
	}
}
