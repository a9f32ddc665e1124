package report

import (
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/plumbnet/plumb/check"
	"github.com/plumbnet/plumb/snapshot"
	"github.com/plumbnet/plumb/text"
)

// CheckText writes what the checks found for a terminal, root causes first.
func CheckText(w io.Writer, r check.Result, gaps []snapshot.Gap, o Options) error {
	t := textReport{newPrinter(o), tongue(o.Lang), o.Verbose, judge{}, new(bool)}
	t.findings(r, false, nil)
	t.tally(r)
	t.missing(missingOf(nil, r.Unjudged, gaps))
	return t.flush(w)
}

// parts are findings grouped for a reader.
type parts struct {
	path  []check.Finding // what the path dies of
	wrong []check.Finding // other warnings and errors
	info  []check.Finding
}

// group divides findings, keeping their order. In a check without a path all are judged alike.
func group(fs []check.Finding) parts {
	var p parts
	for _, f := range fs {
		switch {
		case f.OnPath:
			p.path = append(p.path, f)
		case f.Severity > check.Info:
			p.wrong = append(p.wrong, f)
		default:
			p.info = append(p.info, f)
		}
	}
	return p
}

// findings prints the root causes in full, and of a diagnosis the rest in a line each.
func (t textReport) findings(r check.Result, asked bool, unexplained *way) {
	p := group(r.Findings)
	switch {
	case len(p.path) > 0:
		t.label(text.F("Root cause"))
	case unexplained != nil:
		t.label(text.F("No check explains it. It ends here:"))
		t.para("  ", "  ", plain, t.say(text.F("%s at %s", fateWords[unexplained.fail.End], unexplained.fail.At.String())))
		t.para("  ", "  ", plain, t.say(unexplained.fail.Why))
		t.put()
	}
	for i, f := range p.path {
		if i == 1 {
			t.label(text.F("Also on this path"))
		}
		t.unlessSaid(f, p.path[:i])
	}
	t.others(p.wrong, asked)
	if len(p.info) > 0 {
		t.info(p.info)
	}
}

// others prints findings that are not on the path; in full where no path was asked about.
func (t textReport) others(fs []check.Finding, asked bool) {
	if len(fs) == 0 {
		return
	}
	if asked {
		t.label(text.F("Also wrong, though not on this path"))
	}
	for i, f := range fs {
		if asked && !t.verbose && i == maxLines {
			t.put("  ", t.say(text.F("and %d more (-v lists them)", len(fs)-i)))
			break
		}
		if asked && !t.verbose {
			t.oneLine("  ", f)
			continue
		}
		t.unlessSaid(f, fs[:i])
	}
	if asked {
		t.put()
	}
}

// info prints findings that break nothing: their count, or each in a line.
func (t textReport) info(fs []check.Finding) {
	if !t.verbose {
		t.put(t.paint(dim, t.say(text.F("Notes that break nothing: %d (-v lists them)", len(fs)))))
		t.put()
		return
	}
	t.label(text.F("Notes that break nothing"))
	for _, f := range fs {
		t.oneLine("  ", f)
	}
	t.put()
}

// oneLine prints a finding in short: severity, check, place, sentence.
func (t textReport) oneLine(indent string, f check.Finding) {
	head := indent + severityMark(f.Severity) + " " + clean(f.Check) + "  "
	t.para(head, indent+"    ", plain, t.where(wheres(f))+t.say(text.F(": "))+t.say(f.What))
}

func severityMark(s check.Severity) string {
	return map[check.Severity]string{check.Info: "i", check.Warning: "!", check.Error: "✗"}[s]
}

func severityStyle(s check.Severity) style {
	return map[check.Severity]style{check.Info: plain, check.Warning: yellow, check.Error: red}[s]
}

// finding prints a finding in full.
func (t textReport) finding(f check.Finding) {
	head := severityMark(f.Severity) + " " + t.say(severityWords[f.Severity]) + " " + clean(f.Check)
	t.headed(severityStyle(f.Severity), "  "+head+"  ", "    ", plain, t.where(wheres(f)))
	t.para("    ", "    ", bold, t.say(f.What))
	t.fix(f)
	for _, e := range f.Evidence {
		t.evidence(e)
	}
	t.consequences(f.Consequences)
	t.put()
}

// unlessSaid prints a finding in full, or in a line where one before it has the same cure and evidence.
func (t textReport) unlessSaid(f check.Finding, before []check.Finding) {
	if !slices.ContainsFunc(before, func(b check.Finding) bool { return sameCure(b, f) }) {
		t.finding(f)
		return
	}
	t.oneLine("  ", f)
	t.put("      ", t.say(text.F("The fix and the evidence are those above.")))
	t.put()
}

