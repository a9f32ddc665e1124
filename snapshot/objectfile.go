package snapshot

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"strings"
)

// maxObjects bounds the objects of a snapshot. A cluster of 5,000 nodes, the most that
// Kubernetes supports, has up to 150,000 Pods.
const maxObjects = 400_000

// KindOfFile returns the kind of objects that a file is named for: "Service" for "objects/services.json".
func KindOfFile(name string) (string, bool) {
	k, ok := kindOfFile(name)
	if !ok {
		return "", false
	}
	return k.name, true
}

// kindOfFile returns the kind that a file is named for: "objects/services.json" holds Services.
func kindOfFile(name string) (*kind, bool) {
	base := strings.ToLower(strings.TrimSuffix(path.Base(name), path.Ext(name)))
	for i := range kinds {
		if base == strings.ToLower(kinds[i].name) || base == kinds[i].plural() {
			return &kinds[i], true
		}
	}
	return nil, false
}

// plural returns the name of the kind's resource in the API, and of its file: "networkpolicies".
func (k *kind) plural() string {
	one := strings.ToLower(k.name)
	switch {
	case strings.HasSuffix(one, "s"):
		return one + "es"
	case strings.HasSuffix(one, "y") && !strings.HasSuffix(one, "ay"): // gateways
		return strings.TrimSuffix(one, "y") + "ies"
	}
	return one + "s"
}

// objectFile reads one file of objects.
func (r *reader) objectFile(name string) *Objects {
	f := objectReader{r: r, name: name}
	f.found.init()
	data, ok := r.read(name, false)
	if !ok {
		return &f.found
	}
	f.likely, _ = kindOfFile(name)
	err := f.read(data)
	if err != nil {
		r.gap(name, "%s", err)
	}
	if f.bad > enoughBad {
		r.gap(name, "and %d more of its objects are not understood", f.bad-enoughBad)
	}
	f.have(err == nil, len(bytes.TrimSpace(data)) == 0)
	return &f.found
}

// objectReader reads the objects of one file.
type objectReader struct {
	r      *reader
	name   string
	found  Objects
	count  int   // objects of any kind
	bad    int   // those that are not understood
	lists  bool  // there was a List
	likely *kind // what the next object will be, by the file's name or the last one; or nil
}

// enoughBad is how many objects that are not understood are named, each in a Gap of its own.
const enoughBad = 20

// notUnderstood makes a Gap of a document or an item.
func (f *objectReader) notUnderstood(what string, n int, err error) {
	if f.bad++; f.bad <= enoughBad {
		f.r.gap(f.name, "%s %d: %s", what, n, err)
	}
}

// have says which kinds were collected by this file: the one that it is named for, and those
// that it has. One object alone, in a file of another name, is no collection of its kind; nor
// are those that a file has before it breaks off.
func (f *objectReader) have(complete, empty bool) {
	if k, ok := kindOfFile(f.name); ok && complete && !empty {
		f.found.Have[k.name] = true
		return
	}
	if !complete || !f.lists && f.count <= 1 {
		clear(f.found.Have)
	}
}

// read reads JSON documents, one after the other.
func (f *objectReader) read(data []byte) error {
	s := &scanner{data: data}
	for n := 1; ; n++ {
		if _, more := s.next(); !more {
			return nil
		}
		d, err := scanDocument(s, maxObjects-f.r.objectCount)
		if err != nil && d.raw == nil && len(d.items) > 0 && d.Kind == "" {
			d.Kind = "List" // what follows the items says so, and is cut off
		}
		if bad := f.document(d); bad != nil && err == nil {
			f.notUnderstood("document", n, bad)
		}
		if err != nil {
			return fmt.Errorf("document %d, at byte %d: %w: the rest was not read", n, s.pos, err)
		}
	}
}

// document is a List or an object, as text.
type document struct {
	APIVersion, Kind string
	items            [][]byte // of a List
	raw              []byte   // all of it; nil where it broke off
	size             int      // of what there is of it, in bytes
}

// smallObject is the size of the smallest real object, in bytes: room is made for no more
// of them than there can be.
const smallObject = 256

// errTooMany is met at the bound of all objects.
var errTooMany = fmt.Errorf("more than %d objects", maxObjects)

// scanDocument takes one document, with room for so many items.
func scanDocument(s *scanner, room int) (d document, err error) {
	if room <= 0 {
		return d, errTooMany
	}
	start := s.pos
	if _, err := s.take("{"); err != nil {
		return d, fmt.Errorf("neither an object nor a List: %w", err)
	}
	err = s.each('}', func() error { return d.member(s, room) })
	d.size = s.pos - start
	if err == nil {
		d.raw = s.data[start:s.pos]
	}
	return d, err
}

