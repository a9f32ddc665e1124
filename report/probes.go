package report

import (
	"slices"
	"time"

	"github.com/plumbnet/plumb/diagnose"
	"github.com/plumbnet/plumb/text"
)

// agreementMarks stand before what a probe showed.
var agreementMarks = map[diagnose.Agreement]string{diagnose.Agrees: "✓", diagnose.Differs: "✗", diagnose.NotComparable: "?"}

// probes prints what real packets showed, beside what was predicted for them.
func (t textReport) probes(r *diagnose.Report) {
	if len(r.Observed) == 0 {
		return
	}
	t.label(text.F("Real packets that were sent"))
	for i := range r.Observed {
		o := &r.Observed[i]
		t.para("  "+agreementMarks[o.Agreement]+" ", "    ", plain, clean(t.say(observed(o))))
		for _, line := range t.located(o.Location) {
			t.para("    ", "      ", plain, clean(line))
		}
	}
	t.put()
}

// observed is what a probe showed, and how it stands to the prediction.
func observed(o *diagnose.Observation) text.Text {
	if o.NotSent != "" {
		return text.F("none could be sent by %s to %s: %s", o.Probe.Proto, o.Probe.Dst, o.NotSent)
	}
	what := o.What
	if len(o.Probe.RTT) > 0 {
		what = text.F("%s, the fastest in %s", what, slices.Min(o.Probe.RTT).Round(time.Microsecond))
	}
	switch o.Agreement {
	case diagnose.Agrees:
		return text.F("as predicted: %s", what)
	case diagnose.Differs:
		return text.F("not as predicted: %s", what)
	}
	return text.F("%s; that neither confirms the prediction nor contradicts it", what)
}

// located lists where probes were seen last, and by which counters that is known.
func (v tongue) located(l *diagnose.Location) (out []string) {
	if l == nil {
		return nil
	}
	out = append(out, v.say(l.What))
	for i := range l.Points {
		if p := &l.Points[i]; i == l.Last || i == l.First {
			out = append(out, v.say(text.F("%s: %d packets for %d probes; to see it on %s: %s", p.Name(), p.Counted, l.Sent, p.Place.Node, p.Evidence.Command)))
		}
	}
	return out
}

type viewProbe struct {
	Class, Mark, What string
	Located           []string // where its like were seen last, and the counters that say so
}

// probes makes the view of what real packets showed.
func (v viewer) probes(r *diagnose.Report) (out []viewProbe) {
	class := map[diagnose.Agreement]string{diagnose.Agrees: "good", diagnose.Differs: "bad", diagnose.NotComparable: "unknown"}
	for i := range r.Observed {
		o := &r.Observed[i]
		p := viewProbe{Class: class[o.Agreement], Mark: agreementMarks[o.Agreement], What: clean(v.say(observed(o)))}
		for _, line := range v.located(o.Location) {
			p.Located = append(p.Located, clean(line))
		}
		out = append(out, p)
	}
	return out
}

// observed turns what probes showed into the schema's form.
func (j jsoner) observed(list []diagnose.Observation) []jsonObserved {
	out := []jsonObserved{}
	for _, o := range list {
		v := jsonObserved{
			Node: o.Probe.Node, Pod: o.Probe.Pod, Proto: o.Probe.Proto.String(), Source: o.Probe.Src, Destination: o.Probe.Dst, Size: o.Probe.Size, DF: o.Probe.DF,
			Sent: o.Probe.Sent, Answered: o.Probe.Answered, Fate: o.Probe.Fate.String(), ICMP: o.Probe.ICMP, Lookup: o.Probe.Lookup, RTT: []float64{},
			Predicted: o.Predicted.String(), Agreement: o.Agreement.String(), What: j.text(observed(&o)),
		}
		if l := o.Location; l != nil {
			v.Located = &jsonLocated{What: j.text(l.What), Sent: l.Sent, Answer: l.Back, Points: []jsonPoint{}}
			for i := range l.Points {
				p := &l.Points[i]
				v.Located.Points = append(v.Located.Points, jsonPoint{Where: p.Place.String(), Counted: p.Counted, What: j.text(p.Name()), Command: p.Evidence.Command})
			}
		}
		if o.NotSent != "" {
			v.Fate = "not-sent"
		}
		for _, d := range o.Probe.RTT {
			v.RTT = append(v.RTT, float64(d.Microseconds())/1000)
		}
		out = append(out, v)
	}
	return out
}
