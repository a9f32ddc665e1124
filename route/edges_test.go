package route

import (
	"strings"
	"testing"
)

// TestIngressEdges: what the documents leave to controllers, and ends of what they do not.
func TestIngressEdges(t *testing.T) {
	one := func(rest string) []string { return []string{ingress("a", "nginx", rest)} }
	foo := func(paths ...string) []string {
		for i := range paths {
			paths[i] = path(paths[i])
		}
		return one(rules(rule("foo.com", paths...)))
	}
	backend := func(b string) []string {
		return one(`"rules":[{"host":"foo.com","http":{"paths":[{"path":"/","pathType":"Prefix","backend":` + b + `}]}}]`)
	}
	run(t, []row{
		{"a port that the Service does not have", backend(`{"service":{"name":"v1","port":{"number":8080}}}`), map[string]string{"http://foo.com/": "! Service shop/v1 has no port 8080"}},
		{"no type of path", one(`"rules":[{"host":"foo.com","http":{"paths":[{"path":"/a","backend":{"service":{"name":"v1","port":{"number":80}}}}]}}]`),
			map[string]string{"http://foo.com/a": "v1", "http://foo.com/a/b": "? whether Ingress/shop/a takes it is its controller's matter: foo.com /a", "http://foo.com/b": "404"}},
		{"a host without paths goes to the default", one(`"defaultBackend":{"service":{"name":"v2","port":{"number":80}}},"rules":[{"host":"foo.com"}]`), map[string]string{"http://foo.com/": "v2", "http://bar.com/": "v2"}},
		{"the host in upper case", one(rules(rule("Foo.COM", path("Prefix / v1")))), map[string]string{"http://foo.com/": "v1"}},
		{"a rule without host is for all, and behind those with one", one(rules(rule("", path("Prefix /a v1")), rule("foo.com", path("Prefix / v2")))),
			map[string]string{"http://foo.com/a": "v2", "http://bar.com/a": "v1", "http://bar.com/b": "-"}},
		{"a wildcard is behind the host, whatever the path", one(rules(rule("*.foo.com", path("Exact /long/path v1")), rule("x.foo.com", path("Prefix / v2")))),
			map[string]string{"http://x.foo.com/long/path": "v2", "http://y.foo.com/long/path": "v1", "http://y.foo.com/": "404"}},
		{"a wildcard does not stand for nothing", one(rules(rule("*.foo.com", path("Prefix / v1")))), map[string]string{"http://.foo.com/": "-", "http://foo.com/": "-"}},
		{"the last slash does not count", foo("Prefix /a/b/ v1", "Prefix /a v2"), map[string]string{"http://foo.com/a/b": "v1", "http://foo.com/a/bc": "v2", "http://foo.com/a/b/c": "v1"}},
		{"the query is no part of the path", foo("Exact /a v1"), map[string]string{"http://foo.com/a?b=/c": "v1", "http://foo.com/a/?b": "404"}},
		{"nor is what is behind #", foo("Exact /a v1"), map[string]string{"http://foo.com/a#b": "v1"}},
		{"two slashes are two", foo("Exact /a v1"), map[string]string{"http://foo.com//a": "404"}},
		{"the port of the request does not count", foo("Prefix / v1"), map[string]string{"http://foo.com:8080/": "v1"}},
		{"no host matches TCP", foo("Prefix / v1"), map[string]string{"tcp://foo.com:80": "-"}},
		{"two that agree are no quarrel", []string{ingress("a", "nginx", rules(rule("foo.com", path("Prefix / v1")))), ingress("b", "nginx", rules(rule("foo.com", path("Prefix / v1"))))},
			map[string]string{"http://foo.com/": "v1"}},
		{"Exact beside Prefix of one path are no quarrel", []string{ingress("a", "nginx", rules(rule("foo.com", path("Exact /a v1")))), ingress("b", "nginx", rules(rule("foo.com", path("Prefix /a v2"))))},
			map[string]string{"http://foo.com/a": "v1", "http://foo.com/a/b": "v2"}},
	})
	tab := table(t, backend(`{"resource":{"apiGroup":"k8s.example.com","kind":"StorageBucket","name":"x"}}`)...)
	if got := tab.Rules[0].Backends[0].Unclear.String(); got != "what a StorageBucket does is not known" {
		t.Error(got)
	}
}

