package netfilter

import "github.com/plumbnet/plumb/packet"

// presence is an expression that only asks whether something is there.
func presence(f func(x *nftRun, s *state) Tri) nftTyped {
	return nftTyped{types: []nftType{typeBool}, nftExpr: nftLeaf(func(x *nftRun, s *state, b []byte) ([]byte, bool) {
		switch f(x, s) {
		case Yes:
			return append(b, 1), true
		case No:
			return append(b, 0), true
		}
		at := len(b)
		b, _ = x.unknown(b, 1, x.e.why)
		x.dark[at] = 1
		return b, true
	})}
}

// An nftFIB is "fib": what routing says about an address of the packet.
type nftFIB struct {
	src, mark, iif, oif bool
	result              string // "type", "oif" or "oifname"
}

func (p *nftParser) fib(_ string, n *jsonNode, _ *nftType) (nftTyped, error) {
	f := &nftFIB{result: n.get("result").str()}
	for _, s := range n.get("flags").strs() {
		switch s {
		case "saddr":
			f.src = true
		case "daddr":
		case "mark":
			f.mark = true
		case "iif":
			f.iif = true
		case "oif":
			f.oif = true
		default:
			return nftTyped{}, notUnderstood("fib %s", short(s))
		}
	}
	switch f.result {
	case "type":
		return nftTyped{nftExpr: nftLeaf(f.addrType), types: []nftType{typeFIB}}, nil
	case "oif":
		return nftTyped{nftExpr: nftLeaf(f.device), types: []nftType{typeIfIndex}}, nil
	case "oifname":
		return nftTyped{nftExpr: nftLeaf(f.device), types: []nftType{typeIfName}}, nil
	}
	return nftTyped{}, notUnderstood("fib %s", short(f.result))
}

// addrType gives RTN_* of an address (nft_fib4_eval_type, nft_fib6_eval_type).
func (f *nftFIB) addrType(x *nftRun, s *state, b []byte) ([]byte, bool) {
	dev := ""
	switch {
	case f.iif:
		dev = x.e.in.In
	case f.oif:
		dev = x.e.in.Out
	}
	a := end(s, f.src).Addr()
	have := x.e.typeOf(a, dev)
	for name, v := range typeFIB.syms {
		if string(have) == upper(name) {
			return appendNum(b, v, 4), true
		}
	}
	return x.unknown(b, 4, "the type of the address "+a.String()+" is not known")
}

// upper returns s in the capitals of an AddrType.
func upper(s string) string {
	b := []byte(s)
	for i, c := range b {
		if 'a' <= c && c <= 'z' {
			b[i] = c - 'a' + 'A'
		}
	}
	return string(b)
}

// device gives the device that a packet to the address would leave by, or none (nft_fib4_eval).
func (f *nftFIB) device(x *nftRun, s *state, b []byte) ([]byte, bool) {
	if !f.src || f.oif || x.e.in.Env == nil {
		return x.unknown(b, ifNameSize, "the route to an address is not known (fib)")
	}
	switch x.e.in.Env.ReversePath(s.p, x.e.in.In, !f.iif, f.mark, false) {
	case No:
		return appendText(b, ""), true
	case Yes:
		if f.iif || x.e.in.In == "lo" {
			return appendText(b, x.e.in.In), true
		}
	}
	return x.unknown(b, ifNameSize, "the route back to the source is not known (fib)")
}

// exists makes the question whether there is a route out of a fib expression.
func (f *nftFIB) exists(x *nftRun, s *state) Tri {
	if !f.src || f.oif || x.e.in.Env == nil {
		return x.e.maybe("the route to an address is not known (fib)")
	}
	r := x.e.in.Env.ReversePath(s.p, x.e.in.In, !f.iif, f.mark, false)
	if r == Maybe {
		x.e.maybe("the route back to the source is not known (fib)")
	}
	return r
}

func (p *nftParser) rt(_ string, n *jsonNode, _ *nftType) (nftTyped, error) {
	t := typeShort
	switch key := n.get("key").str(); key {
	case "mtu":
		return nftTyped{nftExpr: nftLeaf(routeMSS), types: []nftType{t}}, nil
	case "classid":
		t = typeHostInt
	case "ipsec":
		return presence(func(*nftRun, *state) Tri { return No }), nil
	default:
		return nftTyped{}, notUnderstood("rt %s", short(key))
	}
	return nftTyped{nftExpr: dark(t, "the route of a packet is not known").load, types: []nftType{t}}, nil
}

// routeMSS gives the MSS that fits the route, as get_tcpmss of nft_rt.c does.
func routeMSS(x *nftRun, s *state, b []byte) ([]byte, bool) {
	headers := 40
	if x.e.is6 {
		headers = 60
	}
	mtu := 0
	if x.e.in.Env != nil {
		mtu = x.e.in.Env.PathMTU(s.p, x.e.in.Out)
	}
	switch {
	case mtu == 0:
		return x.unknown(b, 2, "the MTU of the route is not known")
	case mtu <= headers:
		return appendNum(b, 536, 2), true
	}
	return appendNum(b, uint64(min(mtu-headers, 0xffff)), 2), true
}

