package redact

import (
	"crypto/hmac"
	"crypto/sha256"
)

// derive returns the key for one purpose.
func derive(key []byte, purpose string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(purpose))
	return h.Sum(nil)
}

// A tree permutes strings of bits of one length, and keeps prefixes: two that share their
// first n bits, and no more, have pseudonyms that do. Each node of the binary tree of all
// strings swaps its children or not, as the key decides (Xu et al., ICNP 2002).
type tree struct {
	key   []byte
	swaps map[string][]byte // of the nodes below a prefix of whole bytes: bit i of node i
}

func newTree(key []byte) *tree { return &tree{key, map[string][]byte{}} }

// below returns which nodes swap in the eight levels below a prefix.
func (t *tree) below(prefix []byte) []byte {
	if s := t.swaps[string(prefix)]; s != nil {
		return s
	}
	h := hmac.New(sha256.New, t.key)
	h.Write([]byte{byte(len(prefix))})
	h.Write(prefix)
	s := h.Sum(nil)
	t.swaps[string(prefix)] = s
	return s
}

// permute returns the pseudonym of b. free says of each depth whether the node that b passes
// there may swap; it may look at the bits of b before that depth only.
func (t *tree) permute(b []byte, free func(depth int) bool) []byte {
	out := make([]byte, len(b))
	for i, c := range b {
		swaps, node := t.below(b[:i]), 1
		for k := range 8 {
			bit := c >> (7 - k) & 1
			out[i] |= bit << (7 - k)
			if swaps[node/8]>>(node%8)&1 == 1 && free(i*8+k) {
				out[i] ^= 1 << (7 - k)
			}
			node = node*2 + int(bit)
		}
	}
	return out
}

// A span is the strings that begin with some bits.
type span struct {
	b     []byte
	bits  int
	fixed bool // each is its own pseudonym; else only the span is
}

// common returns how many leading bits a and b share, up to most.
func common(a, b []byte, most int) int {
	n := 0
	for n < most && bit(a, n) == bit(b, n) {
		n++
	}
	return n
}

func bit(b []byte, i int) byte { return b[i/8] >> (7 - i%8) & 1 }

// same reports whether the bits of b from lo to hi are all equal to v.
func same(b []byte, lo, hi int, v byte) bool {
	for i := lo; i < hi; i++ {
		if bit(b, i) != v {
			return false
		}
	}
	return true
}

// leads reports whether the node that b passes at depth leads to a span, which must not move,
// or is within a fixed one.
func leads(spans []span, b []byte, depth int) bool {
	for _, s := range spans {
		if n := min(s.bits, depth); n == common(b, s.b, n) && (depth < s.bits || s.fixed) {
			return true
		}
	}
	return false
}
