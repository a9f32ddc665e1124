//go:build linux

package real

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/plumbnet/plumb/lab/cluster"
	"github.com/plumbnet/plumb/lab/cluster/fault"
)

// wantFirst is the share of faults that must be named first.
const wantFirst = 0.95

// wantMedian is how long plumb may take from Enter to the verdict, in the median.
const wantMedian = 3 * time.Second

// some are the faults of which CI is to have seen each kind: of objects, of agents, of a
// node, of the fabric, and of policies. PLUMB_FAULTS=all tries all; another value those that it names.
var some = []string{"selector-typo", "cni-missing", "forward-drop", "fabric-drops-large", "policy-drop"}

// everything says that there is time for all; atLeisure says when.
func everything() bool { return os.Getenv("PLUMB_FAULTS") == "all" }

const atLeisure = "it takes half a minute: \"make faults-cluster\" does it"

// chosen returns the faults to try.
func chosen() (out []fault.Fault) {
	names := some
	if s := os.Getenv("PLUMB_FAULTS"); s != "" {
		names = strings.Fields(s)
	}
	for _, f := range fault.All() {
		if everything() || slices.Contains(names, f.Name) {
			out = append(out, f)
		}
	}
	return out
}

// A tally counts what came of the faults.
type tally struct {
	tried, first, misled int
	took                 []time.Duration
}

// TestFaults injects faults into a cluster of which one node has kube-proxy in nftables mode, and
// requires that plumb names the cause of each first, and nothing once it is healed.
func TestFaults(t *testing.T) {
	b := setUp(t)
	t.Run("healthy", func(t *testing.T) { b.healthyModes(t) })
	var n tally
	for _, f := range chosen() {
		t.Run(f.Name, func(t *testing.T) { b.try(t, f, &n) })
	}
	if n.tried == 0 {
		t.Fatal("no fault was tried")
	}
	slices.Sort(n.took)
	median := n.took[len(n.took)/2]
	fmt.Printf("faults: real: %d injected, %d named first (%.0f %%), %d times the wrong cause without a word; from Enter to the verdict %.1f s in the median, %.1f s at most\n",
		n.tried, n.first, 100*float64(n.first)/float64(n.tried), n.misled, median.Seconds(), n.took[len(n.took)-1].Seconds())
	if float64(n.first) < wantFirst*float64(n.tried) {
		t.Errorf("%d of %d faults are named first, want %.0f %%", n.first, n.tried, 100*wantFirst)
	}
	if n.misled > 0 {
		t.Errorf("%d times the first finding is not the cause, and no probe contradicts it", n.misled)
	}
	if median > wantMedian && n.tried > 2 { // of one or two there is none
		t.Errorf("the median is %s, want at most %s", median, wantMedian)
	}
}

// try injects a fault, asks, heals, and asks again.
func (b *bench) try(t *testing.T, f fault.Fault, n *tally) {
	ctx := t.Context()
	t.Cleanup(func() { b.healed(t, f) })
	if err := f.Inject(ctx, b.Cluster); err != nil {
		t.Fatal(err)
	}
	args, err := f.Question.Args(ctx, b.Cluster)
	if err != nil {
		t.Fatal(err)
	}
	d, err := b.diagnose(ctx, args...)
	if err != nil {
		t.Fatal(err)
	}
	n.tried++
	n.took = append(n.took, d.took)
	right := d.first() == f.Check || f.Also != "" && d.first() == f.Also || f.Check == "" && d.Disagree
	switch {
	case right:
		n.first++
	case len(d.alarms()) > 0 && !d.Disagree:
		n.misled++
	}
	fmt.Printf("faults: %-22s %-34s %-20s %-12s %-15s %4.1f s\n", f.Name, strings.Join(args, " "), d.first(), d.Verdict, d.probes(), d.took.Seconds())
	if !right {
		t.Errorf("first is %s, want %q: %s\n%s", d.first(), f.Check, d.Summary.EN, strings.Join(slices.Concat(d.alarms(), d.open()), "\n"))
		t.Logf("%s", d.json)
	}
	if right && f.Says != "" && !strings.Contains(d.Findings[0].What.EN, f.Says) {
		t.Errorf("the first finding does not say %q: %s", f.Says, d.Findings[0].What.EN)
	}
	if d.Verdict == "works" {
		t.Errorf("the verdict is %s: %s", d.Verdict, d.Summary.EN)
	}
	b.redacted(t, args)
}

// healed heals a fault, and wants plumb to find nothing any more.
func (b *bench) healed(t *testing.T, f fault.Fault) {
	ctx, cancel := context.WithTimeout(context.Background(), 3*patience) // t's own has ended
	defer cancel()
	if err := f.Heal(ctx, b.Cluster); err != nil {
		t.Fatal(err)
	}
	q := f.Well()
	d, err := b.calm(ctx, q)
	if err != nil {
		t.Fatal(err)
	}
	if !d.fine(q) {
		t.Errorf("healed: %s: %s\n%s", d.Verdict, d.Summary.EN, strings.Join(d.alarms(), "\n"))
	}
}

// healthyModes asks of the cluster as it is and, where all faults are tried, with kube-proxy in one mode on all nodes.
func (b *bench) healthyModes(t *testing.T) {
	b.settled(t)
	b.healthy(t, "mixed")
	if !everything() {
		return
	}
	mixed := maps.Clone(b.Proxy)
	for _, mode := range cluster.ProxyModes {
		modes := map[string]string{}
		for _, n := range b.Nodes {
			modes[n] = mode
		}
		b.switchTo(t, modes)
		b.healthy(t, mode)
	}
	b.switchTo(t, mixed)
}

// switchTo has kube-proxy run in some modes, and waits until all is well.
func (b *bench) switchTo(t *testing.T, modes map[string]string) {
	if err := b.SetProxy(t.Context(), modes); err != nil {
		t.Fatal(err)
	}
	b.settled(t)
}

// settled waits until all Pods are ready, and every node's rules are those that its Services ask for.
func (b *bench) settled(t *testing.T) {
	if _, err := b.Kubectl(t.Context(), "wait", "--for=condition=Ready", "pods", "--all", "-A", "--timeout=110s"); err != nil {
		t.Fatal(err)
	}
	for _, n := range b.Nodes {
		if _, err := b.calm(t.Context(), fault.Question{From: "web@" + n, To: "svc/shop/api:80"}); err != nil {
			t.Fatal(err)
		}
	}
}

// healthy asks every question of a healthy cluster, and checks all of it.
func (b *bench) healthy(t *testing.T, mode string) {
	var asked, alarms, unjudged int
	for _, q := range questions() {
		args, err := q.Args(t.Context(), b.Cluster)
		if err != nil {
			t.Fatal(err)
		}
		d, err := b.diagnose(t.Context(), args...)
		if err != nil {
			t.Fatal(err)
		}
		asked++
		alarms += len(d.alarms())
		unjudged += len(d.Unjudged)
		if !d.fine(q) {
			t.Errorf("%s: %s: %s", q, d.Verdict, d.Summary.EN)
		}
		for _, a := range d.alarms() {
			t.Errorf("%s: a false alarm: %s", q, a)
		}
	}
	d, err := b.check(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	asked++
	alarms += len(d.alarms())
	unjudged += len(d.Unjudged)
	for _, a := range d.alarms() {
		t.Errorf("plumb check: a false alarm: %s", a)
	}
	fmt.Printf("faults: real: healthy, %s: %d questions, %d false alarms, %d not judged\n", mode, asked, alarms, unjudged)
}
