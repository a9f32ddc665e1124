package dns

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
)

// TestServices is by the specification of names in Kubernetes: A, AAAA and SRV of Services with and
// without an address of their own.
func TestServices(t *testing.T) {
	const kube, nx, none = "kubernetes cluster.local\nforward . 203.0.113.10", "NXDOMAIN by kubernetes:2", "NOERROR by kubernetes:2"
	runAll(t, []row{
		{
			name:  "the API server",
			lines: kube,
			ask:   "kubernetes.default.svc.cluster.local A",
			want:  none + "\nkubernetes.default.svc.cluster.local. 5 A 10.96.0.1",
			trail: []string{},
		},
		{
			name:  "a family that it has not",
			lines: kube,
			ask:   "kubernetes.default.svc.cluster.local AAAA",
			want:  none,
		},
		{
			name:  "without svc it is no name of a Service",
			lines: kube,
			ask:   "api.shop.cluster.local A",
			want:  nx,
			trail: []string{},
		},
		{
			name:  "a Service that is not",
			lines: kube,
			ask:   "apl.shop.svc.cluster.local A",
			want:  nx,
		},
		{
			name:  "a Service of another namespace",
			lines: kube,
			ask:   "kubernetes.shop.svc.cluster.local A",
			want:  nx,
		},
		{
			name:  "the names above it are, with nothing",
			lines: kube,
			ask:   "svc.cluster.local A",
			want:  none,
		},
		{
			name:  "and that of Pods",
			lines: kube,
			ask:   "pod.cluster.local A",
			want:  none,
		},
		{
			name:  "an endpoint of a Service with an address",
			lines: kube,
			ask:   "10-244-1-2.api.shop.svc.cluster.local A",
			want:  none + "\n10-244-1-2.api.shop.svc.cluster.local. 5 A 10.244.1.2",
		},
		{
			name:  "no endpoint of that address",
			lines: kube,
			ask:   "10-244-1-9.api.shop.svc.cluster.local A",
			want:  nx,
		},
		{
			name:  "headless: the addresses of all endpoints",
			lines: kube,
			ask:   "db.shop.svc.cluster.local A",
			want:  none + "\ndb.shop.svc.cluster.local. 5 A 10.244.1.3\ndb.shop.svc.cluster.local. 5 A 10.244.2.3",
		},
		{
			name:  "headless, of a family that none has",
			lines: kube,
			ask:   "db.shop.svc.cluster.local AAAA",
			want:  none,
		},
		{
			name:  "headless, a Pod with a hostname",
			lines: kube,
			ask:   "db-0.db.shop.svc.cluster.local A",
			want:  none + "\ndb-0.db.shop.svc.cluster.local. 5 A 10.244.1.3",
		},
		{
			name:  "which then has no name by its address",
			lines: kube,
			ask:   "10-244-1-3.db.shop.svc.cluster.local A",
			want:  nx,
		},
		{
			name:  "headless, and nothing is ready",
			lines: kube,
			ask:   "none.shop.svc.cluster.local A",
			want:  nx,
		},
		{
			name:  "SRV of a port",
			lines: kube,
			ask:   "_https._tcp.kubernetes.default.svc.cluster.local SRV",
			want: none + "\n_https._tcp.kubernetes.default.svc.cluster.local. 5 SRV 0 100 443 kubernetes.default.svc.cluster.local." +
				"\n+ kubernetes.default.svc.cluster.local. A 10.96.0.1",
		},
		{
			name:  "SRV without its underscores",
			lines: kube,
			ask:   "https.tcp.kubernetes.default.svc.cluster.local SRV",
			want: none + "\nhttps.tcp.kubernetes.default.svc.cluster.local. 5 SRV 0 100 443 kubernetes.default.svc.cluster.local." +
				"\n+ kubernetes.default.svc.cluster.local. A 10.96.0.1",
		},
		{
			name:  "SRV of another protocol",
			lines: kube,
			ask:   "_https._udp.kubernetes.default.svc.cluster.local SRV",
			want:  nx,
		},
		{
			name:  "SRV of another port",
			lines: kube,
			ask:   "_http._tcp.kubernetes.default.svc.cluster.local SRV",
			want:  nx,
		},
		{
			name:  "SRV of endpoints leads to their own names",
			lines: kube,
			ask:   "_http._tcp.db.shop.svc.cluster.local SRV",
			want: none + "\n_http._tcp.db.shop.svc.cluster.local. 5 SRV 0 50 8080 db-0.db.shop.svc.cluster.local." +
				"\n_http._tcp.db.shop.svc.cluster.local. 5 SRV 0 50 8080 10-244-2-3.db.shop.svc.cluster.local." +
				"\n+ db-0.db.shop.svc.cluster.local. A 10.244.1.3\n+ 10-244-2-3.db.shop.svc.cluster.local. A 10.244.2.3",
		},
		{
			name:  "A of a port's name has the Service's address",
			lines: kube,
			ask:   "_https._tcp.kubernetes.default.svc.cluster.local A",
			want:  none + "\n_https._tcp.kubernetes.default.svc.cluster.local. 5 A 10.96.0.1",
		},
		{
			name:  "a type that nobody makes",
			lines: kube,
			ask:   "kubernetes.default.svc.cluster.local CAA",
			want:  none,
		},
		{
			name:  "a type that nobody makes, of no name",
			lines: kube,
			ask:   "nope.default.svc.cluster.local CAA",
			want:  nx,
		},
		{
			name:  "a zone that only ends alike is another",
			lines: kube,
			ask:   "api.shop.svc.mycluster.local A",
			want:  "forwarded by line 3: api.shop.svc.mycluster.local. A to 203.0.113.10:53",
		},
		{
			name:  "the longest of two zones",
			lines: "kubernetes local cluster.local",
			ask:   "kubernetes.default.svc.cluster.local A",
			want:  none + "\nkubernetes.default.svc.cluster.local. 5 A 10.96.0.1",
		},
		{
			name:  "the root as zone",
			lines: "kubernetes .",
			ask:   "kubernetes.default.svc A",
			want:  none + "\nkubernetes.default.svc. 5 A 10.96.0.1",
		},
		{
			name:  "without zones of its own it has its server's, and that is all",
			lines: "kubernetes",
			ask:   "www.example.org A",
			want:  nx,
		},
	})
}

