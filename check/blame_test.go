package check

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/plumbnet/plumb/fib"
	"github.com/plumbnet/plumb/netfilter"
	"github.com/plumbnet/plumb/packet"
	"github.com/plumbnet/plumb/snapshot"
	"github.com/plumbnet/plumb/trace"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func dying(dst string, proto packet.Proto) trace.Result {
	q := trace.Query{Dst: netip.MustParseAddrPort(dst), Proto: proto}
	return trace.Result{Query: q, Paths: []trace.Path{{End: trace.Dropped, At: trace.Place{Node: "b", NetNS: "host"}, Final: packet.Packet{Dst: q.Dst, Proto: proto}}}}
}

func TestBlameService(t *testing.T) {
	tests := []struct {
		name  string
		dst   string
		proto packet.Proto
		want  bool
	}{
		{"its cluster IP and port", "10.96.0.20:80", packet.TCP, true},
		{"its external IP", "198.51.100.7:80", packet.TCP, true},
		{"another port", "10.96.0.20:81", packet.TCP, false},
		{"another protocol", "10.96.0.20:80", packet.UDP, false},
		{"its node port on a node", "192.0.2.1:30080", packet.TCP, true},
		{"its node port elsewhere", "203.0.113.1:30080", packet.TCP, false},
		{"another address", "10.96.0.21:80", packet.TCP, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := two(true)
			p.Results = []trace.Result{dying(tt.dst, tt.proto)}
			s := &p.Snapshot.Objects.Services[0]
			var f Finding
			p.BlameService(&f, s, &s.Spec.Ports[0])
			if f.OnPath != tt.want || len(f.Explains) > 0 != tt.want {
				t.Errorf("on path %v, explains %v", f.OnPath, f.Explains)
			}
		})
	}
}

func TestLose(t *testing.T) {
	p := two(true)
	r := dying("10.244.1.2:80", packet.TCP)
	p.Results = []trace.Result{r}
	var f Finding
	p.Lose(&f, &r.Paths[0], true)
	want := []Loss{{At: r.Paths[0].At, Packet: r.Paths[0].Final.String(), Share: true}}
	if diff := cmp.Diff(want, p.index.lost); diff != "" || !f.OnPath {
		t.Errorf("on path %v (-want +got):\n%s", f.OnPath, diff)
	}
	p.Results, f = nil, Finding{}
	if p.Lose(&f, &r.Paths[0], false); f.OnPath {
		t.Error("on the path, though none was asked about")
	}
}

// TestRunLost: what checks know to be lost is in the result, once, and sorted.
func TestRunLost(t *testing.T) {
	p := two(true)
	lose := &Check{Name: "x", Run: func(p *Pass) {
		for _, dst := range []string{"10.0.0.2", "10.0.0.1", "10.0.0.2"} {
			p.Lose(&Finding{}, &trace.Path{At: trace.Place{Node: "a"}, Final: pk(dst)}, false)
		}
		p.Lose(&Finding{}, &trace.Path{At: trace.Place{Node: "a"}, Final: pk("10.0.0.1")}, true)
	}}
	var got []string
	for _, l := range Run(p.Snapshot, p.Network, nil, nil, lose).Lost {
		s := l.Packet
		if l.Share {
			s += " share"
		}
		got = append(got, s)
	}
	one, other := pk("10.0.0.1"), pk("10.0.0.2")
	if diff := cmp.Diff([]string{one.String(), one.String() + " share", other.String()}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestRouteText(t *testing.T) {
	c, via := netip.MustParsePrefix, netip.MustParseAddr("192.0.2.1")
	tests := []struct {
		route fib.Route
		want  string
	}{
		{fib.Route{Dst: c("10.0.0.0/8"), Type: fib.Unicast, Hops: []fib.NextHop{{Via: via, Dev: "eth0"}}}, "10.0.0.0/8 via 192.0.2.1 dev eth0"},
		{fib.Route{Dst: c("0.0.0.0/0"), Type: fib.Unicast, Table: fib.TableMain, Hops: []fib.NextHop{{Via: via, Dev: "eth0"}}}, "default via 192.0.2.1 dev eth0"},
		{fib.Route{Dst: c("10.0.0.0/8"), Type: fib.Blackhole, Table: fib.TableMain}, "blackhole 10.0.0.0/8"},
		{fib.Route{Dst: c("10.0.0.0/8"), Type: fib.Unicast, Table: 100, Hops: []fib.NextHop{{Dev: "eth0"}}}, "10.0.0.0/8 dev eth0 table 100"},
	}
	for _, tt := range tests {
		if got := RouteText(&tt.route); got != tt.want {
			t.Errorf("got %q, want %q", got, tt.want)
		}
	}
}

func TestSave(t *testing.T) {
	for want, table := range map[string]netfilter.Table{
		"iptables-save":         {Backend: netfilter.NFT},
		"ip6tables-save":        {Backend: netfilter.NFT, Is6: true},
		"iptables-legacy-save":  {Backend: netfilter.Legacy},
		"ip6tables-legacy-save": {Backend: netfilter.Legacy, Is6: true},
	} {
		if got := Save(&table); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestPlaces(t *testing.T) {
	p := two(true)
	b := p.Host("b")
	pod := *b
	pod.NetNS = &snapshot.NetNS{Name: "pod-x", Dir: "nodes/b/pod-x"}
	if got := Within(b, "ip route"); got != "ip route" {
		t.Errorf("on the node: %q", got)
	}
	e := File(b, "sysctl", "x = 1", "sysctl x")
	if diff := cmp.Diff(snapshot.Evidence{File: "nodes/b/host/sysctl", Text: "x = 1", Command: "sysctl x"}, e); diff != "" {
		t.Error(diff)
	}
	if got := Place(b, "eth0"); got != "b/host/eth0" {
		t.Errorf("place %q", got)
	}
}

func TestRestart(t *testing.T) {
	pod := func(owner string) corev1.Pod {
		return corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "sys", Name: "agent-1", Labels: map[string]string{"k8s-app": "calico-node"},
			OwnerReferences: []metav1.OwnerReference{{Kind: owner, Name: "x"}}}, Spec: corev1.PodSpec{NodeName: "a"}}
	}
	tests := []struct {
		name  string
		role  Role
		pods  []corev1.Pod
		notes map[string]string
		want  string
	}{
		{"a DaemonSet's Pod", CNI, []corev1.Pod{pod("DaemonSet")}, nil, "kubectl -n sys delete pod agent-1"},
		{"a static Pod, which deleting does not restart", CNI, []corev1.Pod{pod("Node")}, nil, ""},
		{"another role", Proxy, []corev1.Pod{pod("DaemonSet")}, nil, "kubectl -n kube-system delete pod -l k8s-app=kube-proxy --field-selector spec.nodeName=a"},
		{"flannel, whose Pods were not collected", CNI, nil, map[string]string{flannel + "backend-type": "vxlan"}, "kubectl -n kube-flannel delete pod -l app=flannel --field-selector spec.nodeName=a"},
		{"not known", CNI, nil, nil, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := two(true)
			p.Snapshot.Objects.Pods = tt.pods
			p.Snapshot.Objects.Nodes[0].Annotations = tt.notes
			got := p.Restart(tt.role, "a")
			if tt.want == "" && !strings.Contains(got, "agent-1") && strings.Contains(got, "spec.nodeName=a") {
				return // some way to find it
			}
			if got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}
