package lab

import (
	"testing"

	"github.com/plumbnet/plumb/lab/sandbox"
)

func TestMain(m *testing.M) { sandbox.Main(m) }

func mustUp(t *testing.T, topo Topology) *Lab {
	t.Helper()
	sandbox.Need(t)
	l, err := Up(topo)
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

func TestUp(t *testing.T) {
	for _, topo := range Topologies {
		t.Run(topo.Name, func(t *testing.T) { mustUp(t, topo) })
	}
}

func TestLegacy(t *testing.T) {
	sandbox.Need(t)
	l, err := UpLegacy(Flannel)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	p, err := l.PathProbe(Path{From: "shop/web-0", To: "svc/shop/api:http"})
	if err != nil {
		t.Fatal(err)
	}
	if o := l.Probe(p); o.Outcome != Delivered {
		t.Errorf("%s: %s %v", o.Probe.To, o.Outcome, o.Err)
	}
}
