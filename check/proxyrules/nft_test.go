package proxyrules

import (
	"slices"
	"testing"

	"github.com/plumbnet/plumb/check"
	"github.com/plumbnet/plumb/check/checktest"
	"github.com/plumbnet/plumb/netfilter"
	"github.com/plumbnet/plumb/snapshot"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
)

const (
	nftFile  = "nodes/node-b/host/nft.json"
	nodePort = `[{"concat": [6, 30080]}, {"goto": {"target": "external-WEZGB4Y6-shop/api/tcp/http"}}], `
	api      = `[{"concat": ["10.96.105.34", 6, 80]}, {"goto": {"target": "service-WEZGB4Y6-shop/api/tcp/http"}}], `
)

// replaced has the endpoints of a Service's slices at an address that no Pod had before.
func replaced(service, addr string) func(*checktest.Facts) {
	return func(f *checktest.Facts) {
		for i := range f.Objects.EndpointSlices {
			if s := &f.Objects.EndpointSlices[i]; s.Labels[discoveryv1.LabelServiceName] == service {
				s.Endpoints[0].Addresses = []string{addr}
			}
		}
	}
}

// without takes tables of nf_tables out of node-b.
func without(f *checktest.Facts) { f.NS("node-b/host").Netfilter = netfilter.Ruleset{} }

// held is what is said of a node whose rules may hold clients to an endpoint that was replaced.
func held(node string) string {
	const ends = "10.244.1.3:8080, which is not among its endpoints (10.244.0.2:8080, 10.244.0.99:8080, 10.244.2.3:8080)"
	return "error: " + node + "/host: affinity-dead-endpoint: session affinity of shop/sticky:80 (10.96.215.212) may hold clients to " + ends + "\n" +
		"> error: " + node + "/host: proxy-rules-stale: the rules for shop/sticky:80 (10.96.215.212) send to " + ends + "; stale for 1 ports of Services in all\n"
}

// far is what is said of a node whose rules send what comes from outside to another node's Pod.
func far(node, pod string) string {
	return "error: " + node + "/host: proxy-rules-stale: the rules for shop/api:80 (*:30080) send connections from outside to " + pod +
		":8080 on another node, and externalTrafficPolicy is Local; stale for 1 ports of Services in all\n"
}

