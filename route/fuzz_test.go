package route

import (
	"strings"
	"testing"

	"github.com/plumbnet/plumb/snapshot"
)

// FuzzTable reads anything as Ingresses, Gateways and routes: what a rule is for it takes, unless its
// controller decides that, and what an entry says takes a request does.
func FuzzTable(f *testing.F) {
	for _, objects := range [][]string{
		{ingress("a", "nginx", rules(rule("*.foo.com", path("Prefix /a/ v1")), rule("", path("ImplementationSpecific /b(.*) v2"))))},
		{ingress("a", "", `"defaultBackend":{"resource":{"kind":"B","name":"x"}}`), ingress("b", "gone", rules(rule("foo.com", path("Exact / v1"))))},
		{gateway("edge", listener("web HTTP 80 *.a.io"), listener("tls HTTPS 443"), listener("db TCP 5432")), httpRoute("a", `,"port":80`, `"*.b.a.io","x.a.io"`, to("v1", exact)+","+to("v2", `{"method":"PUT","headers":[{"name":"H","value":"1"}]}`)),
			`{"apiVersion":"gateway.networking.k8s.io/v1alpha2","kind":"TCPRoute","metadata":{"namespace":"shop","name":"db"},"spec":{"parentRefs":[{"namespace":"infra","name":"edge"}],"rules":[{"backendRefs":[{"name":"v1","port":80}]}]}}`},
		{gateway("edge", listener("web HTTP 80")), httpRoute("a", "", "", `{"matches":[{"path":{"type":"RegularExpression","value":"["}},{"queryParams":[{"type":"RegularExpression","name":"q","value":"."}]}],"filters":[{"type":"RequestRedirect"}],"backendRefs":[{"namespace":"pay","name":"pay","port":80,"weight":0}]}`)},
	} {
		f.Add(strings.Join(objects, "\n"))
	}
	f.Fuzz(func(t *testing.T, objects string) {
		if len(objects) > 1<<14 {
			return
		}
		c, err := snapshot.Read(snapshot.Files{"objects/all.json": []byte(objects)})
		if err != nil {
			return
		}
		tab := New(&c.Objects)
		for _, r := range tab.Rules {
			for i, s := range r.Samples() {
				if i == 0 && r.takes(s.Request) == No {
					t.Fatalf("%s of %s is not for %+v", r.Title(), r.Object, s.Request)
				}
				w, ok := tab.way(r.Entry, s.Request)
				if !ok && w.Rule != nil || w.Rule != nil && w.Rule.takes(s.Request) != Yes {
					t.Fatalf("%+v goes by %s", s.Request, w.Rule.Title())
				}
			}
		}
	})
}
