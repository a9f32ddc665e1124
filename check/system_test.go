package check

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/plumbnet/plumb/fib"
	"github.com/plumbnet/plumb/network"
	"github.com/plumbnet/plumb/packet"
	"github.com/plumbnet/plumb/service"
	"github.com/plumbnet/plumb/snapshot"
	"github.com/plumbnet/plumb/trace"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestNodeOf(t *testing.T) {
	waits := func(key string, names ...string) corev1.Pod {
		return corev1.Pod{Spec: corev1.PodSpec{Affinity: &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{
			RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{
				{MatchFields: []corev1.NodeSelectorRequirement{{Key: key, Operator: corev1.NodeSelectorOpIn, Values: names}}}}}}}}}
	}
	placed := waits("metadata.name", "a")
	placed.Spec.NodeName = "b"
	for _, tt := range []struct {
		name string
		pod  corev1.Pod
		want string
	}{
		{"placed", placed, "b"},
		{"a DaemonSet's, which waits for its node", waits("metadata.name", "a"), "a"},
		{"one of two nodes", waits("metadata.name", "a", "b"), ""},
		{"by another field", waits("metadata.namespace", "a"), ""},
		{"anywhere", corev1.Pod{}, ""},
		{"an affinity that asks for nothing", corev1.Pod{Spec: corev1.PodSpec{Affinity: &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{}}}}, ""},
	} {
		if got := NodeOf(&tt.pod); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestStateOf(t *testing.T) {
	for _, tt := range []struct {
		name   string
		status corev1.PodStatus
		want   string
		runs   bool
	}{
		{"runs", corev1.PodStatus{Phase: corev1.PodRunning, Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}}, "Running", true},
		{"evicted", corev1.PodStatus{Phase: corev1.PodFailed, Reason: "Evicted", Message: "The node was low on resource: memory."}, "Failed: Evicted: The node was low on resource: memory.", false},
		{"cannot be placed", corev1.PodStatus{Phase: corev1.PodPending, Conditions: []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: "Unschedulable"}}}, "Pending: Unschedulable", false},
		{"a condition that is true tells nothing", corev1.PodStatus{Phase: corev1.PodPending, Conditions: []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionTrue, Reason: "Placed"}}}, "Pending", false},
		{"crashes", corev1.PodStatus{Phase: corev1.PodRunning, ContainerStatuses: []corev1.ContainerStatus{
			{Name: "x", State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff"}}}}}, "Running: x CrashLoopBackOff", false},
		{"waits, and says not for what", corev1.PodStatus{Phase: corev1.PodPending, ContainerStatuses: []corev1.ContainerStatus{
			{Name: "x", State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{}}}}}, "Pending", false},
		{"ready, and ended", corev1.PodStatus{Phase: corev1.PodSucceeded, Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}}, "Succeeded", false},
	} {
		pod := corev1.Pod{Status: tt.status}
		if got := StateOf(&pod); got != tt.want || Running(&pod) != tt.runs {
			t.Errorf("%s: got %q, runs %v", tt.name, got, Running(&pod))
		}
	}
}

func TestRegistered(t *testing.T) {
	o := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{
		flannel + "public-ip": "192.0.2.1", flannel + "backend-data": `{"VNI":1,"VtepMAC":"62:71:f7:93:ed:d6"}`,
		flannel + "public-ipv6": "fd00::1", flannel + "backend-v6-data": `{"VtepMAC":"9a:b9:1a:27:3b:2f"}`}}}
	mac := func(s string) packet.MAC { m, _ := packet.ParseMAC(s); return m }
	same := cmp.Comparer(func(a, b netip.Addr) bool { return a == b })
	for _, tt := range []struct {
		name string
		node *corev1.Node
		is6  bool
		want Registration
	}{
		{"IPv4", o, false, Registration{netip.MustParseAddr("192.0.2.1"), mac("62:71:f7:93:ed:d6")}},
		{"IPv6", o, true, Registration{netip.MustParseAddr("fd00::1"), mac("9a:b9:1a:27:3b:2f")}},
		{"nothing", &corev1.Node{}, false, Registration{}},
		{"null, as flannel writes it for host-gw", &corev1.Node{ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{flannel + "backend-data": "null"}}}, false, Registration{}},
		{"nonsense", &corev1.Node{ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{flannel + "public-ip": "x", flannel + "backend-data": "{"}}}, false, Registration{}},
	} {
		if diff := cmp.Diff(tt.want, Registered(tt.node, tt.is6), same); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}

// tunnel is a device with the settings on node a.
func tunnel(d snapshot.LinkData) *network.Iface {
	c := &snapshot.Cluster{Nodes: []*snapshot.Node{{Name: "a", NetNS: []*snapshot.NetNS{{Name: "host", Dir: "nodes/a/host", Links: []snapshot.Link{
		{Index: 1, Name: "vxlan0", Flags: []string{"UP"}, Info: snapshot.LinkInfo{Kind: "vxlan", Data: d}}}}}}}}
	return network.New(c).Host("a").Iface("vxlan0")
}

