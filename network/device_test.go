package network_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/plumbnet/plumb/fib"
	"github.com/plumbnet/plumb/network"
	"github.com/plumbnet/plumb/packet"
	"github.com/plumbnet/plumb/snapshot"
)

// made returns a device of a namespace that is made by hand.
func made(ns *snapshot.NetNS, dev string) *network.Iface {
	return find(network.New(&snapshot.Cluster{Nodes: []*snapshot.Node{node("a", ns)}}), "a/"+ns.Name).Iface(dev)
}

func stp(state string) func(*snapshot.Link) {
	return func(l *snapshot.Link) { l.Info.SlaveData.State = state }
}

// TestForwards says which ports a bridge passes frames by.
func TestForwards(t *testing.T) {
	for _, row := range []struct {
		name string
		link snapshot.Link
		want bool
	}{
		{"forwarding", device(2, "v1", "veth", stp("forwarding")), true},
		{"the state is not printed", device(2, "v1", "veth"), true},
		{"blocking", device(2, "v1", "veth", stp("blocking")), false},
		{"listening", device(2, "v1", "veth", stp("listening")), false},
		{"learning", device(2, "v1", "veth", stp("learning")), false},
		{"disabled", device(2, "v1", "veth", stp("disabled")), false},
		{"forwarding, and down", device(2, "v1", "veth", stp("forwarding"), flags("LOWER_UP")), false},
	} {
		if got := made(host(row.link), "v1").Forwards(); got != row.want {
			t.Errorf("%s: %t", row.name, got)
		}
	}
}

// TestFlags reads what ip prints of a device between its angle brackets.
func TestFlags(t *testing.T) {
	for _, row := range []struct{ flags, want string }{
		{"", ""},
		{"UP", "up carrier"},
		{"UP LOWER_UP", "up carrier"},
		{"UP NO-CARRIER", "up"},
		{"LOWER_UP", ""},
		{"UP LOWER_UP LOOPBACK", "up carrier loopback"},
		{"UP LOWER_UP NOARP POINTOPOINT", "up carrier noarp"},
		{"BROADCAST MULTICAST up lower_up", ""},
		{"UPPER", ""},
	} {
		d := made(host(device(2, "d", "", flags(strings.Fields(row.flags)...))), "d")
		var got []string
		for name, on := range map[string]bool{"1 up": d.Up(), "2 carrier": d.Carrier(), "3 loopback": d.IsLoopback(), "4 noarp": d.NoARP()} {
			if on {
				got = append(got, name)
			}
		}
		if diff := cmp.Diff(row.want, sortedWords(got)); diff != "" {
			t.Errorf("<%s>: %s", row.flags, diff)
		}
	}
}

// sortedWords puts numbered words in order, and takes the numbers off.
func sortedWords(list []string) string {
	words := map[string]string{}
	for _, s := range list {
		n, word, _ := strings.Cut(s, " ")
		words[n] = word
	}
	var out []string
	for i := range 10 {
		if w := words[fmt.Sprint(i)]; w != "" {
			out = append(out, w)
		}
	}
	return strings.Join(out, " ")
}

// TestProxies says which devices may answer for others; what was not collected is left to who asks.
func TestProxies(t *testing.T) {
	for _, row := range []struct {
		name   string
		sysctl map[string]string
		want   bool
	}{
		{"nothing known", nil, false},
		{"off", map[string]string{"net.ipv4.conf.all.proxy_arp": "0", "net.ipv4.conf.v1.proxy_arp": "0"}, false},
		{"the device", map[string]string{"net.ipv4.conf.v1.proxy_arp": "1"}, true},
		{"all", map[string]string{"net.ipv4.conf.all.proxy_arp": "1", "net.ipv4.conf.v1.proxy_arp": "0"}, true},
		{"another device", map[string]string{"net.ipv4.conf.v2.proxy_arp": "1"}, false},
		{"of IPv6", map[string]string{"net.ipv6.conf.v1.proxy_ndp": "1"}, true},
		{"of IPv6, off", map[string]string{"net.ipv6.conf.v1.proxy_ndp": "0", "net.ipv6.conf.all.proxy_ndp": "0"}, false},
	} {
		ns := host(device(2, "v1", "veth"))
		ns.Sysctl = row.sysctl
		if got := made(ns, "v1").Proxies(); got != row.want {
			t.Errorf("%s: %t", row.name, got)
		}
	}
}

// TestSubnets says which addresses are a device's own, and which are on its link.
func TestSubnets(t *testing.T) {
	peer := func(l *snapshot.Link) {
		l.Addrs = append(l.Addrs, snapshot.LinkAddr{Local: netip.MustParseAddr("10.9.0.1"), Peer: netip.MustParseAddr("10.9.1.1"), Len: 24})
	}
	broken := func(l *snapshot.Link) {
		l.Addrs = append(l.Addrs, snapshot.LinkAddr{Local: netip.MustParseAddr("10.7.0.1"), Len: 99}, snapshot.LinkAddr{Len: 8})
	}
	d := made(host(device(2, "eth0", "", has("10.0.0.5/24", "10.8.0.1/32", "fd00::5/64"), peer, broken)), "eth0")
	for a, want := range map[string]string{
		"10.0.0.5": "own link", "10.0.0.9": "link", "10.0.1.5": "", "10.8.0.1": "own link", "10.8.0.2": "", "fd00::5": "own link", "fd00::9": "link", "fd00:1::9": "",
		"10.9.0.1": "own", "10.9.1.1": "link", "10.9.1.77": "link", "10.7.0.1": "own", "10.7.0.2": "",
	} {
		got := map[bool]string{true: "own "}[d.Has(netip.MustParseAddr(a))] + map[bool]string{true: "link"}[d.OnLink(netip.MustParseAddr(a))]
		if strings.TrimSpace(got) != want {
			t.Errorf("%s: %q, want %q", a, got, want)
		}
	}
}

