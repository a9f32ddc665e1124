package netfilter

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
)

// maxNesting bounds how deep the JSON of one element may nest.
const maxNesting = 64

// A jsonKind is the first byte of a JSON value; 't' and 'f' are the booleans, '0' any number.
type jsonKind byte

// A jsonNode is one JSON value. Members of an object keep their order.
type jsonNode struct {
	kind jsonKind
	key  string // of a member of an object
	text string // of a string or number
	kids []jsonNode
}

// jsonReader reads one JSON text.
type jsonReader struct {
	s   string
	pos int
}

// parseJSON reads one value, which is all that s holds.
func parseJSON(s string) (jsonNode, error) {
	r := jsonReader{s: s}
	n, err := r.value(0)
	if err == nil && r.space() {
		err = fmt.Errorf("unexpected %q after the value", r.s[r.pos])
	}
	return n, err
}

// space goes past white space, and reports whether anything follows.
func (r *jsonReader) space() bool {
	for r.pos < len(r.s) {
		switch r.s[r.pos] {
		case ' ', '\t', '\n', '\r':
			r.pos++
		default:
			return true
		}
	}
	return false
}

// take takes the byte c, and reports whether it was there.
func (r *jsonReader) take(c byte) bool {
	if r.space() && r.s[r.pos] == c {
		r.pos++
		return true
	}
	return false
}

var errJSON = errors.New("not JSON")

func (r *jsonReader) value(depth int) (jsonNode, error) {
	if depth > maxNesting {
		return jsonNode{}, fmt.Errorf("nested more than %d deep", maxNesting)
	}
	if !r.space() {
		return jsonNode{}, errJSON
	}
	switch c := r.s[r.pos]; c {
	case '{', '[':
		return r.list(jsonKind(c), depth)
	case '"':
		s, err := r.str()
		return jsonNode{kind: '"', text: s}, err
	}
	start := r.pos
	for r.pos < len(r.s) && (r.s[r.pos] >= '0' && r.s[r.pos] <= '9' || r.s[r.pos] >= 'a' && r.s[r.pos] <= 'z' || r.s[r.pos] == '-' || r.s[r.pos] == '+' || r.s[r.pos] == '.' || r.s[r.pos] == 'E') {
		r.pos++
	}
	switch w := r.s[start:r.pos]; {
	case w == "true", w == "false", w == "null":
		return jsonNode{kind: jsonKind(w[0])}, nil
	case w != "" && (w[0] == '-' || w[0] >= '0' && w[0] <= '9'):
		return jsonNode{kind: '0', text: w}, nil
	}
	return jsonNode{}, errJSON
}

// list reads an array or an object.
func (r *jsonReader) list(kind jsonKind, depth int) (jsonNode, error) {
	n, end := jsonNode{kind: kind}, byte(']')
	if kind == '{' {
		end = '}'
	}
	r.pos++
	if r.take(end) {
		return n, nil
	}
	for {
		key := ""
		if kind == '{' {
			if !r.space() || r.s[r.pos] != '"' {
				return n, errJSON
			}
			var err error
			if key, err = r.str(); err != nil {
				return n, err
			}
			if !r.take(':') {
				return n, errJSON
			}
		}
		v, err := r.value(depth + 1)
		if err != nil {
			return n, err
		}
		v.key = key
		n.kids = append(n.kids, v)
		if r.take(end) {
			return n, nil
		}
		if !r.take(',') {
			return n, errJSON
		}
	}
}

// str reads a string.
func (r *jsonReader) str() (string, error) {
	start, plain := r.pos, true
	for i := start + 1; i < len(r.s); i++ {
		switch r.s[i] {
		case '\\':
			plain = false
			i++
		case '"':
			r.pos = i + 1
			if plain {
				return r.s[start+1 : i], nil
			}
			var s string
			err := json.Unmarshal([]byte(r.s[start:r.pos]), &s)
			return s, err
		}
	}
	return "", errJSON
}

// get returns the member of that name, or nil. Of nil it returns nil.
func (n *jsonNode) get(key string) *jsonNode {
	if n == nil || n.kind != '{' {
		return nil
	}
	for i := range n.kids {
		if n.kids[i].key == key {
			return &n.kids[i]
		}
	}
	return nil
}

// only returns the first member of an object, which most objects of nft have alone.
func (n *jsonNode) only() (key string, v *jsonNode) {
	if n == nil || n.kind != '{' || len(n.kids) == 0 {
		return "", nil
	}
	return n.kids[0].key, &n.kids[0]
}

// str returns the text of a string, or of a number; else "".
func (n *jsonNode) str() string {
	if n == nil {
		return ""
	}
	return n.text
}

// list returns the entries of an array.
func (n *jsonNode) list() []jsonNode {
	if n == nil || n.kind != '[' {
		return nil
	}
	return n.kids
}

// strs returns the strings of an array, or the one string that there is.
func (n *jsonNode) strs() (out []string) {
	if n != nil && n.kind == '"' {
		return []string{n.text}
	}
	for _, k := range n.list() {
		out = append(out, k.text)
	}
	return out
}

// num returns a number, or a string that is one.
func (n *jsonNode) num() (uint64, bool) {
	if n == nil || n.kind != '0' && n.kind != '"' {
		return 0, false
	}
	v, err := strconv.ParseUint(n.text, 0, 64)
	return v, err == nil
}
