package dns

import (
	"slices"
	"strings"
	"testing"
)

// FuzzCorefile reads anything as a Corefile, and asks it.
func FuzzCorefile(f *testing.F) {
	for _, s := range []string{kubeadm, "", "(a) {\nerrors\n}\n. {\nimport a\n}", "10.0.0.0/9 tls://x:853, y {\ncache 5 {\nsuccess 1 2 3\n}\n}",
		before("rewrite continue name regex (.*)x {1}{0} answer auto\nrewrite name suffix a b answer value (.*) {1}\nrewrite ttl a 3-"),
		before("hosts a b {\n::1 a b *.c # d\nfallthrough x\n}\ntemplate IN ANY {\nmatch (?P<a>.)\nanswer \"{{ .Group.a }} 4 IN TXT a \\\"b c\\\"\"\n}"),
		before("autopath @kubernetes\nforward . tls://[::1%a]:5 /etc/x {$Y} {\nnext NXDOMAIN\n}"), ".:53 {\ntemplate IN A {\nanswer \"{{ .Name }} IN CNAME x{{ .Name }}\"\n}\n}"} {
		f.Add(s, "api.shop.svc.cluster.local", "1.11.3")
	}
	f.Add(kubeadm, "1.0.244.10.in-addr.arpa", "")
	c := shop()
	f.Fuzz(func(t *testing.T, corefile, name, version string) {
		if len(corefile) > 1<<16 {
			return
		}
		cf, err := Parse(corefile, Options{Version: version, Files: Files{Corefile: "/etc/coredns/Corefile", Text: map[string]string{"/etc/coredns/x": corefile}}})
		if err != nil {
			return
		}
		for _, kind := range []string{"A", "PTR", "SRV", "TXT"} {
			a := cf.Ask(Query{Name: name, Type: kind, Client: c.Pods[0].Addrs[0]}, Env{Cluster: c})
			if a.Outcome == Unknown && a.Why.IsZero() {
				t.Fatalf("%s %s is unknown, and nothing says why", name, kind)
			}
			for _, r := range a.Records {
				if a.Outcome == Answered && !isName(r.Name) {
					t.Fatalf("%q is no name", r.Name)
				}
			}
		}
	})
}

// FuzzResolvConf reads anything as a resolv.conf; what is written is read as the same.
func FuzzResolvConf(f *testing.F) {
	for _, s := range []string{podConf, "", "nameserver fe80::1%x\ndomain a\nsearch . b. #c\noptions ndots:3 x\n", "options ndots:-1 ndots:99999999999\n", ";\n#\n \n"} {
		f.Add(s, "a.b")
	}
	f.Fuzz(func(t *testing.T, conf, name string) {
		c := ParseConf(conf)
		for _, l := range []Libc{Glibc, Musl} {
			for _, n := range c.Expand(name, l) {
				if !strings.HasSuffix(n, ".") {
					t.Fatalf("%q is not complete", n)
				}
			}
		}
		if n := c.NDots(); n < 0 || n > maxNDots || len(c.Asked()) > maxServers {
			t.Fatalf("ndots %d, %d servers", n, len(c.Asked()))
		}
		again := ParseConf(c.String())
		if !slices.Equal(again.Servers, c.Servers) || !slices.Equal(again.Options, c.Options) && !strings.ContainsAny(conf, "#;") {
			t.Fatalf("%+v was read again as %+v", c, again)
		}
	})
}
