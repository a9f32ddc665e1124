package lab

import (
	"fmt"
	"testing"
	"time"
)

// TestHealthy shows that in a cluster without fault everything reaches everything.
func TestHealthy(t *testing.T) {
	for _, topo := range Topologies {
		t.Run(topo.Name, func(t *testing.T) {
			l := mustUp(t, topo)
			if err := l.Watch(); err != nil {
				t.Fatal(err)
			}
			var ps []Probe
			var names []string
			for _, src := range l.Sources() {
				for _, tg := range l.Targets() {
					if src.Node == "" || tg.Fails {
						continue
					}
					ps = append(ps, Probe{From: l.Namespace(src.Name), To: tg.To, Proto: tg.Proto, Size: tg.Size})
					names = append(names, src.Name+" to "+tg.Name)
				}
			}
			start := time.Now()
			obs := l.ProbeAll(ps)
			for i, o := range obs {
				if o.Outcome != Delivered {
					t.Errorf("%s %s: %s %v", names[i], o.Probe.To, o.Outcome, o.Err)
					t.Logf("last seen: %s; its reply: %s", o.Last(), o.LastReply())
				}
				if len(o.Request) < 2 || len(o.Reply) < 2 {
					t.Errorf("%s: seen %d times, its reply %d times", names[i], len(o.Request), len(o.Reply))
				}
			}
			fmt.Printf("lab: %s: %d probes in %v\n", topo.Name, len(ps), time.Since(start).Round(time.Millisecond))
		})
	}
}