func TestNFTables(t *testing.T) {
	const (
		at   = "error: node-b/host: proxy-rules-"
		ends = "(10.244.0.2:8080, 10.244.0.99:8080, 10.244.2.3:8080)"
		odd  = "the rules for shop/api:80 (10.96.105.34) are not understood: map service-ips was not read to its end: an element is not understood"
		mode = "kube-proxy has no rules of iptables here, and whether it has rules of nf_tables is not known: nft.json: "
	)
	checktest.Rows(t, checktest.Mixed, []*check.Check{Missing, Stale, Affinity, Leftover}, []checktest.Row{
		{Name: "as recorded"},
		{Name: "a Service is not in the map", Swap: []checktest.Swap{{File: nftFile, Old: api}},
			Want: at + "missing: no rules for 1 of the 10 ports of Services that have endpoints, such as shop/api:80 (10.96.105.34)"},
		{Name: "its chain is empty", Swap: []checktest.Swap{{File: nftFile, Old: `"chain": "service-WEZGB4Y6-shop/api/tcp/http", "handle": 79`, New: `"chain": "services", "handle": 79`}},
			Want: at + "missing: no rules for 2 of the 10 ports of Services that have endpoints, such as shop/api:80 (10.96.105.34)"},
		{Name: "an endpoint was replaced", Edit: replaced("api", "10.244.0.99"),
			Want: "error: node-a/host: proxy-rules-stale: the rules for shop/api:80 (10.96.105.34) send to 10.244.1.3:8080, which is not among its endpoints " + ends + "; stale for 2 ports of Services in all\n" +
				at + "stale: the rules for shop/api:80 (10.96.105.34) send to 10.244.1.3:8080, which is not among its endpoints " + ends + "; stale for 2 ports of Services in all\n" +
				"error: node-c/host: proxy-rules-stale: the rules for shop/api:80 (10.96.105.34) send to 10.244.1.3:8080, which is not among its endpoints " + ends + "; stale for 2 ports of Services in all"},
		{Name: "an endpoint is new", Swap: []checktest.Swap{{File: nftFile, Old: `"mod": 2, "offset": 0}}, "data": {"set": [[0, {"concat": ["10.244.1.4", 9153]}], [1, {"concat": ["10.244.1.5", 9153]}]]}`,
			New: `"mod": 1, "offset": 0}}, "data": {"set": [[0, {"concat": ["10.244.1.4", 9153]}]]}`}},
			Want: at + "stale: no rule for kube-system/kube-dns:9153 (10.96.0.10) sends to its endpoint 10.244.1.5:9153; stale for 1 ports of Services in all"},
		{Name: "clients are bound to an endpoint that is there", Edit: replaced("sticky", "10.244.0.99"),
			Want: at + "stale: the rules for shop/sticky:80 (10.96.215.212) send to 10.244.1.3:8080, which is not among its endpoints " + ends + "; stale for 1 ports of Services in all\n" +
				held("node-a") + held("node-c")},
		{Name: "an element that cannot be read", Swap: []checktest.Swap{{File: nftFile, Old: `{"concat": ["10.96.105.34", 6, 80]}`, New: `{"concat": ["10.96.105.34", 6]}`}},
			Want: "? node-b/host: proxy-rules-missing: " + odd},
		{Name: "a node port is not in the map", Swap: []checktest.Swap{{File: nftFile, Old: nodePort}},
			Want: at + "missing: no rules for 1 of the 10 ports of Services that have endpoints, such as shop/api:80 (*:30080)"},
		{Name: "a node port that no Service has", Edit: func(f *checktest.Facts) { f.Service("shop/api").Spec.Ports[0].NodePort = 0 },
			Want: "warning: node-a/host: leftover-rules: rules for 1 addresses that no Service has, such as *:30080\n" +
				"warning: node-b/host: leftover-rules: rules for 1 addresses that no Service has, such as *:30080\n" +
				"warning: node-c/host: leftover-rules: rules for 1 addresses that no Service has, such as *:30080"},
		{Name: "the policy became Local, and the rules did not", Edit: func(f *checktest.Facts) {
			f.Service("shop/api").Spec.ExternalTrafficPolicy = corev1.ServiceExternalTrafficPolicyLocal
		}, Want: far("node-a", "10.244.1.3") + far("node-b", "10.244.0.2") + far("node-c", "10.244.0.2")},
		{Name: "the policy became Cluster, and the rules did not", Edit: func(f *checktest.Facts) {
			f.Service("shop/local").Spec.ExternalTrafficPolicy = corev1.ServiceExternalTrafficPolicyCluster
		}},
		{Name: "it is another proxy's", Swap: []checktest.Swap{{File: nftFile, Old: api}}, Edit: func(f *checktest.Facts) {
			f.Service("shop/api").Labels = map[string]string{"service.kubernetes.io/service-proxy-name": "mesh"}
			for _, n := range []string{"node-a", "node-b", "node-c"} {
				f.NS(n + "/host").Netfilter = netfilter.Ruleset{}
			}
			f.Objects.Services = slices.DeleteFunc(f.Objects.Services, func(s corev1.Service) bool { return s.Name != "api" })
		}},
		{Name: "a Service was deleted", Edit: func(f *checktest.Facts) {
			f.Objects.Services = f.Objects.Services[:0]
		}, Want: "warning: node-a/host: leftover-rules: rules for 10 addresses that no Service has, such as 10.96.57.63:80\n" +
			"warning: node-b/host: leftover-rules: rules for 10 addresses that no Service has, such as 10.96.0.10:53\n" +
			"warning: node-c/host: leftover-rules: rules for 10 addresses that no Service has, such as 10.96.57.63:80"},
		{Name: "the tables are gone", Edit: without, Want: at + "missing: no rules for 10 of the 10 ports of Services that have endpoints, such as default/kubernetes:443 (10.96.0.1)"},
		{Name: "nft.json was not collected", Without: []string{nftFile},
			Want: "? node-b/host: affinity-dead-endpoint: " + mode + "not collected\n? node-b/host: proxy-rules-missing: " + mode + "not collected\n? node-b/host: proxy-rules-stale: " + mode + "not collected"},
		{Name: "the rules of iptables were not collected", Without: []string{"nodes/node-b/host/iptables"},
			Want: "? nodes/node-b/host/iptables: affinity-dead-endpoint: not collected\n? nodes/node-b/host/iptables: leftover-rules: not collected\n" +
				"? nodes/node-b/host/iptables: proxy-rules-missing: not collected\n? nodes/node-b/host/iptables: proxy-rules-stale: not collected"},
		{Name: "the path dies of stale rules", Swap: []checktest.Swap{{File: nftFile, Old: `[0, {"concat": ["10.244.0.2", 8080]}], [1, {"concat": ["10.244.1.3", 8080]}], [2, {"concat": ["10.244.2.3", 8080]}]`,
			New: `[0, {"concat": ["10.244.0.77", 8080]}], [1, {"concat": ["10.244.0.77", 8080]}], [2, {"concat": ["10.244.0.77", 8080]}]`}},
			Ask:  "from shop/web-0\nto 10.96.105.34:80",
			Want: "error on path: node-b/host: proxy-rules-stale: the rules for shop/api:80 (10.96.105.34) send to 10.244.0.77:8080, which is not among its endpoints (10.244.0.2:8080, 10.244.1.3:8080, 10.244.2.3:8080); stale for 2 ports of Services in all"},
	})
}

