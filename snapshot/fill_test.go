package snapshot

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
)

// asJSON fills a new value of v's type as package json does.
func asJSON(v any, text string) (any, error) {
	to := reflect.New(reflect.TypeOf(v).Elem()).Interface()
	return to, json.Unmarshal([]byte(text), to)
}

// inner is of every shape that a filler knows, and of some that it does not.
type inner struct {
	Embedded `json:""`
	Name     string            `json:"name"`
	Yes      *bool             `json:"yes,omitempty"`
	Port     int32             `json:"port"`
	Big      int64             `json:"big"`
	Labels   map[string]string `json:"labels"`
	Numbers  map[string]int    `json:"numbers"`
	Words    []string          `json:"words"`
	Bytes    []byte            `json:"bytes"`
	More     []inner           `json:"more"`
	Next     *inner            `json:"next"`
	Share    float64           `json:"share"`
	Not      string            `json:"-"`
}

// Embedded is a part of inner that has no name in JSON.
type Embedded struct {
	Kind string `json:"kind"`
}

func TestFill(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		fills      bool
	}{
		{"every shape", `{"kind": "K", "name": "n", "yes": true, "port": 80, "big": 123456789, "labels": {"a": "b"}, "words": ["x", "y"], "more": [{"name": "m"}, {}], "next": {"yes": false}}`, true},
		{"white space", " {\n\t\"name\" : \"n\" ,\r\n\"words\" : [ ] , \"labels\" : { } } ", true},
		{"nothing", `{}`, true},
		{"null", `{"name": null, "yes": null, "port": null, "labels": null, "words": null, "next": null, "more": [null]}`, true},
		{"null itself", `null`, true},
		{"empty", `{"name": "", "labels": {"": ""}, "words": [""], "more": []}`, true},
		{"shapes that package json fills", `{"numbers": {"a": 1}, "bytes": "AQI=", "share": 0.5}`, true},
		{"numbers of every length", `{"port": -80, "big": 9223372036854775807}`, true},
		{"a number with an exponent", `{"big": 1e3}`, false},
		{"a number that is too big", `{"port": 4294967296}`, false},
		{"a number with a zero before it", `{"port": 080}`, false},
		{"a number as a string", `{"port": "80"}`, false},
		{"a string as a number", `{"name": 1}`, false},
		{"escapes", `{"name": "a\"b\\\u00e9\n", "labels": {"k": "\u0041"}, "words": ["\/"]}`, true},
		{"an escape that is none", `{"name": "\x"}`, false},
		{"a bare line break", "{\"name\": \"a\nb\"}", false},
		{"not ASCII", `{"name": "é", "labels": {"k": "網"}}`, true},
		{"not UTF-8", "{\"name\": \"\xff\"}", true},
		{"a name with an escape", `{"n\u0061me": "n"}`, false},
		{"a key with an escape", `{"labels": {"\u0061": "n"}}`, false},
		{"a name in other letters", `{"Name": "n"}`, false},
		{"a name that the type does not have", `{"other": [{"a": [1, 2.5, null]}], "name": "n"}`, true},
		{"the same, and its value is no JSON", `{"other": [}, "name": "n"}`, false},
		{"a name that JSON does not have", `{"Not": "n", "-": "m"}`, true},
		{"a name twice", `{"name": "n", "name": "m"}`, false},
		{"a key twice", `{"labels": {"a": "b", "a": "c"}}`, true},
		{"an array for an object", `{"labels": []}`, false},
		{"an object for an array", `{"words": {}}`, false},
		{"no comma", `{"name": "n" "port": 1}`, false},
		{"a comma too many", `{"name": "n",}`, false},
		{"a comma too many in an array", `{"words": ["n",]}`, false},
		{"a comma first", `{,"name": "n"}`, false},
		{"no colon", `{"name" "n"}`, false},
		{"no value", `{"name":}`, false},
		{"text after it", `{"name": "n"} x`, false},
		{"cut within a name", `{"na`, false},
		{"cut after a name", `{"name"`, false},
		{"cut within a string", `{"name": "n`, false},
		{"cut within an array", `{"words": ["n"`, false},
		{"cut within a map", `{"labels": {"n"`, false},
		{"cut after a value", `{"name": "n"`, false},
		{"no text", ``, false},
		{"a wrong bracket", `{"words": ["n"}`, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			want, err := asJSON(&inner{}, tt.text)
			var f filler
			got := &inner{}
			if fills := f.fill(got, []byte(tt.text)); fills != tt.fills {
				t.Fatalf("fills: %v; package json: %v", fills, err)
			}
			if !tt.fills {
				return
			}
			if diff := cmp.Diff(want, any(got)); err != nil || diff != "" {
				t.Errorf("%v, -package json +fill:\n%s", err, diff)
			}
		})
	}
}

