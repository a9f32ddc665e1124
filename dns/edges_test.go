package dns

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
)

// TestNoPorts has Services without ports: their names are, and SRV has nothing.
func TestNoPorts(t *testing.T) {
	sl := []Slice{{Endpoints: []Endpoint{{Addr: netip.MustParseAddr("10.244.1.3"), Hostname: "db-0"}}}}
	c := &Cluster{Namespaces: []string{"shop"}, Services: []Service{
		{Namespace: "shop", Name: "db", Headless: true, Slices: sl},
		{Namespace: "shop", Name: "idle", Addrs: addrs("10.96.0.30"), Ports: []Port{{Name: "http", Proto: "TCP", Number: 80}}},
		{Namespace: "shop", Name: "twice", Headless: true, Slices: append(sl, sl...)},
	}}
	c.Index()
	const none = "NOERROR by kubernetes:2"
	for _, r := range []row{
		{name: "headless", lines: "kubernetes cluster.local", ask: "db.shop.svc.cluster.local A", want: none + "\ndb.shop.svc.cluster.local. 5 A 10.244.1.3"},
		{name: "its SRV", lines: "kubernetes cluster.local", ask: "db.shop.svc.cluster.local SRV", want: none},
		{name: "its endpoint", lines: "kubernetes cluster.local", ask: "db-0.db.shop.svc.cluster.local A", want: none + "\ndb-0.db.shop.svc.cluster.local. 5 A 10.244.1.3"},
		{name: "an endpoint in two slices is one address", lines: "kubernetes cluster.local", ask: "twice.shop.svc.cluster.local A", want: none + "\ntwice.shop.svc.cluster.local. 5 A 10.244.1.3"},
		{
			name:  "an address is the name of all its Services",
			lines: "kubernetes cluster.local in-addr.arpa",
			ask:   "3.1.244.10.in-addr.arpa PTR",
			want:  none + "\n3.1.244.10.in-addr.arpa. 5 PTR db-0.db.shop.svc.cluster.local.\n3.1.244.10.in-addr.arpa. 5 PTR db-0.twice.shop.svc.cluster.local.",
		},
		{name: "nothing behind it", lines: "kubernetes cluster.local", ask: "idle.shop.svc.cluster.local A", want: none + "\nidle.shop.svc.cluster.local. 5 A 10.96.0.30"},
		{name: "nothing behind it, and those are ignored", lines: "kubernetes cluster.local {\nignore empty_service\n}", ask: "idle.shop.svc.cluster.local A", want: "NXDOMAIN by kubernetes:2"},
	} {
		t.Run(r.name, func(t *testing.T) { r.run(t, Env{Cluster: c}) })
	}
}

// TestEdges has what is at the end of what the other tables have.
func TestEdges(t *testing.T) {
	const denies = "autopath /etc/coredns/resolv.conf\ntemplate ANY ANY {\nrcode NXDOMAIN\n}"
	runAll(t, []row{
		{name: "autopath, and there is no such name anywhere", lines: denies, ask: "a.corp.test A", want: "NXDOMAIN by template:3"},
		{name: "autopath, of the domain itself", lines: denies, ask: "corp.test A", want: "unknown at autopath:2: what the plugin autopath does is not followed"},
		{
			name:  "rewrite with what other plugins tell of a query",
			lines: "rewrite name regex (.*) {1} metadata\nforward . 192.0.2.1",
			ask:   "a.test A",
			want:  "unknown at rewrite:2: what its rule in line 2 does with answers is not followed",
		},
		{name: "rewrite of an rcode without a name", lines: "rewrite rcode regex .* 3 12\nkubernetes cluster.local", ask: "a.cluster.local A", want: "12 by kubernetes:3"},
		{
			name:  "rewrite makes no name of what an answer leads to",
			lines: "rewrite name suffix .old .new answer value (.*) {1}..x\ntemplate IN CNAME new {\nanswer \"{{ .Name }} 60 IN CNAME b.new.\"\n}",
			ask:   "a.old CNAME",
			want:  " by template:3",
			trail: []string{"rewrite:2 rule in line 2: a.old. CNAME is asked for as a.new. CNAME", `template:3 "b.new...x." is no name, and the answer with it is not sent`},
		},
		{
			name:  "a template with a definition",
			lines: "template IN A test {\nanswer \"{{ define `x` }}y{{ end }}{{ .Name }} 60 IN A 192.0.2.1\"\n}",
			ask:   "a.test A",
			want:  "unknown at template:2: define of the one in line 2 is not followed",
		},
		{
			name:  "a template with what is in another",
			lines: "template IN TXT test {\nanswer \"{{ with .Zone }}{{ $.Name }} 60 IN TXT {{ . }}{{ end }}\"\n}",
			ask:   "a.test TXT",
			want:  "NOERROR by template:2\na.test. 60 TXT \"test.\"",
		},
		{
			name:  "a template that has no such group",
			lines: "template IN A test {\nanswer \"{{ index .Match 7 }} 60 IN A 192.0.2.1\"\n}",
			ask:   "a.test A",
			want:  "SERVFAIL by template:2",
		},
		{
			name:  "a template for one type, asked for all",
			lines: "template IN TXT test {\nanswer \"{{ .Name }} 60 IN TXT {{ .Type }}\"\n}",
			ask:   "a.test ANY",
			want:  "NOERROR by template:2\na.test. 60 TXT \"TXT\"",
		},
		{
			name:  "a template whose additional record is none",
			lines: "template IN A test {\nanswer \"{{ .Name }} 60 IN A 192.0.2.1\"\nadditional \"x\"\n}",
			ask:   "a.test A",
			want:  "SERVFAIL by template:2",
		},
	})
}

