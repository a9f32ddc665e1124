package coredns

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"

	"github.com/plumbnet/plumb/dns"
)

// A gen makes random Corefiles, clusters and queries.
type gen struct {
	*rand.Rand
	ports     [2]int    // that server blocks listen on
	upstreams [2]uint16 // that forward asks
	api       string
}

func pick[T any](g *gen, list ...T) T { return list[g.IntN(len(list))] }

func (g *gen) one(n int) bool { return g.IntN(n) == 0 }

var spaces = []string{"default", "shop", "kube-system"}

// cluster makes a random cluster.
func (g *gen) cluster() *dns.Cluster {
	c := &dns.Cluster{Namespaces: spaces}
	n := 0
	addr := func() netip.Addr {
		n++
		if g.one(4) {
			return netip.MustParseAddr(fmt.Sprintf("fd00:10::%x", n))
		}
		return netip.AddrFrom4([4]byte{10, 1, byte(g.IntN(3)), byte(n)})
	}
	for _, ns := range append(spaces, "absent") {
		for _, name := range []string{"api", "db", "web", "out", "a"} {
			s := dns.Service{Namespace: ns, Name: name}
			for i := range g.IntN(3) {
				s.Ports = append(s.Ports, dns.Port{Name: []string{"http", "dns", ""}[i], Proto: pick(g, "TCP", "UDP"), Number: 80 + i})
			}
			switch g.IntN(4) {
			case 0:
				s.Headless = true
			case 1:
				s.ExternalName = pick(g, "www.example.org", "nothing.example.org", "api.shop.svc.cluster.local", "alias.example.net",
					fmt.Sprintf("out.%s.svc.cluster.local", ns), "host.inside.test", "Mixed.Example.ORG", "fail.example.org")
			default:
				for range 1 + g.IntN(2) {
					s.Addrs = append(s.Addrs, addr())
				}
			}
			for range g.IntN(3) {
				sl := dns.Slice{}
				for i := range g.IntN(3) {
					sl.Ports = append(sl.Ports, dns.Port{Name: []string{"http", "dns"}[i], Proto: pick(g, "TCP", "UDP"), Number: 8080 + i})
				}
				for i := range g.IntN(3) {
					e := dns.Endpoint{Addr: addr(), Pod: fmt.Sprintf("%s-%d", name, i)}
					if g.one(3) {
						e.Hostname = fmt.Sprintf("host-%d", i)
					}
					sl.Endpoints = append(sl.Endpoints, e)
				}
				if s.ExternalName == "" {
					s.Slices = append(s.Slices, sl)
				}
			}
			c.Services = append(c.Services, s)
		}
		c.Pods = append(c.Pods, dns.Pod{Namespace: ns, Addrs: []netip.Addr{addr()}})
	}
	c.Pods = append(c.Pods, dns.Pod{Namespace: "shop", Addrs: []netip.Addr{netip.MustParseAddr("127.0.0.1")}})
	c.Index()
	return c
}

var zoneNames = []string{".", "cluster.local", "example.org", "inside.test", "shop.svc.cluster.local", "10.in-addr.arpa", "in-addr.arpa", "www.example.org"}

// names are those that queries and rules are about.
var names = []string{"api.shop.svc.cluster.local", "web.default.svc.cluster.local", "db.shop.svc.cluster.local", "out.shop.svc.cluster.local",
	"out.default.svc.cluster.local", "a.kube-system.svc.cluster.local", "nothing.example.org", "www.example.org", "api.example.org", "alias.example.net",
	"fail.example.net", "host.inside.test", "other.inside.test", "api.shop", "api.example.org.shop.svc.cluster.local",
	"www.example.org.shop.svc.cluster.local", "api.shop.svc.svc.cluster.local", "cluster.local", "svc.cluster.local", "shop.svc.cluster.local",
	"absent.svc.cluster.local", "10-1-0-1.shop.pod.cluster.local", "x.shop.pod.cluster.local", "pod.cluster.local", "dns-version.cluster.local",
	"host-0.db.shop.svc.cluster.local", "db-1.db.shop.svc.cluster.local", "_http._tcp.api.shop.svc.cluster.local", "_dns._udp.web.default.svc.cluster.local",
	"_http._tcp.db.shop.svc.cluster.local", "a.b.c.api.shop.svc.cluster.local", "svc.example.org", "1.0.1.10.in-addr.arpa", "2.1.1.10.in-addr.arpa",
	"5.0.1.10.in-addr.arpa", "1.2.0.192.in-addr.arpa", "10.in-addr.arpa", "deep.er.www.example.org", "localhost", "org"}

