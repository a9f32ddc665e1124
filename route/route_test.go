package route

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/plumbnet/plumb/snapshot"
)

// service and the others make objects.
func service(ns, name string, ports ...string) string {
	return fmt.Sprintf(`{"apiVersion":"v1","kind":"Service","metadata":{"namespace":%q,"name":%q},"spec":{"ports":[%s]}}`, ns, name, strings.Join(ports, ","))
}

func ingress(name, class, rest string) string {
	if class != "" {
		rest = fmt.Sprintf(`"ingressClassName":%q,`, class) + rest
	}
	return fmt.Sprintf(`{"apiVersion":"networking.k8s.io/v1","kind":"Ingress","metadata":{"namespace":"shop","name":%q},"spec":{%s}}`, name, rest)
}

// path is a rule of an Ingress: "Prefix /orders api".
func path(words string) string {
	f := strings.Fields(words)
	return fmt.Sprintf(`{"path":%q,"pathType":%q,"backend":{"service":{"name":%q,"port":{"number":80}}}}`, f[1], f[0], f[2])
}

func rule(host string, paths ...string) string {
	return fmt.Sprintf(`{"host":%q,"http":{"paths":[%s]}}`, host, strings.Join(paths, ","))
}

func rules(list ...string) string { return `"rules":[` + strings.Join(list, ",") + `]` }

func gateway(name string, listeners ...string) string {
	return fmt.Sprintf(`{"apiVersion":"gateway.networking.k8s.io/v1","kind":"Gateway","metadata":{"namespace":"infra","name":%q},"spec":{"gatewayClassName":"edge","listeners":[%s]}}`,
		name, strings.Join(listeners, ","))
}

// listener is one of a Gateway: "web HTTP 80 *.example.com", which takes routes from everywhere.
func listener(words string) string {
	f := append(strings.Fields(words), "")
	host := ""
	if f[3] != "" {
		host = fmt.Sprintf(`"hostname":%q,`, f[3])
	}
	return fmt.Sprintf(`{"name":%q,"protocol":%q,"port":%s,%s"allowedRoutes":{"namespaces":{"from":"All"}}}`, f[0], f[1], f[2], host)
}

// httpRoute is an HTTPRoute of namespace shop at the Gateway infra/edge. parent adds to its reference.
func httpRoute(name, parent, hosts, rules string) string {
	return fmt.Sprintf(`{"apiVersion":"gateway.networking.k8s.io/v1","kind":"HTTPRoute","metadata":{"namespace":"shop","name":%q,"creationTimestamp":"2026-01-0%dT00:00:00Z"},
		"spec":{"parentRefs":[{"namespace":"infra","name":"edge"%s}],"hostnames":[%s],"rules":[%s]}}`, name, 1+len(name)%9, parent, hosts, rules)
}

// to is a rule of an HTTPRoute: its matches and the Service that it sends to.
func to(service, matches string) string {
	return fmt.Sprintf(`{"matches":[%s],"backendRefs":[{"name":%q,"port":80}]}`, matches, service)
}

const (
	class     = `{"apiVersion":"networking.k8s.io/v1","kind":"IngressClass","metadata":{"name":"nginx"},"spec":{"controller":"k8s.io/ingress-nginx"}}`
	edgeClass = `{"apiVersion":"gateway.networking.k8s.io/v1","kind":"GatewayClass","metadata":{"name":"edge"},"spec":{"controllerName":"example.com/edge"}}`
	exact     = `{"path":{"type":"Exact","value":"/one"}}`
)

func services() (out []string) {
	for _, name := range []string{"v1", "v2", "v3", "api"} {
		out = append(out, service("shop", name, `{"name":"http","port":80}`))
	}
	return append(out, service("pay", "pay", `{"port":80}`), class, edgeClass)
}

// table reads objects.
func table(t testing.TB, objects ...string) *Table {
	c, err := snapshot.Read(snapshot.Files{"objects/all.json": []byte(strings.Join(append(services(), objects...), "\n"))})
	if err != nil || len(c.Gaps) > 0 {
		t.Fatal(err, c.Gaps)
	}
	for _, kind := range []string{"Service", "IngressClass", "GatewayClass", "ReferenceGrant"} {
		c.Objects.Have[kind] = true
	}
	return New(&c.Objects)
}

