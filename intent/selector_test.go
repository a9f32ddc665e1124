package intent

import (
	"math/rand/v2"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// randomSelector names few keys and values, so that they often meet.
func randomSelector(r *rand.Rand) *metav1.LabelSelector {
	keys, values := []string{"app", "tier", "team"}, []string{"a", "b", "c"}
	s := &metav1.LabelSelector{}
	for range r.IntN(2) {
		s.MatchLabels = map[string]string{keys[r.IntN(3)]: values[r.IntN(3)]}
	}
	for range r.IntN(3) {
		q := metav1.LabelSelectorRequirement{Key: keys[r.IntN(3)], Operator: []metav1.LabelSelectorOperator{"In", "NotIn", "Exists", "DoesNotExist"}[r.IntN(4)]}
		if q.Operator == "In" || q.Operator == "NotIn" {
			q.Values = []string{values[r.IntN(3)], values[r.IntN(3)]}
		}
		s.MatchExpressions = append(s.MatchExpressions, q)
	}
	return s
}

func randomLabels(r *rand.Rand) map[string]string {
	out := map[string]string{}
	for _, k := range []string{"app", "tier", "other"} {
		if r.IntN(3) > 0 {
			out[k] = []string{"a", "b", "z"}[r.IntN(3)]
		}
	}
	return out
}

// TestSelectorsAreKubernetes compares both ways to evaluate a selector with apimachinery's.
func TestSelectorsAreKubernetes(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 1))
	for range 200 {
		var list []*metav1.LabelSelector
		for range 5 {
			list = append(list, randomSelector(r))
		}
		var x labelIndex
		x.learn(list)
		var all []map[string]string
		var classes []class
		for range 20 {
			l := randomLabels(r)
			all = append(all, l)
			classes = append(classes, class{words: x.numbers(nil, l)})
		}
		x.fill(classes, len(classes))
		for _, s := range list {
			sel, err := metav1.LabelSelectorAsSelector(s)
			if err != nil {
				t.Fatal(err)
			}
			selected := x.selected(s)
			for i, l := range all {
				want := no
				if sel.Matches(labels.Set(l)) {
					want = yes
				}
				if got := selected.matches(int32(i)); got != want {
					t.Fatalf("%+v of %v: %v, want %v", s, l, got, want)
				}
				if got := matchLabels(s, labelled{labels: l, known: true}); got != want {
					t.Fatalf("%+v of %v: %v, want %v", s, l, got, want)
				}
				if got := matchLabels(s, labelled{}); got != yes && got != maybe || got == yes && selectorKey(s) != "" {
					t.Fatalf("%+v of what is not known: %v", s, got)
				}
			}
		}
	}
}

func TestSelectorKey(t *testing.T) {
	one := &metav1.LabelSelector{MatchLabels: map[string]string{"a": "1", "b": "2"}}
	for _, tt := range []struct {
		name string
		s    *metav1.LabelSelector
		same bool
	}{
		{"the same labels", &metav1.LabelSelector{MatchLabels: map[string]string{"b": "2", "a": "1"}}, true},
		{"other values", &metav1.LabelSelector{MatchLabels: map[string]string{"a": "2", "b": "1"}}, false},
		{"fewer", &metav1.LabelSelector{MatchLabels: map[string]string{"a": "1"}}, false},
		{"quotes in it", &metav1.LabelSelector{MatchLabels: map[string]string{`a""1""b`: "2"}}, false},
		{"as expressions", &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "a", Operator: "In", Values: []string{"1"}}}}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := selectorKey(one) == selectorKey(tt.s); got != tt.same {
				t.Errorf("the same: %v", got)
			}
		})
	}
	var list selectors
	if list.put(one) != 0 || list.put(everyoneElse) != 1 || list.put(one) != 0 || len(list.list) != 2 {
		t.Error("a selector is there twice, or not at all")
	}
}

var everyoneElse = &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "a", Operator: "DoesNotExist"}}}
