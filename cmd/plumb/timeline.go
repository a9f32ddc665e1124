package main

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/plumbnet/plumb/probe"
	"github.com/plumbnet/plumb/recorder"
	"github.com/plumbnet/plumb/report"
	"github.com/plumbnet/plumb/text"
)

// The forms in which times are printed: the node's, in UTC.
const wholeTime, ofDay = "2006-01-02 15:04:05Z", "15:04:05"

// A timelinePrinter prints seconds, one time in front of all that is of it.
type timelinePrinter struct {
	w    *bufio.Writer
	o    report.Options
	all  bool // every counter, and not only those of what should not happen
	time string
	said bool
}

// timelineText prints a timeline for people: a second after the other, of each what lies before it, what rose in
// it, and what happened.
func timelineText(w io.Writer, t *recorder.Timeline, q recorder.Query, o report.Options) error {
	p := timelinePrinter{w: bufio.NewWriter(w), o: o, all: q.Pod != "" || len(q.Kinds) > 0}
	node := any(report.Clean(t.Node))
	if t.Node == "" {
		node = text.F("a node that is not named")
	}
	if n := len(t.Seconds); n > 0 {
		from, to := t.Seconds[0].Time.Format(wholeTime), t.Seconds[n-1].Time.Format(wholeTime)
		head := text.F("recorded on %s, from %s to %s", node, from, to)
		if t.Episode != nil {
			head = text.F("episode %s of %s, from %s to %s", report.Clean(t.Episode.ID), node, from, to)
		}
		p.line(p.say(head))
	}
	if t.Episode != nil {
		for _, r := range t.Episode.Reasons {
			p.line("! " + p.say(reason(r)))
		}
		if t.Episode.Why != "" {
			p.line("! " + p.say(text.F("asked for: %s", report.Clean(t.Episode.Why))))
		}
	}
	for i := range t.Seconds {
		p.second(&t.Seconds[i])
	}
	if !p.said {
		p.line("? " + p.say(text.F("nothing of it is recorded")))
	}
	if t.Damaged > 0 {
		p.line("? " + p.say(text.F("%d places of the files cannot be read", t.Damaged)))
	}
	if !p.all && len(t.Seconds) > 0 {
		p.line(p.say(text.F("of counters, those of what should not happen; --pod shows all of a Pod's, --kind all of a probe's")))
	}
	return p.w.Flush()
}

func (p *timelinePrinter) say(t text.Text) string { return report.Say(t, p.o.Lang) }

func (p *timelinePrinter) line(s string) { fmt.Fprintln(p.w, s) }

// row prints a line of a second, behind its time where it is the first.
func (p *timelinePrinter) row(s string) {
	p.line(cmp.Or(p.time, "        ") + "  " + s)
	p.time, p.said = "", true
}

func (p *timelinePrinter) second(s *recorder.Second) {
	p.time = s.Time.Format(ofDay)
	switch k := s.Break; {
	case k.Restart && k.Missing > 0:
		p.row("! " + p.say(text.F("the recorder was started; of %s before nothing is recorded", k.Missing)))
	case k.Restart:
		p.row("! " + p.say(text.F("the recorder was started")))
	case k.Missing > 0:
		p.row("! " + p.say(text.F("nothing is recorded of %s before this", k.Missing)))
	}
	if s.Break.Step != 0 {
		p.row("! " + p.say(text.F("the node's clock was set by %s", s.Break.Step)))
	}
	p.values(s.Values)
	for _, e := range s.Events {
		p.row(report.Clean(e.String()))
	}
	for _, l := range s.Lost {
		p.row("! " + p.say(text.F("%d more events of %s, which there was no room for", l.Count, report.Clean(l.Kind))))
	}
	if s.Unread > 0 {
		p.row("? " + p.say(text.F("%d values whose names cannot be read", s.Unread)))
	}
}

// values prints a row for each Pod, in the order in which they were recorded.
func (p *timelinePrinter) values(all []recorder.Value) {
	var pods []string
	of := map[string][]string{}
	for _, v := range all {
		if !p.all && !v.Trouble() {
			continue
		}
		if _, ok := of[v.Pod]; !ok {
			pods = append(pods, v.Pod)
		}
		of[v.Pod] = append(of[v.Pod], report.Clean(p.value(v)))
	}
	for _, pod := range pods {
		p.row(strings.TrimPrefix(report.Clean(pod)+": ", ": ") + strings.Join(of[pod], "  "))
	}
}

// value is what rose, or how a gauge stood.
func (p *timelinePrinter) value(v recorder.Value) string {
	switch {
	case v.Hist != nil:
		slow, n := recorder.Slow(v.Hist)
		return p.say(text.F("%s: %d measured, 9 of 10 within %s", v.String(), n, unit(v.Name, slow)))
	case v.Type == probe.Gauge:
		return v.String() + " " + unit(v.Name, v.Value)
	}
	return v.String() + " +" + unit(v.Name, v.Value)
}

// unit prints a value in the unit that its name ends in.
func unit(name string, v float64) string {
	if strings.HasSuffix(strings.TrimSuffix(name, "_total"), "_seconds") {
		return time.Duration(v * 1e9).String()
	}
	return strconv.FormatFloat(v, 'f', -1, 64)
}

// reason says what was unusual.
func reason(r recorder.Reason) text.Text {
	pod := any(report.Clean(r.Pod))
	if r.Pod == "" {
		pod = text.F("the node itself")
	}
	usual := unit(r.Metric, r.Usual)
	if !strings.HasSuffix(r.Metric, "_seconds") {
		usual = strconv.FormatFloat(r.Usual, 'f', 1, 64)
	}
	return text.F("%s of %s: %s in a second, usually %s", report.Clean(r.Metric), pod, unit(r.Metric, r.Value), usual)
}

// episodesText lists episodes for people.
func episodesText(w io.Writer, list []recorder.Episode, o report.Options) error {
	p := timelinePrinter{w: bufio.NewWriter(w), o: o}
	if len(list) == 0 {
		p.line(p.say(text.F("no episodes")))
	}
	for _, e := range list {
		if e.From.IsZero() {
			p.line(report.Clean(e.ID))
			p.line("  ? " + p.say(text.F("its file cannot be read")))
			continue
		}
		from, to, size := e.From.Format(wholeTime), e.To.Format(ofDay), fmt.Sprintf("%d kB", (e.Bytes+999)/1000)
		t := text.F("%s, from %s to %s, %s", report.Clean(e.ID), from, to, size)
		if e.Pinned {
			t = text.F("%s, from %s to %s, %s, kept for good", report.Clean(e.ID), from, to, size)
		}
		p.line(p.say(t))
		for _, r := range e.Reasons {
			p.line("  ! " + p.say(reason(r)))
		}
		if e.Why != "" {
			p.line("  ! " + p.say(text.F("asked for: %s", report.Clean(e.Why))))
		} else if len(e.Reasons) == 0 {
			p.line("  ! " + p.say(text.F("asked for")))
		}
	}
	return p.w.Flush()
}
