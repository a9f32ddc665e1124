package snapshot

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/plumbnet/plumb/packet"
	"golang.org/x/tools/txtar"
)

// tree makes Files of a txtar.
func tree(s string) Files {
	out := Files{}
	for _, f := range txtar.Parse([]byte(s)).Files {
		out[f.Name] = f.Data
	}
	return out
}

func mustRead(t *testing.T, f Files) *Cluster {
	t.Helper()
	c, err := Read(f)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

const small = `
-- nodes/a/node.json --
{"name": "node-a", "kernel": "6.1.0", "taken": "2024-05-01T10:00:00Z", "gaps": [{"path": "host/ipset", "why": "no ipset"}]}
-- nodes/a/web/netns.json --
{"inode": 7, "pod": "shop/web-0", "nsids": {"0": 1}}
-- nodes/a/host/netns.json --
{"inode": 1}
-- nodes/a/host/addr.json --
[{"ifindex":1,"ifname":"lo","flags":["LOOPBACK","UP"],"mtu":65536,"link_type":"loopback","address":"00:00:00:00:00:00",
  "addr_info":[{"family":"inet","local":"127.0.0.1","prefixlen":8,"scope":"host"}]},
 {"ifindex":3,"link_index":2,"ifname":"eth0.5","link_netnsid":0,"mtu":1500,"address":"0e:8a:3d:ca:b2:c2","linkinfo":{"info_kind":"veth"},
  "addr_info":[{"family":"inet","local":"10.0.0.1","address":"10.0.0.2","prefixlen":32,"scope":"global"},
               {"family":"inet6","local":"fe80::1","prefixlen":64,"scope":"link","tentative":true}]}]
-- nodes/a/host/sysctl --
net.ipv4.ip_forward = 1
net.ipv4.ip_local_port_range = 32768	60999
net.ipv4.conf.eth0/5.ignore_routes_with_linkdown = 1
sysctl: permission denied on key 'net.ipv4.tcp_fastopen_key'
-- nodes/a/host/sockets --
tcp LISTEN 0      128       127.0.0.1:80   0.0.0.0:* users:(("my web",pid=1,fd=3)) ino:25516 sk:3 cgroup:/ <->
-- nodes/a/host/stat --
conntrack_count 17
-- nodes/a/host/vlan.json --
[{"ifname":"eth0","vlans":[{"vlan":1,"flags":["PVID","Egress Untagged"]},{"vlan":10,"vlanEnd":20}]}]
-- nodes/a/host/iptables.error --
iptables-save: exit status 3:
  permission denied
`

func TestRead(t *testing.T) {
	c := mustRead(t, tree(small))
	if len(c.Nodes) != 1 || len(c.Nodes[0].NetNS) != 2 {
		t.Fatalf("want one node with two namespaces: %+v", c.Nodes)
	}
	n := c.Nodes[0]
	taken := time.Date(2024, 5, 1, 10, 0, 0, 0, time.UTC)
	if n.Name != "node-a" || n.Kernel != "6.1.0" || !n.Taken.Equal(taken) || !c.Taken.Equal(taken) {
		t.Errorf("node: %+v", n)
	}
	host, web := n.NetNS[0], n.NetNS[1]
	if host != n.Host() || host.Inode != 1 || host.Dir != "nodes/a/host" || host.Path("sysctl") != "nodes/a/host/sysctl" {
		t.Errorf("host: %+v", host)
	}
	if web.Name != "web" || web.Pod != "shop/web-0" || web.Inode != 7 || web.PeerNSID[0] != 1 {
		t.Errorf("web: %+v", web)
	}
	if v, _ := host.DevSysctl("ipv4", "eth0.5", "ignore_routes_with_linkdown"); v != "1" {
		t.Errorf("sysctl of a device with a dot: %q", v)
	}
	zero := 0
	want := []Link{
		{Index: 1, Name: "lo", Flags: []string{"LOOPBACK", "UP"}, MTU: 65536, Type: "loopback",
			Addrs: []LinkAddr{{Family: "inet", Local: netip.MustParseAddr("127.0.0.1"), Len: 8, Scope: "host"}}},
		{Index: 3, Name: "eth0.5", PeerIndex: 2, PeerNSID: &zero, MTU: 1500, MAC: packet.MAC{0x0e, 0x8a, 0x3d, 0xca, 0xb2, 0xc2},
			Info: LinkInfo{Kind: "veth"},
			Addrs: []LinkAddr{
				{Family: "inet", Local: netip.MustParseAddr("10.0.0.1"), Peer: netip.MustParseAddr("10.0.0.2"), Len: 32, Scope: "global"},
				{Family: "inet6", Local: netip.MustParseAddr("fe80::1"), Len: 64, Scope: "link", Tentative: true}}},
	}
	if d := cmp.Diff(want, host.Links, cmpopts.EquateComparable(netip.Addr{})); d != "" {
		t.Errorf("links (-want +got):\n%s", d)
	}
	if a := host.FIB.Addrs; len(a) != 3 || a[1].Dev != "eth0.5" || a[1].Peer.String() != "10.0.0.2/32" || a[2].Flags[0] != "tentative" {
		t.Errorf("addresses: %+v", a)
	}
	if d := cmp.Diff(map[string]bool{"eth0.5": true}, host.FIB.IgnoreLinkdown); d != "" {
		t.Error(d)
	}
	if host.Sysctl["net.ipv4.ip_local_port_range"] != "32768 60999" || host.Stat["conntrack_count"] != 17 {
		t.Errorf("sysctl %v, stat %v", host.Sysctl, host.Stat)
	}
	wantVLAN := []BridgeVLAN{{Dev: "eth0", VID: 1, VIDEnd: 1, PVID: true, Untagged: true}, {Dev: "eth0", VID: 10, VIDEnd: 20}}
	if d := cmp.Diff(wantVLAN, host.VLANs); d != "" {
		t.Error(d)
	}
	if len(host.Sockets) != 1 || host.Sockets[0].Process != "my web" {
		t.Errorf("sockets: %+v", host.Sockets)
	}
	for path, why := range map[string]string{
		"nodes/a/host/iptables":    "iptables-save: exit status 3: permission denied",
		"nodes/a/host/routes.json": "not collected",
		"nodes/a/web/addr.json":    "not collected",
		"nodes/a/host/ipset":       "no ipset",
	} {
		if g, ok := c.GapAt(path); !ok || g.Why != why {
			t.Errorf("gap at %s: %q, want %q", path, g.Why, why)
		}
	}
	if g, ok := c.GapAt("nodes/a/host/addr.json"); ok {
		t.Errorf("a gap where there is none: %v", g)
	}
}

func TestReadBad(t *testing.T) {
	for _, tt := range []struct{ name, file, content, want string }{
		{"no JSON", "nodes/a/host/addr.json", "Object \"addr\" is unknown", "addr: invalid character 'O' looking for beginning of value"},
		{"cut short", "nodes/a/host/addr.json", `[{"ifindex":1,"ifname":"lo"},{"if`, "addr: unexpected EOF"},
		{"bad address", "nodes/a/host/addr.json", `[{"ifindex":1,"ifname":"lo","addr_info":[{"local":"x"}]}]`, "addr: element 0: ParseAddr(\"x\"): unable to parse IP"},
		{"wrong type", "nodes/a/host/addr.json", `[{"ifindex":1,"ifname":"lo","mtu":"x"}]`, "addr: element 0: json: cannot unmarshal string into Go struct field Link.mtu of type int"},
		{"sysctl", "nodes/a/host/sysctl", "net.a = 1\nhello\n", `sysctl: line 2: want NAME = VALUE, have "hello"`},
		{"stat", "nodes/a/host/stat", "a 1\nb x\n", `stat: line 2: count "x": want a number`},
		{"stat words", "nodes/a/host/stat", "a\n", `stat: line 1: want NAME COUNT, have "a"`},
		{"sockets", "nodes/a/host/sockets", "tcp LISTEN 0 x 1.2.3.4:5 *:*\n", `sockets: line 1: Send-Q "x": want a number`},
		{"long line", "nodes/a/host/sysctl", strings.Repeat("x", maxLine+1), "sysctl: line 1: bufio.Scanner: token too long"},
		{"netns.json", "nodes/a/host/netns.json", "{", "unexpected end of JSON input"},
		{"node.json", "nodes/a/node.json", "[]", "json: cannot unmarshal array into Go value of type snapshot.nodeFile"},
		{"empty error", "nodes/a/host/ipset.error", "", "collecting it failed"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := Files{"nodes/a/host/netns.json": []byte("{}"), tt.file: []byte(tt.content)}
			g, _ := mustRead(t, f).GapAt(strings.TrimSuffix(tt.file, ".error"))
			if g.Why != tt.want {
				t.Errorf("gap: %q\nwant %q", g.Why, tt.want)
			}
		})
	}
}

