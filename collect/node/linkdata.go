//go:build linux

package node

import (
	"net/netip"

	"golang.org/x/sys/unix"
)

// linkData reads one attribute of IFLA_INFO_DATA, by kind of device.
var linkData = map[string]func(l *rawLink, typ uint16, v []byte){
	"vxlan": vxlanData, "geneve": geneveData, "bridge": bridgeData, "bond": bondData,
	"vlan": vlanData, "macvlan": macvlanData, "macvtap": macvlanData, "ipvlan": ipvlanData, "vrf": vrfData,
	"ipip": iptun.read, "sit": iptun.read, "ip6tnl": iptun.read,
	"gre": greData, "gretap": greData, "ip6gre": greData, "ip6gretap": greData,
}

func vxlanData(l *rawLink, t uint16, v []byte) {
	d := &l.Info.Data
	switch t {
	case unix.IFLA_VXLAN_ID:
		d.ID = int(u32(v))
	case unix.IFLA_VXLAN_GROUP:
		group(addr(v), &d.Group, &d.Remote)
	case unix.IFLA_VXLAN_GROUP6:
		if a := addr(v); a.IsMulticast() {
			d.Group6 = a
		} else if !a.IsUnspecified() {
			d.Remote6 = a
		}
	case unix.IFLA_VXLAN_LINK:
		l.under = int(u32(v))
	case unix.IFLA_VXLAN_LOCAL:
		if a := addr(v); a.IsValid() && !a.IsUnspecified() {
			d.Local = a.String()
		}
	case unix.IFLA_VXLAN_LOCAL6:
		if a := addr(v); !a.IsUnspecified() {
			d.Local6 = a
		}
	case unix.IFLA_VXLAN_PORT:
		d.Port = int(be16(v))
	case unix.IFLA_VXLAN_LEARNING:
		d.Learning = u8(v) != 0
	case unix.IFLA_VXLAN_COLLECT_METADATA:
		d.External = u8(v) != 0
	case unix.IFLA_VXLAN_TTL:
		d.TTL = int(u8(v))
	}
}

// group stores where a VXLAN device floods to: a multicast group, or one remote VTEP.
func group(a netip.Addr, group *netip.Addr, remote *string) {
	switch {
	case !a.IsValid() || a.IsUnspecified():
	case a.IsMulticast():
		*group = a
	default:
		*remote = a.String()
	}
}

func geneveData(l *rawLink, t uint16, v []byte) {
	d := &l.Info.Data
	switch t {
	case unix.IFLA_GENEVE_ID:
		d.ID = int(u32(v))
	case unix.IFLA_GENEVE_REMOTE:
		if a := addr(v); a.IsValid() && !a.IsUnspecified() {
			d.Remote = a.String()
		}
	case unix.IFLA_GENEVE_REMOTE6:
		d.Remote6 = addr(v)
	case unix.IFLA_GENEVE_PORT:
		d.Port = int(be16(v))
	case unix.IFLA_GENEVE_COLLECT_METADATA:
		d.External = true
	case unix.IFLA_GENEVE_TTL:
		d.TTL = int(u8(v))
	}
}

func bridgeData(l *rawLink, t uint16, v []byte) {
	d := &l.Info.Data
	switch t {
	case unix.IFLA_BR_STP_STATE:
		d.STPState = int(u32(v))
	case unix.IFLA_BR_VLAN_FILTERING:
		d.VLANFiltering = int(u8(v))
	case unix.IFLA_BR_NF_CALL_IPTABLES:
		d.NFCallIPTables = int(u8(v))
	case unix.IFLA_BR_NF_CALL_IP6TABLES:
		d.NFCallIP6Tables = int(u8(v))
	case unix.IFLA_BR_NF_CALL_ARPTABLES:
		d.NFCallARPTables = int(u8(v))
	case unix.IFLA_BR_VLAN_DEFAULT_PVID:
		d.VLANDefaultPVID = int(u16(v))
	}
}

