package network_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/plumbnet/plumb/network"
	"github.com/plumbnet/plumb/packet"
	"github.com/plumbnet/plumb/snapshot"
	"golang.org/x/tools/txtar"
)

// edit changes the files of a fixture before they are read; nil removes a file.
type edit func(path string, data []byte) []byte

// load reads the two nodes that package trace recorded.
func load(t *testing.T, name string, edits ...edit) *network.Network {
	t.Helper()
	a, err := txtar.ParseFile("../trace/testdata/" + name + ".txtar")
	if err != nil {
		t.Fatal(err)
	}
	files := snapshot.Files{}
	for _, f := range a.Files {
		data := f.Data
		for _, e := range edits {
			data = e(f.Name, data)
		}
		if data != nil {
			files[f.Name] = data
		}
	}
	c, err := snapshot.Read(files)
	if err != nil {
		t.Fatal(err)
	}
	return network.New(c)
}

// without removes the files whose paths end so.
func without(suffixes ...string) edit {
	return func(path string, data []byte) []byte {
		for _, s := range suffixes {
			if strings.HasSuffix(path, s) {
				return nil
			}
		}
		return data
	}
}

// replace changes text in one file.
func replace(path, old, new string) edit {
	return func(p string, data []byte) []byte {
		if p != path {
			return data
		}
		return []byte(strings.ReplaceAll(string(data), old, new))
	}
}

func find(n *network.Network, name string) *network.NS {
	for _, ns := range n.NS {
		if ns.String() == name {
			return ns
		}
	}
	return nil
}

// peers lists the veth devices and their other ends.
func peers(n *network.Network) []string {
	var out []string
	for _, ns := range n.NS {
		for _, d := range ns.Ifaces {
			if d.Kind() != "veth" {
				continue
			}
			other := "?"
			if d.Peer != nil {
				other = d.Peer.String()
			}
			out = append(out, d.String()+" = "+other)
		}
	}
	return out
}

var wantPeers = []string{
	"a/host/v1 = a/p1/eth0", "a/host/v2 = a/p2/eth0", "a/host/eth0 = ?", "a/p1/eth0 = a/host/v1", "a/p2/eth0 = a/host/v2",
	"b/host/v1 = b/p1/eth0", "b/host/eth0 = ?", "b/p1/eth0 = b/host/v1",
}

