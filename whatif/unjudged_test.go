package whatif_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/plumbnet/plumb/snapshot"
	"github.com/plumbnet/plumb/whatif"
)

// TestUnjudged: what is not judged is said, by its field, and makes the answer unsure.
func TestUnjudged(t *testing.T) {
	o, text := base(t)
	// A Service that asks which node a connection comes by, and a workload that reads a node's label.
	over, _, _ := change(t, text, `edit Service shop/web: type: NodePort => type: NodePort, externalTrafficPolicy: Local
edit Deployment data/db: spec: {containers => spec: {nodeSelector: {disk: ssd}, containers`)
	o = whatif.Apply(o, over, nil)
	for _, tt := range []struct{ name, steps, want string }{
		{"an annotation that a controller reads", "edit Ingress shop/site: proxy-body-size: 8m => rewrite-target: /", "Ingress shop/site changes metadata.annotations"},
		{"TLS of an Ingress", "edit Ingress shop/site: secretName: shop => secretName: shop-2", "Ingress shop/site changes spec.tls"},
		{"TLS of an Ingress gone", "edit Ingress shop/site: tls: [{hosts: [shop.example.com], secretName: shop}] => tls: []", "Ingress shop/site changes spec.tls"},
		{"parameters of a class", "edit IngressClass nginx: controller: k8s.io/ingress-nginx => controller: k8s.io/ingress-nginx, parameters: {kind: ConfigMap, name: x}", "IngressClass nginx changes spec.parameters"},
		{"the class that is the default", "edit IngressClass nginx: {name: nginx} => {name: nginx, annotations: {ingressclass.kubernetes.io/is-default-class: \"true\"}}", "IngressClass nginx changes metadata.annotations"},
		{"parameters of a GatewayClass", "edit GatewayClass edge: controllerName => parametersRef: {group: \"\", kind: ConfigMap, name: x}, controllerName", "GatewayClass edge changes spec.parametersRef"},
		{"a certificate of a listener", "edit Gateway monitoring/edge: [{name: prom}] => [{name: prom-2}]", "Gateway monitoring/edge changes spec.listeners"},
		{"addresses of a Gateway", "edit Gateway monitoring/edge: gatewayClassName: edge => gatewayClassName: edge⏎    addresses: [{value: 192.0.2.1}]", "Gateway monitoring/edge changes spec.addresses"},
		{"a filter of a route", "edit HTTPRoute shop/api: value: edge => value: core", "HTTPRoute shop/api changes spec.rules"},
		{"a timeout of a route", "edit HTTPRoute shop/api: - matches: [{path: {value: /db}}] => - timeouts: {request: 1s}⏎      matches: [{path: {value: /db}}]", "HTTPRoute shop/api changes spec.rules"},
		{"the protocol of a Service's port", "edit Service shop/api: targetPort: 8080 => targetPort: 8080, appProtocol: kubernetes.io/h2c", "Service shop/api changes spec.ports"},
		{"a load balancer's annotation", "edit Service shop/api: name: api} => name: api, annotations: {service.beta.kubernetes.io/aws-load-balancer-internal: \"true\"}}", "Service shop/api changes metadata.annotations"},
		{"a load balancer's address", "edit Service shop/web: clusterIP => loadBalancerIP: 192.0.2.1, clusterIP", "Service shop/web changes spec.loadBalancerIP"},
		{"a slice that the control plane writes", "edit EndpointSlice shop/api-x1: 10.1.0.15 => 10.1.0.16", "EndpointSlice shop/api-x1 changes"},
		{"a slice that the control plane writes deleted", "delete EndpointSlice/shop/api-x1", "EndpointSlice shop/api-x1 changes"},
		{"hints of a slice by hand", "edit EndpointSlice data/legacy-1: [198.51.100.4] => [198.51.100.4], hints: {forZones: [{name: z}]}", "EndpointSlice data/legacy-1 changes endpoints"},
		{"taints", "edit Node a: {podCIDR: 10.1.0.0/24} => {podCIDR: 10.1.0.0/24, taints: [{key: x, effect: NoExecute}]}", "Node a changes spec.taints"},
		{"another range of Pods", "edit Node a: podCIDR: 10.1.0.0/24 => unschedulable: true", "Node a changes spec.unschedulable"},
		{"zone of a node", "edit Node a: metadata: {name: a} => metadata: {name: a, labels: {topology.kubernetes.io/zone: z1}}", "Node a changes label topology.kubernetes.io/zone"},
		{"a label of a node that a workload reads", "edit Node a: metadata: {name: a} => metadata: {name: a, labels: {disk: hdd}}", "Node a changes label disk"},
		{"a node deleted", "delete Node//b", "Node b changes"},
		{"a node that is new", "new {apiVersion: v1, kind: Node, metadata: {name: c}}", "Node c changes"},
		{"dnsPolicy", "edit Deployment shop/api: spec: {containers => spec: {dnsPolicy: Default, containers", "Deployment shop/api changes dnsPolicy"},
		{"dnsConfig", "edit Deployment shop/api: spec: {containers => spec: {dnsConfig: {options: [{name: ndots, value: \"1\"}]}, containers", "Deployment shop/api changes dnsConfig"},
		{"hostAliases", "edit Deployment shop/api: spec: {containers => spec: {hostAliases: [{ip: 192.0.2.1, hostnames: [db]}], containers", "Deployment shop/api changes hostAliases"},
		{"hostPort", "edit Deployment shop/api: containerPort: 9090 => containerPort: 9090, hostPort: 9090", "Deployment shop/api changes hostPort"},
		{"where Pods run, and a Service asks", "edit Deployment shop/web: spec: {containers => spec: {nodeSelector: {disk: ssd}, containers", "Deployment shop/web changes nodeSelector"},
		{"a network more", "edit Deployment shop/api: {labels: {app: api, tier: back}} => {labels: {app: api, tier: back}, annotations: {k8s.v1.cni.cncf.io/networks: fast}}", "Deployment shop/api changes k8s.v1.cni.cncf.io/networks"},
		{"a sidecar", "edit Deployment shop/api: tier: back => tier: back, sidecar.istio.io/inject: \"true\"", "Deployment shop/api changes sidecar.istio.io/inject"},
		{"sidecars of a namespace", "edit Namespace shop: team: shop => team: shop, istio-injection: enabled", "Namespace shop changes istio-injection"},
		{"kube-proxy", "edit ConfigMap kube-system/kube-proxy: iptables => nftables", "ConfigMap kube-system/kube-proxy changes"},
		{"kube-proxy deleted", "delete ConfigMap/kube-system/kube-proxy", "ConfigMap kube-system/kube-proxy changes"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			over, gone, touched := change(t, text, tt.steps)
			for i := range over.Services { // the base's text does not have what is applied above
				if s := &over.Services[i]; s.Name == "web" {
					s.Spec.ExternalTrafficPolicy = "Local"
				}
			}
			d := whatif.Compare(o, whatif.Apply(o, over, gone), touched)
			got := told(t, d)
			if want := "? " + tt.want + ", and what that does is not judged"; !strings.Contains(got, want) || !d.Unsure() || d.None() {
				t.Errorf("no %q in\n%s", want, got)
			}
		})
	}
}

