package proxy

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/plumbnet/plumb/service"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/klog/v2"
	"k8s.io/kubernetes/pkg/proxy"
)

// An answer is what one of the two says of one port and family of a Service on one node.
type answer struct {
	Addrs, Sources                     []string
	NodePort, Health, Sticky           int
	Cluster, Local, Reached            []string
	Any, UsesCluster, UsesLocal, Known bool
}

// TestCategorize compares with what kube-proxy makes of the same objects: its readers of Services and
// EndpointSlices, and its CategorizeEndpoints. The packet flows of kube-proxy's own tests are compared
// elsewhere, with the rules that they come with (lab/agree/oracle): of the Services behind those rules nothing
// is told, and objects made up from the rules would hold the answers already.
func TestCategorize(t *testing.T) {
	klog.LogToStderr(false)
	klog.SetOutput(io.Discard)
	r := rand.New(rand.NewPCG(1, 4))
	services, n, wrong := 4000, 0, 0
	for range services {
		s, sl := random(r)
		for _, node := range nodes {
			for i := range s.Spec.Ports {
				for _, is6 := range []bool{false, true} {
					n++
					got, want := ours(s, sl, i, is6, node), theirs(s, sl, i, is6, node)
					if d := cmp.Diff(want, got); d != "" {
						wrong++
						t.Errorf("%+v\n%+v\non %+v, port %d, IPv6 %v (-kube-proxy +plumb):\n%s", s.Spec, sl, node, i, is6, d)
						if wrong > 3 {
							t.FailNow()
						}
					}
				}
			}
		}
	}
	fmt.Printf("agree: service and kube-proxy: %d random Services, %d comparisons, %d disagreements, 0 explained\n", services, n, wrong)
}

func ours(s *corev1.Service, sl []discoveryv1.EndpointSlice, port int, is6 bool, n service.Node) (a answer) {
	var all []service.Endpoint
	for i := range sl {
		all = service.Append(all, &sl[i])
	}
	sp := &s.Spec.Ports[port]
	c := service.Choose(service.Of(service.Sort(all), sp, is6), n)
	fronts := service.Fronts(s, sp, is6)
	a.Known = len(fronts) > 0
	if !a.Known {
		return a
	}
	a.Any, a.Health, a.Sticky = c.Any, int(service.HealthCheck(s)), int(service.Affinity(s).Seconds())
	reached := map[string]bool{}
	for _, f := range fronts {
		switch {
		case f.Kind == service.NodePort:
			a.NodePort = int(f.Addr.Port())
		default:
			a.Addrs = append(a.Addrs, f.Addr.String())
		}
		for _, p := range f.Sources {
			a.Sources = append(a.Sources, p.String())
		}
		for _, internal := range []bool{true, false} {
			a.UsesLocal = a.UsesLocal || f.Local && (f.Kind == service.ClusterIP || !internal)
			a.UsesCluster = a.UsesCluster || !f.Local || f.Kind != service.ClusterIP && internal
			for _, e := range c.To(f, internal) {
				reached[e.Addr.String()] = true
			}
		}
	}
	for e := range reached {
		a.Reached = append(a.Reached, e)
	}
	if a.UsesCluster {
		a.Cluster = names(c.Cluster)
	}
	if a.UsesLocal {
		a.Local = names(c.Local)
	}
	return a.sorted()
}

func names(list []service.Endpoint) (out []string) {
	for _, e := range list {
		out = append(out, e.Addr.String())
	}
	return out
}

func theirs(s *corev1.Service, sl []discoveryv1.EndpointSlice, port int, is6 bool, n service.Node) (a answer) {
	family := corev1.IPv4Protocol
	if is6 {
		family = corev1.IPv6Protocol
	}
	st, sm := proxy.NewServiceChangeTracker(family, nil, nil), proxy.ServicePortMap{}
	st.Update(nil, s)
	sm.Update(st)
	et, em := proxy.NewEndpointsChangeTracker(family, n.Name, nil, nil), proxy.EndpointsMap{}
	for i := range sl {
		et.EndpointSliceUpdate(&sl[i], false)
	}
	em.Update(et)
	sp := s.Spec.Ports[port]
	for name, info := range sm {
		if name.Port != sp.Name {
			continue
		}
		a.Known, a.NodePort, a.Health, a.Sticky = true, info.NodePort(), info.HealthCheckNodePort(), info.StickyMaxAgeSeconds()
		for _, ip := range slices.Concat([]fmt.Stringer{info.ClusterIP()}, strs(info.ExternalIPs()), strs(info.LoadBalancerVIPs())) {
			a.Addrs = append(a.Addrs, netip.AddrPortFrom(netip.MustParseAddr(ip.String()), uint16(info.Port())).String())
		}
		for range info.LoadBalancerVIPs() {
			for _, p := range info.LoadBalancerSourceRanges() {
				a.Sources = append(a.Sources, p.String())
			}
		}
		cluster, local, all, some := proxy.CategorizeEndpoints(em[name], info, n.Name, map[string]string{corev1.LabelTopologyZone: n.Zone})
		a.Cluster, a.Local, a.Reached, a.Any = list(cluster), list(local), list(all), some
		a.UsesCluster, a.UsesLocal = info.UsesClusterEndpoints(), info.UsesLocalEndpoints()
	}
	return a.sorted()
}

