//go:build linux

package faults

import (
	"net/netip"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/plumbnet/plumb/active"
	"github.com/plumbnet/plumb/diagnose"
	"github.com/plumbnet/plumb/lab"
	"github.com/plumbnet/plumb/lab/fault"
	"github.com/plumbnet/plumb/snapshot"
)

// observed counts what came of the probes that a report planned, none of which may contradict what it predicted.
func (s *tally) observed(t *testing.T, r *diagnose.Report) {
	for _, o := range r.Observed {
		s.sent++
		switch o.Agreement {
		case diagnose.Agrees:
			s.agree++
		case diagnose.Differs:
			s.differ++
			t.Errorf("predicted %s, seen: %s (%s)", o.Predicted, o.What, o.Probe.Why)
		}
	}
}

// observe sends what r plans from the namespaces of the lab.
func observe(t *testing.T, l *lab.Lab, r *diagnose.Report) {
	t.Helper()
	for _, p := range r.Plans() {
		from := p.Pod
		if from == "" {
			from = "node/" + p.Node
		}
		ns := l.Namespace(from)
		if ns == nil {
			t.Fatalf("the lab has no %s", from)
		}
		file, err := os.Open(ns.Path)
		if err != nil {
			t.Fatal(err)
		}
		if p.Predicted == diagnose.Works {
			p.Timeout = 3 * time.Second // a busy machine may be slow; where nothing is lost, nothing waits
		}
		probe, err := active.Run(t.Context(), file, snapshot.ProbeAsk{Proto: p.Proto, Src: p.Src, Dst: p.Dst, Size: p.Size, DF: p.DF, Count: p.Count, Timeout: p.Timeout})
		file.Close()
		r.Observe(p, probe, err)
	}
}

// tries returns how many connections a fault's path is judged by. A probe that
// seems lost is sent once more, so one bad endpoint of three fails one probe in
// nine: 160 of them all miss it once in 100 million runs.
func tries(f fault.Fault) int {
	if f.Share {
		return 160
	}
	return 24
}

// send sends a fault's packet. Once says that it is believed to be lost.
func send(t *testing.T, l *lab.Lab, f fault.Fault, times int, once bool) []lab.Observation {
	t.Helper()
	p, err := l.PathProbe(f.Path)
	if err != nil {
		t.Fatal(err)
	}
	p.Once = once
	return l.ProbeAll(slices.Repeat([]lab.Probe{p}, times))
}

// usual makes what a fault needs, and returns as whom the far side saw the packets while nothing was wrong.
func usual(t *testing.T, l *lab.Lab, f fault.Fault) map[netip.Addr]bool {
	t.Helper()
	for _, step := range []func(*lab.Lab) error{f.Prepare, f.Opens} {
		if step == nil {
			continue
		}
		if err := step(l); err != nil {
			t.Fatal(err)
		}
	}
	seen := map[netip.Addr]bool{}
	for _, o := range send(t, l, f, tries(f), false) {
		seen[o.Seen.Addr()] = true
		if (o.Outcome != lab.Delivered) != (f.Opens != nil) {
			t.Fatalf("healthy: %s: %s %v", f.Path, o.Outcome, o.Err)
		}
	}
	return seen
}

// changes requires that the fault changed the fate of its path: that packets do not arrive, or from somebody else.
func changes(t *testing.T, l *lab.Lab, f fault.Fault, before map[netip.Addr]bool) {
	t.Helper()
	changed, all := 0, tries(f)
	count := map[lab.Outcome]int{}
	for _, o := range send(t, l, f, all, !f.Preventive && !f.Share && f.Opens == nil) {
		if arrived := o.Outcome == lab.Delivered; f.Opens != nil && arrived || f.Opens == nil && (!arrived || !before[o.Seen.Addr()]) {
			changed++
		}
		count[o.Outcome]++
	}
	t.Logf("%s: %v", f.Path, count)
	switch {
	case f.Preventive && changed > 0:
		t.Errorf("a preventive fault changed %d of %d", changed, all)
	case !f.Preventive && changed == 0:
		t.Error("nothing changed")
	case f.Share && changed == all, !f.Preventive && !f.Share && changed != all:
		t.Errorf("changed %d of %d", changed, all)
	}
}
