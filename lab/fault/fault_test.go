package fault

import (
	"fmt"
	"net/netip"
	"os"
	"testing"

	"github.com/plumbnet/plumb/lab"
	"github.com/plumbnet/plumb/lab/sandbox"
)

func TestMain(m *testing.M) { sandbox.Main(m) }

// tries returns how many connections a fault's path is judged by. A probe that
// seems lost is sent once more, so one bad endpoint of three fails one probe in
// nine: 160 of them all miss it once in 100 million runs.
func tries(f Fault) int {
	if f.Share {
		return 160
	}
	return 24
}

func probe(t *testing.T, l *lab.Lab, f Fault) []lab.Observation {
	t.Helper()
	one, err := l.PathProbe(f.Path)
	if err != nil {
		t.Fatal(err)
	}
	ps := make([]lab.Probe, tries(f))
	for i := range ps {
		ps[i] = one
	}
	return l.ProbeAll(ps)
}

// TestFaults shows in the kernel that each fault changes the fate of its path.
func TestFaults(t *testing.T) {
	sandbox.Need(t)
	for _, f := range All() {
		for _, topo := range lab.Topologies {
			if !f.Applies(topo) || os.Getenv("PLUMB_AGREE") != "full" && topo.Name != f.Topology().Name {
				continue
			}
			t.Run(f.Name+"/"+topo.Name, func(t *testing.T) { try(t, f, topo) })
		}
	}
}

func try(t *testing.T, f Fault, topo lab.Topology) {
	l, err := lab.Up(topo)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}()
	if err := l.Watch(); err != nil {
		t.Fatal(err)
	}
	for _, step := range []func(*lab.Lab) error{f.Prepare, f.Opens} {
		if step == nil {
			continue
		}
		if err := step(l); err != nil {
			t.Fatal(err)
		}
	}
	before := probe(t, l, f)
	seen := map[netip.Addr]bool{}
	for _, o := range before {
		seen[o.Seen.Addr()] = true
		if (o.Outcome != lab.Delivered) != (f.Opens != nil) {
			t.Fatalf("healthy: %s: %s %v", f.Path, o.Outcome, o.Err)
		}
	}
	if err := f.Inject(l); err != nil {
		t.Fatal(err)
	}
	after := probe(t, l, f)
	changed := 0
	count := map[string]int{}
	for _, o := range after {
		if (o.Outcome != lab.Delivered || !seen[o.Seen.Addr()]) && f.Opens == nil || o.Outcome == lab.Delivered && f.Opens != nil {
			changed++
		}
		count[fmt.Sprintf("%s last seen %s/%s out=%v", o.Outcome, o.Last().NS, o.Last().Dev, o.Last().Out)]++
	}
	t.Logf("%s: %v", f.Path, count)
	switch {
	case f.Preventive && changed > 0:
		t.Errorf("a preventive fault changed %d of %d", changed, tries(f))
	case !f.Preventive && changed == 0:
		t.Error("nothing changed")
	case f.Share && changed == tries(f), !f.Preventive && !f.Share && changed != tries(f):
		t.Errorf("changed %d of %d", changed, tries(f))
	}
}
