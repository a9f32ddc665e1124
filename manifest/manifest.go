// Package manifest reads files as "kubectl apply" takes them, YAML or JSON, into the objects of
// a snapshot. It is strict: a field that the API does not have, a value of another type and one
// that the API server would refuse are errors, each with its file, line and field. It looks
// into no object of a kind that a snapshot does not hold, such as a Secret.
package manifest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/plumbnet/plumb/snapshot"
	"go.yaml.in/yaml/v3"
)

// The bounds of one file. A cluster's policies are a few megabytes.
const (
	maxFile   = 32 << 20 // bytes
	maxValues = 1 << 20  // in one object, to which aliases may blow it up
	maxDepth  = 100      // as deep as objects nest
	enough    = 20       // errors that are named
)

// An Object is one object of a file.
type Object struct {
	Kind, Namespace, Name string // the kind as snapshot.Objects has it; "" for one that it does not hold
	Says                  string // the kind as the file has it
	File                  string
	Line                  int
	JSON                  []byte // nil for a kind that a snapshot does not hold
}

// Key is that of the object in a snapshot: "NetworkPolicy/shop/web".
func (o *Object) Key() string { return snapshot.Key(o.Kind, o.Namespace, o.Name) }

// Read reads the objects of a file, those of its Lists too. Objects that name no namespace are in
// the given one. It returns all errors that it finds.
func Read(file string, data []byte, namespace string) ([]Object, error) {
	if len(data) > maxFile {
		return nil, fmt.Errorf("%s: more than %d MiB", file, maxFile>>20)
	}
	r := reader{file: file, namespace: namespace}
	d := yaml.NewDecoder(bytes.NewReader(data))
	for len(r.errs) < enough {
		var n yaml.Node
		err := d.Decode(&n)
		if err == io.EOF {
			break
		}
		if err != nil {
			r.errs = append(r.errs, fmt.Errorf("%s: %s", file, why(err)))
			break
		}
		if len(n.Content) > 0 && n.Content[0].Tag != "!!null" {
			r.object(n.Content[0], head{})
		}
	}
	return r.out, errors.Join(r.errs...)
}

// joined is the file of a snapshot that objects are read from.
const joined = "objects/manifest.json"

// Objects joins objects to those of a snapshot. Of two of one name it is an error.
func Objects(list []Object) (*snapshot.Objects, error) {
	var all bytes.Buffer
	at := map[string]*Object{}
	for i := range list {
		o := &list[i]
		if o.Kind == "" {
			continue
		}
		if first := at[o.Key()]; first != nil {
			return nil, fmt.Errorf("%s:%d: %s %s is also at %s:%d", o.File, o.Line, o.Says, name(o), first.File, first.Line)
		}
		at[o.Key()] = o
		all.Write(o.JSON)
		all.WriteByte('\n')
	}
	if all.Len() == 0 {
		return &snapshot.Objects{}, nil
	}
	c, err := snapshot.Read(snapshot.Files{joined: all.Bytes()})
	if err != nil {
		return nil, err
	}
	for _, g := range c.Gaps {
		if g.Path == joined { // others are of nodes whose state is not here
			return nil, errors.New(g.Why)
		}
	}
	return &c.Objects, nil
}

func name(o *Object) string { return strings.TrimPrefix(o.Namespace+"/"+o.Name, "/") }

// reader reads one file.
type reader struct {
	file, namespace string
	out             []Object
	errs            []error
}

// head is what an object says of itself, or its List of it.
type head struct {
	APIVersion, Kind string
	Metadata         struct{ Name, Namespace string }
}

func (r *reader) fail(line int, format string, args ...any) {
	if len(r.errs) < enough {
		r.errs = append(r.errs, fmt.Errorf("%s:%d: %s", r.file, line, fmt.Sprintf(format, args...)))
	}
}

