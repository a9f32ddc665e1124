package snapshot

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestOverlay(t *testing.T) {
	base := mustRead(t, Files{"objects/base.json": []byte(`
		{"apiVersion":"v1","kind":"ServiceList","items":[{"metadata":{"namespace":"a","name":"x"}},{"metadata":{"namespace":"b","name":"x"}},{"metadata":{"namespace":"b","name":"y"}}]}
		{"apiVersion":"networking.k8s.io/v1","kind":"NetworkPolicyList","items":[{"metadata":{"namespace":"a","name":"x"}}]}
		{"apiVersion":"v1","kind":"NamespaceList","items":[{"metadata":{"name":"a"}}]}`)}).Objects
	over := mustRead(t, Files{"objects/over.json": []byte(`{"apiVersion":"v1","kind":"Service","metadata":{"namespace":"b","name":"x","labels":{"new":"1"}}}
		{"apiVersion":"v1","kind":"Service","metadata":{"namespace":"a","name":"w"}}`)}).Objects
	got := Overlay(&base, &over, map[string]bool{"Service/b/y": true, "NetworkPolicy/a/x": true, "Pod/a/none": true})
	var names []string
	for _, s := range got.Services {
		names = append(names, s.Namespace+"/"+s.Name+s.Labels["new"])
	}
	if d := cmp.Diff([]string{"a/w", "a/x", "b/x1"}, names); d != "" {
		t.Error(d)
	}
	if len(got.NetworkPolicies) != 0 || len(base.NetworkPolicies) != 1 || len(base.Services) != 3 || base.Services[1].Labels["new"] != "" {
		t.Errorf("%+v", got)
	}
	if got = Overlay(&base, &over, nil); &got.Namespaces[0] != &base.Namespaces[0] {
		t.Error("a list that stays is not shared")
	}
	if got = Overlay(&base, &Objects{}, map[string]bool{"Namespace//b": true, "Namespace//a": true}); len(got.Services)+len(got.NetworkPolicies)+len(got.Namespaces) != 0 {
		t.Errorf("something is left of the namespaces: %+v", got)
	}
}

func TestObject(t *testing.T) {
	o := mustRead(t, Files{"objects/base.json": []byte(`{"apiVersion":"v1","kind":"ServiceList","items":[{"metadata":{"namespace":"a","name":"x"}}]}`)}).Objects
	data, ok := o.Object("Service", "a", "x")
	if want := `{"kind":"Service","apiVersion":"v1","metadata":{"name":"x","namespace":"a"},"spec":{},"status":{"loadBalancer":{}}}`; !ok || string(data) != want {
		t.Errorf("%v %s", ok, data)
	}
	for _, key := range [][3]string{{"Service", "b", "x"}, {"Pod", "a", "x"}, {"Planet", "a", "x"}} {
		if _, ok := o.Object(key[0], key[1], key[2]); ok {
			t.Errorf("found %v", key)
		}
	}
}

func TestKinds(t *testing.T) {
	for in, want := range map[string]string{"networkpolicy": "NetworkPolicy", "NetworkPolicies": "NetworkPolicy", "svc": "Service", "deploy": "Deployment",
		"namespaces": "Namespace", "calicoglobalnetworkpolicy": "CalicoGlobalNetworkPolicy", "secret": "", "": ""} {
		if got, ok := KindNamed(in); got != want || ok != (want != "") {
			t.Errorf("%q: %q, %v", in, got, ok)
		}
	}
	for _, name := range wholeCluster {
		if _, ok := KindNamed(name); !ok || Namespaced(name) {
			t.Errorf("%s is no kind", name)
		}
	}
	for _, tt := range []struct {
		version, kind, name string
		ok, bad             bool
	}{
		{"v1", "Pod", "Pod", true, false}, {"projectcalico.org/v3", "NetworkPolicy", "CalicoNetworkPolicy", true, false},
		{"v1", "Secret", "", false, false}, {"networking.k8s.io/v2", "NetworkPolicy", "", false, true}, {"v1", "", "", false, true},
	} {
		v, name, ok, err := NewObject(tt.version, tt.kind)
		if name != tt.name || ok != tt.ok || (err != nil) != tt.bad || (v != nil) != ok {
			t.Errorf("%s %s: %v %q %v %v", tt.version, tt.kind, v, name, ok, err)
		}
	}
	if !Namespaced("Service") {
		t.Error("a Service is in a namespace")
	}
}
