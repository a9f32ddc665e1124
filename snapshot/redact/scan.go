package redact

import (
	"net/netip"
	"strconv"
	"strings"

	"github.com/plumbnet/plumb/packet"
)

// A scan goes through the tokens of a text: addresses of any kind, and runs of letters and
// digits. What is between them is copied.
type scan struct {
	text string
	pos  int
	out  strings.Builder
	tok  string // the token at hand
	kind tokenKind
	ip   netip.Addr // of an address
	bits int        // of a prefix; -1 where none is written
	m    packet.MAC
}

type tokenKind uint8

const (
	tokWord tokenKind = iota
	tokAddr
	tokMAC
)

// next goes to the next token.
func (s *scan) next() bool {
	start := s.pos // of what is copied
	for ; s.pos < len(s.text); s.pos++ {
		word := isWord(s.text[s.pos])
		if !word && !strings.HasPrefix(s.text[s.pos:], "::") { // "::1" has no letter before
			continue
		}
		s.out.WriteString(s.text[start:s.pos])
		start = s.pos
		if s.address() {
			return true
		}
		if !word {
			continue
		}
		end := s.pos
		for end < len(s.text) && isWord(s.text[end]) {
			end++
		}
		s.take(tokWord, end)
		return true
	}
	s.out.WriteString(s.text[start:])
	return false
}

// put writes what stands for the token.
func (s *scan) put(text string) { s.out.WriteString(text) }

func (s *scan) take(kind tokenKind, end int) {
	s.kind, s.tok, s.pos = kind, s.text[s.pos:end], end
}

// isWord reports whether c is of a word: a letter, a digit, or of a letter beyond ASCII.
func isWord(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= 0x80
}

// address takes an address, a prefix or a MAC address, if the text goes on with one.
func (s *scan) address() bool {
	rest := s.text[s.pos:]
	n := 0
	for n < len(rest) && n < 64 && strings.IndexByte("0123456789abcdefABCDEF:.", rest[n]) >= 0 {
		n++
	}
	run := strings.TrimRight(rest[:n], ".")
	if i := strings.IndexByte(run, ':'); i > 0 && strings.Contains(run[:i], ".") {
		run = run[:i] // 10.0.0.1:80
	}
	if len(run) < len(rest) && isWord(rest[len(run)]) {
		return false
	}
	for _, try := range []string{run, strings.TrimSuffix(run, ":")} {
		if m, err := packet.ParseMAC(try); err == nil && len(try) == 17 {
			s.m = m
			s.take(tokMAC, s.pos+len(try))
			return true
		}
		if a, err := netip.ParseAddr(try); err == nil {
			s.ip, s.bits = a, -1
			s.take(tokAddr, s.pos+len(try)+s.length(rest[len(try):], a.BitLen()))
			return true
		}
	}
	return false
}

// length reads the "/24" that may follow an address, and returns how many bytes it has.
func (s *scan) length(rest string, most int) int {
	n := 1
	for n < len(rest) && n < 4 && rest[n] >= '0' && rest[n] <= '9' {
		n++
	}
	if n == 1 || rest[0] != '/' || n < len(rest) && isWord(rest[n]) {
		return 0
	}
	bits, err := strconv.Atoi(rest[1:n])
	if err != nil || bits > most {
		return 0
	}
	s.bits = bits
	return n
}

// prefix returns the prefix of an address token; all bits count where none is written.
func (s *scan) prefix() netip.Prefix {
	if s.bits < 0 {
		return netip.PrefixFrom(s.ip, s.ip.BitLen())
	}
	return netip.PrefixFrom(s.ip, s.bits)
}

// address redacts the token of an address or a MAC address; "" for a word.
func (r *redactor) token(s *scan) string {
	switch {
	case s.kind == tokMAC:
		return r.mac(s.m).String()
	case s.kind == tokWord:
		return ""
	case s.bits < 0:
		return r.addr(s.ip).String()
	}
	return r.prefix(s.prefix()).String()
}

// one redacts a text that is one address, prefix or MAC address as a whole; false for any other.
func (r *redactor) one(text string) (string, bool) {
	s := scan{text: text}
	if !s.next() || s.kind == tokWord || len(s.tok) != len(text) {
		return "", false
	}
	return r.token(&s), true
}
