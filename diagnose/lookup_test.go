package diagnose

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	corefilecheck "github.com/plumbnet/plumb/check/corefile"
	"github.com/plumbnet/plumb/packet"
	"github.com/plumbnet/plumb/snapshot"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestClusterDomain(t *testing.T) {
	for _, tt := range []struct{ name, config, corefile, want string }{
		{"none", "other", "kubernetes prod.example {", "cluster.local"},
		{"the usual", "coredns", ".:53 {\n    kubernetes cluster.local in-addr.arpa ip6.arpa {\n", "cluster.local"},
		{"another", "coredns", ".:53 {\n\tkubernetes prod.example. in-addr.arpa {\n", "prod.example"},
		{"custom", "coredns-rke2", "kubernetes k8s.corp\n", "k8s.corp"},
		{"of the server block", "coredns", "kubernetes {\n", "cluster.local"},
		{"only the reverse", "coredns", "kubernetes 10.96.0.0/12\n", "cluster.local"},
	} {
		c := &snapshot.Cluster{}
		c.Objects.ConfigMaps = []corev1.ConfigMap{{ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: tt.config}, Data: map[string]string{"Corefile": tt.corefile}}}
		if got := clusterDomain(c); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestNameServers(t *testing.T) {
	c := healthy(t)
	for _, tt := range []struct {
		name string
		spec corev1.PodSpec
		want string
	}{
		{"as most do", corev1.PodSpec{}, "10.96.0.10"},
		{"said so", corev1.PodSpec{DNSPolicy: corev1.DNSClusterFirst}, "10.96.0.10"},
		{"as the node does", corev1.PodSpec{DNSPolicy: corev1.DNSDefault}, ""},
		{"on the node's network", corev1.PodSpec{HostNetwork: true}, ""},
		{"on the node's network, with the cluster's DNS", corev1.PodSpec{HostNetwork: true, DNSPolicy: corev1.DNSClusterFirstWithHostNet}, "10.96.0.10"},
		{"its own", corev1.PodSpec{DNSPolicy: corev1.DNSNone, DNSConfig: &corev1.PodDNSConfig{Nameservers: []string{"x", "192.0.2.53", "192.0.2.54"}}}, "192.0.2.53"},
		{"its own, and none", corev1.PodSpec{DNSPolicy: corev1.DNSNone, DNSConfig: &corev1.PodDNSConfig{}}, ""},
	} {
		var got []string
		for _, a := range nameServers(c, &corev1.Pod{Spec: tt.spec}) {
			got = append(got, a.String())
		}
		if s := strings.Join(got, " "); s != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, s, tt.want)
		}
	}
	if got := nameServers(c, nil); got != nil {
		t.Errorf("of no Pod: %v", got)
	}
}

// TestLookupPlans: a name server is asked something, and a host name is looked up first.
func TestLookupPlans(t *testing.T) {
	c := healthy(t)
	hosts := map[string][]netip.Addr{"www.example.org": {netip.MustParseAddr("203.0.113.80")}}
	for _, tt := range []struct{ name, src, dst, proto, want string }{
		{"a Pod by its name", "shop/web-0", "shop/web-1:8080", "", ""},
		{"a name server", "shop/web-0", "svc/kube-system/kube-dns:53", "udp", "kubernetes.default.svc.cluster.local at 10.96.0.10:53"},
		{"a name server, by TCP", "shop/web-0", "svc/kube-system/kube-dns:53", "tcp", ""},
		{"another port", "shop/web-0", "10.244.1.2:54", "udp", ""},
		{"a Service's name", "shop/web-0", "api.shop:80", "", "api.shop.svc.cluster.local at 10.96.0.10:53"},
		{"a Service's name in full", "shop/web-0", "api.shop.svc.cluster.local:80", "", "api.shop.svc.cluster.local at 10.96.0.10:53"},
		{"a name outside", "shop/web-0", "www.example.org:443", "", "www.example.org at 10.96.0.10:53, www.example.org. at 203.0.113.10:53"},
		{"a name, from a node", "node/node-a", "api.shop:80", "", ""},
	} {
		r, err := Run(c, Ask{Src: tt.src, Dst: tt.dst, Proto: tt.proto, Hosts: hosts})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, p := range r.Plans() {
			if p.Lookup == "" {
				continue
			}
			got = append(got, p.Lookup+" at "+p.Dst.String())
			if a := p.Ask(); a.Lookup != p.Lookup || a.Proto != packet.UDP || a.Count != probeCount || p.Predicted != map[bool]Verdict{true: CannotTell, false: Works}[strings.HasPrefix(p.Lookup, "www")] {
				t.Errorf("%s: asks %+v, predicted %s", tt.name, a, p.Predicted)
			}
		}
		if s := strings.Join(got, ", "); s != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, s, tt.want)
		}
	}
}

