package snapshot

import (
	"encoding/binary"
	"encoding/json"
	"math/bits"
	"reflect"
	"strings"
)

// filler fills objects from JSON text in one pass, straight from what kubectl printed, where
// package json takes two over a text that must be [compact] to be quick: the objects are most
// of what there is to read of a cluster. It knows the shapes that API objects are made of.
// What it does not know it gives to package json, value by value; what is unusual (a name
// in other letters, one that comes twice, what is no JSON) it leaves alone as a whole. So
// what it does fill is what package json would have.
type filler struct {
	scanner
	plans map[reflect.Type]*plan
	words [1024]string // that were met before: most are met a thousand times
}

// fill fills the zero value that v points to, or returns false; v then holds anything.
func (f *filler) fill(v any, text []byte) bool {
	if f.plans == nil {
		f.plans = map[reflect.Type]*plan{}
	}
	f.data, f.pos = text, 0
	to := reflect.ValueOf(v).Elem()
	if !f.value(f.plan(to.Type()), to) {
		return false
	}
	_, more := f.next()
	return !more
}

// value fills v with the next value.
func (f *filler) value(p *plan, v reflect.Value) bool {
	c, _ := f.next()
	switch {
	case c == '{' && p.shape == shapeStruct:
		return f.object(p, v)
	case c == '{' && p.shape == shapeMap:
		return f.stringMap(p, v)
	case c == '[' && p.shape == shapeSlice:
		return f.slice(p, v)
	case c == '"' && p.shape == shapeString:
		s, ok := f.word()
		v.SetString(s)
		return ok
	case c != 'n' && p.shape == shapePointer:
		to := reflect.New(p.typ.Elem())
		v.Set(to)
		return f.value(p.elem, to.Elem())
	}
	raw, err := f.scanner.value()
	if err != nil {
		return false
	}
	if p.shape == shapeBool && (string(raw) == "true" || string(raw) == "false") {
		v.SetBool(raw[0] == 't')
		return true
	}
	if n, plain := smallNumber(raw); plain && p.shape == shapeInt && !v.OverflowInt(n) {
		v.SetInt(n)
		return true
	}
	return json.Unmarshal(raw, v.Addr().Interface()) == nil
}

// smallNumber reads a number as ports are written; false where it may be any other value.
func smallNumber(raw []byte) (n int64, ok bool) {
	const longest = 9
	if len(raw) == 0 || len(raw) > longest || raw[0] == '0' && len(raw) > 1 {
		return 0, false
	}
	for _, c := range raw {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	return n, true
}

// more says whether one more member or element comes, and takes the comma before it, or
// the closing mark.
func (f *filler) more(closing byte, first bool) (more, ok bool) {
	c, _ := f.next()
	switch {
	case c == closing:
		f.pos++
		return false, true
	case first:
		return true, true
	case c == ',':
		f.pos++
		c, _ = f.next()
		return true, c != closing
	}
	return false, false
}

// name takes a member's name and its colon. Only plain ones are returned.
func (f *filler) name() (name []byte, ok bool) {
	if c, _ := f.next(); c != '"' {
		return nil, false
	}
	end := plainEnd(f.data, f.pos)
	if end == 0 {
		return nil, false
	}
	name, f.pos = f.data[f.pos+1:end-1], end
	if c, _ := f.next(); c != ':' {
		return nil, false
	}
	f.pos++
	return name, true
}

func (f *filler) object(p *plan, v reflect.Value) bool {
	f.pos++
	var seen uint64
	for first := true; ; first = false {
		more, ok := f.more('}', first)
		if !more {
			return ok
		}
		name, named := f.name()
		if !ok || !named {
			return false
		}
		to, known := p.fields[string(name)]
		if !known {
			if !f.unknown(p, name) {
				return false
			}
			continue
		}
		if seen&to.bit != 0 {
			return false
		}
		seen |= to.bit
		at := v
		for _, i := range to.path {
			at = at.Field(i)
		}
		if !f.value(to.plan, at) {
			return false
		}
	}
}

// unknown passes over a member that the type does not have, unless package json would
// find a place for it.
func (f *filler) unknown(p *plan, name []byte) bool {
	for have := range p.fields {
		if strings.EqualFold(have, string(name)) {
			return false
		}
	}
	raw, err := f.scanner.value()
	return err == nil && json.Valid(raw)
}

func (f *filler) stringMap(p *plan, v reflect.Value) bool {
	f.pos++
	m := map[string]string{}
	for first := true; ; first = false {
		more, ok := f.more('}', first)
		if !more {
			v.Set(reflect.ValueOf(m).Convert(p.typ))
			return ok
		}
		name, named := f.name()
		if c, _ := f.next(); !ok || !named || c != '"' {
			return false
		}
		key := f.known(name)
		if m[key], ok = f.word(); !ok {
			return false
		}
	}
}

func (f *filler) slice(p *plan, v reflect.Value) bool {
	f.pos++
	for n := 0; ; n++ {
		more, ok := f.more(']', n == 0)
		if !more {
			if n == 0 {
				v.Set(reflect.MakeSlice(p.typ, 0, 0))
			}
			return ok
		}
		v.Grow(1)
		v.SetLen(n + 1)
		if !ok || !f.value(p.elem, v.Index(n)) {
			return false
		}
	}
}

// word takes a string.
func (f *filler) word() (s string, ok bool) {
	start := f.pos
	if end := plainEnd(f.data, start); end > 0 {
		f.pos = end
		return f.known(f.data[start+1 : end-1]), true
	}
	raw, err := f.scanner.value()
	if err != nil || json.Unmarshal(raw, &s) != nil {
		return "", false
	}
	return s, true
}

// plainEnd returns the place after the string that begins at i, or 0 where it holds
// anything but plain ASCII.
func plainEnd(data []byte, i int) int {
	for i++; i < len(data); i++ {
		switch c := data[i]; {
		case c == '"':
			return i + 1
		case c == '\\' || c < ' ' || c >= 0x80:
			return 0
		}
	}
	return 0
}

// known returns b as a string, mostly one that was made before.
func (f *filler) known(b []byte) string {
	const longest = 48
	if len(b) == 0 || len(b) > longest {
		return string(b)
	}
	var head, tail [8]byte
	copy(head[:], b)
	copy(tail[:], b[max(0, len(b)-len(tail)):])
	h := binary.LittleEndian.Uint64(head[:])*0x9e3779b97f4a7c15 + uint64(len(b))
	h = (bits.RotateLeft64(h, 32) ^ binary.LittleEndian.Uint64(tail[:])) * 0x9e3779b97f4a7c15
	s := &f.words[h>>54]
	if *s != string(b) {
		*s = string(b)
	}
	return *s
}
