package fib

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strconv"
	"strings"

	"github.com/plumbnet/plumb/packet"
)

// A member is one member of a JSON object. The ip tool may print one name twice
// (the "dst" of a route, and that of its encapsulation), so the order matters.
type member struct {
	key string
	val []byte
}

// An object is a JSON object in the order in which it was printed.
type object []member

// readArrays gives each object of one or more JSON arrays to f, with the line
// that it begins on, from 1. An object that f refuses is left out; the first such
// error is returned once all else is read.
func readArrays(what string, r io.Reader, f func(o object, line int) error) error {
	data, err := io.ReadAll(r)
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	c := arrays{dec: json.NewDecoder(bytes.NewReader(data)), data: data, line: 1}
	var bad error
	for {
		raw, err := c.next()
		if errors.Is(err, io.EOF) {
			return bad
		}
		if err != nil {
			return fmt.Errorf("%s: line %d: %w", what, c.line, err)
		}
		o, err := parseObject(raw)
		if err == nil && len(o) > 0 { // older ip tools print {} for what they filter out
			err = f(o, c.line-bytes.Count(raw, []byte("\n")))
		}
		if err != nil && bad == nil {
			bad = fmt.Errorf("%s: line %d: %w", what, c.line, err)
		}
	}
}

// arrays walks the elements of successive JSON arrays.
type arrays struct {
	dec  *json.Decoder
	data []byte
	in   bool // inside an array
	done int  // bytes whose lines are counted
	line int  // of the end of the last element
}

// next returns the next element; io.EOF at the end of the text, between arrays.
func (c *arrays) next() ([]byte, error) {
	for {
		if c.in && c.dec.More() {
			var raw json.RawMessage
			err := c.dec.Decode(&raw)
			c.count()
			return raw, noEOF(err)
		}
		t, err := c.dec.Token()
		c.count()
		if err != nil && c.in {
			return nil, noEOF(err)
		}
		if err != nil {
			return nil, err
		}
		if d, ok := t.(json.Delim); !ok || d != '[' && d != ']' {
			return nil, fmt.Errorf("found %v, want an array", t)
		}
		c.in = t == json.Delim('[')
	}
}

func (c *arrays) count() {
	end := int(c.dec.InputOffset())
	c.line += bytes.Count(c.data[c.done:end], []byte("\n"))
	c.done = end
}

func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// parseObject splits the text of an object, which the decoder has found to be
// valid JSON, into its members.
func parseObject(raw []byte) (object, error) {
	raw = bytes.TrimSpace(raw)
	if len(raw) < 2 || raw[0] != '{' {
		return nil, fmt.Errorf("found %.20q, want an object", raw)
	}
	o := make(object, 0, 12)
	rest := raw[1 : len(raw)-1]
	for {
		rest = bytes.TrimLeft(rest, " \t\r\n,")
		if len(rest) == 0 {
			return o, nil
		}
		k := valueLen(rest)
		var key string
		if err := json.Unmarshal(rest[:k], &key); err != nil {
			return nil, err
		}
		rest = bytes.TrimLeft(rest[k:], " \t\r\n:")
		v := valueLen(rest)
		o = append(o, member{key, bytes.TrimSpace(rest[:v])})
		rest = rest[v:]
	}
}

// valueLen returns the length of the JSON value that b begins with.
func valueLen(b []byte) int {
	depth, quoted := 0, false
	for i := 0; i < len(b); i++ {
		switch c := b[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
			if !quoted && depth == 0 {
				return i + 1
			}
		case quoted:
		case c == '{' || c == '[':
			depth++
		case c == '}' || c == ']':
			depth--
			if depth <= 0 {
				return i + 1
			}
		case c == ',' && depth == 0:
			return i
		}
	}
	return len(b)
}

// text returns the text of a string, or a number as it stands.
func (m member) text() string {
	if len(m.val) == 0 || m.val[0] != '"' {
		return string(m.val)
	}
	var s string
	if json.Unmarshal(m.val, &s) != nil {
		return ""
	}
	return s
}

// number reads a number, or a string that holds one: 10, "10", "0x10".
func (m member) number() (uint32, error) {
	n, err := strconv.ParseUint(m.text(), 0, 32)
	if err != nil {
		return 0, fmt.Errorf("%s: %.40q is not a number", m.key, m.val)
	}
	return uint32(n), nil
}

