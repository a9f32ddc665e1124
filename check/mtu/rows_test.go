package mtu

import (
	"testing"

	"github.com/plumbnet/plumb/check"
	"github.com/plumbnet/plumb/check/checktest"
)

// mtus sets the MTU of devices.
func mtus(mtu int, links ...string) func(*checktest.Facts) {
	return func(f *checktest.Facts) {
		for _, l := range links {
			f.Link(l).MTU = mtu
		}
	}
}

// node sets the MTU of all that Pods of a node use.
func node(f *checktest.Facts, name string, mtu int) {
	for _, n := range f.Nodes {
		for _, ns := range n.NetNS {
			for i := range ns.Links {
				if l := &ns.Links[i]; n.Name == name && l.Name != "lo" && (l.Name != "eth0" || ns.Name != "host") {
					l.MTU = mtu
				}
			}
		}
	}
}

func TestTunnel(t *testing.T) {
	const says = "error: node-b/host/flannel.1: mtu-mismatch: flannel.1 MTU "
	checktest.Rows(t, checktest.Flannel, []*check.Check{Mismatch}, []checktest.Row{
		{Name: "as recorded: 1450 and 50 fit into 1500"},
		{Name: "one byte too many", Edit: mtus(1451, "node-b/host/flannel.1"), Want: says + "1451 needs 1501 from eth0, which has 1500",
			Fix: []string{"ip link set flannel.1 mtu 1450", "kubectl -n kube-flannel delete pod kube-flannel-ds-node-b"}},
		{Name: "a small uplink, where the others' is large enough: raised", Edit: mtus(1400, "node-b/host/eth0"),
			Want: "error: node-b/host/eth0: mtu-mismatch: eth0 MTU 1400, but node-a/host/eth0 has 1500 on the same network: frames over 1400 bytes are dropped without a word\n" +
				"> " + says + "1450 needs 1500 from eth0, which has 1400",
			Fix: []string{"ip link set eth0 mtu 1500"}},
		{Name: "all uplinks small", Edit: mtus(1400, "node-a/host/eth0", "node-b/host/eth0", "node-c/host/eth0"),
			Want: "error: node-a/host/flannel.1: mtu-mismatch: flannel.1 MTU 1450 needs 1500 from eth0, which has 1400\n" + says + "1450 needs 1500 from eth0, which has 1400\n" +
				"error: node-c/host/flannel.1: mtu-mismatch: flannel.1 MTU 1450 needs 1500 from eth0, which has 1400",
			Fix: []string{"ip link set flannel.1 mtu 1350", "kubectl -n kube-flannel delete pod kube-flannel-ds-node-a"}},
		{Name: "lower on one node, where it fits", Edit: func(f *checktest.Facts) { node(f, "node-b", 1400) }},
		{Name: "the device below was not collected", Edit: func(f *checktest.Facts) {
			d := f.Link("node-b/host/flannel.1")
			d.MTU, d.Info.Data.Link, d.Info.Data.Local = 1480, "", ""
		}},
		{Name: "not collected", Without: []string{"nodes/node-a/host/addr.json"}, Want: "? nodes/node-a/host/addr.json: mtu-mismatch: not collected"},
	})
	checktest.Rows(t, checktest.DualStack, []*check.Check{Mismatch}, []checktest.Row{
		{Name: "as recorded: VXLAN over IPv6 adds 70"},
		{Name: "one byte too many over IPv6", Edit: mtus(1431, "node-b/host/flannel-v6.1"),
			Want: "error: node-b/host/flannel-v6.1: mtu-mismatch: flannel-v6.1 MTU 1431 needs 1501 from eth0, which has 1500"},
	})
}