func bondData(l *rawLink, t uint16, v []byte) {
	switch t {
	case unix.IFLA_BOND_MODE:
		l.Info.Data.Mode = nth([]string{"balance-rr", "active-backup", "balance-xor", "broadcast", "802.3ad", "balance-tlb", "balance-alb"}, int(u8(v)))
	case unix.IFLA_BOND_ACTIVE_SLAVE:
		l.activeSlave = int(u32(v))
	}
}

func vlanData(l *rawLink, t uint16, v []byte) {
	switch t {
	case unix.IFLA_VLAN_ID:
		l.Info.Data.ID = int(u16(v))
	case unix.IFLA_VLAN_PROTOCOL:
		l.Info.Data.Protocol = map[uint16]string{unix.ETH_P_8021Q: "802.1Q", unix.ETH_P_8021AD: "802.1ad"}[be16(v)]
	}
}

func macvlanData(l *rawLink, t uint16, v []byte) {
	if t == unix.IFLA_MACVLAN_MODE {
		l.Info.Data.Mode = map[uint32]string{1: "private", 2: "vepa", 4: "bridge", 8: "passthru", 16: "source"}[u32(v)]
	}
}

func ipvlanData(l *rawLink, t uint16, v []byte) {
	if t == unix.IFLA_IPVLAN_MODE {
		l.Info.Data.Mode = nth([]string{"l2", "l3", "l3s"}, int(u16(v)))
	}
}

func vrfData(l *rawLink, t uint16, v []byte) {
	if t == unix.IFLA_VRF_TABLE {
		l.Info.Data.Table = int(u32(v))
	}
}

// endpoint returns an end of a tunnel, as ip prints it.
func endpoint(v []byte) string {
	a := addr(v)
	if !a.IsValid() || a.IsUnspecified() {
		return "any"
	}
	return a.String()
}

// tunnelAttrs are the numbers of the attributes that every tunnel has, of which each
// family of tunnels has its own (linux/if_tunnel.h).
type tunnelAttrs struct{ link, local, remote, ttl, pmtuDisc, external uint16 }

var (
	iptun = tunnelAttrs{link: 1, local: 2, remote: 3, ttl: 4, pmtuDisc: 10, external: 19} // IFLA_IPTUN_*
	gre   = tunnelAttrs{link: 1, local: 6, remote: 7, ttl: 8, pmtuDisc: 10, external: 18} // IFLA_GRE_*
)

// IFLA_GRE_* of the keys.
const (
	greIFlags = 2
	greOFlags = 3
	greIKey   = 4
	greOKey   = 5
)

// read reads an attribute that every tunnel has.
func (a tunnelAttrs) read(l *rawLink, t uint16, v []byte) {
	d := &l.Info.Data
	switch t {
	case a.link:
		l.under = int(u32(v))
	case a.local:
		d.Local = endpoint(v)
	case a.remote:
		d.Remote = endpoint(v)
	case a.ttl:
		d.TTL = int(u8(v))
	case a.pmtuDisc:
		d.PMTUDisc = u8(v) != 0
	case a.external:
		d.External = true
	}
}

// greKey says in IFLA_GRE_IFLAGS and OFLAGS that there is a key (GRE_KEY, big endian).
const greKey = 0x2000

// greData reads IFLA_GRE_*. A key stands after the flags that say whether it counts.
func greData(l *rawLink, t uint16, v []byte) {
	d := &l.Info.Data
	switch t {
	case greIFlags:
		l.greIn = be16(v)&greKey != 0
	case greOFlags:
		l.greOut = be16(v)&greKey != 0
	case greIKey:
		if l.greIn {
			d.IKey = greKeyText(v)
		}
	case greOKey:
		if l.greOut {
			d.OKey = greKeyText(v)
		}
	default:
		gre.read(l, t, v)
	}
}

// greKeyText returns a key as ip prints it: as an address.
func greKeyText(v []byte) string {
	if len(v) < 4 {
		return ""
	}
	return netip.AddrFrom4([4]byte(v[:4])).String()
}
