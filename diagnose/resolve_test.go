package diagnose

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/plumbnet/plumb/network"
	"github.com/plumbnet/plumb/packet"
	"github.com/plumbnet/plumb/snapshot"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// shop is a cluster of one collected node and one that was not collected. Its Pods have both families.
func shop() *snapshot.Cluster {
	pod := func(name, node string, ips ...string) corev1.Pod {
		p := corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name}}
		p.Spec.NodeName = node
		p.Spec.Containers = []corev1.Container{{Ports: []corev1.ContainerPort{{Name: "http", ContainerPort: 8080}, {Name: "dns", ContainerPort: 53, Protocol: "UDP"}}}}
		for _, ip := range ips {
			p.Status.PodIPs = append(p.Status.PodIPs, corev1.PodIP{IP: ip})
		}
		return p
	}
	svc := func(name string, ips []string, ports ...corev1.ServicePort) corev1.Service {
		s := corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name}}
		s.Spec.ClusterIPs, s.Spec.Ports = ips, ports
		return s
	}
	name, port, no := "web", int32(8080), false
	slice := discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "all-1", Labels: map[string]string{"kubernetes.io/service-name": "all"}},
		Ports:      []discoveryv1.EndpointPort{{Name: &name, Port: &port}},
		Endpoints: []discoveryv1.Endpoint{
			{Addresses: []string{"10.244.1.2"}},
			{Addresses: []string{"10.244.1.9"}, Conditions: discoveryv1.EndpointConditions{Ready: &no}},
		},
	}
	link := func(ip string) snapshot.Link {
		return snapshot.Link{Index: 2, Name: "eth0", Flags: []string{"UP"}, Addrs: []snapshot.LinkAddr{{Family: "inet", Local: netip.MustParseAddr(ip), Len: 24, Scope: "global"}}}
	}
	external := svc("outside", nil, corev1.ServicePort{Port: 80})
	external.Spec.Type, external.Spec.ExternalName = corev1.ServiceTypeExternalName, "api.example.com"
	return &snapshot.Cluster{
		Nodes: []*snapshot.Node{{Name: "node-a", NetNS: []*snapshot.NetNS{
			{Name: "host", Dir: "nodes/node-a/host", Links: []snapshot.Link{link("192.0.2.1")}},
			{Name: "web", Pod: "shop/web-0", Dir: "nodes/node-a/web", Links: []snapshot.Link{link("10.244.1.2")}},
		}}},
		Objects: snapshot.Objects{
			Pods: []corev1.Pod{pod("web-0", "node-a", "10.244.1.2", "fd00:1::2"), pod("far-0", "node-b", "10.244.2.2"), pod("late-0", "node-a"), pod("lost-0", "node-a", "10.244.1.77")},
			Nodes: []corev1.Node{{ObjectMeta: metav1.ObjectMeta{Name: "node-a"}, Status: corev1.NodeStatus{Addresses: []corev1.NodeAddress{
				{Type: corev1.NodeInternalIP, Address: "192.0.2.1"}, {Type: corev1.NodeHostName, Address: "node-a"}}}}},
			Services: []corev1.Service{
				svc("api", []string{"10.96.0.20", "fd00:96::20"}, corev1.ServicePort{Name: "http", Port: 80}, corev1.ServicePort{Name: "grpc", Port: 9000}),
				svc("dns", []string{"10.96.0.10"}, corev1.ServicePort{Name: "dns", Port: 53, Protocol: "UDP"}),
				svc("all", []string{"None"}, corev1.ServicePort{Name: "web", Port: 80}),
				svc("none", []string{"None"}, corev1.ServicePort{Name: "web", Port: 80}),
				external,
			},
			EndpointSlices: []discoveryv1.EndpointSlice{slice},
		},
	}
}

