package netfilter

import (
	"encoding/binary"
	"math/bits"
)

// maxForced bounds how many values of a number generator are followed.
const maxForced = 1024

// An nftChoice is a number that the kernel picks: numgen, symhash, or jhash with
// a seed of its own. Each value is met by a like share of the connections.
type nftChoice struct{ mod, off uint64 }

func (c *nftChoice) load(x *nftRun, _ *state, b []byte) ([]byte, bool) {
	if x.isForced {
		return appendNum(b, x.forced, 4), true
	}
	return x.unknown(b, 4, "the number that the kernel picks is not known")
}

func (p *nftParser) numgen(_ string, n *jsonNode, _ *nftType) (nftTyped, error) {
	c, err := newChoice(n)
	return nftTyped{nftExpr: c, types: []nftType{typeHostInt}, choice: c}, err
}

func newChoice(n *jsonNode) (*nftChoice, error) {
	mod, ok := n.get("mod").num()
	off := uint64(0)
	ok2 := true
	if n.get("offset") != nil {
		off, ok2 = n.get("offset").num()
	}
	if !ok || !ok2 || mod == 0 || mod > 1<<32 || off > 1<<32 {
		return &nftChoice{mod: 1}, notUnderstood("the modulus %s", short(n.get("mod").str()))
	}
	return &nftChoice{mod, off}, nil
}

// hash compiles jhash and symhash. Only a jhash whose seed is known can be computed.
func (p *nftParser) hash(op string, n *jsonNode, _ *nftType) (nftTyped, error) {
	c, err := newChoice(n)
	out := nftTyped{nftExpr: c, types: []nftType{typeHostInt}, choice: c}
	seed, known := n.get("seed").num()
	if err != nil || op == "symhash" || !known {
		return out, err
	}
	key, err := p.expr(n.get("expr"), nil)
	if err != nil || key.choice != nil {
		return out, err
	}
	for _, t := range key.types {
		if t.text {
			return out, nil // of the index of a device, only the name is known
		}
	}
	return nftTyped{nftExpr: &nftJHash{key, uint32(seed), *c}, types: []nftType{typeHostInt}}, nil
}

// An nftJHash is jhash with a seed that is known.
type nftJHash struct {
	key  nftTyped
	seed uint32
	nftChoice
}

func (h *nftJHash) load(x *nftRun, s *state, b []byte) ([]byte, bool) {
	var room [maxValue]byte
	was := x.isDark
	x.isDark = false
	v, ok := h.key.load(x, s, room[:0])
	unknown := x.isDark
	x.isDark = was
	switch {
	case !ok || len(v) != h.key.size():
		return b, false
	case unknown:
		return x.unknown(b, 4, x.e.why)
	}
	sum := jhash(h.registers(v), h.seed)
	scaled, _ := bits.Mul64(uint64(sum)<<32, h.mod)
	return appendNum(b, scaled+h.off, 4), true
}

// registers returns the value as the registers of a little-endian CPU hold it: each field
// begins a register of 4 bytes, and numbers of the host's own are turned round.
func (h *nftJHash) registers(v []byte) []byte {
	var out []byte
	for _, t := range h.key.types {
		f := append([]byte(nil), v[:t.size]...)
		v = v[t.size:]
		for i := range len(f) / 2 {
			if t.host {
				f[i], f[len(f)-1-i] = f[len(f)-1-i], f[i]
			}
		}
		out = append(out, f...)
		for len(h.key.types) > 1 && len(out)%4 != 0 {
			out = append(out, 0)
		}
	}
	return out
}

// jhash is Bob Jenkins' hash as include/linux/jhash.h has it.
func jhash(k []byte, seed uint32) uint32 {
	a := 0xdeadbeef + uint32(len(k)) + seed
	b, c := a, a
	le := binary.LittleEndian
	for len(k) > 12 {
		a, b, c = a+le.Uint32(k), b+le.Uint32(k[4:]), c+le.Uint32(k[8:])
		a = a - c ^ bits.RotateLeft32(c, 4)
		c += b
		b = b - a ^ bits.RotateLeft32(a, 6)
		a += c
		c = c - b ^ bits.RotateLeft32(b, 8)
		b += a
		a = a - c ^ bits.RotateLeft32(c, 16)
		c += b
		b = b - a ^ bits.RotateLeft32(a, 19)
		a += c
		c = c - b ^ bits.RotateLeft32(b, 4)
		b += a
		k = k[12:]
	}
	if len(k) == 0 {
		return c
	}
	var rest [12]byte
	copy(rest[:], k)
	a, b, c = a+le.Uint32(rest[:]), b+le.Uint32(rest[4:]), c+le.Uint32(rest[8:])
	c = c ^ b - bits.RotateLeft32(b, 14)
	a = a ^ c - bits.RotateLeft32(c, 11)
	b = b ^ a - bits.RotateLeft32(a, 25)
	c = c ^ b - bits.RotateLeft32(b, 16)
	a = a ^ c - bits.RotateLeft32(c, 4)
	b = b ^ a - bits.RotateLeft32(a, 14)
	return c ^ b - bits.RotateLeft32(b, 24)
}