// sameCure reports whether two findings are of one fault: the same check finds
// them at the same place, by the same evidence, and they have the same cure.
func sameCure(a, b check.Finding) bool {
	return a.Check == b.Check && a.Where == b.Where && a.Fix.What.String() == b.Fix.What.String() &&
		slices.Equal(a.Fix.Commands, b.Fix.Commands) && slices.Equal(a.Evidence, b.Evidence) &&
		len(a.Evidence) > 0 && len(b.Consequences) == 0
}

// fix prints a cure, its commands unbroken so that they can be pasted.
func (t textReport) fix(f check.Finding) {
	if what := t.say(f.Fix.What); what != "" {
		t.headed(green, "    "+t.say(text.F("Fix: ")), "      ", plain, what)
	}
	for _, c := range commands(f) {
		if c.on != "" {
			t.put("      ", t.say(text.F("on %s:", c.on)))
		}
		t.put("      ", t.paint(cyan, "$ "+clean(c.text)))
	}
}

// A command is one of a fix, and the node to run it on where that has to be said.
type command struct{ on, text string }

// commands lists those of a fix. What is not kubectl's runs on the node that the finding is about.
func commands(f check.Finding) (out []command) {
	on := nodeOf(f)
	for _, c := range f.Fix.Commands {
		if strings.HasPrefix(c, "kubectl ") {
			out = append(out, command{text: c})
			continue
		}
		out = append(out, command{on, c})
		on = ""
	}
	return out
}

// nodeOf returns the node whose state a finding is about, or all of several, or "".
func nodeOf(f check.Finding) string {
	name, _, _ := strings.Cut(f.Where, "/")
	for _, e := range f.Evidence {
		if strings.HasPrefix(e.File, "nodes/"+name+"/") {
			return several(append([]string{f.Where}, f.Also...), func(s string) string { node, _, _ := strings.Cut(s, "/"); return node })
		}
	}
	return ""
}

// wheres names the places of a finding.
func wheres(f check.Finding) string {
	return several(append([]string{f.Where}, f.Also...), func(s string) string { return s })
}

// maxPlaces bounds the places that are named of a finding about many; JSON has all.
const maxPlaces = 8

// several lists places, each one once.
func several(places []string, name func(string) string) string {
	var out []string
	for _, p := range places {
		if n := name(p); !slices.Contains(out, n) {
			out = append(out, n)
		}
	}
	if len(out) > maxPlaces {
		out = append(out[:maxPlaces], "…")
	}
	return strings.Join(out, ", ")
}

// evidence prints where a statement can be checked: the file and line, what is there, and the command that shows it.
func (t textReport) evidence(e snapshot.Evidence) {
	t.para("    "+t.say(text.F("Evidence: ")), "      ", plain, place(e))
	if s := clean(e.Text); s != "" {
		t.para("      │ ", "      │   ", dim, s)
	}
	if e.Command != "" {
		t.put("      ", t.paint(dim, "$ "+clean(e.Command)))
	}
}

// place prints "file:line".
func place(e snapshot.Evidence) string {
	if e.Line == 0 {
		return clean(e.File)
	}
	return clean(e.File) + ":" + strconv.Itoa(e.Line)
}

// consequences prints what follows from a finding, folded: the count, then a line each.
func (t textReport) consequences(fs []check.Finding) {
	all := flatten(fs, nil)
	if len(all) == 0 {
		return
	}
	t.put("    ", t.say(text.F("It explains (%d):", len(all))))
	for i, f := range all {
		if i == maxLines && !t.verbose {
			t.put("      ", t.say(text.F("and %d more (-v lists them)", len(all)-i)))
			return
		}
		t.oneLine("      ", f)
	}
}

// flatten lists findings and all that follows from them.
func flatten(fs []check.Finding, out []check.Finding) []check.Finding {
	for _, f := range fs {
		out = flatten(f.Consequences, append(out, f))
	}
	return out
}

// tally prints the counts of a check without a path.
func (t textReport) tally(r check.Result) {
	var n [3]int
	for _, f := range flatten(r.Findings, nil) {
		n[min(int(f.Severity), 2)]++
	}
	st, mark := green, "✓"
	line := text.F("nothing wrong; checks that ran: %d", len(r.Ran))
	if n[2]+n[1] > 0 {
		st, mark = red, "✗"
		line = text.F("errors: %d, warnings: %d, notes: %d; checks that ran: %d", n[2], n[1], n[0], len(r.Ran))
	} else if len(r.Unjudged) > 0 {
		st, mark = yellow, "?"
		line = text.F("cannot tell: nothing was found, but not all could be judged")
	}
	t.put(t.paint(st, mark+" "+t.say(line)))
	t.put()
}

// list prints n rows, the first few only unless all are asked for.
func (t textReport) list(n int, row func(int)) {
	for i := range n {
		if i == maxLines && !t.verbose {
			t.put("  ", t.say(text.F("and %d more (-v lists them)", n-i)))
			break
		}
		row(i)
	}
	if n > 0 {
		t.put()
	}
}
