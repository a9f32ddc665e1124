package report

import (
	"cmp"
	"slices"

	"github.com/plumbnet/plumb/diagnose"
	"github.com/plumbnet/plumb/text"
	"github.com/plumbnet/plumb/trace"
)

// A way is one path of one trace, and what it came to.
type way struct {
	trace   int // index in the report
	path    trace.Path
	verdict diagnose.Verdict
	fail    trace.Path // the path that tells the verdict: the request's, or the answer's
	reply   bool       // fail is the answer's
}

// fate is what two ways share if one of them need not be drawn.
type fate struct {
	verdict diagnose.Verdict
	end     trace.Fate
	at      trace.Place
	reply   bool
}

func (w way) fate() fate {
	if w.verdict == diagnose.Works {
		return fate{verdict: w.verdict}
	}
	return fate{w.verdict, w.fail.End, w.fail.At, w.reply}
}

// ways lists all paths of a report, in its order.
func ways(r *diagnose.Report) []way {
	var out []way
	for i, t := range r.Traces {
		for _, p := range t.Result.Paths {
			out = append(out, newWay(r, i, p))
		}
	}
	return out
}

func newWay(r *diagnose.Report, i int, p trace.Path) way {
	w := way{trace: i, path: p, verdict: r.Judge(p), fail: p}
	if len(p.Reply) == 0 {
		return w
	}
	w.fail, w.reply = p.Reply[0], true
	for _, b := range p.Reply {
		if r.Judge(b) == diagnose.Broken {
			w.fail = b
			break
		}
		if b.End != trace.Delivered && w.fail.End == trace.Delivered {
			w.fail = b
		}
	}
	return w
}

// The most ways that are drawn in full where not all are asked for.
const maxDrawn = 3

// drawn chooses the ways to draw: one of each distinct fate, and only of the
// worst verdict that there is. All of them, if all is set.
func drawn(ws []way, all bool) map[int]bool {
	pick := map[int]bool{}
	rank := map[diagnose.Verdict]int{diagnose.Broken: 0, diagnose.Partly: 1, diagnose.CannotTell: 2, diagnose.Works: 3}
	order := make([]int, len(ws))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(rank[ws[a].verdict], rank[ws[b].verdict]) })
	seen := map[fate]bool{}
	for _, i := range order {
		if all {
			pick[i] = true
			continue
		}
		worst := ws[order[0]].verdict
		bad := worst == diagnose.Broken || worst == diagnose.Partly
		same := ws[i].verdict == worst || bad && ws[i].verdict == diagnose.Partly
		if f := ws[i].fate(); same && !seen[f] && len(pick) < maxDrawn {
			seen[f] = true
			pick[i] = true
		}
	}
	return pick
}

// outcome says in a few words what a way came to.
func (w way) outcome() text.Text {
	word := fateWords[w.fail.End]
	switch {
	case w.verdict == diagnose.Works && w.fail.End == trace.TooBig:
		return text.F("too big at %s; its sender is told, and sends smaller ones", w.fail.At.String())
	case w.verdict == diagnose.Works && w.reply:
		return text.F("delivered, and the answer comes back")
	case w.verdict == diagnose.Partly && w.fail.End == trace.Delivered:
		return text.F("delivered, but not on every connection")
	case w.path.End == trace.Delivered && !w.reply:
		return text.F("delivered")
	case w.reply && w.path.End == trace.LeftCluster:
		return text.F("left the cluster; the answer: %s at %s", word, w.fail.At.String())
	case w.verdict == diagnose.Works || w.path.End == trace.LeftCluster && w.verdict == diagnose.CannotTell:
		return word
	case w.reply:
		return text.F("delivered, but the answer: %s at %s", word, w.fail.At.String())
	}
	return text.F("%s at %s", word, w.fail.At.String())
}

// chain lists the stops of a path: Pods by name, else nodes; with the tunnel between two nodes.
func chain(p trace.Path) []string {
	var out []string
	inTunnel := false
	for _, s := range sketch(p, false) {
		name := cmp.Or(s.Pod, s.Node, "outside")
		if s.NetNS == "host" {
			name = s.Node
		}
		if len(out) > 0 && s.depth > 0 && !inTunnel {
			out = append(out, "("+tunnel(s.came)+")")
		}
		inTunnel = s.depth > 0
		if len(out) == 0 || out[len(out)-1] != name {
			out = append(out, name)
		}
	}
	return out
}

// whole is the share that is printed as all: rounding would print 100 %.
const whole = 0.9995

// percent prints a share of all connections; a small one is not rounded away.
func percent(w float64) text.Text {
	switch {
	case w >= whole:
		return text.F("all")
	case w > 0 && w < 0.001:
		return text.F("under 0.1 %%")
	}
	return text.F("%s %%", trimFloat(w*100))
}