func TestOverhead(t *testing.T) {
	for kind, want := range map[string]int{"vxlan": 50, "geneve": 50, "ipip": 20, "sit": 20, "gre": 24, "bridge": 0, "": 0} {
		f := func(f *checktest.Facts) {
			d := f.Link("node-b/host/flannel.1")
			d.Info.Kind, d.MTU = kind, 1500-want
		}
		more := func(fs *checktest.Facts) { f(fs); fs.Link("node-b/host/flannel.1").MTU++ }
		fits := checktest.RunRow(t, checktest.Flannel, checktest.Row{Edit: f}, Mismatch)
		tight := checktest.RunRow(t, checktest.Flannel, checktest.Row{Edit: more}, Mismatch)
		if told := about(tight, "node-b/host/flannel.1"); about(fits, "node-b/host/flannel.1") || told != (want > 0) {
			t.Errorf("%q: at the edge %v, beyond it %v", kind, about(fits, "node-b/host/flannel.1"), told)
		}
	}
}

func about(r check.Result, where string) bool {
	for _, f := range r.Findings {
		if f.Where == where {
			return true
		}
	}
	return false
}

func TestPods(t *testing.T) {
	const says = "node-a/pod-shop-web-0/eth0: mtu-mismatch: eth0 MTU "
	inside := "node-a/pod-shop-web-0/eth0"
	checktest.Rows(t, checktest.Flannel, []*check.Check{Mismatch}, []checktest.Row{
		{Name: "larger inside than outside", Edit: mtus(1500, inside), Want: "error: " + says + "1500, but its other end vethad0f4c26 has 1450: what is larger is dropped without a word",
			Fix: []string{"ip netns exec pod-shop-web-0 ip link set eth0 mtu 1450"}},
		{Name: "smaller inside than outside: the outside is lowered", Edit: mtus(1400, inside), Want: "error: " + says + "1400, but its other end vethad0f4c26 has 1450: what is larger is dropped without a word",
			Fix: []string{"ip link set vethad0f4c26 mtu 1400"}},
		{Name: "both ends larger than the bridge", Edit: mtus(1451, inside, "node-a/host/vethad0f4c26"), Want: "warning: " + says + "1451 is larger than that of cni0 on its way, which has 1450",
			Fix: []string{"ip netns exec pod-shop-web-0 ip link set eth0 mtu 1450"}},
		{Name: "larger than the tunnel", Edit: mtus(1451, inside, "node-a/host/vethad0f4c26", "node-a/host/cni0"), Want: "warning: " + says + "1451 is larger than that of flannel.1 on its way, which has 1450"},
		{Name: "larger than a tunnel that is down", Edit: func(f *checktest.Facts) {
			mtus(1451, inside, "node-a/host/vethad0f4c26", "node-a/host/cni0")(f)
			checktest.Down(f.Link("node-a/host/flannel.1"))
		}},
		{Name: "both smaller than the bridge", Edit: mtus(1400, inside, "node-a/host/vethad0f4c26")},
		{Name: "on the path of big packets", Edit: mtus(1500, inside), Ask: "from shop/web-0\nto 10.244.1.2:8080\nsize 1500",
			Want: "error on path: " + says + "1500, but its other end vethad0f4c26 has 1450: what is larger is dropped without a word"},
		{Name: "on the path of small ones, which fit", Edit: mtus(1500, inside), Ask: "from shop/web-0\nto 10.244.1.2:8080",
			Want: "error: " + says + "1500, but its other end vethad0f4c26 has 1450: what is larger is dropped without a word"},
	})
}

