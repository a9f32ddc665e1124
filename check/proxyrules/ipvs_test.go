package proxyrules

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/plumbnet/plumb/check"
	"github.com/plumbnet/plumb/check/checktest"
	"github.com/plumbnet/plumb/netfilter"
	"github.com/plumbnet/plumb/snapshot"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
)

// ipvsRules are what kube-proxy keeps in nat in IPVS mode.
const ipvsRules = `*nat
:PREROUTING ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:KUBE-MARK-MASQ - [0:0]
:KUBE-SERVICES - [0:0]
-A PREROUTING -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-A OUTPUT -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-A KUBE-SERVICES -m set --match-set KUBE-CLUSTER-IP dst,dst -j ACCEPT
COMMIT
`

// virtuals has node-b make the Services by IPVS, as they are; then change changes that.
func virtuals(change func(*checktest.Facts, *snapshot.NetNS)) func(*checktest.Facts) {
	return func(f *checktest.Facts) {
		ns := f.NS("node-b/host")
		tables, _ := netfilter.ParseSave(strings.NewReader(ipvsRules), false, netfilter.NFT, "nodes/node-b/host/iptables")
		ns.Netfilter = netfilter.Ruleset{Tables: tables}
		dummy := *f.Link("node-b/host/lo")
		dummy.Name, dummy.Index, dummy.Addrs = device, 900, nil
		for i := range f.Objects.Services {
			s := &f.Objects.Services[i]
			ip, err := netip.ParseAddr(s.Spec.ClusterIP)
			if err != nil {
				continue
			}
			dummy.Addrs = append(dummy.Addrs, snapshot.LinkAddr{Family: "inet", Local: ip, Len: 32})
			for j := range s.Spec.Ports {
				sp := &s.Spec.Ports[j]
				ns.IPVS = append(ns.IPVS, virtual(f, s, sp, ip, uint16(sp.Port), false))
				for _, own := range []string{"192.168.10.12", "10.244.1.1"} {
					if sp.NodePort != 0 {
						local := s.Spec.ExternalTrafficPolicy == corev1.ServiceExternalTrafficPolicyLocal
						ns.IPVS = append(ns.IPVS, virtual(f, s, sp, netip.MustParseAddr(own), uint16(sp.NodePort), local))
					}
				}
			}
		}
		ns.Links = append(ns.Links, dummy)
		if change != nil {
			change(f, ns)
		}
	}
}

func virtual(f *checktest.Facts, s *corev1.Service, sp *corev1.ServicePort, ip netip.Addr, port uint16, local bool) snapshot.Virtual {
	v := snapshot.Virtual{Proto: protocols[sp.Protocol], At: netip.AddrPortFrom(ip, port), Line: 3}
	for _, sl := range f.Objects.EndpointSlices {
		if sl.Namespace != s.Namespace || sl.Labels[discoveryv1.LabelServiceName] != s.Name {
			continue
		}
		for _, p := range sl.Ports {
			for _, e := range sl.Endpoints {
				if *p.Name == sp.Name && (!local || *e.NodeName == "node-b") {
					v.To = append(v.To, snapshot.Real{At: netip.AddrPortFrom(netip.MustParseAddr(e.Addresses[0]), uint16(*p.Port)), Weight: 1})
				}
			}
		}
	}
	return v
}