func strs[T fmt.Stringer](list []T) (out []fmt.Stringer) {
	for _, s := range list {
		out = append(out, s)
	}
	return out
}

func list(all []proxy.Endpoint) (out []string) {
	for _, e := range all {
		out = append(out, e.String())
	}
	return out
}

func (a answer) sorted() answer {
	for _, l := range []*[]string{&a.Addrs, &a.Sources, &a.Cluster, &a.Local, &a.Reached} {
		slices.Sort(*l)
		if len(*l) == 0 {
			*l = nil
		}
	}
	return a
}

var nodes = []service.Node{{Name: "a", Zone: "eu-1"}, {Name: "b", Zone: "eu-2"}, {Name: "c"}}

// random makes a Service of any shape that the API server takes, and its slices.
func random(r *rand.Rand) (*corev1.Service, []discoveryv1.EndpointSlice) {
	s := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "api"}}
	s.Spec.Type = pick(r, corev1.ServiceTypeClusterIP, corev1.ServiceTypeNodePort, corev1.ServiceTypeLoadBalancer, corev1.ServiceTypeLoadBalancer, corev1.ServiceTypeExternalName)
	s.Spec.ClusterIPs = pick(r, []string{"10.96.0.1"}, []string{"fd00::1"}, []string{"10.96.0.1", "fd00::1"}, []string{"fd00::1", "10.96.0.1"}, []string{"None"})
	if s.Spec.Type == corev1.ServiceTypeExternalName {
		s.Spec.ClusterIPs = []string{""}
	} else if s.Spec.Type != corev1.ServiceTypeClusterIP && s.Spec.ClusterIPs[0] == "None" {
		s.Spec.ClusterIPs = []string{"10.96.0.1"}
	}
	s.Spec.ClusterIP = s.Spec.ClusterIPs[0]
	for _, ip := range s.Spec.ClusterIPs {
		if a, err := netip.ParseAddr(ip); err == nil {
			s.Spec.IPFamilies = append(s.Spec.IPFamilies, map[bool]corev1.IPFamily{false: corev1.IPv4Protocol, true: corev1.IPv6Protocol}[a.Is6()])
		}
	}
	s.Spec.InternalTrafficPolicy = pick(r, nil, ptr(corev1.ServiceInternalTrafficPolicyCluster), ptr(corev1.ServiceInternalTrafficPolicyLocal))
	s.Spec.ExternalIPs = pick(r, nil, nil, []string{"192.0.2.1"}, []string{"192.0.2.1", "2001:db8::1"})
	if s.Spec.Type == corev1.ServiceTypeNodePort || s.Spec.Type == corev1.ServiceTypeLoadBalancer || len(s.Spec.ExternalIPs) > 0 {
		s.Spec.ExternalTrafficPolicy = pick(r, corev1.ServiceExternalTrafficPolicyCluster, corev1.ServiceExternalTrafficPolicyLocal)
	}
	if s.Spec.Type == corev1.ServiceTypeLoadBalancer {
		if s.Spec.ExternalTrafficPolicy == corev1.ServiceExternalTrafficPolicyLocal {
			s.Spec.HealthCheckNodePort = 31000
		}
		s.Spec.LoadBalancerSourceRanges = pick(r, nil, []string{" 203.0.113.0/24 "}, []string{"203.0.113.0/24", "0.0.0.0/0"}, []string{"203.0.113.0/24", "2001:db8::/32"})
		s.Status.LoadBalancer.Ingress = pick(r, nil, []corev1.LoadBalancerIngress{{IP: "192.0.2.9"}, {IP: "2001:db8::9", IPMode: ptr(corev1.LoadBalancerIPModeVIP)}},
			[]corev1.LoadBalancerIngress{{IP: "192.0.2.9", IPMode: ptr(corev1.LoadBalancerIPModeProxy)}}, []corev1.LoadBalancerIngress{{Hostname: "lb.example.com"}})
	}
	if r.IntN(4) == 0 {
		s.Spec.SessionAffinity = corev1.ServiceAffinityClientIP
		s.Spec.SessionAffinityConfig = &corev1.SessionAffinityConfig{ClientIP: &corev1.ClientIPConfig{TimeoutSeconds: ptr(int32(1 + r.IntN(86400)))}}
	}
	for i, name := range pick(r, []string{""}, []string{"http", "dns"}) {
		p := corev1.ServicePort{Name: name, Port: int32(80 + i), Protocol: pick(r, corev1.ProtocolTCP, corev1.ProtocolUDP)}
		if s.Spec.Type == corev1.ServiceTypeNodePort || s.Spec.Type == corev1.ServiceTypeLoadBalancer && r.IntN(3) > 0 {
			p.NodePort = int32(30000 + i)
		}
		s.Spec.Ports = append(s.Spec.Ports, p)
	}
	var out []discoveryv1.EndpointSlice
	hints := r.IntN(4) // none, some, all for zones, all for nodes
	for i := range r.IntN(4) {
		out = append(out, slice(r, s, i, hints))
	}
	return s, out
}

