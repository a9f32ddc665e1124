package snapshot

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
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
	"k8s.io/apimachinery/pkg/runtime/schema"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	gatewayv1alpha2 "sigs.k8s.io/gateway-api/apis/v1alpha2"
	gatewayv1beta1 "sigs.k8s.io/gateway-api/apis/v1beta1"
	policyv1alpha1 "sigs.k8s.io/network-policy-api/apis/v1alpha1"
	policyv1alpha2 "sigs.k8s.io/network-policy-api/apis/v1alpha2"
)

// kind is one kind of object that Objects holds.
type kind struct {
	name    string // "Pod"; where two APIs have one name, the one that Objects has for it
	api     string // the name in its API
	version string // "v1", "apps/v1"
	also    string // another version of the same, "" for none
	grow    func(o *Objects, n int)
	add     func(o *Objects, d *decoder, raw []byte, version, kind string) (key string, err error)
	merge   func(parts []*Objects, to *Objects, clash clashFunc)
	sort    func(*Objects)
	keys    func(*Objects) []string
	encode  func(*Objects) ([]byte, error) // a List
	fresh   func() any                     // a pointer to an object without content
	find    func(o *Objects, namespace, name string) apiObject
	overlay func(base, over *Objects, gone map[string]bool, to *Objects)
}

const gatewayAPI = "gateway.networking.k8s.io/"

// kinds are all kinds that Objects holds.
var kinds = []kind{
	newKind("Pod", "v1", func(o *Objects) *[]corev1.Pod { return &o.Pods }),
	newKind("Node", "v1", func(o *Objects) *[]corev1.Node { return &o.Nodes }),
	newKind("Service", "v1", func(o *Objects) *[]corev1.Service { return &o.Services }),
	newKind("EndpointSlice", "discovery.k8s.io/v1", func(o *Objects) *[]discoveryv1.EndpointSlice { return &o.EndpointSlices }),
	newKind("ConfigMap", "v1", func(o *Objects) *[]corev1.ConfigMap { return &o.ConfigMaps }),
	newKind("Namespace", "v1", func(o *Objects) *[]corev1.Namespace { return &o.Namespaces }),
	newKind("DaemonSet", "apps/v1", func(o *Objects) *[]appsv1.DaemonSet { return &o.DaemonSets }),
	newKind("Deployment", "apps/v1", func(o *Objects) *[]appsv1.Deployment { return &o.Deployments }),
	newKind("ReplicaSet", "apps/v1", func(o *Objects) *[]appsv1.ReplicaSet { return &o.ReplicaSets }),
	newKind("StatefulSet", "apps/v1", func(o *Objects) *[]appsv1.StatefulSet { return &o.StatefulSets }),
	newKind("NetworkPolicy", "networking.k8s.io/v1", func(o *Objects) *[]networkingv1.NetworkPolicy { return &o.NetworkPolicies }),
	newKind("Ingress", "networking.k8s.io/v1", func(o *Objects) *[]networkingv1.Ingress { return &o.Ingresses }),
	newKind("IngressClass", "networking.k8s.io/v1", func(o *Objects) *[]networkingv1.IngressClass { return &o.IngressClasses }),
	newKindOf("GatewayClass", "GatewayClass", gatewayAPI+"v1", gatewayAPI+"v1beta1", func(o *Objects) *[]gatewayv1.GatewayClass { return &o.GatewayClasses }),
	newKindOf("Gateway", "Gateway", gatewayAPI+"v1", gatewayAPI+"v1beta1", func(o *Objects) *[]gatewayv1.Gateway { return &o.Gateways }),
	newKindOf("HTTPRoute", "HTTPRoute", gatewayAPI+"v1", gatewayAPI+"v1beta1", func(o *Objects) *[]gatewayv1.HTTPRoute { return &o.HTTPRoutes }),
	newKind("TCPRoute", gatewayAPI+"v1alpha2", func(o *Objects) *[]gatewayv1alpha2.TCPRoute { return &o.TCPRoutes }),
	newKind("ReferenceGrant", gatewayAPI+"v1beta1", func(o *Objects) *[]gatewayv1beta1.ReferenceGrant { return &o.ReferenceGrants }),
	newKind("ClusterNetworkPolicy", "policy.networking.k8s.io/v1alpha2", func(o *Objects) *[]policyv1alpha2.ClusterNetworkPolicy { return &o.ClusterNetworkPolicies }),
	newKind("AdminNetworkPolicy", "policy.networking.k8s.io/v1alpha1", func(o *Objects) *[]policyv1alpha1.AdminNetworkPolicy { return &o.AdminNetworkPolicies }),
	newKind("BaselineAdminNetworkPolicy", "policy.networking.k8s.io/v1alpha1", func(o *Objects) *[]policyv1alpha1.BaselineAdminNetworkPolicy {
		return &o.BaselineAdminNetworkPolicies
	}),
	newKind("CiliumNetworkPolicy", "cilium.io/v2", func(o *Objects) *[]OtherPolicy { return &o.CiliumNetworkPolicies }),
	newKind("CiliumClusterwideNetworkPolicy", "cilium.io/v2", func(o *Objects) *[]OtherPolicy { return &o.CiliumClusterwideNetworkPolicies }),
	calico("CalicoNetworkPolicy", "NetworkPolicy", func(o *Objects) *[]OtherPolicy { return &o.CalicoNetworkPolicies }),
	calico("CalicoGlobalNetworkPolicy", "GlobalNetworkPolicy", func(o *Objects) *[]OtherPolicy { return &o.CalicoGlobalNetworkPolicies }),
}

