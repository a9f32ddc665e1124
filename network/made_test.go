package network_test

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/plumbnet/plumb/fib"
	"github.com/plumbnet/plumb/network"
	"github.com/plumbnet/plumb/packet"
	"github.com/plumbnet/plumb/snapshot"
)

// The namespaces of these tests are made by hand: as small as the question.

func device(index int, name, kind string, change ...func(*snapshot.Link)) snapshot.Link {
	l := snapshot.Link{Index: index, Name: name, Flags: []string{"UP", "LOWER_UP"}, MTU: 1500, Type: "ether", MAC: packet.MAC{2, 0, 0, 0, 0, byte(index)}, Info: snapshot.LinkInfo{Kind: kind}}
	for _, c := range change {
		c(&l)
	}
	return l
}

func master(name string) func(*snapshot.Link) { return func(l *snapshot.Link) { l.Master = name } }

func flags(f ...string) func(*snapshot.Link) { return func(l *snapshot.Link) { l.Flags = f } }

func on(name string) func(*snapshot.Link) { return func(l *snapshot.Link) { l.PeerName = name } }

func has(addrs ...string) func(*snapshot.Link) {
	return func(l *snapshot.Link) {
		for _, s := range addrs {
			p := netip.MustParsePrefix(s)
			l.Addrs = append(l.Addrs, snapshot.LinkAddr{Local: p.Addr(), Len: p.Bits()})
		}
	}
}

func node(name string, ns ...*snapshot.NetNS) *snapshot.Node {
	return &snapshot.Node{Name: name, NetNS: ns}
}

func host(links ...snapshot.Link) *snapshot.NetNS { return &snapshot.NetNS{Name: "host", Links: links} }

func TestCarrier(t *testing.T) {
	state := func(s string) func(*snapshot.Link) { return func(l *snapshot.Link) { l.OperState = s } }
	for _, tt := range []struct {
		name        string
		link        snapshot.Link
		up, carrier bool
	}{
		{"up", device(2, "eth0", ""), true, true},
		{"down", device(2, "eth0", "", flags()), false, false},
		{"no carrier", device(2, "eth0", "", flags("UP", "NO-CARRIER")), true, false},
		{"the state alone says down", device(2, "eth0", "", flags("UP"), state("DOWN")), true, false},
		{"the one below is down", device(2, "eth0", "", flags("UP"), state("LOWERLAYERDOWN")), true, false},
		{"the state is not known", device(2, "eth0", "", flags("UP"), state("UNKNOWN")), true, true},
		{"the flag goes before the state", device(2, "eth0", "", flags("UP", "LOWER_UP"), state("DOWN")), true, true},
	} {
		d := find(network.New(&snapshot.Cluster{Nodes: []*snapshot.Node{node("a", host(tt.link))}}), "a/host").Iface("eth0")
		if d.Up() != tt.up || d.Carrier() != tt.carrier {
			t.Errorf("%s: up %t, carrier %t; want %t, %t", tt.name, d.Up(), d.Carrier(), tt.up, tt.carrier)
		}
	}
}

