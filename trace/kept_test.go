package trace_test

import (
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/plumbnet/plumb/network"
	"github.com/plumbnet/plumb/trace"
)

// TestResultsAreKept follows every recorded packet, and then all of them again, with several at a time
// on one network: no Result changes by what is followed after it, or beside it.
func TestResultsAreKept(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no fixtures: %v", err)
	}
	for _, file := range files {
		n, want := load(t, file)
		asks := strings.Split(strings.TrimSpace(want), "\n")
		var kept []trace.Result
		var said []string
		for i := range asks {
			asks[i], _, _ = strings.Cut(asks[i], ": ")
			kept = append(kept, trace.Run(n, parseProbe(n, asks[i])))
			said = append(said, whole(kept[i]))
		}
		var all sync.WaitGroup
		for range 3 {
			all.Go(func() { again(t, n, asks, said) })
		}
		all.Wait()
		for i, r := range kept {
			if diff := cmp.Diff(said[i], whole(r)); diff != "" {
				t.Errorf("%s: %s: %s", file, asks[i], diff)
			}
		}
	}
}

func again(t *testing.T, n *network.Network, asks, said []string) {
	for i := range asks {
		if got := whole(trace.Run(n, parseProbe(n, asks[i]))); got != said[i] {
			t.Errorf("%s: %s", asks[i], cmp.Diff(said[i], got))
		}
	}
}

// whole puts all that a Result holds into words.
func whole(r trace.Result) string {
	var b strings.Builder
	wholePaths(&b, r.Paths)
	return b.String()
}

func wholePaths(b *strings.Builder, ps []trace.Path) {
	for _, p := range ps {
		b.WriteString(p.End.String() + " " + p.At.String() + " " + p.Why.String() + " " + p.Final.String() + "\n")
		for _, a := range p.Assumed {
			b.WriteString("supposed: " + a.What.String() + " " + a.Evidence.Text + "\n")
		}
		for _, h := range p.Hops {
			b.WriteString(h.Node + "/" + h.NetNS + " " + h.In + " " + h.Out + "\n")
			for _, s := range h.Steps {
				b.WriteString("\t" + string(s.Stage) + " " + s.Link + " " + s.What.String() + " " + s.Out.String() + "\n")
				for _, e := range s.Evidence() {
					b.WriteString("\t\t" + e.File + " " + e.Text + " " + e.Command + "\n")
				}
			}
		}
		wholePaths(b, p.Reply)
		wholePaths(b, p.ICMP)
	}
}
