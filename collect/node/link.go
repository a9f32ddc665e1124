//go:build linux

package node

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"strconv"

	"github.com/plumbnet/plumb/kernel/netlink"
	"github.com/plumbnet/plumb/packet"
	"github.com/plumbnet/plumb/snapshot"
	"golang.org/x/sys/unix"
)

// names are the names of the devices of a namespace, by index.
type names map[int]string

// of returns the name, or "if7" for an index without a device, as ip does.
func (n names) of(index int) string {
	if index == 0 {
		return ""
	}
	if s, ok := n[index]; ok {
		return s
	}
	return "if" + strconv.Itoa(index)
}

// rawLink is a device as its message says, before indexes are replaced by names.
type rawLink struct {
	snapshot.Link
	flags                uint32
	lower, master, under int // indexes: IFLA_LINK, IFLA_MASTER, the device that carries a tunnel
	activeSlave          int
	greIn, greOut        bool // whether a GRE tunnel has a key, either way
	stats                *snapshot.LinkStats
}

// links reads the devices with their addresses.
func (w *worker) links() ([]snapshot.Link, names, error) {
	req := make([]byte, unix.SizeofIfInfomsg)
	const skipStats = 1 << 3 // RTEXT_FILTER_SKIP_STATS
	req = netlink.Attr(req, unix.IFLA_EXT_MASK, native.AppendUint32(nil, skipStats))
	var raw []rawLink
	err := w.route.Dump(unix.RTM_GETLINK, req, func() { raw = nil }, func(b []byte) {
		if l, ok := decodeLink(b); ok {
			raw = append(raw, l)
		}
	})
	if err != nil {
		return nil, nil, err
	}
	names, flags, at := names{}, map[int]uint32{}, map[int]int{}
	for i, l := range raw {
		names[l.Index], flags[l.Index], at[l.Index] = l.Name, l.flags, i
	}
	out := make([]snapshot.Link, len(raw))
	for i, l := range raw {
		out[i] = l.named(names, flags)
	}
	type found struct {
		index int
		addr  snapshot.LinkAddr
	}
	var addrs []found
	err = w.route.Dump(unix.RTM_GETADDR, make([]byte, unix.SizeofIfAddrmsg), func() { addrs = nil }, func(b []byte) {
		if index, a, ok := decodeAddr(b); ok {
			addrs = append(addrs, found{index, a})
		}
	})
	for _, a := range addrs {
		if i, ok := at[a.index]; ok {
			out[i].Addrs = append(out[i].Addrs, a.addr)
		}
	}
	return out, names, err
}

// formatLinks returns what "ip -j -d addr" prints, as far as a snapshot holds it.
func formatLinks(links []snapshot.Link) ([]byte, error) {
	if links == nil {
		links = []snapshot.Link{}
	}
	return json.Marshal(links)
}

// named fills in what other devices' messages say.
func (l rawLink) named(n names, flags map[int]uint32) snapshot.Link {
	out := l.Link
	out.Flags = flagNames(l.flags)
	if out.PeerNSID != nil {
		out.PeerIndex = l.lower
	} else if l.lower != 0 {
		out.PeerName = n.of(l.lower)
		if flags[l.lower]&unix.IFF_UP == 0 {
			out.Flags = append(out.Flags, "M-DOWN")
		}
	}
	out.Master = n.of(l.master)
	out.Info.Data.Link = n.of(l.under)
	out.Info.Data.ActiveSlave = n.of(l.activeSlave)
	return out
}

// linkFlags are the flags that ip prints, in its order.
var linkFlags = []struct {
	bit  uint32
	name string
}{
	{unix.IFF_LOOPBACK, "LOOPBACK"}, {unix.IFF_BROADCAST, "BROADCAST"}, {unix.IFF_POINTOPOINT, "POINTOPOINT"},
	{unix.IFF_MULTICAST, "MULTICAST"}, {unix.IFF_NOARP, "NOARP"}, {unix.IFF_ALLMULTI, "ALLMULTI"},
	{unix.IFF_PROMISC, "PROMISC"}, {unix.IFF_MASTER, "MASTER"}, {unix.IFF_SLAVE, "SLAVE"}, {unix.IFF_DEBUG, "DEBUG"},
	{unix.IFF_DYNAMIC, "DYNAMIC"}, {unix.IFF_AUTOMEDIA, "AUTOMEDIA"}, {unix.IFF_PORTSEL, "PORTSEL"},
	{unix.IFF_NOTRAILERS, "NOTRAILERS"}, {unix.IFF_UP, "UP"}, {unix.IFF_LOWER_UP, "LOWER_UP"},
	{unix.IFF_DORMANT, "DORMANT"}, {unix.IFF_ECHO, "ECHO"},
}