// say says where requests go: "GET https://api.example.com/x h=v" as the Service, "404", "-" where no
// entry has the host, "?" where it is not known.
func say(t *testing.T, tab *Table, words string) string {
	f := strings.Fields(words)
	method := ""
	if !strings.Contains(f[0], "://") {
		method, f = f[0], f[1:]
	}
	q, err := Parse(f[0])
	if err != nil {
		t.Fatal(err)
	}
	q.Method, q.Headers = method, map[string]string{}
	for _, h := range f[1:] {
		k, v, _ := strings.Cut(h, "=")
		q.Headers[k] = v
	}
	var out []string
	for _, w := range tab.Find(q) {
		switch {
		case !w.Unclear.IsZero():
			out = append(out, "? "+w.Unclear.String())
		case w.Rule == nil:
			out = append(out, "404")
		case w.Rule.Redirect:
			out = append(out, "redirect")
		default:
			for _, b := range w.Rule.Backends {
				s := b.Name
				if !b.Fault.IsZero() {
					s = "! " + b.Fault.String()
				}
				out = append(out, s)
			}
		}
	}
	if len(out) == 0 {
		return "-"
	}
	return strings.Join(out, ", ")
}

type row struct {
	name    string
	objects []string
	want    map[string]string
}

func run(t *testing.T, rows []row) {
	for _, tt := range rows {
		t.Run(tt.name, func(t *testing.T) {
			tab := table(t, tt.objects...)
			for q, want := range tt.want {
				if got := say(t, tab, q); got != want {
					t.Errorf("%s: %s, want %s", q, got, want)
				}
			}
		})
	}
}

