package route

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/plumbnet/plumb/check"
	"github.com/plumbnet/plumb/check/checktest"
	"github.com/plumbnet/plumb/fib"
)

const toB = "10.244.1.0/24"

// put adds a route to node-a.
func put(r fib.Route) func(*checktest.Facts) {
	return func(f *checktest.Facts) {
		t := &f.NS("node-a/host").FIB
		if r.Table == 0 {
			r.Table = fib.TableMain
		}
		t.Routes = append(t.Routes, r)
	}
}

// lead has node-a's route to node-b's Pods lead by another device and gateway.
func lead(dev, via string) func(*checktest.Facts) {
	return func(f *checktest.Facts) {
		h := fib.NextHop{Dev: dev}
		if via != "" {
			h.Via = netip.MustParseAddr(via)
		}
		r := f.Route("node-a/host", toB)
		r.Hops, r.Protocol = []fib.NextHop{h}, ""
	}
}

func lose(dsts ...string) func(*checktest.Facts) {
	return func(f *checktest.Facts) {
		for _, d := range dsts {
			f.Unroute("node-a/host", d)
		}
	}
}

var all = []*check.Check{Policy, BlackHole, Wrong, Missing}

func TestMissing(t *testing.T) {
	const says = "error: node-a/host: route-missing: no route to "
	right := func(c, via string) string { return "ip route replace " + c + " via " + via + " dev flannel.1 onlink" }
	checktest.Rows(t, checktest.Flannel, all, []checktest.Row{
		{Name: "as recorded"},
		{Name: "one: the others tell what it looks like", Edit: lose(toB), Want: says + "10.244.1.0/24, the Pods of node-b", Fix: []string{right(toB, "10.244.1.0")}},
		{Name: "two: all of the node at once", Edit: lose(toB, "10.244.2.0/24"), Want: says + "10.244.1.0/24, the Pods of node-b\n" + says + "10.244.2.0/24, the Pods of node-c",
			Fix: []string{right(toB, "10.244.1.0"), right("10.244.2.0/24", "10.244.2.0")}},
		{Name: "with the default route", Edit: lose(toB, "0.0.0.0/0"), Want: says + "10.244.1.0/24, the Pods of node-b\n" + says + "198.51.100.1, and no default route",
			Fix: []string{right(toB, "10.244.1.0"), "ip route replace default via 192.168.10.1 dev eth0"}},
		{Name: "with the uplink's own subnet, without which no gateway is found", Edit: lose(toB, "192.168.10.0/24"), Want: says + "10.244.1.0/24, the Pods of node-b",
			Fix: []string{"ip route replace 192.168.10.0/24 dev eth0 src 192.168.10.11", right(toB, "10.244.1.0")}},
		{Name: "the tunnel is down: the agent is to do it", Edit: func(f *checktest.Facts) { lose(toB)(f); checktest.Down(f.Link("node-a/host/flannel.1")) },
			Want: says + "10.244.1.0/24, the Pods of node-b", Fix: []string{"kubectl -n kube-flannel delete pod kube-flannel-ds-node-a"}},
		{Name: "on the path", Edit: lose(toB), Ask: "from shop/web-0\nto 10.244.1.2:8080", Want: "error on path" + says[5:] + "10.244.1.0/24, the Pods of node-b"},
		{Name: "beside the path", Edit: lose(toB), Ask: "from shop/web-0\nto 10.244.2.2:8080", Want: says + "10.244.1.0/24, the Pods of node-b"},
		{Name: "the default route, on a path outside", Edit: lose("0.0.0.0/0"), Ask: "from shop/web-0\nto 203.0.113.10:80",
			Want: "error on path: node-a/host: route-missing: no route to 203.0.113.10, and no default route", Fix: []string{"ip route replace default via 192.168.10.1 dev eth0"}},
		{Name: "a node without Pod range needs none", Edit: func(f *checktest.Facts) {
			lose(toB)(f)
			f.Node("node-b").Spec.PodCIDR, f.Node("node-b").Spec.PodCIDRs = "", nil
		}},
		{Name: "not collected", Without: []string{"nodes/node-a/host/routes.json"}, Want: "? nodes/node-a/host/routes.json: policy-route: not collected\n? nodes/node-a/host/routes.json: route-blackhole: not collected\n" +
			"? nodes/node-a/host/routes.json: route-missing: not collected\n? nodes/node-a/host/routes.json: route-wrong: not collected"},
	})
	checktest.Rows(t, checktest.Kubenet, all, []checktest.Row{
		{Name: "a router outside knows the Pods: none is needed"},
	})
	checktest.Rows(t, checktest.DualStack, all, []checktest.Row{
		{Name: "as recorded, of both families"},
		{Name: "of IPv6", Edit: lose("fd00:10:244:1::/64"), Want: says + "fd00:10:244:1::/64, the Pods of node-b"},
	})
}

