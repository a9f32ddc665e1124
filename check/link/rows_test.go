package link

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/plumbnet/plumb/check"
	"github.com/plumbnet/plumb/check/checktest"
	"github.com/plumbnet/plumb/fib"
	"github.com/plumbnet/plumb/snapshot"
)

const (
	web0 = "node-a/pod-shop-web-0"
	web1 = "node-b/pod-shop-web-1"
)

// noAddr takes the addresses of a family away: 4 or 6.
func noAddr(l *snapshot.Link, is6 bool) {
	l.Addrs = slices.DeleteFunc(slices.Clone(l.Addrs), func(a snapshot.LinkAddr) bool { return a.Local.Is6() == is6 })
}

func TestDown(t *testing.T) {
	checktest.Rows(t, checktest.Flannel, []*check.Check{Down}, []checktest.Row{
		{Name: "as recorded"},
		{Name: "the uplink", Edit: func(f *checktest.Facts) { checktest.Down(f.Link("node-c/host/eth0")) },
			Want: "error: node-c/host/eth0: link-down: eth0 is down",
			Fix:  []string{"ip link set eth0 up"}},
		{Name: "the tunnel, whose routes only the agent brings back", Edit: func(f *checktest.Facts) { checktest.Down(f.Link("node-b/host/flannel.1")) },
			Want: "error: node-b/host/flannel.1: link-down: flannel.1 is down",
			Fix:  []string{"ip link set flannel.1 up", "kubectl -n kube-flannel delete pod kube-flannel-ds-node-b"}},
		{Name: "a bridge with ports", Edit: func(f *checktest.Facts) { checktest.Down(f.Link("node-a/host/cni0")) },
			Want: "error: node-a/host/cni0: link-down: cni0 is down"},
		{Name: "a bridge without ports", Edit: func(f *checktest.Facts) {
			checktest.Down(f.Link("node-c/host/cni0"))
			for i := range f.NS("node-c/host").Links {
				f.NS("node-c/host").Links[i].Master = ""
			}
		}},
		{Name: "the Pod's end, seen from both", Edit: func(f *checktest.Facts) {
			checktest.Down(f.Link(web0 + "/eth0"))
			veth := f.Veth(web0)
			veth.Flags = []string{"NO-CARRIER", "BROADCAST", "MULTICAST", "UP"}
		},
			Want: "error: node-a/pod-shop-web-0/eth0: link-down: eth0 is down\n" +
				"> warning: node-a/host/vethad0f4c26: link-down: vethad0f4c26 is up, but has no carrier: its other end is down",
			Fix: []string{"ip netns exec pod-shop-web-0 ip link set eth0 up"}},
		{Name: "loopback of a Pod", Edit: func(f *checktest.Facts) { checktest.Down(f.Link(web0 + "/lo")) },
			Want: "error: node-a/pod-shop-web-0/lo: link-down: lo is down"},
		{Name: "loopback of a node, which Pods do not use", Edit: func(f *checktest.Facts) { checktest.Down(f.Link("node-a/host/lo")) }},
		{Name: "a device that nobody needs", Edit: func(f *checktest.Facts) {
			ns := f.NS("node-a/host")
			ns.Links = append(ns.Links, snapshot.Link{Index: 99, Name: "eth9", Flags: []string{"BROADCAST"}, MTU: 1500})
		}},
		{Name: "no carrier on the uplink", Edit: func(f *checktest.Facts) {
			f.Link("node-c/host/eth0").Flags = []string{"NO-CARRIER", "BROADCAST", "MULTICAST", "UP"}
		},
			Want: "error: node-c/host/eth0: link-down: eth0 is up, but has no carrier: its other end is down",
			Fix:  []string{}},
		{Name: "not collected", Without: []string{"nodes/node-b/host/addr.json"}, Want: "? nodes/node-b/host/addr.json: link-down: not collected"},
	})
}

func TestDetached(t *testing.T) {
	out := func(f *checktest.Facts) { f.Veth(web1).Master = "" }
	const what = "node-b/host/veth0bc001f3: veth-detached: veth0bc001f3, the veth of Pod shop/web-1, is in no bridge; it belongs in "
	checktest.Rows(t, checktest.Flannel, []*check.Check{Detached}, []checktest.Row{
		{Name: "as recorded"},
		{Name: "one", Edit: out, Want: "error: " + what + "cni0", Fix: []string{"ip link set veth0bc001f3 master cni0"}},
		{Name: "all of the node: the bridge is known by its name", Edit: func(f *checktest.Facts) {
			for i := range f.NS("node-c/host").Links {
				f.NS("node-c/host").Links[i].Master = ""
			}
		}, Want: "error: node-c/host/veth92d10ab7: veth-detached: veth92d10ab7, the veth of Pod shop/api-6c9f7d5b8-zw7hc, is in no bridge; it belongs in cni0\n" +
			"error: node-c/host/vetha3a26768: veth-detached: vetha3a26768, the veth of Pod shop/web-2, is in no bridge; it belongs in cni0"},
		{Name: "all of the node, which has another bridge first", Edit: func(f *checktest.Facts) {
			ns := f.NS("node-c/host")
			for i := range ns.Links {
				ns.Links[i].Master = ""
			}
			ns.Links = slices.Insert(ns.Links, 1, snapshot.Link{Index: 77, Name: "docker0", Flags: []string{"UP"}, MTU: 1500, Info: snapshot.LinkInfo{Kind: "bridge"}})
		}, Want: "error: node-c/host/veth92d10ab7: veth-detached: veth92d10ab7, the veth of Pod shop/api-6c9f7d5b8-zw7hc, is in no bridge; it belongs in cni0\n" +
			"error: node-c/host/vetha3a26768: veth-detached: vetha3a26768, the veth of Pod shop/web-2, is in no bridge; it belongs in cni0"},
		{Name: "one that a route of its own leads to", Edit: func(f *checktest.Facts) {
			out(f)
			fibs := &f.NS("node-b/host").FIB
			fibs.Routes = append(fibs.Routes, fib.Route{Dst: netip.MustParsePrefix("10.244.1.2/32"), Type: fib.Unicast, Table: fib.TableMain, Hops: []fib.NextHop{{Dev: "veth0bc001f3"}}})
		}},
		{Name: "on the path", Edit: out, Ask: "from shop/web-0\nto 10.244.1.2:8080", Want: "error on path: " + what + "cni0"},
		{Name: "beside the path", Edit: out, Ask: "from shop/web-0\nto 10.244.2.2:8080", Want: "error: " + what + "cni0"},
	})
	checktest.Rows(t, checktest.Kubenet, []*check.Check{Detached}, []checktest.Row{
		{Name: "behind a router, where the trace ends", Edit: out, Ask: "from shop/web-0\nto 10.244.1.2:8080", Want: "error on path: " + what + "cbr0"},
	})
}

