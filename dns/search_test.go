package dns

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestSearchList is by resolv.conf(5) for glibc, and by musl's own notes for musl: a name with as
// many dots as ndots is tried as it is first, and musl then tries nothing else.
func TestSearchList(t *testing.T) {
	const (
		pod   = "search shop.svc.cluster.local svc.cluster.local cluster.local\noptions ndots:5\n"
		one   = "search corp.test\n"
		two   = "search corp.test\noptions ndots:2\n"
		empty = "nameserver 192.0.2.53\n"
	)
	for _, r := range []struct {
		name, conf, ask string
		glibc, musl     []string
	}{
		{
			name: "a Service of the same namespace", conf: pod, ask: "api",
			glibc: []string{"api.shop.svc.cluster.local.", "api.svc.cluster.local.", "api.cluster.local.", "api."},
			musl:  []string{"api.shop.svc.cluster.local.", "api.svc.cluster.local.", "api.cluster.local.", "api."},
		},
		{
			name: "a Service of another namespace", conf: pod, ask: "api.shop",
			glibc: []string{"api.shop.shop.svc.cluster.local.", "api.shop.svc.cluster.local.", "api.shop.cluster.local.", "api.shop."},
			musl:  []string{"api.shop.shop.svc.cluster.local.", "api.shop.svc.cluster.local.", "api.shop.cluster.local.", "api.shop."},
		},
		{
			name: "four dots are less than five", conf: pod, ask: "api.shop.svc.cluster.local",
			glibc: []string{"api.shop.svc.cluster.local.shop.svc.cluster.local.", "api.shop.svc.cluster.local.svc.cluster.local.",
				"api.shop.svc.cluster.local.cluster.local.", "api.shop.svc.cluster.local."},
			musl: []string{"api.shop.svc.cluster.local.shop.svc.cluster.local.", "api.shop.svc.cluster.local.svc.cluster.local.",
				"api.shop.svc.cluster.local.cluster.local.", "api.shop.svc.cluster.local."},
		},
		{
			name: "five dots", conf: pod, ask: "db-0.db.shop.svc.cluster.local",
			glibc: []string{"db-0.db.shop.svc.cluster.local.", "db-0.db.shop.svc.cluster.local.shop.svc.cluster.local.",
				"db-0.db.shop.svc.cluster.local.svc.cluster.local.", "db-0.db.shop.svc.cluster.local.cluster.local."},
			musl: []string{"db-0.db.shop.svc.cluster.local."},
		},
		{
			name: "a dot at the end ends the search", conf: pod, ask: "api.",
			glibc: []string{"api."},
			musl:  []string{"api."},
		},
		{
			name: "without ndots it is one", conf: one, ask: "www.example",
			glibc: []string{"www.example.", "www.example.corp.test."},
			musl:  []string{"www.example."},
		},
		{
			name: "less than that", conf: one, ask: "www",
			glibc: []string{"www.corp.test.", "www."},
			musl:  []string{"www.corp.test.", "www."},
		},
		{
			name: "ndots is two", conf: two, ask: "www.example",
			glibc: []string{"www.example.corp.test.", "www.example."},
			musl:  []string{"www.example.corp.test.", "www.example."},
		},
		{
			name: "no search list", conf: empty, ask: "www",
			glibc: []string{"www."},
			musl:  []string{"www."},
		},
		{
			name: "letters do not count", conf: one, ask: "WWW",
			glibc: []string{"www.corp.test.", "www."},
			musl:  []string{"www.corp.test.", "www."},
		},
		{
			name: "a domain twice is asked for once", conf: "search a.test a.test\n", ask: "www",
			glibc: []string{"www.a.test.", "www."},
			musl:  []string{"www.a.test.", "www."},
		},
	} {
		for l, want := range map[Libc][]string{Glibc: r.glibc, Musl: r.musl} {
			t.Run(fmt.Sprint(r.name, ", ", []string{"glibc", "musl"}[l]), func(t *testing.T) {
				if diff := cmp.Diff(want, ParseConf(r.conf).Expand(r.ask, l)); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
			})
		}
	}
}

