package intent

import (
	"maps"
	"slices"
	"strconv"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// A labelled is what a selector may select.
type labelled struct {
	labels map[string]string
	name   string // of a namespace, which the API server puts in its label kubernetes.io/metadata.name
	known  bool   // false where the object is not there: only its name is known
}

// nameLabel is set by the API server on every Namespace, and cannot be changed.
const nameLabel = "kubernetes.io/metadata.name"

func (l labelled) get(key string) (value string, has, known bool) {
	if key == nameLabel && l.name != "" {
		return l.name, true, true
	}
	value, has = l.labels[key]
	return value, has, l.known
}

// matchLabels evaluates a selector. One that the API server would refuse may match anything.
func matchLabels(s *metav1.LabelSelector, l labelled) match {
	if !valid(s) {
		return maybe
	}
	out := yes
	for key, want := range s.MatchLabels {
		value, has, known := l.get(key)
		out = both(out, holds(has && value == want, known))
	}
	for i := range s.MatchExpressions {
		r := &s.MatchExpressions[i]
		value, has, known := l.get(r.Key)
		out = both(out, holds(meets(r, value, has), known))
	}
	return out
}

func holds(ok, known bool) match {
	switch {
	case !known:
		return maybe
	case ok:
		return yes
	}
	return no
}

// meets says whether a label meets a requirement. Where there is none, NotIn and DoesNotExist hold.
func meets(r *metav1.LabelSelectorRequirement, value string, has bool) bool {
	switch r.Operator {
	case metav1.LabelSelectorOpIn:
		return has && slices.Contains(r.Values, value)
	case metav1.LabelSelectorOpNotIn:
		return !has || !slices.Contains(r.Values, value)
	case metav1.LabelSelectorOpExists:
		return has
	}
	return !has
}

// valid reports whether the API server takes the selector's expressions.
func valid(s *metav1.LabelSelector) bool {
	for _, r := range s.MatchExpressions {
		switch r.Operator {
		case metav1.LabelSelectorOpIn, metav1.LabelSelectorOpNotIn:
			if len(r.Values) == 0 {
				return false
			}
		case metav1.LabelSelectorOpExists, metav1.LabelSelectorOpDoesNotExist:
			if len(r.Values) > 0 {
				return false
			}
		default:
			return false
		}
	}
	return true
}

// selectors are selectors of one sort of object, each once.
type selectors struct {
	at   map[string]int32
	list []*metav1.LabelSelector
	sets []tri // of classes, once there are classes
}

// put returns the index of a selector.
func (t *selectors) put(s *metav1.LabelSelector) int32 {
	key := selectorKey(s)
	i, ok := t.at[key]
	if !ok {
		if t.at == nil {
			t.at = map[string]int32{}
		}
		i = int32(len(t.list))
		t.at[key] = i
		t.list = append(t.list, s)
	}
	return i
}

// selectorKey is a text that selectors which say the same in the same way have in common.
func selectorKey(s *metav1.LabelSelector) string {
	var b []byte
	for _, k := range slices.Sorted(maps.Keys(s.MatchLabels)) {
		b = strconv.AppendQuote(strconv.AppendQuote(b, k), s.MatchLabels[k])
	}
	for _, r := range s.MatchExpressions {
		b = strconv.AppendQuote(append(append(b, ';'), r.Operator...), r.Key)
		for _, v := range r.Values {
			b = strconv.AppendQuote(b, v)
		}
	}
	return string(b)
}

// vocabulary numbers the labels of Pods that a selector can tell apart: each value that one names
// has a number, and all other values of a key that one names have one together.
type vocabulary struct {
	keys map[string]*keyUse
	n    int32
}

type keyUse struct {
	values map[string]int32
	other  int32
}

// learn adds what the selectors name.
func (v *vocabulary) learn(list []*metav1.LabelSelector) {
	v.keys = map[string]*keyUse{}
	for _, s := range list {
		for _, k := range slices.Sorted(maps.Keys(s.MatchLabels)) {
			v.value(k, s.MatchLabels[k])
		}
		for _, r := range s.MatchExpressions {
			v.key(r.Key)
			for _, value := range r.Values {
				v.value(r.Key, value)
			}
		}
	}
}

func (v *vocabulary) key(k string) *keyUse {
	u := v.keys[k]
	if u == nil {
		u = &keyUse{map[string]int32{}, v.n}
		v.keys[k] = u
		v.n++
	}
	return u
}

func (v *vocabulary) value(k, value string) {
	u := v.key(k)
	if _, ok := u.values[value]; !ok {
		u.values[value] = v.n
		v.n++
	}
}

// numbers appends the numbers of labels, sorted.
func (v *vocabulary) numbers(out []int32, labels map[string]string) []int32 {
	for k, value := range labels {
		u := v.keys[k]
		if u == nil {
			continue
		}
		n, ok := u.values[value]
		if !ok {
			n = u.other
		}
		out = append(out, n)
	}
	slices.Sort(out)
	return out
}

// A labelIndex holds the classes of Pods that have each label of a vocabulary.
type labelIndex struct {
	vocabulary
	classes [][]int32 // by the label's number
	all     set
}

// fill fills the index, of n classes of which the first pods are Pods'.
func (x *labelIndex) fill(classes []class, pods int) {
	x.classes = make([][]int32, x.n)
	for i := range classes[:pods] {
		for _, w := range classes[i].words {
			x.classes[w] = append(x.classes[w], int32(i))
		}
	}
	x.all = newSet(len(classes))
	x.all.addRange(0, int32(pods))
}

// with returns the classes that have one of the labels of those numbers.
func (x *labelIndex) with(numbers ...int32) set {
	out := newSet(len(x.all) * 64)
	for _, n := range numbers {
		for _, i := range x.classes[n] {
			out.add(i)
		}
	}
	return out
}

// having returns the classes with one of the values of a label.
func (x *labelIndex) having(key string, values ...string) set {
	var numbers []int32
	if u := x.keys[key]; u != nil {
		for _, v := range values {
			if n, ok := u.values[v]; ok {
				numbers = append(numbers, n)
			}
		}
	}
	return x.with(numbers...)
}

// havingKey returns the classes with any value of a label.
func (x *labelIndex) havingKey(key string) set {
	u := x.keys[key]
	if u == nil {
		return x.with()
	}
	return x.with(slices.AppendSeq([]int32{u.other}, maps.Values(u.values))...)
}

// selected returns the classes of Pods, of all namespaces, that a selector selects.
func (x *labelIndex) selected(s *metav1.LabelSelector) tri {
	if !valid(s) {
		return tri{maybe: x.all}
	}
	out := x.all.clone()
	for key, value := range s.MatchLabels {
		out.and(x.having(key, value))
	}
	for _, r := range s.MatchExpressions {
		switch r.Operator {
		case metav1.LabelSelectorOpIn:
			out.and(x.having(r.Key, r.Values...))
		case metav1.LabelSelectorOpNotIn:
			out.without(x.having(r.Key, r.Values...))
		case metav1.LabelSelectorOpExists:
			out.and(x.havingKey(r.Key))
		default:
			out.without(x.havingKey(r.Key))
		}
	}
	return tri{yes: out}
}