func TestReadKeepsTheRest(t *testing.T) {
	c := mustRead(t, tree(`
-- nodes/a/host/addr.json --
[{"ifindex":1,"ifname":"lo","mtu":"x"},{},{"ifindex":2,"ifname":"eth0","mtu":1500}]
-- nodes/a/host/sysctl --
hello
net.ipv4.ip_forward = 1
`))
	h := c.Nodes[0].Host()
	if len(h.Links) != 2 || h.Links[1].MTU != 1500 || h.Link("eth0") == nil || h.Link("eth1") != nil {
		t.Errorf("links: %+v", h.Links)
	}
	if h.Sysctl["net.ipv4.ip_forward"] != "1" {
		t.Errorf("sysctl: %v", h.Sysctl)
	}
}

func TestReadRoot(t *testing.T) {
	for _, tt := range []struct {
		name string
		in   fstest.MapFS
		ok   bool
	}{
		{"at the top", fstest.MapFS{"nodes/a/host/stat": {}}, true},
		{"in a folder", fstest.MapFS{"bundle/nodes/a/host/stat": {}}, true},
		{"objects only", fstest.MapFS{"objects/pods.json": {}}, true},
		{"two folders", fstest.MapFS{"x/nodes/a/host/stat": {}, "y/f": {}}, false},
		{"something else", fstest.MapFS{"hello": {}}, false},
		{"nothing", fstest.MapFS{}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := Read(tt.in); (err == nil) != tt.ok {
				t.Errorf("error %v, want none: %v", err, tt.ok)
			}
		})
	}
}

