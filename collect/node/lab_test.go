//go:build linux

package node

import (
	stdcmp "cmp"
	"context"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/plumbnet/plumb/fib"
	"github.com/plumbnet/plumb/lab/sandbox"
	"github.com/plumbnet/plumb/netfilter"
	"github.com/plumbnet/plumb/snapshot"
)

func TestMain(m *testing.M) { sandbox.Main(m) }

// must stops the test on an error.
func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func newNS(t testing.TB, name string) *sandbox.NS {
	t.Helper()
	ns, err := sandbox.NewNS(name)
	must(t, err)
	t.Cleanup(func() { _ = ns.Delete() })
	return ns
}

// sh runs commands, one a line, in a namespace.
func sh(t testing.TB, ns *sandbox.NS, script string) {
	t.Helper()
	for line := range strings.Lines(script) {
		if f := strings.Fields(line); len(f) > 0 {
			must(t, ns.Run("", f...))
		}
	}
}

// richNode is a node with something of everything that this kernel has, and a Pod.
const richNode = `
ip link add cni0 type bridge
ip link add veth1 type veth peer name eth0 netns pod1
ip link set veth1 master cni0 up
ip link set cni0 up
bridge link set dev veth1 hairpin on
ip addr add 10.244.0.1/24 dev cni0
ip addr add 10.244.0.9/24 dev cni0
ip addr add fd00::1/64 dev cni0 nodad
ip link add u0 type veth peer name u1.5
ip addr add 192.168.1.1/24 dev u0
ip link set u0 up mtu 1400
ip link set u1.5 up
ip addr add 1.2.3.4 peer 1.2.3.5 dev u1.5
ip link add flannel.1 type vxlan id 1 dev u0 local 192.168.1.1 dstport 8472 nolearning
ip link set flannel.1 up
ip link add vxm type vxlan id 9 dev u0 group 239.1.1.1 dstport 4789
ip link add vxr type vxlan id 10 remote 192.168.1.7 dstport 4789
ip link add vx6 type vxlan id 11 local fd00::1 remote fd00::7 dstport 4789
ip link add vxe type vxlan external dstport 4790
ip link add mv0 link u1.5 type macvlan mode bridge
ip route add 10.244.1.0/24 via 10.244.1.0 dev flannel.1 onlink
ip route add blackhole 10.9.0.0/16 metric 7
ip route add unreachable 10.10.0.0/16 table 99
ip route add 10.11.0.0/16 mtu 1300 advmss 1200 via 192.168.1.2 proto bird src 192.168.1.1
ip route add 10.12.0.0/16 tos 0x10 via 192.168.1.2
ip route add 10.13.0.0/16 nexthop via 192.168.1.2 weight 3 nexthop via 192.168.1.3 dev u0 weight 1 onlink
ip route add 10.14.0.0/16 via inet6 fd00::9 dev cni0
ip nexthop add id 1 via 192.168.1.2 dev u0
ip nexthop add id 2 via 192.168.1.3 dev u0
ip nexthop add id 3 blackhole
ip nexthop add id 4 via 192.168.1.4 fdb
ip nexthop add id 10 group 1,3/2
ip route add 10.15.0.0/16 nhid 10
ip route add default via 192.168.1.254 dev u0
ip -6 route add fd01::/64 via fd00::2 dev cni0 metric 5 pref high
ip -6 route add fd02::/64 nexthop via fd00::2 dev cni0 weight 2 nexthop via fd00::3 dev cni0
ip -6 route add blackhole fd03::/64
ip -6 route add fd04::/64 from fd00::/64 via fd00::2 dev cni0
ip -6 route add default via fd00::fe dev cni0
ip rule add from 10.0.0.0/8 to 11.0.0.0/8 fwmark 0x10/0xf0 iif u0 table 99 priority 100
ip rule add not fwmark 7 table 98 suppress_prefixlength 0 priority 101
ip rule add ipproto tcp sport 80 dport 100-200 uidrange 5-6 oif u0 tos 0x10 priority 102 blackhole
ip rule add priority 103 goto 32766
ip rule add tun_id 5 priority 104 table 97
ip -6 rule add from fd00::/64 priority 105 prohibit
ip neigh add 10.244.1.0 lladdr 02:00:00:00:00:01 dev flannel.1 nud permanent
ip neigh add 192.168.1.9 lladdr 02:00:00:00:00:02 dev u0 nud stale router
ip neigh add fd00::5 lladdr 02:00:00:00:00:03 dev cni0 nud reachable extern_learn
bridge fdb append 02:00:00:00:00:01 dev flannel.1 dst 192.168.1.2
bridge fdb append 02:00:00:00:00:02 dev flannel.1 dst 192.168.1.3 port 9999 vni 5 via u0
bridge fdb append 00:00:00:00:00:00 dev flannel.1 dst 192.168.1.4
bridge fdb add 02:00:00:00:00:04 dev veth1 master static
iptables-nft -A FORWARD -s 10.0.0.0/8 -j DROP
iptables-nft -t nat -A POSTROUTING -s 10.244.0.0/16 -j MASQUERADE
ip6tables-nft -A INPUT -p tcp --dport 22 -j ACCEPT
ipset create s1 hash:ip
ipset add s1 10.0.0.1
nft add table inet native
nft add chain inet native c { type filter hook input priority 0 ; policy accept ; }
`

