package snapshot

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// names lists the objects of a few kinds: "Pod a/x".
func names(o *Objects) []string {
	var out []string
	for i := range o.Pods {
		out = append(out, "Pod "+o.Pods[i].Namespace+"/"+o.Pods[i].Name)
	}
	for i := range o.Services {
		out = append(out, "Service "+o.Services[i].Namespace+"/"+o.Services[i].Name)
	}
	for i := range o.EndpointSlices {
		out = append(out, "EndpointSlice "+o.EndpointSlices[i].Namespace+"/"+o.EndpointSlices[i].Name)
	}
	for i := range o.Deployments {
		out = append(out, "Deployment "+o.Deployments[i].Namespace+"/"+o.Deployments[i].Name)
	}
	return out
}

const (
	svcB  = `{"apiVersion":"v1","kind":"Service","metadata":{"namespace":"b","name":"s"}}`
	sliA  = `{"apiVersion":"discovery.k8s.io/v1","kind":"EndpointSlice","metadata":{"namespace":"a","name":"e"},"endpoints":[{"addresses":["10.0.0.1"]}],"addressType":"IPv4","ports":null}`
	depA  = `{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"namespace":"a","name":"d"}}`
	bareX = `{"metadata":{"namespace":"a","name":"x"}}`
)

func TestObjectFile(t *testing.T) {
	podX := pod("a", "x", "1")
	for _, tt := range []struct {
		name, file, content string
		want                []string
		have                []string
		gaps                []string
	}{
		{"kinds that alternate", "all.json", list(podX, svcB, pod("a", "y", "1"), sliA, depA), []string{"Pod a/x", "Pod a/y", "Service b/s", "EndpointSlice a/e", "Deployment a/d"},
			[]string{"Deployment", "EndpointSlice", "Pod", "Service"}, nil},
		{"a file of Pods in which there is a Service", "pods.json", list(svcB, podX), []string{"Pod a/x", "Service b/s"}, []string{"Pod", "Service"}, nil},
		{"a typed list that says its kind at the end", "x.json", `{"items":[` + bareX + `],"apiVersion":"v1","kind":"PodList"}`, []string{"Pod a/x"}, []string{"Pod"}, nil},
		{"a typed list of another version", "x.json", `{"apiVersion":"v2","kind":"PodList","items":[` + bareX + `]}`, nil, nil, []string{`item 0: Pod of "v2" is not understood: want v1`}},
		{"a typed list of a kind that is not needed", "x.json", `{"apiVersion":"v1","kind":"SecretList","items":[` + bareX + `]}`, nil, nil, nil},
		{"a typed list in a file of another kind", "services.json", `{"apiVersion":"v1","kind":"PodList","items":[` + bareX + `]}`, []string{"Pod a/x"}, []string{"Pod", "Service"}, nil},
		{"a List whose items do not say what they are", "pods.json", `{"apiVersion":"v1","kind":"List","items":[` + bareX + `,` + podX + `]}`, []string{"Pod a/x"}, []string{"Pod"},
			[]string{"item 0: neither an object nor a List: it has no kind"}},
		{"a List within a List", "x.json", list(list(podX)), nil, nil, []string{"item 0: a List within a List is not understood"}},
		{"items that are no objects", "x.json", `{"kind":"List","items":[1,"a",null,` + podX + `]}`, []string{"Pod a/x"}, []string{"Pod"}, []string{
			"item 0: json: cannot unmarshal number into Go value of type struct { APIVersion string \"json:\\\"apiVersion\\\"\"; Kind string \"json:\\\"kind\\\"\" }", "item 1", "item 2"}},
		{"an item that is no JSON", "x.json", `{"kind":"List","items":[{"kind":},` + podX + `]}`, []string{"Pod a/x"}, []string{"Pod"}, []string{"item 0: invalid character '}' looking for beginning of value"}},
		{"items of an object that is no List", "x.json", `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"z"},"items":[` + podX + `]}` + podX, []string{"Pod /z", "Pod a/x"}, []string{"Pod"}, nil},
		{"items that are no list", "x.json", `{"kind":"List","items":{}}`, nil, nil, nil},
		{"an array", "x.json", `[` + podX + `]`, nil, nil, []string{"document 1, at byte 0: neither an object nor a List: invalid character '['"}},
		{"a kind that is no string", "x.json", `{"kind":1}` + podX + svcB, []string{"Pod a/x", "Service b/s"}, []string{"Pod", "Service"}, []string{"document 1: json: cannot unmarshal number"}},
		{"Lists, one after the other", "x.json", list(podX) + "\n" + list(svcB), []string{"Pod a/x", "Service b/s"}, []string{"Pod", "Service"}, nil},
		{"one object twice", "pods.json", list(podX, podX), []string{"Pod a/x"}, []string{"Pod"}, nil},
		{"one object twice, and different", "pods.json", list(podX, pod("a", "x", "2")), []string{"Pod a/x"}, []string{"Pod"},
			[]string{`Pod/a/x: collected twice, with resourceVersion "1" and "2", and different: the later one was taken`}},
		{"out of order", "pods.json", list(pod("b", "a", "1"), pod("a", "z", "1"), pod("a", "b", "1")), []string{"Pod a/b", "Pod a/z", "Pod b/a"}, []string{"Pod"}, nil},
		{"cut short within an item", "pods.json", cut(list(podX, pod("a", "y", "1")), 12), []string{"Pod a/x"}, nil, []string{"document 1, at byte 205: unexpected EOF: the rest was not read"}},
		{"cut short after an item", "pods.json", cut(list(podX), 2), []string{"Pod a/x"}, nil, []string{"document 1, at byte 124: unexpected EOF"}},
		{"cut short before the List says that it is one", "x.json", `{"apiVersion":"v1","items":[` + podX + `,`, []string{"Pod a/x"}, nil, []string{"document 1, at byte 123: unexpected EOF"}},
		{"garbage after an item", "pods.json", `{"kind":"List","items":[` + podX + ` x]}`, []string{"Pod a/x"}, nil, []string{"document 1, at byte 119: invalid character 'x', want , or ]: the rest"}},
		{"a member without a name", "pods.json", `{"kind":"List",1:2}`, nil, nil, []string{"document 1, at byte 15: invalid character '1', want a name"}},
		{"a member without a value", "pods.json", `{"kind"}`, nil, nil, []string{"document 1, at byte 7: invalid character '}', want :"}},
		{"text", "pods.json", "error: the server has asked for credentials", nil, nil, []string{"document 1, at byte 0: neither an object nor a List: invalid character 'e'"}},
		{"text after an object", "pods.json", podX + " error", []string{"Pod a/x"}, nil, []string{"document 2, at byte 95: neither an object nor a List: invalid character 'e', want {: the rest"}},
		{"white space", "pods.json", " \n", nil, nil, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := mustRead(t, Files{"objects/" + tt.file: []byte(tt.content)})
			if d := cmp.Diff(tt.want, names(&c.Objects)); d != "" {
				t.Errorf("objects (-want +got):\n%s", d)
			}
			if d := cmp.Diff(tt.have, slices.Sorted(maps.Keys(c.Objects.Have))); d != "" {
				t.Errorf("have (-want +got):\n%s", d)
			}
			if len(c.Gaps) != len(tt.gaps) {
				t.Fatalf("gaps %q, want %q", c.Gaps, tt.gaps)
			}
			for i, g := range c.Gaps {
				if g.Path != "objects/"+tt.file || !strings.HasPrefix(g.Why, tt.gaps[i]) {
					t.Errorf("gap %q, want %s", g, tt.gaps[i])
				}
			}
		})
	}
}