// TestNodePeers: a label of a node that the nodes peer of a policy reads is judged as any other.
func TestNodePeers(t *testing.T) {
	o, text := base(t)
	over, _, _ := change(t, text, `edit Node a: metadata: {name: a} => metadata: {name: a, labels: {role: storage}}
new {apiVersion: policy.networking.k8s.io/v1alpha2, kind: ClusterNetworkPolicy, metadata: {name: storage}, spec: {tier: Admin, priority: 1, subject: {namespaces: {matchLabels: {team: data}}}, egress: [{action: Deny, to: [{nodes: {matchLabels: {role: storage}}}]}]}}`)
	o = whatif.Apply(o, over, nil)
	for _, tt := range []struct{ name, steps, want string }{
		{"opens", "edit Node a: name: a => name: a, labels: {role: web}", "+ data/db → node a: all ports"},
		{"closes", "edit Node a: name: a => name: a, labels: {role: storage}\nedit Node b: name: b => name: b, labels: {role: storage}", "✗ data/db → node b: all ports"},
		{"stays", "edit Node a: name: a => name: a, labels: {role: storage, rack: r1}", "✓ no change: every connection is answered as before"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			over, gone, touched := change(t, text, tt.steps)
			d := whatif.Compare(o, whatif.Apply(o, over, gone), touched)
			if got := told(t, d); !strings.Contains(got, tt.want) || d.Unsure() || strings.Count(got, "→") > 1 {
				t.Errorf("no %q alone in\n%s", tt.want, got)
			}
		})
	}
}

