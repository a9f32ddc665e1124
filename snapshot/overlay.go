package snapshot

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// Overlay returns the objects of base with those of over instead of, or beside, them, and
// without those that gone has the keys of, and those in a Namespace that it has. It changes neither; lists that stay as they are
// it shares with base. What was collected, and from where, is as in base.
func Overlay(base, over *Objects, gone map[string]bool) *Objects {
	out := *base
	for _, k := range kinds {
		k.overlay(base, over, gone, &out)
	}
	return &out
}

// overlaid is Overlay of one kind.
func overlaid[T any, P object[T]](kind string, base, over []T, gone map[string]bool) []T {
	drop := map[string]bool{}
	for key := range gone {
		if strings.HasPrefix(key, kind+"/") {
			drop[key] = true
		}
	}
	for i := range over {
		drop[Key(kind, P(&over[i]).GetNamespace(), P(&over[i]).GetName())] = true
	}
	if len(drop) == 0 && len(gone) == 0 {
		return base
	}
	out := make([]T, 0, len(base)+len(over))
	for i := range base {
		o := P(&base[i])
		if !drop[Key(kind, o.GetNamespace(), o.GetName())] && !(o.GetNamespace() != "" && gone[Key("Namespace", "", o.GetNamespace())]) {
			out = append(out, base[i])
		}
	}
	return sorted[T, P](append(out, over...))
}

// NewObject returns a pointer to an object of a kind that Objects holds, without content, for a
// decoder to fill, and the name that Objects has for the kind; false for any other kind. It returns
// an error for a version of it that is not understood.
func NewObject(version, kind string) (object any, name string, ok bool, err error) {
	k, err := wanted(version, kind)
	if k == nil {
		return nil, "", false, err
	}
	return k.fresh(), k.name, true, nil
}

// KindNamed returns the name that Objects has for a kind, given as kubectl takes it: "networkpolicy",
// "Services", "netpol"; false for a kind that Objects does not hold.
func KindNamed(s string) (string, bool) {
	s = strings.ToLower(s)
	if long, ok := shortKinds[s]; ok {
		return long, true
	}
	return KindOfFile(s)
}

// shortKinds are the short names of the API's resources.
var shortKinds = map[string]string{
	"po": "Pod", "no": "Node", "svc": "Service", "cm": "ConfigMap", "ns": "Namespace", "ds": "DaemonSet", "deploy": "Deployment", "rs": "ReplicaSet",
	"sts": "StatefulSet", "netpol": "NetworkPolicy", "ing": "Ingress", "cnp": "ClusterNetworkPolicy", "anp": "AdminNetworkPolicy", "banp": "BaselineAdminNetworkPolicy",
}

// wholeCluster are the kinds whose objects are in no namespace.
var wholeCluster = []string{"Node", "Namespace", "IngressClass", "GatewayClass", "ClusterNetworkPolicy", "AdminNetworkPolicy", "BaselineAdminNetworkPolicy",
	"CiliumClusterwideNetworkPolicy", "CalicoGlobalNetworkPolicy"}

// Namespaced reports whether objects of a kind that Objects holds are in a namespace.
func Namespaced(kind string) bool { return !slices.Contains(wholeCluster, kind) }

// Object returns one object as JSON, with its kind and apiVersion; false where there is none.
func (o *Objects) Object(kind, namespace, name string) ([]byte, bool) {
	for _, k := range kinds {
		if k.name != kind {
			continue
		}
		if v := k.find(o, namespace, name); v != nil {
			data, err := json.Marshal(v)
			if err != nil {
				panic(fmt.Sprintf("snapshot: an API type that JSON does not take: %v", err)) // a broken invariant
			}
			return data, true
		}
	}
	return nil, false
}