func TestLocalOf(t *testing.T) {
	six := netip.MustParseAddr("fd00::1")
	for _, tt := range []struct {
		name string
		data snapshot.LinkData
		want netip.Addr
		is6  bool
	}{
		{"IPv4", snapshot.LinkData{Local: "192.0.2.1"}, netip.MustParseAddr("192.0.2.1"), false},
		{"IPv6", snapshot.LinkData{Local6: six}, six, true},
		{"left to the kernel", snapshot.LinkData{Local: "any"}, netip.Addr{}, false},
		{"left to the kernel, in numbers", snapshot.LinkData{Local: "0.0.0.0"}, netip.Addr{}, false},
		{"left to the kernel, to a peer of IPv6", snapshot.LinkData{Remote6: six}, netip.Addr{}, true},
		{"left to the kernel, to a group of IPv6", snapshot.LinkData{Group6: netip.MustParseAddr("ff05::1")}, netip.Addr{}, true},
	} {
		d := tunnel(tt.data)
		if got := LocalOf(d); got != tt.want || Is6(d) != tt.is6 {
			t.Errorf("%s: got %v, IPv6 %v", tt.name, got, Is6(d))
		}
	}
	if got := VTEPs(tunnel(snapshot.LinkData{}).NS); len(got) != 1 {
		t.Errorf("VTEPs: %d", len(got))
	}
	if got := VTEPs(tunnel(snapshot.LinkData{External: true}).NS); len(got) != 0 {
		t.Errorf("a device that routes tell where to send: %d", len(got))
	}
}

func TestTunnels(t *testing.T) {
	d := tunnel(snapshot.LinkData{})
	at := func(node, link string, inner bool) Broken {
		p := &trace.Path{At: trace.Place{Node: node, NetNS: "host", Link: link}, Final: pk("10.244.1.2"), Hops: []trace.Hop{{Node: node, NetNS: "host", In: "eth0", Out: link}}}
		if inner {
			p.Final = in("192.0.2.2", "10.244.1.2")
		}
		return Broken{Path: p}
	}
	stepped := at("a", "", false)
	stepped.Path.Hops[0].Steps = []trace.Step{{Link: "vxlan0"}}
	came := at("a", "", false)
	came.Path.Hops[0].In = "vxlan0"
	for _, tt := range []struct {
		name string
		b    Broken
		want bool
	}{
		{"sent into it", at("a", "vxlan0", false), true},
		{"came by it", came, true},
		{"a step at it", stepped, true},
		{"died on its node, still inside a tunnel", at("a", "", true), true},
		{"by another device", at("a", "eth1", false), false},
		{"by one of the name on another node", at("b", "vxlan0", false), false},
		{"inside a tunnel on another node", at("b", "", true), false},
	} {
		if got := Tunnels(tt.b, d); got != tt.want {
			t.Errorf("%s: got %v", tt.name, got)
		}
	}
}

func TestServiceOf(t *testing.T) {
	p := two(true)
	p.Snapshot.Objects.Services[0].Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: "203.0.113.5"}, {Hostname: "lb.example.org"}}
	for a, want := range map[string]bool{"10.96.0.20": true, "198.51.100.7": true, "203.0.113.5": true, "::ffff:10.96.0.20": true, "10.96.0.21": false, "192.0.2.1": false} {
		if got := p.ServiceOf(netip.MustParseAddr(a)) != nil; got != want {
			t.Errorf("%s: got %v", a, got)
		}
	}
	for _, tt := range []struct {
		port  uint16
		proto corev1.Protocol
		want  bool
	}{{30080, "TCP", true}, {30080, "UDP", false}, {30081, "TCP", false}} {
		if s, port := p.ServiceByNodePort(tt.port, tt.proto); (s != nil) != tt.want || (port != nil) != tt.want {
			t.Errorf("node port %d/%s: got %v", tt.port, tt.proto, s != nil)
		}
	}
}

func TestEndpoints(t *testing.T) {
	p := two(true)
	slice := func(name, port string, n *int32, eps ...discoveryv1.Endpoint) discoveryv1.EndpointSlice {
		return discoveryv1.EndpointSlice{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name, Labels: map[string]string{discoveryv1.LabelServiceName: "api"}},
			Ports: []discoveryv1.EndpointPort{{Name: &port, Port: n}}, Endpoints: eps}
	}
	p.Snapshot.Objects.EndpointSlices = []discoveryv1.EndpointSlice{
		slice("x", "http", ptr(int32(80)), discoveryv1.Endpoint{Addresses: []string{"10.244.1.3", "no address"}, NodeName: ptr("b"),
			TargetRef: &corev1.ObjectReference{Kind: "Pod", Namespace: "shop", Name: "api-1"}, Hints: &discoveryv1.EndpointHints{ForZones: []discoveryv1.ForZone{{Name: "eu-1"}}}}),
		slice("y", "http", ptr(int32(80)), discoveryv1.Endpoint{Addresses: []string{"10.244.1.2"}, TargetRef: &corev1.ObjectReference{Kind: "VM", Name: "vm"},
			Conditions: discoveryv1.EndpointConditions{Ready: ptr(false), Terminating: ptr(true)}}),
		slice("z", "all", nil, discoveryv1.Endpoint{Addresses: []string{"10.244.1.9"}}),
	}
	got := p.Endpoints(&p.Snapshot.Objects.Services[0])
	at := netip.MustParseAddrPort
	want := []service.Endpoint{
		{Addr: at("10.244.1.2:80"), Port: "http", Proto: "TCP", Serving: true, Terminating: true, Slice: "EndpointSlice/shop/y"},
		{Addr: at("10.244.1.3:80"), Port: "http", Proto: "TCP", Ready: true, Serving: true, Node: "b", Pod: "shop/api-1", Zones: []string{"eu-1"}, Slice: "EndpointSlice/shop/x"},
	}
	if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	s := &p.Snapshot.Objects.Services[0]
	if !p.Backs(s, at("10.244.1.3:80")) || p.Backs(s, at("10.244.1.3:81")) || p.Backs(s, at("10.244.1.9:80")) {
		t.Error("what backs the Service is mixed up")
	}
}

