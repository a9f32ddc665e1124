package check

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/plumbnet/plumb/network"
	"github.com/plumbnet/plumb/snapshot"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func ptr[T any](v T) *T { return &v }

func TestUsable(t *testing.T) {
	cond := func(ready, serving, ending *bool) discoveryv1.EndpointConditions {
		return discoveryv1.EndpointConditions{Ready: ready, Serving: serving, Terminating: ending}
	}
	yes, no := ptr(true), ptr(false)
	tests := []struct {
		name string
		eps  map[string]discoveryv1.EndpointConditions
		want []string
	}{
		{"none", nil, nil},
		{"nothing said means ready", map[string]discoveryv1.EndpointConditions{"10.0.0.1": cond(nil, nil, nil)}, []string{"10.0.0.1:8080"}},
		{"only the ready ones", map[string]discoveryv1.EndpointConditions{"10.0.0.1": cond(yes, yes, no), "10.0.0.2": cond(no, no, no)}, []string{"10.0.0.1:8080"}},
		{"those that end but serve, where none is ready", map[string]discoveryv1.EndpointConditions{"10.0.0.1": cond(no, yes, yes), "10.0.0.2": cond(no, no, yes)}, []string{"10.0.0.1:8080"}},
		{"not those that end, where one is ready", map[string]discoveryv1.EndpointConditions{"10.0.0.1": cond(no, yes, yes), "10.0.0.2": cond(yes, yes, no)}, []string{"10.0.0.2:8080"}},
		{"the other family", map[string]discoveryv1.EndpointConditions{"fd00::1": cond(yes, yes, no)}, nil},
	}
	svc := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "api"}}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			sl := discoveryv1.EndpointSlice{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Labels: map[string]string{discoveryv1.LabelServiceName: "api"}},
				Ports: []discoveryv1.EndpointPort{{Name: ptr("http"), Port: ptr(int32(8080))}}}
			for a, c := range tt.eps {
				sl.Endpoints = append(sl.Endpoints, discoveryv1.Endpoint{Addresses: []string{a}, Conditions: c})
			}
			c := &snapshot.Cluster{Objects: snapshot.Objects{EndpointSlices: []discoveryv1.EndpointSlice{sl}}}
			p := &Pass{Snapshot: c, Network: network.New(c), index: &index{}}
			var got []string
			for _, e := range p.Usable(svc, &corev1.ServicePort{Name: "http"}, false) {
				got = append(got, e.Addr.String())
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestRoleOf(t *testing.T) {
	tests := []struct {
		name   string
		labels map[string]string
		want   Role
	}{
		{"kube-proxy", map[string]string{"k8s-app": "kube-proxy"}, Proxy},
		{"flannel", map[string]string{"app": "flannel", "tier": "node"}, CNI},
		{"calico", map[string]string{"k8s-app": "calico-node"}, CNI},
		{"coredns", map[string]string{"k8s-app": "kube-dns"}, DNS},
		{"an application", map[string]string{"app": "web"}, NoRole},
		{"nothing", nil, NoRole},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := RoleOf(tt.labels); got != tt.want {
				t.Errorf("got %d, want %d", got, tt.want)
			}
		})
	}
}

func TestAbsent(t *testing.T) {
	pod := func(node string, ready corev1.ConditionStatus, phase corev1.PodPhase) corev1.Pod {
		return corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: "kube-proxy-" + node, Labels: map[string]string{"k8s-app": "kube-proxy"},
				OwnerReferences: []metav1.OwnerReference{{Kind: "DaemonSet", Name: "kube-proxy"}}},
			Spec:   corev1.PodSpec{NodeName: node},
			Status: corev1.PodStatus{Phase: phase, Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: ready}}},
		}
	}
	tests := []struct {
		name  string
		pods  []corev1.Pod
		want  []string
		known bool
	}{
		{"none known", nil, nil, false},
		{"everywhere", []corev1.Pod{pod("a", "True", "Running"), pod("b", "True", "Running")}, nil, true},
		{"none on b", []corev1.Pod{pod("a", "True", "Running")}, []string{"b"}, true},
		{"pending on b", []corev1.Pod{pod("a", "True", "Running"), pod("b", "False", "Pending")}, []string{"b kube-proxy-b"}, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := &snapshot.Cluster{Objects: snapshot.Objects{Pods: tt.pods, Nodes: []corev1.Node{{ObjectMeta: metav1.ObjectMeta{Name: "a"}}, {ObjectMeta: metav1.ObjectMeta{Name: "b"}}}}}
			p := &Pass{Snapshot: c, Network: network.New(c), index: &index{}}
			absent, known := p.Absent(Proxy)
			var got []string
			for _, a := range absent {
				s := a.Node
				if a.Pod != nil {
					s += " " + a.Pod.Name
				}
				got = append(got, s)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" || known != tt.known {
				t.Errorf("known %v (-want +got):\n%s", known, diff)
			}
		})
	}
}

func TestClusterIPs(t *testing.T) {
	tests := []struct {
		name string
		spec corev1.ServiceSpec
		want []netip.Addr
	}{
		{"one", corev1.ServiceSpec{ClusterIP: "10.96.0.1"}, []netip.Addr{netip.MustParseAddr("10.96.0.1")}},
		{"both families", corev1.ServiceSpec{ClusterIP: "10.96.0.1", ClusterIPs: []string{"10.96.0.1", "fd00::1"}}, []netip.Addr{netip.MustParseAddr("10.96.0.1"), netip.MustParseAddr("fd00::1")}},
		{"headless", corev1.ServiceSpec{ClusterIP: "None"}, nil},
		{"external name", corev1.ServiceSpec{Type: corev1.ServiceTypeExternalName, ClusterIP: "10.96.0.1"}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := ClusterIPs(&corev1.Service{Spec: tt.spec})
			if diff := cmp.Diff(tt.want, got, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