func TestIPVS(t *testing.T) {
	at := func(ns *snapshot.NetNS, addr string) *snapshot.Virtual {
		return &ns.IPVS[slices.IndexFunc(ns.IPVS, func(v snapshot.Virtual) bool { return v.At.String() == addr })]
	}
	without := func(port uint16) func(*checktest.Facts, *snapshot.NetNS) {
		return func(_ *checktest.Facts, ns *snapshot.NetNS) {
			ns.IPVS = slices.DeleteFunc(ns.IPVS, func(v snapshot.Virtual) bool { return v.At.Port() == port })
		}
	}
	const (
		says = "error: node-b/host: proxy-rules-"
		ends = ", which is not among its endpoints (10.244.0.2:8080, 10.244.1.2:8080, 10.244.2.2:8080)"
	)
	checktest.Rows(t, checktest.Flannel, []*check.Check{Missing, Stale, Leftover, Balancer}, []checktest.Row{
		{Name: "as asked", Edit: virtuals(nil)},
		{Name: "a node port is missing", Edit: virtuals(without(30080)),
			Want: says + "missing: no rules for 1 of the 14 ports of Services that have endpoints, such as shop/front:80 (*:30080)"},
		{Name: "a cluster IP is missing", Edit: virtuals(without(9153)),
			Want: says + "missing: no rules for 1 of the 14 ports of Services that have endpoints, such as kube-system/kube-dns:9153 (10.96.0.10)"},
		{Name: "none is there", Edit: virtuals(func(_ *checktest.Facts, ns *snapshot.NetNS) { ns.IPVS = nil }),
			Want: says + "missing: no rules for 14 of the 14 ports of Services that have endpoints, such as default/kubernetes:443 (10.96.0.1)"},
		{Name: "an endpoint that is gone", Edit: virtuals(func(_ *checktest.Facts, ns *snapshot.NetNS) {
			at(ns, "192.168.10.12:30080").To[0].At = netip.MustParseAddrPort("10.244.0.29:8080")
			at(ns, "10.244.1.1:30080").To[0].At = netip.MustParseAddrPort("10.244.0.29:8080")
		}), Want: says + "stale: the rules for shop/front:80 (*:30080) send to 10.244.0.29:8080" + ends + "; stale for 1 ports of Services in all"},
		{Name: "one that ends", Edit: virtuals(func(_ *checktest.Facts, ns *snapshot.NetNS) {
			v := at(ns, "10.96.0.24:80")
			v.To = append(v.To, snapshot.Real{At: netip.MustParseAddrPort("10.244.0.29:8080")})
		})},
		{Name: "an endpoint is new", Edit: virtuals(func(_ *checktest.Facts, ns *snapshot.NetNS) {
			v := at(ns, "10.96.0.24:80")
			v.To = v.To[1:]
		}), Want: says + "stale: no rule for shop/web:80 (10.96.0.24) sends to its endpoint 10.244.0.2:8080; stale for 1 ports of Services in all"},
		{Name: "a Service was deleted", Edit: virtuals(func(f *checktest.Facts, ns *snapshot.NetNS) {
			v := *at(ns, "10.96.0.24:80")
			v.At = netip.MustParseAddrPort("10.96.0.99:80")
			ns.IPVS = append(ns.IPVS, v)
		}), Want: "warning: node-b/host: leftover-rules: rules for 1 addresses that no Service has, such as 10.96.0.99:80"},
		{Name: "by mark, which is not kube-proxy's", Edit: virtuals(func(_ *checktest.Facts, ns *snapshot.NetNS) {
			ns.IPVS = append(ns.IPVS, snapshot.Virtual{To: []snapshot.Real{{At: netip.MustParseAddrPort("10.0.0.1:80"), Weight: 1}}})
		})},
		{Name: "a load balancer's own, beside rules", Edit: func(f *checktest.Facts) {
			f.NS("node-b/host").IPVS = []snapshot.Virtual{{Proto: 6, At: netip.MustParseAddrPort("203.0.113.7:80"), To: []snapshot.Real{{At: netip.MustParseAddrPort("10.0.0.1:80"), Weight: 1}}}}
		}},
	})
}

func TestIPVSNotCollected(t *testing.T) {
	const why = "? node-b/host: proxy-rules-missing: kube-proxy runs in IPVS mode, and its virtual services are not known: ipvs: not collected"
	checktest.Rows(t, checktest.Flannel, []*check.Check{Missing}, []checktest.Row{
		{Name: "ipvs was not collected", Without: []string{"nodes/node-b/host/ipvs"}, Edit: virtuals(func(_ *checktest.Facts, ns *snapshot.NetNS) { ns.IPVS = nil }), Want: why},
	})
}

func TestIPVSEvidence(t *testing.T) {
	r := checktest.RunRow(t, checktest.Flannel, checktest.Row{Edit: virtuals(func(_ *checktest.Facts, ns *snapshot.NetNS) {
		for i := range ns.IPVS {
			if ns.IPVS[i].At.Port() == 30080 {
				ns.IPVS[i].To[0].At = netip.MustParseAddrPort("10.244.0.29:8080")
			}
		}
	})}, Stale)
	want := snapshot.Evidence{File: "nodes/node-b/host/ipvs", Line: 3, Text: "192.168.10.12:30080 -> 10.244.0.29:8080", Command: "ipvsadm -Ln"}
	if len(r.Findings) != 1 || !slices.Contains(r.Findings[0].Evidence, want) {
		t.Errorf("%+v", r.Findings)
	}
}