func TestResolve(t *testing.T) {
	n := network.New(shop())
	hosts := map[string][]netip.Addr{"api.example.com": {netip.MustParseAddr("203.0.113.9")}}
	for _, row := range []struct {
		name  string
		ask   Ask
		proto packet.Proto
		aims  []string
		from  string // the namespace, or "" for none
		say   string // what there is nothing to trace for, or a need
	}{
		{"Pod to Service, both families", Ask{Src: "shop/web-0", Dst: "svc/shop/api:80"}, packet.TCP, []string{"10.96.0.20:80", "[fd00:96::20]:80"}, "node-a/web", ""},
		{"named port of a Service", Ask{Src: "shop/web-0", Dst: "svc/shop/api:grpc"}, packet.TCP, []string{"10.96.0.20:9000", "[fd00:96::20]:9000"}, "node-a/web", ""},
		{"the protocol is the port's", Ask{Src: "shop/web-0", Dst: "svc/shop/dns"}, packet.UDP, []string{"10.96.0.10:53"}, "node-a/web", ""},
		{"headless: its ready endpoints", Ask{Src: "shop/web-0", Dst: "svc/shop/all"}, packet.TCP, []string{"10.244.1.2:8080"}, "node-a/web", ""},
		{"headless without endpoints", Ask{Src: "shop/web-0", Dst: "svc/shop/none"}, 0, nil, "node-a/web", "no ready endpoint"},
		{"named port of a Pod", Ask{Src: "node/node-a", Dst: "shop/web-0:http"}, packet.TCP, []string{"10.244.1.2:8080", "[fd00:1::2]:8080"}, "node-a/host", ""},
		{"named UDP port of a Pod", Ask{Src: "node/node-a", Dst: "shop/web-0", Port: "dns"}, packet.UDP, []string{"10.244.1.2:53", "[fd00:1::2]:53"}, "node-a/host", ""},
		{"ping without a port", Ask{Src: "shop/web-0", Dst: "node/node-a"}, packet.ICMP, []string{"192.0.2.1"}, "node-a/web", ""},
		{"addresses, as in the seeds", Ask{Src: "10.244.1.2", Dst: "10.96.0.10", Port: "53", Proto: "udp"}, packet.UDP, []string{"10.96.0.10:53"}, "node-a/web", ""},
		{"a name of the cluster", Ask{Src: "shop/web-0", Dst: "api.shop.svc.cluster.local:80"}, packet.TCP, []string{"10.96.0.20:80", "[fd00:96::20]:80"}, "node-a/web", "name lookup itself"},
		{"a short name in the Pod's namespace", Ask{Src: "shop/web-0", Dst: "dns"}, packet.UDP, []string{"10.96.0.10:53"}, "node-a/web", "taken for Service shop/dns"},
		{"a name outside", Ask{Src: "shop/web-0", Dst: "api.example.com:443", Hosts: hosts}, packet.TCP, []string{"203.0.113.9:443"}, "node-a/web", ""},
		{"a source outside", Ask{Src: "203.0.113.9", Dst: "node/node-a", Port: "30080"}, packet.TCP, []string{"192.0.2.1:30080"}, "", ""},
		{"a source on a node that was not collected", Ask{Src: "shop/far-0", Dst: "svc/shop/dns"}, packet.UDP, []string{"10.96.0.10:53"}, "", "the state of node node-b"},
		{"a source without an address", Ask{Src: "shop/late-0", Dst: "svc/shop/dns"}, packet.UDP, []string{"10.96.0.10:53"}, "", "shop/late-0 has no address"},
		{"a source whose namespace is not on its node", Ask{Src: "shop/lost-0", Dst: "svc/shop/dns"}, packet.UDP, []string{"10.96.0.10:53"}, "", "the network namespace of shop/lost-0, which was not found on node node-a"},
		{"a destination without an address", Ask{Src: "shop/web-0", Dst: "shop/late-0:80"}, 0, nil, "node-a/web", "shop/late-0 has no address"},
		{"a source without the destination's family", Ask{Src: "shop/far-0", Dst: "svc/shop/api:80"}, packet.TCP, []string{"10.96.0.20:80"}, "", "same family as fd00:96::20"},
	} {
		t.Run(row.name, func(t *testing.T) {
			q, err := resolve(n, row.ask)
			if err != nil {
				t.Fatal(err)
			}
			var aims []string
			for _, a := range q.aims {
				aims = append(aims, a.String())
			}
			if diff := cmp.Diff(row.aims, aims); diff != "" {
				t.Errorf("aims (-want +got):\n%s", diff)
			}
			if row.aims != nil && q.proto != row.proto {
				t.Errorf("protocol %v, want %v", q.proto, row.proto)
			}
			from := ""
			if q.from != nil {
				from = q.from.String()
			}
			if from != row.from {
				t.Errorf("sent from %q, want %q", from, row.from)
			}
			said := q.nothing.String()
			for _, s := range q.needs {
				said += "\n" + s.What.String()
			}
			if !strings.Contains(said, row.say) {
				t.Errorf("said %q, want %q in it", said, row.say)
			}
		})
	}
}