// int is number as an int that fits 31 bits.
func (m member) int() (int, error) {
	n, err := m.number()
	if err != nil || n > 1<<31-1 {
		return 0, fmt.Errorf("%s: %.40q is not a number in range", m.key, m.val)
	}
	return int(n), nil
}

// bounded reads a number from 0 to most.
func (m member) bounded(most uint32) (uint32, error) {
	n, err := m.number()
	if err == nil && n > most {
		err = fmt.Errorf("%s: %d is more than %d", m.key, n, most)
	}
	return n, err
}

// texts reads an array of strings, or a single one.
func (m member) texts() ([]string, error) {
	if len(m.val) > 0 && m.val[0] == '"' {
		return []string{m.text()}, nil
	}
	var list []string
	if err := json.Unmarshal(m.val, &list); err != nil {
		return nil, fmt.Errorf("%s: %w", m.key, err)
	}
	if len(list) == 0 {
		return nil, nil
	}
	return list, nil
}

// addr reads an address without a zone.
func (m member) addr() (netip.Addr, error) {
	a, err := netip.ParseAddr(m.text())
	if err != nil || a.Zone() != "" {
		return netip.Addr{}, fmt.Errorf("%s: %.60q is not an address", m.key, m.text())
	}
	return a, nil
}

// prefix reads 10.0.0.0/8, an address alone, or "default" and its like.
func (m member) prefix(is6 bool) (netip.Prefix, error) {
	s := m.text()
	if s == "default" || s == "all" || s == "any" {
		return everything(is6), nil
	}
	if !strings.Contains(s, "/") {
		a, err := m.addr()
		return netip.PrefixFrom(a, a.BitLen()), err
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return p, fmt.Errorf("%s: %.60q is not a prefix", m.key, s)
	}
	return p.Masked(), nil
}

// everything is 0.0.0.0/0 or ::/0.
func everything(is6 bool) netip.Prefix {
	if is6 {
		return netip.PrefixFrom(netip.IPv6Unspecified(), 0)
	}
	return netip.PrefixFrom(netip.IPv4Unspecified(), 0)
}

// objects reads an array of objects.
func (m member) objects() ([]object, error) {
	var list []json.RawMessage
	if err := json.Unmarshal(m.val, &list); err != nil {
		return nil, fmt.Errorf("%s: %w", m.key, err)
	}
	out := make([]object, 0, len(list))
	for _, raw := range list {
		o, err := parseObject(raw)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", m.key, err)
		}
		out = append(out, o)
	}
	return out, nil
}

// A writer writes one JSON object as the ip tool does: no spaces, members in
// the order in which they are added.
type writer struct{ b bytes.Buffer }

func (w *writer) raw(key, val string) {
	sep := byte(',')
	if w.b.Len() == 0 {
		sep = '{'
	}
	w.b.WriteByte(sep)
	w.b.Write(quote(key))
	w.b.WriteByte(':')
	w.b.WriteString(val)
}

func (w *writer) text(key, val string)        { w.raw(key, string(quote(val))) }
func (w *writer) number(key string, n uint32) { w.raw(key, strconv.FormatUint(uint64(n), 10)) }
func (w *writer) null(key string)             { w.raw(key, "null") }

func (w *writer) texts(key string, list []string) {
	var b strings.Builder
	for i, s := range list {
		if i > 0 {
			b.WriteByte(',')
		}
		b.Write(quote(s))
	}
	w.raw(key, "["+b.String()+"]")
}

func (w *writer) String() string {
	if w.b.Len() == 0 {
		return "{}"
	}
	return w.b.String() + "}"
}

func quote(s string) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if e.Encode(strings.ToValidUTF8(s, "\ufffd")) != nil {
		return []byte(`""`)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// writeArray writes one object a line, so that the number of a line means something.
func writeArray[T any](w io.Writer, list []T, f func(T) string) error {
	var b bytes.Buffer
	b.WriteByte('[')
	for i, v := range list {
		if i > 0 {
			b.WriteString(",\n")
		}
		b.WriteString(f(v))
	}
	b.WriteString("]\n")
	_, err := w.Write(b.Bytes())
	return err
}

// parseMAC reads a link-layer address; those that are not Ethernet read as the zero MAC.
func parseMAC(s string) packet.MAC {
	m, err := packet.ParseMAC(s)
	if err != nil {
		return packet.MAC{}
	}
	return m
}