// query makes a random query of what a cluster and the names have.
func (g *gen) query(c *dns.Cluster) dns.Query {
	q := dns.Query{Name: pick(g, names...), Type: pick(g, "A", "A", "A", "AAAA", "AAAA", "SRV", "TXT", "CNAME", "MX", "SOA", "HTTPS", "PTR")}
	s := &c.Services[g.IntN(len(c.Services))]
	switch g.IntN(5) {
	case 0:
		q.Name = fmt.Sprintf("%s.%s.svc.cluster.local", s.Name, s.Namespace)
	case 1:
		for _, sl := range s.Slices {
			for _, e := range sl.Endpoints {
				q.Name, q.Type = dns.ReverseName(e.Addr), "PTR"
			}
		}
		for _, a := range s.Addrs {
			q.Name, q.Type = dns.ReverseName(a), pick(g, "PTR", "PTR", "A")
		}
	case 2:
		q.Name = pick(g, "_http._tcp.", "_dns._udp.", "host-0.", "") + fmt.Sprintf("%s.%s.svc.cluster.local", s.Name, s.Namespace)
	}
	if strings.HasSuffix(q.Name, "arpa") && !g.one(4) {
		q.Type = "PTR"
	}
	q.Name = strings.TrimSuffix(q.Name, ".") + "."
	return q
}

// corefile makes a random Corefile that CoreDNS starts with.
func (g *gen) corefile() string {
	var b strings.Builder
	taken := map[string]bool{}
	for i := range 1 + g.IntN(3) {
		var keys []string
		for range 1 + g.IntN(2) {
			zone := pick(g, zoneNames...)
			if i == 0 && len(keys) == 0 {
				zone = "."
			}
			key := fmt.Sprintf("%s:%d", zone, g.ports[min(g.IntN(4), 1)*g.IntN(2)])
			if i == 0 && len(keys) == 0 {
				key = fmt.Sprintf("%s:%d", zone, g.ports[0])
			}
			if !taken[key] {
				taken[key] = true
				keys = append(keys, key)
			}
		}
		if len(keys) == 0 {
			continue
		}
		lines := []string{"bind 127.0.0.1"}
		for _, f := range []func() string{g.kubernetes, g.hosts, g.rewrites, g.template, g.forward, g.cache, g.autopath} {
			if s := f(); s != "" {
				lines = append(lines, s)
			}
		}
		for _, plain := range []string{"errors", "loadbalance", "minimal"} {
			if g.one(2) {
				lines = append(lines, plain)
			}
		}
		g.Shuffle(len(lines), func(i, j int) { lines[i], lines[j] = lines[j], lines[i] })
		fmt.Fprintf(&b, "%s {\n    %s\n}\n", strings.Join(keys, " "), strings.Join(lines, "\n    "))
	}
	return b.String()
}

func (g *gen) through() string {
	return pick(g, "", "", "fallthrough\n", "fallthrough in-addr.arpa ip6.arpa\n", "fallthrough example.org cluster.local\n")
}

func (g *gen) kubernetes() string {
	if g.one(3) {
		return ""
	}
	zones := pick(g, "cluster.local in-addr.arpa ip6.arpa", "cluster.local", "cluster.local 10.0.0.0/8 in-addr.arpa", "cluster.local example.org", "cluster.local 10.1.0.0/23")
	s := fmt.Sprintf("kubernetes %s {\nendpoint %s\n", zones, g.api) + pick(g, "", "pods insecure\n", "pods verified\n", "pods disabled\n") + g.through()
	if g.one(2) {
		s += fmt.Sprintf("ttl %d\n", g.IntN(200))
	}
	return s + pick(g, "", "", "namespaces shop default\n", "endpoint_pod_names\n", "ignore empty_service\n", "noendpoints\n", "namespaces shop\n") + "}"
}

func (g *gen) hosts() string {
	if g.one(2) {
		return ""
	}
	s := "hosts" + pick(g, "", "", " /nonexistent/hosts", " /nonexistent/hosts example.org inside.test", " /nonexistent/hosts 10.in-addr.arpa") + " {\n"
	for range g.IntN(4) {
		s += pick(g, "10.1.0.1", "192.0.2.1", "2001:db8::1", "::ffff:192.0.2.7", "bogus") + " " + pick(g, names...) +
			pick(g, "", " "+pick(g, names...), " *.example.org", " Mixed.Inside.TEST") + "\n"
	}
	return s + pick(g, "", "ttl 77\n", "no_reverse\n", "reload 0s\n") + g.through() + "}"
}

func (g *gen) answers() string {
	return pick(g, "", "", " answer auto", ` answer name (.*)\.svc\.cluster\.local {1}.example.org`, ` answer value (.*)\.example\.org {1}.inside.test`,
		` answer name (.*) {1} answer value (.*)\.local {1}.test`)
}

