package dns

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// kubeadm is the Corefile that kubeadm writes, with upstreams in place of a resolv.conf.
const kubeadm = `.:53 {
    errors
    health {
       lameduck 5s
    }
    ready
    kubernetes cluster.local in-addr.arpa ip6.arpa {
       pods insecure
       fallthrough in-addr.arpa ip6.arpa
       ttl 30
    }
    prometheus :9153
    forward . 203.0.113.10 203.0.113.11:5353 {
       max_concurrent 1000
    }
    cache 30
    loop
    reload
    loadbalance
}
`

func addrs(list ...string) (out []netip.Addr) {
	for _, s := range list {
		out = append(out, netip.MustParseAddr(s))
	}
	return out
}

// shop is a small cluster.
func shop() *Cluster {
	web := []Port{{Name: "http", Proto: "TCP", Number: 8080}}
	c := &Cluster{
		Namespaces: []string{"default", "kube-system", "shop"},
		Services: []Service{
			{Namespace: "default", Name: "kubernetes", Addrs: addrs("10.96.0.1"), Ports: []Port{{Name: "https", Proto: "TCP", Number: 443}},
				Slices: []Slice{{Ports: []Port{{Name: "https", Proto: "TCP", Number: 6443}}, Endpoints: []Endpoint{{Addr: netip.MustParseAddr("192.0.2.10")}}}}},
			{Namespace: "shop", Name: "api", Addrs: addrs("10.96.0.20", "fd00:96::20"), Ports: []Port{{Name: "http", Proto: "TCP", Number: 80}, {Name: "dns", Proto: "UDP", Number: 53}},
				Slices: []Slice{{Ports: web, Endpoints: []Endpoint{{Addr: netip.MustParseAddr("10.244.1.2"), Pod: "api-0"}}}}},
			{Namespace: "shop", Name: "db", Headless: true, Ports: web, Slices: []Slice{{Ports: web, Endpoints: []Endpoint{
				{Addr: netip.MustParseAddr("10.244.1.3"), Hostname: "db-0"}, {Addr: netip.MustParseAddr("10.244.2.3"), Pod: "db-1"}}}}},
			{Namespace: "shop", Name: "none", Headless: true},
			{Namespace: "shop", Name: "out", ExternalName: "www.example.org"},
			{Namespace: "shop", Name: "in", ExternalName: "api.shop.svc.cluster.local"},
			{Namespace: "shop", Name: "self", ExternalName: "self.shop.svc.cluster.local"},
		},
		Pods: []Pod{{Namespace: "shop", Addrs: addrs("10.244.1.2")}},
	}
	c.Index()
	return c
}

// brief writes an answer in a line: its outcome, then its records.
func brief(a Answer) string {
	var b strings.Builder
	switch a.Outcome {
	case Unknown:
		return fmt.Sprintf("unknown at %s:%d: %s", a.By.Plugin, a.By.Line, a.Why)
	case Answered:
		fmt.Fprintf(&b, "%s by %s:%d", a.Rcode, a.By.Plugin, a.By.Line)
	case Forwarded:
		fmt.Fprintf(&b, "forwarded by line %d: %s to %s", a.By.Line, a.Asked, listed(a.Upstreams))
	}
	for _, r := range a.Records {
		fmt.Fprintf(&b, "; %s %d %s %s", r.Name, r.TTL, r.Type, r.Data())
	}
	for _, r := range a.Extra {
		fmt.Fprintf(&b, "; + %s %s %s", r.Name, r.Type, r.Data())
	}
	return b.String()
}

// An asked is a question to a Corefile, and what becomes of it.
type asked struct {
	name string
	q    string // "api.shop.svc.cluster.local A"
	want string
}

func query(s string) Query {
	name, kind, _ := strings.Cut(s, " ")
	return Query{Name: name, Type: kind, Client: netip.MustParseAddr("10.244.1.2")}
}

func (row asked) run(t *testing.T, corefile string, o Options) {
	t.Helper()
	c, err := Parse(corefile, o)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(row.want, brief(c.Ask(query(row.q), Env{Cluster: shop()}))); diff != "" {
		t.Errorf("%s (-want +got):\n%s", row.q, diff)
	}
}

