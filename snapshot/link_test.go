package snapshot

import (
	"bytes"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// TestParseLinks reads devices of many kinds, as iproute2 6.1 prints them.
func TestParseLinks(t *testing.T) {
	ip := netip.MustParseAddr
	for _, tt := range []struct {
		name, in string
		want     Link
	}{
		{"vxlan", `"linkinfo":{"info_kind":"vxlan","info_data":{"id":1,"local":"192.168.1.1","link":"eth0","port_range":{"low":0,"high":0},"port":8472,"learning":false,"ageing":300,"udp_csum":true}}`,
			Link{Info: LinkInfo{Kind: "vxlan", Data: LinkData{ID: 1, Local: "192.168.1.1", Link: "eth0", Port: 8472}}}},
		{"vxlan over IPv6, with learning and a group", `"linkinfo":{"info_kind":"vxlan","info_data":{"id":7,"group6":"ff05::1","local6":"fd00::1","link":"eth0","port":4789,"learning":true,"ttl":1}}`,
			Link{Info: LinkInfo{Kind: "vxlan", Data: LinkData{ID: 7, Group6: ip("ff05::1"), Local6: ip("fd00::1"), Link: "eth0", Port: 4789, Learning: true, TTL: 1}}}},
		{"a port of a bridge", `"master":"cni0","linkinfo":{"info_kind":"veth","info_slave_kind":"bridge","info_slave_data":{"state":"forwarding","hairpin":true,"guard":false,"learning":true,"flood":true,"isolated":true,"neigh_suppress":true,"priority":32}}`,
			Link{Master: "cni0", Info: LinkInfo{Kind: "veth", SlaveKind: "bridge", SlaveData: PortData{State: "forwarding", Hairpin: true, Learning: true, Flood: true, Isolated: true, NeighSuppress: true}}}},
		{"a bridge", `"linkinfo":{"info_kind":"bridge","info_data":{"forward_delay":1500,"vlan_filtering":1,"vlan_protocol":"802.1Q","vlan_default_pvid":1,"stp_state":1,"nf_call_iptables":1,"nf_call_ip6tables":0,"nf_call_arptables":1}}`,
			Link{Info: LinkInfo{Kind: "bridge", Data: LinkData{VLANFiltering: 1, VLANDefaultPVID: 1, STPState: 1, NFCallIPTables: 1, NFCallARPTables: 1}}}},
		{"a VLAN", `"link":"eth0","linkinfo":{"info_kind":"vlan","info_data":{"protocol":"802.1Q","id":100,"flags":["REORDER_HDR"]}}`,
			Link{PeerName: "eth0", Info: LinkInfo{Kind: "vlan", Data: LinkData{Protocol: "802.1Q", ID: 100}}}},
		{"a VRF", `"linkinfo":{"info_kind":"vrf","info_data":{"table":10}}`, Link{Info: LinkInfo{Kind: "vrf", Data: LinkData{Table: 10}}}},
		{"a bond", `"linkinfo":{"info_kind":"bond","info_data":{"mode":"active-backup","active_slave":"eth1"}}`, Link{Info: LinkInfo{Kind: "bond", Data: LinkData{Mode: "active-backup", ActiveSlave: "eth1"}}}},
		{"ipip to anywhere", `"link_type":"ipip","linkinfo":{"info_kind":"ipip","info_data":{"proto":"any","remote":"any","local":"any","ttl":0,"pmtudisc":false}}`,
			Link{Type: "ipip", Info: LinkInfo{Kind: "ipip", Data: LinkData{Remote: "any", Local: "any"}}}},
		{"an unknown kind", `"linkinfo":{"info_kind":"wireguard","info_data":{"new":[1,2]}}`, Link{Info: LinkInfo{Kind: "wireguard"}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ParseLinks(strings.NewReader(`[{"ifindex":3,"ifname":"d","mtu":1500,` + tt.in + `},{}]`))
			if err != nil || len(got) != 1 {
				t.Fatalf("%d links, %v", len(got), err)
			}
			tt.want.Index, tt.want.Name, tt.want.MTU = 3, "d", 1500
			if d := cmp.Diff(tt.want, got[0], cmpopts.EquateComparable(netip.Addr{})); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

func TestParseLinksBad(t *testing.T) {
	for _, tt := range []struct {
		name, in string
		want     []string
		err      string
	}{
		{"nothing there", "[]", nil, ""},
		{"null", "null", nil, ""},
		{"an object", `{"ifname":"lo"}`, nil, "addr: json: cannot unmarshal object into Go value of type []json.RawMessage"},
		{"what a filter leaves out", `[{},{"ifindex":1,"ifname":"lo"},{}]`, []string{"lo"}, ""},
		{"no index", `[{"ifname":"lo"},{"ifindex":2,"ifname":"eth0"}]`, []string{"lo", "eth0"}, "addr: element 0: no ifindex or no ifname"},
		{"no name", `[{"ifindex":2},{"ifindex":3,"ifname":"eth0"}]`, []string{"eth0"}, "addr: element 0: no ifindex or no ifname"},
		{"an index below one", `[{"ifindex":-1,"ifname":"lo"}]`, []string{"lo"}, "addr: element 0: no ifindex or no ifname"},
		{"a bad MAC", `[{"ifindex":1,"ifname":"lo","address":7}]`, []string{"lo"}, "addr: element 0: json: cannot unmarshal number into Go struct field Link.address of type packet.MAC"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ParseLinks(strings.NewReader(tt.in))
			var names []string
			for _, l := range got {
				names = append(names, l.Name)
			}
			if d := cmp.Diff(tt.want, names); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
			checkErr(t, err, tt.err)
		})
	}
}

func TestVLANs(t *testing.T) {
	for _, tt := range []struct {
		name, in string
		want     []BridgeVLAN
		back     string // what FormatVLANs prints of it; "" for in
	}{
		{"none", `[]`, nil, ""},
		{"one", `[{"ifname":"cni0","vlans":[{"vlan":1,"flags":["PVID","Egress Untagged"]}]}]`, []BridgeVLAN{{Dev: "cni0", VID: 1, VIDEnd: 1, PVID: true, Untagged: true}}, ""},
		{"a range", `[{"ifname":"eth0","vlans":[{"vlan":10,"vlanEnd":20}]}]`, []BridgeVLAN{{Dev: "eth0", VID: 10, VIDEnd: 20}}, ""},
		{"a range of one", `[{"ifname":"eth0","vlans":[{"vlan":10,"vlanEnd":10}]}]`, []BridgeVLAN{{Dev: "eth0", VID: 10, VIDEnd: 10}}, `[{"ifname":"eth0","vlans":[{"vlan":10}]}]`},
		{"a range that runs backwards", `[{"ifname":"eth0","vlans":[{"vlan":10,"vlanEnd":5}]}]`, []BridgeVLAN{{Dev: "eth0", VID: 10, VIDEnd: 10}}, `[{"ifname":"eth0","vlans":[{"vlan":10}]}]`},
		{"untagged alone", `[{"ifname":"eth0","vlans":[{"vlan":4094,"flags":["Egress Untagged"]}]}]`, []BridgeVLAN{{Dev: "eth0", VID: 4094, VIDEnd: 4094, Untagged: true}}, ""},
		{"two devices", `[{"ifname":"a","vlans":[{"vlan":1},{"vlan":2}]},{"ifname":"b","vlans":[{"vlan":1}]}]`,
			[]BridgeVLAN{{Dev: "a", VID: 1, VIDEnd: 1}, {Dev: "a", VID: 2, VIDEnd: 2}, {Dev: "b", VID: 1, VIDEnd: 1}}, ""},
		{"a device without any", `[{"ifname":"a","vlans":[]},{}]`, nil, `[]`},
		{"a flag of later versions", `[{"ifname":"a","vlans":[{"vlan":1,"flags":["New","PVID"]}]}]`, []BridgeVLAN{{Dev: "a", VID: 1, VIDEnd: 1, PVID: true}}, `[{"ifname":"a","vlans":[{"vlan":1,"flags":["PVID"]}]}]`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ParseVLANs(strings.NewReader(tt.in))
			if d := cmp.Diff(tt.want, got); d != "" || err != nil {
				t.Errorf("%v (-want +got):\n%s", err, d)
			}
			back, err := FormatVLANs(got)
			if tt.back == "" {
				tt.back = tt.in
			}
			if err != nil || !bytes.Equal(back, []byte(tt.back)) {
				t.Errorf("back: %s, %v; want %s", back, err, tt.back)
			}
		})
	}
	_, err := ParseVLANs(strings.NewReader(`[{"ifname":"a","vlans":[{"vlan":"x"}]}]`))
	checkErr(t, err, "vlan: element 0: json: cannot unmarshal string into Go struct field .vlans.vlan of type int")
}
