package dns

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const podConf = "search shop.svc.cluster.local svc.cluster.local cluster.local example.net\nnameserver 10.96.0.10\noptions ndots:5\n"

func TestExpand(t *testing.T) {
	for _, row := range []struct {
		name, conf, ask string
		libc            Libc
		want            string
	}{
		{"a short name", podConf, "api", Glibc, "api.shop.svc.cluster.local. api.svc.cluster.local. api.cluster.local. api.example.net. api."},
		{"of another namespace", podConf, "api.shop", Musl, "api.shop.shop.svc.cluster.local. api.shop.svc.cluster.local. api.shop.cluster.local. api.shop.example.net. api.shop."},
		{"outside, through the whole list", podConf, "www.example.org", Glibc, "www.example.org.shop.svc.cluster.local. www.example.org.svc.cluster.local. www.example.org.cluster.local. www.example.org.example.net. www.example.org."},
		{"complete", podConf, "www.example.org.", Glibc, "www.example.org."},
		{"dots enough", podConf, "a.b.c.d.e.f", Glibc, "a.b.c.d.e.f. a.b.c.d.e.f.shop.svc.cluster.local. a.b.c.d.e.f.svc.cluster.local. a.b.c.d.e.f.cluster.local. a.b.c.d.e.f.example.net."},
		{"dots enough for musl, which then searches nothing", podConf, "a.b.c.d.e.f", Musl, "a.b.c.d.e.f."},
		{"no file", "", "api", Glibc, "api."},
		{"ndots 0", "search a.b\noptions ndots:0\n", "api", Glibc, "api. api.a.b."},
		{"the root in the list", "search . a.b\n", "api", Glibc, "api. api.a.b."},
		{"too long to be asked for", "search " + strings.Repeat("x", 60) + "." + strings.Repeat("y", 60) + "\n", strings.Repeat("z.", 70) + "z", Glibc, strings.Repeat("z.", 70) + "z."},
	} {
		t.Run(row.name, func(t *testing.T) {
			if diff := cmp.Diff(row.want, strings.Join(ParseConf(row.conf).Expand(row.ask, row.libc), " ")); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestNext(t *testing.T) {
	for _, row := range []struct {
		rcode       string
		addresses   bool
		glibc, musl bool
	}{{NoError, true, false, false}, {NXDomain, false, true, true}, {NoError, false, true, false}, {ServFail, false, true, false}, {Refused, false, false, false}} {
		if g, m := Glibc.Next(row.rcode, row.addresses), Musl.Next(row.rcode, row.addresses); g != row.glibc || m != row.musl {
			t.Errorf("%+v: got %v %v", row, g, m)
		}
	}
}

func TestParseConf(t *testing.T) {
	for _, row := range []struct{ name, in, want string }{
		{"of a Pod", podConf, "nameserver 10.96.0.10\nsearch shop.svc.cluster.local svc.cluster.local cluster.local example.net\noptions ndots:5\n"},
		{"the last search counts", "search a\nsearch b. c\n", "search b c\n"},
		{"domain is a search", "search a\ndomain b\n", "search b\n"},
		{"options add up", "options ndots:2 edns0\noptions ndots:3\n", "options ndots:3 edns0\n"},
		{"comments", "# nameserver 1.1.1.1\n;search x\nnameserver 8.8.8.8 # mine\n", "nameserver 8.8.8.8\n"},
		{"what is no address", "nameserver dns.example.org\nnameserver\n", ""},
		{"a scope", "nameserver fe80::1%eth0\n", "nameserver fe80::1%eth0\n"},
	} {
		t.Run(row.name, func(t *testing.T) {
			if diff := cmp.Diff(row.want, ParseConf(row.in).String()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	if got := ParseConf("options ndots:99\n").NDots(); got != 15 {
		t.Errorf("ndots: got %d", got)
	}
	if got := (Conf{}).Asked(); got[0].String() != "127.0.0.1" {
		t.Errorf("without a server %v is asked", got)
	}
}

func TestKubelet(t *testing.T) {
	host := ParseConf("nameserver 192.0.2.53\nsearch example.net\noptions rotate\n")
	k := Kubelet{DNS: addrs("10.96.0.10"), Domain: "cluster.local", Host: &host}
	const shop = "search shop.svc.cluster.local svc.cluster.local cluster.local example.net\n"
	for _, row := range []struct {
		name string
		k    Kubelet
		p    PodDNS
		want string
		host bool
	}{
		{"the usual", k, PodDNS{Policy: "ClusterFirst"}, "nameserver 10.96.0.10\n" + shop + "options ndots:5\n", false},
		{"the node's", k, PodDNS{Policy: "Default"}, host.String(), false},
		{"on the node's network", k, PodDNS{Policy: "ClusterFirst", HostNetwork: true}, host.String(), false},
		{"on the node's network, with the cluster's", k, PodDNS{Policy: "ClusterFirstWithHostNet", HostNetwork: true}, "nameserver 10.96.0.10\n" + shop + "options ndots:5\n", false},
		{"its own", k, PodDNS{Policy: "None", Servers: []string{"1.1.1.1"}, Search: []string{"a.b."}, Options: []string{"ndots:1"}}, "nameserver 1.1.1.1\nsearch a.b\noptions ndots:1\n", false},
		{"its own beside", k, PodDNS{Servers: []string{"1.1.1.1", "10.96.0.10"}, Search: []string{"cluster.local", "a.b"}, Options: []string{"ndots:2", "edns0"}},
			"nameserver 10.96.0.10\nnameserver 1.1.1.1\nsearch shop.svc.cluster.local svc.cluster.local cluster.local example.net a.b\noptions ndots:2 edns0\n", false},
		{"more than three", k, PodDNS{Servers: []string{"1.1.1.1", "1.1.1.2", "1.1.1.3"}}, "nameserver 10.96.0.10\nnameserver 1.1.1.1\nnameserver 1.1.1.2\n" + shop + "options ndots:5\n", false},
		{"a kubelet without DNS", Kubelet{Domain: "cluster.local", Host: &host}, PodDNS{}, host.String(), false},
		{"of a node that is not known", Kubelet{DNS: k.DNS, Domain: "cluster.local"}, PodDNS{}, "nameserver 10.96.0.10\nsearch shop.svc.cluster.local svc.cluster.local cluster.local\noptions ndots:5\n", true},
	} {
		t.Run(row.name, func(t *testing.T) {
			row.p.Namespace = "shop"
			c, unknown := row.k.Conf(row.p)
			if diff := cmp.Diff(row.want, c.String()); diff != "" || unknown != row.host {
				t.Errorf("host %v (-want +got):\n%s", unknown, diff)
			}
		})
	}
	if host.Options[0] != "rotate" {
		t.Error("the node's own has changed")
	}
	long := Kubelet{DNS: k.DNS, Host: &Conf{Search: strings.Fields(strings.Repeat("abcdefgh.ij ", 1) + strings.Repeat("x", 254))}}
	if c, _ := long.Conf(PodDNS{}); len(c.Search) != 1 {
		t.Errorf("a domain of 254 letters is kept: %v", c.Search)
	}
}
