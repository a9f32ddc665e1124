package netfilter

import (
	"github.com/plumbnet/plumb/packet"
)

// An nftHeader is a header, and when a packet has it. nft leaves the question
// whether it has out where a field is asked for, so that it stands for both.
type nftHeader struct {
	has    func(x *nftRun, s *state) bool
	fields map[string]nftKeyExpr
}

func is4(x *nftRun, _ *state) bool { return !x.e.is6 }

func is6(x *nftRun, _ *state) bool { return x.e.is6 }

func isProto(p packet.Proto) func(*nftRun, *state) bool {
	return func(_ *nftRun, s *state) bool { return s.p.Proto == p }
}

func hasPorts(_ *nftRun, s *state) bool { return s.p.Proto.HasPorts() }

func field(t nftType, f func(x *nftRun, s *state) uint64) nftKeyExpr {
	return nftKeyExpr{t, number(t.size, f)}
}

// addrOf makes a leaf of an address.
func addrOf(t nftType, src bool) nftKeyExpr {
	return nftKeyExpr{t, func(_ *nftRun, s *state, b []byte) ([]byte, bool) { return appendAddr(b, end(s, src).Addr()), true }}
}

// portOf makes a leaf of a port.
func portOf(src bool) nftKeyExpr {
	return field(typePort, func(_ *nftRun, s *state) uint64 { return uint64(end(s, src).Port()) })
}

// anyPortOf is portOf for any transport protocol ("th dport"); of one without ports it is other bytes of its header.
func anyPortOf(src bool) nftKeyExpr {
	return nftKeyExpr{typePort, func(x *nftRun, s *state, b []byte) ([]byte, bool) {
		switch {
		case s.p.Proto.HasPorts():
			return appendNum(b, uint64(end(s, src).Port()), 2), true
		case isICMP(s.p.Proto) && src:
			return append(b, s.p.ICMPType, s.p.ICMPCode), true
		}
		return x.unknown(b, 2, "the header of a packet without ports is not known")
	}}
}

// sized is a leaf of a length, which may not be known.
func sized(t nftType, f func(size int) int) nftKeyExpr {
	return nftKeyExpr{t, func(x *nftRun, s *state, b []byte) ([]byte, bool) {
		if s.p.Size == 0 {
			return x.unknown(b, t.size, "the size of the packet is not known")
		}
		return appendNum(b, uint64(max(f(s.p.Size), 0)), t.size), true
	}}
}

func hops() nftKeyExpr {
	return nftKeyExpr{typeByte, func(x *nftRun, s *state, b []byte) ([]byte, bool) {
		if s.p.TTL == 0 {
			return x.unknown(b, 1, "the TTL of the packet is not known")
		}
		return append(b, s.p.TTL), true
	}}
}

func unseen(t nftType, what string) nftKeyExpr { return dark(t, what+" is not known") }

// sourceMAC gives the sender of a frame; a packet that was made here has none.
func sourceMAC(x *nftRun, _ *state, b []byte) ([]byte, bool) {
	if x.e.in.SrcMAC.IsZero() {
		return x.unknown(b, 6, "the source MAC address is not known")
	}
	return append(b, x.e.in.SrcMAC[:]...), true
}

// echoID gives the identifier of an echo, and of another message what stands there.
func echoID(x *nftRun, s *state, b []byte) ([]byte, bool) {
	if !isEcho(s.p) {
		return x.unknown(b, 2, "the header of an ICMP message is not known")
	}
	return appendNum(b, uint64(s.p.ICMPID), 2), true
}

// nextMTU gives the MTU that "fragmentation needed" and "packet too big" tell.
func nextMTU(t nftType) nftKeyExpr {
	return nftKeyExpr{t, func(x *nftRun, s *state, b []byte) ([]byte, bool) {
		if s.p.MTU == 0 {
			return x.unknown(b, t.size, "the header of an ICMP message is not known")
		}
		return appendNum(b, uint64(s.p.MTU), t.size), true
	}}
}

func icmpType(_ *nftRun, s *state) uint64 { return uint64(s.p.ICMPType) }

func icmpCode(_ *nftRun, s *state) uint64 { return uint64(s.p.ICMPCode) }

// fragOff gives the flags of an IPv4 header. No packet here is a fragment.
func fragOff(_ *nftRun, s *state) uint64 { return bit(s.p.DF, 0x4000) }

