// Package cluster compares package trace with real packets in the lab: every
// topology, healthy and with each fault.
package cluster

import (
	"fmt"
	"hash/fnv"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/plumbnet/plumb/lab"
	"github.com/plumbnet/plumb/lab/fault"
	"github.com/plumbnet/plumb/lab/sandbox"
	"github.com/plumbnet/plumb/network"
	"golang.org/x/sync/errgroup"
)

func TestMain(m *testing.M) { sandbox.Main(m) }

// full asks for all pairs on all topologies; else a sample is compared.
var full = os.Getenv("PLUMB_AGREE") == "full"

// tally counts what was compared; afresh are those of them that were asked again.
type tally struct{ compared, afresh, unknown, differ int }

func (t *tally) String() string {
	s := fmt.Sprintf("%d comparisons, %d disagreements, %d that the model leaves open", t.compared, t.differ, t.unknown)
	if t.afresh > 0 {
		s += fmt.Sprintf(", %d asked afresh", t.afresh)
	}
	return s
}

func (t *tally) add(more *tally) {
	t.compared += more.compared
	t.afresh += more.afresh
	t.differ += more.differ
	t.unknown += more.unknown
}

func (t *tally) print(tt *testing.T) {
	fmt.Printf("agree: cluster: %s: in all %s\n", tt.Name(), t)
	if t.unknown > 0 {
		tt.Errorf("the model leaves %d open, of %d", t.unknown, t.compared)
	}
}

func mustUp(t *testing.T, topo lab.Topology) *lab.Lab {
	t.Helper()
	sandbox.Need(t)
	l, err := lab.Up(topo)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Watch(); err != nil {
		t.Fatal(err)
	}
	return l
}

// questions lists the pairs; one in every few of them, chosen by their names.
func questions(l *lab.Lab, one int) []question {
	var out []question
	for _, s := range l.Sources() {
		for _, tg := range l.Targets() {
			q := question{src: s, target: tg}
			if s.Node == "" && !reachable(tg) {
				continue
			}
			h := fnv.New32a()
			h.Write([]byte(q.String()))
			if one <= 1 || h.Sum32()%uint32(one) == 0 {
				out = append(out, q)
			}
		}
	}
	return out
}

// reachable says whether a host outside has a route there: to nodes only.
func reachable(tg lab.Target) bool {
	return lab.NodeCIDR.Contains(tg.To.Addr()) || lab.NodeCIDR6.Contains(tg.To.Addr())
}

// compare probes, takes a snapshot, traces, and reports each difference.
func compare(t *testing.T, l *lab.Lab, qs []question, all *tally) {
	t.Helper()
	began, sum := time.Now(), &tally{}
	defer func() {
		all.add(sum)
		_, name, _ := strings.Cut(t.Name(), "/")
		fmt.Printf("agree: cluster: %s: %s (%.1f s)\n", name, sum, time.Since(began).Seconds())
	}()
	ask := func(which []int, once bool) {
		ps := make([]lab.Probe, len(which))
		for i, at := range which {
			ps[i] = qs[at].probe(l)
			ps[i].Once = once
		}
		for i, o := range l.ProbeAll(ps) {
			qs[which[i]].obs = o
		}
	}
	which := make([]int, len(qs))
	for i := range qs {
		qs[i].space, which[i] = l.Namespace(qs[i].src.Name).Name, i
	}
	ask(which, !full)
	c, err := l.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	n := network.New(c)
	whys := make([]string, len(qs))
	judge := func() (differ []int) {
		var g errgroup.Group
		g.SetLimit(runtime.GOMAXPROCS(0))
		for _, i := range which {
			g.Go(func() error {
				whys[i] = qs[i].judge(qs[i].traces(n))
				return nil
			})
		}
		g.Wait()
		for _, i := range which {
			if whys[i] != "" {
				differ = append(differ, i)
			}
		}
		return differ
	}
	// What agrees that it is lost need not be sent again; what differs may only have been slow to come.
	if which = judge(); !full && len(which) > 0 {
		ask(which, false)
		which = judge()
	}
	for _, i := range which {
		sum.afresh++
		whys[i] = qs[i].afresh(t, l, n)
	}
	shown := 0
	for i, why := range whys {
		if qs[i].src.Node == "" && len(n.Owners(qs[i].target.To.Addr())) == 0 {
			continue // no machine has the address any more, so that no snapshot says by which a packet from outside comes in
		}
		sum.compared++
		switch {
		case why == "":
			continue
		case strings.HasPrefix(why, "unknown: "):
			sum.unknown++
			t.Logf("%s: %s", qs[i], why)
			continue
		default:
			sum.differ++
		}
		if shown++; shown <= 12 {
			t.Errorf("%s: %s", qs[i], why)
		}
	}
}

// afresh asks again, alone and of kernels that have forgotten, the second time with much patience: earlier probes may
// have taught a kernel a path's MTU or a nearer gateway, which are in no snapshot, and on a busy machine an answer may come late.
func (q *question) afresh(t *testing.T, l *lab.Lab, n *network.Network) (why string) {
	p := q.probe(l)
	for _, p.Timeout = range []time.Duration{0, 5 * time.Second} {
		var err error
		if q.obs, err = l.ProbeFresh(p); err != nil {
			t.Fatal(err)
		}
		if why = q.judge(q.traces(n)); why == "" {
			break
		}
	}
	return why
}

// TestHealthy compares all pairs of every topology without fault.
func TestHealthy(t *testing.T) {
	var sum tally
	defer sum.print(t)
	for _, topo := range lab.Topologies {
		t.Run(topo.Name, func(t *testing.T) {
			l := mustUp(t, topo)
			defer l.Close()
			compare(t, l, questions(l, 1), &sum)
		})
	}
}

// untraced are faults that package trace knows nothing of, and why. What becomes of packets then is a check's
// word, and lab/agree/faults compares that.
var untraced = map[string]string{
	"conntrack-full": "how full a table is changes with each packet that is compared",
}

// TestFaulty compares a sample of pairs, and the fault's own path, with each fault in place.
func TestFaulty(t *testing.T) {
	var sum tally
	defer sum.print(t)
	for _, f := range fault.All() {
		for _, topo := range lab.Topologies {
			if !f.Applies(topo) || !full && (f.Slow || topo.Name != f.Topology().Name) {
				continue
			}
			if why := untraced[f.Name]; why != "" {
				fmt.Printf("agree: cluster: %s/%s: not compared: %s\n", f.Name, topo.Name, why)
				continue
			}
			t.Run(f.Name+"/"+topo.Name, func(t *testing.T) {
				l := mustUp(t, topo)
				defer l.Close()
				if err := f.Inject(l); err != nil {
					t.Fatal(err)
				}
				one := 9
				if full {
					one = 1
				}
				compare(t, l, append(questions(l, one), own(t, l, f)...), &sum)
			})
		}
	}
}

// own returns the fault's own path. That through a controller has none: the packet arrives there, as it is predicted to, and
// what becomes of the request is the controller's doing, which lab/agree/faults compares.
func own(t *testing.T, l *lab.Lab, f fault.Fault) []question {
	if f.URL != "" {
		return nil
	}
	p, err := l.PathProbe(f.Path)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range l.Sources() {
		if s.Name == f.Path.From {
			return []question{{src: s, target: lab.Target{Name: f.Path.To, To: p.To, Proto: p.Proto, Size: p.Size}}}
		}
	}
	t.Fatalf("no source is named %q", f.Path.From)
	return nil
}
