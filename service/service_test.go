package service

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func ptr[T any](v T) *T { return &v }

// ep makes an endpoint of words: its address, "on=NODE", "zone=ZONE", "for=NODE", "ready", "serving", "ending".
func ep(words string) Endpoint {
	e := Endpoint{Port: "http", Proto: "TCP"}
	for i, w := range strings.Fields(words) {
		key, val, _ := strings.Cut(w, "=")
		switch {
		case i == 0:
			e.Addr = netip.MustParseAddrPort(w)
		case key == "on":
			e.Node = val
		case key == "zone":
			e.Zones = append(e.Zones, val)
		case key == "for":
			e.Nodes = append(e.Nodes, val)
		}
		e.Ready = e.Ready || w == "ready"
		e.Serving = e.Serving || w == "serving"
		e.Terminating = e.Terminating || w == "ending"
	}
	return e
}

func show(list []Endpoint) string {
	var out []string
	for _, e := range list {
		out = append(out, e.Addr.String())
	}
	return strings.Join(out, " ")
}

func TestChoose(t *testing.T) {
	const (
		one, two = "10.0.0.1:80", "10.0.0.2:80"
		both     = one + " " + two
	)
	here := Node{Name: "a", Zone: "eu-1"}
	for _, tt := range []struct {
		name           string
		node           Node
		eps            []string
		cluster, local string
		any            bool
	}{
		{"none", here, nil, "", "", false},
		{"ready", here, []string{one + " on=a ready", two + " on=b ready"}, both, one, true},
		{"none on the node", here, []string{one + " on=b ready"}, one, "", true},
		{"one is not ready", here, []string{one + " on=a", two + " on=b ready"}, two, "", true},
		{"none is ready, one ends and serves", here, []string{one + " on=a serving ending", two + " on=b ending"}, one, one, true},
		{"it ends on the node, and another is ready", here, []string{one + " on=a serving ending", two + " on=b ready"}, two, one, true},
		{"serving, and neither ready nor ending", here, []string{one + " on=a serving"}, "", "", false},
		{"hints for the zone", here, []string{one + " ready zone=eu-1", two + " ready zone=eu-2"}, one, "", true},
		{"one without a hint", here, []string{one + " ready zone=eu-1", two + " ready"}, both, "", true},
		{"one that is not ready has no hint", here, []string{one + " ready zone=eu-1", two}, one, "", true},
		{"hints for other zones", Node{"a", "eu-3"}, []string{one + " ready zone=eu-1", two + " ready zone=eu-2"}, both, "", true},
		{"a node of no zone", Node{Name: "a"}, []string{one + " ready zone=eu-1", two + " ready zone=eu-2"}, both, "", true},
		{"hints for the node go before", here, []string{one + " ready zone=eu-1 for=b", two + " ready zone=eu-2 for=a"}, two, "", true},
		{"hints for other nodes", here, []string{one + " ready zone=eu-1 for=b", two + " ready zone=eu-2 for=c"}, one, "", true},
		{"hints do not count for those on the node", here, []string{one + " ready on=a zone=eu-2", two + " ready on=b zone=eu-1"}, two, one, true},
		{"nor for those that end", here, []string{one + " serving ending zone=eu-2", two + " serving ending zone=eu-1"}, both, "", true},
		{"a node without a name", Node{}, []string{one + " ready"}, one, "", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var all []Endpoint
			for _, e := range tt.eps {
				all = append(all, ep(e))
			}
			c := Choose(all, tt.node)
			if d := cmp.Diff([]string{tt.cluster, tt.local}, []string{show(c.Cluster), show(c.Local)}); d != "" || c.Any != tt.any {
				t.Errorf("any %v (-want +got):\n%s", c.Any, d)
			}
		})
	}
}

