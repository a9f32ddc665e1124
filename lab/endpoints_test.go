//go:build linux

package lab

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// paper is a lab of objects alone: nothing is made.
func paper(topo Topology) *Lab {
	l := &Lab{Topology: topo, OfficeAt: OfficeIP, servers: map[string]*server{}}
	l.plan()
	l.Objects = l.makeObjects()
	l.SyncEndpoints()
	return l
}

// endpointsOf prints the slices of a Service: "name/protocol/port: address ready …".
func endpointsOf(l *Lab, namespace, name string) []string {
	var out []string
	for _, s := range l.Objects.EndpointSlices {
		if s.Namespace != namespace || s.Labels["kubernetes.io/service-name"] != name {
			continue
		}
		line := string(s.AddressType) + " " + describe(s.Ports)
		for _, e := range s.Endpoints {
			line += fmt.Sprintf("%s=%v ", e.Addresses[0], *e.Conditions.Ready)
		}
		out = append(out, strings.TrimSpace(line))
	}
	return out
}

// TestEndpoints wants of the controller what Kubernetes' own does.
func TestEndpoints(t *testing.T) {
	const api = "shop/api"
	for _, tt := range []struct {
		name   string
		topo   Topology
		change func(*Lab)
		want   []string
	}{
		{"healthy", Flannel, func(*Lab) {}, []string{"IPv4 http/TCP/8080 stats/UDP/8080 10.244.0.3=true 10.244.1.3=true 10.244.2.3=true"}},
		{"of two families", Dual, func(*Lab) {}, []string{
			"IPv4 http/TCP/8080 stats/UDP/8080 10.244.0.3=true 10.244.1.3=true 10.244.2.3=true",
			"IPv6 http/TCP/8080 stats/UDP/8080 fd00:10:244::3=true fd00:10:244:1::3=true fd00:10:244:2::3=true",
		}},
		{"a selector of nothing", Flannel, func(l *Lab) { l.Service(api).Spec.Selector = map[string]string{"app": "x"} }, []string{"IPv4"}},
		{"without a selector", Flannel, func(l *Lab) { l.Service(api).Spec.Selector = nil }, []string{"IPv4"}},
		{"one not ready", Flannel, func(l *Lab) { l.SetReady("shop/api-6c9f7d5b8-9qjtl", false) },
			[]string{"IPv4 http/TCP/8080 stats/UDP/8080 10.244.0.3=true 10.244.1.3=false 10.244.2.3=true"}},
		{"a port name that no container has", Flannel, func(l *Lab) { l.Service(api).Spec.Ports[0].TargetPort = intstr.FromString("web") },
			[]string{"IPv4 stats/UDP/8080 10.244.0.3=true 10.244.1.3=true 10.244.2.3=true"}},
		{"a name of two numbers", Flannel, func(l *Lab) {
			l.Service(api).Spec.Ports = l.Service(api).Spec.Ports[:1]
			l.Service(api).Spec.Ports[0].TargetPort = intstr.FromString("http")
			for _, key := range []string{"shop/api-6c9f7d5b8-4xk2p", "shop/api-6c9f7d5b8-9qjtl", "shop/api-6c9f7d5b8-zw7hc"} {
				port := int32(8080)
				if strings.HasSuffix(key, "zw7hc") {
					port = 8081
				}
				l.PodObject(key).Spec.Containers[0].Ports = []corev1.ContainerPort{{Name: "http", Protocol: corev1.ProtocolTCP, ContainerPort: port}}
			}
		}, []string{"IPv4 http/TCP/8080 10.244.0.3=true 10.244.1.3=true", "IPv4 http/TCP/8081 10.244.2.3=true"}},
		{"a Pod without an address", Flannel, func(l *Lab) { l.PodObject("shop/api-6c9f7d5b8-9qjtl").Status.PodIPs = nil },
			[]string{"IPv4 http/TCP/8080 stats/UDP/8080 10.244.0.3=true 10.244.2.3=true"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := paper(tt.topo)
			tt.change(l)
			l.SyncEndpoints()
			if d := cmp.Diff(tt.want, endpointsOf(l, "shop", "api")); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

// TestProxyRules wants the shapes that kube-proxy writes for the states of a Service.
func TestProxyRules(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*Lab)
		node   string
		want   []string // parts of lines of the rules
		not    []string
	}{
		{"three endpoints", func(*Lab) {}, "node-a", []string{
			`-A KUBE-SERVICES -m comment --comment "shop/api:http cluster IP" -m tcp -p tcp -d 10.96.0.20/32 --dport 80 -j KUBE-SVC-`,
			`"shop/api:http -> 10.244.0.3:8080" -m statistic --mode random --probability 0.3333333333 -j KUBE-SEP-`,
			`"shop/api:http -> 10.244.1.3:8080" -m statistic --mode random --probability 0.5000000000 -j KUBE-SEP-`,
			`"shop/api:http -> 10.244.2.3:8080" -j KUBE-SEP-`,
			`! -s 10.244.0.0/16 -j KUBE-MARK-MASQ`,
			`-s 10.244.1.3/32 -j KUBE-MARK-MASQ`,
			`-m udp -p udp -j DNAT --to-destination 10.244.2.3:8080`,
		}, []string{"has no endpoints", "fd00:"}},
		{"none ready", func(l *Lab) {
			for i := range l.Objects.Pods {
				if p := &l.Objects.Pods[i]; p.Labels["app"] == "api" {
					l.SetReady(p.Namespace+"/"+p.Name, false)
				}
			}
		}, "node-a", []string{`-A KUBE-SERVICES -m comment --comment "shop/api:http has no endpoints" -m tcp -p tcp -d 10.96.0.20/32 --dport 80 -j REJECT`},
			[]string{`"shop/api:http cluster IP"`, "10.244.1.3:8080"}},
		{"affinity", func(l *Lab) { l.Service("shop/api").Spec.SessionAffinity = corev1.ServiceAffinityClientIP }, "node-a",
			[]string{"--rcheck --seconds 10800 --reap -j KUBE-SEP-", "--set -m tcp -p tcp -j DNAT --to-destination 10.244.0.3:8080"}, nil},
		{"headless", func(l *Lab) { l.Service("shop/api").Spec.ClusterIPs = []string{"None"} }, "node-a", nil, []string{"shop/api:"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := paper(Flannel)
			tt.change(l)
			l.SyncEndpoints()
			rules := l.NodeRules(l.Node(tt.node), false, true)
			for _, want := range tt.want {
				if !strings.Contains(rules, want) {
					t.Errorf("no rule %s", want)
				}
			}
			for _, not := range tt.not {
				if strings.Contains(rules, not) {
					t.Errorf("a rule %s", not)
				}
			}
		})
	}
	l := paper(Flannel)
	if with, without := l.NodeRules(l.Node("node-b"), false, true), l.NodeRules(l.Node("node-b"), false, false); strings.Contains(without, "KUBE-SERVICES") || !strings.Contains(without, "FLANNEL-FWD") || len(without) >= len(with) {
		t.Errorf("a node on which kube-proxy never ran:\n%s", without)
	}
}

func TestResolve(t *testing.T) {
	l := paper(Dual)
	for _, tt := range []struct {
		to, want string
		v6       bool
	}{
		{"shop/web-1:8080", "10.244.1.2:8080", false},
		{"shop/web-1:8080", "[fd00:10:244:1::2]:8080", true},
		{"svc/shop/api:http", "10.96.0.20:80", false},
		{"svc/shop/api:80", "10.96.0.20:80", false},
		{"node/node-b:30080", "192.168.10.12:30080", false},
		{"outside:80", "203.0.113.10:80", false},
		{"svc/shop/api:nope", "", false},
		{"svc/shop/none:80", "", false},
		{"shop/none:80", "", false},
		{"shop/web-1:99999", "", false},
	} {
		got, err := l.Resolve(tt.to, tt.v6, 6)
		if (err != nil) != (tt.want == "") || err == nil && got.String() != tt.want {
			t.Errorf("Resolve(%s) = %v, %v; want %s", tt.to, got, err, tt.want)
		}
	}
	if l.Namespace("nobody") != nil {
		t.Error("a namespace of nobody")
	}
}
