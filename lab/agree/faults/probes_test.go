//go:build linux

package faults

import (
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/plumbnet/plumb/active"
	"github.com/plumbnet/plumb/check/all"
	"github.com/plumbnet/plumb/diagnose"
	"github.com/plumbnet/plumb/lab"
	"github.com/plumbnet/plumb/lab/fault"
	"github.com/plumbnet/plumb/lab/sandbox"
	"github.com/plumbnet/plumb/snapshot"
)

// TestProbes sends the probes that a report plans, with every fault injected, and requires that
// none of them contradicts the prediction.
func TestProbes(t *testing.T) {
	sandbox.Need(t)
	var sent, agree, differ int
	for _, f := range fault.All() {
		for _, topo := range lab.Topologies {
			if f.Path.From == "" || !f.Applies(topo) || !full && topo != f.Topology() {
				continue
			}
			t.Run(f.Name+"/"+topo.Name, func(t *testing.T) {
				l := up(t, topo)
				if err := f.Inject(l); err != nil {
					t.Fatal(err)
				}
				ask, err := f.Ask(l)
				if err != nil {
					t.Fatal(err)
				}
				r, err := diagnose.Run(take(t, l), ask, all.Checks...)
				if err != nil {
					t.Fatal(err)
				}
				observe(t, l, r)
				for _, o := range r.Observed {
					sent++
					switch o.Agreement {
					case diagnose.Agrees:
						agree++
					case diagnose.Differs:
						differ++
						t.Errorf("predicted %s, seen: %s (%s)", o.Predicted, o.What, o.Probe.Why)
					}
				}
			})
		}
	}
	fmt.Printf("agree: probes: %d sent, %d disagreements, %d comparable\n", sent, differ, agree+differ)
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