// TestGatewayEdges: which routes a listener takes, and what stands against a backend.
func TestGatewayEdges(t *testing.T) {
	web := gateway("edge", listener("web HTTP 80"))
	from := func(namespaces string) string {
		return strings.Replace(web, `"namespaces":{"from":"All"}`, `"namespaces":`+namespaces, 1)
	}
	shop := `{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"shop","labels":{"team":"shop"}}}`
	x := func(rules string) string { return httpRoute("a", "", `"x.io"`, rules) }
	run(t, []row{
		{"namespaces by label", []string{shop, from(`{"from":"Selector","selector":{"matchLabels":{"team":"shop"}}}`), x(to("v1", ""))}, map[string]string{"http://x.io/": "v1"}},
		{"by another label", []string{shop, from(`{"from":"Selector","selector":{"matchLabels":{"team":"infra"}}}`), x(to("v1", ""))}, map[string]string{"http://x.io/": "-"}},
		{"by an empty selector", []string{shop, from(`{"from":"Selector","selector":{}}`), x(to("v1", ""))}, map[string]string{"http://x.io/": "v1"}},
		{"by label, and there is no such namespace", []string{from(`{"from":"Selector","selector":{}}`), x(to("v1", ""))}, map[string]string{"http://x.io/": "-"}},
		{"by a word of later", []string{from(`{"from":"None"}`), x(to("v1", ""))}, map[string]string{"http://x.io/": "-"}},
		{"nothing is said: the Gateway's own", []string{strings.Replace(web, `,"allowedRoutes":{"namespaces":{"from":"All"}}`, "", 1), x(to("v1", ""))}, map[string]string{"http://x.io/": "-"}},
		{"kinds that it takes", []string{strings.Replace(web, `"allowedRoutes":{`, `"allowedRoutes":{"kinds":[{"kind":"HTTPRoute"}],`, 1), x(to("v1", ""))}, map[string]string{"http://x.io/": "v1"}},
		{"a kind of that name of another API", []string{strings.Replace(web, `"allowedRoutes":{`, `"allowedRoutes":{"kinds":[{"group":"example.com","kind":"HTTPRoute"}],`, 1), x(to("v1", ""))}, map[string]string{"http://x.io/": "-"}},
		{"a Service as parent is a mesh's", []string{web, httpRoute("a", `,"group":"","kind":"Service"`, `"x.io"`, to("v1", ""))}, map[string]string{"http://x.io/": "-"}},
		{"a listener that there is not", []string{web, httpRoute("a", `,"sectionName":"gone"`, `"x.io"`, to("v1", ""))}, map[string]string{"http://x.io/": "-"}},
		{"a port that no listener has", []string{web, httpRoute("a", `,"port":81`, `"x.io"`, to("v1", ""))}, map[string]string{"http://x.io:81/": "-", "http://x.io/": "-"}},
		{"a listener of TCP takes no HTTPRoute", []string{gateway("edge", listener("web TCP 80")), x(to("v1", ""))}, map[string]string{"http://x.io/": "-"}},
		{"a listener of HTTP takes no TCPRoute", []string{web, `{"apiVersion":"gateway.networking.k8s.io/v1alpha2","kind":"TCPRoute","metadata":{"namespace":"shop","name":"db"},"spec":{"parentRefs":[{"namespace":"infra","name":"edge"}],"rules":[{"backendRefs":[{"name":"v1","port":80}]}]}}`},
			map[string]string{"tcp://x:80": "-"}},
		{"hosts that do not meet", []string{gateway("edge", listener("web HTTP 80 *.a.io")), httpRoute("a", "", `"*.b.io"`, to("v1", ""))}, map[string]string{"http://x.a.io/": "-", "http://x.b.io/": "-"}},
		{"two wildcards, of which one is narrower", []string{gateway("edge", listener("web HTTP 80 *.a.io")), httpRoute("a", "", `"*.b.a.io"`, to("v1", ""))}, map[string]string{"http://x.b.a.io/": "v1", "http://x.a.io/": "-"}},
		{"the wider one is the route's", []string{gateway("edge", listener("web HTTP 80 *.b.a.io")), httpRoute("a", "", `"*.a.io"`, to("v1", ""))}, map[string]string{"http://x.b.a.io/": "v1", "http://x.a.io/": "-"}},
		{"a wildcard stands for several labels", []string{gateway("edge", listener("web HTTP 80 *.a.io")), httpRoute("a", "", "", to("v1", ""))}, map[string]string{"http://x.y.a.io/": "v1", "http://a.io/": "-"}},
		{"the first match that holds, of all that a rule has", []string{web, x(to("v1", `{"path":{"value":"/a"},"method":"POST"},{"path":{"value":"/b"}}`))},
			map[string]string{"POST http://x.io/a": "v1", "http://x.io/a": "404", "http://x.io/b": "v1"}},
		{"all of a match must hold", []string{web, x(to("v1", `{"path":{"value":"/a"},"headers":[{"name":"h","value":"1"}],"queryParams":[{"name":"q","value":"2"}]}`))},
			map[string]string{"http://x.io/a?q=2 h=1": "v1", "http://x.io/a?q=2": "404", "http://x.io/a h=1": "404"}},
		{"an expression for a header", []string{web, x(to("v1", `{"headers":[{"type":"RegularExpression","name":"h","value":"a.*"}]}`))},
			map[string]string{"http://x.io/ h=abc": "? whether HTTPRoute/shop/a takes it is its controller's matter: x.io / h=a.*", "http://x.io/": "404"}},
		{"of a header that is there twice the first counts", []string{web, x(to("v1", `{"headers":[{"name":"h","value":"1"},{"name":"H","value":"2"}]}`))}, map[string]string{"http://x.io/ h=1": "v1", "http://x.io/ h=2": "404"}},
		{"the longer path before more headers", []string{web, x(to("v1", `{"path":{"value":"/a"},"headers":[{"name":"h","value":"1"},{"name":"i","value":"1"}]}`) + "," + to("v2", `{"path":{"value":"/a/b"}}`))}, map[string]string{"http://x.io/a/b h=1 i=1": "v2"}},
		{"the method before headers", []string{web, x(to("v1", `{"headers":[{"name":"h","value":"1"}]}`) + "," + to("v2", `{"method":"GET"}`))}, map[string]string{"http://x.io/ h=1": "v2"}},
		{"the first rule of equals", []string{web, x(to("v1", "") + "," + to("v2", ""))}, map[string]string{"http://x.io/": "v1"}},
		{"a backend of another API", []string{web, x(`{"backendRefs":[{"group":"example.com","kind":"Bucket","name":"b","port":80}]}`)}, map[string]string{"http://x.io/": "b"}},
		{"a grant for another Service", []string{web, x(`{"backendRefs":[{"namespace":"pay","name":"pay","port":80}]}`),
			`{"apiVersion":"gateway.networking.k8s.io/v1beta1","kind":"ReferenceGrant","metadata":{"namespace":"pay","name":"g"},"spec":{"from":[{"group":"gateway.networking.k8s.io","kind":"HTTPRoute","namespace":"shop"}],"to":[{"group":"","kind":"Service","name":"other"}]}}`},
			map[string]string{"http://x.io/": "! no ReferenceGrant in namespace pay lets HTTPRoute in shop use Service pay"}},
		{"a grant from another kind", []string{web, x(`{"backendRefs":[{"namespace":"pay","name":"pay","port":80}]}`),
			`{"apiVersion":"gateway.networking.k8s.io/v1beta1","kind":"ReferenceGrant","metadata":{"namespace":"pay","name":"g"},"spec":{"from":[{"group":"gateway.networking.k8s.io","kind":"TCPRoute","namespace":"shop"}],"to":[{"group":"","kind":"Service"}]}}`},
			map[string]string{"http://x.io/": "! no ReferenceGrant in namespace pay lets HTTPRoute in shop use Service pay"}},
		{"a grant where the Service is not", []string{web, x(`{"backendRefs":[{"namespace":"pay","name":"pay","port":80}]}`),
			`{"apiVersion":"gateway.networking.k8s.io/v1beta1","kind":"ReferenceGrant","metadata":{"namespace":"shop","name":"g"},"spec":{"from":[{"group":"gateway.networking.k8s.io","kind":"HTTPRoute","namespace":"shop"}],"to":[{"group":"","kind":"Service"}]}}`},
			map[string]string{"http://x.io/": "! no ReferenceGrant in namespace pay lets HTTPRoute in shop use Service pay"}},
		{"a filter of a backend", []string{web, x(`{"backendRefs":[{"name":"v1","port":80,"filters":[{"type":"ExtensionRef","extensionRef":{"group":"e","kind":"A","name":"x"}}]}]}`)}, map[string]string{"http://x.io/": "v1"}},
	})
}