// TestExternalName leads to another name, in the zone or outside of it.
func TestExternalName(t *testing.T) {
	const kube = "kubernetes cluster.local\n"
	runAll(t, []row{
		{
			name:  "an alias to outside",
			lines: kube + "forward . 203.0.113.10",
			ask:   "out.shop.svc.cluster.local A",
			want:  "forwarded by line 3: www.example.org. A to 203.0.113.10:53\nout.shop.svc.cluster.local. 5 CNAME www.example.org.",
			trail: []string{"kubernetes:2 www.example.org. is looked up", "forward:3 www.example.org. A is forwarded to 203.0.113.10:53"},
		},
		{
			name:  "an alias to outside that nobody serves",
			lines: kube,
			ask:   "out.shop.svc.cluster.local AAAA",
			want:  "NOERROR by kubernetes:2\nout.shop.svc.cluster.local. 5 CNAME www.example.org.",
		},
		{
			name:  "an alias to what another plugin answers",
			lines: "hosts {\n10.0.0.9 www.example.org\nfallthrough\n}\n" + kube,
			ask:   "out.shop.svc.cluster.local A",
			want:  "NOERROR by kubernetes:6\nout.shop.svc.cluster.local. 5 CNAME www.example.org.\nwww.example.org. 3600 A 10.0.0.9",
			trail: []string{"hosts:2 it has no out.shop.svc.cluster.local. A, and falls through", "kubernetes:6 www.example.org. is looked up"},
		},
		{
			name:  "an alias itself",
			lines: kube,
			ask:   "out.shop.svc.cluster.local CNAME",
			want:  "NOERROR by kubernetes:2\nout.shop.svc.cluster.local. 5 CNAME www.example.org.",
		},
		{
			name:  "a name below an alias",
			lines: kube,
			ask:   "a.out.shop.svc.cluster.local A",
			want:  "NXDOMAIN by kubernetes:2",
		},
		{
			name:  "an alias within the zone",
			lines: kube,
			ask:   "in.shop.svc.cluster.local A",
			want:  "NOERROR by kubernetes:2\nin.shop.svc.cluster.local. 5 CNAME api.shop.svc.cluster.local.\napi.shop.svc.cluster.local. 5 A 10.96.0.20",
		},
		{
			name:  "an alias has no ports",
			lines: kube,
			ask:   "out.shop.svc.cluster.local SRV",
			want:  "NOERROR by kubernetes:2",
		},
		{
			name:  "an alias to itself leads nowhere",
			lines: kube,
			ask:   "self.shop.svc.cluster.local A",
			want:  "NOERROR by kubernetes:2",
		},
	})
}

