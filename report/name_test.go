package report

import (
	"io"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/plumbnet/plumb/diagnose"
	"github.com/plumbnet/plumb/dns"
)

// named is a report about a name that is rewritten, and then forwarded.
func named(t *testing.T) *diagnose.Report {
	t.Helper()
	c, err := dns.Parse(".:53 {\n  rewrite name suffix .old .example.org\n  kubernetes cluster.local\n  forward . 203.0.113.10\n}\n", dns.Options{})
	if err != nil {
		t.Fatal(err)
	}
	cluster := &dns.Cluster{Namespaces: []string{"shop"}, Services: []dns.Service{{Namespace: "shop", Name: "api", Addrs: []netip.Addr{netip.MustParseAddr("10.96.0.20")}}}}
	cluster.Index()
	conf := dns.ParseConf("nameserver 10.96.0.10\nsearch shop.svc.cluster.local\noptions ndots:5\n")
	n := &diagnose.Resolution{Name: "www.old", Conf: conf, Host: true, Server: conf.Servers[0]}
	for _, name := range []string{"api.shop.svc.cluster.local", "nope.shop.svc.cluster.local", "shop.svc.cluster.local", "www.old"} {
		q := dns.Query{Name: name + ".", Type: "A"}
		n.Queries = append(n.Queries, diagnose.Query{Query: q, Answer: c.Ask(q, dns.Env{Cluster: cluster})})
	}
	n.Queries = append(n.Queries, diagnose.Query{Query: dns.Query{Name: "x.", Type: "A"}})
	r := sampleUnknown()
	r.Name, r.Source.Name = n, "shop/web-0"
	return r
}

func TestName(t *testing.T) {
	const want = `How www.old resolves in shop/web-0
  resolv.conf: nameserver 10.96.0.10, search shop.svc.cluster.local, ndots 5
  so the Pod's object has it: what the Pod really has was not collected
  the node's own search list, which is not known, comes behind it
  ✓ api.shop.svc.cluster.local. A: 10.96.0.20 (kubernetes, Corefile:3)
  · nope.shop.svc.cluster.local. A: NXDOMAIN, no address (kubernetes, Corefile:3)
  · shop.svc.cluster.local. A: NOERROR, no address (kubernetes, Corefile:3)
  ? www.old. A: is forwarded to 203.0.113.10:53 (Corefile:4)
      rewrite (Corefile:2): rule in line 2: www.old. A is asked for as www.example.org. A
  ? x. A: not known:  (CoreDNS, Corefile:0)
`
	r := named(t)
	got := string(render(t, func(w io.Writer) error { return Text(w, r, Options{Width: 120}) }))
	_, got, _ = strings.Cut(got, "\n\n")
	got, _, _ = strings.Cut(got, "\n\n")
	if diff := cmp.Diff(want, got+"\n"); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for _, row := range []struct {
		name, want string
		write      func(io.Writer) error
	}{
		{"Chinese", "www.old. A：转发给 203.0.113.10:53（Corefile:4）", func(w io.Writer) error { return Text(w, r, Options{Lang: "zh", Width: 120}) }},
		{"JSON", `"qname": "www.old.",`, func(w io.Writer) error { return JSON(w, r, Options{}) }},
		{"HTML", "<h2>How www.old resolves in shop/web-0</h2>", func(w io.Writer) error { return HTML(w, r, Options{}) }},
	} {
		if got := string(render(t, row.write)); !strings.Contains(got, row.want) {
			t.Errorf("%s: no %q in\n%s", row.name, row.want, got)
		}
	}
}