// TestManyAliases follows ExternalNames within the zone, and not without end.
func TestManyAliases(t *testing.T) {
	for _, r := range []struct {
		aliases int
		found   bool
	}{{1, true}, {5, true}, {10, true}, {40, false}} {
		c := &Cluster{Namespaces: []string{"shop"}}
		for i := range r.aliases {
			c.Services = append(c.Services, Service{Namespace: "shop", Name: fmt.Sprintf("n%d", i), ExternalName: fmt.Sprintf("n%d.shop.svc.cluster.local", i+1)})
		}
		c.Services = append(c.Services, Service{Namespace: "shop", Name: fmt.Sprintf("n%d", r.aliases), Addrs: addrs("10.96.0.9"), Ports: []Port{{Number: 80}}})
		c.Index()
		cf, err := Parse("cluster.local {\nkubernetes\n}\n", Options{})
		if err != nil {
			t.Fatal(err)
		}
		a := cf.Ask(query("n0.shop.svc.cluster.local A"), Env{Cluster: c})
		if a.Rcode != NoError || len(a.Addrs()) > 0 != r.found {
			t.Errorf("%d aliases: %s", r.aliases, brief(a))
		}
	}
}

// TestSyntax has what the lexer and the parser refuse, with its place.
func TestSyntax(t *testing.T) {
	for _, r := range []struct{ name, corefile, want string }{
		{"no brace at the end", ".:53 {\nerrors\n", "Corefile:2: Syntax error: Unexpected token 'errors', expecting '}'"},
		{"no brace at the end of a directive", ".:53 {\nhosts {\n10.0.0.1 a\n", "Corefile:3: Unexpected EOF"},
		{"a comma, and nothing", "a.test,", "Corefile:1: Unexpected EOF"},
		{"a snippet without a body", "(a)\nerrors\n", "Corefile:2: Syntax error: Unexpected token 'errors', expecting '{'"},
		{"a snippet without its end", "(a) {\nerrors\n", "Corefile:2: Syntax error: Unexpected token 'errors', expecting '}'"},
		{"an import of nothing in a directive", ".:53 {\nhosts {\nimport\n}\n}\n", "Corefile:3: Wrong argument count or unexpected line ending after 'import'"},
		{"an import of nothing for a server", "import\n", "Corefile:1: Wrong argument count or unexpected line ending after 'import'"},
		{"a port that is no number is part of a name", "a.test:x {\nerrors\n}\n", ""},
		{"a port that is too large", "a.test:65536 {\nerrors\n}\n", `Corefile:1: invalid port "65536"`},
		{"a name with an empty label", "a..test {\nerrors\n}\n", "Corefile:1: zone is not a valid domain name: a..test"},
		{"an error in a second server", ".:53 {\nerrors\n}\na.test {\nbogus\n}\n", "Corefile:5: Unknown directive 'bogus'"},
		{"two errors: the first in CoreDNS's order", ".:53 {\nforward\nerrors a b\n}\n", "Corefile:3: errors: wrong argument count or unexpected line ending after 'b'"},
		{"two errors: of reading before those of plugins", ".:53 {\nerrors a b\nbogus\n}\n", "Corefile:3: Unknown directive 'bogus'"},
	} {
		t.Run(r.name, func(t *testing.T) {
			_, err := Parse(r.corefile, corp)
			got := ""
			if err != nil {
				got = err.Error()
			}
			if got != r.want {
				t.Errorf("got  %s\nwant %s", got, r.want)
			}
		})
	}
}

// TestHas says where a plugin is first named.
func TestHas(t *testing.T) {
	c, err := Parse(".:53 {\nerrors\nforward . 192.0.2.1\n}\na.test {\nlog\nerrors\n}\n", Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range []struct{ plugin, want string }{
		{"errors", "dns://.:53 2"}, {"forward", "dns://.:53 3"}, {"log", "dns://a.test.:53 6"}, {"cache", ""},
	} {
		p, ok := c.Has(r.plugin)
		if got := strings.TrimSpace(fmt.Sprint(p.Server, " ", p.Line)); ok != (r.want != "") || ok && got != r.want {
			t.Errorf("%s: got %s", r.plugin, got)
		}
	}
}