func (g *gen) rewrites() string {
	var out []string
	for range g.IntN(4) {
		s := "rewrite " + pick(g, "", "", "stop ", "continue ", "continue ")
		switch g.IntN(9) {
		case 0:
			s += "name " + pick(g, "", "exact ") + pick(g, names...) + " " + pick(g, names...)
		case 1:
			s += "name suffix " + pick(g, ".example.org", "inside.test", ".svc.cluster.local") + " " + pick(g, ".shop.svc.cluster.local", "example.org", ".inside.test") + g.answers()
		case 2:
			s += "name prefix " + pick(g, "api.", "www", "db.") + " " + pick(g, "web.", "api", "alias.") + g.answers()
		case 3:
			s += "name substring " + pick(g, "example.org", "shop", "svc.cluster.local") + " " + pick(g, "inside.test", "default", "example.net") + g.answers()
		case 4:
			s += `name regex ` + pick(g, `(.*)\.example\.org {1}.shop.svc.cluster.local`, `^(api|web)\.(.*) {2}.{1}`, `(.*)\.inside\.test\. {1}.Example.ORG`, `^([a-z]+)$ {0}`) + g.answers()
		case 5:
			s += "type " + pick(g, "AAAA A", "A AAAA", "ANY A", "MX SRV")
		case 6:
			s += "ttl " + pick(g, "", "suffix ", "exact ", "substring ") + pick(g, names...) + " " + pick(g, "10", "5-7", "-3", "4000-")
		case 7:
			s += "rcode " + pick(g, "", "suffix ", "substring ") + pick(g, "cluster.local", "example.org", "shop.svc.cluster.local") + " " + pick(g, "NXDOMAIN NOERROR", "2 3", "NOERROR SERVFAIL", "nxdomain refused")
		case 8:
			s += "class IN CH"
			if !g.one(6) {
				s = "rewrite edns0 local set 0xffee abcd"
			}
		}
		out = append(out, s)
	}
	return strings.Join(out, "\n    ")
}

func (g *gen) template() string {
	if g.one(2) {
		return ""
	}
	var out []string
	for range 1 + g.IntN(2) {
		s := fmt.Sprintf("template IN %s %s{\n", pick(g, "A", "A", "ANY", "AAAA", "MX"), pick(g, "", "example.org ", "inside.test cluster.local ", ". "))
		if g.one(2) {
			s += pick(g, `match ^api[.](?P<rest>.*)$`, `match (.*)[.]example[.]org[.]$ ^no`, `match "^host[.](.*)"`) + "\n"
		}
		s += pick(g, "", `answer "{{ .Name }} 60 IN A 192.0.2.99"`, `answer "{{ .Name }} 44 IN CNAME {{ .Group.rest }}"`, `answer "{{ .Name }} IN CNAME www.example.org."`,
			`answer "{{ index .Match 0 }} 3 IN A 10.9.9.9" "{{ .Zone }} 4 IN AAAA 2001:db8::9"`, `answer "{{ .Name }} 60 IN A {{ .Type }}"`,
			`answer "{{ .Name }} IN MX 10 mail.{{ .Zone }}"`, `answer "{{ if eq .Type `+"`A`"+` }}{{ .Name }} IN A 192.0.2.3{{ else }}{{ .Name }} IN TXT \"x y\" z{{ end }}"`) + "\n"
		s += pick(g, "", "", "rcode NXDOMAIN\n", "rcode SERVFAIL\n", "rcode NOERROR\n", "rcode REFUSED\n")
		s += pick(g, "", "", `additional "extra.{{ .Zone }} 9 IN A 192.0.2.8"`+"\n", `authority "{{ .Zone }} 20 IN NS ns.{{ .Zone }}"`+"\n")
		out = append(out, s+g.through()+"}")
	}
	return strings.Join(out, "\n    ")
}

func (g *gen) forward() string {
	var out []string
	for range g.IntN(3) {
		s := fmt.Sprintf("forward %s 127.0.0.1:%d {\n", pick(g, ".", ".", "example.org", "cluster.local", "in-addr.arpa"), g.upstreams[g.IntN(2)])
		s += pick(g, "", "", "except example.net inside.test\n", "except shop.svc.cluster.local\n") + pick(g, "", "", "next NXDOMAIN SERVFAIL\n", "next_on_nodata\n")
		out = append(out, s+pick(g, "", "policy sequential\n", "max_concurrent 100\n")+"}")
	}
	return strings.Join(out, "\n    ")
}

func (g *gen) cache() string {
	return pick(g, "", "", "cache", "cache 30", "cache 10 example.org cluster.local", "cache {\nsuccess 1000 40 20\ndenial 100 7\n}", "cache {\nsuccess 100 60\n}")
}

func (g *gen) autopath() string {
	return pick(g, "", "", "", "autopath @kubernetes", "autopath cluster.local @kubernetes")
}