// calico is a kind of Calico's, which has the same name in its resources and in its API server.
func calico(name, api string, at func(*Objects) *[]OtherPolicy) kind {
	return newKindOf(name, api, "crd.projectcalico.org/v1", "projectcalico.org/v3", at)
}

// is reports whether the kind is what an API calls so.
func (k *kind) is(version, api string) bool {
	return k.api == api && (k.version == version || k.also == version && version != "")
}

// object is a pointer to an object of type T.
type object[T any] interface {
	*T
	apiObject
}

// apiObject is an object of any type.
type apiObject interface {
	metav1.Object
	GetObjectKind() schema.ObjectKind
}

// newKind ties a kind to its place in Objects.
func newKind[T any, P object[T]](name, version string, at func(*Objects) *[]T) kind {
	return newKindOf[T, P](name, name, version, "", at)
}

// newKindOf is newKind for one that its API calls by another name, or that has two versions.
func newKindOf[T any, P object[T]](name, api, version, also string, at func(*Objects) *[]T) kind {
	return kind{
		name: name, api: api, version: version, also: also,
		grow: func(o *Objects, n int) { *at(o) = slices.Grow(*at(o), n) },
		add: func(o *Objects, d *decoder, raw []byte, listVersion, listKind string) (string, error) {
			list := at(o)
			var zero T
			*list = append(*list, zero)
			v := P(&(*list)[len(*list)-1])
			err := d.object(v, raw, metav1.TypeMeta{Kind: api, APIVersion: version}, also, metav1.TypeMeta{Kind: listKind, APIVersion: listVersion})
			if err != nil {
				*v = zero
				*list = (*list)[:len(*list)-1]
				return "", err
			}
			return Key(name, v.GetNamespace(), v.GetName()), nil
		},
		merge: func(parts []*Objects, to *Objects, clash clashFunc) {
			n, last := 0, 0
			for i, from := range parts {
				if len(*at(from)) > 0 {
					n, last = n+len(*at(from)), i
				}
			}
			if n > 0 && n == len(*at(parts[last])) && inOrder[T, P](*at(parts[last])) {
				*at(to) = *at(parts[last]) // they are big, and none comes twice
				addSources[T, P](to.Source, name, *at(to), parts[last].Source)
				return
			}
			*at(to) = slices.Grow(*at(to), n)
			m := merger[T, P]{kind: name, list: at(to), source: to.Source, at: make(map[string]int, n), clash: clash}
			for i, from := range parts {
				m.add(i, *at(from), from.Source)
			}
		},
		sort: func(o *Objects) { *at(o) = sorted[T, P](*at(o)) },
		keys: func(o *Objects) []string {
			list := *at(o)
			keys := make([]string, len(list))
			for i := range list {
				keys[i] = Key(name, P(&list[i]).GetNamespace(), P(&list[i]).GetName())
			}
			return keys
		},
		encode: func(o *Objects) ([]byte, error) {
			return json.Marshal(struct {
				metav1.TypeMeta `json:",inline"`
				Items           []T `json:"items"`
			}{metav1.TypeMeta{Kind: api + "List", APIVersion: version}, *at(o)})
		},
		fresh: func() any { return P(new(T)) },
		find: func(o *Objects, namespace, name string) apiObject {
			for i := range *at(o) {
				if v := P(&(*at(o))[i]); v.GetName() == name && v.GetNamespace() == namespace {
					found := (*at(o))[i]
					if is, ok := P(&found).GetObjectKind().(*metav1.TypeMeta); ok {
						*is = metav1.TypeMeta{Kind: api, APIVersion: version} // the API server's lists leave it out
					}
					return P(&found)
				}
			}
			return nil
		},
		overlay: func(base, over *Objects, gone map[string]bool, to *Objects) {
			*at(to) = overlaid[T, P](name, *at(base), *at(over), gone)
		},
	}
}

