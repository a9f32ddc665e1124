//go:build linux

package fault

import (
	"slices"
	"strings"

	"github.com/plumbnet/plumb/lab"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

var toAPI = lab.Path{From: webB, To: "svc/shop/api:http"}

// services are faults of Services, of their endpoints and of the Pods behind them.
var services = []Fault{
	{
		Name: "selector-matches-nothing", Check: "no-endpoints",
		Story: "The Service's selector says app=api-v2, and no Pod has that label.",
		Path:  toAPI,
		Inject: func(l *lab.Lab) error {
			l.Service("shop/api").Spec.Selector = map[string]string{"app": "api-v2"}
			return sync(l)
		},
	},
	{
		Name: "none-ready", Check: "no-endpoints",
		Story: "All API Pods fail their readiness probe.",
		Path:  toAPI,
		Inject: func(l *lab.Lab) error {
			for _, p := range []string{apiA, apiB, apiC} {
				l.SetReady(p, false)
			}
			return sync(l)
		},
	},
	{
		Name: "dns-not-ready", Check: "no-endpoints",
		Story: "Both CoreDNS Pods are not ready: the cluster's DNS Service has no endpoint.",
		Path:  lab.Path{From: webB, To: "svc/kube-system/kube-dns:dns-tcp"},
		Inject: func(l *lab.Lab) error {
			for i := range l.Objects.Pods {
				if p := &l.Objects.Pods[i]; strings.HasPrefix(p.Name, "coredns") {
					l.SetReady(p.Namespace+"/"+p.Name, false)
				}
			}
			return sync(l)
		},
	},
	{
		Name: "port-name", Check: "port-name",
		Story: "The Service's targetPort is the name 'web', and no container names a port so.",
		Path:  toAPI,
		Inject: func(l *lab.Lab) error {
			l.Service("shop/api").Spec.Ports[0].TargetPort = intstr.FromString("web")
			return sync(l)
		},
	},
	{
		Name: "target-port", Check: "target-port",
		Story: "The Service's targetPort is 8081; the Pods listen on 8080.",
		Path:  toAPI,
		Inject: func(l *lab.Lab) error {
			l.Service("shop/api").Spec.Ports[0].TargetPort = intstr.FromInt32(8081)
			return sync(l)
		},
	},
	{
		Name: "not-listening", Check: "not-listening",
		Story:  "The process in web-1 runs, but its server never opened port 8080.",
		Path:   acrossNodes,
		Inject: func(l *lab.Lab) error { return l.Unlisten(l.Pod(webB).NS, "tcp", ":8080") },
	},
	{
		Name: "one-endpoint-not-listening", Check: "not-listening", Share: true,
		Story:  "One of three API Pods is ready, but does not listen: a third of all connections is refused.",
		Path:   toAPI,
		Inject: func(l *lab.Lab) error { return l.Unlisten(l.Pod(apiC).NS, "tcp", ":8080") },
	},
	{
		Name: "listen-loopback", Check: "listen-loopback",
		Story: "web-1's server listens on 127.0.0.1 only.",
		Path:  acrossNodes,
		Inject: func(l *lab.Lab) error {
			ns := l.Pod(webB).NS
			if err := l.Unlisten(ns, "tcp", ":8080"); err != nil {
				return err
			}
			return l.Listen(ns, "tcp", "127.0.0.1:8080")
		},
	},
	{
		Name: "traffic-policy-local", Check: "traffic-policy-local",
		Story: "The Service's externalTrafficPolicy is Local, and node-b has no ready endpoint: its node port drops.",
		Path:  lab.Path{From: "outside", To: "node/node-b:30090"},
		Inject: func(l *lab.Lab) error {
			l.PodObject(webB).Labels = map[string]string{"app": "web-canary"}
			return sync(l)
		},
	},
	{
		Name: "proxy-rules-missing", Check: "proxy-rules-missing", Incident: 2,
		Story:  "Something flushed node-b's iptables, and kube-proxy, which looks healthy, has not written its rules again.",
		Path:   toAPI,
		Inject: func(l *lab.Lab) error { return withoutProxy(l, "node-b") },
	},
	{
		Name: "one-service-missing", Check: "proxy-rules-missing",
		Story: "node-b's rules lack one Service, made after kube-proxy there lost its watch.",
		Path:  toAPI,
		Inject: func(l *lab.Lab) error {
			all := l.Objects.Services
			l.Objects.Services = nil
			for _, s := range all {
				if s.Name != "api" {
					l.Objects.Services = append(l.Objects.Services, s)
				}
			}
			err := l.SyncNode(l.Node("node-b"))
			l.Objects.Services = all
			return err
		},
	},
	{
		Name: "proxy-rules-stale", Check: "proxy-rules-stale",
		Story:  "kube-proxy on node-b hangs: its rules send the Service to the addresses that its Pods had before the last rollout.",
		Path:   toAPI,
		Inject: staleEndpoints("api"),
	},
	{
		Name: "nodeport-rule-missing", Check: "proxy-rules-missing",
		Story: "The Service was given a node port, after kube-proxy on node-b lost its watch: from outside node-b refuses it, its cluster IP works.",
		Path:  toFront,
		Inject: func(l *lab.Lab) error {
			s := l.Service("shop/front")
			was := s.DeepCopy()
			for i := range s.Spec.Ports {
				s.Spec.Ports[i].NodePort = 0
			}
			err := l.SyncNode(l.Node("node-b"))
			s.Spec = was.Spec
			return err
		},
	},
	{
		Name: "stale-endpoint-on-nodeport", Check: "proxy-rules-stale",
		Story:  "kube-proxy on node-b hangs: its rules send the node port to the addresses that the web Pods had before the last rollout.",
		Path:   toFront,
		Inject: staleEndpoints("front"),
	},
	{
		Name: "nodeport-remains", Check: "leftover-rules",
		Story: "The Service and its Pods' addresses are gone, and kube-proxy on node-b hangs: what listens on the former node port gets nothing.",
		Path:  toFront,
		Inject: func(l *lab.Lab) error {
			if err := staleEndpoints("front")(l); err != nil {
				return err
			}
			l.Objects.Services = slices.DeleteFunc(l.Objects.Services, func(s corev1.Service) bool { return s.Name == "front" })
			l.SyncEndpoints()
			for _, n := range []string{"node-a", "node-c"} {
				if err := l.SyncNode(l.Node(n)); err != nil {
					return err
				}
			}
			return l.Listen(l.Node("node-b").NS, "tcp", ":30080")
		},
	},
}

var toFront = lab.Path{From: "outside", To: "node/node-b:30080"}

// staleEndpoints has the rules of node-b send a Service's connections to addresses that no Pod has any more.
func staleEndpoints(service string) func(*lab.Lab) error {
	return func(l *lab.Lab) error {
		for i := range l.Objects.EndpointSlices {
			s := &l.Objects.EndpointSlices[i]
			if s.Labels["kubernetes.io/service-name"] != service {
				continue
			}
			for j := range s.Endpoints {
				s.Endpoints[j].Addresses = []string{s.Endpoints[j].Addresses[0] + "9"}
			}
		}
		err := l.SyncNode(l.Node("node-b"))
		l.SyncEndpoints()
		return err
	}
}

// withoutProxy makes a node's rules those that it had if kube-proxy had never run.
func withoutProxy(l *lab.Lab, node string) error {
	n := l.Node(node)
	if err := n.NS.Run(l.NodeRules(n, false, false), l.IPTables("iptables-restore")...); err != nil {
		return err
	}
	if !l.Topology.IPv6 {
		return nil
	}
	return n.NS.Run(l.NodeRules(n, true, false), l.IPTables("ip6tables-restore")...)
}