// TestListenerStatus: a listener that its controller refuses serves nothing.
func TestListenerStatus(t *testing.T) {
	state := func(kind, status string) string {
		return `"status":{"listeners":[{"name":"other","supportedKinds":[],"attachedRoutes":0,"conditions":[{"type":"Accepted","status":"False","reason":"X","message":"","lastTransitionTime":"2026-01-01T00:00:00Z"}]},` +
			`{"name":"web","supportedKinds":[],"attachedRoutes":0,"conditions":[{"type":"` + kind + `","status":"` + status + `","reason":"InvalidCertificateRef","message":"no Secret","lastTransitionTime":"2026-01-01T00:00:00Z"}]}]}`
	}
	for _, tt := range []struct{ name, kind, status, tls, want string }{
		{"accepted", "Accepted", "True", "", ""},
		{"refused", "Accepted", "False", "", "listener web of Gateway infra/edge does not work: InvalidCertificateRef: no Secret"},
		{"without its certificate", "ResolvedRefs", "False", `"tls":{"certificateRefs":[{"name":"x"}]},`, "listener web of Gateway infra/edge does not work: InvalidCertificateRef: no Secret"},
		{"without a reference that it does not need", "ResolvedRefs", "False", "", ""},
		{"not known yet", "Accepted", "Unknown", "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g := strings.Replace(gateway("edge", listener("web HTTP 80")), `"allowedRoutes"`, tt.tls+`"allowedRoutes"`, 1)
			tab := table(t, strings.TrimSuffix(g, "}")+","+state(tt.kind, tt.status)+"}", httpRoute("a", "", `"x.io"`, to("v1", "")))
			if got := tab.Rules[0].Fault.String(); got != tt.want {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
}

// TestTitles: what a rule, an object and an answer are called.
func TestTitles(t *testing.T) {
	for _, tt := range []struct {
		name string
		rule Rule
		want string
	}{
		{"any host", Rule{Path: "/"}, "* /"},
		{"all that it may match", Rule{Host: "x.io", Path: "/a", Method: "PUT", Headers: []Pair{{"h", "1", false}}, Query: []Pair{{"q", "2", false}}}, "x.io /a PUT h=1 q=2"},
		{"TCP", Rule{scheme: "tcp"}, "*"},
	} {
		if got := tt.rule.Title(); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
	for want, got := range map[string]string{"unknown": Unknown.String(), "yes": Yes.String(), "no": No.String(), "Ingress/shop/a": Object{"Ingress", "shop", "a"}.String(), "IngressClass/nginx": Object{"IngressClass", "", "nginx"}.String()} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// TestNotCollected: what is not there because nobody looked is not a fault.
func TestNotCollected(t *testing.T) {
	tab := table(t, ingress("a", "gone", rules(rule("foo.com", path("Prefix / missing")))), gateway("edge", listener("web HTTP 80")),
		httpRoute("a", "", `"x.io"`, `{"backendRefs":[{"namespace":"pay","name":"pay","port":80}]}`))
	for _, kind := range []string{"Service", "IngressClass", "GatewayClass", "ReferenceGrant"} {
		tab.o.Have[kind] = false
	}
	tab = New(tab.o)
	var got []string
	for _, r := range tab.Rules {
		for _, b := range r.Backends {
			got = append(got, b.Unclear.String()+b.Fault.String())
		}
	}
	if want := "Services were not collected|ReferenceGrants were not collected"; strings.Join(got, "|") != want {
		t.Errorf("%q", got)
	}
	for _, e := range tab.Entries {
		if !e.Fault.IsZero() {
			t.Errorf("%s: %s", e.Object, e.Fault)
		}
	}
}