func TestResolveErrors(t *testing.T) {
	n := network.New(shop())
	for _, row := range []struct {
		ask  Ask
		want string
	}{
		{Ask{Src: "shop/web-9", Dst: "10.0.0.1:80"}, "-s shop/web-9: no Pod of that name in the snapshot: there are shop/web-0"},
		{Ask{Src: "node/x", Dst: "10.0.0.1:80"}, "-s node/x: no node of that name in the snapshot: there are node-a"},
		{Ask{Src: "svc/shop/api", Dst: "10.0.0.1:80"}, "a Service sends nothing: name one of its Pods"},
		{Ask{Src: "shop/web-0", Dst: "svc/shop/apj:80"}, "no Service of that name in the snapshot: there are svc/shop/api"},
		{Ask{Src: "shop/web-0", Dst: "svc/shop/api"}, "the Service has 2 ports: name one: there are 80/"},
		{Ask{Src: "shop/web-0", Dst: "svc/shop/api:81"}, `port "81": the Service has no such port`},
		{Ask{Src: "shop/web-0", Dst: "svc/shop/api:80", Proto: "icmp"}, "a Service answers no ping"},
		{Ask{Src: "shop/web-0", Dst: "shop/far-0:https"}, `port "https": the Pod names no such port: there are http=8080, dns=53`},
		{Ask{Src: "shop/web-0", Dst: "shop/far-0:80", Port: "81"}, "-p 81: -d shop/far-0:80 names port 80 already"},
		{Ask{Src: "shop/web-0", Dst: "shop/far-0", Proto: "udp"}, "udp needs a port: write shop/far-0:PORT or -p PORT"},
		{Ask{Src: "shop/web-0", Dst: "shop/far-0:80", Proto: "icmp"}, "has no ports"},
		{Ask{Src: "shop/web-0", Dst: "nowhere.example.com:80"}, "no address is known for it"},
		{Ask{Src: "", Dst: "10.0.0.1:80"}, "-s: nothing given"},
		{Ask{Src: "shop/web-0", Dst: "10.0.0.1:0"}, "port 0: want 1 to 65535"},
		{Ask{Src: "shop/web-0", Dst: "node/b:10250"}, "-d node/b:10250: no node of that name in the snapshot: there are node-a"},
		{Ask{Src: "shop/web-0", Dst: "nowhere/web-0:80"}, "-d nowhere/web-0:80: no Pod of that name in the snapshot"},
		{Ask{Src: "shop/web-0", Dst: "node/node-a:kubelet"}, `port "kubelet": only a Pod and a Service have named ports`},
		{Ask{Src: "shop/web-0", Dst: "svc/shop/outside:80"}, `the Service is an ExternalName for "api.example.com": ask for that name`},
		{Ask{Src: "shop/web-0", Dst: "10.0.0.1", Port: "http"}, `port "http": only a Pod and a Service`},
		{Ask{Src: "shop/web-0", Dst: "10.0.0.1:80", Proto: "quic"}, `--proto "quic": want tcp, udp, sctp or icmp`},
		{Ask{Src: "a.example.com", Dst: "10.0.0.1:80"}, "a source is a Pod, a node or an address"},
	} {
		_, err := resolve(n, row.ask)
		if err == nil || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%+v:\n got %v\nwant %s", row.ask, err, row.want)
		}
	}
}

// TestNoAddress wants what has no address to reach nothing, and nothing to be followed.
func TestNoAddress(t *testing.T) {
	for _, ask := range []Ask{{Src: "shop/late-0", Dst: "svc/shop/dns"}, {Src: "shop/web-0", Dst: "shop/late-0:80"}} {
		r, err := Run(shop(), ask)
		if err != nil {
			t.Fatal(err)
		}
		if r.Verdict != Broken || r.Summary.String() != "shop/late-0 has no address" || len(r.Traces) != 0 {
			t.Errorf("%s to %s: %v: %s; %d traces", ask.Src, ask.Dst, r.Verdict, r.Summary, len(r.Traces))
		}
	}
}