func TestBlackHole(t *testing.T) {
	whole, part := netip.MustParsePrefix(toB), netip.MustParsePrefix("10.244.1.128/25")
	const says = "error: node-a/host: route-blackhole: a route of type "
	instead := func(f *checktest.Facts, typ fib.RouteType) {
		r := f.Route("node-a/host", toB)
		r.Type, r.Hops, r.Protocol, r.Flags = typ, nil, "", nil
	}
	checktest.Rows(t, checktest.Flannel, all, []checktest.Row{
		{Name: "in the place of the right one", Edit: func(f *checktest.Facts) { instead(f, fib.Blackhole) }, Want: says + "blackhole discards what is for 10.244.1.0/24, Pods of node-b",
			Fix: []string{"ip route replace 10.244.1.0/24 via 10.244.1.0 dev flannel.1 onlink"}},
		{Name: "unreachable", Edit: func(f *checktest.Facts) { instead(f, fib.Unreachable) }, Want: says + "unreachable discards what is for 10.244.1.0/24, Pods of node-b"},
		{Name: "prohibit", Edit: func(f *checktest.Facts) { instead(f, fib.Prohibit) }, Want: says + "prohibit discards what is for 10.244.1.0/24, Pods of node-b"},
		{Name: "of a part: the rest is right", Edit: put(fib.Route{Dst: part, Type: fib.Blackhole}), Want: says + "blackhole discards what is for 10.244.1.128/25, Pods of node-b",
			Fix: []string{"ip route del blackhole 10.244.1.128/25"}},
		{Name: "of a larger metric, which the right one wins over", Edit: put(fib.Route{Dst: whole, Type: fib.Blackhole, Metric: 4096})},
		{Name: "of the node's own range, as flannel and Calico set it", Edit: put(fib.Route{Dst: netip.MustParsePrefix("10.244.0.128/25"), Type: fib.Blackhole})},
		{Name: "beside the Pod ranges", Edit: put(fib.Route{Dst: netip.MustParsePrefix("10.9.0.0/16"), Type: fib.Blackhole})},
	})
}

func TestWrong(t *testing.T) {
	const says = "error: node-a/host: route-wrong: the route to 10.244.1.0/24, the Pods of node-b, leads to "
	fix := []string{"ip route replace 10.244.1.0/24 via 10.244.1.0 dev flannel.1 onlink"}
	checktest.Rows(t, checktest.Flannel, all, []checktest.Row{
		{Name: "to another node by the uplink", Edit: lead("eth0", "192.168.10.13"), Want: says + "node-c (192.168.10.13)", Fix: fix},
		{Name: "to another node by the tunnel", Edit: lead("flannel.1", "10.244.2.0"), Want: says + "node-c (10.244.2.0)", Fix: fix},
		{Name: "to nobody", Edit: lead("eth0", "192.168.10.99"), Want: says + "192.168.10.99 by eth0"},
		{Name: "to the right node by the uplink", Edit: lead("eth0", "192.168.10.12")},
		{Name: "to the way out, whose router may know the Pods", Edit: lead("eth0", "192.168.10.1")},
		{Name: "into the node's own Pods", Edit: lead("cni0", ""), Want: says + "cni0"},
		{Name: "on the uplink's link", Edit: lead("eth0", ""), Want: says + "eth0"},
		{Name: "into loopback", Edit: lead("lo", ""), Want: says + "lo"},
	})
}