// TestAliasOfAddress has a Service whose externalName is an address: it is served as no name.
func TestAliasOfAddress(t *testing.T) {
	c := &Cluster{Namespaces: []string{"shop"}, Services: []Service{{Namespace: "shop", Name: "ip", ExternalName: "192.0.2.1"},
		{Namespace: "shop", Name: "there", ExternalName: "back.shop.svc.cluster.local"}, {Namespace: "shop", Name: "back", ExternalName: "there.shop.svc.cluster.local"}}}
	c.Index()
	for _, r := range []row{
		{name: "an address", lines: "kubernetes cluster.local", ask: "ip.shop.svc.cluster.local A", want: "NXDOMAIN by kubernetes:2"},
		{name: "there and back", lines: "kubernetes cluster.local", ask: "there.shop.svc.cluster.local A", want: "NOERROR by kubernetes:2"},
	} {
		t.Run(r.name, func(t *testing.T) { r.run(t, Env{Cluster: c}) })
	}
}

// TestPods is by the plugin's property pods.
func TestPods(t *testing.T) {
	kube := func(pods string) string { return "kubernetes cluster.local {\n" + pods + "\n}" }
	const here, gone, nx = "10-244-1-2.shop.pod.cluster.local", "10-244-9-9.shop.pod.cluster.local", "NXDOMAIN by kubernetes:2"
	runAll(t, []row{
		{
			name:  "by default there are none",
			lines: "kubernetes cluster.local",
			ask:   here + " A",
			want:  nx,
		},
		{
			name:  "disabled",
			lines: kube("pods disabled"),
			ask:   here + " A",
			want:  nx,
		},
		{
			name:  "disabled, the namespace",
			lines: kube("pods disabled"),
			ask:   "shop.pod.cluster.local A",
			want:  nx,
		},
		{
			name:  "insecure, one that is there",
			lines: kube("pods insecure"),
			ask:   here + " A",
			want:  "NOERROR by kubernetes:2\n" + here + ". 5 A 10.244.1.2",
		},
		{
			name:  "insecure, one that is not there",
			lines: kube("pods insecure"),
			ask:   gone + " A",
			want:  "NOERROR by kubernetes:2\n" + gone + ". 5 A 10.244.9.9",
		},
		{
			name:  "insecure, in no namespace",
			lines: kube("pods insecure"),
			ask:   "10-244-1-2.nope.pod.cluster.local A",
			want:  nx,
		},
		{
			name:  "insecure, no address",
			lines: kube("pods insecure"),
			ask:   "api-0.shop.pod.cluster.local A",
			want:  nx,
		},
		{
			name:  "insecure, an address out of range",
			lines: kube("pods insecure"),
			ask:   "10-244-1-256.shop.pod.cluster.local A",
			want:  nx,
		},
		{
			name:  "insecure, the other family",
			lines: kube("pods insecure"),
			ask:   here + " AAAA",
			want:  "NOERROR by kubernetes:2",
		},
		{
			name:  "insecure, IPv6",
			lines: kube("pods insecure"),
			ask:   "2001-db8--7.shop.pod.cluster.local AAAA",
			want:  "NOERROR by kubernetes:2\n2001-db8--7.shop.pod.cluster.local. 5 AAAA 2001:db8::7",
		},
		{
			name:  "verified, one that is there",
			lines: kube("pods verified"),
			ask:   here + " A",
			want:  "NOERROR by kubernetes:2\n" + here + ". 5 A 10.244.1.2",
		},
		{
			name:  "verified, one that is not there",
			lines: kube("pods verified"),
			ask:   gone + " A",
			want:  nx,
		},
		{
			name:  "verified, one of another namespace",
			lines: kube("pods verified"),
			ask:   "10-244-1-2.default.pod.cluster.local A",
			want:  nx,
		},
		{
			name:  "verified, the namespace",
			lines: kube("pods verified"),
			ask:   "shop.pod.cluster.local A",
			want:  "NOERROR by kubernetes:2",
		},
	})
}

