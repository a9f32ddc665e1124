package report

import (
	"strings"

	"github.com/plumbnet/plumb/check"
	"github.com/plumbnet/plumb/diagnose"
	"github.com/plumbnet/plumb/packet"
	"github.com/plumbnet/plumb/snapshot"
	"github.com/plumbnet/plumb/text"
	"github.com/plumbnet/plumb/trace"
)

// The views are what the page shows: clean strings in one language, and the
// names of classes. The template escapes them; it decides nothing.

type viewPage struct {
	Lang, Title       string
	Ask               *viewAsk // nil: a check without a path
	Class, Mark, Word string
	Summary           string
	Causes, Also      []viewFinding
	Wrong, Notes      []viewFinding
	NoCause           *viewEnd  // where it ends, if no check explains it
	Name              *viewName // how the destination's name was resolved
	Traces            []viewTrace
	Probes            []viewProbe
	Links             []viewProbe // of a URL
	Needs             []viewNeed
	Blanks, Gaps      []viewBlank
	Dies              bool // a drawing holds the place of death
	ChecksRan         string
}

type viewAsk struct{ From, FromNode, To, ToNode, Proto string }

type viewFinding struct {
	Check, Class, Word, Where, What, Fix string
	Commands                             []viewCommand
	Evidence                             []viewEvidence
	Consequences                         []viewFinding
}

type viewEvidence struct{ Place, Text, Command string }

type viewBlank struct{ Where, Why, Checks string }

type viewNeed struct{ What, Checks string }

type viewCommand struct{ On, Text string }

type viewTrace struct {
	Title, Class, Mark, Word string
	Open                     bool
	Ways                     []viewWay
	More                     string
}

type viewWay struct {
	Share, Class, Mark, Outcome, Chain string
	Open, Drawn                        bool
	Path                               viewPath
	Replies                            []viewReply
	ICMP                               []viewLine
}

type viewReply struct {
	Title string
	Class string
	Open  bool
	Path  viewPath
}

type viewLine struct{ Class, Mark, Text, Why string }

type viewPath struct {
	Stations []viewStation
	Hops     []viewHop
	End      viewEnd
	Assumed  []string
	Missed   string // the destination, which it did not reach
}

type viewStation struct {
	Kind, Name, Sub string
	Devices         []string
	Tags            []string
	Class           string // "dead", "good", "unknown" where the path ends here
	Mark, End       string
	Wire            bool // something lies between the station before and this one
	From, To        string
	Tunnel          string
}

type viewHop struct {
	Title, Devices, Packet string
	Steps                  []viewStep
}

type viewStep struct {
	Stage, What, Change, Packet string
	Depth                       int
	Quiet, Dead, Told           bool // Told: What itself tells of NAT or of a tunnel
	Evidence                    []viewEvidence
}

type viewEnd struct{ Class, Mark, Word, At, Why string }

// A viewer makes views in a tongue.
type viewer struct {
	tongue
	all   bool
	judge judge
	dest  string // what the packet was to reach
}

// classOf are the CSS classes of the verdicts.
var classOf = map[diagnose.Verdict]string{
	diagnose.CannotTell: "unknown", diagnose.Works: "good", diagnose.Broken: "bad", diagnose.Partly: "part",
}

func fateClass(f trace.Fate) string {
	return map[string]string{"✓": "good", "✗": "bad", "?": "unknown"}[fateMark(f)]
}

func (v viewer) finding(f check.Finding) viewFinding {
	out := viewFinding{
		Check: clean(f.Check), Class: severityNames[f.Severity], Word: v.say(severityWords[f.Severity]),
		Where: clean(wheres(f)), What: v.say(f.What), Fix: v.say(f.Fix.What), Evidence: evidenceViews(f.Evidence),
	}
	for _, c := range commands(f) {
		v := viewCommand{On: v.say(text.F("on %s:", c.on)), Text: clean(c.text)}
		if c.on == "" {
			v.On = ""
		}
		out.Commands = append(out.Commands, v)
	}
	for _, c := range flatten(f.Consequences, nil) {
		c.Consequences = nil
		out.Consequences = append(out.Consequences, v.finding(c))
	}
	return out
}

func (v viewer) findings(fs []check.Finding) (out []viewFinding) {
	for _, f := range fs {
		out = append(out, v.finding(f))
	}
	return out
}

func evidenceViews(es []snapshot.Evidence) (out []viewEvidence) {
	for _, e := range es {
		out = append(out, viewEvidence{place(e), clean(e.Text), clean(e.Command)})
	}
	return out
}

// missing fills in what is not known.
func (v viewer) missing(p *viewPage, m missing) {
	for _, n := range m.path {
		p.Needs = append(p.Needs, viewNeed{v.say(n.what), v.say(someOf(n.checks, v.all))})
	}
	for _, b := range m.checks {
		p.Blanks = append(p.Blanks, viewBlank{clean(strings.Join(b.where, ", ")), v.plain(b.why), clean(strings.Join(b.checks, ", "))})
	}
	rest := m.rest
	if !v.all {
		rest = mergeGaps(rest)
	}
	for _, g := range rest {
		p.Gaps = append(p.Gaps, viewBlank{Where: clean(g.Path), Why: v.plain(g.Why)})
	}
}

func (v viewer) end(p trace.Path) viewEnd {
	e := v.judge.end(p)
	return viewEnd{classOf[e], verdictMarks[e], v.say(fateWords[p.End]), clean(p.At.String()), v.say(p.Why)}
}

// maxPages bounds the ways of one trace that the page draws, unless all are asked for.
const maxPages = 12

