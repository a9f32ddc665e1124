package diagnose

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/plumbnet/plumb/netfilter"
	"github.com/plumbnet/plumb/snapshot"
	corev1 "k8s.io/api/core/v1"
)

// chain writes how a name was resolved: each name and its answer, then where it is connected to.
func chain(r *Report) string {
	if r.Name == nil {
		return "not followed"
	}
	var out []string
	for _, q := range r.Name.Queries {
		s := q.Query.Name + " " + q.Type + " "
		switch a := q.Answer; {
		case len(a.Upstreams) > 0:
			s += "> " + UpstreamNames(a.Upstreams)
		case a.Why.IsZero():
			s += a.Rcode
		default:
			s += "? " + a.Why.String()
		}
		out = append(out, s)
	}
	for _, a := range r.Name.Addrs {
		out = append(out, a.String())
	}
	return strings.Join(out, ", ") + fmt.Sprintf("; %s %s", r.Dest.Kind, r.Dest.Name)
}

// corefile changes the Corefile of a cluster.
func corefile(old, new string) func(*snapshot.Cluster) {
	return func(c *snapshot.Cluster) {
		for i := range c.Objects.ConfigMaps {
			if m := &c.Objects.ConfigMaps[i]; m.Name == "coredns" {
				m.Data = map[string]string{"Corefile": strings.Replace(m.Data["Corefile"], old, new, 1)}
			}
		}
	}
}

// policyOf sets the DNS policy of shop/web-0.
func policyOf(policy corev1.DNSPolicy, config *corev1.PodDNSConfig) func(*snapshot.Cluster) {
	return func(c *snapshot.Cluster) {
		for i := range c.Objects.Pods {
			if p := &c.Objects.Pods[i]; p.Name == "web-0" {
				p.Spec.DNSPolicy, p.Spec.DNSConfig = policy, config
			}
		}
	}
}

func TestResolution(t *testing.T) {
	two := "2"
	hosts := map[string][]netip.Addr{"www.example.org": {netip.MustParseAddr("203.0.113.10")}}
	for _, row := range []struct {
		name    string
		change  func(*snapshot.Cluster)
		dst     string
		chain   string
		verdict Verdict
		summary string // part of it
		need    string // part of one
	}{
		{"a Service of the namespace", nil, "api.shop:80", "api.shop.shop.svc.cluster.local. A NXDOMAIN, api.shop.svc.cluster.local. A NOERROR, 10.96.0.20; service shop/api", Works, "shop/web-0 reaches", ""},
		{"its full name", nil, "api.shop.svc.cluster.local.:80", "api.shop.svc.cluster.local. A NOERROR, 10.96.0.20; service shop/api", Works, "reaches", ""},
		{"no such name", nil, "nope.shop:80", "nope.shop.shop.svc.cluster.local. A NXDOMAIN, nope.shop.svc.cluster.local. A NXDOMAIN, nope.shop.cluster.local. A NXDOMAIN, nope.shop. A > 203.0.113.10:53; host nope.shop", CannotTell, "203.0.113.10:53 decide what its address is", "what 203.0.113.10:53 answer to nope.shop"},
		{"outside", nil, "www.example.org:80", "www.example.org.shop.svc.cluster.local. A NXDOMAIN, www.example.org.svc.cluster.local. A NXDOMAIN, www.example.org.cluster.local. A NXDOMAIN, www.example.org. A > 203.0.113.10:53; host www.example.org", CannotTell, "", "the addresses are those that this machine finds"},
		{"ndots 2", policyOf(corev1.DNSClusterFirst, &corev1.PodDNSConfig{Options: []corev1.PodDNSConfigOption{{Name: "ndots", Value: &two}}}), "www.example.org:80", "www.example.org. A > 203.0.113.10:53; host www.example.org", CannotTell, "", ""},
		{"a rewrite", corefile("ready\n", "ready\n    rewrite name www.example.org api.shop.svc.cluster.local\n"), "www.example.org.:80", "www.example.org. A NOERROR, 10.96.0.20; service shop/api", Works, "reaches", ""},
		{"hosts without fallthrough", corefile("ready\n", "ready\n    hosts {\n 10.0.0.1 a.b\n }\n"), "api.shop:80", "api.shop.shop.svc.cluster.local. A SERVFAIL, api.shop.svc.cluster.local. A SERVFAIL, api.shop.cluster.local. A SERVFAIL, api.shop. A SERVFAIL; host api.shop", Broken, "api.shop does not resolve: CoreDNS answers SERVFAIL to each of 4 names", ""},
		{"another domain", corefile("kubernetes cluster.local", "kubernetes corp.example"), "api.shop:80", "api.shop.shop.svc.corp.example. A NXDOMAIN, api.shop.svc.corp.example. A NOERROR, 10.96.0.20; service shop/api", Works, "reaches", ""},
		{"a zone that CoreDNS does not serve, and that nobody else does", corefile("forward . 203.0.113.10 {\n       max_concurrent 1000\n    }", ""), "www.example.org:80", "www.example.org.shop.svc.cluster.local. A NXDOMAIN, www.example.org.svc.cluster.local. A NXDOMAIN, www.example.org.cluster.local. A NXDOMAIN, www.example.org. A SERVFAIL; host www.example.org", Broken, "www.example.org does not resolve: CoreDNS answers SERVFAIL to each of 4 names", ""},
		{"a plugin that is not followed", corefile("ready\n", "ready\n    acl {\n block net 10.0.0.0/8\n }\n"), "api.shop:80", "api.shop.shop.svc.cluster.local. A ? what the plugin acl does is not followed; service shop/api", Works, "reaches", "what CoreDNS answers to api.shop.shop.svc.cluster.local.: what the plugin acl does is not followed"},
		{"a Corefile that is refused", corefile("ttl 30", "upstream"), "api.shop:80", "not followed", Works, "reaches", "what CoreDNS answers: it refuses its configuration (Corefile:10: kubernetes: unknown property 'upstream')"},
		{"a name server of its own", policyOf(corev1.DNSNone, &corev1.PodDNSConfig{Nameservers: []string{"198.51.100.53"}}), "api.shop:80", "not followed", Works, "reaches", "what the name server that shop/web-0 asks answers: it is not the cluster's"},
		{"the query is dropped", func(c *snapshot.Cluster) {
			for _, n := range c.Nodes {
				if n.Name == "node-a" {
					rules := &n.Host().Netfilter
					drop, _ := netfilter.ParseSave(strings.NewReader("*raw\n:PREROUTING ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n-A PREROUTING -p udp --dport 53 -j DROP\nCOMMIT\n"), false, netfilter.Legacy, "iptables-legacy")
					rules.Tables = append(rules.Tables, drop...)
				}
			}
		}, "api.shop:80", "api.shop.shop.svc.cluster.local. A NXDOMAIN, api.shop.svc.cluster.local. A NOERROR, 10.96.0.20; service shop/api", Broken, "it cannot ask the name server 10.96.0.10 for the name", ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			c := healthy(t)
			if row.change != nil {
				row.change(c)
			}
			r, err := Run(c, Ask{Src: "shop/web-0", Dst: row.dst, Hosts: hosts})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(row.chain, chain(r)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			needs := fmt.Sprint(r.Needs)
			if r.Verdict != row.verdict || !strings.Contains(r.Summary.String(), row.summary) || !strings.Contains(needs, row.need) {
				t.Errorf("%s: %s; needs %s", r.Verdict, r.Summary, needs)
			}
		})
	}
}
