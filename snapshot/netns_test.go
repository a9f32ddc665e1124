package snapshot

import (
	"errors"
	"io"
	"net/netip"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/plumbnet/plumb/fib"
	"github.com/plumbnet/plumb/netfilter"
)

func TestParseSysctl(t *testing.T) {
	type m = map[string]string
	for _, tt := range []struct {
		name, in string
		want     m
		err      string
	}{
		{"nothing", "", m{}, ""},
		{"as sysctl prints it", "net.ipv4.ip_forward = 1\nnet.ipv4.tcp_rmem = 4096\t131072\t6291456\n", m{"net.ipv4.ip_forward": "1", "net.ipv4.tcp_rmem": "4096 131072 6291456"}, ""},
		{"a device with a dot", "net.ipv4.conf.eth0/100.rp_filter = 2\n", m{"net.ipv4.conf.eth0/100.rp_filter": "2"}, ""},
		{"a device with an equals sign is cut at the first", "net.ipv4.conf.a=b.rp_filter = 2\n", m{"net.ipv4.conf.a": "b.rp_filter = 2"}, ""},
		{"without spaces, as in sysctl.conf", "net.ipv4.ip_forward=1\n", m{"net.ipv4.ip_forward": "1"}, ""},
		{"an empty value", "net.ipv4.tcp_available_ulp = \n", m{"net.ipv4.tcp_available_ulp": ""}, ""},
		{"DOS line ends and no last one", "a = 1\r\nb = 2", m{"a": "1", "b": "2"}, ""},
		{"twice: the last one holds", "a = 1\na = 2\n", m{"a": "2"}, ""},
		{"what sysctl says of others", "sysctl: reading key \"net.ipv6.conf.all.stable_secret\"\na = 1\n", m{"a": "1"}, ""},
		{"no name", "= 1\na = 1\n", m{"a": "1"}, `sysctl: line 1: want NAME = VALUE, have "= 1"`},
		{"two bad lines: the first is named", "x\ny\n", m{}, `sysctl: line 1: want NAME = VALUE, have "x"`},
		{"a long bad line is cut", strings.Repeat("x", 200), m{}, `sysctl: line 1: want NAME = VALUE, have "` + strings.Repeat("x", 80) + `…"`},
		{"a bad line that is no text", "\xff\xfe", m{}, `sysctl: line 1: want NAME = VALUE, have "?"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ParseSysctl(strings.NewReader(tt.in))
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
			checkErr(t, err, tt.err)
		})
	}
}

func checkErr(t *testing.T, err error, want string) {
	t.Helper()
	if (err == nil) != (want == "") || err != nil && err.Error() != want {
		t.Errorf("error %v, want %q", err, want)
	}
}

func TestParseStat(t *testing.T) {
	type m = map[string]uint64
	for _, tt := range []struct {
		name, in string
		want     m
		err      string
	}{
		{"nothing", "\n\n", m{}, ""},
		{"counters", "conntrack_count 17\nconntrack_drop\t18446744073709551615\n", m{"conntrack_count": 17, "conntrack_drop": 1<<64 - 1}, ""},
		{"too big", "a 18446744073709551616\nb 2\n", m{"b": 2}, `stat: line 1: count "18446744073709551616": want a number`},
		{"less than nothing", "a -1\n", m{}, `stat: line 1: count "-1": want a number`},
		{"three words", "a 1 2\nb 2\n", m{"b": 2}, `stat: line 1: want NAME COUNT, have "a 1 2"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ParseStat(strings.NewReader(tt.in))
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
			checkErr(t, err, tt.err)
		})
	}
}

// TestParseBrokenReader wants what was read before an error, and the error.
func TestParseBrokenReader(t *testing.T) {
	in := func() io.Reader {
		return io.MultiReader(strings.NewReader("a 1\n"), iotest.ErrReader(errors.New("disk on fire")))
	}
	got, err := ParseStat(in())
	checkErr(t, err, "stat: line 2: disk on fire")
	if got["a"] != 1 {
		t.Errorf("stat %v", got)
	}
	_, err = ParseLinks(in())
	if err == nil {
		t.Error("links: no error")
	}
}

