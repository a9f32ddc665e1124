package duplicateaddress

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/plumbnet/plumb/check"
	"github.com/plumbnet/plumb/check/checktest"
)

// give gives a device one more address.
func give(link, cidr string) func(*checktest.Facts) {
	return func(f *checktest.Facts) { f.Address(link, cidr) }
}

func TestOwners(t *testing.T) {
	checktest.Rows(t, checktest.Flannel, []*check.Check{Check}, []checktest.Row{
		{Name: "as recorded"},
		{Name: "a node's address on another node", Edit: give("node-c/host/eth0", "192.168.10.12/24"),
			Want: "error: node-c/host/eth0: duplicate-address: 192.168.10.12 is on node-c/host/eth0 and on node-b/host/eth0",
			Fix:  []string{"ip addr del 192.168.10.12/24 dev eth0"}},
		{Name: "a node's address on another node that comes first", Edit: give("node-a/host/eth0", "192.168.10.12/24"),
			Want: "error: node-a/host/eth0: duplicate-address: 192.168.10.12 is on node-a/host/eth0 and on node-b/host/eth0",
			Fix:  []string{"ip addr del 192.168.10.12/24 dev eth0"}},
		{Name: "a Pod's address on another Pod: the one that the API gave it to is right", Edit: give("node-a/pod-shop-api-6c9f7d5b8-4xk2p/eth0", "10.244.0.2/24"),
			Want: "error: node-a/pod-shop-api-6c9f7d5b8-4xk2p/eth0: duplicate-address: 10.244.0.2 is on node-a/pod-shop-api-6c9f7d5b8-4xk2p/eth0 and on node-a/pod-shop-web-0/eth0",
			Fix:  []string{"ip netns exec pod-shop-api-6c9f7d5b8-4xk2p ip addr del 10.244.0.2/24 dev eth0", "kubectl -n shop delete pod api-6c9f7d5b8-4xk2p"}},
		{Name: "a Pod's address on a node", Edit: give("node-c/host/cni0", "10.244.0.2/24"),
			Want: "error: node-c/host/cni0: duplicate-address: 10.244.0.2 is on node-c/host/cni0 and on node-a/pod-shop-web-0/eth0"},
		{Name: "two devices of one namespace", Edit: give("node-a/host/cni0", "192.168.10.11/32")},
		{Name: "an address that nodes share and the API does not know: a virtual one", Edit: func(f *checktest.Facts) {
			give("node-a/host/lo", "198.51.100.1/32")(f)
			give("node-b/host/lo", "198.51.100.1/32")(f)
		}},
		{Name: "link-local addresses", Edit: func(f *checktest.Facts) {
			give("node-a/host/eth0", "fe80::1/64")(f)
			give("node-b/host/eth0", "fe80::1/64")(f)
		}},
		{Name: "on the path", Edit: give("node-c/host/eth0", "192.168.10.12/24"), Ask: "from shop/web-0\nto 10.244.2.2:8080",
			Want: "error: node-c/host/eth0: duplicate-address: 192.168.10.12 is on node-c/host/eth0 and on node-b/host/eth0"},
		{Name: "the rightful one was not collected", Edit: give("node-c/host/eth0", "192.168.10.12/24"), Without: []string{"nodes/node-b/host/addr.json"},
			Want: "? nodes/node-b/host/addr.json: duplicate-address: not collected"},
	})
	checktest.Rows(t, checktest.DualStack, []*check.Check{Check}, []checktest.Row{
		{Name: "as recorded, of both families"},
		{Name: "a node's IPv6 address", Edit: give("node-c/host/eth0", "fd00:192:168:10::12/64"),
			Want: "error: node-c/host/eth0: duplicate-address: fd00:192:168:10::12 is on node-c/host/eth0 and on node-b/host/eth0"},
		{Name: "the kernel found the other", Edit: func(f *checktest.Facts) {
			for i, a := range f.Link("node-b/host/eth0").Addrs {
				f.Link("node-b/host/eth0").Addrs[i].DADFailed = a.Local == netip.MustParseAddr("fd00:192:168:10::12")
			}
		}, Want: "error: node-b/host/eth0: duplicate-address: fd00:192:168:10::12 is not in use: another host on the link answered for it (dadfailed)"},
	})
}

// TestImpostors: a machine that is not in the snapshot answers for a node's address.
func TestImpostors(t *testing.T) {
	const from, stranger = `"dst":"192.168.10.13","lladdr":"0a:2c:d5:e2:9d:b9","state":["REACHABLE"]`, `"dst":"192.168.10.13","lladdr":"0a:00:00:00:00:99","state":`
	const ask = "from shop/web-0\nto 10.244.2.2:8080"
	swap := func(to string) []checktest.Swap {
		return []checktest.Swap{{File: "nodes/node-a/host/neigh.json", Old: from, New: to}}
	}
	const says = "error: node-a/host/eth0: duplicate-address: another machine answers for 192.168.10.13, an address of node-c: the neighbour entry holds 0a:00:00:00:00:99, and node-c/host/eth0 has 0a:2c:d5:e2:9d:b9"
	checktest.Rows(t, checktest.Flannel, []*check.Check{Check}, []checktest.Row{
		{Name: "it was heard of", Swap: swap(stranger + `["STALE"]`), Want: says, Fix: []string{"ip neigh del 192.168.10.13 dev eth0"}},
		{Name: "packets go there", Swap: swap(stranger + `["REACHABLE"]`), Ask: ask, Want: strings.Replace(says, "error:", "error on path:", 1)},
		{Name: "nobody answers", Swap: swap(stranger + `["FAILED"]`)},
		{Name: "another node, of which nothing else is known, answers", Swap: swap(stranger + `["REACHABLE"]},{"dev":"eth0","dst":"192.168.10.14","lladdr":"0a:00:00:00:00:99","state":["REACHABLE"]`),
			Edit: func(f *checktest.Facts) { f.Node("node-b").Status.Addresses[0].Address = "192.168.10.14" }, Want: says},
		{Name: "a router answers for several", Swap: swap(stranger + `["REACHABLE"]},{"dev":"eth0","dst":"192.168.10.1","lladdr":"0a:00:00:00:00:99","state":["REACHABLE"]`)},
		{Name: "a device of a node that is known has it", Swap: swap(`"dst":"192.168.10.13","lladdr":"92:ef:37:c6:15:71","state":["REACHABLE"]`)},
		{Name: "of node-c nothing is known", Swap: swap(stranger + `["REACHABLE"]`), Without: []string{"nodes/node-c"},
			Want: "? nodes/node-c: duplicate-address: the cluster has this node, but its state was not collected"},
	})
	r := checktest.RunRow(t, checktest.Flannel, checktest.Row{Swap: swap(stranger + `["REACHABLE"]`), Ask: ask}, Check)
	if len(r.Findings) != 1 || !r.Findings[0].OnPath || len(r.Lost) == 0 {
		t.Errorf("%+v, lost %v: want one finding that is on the path, and the path lost", r.Findings, r.Lost)
	}
}