// TestWhichUplinks says which devices of a node lead out of the snapshot.
func TestWhichUplinks(t *testing.T) {
	const subnet = "192.168.9.1/24"
	for _, tt := range []struct {
		name  string
		links []snapshot.Link
		want  []string
	}{
		{"a physical device", []snapshot.Link{device(2, "eth0", "", has(subnet))}, []string{"eth0"}},
		{"loopback is none", []snapshot.Link{device(1, "lo", "", flags("UP", "LOOPBACK"), has("127.0.0.1/8"))}, nil},
		{"a device without Ethernet is none", []snapshot.Link{device(2, "tun0", "", func(l *snapshot.Link) { l.Type = "none" })}, nil},
		{"one end of a veth pair, with a subnet", []snapshot.Link{device(2, "eth0", "veth", has(subnet))}, []string{"eth0"}},
		{"one end of a veth pair, with a single address", []snapshot.Link{device(2, "v1", "veth", has("10.0.0.1/32"))}, nil},
		{"one end of a veth pair, with a link-local address", []snapshot.Link{device(2, "v1", "veth", has("fe80::1/64"))}, nil},
		{"a dummy device", []snapshot.Link{device(2, "d0", "dummy", has(subnet))}, nil},
		{"a VLAN on it is none", []snapshot.Link{device(2, "eth0", ""), device(3, "eth0.7", "vlan", on("eth0"), has(subnet))}, []string{"eth0"}},
		{"a macvlan whose lower device is not there", []snapshot.Link{device(2, "eth0", "macvlan", has(subnet))}, []string{"eth0"}},
		{"both ports of a bond", []snapshot.Link{device(2, "eth0", "", master("bond0")), device(3, "eth1", "", master("bond0")), device(4, "bond0", "bond", has(subnet))}, []string{"eth0", "eth1"}},
		{"an ipvlan whose lower device is not there", []snapshot.Link{device(2, "eth0", "ipvlan", has(subnet))}, []string{"eth0"}},
		{"a tunnel is none", []snapshot.Link{device(2, "flannel.1", "vxlan", has(subnet))}, nil},
		{"the port of a bridge", []snapshot.Link{device(2, "eth0", "", master("br0")), device(3, "br0", "bridge", has(subnet))}, []string{"eth0"}},
	} {
		n := network.New(&snapshot.Cluster{Nodes: []*snapshot.Node{node("a", host(tt.links...))}})
		var got []string
		for _, u := range n.Uplinks() {
			got = append(got, u.Name())
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s:\n%s", tt.name, diff)
		}
	}
}

// TestDefaultRouteIsAnUplink has a veth end without a subnet that the default route leads through.
func TestDefaultRouteIsAnUplink(t *testing.T) {
	ns := host(device(2, "eth0", "veth", has("10.0.0.1/32")))
	ns.FIB.Routes = []fib.Route{{Dst: netip.MustParsePrefix("0.0.0.0/0"), Hops: []fib.NextHop{{Dev: "eth0"}}}}
	if got := network.New(&snapshot.Cluster{Nodes: []*snapshot.Node{node("a", ns)}}).Uplinks(); len(got) != 1 {
		t.Errorf("uplinks: %v", got)
	}
}

// TestL3 says which device holds the addresses for what comes in by another.
func TestL3(t *testing.T) {
	n := network.New(&snapshot.Cluster{Nodes: []*snapshot.Node{node("a", host(
		device(2, "eth0", "", master("bond0")), device(3, "bond0", "bond", master("br0")), device(4, "br0", "bridge", has("10.8.0.1/24")),
		device(5, "eth1", "", master("vrf0")), device(6, "vrf0", "vrf"), device(7, "eth2", "", master("gone")), device(8, "v", "vlan", on("eth1")), device(9, "w", "vlan", on("gone")),
	))}})
	ns := find(n, "a/host")
	for dev, want := range map[string]string{"eth0": "br0", "bond0": "br0", "br0": "br0", "eth1": "eth1", "eth2": "eth2"} {
		if got := ns.Iface(dev).L3().Name(); got != want {
			t.Errorf("%s: %s, want %s", dev, got, want)
		}
	}
	if ns.Iface("eth1").PortOf() != nil || ns.Iface("eth1").Master == nil {
		t.Error("a port of a VRF is no port of a bridge, and has a master")
	}
	if ns.Iface("eth2").Master != nil {
		t.Error("a master that is not in the namespace is known")
	}
	if ns.Iface("v").Lower != ns.Iface("eth1") || ns.Iface("w").Lower != nil || ns.Iface("w").PeerWhy != "gone is not in the namespace" {
		t.Errorf("VLAN devices: %v; %v: %q", ns.Iface("v").Lower, ns.Iface("w").Lower, ns.Iface("w").PeerWhy)
	}
	if ns.Iface("br0").OnLink(netip.MustParseAddr("10.8.1.1")) || !ns.Iface("br0").OnLink(netip.MustParseAddr("10.8.0.9")) {
		t.Error("the subnet of br0")
	}
}

