package netfilter

import "github.com/plumbnet/plumb/packet"

// nftKeyExpr is a key of "meta", "ct" or a header, and what it gives.
type nftKeyExpr struct {
	typ  nftType
	load nftLeaf
}

// number makes a leaf of a number that is always there.
func number(size int, f func(x *nftRun, s *state) uint64) nftLeaf {
	return func(x *nftRun, s *state, b []byte) ([]byte, bool) { return appendNum(b, f(x, s), size), true }
}

// dark makes a leaf of what no snapshot holds.
func dark(t nftType, why string) nftKeyExpr {
	return nftKeyExpr{t, func(x *nftRun, _ *state, b []byte) ([]byte, bool) { return x.unknown(b, t.size, why) }}
}

// deviceName makes a leaf of a device's name, which is empty where the hook has none (nft_meta_store_ifname).
func deviceName(t nftType, dev func(x *nftRun) string) nftKeyExpr {
	return nftKeyExpr{t, func(x *nftRun, _ *state, b []byte) ([]byte, bool) { return appendText(b, dev(x)), true }}
}

func inDev(x *nftRun) string  { return x.e.in.In }
func outDev(x *nftRun) string { return x.e.in.Out }

// ofDevice makes a leaf of what a device has; without a device there is none.
func ofDevice(t nftType, dev func(x *nftRun) string, why string) nftKeyExpr {
	return nftKeyExpr{t, func(x *nftRun, _ *state, b []byte) ([]byte, bool) {
		if dev(x) == "" {
			return b, false
		}
		return x.unknown(b, t.size, why)
	}}
}

// linkType makes a leaf of the type of a device. Of names, only "lo" tells it.
func linkType(dev func(x *nftRun) string) nftKeyExpr {
	return nftKeyExpr{typeLinkType, func(x *nftRun, s *state, b []byte) ([]byte, bool) {
		switch dev(x) {
		case "":
			return b, false
		case "lo":
			return appendNum(b, 772, 2), true
		}
		return x.unknown(b, 2, "the type of device "+dev(x)+" is not known")
	}}
}

// nftMeta are the keys of "meta" (nft_meta_get_eval).
var nftMeta = map[string]nftKeyExpr{
	"length":    {typeInt, packetLength},
	"protocol":  {typeEthType, number(2, func(x *nftRun, _ *state) uint64 { return etherType(x) })},
	"nfproto":   {typeNFProto, number(1, func(x *nftRun, _ *state) uint64 { return nfProto(x) })},
	"l4proto":   {typeProto, number(1, func(_ *nftRun, s *state) uint64 { return uint64(s.p.Proto) })},
	"mark":      {typeMark, number(4, func(_ *nftRun, s *state) uint64 { return uint64(s.p.Mark) })},
	"iif":       deviceName(typeIfIndex, inDev),
	"iifname":   deviceName(typeIfName, inDev),
	"oif":       deviceName(typeIfIndex, outDev),
	"oifname":   deviceName(typeIfName, outDev),
	"iiftype":   linkType(inDev),
	"oiftype":   linkType(outDev),
	"iifgroup":  ofDevice(typeHostInt, inDev, "the group of a device is not known"),
	"oifgroup":  ofDevice(typeHostInt, outDev, "the group of a device is not known"),
	"iifkind":   ofDevice(typeIfName, inDev, "the kind of a device is not known"),
	"oifkind":   ofDevice(typeIfName, outDev, "the kind of a device is not known"),
	"skuid":     {typeHostInt, socketUser},
	"skgid":     {typeHostInt, socketOwned("the group whose process sends is not known")},
	"cgroup":    {typeHostInt, socketOwned("the cgroup of a process is not known")},
	"pkttype":   {typePkt, number(1, packetType)},
	"priority":  dark(typeHostInt, "the priority of a packet is not known"),
	"cpu":       dark(typeHostInt, "the CPU that handles a packet is not known"),
	"secmark":   dark(typeHostInt, "the security mark of a packet is not known"),
	"rtclassid": dark(typeHostInt, "the realm of a route is not known"),
	"nftrace":   {typeBool, number(1, func(*nftRun, *state) uint64 { return 0 })},
	"ipsec":     {typeBool, number(1, func(*nftRun, *state) uint64 { return 0 })}, // no packet here is of IPsec
	"time":      dark(typeLong, "the time at which a packet comes is not known"),
	"day":       dark(typeByte, "the time at which a packet comes is not known"),
	"hour":      dark(typeHostInt, "the time at which a packet comes is not known"),
	"ibrname":   dark(typeIfName, "the bridge of a port is not known"),
	"obrname":   dark(typeIfName, "the bridge of a port is not known"),
	"ibrpvid":   dark(typeShort, "the VLAN of a port is not known"),
	"ibrvproto": dark(typeEthType, "the VLAN of a port is not known"),
	"sdif":      dark(typeIfIndex, "the device behind a VRF is not known"),
	"sdifname":  dark(typeIfName, "the device behind a VRF is not known"),
}

func (p *nftParser) meta(_ string, n *jsonNode, _ *nftType) (nftTyped, error) {
	key := n.get("key").str()
	if key == "random" {
		c := &nftChoice{mod: 1 << 32}
		return nftTyped{nftExpr: c, types: []nftType{typeHostInt}, choice: c}, nil
	}
	k, ok := nftMeta[key]
	if !ok {
		return nftTyped{}, notUnderstood("meta %s", short(key))
	}
	return nftTyped{nftExpr: k.load, types: []nftType{k.typ}}, nil
}

func etherType(x *nftRun) uint64 {
	if x.e.is6 {
		return 0x86dd
	}
	return 0x800
}

func nfProto(x *nftRun) uint64 {
	if x.e.is6 {
		return 10
	}
	return 2
}

func packetLength(x *nftRun, s *state, b []byte) ([]byte, bool) {
	if s.p.Size == 0 {
		return x.unknown(b, 4, "the size of the packet is not known")
	}
	return appendNum(b, uint64(s.p.Size), 4), true
}

// hasSocket answers whether the packet has a socket: those that are sent here do.
// On its way in a packet of a connection that a local socket has may have it already (early demux).
func hasSocket(x *nftRun, s *state) Tri {
	switch {
	case x.e.in.Hook == LocalOut, x.e.in.Hook == PostRouting && x.e.in.In == "":
		return Yes
	case x.e.in.Hook == LocalIn && s.p.Proto != packet.ICMP && s.p.Proto != packet.ICMPv6 && (!s.hasConn || s.c.State == Established):
		return Maybe
	}
	return No
}

func socketUser(x *nftRun, s *state, b []byte) ([]byte, bool) {
	switch has := hasSocket(x, s); {
	case has == No:
		return b, false
	case has == Maybe || x.e.in.UID == nil:
		return x.unknown(b, 4, "the user whose process sends is not known")
	}
	return appendNum(b, uint64(*x.e.in.UID), 4), true
}

func socketOwned(why string) nftLeaf {
	return func(x *nftRun, s *state, b []byte) ([]byte, bool) {
		if hasSocket(x, s) == No {
			return b, false
		}
		return x.unknown(b, 4, why)
	}
}

// packetType returns how the link layer addressed the frame (PACKET_*).
func packetType(x *nftRun, s *state) uint64 {
	m := pktType{kind: "multicast"}
	if m.match(x.e, s) == Yes {
		return 2
	}
	m.kind = "broadcast"
	if m.match(x.e, s) == Yes {
		return 1
	}
	return 0
}
