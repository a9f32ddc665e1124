//go:build linux

package faults

import (
	"fmt"
	"os"
	"testing"

	"github.com/plumbnet/plumb/check"
	"github.com/plumbnet/plumb/check/all"
	"github.com/plumbnet/plumb/diagnose"
	"github.com/plumbnet/plumb/lab"
	"github.com/plumbnet/plumb/lab/fault"
	"github.com/plumbnet/plumb/lab/sandbox"
	"github.com/plumbnet/plumb/network"
	"github.com/plumbnet/plumb/snapshot"
)

func TestMain(m *testing.M) { sandbox.Main(m) }

// full says that every fault is tried in every topology that it applies to.
var full = os.Getenv("PLUMB_AGREE") == "full"

// wantFirst is the share of faults that must be named first.
const wantFirst = 0.95

func up(t *testing.T, topo lab.Topology) *lab.Lab {
	t.Helper()
	sandbox.Need(t)
	l, err := lab.Up(topo)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

// take takes a snapshot of l.
func take(t *testing.T, l *lab.Lab) *snapshot.Cluster {
	t.Helper()
	c, err := l.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// reaches are the faults in spite of which the packet and the answer arrive, and what is wrong then.
var reaches = map[string]string{
	"masquerade-unwanted": "the server sees the node's address in place of the Pod's",
}

// behindRouter are the faults at the far end of a way that leads by a router
// which the snapshot does not hold: the finding is first, the verdict cannot-tell.
var behindRouter = map[string]string{
	"mtu-mismatch/kubenet":               "what the router makes of large packets is not known",
	"mtu-mismatch/apart":                 "what the router makes of large packets is not known",
	"fdb-wrong/apart":                    "the wrong address may be a machine behind the router",
	"one-endpoint-not-listening/apart":   "what the router makes of the packet is not known",
	"duplicate-pod-address/kubenet":      "to which of the two the router's node sends is decided there",
	"not-listening/kubenet":              "what the router makes of the packet is not known",
	"one-endpoint-not-listening/kubenet": "what the router makes of the packet is not known",
	"listen-loopback/kubenet":            "what the router makes of the packet is not known",
}

// ask says what plumb says of a fault's path.
func ask(t *testing.T, l *lab.Lab, c *snapshot.Cluster, f fault.Fault) *diagnose.Report {
	t.Helper()
	a, err := f.Ask(l)
	if err != nil {
		t.Fatal(err)
	}
	r, err := diagnose.Run(c, a, all.Checks...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestFaults injects every fault, in a cluster in which the packet arrived before, and requires that plumb names its cause first.
// Then real packets have their say: those that the report plans must not contradict it, the path's fate must have changed, and
// where a node's own commands can carry out the fix it must heal.
func TestFaults(t *testing.T) {
	sandbox.Need(t)
	var sum tally
	for _, f := range fault.All() {
		for _, topo := range lab.Topologies {
			if !f.Applies(topo) || !full && topo != f.Topology() {
				continue
			}
			t.Run(f.Name+"/"+topo.Name, func(t *testing.T) {
				l := up(t, topo)
				before := usual(t, l, f)
				if err := f.Inject(l); err != nil {
					t.Fatal(err)
				}
				r := ask(t, l, take(t, l), f)
				sum.named(t, l, f, r)
				observe(t, l, r)
				sum.observed(t, r)
				changes(t, l, f, before)
				if !f.Preventive && topo == f.Topology() && (full || f.Name != "conntrack-full") {
					sum.fixed(t, l, f, r.Checks.Findings)
				}
			})
		}
	}
	sum.print(t)
}

// A tally counts what became of the faults.
type tally struct {
	tried, first, anywhere int // injected, named first, named
	sent, agree, differ    int // probes that reports planned
	fixes, healed          int // carried out
	parts, partsHealed     int // of those that need the API too
}

func (s *tally) print(t *testing.T) {
	fmt.Printf("faults: %d injected, %d named first (%.0f %%), %d named\n", s.tried, s.first, 100*float64(s.first)/float64(s.tried), s.anywhere)
	fmt.Printf("agree: probes: %d sent, %d disagreements, %d comparable\n", s.sent, s.differ, s.agree+s.differ)
	fmt.Printf("faults: %d fixes carried out, %d heal; of %d that need the API too, %d heal before it is asked\n", s.fixes, s.healed, s.parts, s.partsHealed)
	if float64(s.first) < wantFirst*float64(s.tried) {
		t.Errorf("%d of %d faults are named first, want %.0f %%", s.first, s.tried, 100*wantFirst)
	}
	if s.tried >= len(fault.All()) && s.fixes < wantFixes {
		t.Errorf("%d fixes could be carried out, want %d or more", s.fixes, wantFixes)
	}
}

// named requires that a report names a fault.
func (s *tally) named(t *testing.T, l *lab.Lab, f fault.Fault, r *diagnose.Report) {
	if why := reaches[f.Name] + behindRouter[f.Name+"/"+l.Topology.Name]; !f.Preventive && f.Opens == nil && why == "" && r.Verdict != diagnose.Broken && r.Verdict != diagnose.Partly {
		t.Errorf("%s: the verdict is %s: %s", f.Path, r.Verdict, r.Summary)
	}
	got := r.Checks.Findings
	s.tried++
	place := rank(got, f.Check)
	if place == 1 {
		s.first++
	}
	if place > 0 {
		s.anywhere++
	} else {
		t.Errorf("%s is not named at all", f.Check)
	}
	fmt.Printf("faults: %-28s %-16s %-20s %s\n", f.Name, l.Topology.Name, f.Check, verdict(got, place))
}

// rank returns the place of a check among the findings, from 1; 0 where it says nothing.
// One that is folded under another counts as behind it.
func rank(fs []check.Finding, name string) int {
	for i, f := range fs {
		if f.Check == name {
			return i + 1
		}
		if rank(f.Consequences, name) > 0 {
			return i + 2
		}
	}
	return 0
}

func verdict(fs []check.Finding, place int) string {
	if place == 1 {
		return "first"
	}
	if len(fs) == 0 {
		return "NOT NAMED: no finding"
	}
	return fmt.Sprintf("PLACE %d, behind %s", place, fs[0].Check)
}

// TestHealthy requires that plumb finds nothing wrong where nothing is wrong.
func TestHealthy(t *testing.T) {
	var tried, alarms int
	for _, legacy := range []bool{false, true} {
		for _, topo := range lab.Topologies {
			t.Run(fmt.Sprintf("%s/legacy=%v", topo.Name, legacy), func(t *testing.T) {
				sandbox.Need(t)
				bring := lab.Up
				if legacy {
					bring = lab.UpLegacy
				}
				l, err := bring(topo)
				if err != nil {
					t.Fatal(err)
				}
				defer l.Close()
				for _, f := range fault.All() {
					if f.Prepare != nil && f.Applies(topo) {
						if err := f.Prepare(l); err != nil {
							t.Fatal(err)
						}
					}
				}
				c := take(t, l)
				alarm := func(what string, fs []check.Finding) {
					tried++
					for _, got := range fs {
						if got.Severity > check.Info {
							alarms++
							t.Errorf("%s: a false alarm: %s: %s: %s", what, got.Where, got.Check, got.What)
						}
					}
				}
				for _, f := range fault.All() {
					if f.Applies(topo) {
						f.External = nil // the range that a user names does overlap
						alarm(f.Path.String(), ask(t, l, c, f).Checks.Findings)
					}
				}
				alarm("check", check.Run(c, network.New(c), nil, nil, all.Checks...).Findings)
			})
		}
	}
	fmt.Printf("faults: healthy: %d questions, %d false alarms\n", tried, alarms)
}