func TestAddressMissing(t *testing.T) {
	checktest.Rows(t, checktest.Flannel, []*check.Check{AddressMissing}, []checktest.Row{
		{Name: "as recorded"},
		{Name: "the node's, back with the length that others have", Edit: func(f *checktest.Facts) { noAddr(f.Link("node-b/host/eth0"), false) },
			Want: "error: node-b/host: address-missing: no device has the node's address 192.168.10.12, which the API knows it by",
			Fix:  []string{"ip addr add 192.168.10.12/24 dev eth0"}},
		{Name: "the node's, on a link that no other node is on", Edit: func(f *checktest.Facts) {
			f.Node("node-b").Status.Addresses[0].Address = "198.51.100.9"
		}, Want: "error: node-b/host: address-missing: no device has the node's address 198.51.100.9, which the API knows it by", Fix: []string{}},
		{Name: "a Pod's", Edit: func(f *checktest.Facts) { noAddr(f.Link(web0+"/eth0"), false) },
			Want: "error: node-a/pod-shop-web-0: address-missing: the Pod does not have its address 10.244.0.2",
			Fix:  []string{"kubectl -n shop delete pod web-0"}},
		{Name: "of a Pod that has ended", Edit: func(f *checktest.Facts) {
			noAddr(f.Link(web0+"/eth0"), false)
			f.Pod("shop/web-0").Status.Phase = "Failed"
		}},
		{Name: "the gateway's, once for its Pods", Edit: func(f *checktest.Facts) { noAddr(f.Link("node-b/host/cni0"), false) },
			Want: "error: node-b/host/cni0: address-missing: cni0 does not have 10.244.1.1, the gateway of the node's Pods",
			Fix:  []string{"ip addr add 10.244.1.1/24 dev cni0"}},
		{Name: "the gateway's is elsewhere", Edit: func(f *checktest.Facts) {
			br := f.Link("node-b/host/cni0")
			f.Link("node-b/host/flannel.1").Addrs = append(f.Link("node-b/host/flannel.1").Addrs, br.Addrs[0])
			noAddr(br, false)
		}},
		{Name: "the node's own was not collected", Without: []string{"nodes/node-b/host/addr.json"}, Want: "? nodes/node-b/host/addr.json: address-missing: not collected"},
	})
	checktest.Rows(t, checktest.DualStack, []*check.Check{AddressMissing}, []checktest.Row{
		{Name: "as recorded, of both families"},
		{Name: "the node's IPv6", Edit: func(f *checktest.Facts) { noAddr(f.Link("node-b/host/eth0"), true) },
			Want: "error: node-b/host: address-missing: no device has the node's address fd00:192:168:10::12, which the API knows it by",
			Fix:  []string{"ip addr add fd00:192:168:10::12/64 dev eth0"}},
		{Name: "a Pod's IPv6", Edit: func(f *checktest.Facts) { noAddr(f.Link(web0+"/eth0"), true) },
			Want: "error: node-a/pod-shop-web-0: address-missing: the Pod does not have its address fd00:10:244::2"},
		{Name: "the gateway's IPv6", Edit: func(f *checktest.Facts) { noAddr(f.Link("node-b/host/cni0"), true) },
			Want: "error: node-b/host/cni0: address-missing: cni0 does not have fd00:10:244:1::1, the gateway of the node's Pods",
			Fix:  []string{"ip addr add fd00:10:244:1::1/64 dev cni0"}},
	})
}

// TestAddrText: the evidence names the addresses that a node could be known by, and no others.
func TestAddrText(t *testing.T) {
	r := checktest.RunRow(t, checktest.Flannel, checktest.Row{Edit: func(f *checktest.Facts) { f.Node("node-b").Status.Addresses[0].Address = "198.51.100.9" }}, AddressMissing)
	const want = "eth0 192.168.10.12, cni0 10.244.1.1, flannel.1 10.244.1.0"
	if es := r.Findings[0].Evidence; len(es) != 2 || es[1].Text != want {
		t.Errorf("got %+v, want %q", es, want)
	}
}
