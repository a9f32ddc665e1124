package dns

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// before is a server block that has lines before what most Corefiles have.
func before(lines string) string {
	return ".:53 {\n" + lines + "\nkubernetes cluster.local in-addr.arpa {\npods verified\nfallthrough in-addr.arpa\n}\nforward . 203.0.113.10\n}\n"
}

const (
	toSvc = "api.shop.svc.cluster.local. 5 A 10.96.0.20"
	toUp  = " to 203.0.113.10:53"
)

func TestPlugins(t *testing.T) {
	for _, row := range []struct {
		name, lines string
		ask         asked
	}{
		{"hosts of a file that is there", "hosts /etc/coredns/NodeHosts {\nttl 60\nfallthrough\n}", asked{q: "node-a A", want: "NOERROR by hosts:2; node-a. 60 A 192.0.2.10"}},
		{"hosts of the Pod itself", "hosts {\nfallthrough\n}", asked{q: "localhost A", want: "unknown at hosts:2: the plugin hosts answers from /etc/hosts, which is not read"}},
		{"a rule for another name", `rewrite name exact www.example.org api.shop.svc.cluster.local answer name (.*) {1}`, asked{q: "api.shop.svc.cluster.local A", want: "NOERROR by kubernetes:3; " + toSvc}},
		{"an answer that cannot be sent, of names that end in a dot", `rewrite name suffix .example.org .shop.svc.cluster.local answer name (.*) {1}`, asked{q: "api.example.org A", want: " by kubernetes:3"}},
		{"the server's own, after one that cannot be sent", "rewrite name suffix .old .example.org answer name (.*) {1}\ntemplate IN A example.org {\nanswer \"{{ .Name }} IN A 10.0.0.1\"\nrcode REFUSED\n}", asked{q: "a.old A", want: "REFUSED by template:3"}},
		{"another type", "rewrite type AAAA A", asked{q: "db.shop.svc.cluster.local AAAA", want: "NOERROR by kubernetes:3; db.shop.svc.cluster.local. 5 A 10.244.1.3; db.shop.svc.cluster.local. 5 A 10.244.2.3"}},
		{"an rcode", "rewrite rcode suffix cluster.local NXDOMAIN NOERROR", asked{q: "x.shop.svc.cluster.local A", want: "NOERROR by kubernetes:3"}},
		{"a template with groups", "template IN A {\nmatch ^ip-(?P<a>[0-9]*)-(?P<b>[0-9]*)[.]example[.]org[.]$\n" + `answer "{{ .Name }} IN A 10.0.{{ .Group.a }}.{{ .Group.b }}"` + "\nfallthrough\n}", asked{q: "ip-3-4.example.org A", want: "NOERROR by template:2; ip-3-4.example.org. 3600 A 10.0.3.4"}},
		{"a template that makes an alias", "template IN A example.org {\n" + `answer "{{ .Name }} 60 IN CNAME api.shop.svc.cluster.local."` + "\n}", asked{q: "a.example.org A", want: "NOERROR by template:2; a.example.org. 60 CNAME api.shop.svc.cluster.local.; " + toSvc}},
		{"a template that leads to itself", "template IN A example.org {\n" + `answer "{{ .Name }} 60 IN CNAME x{{ .Name }}"` + "\n}", asked{q: "a.example.org A", want: "unknown at template:2: more than 8 names lead one to the other"}},
		{"a template with a loop", "template IN A example.org {\n" + `answer "{{ range .Match }}{{ . }}{{ end }}"` + "\n}", asked{q: "a.example.org A", want: "unknown at template:2: {{range .Match}}{{.}}{{end}} of the one in line 2 is not followed"}},
		{"a template that makes no record", "template IN A example.org {\n" + `answer "{{ .Name }} IN A nothing"` + "\n}", asked{q: "a.example.org A", want: "SERVFAIL by template:2"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			row.ask.run(t, before(row.lines), Options{Files: Files{Corefile: "/etc/coredns/Corefile", Dirs: []string{"/etc/coredns"},
				Text: map[string]string{"/etc/coredns/NodeHosts": "192.0.2.10 node-a\n", "/etc/coredns/one.override": "hosts {\n10.0.0.7 www.example.org\n}\n", "/dev/null": ""}}})
		})
	}
}

// TestRanges has a server block for a range of addresses that ends within a label: it is two zones.
func TestRanges(t *testing.T) {
	const corefile = ".:53 {\nforward . 192.0.2.1\n}\n10.0.0.0/23 {\nforward . 192.0.2.5\n}\n"
	for _, row := range []asked{
		{"the first half", "1.0.0.10.in-addr.arpa PTR", "forwarded by line 5: 1.0.0.10.in-addr.arpa. PTR to 192.0.2.5:53"},
		{"the second half", "1.1.0.10.in-addr.arpa PTR", "forwarded by line 5: 1.1.0.10.in-addr.arpa. PTR to 192.0.2.5:53"},
		{"behind it", "1.2.0.10.in-addr.arpa PTR", "forwarded by line 2: 1.2.0.10.in-addr.arpa. PTR to 192.0.2.1:53"},
	} {
		t.Run(row.name, func(t *testing.T) { row.run(t, corefile, Options{}) })
	}
}

// TestNotKnown has answers that rest on what was not collected.
func TestNotKnown(t *testing.T) {
	for _, row := range []struct{ missing, q, want string }{
		{"Service", "api.shop.svc.cluster.local A", "unknown at kubernetes:7: objects of the kind Service are not known"},
		{"EndpointSlice", "api.shop.svc.cluster.local A", "NOERROR by kubernetes:7; api.shop.svc.cluster.local. 30 A 10.96.0.20"},
		{"EndpointSlice", "db.shop.svc.cluster.local A", "unknown at kubernetes:7: objects of the kind EndpointSlice are not known"},
		{"Namespace", "api.shop.svc.cluster.local A", "NOERROR by kubernetes:7; api.shop.svc.cluster.local. 30 A 10.96.0.20"},
		{"Namespace", "api.other.svc.cluster.local A", "unknown at kubernetes:7: objects of the kind Namespace are not known"},
		{"Service", "www.example.org A", "forwarded by line 13: www.example.org. A to 203.0.113.10:53, 203.0.113.11:5353"},
	} {
		t.Run(fmt.Sprint(row.missing, " for ", row.q), func(t *testing.T) {
			c, err := Parse(kubeadm, Options{})
			if err != nil {
				t.Fatal(err)
			}
			cl := shop()
			cl.Missing = []string{row.missing}
			if diff := cmp.Diff(row.want, brief(c.Ask(query(row.q), Env{Cluster: cl}))); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestReverse(t *testing.T) {
	for _, s := range []string{"10.0.0.1", "2001:db8::1", "fd00:10:96::a"} {
		a := netip.MustParseAddr(s)
		if got, ok := reverseAddr(ReverseName(a)); !ok || got != a {
			t.Errorf("%s: got %s by %s", s, got, ReverseName(a))
		}
	}
	for _, s := range []string{"1.2.3.in-addr.arpa.", "x.ip6.arpa.", "1.2.3.4.example.org.", "300.0.0.10.in-addr.arpa."} {
		if a, ok := reverseAddr(s); ok {
			t.Errorf("%s: got %s", s, a)
		}
	}
}
