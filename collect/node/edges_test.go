//go:build linux

package node

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/plumbnet/plumb/fib"
	"github.com/plumbnet/plumb/kernel/netlink"
	"github.com/plumbnet/plumb/lab/sandbox"
	"github.com/plumbnet/plumb/packet"
	"github.com/plumbnet/plumb/snapshot"
	"golang.org/x/sys/unix"
)

// headers are how much of each kind of message is no attribute.
var headers = map[string]int{
	"link": unix.SizeofIfInfomsg, "addr": unix.SizeofIfAddrmsg, "route": unix.SizeofRtMsg, "rule": unix.SizeofRtMsg,
	"nexthop": 8, "neigh": sizeofNdMsg, "fdb": sizeofNdMsg, "socket": sizeofDiagMsg,
}

// TestCutShort cuts each recorded message at each length. Within the header it is refused; behind it, whatever
// attribute the cut goes through is passed over, so that it reads as the message without it.
func TestCutShort(t *testing.T) {
	recorded(t, func(kind string, b []byte) {
		head := headers[kind]
		for n := range head {
			if got := decoders[kind](b[:n]); !strings.HasPrefix(got, "false ") {
				t.Fatalf("%s of %d bytes: %s", kind, n, got)
			}
		}
		whole, before := head, head // where the last whole attribute ends, and the one before it
		for range netlink.Attrs(b[head:]) {
			before = whole
			whole += (int(native.Uint16(b[whole:])) + 3) &^ 3
		}
		for n := before; n < min(whole, len(b)); n++ {
			if n > before && int(native.Uint16(b[before:])) <= n-before {
				break // only padding is cut
			}
			if want, got := decoders[kind](b[:before]), decoders[kind](b[:n]); got != want {
				t.Fatalf("%s of %d bytes:\n%s\nof %d:\n%s", kind, n, got, before, want)
			}
		}
	})
}

// TestOtherFamilies gives each decoder a message of a family that is not its own.
func TestOtherFamilies(t *testing.T) {
	const mpls = 28
	for kind, families := range map[string][]byte{
		"addr":   {mpls, unix.AF_BRIDGE, 0},
		"route":  {mpls, unix.AF_BRIDGE, 0, 128, 129}, // 128: multicast routes
		"rule":   {mpls, 0, 128},
		"neigh":  {unix.AF_BRIDGE, mpls, 0},
		"fdb":    {unix.AF_INET, unix.AF_INET6, 0},
		"socket": {unix.AF_UNIX, 0, unix.AF_VSOCK},
	} {
		recorded(t, func(k string, b []byte) {
			for _, family := range families {
				if k != kind {
					continue
				}
				if got := decoders[kind](append([]byte{family}, b[1:]...)); !strings.HasPrefix(got, "false ") {
					t.Errorf("%s of family %d: %s", kind, family, got)
				}
			}
		})
	}
}

