package netfilter

import (
	"errors"
	"fmt"
)

// An nftRun is what the evaluation of native rules has at hand.
type nftRun struct {
	e *eval
	t *Table

	// dark has a bit for each bit of the value at hand that is not known; e.why says why.
	dark   [maxValue]byte
	isDark bool
	// forced is the value that a number generator is taken to give, where isForced.
	forced   uint64
	isForced bool
	buf      [maxValue]byte
}

// An nftExpr is an expression.
type nftExpr interface {
	// load appends the value that the packet of s gives. It returns false where
	// the kernel cannot load it (NFT_BREAK); the rule then does not match.
	load(x *nftRun, s *state, b []byte) ([]byte, bool)
}

// An nftLeaf is an expression without operands.
type nftLeaf func(x *nftRun, s *state, b []byte) ([]byte, bool)

func (f nftLeaf) load(x *nftRun, s *state, b []byte) ([]byte, bool) { return f(x, s, b) }

// nftTyped is an expression with the types of its fields; only a concatenation has several.
type nftTyped struct {
	nftExpr
	types  []nftType
	choice *nftChoice // the number generator in it, nil if there is none
}

// size returns the number of bytes of a value.
func (t *nftTyped) size() (n int) {
	for _, f := range t.types {
		n += f.size
	}
	return n
}

// value loads the value of an expression from the start of the buffer.
func (x *nftRun) value(t *nftTyped, s *state) ([]byte, bool) {
	if x.isDark {
		x.dark, x.isDark = [maxValue]byte{}, false
	}
	b, ok := t.load(x, s, x.buf[:0])
	return b, ok && len(b) <= maxValue
}

// unknown appends size bytes that are not known.
func (x *nftRun) unknown(b []byte, size int, why string) ([]byte, bool) {
	x.e.maybe(why)
	x.isDark = true
	for range size {
		if len(b) < maxValue {
			x.dark[len(b)] = 0xff
		}
		b = append(b, 0)
	}
	return b, true
}

// nftConst is a constant.
type nftConst []byte

func (c nftConst) load(_ *nftRun, _ *state, b []byte) ([]byte, bool) { return append(b, c...), true }

// nftConcat is a concatenation: "ip daddr . tcp dport".
type nftConcat []nftExpr

func (c nftConcat) load(x *nftRun, s *state, b []byte) ([]byte, bool) {
	for _, part := range c {
		var ok bool
		if b, ok = part.load(x, s, b); !ok {
			return b, false
		}
	}
	return b, true
}

// nftBitwise is "&", "|", "^", "<<" or ">>".
type nftBitwise struct {
	op          string
	left, right nftExpr
	size        int
}

func (o *nftBitwise) load(x *nftRun, s *state, b []byte) ([]byte, bool) {
	at := len(b)
	b, ok := o.left.load(x, s, b)
	if !ok || len(b) != at+o.size {
		return b, false
	}
	var room [maxValue]byte
	saved, was := x.dark, x.isDark
	x.dark, x.isDark = [maxValue]byte{}, false
	r, ok := o.right.load(x, s, room[:0])
	if !ok || len(r) != o.size {
		return b, false
	}
	right := x.dark
	x.dark, x.isDark = saved, was || x.isDark
	if o.op == "<<" || o.op == ">>" {
		o.shift(x, b, at, numOf(r))
		return b, true
	}
	for i, c := range r {
		o.combine(&b[at+i], &x.dark[at+i], c, right[i])
	}
	return b, true
}

// combine combines one byte with c. The bits of dark and dark2 are not known.
func (o *nftBitwise) combine(v, dark *byte, c, dark2 byte) {
	switch o.op {
	case "&":
		both := *dark & dark2
		*dark = *dark&c | dark2&*v | both
		*v &= c
	case "|":
		both := *dark & dark2
		*dark = *dark&^c | dark2&^*v | both
		*v |= c
	case "^":
		*dark |= dark2
		*v ^= c
	}
	*v &^= *dark
}

// shift shifts the number at b[at:]; the places that it leaves are zero.
func (o *nftBitwise) shift(x *nftRun, b []byte, at int, by uint64) {
	move := func(v uint64) uint64 {
		if o.op == "<<" {
			return v << by
		}
		return v >> by
	}
	v, d := move(numOf(b[at:])), move(numOf(x.dark[at:len(b)]))
	appendNum(b[:at], v, o.size)
	appendNum(x.dark[:at], d, o.size)
}

// errNFT is what stands behind all that is not understood of a rule.
var errNFT = errors.New("not understood")

func notUnderstood(format string, a ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{errNFT}, a...)...)
}

// expr compiles an expression; want is the type of constants in it, nil where nothing tells it.
func (p *nftParser) expr(n *jsonNode, want *nftType) (nftTyped, error) {
	if n == nil {
		return nftTyped{}, notUnderstood("an expression is missing")
	}
	if n.kind != '{' {
		return p.constant(n, want)
	}
	op, arg := n.only()
	if op == "concat" {
		return p.concat(arg)
	}
	if make := nftExprs[op]; make != nil {
		return make(p, op, arg, want)
	}
	return nftTyped{}, notUnderstood("the expression %s", short(op))
}

