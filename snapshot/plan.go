package snapshot

import (
	"encoding/json"
	"reflect"
	"strings"
)

// plan is how a filler fills values of a type.
type plan struct {
	shape  shape
	typ    reflect.Type
	elem   *plan            // of a pointer or slice
	fields map[string]field // of a struct, by the name in JSON
}

// shape is a kind of type that a filler knows.
type shape uint8

const (
	shapeOther shape = iota // for package json
	shapeString
	shapeBool
	shapeInt
	shapeStruct
	shapeSlice
	shapeMap // of strings to strings
	shapePointer
)

// field is a member of a struct.
type field struct {
	plan *plan
	path []int  // through embedded structs
	bit  uint64 // its own among the fields
}

var (
	jsonUnmarshaler = reflect.TypeFor[json.Unmarshaler]()
	textUnmarshaler = reflect.TypeFor[interface{ UnmarshalText([]byte) error }]()
)

// plan returns the plan of a type, which is made when it is first met.
func (f *filler) plan(t reflect.Type) *plan {
	if p := f.plans[t]; p != nil {
		return p
	}
	p := &plan{typ: t}
	f.plans[t] = p // before what it is made of, which may be of its type
	if pt := reflect.PointerTo(t); pt.Implements(jsonUnmarshaler) || pt.Implements(textUnmarshaler) {
		return p
	}
	switch t.Kind() {
	case reflect.String:
		p.shape = shapeString
	case reflect.Bool:
		p.shape = shapeBool
	case reflect.Int32, reflect.Int64:
		p.shape = shapeInt
	case reflect.Pointer:
		p.shape, p.elem = shapePointer, f.plan(t.Elem())
	case reflect.Slice:
		if t.Elem().Kind() != reflect.Uint8 { // bytes are base64
			p.shape, p.elem = shapeSlice, f.plan(t.Elem())
		}
	case reflect.Map:
		if t.Key() == reflect.TypeFor[string]() && t.Elem() == reflect.TypeFor[string]() {
			p.shape = shapeMap
		}
	case reflect.Struct:
		p.fields = map[string]field{}
		if f.addFields(p, t, nil) {
			p.shape = shapeStruct
		}
	}
	return p
}

// addFields adds the fields of t, which is p's type or embedded in it. It returns false for
// a struct that is not as API types are: each field tagged, none twice.
func (f *filler) addFields(p *plan, t reflect.Type, path []int) bool {
	for i := range t.NumField() {
		sf := t.Field(i)
		name, options, _ := strings.Cut(sf.Tag.Get("json"), ",")
		at := append(path[:len(path):len(path)], i)
		switch {
		case name == "-" && options == "" || !sf.IsExported() && !sf.Anonymous:
			continue
		case name == "" && sf.Anonymous && sf.Type.Kind() == reflect.Struct:
			if !f.addFields(p, sf.Type, at) {
				return false
			}
			continue
		case name == "" || !sf.IsExported() || strings.Contains(options, "string"):
			return false
		}
		bit := uint64(1) << len(p.fields)
		if _, dup := p.fields[name]; dup || bit == 0 {
			return false
		}
		p.fields[name] = field{f.plan(sf.Type), at, bit}
	}
	return true
}