// TestApplyKeepsState: the state of an object is its controller's, and what is new is younger than all.
func TestApplyKeepsState(t *testing.T) {
	o, text := base(t)
	over, _, _ := change(t, text, "edit Ingress shop/site: 192.0.2.10 => 192.0.2.11\nedit Node a: name: a => name: a, labels: {x: z}\nnew "+
		"{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {namespace: shop, name: other}, spec: {ingressClassName: nginx}, status: {loadBalancer: {ingress: [{ip: 192.0.2.9}]}}}")
	over.Nodes[0].Status.Addresses, over.Nodes[0].Spec.PodCIDR = nil, ""
	is := whatif.Apply(o, over, nil)
	got := map[string]string{}
	for _, in := range is.Ingresses {
		got[in.Name] = ""
		for _, at := range in.Status.LoadBalancer.Ingress {
			got[in.Name] += at.IP
		}
	}
	if d := cmp.Diff(map[string]string{"site": "192.0.2.10", "other": ""}, got); d != "" {
		t.Error(d)
	}
	if n := is.Nodes[0]; n.Labels["x"] != "z" || n.Spec.PodCIDR != "10.1.0.0/24" || len(n.Status.Addresses) != 1 {
		t.Errorf("%+v", n)
	}
	if other, site := is.Ingresses[0], is.Ingresses[1]; !other.CreationTimestamp.After(site.CreationTimestamp.Time) {
		t.Errorf("%v, %v", other.CreationTimestamp, site.CreationTimestamp)
	}
}

// TestApplyReplaces: a workload makes its Pods again, but not one that goes, or that wants none.
func TestApplyReplaces(t *testing.T) {
	for _, tt := range []struct {
		name, steps string
		want        int
	}{
		{"the Pod alone", "delete Pod/shop/web-66b-0", 2},
		{"with its workload", "delete Pod/shop/web-66b-0\ndelete Deployment/shop/web", 0},
		{"of a workload that wants none", "delete Pod/shop/web-66b-0\nedit Deployment shop/web: replicas: 2 => replicas: 0", 0},
		{"with its namespace", "delete Pod/shop/web-66b-0\ndelete Namespace//shop", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o, text := base(t)
			over, gone, _ := change(t, text, tt.steps)
			n := 0
			for _, p := range whatif.Apply(o, over, gone).Pods {
				if strings.HasPrefix(p.Name, "web-") {
					n++
				}
			}
			if n != tt.want {
				t.Errorf("%d Pods, want %d", n, tt.want)
			}
		})
	}
	o, _ := base(t)
	o.Pods[0].OwnerReferences = nil
	key := snapshot.Key("Pod", o.Pods[0].Namespace, o.Pods[0].Name)
	if is := whatif.Apply(o, &snapshot.Objects{}, map[string]bool{key: true}); len(is.Pods) != len(o.Pods)-1 {
		t.Error("one that nobody made is made again")
	}
}