// listen opens sockets in a namespace, which stay until the test ends.
func listen(t testing.TB, ns *sandbox.NS) {
	t.Helper()
	open := func(network, addr string, udp bool) {
		must(t, ns.Do(func() error {
			if udp {
				c, err := net.ListenPacket(network, addr)
				if err == nil {
					t.Cleanup(func() { c.Close() })
				}
				return err
			}
			l, err := net.Listen(network, addr)
			if err == nil {
				t.Cleanup(func() { l.Close() })
			}
			return err
		}))
	}
	open("tcp4", "127.0.0.1:80", false)
	open("tcp", "[::]:81", false)
	open("tcp6", "[::]:82", false)
	open("tcp6", "[fd00::1]:83", false)
	open("udp4", "0.0.0.0:53", true)
	open("udp", "[::]:54", true)
}

// makeNode makes the rich node, with one Pod.
func makeNode(t testing.TB) (host, pod *sandbox.NS) {
	t.Helper()
	host, pod = newNS(t, "host1"), newNS(t, "pod1")
	sh(t, host, richNode)
	sh(t, pod, "ip addr add 10.244.0.2/24 dev eth0\nip link set eth0 up\nip route add default via 10.244.0.1")
	listen(t, host)
	settle(t, host)
	settle(t, pod)
	return host, pod
}

