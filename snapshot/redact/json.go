package redact

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
)

// A node is one JSON value. The members of an object keep their order, and one may come twice: ip prints both.
type node struct {
	kind json.Delim // '{', '[', or 0 for any other value
	key  string     // of a member
	text string     // of a string
	str  bool
	raw  string // of what is no string: a number, true, false, null
	kids []*node
	done bool // redacted already
}

// maxDepth bounds how deep JSON may nest.
const maxDepth = 100

// parseJSON reads the values of a text.
func parseJSON(data []byte) ([]*node, error) {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	var out []*node
	for {
		n, err := readNode(d, 0)
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return nil, fmt.Errorf("byte %d: %w", d.InputOffset(), err)
		}
		out = append(out, n)
	}
}

// readNode reads one value; io.EOF means that there is no more.
func readNode(d *json.Decoder, depth int) (*node, error) {
	if depth > maxDepth {
		return nil, errors.New("nested too deep")
	}
	t, err := d.Token()
	if err != nil {
		return nil, err
	}
	switch t := t.(type) {
	case json.Delim:
		n := &node{kind: t}
		return n, noEOF(n.fill(d, depth+1))
	case string:
		return &node{str: true, text: t}, nil
	}
	raw, err := json.Marshal(t)
	return &node{raw: string(raw)}, err
}

// fill reads the members of an object or the elements of an array.
func (n *node) fill(d *json.Decoder, depth int) error {
	for d.More() {
		key := ""
		if n.kind == '{' {
			t, err := d.Token()
			if err != nil {
				return err
			}
			key, _ = t.(string)
		}
		kid, err := readNode(d, depth)
		if err != nil {
			return err
		}
		kid.key = key
		n.kids = append(n.kids, kid)
	}
	_, err := d.Token()
	return err
}

func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// get returns the member of that name, or nil.
func (n *node) get(key string) *node {
	for _, k := range n.kids {
		if n.kind == '{' && k.key == key {
			return k
		}
	}
	return nil
}

// write writes the value; the elements of an array that is so many levels down stand on lines of their own.
func (n *node) write(b *bytes.Buffer, lines int) {
	switch {
	case n.str:
		b.Write(quote(n.text))
		return
	case n.kind == 0:
		b.WriteString(n.raw)
		return
	}
	b.WriteByte(byte(n.kind))
	for i, k := range n.kids {
		if i > 0 {
			b.WriteByte(',')
		}
		if i > 0 && n.kind == '[' && lines >= 0 {
			b.WriteString("\n ")
		}
		if n.kind == '{' {
			b.Write(quote(k.key))
			b.WriteByte(':')
		}
		k.write(b, lines-1)
	}
	b.WriteByte(map[json.Delim]byte{'{': '}', '[': ']'}[n.kind])
}

// quote writes a JSON string as ip and nft do, with "<" and ">" as they are.
func quote(s string) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(s) // a string can be
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// A stringRule redacts a string, given the key that it stands under: its own, or that of the array it is in.
type stringRule func(r *redactor, key, text string) string

// jsonFile returns what redacts a file of JSON, by a rule for its strings.
func (r *redactor) jsonFile(rule stringRule) rewriter {
	return func(data []byte) ([]byte, error) {
		return r.rewriteJSON(data, func(n *node) { r.walk(n, "", rule) })
	}
}

// rewriteJSON redacts the values of a text with f.
func (r *redactor) rewriteJSON(data []byte, f func(*node)) ([]byte, error) {
	docs, err := parseJSON(data)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	for _, n := range docs {
		f(n)
		n.write(&b, 1)
		b.WriteByte('\n')
	}
	return b.Bytes(), nil
}

// walk redacts all strings of a value. Addresses need no rule.
func (r *redactor) walk(n *node, key string, rule stringRule) {
	if n.str {
		if to, ok := r.one(n.text); ok {
			n.text = to
			return
		}
		n.text = rule(r, key, n.text)
		return
	}
	if n.kind == '{' {
		r.shorten(n, "src", "srclen")
		r.shorten(n, "dst", "dstlen")
		r.shorten(n, "addr", "len")
	}
	r.memberNames(n)
	for _, k := range n.kids {
		under := k.key
		if n.kind == '[' {
			under = key
		}
		if !k.done {
			r.walk(k, under, rule)
		}
	}
}

// memberName is a name that a program gives to a member of an object, an operator of nft among them.
var memberName = regexp.MustCompile(`^([A-Za-z_][A-Za-z0-9_ -]{0,40}|[0-9]{1,9}|[&|^<>]{1,2}|\?redacted)$`)

// memberNames redacts the names of members that no program gives.
func (r *redactor) memberNames(n *node) {
	for _, k := range n.kids {
		if n.kind == '{' && !memberName.MatchString(k.key) {
			k.key = r.name(k.key)
		}
	}
}