// list makes a List as kubectl prints it: its kind at its end.
func list(items ...string) string {
	return `{"apiVersion":"v1","items":[` + strings.Join(items, ",") + `],"kind":"List"}`
}

// cut cuts n bytes off, and what follows the items.
func cut(s string, n int) string {
	s = strings.TrimSuffix(s, `],"kind":"List"}`)
	if n > 2 {
		return s[:len(s)-n]
	}
	return s + "],\"ki"[:n]
}

// TestObjectsIndented wants white space to make no difference.
func TestObjectsIndented(t *testing.T) {
	in := list(sliA, svcB, pod("a", "x  y", "1"))
	var indented bytes.Buffer
	if err := json.Indent(&indented, []byte(in), "", "    "); err != nil {
		t.Fatal(err)
	}
	want := mustRead(t, Files{"objects/all.json": []byte(in)})
	got := mustRead(t, Files{"objects/all.json": indented.Bytes()})
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	e := got.Objects.EndpointSlices[0]
	if e.Kind != "EndpointSlice" || e.APIVersion != "discovery.k8s.io/v1" || e.AddressType != "IPv4" || e.Endpoints[0].Addresses[0] != "10.0.0.1" {
		t.Errorf("slice: %+v", e)
	}
}

// TestObjectsWithoutHistory wants what may hold secrets, and tells plumb nothing, to be dropped.
func TestObjectsWithoutHistory(t *testing.T) {
	c := mustRead(t, Files{"objects/pods.json": []byte(list(`{"apiVersion":"v1","kind":"Pod","metadata":{"name":"x",
		"managedFields":[{"manager":"kubectl","fieldsV1":{"f:spec":{}}}],
		"annotations":{"a":"b","kubectl.kubernetes.io/last-applied-configuration":"{\"password\":1}"}}}`))})
	p := c.Objects.Pods[0]
	if d := cmp.Diff(map[string]string{"a": "b"}, p.Annotations); d != "" {
		t.Errorf("annotations (-want +got):\n%s", d)
	}
	if p.ManagedFields != nil {
		t.Errorf("managedFields: %v", p.ManagedFields)
	}
}