func TestUplinks(t *testing.T) {
	says := func(node string, mtu string) string {
		return "warning: " + node + "/host/eth0: mtu-mismatch: eth0 MTU " + mtu
	}
	a, b, c := "node-a/host/eth0", "node-b/host/eth0", "node-c/host/eth0"
	checktest.Rows(t, checktest.Kubenet, []*check.Check{Mismatch}, []checktest.Row{
		{Name: "as recorded"},
		{Name: "one large", Edit: mtus(9000, b), Want: says("node-b", "9000, but node-a/host/eth0 has 1500 on the same network: frames over 1500 bytes are dropped without a word"), Fix: []string{"ip link set eth0 mtu 1500"}},
		{Name: "one small", Edit: func(f *checktest.Facts) { mtus(9000, a, b)(f) }, Want: says("node-c", "1500, but node-a/host/eth0 has 9000 on the same network: frames over 1500 bytes are dropped without a word"), Fix: []string{"ip link set eth0 mtu 9000"}},
		{Name: "all large", Edit: mtus(9000, a, b, c)},
		{Name: "of two, the small one is told", Edit: mtus(9000, b), Without: []string{"nodes/node-c"},
			Want: says("node-a", "1500, but node-b/host/eth0 has 9000 on the same network: frames over 1500 bytes are dropped without a word") + "\n? nodes/node-c: mtu-mismatch: the cluster has this node, but its state was not collected"},
		{Name: "on another network", Edit: func(f *checktest.Facts) {
			mtus(9000, b)(f)
			f.Link(b).Addrs = nil
			f.Node("node-b").Status.Addresses = nil
			f.Address(b, "198.51.100.2/24")
		}},
	})
}

func TestBlackHole(t *testing.T) {
	const big = "from shop/web-0\nto 10.244.1.2:8080\nsize 1450"
	// refuse has node-a's rules drop the ICMP messages that it sends, or forwards.
	refuse := func(chain string) []checktest.Swap {
		old := "-A " + chain + " "
		return []checktest.Swap{{File: "nodes/node-a/host/iptables", Old: old, New: "-A " + chain + " -p icmp -j DROP\n" + old}}
	}
	narrow := mtus(1400, "node-a/host/flannel.1")
	checktest.Rows(t, checktest.Flannel, []*check.Check{BlackHole}, []checktest.Row{
		{Name: "as recorded", Ask: big},
		{Name: "too big, and told", Ask: big, Edit: narrow},
		{Name: "too big for the sender's own device, whose kernel tells it", Ask: "from shop/web-0\nto 10.244.1.2:8080\nsize 1500"},
		{Name: "too big, and the message is dropped", Ask: big, Edit: narrow, Swap: refuse("OUTPUT"),
			Want: "error on path: node-a/host/flannel.1: pmtu-blackhole: a packet of 1450 bytes does not fit here, and the ICMP message about it does not reach its sender: node-a/host's OUTPUT chain drops it: -A OUTPUT -p icmp -j DROP",
			Fix: []string{"iptables -I INPUT -p icmp --icmp-type fragmentation-needed -j ACCEPT", "iptables -I FORWARD -p icmp --icmp-type fragmentation-needed -j ACCEPT",
				"iptables -I OUTPUT -p icmp --icmp-type fragmentation-needed -j ACCEPT"}},
		{Name: "messages that it forwards are dropped, of which there is none", Ask: big, Edit: narrow, Swap: refuse("FORWARD")},
	})
}

// TestRaise: a tunnel's device below it is raised where another node's just holds the tunnel, and else the tunnel is lowered.
func TestRaise(t *testing.T) {
	for others, want := range map[int]string{1500: "ip link set eth0 mtu 1500", 1499: "ip link set flannel.1 mtu 1350"} {
		edit := mtus(others, "node-a/host/eth0", "node-c/host/eth0")
		r := checktest.RunRow(t, checktest.Flannel, checktest.Row{Edit: func(f *checktest.Facts) { edit(f); mtus(1400, "node-b/host/eth0")(f) }}, Mismatch)
		got := ""
		var walk func([]check.Finding)
		walk = func(fs []check.Finding) {
			for _, f := range fs {
				if f.Where == "node-b/host/flannel.1" {
					got = f.Fix.Commands[0]
				}
				walk(f.Consequences)
			}
		}
		if walk(r.Findings); got != want {
			t.Errorf("the others have %d: got %q, want %q", others, got, want)
		}
	}
}