// TestFillOddTypes fills structs that no API has, which are left to package json.
func TestFillOddTypes(t *testing.T) {
	type untagged struct{ Name string }
	type twice struct {
		Embedded
		Kind string `json:"kind"`
	}
	type quoted struct {
		N int64 `json:"n,string"`
	}
	type pointer struct{ *Embedded }
	for _, tt := range []struct {
		v    any
		text string
	}{
		{&untagged{}, `{"name": "n"}`},
		{&twice{}, `{"kind": "k"}`},
		{&quoted{}, `{"n": "1"}`},
		{&pointer{}, `{"kind": "k"}`},
		{&[2]int{}, `[1, 2]`},
	} {
		want, err := asJSON(tt.v, tt.text)
		var f filler
		if !f.fill(tt.v, []byte(tt.text)) || err != nil {
			t.Errorf("%T is not filled; package json: %v", tt.v, err)
		}
		if diff := cmp.Diff(want, tt.v); diff != "" {
			t.Errorf("%T: -package json +fill:\n%s", tt.v, diff)
		}
	}
}

// TestKnown wants a string for bytes whatever was there before, and keeps none that is long.
func TestKnown(t *testing.T) {
	var f filler
	long := strings.Repeat("x", 100)
	for _, s := range []string{"", "a", "TCP", "TCP", "12345678", "1234567", "123456789", "kubernetes.io/service-name", long, long} {
		if got := f.known([]byte(s)); got != s {
			t.Errorf("known(%q) = %q", s, got)
		}
	}
	for _, s := range f.words {
		if s == long {
			t.Error("a long string is kept")
		}
	}
}

// fillSeeds are objects with what is particular to API types: times, quantities, ports by
// number and by name, fields that hold any JSON, structs within the object itself.
var fillSeeds = []string{
	`{"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s", "creationTimestamp": "2026-01-02T03:04:05Z", "annotations": {"a": "{\"x\": 1}"},
		"managedFields": [{"manager": "m", "operation": "Update", "fieldsV1": {"f:spec": {}}}]},
		"spec": {"ports": [{"name": "http", "port": 80, "targetPort": 8080, "appProtocol": "h2c"}, {"port": 81, "targetPort": "web"}], "clusterIPs": ["10.0.0.1"], "ipFamilyPolicy": "SingleStack"}, "status": {"loadBalancer": {}}}`,
	`{"metadata": {"name": "p", "deletionTimestamp": null, "deletionGracePeriodSeconds": 30}, "spec": {"containers": [{"name": "c", "resources": {"limits": {"cpu": "500m", "memory": 1073741824}},
		"livenessProbe": {"httpGet": {"path": "/", "port": "web"}, "periodSeconds": 10}}], "volumes": [{"name": "v", "emptyDir": {}}], "tolerations": [{"operator": "Exists"}]},
		"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True", "lastProbeTime": null}], "podIPs": [{"ip": "10.0.0.2"}]}}`,
	sliA, svcB, depA, bareX, `{"endpoints": [{"addresses": [], "conditions": {"ready": true, "serving": null}, "hints": {"forZones": [{"name": "z"}]}}]}`,
	`{"spec": {"policyTypes": ["Ingress"], "ingress": [{"from": [{"ipBlock": {"cidr": "10.0.0.0/8"}}], "ports": [{"port": 1, "endPort": 2}]}]}}`,
	`{"metadata": {"name": 1}}`, `{"metadata": {"Name": "x"}}`, `[]`, `{"metadata": {"labels": {"a": "b", "a": null}}}`,
}

// FuzzFill wants what a filler fills to be what package json does.
func FuzzFill(f *testing.F) {
	for _, s := range fillSeeds {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var fill filler
		for _, v := range []any{&corev1.Pod{}, &corev1.Service{}, &discoveryv1.EndpointSlice{}, &networkingv1.NetworkPolicy{}, &corev1.Node{}, &inner{}} {
			if !fill.fill(v, []byte(text)) {
				continue
			}
			want, err := asJSON(v, text)
			if err != nil || !reflect.DeepEqual(want, v) {
				t.Fatalf("%T: package json: %v, -package json +fill:\n%s", v, err, cmp.Diff(want, v))
			}
		}
	})
}

// TestFillSeeds wants real objects to be filled in one pass.
func TestFillSeeds(t *testing.T) {
	for i, v := range []any{&corev1.Service{}, &corev1.Pod{}, &discoveryv1.EndpointSlice{}} {
		var f filler
		if !f.fill(v, []byte(fillSeeds[i])) {
			t.Errorf("%T is left to package json", v)
		}
	}
}