// TestIngress has the examples of the API's documentation of paths and hosts among its rows.
func TestIngress(t *testing.T) {
	foo := func(p string) []string { return []string{ingress("a", "nginx", rules(rule("foo.com", path(p))))} }
	run(t, []row{
		{"all paths", foo("Prefix / v1"), map[string]string{"http://foo.com": "v1", "http://foo.com/a/b": "v1", "https://foo.com/": "v1", "http://bar.com/": "-"}},
		{"Exact", foo("Exact /foo v1"), map[string]string{"http://foo.com/foo": "v1", "http://foo.com/bar": "404", "http://foo.com/foo/": "404"}},
		{"Exact with a slash", foo("Exact /foo/ v1"), map[string]string{"http://foo.com/foo": "404", "http://foo.com/foo/": "v1"}},
		{"Prefix", foo("Prefix /foo v1"), map[string]string{"http://foo.com/foo": "v1", "http://foo.com/foo/": "v1", "http://foo.com/foobar": "404"}},
		{"Prefix with a slash", foo("Prefix /foo/ v1"), map[string]string{"http://foo.com/foo": "v1", "http://foo.com/foo/": "v1"}},
		{"an element's prefix", foo("Prefix /aaa/bb v1"), map[string]string{"http://foo.com/aaa/bbb": "404", "http://foo.com/aaa/bb/c": "v1"}},
		{"case", foo("Prefix /foo v1"), map[string]string{"http://foo.com/FOO": "404", "http://FOO.com./foo": "v1"}},
		{"the controller's", foo("ImplementationSpecific /foo v1"), map[string]string{"http://foo.com/foo": "v1", "http://foo.com/bar": "404",
			"http://foo.com/foo/x": "? whether Ingress/shop/a takes it is its controller's matter: foo.com /foo"}},
		{"the controller's expression", foo("ImplementationSpecific /foo(/|$)(.*) v1"), map[string]string{"http://foo.com/bar": "? whether Ingress/shop/a takes it is its controller's matter: foo.com /foo(/|$)(.*)"}},
		{"the controller's, of everything", foo("ImplementationSpecific / v1"), map[string]string{"http://foo.com/bar": "v1"}},
		{"a better one than the controller's", []string{ingress("a", "nginx", rules(rule("foo.com", path("ImplementationSpecific /f v1"), path("Prefix /foo v2"))))},
			map[string]string{"http://foo.com/foo/x": "v2", "http://foo.com/fo": "? whether Ingress/shop/a takes it is its controller's matter: foo.com /f"}},
		{"the longest path, then the exact one", []string{ingress("a", "nginx", rules(rule("foo.com", path("Prefix / v1"), path("Prefix /aaa v2"), path("Exact /aaa v3"))))},
			map[string]string{"http://foo.com/aaa/ccc": "v2", "http://foo.com/ccc": "v1", "http://foo.com/aaa": "v3"}},
		{"a wildcard is one label", []string{ingress("a", "nginx", rules(rule("*.foo.com", path("Prefix / v1")), rule("bar.foo.com", path("Prefix / v2"))))},
			map[string]string{"http://bar.foo.com": "v2", "http://baz.foo.com": "v1", "http://x.baz.foo.com": "-", "http://foo.com": "-"}},
		{"any host, and what is left", []string{ingress("a", "nginx", `"defaultBackend":{"service":{"name":"v3","port":{"number":80}}},`+rules(rule("foo.com", path("Prefix /a v1"))))},
			map[string]string{"http://foo.com/a": "v1", "http://foo.com/b": "v3"}},
		{"two Ingresses", []string{ingress("a", "nginx", rules(rule("foo.com", path("Prefix / v1")))), ingress("b", "nginx", rules(rule("foo.com", path("Prefix /b v2"))))},
			map[string]string{"http://foo.com/": "v1", "http://foo.com/b": "v2"}},
		{"two with the same path", []string{ingress("a", "nginx", rules(rule("foo.com", path("Prefix / v1")))), ingress("b", "nginx", rules(rule("foo.com", path("Prefix / v2"))))},
			map[string]string{"http://foo.com/": "? Ingress/shop/a and Ingress/shop/b both have foo.com /, and Ingress does not say which one counts"}},
		{"a canary", []string{ingress("a", "nginx", rules(rule("foo.com", path("Prefix / v1")))), strings.Replace(ingress("b", "nginx", rules(rule("foo.com", path("Prefix /b v2")))), `"name":"b"`, `"name":"b","annotations":{"nginx.ingress.kubernetes.io/canary":"true"}`, 1)},
			map[string]string{"http://foo.com/": "v1", "http://foo.com/b": "? Ingress/shop/b may take a share of it: it is a canary"}},
		{"a canary of the same path", []string{ingress("a", "nginx", rules(rule("foo.com", path("Prefix / v1"), path("Prefix /a v2")))), strings.Replace(ingress("b", "nginx", rules(rule("foo.com", path("Prefix / v2")))), `"name":"b"`, `"name":"b","annotations":{"nginx.ingress.kubernetes.io/canary":"true"}`, 1)},
			map[string]string{"http://foo.com/": "? Ingress/shop/b may take a share of it: it is a canary", "http://foo.com/a": "v2"}},
		{"of two classes", []string{ingress("a", "nginx", rules(rule("foo.com", path("Prefix / v1")))), ingress("b", "other", rules(rule("foo.com", path("Prefix / v2"))))},
			map[string]string{"http://foo.com/": "v1, v2"}},
		{"no such Service", foo("Prefix / gone"), map[string]string{"http://foo.com": "! there is no Service shop/gone"}},
		{"no such port", []string{ingress("a", "nginx", `"defaultBackend":{"service":{"name":"v1","port":{"number":81}}}`)}, map[string]string{}},
		{"a port by its name", []string{ingress("a", "nginx", `"rules":[{"host":"foo.com","http":{"paths":[{"path":"/a","pathType":"Prefix","backend":{"service":{"name":"v1","port":{"name":"http"}}}},
			{"path":"/b","pathType":"Prefix","backend":{"service":{"name":"v1","port":{"name":"web"}}}}]}}]`)},
			map[string]string{"http://foo.com/a": "v1", "http://foo.com/b": `! Service shop/v1 has no port named "web"`}},
	})
}

