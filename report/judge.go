package report

import (
	"slices"

	"github.com/plumbnet/plumb/check"
	"github.com/plumbnet/plumb/diagnose"
	"github.com/plumbnet/plumb/packet"
	"github.com/plumbnet/plumb/text"
	"github.com/plumbnet/plumb/trace"
)

// A judge knows what a report made of its paths, so that a drawing says the same
// as the verdict: a packet that left the cluster is lost where a check knows so.
type judge struct{ *diagnose.Report }

// end says what the end of a path comes to, its answer left out.
func (j judge) end(p trace.Path) diagnose.Verdict {
	p.Reply = nil
	return j.Judge(p)
}

// ending says in a few words how a path ends, as the last line of its drawing.
func (j judge) ending(p trace.Path, word string) text.Text {
	switch v := j.end(p); {
	case v == diagnose.Broken:
		return text.F("DIES HERE: %s at %s", word, p.At.String())
	case v == diagnose.Works && p.End == trace.TooBig:
		return text.F("%s at %s; its sender is told, and sends smaller ones", word, p.At.String())
	case v == diagnose.Partly:
		return text.F("%s at %s, but not on every connection", word, p.At.String())
	}
	return text.F("%s at %s", word, p.At.String())
}

// notice says what became of the message that tells a sender of its packet's end.
func notice(e trace.Path) text.Text {
	reset := e.Final.Proto == packet.TCP
	switch {
	case e.End == trace.Delivered && reset:
		return text.F("the refusal (TCP RST) reaches the sender")
	case e.End == trace.Delivered:
		return text.F("the error message (ICMP) reaches the sender")
	case fateMark(e.End) == "?" && reset:
		return text.F("whether the refusal (TCP RST) reaches the sender is not known: %s at %s", fateWords[e.End], e.At.String())
	case fateMark(e.End) == "?":
		return text.F("whether the error message (ICMP) reaches the sender is not known: %s at %s", fateWords[e.End], e.At.String())
	case reset:
		return text.F("the refusal (TCP RST) never reaches the sender: %s at %s", fateWords[e.End], e.At.String())
	}
	return text.F("the error message (ICMP) never reaches the sender: %s at %s", fateWords[e.End], e.At.String())
}

// folded returns what the checks found without the findings that only repeat what
// the end of a drawn path says, where another finding explains them.
func folded(r *diagnose.Report) check.Result {
	says := map[string]bool{}
	for _, w := range ways(r) {
		if w.verdict != diagnose.Works && w.fail.End != trace.LeftCluster {
			says[w.fail.At.String()] = true
		}
	}
	out := r.Checks
	out.Findings = fold(out.Findings, says)
	return out
}

// fold takes the repetitions out of the consequences of fs.
func fold(fs []check.Finding, says map[string]bool) []check.Finding {
	fs = slices.Clone(fs)
	for i := range fs {
		kept := slices.DeleteFunc(slices.Clone(fs[i].Consequences), func(c check.Finding) bool {
			return c.Check == check.PathBroken && says[c.Where] && len(c.Consequences) == 0
		})
		fs[i].Consequences = fold(kept, says)
	}
	return fs
}
