package snapshot

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func pod(ns, name, version string) string {
	return fmt.Sprintf(`{"apiVersion":"v1","kind":"Pod","metadata":{"namespace":%q,"name":%q,"resourceVersion":%q}}`, ns, name, version)
}

func TestObjects(t *testing.T) {
	for _, tt := range []struct {
		name, file, content string
		pods                []string
		have                []string
		gaps                []Gap
	}{
		{"a List", "pods.json", `{"apiVersion":"v1","kind":"List","items":[` + pod("b", "y", "1") + `,` + pod("a", "x", "1") + `]}`, []string{"a/x", "b/y"}, []string{"Pod"}, nil},
		{"an empty List in a file that is named for its kind", "pods.json", `{"apiVersion":"v1","kind":"List","items":[]}`, nil, []string{"Pod"}, nil},
		{"an empty List", "all.json", `{"apiVersion":"v1","kind":"List","items":[]}`, nil, nil, nil},
		{"an empty typed list", "all.json", `{"apiVersion":"v1","kind":"PodList","items":[]}`, nil, []string{"Pod"}, nil},
		{"a typed list", "all.json", `{"apiVersion":"v1","kind":"PodList","items":[{"metadata":{"namespace":"a","name":"x"}}]}`, []string{"a/x"}, []string{"Pod"}, nil},
		{"documents", "all.json", pod("a", "x", "1") + "\n" + pod("a", "y", "1"), []string{"a/x", "a/y"}, []string{"Pod"}, nil},
		{"one object is not all of its kind", "mine.json", pod("a", "x", "1"), []string{"a/x"}, nil, nil},
		{"kinds that are not needed", "all.json", `{"apiVersion":"v1","kind":"List","items":[{"apiVersion":"v1","kind":"Secret","metadata":{"name":"s"}},` + pod("a", "x", "1") + `]}`, []string{"a/x"}, []string{"Pod"}, nil},
		{"a kind of someone else's", "all.json", `{"apiVersion":"v1","kind":"List","items":[{"apiVersion":"example.com/v1","kind":"Pod","metadata":{"name":"s"}}]}`, nil, nil, nil},
		{"an old version", "all.json", `{"apiVersion":"v1","kind":"List","items":[{"apiVersion":"v1beta3","kind":"Pod","metadata":{"name":"s"}}]}`, nil, nil,
			[]Gap{{"objects/all.json", `item 0: Pod of "v1beta3" is not understood: want v1`}}},
		{"a bad object", "pods.json", `{"kind":"List","items":[{"apiVersion":"v1","kind":"Pod","metadata":{"name":7}},` + pod("a", "x", "1") + `]}`, []string{"a/x"}, []string{"Pod"},
			[]Gap{{"objects/pods.json", "item 0: Pod: json: cannot unmarshal number into Go struct field ObjectMeta.metadata.name of type string"}}},
		{"no name", "pods.json", `{"apiVersion":"v1","kind":"Pod"}`, nil, []string{"Pod"}, []Gap{{"objects/pods.json", "document 1: Pod: no metadata.name"}}},
		{"no kind", "pods.json", `{}`, nil, []string{"Pod"}, []Gap{{"objects/pods.json", "document 1: neither an object nor a List: it has no kind"}}},
		{"cut short", "pods.json", pod("a", "x", "1") + `{"kind":`, []string{"a/x"}, nil,
			[]Gap{{"objects/pods.json", "document 2, at byte 102: unexpected EOF: the rest was not read"}}},
		{"empty", "pods.json", "", nil, nil, nil},
		{"failed", "pods.json.error", "Forbidden", nil, nil, []Gap{{"objects/pods.json", "Forbidden"}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := mustRead(t, Files{"objects/" + tt.file: []byte(tt.content)})
			var pods, have []string
			for _, p := range c.Objects.Pods {
				pods = append(pods, p.Namespace+"/"+p.Name)
				if got := c.Objects.Source[Key("Pod", p.Namespace, p.Name)]; got != "objects/"+tt.file {
					t.Errorf("source %q", got)
				}
			}
			for k := range c.Objects.Have {
				have = append(have, k)
			}
			if d := cmp.Diff(tt.pods, pods); d != "" {
				t.Errorf("pods (-want +got):\n%s", d)
			}
			if d := cmp.Diff(tt.have, have); d != "" {
				t.Errorf("have (-want +got):\n%s", d)
			}
			if d := cmp.Diff(tt.gaps, c.Gaps); d != "" {
				t.Errorf("gaps (-want +got):\n%s", d)
			}
		})
	}
}

func TestKindOfFile(t *testing.T) {
	for file, want := range map[string]string{
		"pods.json": "Pod", "endpointslices.json": "EndpointSlice", "ingresses.json": "Ingress", "gateways.json": "Gateway", "ingressclasses.json": "IngressClass",
		"networkpolicies.json": "NetworkPolicy", "networkpolicy.json": "NetworkPolicy", "daemonsets.json": "DaemonSet", "all.json": "",
		"clusternetworkpolicies.json": "ClusterNetworkPolicy", "adminnetworkpolicies.json": "AdminNetworkPolicy", "baselineadminnetworkpolicies.json": "BaselineAdminNetworkPolicy",
	} {
		got := ""
		if k, ok := kindOfFile("objects/" + file); ok {
			got = k.name
		}
		if got != want {
			t.Errorf("%s: %q, want %q", file, got, want)
		}
	}
}

// objectsOf is a cluster of Pods with resource versions.
func objectsOf(t *testing.T, file string, pods ...string) *Cluster {
	return mustRead(t, Files{"objects/" + file: []byte(strings.Join(pods, "\n"))})
}

func TestMergeObjects(t *testing.T) {
	for _, tt := range []struct{ name, a, b, want, gap string }{
		{"the same", pod("a", "x", "5"), pod("a", "x", "5"), "5", ""},
		{"the newer comes last", pod("a", "x", "9"), pod("a", "x", "10"), "10", "and different: the later one was taken"},
		{"the newer comes first", pod("a", "x", "10"), pod("a", "x", "9"), "10", "the newer one was taken"},
		{"not known which is newer", pod("a", "x", "b"), pod("a", "x", "a"), "a", "the later one was taken"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := Merge(objectsOf(t, "pods.json", tt.a), objectsOf(t, "p2.json", tt.b))
			if len(c.Objects.Pods) != 1 || c.Objects.Pods[0].ResourceVersion != tt.want {
				t.Errorf("pods: %+v", c.Objects.Pods)
			}
			if (len(c.Gaps) > 0) != (tt.gap != "") || len(c.Gaps) > 0 && !strings.Contains(c.Gaps[0].Why, tt.gap) {
				t.Errorf("gaps %v, want %q", c.Gaps, tt.gap)
			}
			if !c.Objects.Have["Pod"] {
				t.Error("the kind is not there")
			}
		})
	}
}

func FuzzObjects(f *testing.F) {
	f.Add(pod("a", "x", "1"))
	f.Add(`{"kind":"List","items":[{"apiVersion":"v1","kind":"Pod","metadata":{"name":7}}]}`)
	f.Add(`{"kind":"ServiceList","apiVersion":"v1","items":[{"metadata":{"name":"a"},"spec":{"ports":[{"targetPort":"x"}]}}]}`)
	f.Fuzz(func(t *testing.T, in string) {
		c, err := Read(Files{"objects/all.json": []byte(in)})
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range c.Objects.Pods {
			if p.Name == "" {
				t.Error("a Pod without a name")
			}
		}
	})
}
