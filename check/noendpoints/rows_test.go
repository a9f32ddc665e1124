package noendpoints

import (
	"slices"
	"testing"

	"github.com/plumbnet/plumb/check"
	"github.com/plumbnet/plumb/check/checktest"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// ready sets the readiness of the Pods with the label app.
func ready(f *checktest.Facts, app string, status corev1.ConditionStatus) {
	for i := range f.Objects.Pods {
		if p := &f.Objects.Pods[i]; p.Labels["app"] == app {
			p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: status}}
		}
	}
}

// empty sets the endpoints of the Service shop/web not ready, or takes them away.
func empty(f *checktest.Facts, away bool) {
	f.Objects.EndpointSlices = slices.Clone(f.Objects.EndpointSlices)
	no := false
	for i := range f.Objects.EndpointSlices {
		s := &f.Objects.EndpointSlices[i]
		if s.Labels[discoveryv1.LabelServiceName] != "web" {
			continue
		}
		for j := range s.Endpoints {
			s.Endpoints[j].Conditions = discoveryv1.EndpointConditions{Ready: &no}
		}
		if away {
			s.Endpoints = nil
		}
	}
}

func TestWhy(t *testing.T) {
	const says = "service/shop/web:http: no-endpoints: no endpoints for port 80"
	edit := []string{"kubectl -n shop edit service web"}
	checktest.Rows(t, checktest.Flannel, []*check.Check{Check}, []checktest.Row{
		{Name: "as recorded"},
		{Name: "the selector matches nothing", Edit: func(f *checktest.Facts) {
			empty(f, true)
			f.Service("shop/web").Spec.Selector = map[string]string{"app": "web", "tier": "x"}
		}, Want: "warning: " + says + ": its selector app=web,tier=x matches no Pod", Fix: edit},
		{Name: "Pods of another namespace do not count", Edit: func(f *checktest.Facts) {
			empty(f, true)
			f.Service("shop/web").Spec.Selector = map[string]string{"k8s-app": "kube-dns"}
		}, Want: "warning: " + says + ": its selector k8s-app=kube-dns matches no Pod"},
		{Name: "none is ready", Edit: func(f *checktest.Facts) { empty(f, false); ready(f, "web", corev1.ConditionFalse) },
			Want: "warning: " + says + ": none of the 3 Pods that it selects is ready", Fix: []string{}},
		{Name: "those that have ended are not counted", Edit: func(f *checktest.Facts) {
			empty(f, false)
			ready(f, "web", corev1.ConditionFalse)
			f.Pod("shop/web-0").Status.Phase = corev1.PodFailed
		}, Want: "warning: " + says + ": none of the 2 Pods that it selects is ready"},
		{Name: "the slices are behind", Edit: func(f *checktest.Facts) { empty(f, true) },
			Want: "warning: " + says + ", although 3 Pods that it selects are ready: the EndpointSlices are behind"},
		{Name: "no selector, no endpoints: made by hand", Edit: func(f *checktest.Facts) {
			empty(f, true)
			f.Service("shop/web").Spec.Selector = nil
		}, Want: "info: service/shop/web:http: no-endpoints: the Service has no selector and no endpoints"},
		{Name: "a name of another host has none", Edit: func(f *checktest.Facts) {
			empty(f, true)
			f.Service("shop/web").Spec.Type = corev1.ServiceTypeExternalName
		}},
		{Name: "those that end still serve", Edit: func(f *checktest.Facts) {
			empty(f, false)
			yes, no := true, false
			for i := range f.Objects.EndpointSlices {
				if s := &f.Objects.EndpointSlices[i]; s.Labels[discoveryv1.LabelServiceName] == "web" {
					s.Endpoints[0].Conditions = discoveryv1.EndpointConditions{Ready: &no, Serving: &yes, Terminating: &yes}
				}
			}
		}},
		{Name: "a port without name is named by its number", Edit: func(f *checktest.Facts) {
			f.Service("shop/web").Spec.Ports[0].Name = ""
			f.Service("shop/web").Spec.Ports[0].TargetPort = intstr.FromInt32(8080)
		}, Want: "warning: service/shop/web:80: no-endpoints: no endpoints for port 80, although 3 Pods that it selects are ready: the EndpointSlices are behind"},
		{Name: "endpoints were not collected", Without: []string{"objects/endpointslices.json"}, Want: "? objects/EndpointSlice: no-endpoints: not collected"},
	})
}

