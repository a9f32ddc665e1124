//go:build linux

package lab

import (
	"strings"
	"testing"

	"github.com/plumbnet/plumb/lab/sandbox"
)

// TestIngress connects by the controller, which goes by the objects.
func TestIngress(t *testing.T) {
	sandbox.Need(t)
	l, err := Up(Flannel)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := l.Ingress(); err != nil {
		t.Fatal(err)
	}
	p, err := l.PathProbe(Path{From: "node/node-a", To: IngressPod + IngressPort})
	if err != nil {
		t.Fatal(err)
	}
	in := &l.Objects.Ingresses[0].Spec
	other, nginx := "other", class
	for _, tt := range []struct {
		name  string
		spoil func()
		mend  func()
		want  Outcome
	}{
		{"well", func() {}, func() {}, Delivered},
		{"another class", func() { in.IngressClassName = &other }, func() { in.IngressClassName = &nginx }, Stalled},
		{"another port", func() { in.Rules[0].HTTP.Paths[0].Backend.Service.Port.Number = 81 }, func() { in.Rules[0].HTTP.Paths[0].Backend.Service.Port.Number = 80 }, Stalled},
		{"nothing ready", func() { ready(l, false) }, func() { ready(l, true) }, Stalled},
		{"well again", func() {}, func() {}, Delivered},
	} {
		tt.spoil()
		if o := l.Probe(p); o.Outcome != tt.want || o.Outcome == Delivered && o.Seen.Addr() != l.Pod(IngressPod).IP {
			t.Errorf("%s: %s, seen from %s: %v", tt.name, o.Outcome, o.Seen, o.Err)
		}
		tt.mend()
	}
}

// ready makes the API's Pods ready, or not.
func ready(l *Lab, yes bool) {
	for _, p := range l.Objects.Pods {
		if strings.HasPrefix(p.Name, "api-") {
			l.SetReady(p.Namespace+"/"+p.Name, yes)
		}
	}
	l.SyncEndpoints()
}