// TestHTTPRoute has what the Gateway API's conformance tests ask for, under their names, with objects of its own.
func TestHTTPRoute(t *testing.T) {
	web := gateway("edge", listener("web HTTP 80"))
	one := func(rules ...string) []string { return []string{web, httpRoute("a", "", "", strings.Join(rules, ","))} }
	run(t, []row{
		{"HTTPRouteSimpleSameNamespace", one(to("v1", "")), map[string]string{"http://any.example/": "v1"}},
		{"HTTPRouteMatching", []string{web, httpRoute("a", "", `"x.io"`, to("v1", `{"path":{"type":"PathPrefix","value":"/"}},{"headers":[{"name":"Version","value":"one"}]}`)+","+
			to("v2", `{"path":{"type":"PathPrefix","value":"/v2"}},{"headers":[{"name":"version","value":"two"}]}`))},
			map[string]string{"http://x.io/": "v1", "http://x.io/example": "v1", "http://x.io/ version=one": "v1", "http://x.io/v2": "v2", "http://x.io/v2/example": "v2",
				"http://x.io/ version=two": "v2", "http://x.io/v2/ version=two": "v2", "http://x.io/v2example": "v1", "http://x.io/foo/v2/example": "v1"}},
		{"HTTPRouteExactPathMatching", []string{web, httpRoute("a", "", `"x.io"`, to("v1", exact)+","+to("v2", `{"path":{"type":"Exact","value":"/two"}}`))},
			map[string]string{"http://x.io/one": "v1", "http://x.io/two": "v2", "http://x.io/": "404", "http://x.io/one/example": "404", "http://x.io/Two": "404"}},
		{"HTTPRoutePathMatchOrder", []string{web, httpRoute("a", "", `"x.io"`, to("v3", `{"path":{"value":"/match"}}`)+","+to("v2", `{"path":{"value":"/match/exact"}}`)+","+to("v1", `{"path":{"type":"Exact","value":"/match/exact"}}`))},
			map[string]string{"http://x.io/match/exact": "v1", "http://x.io/match/exact/": "v2", "http://x.io/match": "v3", "http://x.io/matches": "404"}},
		{"HTTPRouteHeaderMatching", []string{web, httpRoute("a", "", `"x.io"`, to("v1", `{"headers":[{"name":"version","value":"one"}]}`)+","+to("v2", `{"headers":[{"name":"version","value":"one"},{"name":"color","value":"blue"}]}`))},
			map[string]string{"http://x.io/ version=one": "v1", "http://x.io/ version=one color=blue": "v2", "http://x.io/ color=blue": "404", "http://x.io/": "404"}},
		{"HTTPRouteQueryParamMatching", []string{web, httpRoute("a", "", `"x.io"`, to("v1", `{"queryParams":[{"name":"animal","value":"whale"}]}`))},
			map[string]string{"http://x.io/?animal=whale": "v1", "http://x.io/?animal=dog": "404", "http://x.io/": "404"}},
		{"HTTPRouteMethodMatching", []string{web, httpRoute("a", "", `"x.io"`, to("v1", `{"method":"POST"}`)+","+to("v2", `{"method":"GET"}`)+","+to("v3", `{"path":{"value":"/long"}}`))},
			map[string]string{"POST http://x.io/": "v1", "http://x.io/": "v2", "HEAD http://x.io/": "404", "POST http://x.io/long": "v3"}},
		{"HTTPRouteHostnameIntersection", []string{gateway("edge", listener("one HTTP 80 very.specific.com"), listener("two HTTP 80 *.wildcard.io")),
			httpRoute("a", "", `"non.matching.com","*.nonmatchingwildcard.io","very.specific.com","*.specific.com"`, to("v1", "")), httpRoute("b", "", `"foo.wildcard.io","wildcard.io","*.foo.wildcard.io"`, to("v2", ""))},
			map[string]string{"http://very.specific.com/": "v1", "http://non.matching.com/": "-", "http://foo.specific.com/": "-", "http://foo.wildcard.io/": "v2", "http://wildcard.io/": "-", "http://x.foo.wildcard.io/": "v2", "http://bar.wildcard.io/": "-"}},
		{"HTTPRouteListenerHostnameMatching", []string{gateway("edge", listener("one HTTP 80 bar.com"), listener("two HTTP 80 *.bar.com")),
			httpRoute("a", `,"sectionName":"one"`, "", to("v1", "")), httpRoute("bb", `,"sectionName":"two"`, "", to("v2", ""))},
			map[string]string{"http://bar.com/": "v1", "http://foo.bar.com/": "v2", "http://x.foo.bar.com/": "v2", "http://foo.com/": "-"}},
		{"HTTPRouteListenerPortMatching", []string{gateway("edge", listener("one HTTP 80 x.io"), listener("two HTTP 8080 x.io")),
			httpRoute("a", `,"port":80`, "", to("v1", "")), httpRoute("bb", `,"port":8080`, "", to("v2", ""))},
			map[string]string{"http://x.io/": "v1", "http://x.io:8080/": "v2", "http://x.io:81/": "-"}},
		{"GatewayHTTPListenerIsolation", []string{gateway("edge", listener("any HTTP 80"), listener("com HTTP 80 *.example.com"), listener("foo HTTP 80 *.foo.example.com")),
			httpRoute("a", `,"sectionName":"any"`, `"bar.example.com","x.io"`, to("v1", "")), httpRoute("bb", `,"sectionName":"com"`, "", to("v2", exact)), httpRoute("ccc", `,"sectionName":"foo"`, "", to("v3", ""))},
			map[string]string{"http://bar.example.com/": "404", "http://bar.example.com/one": "v2", "http://x.foo.example.com/one": "v3", "http://x.io/": "v1"}},
		{"HTTPRouteHTTPSListener", []string{gateway("edge", listener("web HTTP 80"), listener("tls HTTPS 443")), httpRoute("a", `,"sectionName":"tls"`, `"x.io"`, to("v1", ""))},
			map[string]string{"https://x.io/": "v1", "http://x.io/": "-", "https://x.io:8443/": "-"}},
		{"HTTPRouteReferenceGrant, without one", []string{web, httpRoute("a", "", `"x.io"`, `{"backendRefs":[{"namespace":"pay","name":"pay","port":80}]}`)},
			map[string]string{"http://x.io/": "! no ReferenceGrant in namespace pay lets HTTPRoute in shop use Service pay"}},
		{"HTTPRouteReferenceGrant", []string{web, httpRoute("a", "", `"x.io"`, `{"backendRefs":[{"namespace":"pay","name":"pay","port":80}]}`),
			`{"apiVersion":"gateway.networking.k8s.io/v1beta1","kind":"ReferenceGrant","metadata":{"namespace":"pay","name":"g"},"spec":{"from":[{"group":"gateway.networking.k8s.io","kind":"HTTPRoute","namespace":"shop"}],"to":[{"group":"","kind":"Service","name":"pay"}]}}`},
			map[string]string{"http://x.io/": "pay"}},
		{"HTTPRouteInvalidNonExistentBackendRef", []string{web, httpRoute("a", "", `"x.io"`, to("gone", ""))}, map[string]string{"http://x.io/": "! there is no Service shop/gone"}},
		{"HTTPRouteInvalidBackendRefUnknownKind", []string{web, httpRoute("a", "", `"x.io"`, `{"backendRefs":[{"kind":"ConfigMap","name":"v1","port":80}]}`)},
			map[string]string{"http://x.io/": "! a ConfigMap is nothing that requests are sent to"}},
		{"HTTPRouteDisallowedKind", []string{gateway("edge", strings.Replace(listener("web HTTP 80"), `"allowedRoutes":{`, `"allowedRoutes":{"kinds":[{"kind":"GRPCRoute"}],`, 1)), httpRoute("a", "", `"x.io"`, to("v1", ""))},
			map[string]string{"http://x.io/": "-"}},
		{"HTTPRouteInvalidCrossNamespaceParentRef", []string{strings.Replace(web, `"from":"All"`, `"from":"Same"`, 1), httpRoute("a", "", `"x.io"`, to("v1", ""))}, map[string]string{"http://x.io/": "-"}},
		{"HTTPRouteRedirectHostAndStatus", []string{web, httpRoute("a", "", `"x.io"`, `{"filters":[{"type":"RequestRedirect","requestRedirect":{"hostname":"y.io"}}]}`)}, map[string]string{"http://x.io/": "redirect"}},
		{"HTTPRouteWeight", []string{web, httpRoute("a", "", `"x.io"`, `{"backendRefs":[{"name":"v1","port":80,"weight":70},{"name":"v2","port":80,"weight":30}]}`)}, map[string]string{"http://x.io/": "v1, v2"}},
		{"the older route", []string{web, httpRoute("bb", "", `"x.io"`, to("v2", "")), httpRoute("a", "", `"x.io"`, to("v1", ""))}, map[string]string{"http://x.io/": "v1"}},
		{"an expression", []string{web, httpRoute("a", "", `"x.io"`, to("v1", `{"path":{"type":"RegularExpression","value":"/a.*"}}`))},
			map[string]string{"http://x.io/abc": "? whether HTTPRoute/shop/a takes it is its controller's matter: x.io /a.*"}},
		{"an extension", []string{web, httpRoute("a", "", `"x.io"`, `{"filters":[{"type":"ExtensionRef","extensionRef":{"group":"example.com","kind":"Auth","name":"x"}}],"backendRefs":[{"name":"v1","port":80}]}`)},
			map[string]string{"http://x.io/": "? what the filter ExtensionRef does is not known"}},
		{"TCPRoute", []string{gateway("edge", listener("db TCP 5432")), `{"apiVersion":"gateway.networking.k8s.io/v1alpha2","kind":"TCPRoute","metadata":{"namespace":"shop","name":"db"},"spec":{"parentRefs":[{"namespace":"infra","name":"edge"}],"rules":[{"backendRefs":[{"name":"v1","port":80}]}]}}`},
			map[string]string{"tcp://anything:5432": "v1", "tcp://anything:5433": "-", "http://anything:5432/": "-"}},
	})
}