func TestAppend(t *testing.T) {
	slice := func(ready, serving, ending *bool, addrs ...string) *discoveryv1.EndpointSlice {
		return &discoveryv1.EndpointSlice{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "x"},
			Ports:     []discoveryv1.EndpointPort{{Name: ptr("http"), Port: ptr(int32(80))}, {Name: ptr("all")}},
			Endpoints: []discoveryv1.Endpoint{{Addresses: addrs, Conditions: discoveryv1.EndpointConditions{Ready: ready, Serving: serving, Terminating: ending}}}}
	}
	for _, tt := range []struct {
		name   string
		slices []*discoveryv1.EndpointSlice
		want   []Endpoint
	}{
		{"nothing said is ready", []*discoveryv1.EndpointSlice{slice(nil, nil, nil, "10.0.0.1")}, []Endpoint{ep("10.0.0.1:80 ready serving")}},
		{"not ready", []*discoveryv1.EndpointSlice{slice(ptr(false), ptr(false), nil, "10.0.0.1")}, []Endpoint{ep("10.0.0.1:80")}},
		{"the first address", []*discoveryv1.EndpointSlice{slice(nil, nil, nil, "fd00::1", "fd00::2")}, []Endpoint{ep("[fd00::1]:80 ready serving")}},
		{"a name", []*discoveryv1.EndpointSlice{slice(nil, nil, nil, "api.example.com")}, nil},
		{"no address", []*discoveryv1.EndpointSlice{slice(nil, nil, nil)}, nil},
		{"in order", []*discoveryv1.EndpointSlice{slice(nil, nil, nil, "10.0.0.2"), slice(nil, nil, nil, "10.0.0.1")}, []Endpoint{ep("10.0.0.1:80 ready serving"), ep("10.0.0.2:80 ready serving")}},
		{"an address that another has by now", []*discoveryv1.EndpointSlice{slice(ptr(false), ptr(true), ptr(true), "10.0.0.1"), slice(nil, nil, nil, "10.0.0.1")}, []Endpoint{ep("10.0.0.1:80 ready serving")}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got []Endpoint
			for _, s := range tt.slices {
				got = Append(got, s)
			}
			got = Sort(got)
			for i := range got {
				got[i].Slice = ""
			}
			if d := cmp.Diff(tt.want, got, cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

func TestFronts(t *testing.T) {
	port := &corev1.ServicePort{Port: 80, NodePort: 30080}
	all := func(s *corev1.Service) {
		s.Spec.ExternalIPs = []string{"192.0.2.1", "2001:db8::1"}
		s.Spec.LoadBalancerSourceRanges = []string{" 203.0.113.7/24", "2001:db8::/32"}
		s.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: "192.0.2.9"}, {Hostname: "lb.example.com"}, {IP: "192.0.2.8", IPMode: ptr(corev1.LoadBalancerIPModeProxy)}}
	}
	for _, tt := range []struct {
		name string
		edit func(*corev1.Service)
		is6  bool
		want string // an address, "!" where it is local from outside, and whom it is for
	}{
		{"a cluster IP and a node port", func(*corev1.Service) {}, false, "10.96.0.1:80 :30080"},
		{"another proxy's", func(s *corev1.Service) { s.Labels = map[string]string{proxyName: "mesh"} }, false, ""},
		{"everything", all, false, "10.96.0.1:80 192.0.2.1:80 192.0.2.9:80<203.0.113.0/24 :30080"},
		{"the other family", all, true, "[fd00::1]:80 [2001:db8::1]:80 :30080"},
		{"everybody", func(s *corev1.Service) {
			all(s)
			s.Spec.LoadBalancerSourceRanges = []string{"203.0.113.0/24", "0.0.0.0/0"}
		}, false, "10.96.0.1:80 192.0.2.1:80 192.0.2.9:80 :30080"},
		{"local from outside", func(s *corev1.Service) { s.Spec.ExternalTrafficPolicy = corev1.ServiceExternalTrafficPolicyLocal }, false, "10.96.0.1:80 :30080!"},
		{"local from inside", func(s *corev1.Service) {
			s.Spec.InternalTrafficPolicy = ptr(corev1.ServiceInternalTrafficPolicyLocal)
		}, false, "10.96.0.1:80! :30080"},
		{"one family", func(s *corev1.Service) { s.Spec.ClusterIPs = []string{"10.96.0.1"} }, true, ""},
		{"headless", func(s *corev1.Service) { s.Spec.ClusterIPs = []string{"None"} }, false, ""},
		{"a name elsewhere", func(s *corev1.Service) { s.Spec.Type = corev1.ServiceTypeExternalName }, false, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := &corev1.Service{Spec: corev1.ServiceSpec{ClusterIPs: []string{"10.96.0.1", "fd00::1"}}}
			tt.edit(s)
			var got []string
			for _, f := range Fronts(s, port, tt.is6) {
				w := strings.TrimPrefix(f.Addr.String(), "invalid AddrPort")
				if f.Kind == NodePort {
					w = ":30080"
				}
				if f.Local {
					w += "!"
				}
				for _, p := range f.Sources {
					w += "<" + p.String()
				}
				got = append(got, w)
			}
			if d := cmp.Diff(tt.want, strings.Join(got, " ")); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

func TestTo(t *testing.T) {
	c := Choice{Cluster: []Endpoint{ep("10.0.0.1:80")}, Local: []Endpoint{ep("10.0.0.2:80")}}
	for _, tt := range []struct {
		name              string
		front             Front
		internal, outside string
	}{
		{"anywhere", Front{}, "10.0.0.1:80", "10.0.0.1:80"},
		{"the cluster IP, local", Front{Local: true}, "10.0.0.2:80", "10.0.0.2:80"},
		{"a node port, local", Front{Kind: NodePort, Local: true}, "10.0.0.1:80", "10.0.0.2:80"},
	} {
		if got := [2]string{show(c.To(tt.front, true)), show(c.To(tt.front, false))}; got != [2]string{tt.internal, tt.outside} {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
}

func TestOptions(t *testing.T) {
	s := &corev1.Service{Spec: corev1.ServiceSpec{Type: corev1.ServiceTypeLoadBalancer, HealthCheckNodePort: 31000}}
	if HealthCheck(s) != 0 || Affinity(s) != 0 {
		t.Error("nothing was asked for")
	}
	s.Spec.ExternalTrafficPolicy, s.Spec.SessionAffinity = corev1.ServiceExternalTrafficPolicyLocal, corev1.ServiceAffinityClientIP
	if HealthCheck(s) != 31000 || Affinity(s) != 3*time.Hour {
		t.Error(HealthCheck(s), Affinity(s))
	}
	s.Spec.SessionAffinityConfig = &corev1.SessionAffinityConfig{ClientIP: &corev1.ClientIPConfig{TimeoutSeconds: ptr(int32(60))}}
	if Affinity(s) != time.Minute {
		t.Error(Affinity(s))
	}
}