// TestOptions has resolv.conf's options: of two of one name the later counts, and ndots has a most.
func TestOptions(t *testing.T) {
	for _, r := range []struct {
		name, conf string
		options    string
		ndots      int
	}{
		{"none", "", "", 1},
		{"ndots", "options ndots:5\n", "ndots:5", 5},
		{"0", "options ndots:0\n", "ndots:0", 0},
		{"the most", "options ndots:15\n", "ndots:15", 15},
		{"more than the most", "options ndots:16\n", "ndots:16", 15},
		{"less than nothing", "options ndots:-1\n", "ndots:-1", 1},
		{"no number", "options ndots:x\n", "ndots:x", 1},
		{"twice in a line", "options ndots:2 ndots:3\n", "ndots:3", 3},
		{"twice in two lines, in the first's place", "options ndots:2 rotate\noptions ndots:3\n", "ndots:3 rotate", 3},
		{"others", "options timeout:1 attempts:2 rotate single-request-reopen\n", "timeout:1 attempts:2 rotate single-request-reopen", 1},
		{"without any in the line", "options\n", "", 1},
	} {
		c := ParseConf(r.conf)
		if got := strings.Join(c.Options, " "); got != r.options || c.NDots() != r.ndots {
			t.Errorf("%s: options %q, ndots %d", r.name, got, c.NDots())
		}
	}
}

// TestServersOfConf has which servers are in a file, and which are asked.
func TestServersOfConf(t *testing.T) {
	const four = "nameserver 192.0.2.1\nnameserver 192.0.2.2\nnameserver 192.0.2.3\nnameserver 192.0.2.4\n"
	for _, r := range []struct {
		name, conf string
		has, asked []netip.Addr
	}{
		{"none: the machine itself", "search a.test\n", nil, addrs("127.0.0.1")},
		{"one", "nameserver 192.0.2.1\n", addrs("192.0.2.1"), addrs("192.0.2.1")},
		{"of four the first three", four, addrs("192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4"), addrs("192.0.2.1", "192.0.2.2", "192.0.2.3")},
		{"two in a line are one", "nameserver 192.0.2.1 192.0.2.2\n", addrs("192.0.2.1"), addrs("192.0.2.1")},
		{"tabs", "nameserver\t192.0.2.1\t\n", addrs("192.0.2.1"), addrs("192.0.2.1")},
		{"without a line's end", "nameserver 192.0.2.1", addrs("192.0.2.1"), addrs("192.0.2.1")},
		{"lines that end as Windows'", "nameserver 192.0.2.1\r\nsearch a.test\r\n", addrs("192.0.2.1"), addrs("192.0.2.1")},
		{"IPv6", "nameserver 2001:db8::53\n", addrs("2001:db8::53"), addrs("2001:db8::53")},
		{"another keyword that begins alike", "nameservers 192.0.2.1\n", nil, addrs("127.0.0.1")},
		{"a comment of either kind", "#nameserver 192.0.2.1\n;nameserver 192.0.2.2\n", nil, addrs("127.0.0.1")},
	} {
		c := ParseConf(r.conf)
		if !slices.Equal(c.Servers, r.has) || !slices.Equal(c.Asked(), r.asked) {
			t.Errorf("%s: has %v, asks %v", r.name, c.Servers, c.Asked())
		}
	}
}