// TestPointers looks names of addresses up.
func TestPointers(t *testing.T) {
	six := strings.TrimSuffix(ReverseName(netip.MustParseAddr("fd00:96::20")), ".")
	runAll(t, []row{
		{
			name:  "a Service's address",
			lines: "kubernetes cluster.local in-addr.arpa",
			ask:   "1.0.96.10.in-addr.arpa PTR",
			want:  "NOERROR by kubernetes:2\n1.0.96.10.in-addr.arpa. 5 PTR kubernetes.default.svc.cluster.local.",
		},
		{
			name:  "a Service's IPv6 address",
			lines: "kubernetes cluster.local ip6.arpa",
			ask:   six + " PTR",
			want:  "NOERROR by kubernetes:2\n" + six + ". 5 PTR api.shop.svc.cluster.local.",
		},
		{
			name:  "an endpoint with a hostname",
			lines: "kubernetes cluster.local in-addr.arpa",
			ask:   "3.1.244.10.in-addr.arpa PTR",
			want:  "NOERROR by kubernetes:2\n3.1.244.10.in-addr.arpa. 5 PTR db-0.db.shop.svc.cluster.local.",
		},
		{
			name:  "an endpoint without one",
			lines: "kubernetes cluster.local in-addr.arpa",
			ask:   "3.2.244.10.in-addr.arpa PTR",
			want:  "NOERROR by kubernetes:2\n3.2.244.10.in-addr.arpa. 5 PTR 10-244-2-3.db.shop.svc.cluster.local.",
		},
		{
			name:  "an endpoint by its Pod",
			lines: "kubernetes cluster.local in-addr.arpa {\nendpoint_pod_names\n}",
			ask:   "3.2.244.10.in-addr.arpa PTR",
			want:  "NOERROR by kubernetes:2\n3.2.244.10.in-addr.arpa. 5 PTR db-1.db.shop.svc.cluster.local.",
		},
		{
			name:  "an address of nobody",
			lines: "kubernetes cluster.local in-addr.arpa",
			ask:   "9.9.9.10.in-addr.arpa PTR",
			want:  "NXDOMAIN by kubernetes:2",
		},
		{
			name:  "an address of nobody falls through",
			lines: "kubernetes cluster.local in-addr.arpa {\nfallthrough in-addr.arpa\n}\nforward . 203.0.113.10",
			ask:   "9.9.9.10.in-addr.arpa PTR",
			want:  "forwarded by line 5: 9.9.9.10.in-addr.arpa. PTR to 203.0.113.10:53",
			trail: []string{"kubernetes:2 it has no 9.9.9.10.in-addr.arpa. PTR, and falls through", "forward:5 9.9.9.10.in-addr.arpa. PTR is forwarded to 203.0.113.10:53"},
		},
		{
			name:  "a range's zone only",
			lines: "kubernetes cluster.local 10.96.0.0/12\nforward . 203.0.113.10",
			ask:   "3.1.244.10.in-addr.arpa PTR",
			want:  "forwarded by line 3: 3.1.244.10.in-addr.arpa. PTR to 203.0.113.10:53",
		},
		{
			name:  "and what is in it",
			lines: "kubernetes cluster.local 10.96.0.0/12",
			ask:   "1.0.96.10.in-addr.arpa PTR",
			want:  "NOERROR by kubernetes:2\n1.0.96.10.in-addr.arpa. 5 PTR kubernetes.default.svc.cluster.local.",
		},
		{
			name:  "without the zone nobody is asked but the next",
			lines: "kubernetes cluster.local\nforward . 203.0.113.10",
			ask:   "1.0.96.10.in-addr.arpa PTR",
			want:  "forwarded by line 3: 1.0.96.10.in-addr.arpa. PTR to 203.0.113.10:53",
		},
		{
			name:  "the name is in the first zone that is none of addresses",
			lines: "kubernetes 10.0.0.0/8 one.local. two.local",
			ask:   "1.0.96.10.in-addr.arpa PTR",
			want:  "NOERROR by kubernetes:2\n1.0.96.10.in-addr.arpa. 5 PTR kubernetes.default.svc.one.local.",
		},
	})
}

