package dns

import (
	"strings"
	"testing"
)

// TestKubernetesOptions changes what the plugin kubernetes serves by its properties.
func TestKubernetesOptions(t *testing.T) {
	for _, row := range []struct{ name, property, q, want string }{
		{"a namespace that is not served", "namespaces default", "api.shop.svc.cluster.local A", "NXDOMAIN by kubernetes:2"},
		{"one that is", "namespaces shop", "api.shop.svc.cluster.local A", "NOERROR by kubernetes:2; api.shop.svc.cluster.local. 5 A 10.96.0.20"},
		{"the address of one that is not", "namespaces default", "20.0.96.10.in-addr.arpa PTR", "NXDOMAIN by kubernetes:2"},
		{"a TTL", "ttl 60", "api.shop.svc.cluster.local A", "NOERROR by kubernetes:2; api.shop.svc.cluster.local. 60 A 10.96.0.20"},
		{"endpoints by their Pods", "endpoint_pod_names", "db-1.db.shop.svc.cluster.local A", "NOERROR by kubernetes:2; db-1.db.shop.svc.cluster.local. 5 A 10.244.2.3"},
		{"no endpoints", "noendpoints", "db.shop.svc.cluster.local A", "NXDOMAIN by kubernetes:2"},
		{"no endpoints, of a Service with an address", "noendpoints", "api.shop.svc.cluster.local A", "NOERROR by kubernetes:2; api.shop.svc.cluster.local. 5 A 10.96.0.20"},
		{"a Service with nothing behind it", "ignore empty_service", "none.shop.svc.cluster.local A", "NXDOMAIN by kubernetes:2"},
		{"a Service with something behind it", "ignore empty_service", "api.shop.svc.cluster.local A", "NOERROR by kubernetes:2; api.shop.svc.cluster.local. 5 A 10.96.0.20"},
		{"what falls through", "fallthrough", "nope.shop.svc.cluster.local A", "forwarded by line 5: nope.shop.svc.cluster.local. A to 192.0.2.1:53"},
		{"what falls through, of other zones", "fallthrough ip6.arpa", "nope.shop.svc.cluster.local A", "NXDOMAIN by kubernetes:2"},
		{"by labels", "labels app=web", "api.shop.svc.cluster.local A", "unknown at kubernetes:2: what its property labels does is not followed"},
		{"of many clusters", "multicluster cluster.local", "api.shop.svc.cluster.local A", "unknown at kubernetes:2: what its property multicluster does is not followed"},
		{"a name of a zone", "zonal", "a.pin._zone.db.shop.svc.cluster.local A", "unknown at kubernetes:2: objects of the kind topology zone are not known"},
		{"its own record", "ttl 30", "cluster.local SOA", "NOERROR by kubernetes:2; cluster.local. 30 SOA ns.dns.cluster.local. hostmaster.cluster.local. 0 7200 1800 86400 30"},
		{"another's own record", "ttl 30", "nope.cluster.local SOA", "NOERROR by kubernetes:2"},
		{"who serves it", "ttl 30", "cluster.local NS", "unknown at kubernetes:2: the addresses of CoreDNS itself are not known"},
		{"all of it", "ttl 30", "cluster.local AXFR", "REFUSED by kubernetes:2"},
		{"a text of none", "ttl 30", "nope.shop.svc.cluster.local TXT", "NXDOMAIN by kubernetes:2"},
		{"a text of a Service", "ttl 30", "api.shop.svc.cluster.local TXT", "NOERROR by kubernetes:2"},
	} {
		t.Run(row.name, func(t *testing.T) {
			asked{q: row.q, want: row.want}.run(t, ".:53 {\nkubernetes cluster.local in-addr.arpa {\n"+row.property+"\n}\nforward . 192.0.2.1\n}\n", Options{})
		})
	}
}

// TestUpstream takes the answers of upstreams, and goes on to the next forward.
func TestUpstream(t *testing.T) {
	c, err := Parse(".:53 {\nforward . 192.0.2.1 {\nnext NXDOMAIN\n}\nforward . 192.0.2.2 {\nnext_on_nodata\n}\nforward . 192.0.2.3\n}\n", Options{})
	if err != nil {
		t.Fatal(err)
	}
	codes := map[string]string{"192.0.2.1:53": NXDomain, "192.0.2.2:53": NoError, "192.0.2.3:53": Refused}
	var order []string
	a := c.Ask(query("a.test A"), Env{Upstream: func(us []Upstream, _ Query) Answer {
		order = append(order, us[0].String())
		return Answer{Outcome: Answered, Rcode: codes[us[0].String()]}
	}})
	if got := strings.Join(order, " "); got != "192.0.2.1:53 192.0.2.2:53 192.0.2.3:53" || a.Rcode != Refused || len(a.Steps) != 4 {
		t.Errorf("asked %s: %s, %d steps", got, brief(a), len(a.Steps))
	}
}

// TestLook lists what a Corefile has.
func TestLook(t *testing.T) {
	c, err := Parse(".:53 {\nhosts {\n10.0.0.1 a.b\n}\nrewrite name suffix .a .b\nrewrite name c d\nkubernetes cluster.local\nforward . 192.0.2.1\n}\ncorp.test:5353 {\nforward . 192.0.2.2\n}\n", Options{})
	if err != nil {
		t.Fatal(err)
	}
	fs := c.Forwards()
	if len(fs) != 2 || fs[0].Zone != "." || fs[1].Zone != "corp.test." || fs[1].Port != "5353" || fs[0].Line != 8 {
		t.Errorf("forwards: %+v", fs)
	}
	hs := c.HostsBlocks()
	if len(hs) != 1 || hs[0].Through || strings.Join(hs[0].Before, " ") != "kubernetes forward" {
		t.Errorf("hosts: %+v", hs)
	}
	if us := c.Unanswered(); len(us) != 1 || us[0].Line != 5 {
		t.Errorf("rules without answer: %+v", us)
	}
	if c.Domain() != "cluster.local" || !c.Kubernetes("a.cluster.local") || c.Kubernetes("10.in-addr.arpa") {
		t.Errorf("domain %s", c.Domain())
	}
	if _, ok := c.Has("cache"); ok {
		t.Error("there is no cache")
	}
}