func TestFamilies(t *testing.T) {
	for _, tt := range []struct {
		cidrs  []string
		v4, v6 bool
	}{
		{[]string{"10.244.0.0/24"}, true, false},
		{[]string{"fd00::/64"}, false, true},
		{[]string{"10.244.0.0/24", "fd00::/64"}, true, true},
		{nil, true, false}, // not known: IPv4 is what there is
	} {
		p := two(true)
		p.Snapshot.Objects.Nodes[0].Spec = corev1.NodeSpec{PodCIDRs: tt.cidrs}
		if v4, v6 := p.Families(p.Host("a")); v4 != tt.v4 || v6 != tt.v6 {
			t.Errorf("%v: got %v, %v", tt.cidrs, v4, v6)
		}
		if got := p.HostsPods(p.Host("a")); got != (len(tt.cidrs) > 0) {
			t.Errorf("%v: hosts Pods: %v", tt.cidrs, got)
		}
	}
}

func TestConf(t *testing.T) {
	for dev, want := range map[string]string{"eth0": "net.ipv4.conf.eth0.rp_filter", "flannel.1": "net.ipv4.conf.flannel/1.rp_filter", "eth0.100.7": "net.ipv4.conf.eth0/100/7.rp_filter"} {
		if got := Conf(dev, "rp_filter"); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// TestUnwired: a Pod whose CNI plugin never ran has no route but those of loopback.
func TestUnwired(t *testing.T) {
	p := two(true)
	ns := *p.Host("a")
	ns.NetNS = &snapshot.NetNS{Name: "pod-x", Dir: "nodes/a/pod-x"}
	ns.PodName = "shop/x"
	b := Broken{Query: trace.Query{From: &ns}, Path: &trace.Path{End: trace.NoRoute, At: trace.Place{Node: "a", NetNS: "pod-x"}}}
	if !b.Unwired("a") || b.Unwired("b") {
		t.Error("no route at all: the Pod is unwired, on its node")
	}
	dead := b
	dead.Path = &trace.Path{End: trace.Dropped, At: b.Path.At}
	if dead.Unwired("a") {
		t.Error("it died of something else")
	}
	ns.FIB.Routes = []fib.Route{{Dst: netip.MustParsePrefix("127.0.0.0/8"), Type: fib.Unicast}, {Dst: netip.MustParsePrefix("fe80::/64"), Type: fib.Unicast}}
	if !b.Unwired("a") {
		t.Error("routes of loopback and link-local ones do not count")
	}
	ns.FIB.Routes = append(ns.FIB.Routes, fib.Route{Dst: netip.MustParsePrefix("10.244.0.0/24"), Type: fib.Unicast})
	if b.Unwired("a") {
		t.Error("it has a route")
	}
}

// TestRefused: a kernel tells its own processes what is too big for its device.
func TestRefused(t *testing.T) {
	p := two(true)
	at := trace.Place{Node: "a", NetNS: "host", Link: "eth0"}
	big := func(size int, hops ...trace.Hop) *trace.Path {
		f := pk("192.0.2.2")
		f.Size = size
		return &trace.Path{End: trace.TooBig, At: at, Final: f, Hops: hops}
	}
	own, forwarded := trace.Hop{Node: "a", NetNS: "host", Out: "eth0"}, trace.Hop{Node: "a", NetNS: "host", In: "cni0", Out: "eth0"}
	inside := big(1501, own)
	inside.Final.Inner = &packet.Packet{}
	nowhere := big(1501, own)
	nowhere.At.Link = "eth9"
	for _, tt := range []struct {
		name string
		path *trace.Path
		want bool // fails
	}{
		{"its own, too big for its device", big(1501, own), false},
		{"its own, which fits its device, and not what is behind", big(1500, own), true},
		{"forwarded", big(1501, forwarded), true},
		{"its own, on a second hop", big(1501, own, own), true},
		{"in a tunnel", inside, true},
		{"at a device that is not known", nowhere, true},
	} {
		if got := p.fails(tt.path); got != tt.want {
			t.Errorf("%s: fails %v", tt.name, got)
		}
	}
}
