package report

import (
	"cmp"
	"io"
	"strings"

	"github.com/plumbnet/plumb/diagnose"
	"github.com/plumbnet/plumb/text"
)

// Text writes a diagnosis for a terminal: the ways as a person would draw them,
// then the verdict, the root cause, its cure and its evidence, then what was not known.
func Text(w io.Writer, r *diagnose.Report, o Options) error {
	t := textReport{newPrinter(o), tongue(o.Lang), o.Verbose, judge{r}, new(bool)}
	t.ask(r)
	t.name(r)
	t.links(r)
	t.ways(r)
	t.verdict(r)
	t.probes(r)
	if len(r.Traces) == 0 && len(r.Checks.Findings) > 0 {
		t.label(text.F("What is wrong")) // it may be the cause or not: there is no path to tell
	}
	t.findings(folded(r), len(r.Traces) > 0, noCause(r))
	t.missing(missingOf(r.Needs, r.Checks.Unjudged, r.Gaps))
	return t.flush(w)
}

// A textReport prints the parts of a report.
type textReport struct {
	*printer
	tongue
	verbose bool
	judge   judge
	drew    *bool // a request has been drawn
}

// ask prints what was asked: source, destination, protocol.
func (t textReport) ask(r *diagnose.Report) {
	line := text.F("%s → %s", r.Ask.Src, r.Ask.Dst)
	if p := askedProto(r); p != "" {
		line = text.F("%s → %s, %s", r.Ask.Src, askedDest(r), p)
	}
	t.para("", "  ", bold, t.say(line))
	t.put()
}

// links prints how the objects send a request on.
func (t textReport) links(r *diagnose.Report) {
	for _, l := range r.Links {
		body := t.say(l.What)
		if l.Object != "" {
			body = clean(l.Object) + t.say(text.F(": ")) + body
		}
		t.para("  "+verdictMarks[l.Verdict]+" ", "      ", plain, body)
	}
	if len(r.Links) > 0 {
		t.put()
	}
}

// askedDest is the destination as it was asked for, with the port that -p named.
func askedDest(r *diagnose.Report) string {
	if r.Ask.Port == "" || strings.HasSuffix(r.Ask.Dst, ":"+r.Ask.Port) {
		return r.Ask.Dst
	}
	if strings.Contains(r.Ask.Dst, ":") && r.Dest.Kind == "address" {
		return "[" + r.Ask.Dst + "]:" + r.Ask.Port
	}
	return r.Ask.Dst + ":" + r.Ask.Port
}

// askedProto is the protocol that was traced, or that was asked for.
func askedProto(r *diagnose.Report) string {
	if len(r.Traces) > 0 && r.Traces[0].Result.Query.Proto != 0 {
		return r.Traces[0].Result.Query.Proto.String()
	}
	return r.Ask.Proto
}

// ways prints every trace: one way of each telling fate drawn, the others a line each.
func (t textReport) ways(r *diagnose.Report) {
	all := ways(r)
	pick := drawn(all, t.verbose)
	for i, tr := range r.Traces {
		st := verdictStyle(tr.Verdict)
		t.heading(st, verdictMarks[tr.Verdict]+" "+t.say(text.F("%s: %s", tr.Title, verdictWords[tr.Verdict])))
		lines := 0
		for j, w := range all {
			switch {
			case w.trace != i:
			case pick[j]:
				t.draw(w)
			case lines < maxLines || t.verbose:
				lines++
				t.wayLine(w)
			default:
				lines++
			}
		}
		if lines > maxLines && !t.verbose {
			t.put("  ", t.say(text.F("and %d more ways (-v lists them)", lines-maxLines)))
		}
		t.put()
	}
}

// maxLines bounds the ways that are listed under a trace, and the findings in a list.
const maxLines = 8

// wayLine prints one way that is not drawn.
func (t textReport) wayLine(w way) {
	body := clean(strings.Join(chain(w.path), " → ")) + t.say(text.F(": ")) + t.say(w.outcome())
	if w.path.Weight < whole {
		body = t.say(text.F("%s of connections", percent(w.path.Weight))) + "  " + body
	}
	t.para("  "+verdictMarks[w.verdict]+" ", "      ", plain, body)
}

// verdict prints the verdict and its sentence.
func (t textReport) verdict(r *diagnose.Report) {
	word := strings.ToUpper(t.say(verdictWords[r.Verdict]))
	head := verdictMarks[r.Verdict] + " " + word
	t.headed(verdictStyle(r.Verdict), head+"  ", strings.Repeat(" ", width(head)+2), bold, t.say(r.Summary))
	t.put()
}

func verdictStyle(v diagnose.Verdict) style {
	switch v {
	case diagnose.Works:
		return green
	case diagnose.Broken:
		return red
	}
	return yellow
}

// noCause returns the failing way that no finding explains, or nil.
func noCause(r *diagnose.Report) *way {
	if len(r.Checks.Findings) > 0 && r.Checks.Findings[0].OnPath {
		return nil
	}
	for _, w := range ways(r) {
		if w.verdict == diagnose.Broken || w.verdict == diagnose.Partly {
			return &w
		}
	}
	return nil
}

// label prints a small title above a part of the report.
func (t textReport) label(s text.Text) { t.put(t.paint(bold, t.say(s))) }

// where prints a place, or the word for all of the cluster.
func (t textReport) where(s string) string {
	return clean(cmp.Or(s, t.say(text.F("the cluster"))))
}
