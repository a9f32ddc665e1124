package whatif_test

import (
	"maps"
	"slices"
	"testing"

	"github.com/plumbnet/plumb/snapshot"
	"github.com/plumbnet/plumb/whatif"
)

// TestDefaults: a file as people write it changes nothing of what an API server, and controllers, made of it.
func TestDefaults(t *testing.T) {
	for _, tt := range []struct{ name, has, file string }{
		{"a Service with node ports", `{apiVersion: v1, kind: Service, metadata: {namespace: shop, name: edge, uid: u, resourceVersion: "7", creationTimestamp: "2026-01-01T00:00:00Z", finalizers: [service.kubernetes.io/load-balancer-cleanup],
  annotations: {kubectl.kubernetes.io/last-applied-configuration: "{}"}},
  spec: {type: LoadBalancer, clusterIP: 10.96.0.40, clusterIPs: [10.96.0.40], ipFamilies: [IPv4], ipFamilyPolicy: SingleStack, internalTrafficPolicy: Cluster, externalTrafficPolicy: Local, healthCheckNodePort: 31999,
    allocateLoadBalancerNodePorts: true, loadBalancerClass: example.com/lb, sessionAffinity: None, selector: {app: web}, ports: [{name: http, port: 80, protocol: TCP, targetPort: 8080, nodePort: 31080}]},
  status: {loadBalancer: {ingress: [{ip: 192.0.2.1}]}}}`,
			`{apiVersion: v1, kind: Service, metadata: {namespace: shop, name: edge}, spec: {type: LoadBalancer, externalTrafficPolicy: Local, selector: {app: web}, ports: [{name: http, port: 80, targetPort: 8080}]}}`},
		{"sessions by address", `{apiVersion: v1, kind: Service, metadata: {namespace: shop, name: sticky}, spec: {clusterIP: 10.96.0.41, sessionAffinity: ClientIP, sessionAffinityConfig: {clientIP: {timeoutSeconds: 10800}}, selector: {app: web}, ports: [{port: 80, protocol: TCP, targetPort: 80}]}}`,
			`{apiVersion: v1, kind: Service, metadata: {namespace: shop, name: sticky}, spec: {sessionAffinity: ClientIP, selector: {app: web}, ports: [{port: 80}]}}`},
		{"an Ingress", `{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {namespace: shop, name: in, creationTimestamp: "2026-01-01T00:00:00Z", generation: 3}, spec: {ingressClassName: nginx, rules: [{host: in.example, http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: web, port: {number: 80}}}}]}}]},
  status: {loadBalancer: {ingress: [{ip: 192.0.2.1, ports: [{port: 80, protocol: TCP}]}]}}}`,
			`{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {namespace: shop, name: in, annotations: {}, labels: {app: in}}, spec: {tls: [], ingressClassName: nginx, rules: [{host: in.example, http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: web, port: {number: 80}}}}]}}]}}`},
		{"a Gateway", `{apiVersion: gateway.networking.k8s.io/v1, kind: Gateway, metadata: {namespace: shop, name: gw}, spec: {gatewayClassName: edge, listeners: [{name: tls, port: 443, protocol: HTTPS, hostname: gw.example,
    tls: {mode: Terminate, certificateRefs: [{group: "", kind: Secret, name: cert}]}, allowedRoutes: {namespaces: {from: Same}, kinds: [{group: gateway.networking.k8s.io, kind: HTTPRoute}]}}]},
  status: {addresses: [{type: IPAddress, value: 192.0.2.3}], listeners: [{name: tls, attachedRoutes: 1, supportedKinds: [], conditions: []}]}}`,
			`{apiVersion: gateway.networking.k8s.io/v1, kind: Gateway, metadata: {namespace: shop, name: gw}, spec: {gatewayClassName: edge, listeners: [{name: tls, port: 443, protocol: HTTPS, hostname: gw.example, tls: {certificateRefs: [{name: cert}]}}]}}`},
		{"an HTTPRoute", `{apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: {namespace: shop, name: rt}, spec: {parentRefs: [{group: gateway.networking.k8s.io, kind: Gateway, namespace: monitoring, name: edge}], hostnames: [rt.corp.example],
    rules: [{matches: [{path: {type: PathPrefix, value: /}}], backendRefs: [{group: "", kind: Service, name: web, port: 80, weight: 1}]}]},
  status: {parents: [{controllerName: example.com/gateway, parentRef: {name: edge}, conditions: []}]}}`,
			`{apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: {namespace: shop, name: rt}, spec: {parentRefs: [{namespace: monitoring, name: edge}], hostnames: [rt.corp.example], rules: [{backendRefs: [{name: web, port: 80}]}]}}`},
		{"an EndpointSlice by hand", `{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {namespace: data, name: legacy-9, labels: {kubernetes.io/service-name: legacy}}, addressType: IPv4, ports: [{name: sql, port: 1433, protocol: TCP}], endpoints: [{addresses: [198.51.100.9], conditions: {}}]}`,
			`{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {namespace: data, name: legacy-9, labels: {kubernetes.io/service-name: legacy}}, addressType: IPv4, ports: [{name: sql, port: 1433}], endpoints: [{addresses: [198.51.100.9]}]}`},
		{"a NetworkPolicy", `{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {namespace: monitoring, name: np}, spec: {podSelector: {}, policyTypes: [Ingress], ingress: [{ports: [{port: 80, protocol: TCP}]}]}}`,
			`{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {namespace: monitoring, name: np}, spec: {podSelector: {}, ingress: [{ports: [{port: 80}]}]}}`},
		{"a StatefulSet that wants none", `{apiVersion: apps/v1, kind: StatefulSet, metadata: {namespace: data, name: st}, spec: {replicas: 0, serviceName: "", podManagementPolicy: OrderedReady, selector: {matchLabels: {app: st}}, template: {metadata: {labels: {app: st}},
    spec: {containers: [{name: c, terminationMessagePath: /dev/termination-log, ports: [{containerPort: 80, protocol: TCP}]}], dnsPolicy: ClusterFirst, restartPolicy: Always, schedulerName: default-scheduler, securityContext: {}, terminationGracePeriodSeconds: 30}}}}`,
			`{apiVersion: apps/v1, kind: StatefulSet, metadata: {namespace: data, name: st}, spec: {replicas: 0, selector: {matchLabels: {app: st}}, template: {metadata: {labels: {app: st}}, spec: {containers: [{name: c, ports: [{containerPort: 80}]}]}}}}`},
		{"a Node's state", `{apiVersion: v1, kind: Node, metadata: {name: z, annotations: {flannel.alpha.coreos.com/backend-type: vxlan}, labels: {kubernetes.io/hostname: z}}, spec: {podCIDR: 10.1.9.0/24, podCIDRs: [10.1.9.0/24]}, status: {addresses: [{type: InternalIP, address: 192.168.0.9}]}}`,
			`{apiVersion: v1, kind: Node, metadata: {name: z, labels: {kubernetes.io/hostname: z, rack: r1}}}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o, _ := base(t)
			o = snapshot.Overlay(o, objects(t, "has.yaml", tt.has), nil)
			over := objects(t, "file.yaml", tt.file)
			touched := slices.Collect(maps.Keys(over.Source))
			if got := told(t, whatif.Compare(o, whatif.Apply(o, over, nil), touched)); got != "✓ no change: every connection is answered as before" {
				t.Errorf("says\n%s", got)
			}
		})
	}
}
