package check

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/plumbnet/plumb/fib"
	"github.com/plumbnet/plumb/snapshot"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestPodAddrs(t *testing.T) {
	tests := []struct {
		name string
		pod  corev1.Pod
		want string
	}{
		{"one", corev1.Pod{Status: corev1.PodStatus{PodIP: "10.0.0.1"}}, "10.0.0.1"},
		{"both families", corev1.Pod{Status: corev1.PodStatus{PodIP: "10.0.0.1", PodIPs: []corev1.PodIP{{IP: "10.0.0.1"}, {IP: "fd00::1"}}}}, "10.0.0.1 fd00::1"},
		{"its node's", corev1.Pod{Spec: corev1.PodSpec{HostNetwork: true}, Status: corev1.PodStatus{PodIP: "192.0.2.1"}}, ""},
		{"ended", corev1.Pod{Status: corev1.PodStatus{Phase: corev1.PodSucceeded, PodIP: "10.0.0.1"}}, ""},
		{"none yet", corev1.Pod{}, ""},
		{"written as IPv6", corev1.Pod{Status: corev1.PodStatus{PodIP: "::ffff:10.0.0.1"}}, "10.0.0.1"},
		{"not an address", corev1.Pod{Status: corev1.PodStatus{PodIP: "ten"}}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := ""
			for _, a := range PodAddrs(&tt.pod) {
				if got != "" {
					got += " "
				}
				got += a.String()
			}
			if got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestInside(t *testing.T) {
	p := two(true)
	p.Snapshot.Objects.Pods = []corev1.Pod{{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "far"}, Status: corev1.PodStatus{PodIP: "172.16.0.9"}}}
	for addr, want := range map[string]bool{
		"10.96.0.20": true, "192.0.2.1": true, "10.244.1.77": true, "172.16.0.9": true,
		"203.0.113.1": false, "192.0.2.77": false, "10.244.2.1": false, "::ffff:192.0.2.1": true,
	} {
		if got := p.Inside(netip.MustParseAddr(addr)); got != want {
			t.Errorf("%s: got %v", addr, got)
		}
	}
	if p.NodeByPodCIDR(netip.MustParseAddr("10.244.1.7")) != "b" || !p.Within("b", netip.MustParsePrefix("10.244.1.128/25")) || p.Within("b", netip.MustParsePrefix("10.244.0.0/16")) {
		t.Error("Pod ranges of nodes are mixed up")
	}
}

// TestHostOf: b's address is on a too, which comes first.
func TestHostOf(t *testing.T) {
	b := netip.MustParseAddr("192.0.2.2")
	for known, want := range map[bool]string{true: "b", false: "a"} {
		p := two(true)
		eth0 := &p.Snapshot.Nodes[0].NetNS[0].Links[0]
		eth0.Addrs = append(eth0.Addrs, snapshot.LinkAddr{Family: "inet", Local: b, Len: 24})
		if known {
			p.Snapshot.Objects.Nodes[1].Status.Addresses = []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: b.String()}}
		}
		if got := p.HostOf(b); got == nil || got.Node.Name != want {
			t.Errorf("known to the API %v: got %v, want %s", known, got, want)
		}
	}
}

func TestPodCIDRs(t *testing.T) {
	tests := []struct {
		name string
		spec corev1.NodeSpec
		want string
	}{
		{"one", corev1.NodeSpec{PodCIDR: "10.0.0.0/24"}, "[10.0.0.0/24]"},
		{"several", corev1.NodeSpec{PodCIDR: "10.0.0.0/24", PodCIDRs: []string{"10.0.0.0/24", "fd00::/64"}}, "[10.0.0.0/24 fd00::/64]"},
		{"host bits", corev1.NodeSpec{PodCIDR: "10.0.0.9/24"}, "[10.0.0.0/24]"},
		{"none", corev1.NodeSpec{}, "[]"},
		{"nonsense", corev1.NodeSpec{PodCIDR: "x"}, "[]"},
	}
	for _, tt := range tests {
		got := "["
		for i, c := range PodCIDRs(&corev1.Node{Spec: tt.spec}) {
			if i > 0 {
				got += " "
			}
			got += c.String()
		}
		if got += "]"; got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.name, got, tt.want)
		}
	}
}

func TestUplinkOf(t *testing.T) {
	p := two(true)
	a := p.Host("a")
	if l := p.UplinkOf(a); l != nil {
		t.Errorf("without address or default route: %s", l.Name)
	}
	a.Links = append(a.Links, snapshot.Link{Name: "eth1", Addrs: []snapshot.LinkAddr{{Family: "inet", Local: netip.MustParseAddr("198.51.100.1"), Len: 24}}})
	a.FIB.Routes = append(a.FIB.Routes, fib.Route{Dst: netip.MustParsePrefix("0.0.0.0/0"), Hops: []fib.NextHop{{Dev: "eth1"}}})
	if l := p.UplinkOf(a); l == nil || l.Name != "eth1" {
		t.Errorf("by the default route: %v", l)
	}
	p.Snapshot.Objects.Nodes[0].Status.Addresses = []corev1.NodeAddress{{Type: corev1.NodeHostName, Address: "198.51.100.1"}, {Type: corev1.NodeInternalIP, Address: "192.0.2.1"}}
	if l := p.UplinkOf(a); l == nil || l.Name != "eth0" {
		t.Errorf("by the InternalIP: %v", l)
	}
}

func TestLacks(t *testing.T) {
	p := two(true, "nodes/a/host/sysctl")
	var said []string
	p.Unjudged = func(where, why string) { said = append(said, where+": "+why) }
	if !p.Lacks(p.Host("a"), "addr.json", "sysctl") || p.Lacks(p.Host("b"), "sysctl") {
		t.Error("what is missing is mixed up")
	}
	if diff := cmp.Diff([]string{"nodes/a/host/sysctl: not collected"}, said); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestComplete(t *testing.T) {
	if !two(true).Complete() {
		t.Error("both nodes are there")
	}
	if two(true, "nodes/b/host/addr.json").Complete() {
		t.Error("b's addresses are not there")
	}
	p := two(true)
	p.Snapshot.Objects.Nodes = append(p.Snapshot.Objects.Nodes, corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "c"}})
	if p.Complete() {
		t.Error("c is not there")
	}
}

func TestOnce(t *testing.T) {
	p, made := two(true), 0
	type key struct{ n int }
	for _, n := range []int{1, 1, 2} {
		if got := Once(p, key{n}, func() int { made++; return 10 * n }); got != 10*n {
			t.Errorf("got %d for %d", got, n)
		}
	}
	if made != 2 {
		t.Errorf("made %d times", made)
	}
}
