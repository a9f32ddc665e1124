package diagnose

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/plumbnet/plumb/network"
	"github.com/plumbnet/plumb/packet"
	"github.com/plumbnet/plumb/snapshot"
	"github.com/plumbnet/plumb/trace"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// aims returns what an Ask would connect to: "tcp 10.0.0.1:80", or the error, or why there is nothing.
func aims(c *snapshot.Cluster, ask Ask) string {
	q, err := resolve(network.New(c), ask)
	switch {
	case err != nil:
		return "error: " + err.Error()
	case !q.nothing.IsZero():
		return "nothing: " + q.nothing.String()
	}
	out := []string{q.proto.String()}
	for _, a := range q.aims {
		s := a.String()
		if a.src.IsValid() {
			s = a.src.String() + ">" + s
		}
		if a.missing {
			s += "?"
		}
		out = append(out, s)
	}
	for _, n := range q.needs {
		out = append(out, "needs "+n.What.String())
	}
	return strings.Join(out, ", ")
}

// TestNames asks for what exists twice, in part, or under another name.
func TestNames(t *testing.T) {
	dns := func(c *snapshot.Cluster) {
		s := corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "both"}}
		s.Spec.ClusterIPs = []string{"None"}
		s.Spec.Ports = []corev1.ServicePort{{Name: "dns", Port: 53, Protocol: "UDP"}, {Name: "dns-tcp", Port: 53, Protocol: "TCP"}}
		udp, tcp, udpPort, tcpPort := "dns", "dns-tcp", int32(5353), int32(5354)
		c.Objects.Services = append(c.Objects.Services, s)
		c.Objects.EndpointSlices = append(c.Objects.EndpointSlices, discoveryv1.EndpointSlice{
			ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "both-1", Labels: map[string]string{"kubernetes.io/service-name": "both"}},
			Ports:      []discoveryv1.EndpointPort{{Name: &udp, Port: &udpPort}, {Name: &tcp, Port: &tcpPort}, {}},
			Endpoints:  []discoveryv1.Endpoint{{Addresses: []string{"10.244.1.2", "nonsense"}}},
		})
	}
	for _, row := range []struct {
		name   string
		change func(*snapshot.Cluster)
		ask    Ask
		want   string
	}{
		{"a port of two protocols: the first", dns, Ask{Src: "shop/web-0", Dst: "svc/shop/both:53"}, "udp, 10.244.1.2:5353"},
		{"a port of two protocols: the one asked for", dns, Ask{Src: "shop/web-0", Dst: "svc/shop/both:53", Proto: "tcp"}, "tcp, 10.244.1.2:5354"},
		{"a port of two protocols, in capitals", dns, Ask{Src: "shop/web-0", Dst: "svc/shop/both:53", Proto: "TCP"}, "tcp, 10.244.1.2:5354"},
		{"a port of two protocols, by name", dns, Ask{Src: "shop/web-0", Dst: "svc/shop/both:dns-tcp"}, "tcp, 10.244.1.2:5354"},
		{"a protocol that the Service has not", nil, Ask{Src: "shop/web-0", Dst: "svc/shop/dns:53", Proto: "tcp"}, "tcp, 10.96.0.10:53"},
		{"no port, and two of one number", dns, Ask{Src: "shop/web-0", Dst: "svc/shop/both"}, "error: -d svc/shop/both: the Service has 2 ports: name one: there are 53/UDP dns, 53/TCP dns-tcp"},
		{"a ping of a Service", nil, Ask{Src: "shop/web-0", Dst: "svc/shop/dns", Proto: "ping"}, "error: -d svc/shop/dns: --proto ping: a Service answers no ping: kube-proxy translates its ports only; ask for a port"},
		{"a ping of a Service, in capitals", nil, Ask{Src: "shop/web-0", Dst: "svc/shop/dns", Proto: "ICMPv6"}, "error: -d svc/shop/dns: --proto ICMPv6: a Service answers no ping: kube-proxy translates its ports only; ask for a port"},
		{"a Service with the old field alone", func(c *snapshot.Cluster) {
			s := corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "old"}}
			s.Spec.ClusterIP, s.Spec.Ports = "10.96.0.99", []corev1.ServicePort{{Port: 80}}
			c.Objects.Services = append(c.Objects.Services, s)
		}, Ask{Src: "shop/web-0", Dst: "svc/shop/old"}, "tcp, 10.96.0.99:80"},
		{"a Service without ports", func(c *snapshot.Cluster) {
			c.Objects.Services = append(c.Objects.Services, corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "bare"}})
		}, Ask{Src: "shop/web-0", Dst: "svc/shop/bare:80"}, `error: -d svc/shop/bare:80: port "80": the Service has no such port`},
		{"a Pod by its old field", func(c *snapshot.Cluster) {
			c.Objects.Pods[1].Status.PodIPs, c.Objects.Pods[1].Status.PodIP = nil, "10.244.2.2"
		}, Ask{Src: "shop/web-0", Dst: "shop/far-0:80"}, "tcp, 10.244.2.2:80"},
		{"a Pod that only its namespace tells of", func(c *snapshot.Cluster) { c.Objects.Pods = nil }, Ask{Src: "node/node-a", Dst: "shop/web-0:80"}, "tcp, 10.244.1.2:80"},
		{"a named port of a Pod without an object", func(c *snapshot.Cluster) { c.Objects.Pods = nil }, Ask{Src: "node/node-a", Dst: "shop/web-0:http"}, `error: -d shop/web-0:http: port "http": only a Pod and a Service have named ports`},
		{"a named port of an init container", func(c *snapshot.Cluster) {
			c.Objects.Pods[0].Spec.InitContainers = []corev1.Container{{Ports: []corev1.ContainerPort{{Name: "side", ContainerPort: 15001, Protocol: "TCP"}}}}
		}, Ask{Src: "node/node-a", Dst: "shop/web-0:side"}, "tcp, 10.244.1.2:15001, [fd00:1::2]:15001"},
		{"no objects at all", func(c *snapshot.Cluster) { c.Objects = snapshot.Objects{} }, Ask{Src: "shop/web-9", Dst: "10.0.0.1:80"},
			"error: -s shop/web-9: no Pod of that name in the snapshot: it holds no Pods: add one of the objects (kubectl get pods,services,endpointslices,nodes -A -o json)"},
		{"no Services at all", func(c *snapshot.Cluster) { c.Objects.Services = nil }, Ask{Src: "shop/web-0", Dst: "svc/shop/api:80"},
			"error: -d svc/shop/api:80: no Service of that name in the snapshot: it holds no Services: add one of the objects (kubectl get pods,services,endpointslices,nodes -A -o json)"},
		{"a node that only its namespace tells of", func(c *snapshot.Cluster) { c.Objects.Nodes = nil }, Ask{Src: "shop/web-0", Dst: "node/node-a:22"}, "tcp, 192.0.2.1:22"},
		{"a node whose object has no address", func(c *snapshot.Cluster) { c.Objects.Nodes[0].Status.Addresses = nil }, Ask{Src: "shop/web-0", Dst: "node/node-a:22"}, "tcp, 192.0.2.1:22"},
		{"a node that was not collected, without an address", func(c *snapshot.Cluster) {
			c.Objects.Nodes = append(c.Objects.Nodes, corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "node-c"}})
		}, Ask{Src: "shop/web-0", Dst: "node/node-c:22"}, "nothing: node-c has no address"},
		{"a node that was not collected sends", func(c *snapshot.Cluster) {
			c.Objects.Nodes = append(c.Objects.Nodes, corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "node-c"}})
		}, Ask{Src: "node/node-c", Dst: "10.244.1.2:80"}, "tcp, 10.244.1.2:80?, needs the state of node node-c, on which node-c is: no snapshot of it was given"},
		{"addresses of another kind than text", func(c *snapshot.Cluster) { c.Objects.Pods[0].Status.PodIPs = []corev1.PodIP{{IP: "pending"}} }, Ask{Src: "shop/web-0", Dst: "shop/web-0:80"}, "nothing: shop/web-0 has no address"},
		{"an address sends, of the other family", nil, Ask{Src: "203.0.113.9", Dst: "fd00:1::2", Port: "80"}, "tcp, needs an address of 203.0.113.9 of the same family as fd00:1::2"},
		{"an address sends, as IPv4 in IPv6", nil, Ask{Src: "::ffff:203.0.113.9", Dst: "10.244.1.2:80"}, "tcp, 203.0.113.9>10.244.1.2:80"},
		{"a node has any family", nil, Ask{Src: "node/node-a", Dst: "fd00:1::2", Port: "80"}, "tcp, [fd00:1::2]:80"},
		{"SCTP", nil, Ask{Src: "shop/web-0", Dst: "10.244.2.2:3868", Proto: "SCTP"}, "sctp, 10.244.2.2:3868"},
		{"a ping over IPv6", nil, Ask{Src: "node/node-a", Dst: "fd00:1::2"}, "ipv6-icmp, fd00:1::2"},
		{"the port twice, alike", nil, Ask{Src: "node/node-a", Dst: "10.244.1.2:80", Port: "80"}, "tcp, 10.244.1.2:80"},
		{"a name with the domain's dot", nil, Ask{Src: "shop/web-0", Dst: "dns.shop.svc.cluster.local.:53"},
			"udp, 10.96.0.10:53, needs the name lookup itself, which was not followed: dns.shop.svc.cluster.local. was taken for Service shop/dns"},
		{"a name of another namespace", nil, Ask{Src: "shop/web-0", Dst: "dns.other:53"}, "error: -d dns.other:53: no Service of that name in the snapshot, and no address is known for it: give an address"},
		{"a short name, from a node", nil, Ask{Src: "node/node-a", Dst: "dns:53"}, "error: -d dns:53: no Service of that name in the snapshot, and no address is known for it: give an address"},
		{"a host with a named port", nil, Ask{Src: "shop/web-0", Dst: "db.example.com:pg", Hosts: map[string][]netip.Addr{"db.example.com": {netip.MustParseAddr("203.0.113.7")}}},
			`error: -d db.example.com:pg: port "pg": only a Pod and a Service have named ports`},
		{"a host of both families", nil, Ask{Src: "shop/web-0", Dst: "db.example.com", Port: "5432", Hosts: map[string][]netip.Addr{"db.example.com": {netip.MustParseAddr("203.0.113.7"), netip.MustParseAddr("2001:db8::7")}}},
			"tcp, 203.0.113.7:5432, [2001:db8::7]:5432"},
		{"names without a namespace", nil, Ask{Src: "web-0", Dst: "svc/dns", Namespace: "shop"}, "udp, 10.96.0.10:53"},
	} {
		t.Run(row.name, func(t *testing.T) {
			c := shop()
			if row.change != nil {
				row.change(c)
			}
			if diff := cmp.Diff(row.want, aims(c, row.ask)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// fateOf returns a fate by its name.
func fateOf(name string) (f trace.Fate) {
	for f.String() != name {
		f++
	}
	return f
}

// TestCompare weighs what is seen of a probe against what was predicted for it.
func TestCompare(t *testing.T) {
	dead := func(ends ...string) ProbePlan {
		p := ProbePlan{Predicted: Broken}
		for _, e := range ends {
			p.result.Paths = append(p.result.Paths, weighing(1/float64(len(ends)), fateOf(e)))
		}
		return p
	}
	half := ProbePlan{Predicted: Partly}
	half.result.Paths = append(half.result.Paths, weighing(0.5, fateOf("delivered")), weighing(0.5, fateOf("dropped")))
	few := ProbePlan{Predicted: Partly}
	few.result.Paths = append(few.result.Paths, weighing(0.99, fateOf("delivered")), weighing(0.01, fateOf("dropped")))
	seen := func(sent, answered int, fate snapshot.ProbeFate) snapshot.Probe {
		return snapshot.Probe{Proto: packet.TCP, Sent: sent, Answered: answered, Fate: fate}
	}
	udp := snapshot.Probe{Proto: packet.UDP, Sent: 3, Fate: snapshot.ProbeSilent}
	for _, row := range []struct {
		name  string
		plan  ProbePlan
		probe snapshot.Probe
		want  Agreement
	}{
		{"none was sent", ProbePlan{Predicted: Works}, seen(0, 0, snapshot.ProbeSilent), NotComparable},
		{"nothing was predicted", ProbePlan{}, seen(3, 3, snapshot.ProbeAnswered), NotComparable},
		{"works, all answered", ProbePlan{Predicted: Works}, seen(3, 3, snapshot.ProbeAnswered), Agrees},
		{"works, one lost", ProbePlan{Predicted: Works}, seen(3, 2, snapshot.ProbeAnswered), Differs},
		{"works, a datagram without an answer", ProbePlan{Predicted: Works}, udp, NotComparable},
		{"dropped, and silent", dead("dropped"), seen(3, 0, snapshot.ProbeSilent), Agrees},
		{"dropped on the sender itself", dead("dropped"), seen(3, 0, snapshot.ProbeNotSent), Agrees},
		{"dropped, and refused", dead("dropped"), seen(3, 0, snapshot.ProbeRefused), Differs},
		{"dropped, and answered", dead("dropped"), seen(3, 1, snapshot.ProbeAnswered), Differs},
		{"rejected", dead("rejected"), seen(3, 0, snapshot.ProbeRejected), Agrees},
		{"rejected, and nobody said so", dead("rejected"), seen(3, 0, snapshot.ProbeSilent), Agrees},
		{"rejected, and too big", dead("rejected"), seen(3, 0, snapshot.ProbeTooBig), Differs},
		{"no listener, refused", dead("no-listener"), seen(3, 0, snapshot.ProbeRefused), Agrees},
		{"no route", dead("no-route"), seen(3, 0, snapshot.ProbeNotSent), Agrees},
		{"no route, refused", dead("no-route"), seen(3, 0, snapshot.ProbeRefused), Differs},
		{"too big, told", dead("too-big"), seen(3, 0, snapshot.ProbeTooBig), Agrees},
		{"too big, refused", dead("too-big"), seen(3, 0, snapshot.ProbeRefused), Differs},
		{"a loop", dead("looped"), seen(3, 0, snapshot.ProbeRejected), Agrees},
		{"a link that is down", dead("link-down"), seen(3, 0, snapshot.ProbeNotSent), Agrees},
		{"the answer dies", dead("delivered"), seen(3, 0, snapshot.ProbeRefused), Agrees},
		{"one of two ways looks so", dead("dropped", "no-listener"), seen(3, 0, snapshot.ProbeRefused), Agrees},
		{"half fail, and some do", half, seen(20, 9, snapshot.ProbeAnswered), Agrees},
		{"half fail, and none of many does", half, seen(20, 20, snapshot.ProbeAnswered), Differs},
		{"half fail, and all of many do", half, seen(20, 0, snapshot.ProbeSilent), Differs},
		{"half fail, and none of few does", half, seen(3, 3, snapshot.ProbeAnswered), NotComparable},
		{"one in a hundred fails, and none does", few, seen(20, 20, snapshot.ProbeAnswered), NotComparable},
		{"one in a hundred fails, and all do", few, seen(20, 0, snapshot.ProbeSilent), Differs},
	} {
		t.Run(row.name, func(t *testing.T) {
			if got := compare(row.plan, row.probe); got != row.want {
				t.Errorf("%s, want %s", got, row.want)
			}
		})
	}
}
