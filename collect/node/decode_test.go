//go:build linux

package node

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/plumbnet/plumb/fib"
	"github.com/plumbnet/plumb/kernel/netlink"
	"github.com/plumbnet/plumb/snapshot"
	"golang.org/x/sys/unix"
)

// message puts attributes after a header: a number, and a value.
func message(header []byte, attributes ...any) []byte {
	for i := 0; i+1 < len(attributes); i += 2 {
		typ, ok := attributes[i].(uint16)
		if !ok {
			typ = uint16(attributes[i].(int))
		}
		header = netlink.Attr(header, typ, attributes[i+1].([]byte))
	}
	return header
}

func n32(n uint32) []byte { return native.AppendUint32(nil, n) }
func n16(n uint16) []byte { return native.AppendUint16(nil, n) }

// TestDecodeLinkData has the kinds of device that this machine's kernel may lack.
func TestDecodeLinkData(t *testing.T) {
	remote := []byte{10, 0, 0, 2}
	for _, tt := range []struct {
		kind string
		data []byte
		want snapshot.LinkData
	}{
		{"ipip", message(nil, iptun.link, n32(7), iptun.local, []byte{10, 0, 0, 1}, iptun.remote, []byte{0, 0, 0, 0}, iptun.ttl, []byte{64}, iptun.pmtuDisc, []byte{1}),
			snapshot.LinkData{Link: "eth0", Local: "10.0.0.1", Remote: "any", TTL: 64, PMTUDisc: true}},
		{"gre", message(nil, greIFlags, []byte{0x20, 0}, greOFlags, []byte{0, 0}, greIKey, []byte{0, 0, 0, 5}, greOKey, []byte{0, 0, 0, 6}, gre.remote, remote, gre.external, []byte{}),
			snapshot.LinkData{IKey: "0.0.0.5", Remote: "10.0.0.2", External: true}},
		{"vlan", message(nil, unix.IFLA_VLAN_ID, n16(5), unix.IFLA_VLAN_PROTOCOL, []byte{0x81, 0}), snapshot.LinkData{ID: 5, Protocol: "802.1Q"}},
		{"ipvlan", message(nil, unix.IFLA_IPVLAN_MODE, n16(1)), snapshot.LinkData{Mode: "l3"}},
		{"bond", message(nil, unix.IFLA_BOND_MODE, []byte{1}, unix.IFLA_BOND_ACTIVE_SLAVE, n32(7)), snapshot.LinkData{Mode: "active-backup", ActiveSlave: "eth0"}},
		{"vrf", message(nil, unix.IFLA_VRF_TABLE, n32(100)), snapshot.LinkData{Table: 100}},
		{"geneve", message(nil, unix.IFLA_GENEVE_ID, n32(3), unix.IFLA_GENEVE_REMOTE, remote, unix.IFLA_GENEVE_PORT, []byte{0x17, 0xc1}), snapshot.LinkData{ID: 3, Remote: "10.0.0.2", Port: 6081}},
		{"something", message(nil, 1, n32(3)), snapshot.LinkData{}},
	} {
		t.Run(tt.kind, func(t *testing.T) {
			info := message(nil, unix.IFLA_INFO_KIND, []byte(tt.kind+"\x00"), unix.IFLA_INFO_DATA, tt.data)
			l, ok := decodeLink(message(make([]byte, unix.SizeofIfInfomsg), unix.IFLA_IFNAME, []byte("x\x00"), unix.IFLA_LINKINFO, info))
			if !ok {
				t.Fatal("not a link")
			}
			got := l.named(names{7: "eth0"}, nil)
			if d := cmp.Diff(tt.want, got.Info.Data, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

func TestDecodeVLANs(t *testing.T) {
	vlan := func(flags, vid uint16) []byte { return append(n16(flags), n16(vid)...) }
	spec := message(nil, bridgeVLANInfo, vlan(vlanPVID|vlanUntagged, 1), bridgeVLANInfo, vlan(vlanRangeBegin, 10), bridgeVLANInfo, vlan(vlanRangeEnd, 20))
	got := decodeVLANs(message(make([]byte, unix.SizeofIfInfomsg), unix.IFLA_IFNAME, []byte("br0\x00"), unix.IFLA_AF_SPEC, spec))
	want := []snapshot.BridgeVLAN{{Dev: "br0", VID: 1, VIDEnd: 1, PVID: true, Untagged: true}, {Dev: "br0", VID: 10, VIDEnd: 20}}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

// TestRuleNotUnderstood wants a selector that is not known to survive the file.
func TestRuleNotUnderstood(t *testing.T) {
	header := make([]byte, unix.SizeofRtMsg)
	header[0], header[7] = unix.AF_INET, 1
	r, ok := decodeRule(message(header, unix.FRA_TUN_ID, []byte{0, 0, 0, 0, 0, 0, 0, 5}, 99, []byte{1}))
	if !ok || r.Unknown != "tun_id 5 attribute 99" {
		t.Fatalf("%+v", r)
	}
	text, err := formatRules([]fib.Rule{r, r})
	must(t, err)
	c, err := snapshot.Read(snapshot.Files{"nodes/a/host/rules.json": text})
	must(t, err)
	for _, r := range c.Nodes[0].Host().FIB.Rules {
		if r.Unknown != "tun_id 5 attribute 99" {
			t.Errorf("from the file: %+v\n%s", r, text)
		}
	}
}

// FuzzDecode gives all decoders messages that the kernel would not send.
func FuzzDecode(f *testing.F) {
	f.Add(message(make([]byte, unix.SizeofIfInfomsg), unix.IFLA_IFNAME, []byte("x\x00"), unix.IFLA_LINKINFO, message(nil, unix.IFLA_INFO_KIND, []byte("vxlan"), unix.IFLA_INFO_DATA, n32(0))))
	f.Add(append([]byte{unix.AF_INET, 24, 0, 0, 254, 3, 0, 1, 0, 0, 0, 0}, message(nil, unix.RTA_DST, []byte{10, 0, 0, 0}, unix.RTA_MULTIPATH, []byte{8, 0, 0, 0, 1, 0, 0, 0})...))
	f.Add(append([]byte{unix.AF_BRIDGE, 0, 0, 0, 1, 0, 0, 0, 0x80, 0, 2, 0}, message(nil, unix.NDA_LLADDR, []byte{1, 2, 3, 4, 5, 6}, unix.NDA_DST, []byte{1})...))
	f.Add(make([]byte, sizeofDiagMsg))
	recorded(f, func(_ string, b []byte) { f.Add(b) })
	f.Fuzz(func(t *testing.T, b []byte) {
		n := names{1: "eth0"}
		if l, ok := decodeLink(b); ok {
			l.named(n, nil)
		}
		decodeAddr(b)
		decodeRoute(b, n)
		decodeRule(b)
		decodeNextHop(b, n)
		decodeNeigh(b, n)
		decodeFDB(b, n)
		decodeVLANs(b)
		decodeSocket(b, n)
	})
}

// TestTunnelMembers has the attributes that a tunnel or a port may have and richNode's do not.
func TestTunnelMembers(t *testing.T) {
	v6 := netip.MustParseAddr("fd00::7").AsSlice()
	zero4, zero6, yes := []byte{0, 0, 0, 0}, make([]byte, 16), []byte{1}
	for _, tt := range []struct {
		name, kind string
		data       []byte
		want       snapshot.LinkData
	}{
		{"vxlan of nobody", "vxlan", message(nil, unix.IFLA_VXLAN_ID, n32(4), unix.IFLA_VXLAN_GROUP, zero4, unix.IFLA_VXLAN_LOCAL, zero4, unix.IFLA_VXLAN_LOCAL6, zero6, unix.IFLA_VXLAN_GROUP6, zero6), snapshot.LinkData{ID: 4}},
		{"vxlan to a group of IPv6", "vxlan", message(nil, unix.IFLA_VXLAN_GROUP6, netip.MustParseAddr("ff02::5").AsSlice(), unix.IFLA_VXLAN_LINK, n32(7), unix.IFLA_VXLAN_TTL, []byte{9}, unix.IFLA_VXLAN_LEARNING, yes),
			snapshot.LinkData{Group6: netip.MustParseAddr("ff02::5"), Link: "eth0", TTL: 9, Learning: true}},
		{"geneve by metadata", "geneve", message(nil, unix.IFLA_GENEVE_COLLECT_METADATA, []byte{}, unix.IFLA_GENEVE_REMOTE6, v6, unix.IFLA_GENEVE_TTL, []byte{8}), snapshot.LinkData{External: true, Remote6: netip.MustParseAddr("fd00::7"), TTL: 8}},
		{"bridge", "bridge", message(nil, unix.IFLA_BR_STP_STATE, n32(1), unix.IFLA_BR_VLAN_FILTERING, yes, unix.IFLA_BR_NF_CALL_IPTABLES, yes, unix.IFLA_BR_NF_CALL_IP6TABLES, yes, unix.IFLA_BR_NF_CALL_ARPTABLES, yes, unix.IFLA_BR_VLAN_DEFAULT_PVID, n16(5)),
			snapshot.LinkData{STPState: 1, VLANFiltering: 1, NFCallIPTables: 1, NFCallIP6Tables: 1, NFCallARPTables: 1, VLANDefaultPVID: 5}},
		{"ip6tnl", "ip6tnl", message(nil, iptun.local, v6, iptun.external, []byte{}), snapshot.LinkData{Local: "fd00::7", External: true}},
		{"gre with no key", "gretap", message(nil, greIFlags, []byte{0, 0}, greIKey, []byte{0, 0, 0, 5}, gre.local, zero4, gre.ttl, []byte{3}, gre.pmtuDisc, yes, gre.link, n32(7)), snapshot.LinkData{Local: "any", TTL: 3, PMTUDisc: true, Link: "eth0"}},
		{"gre with a short key", "gre", message(nil, greOFlags, []byte{0x20, 0}, greOKey, []byte{5}), snapshot.LinkData{}},
		{"a bond of no known mode", "bond", message(nil, unix.IFLA_BOND_MODE, []byte{77}), snapshot.LinkData{Mode: "77"}},
		{"macvlan passthru", "macvtap", message(nil, unix.IFLA_MACVLAN_MODE, n32(8)), snapshot.LinkData{Mode: "passthru"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			info := message(nil, unix.IFLA_INFO_KIND, []byte(tt.kind+"\x00"), unix.IFLA_INFO_DATA, tt.data)
			l, _ := decodeLink(message(make([]byte, unix.SizeofIfInfomsg), unix.IFLA_IFNAME, []byte("x\x00"), unix.IFLA_LINKINFO, info))
			if d := cmp.Diff(tt.want, l.named(names{7: "eth0"}, nil).Info.Data, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

// TestNamed gives names to what other messages say, and flags as ip prints them.
func TestNamed(t *testing.T) {
	nsid := 3
	all := names{7: "eth0"}
	for _, tt := range []struct {
		name string
		in   rawLink
		down bool
		want snapshot.Link
	}{
		{"a peer in another namespace", rawLink{Link: snapshot.Link{PeerNSID: &nsid}, lower: 7}, false, snapshot.Link{PeerNSID: &nsid, PeerIndex: 7, Flags: []string{}}},
		{"a device below that is down", rawLink{lower: 7}, true, snapshot.Link{PeerName: "eth0", Flags: []string{"M-DOWN"}}},
		{"a device below that is up", rawLink{lower: 7}, false, snapshot.Link{PeerName: "eth0", Flags: []string{}}},
		{"a port of a device that is not there", rawLink{master: 9}, false, snapshot.Link{Master: "if9", Flags: []string{}}},
		{"up without a carrier", rawLink{flags: unix.IFF_UP}, false, snapshot.Link{Flags: []string{"NO-CARRIER", "UP"}}},
		{"up", rawLink{flags: unix.IFF_UP | unix.IFF_RUNNING | unix.IFF_LOWER_UP | unix.IFF_PROMISC}, false, snapshot.Link{Flags: []string{"PROMISC", "UP", "LOWER_UP"}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			flags := map[int]uint32{7: unix.IFF_UP}
			if tt.down {
				flags = nil
			}
			if d := cmp.Diff(tt.want, tt.in.named(all, flags), cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

func FuzzText(f *testing.F) {
	f.Add("505 480 0:4 net:[4026532341] /run/netns/a\\040b rw - nsfs nsfs rw")
	f.Add("entries drop\n00000005 0000000a\n")
	f.Fuzz(func(t *testing.T, s string) {
		parseMountinfo(s)
		sumColumns(s)
		if n := pathName(s); n == "" || n == ".." {
			t.Errorf("a folder %q", n)
		}
	})
}