// TestUpstreams lets what an upstream answers CoreDNS bear on a question about a name outside.
func TestUpstreams(t *testing.T) {
	const dead = "the upstream 203.0.113.10:53 does not answer kube-system/coredns-76f75df574-h8x2k: "
	for _, tt := range []struct {
		name     string
		answered int
		fate     snapshot.ProbeFate
		rcode    string
		want     string // the first finding
	}{
		{"answered", 3, snapshot.ProbeAnswered, "NOERROR", ""},
		{"no such name", 3, snapshot.ProbeAnswered, "NXDOMAIN", ""},
		{"refused by name", 3, snapshot.ProbeAnswered, "REFUSED", dead + "3 of 3 lookups of www.example.org. at 203.0.113.10:53 were answered, by REFUSED"},
		{"silent", 0, snapshot.ProbeSilent, "", dead + "3 lookups of www.example.org. at 203.0.113.10:53 were not answered"},
		{"nothing listens", 0, snapshot.ProbeRefused, "", dead + "3 probes by udp to 203.0.113.10:53: its host refuses them: nothing listens there"},
		{"some answers", 1, snapshot.ProbeAnswered, "NOERROR", ""},
	} {
		r, err := Run(healthy(t), Ask{Src: "shop/web-0", Dst: "www.example.org:443"})
		if err != nil {
			t.Fatal(err)
		}
		plans := r.Plans()
		for range 2 { // of two CoreDNS Pods it is said once
			probe := snapshot.Probe{Proto: packet.UDP, Dst: plans[1].Dst, Sent: 3, Answered: tt.answered, Fate: tt.fate, Lookup: &snapshot.Lookup{Name: plans[1].Lookup, Rcode: tt.rcode}}
			r.Observe(plans[1], probe, nil)
		}
		got := ""
		if len(r.Checks.Findings) > 0 {
			got = r.Checks.Findings[0].What.String()
		}
		if got != tt.want || len(r.Checks.Findings) > 1 {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

// TestLoops: a name that CoreDNS forwards to itself has no answer, and nobody is asked for one.
func TestLoops(t *testing.T) {
	for _, tt := range []struct {
		name, to string
		verdict  Verdict
		first    string
	}{
		{"to its own Service", "10.96.0.10", Broken, "coredns-loop"},
		{"to its own Service, and to another", "10.96.0.10 203.0.113.10", CannotTell, "coredns-loop"},
		{"to another", "203.0.113.10", CannotTell, ""},
	} {
		c := healthy(t)
		for i := range c.Objects.ConfigMaps {
			if m := &c.Objects.ConfigMaps[i]; m.Name == "coredns" {
				m.Data = map[string]string{"Corefile": strings.Replace(m.Data["Corefile"], "forward . 203.0.113.10", "forward . "+tt.to, 1)}
			}
		}
		r, err := Run(c, Ask{Src: "shop/web-0", Dst: "www.example.org:443"}, corefilecheck.Loop)
		if err != nil {
			t.Fatal(err)
		}
		first := ""
		if len(r.Checks.Findings) > 0 {
			first = r.Checks.Findings[0].Check
		}
		asked := slices.ContainsFunc(r.Plans(), func(p ProbePlan) bool { return p.upstream && p.Dst.Addr() == netip.MustParseAddr("10.96.0.10") })
		if r.Verdict != tt.verdict || first != tt.first || asked {
			t.Errorf("%s: %s, first %q, CoreDNS is asked as an upstream: %t", tt.name, r.Verdict, first, asked)
		}
	}
}

// TestOwnConf goes by the resolv.conf that a Pod has, whatever its object asks for.
func TestOwnConf(t *testing.T) {
	for _, tt := range []struct{ name, conf, want string }{
		{"the cluster's", "nameserver 10.96.0.10\noptions ndots:1\n", "1 www.example.org. at 10.96.0.10:53"},
		{"another's", "nameserver 192.0.2.53\n", "0 www.example.org at 192.0.2.53:53"},
	} {
		c := healthy(t)
		for _, n := range c.Nodes {
			for _, ns := range n.NetNS {
				if ns.Pod == "shop/web-0" {
					ns.Resolv = map[string]string{snapshot.ResolvConf: tt.conf}
				}
			}
		}
		r, err := Run(c, Ask{Src: "shop/web-0", Dst: "www.example.org:443", Hosts: map[string][]netip.Addr{"www.example.org": {netip.MustParseAddr("203.0.113.80")}}})
		if err != nil {
			t.Fatal(err)
		}
		queries, name := 0, r.Plans()[0].Lookup
		if r.Name != nil {
			queries, name = len(r.Name.Queries), r.Name.Queries[0].Query.Name
		}
		if got := fmt.Sprintf("%d %s at %s", queries, name, r.Plans()[0].Dst); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
}

// TestObserveLookup lets what a name server answered bear on a question about a name.
func TestObserveLookup(t *testing.T) {
	seen := func(answered int, rcode string, addrs ...string) snapshot.Probe {
		p := snapshot.Probe{Proto: packet.UDP, Sent: 3, Answered: answered, Lookup: &snapshot.Lookup{Rcode: rcode}}
		if answered > 0 {
			p.Fate = snapshot.ProbeAnswered
		}
		for _, a := range addrs {
			p.Lookup.Addrs = append(p.Lookup.Addrs, netip.MustParseAddr(a))
		}
		return p
	}
	const name, at = "api.shop.svc.cluster.local", " at 10.96.0.10:53 were "
	for _, tt := range []struct {
		name, dst string
		probe     snapshot.Probe
		agreement Agreement
		verdict   Verdict
		what      string
		summary   string // part of it
	}{
		{"answered", "api.shop:80", seen(3, "NOERROR", "10.96.0.20"), Agrees, Works, "3 of 3 lookups of " + name + at + "answered, by 10.96.0.20", "shop/web-0 reaches"},
		{"silent", "api.shop:80", seen(0, ""), Differs, Broken, "3 lookups of " + name + at + "not answered", "prediction and probe disagree"},
		{"no such name", "api.shop:80", seen(3, "NXDOMAIN"), Agrees, Broken, "3 of 3 lookups of " + name + at + "answered, by NXDOMAIN", "shop/web-0 cannot look up " + name},
		{"the server fails", "api.shop:80", seen(3, "SERVFAIL"), Agrees, Broken, "3 of 3 lookups of " + name + at + "answered, by SERVFAIL", "cannot look up"},
		{"no address", "api.shop:80", seen(3, "NOERROR"), Agrees, Broken, "3 of 3 lookups of " + name + at + "answered, by no address", "cannot look up"},
		{"many addresses", "api.shop:80", seen(3, "NOERROR", "10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4"), Agrees, Works, "3 of 3 lookups of " + name + at + "answered, by 10.0.0.1, 10.0.0.2, 10.0.0.3", "reaches"},
		{"the server itself, which knows no such name", "svc/kube-system/kube-dns:53", seen(3, "NXDOMAIN"), Agrees, Works, "3 of 3 lookups of " + name + at + "answered, by NXDOMAIN", "reaches"},
		{"the server itself, silent", "svc/kube-system/kube-dns:53", seen(0, ""), Differs, Broken, "3 lookups of " + name + at + "not answered", "prediction and probe disagree"},
	} {
		for _, followed := range []bool{true, false} {
			c := healthy(t)
			if !followed {
				c.Objects.ConfigMaps = nil
			}
			r, err := Run(c, Ask{Src: "shop/web-0", Dst: tt.dst, Proto: map[bool]string{true: "udp"}[strings.HasPrefix(tt.dst, "svc")]})
			if err != nil {
				t.Fatal(err)
			}
			plans := r.Plans()
			plan := plans[slices.IndexFunc(plans, func(p ProbePlan) bool { return p.Lookup != "" })]
			tt.probe.Dst, tt.probe.Lookup.Name = plan.Dst, name
			r.Observe(plan, tt.probe, nil)
			if lacks := slices.ContainsFunc(r.Needs, func(n Need) bool { return n.What.Format == lookupNeed }); lacks != (!followed && plan.named && tt.probe.Answered == 0) {
				t.Errorf("%s: the lookup is needed: %v", tt.name, lacks)
			}
			o := r.Observed[0]
			if o.Agreement != tt.agreement || r.Verdict != tt.verdict || o.What.String() != tt.what || !strings.Contains(r.Summary.String(), tt.summary) {
				t.Errorf("%s: %s, verdict %s: %s\n%s", tt.name, o.Agreement, r.Verdict, r.Summary, o.What)
			}
		}
	}
}