// inOrder reports whether the objects are sorted and none comes twice, as an API server lists them.
func inOrder[T any, P object[T]](list []T) bool {
	for i := 1; i < len(list); i++ {
		if compareObjects(P(&list[i-1]), P(&list[i])) >= 0 {
			return false
		}
	}
	return true
}

func compareObjects(a, b metav1.Object) int {
	return cmp.Or(cmp.Compare(a.GetNamespace(), b.GetNamespace()), cmp.Compare(a.GetName(), b.GetName()))
}

// addSources adds the files that objects are from.
func addSources[T any, P object[T]](to map[string]string, kind string, list []T, from map[string]string) {
	for i := range list {
		o := P(&list[i])
		key := Key(kind, o.GetNamespace(), o.GetName())
		to[key] = from[key]
	}
}

// sorted returns the objects by namespace and name. They are big, so none is moved where
// they already are in order, as an API server's are.
func sorted[T any, P object[T]](list []T) []T {
	order := func(i, j int) int { return compareObjects(P(&list[i]), P(&list[j])) }
	at := make([]int, len(list))
	for i := range at {
		at[i] = i
	}
	if slices.IsSortedFunc(at, order) {
		return list
	}
	slices.SortStableFunc(at, order)
	out := make([]T, 0, len(list))
	for _, i := range at {
		out = append(out, list[i])
	}
	return out
}

// decoder reads objects, one after the other.
type decoder struct {
	filler
	scratch []byte // an object without its white space
}

// object reads an object, which must be of the kind want; what it does not say of its kind its List does.
func (d *decoder) object(o apiObject, raw []byte, want metav1.TypeMeta, also string, list metav1.TypeMeta) error {
	if !d.fill(o, raw) {
		d.scratch = compact(d.scratch[:0], raw)
		reflect.ValueOf(o).Elem().SetZero()
		if err := json.Unmarshal(d.scratch, o); err != nil {
			return err
		}
	}
	if is, ok := o.GetObjectKind().(*metav1.TypeMeta); ok {
		version := cmp.Or(is.APIVersion, list.APIVersion)
		if cmp.Or(is.Kind, list.Kind) != want.Kind || version != want.APIVersion && (also == "" || version != also) {
			return errors.New("of another kind")
		}
		*is = want
	}
	if o.GetName() == "" {
		return errors.New("no metadata.name")
	}
	o.SetManagedFields(nil)
	delete(o.GetAnnotations(), lastApplied)
	return nil
}

// lastApplied holds the whole object once more, as "kubectl apply" was given it. Together
// with managedFields it is half of many an object, may hold what is secret, and tells plumb nothing.
const lastApplied = "kubectl.kubernetes.io/last-applied-configuration"

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
	n := 0
	for _, p := range parts {
		n += len(p.Source)
	}
	out := Objects{Have: map[string]bool{}, Source: make(map[string]string, n)}
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

// known returns the first kind that an API calls by that name.
func known(name string) (*kind, bool) {
	for i := range kinds {
		if kinds[i].api == name {
			return &kinds[i], true
		}
	}
	return nil, false
}

// knownAs returns the kind that an API calls by that name.
func knownAs(version, name string) (*kind, bool) {
	for i := range kinds {
		if kinds[i].is(version, name) {
			return &kinds[i], true
		}
	}
	return nil, false
}
