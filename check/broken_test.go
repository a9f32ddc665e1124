package check

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/plumbnet/plumb/fib"
	"github.com/plumbnet/plumb/network"
	"github.com/plumbnet/plumb/packet"
	"github.com/plumbnet/plumb/snapshot"
	"github.com/plumbnet/plumb/text"
	"github.com/plumbnet/plumb/trace"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// two is a cluster of two nodes on one segment, each with a Pod range; direct
// gives a the route to b's Pods. gaps are files that were not collected.
func two(direct bool, gaps ...string) *Pass {
	c := &snapshot.Cluster{}
	for i, name := range []string{"a", "b"} {
		host := &snapshot.NetNS{Name: "host", Dir: "nodes/" + name + "/host", Sysctl: map[string]string{}}
		host.Links = []snapshot.Link{{Index: 2, Name: "eth0", Flags: []string{"UP", "LOWER_UP"}, MTU: 1500, Addrs: []snapshot.LinkAddr{
			{Family: "inet", Local: netip.AddrFrom4([4]byte{192, 0, 2, byte(i + 1)}), Len: 24}}}}
		cidr := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 244, byte(i), 0}), 24)
		if name == "a" && direct {
			host.FIB.Routes = []fib.Route{{Dst: netip.MustParsePrefix("10.244.1.0/24"), Table: fib.TableMain, Type: fib.Unicast, Hops: []fib.NextHop{{Via: netip.MustParseAddr("192.0.2.2"), Dev: "eth0"}}}}
		}
		c.Nodes = append(c.Nodes, &snapshot.Node{Name: name, NetNS: []*snapshot.NetNS{host}})
		c.Objects.Nodes = append(c.Objects.Nodes, corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: corev1.NodeSpec{PodCIDR: cidr.String()}})
	}
	for _, g := range gaps {
		c.Gaps = append(c.Gaps, snapshot.Gap{Path: g, Why: "not collected"})
	}
	svc := corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "api"}, Spec: corev1.ServiceSpec{ClusterIP: "10.96.0.20", ExternalIPs: []string{"198.51.100.7"}}}
	svc.Spec.Ports = []corev1.ServicePort{{Port: 80, NodePort: 30080}}
	c.Objects.Services = []corev1.Service{svc}
	return &Pass{Snapshot: c, Network: network.New(c), index: &index{}}
}

func pk(dst string) packet.Packet {
	return packet.Packet{Proto: packet.TCP, Src: netip.MustParseAddrPort("10.244.0.2:40000"), Dst: netip.AddrPortFrom(netip.MustParseAddr(dst), 80)}
}

// in is a VXLAN packet to outer that carries one to dst.
func in(outer, dst string) packet.Packet {
	inner := pk(dst)
	p := pk(outer)
	p.Proto, p.Inner = packet.UDP, &inner
	return p
}

func TestFails(t *testing.T) {
	at := trace.Place{Node: "a", NetNS: "host", Link: "eth0"}
	path := func(end trace.Fate, final packet.Packet) trace.Path {
		return trace.Path{End: end, At: at, Final: final}
	}
	told := trace.Path{End: trace.TooBig, At: at, ICMP: []trace.Path{{End: trace.Delivered}}}
	untold := trace.Path{End: trace.TooBig, At: at, ICMP: []trace.Path{{End: trace.Dropped}}}
	away := trace.Path{End: trace.TooBig, At: at, ICMP: []trace.Path{{End: trace.LeftCluster}}}
	quoted := in("192.0.2.99", "10.244.1.2")
	quoted.Proto = packet.ICMP
	tests := []struct {
		name string
		p    *Pass
		path trace.Path
		want bool
	}{
		{"unknown", two(true), path(trace.Unknown, pk("10.244.1.2")), false},
		{"delivered", two(true), path(trace.Delivered, pk("10.244.1.2")), false},
		{"dropped", two(true), path(trace.Dropped, pk("10.244.1.2")), true},
		{"too big, and told", two(true), told, false},
		{"too big, and not told", two(true), untold, true},
		{"too big, and told outside", two(true), away, false},
		{"to the outside", two(true), path(trace.LeftCluster, pk("203.0.113.1")), false},
		{"to a Pod, out of the cluster", two(true), path(trace.LeftCluster, pk("10.244.1.2")), true},
		{"to a Pod, by a router that may know it", two(false), path(trace.LeftCluster, pk("10.244.1.2")), false},
		{"to a cluster IP", two(false), path(trace.LeftCluster, pk("10.96.0.20")), true},
		{"to a Service's address outside", two(true), path(trace.LeftCluster, pk("198.51.100.7")), false},
		{"to a node, by a strange link-layer address", two(true), path(trace.LeftCluster, pk("192.0.2.2")), false},
		{"tunnelled to an address of the link that nobody has", two(true), path(trace.LeftCluster, in("192.0.2.99", "10.244.1.2")), true},
		{"tunnelled to a node", two(true), path(trace.LeftCluster, in("192.0.2.2", "10.244.1.2")), false},
		{"tunnelled by a router", two(true), path(trace.LeftCluster, in("198.51.100.9", "10.244.1.2")), false},
		{"tunnelled, for the outside", two(true), path(trace.LeftCluster, in("192.0.2.99", "203.0.113.1")), false},
		{"tunnelled, where a node was not collected", two(true, "nodes/b/host/addr.json"), path(trace.LeftCluster, in("192.0.2.99", "10.244.1.2")), false},
		{"an error message that quotes a packet", two(true), path(trace.LeftCluster, quoted), false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.p.fails(&tt.path); got != tt.want {
				t.Errorf("got %v", got)
			}
			if lost := len(tt.p.index.lost) > 0; lost != (tt.want && tt.path.End == trace.LeftCluster) {
				t.Errorf("lost: %v", tt.p.index.lost)
			}
		})
	}
}

