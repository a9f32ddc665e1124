package snapshot

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

const (
	gatewayA = `{"apiVersion":"gateway.networking.k8s.io/v1","kind":"Gateway","metadata":{"namespace":"infra","name":"edge"},"spec":{"gatewayClassName":"edge","listeners":[
		{"name":"tls","port":443,"protocol":"HTTPS","hostname":"*.example.com","tls":{"certificateRefs":[{"name":"cert"}]},"allowedRoutes":{"namespaces":{"from":"All"}}}]},"status":{"addresses":[{"type":"IPAddress","value":"192.0.2.1"}]}}`
	routeB = `{"apiVersion":"gateway.networking.k8s.io/v1beta1","kind":"HTTPRoute","metadata":{"namespace":"shop","name":"b"},"spec":{"parentRefs":[{"namespace":"infra","name":"edge","sectionName":"tls"}],
		"rules":[{"matches":[{"path":{"type":"Exact","value":"/x"},"method":"GET"}],"timeouts":{"request":"10s"},"backendRefs":[{"name":"api","port":80,"weight":3}]}]}}`
	grantC = `{"apiVersion":"gateway.networking.k8s.io/v1beta1","kind":"ReferenceGrant","metadata":{"namespace":"pay","name":"c"},"spec":{"from":[{"group":"gateway.networking.k8s.io","kind":"HTTPRoute","namespace":"shop"}],"to":[{"group":"","kind":"Service"}]}}`
	tcpD   = `{"apiVersion":"gateway.networking.k8s.io/v1alpha2","kind":"TCPRoute","metadata":{"namespace":"shop","name":"d"},"spec":{"parentRefs":[{"name":"edge"}],"rules":[{"backendRefs":[{"name":"db","port":5432}]}]}}`
	classE = `{"apiVersion":"gateway.networking.k8s.io/v1","kind":"GatewayClass","metadata":{"name":"edge"},"spec":{"controllerName":"example.com/edge"}}`
	classF = `{"apiVersion":"networking.k8s.io/v1","kind":"IngressClass","metadata":{"name":"nginx"},"spec":{"controller":"k8s.io/ingress-nginx"}}`
)

// TestGateways reads how connections get in, and writes it again.
func TestGateways(t *testing.T) {
	c := mustRead(t, Files{"objects/all.json": []byte(gatewayA + routeB + grantC + tcpD + classE + classF)})
	if len(c.Gaps) != 0 {
		t.Error(c.Gaps)
	}
	o := &c.Objects
	if len(o.Gateways) != 1 || len(o.HTTPRoutes) != 1 || len(o.ReferenceGrants) != 1 || len(o.TCPRoutes) != 1 || len(o.GatewayClasses) != 1 || len(o.IngressClasses) != 1 {
		t.Fatalf("%+v", o)
	}
	if h := o.HTTPRoutes[0]; h.APIVersion != "gateway.networking.k8s.io/v1" || *h.Spec.Rules[0].BackendRefs[0].Weight != 3 || *h.Spec.Rules[0].Timeouts.Request != "10s" {
		t.Errorf("%+v", h)
	}
	o.Trim()
	files, err := EncodeObjects(o)
	if err != nil {
		t.Fatal(err)
	}
	again := mustRead(t, files)
	if d := cmp.Diff([][]gatewayv1.Gateway{o.Gateways}, [][]gatewayv1.Gateway{again.Objects.Gateways}); d != "" || !again.Objects.Have["TCPRoute"] || !again.Objects.Have["IngressClass"] {
		t.Errorf("(-want +got):\n%s", d)
	}
}
