package cluster

import (
	"fmt"
	"testing"

	"github.com/plumbnet/plumb/check"
	"github.com/plumbnet/plumb/check/all"
	"github.com/plumbnet/plumb/diagnose"
	"github.com/plumbnet/plumb/lab"
	"github.com/plumbnet/plumb/lab/fault"
	"github.com/plumbnet/plumb/network"
)

// TestFaults diagnoses each fault's path and requires that the fault itself is
// named first, in 95 of 100 at least.
func TestFaults(t *testing.T) {
	total, first := 0, 0
	for _, f := range fault.All() {
		for _, topo := range lab.Topologies {
			if !f.Applies(topo) || !full && topo.Name != f.Topology().Name {
				continue
			}
			t.Run(f.Name+"/"+topo.Name, func(t *testing.T) {
				got, verdict := name1(t, f, topo)
				total++
				mark := "   "
				if got == f.Check {
					first++
					mark = "ok "
				}
				fmt.Printf("faults: %s %-26s %-16s wants %-20s first %-20s path %s\n", mark, f.Name, topo.Name, f.Check, got, verdict)
			})
		}
	}
	fmt.Printf("faults: the fault is named first in %d of %d\n", first, total)
	if first*100 < total*95 {
		t.Errorf("named first in %d of %d: want 95 %%", first, total)
	}
}

// name1 returns the check that is named first, and the verdict about the path.
func name1(t *testing.T, f fault.Fault, topo lab.Topology) (string, string) {
	l := mustUp(t, topo)
	defer l.Close()
	if err := f.Inject(l); err != nil {
		t.Fatal(err)
	}
	p, err := l.PathProbe(f.Path)
	if err != nil {
		t.Fatal(err)
	}
	l.Probe(p)
	ask, err := f.Ask(l)
	if err != nil {
		t.Fatal(err)
	}
	c, err := l.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	r, err := diagnose.Run(c, ask, all.Checks...)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Checks.Findings) == 0 {
		return "nothing", r.Verdict.String()
	}
	for i, finding := range r.Checks.Findings {
		if i < 3 {
			t.Logf("%s %s: %s", finding.Check, finding.Where, finding.What)
		}
	}
	return r.Checks.Findings[0].Check, r.Verdict.String()
}

// TestQuiet requires that a cluster without fault has no finding above "info".
func TestQuiet(t *testing.T) {
	for _, topo := range lab.Topologies {
		t.Run(topo.Name, func(t *testing.T) {
			l := mustUp(t, topo)
			defer l.Close()
			c, err := l.Snapshot()
			if err != nil {
				t.Fatal(err)
			}
			r := check.Run(c, network.New(c), nil, nil, all.Checks...)
			for _, f := range r.Findings {
				if f.Severity > check.Info {
					t.Errorf("%s %s: %s", f.Check, f.Where, f.What)
				}
			}
			for _, u := range r.Unjudged {
				t.Logf("not judged: %s %s: %s", u.Check, u.Where, u.Why)
			}
		})
	}
}
