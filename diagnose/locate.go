package diagnose

import (
	"slices"
	"strings"
	"time"

	"github.com/plumbnet/plumb/packet"
	"github.com/plumbnet/plumb/snapshot"
	"github.com/plumbnet/plumb/text"
	"github.com/plumbnet/plumb/trace"
)

// A Point is a place on a predicted way that counts packets: a device, one way, or a rule.
type Point struct {
	Place    trace.Place
	Evidence snapshot.Evidence
	Counted  uint64 // while the probes were sent; other packets may be among them

	dev string // of a device; "" of a rule
	out bool   // it sends
}

// A Location says where on the predicted way probes were seen last.
type Location struct {
	Sent   int
	Took   int       // how many of them entered the branch that Points follow, where the predicted way branches; else Sent
	Points []Point   // that count, in the order of the way; behind the first that did not see all, none
	Last   int       // index of the last point that surely saw them all, -1 for none
	First  int       // index of the first that surely did not, -1 for none
	Back   bool      // the points are those of the answer
	What   text.Text // one sentence
}

// Probes to locate by: more than one, so that a stray packet is told from them, and soon over.
const (
	locateCount   = 5
	locateTimeout = 300 * time.Millisecond
)

// LocateAsk returns what is sent while counters are compared.
func (p *ProbePlan) LocateAsk() snapshot.ProbeAsk {
	a := p.Ask()
	a.Count, a.Timeout = locateCount, locateTimeout
	return a
}

// Differing returns the index of the plan to locate by: the first whose probes were lost,
// contrary to the prediction; -1 for none.
func (r *Report) Differing() int {
	return slices.IndexFunc(r.Observed, func(o Observation) bool { return o.Agreement == Differs && o.Probe.Answered < o.Probe.Sent })
}

// Places returns the namespaces that the predicted ways of a plan pass, those of the answers too.
func (p *ProbePlan) Places() (out []Want) {
	var walk func(ps []trace.Path)
	walk = func(ps []trace.Path) {
		for i := range ps {
			for _, h := range ps[i].Hops {
				out = addPlace(out, h)
			}
			walk(ps[i].Reply)
		}
	}
	walk(p.result.Paths)
	return out
}

func addPlace(list []Want, h trace.Hop) []Want {
	if h.Node == "" {
		return list
	}
	at := slices.IndexFunc(list, func(w Want) bool { return w.Node == h.Node })
	if at < 0 {
		at = len(list)
		list = append(list, Want{Node: h.Node, Pods: []string{}})
	}
	if h.Pod != "" && !slices.Contains(list[at].Pods, h.Pod) {
		list[at].Pods = append(list[at].Pods, h.Pod)
	}
	return list
}

// Locate notes on the observation of a plan where its probes were seen last: probe is what came
// of those that were sent between the two moments of the counters.
func (r *Report) Locate(i int, plan ProbePlan, before, after snapshot.Counters, probe snapshot.Probe) {
	if i < 0 || i >= len(r.Observed) || probe.Sent == 0 {
		return
	}
	l := locate(plan.result.Paths, before, after, probe)
	for i := range l.Points {
		if p := &l.Points[i]; p.dev != "" {
			p.Evidence.Command = r.prefix(p.Place) + p.Evidence.Command
		}
	}
	r.Observed[i].Location = &l
}

// prefix returns what a person puts before a command to run it in the namespace of a place.
func (r *Report) prefix(at trace.Place) string {
	for _, ns := range r.network.NS {
		if ns.Node.Name == at.Node && ns.Name == at.NetNS {
			return ns.Prefix()
		}
	}
	return ""
}

func locate(paths []trace.Path, before, after snapshot.Counters, probe snapshot.Probe) Location {
	l := Location{Sent: probe.Sent, Took: probe.Sent, Last: -1, First: -1}
	if probe.Answered == probe.Sent {
		l.What = text.F("%d more were all answered: where the others were lost cannot be told", probe.Sent)
		return l
	}
	l.follow(paths, before, after)
	if l.First < 0 && len(paths) == 1 && len(paths[0].Reply) > 0 {
		back := Location{Sent: probe.Sent, Took: probe.Sent, Last: -1, First: -1, Back: true}
		if back.follow(paths[0].Reply, before, after); back.First >= 0 {
			l = back
		}
	}
	l.What = l.say(probe)
	return l
}

// follow compares the counts along the ways: first where all go, then along each branch. What
// enters a branch is what its first point counts; a branch that nothing enters was not taken.
func (l *Location) follow(paths []trace.Path, before, after snapshot.Counters) {
	var ways [][]Point
	for i := range paths {
		ways = append(ways, counted(pointsOf(&paths[i]), before, after))
	}
	n := common(ways)
	if len(ways) == 0 || l.judge(ways[0][:n], uint64(l.Sent)) {
		return
	}
	trunk := *l
	for _, w := range ways {
		if n == len(w) || w[n].Counted == 0 {
			continue
		}
		branch := trunk
		branch.Points = slices.Clone(trunk.Points)
		branch.Took = int(min(w[n].Counted, uint64(l.Sent)))
		if branch.judge(w[n:], uint64(branch.Took)) {
			*l = branch
			return
		}
	}
}

// judge appends points up to the first that surely did not see all; it reports whether there is one.
func (l *Location) judge(points []Point, want uint64) bool {
	for _, p := range points {
		l.Points = append(l.Points, p)
		switch {
		case p.Counted < want:
			l.First = len(l.Points) - 1
			return true
		case p.Counted == want:
			l.Last = len(l.Points) - 1
		}
	}
	return false
}

