package proxyrules

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/plumbnet/plumb/check"
	"github.com/plumbnet/plumb/check/checktest"
	"github.com/plumbnet/plumb/packet"
	"github.com/plumbnet/plumb/snapshot"
	corev1 "k8s.io/api/core/v1"
)

const (
	noReach = "error: node-b/host: load-balancer-rules: a client 203.0.113.0 does not reach shop/web:80 (192.0.2.80), and loadBalancerSourceRanges allows it"
	reaches = "error: node-b/host: load-balancer-rules: a client 198.51.100.1 reaches shop/web:80 (192.0.2.80), and loadBalancerSourceRanges does not allow it"
)

// balanced makes of shop/web a Service of type LoadBalancer, for clients of a range.
func balanced(ranges ...string) func(*checktest.Facts) {
	return func(f *checktest.Facts) {
		s := f.Service("shop/web")
		s.Spec.Type, s.Spec.LoadBalancerSourceRanges = corev1.ServiceTypeLoadBalancer, ranges
		s.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: "192.0.2.80"}}
	}
}

// guarded has all nodes hold what kube-proxy writes for clients of 203.0.113.0/25; node-b for those of another range.
func guarded(onB string) (out []checktest.Swap) {
	for _, n := range []string{"a", "b", "c"} {
		file, from := "nodes/node-"+n+"/host/iptables", "-s 203.0.113.0/25 "
		if n == "b" {
			from = onB
		}
		out = append(out,
			checktest.Swap{File: file, Old: ":KUBE-SERVICES - [0:0]\n:KUBE-SVC", New: ":KUBE-SERVICES - [0:0]\n:KUBE-FW-X - [0:0]\n:KUBE-SVC"},
			checktest.Swap{File: file, Old: "-A KUBE-SERVICES -d 10.96.0.24/32 ", New: "" +
				"-A KUBE-FW-X " + from + "-m comment --comment \"shop/web:http loadbalancer IP\" -j KUBE-SVC-67NZLRHBNDSAWJRO\n" +
				"-A KUBE-SERVICES -d 192.0.2.80/32 -p tcp -m comment --comment \"shop/web:http loadbalancer IP\" -m tcp --dport 80 -j KUBE-FW-X\n-A KUBE-SERVICES -d 10.96.0.24/32 "})
	}
	return out
}

func TestRanges(t *testing.T) {
	checktest.Rows(t, checktest.Flannel, []*check.Check{Missing, Stale, Leftover, Balancer}, []checktest.Row{
		{Name: "as asked", Edit: balanced("203.0.113.0/25"), Swap: guarded("-s 203.0.113.0/25 ")},
		{Name: "another range", Edit: balanced("203.0.113.0/25"), Swap: guarded("-s 10.0.0.0/8 "), Want: noReach},
		{Name: "open to all", Edit: balanced("203.0.113.0/25"), Swap: guarded(""), Want: reaches},
		{Name: "for all, the rules still ask", Edit: balanced(), Swap: guarded("-s 203.0.113.0/25 ")},
		{Name: "one of two ranges", Edit: balanced("203.0.113.0/25", "192.168.0.0/16"), Swap: guarded("-s 203.0.113.0/25 "),
			Want: says("node-a") + says("node-b") + says("node-c")},
		{Name: "not programmed", Edit: balanced("203.0.113.0/25"),
			Want: unmade("node-a") + unmade("node-b") + unmade("node-c")},
		{Name: "it is a proxy's address outside", Edit: func(f *checktest.Facts) {
			balanced()(f)
			mode := corev1.LoadBalancerIPModeProxy
			f.Service("shop/web").Status.LoadBalancer.Ingress[0].IPMode = &mode
		}},
		{Name: "external IPs", Edit: func(f *checktest.Facts) { f.Service("shop/web").Spec.ExternalIPs = []string{"192.0.2.80"} }, Swap: guarded("")},
		{Name: "too many ranges", Edit: balanced(many(1000)...), Swap: guarded(""),
			Want: cannot("node-a") + cannot("node-b") + cannot("node-c")},
	})
}

func says(node string) string {
	return "error: " + node + "/host: load-balancer-rules: a client 192.168.0.0 does not reach shop/web:80 (192.0.2.80), and loadBalancerSourceRanges allows it\n"
}

func unmade(node string) string {
	return "error: " + node + "/host: proxy-rules-missing: no rules for 1 of the 15 ports of Services that have endpoints, such as shop/web:80 (192.0.2.80)\n"
}

func cannot(node string) string {
	return "? " + node + "/host: load-balancer-rules: the clients of some load balancers: there are more than 1000 ranges of them\n"
}

func many(n int) (out []string) {
	for i := range n {
		out = append(out, fmt.Sprintf("203.%d.%d.0/24", i/256, i%256))
	}
	return out
}

func TestHealthChecks(t *testing.T) {
	local := func(f *checktest.Facts) {
		s := f.Service("shop/front-local")
		s.Spec.Type, s.Spec.HealthCheckNodePort = corev1.ServiceTypeLoadBalancer, 31000
	}
	answer := func(nodes ...string) func(*checktest.Facts) {
		return func(f *checktest.Facts) {
			local(f)
			for _, n := range nodes {
				ns := f.NS(n + "/host")
				ns.Sockets = append(ns.Sockets, snapshot.Socket{Proto: packet.TCP, Local: netip.MustParseAddrPort("[::]:31000"), State: "LISTEN"})
			}
		}
	}
	silent := func(node string) string {
		return "error: " + node + "/host: load-balancer-rules: nothing listens on healthCheckNodePort 31000 of shop/front-local: load balancers take the node for one without endpoints\n"
	}
	checktest.Rows(t, checktest.Flannel, []*check.Check{Missing, Stale, Leftover, Balancer}, []checktest.Row{
		{Name: "all answer", Edit: answer("node-a", "node-b", "node-c")},
		{Name: "one does not", Edit: answer("node-a", "node-c"), Want: silent("node-b")},
		{Name: "none does", Edit: local, Want: silent("node-a") + silent("node-b") + silent("node-c")},
		{Name: "listeners were not collected", Edit: answer("node-a", "node-c"), Without: []string{"nodes/node-b/host/sockets"}},
		{Name: "the policy is Cluster: nobody asks", Edit: func(f *checktest.Facts) {
			local(f)
			f.Service("shop/front-local").Spec.ExternalTrafficPolicy = corev1.ServiceExternalTrafficPolicyCluster
		}},
	})
}
