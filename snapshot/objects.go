package snapshot

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path"
	"reflect"
	"slices"
	"strconv"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// kind is one kind of object that Objects holds.
type kind struct {
	name    string // "Pod"
	version string // "v1", "apps/v1"
	add     func(o *Objects, raw []byte) (metav1.Object, error)
	merge   func(parts []*Objects, to *Objects, clash clashFunc)
	sort    func(*Objects)
}

// kinds are all kinds that Objects holds.
var kinds = []kind{
	newKind("Pod", "v1", func(o *Objects) *[]corev1.Pod { return &o.Pods }),
	newKind("Node", "v1", func(o *Objects) *[]corev1.Node { return &o.Nodes }),
	newKind("Service", "v1", func(o *Objects) *[]corev1.Service { return &o.Services }),
	newKind("Endpoints", "v1", func(o *Objects) *[]corev1.Endpoints { return &o.Endpoints }),
	newKind("EndpointSlice", "discovery.k8s.io/v1", func(o *Objects) *[]discoveryv1.EndpointSlice { return &o.EndpointSlices }),
	newKind("ConfigMap", "v1", func(o *Objects) *[]corev1.ConfigMap { return &o.ConfigMaps }),
	newKind("Namespace", "v1", func(o *Objects) *[]corev1.Namespace { return &o.Namespaces }),
	newKind("DaemonSet", "apps/v1", func(o *Objects) *[]appsv1.DaemonSet { return &o.DaemonSets }),
	newKind("Deployment", "apps/v1", func(o *Objects) *[]appsv1.Deployment { return &o.Deployments }),
	newKind("ReplicaSet", "apps/v1", func(o *Objects) *[]appsv1.ReplicaSet { return &o.ReplicaSets }),
	newKind("StatefulSet", "apps/v1", func(o *Objects) *[]appsv1.StatefulSet { return &o.StatefulSets }),
	newKind("NetworkPolicy", "networking.k8s.io/v1", func(o *Objects) *[]networkingv1.NetworkPolicy { return &o.NetworkPolicies }),
	newKind("Ingress", "networking.k8s.io/v1", func(o *Objects) *[]networkingv1.Ingress { return &o.Ingresses }),
}

// object is a pointer to an object of type T.
type object[T any] interface {
	*T
	metav1.Object
}

// newKind ties a kind to its place in Objects.
func newKind[T any, P object[T]](name, version string, at func(*Objects) *[]T) kind {
	return kind{
		name: name, version: version,
		add: func(o *Objects, raw []byte) (metav1.Object, error) {
			var v T
			if err := json.Unmarshal(raw, &v); err != nil {
				return nil, err
			}
			if P(&v).GetName() == "" {
				return nil, errors.New("no metadata.name")
			}
			*at(o) = append(*at(o), v)
			return P(&v), nil
		},
		merge: func(parts []*Objects, to *Objects, clash clashFunc) {
			m := merger[T, P]{kind: name, list: at(to), source: to.Source, at: map[string]int{}, clash: clash}
			for i, from := range parts {
				m.add(i, *at(from), from.Source)
			}
		},
		sort: func(o *Objects) {
			slices.SortStableFunc(*at(o), func(a, b T) int {
				x, y := P(&a), P(&b)
				return cmp.Or(cmp.Compare(x.GetNamespace(), y.GetNamespace()), cmp.Compare(x.GetName(), y.GetName()))
			})
		},
	}
}

// clashFunc hears of an object that two parts have, and differently. The second is parts[part].
type clashFunc func(part int, key, why string)

// merger joins the objects of one kind.
type merger[T any, P object[T]] struct {
	kind   string
	list   *[]T
	source map[string]string // Objects.Source
	at     map[string]int    // the place in list, by key
	clash  clashFunc
}

// add adds the objects of one part. Of two with one name the newer one stays, or the
// later one where that is not known.
func (m *merger[T, P]) add(part int, objects []T, source map[string]string) {
	for i := range objects {
		o := P(&objects[i])
		key := Key(m.kind, o.GetNamespace(), o.GetName())
		j, dup := m.at[key]
		if !dup {
			m.at[key] = len(*m.list)
			*m.list = append(*m.list, objects[i])
			m.source[key] = source[key]
			continue
		}
		old := P(&(*m.list)[j])
		if reflect.DeepEqual(old, o) {
			continue
		}
		was, is := old.GetResourceVersion(), o.GetResourceVersion()
		if olderVersion(is, was) {
			m.clash(part, key, fmt.Sprintf("collected twice, with resourceVersion %q and %q: the newer one was taken", was, is))
			continue
		}
		m.clash(part, key, fmt.Sprintf("collected twice, with resourceVersion %q and %q, and different: the later one was taken", was, is))
		(*m.list)[j] = objects[i]
		m.source[key] = source[key]
	}
}

// olderVersion reports whether resource version a is older than b, both being known
// (https://kep.k8s.io/5504: they are numbers, and grow).
func olderVersion(a, b string) bool {
	x, err1 := strconv.ParseUint(a, 10, 64)
	y, err2 := strconv.ParseUint(b, 10, 64)
	return err1 == nil && err2 == nil && x < y
}

// Key returns the key of an object in Objects.Source: "Pod/shop/web-0". The namespace of a Node is "": "Node//a".
func Key(kind, namespace, name string) string { return kind + "/" + namespace + "/" + name }

func (o *Objects) sort() {
	for _, k := range kinds {
		k.sort(o)
	}
}

// mergeObjects joins the objects of several parts.
func mergeObjects(parts []*Objects, clash clashFunc) Objects {
	var out Objects
	out.init()
	for _, k := range kinds {
		k.merge(parts, &out, clash)
	}
	for _, p := range parts {
		maps.Copy(out.Have, p.Have)
	}
	return out
}

