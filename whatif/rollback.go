package whatif

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/plumbnet/plumb/snapshot"
	"github.com/plumbnet/plumb/text"
)

// A Rollback is what undoes a change.
type Rollback struct {
	Objects [][]byte    // JSON, to be applied; none of a Secret, which a snapshot does not hold
	Delete  []string    // "networkpolicy/shop/web": what the change makes
	Notes   []text.Text // what cannot be undone by an object of a snapshot, and how else
}

// templated are kinds that a snapshot holds without their Pods' environment and commands: to apply
// one of these would take them away.
var templated = []string{"Pod", "Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "ConfigMap"}

// Undo says what undoes a change of objects, given their keys.
func Undo(was, is *snapshot.Objects, touched []string) (r Rollback) {
	for _, key := range touched {
		kind, rest, _ := strings.Cut(key, "/")
		namespace, name, _ := strings.Cut(rest, "/")
		short := strings.ToLower(kind) + "/" + strings.TrimPrefix(namespace+"/"+name, "/")
		data, had := was.Object(kind, namespace, name)
		switch {
		case !had:
			r.Delete = append(r.Delete, short)
		case slices.Contains(templated, kind):
			r.Notes = append(r.Notes, text.F("%s: a snapshot holds it without what may be secret: undo it from where it came from, or by kubectl rollout undo", short))
		default:
			r.Objects = append(r.Objects, bare(data))
		}
		if kind == "Namespace" && had {
			if _, has := is.Object(kind, namespace, name); !has {
				r.Notes = append(r.Notes, text.F("%s: what was in it is not among the objects", short))
			}
		}
	}
	return r
}

// bare takes out of an object what the API server gives it.
func bare(data []byte) []byte {
	var o map[string]json.RawMessage
	var meta map[string]json.RawMessage
	if json.Unmarshal(data, &o) != nil || json.Unmarshal(o["metadata"], &meta) != nil {
		return data
	}
	delete(o, "status")
	for _, f := range []string{"uid", "resourceVersion", "generation", "creationTimestamp", "managedFields", "selfLink", "ownerReferences"} {
		delete(meta, f)
	}
	o["metadata"], _ = json.Marshal(meta) // it was JSON
	out, _ := json.Marshal(o)
	return out
}
