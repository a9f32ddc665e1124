package netfilter

import (
	"encoding/binary"
	"net/netip"
	"strconv"
	"strings"

	"github.com/plumbnet/plumb/packet"
)

// An nftType says how a value is kept, and what names nft prints for values.
type nftType struct {
	name string
	size int               // in bytes
	syms map[string]uint64 // names of values
	text bool              // a string: the name of a device
	host bool              // the kernel keeps it in the order of the CPU
}

// maxValue bounds a value: the kernel has 16 registers of 4 bytes (NFT_REG32_MAX).
const maxValue = 64

// ifNameSize is IFNAMSIZ.
const ifNameSize = 16

// An interface index is kept as the name of the device, which is how nft prints it.
var (
	typeV4       = nftType{name: "ipv4_addr", size: 4}
	typeV6       = nftType{name: "ipv6_addr", size: 16}
	typeEther    = nftType{name: "ether_addr", size: 6}
	typeProto    = nftType{name: "inet_proto", size: 1, syms: protoSyms}
	typePort     = nftType{name: "inet_service", size: 2}
	typeMark     = nftType{name: "mark", size: 4, host: true}
	typeIfName   = nftType{name: "ifname", size: ifNameSize, text: true}
	typeIfIndex  = nftType{name: "iface_index", size: ifNameSize, text: true}
	typeNFProto  = nftType{name: "nf_proto", size: 1, syms: map[string]uint64{"ipv4": 2, "ipv6": 10}}
	typeEthType  = nftType{name: "ether_type", size: 2, syms: map[string]uint64{"ip": 0x800, "arp": 0x806, "ip6": 0x86dd, "8021q": 0x8100, "8021ad": 0x88a8, "vlan": 0x8100}}
	typeState    = nftType{name: "ct_state", size: 4, host: true, syms: map[string]uint64{"invalid": 1, "established": 2, "related": 4, "new": 8, "untracked": 64}}
	typeStatus   = nftType{name: "ct_status", size: 4, host: true, syms: map[string]uint64{"expected": 1, "seen-reply": 2, "assured": 4, "confirmed": 8, "snat": 16, "dnat": 32, "dying": 512}}
	typeDir      = nftType{name: "ct_dir", size: 1, syms: map[string]uint64{"original": 0, "reply": 1}}
	typeFlags    = nftType{name: "tcp_flag", size: 1, syms: map[string]uint64{"fin": 1, "syn": 2, "rst": 4, "psh": 8, "ack": 16, "urg": 32, "ecn": 64, "cwr": 128}}
	typeDSCP     = nftType{name: "dscp", size: 1, syms: dscpSyms()}
	typeECN      = nftType{name: "ecn", size: 1, syms: map[string]uint64{"not-ect": 0, "ect1": 1, "ect0": 2, "ce": 3}}
	typePkt      = nftType{name: "pkt_type", size: 1, syms: map[string]uint64{"host": 0, "unicast": 0, "broadcast": 1, "multicast": 2, "other": 3}}
	typeFIB      = nftType{name: "fib_addrtype", size: 4, host: true, syms: map[string]uint64{"unspec": 0, "unicast": 1, "local": 2, "broadcast": 3, "anycast": 4, "multicast": 5, "blackhole": 6, "unreachable": 7, "prohibit": 8, "throw": 9, "nat": 10}}
	typeLinkType = nftType{name: "iface_type", size: 2, host: true, syms: map[string]uint64{"ether": 1, "ppp": 512, "ipip": 768, "ipip6": 769, "loopback": 772, "sit": 776, "ipgre": 778}}
	typeBool     = nftType{name: "boolean", size: 1}
	typeByte     = nftType{name: "byte", size: 1}
	typeShort    = nftType{name: "short", size: 2}
	typeInt      = nftType{name: "int", size: 4}
	typeHostInt  = nftType{name: "host int", size: 4, host: true}
	typeLong     = nftType{name: "long", size: 8, host: true}
	typeICMP     = nftType{name: "icmp_type", size: 1, syms: map[string]uint64{"echo-reply": 0, "destination-unreachable": 3, "source-quench": 4, "redirect": 5, "echo-request": 8, "router-advertisement": 9, "router-solicitation": 10, "time-exceeded": 11, "parameter-problem": 12, "timestamp-request": 13, "timestamp-reply": 14, "info-request": 15, "info-reply": 16, "address-mask-request": 17, "address-mask-reply": 18}}
	typeICMP6    = nftType{name: "icmpv6_type", size: 1, syms: map[string]uint64{"destination-unreachable": 1, "packet-too-big": 2, "time-exceeded": 3, "parameter-problem": 4, "echo-request": 128, "echo-reply": 129, "mld-listener-query": 130, "mld-listener-report": 131, "mld-listener-done": 132, "mld-listener-reduction": 132, "nd-router-solicit": 133, "nd-router-advert": 134, "nd-neighbor-solicit": 135, "nd-neighbor-advert": 136, "nd-redirect": 137, "router-renumbering": 138, "ind-neighbor-solicit": 141, "ind-neighbor-advert": 142, "mld2-listener-report": 143}}
	typeCode     = nftType{name: "icmp_code", size: 1, syms: map[string]uint64{"net-unreachable": 0, "host-unreachable": 1, "prot-unreachable": 2, "port-unreachable": 3, "frag-needed": 4, "net-prohibited": 9, "host-prohibited": 10, "admin-prohibited": 13}}
	typeCode6    = nftType{name: "icmpv6_code", size: 1, syms: map[string]uint64{"no-route": 0, "admin-prohibited": 1, "addr-unreachable": 3, "port-unreachable": 4, "policy-fail": 5, "reject-route": 6}}
)