func TestEntries(t *testing.T) {
	tab := table(t, ingress("a", "nginx", rules(rule("foo.com", path("Prefix / v1")))), ingress("b", "gone", rules()), ingress("c", "", rules()), gateway("edge", listener("web HTTP 80")),
		strings.Replace(gateway("lost", listener("web HTTP 80")), `"gatewayClassName":"edge"`, `"gatewayClassName":"gone"`, 1),
		`{"apiVersion":"networking.k8s.io/v1","kind":"Ingress","metadata":{"namespace":"shop","name":"d","annotations":{"kubernetes.io/ingress.class":"old"}},"spec":{},"status":{"loadBalancer":{"ingress":[{"ip":"192.0.2.1"},{"hostname":"lb.example.com"}]}}}`)
	var got []string
	for _, e := range tab.Entries {
		got = append(got, strings.TrimSpace(fmt.Sprint(e.Object, " ", e.Controller, " ", e.Fault, " ", e.Addrs, e.Names)))
	}
	want := []string{
		"Gateway/infra/edge example.com/edge  [] []",
		"Gateway/infra/lost  there is no GatewayClass gone [] []",
		"IngressClass/  it has no class, and there was no default one when it was made [] []",
		"IngressClass/gone  there is no IngressClass gone [] []",
		"IngressClass/nginx k8s.io/ingress-nginx  [] []",
		"IngressClass/old   [192.0.2.1] [lb.example.com]",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

// TestStatus: what a controller refuses does not work.
func TestStatus(t *testing.T) {
	status := `,"status":{"parents":[{"controllerName":"example.com/edge","parentRef":{"namespace":"infra","name":"edge"},"conditions":[{"type":"Accepted","status":"False","reason":"NotAllowed","message":"no"}]}]}}`
	h := httpRoute("a", "", `"x.io"`, to("v1", ""))
	tab := table(t, gateway("edge", listener("web HTTP 80")), strings.TrimSuffix(h, "}")+status)
	if got := tab.Rules[0].Fault.String(); got != "example.com/edge does not accept it: NotAllowed: no" {
		t.Error(got)
	}
	if got := say(t, tab, "http://x.io/"); got != "404" {
		t.Error(got)
	}
}

func TestParse(t *testing.T) {
	for _, tt := range []struct{ url, want string }{
		{"https://API.example.com/orders?id=7&x#y", "https api.example.com 443 /orders map[id:7 x:]"},
		{"http://[fd00::1]:8080", "http fd00::1 8080 / map[]"},
		{"tcp://db:5432", "tcp db 5432 / map[]"},
		{"ftp://x", `url "ftp://x": want http://HOST/PATH or https://HOST/PATH`},
		{"api.example.com", `url "api.example.com": want http://HOST/PATH or https://HOST/PATH`},
		{"http://x:0/", `url "http://x:0/": port "0": want 1 to 65535`},
		{"http://", `url "http://": want http://HOST/PATH or https://HOST/PATH`},
		{"http://me@x/", `url "http://me@x/": want http://HOST/PATH or https://HOST/PATH`},
	} {
		q, err := Parse(tt.url)
		got := fmt.Sprint(q.Scheme, " ", q.Host, " ", q.Port, " ", q.Path, " ", q.Query)
		if err != nil {
			got = err.Error()
		}
		if got != tt.want {
			t.Errorf("%s: %s, want %s", tt.url, got, tt.want)
		}
	}
}

func FuzzFind(f *testing.F) {
	for _, u := range []string{"http://foo.com/a", "https://[::1]:80/?a=b", "tcp://x:1"} {
		f.Add(u, "*.foo.com", "/a(", uint8(2))
	}
	f.Fuzz(func(t *testing.T, url, host, path string, kind uint8) {
		q, err := Parse(url)
		if err != nil {
			return
		}
		e := &Entry{}
		r := &Rule{Entry: e, Host: host, Path: path, Type: PathType(kind % 4)}
		tab := &Table{Entries: []*Entry{e}, Rules: []*Rule{r}}
		for _, w := range tab.Find(q) {
			if w.Rule != nil && !w.Rule.hosts(q.Host) {
				t.Error(w)
			}
		}
	})
}
