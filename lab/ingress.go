//go:build linux

package lab

import (
	"io"
	"net"
	"strconv"
	"time"

	"github.com/plumbnet/plumb/lab/sandbox"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// The Pod that is an Ingress controller's once [Lab.Ingress] has made it so, and what it serves.
const (
	IngressPod  = "shop/web-2"
	IngressPort = ":8088"
	IngressURL  = "http://shop.example/"
	class       = "nginx"
)

// Ingress gives the cluster an Ingress for the API, and a controller: one Pod, which has the labels of
// ingress-nginx, and passes what it receives on to the first endpoint that the objects name. It looks at no
// request: where there is no endpoint, or none to be reached, it closes the connection.
func (l *Lab) Ingress() error {
	prefix := networkingv1.PathTypePrefix
	name := class
	to := networkingv1.IngressBackend{Service: &networkingv1.IngressServiceBackend{Name: "api", Port: networkingv1.ServiceBackendPort{Number: l.Service("shop/api").Spec.Ports[0].Port}}}
	l.Objects.IngressClasses = []networkingv1.IngressClass{{TypeMeta: kind("networking.k8s.io/v1", "IngressClass"), ObjectMeta: metav1.ObjectMeta{Name: class},
		Spec: networkingv1.IngressClassSpec{Controller: "k8s.io/ingress-nginx"}}}
	l.Objects.Ingresses = []networkingv1.Ingress{{TypeMeta: kind("networking.k8s.io/v1", "Ingress"), ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "shop"},
		Spec: networkingv1.IngressSpec{IngressClassName: &name, Rules: []networkingv1.IngressRule{{Host: "shop.example", IngressRuleValue: networkingv1.IngressRuleValue{
			HTTP: &networkingv1.HTTPIngressRuleValue{Paths: []networkingv1.HTTPIngressPath{{Path: "/", PathType: &prefix, Backend: to}}}}}}}}}
	pod := l.PodObject(IngressPod)
	pod.Labels["app.kubernetes.io/name"], pod.Labels["app.kubernetes.io/component"] = "ingress-nginx", "controller"
	return l.listen(l.Pod(IngressPod).NS, "tcp", IngressPort, l.pass)
}

// backend returns where the controller connects to, "" for nowhere.
func (l *Lab) backend() string {
	in := l.Objects.Ingresses[0].Spec
	if *in.IngressClassName != class {
		return ""
	}
	to := in.Rules[0].HTTP.Paths[0].Backend.Service
	for _, p := range l.Service("shop/" + to.Name).Spec.Ports {
		for _, s := range l.Objects.EndpointSlices {
			if p.Port != to.Port.Number || s.Labels["kubernetes.io/service-name"] != to.Name {
				continue
			}
			for _, e := range s.Endpoints {
				if *e.Conditions.Ready && len(s.Ports) > 0 {
					return net.JoinHostPort(e.Addresses[0], strconv.Itoa(int(*s.Ports[0].Port)))
				}
			}
		}
	}
	return ""
}

// pass passes a connection on to the backend.
func (l *Lab) pass(ns *sandbox.NS, c net.Conn) {
	defer c.Close()
	at := l.backend()
	if at == "" {
		return
	}
	var b net.Conn
	err := ns.Do(func() (err error) {
		b, err = net.DialTimeout("tcp", at, 250*time.Millisecond)
		return err
	})
	if err != nil {
		return
	}
	defer b.Close()
	deadline := time.Now().Add(10 * time.Second)
	c.SetDeadline(deadline)
	b.SetDeadline(deadline)
	go func() {
		io.Copy(b, c)
		b.(*net.TCPConn).CloseWrite()
	}()
	io.Copy(c, b)
}