func TestPortNames(t *testing.T) {
	const says = "error: service/shop/web:http: port-name: port 80 goes to the port named "
	checktest.Rows(t, checktest.Flannel, []*check.Check{PortName}, []checktest.Row{
		{Name: "as recorded"},
		{Name: "a name that no container has", Edit: func(f *checktest.Facts) { f.Service("shop/web").Spec.Ports[0].TargetPort = intstr.FromString("www") },
			Want: says + `"www", which none of its 3 Pods has; they have http=8080/TCP stats=8080/UDP`, Fix: []string{"kubectl -n shop edit service web"}},
		{Name: "a name of the other protocol", Edit: func(f *checktest.Facts) { f.Service("shop/web").Spec.Ports[0].TargetPort = intstr.FromString("stats") },
			Want: says + `"stats", which none of its 3 Pods has; they have http=8080/TCP stats=8080/UDP`},
		{Name: "a number", Edit: func(f *checktest.Facts) { f.Service("shop/web").Spec.Ports[0].TargetPort = intstr.FromInt32(9) }},
		{Name: "a name that one of the Pods has", Edit: func(f *checktest.Facts) {
			f.Service("shop/web").Spec.Ports[0].TargetPort = intstr.FromString("www")
			f.Pod("shop/web-2").Spec.Containers[0].Ports[0].Name = "www"
		}},
		{Name: "a sidecar's, which is an init container", Edit: func(f *checktest.Facts) {
			f.Service("shop/web").Spec.Ports[0].TargetPort = intstr.FromString("mesh")
			f.Pod("shop/web-2").Spec.InitContainers = []corev1.Container{{Name: "mesh", Ports: []corev1.ContainerPort{{Name: "mesh", ContainerPort: 15001}}}}
		}},
		{Name: "no Pod: no-endpoints says it", Edit: func(f *checktest.Facts) {
			f.Service("shop/web").Spec.Ports[0].TargetPort = intstr.FromString("www")
			f.Service("shop/web").Spec.Selector = map[string]string{"app": "nothing"}
		}},
	})
	checktest.Rows(t, checktest.Flannel, []*check.Check{PortName, Check}, []checktest.Row{
		{Name: "it explains the want of endpoints", Edit: func(f *checktest.Facts) {
			empty(f, true)
			f.Service("shop/web").Spec.Ports[0].TargetPort = intstr.FromString("www")
		}, Want: says + `"www", which none of its 3 Pods has; they have http=8080/TCP stats=8080/UDP` +
			"\n> warning: service/shop/web:http: no-endpoints: no endpoints for port 80, although 3 Pods that it selects are ready: the EndpointSlices are behind"},
	})
}

func TestFamilies(t *testing.T) {
	// of leaves the endpoints of one family ready.
	of := func(family discoveryv1.AddressType) func(*checktest.Facts) {
		return func(f *checktest.Facts) {
			no := false
			for i := range f.Objects.EndpointSlices {
				for j := range f.Objects.EndpointSlices[i].Endpoints {
					if s := &f.Objects.EndpointSlices[i]; s.AddressType != family {
						s.Endpoints[j].Conditions = discoveryv1.EndpointConditions{Ready: &no}
					}
				}
			}
		}
	}
	checktest.Rows(t, checktest.DualStack, []*check.Check{Check}, []checktest.Row{
		{Name: "as recorded, of both families"},
		{Name: "of IPv4 alone", Edit: of(discoveryv1.AddressTypeIPv4)},
		{Name: "of IPv6 alone", Edit: of(discoveryv1.AddressTypeIPv6),
			Want: "info: service/default/kubernetes:https: no-endpoints: the Service has no selector and no endpoints"},
	})
}
