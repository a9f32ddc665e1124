package drift

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/plumbnet/plumb/check"
	"github.com/plumbnet/plumb/check/checktest"
	"github.com/plumbnet/plumb/fib"
	"github.com/plumbnet/plumb/packet"
)

const (
	macB     = "62:71:f7:93:ed:d6" // of node-b's VXLAN
	restartA = "kubectl -n kube-flannel delete pod kube-flannel-ds-node-a"
)

// fdb calls f for node-a's entry for node-b's VXLAN, and takes it away where f says so.
func fdb(change func(*fib.FDBEntry) bool) func(*checktest.Facts) {
	return func(f *checktest.Facts) {
		t := &f.NS("node-a/host").FIB
		t.FDB = slices.DeleteFunc(slices.Clone(t.FDB), func(e fib.FDBEntry) bool { return e.MAC.String() == macB && change(&e) })
		for i := range t.FDB {
			if t.FDB[i].MAC.String() == macB {
				change(&t.FDB[i])
			}
		}
	}
}

// neigh does the same for an entry of node-a's table of neighbours.
func neigh(dst string, change func(*fib.Neigh) bool) func(*checktest.Facts) {
	return func(f *checktest.Facts) {
		t := &f.NS("node-a/host").FIB
		t.Neighs = slices.DeleteFunc(slices.Clone(t.Neighs), func(e fib.Neigh) bool { return e.Dst.String() == dst && change(&e) })
		for i := range t.Neighs {
			if t.Neighs[i].Dst.String() == dst {
				change(&t.Neighs[i])
			}
		}
	}
}

func gone[T any](*T) bool { return true }

func TestFDB(t *testing.T) {
	const says = "node-a/host/flannel.1: fdb-drift: "
	forward := "bridge fdb replace " + macB + " dev flannel.1 dst 192.168.10.12 self permanent"
	elsewhere := fdb(func(e *fib.FDBEntry) bool { e.Dst = netip.MustParseAddr("192.168.10.77"); return false })
	checktest.Rows(t, checktest.Flannel, []*check.Check{FDB}, []checktest.Row{
		{Name: "as recorded"},
		{Name: "missing", Edit: fdb(gone), Want: "error: " + says + "no forwarding entry for " + macB + ", the VXLAN of node-b", Fix: []string{forward, restartA}},
		{Name: "elsewhere", Edit: elsewhere, Want: "error: " + says + "the forwarding entry for " + macB + ", the VXLAN of node-b, leads to 192.168.10.77; the node is at 192.168.10.12", Fix: []string{forward, restartA}},
		{Name: "missing on the path", Edit: fdb(gone), Ask: "from shop/web-0\nto 10.244.1.2:8080", Want: "error on path: " + says + "no forwarding entry for " + macB + ", the VXLAN of node-b"},
		{Name: "missing beside the path", Edit: fdb(gone), Ask: "from shop/web-0\nto 10.244.2.2:8080", Want: "error: " + says + "no forwarding entry for " + macB + ", the VXLAN of node-b"},
		{Name: "to a group of next hops, which is not judged", Edit: fdb(func(e *fib.FDBEntry) bool { e.Dst, e.NHID = netip.Addr{}, 7; return false })},
		{Name: "missing, and the device floods", Edit: func(f *checktest.Facts) {
			fdb(gone)(f)
			f.Link("node-a/host/flannel.1").Info.Data.Group = netip.MustParseAddr("239.1.1.1")
		}},
		{Name: "the far end registered another address", Edit: func(f *checktest.Facts) {
			f.Node("node-b").Annotations["flannel.alpha.coreos.com/public-ip"] = "192.168.10.112"
		}, Want: "error: " + says + "the forwarding entry for " + macB + ", the VXLAN of node-b, leads to 192.168.10.12; the node is at 192.168.10.112\n" +
			"error: node-c/host/flannel.1: fdb-drift: the forwarding entry for " + macB + ", the VXLAN of node-b, leads to 192.168.10.12; the node is at 192.168.10.112"},
		{Name: "neither the far end nor its registration is known", Edit: func(f *checktest.Facts) { elsewhere(f); f.Node("node-b").Annotations = nil }, Without: []string{"nodes/node-b"},
			Want: "? nodes/node-b: fdb-drift: the cluster has this node, but its state was not collected"},
		{Name: "not collected", Without: []string{"nodes/node-a/host/fdb.json"}, Want: "? nodes/node-a/host/fdb.json: fdb-drift: not collected"},
	})
	checktest.Rows(t, checktest.DualStack, []*check.Check{FDB, Neigh}, []checktest.Row{
		{Name: "as recorded, of both families"},
		{Name: "missing for IPv6", Edit: func(f *checktest.Facts) {
			t := &f.NS("node-a/host").FIB
			t.FDB = slices.DeleteFunc(t.FDB, func(e fib.FDBEntry) bool { return e.Dst == netip.MustParseAddr("fd00:192:168:10::12") })
		}, Want: "error: node-a/host/flannel-v6.1: fdb-drift: no forwarding entry for 9a:b9:1a:27:3b:2f, the VXLAN of node-b"},
	})
}