// nftTypes are the types that sets and maps name.
var nftTypes = func() map[string]nftType {
	m := map[string]nftType{
		"uid": typeHostInt, "gid": typeHostInt, "classid": typeHostInt, "devgroup": typeHostInt, "realm": typeHostInt,
		"time": typeLong, "cgroupsv2": typeLong, "ct_event": typeHostInt, "day": typeByte, "hour": typeHostInt,
	}
	for _, t := range []nftType{typeV4, typeV6, typeEther, typeProto, typePort, typeMark, typeIfName, typeIfIndex, typeNFProto, typeEthType, typeState,
		typeStatus, typeDir, typeFlags, typeDSCP, typeECN, typePkt, typeFIB, typeLinkType, typeBool, typeICMP, typeICMP6, typeCode, typeCode6} {
		m[t.name] = t
	}
	return m
}()

var protoSyms = func() map[string]uint64 {
	m := map[string]uint64{"comp": 108}
	for name, p := range protocols {
		m[name] = uint64(p)
	}
	return m
}()

func dscpSyms() map[string]uint64 {
	m := map[string]uint64{"ef": 46, "va": 44, "lephb": 1, "df": 0, "be": 0}
	for c := range uint64(8) {
		m["cs"+strconv.FormatUint(c, 10)] = c << 3
	}
	for c := uint64(1); c <= 4; c++ {
		for d := uint64(1); d <= 3; d++ {
			m["af"+strconv.FormatUint(c*10+d, 10)] = c<<3 | d<<1
		}
	}
	return m
}

// appendNum appends n in size bytes, the highest first.
func appendNum(b []byte, n uint64, size int) []byte {
	var all [8]byte
	binary.BigEndian.PutUint64(all[:], n)
	for ; size > 8; size-- {
		b = append(b, 0)
	}
	return append(b, all[8-size:]...)
}

// numOf returns the number that the last 8 bytes of b make.
func numOf(b []byte) uint64 {
	var n uint64
	for _, c := range b[max(len(b)-8, 0):] {
		n = n<<8 | uint64(c)
	}
	return n
}

// appendText appends a device's name, filled up with zeros.
func appendText(b []byte, s string) []byte {
	start := len(b)
	b = append(b, s[:min(len(s), ifNameSize)]...)
	for len(b) < start+ifNameSize {
		b = append(b, 0)
	}
	return b
}

// appendAddr appends an address; its bytes are in the order of the network.
func appendAddr(b []byte, a netip.Addr) []byte {
	if a.Is4() {
		v := a.As4()
		return append(b, v[:]...)
	}
	v := a.As16()
	return append(b, v[:]...)
}

// constant reads one value as nft prints it. It returns false for what is not understood.
func (t *nftType) constant(b []byte, n *jsonNode) ([]byte, bool) {
	switch {
	case n.kind == 't':
		return appendNum(b, 1, t.size), true
	case n.kind == 'f':
		return appendNum(b, 0, t.size), true
	case t.text:
		return t.device(b, n)
	case n.kind == '0':
		v, ok := n.num()
		return appendNum(b, v, t.size), ok && (t.size >= 8 || v>>(8*t.size) == 0)
	case n.kind != '"':
		return b, false
	}
	if v, ok := t.syms[n.text]; ok {
		return appendNum(b, v, t.size), true
	}
	switch t.name {
	case "ipv4_addr", "ipv6_addr":
		a, err := netip.ParseAddr(n.text)
		return appendAddr(b, a), err == nil && a.BitLen() == 8*t.size
	case "ether_addr":
		m, err := packet.ParseMAC(n.text)
		return append(b, m[:]...), err == nil
	}
	v, ok := n.num()
	return appendNum(b, v, t.size), ok && (t.size >= 8 || v>>(8*t.size) == 0)
}

// device reads the name of a device. nft prints an index that no device has as its number; 0 is no device.
func (t *nftType) device(b []byte, n *jsonNode) ([]byte, bool) {
	s := strings.ReplaceAll(n.text, `\*`, "*")
	if v, ok := n.num(); ok && t.name == typeIfIndex.name && v == 0 {
		s = ""
	} else if ok && t.name == typeIfIndex.name {
		s = "\x00" + n.text
	}
	return appendText(b, s), (n.kind == '"' || n.kind == '0') && len(s) < ifNameSize
}