func TestPeers(t *testing.T) {
	sorted := cmp.Transformer("set", func(in []string) map[string]bool {
		out := map[string]bool{}
		for _, s := range in {
			out[s] = true
		}
		return out
	})
	for _, tt := range []struct {
		name  string
		edits []edit
	}{
		{"by namespace id", nil},
		{"by indexes that agree", []edit{without("netns.json")}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(wantPeers, peers(load(t, "vxlan", tt.edits...)), sorted); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestPeerNotCollected(t *testing.T) {
	drop := func(path string, data []byte) []byte {
		if strings.HasPrefix(path, "nodes/a/p1/") {
			return nil
		}
		return data
	}
	for name, edits := range map[string][]edit{"with ids": {drop}, "without": {drop, without("netns.json")}} {
		n := load(t, "vxlan", edits...)
		v1 := find(n, "a/host").Iface("v1")
		if v1.Peer != nil || v1.PeerWhy == "" {
			t.Errorf("%s: v1's peer is %v, because %q", name, v1.Peer, v1.PeerWhy)
		}
		if v1.Uplink {
			t.Errorf("%s: v1 counts as an uplink", name)
		}
	}
}

// TestAmbiguousPeer has two namespaces that both hold a device with the indexes of v1's other end.
func TestAmbiguousPeer(t *testing.T) {
	nsid := 0
	veth := func(index, peer int, name string) snapshot.Link {
		return snapshot.Link{Index: index, Name: name, PeerIndex: peer, PeerNSID: &nsid, Info: snapshot.LinkInfo{Kind: "veth"}}
	}
	ns := func(name string, links ...snapshot.Link) *snapshot.NetNS {
		return &snapshot.NetNS{Name: name, Links: links}
	}
	c := &snapshot.Cluster{Nodes: []*snapshot.Node{{Name: "a", NetNS: []*snapshot.NetNS{
		ns("host", veth(5, 2, "v1")), ns("p1", veth(2, 5, "eth0")), ns("p2", veth(2, 5, "eth0")),
	}}}}
	v1 := find(network.New(c), "a/host").Iface("v1")
	if v1.Peer != nil || !strings.Contains(v1.PeerWhy, "nothing tells") {
		t.Errorf("peer %v, because %q", v1.Peer, v1.PeerWhy)
	}
}

func TestUplinks(t *testing.T) {
	n := load(t, "vxlan")
	var got []string
	for _, u := range n.Uplinks() {
		got = append(got, u.String())
	}
	if diff := cmp.Diff([]string{"a/host/eth0", "b/host/eth0"}, got); diff != "" {
		t.Error(diff)
	}
	a, b := find(n, "a/host").Iface("eth0"), find(n, "b/host").Iface("eth0")
	if !network.Meet(a, b) {
		t.Error("the uplinks share 192.168.9.0/24, and do not meet")
	}
	if find(n, "b/host").UplinkTo(a) != b {
		t.Error("b's uplink on a's segment is not found")
	}
	far := load(t, "vxlan", replace("nodes/b/host/addr.json", `"local":"192.168.9.2","prefixlen":24`, `"local":"192.168.10.2","prefixlen":24`))
	if network.Meet(find(far, "a/host").Iface("eth0"), find(far, "b/host").Iface("eth0")) {
		t.Error("uplinks in two subnets meet")
	}
	if got := n.Behind(b.Link.MAC); len(got) != 1 || got[0] != b {
		t.Errorf("behind %s: %v", b.Link.MAC, got)
	}
	if got := n.Behind(packet.MAC{2}); got != nil {
		t.Errorf("behind an address that nobody has: %v", got)
	}
}

func TestBridgeAndUppers(t *testing.T) {
	n := load(t, "vxlan")
	cni := find(n, "a/host").Iface("cni0")
	var ports []string
	for _, p := range cni.Ports {
		ports = append(ports, p.Name())
		if p.PortOf() != cni || p.L3() != cni {
			t.Errorf("%s is a port of %v", p, p.PortOf())
		}
	}
	if diff := cmp.Diff([]string{"v1", "v2"}, ports); diff != "" {
		t.Error(diff)
	}
	m := load(t, "macvlan")
	eth0 := find(m, "a/host").Iface("eth0")
	if len(eth0.Uppers) != 2 {
		t.Fatalf("macvlan devices on eth0: %v", eth0.Uppers)
	}
	for _, u := range eth0.Uppers {
		if u.Lower != eth0 {
			t.Errorf("%s is on %v", u, u.Lower)
		}
		if got := m.Behind(u.Link.MAC); len(got) != 1 || got[0] != eth0 {
			t.Errorf("%s is behind %v", u, got)
		}
	}
}

const objects = `{"kind":"PodList","apiVersion":"v1","items":[
{"metadata":{"namespace":"shop","name":"web-0"},"spec":{"nodeName":"a"},"status":{"phase":"Running","podIP":"10.244.1.2","podIPs":[{"ip":"10.244.1.2"}]}},
{"metadata":{"namespace":"shop","name":"proxy"},"spec":{"nodeName":"b","hostNetwork":true},"status":{"phase":"Running","podIP":"192.168.9.2","podIPs":[{"ip":"192.168.9.2"}]}},
{"metadata":{"namespace":"shop","name":"done"},"spec":{"nodeName":"a"},"status":{"phase":"Succeeded","podIP":"10.244.1.3"}},
{"metadata":{"namespace":"shop","name":"far-proxy"},"spec":{"nodeName":"c","hostNetwork":true},"status":{"phase":"Running","podIP":"192.168.9.3","podIPs":[{"ip":"192.168.9.3"}]}},
{"metadata":{"namespace":"shop","name":"gone"},"spec":{"nodeName":"c"},"status":{"phase":"Running","podIP":"10.244.3.3"}}]}`

const nodeB = `{"kind":"NodeList","apiVersion":"v1","items":[
{"metadata":{"name":"b"},"status":{"addresses":[{"type":"InternalIP","address":"192.168.9.2"},{"type":"InternalIP","address":"192.168.9.22"}]}}]}`

func TestPods(t *testing.T) {
	a, err := txtar.ParseFile("../trace/testdata/vxlan.txtar")
	if err != nil {
		t.Fatal(err)
	}
	files := snapshot.Files{"objects/pods.json": []byte(objects), "objects/nodes.json": []byte(nodeB)}
	for _, f := range a.Files {
		files[f.Name] = f.Data
	}
	c, err := snapshot.Read(files)
	if err != nil {
		t.Fatal(err)
	}
	n := network.New(c)
	for pod, want := range map[string]string{"shop/web-0": "a/p1", "shop/proxy": "b/host", "shop/done": "", "shop/gone": "", "shop/none": ""} {
		got := ""
		if ns := n.Pod(pod); ns != nil {
			got = ns.String()
		}
		if got != want {
			t.Errorf("Pod %s is in %q, want %q", pod, got, want)
		}
	}
	if got := find(n, "a/p1").PodName; got != "shop/web-0" {
		t.Errorf("a/p1 is Pod %q", got)
	}
	if got := find(n, "b/host").PodName; got != "" {
		t.Errorf("the node's own namespace is Pod %q", got)
	}
	if got := n.Uncollected(netip.MustParseAddr("192.168.9.3")); got != "node c" {
		t.Errorf("192.168.9.3, of a Pod with hostNetwork, is the address of %q, want its node", got)
	}
	if got := n.Uncollected(netip.MustParseAddr("192.168.9.22")); got != "" {
		t.Errorf("192.168.9.22, which a node that was collected has lost, is %q", got)
	}
	if got := n.Uncollected(netip.MustParseAddr("10.244.3.3")); got != "Pod shop/gone" {
		t.Errorf("10.244.3.3 is %q", got)
	}
	if got := n.Uncollected(netip.MustParseAddr("10.244.1.2")); got != "" {
		t.Errorf("10.244.1.2, which was collected, is %q", got)
	}
}

func TestOwnersAndHost(t *testing.T) {
	n := load(t, "vxlan")
	got := n.Owners(netip.MustParseAddr("10.244.2.2"))
	if len(got) != 1 || got[0].String() != "b/p1/eth0" {
		t.Errorf("owners of 10.244.2.2: %v", got)
	}
	if n.Owners(netip.MustParseAddr("10.9.9.9")) != nil {
		t.Error("an address of nobody has an owner")
	}
	if n.Host("a") != find(n, "a/host") || n.Host("z") != nil {
		t.Error("the nodes' own namespaces are not found")
	}
	p1 := find(n, "b/p1")
	if d := p1.Owner(netip.MustParseAddr("10.244.2.2")); d == nil || d.String() != "b/p1/eth0" {
		t.Errorf("in b/p1 itself 10.244.2.2 is of %v", d)
	}
	if d := p1.Owner(netip.MustParseAddr("10.244.2.1")); d != nil {
		t.Errorf("in b/p1 the bridge's address is of %v", d)
	}
}

func TestRoutesMissing(t *testing.T) {
	n := load(t, "vxlan", without("a/p1/routes6.json", "b/p1/rules.json"))
	for _, tt := range []struct {
		ns     string
		v4, v6 bool
		what   string
	}{
		{"a/p1", false, true, "its routes of IPv6 were not collected"},
		{"b/p1", true, false, "its policy rules of IPv4 were not collected"},
		{"a/p2", false, false, "all is there"},
	} {
		ns := find(n, tt.ns)
		if v4, v6 := ns.RoutesMissing(false), ns.RoutesMissing(true); (v4 != "") != tt.v4 || (v6 != "") != tt.v6 {
			t.Errorf("%s: %s, and yet IPv4 %q, IPv6 %q", tt.ns, tt.what, v4, v6)
		}
	}
}

func TestMissing(t *testing.T) {
	n := load(t, "vxlan", without("a/p1/sockets"))
	p1, p2 := find(n, "a/p1"), find(n, "a/p2")
	if n.Missing(p1, "sockets") == "" || n.Missing(p2, "sockets") != "" {
		t.Errorf("sockets: %q, %q", n.Missing(p1, "sockets"), n.Missing(p2, "sockets"))
	}
}

// TestRulesMissing: packets of a family pass the rules of that family, and nf_tables and IPVS.
func TestRulesMissing(t *testing.T) {
	for _, tt := range []struct{ file, v4, v6 string }{
		{"iptables", "iptables: not collected", ""},
		{"iptables-legacy", "iptables-legacy: not collected", ""},
		{"ip6tables", "", "ip6tables: not collected"},
		{"ip6tables-legacy", "", "ip6tables-legacy: not collected"},
		{"nft.json", "nft.json: not collected", "nft.json: not collected"},
		{"ipvs", "ipvs: not collected", "ipvs: not collected"},
		{"sockets", "", ""},
	} {
		ns := find(load(t, "vxlan", without("a/p1/"+tt.file)), "a/p1")
		if v4, v6 := ns.RulesMissing(false), ns.RulesMissing(true); v4 != tt.v4 || v6 != tt.v6 {
			t.Errorf("without %s: IPv4 %q, IPv6 %q", tt.file, v4, v6)
		}
	}
	ns := find(load(t, "vxlan", func(path string, data []byte) []byte {
		if path == "nodes/a/p1/nft.json" {
			return []byte(`{"nftables": [{"table": {"family": "ip", "name": "t"}}, {"rule": {"table": "t"}}]}`)
		}
		return data
	}), "a/p1")
	if len(ns.Netfilter.NFTables) != 1 || ns.RulesMissing(false) != "" {
		t.Errorf("read in part: %d tables, missing %q", len(ns.Netfilter.NFTables), ns.RulesMissing(false))
	}
}

func TestConf(t *testing.T) {
	n := load(t, "vxlan", replace("nodes/a/host/sysctl", "net.ipv4.conf.all.rp_filter = 0", "net.ipv4.conf.all.rp_filter = 2"), without("a/p1/sysctl"))
	host, p1 := find(n, "a/host"), find(n, "a/p1")
	for _, tt := range []struct {
		name      string
		got, want network.Setting
	}{
		{"ip_forward", host.Conf.IPForward, 1},
		{"forwarding of v1", host.Iface("v1").Conf.Forwarding, 1},
		{"rp_filter is the larger of all's and the device's", host.Iface("v1").Conf.RPFilter, 2},
		{"a device with a dot in its name", host.Iface("flannel.1").Conf.RPFilter, 2},
		{"proxy_arp", host.Iface("v1").Conf.ProxyARP, 0},
		{"not collected", p1.Conf.IPForward, network.NotKnown},
		{"not collected, of a device", p1.Iface("eth0").Conf.RPFilter, network.NotKnown},
		{"br_netfilter, not collected", p1.Conf.BridgeNF, network.NotKnown},
	} {
		if tt.got != tt.want {
			t.Errorf("%s: %d, want %d", tt.name, tt.got, tt.want)
		}
	}
}

func TestNeighFDBSockets(t *testing.T) {
	n := load(t, "vxlan")
	host := find(n, "a/host")
	far, _ := packet.ParseMAC("0e:00:00:00:00:02")
	if e := host.Neigh("flannel.1", netip.MustParseAddr("10.244.2.0")); e == nil || e.MAC != far || e.State != "PERMANENT" {
		t.Errorf("neighbour entry: %v", e)
	}
	if e := host.FDB("flannel.1", far); len(e) != 1 || e[0].Dst.String() != "192.168.9.2" {
		t.Errorf("forwarding entries: %v", e)
	}
	if got := find(n, "b/p1").SocketsOn(packet.TCP, 8080); len(got) != 1 {
		t.Errorf("sockets on 8080: %v", got)
	}
	if got := host.FDB("cni0", find(n, "a/p1").Iface("eth0").Link.MAC); len(got) > 1 {
		t.Errorf("bridge entries: %v", got)
	}
}