func TestNetNSFile(t *testing.T) {
	for _, tt := range []struct {
		name, in string
		want     NetNS
		gap      string
	}{
		{"all of it", string(EncodeNetNS(7, "shop/web-0", "/var/run/netns/cni-4f2a", map[int]uint64{0: 1, 3: 9})), NetNS{Inode: 7, Pod: "shop/web-0", File: "/run/netns/cni-4f2a", PeerNSID: map[int]uint64{0: 1, 3: 9}}, ""},
		{"nothing", string(EncodeNetNS(0, "", "", nil)), NetNS{}, ""},
		{"an id that is no number", `{"inode":7,"nsids":{"x":1}}`, NetNS{Inode: 7}, "json: cannot unmarshal number x into Go struct field netnsFile.nsids of type int"},
		{"an inode that is no number", `{"inode":"7","pod":"a/b"}`, NetNS{Pod: "a/b"}, "json: cannot unmarshal string into Go struct field netnsFile.inode of type uint64"},
		{"a list", `[]`, NetNS{}, "json: cannot unmarshal array into Go value of type snapshot.netnsFile"},
		{"fields of later versions", `{"inode":7,"colour":"red"}`, NetNS{Inode: 7}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := mustRead(t, Files{"nodes/a/x/netns.json": []byte(tt.in)})
			ns := c.Nodes[0].NetNS[0]
			got := NetNS{Inode: ns.Inode, Pod: ns.Pod, File: ns.File, PeerNSID: ns.PeerNSID}
			if d := cmp.Diff(tt.want, got, cmpopts.EquateEmpty(), cmpopts.IgnoreUnexported(netfilter.Ruleset{})); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
			if g, _ := c.GapAt("nodes/a/x/netns.json"); g.Why != tt.gap {
				t.Errorf("gap %q, want %q", g.Why, tt.gap)
			}
		})
	}
}