// TestKubeletPolicies is by the documentation of dnsPolicy.
func TestKubeletPolicies(t *testing.T) {
	node := ParseConf("nameserver 192.0.2.53\nsearch node.test\noptions timeout:2\n")
	const (
		cluster = "nameserver 10.96.0.10\nsearch shop.svc.cluster.local svc.cluster.local cluster.local node.test\noptions ndots:5\n"
		nodes   = "nameserver 192.0.2.53\nsearch node.test\noptions timeout:2\n"
	)
	for _, r := range []struct {
		name    string
		policy  string
		hostNet bool
		kubelet func(*Kubelet)
		want    string
		host    bool
	}{
		{name: "nothing said is ClusterFirst", want: cluster},
		{name: "ClusterFirst", policy: "ClusterFirst", want: cluster},
		{name: "ClusterFirst on the node's network is the node's", policy: "ClusterFirst", hostNet: true, want: nodes},
		{name: "ClusterFirstWithHostNet", policy: "ClusterFirstWithHostNet", hostNet: true, want: cluster},
		{name: "ClusterFirstWithHostNet in a network of its own", policy: "ClusterFirstWithHostNet", want: cluster},
		{name: "Default", policy: "Default", want: nodes},
		{name: "Default on the node's network", policy: "Default", hostNet: true, want: nodes},
		{name: "None", policy: "None", want: ""},
		{name: "None on the node's network", policy: "None", hostNet: true, want: ""},
		{
			name:    "a kubelet without clusterDNS",
			kubelet: func(k *Kubelet) { k.DNS = nil },
			want:    nodes,
		},
		{
			name:    "a kubelet without clusterDomain",
			kubelet: func(k *Kubelet) { k.Domain = "" },
			want:    "nameserver 10.96.0.10\nsearch node.test\noptions ndots:5\n",
		},
		{
			name:    "a kubelet with another domain",
			kubelet: func(k *Kubelet) { k.Domain = "kube.test" },
			want:    "nameserver 10.96.0.10\nsearch shop.svc.kube.test svc.kube.test kube.test node.test\noptions ndots:5\n",
		},
		{
			name:    "clusterDNS of both families",
			kubelet: func(k *Kubelet) { k.DNS = addrs("10.96.0.10", "fd00:96::a") },
			want:    "nameserver 10.96.0.10\nnameserver fd00:96::a\nsearch shop.svc.cluster.local svc.cluster.local cluster.local node.test\noptions ndots:5\n",
		},
		{
			name:    "the root in the node's search list is left out",
			kubelet: func(k *Kubelet) { c := ParseConf("search .\n"); k.Host = &c },
			want:    "nameserver 10.96.0.10\nsearch shop.svc.cluster.local svc.cluster.local cluster.local\noptions ndots:5\n",
		},
		{
			name:    "the node's domain is the cluster's",
			kubelet: func(k *Kubelet) { c := ParseConf("search cluster.local node.test\n"); k.Host = &c },
			want:    cluster,
		},
		{
			name:    "a node that is not known: its domains may come behind",
			kubelet: func(k *Kubelet) { k.Host = nil },
			want:    "nameserver 10.96.0.10\nsearch shop.svc.cluster.local svc.cluster.local cluster.local\noptions ndots:5\n",
			host:    true,
		},
		{
			name:    "a node that is not known, and all is the node's",
			policy:  "Default",
			kubelet: func(k *Kubelet) { k.Host = nil },
			want:    "",
			host:    true,
		},
		{
			name:    "a node that is not known, and nothing is the node's",
			policy:  "None",
			kubelet: func(k *Kubelet) { k.Host = nil },
			want:    "",
		},
	} {
		t.Run(r.name, func(t *testing.T) {
			k := Kubelet{DNS: addrs("10.96.0.10"), Domain: "cluster.local", Host: &node}
			if r.kubelet != nil {
				r.kubelet(&k)
			}
			got, host := k.Conf(PodDNS{Namespace: "shop", Policy: r.policy, HostNetwork: r.hostNet})
			if diff := cmp.Diff(r.want, got.String()); diff != "" || host != r.host {
				t.Errorf("host %v (-want +got):\n%s", host, diff)
			}
		})
	}
}

// TestTwice leaves alone what a node's file has twice, where there is nothing to merge it with.
func TestTwice(t *testing.T) {
	node := Conf{Servers: addrs("192.0.2.1", "192.0.2.1", "192.0.2.2", "192.0.2.3"), Search: []string{"a.test", "a.test"}}
	k := Kubelet{DNS: addrs("10.96.0.10"), Domain: "test", Host: &node}
	for _, r := range []struct {
		name            string
		p               PodDNS
		servers, search string
	}{
		{"as it is", PodDNS{Policy: "Default"}, "192.0.2.1 192.0.2.1 192.0.2.2", "a.test a.test"},
		{"with a dnsConfig, though empty", PodDNS{Policy: "Default", Config: true}, "192.0.2.1 192.0.2.2 192.0.2.3", "a.test"},
		{"behind the cluster's", PodDNS{Namespace: "shop"}, "10.96.0.10", "shop.svc.test svc.test test a.test"},
	} {
		c, _ := k.Conf(r.p)
		if servers(c) != r.servers || search(c) != r.search {
			t.Errorf("%s: %s", r.name, c)
		}
	}
}