// TestAffinityOnPath: session affinity is the cause for its own Service's clients alone, though another Service has the same endpoints.
func TestAffinityOnPath(t *testing.T) {
	both := []checktest.Swap{
		{File: nftFile, Old: `{"concat": ["10.244.2.3", 8080]}`, New: `{"concat": ["10.244.0.77", 8080]}`},
		{File: nftFile, Old: `{"dnat": {"addr": "10.244.2.3", "port": 8080}}`, New: `{"dnat": {"addr": "10.244.0.77", "port": 8080}}`},
	}
	for _, tt := range []struct{ name, to, want string }{
		{"the sticky one", "10.96.215.212:80", "affinity-dead-endpoint"},
		{"another", "10.96.105.34:80", "proxy-rules-stale"},
	} {
		r := checktest.RunRow(t, checktest.Mixed, checktest.Row{Swap: both, Ask: "from shop/web-0\nto " + tt.to}, Stale, Affinity)
		for _, f := range r.Findings {
			if f.Where == "node-b/host" && f.OnPath != (f.Check == tt.want || f.Check == "proxy-rules-stale") {
				t.Errorf("%s: %s on path: %v", tt.name, f.Check, f.OnPath)
			}
		}
		if len(r.Findings) == 0 || !r.Findings[0].OnPath || r.Findings[0].Where != "node-b/host" {
			t.Errorf("%s: found %s", tt.name, checktest.Brief(r))
		}
	}
}

// TestTwoModes has node-b keep the rules that kube-proxy wrote in the mode that it was in before.
func TestTwoModes(t *testing.T) {
	old := func(f *checktest.Facts) {
		a, b := f.NS("node-a/host"), f.NS("node-b/host")
		b.Netfilter.Tables = append(b.Netfilter.Tables, a.Netfilter.Tables...)
	}
	less := func(f *checktest.Facts) {
		old(f)
		for _, s := range f.NS("node-b/host").Netfilter.NFTables {
			if c := s.Chains["services"]; c != nil {
				c.Rules = nil
			}
		}
	}
	const says = "warning: node-b/host: leftover-rules: kube-proxy has rules of iptables and of nf_tables, "
	checktest.Rows(t, checktest.Mixed, []*check.Check{Missing, Stale, Leftover}, []checktest.Row{
		{Name: "iptables before", Edit: old, Want: says + "45 and 28 chains; both are run"},
		{Name: "nf_tables before", Edit: less, Want: says + "45 and 28 chains; both are run\n" +
			"> error: node-b/host: proxy-rules-stale: no rule for shop/local:80 (10.96.57.63) sends to its endpoint 10.244.1.2:8080; stale for 3 ports of Services in all",
			Fix: []string{"nft delete table ip kube-proxy"}},
	})
}

// TestFamilies: a Service of a family that kube-proxy has no table of is missing there.
func TestFamilies(t *testing.T) {
	six := func(f *checktest.Facts) {
		s := f.Service("shop/api")
		s.Spec.ClusterIPs = append(s.Spec.ClusterIPs, "fd00:10:96::20")
		s.Spec.IPFamilies = []corev1.IPFamily{corev1.IPv4Protocol, corev1.IPv6Protocol}
		port, name := int32(8080), "http"
		f.Objects.EndpointSlices = append(f.Objects.EndpointSlices, discoveryv1.EndpointSlice{
			ObjectMeta: f.Objects.EndpointSlices[1].ObjectMeta, Endpoints: []discoveryv1.Endpoint{{Addresses: []string{"fd00:10:244::2"}}},
			Ports: []discoveryv1.EndpointPort{{Name: &name, Port: &port}},
		})
		f.Objects.EndpointSlices[len(f.Objects.EndpointSlices)-1].Namespace = "shop"
		f.Objects.EndpointSlices[len(f.Objects.EndpointSlices)-1].Labels = map[string]string{discoveryv1.LabelServiceName: "api"}
	}
	r := checktest.RunRow(t, checktest.Mixed, checktest.Row{Edit: six}, Missing)
	var got *check.Finding
	for i := range r.Findings {
		if r.Findings[i].Where == "node-b/host" {
			got = &r.Findings[i]
		}
	}
	want := snapshot.Evidence{File: nftFile, Text: "(no rule for fd00:10:96::20)", Command: "nft list map ip6 kube-proxy service-ips | grep fd00:10:96::20"}
	if got == nil || got.Evidence[0] != want {
		t.Errorf("got %+v", r.Findings)
	}
}