func TestPolicy(t *testing.T) {
	rule := func(r fib.Rule) func(*checktest.Facts) {
		r.SuppressPrefixLen, r.SuppressGroup = -1, -1
		return func(f *checktest.Facts) {
			t := &f.NS("node-a/host").FIB
			at := slices.IndexFunc(t.Rules, func(x fib.Rule) bool { return x.Priority > r.Priority })
			t.Rules = slices.Insert(t.Rules, at, r)
			put(fib.Route{Dst: netip.MustParsePrefix("10.244.0.0/16"), Type: fib.Unicast, Table: 100, Hops: []fib.NextHop{{Dev: "eth0", Via: netip.MustParseAddr("192.168.10.13")}}})(f)
		}
	}
	pods := netip.MustParsePrefix("10.244.0.0/24")
	const says = "error: node-a/host: policy-route: the rule "
	const past = "leads packets for 10.244.1.0/24, the Pods of node-b, past the right route"
	checktest.Rows(t, checktest.Flannel, all, []checktest.Row{
		{Name: "of a Pod's source", Edit: rule(fib.Rule{Priority: 100, Src: pods, Table: 100}), Want: says + `"100: from 10.244.0.0/24 lookup 100" ` + past, Fix: []string{"ip rule del pref 100"}},
		{Name: "of all", Edit: rule(fib.Rule{Priority: 100, Table: 100}), Want: says + `"100: from all lookup 100" ` + past},
		{Name: "that discards", Edit: rule(fib.Rule{Priority: 100, Src: pods, Action: "blackhole"}), Want: says + `"100: from 10.244.0.0/24 blackhole" ` + past + "\n" +
			says + `"100: from 10.244.0.0/24 blackhole" leads packets for 10.244.2.0/24, the Pods of node-c, past the right route`},
		{Name: "of another source", Edit: rule(fib.Rule{Priority: 100, Src: netip.MustParsePrefix("172.16.0.0/12"), Table: 100})},
		{Name: "of a mark that nothing sets", Edit: rule(fib.Rule{Priority: 100, Mark: 0x100, Mask: 0x100, Table: 100})},
		{Name: "behind the main table", Edit: rule(fib.Rule{Priority: 32766, Table: 100})},
	})
}

func TestRuleText(t *testing.T) {
	c := netip.MustParsePrefix
	for want, r := range map[string]fib.Rule{
		"0: from all lookup 255":                                 {Table: 255},
		"100: not from 10.0.0.0/8 to 10.1.0.0/16 lookup 7":       {Priority: 100, Not: true, Src: c("10.0.0.0/8"), Dst: c("10.1.0.0/16"), Table: 7},
		"100: from all fwmark 0x4000 iif cni0 oif eth0 prohibit": {Priority: 100, Mark: 0x4000, Mask: 0x4000, IIF: "cni0", OIF: "eth0", Action: "prohibit"},
	} {
		if got := ruleText(&r); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestDel(t *testing.T) {
	c := netip.MustParsePrefix
	for want, r := range map[string]fib.Route{
		"ip route del 10.0.0.0/8":                              {Dst: c("10.0.0.0/8"), Type: fib.Unicast, Table: fib.TableMain},
		"ip route del blackhole 10.0.0.0/8 metric 5 table 100": {Dst: c("10.0.0.0/8"), Type: fib.Blackhole, Metric: 5, Table: 100},
		"ip route del fd00::/8":                                {Dst: c("fd00::/8"), Type: fib.Unicast},
	} {
		if got := del(&r); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