func TestIPVS(t *testing.T) {
	const head = "IP Virtual Server version 1.2.1 (size=4096)\nProt LocalAddress:Port Scheduler Flags\n  -> RemoteAddress:Port Forward Weight ActiveConn InActConn\n"
	for _, tt := range []struct {
		name, in string
		want     string // each service, and its real servers with their weight
		opaque   int
		err      string
	}{
		{"the kernel's, no services", head, "", 0, ""},
		{"the kernel's", head + "TCP  0A600001:01BB rr  \n  -> AC120002:192B      Masq    1      0          0         \n", "tcp 10.96.0.1:443 > 172.18.0.2:6443*1", 2, ""},
		{"the kernel's, IPv6", head + "UDP  [fd00:0010:0096:0000:0000:0000:0000:000a]:0035 rr  \n  -> [fd00:0000:0000:0000:0000:0000:0000:0002]:0035      Masq    0      0          0         \n", "udp [fd00:10:96::a]:53 > [fd00::2]:53*0", 2, ""},
		{"ipvsadm-save", "-A -t [fd00::1]:443 -s rr\n-a -t [fd00::1]:443 -r [fd00::2]:6443 -m -w 1\n-A -u 10.96.0.10:53 -s rr -p 10800\n", "tcp [fd00::1]:443 > [fd00::2]:6443*1, udp 10.96.0.10:53", 4, ""},
		{"by mark", "-A -f 1 -s rr\n-a -f 1 -r 10.244.0.2:80 -m -w 3\n", "0 invalid AddrPort > 10.244.0.2:80*3", 4, ""},
		{"the kernel's, by mark", "FWM  00000001 rr \n", "0 invalid AddrPort", 4, ""},
		{"a real server of nothing", "  -> AC120002:192B      Masq    1      0          0\n-a -t 10.96.0.1:443 -r 10.0.0.1:80\n", "", 0, ""},
		{"no address", "-A -t 10.96.0:53 -s rr\n", "tcp invalid AddrPort", 2, "ipvs: line 1"},
		{"no address in hexadecimal", "TCP  0A6000zz:0035 rr\n", "tcp invalid AddrPort", 2, `"0A6000zz" is no address`},
		{"no port in hexadecimal", "TCP  0A600001:1FFFF rr\n", "tcp invalid AddrPort", 2, "is no port"},
		{"no port", "TCP  0A600001 rr\n", "tcp invalid AddrPort", 2, "no address and port"},
		{"a real server that is not read", "-A -t 10.96.0.1:443 -s rr\n-a -t 10.96.0.1:443 -r x -m\n", "tcp 10.96.0.1:443", 2, "ipvs: line 2"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			all, err := parseIPVS(strings.NewReader(tt.in))
			var got []string
			for _, v := range all {
				s := fmt.Sprintf("%s %s", v.Proto, v.At)
				for i, r := range v.To {
					s += fmt.Sprintf("%s%s*%d", []string{" > ", " "}[min(i, 1)], r.At, r.Weight)
				}
				got = append(got, s)
			}
			if d := cmp.Diff(tt.want, strings.Join(got, ", ")); d != "" || len(opaqueIPVS(all)) != tt.opaque {
				t.Errorf("%d opaque, want %d (-want +got):\n%s", len(opaqueIPVS(all)), tt.opaque, d)
			}
			if (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
				t.Errorf("error %v, want %q", err, tt.err)
			}
		})
	}
}

func TestFilesIsAnFS(t *testing.T) {
	if err := fstest.TestFS(tree(small), "nodes/a/host/addr.json", "nodes/a/web/netns.json"); err != nil {
		t.Error(err)
	}
	if err := fstest.TestFS(tree(small).indexed(), "nodes/a/host/addr.json", "nodes/a/web/netns.json"); err != nil {
		t.Error(err)
	}
}
