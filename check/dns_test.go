package check

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/plumbnet/plumb/dns"
	"github.com/plumbnet/plumb/snapshot"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// dnsObjects are those of a CoreDNS with an image and a Corefile.
func dnsObjects(image, corefile string) *snapshot.Objects {
	labels := map[string]string{"k8s-app": "kube-dns"}
	o := &snapshot.Objects{Have: map[string]bool{"ConfigMap": true, "Service": true, "Pod": true, "EndpointSlice": true}}
	o.ConfigMaps = []corev1.ConfigMap{
		{ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: "coredns"}, Data: map[string]string{"Corefile": corefile, "NodeHosts": "192.0.2.9 node-a\n"}},
		{ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: "coredns-custom"}, Data: map[string]string{"a.override": "log\n", "b.server": "example.org {\nforward . 192.0.2.53\n}\n"}},
		{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "coredns"}, Data: map[string]string{"Corefile": "another"}},
	}
	o.Pods = []corev1.Pod{{ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: "coredns-1", Labels: labels}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Image: "sidecar:1"}, {Image: image}}}}}
	svc := corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: "kube-dns", Labels: labels}}
	svc.Spec.ClusterIPs = []string{"10.96.0.10", "fd00::10"}
	o.Services = []corev1.Service{svc}
	return o
}

func TestFindCoreDNS(t *testing.T) {
	const corefile = ".:53 {\nimport custom/*.override\nhosts /etc/coredns/NodeHosts {\nfallthrough\n}\nkubernetes corp.local\n}\nimport custom/*.server\n"
	for _, row := range []struct {
		image, version string
		known          bool
	}{
		{"registry.k8s.io/coredns/coredns:v1.12.1", "1.12.1", true},
		{"mirror:5000/eks/coredns:v1.11.1-eksbuild.9@sha256:0123", "1.11.1", true},
		{"rancher/mirrored-coredns-coredns:1.10.1", "1.10.1", true},
		{"coredns/coredns:latest", "", true},
		{"corp/dns:v1.2.3", "", false},
	} {
		d := FindCoreDNS(dnsObjects(row.image, corefile), nil)
		if d == nil || d.Refusal != nil || d.Version != row.version || d.Known != row.known {
			t.Fatalf("%s: got %+v", row.image, d)
		}
		k := d.Kubelet()
		if k.Domain != "corp.local" || fmt.Sprint(k.DNS) != "[10.96.0.10]" || !d.Serves(netip.MustParseAddr("fd00::10")) || d.Serves(netip.MustParseAddr("10.96.0.11")) {
			t.Errorf("%s: kubelets have %+v", row.image, k)
		}
		for q, want := range map[string]string{"node-a": "192.0.2.9", "www.example.org": "192.0.2.53:53"} {
			a := d.Corefile.Ask(dns.Query{Name: q, Type: "A"}, dns.Env{})
			if got := fmt.Sprint(a.Addrs(), a.Upstreams); !strings.Contains(got, want) {
				t.Errorf("%s: got %s %s", q, got, a.Why)
			}
		}
	}
	if d := FindCoreDNS(&snapshot.Objects{}, nil); d != nil {
		t.Errorf("found %+v in nothing", d)
	}
	if d := FindCoreDNS(dnsObjects("coredns:1.6.2", ".:53 {\nfroward . 1.1.1.1\n}"), nil); d.Corefile != nil || d.Refusal == nil {
		t.Errorf("a Corefile with a fault is read: %+v", d)
	}
}

func TestPodDNS(t *testing.T) {
	two := "2"
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "shop"}, Spec: corev1.PodSpec{DNSPolicy: corev1.DNSNone, HostNetwork: true,
		DNSConfig: &corev1.PodDNSConfig{Nameservers: []string{"1.1.1.1"}, Searches: []string{"a.b"}, Options: []corev1.PodDNSConfigOption{{Name: "ndots", Value: &two}, {Name: "edns0"}}}}}
	want := dns.PodDNS{Namespace: "shop", Policy: "None", HostNetwork: true, Config: true, Servers: []string{"1.1.1.1"}, Search: []string{"a.b"}, Options: []string{"ndots:2", "edns0"}}
	if diff := cmp.Diff(want, PodDNS(p)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestDNSCluster(t *testing.T) {
	no, name, port, tcp, host := false, "http", int32(8080), corev1.ProtocolTCP, "db-0"
	o := &snapshot.Objects{Have: map[string]bool{"Service": true, "EndpointSlice": true, "Pod": true}}
	db := corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "db"}, Spec: corev1.ServiceSpec{ClusterIP: "None", Ports: []corev1.ServicePort{{Name: "http", Port: 80}}}}
	out := corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "out"}, Spec: corev1.ServiceSpec{Type: corev1.ServiceTypeExternalName, ExternalName: "www.example.org", ClusterIP: "None"}}
	o.Services = []corev1.Service{db, out}
	o.EndpointSlices = []discoveryv1.EndpointSlice{{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "db-1", Labels: map[string]string{discoveryv1.LabelServiceName: "db"}},
		Ports: []discoveryv1.EndpointPort{{Name: &name, Port: &port, Protocol: &tcp}, {}},
		Endpoints: []discoveryv1.Endpoint{{Addresses: []string{"10.0.0.1"}, Hostname: &host}, {Addresses: []string{"10.0.0.2"}, Conditions: discoveryv1.EndpointConditions{Ready: &no}},
			{Addresses: []string{"nonsense"}}, {Addresses: []string{"10.0.0.3"}, TargetRef: &corev1.ObjectReference{Name: "db-x"}}}}}
	now := metav1.Now()
	o.Pods = []corev1.Pod{{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "a"}, Status: corev1.PodStatus{PodIPs: []corev1.PodIP{{IP: "10.0.0.1"}}}},
		{ObjectMeta: metav1.ObjectMeta{Namespace: "gone", Name: "b", DeletionTimestamp: &now}}}
	c := DNSCluster(o)
	ports := []dns.Port{{Name: "http", Proto: "TCP", Number: 8080}, {Number: -1}}
	want := []dns.Service{
		{Namespace: "shop", Name: "db", Headless: true, Ports: []dns.Port{{Name: "http", Proto: "TCP", Number: 80}},
			Slices: []dns.Slice{{Ports: ports, Endpoints: []dns.Endpoint{{Addr: netip.MustParseAddr("10.0.0.1"), Hostname: "db-0"}, {Addr: netip.MustParseAddr("10.0.0.3"), Pod: "db-x"}}}}},
		{Namespace: "shop", Name: "out", ExternalName: "www.example.org"},
	}
	if diff := cmp.Diff(want, c.Services, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if fmt.Sprint(c.Namespaces, c.Missing, len(c.Pods)) != "[shop shop shop gone] [Namespace] 1" {
		t.Errorf("got %v, missing %v, %d Pods", c.Namespaces, c.Missing, len(c.Pods))
	}
}