// slice makes an EndpointSlice. Some addresses come twice, of which one ends, and the other does not: of
// others kube-proxy takes any.
func slice(r *rand.Rand, s *corev1.Service, i, hints int) discoveryv1.EndpointSlice {
	is6 := r.IntN(2) == 1
	out := discoveryv1.EndpointSlice{AddressType: discoveryv1.AddressTypeIPv4,
		ObjectMeta: metav1.ObjectMeta{Namespace: s.Namespace, Name: fmt.Sprint("api-", i), Labels: map[string]string{discoveryv1.LabelServiceName: s.Name}}}
	if is6 {
		out.AddressType = discoveryv1.AddressTypeIPv6
	}
	for j := range s.Spec.Ports {
		out.Ports = append(out.Ports, discoveryv1.EndpointPort{Name: &s.Spec.Ports[j].Name, Protocol: &s.Spec.Ports[j].Protocol, Port: pick(r, ptr(int32(8080)), ptr(int32(8080)), ptr(int32(8080)), nil)})
	}
	for k := range r.IntN(4) {
		e := discoveryv1.Endpoint{NodeName: pick(r, nil, ptr("a"), ptr("b"), ptr("c"))}
		cond := []*bool{nil, ptr(true), ptr(false)}
		e.Conditions = discoveryv1.EndpointConditions{Ready: pick(r, cond...), Serving: pick(r, cond...), Terminating: pick(r, cond...)}
		host := 16*i + k
		ends := i > 0 && r.IntN(5) == 0
		switch {
		case ends: // one of the first slice has its address by now
			host, e = k, discoveryv1.Endpoint{Conditions: discoveryv1.EndpointConditions{Ready: ptr(false), Serving: ptr(true), Terminating: ptr(true)}}
		case i == 0:
			e.Conditions.Terminating = pick(r, nil, ptr(false))
		}
		e.Addresses = []string{fmt.Sprintf("10.244.0.%d", 1+host)}
		if is6 {
			e.Addresses = []string{fmt.Sprintf("fd01::%x", 1+host)}
		}
		if !ends && (hints == 1 && r.IntN(2) == 0 || hints > 1) {
			e.Hints = &discoveryv1.EndpointHints{}
			if hints != 3 || r.IntN(2) == 0 {
				e.Hints.ForZones = pick(r, []discoveryv1.ForZone{{Name: "eu-1"}}, []discoveryv1.ForZone{{Name: "eu-2"}}, []discoveryv1.ForZone{{Name: "eu-1"}, {Name: "eu-3"}})
			}
			if hints == 3 || r.IntN(3) == 0 {
				e.Hints.ForNodes = pick(r, []discoveryv1.ForNode{{Name: "a"}}, []discoveryv1.ForNode{{Name: "b"}})
			}
		}
		out.Endpoints = append(out.Endpoints, e)
	}
	return out
}

func pick[T any](r *rand.Rand, of ...T) T { return of[r.IntN(len(of))] }

func ptr[T any](v T) *T { return &v }