// TestObjectsBad wants a file of bad objects to make a few gaps, not thousands.
func TestObjectsBad(t *testing.T) {
	for _, tt := range []struct {
		name, item string
		many, gaps int
		last       string
	}{
		{"a few", `{"kind":"Pod"}`, enoughBad, enoughBad, `item 9: Pod of "" is not understood: want v1`},
		{"many", `{"kind":"Pod"}`, 1000, enoughBad + 1, `item 9: Pod of "" is not understood: want v1`},
		{"many without a kind", `{}`, 1000, enoughBad + 1, `item 9: neither an object nor a List: it has no kind`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := mustRead(t, Files{"objects/x.json": []byte(list(slices.Repeat([]string{tt.item}, tt.many)...))})
			if n := len(c.Gaps); n != tt.gaps || c.Gaps[n-1].Why != tt.last {
				t.Errorf("%d gaps, want %d: %q", n, tt.gaps, c.Gaps)
			}
			more := fmt.Sprintf("and %d more of its objects are not understood", tt.many-enoughBad)
			if (c.Gaps[0].Why == more) != (tt.many > enoughBad) {
				t.Errorf("the first gap: %q", c.Gaps[0].Why)
			}
		})
	}
}

// TestObjectsBound wants what is beyond the bound to be left out, with a Gap, and none to count as collected.
func TestObjectsBound(t *testing.T) {
	for _, tt := range []struct{ name, content string }{
		{"a List", list(slices.Repeat([]string{"0"}, maxObjects+1)...)},
		{"documents", strings.Repeat("{} ", maxObjects+1)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := mustRead(t, Files{"objects/pods.json": []byte(tt.content)})
			g := c.Missing("objects/Pod")
			if len(g) != enoughBad+2 || c.Objects.Have["Pod"] {
				t.Errorf("have %v, %d gaps: %q", c.Objects.Have, len(g), g)
			}
			if !slices.ContainsFunc(g, func(g Gap) bool { return strings.HasSuffix(g.Why, "more than 400000 objects: the rest was not read") }) {
				t.Errorf("no gap says why: %q", g)
			}
		})
	}
}