func (v viewer) traces(r *diagnose.Report) (out []viewTrace) {
	ws := ways(r)
	pick := drawn(ws, false)
	for i, t := range r.Traces {
		vt := viewTrace{Title: v.say(t.Title), Class: classOf[t.Verdict], Mark: verdictMarks[t.Verdict], Word: v.say(verdictWords[t.Verdict])}
		for j, w := range ws {
			if w.trace != i {
				continue
			}
			way := v.way(w, pick[j], pick[j] || v.all || len(vt.Ways) < maxPages)
			vt.Open = vt.Open || way.Open
			vt.Ways = append(vt.Ways, way)
		}
		out = append(out, vt)
	}
	return out
}

func (v viewer) way(w way, open, draw bool) viewWay {
	out := viewWay{
		Class: classOf[w.verdict], Mark: verdictMarks[w.verdict],
		Outcome: v.say(w.outcome()), Chain: clean(strings.Join(chain(w.path), " → ")), Open: open, Drawn: draw,
	}
	if w.path.Weight < whole {
		out.Share = v.say(text.F("%s of connections", percent(w.path.Weight)))
	}
	if !draw {
		return out
	}
	out.Path = v.path(w.path, false)
	for _, p := range w.path.Reply {
		title := text.F("the answer: %s", fateWords[p.End])
		if p.Weight < whole {
			title = text.F("the answer (%s of it): %s", percent(p.Weight), fateWords[p.End])
		}
		out.Replies = append(out.Replies, viewReply{v.say(title), classOf[v.judge.end(p)], v.judge.end(p) != diagnose.Works, v.path(p, true)})
		out.ICMP = append(out.ICMP, v.icmp(p)...)
	}
	out.ICMP = append(v.icmp(w.path), out.ICMP...)
	return out
}

func (v viewer) icmp(p trace.Path) (out []viewLine) {
	for _, e := range p.ICMP {
		line := viewLine{Class: fateClass(e.End), Mark: fateMark(e.End), Text: v.say(notice(e))}
		if e.End != trace.Delivered {
			line.Why = v.say(e.Why)
		}
		out = append(out, line)
	}
	return out
}

// lastSaid is the sentence of the last step of a path.
func lastSaid(p trace.Path) text.Text {
	if len(p.Hops) == 0 {
		return text.Text{}
	}
	steps := p.Hops[len(p.Hops)-1].Steps
	if len(steps) == 0 {
		return text.Text{}
	}
	return steps[len(steps)-1].What
}

func (v viewer) path(p trace.Path, reply bool) viewPath {
	out := viewPath{End: v.end(p)}
	if lastSaid(p).String() == p.Why.String() {
		out.End.Why = "" // the step above says it
	}
	dead := v.judge.end(p) == diagnose.Broken
	if dead && !reply {
		out.Missed = v.dest
	}
	stops := sketch(p, reply)
	for i, s := range stops {
		last := i == len(stops)-1
		out.Stations = append(out.Stations, v.station(stops, i, p))
		hop := viewHop{Title: v.say(s.title()), Devices: clean(strings.Join(s.devices(), " → ")), Packet: v.say(describe(s.came))}
		for _, m := range s.marks {
			hop.Steps = append(hop.Steps, v.step(m, last && m.last && dead))
		}
		out.Hops = append(out.Hops, hop)
	}
	for _, a := range p.Assumed {
		out.Assumed = append(out.Assumed, v.say(text.F("supposed: %s", a.What)))
	}
	return out
}

func (v viewer) step(m mark, dead bool) viewStep {
	s := viewStep{
		Stage: v.stage(m.Stage), What: v.say(m.What), Depth: m.depth, Quiet: !m.telling(), Dead: dead, Told: m.told(),
		Evidence: evidenceViews(m.Evidence()),
	}
	if m.Out != nil {
		s.Packet = v.packet(*m.Out, 0)
	}
	if !m.told() {
		s.Change = v.say(m.change)
	}
	return s
}

// packet describes a packet and what it carries.
func (v viewer) packet(p packet.Packet, nested int) string {
	s := v.say(describe(p))
	if depth(p) > 0 && nested < maxNested {
		s += " [" + v.packet(*p.Inner, nested+1) + "]"
	}
	return s
}

// station is a stop in the overview: its name, its devices, what it does to the packet.
func (v viewer) station(stops []stop, i int, p trace.Path) viewStation {
	s := stops[i]
	out := viewStation{Kind: "node", Name: clean(s.Node)}
	switch {
	case s.Node == "" && s.NetNS == "":
		out.Kind, out.Name = "outside", v.say(s.title())
	case s.NetNS != "host" && s.Pod != "":
		out.Kind, out.Name, out.Sub = "pod", clean(s.Pod), clean(s.Node)
	case s.NetNS != "host":
		out.Name, out.Sub = clean(s.NetNS), clean(s.Node)
	}
	for _, d := range s.devices() {
		out.Devices = append(out.Devices, clean(d))
	}
	for _, m := range s.marks {
		if tag := v.say(m.change); tag != "" {
			out.Tags = append(out.Tags, tag)
		}
	}
	if i > 0 {
		out.Wire, out.From, out.To = true, clean(stops[i-1].Out), clean(s.In)
		if s.depth > 0 {
			out.Tunnel = clean(tunnel(s.came))
		}
	}
	if i == len(stops)-1 {
		e := v.judge.end(p)
		out.Class, out.Mark, out.End = classOf[e], verdictMarks[e], v.say(fateWords[p.End])
	}
	return out
}