func flagNames(flags uint32) []string {
	out := []string{}
	if flags&unix.IFF_UP != 0 && flags&unix.IFF_RUNNING == 0 {
		out = append(out, "NO-CARRIER")
	}
	for _, f := range linkFlags {
		if flags&f.bit != 0 {
			out = append(out, f.name)
		}
	}
	return out
}

// linkTypes are the names of ARPHRD_*, as ip prints them.
var linkTypes = map[uint16]string{
	unix.ARPHRD_ETHER: "ether", unix.ARPHRD_LOOPBACK: "loopback", unix.ARPHRD_TUNNEL: "ipip",
	unix.ARPHRD_TUNNEL6: "tunnel6", unix.ARPHRD_SIT: "sit", unix.ARPHRD_IPGRE: "gre",
	unix.ARPHRD_IP6GRE: "gre6", unix.ARPHRD_NONE: "none", unix.ARPHRD_PPP: "ppp", unix.ARPHRD_INFINIBAND: "infiniband",
	unix.ARPHRD_NETLINK: "netlink", unix.ARPHRD_PIMREG: "pimreg", unix.ARPHRD_RAWIP: "rawip", unix.ARPHRD_VSOCKMON: "vsockmon",
}

var operStates = []string{"UNKNOWN", "NOTPRESENT", "DOWN", "LOWERLAYERDOWN", "TESTING", "DORMANT", "UP"}

// nth returns the i-th name, or the number where there is none.
func nth(list []string, i int) string {
	if i < len(list) {
		return list[i]
	}
	return strconv.Itoa(i)
}

// decodeLink reads an RTM_NEWLINK message.
func decodeLink(b []byte) (rawLink, bool) {
	if len(b) < unix.SizeofIfInfomsg {
		return rawLink{}, false
	}
	var l rawLink
	typ := native.Uint16(b[2:])
	l.Type = linkTypes[typ]
	if l.Type == "" {
		l.Type = fmt.Sprintf("[%d]", typ)
	}
	l.Index, l.flags = int(int32(native.Uint32(b[4:]))), native.Uint32(b[8:])
	for t, v := range netlink.Attrs(b[unix.SizeofIfInfomsg:]) {
		switch t {
		case unix.IFLA_IFNAME:
			l.Name = str(v)
		case unix.IFLA_MTU:
			l.MTU = int(u32(v))
		case unix.IFLA_QDISC:
			l.QDisc = str(v)
		case unix.IFLA_LINK:
			l.lower = int(u32(v))
		case unix.IFLA_LINK_NETNSID:
			id := int(int32(u32(v)))
			l.PeerNSID = &id
		case unix.IFLA_MASTER:
			l.master = int(u32(v))
		case unix.IFLA_GROUP:
			l.Group = groupName(u32(v))
		case unix.IFLA_OPERSTATE:
			l.OperState = nth(operStates, int(u8(v)))
		case unix.IFLA_ADDRESS:
			l.MAC = mac(v)
		case unix.IFLA_LINKINFO:
			l.info(v)
		case unix.IFLA_STATS64:
			l.stats = linkStats(v)
		}
	}
	return l, l.Name != ""
}

// linkStats reads the start of a struct rtnl_link_stats64.
func linkStats(b []byte) *snapshot.LinkStats {
	if len(b) < 4*8 {
		return nil
	}
	return &snapshot.LinkStats{
		RX: snapshot.LinkCount{Packets: native.Uint64(b), Bytes: native.Uint64(b[16:])},
		TX: snapshot.LinkCount{Packets: native.Uint64(b[8:]), Bytes: native.Uint64(b[24:])},
	}
}

// groupName is the group of a device as ip prints it without a name of its own for it.
func groupName(n uint32) string {
	if n == 0 {
		return "default"
	}
	return strconv.FormatUint(uint64(n), 10)
}