// nftExprs make the expressions, by the name that JSON gives them. It is filled
// where the functions are, for they name each other.
var nftExprs map[string]func(p *nftParser, op string, n *jsonNode, want *nftType) (nftTyped, error)

func init() {
	nftExprs = map[string]func(p *nftParser, op string, n *jsonNode, want *nftType) (nftTyped, error){
		"meta": (*nftParser).meta, "ct": (*nftParser).ct, "payload": (*nftParser).payload, "fib": (*nftParser).fib,
		"rt": (*nftParser).rt, "socket": (*nftParser).socket, "numgen": (*nftParser).numgen, "jhash": (*nftParser).hash, "symhash": (*nftParser).hash,
		"map": (*nftParser).mapExpr, "exthdr": (*nftParser).exthdr, "tcp option": (*nftParser).tcpOption, "ip option": (*nftParser).exthdr,
		"sctp chunk": (*nftParser).sctpChunk, "osf": (*nftParser).strange, "ipsec": (*nftParser).strange, "dccp option": (*nftParser).exthdr,
		"&": (*nftParser).bitwise, "|": (*nftParser).bitwise, "^": (*nftParser).bitwise, "<<": (*nftParser).bitwise, ">>": (*nftParser).bitwise,
	}
}

// constant compiles a constant; a list is all of its flags.
func (p *nftParser) constant(n *jsonNode, want *nftType) (nftTyped, error) {
	if want == nil {
		return nftTyped{}, notUnderstood("a constant whose type is not known")
	}
	b, ok := want.constant(nil, n)
	if n.kind == '[' {
		b, ok = want.union(n.kids)
	}
	if !ok {
		return nftTyped{}, notUnderstood("%s is no %s", short(n.text), want.name)
	}
	return nftTyped{nftExpr: nftConst(b), types: []nftType{*want}}, nil
}

// union returns the flags of a list together.
func (t *nftType) union(list []jsonNode) ([]byte, bool) {
	out := make([]byte, t.size)
	for i := range list {
		b, ok := t.constant(nil, &list[i])
		if !ok || len(b) != t.size {
			return nil, false
		}
		for k := range b {
			out[k] |= b[k]
		}
	}
	return out, len(list) > 0
}

func (p *nftParser) concat(n *jsonNode) (nftTyped, error) {
	var parts nftConcat
	out := nftTyped{}
	for i := range n.list() {
		part, err := p.expr(&n.kids[i], nil)
		if err != nil {
			return out, err
		}
		if out.choice, err = oneChoice(out.choice, part.choice); err != nil {
			return out, err
		}
		parts = append(parts, part.nftExpr)
		out.types = append(out.types, part.types...)
	}
	out.nftExpr = parts
	if out.size() > maxValue || len(parts) == 0 {
		return out, notUnderstood("a concatenation of %d bytes", out.size())
	}
	return out, nil
}

func (p *nftParser) bitwise(op string, n *jsonNode, want *nftType) (nftTyped, error) {
	args := n.list()
	if len(args) < 2 {
		return nftTyped{}, notUnderstood("%s without operands", op)
	}
	if args[0].kind != '{' && args[0].kind != '[' && op == "|" {
		return p.constant(&jsonNode{kind: '[', kids: args}, want)
	}
	left, err := p.expr(&args[0], want)
	if err != nil {
		return left, err
	}
	if len(left.types) != 1 {
		return left, notUnderstood("%s of a concatenation", op)
	}
	size := left.types[0].size
	for i := range args[1:] {
		right, err := p.operand(op, &args[i+1], &left.types[0])
		if err != nil {
			return left, err
		}
		left.nftExpr = &nftBitwise{op, left.nftExpr, right.nftExpr, size}
		if left.choice, err = oneChoice(left.choice, right.choice); err != nil {
			return left, err
		}
	}
	return left, nil
}

// oneChoice returns the number generator of an expression with two parts. Two are not followed.
func oneChoice(a, b *nftChoice) (*nftChoice, error) {
	switch {
	case a == nil:
		return b, nil
	case b != nil:
		return a, notUnderstood("two number generators in one expression")
	}
	return a, nil
}

// operand compiles the right side of a bitwise operation, which is as wide as the left.
func (p *nftParser) operand(op string, n *jsonNode, left *nftType) (nftTyped, error) {
	if op == "<<" || op == ">>" {
		by, ok := n.num()
		if !ok || by > 63 || left.size > 8 {
			return nftTyped{}, notUnderstood("a shift by %s", short(n.text))
		}
		return nftTyped{nftExpr: nftConst(appendNum(nil, by, left.size)), types: []nftType{*left}}, nil
	}
	right, err := p.expr(n, left)
	if err == nil && right.size() != left.size {
		err = notUnderstood("%s of values of %d and %d bytes", op, left.size, right.size())
	}
	return right, err
}

// strange is an expression about what no snapshot holds.
func (p *nftParser) strange(op string, _ *jsonNode, _ *nftType) (nftTyped, error) {
	return nftTyped{}, notUnderstood("%s", op)
}
