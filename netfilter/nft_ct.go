package netfilter

import (
	"net/netip"
	"strings"
)

// ctBits are the bits of a connection's state, by State (NF_CT_STATE_BIT).
var ctBits = [...]uint64{New: 8, Established: 2, Related: 4, Invalid: 1, Untracked: 64}

// ofConn makes a leaf of what a connection has; without a connection there is
// none. template is what the empty connection has that "ct zone set" makes.
func ofConn(size int, template uint64, f func(x *nftRun, s *state) uint64) nftLeaf {
	return func(x *nftRun, s *state, b []byte) ([]byte, bool) {
		switch {
		case s.onTemplate():
			return appendNum(b, template, size), true
		case !s.tracked():
			return b, false
		}
		return appendNum(b, f(x, s), size), true
	}
}

// ofOldConn is ofConn for what only a connection's first packet tells, when it is fresh.
func ofOldConn(t nftType, fresh uint64, why string) nftKeyExpr {
	return nftKeyExpr{t, func(x *nftRun, s *state, b []byte) ([]byte, bool) {
		switch {
		case s.onTemplate() || s.tracked() && s.c.State == New:
			return appendNum(b, fresh, t.size), true
		case !s.tracked():
			return b, false
		}
		return x.unknown(b, t.size, why)
	}}
}

// nftCT are the keys of "ct" that have no direction (nft_ct_get_eval).
var nftCT = map[string]nftKeyExpr{
	"state":      {typeState, ctStateBits},
	"direction":  {typeDir, ofConn(1, 0, func(_ *nftRun, s *state) uint64 { return bit(s.c.Reply, 1) })},
	"status":     {typeStatus, ctStatusBits},
	"mark":       {typeMark, ofConn(4, 0, func(_ *nftRun, s *state) uint64 { return uint64(s.c.Mark) })},
	"zone":       {nftType{name: "zone", size: 2, host: true}, ctZone},
	"l3proto":    {typeNFProto, ofConn(1, 0, func(x *nftRun, _ *state) uint64 { return nfProto(x) })},
	"protocol":   {typeProto, ofConn(1, 0, func(_ *nftRun, s *state) uint64 { return uint64(s.c.Orig.Proto) })},
	"helper":     {typeIfName, ctHelper},
	"expiration": {typeHostInt, ctUnknown(4, "when a connection expires is not known")},
	"label":      ofOldConn(nftType{name: "ct_label", size: 16, host: true}, 0, "the labels of connections were not collected"),
	"id":         {typeHostInt, ctUnknown(4, "the identifier of a connection is not known")},
	"secmark":    {typeHostInt, ctUnknown(4, "the security mark of a connection is not known")},
	"packets":    {typeLong, ctUnknown(8, "how much a connection has sent is not known")},
	"bytes":      {typeLong, ctUnknown(8, "how much a connection has sent is not known")},
	"avgpkt":     {typeLong, ctUnknown(8, "how much a connection has sent is not known")},
	"event":      {typeHostInt, ctUnknown(4, "the events of a connection are not known")},
}

func ctUnknown(size int, why string) nftLeaf {
	return func(x *nftRun, s *state, b []byte) ([]byte, bool) {
		if !s.tracked() && !s.onTemplate() {
			return b, false
		}
		return x.unknown(b, size, why)
	}
}

func bit(on bool, v uint64) uint64 {
	if on {
		return v
	}
	return 0
}

func ctStateBits(_ *nftRun, s *state, b []byte) ([]byte, bool) {
	state := Invalid
	switch {
	case s.onTemplate():
		state = New
	case s.hasConn:
		state = s.c.State
	}
	return appendNum(b, ctBits[min(int(state), len(ctBits)-1)], 4), true
}

func ctZone(_ *nftRun, s *state, b []byte) ([]byte, bool) {
	switch {
	case s.onTemplate():
		return appendNum(b, uint64(s.zone), 2), true
	case !s.tracked():
		return b, false
	}
	return appendNum(b, uint64(s.c.Zone), 2), true
}

// ctTemplate is IPS_TEMPLATE.
const ctTemplate = 1 << 11