// member takes one member of the document.
func (d *document) member(s *scanner, room int) error {
	if c, ok := s.next(); ok && c != '"' {
		return fmt.Errorf("invalid character %q, want a name", c)
	}
	name, err := s.value()
	if err != nil {
		return err
	}
	if _, err := s.take(":"); err != nil {
		return err
	}
	if c, _ := s.next(); c == '[' && string(name) == `"items"` {
		s.pos++
		return s.each(']', func() error { return d.item(s, room) })
	}
	value, err := s.value()
	if err != nil {
		return err
	}
	switch string(name) { // of the wrong type is as good as not there
	case `"apiVersion"`:
		_ = json.Unmarshal(value, &d.APIVersion)
	case `"kind"`:
		_ = json.Unmarshal(value, &d.Kind)
	}
	return nil
}

// item takes one item.
func (d *document) item(s *scanner, room int) error {
	if len(d.items) == room {
		return errTooMany
	}
	item, err := s.value()
	if err == nil {
		d.items = append(d.items, item)
	}
	return err
}

// document reads a List, or an object. The items of a typed list (PodList) need not say what they are.
func (f *objectReader) document(d document) error {
	of, isList := strings.CutSuffix(d.Kind, "List")
	if !isList && d.raw == nil {
		return nil // it broke off, which the caller says
	}
	if !isList {
		return f.object(d.raw, "", "")
	}
	f.lists = true
	if of == "" {
		d.APIVersion = "" // of the List itself
	}
	if k, ok := knownAs(d.APIVersion, of); ok {
		f.found.Have[k.name] = true
		f.likely = k
	}
	if f.likely != nil {
		room := min(len(d.items), d.size/smallObject)
		f.likely.grow(&f.found, room)
		if len(f.found.Source) == 0 {
			f.found.Source = make(map[string]string, room)
		}
	}
	for i, item := range d.items {
		if err := f.object(item, d.APIVersion, of); err != nil {
			f.notUnderstood("item", i, err)
		}
	}
	return nil
}

// object reads one object, in one go if it is of the likely kind. version and kind are
// those of its List. Kinds that Objects does not hold are passed over.
func (f *objectReader) object(raw []byte, version, kind string) error {
	f.count++
	f.r.objectCount++
	if k := f.likely; k != nil {
		if key, err := k.add(&f.found, &f.r.decoder, raw, version, kind); err == nil {
			f.put(k, key)
			return nil
		}
	}
	var h struct {
		APIVersion string `json:"apiVersion"`
		Kind       string `json:"kind"`
	}
	if err := json.Unmarshal(raw, &h); err != nil {
		return err
	}
	h.APIVersion, h.Kind = cmp.Or(h.APIVersion, version), cmp.Or(h.Kind, kind)
	k, err := wanted(h.APIVersion, h.Kind)
	if k == nil {
		return err
	}
	key, err := k.add(&f.found, &f.r.decoder, raw, version, kind)
	if err != nil {
		return fmt.Errorf("%s: %w", k.name, err)
	}
	f.put(k, key)
	return nil
}

// put notes an object that was added.
func (f *objectReader) put(k *kind, key string) {
	f.likely = k
	f.found.Have[k.name] = true
	f.found.Source[key] = f.name
}

// wanted returns the kind that Objects holds, or nil: of a kind that it does not hold, with no error.
func wanted(version, name string) (*kind, error) {
	if name == "" {
		return nil, errors.New("neither an object nor a List: it has no kind")
	}
	if strings.HasSuffix(name, "List") {
		return nil, fmt.Errorf("a %s within a List is not understood", short(name))
	}
	if k, ok := knownAs(version, name); ok {
		return k, nil
	}
	k, ok := known(name)
	if !ok {
		return nil, nil
	}
	if !sameGroup(k.version, version) && !sameGroup(beforeGroups, version) {
		return nil, nil // a kind of the same name of someone else
	}
	return nil, fmt.Errorf("%s of %q is not understood: want %s", short(name), short(version), k.version)
}

// beforeGroups is where Ingress, NetworkPolicy and the workloads were before they had groups of their own.
const beforeGroups = "extensions/v1beta1"

// sameGroup reports whether two apiVersions are versions of one group.
func sameGroup(a, b string) bool {
	group := func(s string) string {
		g, _, ok := strings.Cut(s, "/")
		if !ok {
			return ""
		}
		return g
	}
	return group(a) == group(b)
}