func TestBrokenPaths(t *testing.T) {
	p := two(true)
	dead := trace.Path{End: trace.Dropped, At: trace.Place{Node: "b", NetNS: "host"}, Final: pk("10.244.1.2")}
	p.Results = []trace.Result{{Paths: []trace.Path{
		dead,
		{End: trace.Delivered, Reply: []trace.Path{{End: trace.Delivered}, dead}},
	}}}
	bs := BrokenPaths(p)
	if len(bs) != 2 || bs[0].Request != nil || bs[1].Request != &p.Results[0].Paths[1] {
		t.Fatalf("got %d: %+v", len(bs), bs)
	}
	if again := BrokenPaths(p); len(again) != 2 {
		t.Errorf("the second time %d", len(again))
	}
	if got := DiesOf(p, trace.Dropped); len(got) != 2 {
		t.Errorf("DiesOf(Dropped): %d", len(got))
	}
	if got := DiesOf(p, trace.NoRoute); len(got) != 0 {
		t.Errorf("DiesOf(NoRoute): %d", len(got))
	}
}

func TestBroken(t *testing.T) {
	p := two(true)
	a, b := p.Host("a"), p.Host("b")
	outer := in("192.0.2.99", "10.244.1.2")
	steps := []trace.Step{{Stage: trace.StageEncap, Link: "flannel.1", Out: &outer}, {Stage: trace.StageForward, What: text.F("x")}}
	x := Broken{
		Query: trace.Query{Dst: netip.MustParseAddrPort("10.96.0.20:80"), Proto: packet.TCP},
		Path: &trace.Path{End: trace.Dropped, At: trace.Place{Node: "b", NetNS: "host", Link: "eth0"}, Final: in("192.0.2.2", "10.244.1.2"), Hops: []trace.Hop{
			{Node: "a", NetNS: "host", Out: "eth0", Steps: steps}, {Node: "b", NetNS: "host", In: "eth0"}}},
	}
	addr := netip.MustParseAddr
	for _, row := range []struct {
		name string
		got  bool
		want bool
	}{
		{"in b", x.In(b), true},
		{"in a", x.In(a), false},
		{"in nothing", x.In(nil), false},
		{"passes a", x.Passes(a), true},
		{"toward the Pods, inside a tunnel", x.Toward(netip.MustParsePrefix("10.244.1.0/24")), true},
		{"toward the node", x.Toward(netip.MustParsePrefix("192.0.2.2/32")), true},
		{"toward others", x.Toward(netip.MustParsePrefix("10.244.2.0/24")), false},
		{"met the inner", x.Met(addr("10.244.1.2")), true},
		{"met what it was sent to before", x.Met(addr("192.0.2.99")), false},
		{"went there before", x.Went(addr("192.0.2.99")), true},
		{"never went there", x.Went(addr("192.0.2.98")), false},
		{"forwarded", x.Forwarded(), true},
		{"too large", TooLarge(x), false},
		{"dies at eth0 of b", p.DiesAt(x, b.Iface("eth0")), true},
		{"dies at eth0 of a", p.DiesAt(x, a.Iface("eth0")), false},
	} {
		if row.got != row.want {
			t.Errorf("%s: got %v", row.name, row.got)
		}
	}
	if diff := cmp.Diff(Symptom{PathBroken, "b/host/eth0"}, x.Symptom()); diff != "" {
		t.Error(diff)
	}
	if x.Stage() != trace.StageForward {
		t.Errorf("stage %q: the last step is in the hop before the last", x.Stage())
	}
	made := x
	made.Path = &trace.Path{End: trace.NoRoute, Hops: []trace.Hop{{Node: "a", NetNS: "host"}}}
	if made.Forwarded() {
		t.Error("a packet that is made where it dies was not forwarded")
	}
}
