package redact

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base32"
	"encoding/hex"
	"net/netip"
	"strconv"
	"strings"

	"github.com/plumbnet/plumb/packet"
)

// The kinds of pseudonyms, each with a key of its own.
const (
	kindName = iota
	kind4
	kind6
	kindMAC
	kinds
)

// A redactor redacts files under one key, and remembers each pseudonym.
type redactor struct {
	names       []byte // the key
	v4, v6      *tree
	ids, groups *tree // interface identifiers, and ends of solicited-node addresses
	macs        *tree
	hashes      map[int]*tree     // of hexadecimal digits, by their number
	partOf      map[string]string // pseudonyms of parts of names
	aliasOf     map[string]string // pseudonyms of words in names of devices
	prefixOf    map[netip.Prefix]netip.Prefix
	macOf       map[packet.MAC]packet.MAC
	left        []string // files, and why
	bySource    map[string]rewriter
}

// newRedactor derives the keys, those of each kind for its attempt.
func newRedactor(key []byte, attempt [kinds]int) *redactor {
	of := func(kind int, purpose string) []byte { return derive(key, purpose+"/"+strconv.Itoa(attempt[kind])) }
	return &redactor{
		names: of(kindName, "names"), v4: newTree(of(kind4, "ipv4")), v6: newTree(of(kind6, "ipv6")),
		ids: newTree(of(kind6, "identifiers")), groups: newTree(of(kindMAC, "groups")), macs: newTree(of(kindMAC, "mac")),
		partOf: map[string]string{}, aliasOf: map[string]string{}, hashes: map[int]*tree{}, prefixOf: map[netip.Prefix]netip.Prefix{}, macOf: map[packet.MAC]packet.MAC{},
	}
}

// leastMobile is how many bits of a prefix must be able to change for it to count as an
// original that no pseudonym may be: a prefix of fewer, such as 10.0.0.0/8, says nothing of a cluster.
const leastMobile = 6

// clashes says for which kinds a pseudonym is one of the originals, or of two of them.
func (r *redactor) clashes() (bad [kinds]bool) {
	seen := map[string]bool{}
	for from, to := range r.partOf {
		_, original := r.partOf[to]
		bad[kindName] = bad[kindName] || from != to && (original || seen[to] || kept(to))
		seen[to] = true
	}
	for from, to := range r.prefixOf {
		kind := kind4
		if from.Addr().Is6() {
			kind = kind6
		}
		if _, original := r.prefixOf[to]; original && mobile(from) >= leastMobile {
			bad[kind] = true
		}
	}
	for from, to := range r.macOf {
		if _, original := r.macOf[to]; original && !leads(spansMAC, from[:], 47) {
			bad[kindMAC] = true
		}
	}
	return bad
}

// name redacts a name, or a text made of names: part by part, a part being letters and digits.
// Addresses in it become their pseudonyms.
func (r *redactor) name(text string) string {
	s := scan{text: text}
	numbers := 0 // that stand together, as in ip-10-0-0-1
	port := false
	for s.next() {
		label := s.label()
		switch {
		case s.kind != tokWord:
			s.put(r.token(&s))
		case system[label]:
			s.put(label)
			s.pos += len(label) - len(s.tok)
		case kept(s.tok), isNumber(s.tok) && (port && len(s.tok) <= 5 || len(s.tok) <= 3 && numbers == 0 && s.ordinal()):
			s.put(s.tok)
		default:
			s.put(r.part(s.tok))
		}
		numbers, port = count(numbers, isNumber(s.tok)), s.kind == tokAddr // 10.0.0.1:443
	}
	return s.out.String()
}

// label returns the whole name that the word at hand begins, "" where it begins none.
func (s *scan) label() string {
	start := s.pos - len(s.tok)
	if s.kind != tokWord || start > 0 && strings.IndexByte("/: ", s.text[start-1]) < 0 {
		return ""
	}
	rest := s.text[start:]
	if end := strings.IndexAny(rest, "/: "); end >= 0 {
		rest = rest[:end]
	}
	return rest
}

// count counts what comes in a row.
func count(n int, more bool) int {
	if more {
		return n + 1
	}
	return 0
}

// ordinal reports whether the word at hand stands where a number counts: in "web-0", or alone.
func (s *scan) ordinal() bool {
	start := s.pos - len(s.tok)
	begins := start == 0 && s.pos == len(s.text) || start > 0 && s.text[start-1] == '-'
	return begins && (s.pos == len(s.text) || strings.IndexByte("./:", s.text[s.pos]) >= 0)
}

func isNumber(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}

// base is the alphabet of DNS labels, without what is easily taken for another.
var base = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// part returns the pseudonym of a part of a name. It has the shape of the original where that
// is a hash: the 16 or 8 letters of kube-proxy, or hexadecimal digits. Else it has 8 letters
// and digits, the first a letter, in capitals where the original is.
func (r *redactor) part(text string) string {
	if to, ok := r.partOf[text]; ok {
		return to
	}
	h := hmac.New(sha256.New, r.names)
	h.Write([]byte(text))
	sum := h.Sum(nil)
	word := base.EncodeToString(sum)
	to := string('a'+sum[31]%26) + word[:7]
	switch {
	case (len(text) == 16 || len(text) == 8) && only(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"):
		to = strings.ToUpper(word[:len(text)])
	case len(text) >= 8 && len(text) <= 64 && only(text, hexDigits) && strings.ContainsAny(text, "0123456789"):
		to = hex.EncodeToString(sum)[:len(text)]
	case strings.ToLower(text) != text && strings.ToUpper(text) == text:
		to = strings.ToUpper(to)
	}
	r.partOf[text] = to
	return to
}

const hexDigits = "0123456789abcdef"

func only(text, of string) bool { return strings.Trim(text, of) == "" }

// value redacts a value that is an address or else a name.
func (r *redactor) value(text string) string {
	if to, ok := r.one(text); ok {
		return to
	}
	return r.name(text)
}

// prose redacts a sentence: a rule's comment, what a kubelet says. Words that everybody uses
// stay, words that may be names do not.
func (r *redactor) prose(text string) string {
	var out strings.Builder
	for text != "" {
		n := strings.IndexAny(text, proseSpace)
		if n < 0 {
			n = len(text)
		}
		out.WriteString(r.proseWord(text[:n]))
		if n < len(text) {
			out.WriteByte(text[n])
			n++
		}
		text = text[n:]
	}
	return out.String()
}

const proseSpace = " \t\r\n,;()\"'`=!?<>{}|$"

// proseWord redacts a word. What has a slash or a colon in it is taken for a name.
func (r *redactor) proseWord(w string) string {
	core := strings.TrimRight(w, ".:")
	if core == "" || len(core) <= 5 && isNumber(core) {
		return w
	}
	s := scan{text: core}
	common := !strings.ContainsAny(core, "/:")
	for common && s.next() {
		common = s.kind == tokWord && (kept(s.tok) || words[strings.ToLower(s.tok)])
	}
	if common {
		return w
	}
	return r.name(core) + w[len(core):]
}

// kept reports whether a part of a name is one that every cluster has.
func kept(part string) bool { return parts[part] || chainParts[part] }
