package trafficpolicy

import (
	"slices"
	"testing"

	"github.com/plumbnet/plumb/check"
	"github.com/plumbnet/plumb/check/checktest"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
)

// unready sets the endpoints of a Service on nodes not ready.
func unready(f *checktest.Facts, service string, nodes ...string) {
	no := false
	for i := range f.Objects.EndpointSlices {
		s := &f.Objects.EndpointSlices[i]
		for j := range s.Endpoints {
			if e := &s.Endpoints[j]; s.Labels[discoveryv1.LabelServiceName] == service && slices.Contains(nodes, *e.NodeName) {
				e.Conditions = discoveryv1.EndpointConditions{Ready: &no}
			}
		}
	}
}

func front(nodes ...string) func(*checktest.Facts) {
	return func(f *checktest.Facts) { unready(f, "front-local", nodes...) }
}

func TestLocal(t *testing.T) {
	const says = "info: service/shop/front-local: traffic-policy-local: externalTrafficPolicy is Local, and "
	local := corev1.ServiceInternalTrafficPolicyLocal
	checktest.Rows(t, checktest.Flannel, []*check.Check{Check}, []checktest.Row{
		{Name: "as recorded: each node has an endpoint"},
		{Name: "one node without", Edit: front("node-b"), Want: says + "1 of 3 nodes have no endpoint of port 80: node-b",
			Fix: []string{`kubectl -n shop patch service front-local -p '{"spec":{"externalTrafficPolicy":"Cluster"}}'`}},
		{Name: "two without", Edit: front("node-c", "node-a"), Want: says + "2 of 3 nodes have no endpoint of port 80: node-a node-c"},
		{Name: "policy Cluster", Edit: func(f *checktest.Facts) {
			front("node-b")(f)
			f.Service("shop/front-local").Spec.ExternalTrafficPolicy = corev1.ServiceExternalTrafficPolicyCluster
		}},
		{Name: "no endpoint at all: no-endpoints says it", Edit: func(f *checktest.Facts) {
			f.Objects.EndpointSlices = slices.DeleteFunc(f.Objects.EndpointSlices, func(s discoveryv1.EndpointSlice) bool { return s.Labels[discoveryv1.LabelServiceName] == "front-local" })
		}},
		{Name: "no policy inside the cluster is written, as before Kubernetes 1.26", Edit: func(f *checktest.Facts) {
			for i := range f.Objects.Services {
				f.Objects.Services[i].Spec.InternalTrafficPolicy = nil
			}
		}},
		{Name: "inside the cluster", Edit: func(f *checktest.Facts) {
			unready(f, "web", "node-c")
			f.Service("shop/web").Spec.InternalTrafficPolicy = &local
		}, Want: "info: service/shop/web: traffic-policy-local: internalTrafficPolicy is Local, and 1 of 3 nodes have no endpoint of port 80: node-c",
			Fix: []string{`kubectl -n shop patch service web -p '{"spec":{"internalTrafficPolicy":"Cluster"}}'`}},
		{Name: "the node port of a node with one", Edit: front("node-b"), Ask: "from 203.0.113.10\nto 192.168.10.11:30090", Want: says + "1 of 3 nodes have no endpoint of port 80: node-b"},
		{Name: "endpoints were not collected", Without: []string{"objects/endpointslices.json"}, Want: "? objects/EndpointSlice: traffic-policy-local: not collected"},
	})
}