// nftHeaders are the headers and their fields, by the names of nft.
var nftHeaders = map[string]nftHeader{
	"ether": {has: hasFrame, fields: map[string]nftKeyExpr{
		"saddr": {typeEther, sourceMAC}, "daddr": unseen(typeEther, "the destination of a frame"),
		"type": field(typeEthType, func(x *nftRun, _ *state) uint64 { return etherType(x) }),
	}},
	"ip": {has: is4, fields: map[string]nftKeyExpr{
		"saddr": addrOf(typeV4, true), "daddr": addrOf(typeV4, false),
		"protocol": field(typeProto, func(_ *nftRun, s *state) uint64 { return uint64(s.p.Proto) }),
		"version":  field(typeByte, func(*nftRun, *state) uint64 { return 4 }), "hdrlength": field(typeByte, func(*nftRun, *state) uint64 { return 5 }),
		"dscp": field(typeDSCP, dscpOf), "ecn": field(typeECN, ecnOf), "length": sized(typeShort, func(n int) int { return n }),
		"ttl": hops(), "frag-off": field(typeShort, fragOff), "id": unseen(typeShort, "the identifier of a packet"),
		"checksum": unseen(typeShort, "the checksum of a packet"),
	}},
	"ip6": {has: is6, fields: map[string]nftKeyExpr{
		"saddr": addrOf(typeV6, true), "daddr": addrOf(typeV6, false),
		"nexthdr": field(typeProto, func(_ *nftRun, s *state) uint64 { return uint64(s.p.Proto) }),
		"version": field(typeByte, func(*nftRun, *state) uint64 { return 6 }), "dscp": field(typeDSCP, dscpOf), "ecn": field(typeECN, ecnOf),
		"length": sized(typeShort, func(n int) int { return n - 40 }), "hoplimit": hops(), "flowlabel": unseen(nftType{name: "flow label", size: 3}, "the flow label of a packet"),
	}},
	"tcp": {has: isProto(packet.TCP), fields: map[string]nftKeyExpr{
		"sport": portOf(true), "dport": portOf(false), "flags": field(typeFlags, func(_ *nftRun, s *state) uint64 { return uint64(s.p.Flags) }),
		"sequence": unseen(typeInt, "the sequence number of a segment"), "ackseq": unseen(typeInt, "the sequence number of a segment"),
		"window": unseen(typeShort, "the window of a segment"), "doff": unseen(typeByte, "the length of a TCP header"),
		"checksum": unseen(typeShort, "the checksum of a packet"), "urgptr": unseen(typeShort, "the urgent pointer of a segment"), "reserved": unseen(typeByte, "a reserved field"),
	}},
	"udp": {has: isProto(packet.UDP), fields: map[string]nftKeyExpr{
		"sport": portOf(true), "dport": portOf(false), "checksum": unseen(typeShort, "the checksum of a packet"), "length": {typeShort, udpLength},
	}},
	"sctp": {has: isProto(packet.SCTP), fields: map[string]nftKeyExpr{
		"sport": portOf(true), "dport": portOf(false), "checksum": unseen(typeInt, "the checksum of a packet"), "vtag": unseen(typeInt, "the tag of an association"),
	}},
	"udplite": {has: isProto(136), fields: anyPorts}, "dccp": {has: isProto(33), fields: anyPorts}, "th": {has: func(*nftRun, *state) bool { return true }, fields: anyPorts},
	"icmp": {has: isProto(packet.ICMP), fields: map[string]nftKeyExpr{
		"type": field(typeICMP, icmpType), "code": field(typeCode, icmpCode), "id": {typeShort, echoID}, "sequence": unseen(typeShort, "the sequence number of an echo"),
		"mtu": nextMTU(typeShort), "gateway": unseen(typeInt, "the gateway of a redirect"), "checksum": unseen(typeShort, "the checksum of a packet"),
	}},
	"icmpv6": {has: isProto(packet.ICMPv6), fields: map[string]nftKeyExpr{
		"type": field(typeICMP6, icmpType), "code": field(typeCode6, icmpCode), "id": {typeShort, echoID}, "sequence": unseen(typeShort, "the sequence number of an echo"),
		"mtu": nextMTU(typeInt), "packet-too-big": nextMTU(typeInt), "checksum": unseen(typeShort, "the checksum of a packet"), "parameter-problem": unseen(typeInt, "the header of an ICMP message"),
		"max-delay": unseen(typeShort, "the header of an ICMP message"), "taddr": unseen(typeV6, "the header of an ICMP message"), "daddr": unseen(typeV6, "the header of an ICMP message"),
	}},
	"esp": {has: isProto(50), fields: map[string]nftKeyExpr{"spi": unseen(typeInt, "the SPI of a packet"), "sequence": unseen(typeInt, "the SPI of a packet")}},
	"ah": {has: isProto(51), fields: map[string]nftKeyExpr{"spi": unseen(typeInt, "the SPI of a packet"), "sequence": unseen(typeInt, "the SPI of a packet"),
		"nexthdr": unseen(typeProto, "the header of a packet"), "hdrlength": unseen(typeByte, "the header of a packet"), "reserved": unseen(typeShort, "the header of a packet")}},
	"comp": {has: isProto(108), fields: map[string]nftKeyExpr{"nexthdr": unseen(typeProto, "the header of a packet"), "cpi": unseen(typeShort, "the header of a packet"), "flags": unseen(typeByte, "the header of a packet")}},
	"igmp": {has: isProto(2), fields: map[string]nftKeyExpr{"type": unseen(typeByte, "the header of a packet"), "mrt": unseen(typeByte, "the header of a packet"), "checksum": unseen(typeShort, "the header of a packet"), "group": unseen(typeV4, "the header of a packet")}},
}

