package report

import (
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/plumbnet/plumb/check"
	"github.com/plumbnet/plumb/diagnose"
	"github.com/plumbnet/plumb/snapshot"
	"github.com/plumbnet/plumb/text"
)

// Missing is what is not known, each thing once, by what it would have decided.
type missing struct {
	path   []need         // the path asked about
	checks []blank        // checks, or what is not known: it was damaged, or not understood
	rest   []snapshot.Gap // nothing that was asked
}

// notCollected is the reason of a gap that is no more than a file which nobody collected.
const notCollected = "not collected"

// A need is something that bears on the verdict, and the checks that want it too.
type need struct {
	what   text.Text
	checks []string
}

// A blank is what could not be judged for one reason, and the checks that would have.
type blank struct {
	where  []string
	why    string
	checks []string
}

// missingOf sorts what is not known.
func missingOf(needs []diagnose.Need, us []check.Unjudged, gaps []snapshot.Gap) missing {
	var m missing
	told := map[snapshot.Gap]int{} // the need that tells of it
	for i, n := range needs {
		m.path = append(m.path, need{what: n.What})
		for _, g := range n.Gaps {
			told[g] = i
		}
	}
	wanted := map[snapshot.Gap]bool{}
	for _, b := range notJudged(us) {
		g := snapshot.Gap{Path: b.where[0], Why: b.why}
		wanted[g] = true
		if i, ok := told[g]; ok {
			m.path[i].checks = append(m.path[i].checks, b.checks...)
			continue
		}
		m.checks = append(m.checks, b)
	}
	for _, g := range gaps {
		if _, ok := told[g]; ok || wanted[g] {
			continue
		}
		if g.Why == notCollected {
			m.rest = append(m.rest, g)
			continue
		}
		m.checks = append(m.checks, blank{where: []string{g.Path}, why: g.Why})
	}
	m.checks = mergeBlanks(m.checks)
	for i := range m.path {
		slices.Sort(m.path[i].checks)
		m.path[i].checks = slices.Compact(m.path[i].checks)
	}
	return m
}

// missing prints what is not known.
func (t textReport) missing(m missing) {
	if len(m.path) > 0 {
		t.label(text.F("A firmer verdict would have needed"))
	}
	t.list(len(m.path), func(i int) {
		t.para("  • ", "    ", plain, t.say(m.path[i].what)+t.bracket(text.F("also for %s", t.names(m.path[i].checks)), m.path[i].checks))
	})
	if len(m.checks) > 0 {
		t.label(text.F("Could not be judged (%d)", len(m.checks)))
	}
	t.list(len(m.checks), func(i int) {
		b := m.checks[i]
		t.para("  ? ", "    ", plain, t.where(t.places(b.where))+t.say(text.F(": "))+t.plain(b.why)+t.bracket(t.names(b.checks), b.checks))
	})
	if len(m.rest) > 0 && !t.verbose {
		t.para("", "  ", dim, t.say(text.F("Absent too, though nothing here needed it: %d (-v lists them)", len(m.rest))))
		t.put()
		return
	}
	if len(m.rest) > 0 {
		t.label(text.F("Absent too, though nothing here needed it"))
	}
	t.list(len(m.rest), func(i int) {
		t.para("  ? ", "    ", plain, clean(m.rest[i].Path)+t.say(text.F(": "))+t.plain(m.rest[i].Why))
	})
}

// bracket puts s between brackets, if there are checks to speak of.
func (t textReport) bracket(s text.Text, checks []string) string {
	if len(checks) == 0 {
		return ""
	}
	return t.say(text.F(" (%s)", s))
}

// maxNames bounds the checks and places that are named where not all are asked for.
const maxNames = 3

// names lists checks: the first few, and how many more.
func (t textReport) names(checks []string) text.Text { return someOf(checks, t.verbose) }

// places lists places.
func (t textReport) places(where []string) string { return t.say(someOf(where, t.verbose)) }

// someOf lists the first few of names, or all.
func someOf(names []string, all bool) text.Text {
	if n := len(names) - maxNames; n > 1 && !all {
		return text.F("%s and %d more", strings.Join(names[:maxNames], ", "), n)
	}
	return text.F("%s", strings.Join(names, ", "))
}

// mergeGaps puts the same gap of several namespaces into one, in the order of the first: ".../ipset × 6".
func mergeGaps(gaps []snapshot.Gap) []snapshot.Gap {
	var out []snapshot.Gap
	count := map[snapshot.Gap]int{}
	key := func(g snapshot.Gap) snapshot.Gap { return snapshot.Gap{Path: path.Base(g.Path), Why: g.Why} }
	for _, g := range gaps {
		count[key(g)]++
	}
	for _, g := range gaps {
		k := key(g)
		switch n := count[k]; {
		case n == 1:
			out = append(out, g)
		case n > 1:
			out = append(out, snapshot.Gap{Path: ".../" + k.Path + " × " + strconv.Itoa(n), Why: g.Why})
			count[k] = 0
		}
	}
	return out
}

// notJudged merges what several checks could not judge for the same reason, in the order of the first.
func notJudged(us []check.Unjudged) []blank {
	var out []blank
	at := map[[2]string]int{}
	for _, u := range us {
		k := [2]string{u.Where, u.Why}
		i, ok := at[k]
		if !ok {
			i = len(out)
			at[k] = i
			out = append(out, blank{where: []string{u.Where}, why: u.Why})
		}
		out[i].checks = append(out[i].checks, u.Check)
	}
	return out
}

// mergeBlanks puts places together that the same checks could not judge for the same reason.
func mergeBlanks(bs []blank) []blank {
	var out []blank
	at := map[[2]string]int{}
	for _, b := range bs {
		k := [2]string{b.why, strings.Join(b.checks, "\n")}
		i, ok := at[k]
		if !ok {
			at[k] = len(out)
			out = append(out, b)
			continue
		}
		out[i].where = append(out[i].where, b.where...)
	}
	return out
}
