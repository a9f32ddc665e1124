//go:build linux

package fault

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/plumbnet/plumb/check"
	"github.com/plumbnet/plumb/check/all"
	"github.com/plumbnet/plumb/lab/cluster"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestTable(t *testing.T) {
	seen := map[string]bool{}
	for _, f := range All() {
		t.Run(f.Name, func(t *testing.T) {
			if seen[f.Name] {
				t.Error("the name is taken")
			}
			seen[f.Name] = true
			if f.Check != "" && !slices.ContainsFunc(all.Checks, func(c *check.Check) bool { return c.Name == f.Check }) {
				t.Errorf("there is no check %q", f.Check)
			}
			if f.Story == "" || strings.Contains(f.Story, "\n") {
				t.Errorf("the story is %q, want one line", f.Story)
			}
			if f.Question.From == "" || f.Question.To == "" || f.inject == nil || f.heal == nil {
				t.Error("it lacks a question, or how it is injected or healed")
			}
			if got, ok := Named(f.Name); !ok || got.Story != f.Story {
				t.Errorf("its name leads to %q", got.Story)
			}
		})
	}
	if _, ok := Named("sunshine"); ok {
		t.Error("there is a fault that there is not")
	}
}

// twoNodes is what a cluster of two nodes may have.
func twoNodes() places {
	node := func(name, cidr string, ready corev1.ConditionStatus) corev1.Node {
		return corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: corev1.NodeSpec{PodCIDR: cidr},
			Status: corev1.NodeStatus{Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: ready}}}}
	}
	pod := func(name, app, node, ip string) corev1.Pod {
		return corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name, Labels: map[string]string{"app": app}},
			Spec: corev1.PodSpec{NodeName: node}, Status: corev1.PodStatus{PodIP: ip, Phase: corev1.PodRunning}}
	}
	going := pod("web-9", "web", "node-b", "10.244.0.9")
	going.DeletionTimestamp = &metav1.Time{}
	waiting := pod("proxy-x", "proxy", "", "")
	waiting.Spec.Affinity = &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{
		NodeSelectorTerms: []corev1.NodeSelectorTerm{{MatchFields: []corev1.NodeSelectorRequirement{{Key: "metadata.name", Values: []string{"node-b"}}}}}}}}
	return places{
		pods:  []corev1.Pod{pod("web-0", "web", "node-a", "10.244.1.2"), going, pod("web-1", "web", "node-b", "10.244.0.3"), waiting},
		nodes: []corev1.Node{node("node-a", "10.244.1.0/24", corev1.ConditionTrue), node("node-b", "10.244.0.0/24", corev1.ConditionUnknown)},
	}
}

func TestBeyond(t *testing.T) {
	for _, tt := range []struct {
		q    Question
		want bool
	}{{toAPI, false}, {nameWithin, false}, {nameOutside, true}, {toShop, true}} {
		if got := tt.q.Beyond(); got != tt.want {
			t.Errorf("%s: %t", tt.q, got)
		}
	}
}

func TestWords(t *testing.T) {
	for _, c := range []struct{ end, want, err string }{
		{"web@node-a", "shop/web-0", ""},
		{"web@node-b:8080", "shop/web-1:8080", ""}, // the other one is on its way out
		{"svc/shop/api:80", "svc/shop/api:80", ""},
		{"node/node-b:30080", "node/node-b:30080", ""},
		{"outside", cluster.OutsideIP, ""},
		{"{node-b.net}.50:80", "10.244.0.50:80", ""},
		{"{node-a.cidr}", "10.244.1.0/24", ""},
		{"outside.example:80", "outside.example:80", ""},
		{"http://shop.example", "http://shop.example", ""},
		{"db@node-a:5432", "", "no Pod of db on node-a"},
	} {
		t.Run(c.end, func(t *testing.T) {
			got, err := twoNodes().words(c.end)
			if c.err != "" {
				if err == nil || err.Error() != c.err {
					t.Errorf("%v, want %q", err, c.err)
				}
				return
			}
			if err != nil || got != c.want {
				t.Errorf("%q, %v, want %q", got, err, c.want)
			}
		})
	}
}

func TestPlaces(t *testing.T) {
	p := twoNodes()
	if got := p.on("proxy", "node-b"); len(got) != 1 {
		t.Errorf("of a Pod that waits for a place on node-b: %v", got)
	}
	if got := p.on("proxy", "node-a"); len(got) != 0 {
		t.Errorf("of a Pod that waits for a place on another node: %v", got)
	}
	if !p.nodeReady("node-a") || p.nodeReady("node-b") || p.nodeReady("node-z") {
		t.Error("of the nodes, node-a alone is Ready")
	}
	if got, want := p.expand("to {web@node-a} in {node-a.cidr} by {nothing}"), "to 10.244.1.2 in 10.244.1.0/24 by {nothing}"; got != want {
		t.Error(cmp.Diff(want, got))
	}
	enter := []string{"outside", "node/node-a"}
	for _, from := range enter {
		if at, via, err := p.where(nil, from); err != nil || via != nil || !strings.HasSuffix(from, at) {
			t.Errorf("%s: %s by %v, %v", from, at, via, err)
		}
	}
}

func TestSteps(t *testing.T) {
	var log []string
	say := func(word string, err error) step {
		return func(context.Context, *cluster.Cluster) error {
			log = append(log, word)
			return err
		}
	}
	bad := errors.New("bad")
	if err := do(say("a", nil), say("b", bad), say("c", nil))(t.Context(), nil); !errors.Is(err, bad) {
		t.Error(err)
	}
	if err := every(say("d", bad), say("e", nil))(t.Context(), nil); !errors.Is(err, bad) {
		t.Error(err)
	}
	if got, want := strings.Join(log, ""), "abde"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestCurrent(t *testing.T) {
	c := &cluster.Cluster{Dir: t.TempDir()}
	if got, err := Current(c); got != "" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	if err := os.WriteFile(filepath.Join(c.Dir, "fault"), []byte("forward-drop\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := Current(c); got != "forward-drop" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	f, _ := Named("ip-forward-off")
	if err := f.Inject(t.Context(), c); err == nil || !strings.Contains(err.Error(), `has the fault "forward-drop"`) {
		t.Errorf("a second fault: %v", err)
	}
}