func TestDevSysctl(t *testing.T) {
	ns := &NetNS{Sysctl: map[string]string{
		"net.ipv4.conf.all.rp_filter": "1", "net.ipv4.conf.eth0/5.rp_filter": "2", "net.ipv4.conf.a/b/c.rp_filter": "3", "net.ipv6.conf.eth0.forwarding": "0",
	}}
	for _, tt := range []struct{ name, family, dev, key, want string }{
		{"all", "ipv4", "all", "rp_filter", "1"},
		{"one dot", "ipv4", "eth0.5", "rp_filter", "2"},
		{"two dots", "ipv4", "a.b.c", "rp_filter", "3"},
		{"off is known", "ipv6", "eth0", "forwarding", "0"},
		{"not that family", "ipv4", "eth0", "forwarding", "-"},
		{"not that device", "ipv4", "eth0", "rp_filter", "-"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, ok := ns.DevSysctl(tt.family, tt.dev, tt.key)
			if !ok {
				got = "-"
			}
			if got != tt.want {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
}

func TestLinkAddrFIB(t *testing.T) {
	ip, pfx := netip.MustParseAddr, netip.MustParsePrefix
	for _, tt := range []struct {
		name string
		in   LinkAddr
		want fib.Addr
	}{
		{"global", LinkAddr{Local: ip("10.0.0.1"), Len: 24, Scope: "global"}, fib.Addr{Dev: "d", Prefix: pfx("10.0.0.1/24")}},
		{"host", LinkAddr{Local: ip("127.0.0.1"), Len: 8, Scope: "host"}, fib.Addr{Dev: "d", Prefix: pfx("127.0.0.1/8"), Scope: "host"}},
		{"link, of IPv6", LinkAddr{Local: ip("fe80::1"), Len: 64, Scope: "link", Tentative: true}, fib.Addr{Dev: "d", Prefix: pfx("fe80::1/64"), Scope: "link", Flags: []string{"tentative"}}},
		{"secondary", LinkAddr{Local: ip("10.0.0.2"), Len: 24, Secondary: true}, fib.Addr{Dev: "d", Prefix: pfx("10.0.0.2/24"), Secondary: true}},
		{"point to point", LinkAddr{Local: ip("10.0.0.1"), Peer: ip("10.0.9.1"), Len: 24}, fib.Addr{Dev: "d", Prefix: pfx("10.0.0.1/32"), Peer: pfx("10.0.9.1/24")}},
		{"point to point with itself", LinkAddr{Local: ip("10.0.0.1"), Peer: ip("10.0.0.1"), Len: 24}, fib.Addr{Dev: "d", Prefix: pfx("10.0.0.1/24")}},
		{"point to point, of IPv6", LinkAddr{Local: ip("fd00::1"), Peer: ip("fd00::2"), Len: 128}, fib.Addr{Dev: "d", Prefix: pfx("fd00::1/128"), Peer: pfx("fd00::2/128")}},
		{"all flags", LinkAddr{Local: ip("fd00::1"), Len: 64, Temporary: true, Deprecated: true, DADFailed: true, NoDAD: true, Dynamic: true},
			fib.Addr{Dev: "d", Prefix: pfx("fd00::1/64"), Flags: []string{"temporary", "deprecated", "dadfailed", "nodad", "dynamic"}}},
		{"a length that cannot be", LinkAddr{Local: ip("10.0.0.1"), Len: 33}, fib.Addr{Dev: "d", Prefix: netip.PrefixFrom(ip("10.0.0.1"), 33)}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := tt.in.fib("d")
			if d := cmp.Diff(tt.want, got, cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

// TestNetfilterFiles wants each file's rules in the family and back end that its name says.
func TestNetfilterFiles(t *testing.T) {
	const save = "*filter\n:INPUT DROP [0:0]\n-A INPUT -j ACCEPT\nCOMMIT\n"
	c := mustRead(t, Files{
		"nodes/a/host/iptables": []byte(save), "nodes/a/host/ip6tables": []byte(save), "nodes/a/host/iptables-legacy": []byte(save),
		"nodes/a/host/ip6tables-legacy": {}, "nodes/a/host/ipset": []byte("create s hash:ip family inet\nadd s 10.0.0.1\n"),
		"nodes/a/host/ipvs": []byte("-A -t [fd00::1]:443 -s rr\n"),
	})
	rs := c.Nodes[0].Host().Netfilter
	var got []string
	for _, tab := range rs.Tables {
		got = append(got, strings.TrimPrefix(tab.File, "nodes/a/host/")+map[netfilter.Backend]string{netfilter.NFT: " nft", netfilter.Legacy: " legacy"}[tab.Backend]+map[bool]string{false: " v4", true: " v6"}[tab.Is6])
	}
	if d := cmp.Diff([]string{"iptables nft v4", "ip6tables nft v6", "iptables-legacy legacy v4"}, got); d != "" {
		t.Errorf("tables (-want +got):\n%s", d)
	}
	if len(rs.Sets) != 1 || len(rs.Opaque) != 2 || !rs.Opaque[0].Is6 || rs.Opaque[0].What != "IPVS: 1 virtual services: not understood yet" {
		t.Errorf("sets %v, opaque %+v", rs.Sets, rs.Opaque)
	}
	if d := cmp.Diff([]Gap{{"nodes/a/host/nft.json", notCollected}}, gapsAt(c, "iptables", "ip6tables", "ip6tables-legacy", "ipset", "ipvs", "nft.json")); d != "" {
		t.Errorf("gaps (-want +got):\n%s", d)
	}
}

func gapsAt(c *Cluster, files ...string) (out []Gap) {
	for _, f := range files {
		if g, ok := c.GapAt("nodes/a/host/" + f); ok {
			out = append(out, g)
		}
	}
	return out
}

// TestProblemsAreFew wants a file that is all wrong to make a few gaps, each with its line.
func TestProblemsAreFew(t *testing.T) {
	c := mustRead(t, Files{"nodes/a/host/ipset": []byte(strings.Repeat("hello\n", 100))})
	var got []Gap
	for _, g := range c.Gaps {
		if g.Path == "nodes/a/host/ipset" {
			got = append(got, g)
		}
	}
	if len(got) != 21 || got[0].Why != "and 80 more problems" || !strings.HasPrefix(got[1].Why, "line 1") {
		t.Errorf("%d gaps: %q", len(got), got)
	}
}

func TestEnter(t *testing.T) {
	for _, tt := range []struct{ name, file, stays, want string }{
		{"host", "/run/netns/x", "/run/netns/x", ""},
		{"pod-shop-web-0", "/var/run/netns/cni-4f2a", "/run/netns/cni-4f2a", "nsenter --net=/run/netns/cni-4f2a "},
		{"pod-shop-web-0", "/run/docker/netns/0a1b", "/run/docker/netns/0a1b", "nsenter --net=/run/docker/netns/0a1b "},
		{"pod-shop-web-0", "", "", "ip netns exec pod-shop-web-0 "},
		{"pod-shop-web-0", "/proc/17/ns/net", "", "ip netns exec pod-shop-web-0 "}, // another process's by now
		{"pod-shop-web-0", "/run/netns/$(reboot)", "", "ip netns exec pod-shop-web-0 "},
		{"pod-shop-web-0", "/run/netns/a b", "", "ip netns exec pod-shop-web-0 "},
		{"pod-shop-web-0", "/run/../etc/passwd", "", "ip netns exec pod-shop-web-0 "},
	} {
		ns := NetNS{Name: tt.name, File: NetNSPath(tt.file)}
		if ns.File != tt.stays || ns.Enter() != tt.want {
			t.Errorf("%s: %q, %q", tt.file, ns.File, ns.Enter())
		}
	}
}
