package manifest

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const policy = `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: web
`

func TestRead(t *testing.T) {
	for _, tt := range []struct{ name, in, want string }{
		{"one", policy + "spec:\n  podSelector: {}\n", `NetworkPolicy/shop/web 1 {"apiVersion":"networking.k8s.io/v1","kind":"NetworkPolicy","metadata":{"name":"web","namespace":"shop"},"spec":{"podSelector":{}}}`},
		{"of a namespace of its own", strings.Replace(policy, "name: web", "name: web\n  namespace: other", 1),
			`NetworkPolicy/other/web 1 {"apiVersion":"networking.k8s.io/v1","kind":"NetworkPolicy","metadata":{"name":"web","namespace":"other"}}`},
		{"several, and empty ones", "---\n# nothing\n---\napiVersion: v1\nkind: Namespace\nmetadata: {name: a, labels: {team: red}}\n---\n" + policy,
			"Namespace//a 4 {\"apiVersion\":\"v1\",\"kind\":\"Namespace\",\"metadata\":{\"name\":\"a\",\"labels\":{\"team\":\"red\"}}}\n" +
				`NetworkPolicy/shop/web 8 {"apiVersion":"networking.k8s.io/v1","kind":"NetworkPolicy","metadata":{"name":"web","namespace":"shop"}}`},
		{"JSON", `{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"a"}}`, `Namespace//a 1 {"apiVersion":"v1","kind":"Namespace","metadata":{"name":"a"}}`},
		{"a List", "apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: Namespace\n  metadata:\n    name: a\n", `Namespace//a 4 {"apiVersion":"v1","kind":"Namespace","metadata":{"name":"a"}}`},
		{"a typed List", "apiVersion: v1\nkind: NamespaceList\nitems:\n- metadata:\n    name: a\n", `Namespace//a 4 {"metadata":{"name":"a"},"apiVersion":"v1","kind":"Namespace"}`},
		{"a Secret", "apiVersion: v1\nkind: Secret\nmetadata: {name: x}\ndata: {a: b}\n", " 1 "},
		{"aliases and merges", "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: a\n  labels: &l {a: b, c: d}\n  annotations: {<<: *l, a: x}\n",
			`Namespace//a 1 {"apiVersion":"v1","kind":"Namespace","metadata":{"name":"a","labels":{"a":"b","c":"d"},"annotations":{"a":"x","c":"d"}}}`},
		{"quoted words stay words", "apiVersion: v1\nkind: Namespace\nmetadata: {name: a, labels: {a: 'yes', b: \"1\"}}\n",
			`Namespace//a 1 {"apiVersion":"v1","kind":"Namespace","metadata":{"name":"a","labels":{"a":"yes","b":"1"}}}`},
		{"nothing", "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			list, err := Read("f.yaml", []byte(tt.in), "shop")
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for i, o := range list {
				key := ""
				if o.Kind != "" {
					key = list[i].Key()
				}
				got = append(got, key+" "+string(rune('0'+o.Line))+" "+string(o.JSON))
			}
			if d := cmp.Diff(tt.want, strings.Join(got, "\n")); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
			if _, err := Objects(list); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestErrors(t *testing.T) {
	for _, tt := range []struct{ name, in, want string }{
		{"no YAML", "a: b: c\n", "f.yaml: line 1: mapping values are not allowed in this context"},
		{"a tab", "a:\n\tb: c\n", "f.yaml: line 2: found character that cannot start any token"},
		{"no object", "- a\n", "f.yaml:1: neither an object nor a List"},
		{"no kind", "metadata: {name: x}\n", "f.yaml:1: an object needs apiVersion and kind"},
		{"no name", "apiVersion: v1\nkind: Service\nspec: {}\n", "f.yaml:1: metadata.name: a Service needs a name"},
		{"another version", strings.Replace(policy, "/v1", "/v2", 1), `f.yaml:1: NetworkPolicy of "networking.k8s.io/v2" is not understood: want networking.k8s.io/v1`},
		{"a field with a slip", policy + "spec:\n  podSelector: {}\n  ingress:\n  - from:\n    - podSelektor: {}\n", "f.yaml:9: spec.ingress[0].from[0].podSelektor: unknown field"},
		{"one of other case", policy + "spec:\n  podselector: {}\n", "f.yaml:6: spec.podselector: unknown field"},
		{"two slips", policy + "spec:\n  a: 1\n  b: 2\n", "f.yaml:6: spec.a: unknown field\nf.yaml:7: spec.b: unknown field"},
		{"twice", policy + "spec:\n  podSelector: {}\n  podSelector: {}\n", "f.yaml:7: spec.podSelector: it is there twice"},
		{"a list that is none", policy + "spec:\n  podSelector: {}\n  ingress: {}\n", "f.yaml:7: spec.ingress: a object, want []v1.NetworkPolicyIngressRule"},
		{"a label that is no word", policy + "spec:\n  podSelector:\n    matchLabels:\n      a: x\n      on: yes\n", "f.yaml:9: spec.podSelector.matchLabels.on: a bool, want string"},
		{"a number", policy + "spec:\n  podSelector:\n    matchLabels:\n      version: 2\n", "f.yaml:8: spec.podSelector.matchLabels.version: a number, want string"},
		{"a port of a type of its own", policy + "spec:\n  podSelector: {}\n  ingress:\n  - ports:\n    - port: 80\n    - port: [80]\n", "f.yaml:10: spec.ingress[0].ports[1].port: a array, want int32"},
		{"endPort in quotes", policy + "spec:\n  podSelector: {}\n  ingress:\n  - ports:\n    - port: 80\n      endPort: \"90\"\n", "f.yaml:10: spec.ingress[0].ports[0].endPort: a string, want int32"},
		{"a range", policy + "spec:\n  podSelector: {}\n  egress:\n  - to:\n    - ipBlock:\n        cidr: 10.0.0.0\n        except: [10.0.0.0/33]\n",
			"f.yaml:10: spec.egress[0].to[0].ipBlock.cidr: \"10.0.0.0\" is no range, such as 10.0.0.0/8\nf.yaml:11: spec.egress[0].to[0].ipBlock.except[0]: \"10.0.0.0/33\" is no range, such as 10.0.0.0/8"},
		{"a protocol", policy + "spec:\n  podSelector: {}\n  ingress:\n  - ports:\n    - {port: 53, protocol: udp}\n", "f.yaml:9: spec.ingress[0].ports[0].protocol: \"udp\", want TCP, UDP, SCTP"},
		{"a direction", policy + "spec:\n  podSelector: {}\n  policyTypes:\n  - Egres\n", "f.yaml:8: spec.policyTypes[0]: \"Egres\", want Ingress, Egress"},
		{"an operator", policy + "spec:\n  podSelector:\n    matchExpressions:\n    - {key: protocol, operator: in}\n", "f.yaml:8: spec.podSelector.matchExpressions[0].operator: \"in\", want In, NotIn, Exists, DoesNotExist"},
		{"within a List", "apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: Service\n  metadata: {name: x}\n  spec: {port: 1}\n", "f.yaml:7: spec.port: unknown field"},
		{"in the second document", policy + "---\n" + policy + "spec: []\n", "f.yaml:10: spec: a array, want v1.NetworkPolicySpec"},
		{"not a number", "apiVersion: v1\nkind: Service\nmetadata: {name: x}\nspec: {healthCheckNodePort: .nan}\n", "f.yaml:4: spec.healthCheckNodePort: no number"},
		{"aliases of aliases", "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: a\n  annotations: &a {<<: *a}\n", "f.yaml:5: metadata.annotations: it merges too much"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Read("f.yaml", []byte(tt.in), "shop")
			if err == nil {
				t.Fatal("no error")
			}
			if d := cmp.Diff(tt.want, err.Error()); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

func TestTwice(t *testing.T) {
	a, _ := Read("a.yaml", []byte(policy), "shop")
	b, _ := Read("b.yaml", []byte("---\n---\n"+policy), "shop")
	_, err := Objects(append(a, b...))
	if err == nil || err.Error() != "b.yaml:3: NetworkPolicy shop/web is also at a.yaml:1" {
		t.Error(err)
	}
}

// TestBounds: what blows up is refused, in little time.
func TestBounds(t *testing.T) {
	bomb := "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: a\na0: &a0 [x,x,x,x,x,x,x,x,x,x]\n"
	for i := 1; i < 10; i++ {
		was, is := string(rune('0'+i-1)), string(rune('0'+i))
		bomb += "a" + is + ": &a" + is + " [" + strings.Repeat("*a"+was+",", 9) + "*a" + was + "]\n"
	}
	for name, in := range map[string]string{"aliases": bomb, "depth": policy + "spec: " + strings.Repeat("[", 200) + strings.Repeat("]", 200), "size": strings.Repeat("#", maxFile+1)} {
		if _, err := Read("f.yaml", []byte(in), ""); err == nil {
			t.Error(name)
		}
	}
}

// FuzzRead: nothing panics, and what is read without an error is objects that a snapshot takes.
func FuzzRead(f *testing.F) {
	f.Add(policy + "spec:\n  podSelector: {}\n  ingress:\n  - from:\n    - podSelektor: {}\n")
	f.Add("apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: Service\n  metadata: {name: x}\n  spec: {ports: [{port: 1, targetPort: yes}]}\n")
	f.Add("apiVersion: v1\nkind: Namespace\nmetadata:\n  name: a\n  labels: &l {a: b}\n  annotations: {<<: [*l, {x: 2020-01-02}], a: 0x1F}\n")
	f.Add("apiVersion: policy.networking.k8s.io/v1alpha2\nkind: ClusterNetworkPolicy\nmetadata: {name: a}\nspec: {tier: Admin, priority: 010, subject: {namespaces: {}}}\n")
	f.Add("apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {name: a}\nspec: {any: !!binary aGk=}\n")
	f.Fuzz(func(t *testing.T, in string) {
		list, err := Read("f.yaml", []byte(in), "shop")
		if err != nil {
			return
		}
		if _, err := Objects(list); err != nil && !strings.Contains(err.Error(), "is also at") {
			t.Fatalf("%v", err)
		}
	})
}

type checked struct {
	Labels map[string]string `json:"labels"`
	Probes map[string]struct {
		Threshold string `json:"threshold"`
	} `json:"probes"`
	Sinks []struct {
		URL   string `json:"url"`
		Batch int    `json:"batch"`
	} `json:"sinks"`
}

func (c *checked) Faults() (out []Fault) {
	for i, s := range c.Sinks {
		if s.URL == "" && s.Batch%2 == 1 {
			out = append(out, Fault{fmt.Sprintf("sinks[%d].batch", i), fmt.Sprintf("%d is odd", s.Batch)})
		}
	}
	return out
}

func TestDecode(t *testing.T) {
	for _, tt := range []struct {
		name, in, want string
	}{
		{"empty", "", ""},
		{"a comment", "# nothing\n", ""},
		{"all of it", "labels: {zone: a}\nprobes:\n  dns:\n    threshold: 5ms\nsinks:\n- url: x\n  batch: 3\n", ""},
		{"a key that is not there", "labels: {}\nprobe: {}\n", `c.yaml:2: probe: unknown field`},
		{"deep", "sinks:\n- url: x\n- url: z\n  bach: 3\n", `c.yaml:4: sinks[1].bach: unknown field`},
		{"of another type", "sinks:\n- url: x\n  batch: many\n", `c.yaml:3: sinks[0].batch: a string, want int`},
		{"twice", "labels: {}\nlabels: {}\n", `c.yaml:2: labels: it is there twice`},
		{"a list", "- a\n", `c.yaml:1: a array, want manifest.checked`},
		{"two documents", "labels: {}\n---\nlabels: {}\n", `c.yaml: more than one document`},
		{"no YAML", "labels: {\n", `c.yaml: line 1: did not find expected`},
		{"refused by its own check", "sinks:\n- batch: 3\n", `c.yaml:2: sinks[0].batch: 3 is odd`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var c checked
			err := Decode("c.yaml", []byte(tt.in), &c)
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("%v, want %q", err, tt.want)
			}
		})
	}
}