// ctStatusBits gives IPS_*. Those that a snapshot does not tell are dark once a connection is not fresh.
func ctStatusBits(x *nftRun, s *state, b []byte) ([]byte, bool) {
	switch {
	case s.onTemplate():
		return appendNum(b, ctTemplate, 4), true
	case !s.tracked():
		return b, false
	}
	fresh := s.c.State == New
	v := bit(!fresh || wasConfirmed(x, s), 8) | bit(s.c.SNAT, 16) | bit(s.c.DNAT, 32) | bit(s.c.State == Established, 2)
	if x.e.r.asksNAT(x.e.is6) {
		v |= bit(s.c.SrcDone, 128) | bit(s.c.DstDone, 256)
	}
	at := len(b)
	b = appendNum(b, v, 4)
	if !fresh && at+4 <= maxValue { // assured, sequence numbers adjusted, helper, offloaded; expected and answered, of a related one
		x.e.maybe("the status of a connection is not known")
		x.isDark = true
		x.dark[at+2], x.dark[at+3] = 0x60, 0x44|byte(bit(s.c.State == Related, 3))
		b[at+3] &^= x.dark[at+3]
	}
	return b, true
}

// wasConfirmed reports whether an earlier packet took a fresh connection past all hooks. The hook at hand may have asked for the source.
func wasConfirmed(x *nftRun, s *state) bool {
	if x.e.in.Conn != nil && manipAt(x.e.in.Hook) == manipSrc {
		return x.e.in.Conn.SrcDone
	}
	return s.c.SrcDone
}

// ctHelper gives the name of the helper that expected the connection, which only a related one has.
func ctHelper(x *nftRun, s *state, b []byte) ([]byte, bool) {
	if s.tracked() && (s.c.State == Related && !s.p.IsICMPError() || s.c.State == Established) {
		return x.unknown(b, ifNameSize, "the helper that expected a connection is not known")
	}
	return b, false
}

func (p *nftParser) ct(_ string, n *jsonNode, _ *nftType) (nftTyped, error) {
	key, dir := n.get("key").str(), n.get("dir").str()
	if k, ok := nftCT[key]; ok && (dir == "" || key == "zone" || key == "packets" || key == "bytes" || key == "avgpkt") {
		return nftTyped{nftExpr: k.load, types: []nftType{k.typ}}, nil
	}
	k, ok := ctDirection(key, dir == "reply")
	if !ok || dir != "original" && dir != "reply" {
		return nftTyped{}, notUnderstood("ct %s %s", short(dir), short(key))
	}
	return nftTyped{nftExpr: k.load, types: []nftType{k.typ}}, nil
}

// ctDirection returns one end of a connection as one direction has it.
func ctDirection(key string, reply bool) (nftKeyExpr, bool) {
	ends, ok := map[string]string{"ip saddr": "src", "ip daddr": "dst", "ip6 saddr": "src", "ip6 daddr": "dst", "proto-src": "srcport", "proto-dst": "dstport"}[key]
	if !ok {
		return ctFlat(key)
	}
	option := "--ctorig" + ends
	if reply {
		option = "--ctrepl" + ends
	}
	end := ctEnds[option]
	if strings.HasSuffix(ends, "port") {
		return nftKeyExpr{typePort, func(x *nftRun, s *state, b []byte) ([]byte, bool) { return ctPortOf(x, s, b, option, end) }}, true
	}
	is6 := strings.HasPrefix(key, "ip6")
	t := typeV4
	if is6 {
		t = typeV6
	}
	return nftKeyExpr{t, func(x *nftRun, s *state, b []byte) ([]byte, bool) {
		if !s.tracked() || x.e.is6 != is6 {
			return b, false
		}
		return appendAddr(b, end(&s.c).Addr()), true
	}}, true
}

// ctFlat returns what both directions have alike.
func ctFlat(key string) (nftKeyExpr, bool) {
	k, ok := nftCT[key]
	return k, ok && (key == "protocol" || key == "l3proto")
}

func ctPortOf(x *nftRun, s *state, b []byte, option string, end func(*Conn) netip.AddrPort) ([]byte, bool) {
	chosen := "--ctrepldstport"
	if isICMP(s.c.Orig.Proto) {
		chosen = "--ctreplsrcport"
	}
	switch {
	case s.onTemplate():
		return appendNum(b, 0, 2), true
	case !s.tracked():
		return b, false
	case s.c.RandomPort && option == chosen:
		return x.unknown(b, 2, "the source port that NAT chose is not known")
	}
	return appendNum(b, uint64(ctPort(option, end(&s.c), s.c.Orig.Proto)), 2), true
}
