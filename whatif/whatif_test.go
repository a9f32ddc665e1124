package whatif_test

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/plumbnet/plumb/manifest"
	"github.com/plumbnet/plumb/report"
	"github.com/plumbnet/plumb/snapshot"
	"github.com/plumbnet/plumb/whatif"
	"golang.org/x/tools/txtar"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// base is the cluster of testdata/base.yaml, with the Pods that its controllers would make.
func base(t testing.TB) (*snapshot.Objects, string) {
	t.Helper()
	data, err := os.ReadFile("testdata/base.yaml")
	if err != nil {
		t.Fatal(err)
	}
	o := objects(t, "base.yaml", string(data))
	for _, k := range []string{"Pod", "Node", "Namespace", "Service", "NetworkPolicy", "ClusterNetworkPolicy", "EndpointSlice", "Ingress", "IngressClass", "Gateway", "GatewayClass", "HTTPRoute", "ReferenceGrant"} {
		o.Have[k] = true
	}
	for i := range o.Deployments {
		d := &o.Deployments[i]
		for j := range *d.Spec.Replicas {
			o.Pods = append(o.Pods, podOf(d, i, int(j)))
		}
	}
	return o, string(data)
}

func podOf(d *appsv1.Deployment, i, j int) corev1.Pod {
	yes := true
	p := corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: d.Namespace, Name: fmt.Sprintf("%s-66b-%d", d.Name, j), Labels: map[string]string{"pod-template-hash": "66b"},
		OwnerReferences: []metav1.OwnerReference{{Kind: "ReplicaSet", Name: d.Name + "-66b", Controller: &yes}}}}
	for k, v := range d.Spec.Template.Labels {
		p.Labels[k] = v
	}
	p.Spec = *d.Spec.Template.Spec.DeepCopy()
	p.Spec.NodeName = string(rune('a' + j))
	p.Status = corev1.PodStatus{Phase: corev1.PodRunning, PodIPs: []corev1.PodIP{{IP: fmt.Sprintf("10.1.%d.%d", j, 10+i)}},
		Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}}
	return p
}

func objects(t testing.TB, name, yaml string) *snapshot.Objects {
	t.Helper()
	list, err := manifest.Read(name, []byte(yaml), "default")
	if err != nil {
		t.Fatal(err)
	}
	o, err := manifest.Objects(list)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// object returns the text of an object of the base, as a document of its own.
func object(t *testing.T, text, kind, name string) string {
	t.Helper()
	for item := range strings.SplitSeq(text, "\n- ") {
		namespace, own, ok := strings.Cut(name, "/")
		meta := "{namespace: " + namespace + ", name: " + own
		if !ok {
			meta = "{name: " + name
		}
		if strings.Contains(item, "kind: "+kind) && (strings.Contains(item, meta+"}") || strings.Contains(item, meta+",")) {
			return "- " + item
		}
	}
	t.Fatalf("no %s %s", kind, name)
	return ""
}

// change makes a change out of its steps, a line each:
//
//	edit KIND NAME: old => new      an object of the base with one text replaced by another, in which ⏎ ends a line
//	delete KEY                      of an object
//	new YAML                        an item of a List
func change(t *testing.T, text, steps string) (over *snapshot.Objects, gone map[string]bool, touched []string) {
	t.Helper()
	items, at := []string{}, map[string]int{}
	gone = map[string]bool{}
	for line := range strings.Lines(steps) {
		line = strings.TrimSuffix(line, "\n")
		verb, rest, _ := strings.Cut(line, " ")
		switch verb {
		case "edit":
			what, how, _ := strings.Cut(rest, ": ")
			kind, name, _ := strings.Cut(what, " ")
			was, is, _ := strings.Cut(how, " => ")
			if _, ok := at[what]; !ok {
				at[what] = len(items)
				items = append(items, object(t, text, kind, name))
			}
			next := strings.Replace(items[at[what]], was, strings.ReplaceAll(is, "⏎", "\n"), 1)
			if next == items[at[what]] && was != is {
				t.Fatalf("%s: nothing to replace", line)
			}
			items[at[what]] = next
		case "delete":
			gone[rest] = true
			touched = append(touched, rest)
		case "new":
			items = append(items, "- "+rest)
		default:
			t.Fatalf("step %q", line)
		}
	}
	over = &snapshot.Objects{}
	if len(items) > 0 {
		over = objects(t, "new.yaml", "apiVersion: v1\nkind: List\nitems:\n"+strings.Join(items, "\n")+"\n")
	}
	for key := range over.Source {
		touched = append(touched, key)
	}
	slices.Sort(touched)
	return over, gone, touched
}

// told is a Diff as a person reads it, on long lines.
func told(t testing.TB, d *whatif.Diff) string {
	t.Helper()
	var b bytes.Buffer
	if err := report.Diff(&b, d, report.Options{Width: 1000}); err != nil {
		t.Fatal(err)
	}
	_, out, _ := strings.Cut(b.String(), "\n")
	out, _, _ = strings.Cut(out, "not collected, and supposed")
	return strings.TrimSpace(out)
}

// cases runs the rows of a file: "name/change" is the change, "name/want" the lines that are wanted.
func cases(t *testing.T, file string, judge func(t *testing.T, d *whatif.Diff, want string)) (n int) {
	o, text := base(t)
	a, err := txtar.ParseFile(file)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{}
	for _, f := range a.Files {
		want[f.Name] = string(f.Data)
	}
	for _, f := range a.Files {
		name, ok := strings.CutSuffix(f.Name, "/change")
		if !ok {
			continue
		}
		n++
		t.Run(name, func(t *testing.T) {
			over, gone, touched := change(t, text, string(f.Data))
			is := whatif.Apply(o, over, gone)
			judge(t, whatif.Compare(o, is, touched), want[name+"/want"])
		})
	}
	return n
}

// TestBreaks wants the planted break of every realistic change, with the right pair named.
func TestBreaks(t *testing.T) {
	n := cases(t, "testdata/breaks.txtar", func(t *testing.T, d *whatif.Diff, want string) {
		got := told(t, d)
		for line := range strings.Lines(want) {
			if line = strings.TrimSpace(line); !strings.Contains(got, line) {
				t.Errorf("no line %q in\n%s", line, got)
			}
		}
		if want == "" {
			t.Errorf("says\n%s", got)
		}
		if !d.Breaks() {
			t.Error("breaks nothing")
		}
	})
	if n < 20 {
		t.Errorf("only %d", n)
	}
}

// TestRefactorings wants no change of changes that change nothing.
func TestRefactorings(t *testing.T) {
	n := cases(t, "testdata/refactorings.txtar", func(t *testing.T, d *whatif.Diff, want string) {
		if got := told(t, d); !d.None() || d.Breaks() || d.Unsure() || got != "✓ no change: every connection is answered as before" {
			t.Errorf("says\n%s", got)
		}
	})
	if n < 20 {
		t.Errorf("only %d", n)
	}
}
