package manifest

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	networkingv1 "k8s.io/api/networking/v1"
)

// TestPolicies: every form that the API documents is read, and the API's types have it.
func TestPolicies(t *testing.T) {
	for _, tt := range []struct{ name, spec, want string }{
		{"an empty podSelector", "podSelector: {}", `{"podSelector":{}}`},
		{"matchExpressions", "podSelector:\n    matchExpressions:\n    - {key: app, operator: NotIn, values: [a, b]}\n    - {key: tier, operator: Exists}",
			`{"podSelector":{"matchExpressions":[{"key":"app","operator":"NotIn","values":["a","b"]},{"key":"tier","operator":"Exists"}]}}`},
		{"a port by name", "ingress:\n  - ports: [{port: http}]", `{"podSelector":{},"ingress":[{"ports":[{"port":"http"}]}]}`},
		{"a port by number", "ingress:\n  - ports: [{port: 80, protocol: UDP}]", `{"podSelector":{},"ingress":[{"ports":[{"protocol":"UDP","port":80}]}]}`},
		{"a port in quotes is a name", "ingress:\n  - ports: [{port: \"80\"}]", `{"podSelector":{},"ingress":[{"ports":[{"port":"80"}]}]}`},
		{"endPort, SCTP", "ingress:\n  - ports: [{port: 80, endPort: 90, protocol: SCTP}]", `{"podSelector":{},"ingress":[{"ports":[{"protocol":"SCTP","port":80,"endPort":90}]}]}`},
		{"ipBlock with exceptions, of both families", "egress:\n  - to:\n    - ipBlock: {cidr: 10.0.0.0/8, except: [10.1.0.0/16]}\n    - ipBlock: {cidr: 'fd00::/8', except: ['fd00:1::/32']}",
			`{"podSelector":{},"egress":[{"to":[{"ipBlock":{"cidr":"10.0.0.0/8","except":["10.1.0.0/16"]}},{"ipBlock":{"cidr":"fd00::/8","except":["fd00:1::/32"]}}]}]}`},
		{"an address without quotes is a word", "egress:\n  - to:\n    - ipBlock:\n        cidr: ::/0", `{"podSelector":{},"egress":[{"to":[{"ipBlock":{"cidr":"::/0"}}]}]}`},
		{"both selectors, both empty", "ingress:\n  - from: [{namespaceSelector: {}, podSelector: {}}]", `{"podSelector":{},"ingress":[{"from":[{"podSelector":{},"namespaceSelector":{}}]}]}`},
		{"an empty rule is not none", "ingress:\n  - {}", `{"podSelector":{},"ingress":[{}]}`},
		{"an empty list of rules", "ingress: []", `{"podSelector":{},"ingress":[]}`},
		{"null is absent", "ingress: null\n  egress:", `{"podSelector":{}}`},
		{"numbers as YAML 1.2 has them", "ingress:\n  - ports: [{port: 0x50}, {port: 0o120}, {port: 8e1}]", `{"podSelector":{},"ingress":[{"ports":[{"port":80},{"port":80},{"port":80}]}]}`},
		{"a rule that another repeats", "ingress:\n  - &r\n    ports: [{port: 80}]\n  egress:\n  - *r", `{"podSelector":{},"ingress":[{"ports":[{"port":80}]}],"egress":[{"ports":[{"port":80}]}]}`},
		{"a rule merged from two", "ingress:\n  - &r {ports: [{port: 80}]}\n  - <<: [*r, {ports: [{port: 81}], from: [{podSelector: {}}]}]",
			`{"podSelector":{},"ingress":[{"ports":[{"port":80}]},{"ports":[{"port":80}],"from":[{"podSelector":{}}]}]}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			list, err := Read("f.yaml", []byte(policy+"spec:\n  "+tt.spec+"\n"), "shop")
			if err != nil {
				t.Fatal(err)
			}
			o, err := Objects(list)
			if err != nil {
				t.Fatal(err)
			}
			want, err := Read("want.json", []byte(`{"apiVersion":"networking.k8s.io/v1","kind":"NetworkPolicy","metadata":{"name":"web"},"spec":`+tt.want+`}`), "shop")
			if err != nil {
				t.Fatal(err)
			}
			w, _ := Objects(want)
			if d := cmp.Diff(w.NetworkPolicies[0].Spec, o.NetworkPolicies[0].Spec); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

// TestRefusals: what the API server would refuse, with its file, line and field.
func TestRefusals(t *testing.T) {
	cnp := func(rest string) string {
		return "apiVersion: policy.networking.k8s.io/v1alpha2\nkind: ClusterNetworkPolicy\nmetadata: {name: x}\nspec:\n  tier: Admin\n  priority: 1\n" + rest
	}
	for _, tt := range []struct{ name, in, want string }{
		{"an exception in a list of its own", policy + "spec:\n  podSelector: {}\n  ingress:\n  - from:\n    - ipBlock:\n        cidr: 10.0.0.0/8\n        except:\n        - 10.1.0.0/16\n        - 10.2.0.0\n",
			`f.yaml:13: spec.ingress[0].from[0].ipBlock.except[1]: "10.2.0.0" is no range, such as 10.0.0.0/8`},
		{"a range that is a number", policy + "spec:\n  podSelector: {}\n  ingress:\n  - from:\n    - ipBlock:\n        cidr: 10.2\n", "f.yaml:10: spec.ingress[0].from[0].ipBlock.cidr: a number, want string"},
		{"a range of more bits than there are", policy + "spec:\n  podSelector: {}\n  egress:\n  - to:\n    - ipBlock: {cidr: 'fd00::/129'}\n", `f.yaml:9: spec.egress[0].to[0].ipBlock.cidr: "fd00::/129" is no range, such as 10.0.0.0/8`},
		{"a tier", strings.Replace(cnp("  subject: {namespaces: {}}\n"), "tier: Admin", "tier: Developer", 1), `f.yaml:5: spec.tier: "Developer", want Admin, Baseline`},
		{"a network of a policy of the cluster", cnp("  subject: {namespaces: {}}\n  egress:\n  - action: Deny\n    to:\n    - networks: [10.0.0.0/8, all]\n"), `f.yaml:11: spec.egress[0].to[0].networks[1]: "all" is no range, such as 10.0.0.0/8`},
		{"a field of another kind of policy", cnp("  podSelector: {}\n"), "f.yaml:7: spec.podSelector: unknown field"},
		{"a priority in quotes", strings.Replace(cnp(""), "priority: 1", "priority: high", 1), "f.yaml:6: spec.priority: a string, want int32"},
		{"a label that looks like the word of an API", policy + "spec:\n  podSelector:\n    matchLabels: {operator: anything, protocol: x}\n  ingress: 5\n", "f.yaml:8: spec.ingress: a number, want []v1.NetworkPolicyIngressRule"},
		{"a policy type that is a word alone", policy + "spec:\n  podSelector: {}\n  policyTypes: Ingress\n", "f.yaml:7: spec.policyTypes: a string, want []v1.PolicyType"},
		{"a list where an object belongs", policy + "spec:\n  podSelector:\n  - matchLabels: {}\n", "f.yaml:6: spec.podSelector: a array, want v1.LabelSelector"},
		{"a selector one level too high", policy + "spec:\n  matchLabels: {app: web}\n", "f.yaml:6: spec.matchLabels: unknown field"},
		{"from beside, not in, a rule", policy + "spec:\n  podSelector: {}\n  from: []\n", "f.yaml:7: spec.from: unknown field"},
		{"ports within from", policy + "spec:\n  podSelector: {}\n  ingress:\n  - from:\n    - podSelector: {}\n      ports: [{port: 80}]\n", "f.yaml:10: spec.ingress[0].from[0].ports: unknown field"},
		{"a name that is a number", strings.Replace(policy, "name: web", "name: 7", 1), "f.yaml:4: metadata.name: a number, want string"},
		{"metadata that is a word", "apiVersion: v1\nkind: Service\nmetadata: x\n", "f.yaml:1: metadata.name: a Service needs a name"},
		{"a port of a Service that is a word", "apiVersion: v1\nkind: Service\nmetadata: {name: x}\nspec:\n  ports:\n  - port: http\n", "f.yaml:6: spec.ports[0].port: a string, want int32"},
		{"the path of an Ingress", "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: x}\nspec:\n  rules:\n  - http:\n      paths:\n      - path: /\n        backend:\n          serviceName: web\n",
			"f.yaml:10: spec.rules[0].http.paths[0].backend.serviceName: unknown field"},
		{"an Ingress of before", "apiVersion: extensions/v1beta1\nkind: Ingress\nmetadata: {name: x}\n", `f.yaml:1: Ingress of "extensions/v1beta1" is not understood: want networking.k8s.io/v1`},
		{"a policy of before", strings.Replace(policy, "networking.k8s.io/v1", "extensions/v1beta1", 1), `f.yaml:1: NetworkPolicy of "extensions/v1beta1" is not understood: want networking.k8s.io/v1`},
		{"a key that is no word", policy + "spec:\n  ? [a]\n  : b\n", "f.yaml:6: spec: a key that is no word"},
		{"the second of two in a List", "apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: Namespace\n  metadata: {name: a}\n- apiVersion: v1\n  kind: Namespace\n", "f.yaml:7: metadata.name: a Namespace needs a name"},
		{"an item that is none", "apiVersion: v1\nkind: List\nitems:\n- 7\n", "f.yaml:4: neither an object nor a List"},
		{"an infinite number", "apiVersion: v1\nkind: Service\nmetadata: {name: x}\nspec: {healthCheckNodePort: -.inf}\n", "f.yaml:4: spec.healthCheckNodePort: no number"},
		{"what is within an alias is where it is used", "apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: Service\n  metadata: {name: a}\n  spec: &s {prots: []}\n", "f.yaml:7: spec.prots: unknown field"},
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

// TestMany: of many errors the first are named, and all documents up to then are looked at.
func TestMany(t *testing.T) {
	in := strings.Repeat("apiVersion: v1\nkind: Service\nmetadata: {name: x}\nspec: {a: 1}\n---\n", 30)
	_, err := Read("f.yaml", []byte(in), "shop")
	lines := strings.Split(err.Error(), "\n")
	if len(lines) != enough || lines[0] != "f.yaml:4: spec.a: unknown field" || lines[enough-1] != "f.yaml:99: spec.a: unknown field" {
		t.Errorf("%d: %q", len(lines), lines)
	}
}

// TestKinds: whose namespace an object gets, and what is passed over.
func TestKinds(t *testing.T) {
	for _, tt := range []struct{ name, in, want string }{
		{"a Pod", "apiVersion: v1\nkind: Pod\nmetadata: {name: x}\n", "Pod/shop/x"},
		{"a namespace that is empty", "apiVersion: v1\nkind: Pod\nmetadata: {name: x, namespace: ''}\n", "Pod/shop/x"},
		{"a Node has none", "apiVersion: v1\nkind: Node\nmetadata: {name: x}\n", "Node//x"},
		{"a policy of the cluster", "apiVersion: policy.networking.k8s.io/v1alpha2\nkind: ClusterNetworkPolicy\nmetadata: {name: x}\n", "ClusterNetworkPolicy//x"},
		{"a GatewayClass", "apiVersion: gateway.networking.k8s.io/v1\nkind: GatewayClass\nmetadata: {name: x}\n", "GatewayClass//x"},
		{"a route", "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: x}\n", "HTTPRoute/shop/x"},
		{"Cilium's", "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {name: x}\nspec: {whatever: 1}\n", "CiliumNetworkPolicy/shop/x"},
		{"Calico's, which has the API's name", "apiVersion: projectcalico.org/v3\nkind: NetworkPolicy\nmetadata: {name: x}\nspec: {selector: all()}\n", "CalicoNetworkPolicy/shop/x"},
		{"a kind of nobody's", "apiVersion: example.com/v1\nkind: Thing\nmetadata: {name: x}\nspec: {podSelektor: 1}\n", ""},
		{"a List that is empty", "apiVersion: v1\nkind: List\nitems: []\n", ""},
		{"items by an alias", "apiVersion: v1\nkind: List\nx: &i\n- {apiVersion: v1, kind: Node, metadata: {name: a}}\nitems: *i\n", "Node//a"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			list, err := Read("f.yaml", []byte(tt.in), "shop")
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for i := range list {
				if list[i].Kind != "" {
					got = append(got, list[i].Key())
				}
			}
			if d := cmp.Diff(tt.want, strings.Join(got, " ")); d != "" {
				t.Error(d)
			}
			if _, err := Objects(list); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestTypes: what is read is what the API's own types read.
func TestTypes(t *testing.T) {
	list, err := Read("f.yaml", []byte(policy+"spec:\n  podSelector: {}\n  policyTypes: [Egress]\n  egress:\n  - to: [{ipBlock: {cidr: 10.0.0.0/8}}]\n"), "shop")
	if err != nil {
		t.Fatal(err)
	}
	o, err := Objects(list)
	if err != nil {
		t.Fatal(err)
	}
	want := networkingv1.NetworkPolicySpec{PolicyTypes: []networkingv1.PolicyType{"Egress"},
		Egress: []networkingv1.NetworkPolicyEgressRule{{To: []networkingv1.NetworkPolicyPeer{{IPBlock: &networkingv1.IPBlock{CIDR: "10.0.0.0/8"}}}}}}
	if d := cmp.Diff(want, o.NetworkPolicies[0].Spec); d != "" || o.Source["NetworkPolicy/shop/web"] == "" {
		t.Error(d)
	}
}

// TestDecodeEdges: where a configuration is wrong is said by file, line and field.
func TestDecodeEdges(t *testing.T) {
	for _, tt := range []struct{ name, in, want string }{
		{"a value by an alias", "labels: &l {zone: a}\nprobes: {dns: {threshold: *l}}\n", "c.yaml:2: probes.dns.threshold: a object, want string"},
		{"a value of a map", "labels: {zone: a}\nprobes:\n  dns: {}\n  tcp:\n    threshold: [1]\n", "c.yaml:5: probes.tcp.threshold: a array, want string"},
		{"a key merged in", "probes:\n  a: &a {threshold: 1ms}\n  b: {<<: *a, treshold: x}\n", "c.yaml:3: probes.b.treshold: unknown field"},
		{"the second of two", "sinks:\n- {url: a}\n- {url: [b]}\n", "c.yaml:3: sinks[1].url: a array, want string"},
		{"a fraction", "sinks:\n- batch: 1.5\n", "c.yaml:2: sinks[0].batch: a number 1.5, want int"},
		{"a word that YAML 1.1 takes for a truth value", "labels:\n  zone: on\n", "c.yaml:2: labels.zone: a bool, want string"},
		{"in quotes it is a word", "labels:\n  zone: \"on\"\n", ""},
		{"two of its own faults", "sinks:\n- batch: 1\n- batch: 3\n", "c.yaml:2: sinks[0].batch: 1 is odd\nc.yaml:3: sinks[1].batch: 3 is odd"},
		{"a fault is not looked for where a type is wrong", "sinks:\n- batch: 1\n- batch: x\n", "c.yaml:3: sinks[1].batch: a string, want int"},
		{"too large", strings.Repeat("#", maxFile+1), "c.yaml: more than 32 MiB"},
		{"too deep", "labels: " + strings.Repeat("[", 200) + strings.Repeat("]", 200), "c.yaml:1: it is too deep, or its aliases make too much of it"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := ""
			if err := Decode("c.yaml", []byte(tt.in), &checked{}); err != nil {
				got = err.Error()
			}
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}