// TestKubernetesThrough has what goes on to the next plugin, and what does not.
func TestKubernetesThrough(t *testing.T) {
	kube := func(through string) string {
		return "kubernetes cluster.local in-addr.arpa {\n" + through + "\n}\nforward . 203.0.113.10"
	}
	const up = "forwarded by line 5: nope.shop.svc.cluster.local. A to 203.0.113.10:53"
	runAll(t, []row{
		{name: "nothing", lines: kube(""), ask: "nope.shop.svc.cluster.local A", want: "NXDOMAIN by kubernetes:2"},
		{name: "all zones", lines: kube("fallthrough"), ask: "nope.shop.svc.cluster.local A", want: up},
		{name: "its zone", lines: kube("fallthrough cluster.local"), ask: "nope.shop.svc.cluster.local A", want: up},
		{name: "a part of its zone", lines: kube("fallthrough shop.svc.cluster.local"), ask: "nope.shop.svc.cluster.local A", want: up},
		{name: "another part", lines: kube("fallthrough default.svc.cluster.local"), ask: "nope.shop.svc.cluster.local A", want: "NXDOMAIN by kubernetes:2"},
		{name: "addresses only", lines: kube("fallthrough in-addr.arpa ip6.arpa"), ask: "nope.shop.svc.cluster.local A", want: "NXDOMAIN by kubernetes:2"},
		{name: "the last counts", lines: kube("fallthrough\nfallthrough in-addr.arpa"), ask: "nope.shop.svc.cluster.local A", want: "NXDOMAIN by kubernetes:2"},
		{name: "a name that is has its answer, though empty", lines: kube("fallthrough"), ask: "api.shop.svc.cluster.local MX", want: "NOERROR by kubernetes:2"},
		{name: "a namespace is a name", lines: kube("fallthrough"), ask: "shop.svc.cluster.local A", want: "NOERROR by kubernetes:2"},
	})
}

// TestKubernetesUnknown has what was not collected: an answer that does not depend on it is given.
func TestKubernetesUnknown(t *testing.T) {
	const kube = "kubernetes cluster.local in-addr.arpa {\npods verified\nfallthrough\n}"
	unknown := func(kind string) string {
		return "unknown at kubernetes:2: objects of the kind " + kind + " are not known"
	}
	for _, r := range []struct {
		name, missing string
		ask, want     string
	}{
		{"Services, a Service", "Service", "nope.shop.svc.cluster.local A", unknown("Service")},
		{"Services, a text", "Service", "api.shop.svc.cluster.local TXT", unknown("Service")},
		{"Services, an address", "Service", "1.0.96.10.in-addr.arpa PTR", unknown("Service")},
		{"Services, a namespace", "Service", "shop.svc.cluster.local A", "NOERROR by kubernetes:2"},
		{"Services, a name of another form", "Service", "api.shop.cluster.local A", "SERVFAIL by :1"},
		{"Services, the version", "Service", "dns-version.cluster.local TXT", "NOERROR by kubernetes:2; dns-version.cluster.local. 28800 TXT \"1.1.0\""},
		{"EndpointSlices, headless", "EndpointSlice", "none.shop.svc.cluster.local A", unknown("EndpointSlice")},
		{"EndpointSlices, an endpoint", "EndpointSlice", "10-244-1-2.api.shop.svc.cluster.local A", unknown("EndpointSlice")},
		{"EndpointSlices, an address", "EndpointSlice", "9.9.9.10.in-addr.arpa PTR", unknown("EndpointSlice")},
		{"EndpointSlices, an alias", "EndpointSlice", "out.shop.svc.cluster.local CNAME", "NOERROR by kubernetes:2; out.shop.svc.cluster.local. 5 CNAME www.example.org."},
		{"Namespaces, one with something in it", "Namespace", "nope.shop.svc.cluster.local A", "SERVFAIL by :1"},
		{"Namespaces, one that may be empty", "Namespace", "api.other.svc.cluster.local A", unknown("Namespace")},
		{"Pods, a Pod", "Pod", "10-244-1-2.shop.pod.cluster.local A", unknown("Pod")},
		{"Pods, a Service", "Pod", "kubernetes.default.svc.cluster.local A", "NOERROR by kubernetes:2; kubernetes.default.svc.cluster.local. 5 A 10.96.0.1"},
	} {
		t.Run(r.name, func(t *testing.T) {
			c := shop()
			c.Missing = []string{r.missing}
			row{lines: kube, ask: r.ask, want: strings.ReplaceAll(r.want, "; ", "\n")}.run(t, Env{Cluster: c})
		})
	}
	t.Run("all", func(t *testing.T) {
		row{lines: kube, ask: "api.shop.svc.cluster.local A", want: unknown("Namespace")}.run(t, Env{})
	})
}

