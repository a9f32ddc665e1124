package dns

import (
	"strings"
	"testing"
)

// TestRefused has what people write and CoreDNS refuses, with the place that is told.
func TestRefused(t *testing.T) {
	in := func(lines string) string { return ".:53 {\n" + lines + "\n}\n" }
	for _, row := range []struct{ name, corefile, version, want string }{
		{"a directive that none knows", in("errors\nproxy . 8.8.8.8"), "", "Corefile:3: Unknown directive 'proxy'"},
		{"upstream, which has gone", in("kubernetes cluster.local {\n  upstream\n}"), "", "Corefile:3: kubernetes: unknown property 'upstream'"},
		{"upstream, of old", in("kubernetes cluster.local {\n  upstream\n}"), "1.6.2", ""},
		{"transfer, since 1.8", in("kubernetes cluster.local {\n  transfer to *\n}"), "1.8.0", "Corefile:3: kubernetes: unknown property 'transfer'"},
		{"next, which is too new", in("forward . 8.8.8.8 {\n  next NXDOMAIN\n}"), "1.11.3", "Corefile:3: forward: unknown property 'next'"},
		{"next", in("forward . 8.8.8.8 {\n  next NXDOMAIN\n}"), "1.11.4", ""},
		{"next, of a version that is not known", in("forward . 8.8.8.8 {\n  next NXDOMAIN\n}"), "", ""},
		{"a host name, which is too new", in("forward . dns.example.org"), "1.11.3", `Corefile:2: forward: not an IP address, file, or valid domain: "dns.example.org"`},
		{"a plugin that is too new", in("multisocket"), "1.11.4", "Corefile:2: Unknown directive 'multisocket'"},
		{"a rule that is too new", in("rewrite rcode a NXDOMAIN NOERROR"), "1.10.1", `Corefile:2: rewrite: invalid rule type "rcode"`},
		{"a brace that is not closed", ".:53 {\nforward . 8.8.8.8 {\nmax_fails 1\n", "", "Corefile:3: Unexpected EOF"},
		{"a brace too many, which begins a zone of that name", in("errors\n}"), "", ""},
		{"an import that is not there", in("import /etc/coredns/more"), "", "Corefile:2: File to import not found: /etc/coredns/more"},
		{"an import with a typing error in it", in("import /etc/coredns/bad.conf"), "", "/etc/coredns/bad.conf:1: Unknown directive 'froward'"},
		{"a zone twice", ". {\nerrors\n}\n.:53 {\nlog\n}\n", "", "Corefile:4: cannot serve dns://.:53 - it is already defined"},
		{"on all addresses and on one", ". {\nerrors\n}\n.:53 {\nbind 127.0.0.1\n}\n", "", "Corefile:4: cannot serve dns://.:53 - zone overlap listener capacity"},
		{"a snippet twice", "(a) {\nerrors\n}\n(a) {\nlog\n}\n", "", "Corefile:4: redeclaration of previously declared snippet a"},
		{"a snippet in itself", "(a) {\nimport a\n}\n", "", "Corefile:3: maximum snippet import depth exceeded"},
		{"a comma at the end", "example.org, {\nerrors\n}", "", "Corefile:1: Expected another address but had '{' - check for extra comma"},
		{"hosts in the wrong order", in("hosts {\nfallthrough\n10.0.0.1 a.b\n}"), "", "Corefile:4: hosts: unknown property '10.0.0.1'"},
		{"a plugin twice", in("cache 30\ncache 60"), "", "Corefile:3: cache: this plugin can only be used once per Server Block"},
		{"no port", "a: {\nerrors\n}", "", `Corefile:1: expecting data after last colon: "a:"`},
		{"a port that is none", ".:99999 {\nerrors\n}", "", `Corefile:1: invalid port "99999"`},
		{"an empty file", "", "", ""},
		{"comments only", "# nothing\n", "", ""},
		{"what kubeadm writes", kubeadm, "1.8.0", ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			files := Files{Corefile: "/etc/coredns/Corefile", Dirs: []string{"/etc/coredns"}, Text: map[string]string{"/etc/coredns/bad.conf": "froward . 8.8.8.8\n"}}
			_, err := Parse(row.corefile, Options{Version: row.version, Files: files})
			got := ""
			if err != nil {
				got = err.Error()
			}
			if got != row.want {
				t.Errorf("got  %s\nwant %s", got, row.want)
			}
		})
	}
}

func TestTooLong(t *testing.T) {
	if _, err := Parse(strings.Repeat("a ", maxTokens+1), Options{}); err == nil {
		t.Error("a Corefile of too many words is read")
	}
	bomb := "(a) {\n" + strings.Repeat("rewrite name a.c a.d\n", 100) + "}\n(b) {\n" + strings.Repeat("import a\n", 100) + "}\n. {\n" + strings.Repeat("import b\n", 100) + "}\n"
	c, err := Parse(bomb, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if a := c.Ask(query("a.b A"), Env{}); a.Outcome != Unknown {
		t.Errorf("got %s, want unknown", brief(a))
	}
}

func TestNewer(t *testing.T) {
	for _, row := range []struct {
		a, b string
		want bool
	}{{"1.8.0", "1.8.0", false}, {"1.8.4", "1.8.0", true}, {"1.10.1", "1.9.4", true}, {"1.9.4", "1.10.1", false}, {"2.0.0", "1.15.0", true}, {"1.8", "1.8.0", false}, {"latest", "1.8.0", true}} {
		if got := newer(row.a, row.b); got != row.want {
			t.Errorf("newer(%s, %s): got %v", row.a, row.b, got)
		}
	}
}