// TestMeet joins uplinks by their subnets: those of the bridge above and of the VLANs on top count too.
func TestMeet(t *testing.T) {
	for _, row := range []struct {
		name string
		a, b []snapshot.Link
		want bool
	}{
		{"one subnet", []snapshot.Link{device(2, "eth0", "", has("10.0.0.1/24"))}, []snapshot.Link{device(2, "eth0", "", has("10.0.0.2/24"))}, true},
		{"two subnets", []snapshot.Link{device(2, "eth0", "", has("10.0.0.1/24"))}, []snapshot.Link{device(2, "eth0", "", has("10.0.1.2/24"))}, false},
		{"one within the other", []snapshot.Link{device(2, "eth0", "", has("10.0.0.1/16"))}, []snapshot.Link{device(2, "eth0", "", has("10.0.1.2/24"))}, true},
		{"of several", []snapshot.Link{device(2, "eth0", "", has("10.5.0.1/24", "fd00::1/64"))}, []snapshot.Link{device(2, "eth0", "", has("10.6.0.2/24", "fd00::2/64"))}, true},
		{"link-local addresses tell nothing", []snapshot.Link{device(2, "eth0", "", has("10.5.0.1/24", "fe80::1/64"))}, []snapshot.Link{device(2, "eth0", "", has("10.6.0.2/24", "fe80::2/64"))}, false},
		{"the bridge's", []snapshot.Link{device(2, "eth0", "", master("br0")), device(3, "br0", "bridge", has("10.0.0.1/24"))}, []snapshot.Link{device(2, "eth0", "", has("10.0.0.2/24"))}, true},
		{"a VLAN's on top", []snapshot.Link{device(2, "eth0", ""), device(3, "eth0.7", "vlan", on("eth0"), has("10.0.0.1/24"))}, []snapshot.Link{device(2, "eth0", "", has("10.0.0.2/24"))}, true},
		{"none has any", []snapshot.Link{device(2, "eth0", "")}, []snapshot.Link{device(2, "eth0", "")}, false},
	} {
		n := network.New(&snapshot.Cluster{Nodes: []*snapshot.Node{node("a", host(row.a...)), node("b", host(row.b...))}})
		a, b := find(n, "a/host"), find(n, "b/host")
		if got := network.Meet(a.Iface("eth0"), b.Iface("eth0")); got != row.want {
			t.Errorf("%s: %t", row.name, got)
		}
		if got := b.UplinkTo(a.Iface("eth0")) != nil; got != row.want {
			t.Errorf("%s: the uplink to it: %t", row.name, got)
		}
	}
}

// TestTwice has neighbours, forwarding entries and addresses that are there twice.
func TestTwice(t *testing.T) {
	ns := host(device(2, "eth0", "", has("10.0.0.5/24")), device(3, "eth1", "", has("10.0.0.5/24")), device(4, "br0", "bridge"), device(5, "v1", "veth", master("br0")))
	to, mac := netip.MustParseAddr("10.0.0.9"), packet.MAC{2, 0, 0, 0, 0, 9}
	ns.FIB.Neighs = []fib.Neigh{{Dst: to, Dev: "eth0", Proxy: true}, {Dst: to, Dev: "eth0", MAC: mac, State: "REACHABLE"}, {Dst: to, Dev: "eth0", State: "FAILED"}, {Dst: to, Dev: "eth1", Proxy: true}}
	ns.FIB.FDB = []fib.FDBEntry{{MAC: mac, Dev: "v1", Master: "br0"}, {MAC: mac, Dev: "v1"}, {MAC: mac, Dev: "vx", Master: "br0", Dst: to}, {MAC: mac, Dev: "vx", Master: "br0", NHID: 7}}
	n := network.New(&snapshot.Cluster{Nodes: []*snapshot.Node{node("a", ns), node("a", host(device(2, "eth0", "")))}})
	h := find(n, "a/host")
	if e := h.Neigh("eth0", to); e == nil || e.State != "REACHABLE" {
		t.Errorf("the entry, and not that of the proxy: %+v", e)
	}
	if e := h.Neigh("eth1", to); e == nil || !e.Proxy {
		t.Errorf("the proxy's entry where there is no other: %+v", e)
	}
	for dev, want := range map[string]int{"br0": 1, "v1": 1, "vx": 2, "eth0": 0} {
		if got := len(h.FDB(dev, mac)); got != want {
			t.Errorf("%s has %d forwarding entries, want %d", dev, got, want)
		}
	}
	if got := h.Owner(netip.MustParseAddr("10.0.0.5")); got.Name() != "eth0" {
		t.Errorf("of two devices with an address the first is its owner: %s", got)
	}
	if got := n.Owners(netip.MustParseAddr("10.0.0.5")); len(got) != 2 {
		t.Errorf("owners: %v", got)
	}
	if n.Host("a") != h {
		t.Error("of two namespaces of one name the first is the node's own")
	}
}