func TestKubernetes(t *testing.T) {
	const nx, none = "NXDOMAIN by kubernetes:7", "NOERROR by kubernetes:7"
	for _, row := range []asked{
		{"a Service", "api.shop.svc.cluster.local A", none + "; api.shop.svc.cluster.local. 30 A 10.96.0.20"},
		{"its other family", "api.shop.svc.cluster.local AAAA", none + "; api.shop.svc.cluster.local. 30 AAAA fd00:96::20"},
		{"letters do not count", "API.Shop.SVC.cluster.LOCAL A", none + "; api.shop.svc.cluster.local. 30 A 10.96.0.20"},
		{"no such Service", "nope.shop.svc.cluster.local A", nx},
		{"no such namespace", "api.nope.svc.cluster.local A", nx},
		{"a namespace", "shop.svc.cluster.local A", none},
		{"the zone", "cluster.local A", none},
		{"no type of it", "api.shop.svc.cluster.local MX", none},
		{"a type that nobody makes", "api.shop.svc.cluster.local HTTPS", none},
		{"neither svc nor pod", "api.shop.cluster.local A", nx},
		{"too long", "a.b.c.api.shop.svc.cluster.local A", nx},
		{"headless", "db.shop.svc.cluster.local A", none + "; db.shop.svc.cluster.local. 30 A 10.244.1.3; db.shop.svc.cluster.local. 30 A 10.244.2.3"},
		{"of no ready endpoint", "none.shop.svc.cluster.local A", nx},
		{"an endpoint's hostname", "db-0.db.shop.svc.cluster.local A", none + "; db-0.db.shop.svc.cluster.local. 30 A 10.244.1.3"},
		{"an endpoint's address", "10-244-2-3.db.shop.svc.cluster.local A", none + "; 10-244-2-3.db.shop.svc.cluster.local. 30 A 10.244.2.3"},
		{"an endpoint's Pod", "db-1.db.shop.svc.cluster.local A", nx},
		{"a port", "_http._tcp.api.shop.svc.cluster.local SRV", none +
			"; _http._tcp.api.shop.svc.cluster.local. 30 SRV 0 50 80 api.shop.svc.cluster.local.; + api.shop.svc.cluster.local. A 10.96.0.20; + api.shop.svc.cluster.local. AAAA fd00:96::20"},
		{"a port of another protocol", "_http._udp.api.shop.svc.cluster.local SRV", nx},
		{"an alias to outside", "out.shop.svc.cluster.local A",
			"forwarded by line 13: www.example.org. A to 203.0.113.10:53, 203.0.113.11:5353; out.shop.svc.cluster.local. 30 CNAME www.example.org."},
		{"an alias itself", "out.shop.svc.cluster.local CNAME", none + "; out.shop.svc.cluster.local. 30 CNAME www.example.org."},
		{"an alias to inside", "in.shop.svc.cluster.local A",
			none + "; in.shop.svc.cluster.local. 30 CNAME api.shop.svc.cluster.local.; api.shop.svc.cluster.local. 30 A 10.96.0.20"},
		{"an alias to itself", "self.shop.svc.cluster.local A", none},
		{"a Pod's address", "10-244-9-9.shop.pod.cluster.local A", none + "; 10-244-9-9.shop.pod.cluster.local. 30 A 10.244.9.9"},
		{"no address", "web-0.shop.pod.cluster.local A", nx},
		{"the address of a Service", "20.0.96.10.in-addr.arpa PTR", none + "; 20.0.96.10.in-addr.arpa. 30 PTR api.shop.svc.cluster.local."},
		{"the address of an endpoint", "3.1.244.10.in-addr.arpa PTR", none + "; 3.1.244.10.in-addr.arpa. 30 PTR db-0.db.shop.svc.cluster.local."},
		{"an IPv6 address", ReverseName(netip.MustParseAddr("fd00:96::20")) + " PTR", none + "; " + ReverseName(netip.MustParseAddr("fd00:96::20")) + " 30 PTR api.shop.svc.cluster.local."},
		{"a strange address", "1.1.1.1.in-addr.arpa PTR", "forwarded by line 13: 1.1.1.1.in-addr.arpa. PTR to 203.0.113.10:53, 203.0.113.11:5353"},
		{"the version", "dns-version.cluster.local TXT", `NOERROR by kubernetes:7; dns-version.cluster.local. 30 TXT "1.1.0"`},
		{"another zone", "example.org A", "forwarded by line 13: example.org. A to 203.0.113.10:53, 203.0.113.11:5353"},
		{"no name", "a..b A", `unknown at :0: "a..b." is no name that can be looked up`},
	} {
		t.Run(row.name, func(t *testing.T) { row.run(t, kubeadm, Options{}) })
	}
}