// object reads an object, or the items of a List.
func (r *reader) object(n *yaml.Node, list head) {
	if n.Kind != yaml.MappingNode {
		r.fail(n.Line, "neither an object nor a List")
		return
	}
	h := header(n)
	if h.Kind == "" {
		h.Kind, h.APIVersion = list.Kind, list.APIVersion
	}
	if h.Kind == "" || h.APIVersion == "" {
		r.fail(n.Line, "an object needs apiVersion and kind")
		return
	}
	if items := field(n, "items"); items != nil && strings.HasSuffix(h.Kind, "List") {
		r.items(items, h)
		return
	}
	v, kind, ok, err := snapshot.NewObject(h.APIVersion, h.Kind)
	o := Object{Kind: kind, Says: h.Kind, Namespace: h.Metadata.Namespace, Name: h.Metadata.Name, File: r.file, Line: n.Line}
	switch {
	case err != nil:
		r.fail(n.Line, "%v", err)
		return
	case !ok:
		r.out = append(r.out, o)
		return
	case o.Name == "":
		r.fail(n.Line, "metadata.name: a %s needs a name", h.Kind)
		return
	}
	if o.Namespace == "" && snapshot.Namespaced(kind) {
		o.Namespace = r.namespace
	}
	c := converter{list: list}
	if err := c.object(n, o.Namespace); err != nil {
		r.fail(err.line, "%s%s", prefix(err.path), err.why)
		return
	}
	o.JSON = c.out
	for _, p := range c.check(v, kind) {
		r.fail(p.line, "%s%s", prefix(p.path), p.why)
	}
	r.out = append(r.out, o)
}

func prefix(path string) string {
	if path == "" {
		return ""
	}
	return path + ": "
}

// items reads the objects of a List. Those of a typed one need not say what they are.
func (r *reader) items(n *yaml.Node, h head) {
	h.Kind = strings.TrimSuffix(h.Kind, "List")
	if h.Kind == "" {
		h = head{}
	}
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	for _, item := range n.Content {
		if n.Kind == yaml.SequenceNode {
			r.object(item, h)
		}
	}
}

// header returns what an object says of itself.
func header(n *yaml.Node) (h head) {
	h.APIVersion, h.Kind = text(field(n, "apiVersion")), text(field(n, "kind"))
	if m := field(n, "metadata"); m != nil {
		h.Metadata.Name, h.Metadata.Namespace = text(field(m, "name")), text(field(m, "namespace"))
	}
	return h
}

// field returns a value of a mapping, or nil.
func field(n *yaml.Node, key string) *yaml.Node {
	if n.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return n.Content[i+1]
		}
	}
	return nil
}

func text(n *yaml.Node) string {
	if n == nil || n.Kind != yaml.ScalarNode {
		return ""
	}
	return n.Value
}

// Decode reads one YAML document, such as a configuration, into v, which has json tags. It is as strict as Read:
// a key that v does not have is an error with its line. Where v has a method Faults() []Fault, it is asked at the end.
func Decode(file string, data []byte, v any) error {
	if len(data) > maxFile {
		return fmt.Errorf("%s: more than %d MiB", file, maxFile>>20)
	}
	r := reader{file: file}
	n, err := one(data)
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	if n == nil {
		return nil
	}
	c := converter{}
	if p := c.value(n, "", 0); p != nil {
		r.fail(p.line, "%s%s", prefix(p.path), p.why)
		return errors.Join(r.errs...)
	}
	problems := c.check(v, "")
	if f, ok := v.(interface{ Faults() []Fault }); ok && len(problems) == 0 {
		for _, x := range f.Faults() {
			problems = append(problems, problem{c.line(x.Path), x.Path, x.Why})
		}
	}
	for _, p := range problems {
		r.fail(p.line, "%s%s", prefix(p.path), p.why)
	}
	return errors.Join(r.errs...)
}

// A Fault is what is wrong with a value that is of the right type.
type Fault struct {
	Path string // "sinks[0].url"
	Why  string
}

// one returns the only document of a file, or nil for one that is empty.
func one(data []byte) (*yaml.Node, error) {
	d := yaml.NewDecoder(bytes.NewReader(data))
	var n, more yaml.Node
	switch err := d.Decode(&n); {
	case err == io.EOF:
		return nil, nil
	case err != nil:
		return nil, errors.New(why(err))
	}
	if err := d.Decode(&more); err != io.EOF {
		return nil, errors.New("more than one document")
	}
	if len(n.Content) == 0 || n.Content[0].Tag == "!!null" {
		return nil, nil
	}
	return n.Content[0], nil
}

// why is what the parser says, with its line, which it leaves out where it is the first: "yaml: line 3: …".
func why(err error) string {
	s := strings.TrimPrefix(err.Error(), "yaml: ")
	if !strings.HasPrefix(s, "line ") {
		s = "line 1: " + s
	}
	return s
}