func (p *nftParser) socket(_ string, n *jsonNode, _ *nftType) (nftTyped, error) {
	switch key := n.get("key").str(); key {
	case "transparent", "wildcard":
		return nftTyped{types: []nftType{typeByte}, nftExpr: nftLeaf(func(x *nftRun, s *state, b []byte) ([]byte, bool) { return socketHas(x, s, b, key) })}, nil
	case "mark":
		return nftTyped{types: []nftType{typeMark}, nftExpr: nftLeaf(func(x *nftRun, s *state, b []byte) ([]byte, bool) { return socketHas(x, s, b, key) })}, nil
	default:
		return nftTyped{}, notUnderstood("socket %s", short(key))
	}
}

// socketHas gives what a local socket has that would take the packet; without one, nothing (nft_socket_eval).
func socketHas(x *nftRun, s *state, b []byte, key string) ([]byte, bool) {
	size, ask := 1, Maybe
	if key == "mark" {
		size = 4
	}
	if x.e.in.Env != nil {
		ask = x.e.in.Env.Socket(s.p, false, false)
	}
	if ask == No {
		return b, false
	}
	narrow := Maybe
	if key != "mark" && x.e.in.Env != nil {
		narrow = x.e.in.Env.Socket(s.p, key == "transparent", key == "wildcard")
	}
	switch {
	case ask == Yes && narrow != Maybe && key == "transparent":
		return append(b, byte(bit(narrow == Yes, 1))), true
	case ask == Yes && narrow != Maybe && key == "wildcard":
		return append(b, byte(bit(narrow == No, 1))), true
	}
	return x.unknown(b, size, "whether a local socket would take the packet is not known")
}

// within makes x an expression that only a packet with a header has: nft leaves
// the question for the header out where it lists what is in it.
func within(header string, x nftTyped) nftTyped {
	has, load := nftHeaders[header].has, x.nftExpr
	x.nftExpr = nftLeaf(func(x *nftRun, s *state, b []byte) ([]byte, bool) {
		if !has(x, s) {
			return b, false
		}
		return load.load(x, s, b)
	})
	return x
}

// withOptions are the headers that options and extension headers belong to.
var withOptions = map[string]string{"exthdr": "ip6", "ip option": "ip", "dccp option": "dccp"}

// exthdr compiles a question for an extension header of IPv6, or an option of IPv4. No packet here has any.
func (p *nftParser) exthdr(op string, n *jsonNode, _ *nftType) (nftTyped, error) {
	if n.get("field") == nil {
		return within(withOptions[op], presence(func(*nftRun, *state) Tri { return No })), nil
	}
	return nftTyped{types: []nftType{typeHostInt}, nftExpr: nftLeaf(func(_ *nftRun, _ *state, b []byte) ([]byte, bool) { return b, false })}, nil
}

// tcpOption compiles a question for an option of a TCP segment. Of those, only the MSS is known.
func (p *nftParser) tcpOption(_ string, n *jsonNode, _ *nftType) (nftTyped, error) {
	name, what := n.get("name").str(), n.get("field").str()
	switch {
	case name == "maxseg" && what == "size":
		return nftTyped{types: []nftType{typeShort}, nftExpr: nftLeaf(segmentSize)}, nil
	case what != "" || name == "" || name == "maxseg" && n.get("base") != nil:
		return nftTyped{}, notUnderstood("tcp option %s %s", short(name), short(what))
	}
	return within("tcp", presence(func(x *nftRun, s *state) Tri {
		if name == "maxseg" {
			return tri(s.p.MSS != 0)
		}
		return x.e.maybe("the options of a TCP segment are not known")
	})), nil
}

func isTCP(s *state) bool { return s.p.Proto == packet.TCP }

// segmentSize gives the MSS that a segment offers, where it does.
func segmentSize(_ *nftRun, s *state, b []byte) ([]byte, bool) {
	if !isTCP(s) || s.p.MSS == 0 {
		return b, false
	}
	return appendNum(b, uint64(s.p.MSS), 2), true
}

// sctpChunk compiles a question for a chunk of an SCTP packet; one that opens an association has INIT alone.
func (p *nftParser) sctpChunk(_ string, n *jsonNode, _ *nftType) (nftTyped, error) {
	name := n.get("name").str()
	if n.get("field") != nil {
		return nftTyped{}, notUnderstood("the fields of sctp chunk %s", short(name))
	}
	return within("sctp", presence(func(x *nftRun, s *state) Tri {
		if !s.hasConn || s.c.State != New {
			return x.e.maybe("the chunks of an SCTP packet are not known")
		}
		return tri(name == "init")
	})), nil
}