// TestPeersByIndex joins veth pairs by what the snapshot has: names, indexes, ids of namespaces.
func TestPeersByIndex(t *testing.T) {
	id := func(i int) *int { return &i }
	end := func(index, peer int, nsid *int) snapshot.Link {
		return device(index, "e", "veth", func(l *snapshot.Link) { l.PeerIndex, l.PeerNSID = peer, nsid })
	}
	pod := func(name string, inode uint64, links ...snapshot.Link) *snapshot.NetNS {
		return &snapshot.NetNS{Name: name, Inode: inode, Links: links}
	}
	for _, tt := range []struct {
		name string
		ns   []*snapshot.NetNS
		want string // the peer of a/host/e
		why  string
	}{
		{"by the id of the namespace", []*snapshot.NetNS{{Name: "host", Inode: 1, PeerNSID: map[int]uint64{0: 7}, Links: []snapshot.Link{end(5, 2, id(0))}}, pod("p", 7, end(2, 5, id(0)))}, "a/p/e", ""},
		{"the namespace was not collected", []*snapshot.NetNS{{Name: "host", Inode: 1, PeerNSID: map[int]uint64{0: 8}, Links: []snapshot.Link{end(5, 2, id(0))}}, pod("p", 7, end(2, 5, id(0)))}, "", "its other end is in namespace 8, which was not collected"},
		{"the device is not there", []*snapshot.NetNS{{Name: "host", Inode: 1, PeerNSID: map[int]uint64{0: 7}, Links: []snapshot.Link{end(5, 2, id(0))}}, pod("p", 7, end(3, 5, id(0)))}, "", "device 2 is not in a/p"},
		{"by the indexes alone", []*snapshot.NetNS{host(end(5, 2, id(0))), pod("p", 0, end(2, 5, id(0)))}, "a/p/e", ""},
		{"the other end means another", []*snapshot.NetNS{host(end(5, 2, id(0))), pod("p", 0, end(2, 6, id(0)))}, "", "no collected namespace of the node holds its other end, device 2"},
		{"no index", []*snapshot.NetNS{host(end(5, 0, id(0)))}, "", "the snapshot holds no index of its other end"},
	} {
		n := network.New(&snapshot.Cluster{Nodes: []*snapshot.Node{node("a", tt.ns...)}})
		d, got := find(n, "a/host").Iface("e"), ""
		if d.Peer != nil {
			got = d.Peer.String()
		}
		if got != tt.want || d.PeerWhy != tt.why {
			t.Errorf("%s: %q, %q; want %q, %q", tt.name, got, d.PeerWhy, tt.want, tt.why)
		}
	}
}

// TestSettingsJoined joins a device's sysctls with those of "all".
func TestSettingsJoined(t *testing.T) {
	const all, dev = "net.ipv4.conf.all.", "net.ipv4.conf.eth0."
	for _, tt := range []struct {
		name   string
		sysctl map[string]string
		want   network.Setting
	}{
		{"neither known", nil, network.NotKnown},
		{"both off", map[string]string{all + "rp_filter": "0", dev + "rp_filter": "0"}, 0},
		{"the device's is larger", map[string]string{all + "rp_filter": "1", dev + "rp_filter": "2"}, 2},
		{"all's is larger", map[string]string{all + "rp_filter": "2", dev + "rp_filter": "1"}, 2},
		{"one is on, the other not known", map[string]string{dev + "rp_filter": "1"}, 1},
		{"one is off, the other not known", map[string]string{all + "rp_filter": "0"}, network.NotKnown},
		{"no number", map[string]string{all + "rp_filter": "x", dev + "rp_filter": "0"}, network.NotKnown},
	} {
		ns := host(device(2, "eth0", ""))
		ns.Sysctl = tt.sysctl
		n := network.New(&snapshot.Cluster{Nodes: []*snapshot.Node{node("a", ns)}})
		if got := find(n, "a/host").Iface("eth0").Conf.RPFilter; got != tt.want {
			t.Errorf("%s: %d, want %d", tt.name, got, tt.want)
		}
	}
}

// TestDeviceEvidence quotes a device as ip prints it.
func TestDeviceEvidence(t *testing.T) {
	ns := host(device(2, "v1", "veth", master("br0"), func(l *snapshot.Link) { l.OperState = "UP" }), device(3, "br0", "bridge"))
	ns.Dir = "nodes/a/host"
	n := network.New(&snapshot.Cluster{Nodes: []*snapshot.Node{node("a", ns)}})
	want := snapshot.Evidence{File: "nodes/a/host/addr.json", Text: "2: v1: <UP,LOWER_UP> mtu 1500 master br0 state UP veth", Command: "ip -d link show dev v1"}
	if diff := cmp.Diff(want, find(n, "a/host").Iface("v1").Evidence()); diff != "" {
		t.Error(diff)
	}
}