// TestEndpointNames is how an endpoint is named: by its hostname, by its Pod where that is asked for, by its address.
func TestEndpointNames(t *testing.T) {
	at := func(s string) netip.Addr { return netip.MustParseAddr(s) }
	for _, r := range []struct {
		name string
		e    Endpoint
		pods bool
		want string
	}{
		{"by its hostname", Endpoint{Addr: at("10.0.0.1"), Hostname: "db-0", Pod: "db-x"}, true, "db-0"},
		{"by its Pod", Endpoint{Addr: at("10.0.0.1"), Pod: "db-x"}, true, "db-x"},
		{"by its Pod, that nobody asked for", Endpoint{Addr: at("10.0.0.1"), Pod: "db-x"}, false, "10-0-0-1"},
		{"by a Pod's name that is too long for a label", Endpoint{Addr: at("10.0.0.1"), Pod: strings.Repeat("x", 64)}, true, "10-0-0-1"},
		{"by a Pod's name that just fits", Endpoint{Addr: at("10.0.0.1"), Pod: strings.Repeat("x", 63)}, true, strings.Repeat("x", 63)},
		{"by an IPv6 address", Endpoint{Addr: at("2001:db8::1")}, false, "2001-db8--1"},
		{"by an IPv6 address that ends in zeros", Endpoint{Addr: at("2001:db8::")}, false, "2001-db8--0"},
	} {
		if got := r.e.label(r.pods); got != r.want {
			t.Errorf("%s: got %s, want %s", r.name, got, r.want)
		}
	}
}

// TestManyEndpoints shares the weight of SRV among them, and it is at least one.
func TestManyEndpoints(t *testing.T) {
	for _, r := range []struct {
		endpoints int
		weight    string
	}{{1, "0 100 80"}, {2, "0 50 80"}, {3, "0 33 80"}, {100, "0 1 80"}, {150, "0 1 80"}} {
		sl := Slice{Ports: []Port{{Name: "http", Proto: "TCP", Number: 80}}}
		a := netip.MustParseAddr("10.244.0.0")
		for range r.endpoints {
			a = a.Next()
			sl.Endpoints = append(sl.Endpoints, Endpoint{Addr: a})
		}
		c := &Cluster{Namespaces: []string{"shop"}, Services: []Service{{Namespace: "shop", Name: "db", Headless: true, Slices: []Slice{sl}}}}
		c.Index()
		cf, err := Parse("kubernetes.test {\nkubernetes\n}\n", Options{})
		if err != nil {
			t.Fatal(err)
		}
		got := cf.Ask(query("_http._tcp.db.shop.svc.kubernetes.test SRV"), Env{Cluster: c})
		odd := slices.ContainsFunc(got.Records, func(rec Record) bool { return rec.Head != r.weight })
		if len(got.Records) != r.endpoints || len(got.Extra) != r.endpoints || odd {
			t.Errorf("%d endpoints: %d records, %s", r.endpoints, len(got.Records), brief(got))
		}
	}
}