// TestDNSConfig is what a Pod's dnsConfig adds: to what its policy gives, within the kubelet's bounds.
func TestDNSConfig(t *testing.T) {
	many := func(n int) (out []string) {
		for i := range n {
			out = append(out, fmt.Sprintf("d%02d.test", i))
		}
		return out
	}
	long := strings.Repeat(strings.Repeat("a", 60)+".", 3) + "test" // 187 letters
	for _, r := range []struct {
		name string
		p    PodDNS
		want func(c Conf) string
		is   string
	}{
		{"servers behind", PodDNS{Servers: []string{"192.0.2.1"}}, servers, "10.96.0.10 192.0.2.1"},
		{"a server that is there already", PodDNS{Servers: []string{"10.96.0.10"}}, servers, "10.96.0.10"},
		{"three servers at most", PodDNS{Servers: []string{"192.0.2.1", "192.0.2.2", "192.0.2.3"}}, servers, "10.96.0.10 192.0.2.1 192.0.2.2"},
		{"a server that is none", PodDNS{Servers: []string{"dns.test"}}, servers, "10.96.0.10"},
		{"None has its own only", PodDNS{Policy: "None", Servers: []string{"192.0.2.1"}}, servers, "192.0.2.1"},
		{"domains behind", PodDNS{Search: []string{"a.test"}}, search, "shop.svc.test svc.test test a.test"},
		{"a domain that is there already", PodDNS{Search: []string{"svc.test."}}, search, "shop.svc.test svc.test test"},
		{"the root, which a Pod may name itself", PodDNS{Policy: "None", Search: []string{".", "a.test"}}, Conf.String, "search . a.test\n"},
		{"32 domains at most", PodDNS{Policy: "None", Search: many(40)}, search, strings.Join(many(32), " ")},
		{"32 with the cluster's", PodDNS{Search: many(40)}, search, "shop.svc.test svc.test test " + strings.Join(many(29), " ")},
		{"2048 letters at most", PodDNS{Policy: "None", Search: distinct(long, 12)}, search, strings.Join(distinct(long, 10), " ")},
		{"no domain of more than 253 letters", PodDNS{Policy: "None", Search: []string{strings.Repeat("a.", 127), "b.test"}}, search, strings.Repeat("a.", 126) + "a b.test"},
		{"one of 254", PodDNS{Policy: "None", Search: []string{strings.Repeat("a.", 126) + "aa", "b.test"}}, search, "b.test"},
		{"options", PodDNS{Options: []string{"ndots:1", "edns0"}}, options, "ndots:1 edns0"},
		{"an option of None", PodDNS{Policy: "None", Options: []string{"ndots:1"}}, options, "ndots:1"},
	} {
		t.Run(r.name, func(t *testing.T) {
			r.p.Namespace, r.p.Config = "shop", true
			c, _ := Kubelet{DNS: addrs("10.96.0.10"), Domain: "test", Host: &Conf{}}.Conf(r.p)
			if diff := cmp.Diff(r.is, r.want(c)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// distinct returns n domains of one length.
func distinct(s string, n int) (out []string) {
	for i := range n {
		out = append(out, fmt.Sprintf("%c%c%s", 'a'+i/26, 'a'+i%26, s))
	}
	return out
}

func servers(c Conf) string {
	var out []string
	for _, s := range c.Servers {
		out = append(out, s.String())
	}
	return strings.Join(out, " ")
}

func search(c Conf) string  { return strings.Join(c.Search, " ") }
func options(c Conf) string { return strings.Join(c.Options, " ") }

// TestLookup follows a Pod's lookup from its name to the answer that ends it.
func TestLookup(t *testing.T) {
	cf, err := Parse("cluster.local {\nkubernetes\n}\n. {\ntemplate ANY ANY {\nrcode NXDOMAIN\n}\n}\n", Options{})
	if err != nil {
		t.Fatal(err)
	}
	k := Kubelet{DNS: addrs("10.96.0.10"), Domain: "cluster.local", Host: &Conf{}}
	conf, _ := k.Conf(PodDNS{Namespace: "shop"})
	for _, r := range []struct {
		name, ask, kind string
		glibc, musl     string // the name with which the lookup ends, "" for none
	}{
		{"of the same namespace", "api", "A", "api.shop.svc.cluster.local.", "api.shop.svc.cluster.local."},
		{"of another namespace", "kubernetes.default", "A", "kubernetes.default.svc.cluster.local.", "kubernetes.default.svc.cluster.local."},
		{"in full", "api.shop.svc.cluster.local", "A", "api.shop.svc.cluster.local.", "api.shop.svc.cluster.local."},
		{"an alias that leads nowhere: musl takes the empty answer for one", "self", "A", "", "self.shop.svc.cluster.local."},
		{"no family", "db", "AAAA", "", "db.shop.svc.cluster.local."},
		{"none", "nope", "A", "", ""},
	} {
		for l, want := range map[Libc]string{Glibc: r.glibc, Musl: r.musl} {
			got := ""
			for _, n := range conf.Expand(r.ask, l) {
				a := cf.Ask(Query{Name: n, Type: r.kind}, Env{Cluster: shop()})
				if !l.Next(a.Rcode, len(a.Addrs()) > 0) {
					got = n
					break
				}
			}
			if got != want {
				t.Errorf("%s, libc %d: it ends with %q, want %q", r.name, l, got, want)
			}
		}
	}
}
