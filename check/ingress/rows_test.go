package ingress

import (
	"testing"

	"github.com/plumbnet/plumb/check"
	"github.com/plumbnet/plumb/check/checktest"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// put adds an Ingress of namespace shop for host and "/" to a Service's port 80.
func put(f *checktest.Facts, name, class, host, service string) *networkingv1.Ingress {
	typ := networkingv1.PathTypePrefix
	in := networkingv1.Ingress{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name}}
	if class != "" {
		in.Spec.IngressClassName = &class
	}
	in.Spec.Rules = []networkingv1.IngressRule{{Host: host, IngressRuleValue: networkingv1.IngressRuleValue{HTTP: &networkingv1.HTTPIngressRuleValue{Paths: []networkingv1.HTTPIngressPath{{
		Path: "/", PathType: &typ, Backend: networkingv1.IngressBackend{Service: &networkingv1.IngressServiceBackend{Name: service, Port: networkingv1.ServiceBackendPort{Number: 80}}}}}}}}}
	f.Objects.Ingresses = append(f.Objects.Ingresses, in)
	f.Objects.Have["Ingress"], f.Objects.Have["IngressClass"] = true, true
	f.Objects.IngressClasses = []networkingv1.IngressClass{{ObjectMeta: metav1.ObjectMeta{Name: "nginx"}, Spec: networkingv1.IngressClassSpec{Controller: "k8s.io/ingress-nginx"}}}
	return &f.Objects.Ingresses[len(f.Objects.Ingresses)-1]
}

func TestRows(t *testing.T) {
	const at = "error: ingress/shop/a: route-backend-missing: requests for x.io / are sent nowhere: "
	checktest.Rows(t, checktest.Flannel, []*check.Check{Class, Refused, Backend, Twice}, []checktest.Row{
		{Name: "none at all"},
		{Name: "all is well", Edit: func(f *checktest.Facts) { put(f, "a", "nginx", "x.io", "web") }},
		{Name: "no such Service", Edit: func(f *checktest.Facts) { put(f, "a", "nginx", "x.io", "gone") }, Want: at + "there is no Service shop/gone",
			Fix: []string{"kubectl -n shop edit ingress a"}},
		{Name: "no such port", Edit: func(f *checktest.Facts) {
			put(f, "a", "nginx", "x.io", "web").Spec.Rules[0].HTTP.Paths[0].Backend.Service.Port.Number = 81
		}, Want: at + "Service shop/web has no port 81"},
		{Name: "no class, and nobody acts", Edit: func(f *checktest.Facts) { put(f, "a", "", "x.io", "web") },
			Want: "warning: ingress/shop/a: route-class-missing: no controller acts on it: it has no class, and there was no default one when it was made"},
		{Name: "no class, and somebody acts all the same", Edit: func(f *checktest.Facts) {
			put(f, "a", "", "x.io", "web").Status.LoadBalancer.Ingress = []networkingv1.IngressLoadBalancerIngress{{IP: "192.0.2.1"}}
		}},
		{Name: "the class of an annotation needs no object", Edit: func(f *checktest.Facts) {
			put(f, "a", "", "x.io", "web").Annotations = map[string]string{"kubernetes.io/ingress.class": "gce"}
		}},
		{Name: "twice, the same Service", Edit: func(f *checktest.Facts) { put(f, "a", "nginx", "x.io", "web"); put(f, "b", "nginx", "x.io", "web") }},
		{Name: "twice, of two classes", Edit: func(f *checktest.Facts) {
			put(f, "a", "nginx", "x.io", "web")
			put(f, "b", "other", "x.io", "api").Status.LoadBalancer.Ingress = []networkingv1.IngressLoadBalancerIngress{{Hostname: "lb.example.com"}}
		}},
		{Name: "twice, any host", Edit: func(f *checktest.Facts) { put(f, "a", "nginx", "", "web"); put(f, "b", "nginx", "", "api") }},
		{Name: "twice", Edit: func(f *checktest.Facts) { put(f, "a", "nginx", "x.io", "web"); put(f, "b", "nginx", "x.io", "api") },
			Want: "warning: ingress/shop/b: route-host-twice: it and Ingress/shop/a both have x.io /, and send it to api and web"},
		{Name: "twice, the other is a canary", Edit: func(f *checktest.Facts) {
			put(f, "a", "nginx", "x.io", "web")
			put(f, "b", "nginx", "x.io", "api").Annotations = map[string]string{"nginx.ingress.kubernetes.io/canary": "true"}
		}},
		{Name: "a Gateway without its class", Edit: func(f *checktest.Facts) {
			f.Objects.Gateways = []gatewayv1.Gateway{{ObjectMeta: metav1.ObjectMeta{Namespace: "infra", Name: "edge"}, Spec: gatewayv1.GatewaySpec{GatewayClassName: "gone"}}}
			f.Objects.Have["GatewayClass"] = true
		}, Want: "warning: gateway/infra/edge: route-class-missing: no controller acts on it: there is no GatewayClass gone"},
		{Name: "a share that weighs nothing", Edit: func(f *checktest.Facts) {
			var none int32
			port := gatewayv1.PortNumber(80)
			f.Objects.Gateways = []gatewayv1.Gateway{{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "edge"}, Spec: gatewayv1.GatewaySpec{Listeners: []gatewayv1.Listener{{Name: "web", Port: 80, Protocol: gatewayv1.HTTPProtocolType}}}}}
			to := gatewayv1.HTTPBackendRef{BackendRef: gatewayv1.BackendRef{Weight: &none, BackendObjectReference: gatewayv1.BackendObjectReference{Name: "gone", Port: &port}}}
			f.Objects.HTTPRoutes = []gatewayv1.HTTPRoute{{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "a"}, Spec: gatewayv1.HTTPRouteSpec{
				CommonRouteSpec: gatewayv1.CommonRouteSpec{ParentRefs: []gatewayv1.ParentReference{{Name: "edge"}}}, Rules: []gatewayv1.HTTPRouteRule{{BackendRefs: []gatewayv1.HTTPBackendRef{to}}}}}}
		}},
		{Name: "Services were not collected", Without: []string{"objects/services.json"}, Edit: func(f *checktest.Facts) {
			put(f, "a", "nginx", "x.io", "web")
			f.Objects.Services = []corev1.Service{}
		}, Want: "? objects/Service: route-backend-missing: not collected"},
	})
}