func TestNeigh(t *testing.T) {
	const says = "node-a/host/flannel.1: neigh-drift: "
	wrong := packet.MAC{2, 0, 0, 0, 0, 9}
	replace := "ip neigh replace 10.244.1.0 lladdr " + macB + " dev flannel.1 nud permanent"
	pod := func(state string) func(*checktest.Facts) {
		return neigh("10.244.0.2", func(e *fib.Neigh) bool { e.MAC, e.State = wrong, state; return false })
	}
	const holds = "node-a/host/cni0: neigh-drift: the neighbour entry for 10.244.0.2 holds 02:00:00:00:00:09; node-a/pod-shop-web-0/eth0 has ae:0f:4c:26:2f:c8"
	checktest.Rows(t, checktest.Flannel, []*check.Check{Neigh}, []checktest.Row{
		{Name: "as recorded"},
		{Name: "missing", Edit: neigh("10.244.1.0", gone), Want: "error: " + says + "no neighbour entry for 10.244.1.0, the gateway to the Pods of node-b (10.244.1.0/24)", Fix: []string{replace, restartA}},
		{Name: "without MAC", Edit: neigh("10.244.1.0", func(e *fib.Neigh) bool { e.MAC = packet.MAC{}; return false }),
			Want: "error: " + says + "no neighbour entry for 10.244.1.0, the gateway to the Pods of node-b (10.244.1.0/24)"},
		{Name: "another MAC", Edit: neigh("10.244.1.0", func(e *fib.Neigh) bool { e.MAC = wrong; return false }),
			Want: "error: " + says + "the neighbour entry for 10.244.1.0 holds 02:00:00:00:00:09; the VXLAN of node-b has " + macB, Fix: []string{replace, restartA}},
		{Name: "missing, and the device floods", Edit: func(f *checktest.Facts) {
			neigh("10.244.1.0", gone)(f)
			f.Link("node-a/host/flannel.1").Info.Data.Group = netip.MustParseAddr("239.1.1.1")
		}},
		{Name: "missing on the path", Edit: neigh("10.244.1.0", gone), Ask: "from shop/web-0\nto 10.244.1.2:8080",
			Want: "error on path: " + says + "no neighbour entry for 10.244.1.0, the gateway to the Pods of node-b (10.244.1.0/24)"},
		{Name: "the far end was made anew, and registered the old MAC", Edit: func(f *checktest.Facts) { f.Link("node-b/host/flannel.1").MAC = wrong },
			Want: "error: node-a/host/flannel.1 node-c/host/flannel.1: neigh-drift: the neighbour entry for 10.244.1.0 holds " + macB + "; the VXLAN of node-b has 02:00:00:00:00:09",
			Fix: []string{"ip neigh replace 10.244.1.0 lladdr 02:00:00:00:00:09 dev flannel.1 nud permanent",
				"bridge fdb replace 02:00:00:00:00:09 dev flannel.1 dst 192.168.10.12 self permanent", "kubectl -n kube-flannel delete pod kube-flannel-ds-node-b"}},
		{Name: "a Pod's, learnt", Edit: pod("STALE"), Want: "warning: " + holds, Fix: []string{"ip neigh del 10.244.0.2 dev cni0"}},
		{Name: "a Pod's, set by hand", Edit: pod("PERMANENT"), Want: "error: " + holds},
		{Name: "a Pod's that failed", Edit: pod("FAILED")},
		{Name: "a Pod's, where the bridge answers for others", Edit: func(f *checktest.Facts) {
			pod("STALE")(f)
			f.NS("node-a/host").Sysctl["net.ipv4.conf.cni0.proxy_arp"] = "1"
		}},
		{Name: "a node's: a cloud may answer with its own", Edit: neigh("192.168.10.12", func(e *fib.Neigh) bool { e.MAC = wrong; return false })},
		{Name: "not collected", Without: []string{"nodes/node-a/host/neigh.json"}, Want: "? nodes/node-a/host/neigh.json: neigh-drift: not collected"},
	})
}