var anyPorts = map[string]nftKeyExpr{"sport": anyPortOf(true), "dport": anyPortOf(false)}

func dscpOf(_ *nftRun, s *state) uint64 { return uint64(s.p.TOS >> 2) }

func ecnOf(_ *nftRun, s *state) uint64 { return uint64(s.p.TOS & 3) }

// hasFrame reports whether the packet came in a frame of Ethernet: not one that was made here, nor one that came by "lo".
func hasFrame(x *nftRun, _ *state) bool { return x.e.in.In != "" && x.e.in.In != "lo" }

func udpLength(x *nftRun, s *state, b []byte) ([]byte, bool) {
	head := 20
	if x.e.is6 {
		head = 40
	}
	return sized(typeShort, func(n int) int { return n - head }).load(x, s, b)
}

// noHeader are headers that no packet at these hooks has.
var noHeader = map[string]bool{"arp": true, "vlan": true}

func (p *nftParser) payload(_ string, n *jsonNode, _ *nftType) (nftTyped, error) {
	proto, name := n.get("protocol").str(), n.get("field").str()
	if base := n.get("base").str(); base != "" {
		return p.rawPayload(base, n)
	}
	if noHeader[proto] {
		t := typeHostInt
		return nftTyped{nftExpr: nftLeaf(func(_ *nftRun, _ *state, b []byte) ([]byte, bool) { return b, false }), types: []nftType{t}}, nil
	}
	h, ok := nftHeaders[proto]
	f, known := h.fields[name]
	if !ok || !known {
		return nftTyped{}, notUnderstood("the header field %s %s", short(proto), short(name))
	}
	load := nftLeaf(func(x *nftRun, s *state, b []byte) ([]byte, bool) {
		if !h.has(x, s) {
			return b, false
		}
		return f.load(x, s, b)
	})
	return nftTyped{nftExpr: load, types: []nftType{f.typ}}, nil
}

// rawPayload compiles "@th,16,16": bits by their place. Those that are whole fields of a packet are known.
func (p *nftParser) rawPayload(base string, n *jsonNode) (nftTyped, error) {
	off, ok := n.get("offset").num()
	bits, ok2 := n.get("len").num()
	if !ok || !ok2 || bits == 0 || bits > 8*16 || bits%8 != 0 || off%8 != 0 {
		return nftTyped{}, notUnderstood("the bits %d to %d of a header", off, off+bits)
	}
	t := nftType{name: "raw", size: int(bits / 8)}
	load := nftLeaf(func(x *nftRun, s *state, b []byte) ([]byte, bool) { return rawBytes(x, s, b, base, int(off/8), t.size) })
	return nftTyped{nftExpr: load, types: []nftType{t}}, nil
}

// rawBytes gives bytes of a header.
func rawBytes(x *nftRun, s *state, b []byte, base string, off, size int) ([]byte, bool) {
	ports, addrs := base == "th" && hasPorts(x, s), base == "nh"
	switch {
	case ports && size == 2 && off == 0:
		return appendNum(b, uint64(s.p.Src.Port()), 2), true
	case ports && size == 2 && off == 2:
		return appendNum(b, uint64(s.p.Dst.Port()), 2), true
	case addrs && !x.e.is6 && size == 4 && off == 12, addrs && x.e.is6 && size == 16 && off == 8:
		return appendAddr(b, s.p.Src.Addr()), true
	case addrs && !x.e.is6 && size == 4 && off == 16, addrs && x.e.is6 && size == 16 && off == 24:
		return appendAddr(b, s.p.Dst.Addr()), true
	case addrs && !x.e.is6 && size == 1 && off == 9, addrs && x.e.is6 && size == 1 && off == 6:
		return append(b, byte(s.p.Proto)), true
	}
	return x.unknown(b, size, "the bytes of a header are not known")
}