// mac returns an Ethernet address; those of other kinds of device are not kept.
func mac(b []byte) packet.MAC {
	var m packet.MAC
	if len(b) == len(m) {
		copy(m[:], b)
	}
	return m
}

// info reads IFLA_LINKINFO.
func (l *rawLink) info(b []byte) {
	var data, port []byte
	for t, v := range netlink.Attrs(b) {
		switch t {
		case unix.IFLA_INFO_KIND:
			l.Info.Kind = str(v)
		case unix.IFLA_INFO_DATA:
			data = v
		case unix.IFLA_INFO_SLAVE_KIND:
			l.Info.SlaveKind = str(v)
		case unix.IFLA_INFO_SLAVE_DATA:
			port = v
		}
	}
	if read := linkData[l.Info.Kind]; read != nil {
		for t, v := range netlink.Attrs(data) {
			read(l, t, v)
		}
	}
	switch l.Info.SlaveKind {
	case "bridge":
		bridgePort(&l.Info.SlaveData, port)
	case "bond":
		for t, v := range netlink.Attrs(port) {
			if t == unix.IFLA_BOND_SLAVE_STATE {
				l.Info.SlaveData.State = nth([]string{"ACTIVE", "BACKUP"}, int(u8(v)))
			}
		}
	}
}

// bridgePort reads IFLA_INFO_SLAVE_DATA of a bridge's port.
func bridgePort(p *snapshot.PortData, b []byte) {
	for t, v := range netlink.Attrs(b) {
		on := u8(v) != 0
		switch t {
		case unix.IFLA_BRPORT_STATE:
			p.State = nth([]string{"disabled", "listening", "learning", "forwarding", "blocking"}, int(u8(v)))
		case unix.IFLA_BRPORT_MODE:
			p.Hairpin = on
		case unix.IFLA_BRPORT_GUARD:
			p.Guard = on
		case unix.IFLA_BRPORT_LEARNING:
			p.Learning = on
		case unix.IFLA_BRPORT_UNICAST_FLOOD:
			p.Flood = on
		case unix.IFLA_BRPORT_ISOLATED:
			p.Isolated = on
		case unix.IFLA_BRPORT_NEIGH_SUPPRESS:
			p.NeighSuppress = on
		}
	}
}

// scopes are the names of RT_SCOPE_*.
var scopes = map[uint8]string{0: "global", 200: "site", 253: "link", 254: "host", 255: "nowhere"}

func scopeName(n uint8) string {
	if s, ok := scopes[n]; ok {
		return s
	}
	return strconv.Itoa(int(n))
}

// decodeAddr reads an RTM_NEWADDR message.
func decodeAddr(b []byte) (index int, a snapshot.LinkAddr, ok bool) {
	if len(b) < unix.SizeofIfAddrmsg {
		return 0, a, false
	}
	family, flags := b[0], uint32(b[2])
	index = int(native.Uint32(b[4:]))
	a.Len, a.Scope = int(b[1]), scopeName(b[3])
	var local, peer netip.Addr
	for t, v := range netlink.Attrs(b[unix.SizeofIfAddrmsg:]) {
		switch t {
		case unix.IFA_LOCAL:
			local = addr(v)
		case unix.IFA_ADDRESS:
			peer = addr(v)
		case unix.IFA_LABEL:
			a.Label = str(v)
		case unix.IFA_FLAGS:
			flags = u32(v)
		}
	}
	a.Local = local
	switch {
	case !local.IsValid():
		a.Local = peer
	case peer.IsValid() && peer != local:
		a.Peer = peer
	}
	switch family {
	case unix.AF_INET:
		a.Family, a.Secondary = "inet", flags&unix.IFA_F_SECONDARY != 0
	case unix.AF_INET6:
		a.Family, a.Temporary = "inet6", flags&unix.IFA_F_TEMPORARY != 0
	}
	a.Dynamic = flags&unix.IFA_F_PERMANENT == 0
	a.Deprecated = flags&unix.IFA_F_DEPRECATED != 0
	a.Tentative = flags&unix.IFA_F_TENTATIVE != 0
	a.DADFailed = flags&unix.IFA_F_DADFAILED != 0
	a.NoDAD = flags&unix.IFA_F_NODAD != 0
	return index, a, a.Family != "" && a.Local.IsValid()
}