func TestAttrs(t *testing.T) {
	good := netlink.Attr(nil, 5, []byte{1})
	for _, tt := range []struct {
		name string
		in   []byte
		want string
	}{
		{"none", nil, ""},
		{"one", good, "5:01 "},
		{"the last without padding", good[:5], "5:01 "},
		{"nested, and big endian", netlink.Attr(nil, 0x8000|0x4000|5, nil), "5: "},
		{"empty", netlink.Attr(netlink.Attr(nil, 1, nil), 2, nil), "1: 2: "},
		{"shorter than its header", slices.Concat(good, []byte{3, 0, 9, 0}), "5:01 "},
		{"of no length", slices.Concat(good, make([]byte, 8)), "5:01 "},
		{"longer than there is", slices.Concat(good, []byte{9, 0, 9, 0, 1, 2, 3, 4}), "5:01 "},
		{"half a header", slices.Concat(good, []byte{8, 0, 9}), "5:01 "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := ""
			for typ, v := range netlink.Attrs(tt.in) {
				got += fmt.Sprintf("%d:%x ", typ, v)
			}
			if got != tt.want {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
}

func TestDecodeHops(t *testing.T) {
	hop := func(size uint16, flags, weight byte, dev uint32, attributes ...byte) []byte {
		return slices.Concat(n16(size), []byte{flags, weight}, n32(dev), attributes)
	}
	via := netlink.Attr(nil, unix.RTA_GATEWAY, []byte{10, 0, 0, 1})
	one := fib.NextHop{Dev: "eth0", Via: netip.MustParseAddr("10.0.0.1"), Weight: 1}
	for _, tt := range []struct {
		name string
		in   []byte
		want []fib.NextHop
	}{
		{"none", nil, nil},
		{"one", hop(16, 0, 0, 1, via...), []fib.NextHop{one}},
		{"two, one dead, of the greatest weight", slices.Concat(hop(16, 0, 0, 1, via...), hop(8, rtnhDead|rtnhLinkdown, 255, 9)),
			[]fib.NextHop{one, {Dev: "if9", Weight: 256, Flags: []string{"dead", "linkdown"}}}},
		{"longer than there is", slices.Concat(hop(16, 0, 0, 1, via...), hop(40, 0, 0, 1)), []fib.NextHop{one}},
		{"shorter than its header", slices.Concat(hop(16, 0, 0, 1, via...), hop(4, 0, 0, 1)), []fib.NextHop{one}},
		{"an address of no family", hop(15, 0, 0, 1, netlink.Attr(nil, unix.RTA_GATEWAY, []byte{10, 0, 0})...), []fib.NextHop{{Dev: "eth0", Weight: 1}}},
		{"via of another family", hop(8+4+18, 0, 0, 1, netlink.Attr(nil, unix.RTA_VIA, append(n16(unix.AF_INET6), netip.MustParseAddr("fe80::1").AsSlice()...))...),
			[]fib.NextHop{{Dev: "eth0", Weight: 1, Via: netip.MustParseAddr("fe80::1")}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if d := cmp.Diff(tt.want, decodeHops(tt.in, names{1: "eth0"}), cmpopts.EquateComparable(netip.Addr{})); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

// TestDecodeRule has the selectors that richNode's rules do not.
func TestDecodeRule(t *testing.T) {
	header := func(action, table byte) []byte {
		return append([]byte{unix.AF_INET, 0, 8, 0, table, 0, 0, action}, n32(0)...)
	}
	base := fib.Rule{Table: 254, SuppressPrefixLen: -1, SuppressGroup: -1}
	with := func(f func(*fib.Rule)) fib.Rule { r := base; f(&r); return r }
	for _, tt := range []struct {
		name string
		in   []byte
		want fib.Rule
	}{
		{"plain", header(1, 254), base},
		{"nothing to do", header(3, 254), with(func(r *fib.Rule) { r.Action = "nop" })},
		{"an action of the future", header(77, 254), with(func(r *fib.Rule) { r.Unknown = "action 77" })},
		{"a big table", message(header(1, 252), unix.FRA_TABLE, n32(70000)), with(func(r *fib.Rule) { r.Table = 70000 })},
		{"a mark without its mask", message(header(1, 254), unix.FRA_FWMARK, n32(5)), with(func(r *fib.Rule) { r.Mark = 5 })},
		{"from", message(header(1, 254), unix.FRA_SRC, []byte{10, 0, 0, 0}), with(func(r *fib.Rule) { r.Src = netip.MustParsePrefix("10.0.0.0/8") })},
		{"of a VRF", message(header(1, 0), fraL3MDev, []byte{1}), with(func(r *fib.Rule) { r.Table, r.L3MDev = 0, true })},
		{"a group of devices", message(header(1, 254), unix.FRA_SUPPRESS_IFGROUP, n32(3)), with(func(r *fib.Rule) { r.SuppressGroup = 3 })},
		{"a protocol and half a range", message(header(1, 254), unix.FRA_IP_PROTO, []byte{17}, unix.FRA_DPORT_RANGE, n16(80)), with(func(r *fib.Rule) { r.Proto = packet.UDP })},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, ok := decodeRule(tt.in)
			if d := cmp.Diff(tt.want, got, cmpopts.EquateComparable(netip.Prefix{})); d != "" || !ok {
				t.Errorf("%v (-want +got):\n%s", ok, d)
			}
		})
	}
}

// TestVLANRanges has ranges that lack an end.
func TestVLANRanges(t *testing.T) {
	vlan := func(flags, vid uint16) []byte { return append(n16(flags), n16(vid)...) }
	for _, tt := range []struct {
		name string
		in   []byte
		want []snapshot.BridgeVLAN
	}{
		{"a beginning only", message(nil, bridgeVLANInfo, vlan(vlanRangeBegin, 10)), nil},
		{"an end only", message(nil, bridgeVLANInfo, vlan(vlanRangeEnd, 10)), []snapshot.BridgeVLAN{{VID: 10, VIDEnd: 10}}},
		{"too short", message(nil, bridgeVLANInfo, n16(0)), nil},
		{"another attribute", message(nil, 77, vlan(0, 1)), nil},
	} {
		if d := cmp.Diff(tt.want, vlanInfos(tt.in)); d != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, d)
		}
	}
}

// TestSocketLine writes sockets as ss does, for the snapshot's reader.
func TestSocketLine(t *testing.T) {
	at := netip.MustParseAddrPort
	held := users{7: {"nginx", 12, "3"}}
	for _, tt := range []struct {
		name string
		in   diagSocket
		want string
	}{
		{"listens", diagSocket{proto: "tcp", family: unix.AF_INET, state: tcpListen, local: at("127.0.0.1:80"), backlog: 128, inode: 7},
			`tcp LISTEN 0 128 127.0.0.1:80 0.0.0.0:* users:(("nginx",pid=12,fd=3)) ino:7`},
		{"both families", diagSocket{proto: "tcp", family: unix.AF_INET6, state: tcpListen, local: at("[::]:81"), inode: 8}, `tcp LISTEN 0 0 *:81 *:* ino:8 v6only:0`},
		{"IPv6 only", diagSocket{proto: "tcp", family: unix.AF_INET6, state: tcpListen, local: at("[::]:82"), inode: 8, v6only: true}, `tcp LISTEN 0 0 [::]:82 [::]:* ino:8 v6only:1`},
		{"on a device", diagSocket{proto: "udp", family: unix.AF_INET, state: tcpClose, local: at("0.0.0.0:53"), dev: "eth0", queue: 5}, `udp UNCONN 5 0 0.0.0.0%eth0:53 0.0.0.0:* ino:0`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			line := held.line(tt.in)
			if line != tt.want+"\n" {
				t.Errorf("%s, want %s", line, tt.want)
			}
			list, err := snapshot.ParseSockets(strings.NewReader(line))
			if err != nil || len(list) != 1 || list[0].Local.Port() != tt.in.local.Port() || list[0].V6Only != tt.in.v6only || list[0].Dev != tt.in.dev {
				t.Errorf("read as %+v, %v", list, err)
			}
		})
	}
}

// TestNFTTables tells the tables of iptables from others, which only nft can print.
func TestNFTTables(t *testing.T) {
	for _, tt := range []struct {
		table nftTable
		text  string
		of    bool
	}{
		{nftTable{2, "filter"}, "ip filter", true}, {nftTable{10, "nat"}, "ip6 nat", true}, {nftTable{2, "security"}, "ip security", true},
		{nftTable{2, "kube-proxy"}, "ip kube-proxy", false}, {nftTable{1, "filter"}, "inet filter", false}, {nftTable{7, "nat"}, "bridge nat", false},
		{nftTable{3, "filter"}, "arp filter", false}, {nftTable{2, "FILTER"}, "ip FILTER", false},
	} {
		if tt.table.String() != tt.text || tt.table.ofIPTables() != tt.of {
			t.Errorf("%s: of iptables %v", tt.table, tt.table.ofIPTables())
		}
	}
	if got := tableList([]nftTable{{2, "filter"}, {1, "x"}, {7, "y"}}); got != "inet x, bridge y" {
		t.Errorf("%q", got)
	}
}

// TestSettingsOfTheScript wants the script to read the settings that Collect reads, also those that this kernel lacks.
func TestSettingsOfTheScript(t *testing.T) {
	for name, list := range map[string][]string{"sysctls": sysctls, "dev_sysctls4": devSysctls4, "dev_sysctls6": devSysctls6} {
		_, text, _ := strings.Cut(Script, "\n"+name+`="`)
		text, _, _ = strings.Cut(text, `"`)
		if d := cmp.Diff(list, strings.Fields(text)); d != "" {
			t.Errorf("%s (-sysctl.go +collect.sh):\n%s", name, d)
		}
	}
}

// TestProcesses has a /proc that is made by hand: of each namespace the first two processes are kept.
func TestProcesses(t *testing.T) {
	proc := t.TempDir()
	for pid, link := range map[string]string{"1": "net:[5]", "9": "net:[6]", "10": "net:[5]", "11": "net:[5]", "12": "mnt:[7]", "x": "net:[8]", "13": ""} {
		must(t, os.MkdirAll(filepath.Join(proc, pid, "ns"), 0o755))
		if link != "" {
			must(t, os.Symlink(link, filepath.Join(proc, pid, "ns/net")))
		}
	}
	f := finder{o: Options{Proc: proc}}
	got := f.processes()
	want := []found{{5, proc + "/1/ns/net"}, {6, proc + "/9/ns/net"}, {5, proc + "/10/ns/net"}}
	if d := cmp.Diff(want, got, cmp.AllowUnexported(found{})); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if !slices.Equal(f.pids, []int{1, 9, 10, 11, 12, 13}) || len(f.gaps) != 0 {
		t.Errorf("processes %v, gaps %v", f.pids, f.gaps)
	}
}

// TestTooManyNamespaces wants the bound to be said, once.
func TestTooManyNamespaces(t *testing.T) {
	sandbox.Need(t)
	ns := newNS(t, "one-too-many")
	inode, err := inodeOf(ns.Path)
	must(t, err)
	f := finder{at: map[uint64]int{}}
	f.list = make([]space, maxNetNS)
	f.add(inode, ns.Path, "a", "")
	f.add(inode, ns.Path, "b", "")
	if len(f.list) != maxNetNS || len(f.gaps) != 1 || !strings.Contains(f.gaps[0].Why, "more than 4096 network namespaces") {
		t.Errorf("%d namespaces, gaps %v", len(f.list), f.gaps)
	}
}