// settle waits until duplicate address detection is over, so that two looks see the same.
func settle(t testing.TB, ns *sandbox.NS) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for {
		out, err := ns.Output("", "ip", "addr", "show", "tentative")
		must(t, err)
		if !strings.Contains(out, "inet") {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("addresses stay tentative:\n%s", out)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// clusterDiff compares two clusters by content: not by the lines of the files, or what changes by itself.
func clusterDiff(a, b *snapshot.Cluster) string {
	ignoreLine := cmp.FilterPath(func(p cmp.Path) bool { return p.Last().String() == ".Line" }, cmp.Ignore())
	// An entry that nobody has answered, or that was answered, goes from state to state by itself.
	settled := map[string]string{"INCOMPLETE": "FAILED", "REACHABLE": "STALE", "DELAY": "STALE", "PROBE": "STALE"}
	neighState := cmp.FilterPath(func(p cmp.Path) bool { return p.Last().String() == ".State" }, cmp.Comparer(func(x, y string) bool {
		return stdcmp.Or(settled[x], x) == stdcmp.Or(settled[y], y)
	}))
	return cmp.Diff(a, b, ignoreLine, neighState,
		cmpopts.EquateComparable(netip.Addr{}, netip.AddrPort{}, netip.Prefix{}),
		cmpopts.EquateEmpty(),
		cmpopts.IgnoreFields(snapshot.Cluster{}, "Taken"),
		cmpopts.IgnoreFields(snapshot.Node{}, "Taken"),
		cmpopts.IgnoreFields(snapshot.NetNS{}, "Stat"),
		cmpopts.IgnoreFields(fib.Tables{}, "Built"),
		cmpopts.IgnoreUnexported(netfilter.Table{}, netfilter.Chain{}, netfilter.Rule{}, netfilter.Set{}, netfilter.Ruleset{}),
	)
}

// tools are the commands that print the files.
var tools = map[string]string{
	"addr.json": "ip -j -d addr", "routes.json": "ip -j -d -4 route show table all", "routes6.json": "ip -j -d -6 route show table all",
	"rules.json": "ip -j -d -4 rule", "rules6.json": "ip -j -d -6 rule", "nexthops.json": "ip -j -d nexthop", "neigh.json": "ip -j -d neigh",
	"fdb.json": "bridge -j -d fdb", "vlan.json": "bridge -j vlan", "sockets": "ss -H -O -n -l -t -u -S -e -p",
	"iptables": "iptables-nft-save", "ip6tables": "ip6tables-nft-save", "nft.json": "nft -j list ruleset", "ipset": "ipset save",
}

// TestSameAsTheTools collects a node by netlink, and with the usual tools, and wants the same snapshot of both.
func TestSameAsTheTools(t *testing.T) {
	sandbox.Need(t)
	host, pod := makeNode(t)
	files, err := Collect(context.Background(), Options{Node: "n", Host: host.Path, NetNS: []NetNS{{Name: "p", Pod: "shop/web-0", Path: pod.Path}}})
	must(t, err)
	if os.Getenv("PLUMB_SHOW") != "" {
		for _, name := range files.Names() {
			t.Logf("%s\n%s", name, files[name])
		}
	}
	want := snapshot.Files{}
	for name, data := range files {
		want[name] = data
	}
	for dir, ns := range map[string]*sandbox.NS{"host": host, "p": pod} {
		for file, command := range tools {
			name := "nodes/n/" + dir + "/" + file
			if strings.Contains("iptables ip6tables nft.json ipset", file) && len(files[name]) == 0 {
				continue // nothing there, and so not run
			}
			out, err := ns.Output("", strings.Fields(command)...)
			must(t, err)
			want[name] = []byte(out)
		}
	}
	got, err := snapshot.Read(files)
	must(t, err)
	by, err := snapshot.Read(want)
	must(t, err)
	if d := clusterDiff(by, got); d != "" {
		t.Errorf("(-tools +plumb):\n%s", d)
	}
	for _, g := range got.Gaps {
		t.Errorf("gap: %v", g)
	}
	h, p := got.Nodes[0].NetNS[0], got.Nodes[0].NetNS[1]
	if len(h.Links) != 11 || len(h.Sockets) < 6 || len(h.FIB.Routes) < 30 || h.Sysctl["net.ipv4.conf.u1/5.rp_filter"] == "" || h.Stat["conntrack_max"] == 0 {
		t.Errorf("too little: %d links, %d sockets, %d routes, %d sysctls, stat %v", len(h.Links), len(h.Sockets), len(h.FIB.Routes), len(h.Sysctl), h.Stat)
	}
	if id := h.Link("veth1").PeerNSID; id == nil || h.PeerNSID[*id] != p.Inode {
		t.Errorf("the peer of veth1 is in namespace %v of %v, want inode %d", id, h.PeerNSID, p.Inode)
	}
	if p.Pod != "shop/web-0" || p.Name != "p" {
		t.Errorf("pod: %s, %s", p.Name, p.Pod)
	}
	for _, s := range h.Sockets {
		if s.Process == "" && s.Local.Port() < 100 {
			t.Errorf("a socket without its process: %+v", s)
		}
	}
}

func itoa(n int) string { return strconv.Itoa(n) }

// waitFor polls until ok, or fails after ten seconds.
func waitFor(t testing.TB, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatal("it did not happen within 10 s")
		}
		time.Sleep(10 * time.Millisecond)
	}
}