// common returns how many points all ways begin with.
func common(ways [][]Point) int {
	if len(ways) == 0 {
		return 0
	}
	n := len(ways[0])
	for _, w := range ways[1:] {
		n = min(n, len(w))
		for i := range n {
			if !w[i].same(ways[0][i]) {
				n = i
				break
			}
		}
	}
	return n
}

func (p Point) same(o Point) bool {
	return p.Place == o.Place && p.dev == o.dev && p.out == o.out && p.Evidence.Text == o.Evidence.Text
}

// counted keeps the points whose counts are known at both moments, and fills in what they counted between them.
func counted(points []Point, before, after snapshot.Counters) (out []Point) {
	for _, p := range points {
		a, ok := p.read(&before)
		b, ok2 := p.read(&after)
		if !ok || !ok2 || b < a {
			continue
		}
		p.Counted = b - a
		out = append(out, p)
	}
	return out
}

func (p *Point) read(c *snapshot.Counters) (uint64, bool) {
	if p.dev == "" {
		return c.Rule(p.Evidence)
	}
	s, ok := c.Link("nodes/"+p.Place.Node+"/"+p.Place.NetNS, p.dev)
	if p.out {
		return s.TX.Packets, ok
	}
	return s.RX.Packets, ok
}

// ruleStages are those in which rules decide.
var ruleStages = map[trace.Stage]bool{trace.StagePrerouting: true, trace.StageInput: true, trace.StageForward: true, trace.StageOutput: true, trace.StagePostrouting: true}

// pointsOf lists what may count along a path, in order: the device by which a packet comes, rules, tunnels and the
// bridge on the way, and the device by which it goes.
func pointsOf(path *trace.Path) (out []Point) {
	for i := range path.Hops {
		h := &path.Hops[i]
		at := trace.Place{Node: h.Node, NetNS: h.NetNS}
		link := func(dev string, tx bool) {
			p := devicePoint(at, dev, tx)
			if dev != "" && dev != "lo" && (len(out) == 0 || !out[len(out)-1].same(p)) {
				out = append(out, p)
			}
		}
		link(h.In, false)
		for j := range h.Steps {
			s := &h.Steps[j]
			switch {
			case ruleStages[s.Stage]:
				out = append(out, rulePoints(at, s)...)
			case s.Stage == trace.StageDecap:
				link(s.Link, false)
			case s.Stage == trace.StageBridge && s.What.Format == "bridge %s takes the frame for %s itself":
				link(s.Link, false)
			case s.Stage == trace.StageNeighbour && s.What.Format != "the frame stays on bridge %s, to %s at %s":
				link(s.Link, true)
			}
		}
		link(h.Out, true)
	}
	return out
}

func devicePoint(at trace.Place, dev string, tx bool) Point {
	at.Link = dev
	e := snapshot.Evidence{File: "nodes/" + at.Node + "/" + at.NetNS + "/addr.json", Command: "ip -s link show dev " + dev}
	return Point{Place: at, Evidence: e, dev: dev, out: tx}
}

// rulePoints are the rules that a step quotes.
func rulePoints(at trace.Place, s *trace.Step) (out []Point) {
	for _, e := range s.Evidence() {
		base := e.File[strings.LastIndexByte(e.File, '/')+1:]
		if strings.Contains(e.Command, " -S ") {
			e.Command += " -v" // with counts
		}
		if base == "nft.json" || strings.Contains(base, "tables") {
			out = append(out, Point{Place: at, Evidence: e})
		}
	}
	return out
}

// Name says what a point is: "node-a/host/eth0, sending", or the rule.
func (p *Point) Name() text.Text {
	switch {
	case p.dev == "":
		return text.F("%s by %s", p.Place.String(), p.Evidence.Text)
	case p.out:
		return text.F("%s as sent", p.Place.String())
	}
	return text.F("%s as received", p.Place.String())
}

// say puts a location into a sentence.
func (l *Location) say(probe snapshot.Probe) text.Text {
	what := text.F("of %d more probes", l.Sent)
	switch {
	case l.Back:
		what = text.F("of the answers to %d more probes", l.Sent)
	case l.Took < l.Sent:
		what = text.F("of the %d of %d more probes that went this way", l.Took, l.Sent)
	}
	if probe.Proto == packet.UDP && probe.Answered > 0 || len(l.Points) == 0 {
		return text.F("nothing on the predicted way counts packets: where they are lost cannot be told")
	}
	switch {
	case l.First < 0 && l.Last < 0:
		return text.F("%s every counter on the predicted way counts as many or more: other packets pass there too, and where they are lost cannot be told", what)
	case l.First < 0:
		return text.F("%s all were seen on the predicted way as far as it counts, last at %s", what, l.Points[l.Last].Name())
	case l.First == 0:
		return text.F("%s %d were seen at %s, the first point that counts: they are lost before", what, l.Points[0].Counted, l.Points[0].Name())
	case l.Last < 0:
		before := &l.Points[l.First-1]
		return text.F("%s %d were seen at %s: they are lost before; %s counts %d packets, others among them", what, l.Points[l.First].Counted, l.Points[l.First].Name(), before.Name(), before.Counted)
	case l.First-l.Last > 1:
		return text.F("%s all were seen at %s, %d at %s: they are lost between the two, where the points count other packets too", what, l.Points[l.Last].Name(), l.Points[l.First].Counted, l.Points[l.First].Name())
	}
	return text.F("%s all were seen at %s, %d at %s: they are lost between the two", what, l.Points[l.Last].Name(), l.Points[l.First].Counted, l.Points[l.First].Name())
}