func (o *Objects) init() {
	if o.Have == nil {
		o.Have, o.Source = map[string]bool{}, map[string]string{}
	}
}

// objects reads objects/*.json.
func (r *reader) objects() {
	var parts []*Objects
	var files []string
	entries, err := fs.ReadDir(r.fsys, "objects")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		r.gap("objects", "%s", reason(err))
	}
	for _, e := range entries {
		name := path.Join("objects", e.Name())
		if whole, ok := strings.CutSuffix(name, ".error"); ok {
			if _, err := fs.Stat(r.fsys, whole); err != nil {
				r.failed(whole)
			}
			continue
		}
		if !e.IsDir() && path.Ext(name) == ".json" {
			parts, files = append(parts, r.objectFile(name)), append(files, name)
		}
	}
	r.c.Objects = mergeObjects(parts, func(part int, key, why string) { r.gap(files[part], "%s: %s", key, why) })
}

// kindOfFile returns the kind that a file is named for: "objects/services.json" holds Services.
func kindOfFile(name string) (kind, bool) {
	base := strings.ToLower(strings.TrimSuffix(path.Base(name), path.Ext(name)))
	for _, k := range kinds {
		one := strings.ToLower(k.name)
		many := one + "s"
		switch {
		case strings.HasSuffix(one, "s") && one != "endpoints":
			many = one + "es"
		case strings.HasSuffix(one, "y"):
			many = strings.TrimSuffix(one, "y") + "ies"
		}
		if base == one || base == many {
			return k, true
		}
	}
	return kind{}, false
}

// objectFile reads one file of objects.
func (r *reader) objectFile(name string) *Objects {
	f := objectReader{r: r, name: name}
	f.found.init()
	data, ok := r.read(name, false)
	if !ok {
		return &f.found
	}
	err := f.read(data)
	if err != nil {
		r.gap(name, "%s", err)
	}
	f.have(err == nil && len(bytes.TrimSpace(data)) > 0)
	return &f.found
}

// objectReader reads the objects of one file.
type objectReader struct {
	r     *reader
	name  string
	found Objects
	count int  // objects of any kind, to name one in a Gap
	lists bool // there was a List
}

// have says which kinds were collected by this file: the one that it is named for, and those
// that it has. One object alone, in a file of another name, is no collection of its kind.
func (f *objectReader) have(complete bool) {
	if k, ok := kindOfFile(f.name); ok && complete {
		f.found.Have[k.name] = true
		return
	}
	if !f.lists && f.count <= 1 {
		clear(f.found.Have)
	}
}

// read reads JSON documents, one after the other.
func (f *objectReader) read(data []byte) error {
	dec := json.NewDecoder(bytes.NewReader(data))
	for n := 1; ; n++ {
		var raw json.RawMessage
		err := dec.Decode(&raw)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("document %d, at byte %d: %w: the rest was not read", n, dec.InputOffset(), err)
		}
		if err := f.document(raw, "", ""); err != nil {
			f.r.gap(f.name, "document %d: %s", n, err)
		}
	}
}

// head is what all objects and lists have.
type head struct {
	APIVersion string            `json:"apiVersion"`
	Kind       string            `json:"kind"`
	Items      []json.RawMessage `json:"items"`
}

// document reads a List, or an object. The items of a typed list (PodList) need not say what they are.
func (f *objectReader) document(raw []byte, version, kind string) error {
	var h head
	if err := json.Unmarshal(raw, &h); err != nil {
		return err
	}
	h.APIVersion, h.Kind = cmp.Or(h.APIVersion, version), cmp.Or(h.Kind, kind)
	of, isList := strings.CutSuffix(h.Kind, "List")
	if !isList {
		return f.object(raw, h)
	}
	f.lists = true
	if of == "" {
		h.APIVersion = "" // of the List itself
	}
	if k, ok := known(of); ok && k.version == h.APIVersion {
		f.found.Have[of] = true
	}
	for i, item := range h.Items {
		if err := f.item(item, h.APIVersion, of); err != nil {
			f.r.gap(f.name, "item %d: %s", i, err)
		}
	}
	return nil
}

// item reads an item of a list, which is no list.
func (f *objectReader) item(raw []byte, version, kind string) error {
	var h struct {
		APIVersion string `json:"apiVersion"`
		Kind       string `json:"kind"`
	}
	if err := json.Unmarshal(raw, &h); err != nil {
		return err
	}
	return f.object(raw, head{APIVersion: cmp.Or(h.APIVersion, version), Kind: cmp.Or(h.Kind, kind)})
}

// object reads one object. Kinds that Objects does not hold are passed over.
func (f *objectReader) object(raw []byte, h head) error {
	f.count++
	if h.Kind == "" {
		return errors.New("neither an object nor a List: it has no kind")
	}
	k, ok := known(h.Kind)
	if !ok {
		return nil
	}
	if k.version != h.APIVersion {
		if !sameGroup(k.version, h.APIVersion) {
			return nil // a kind of the same name of someone else
		}
		return fmt.Errorf("%s of %q is not understood: want %s", short(h.Kind), short(h.APIVersion), k.version)
	}
	o, err := k.add(&f.found, raw)
	if err != nil {
		return fmt.Errorf("%s: %w", k.name, err)
	}
	f.found.Have[k.name] = true
	key := Key(k.name, o.GetNamespace(), o.GetName())
	f.found.Source[key] = f.name
	return nil
}

// known returns the kind of that name.
func known(name string) (kind, bool) {
	i := slices.IndexFunc(kinds, func(k kind) bool { return k.name == name })
	if i < 0 {
		return kind{}, false
	}
	return kinds[i], true
}

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
