package route

import (
	"cmp"
	"slices"
	"strings"

	"github.com/plumbnet/plumb/text"
)

// A Way is what one entry does with a request.
type Way struct {
	Entry   *Entry
	Rule    *Rule     // nil where no rule takes it: 404
	Unclear text.Text // why it is not known which rule takes it
	Rivals  []*Rule   // that are as good as Rule, where that is why
}

// Find returns what each entry that has a rule for the request's host does with it, in order of the entries.
func (t *Table) Find(q Request) []Way {
	var out []Way
	for i := range t.Entries {
		if w, ok := t.way(t.Entries[i], q); ok {
			out = append(out, w)
		}
	}
	return out
}

// way returns what an entry does with a request; false where it has nothing to do with the request's host.
func (t *Table) way(e *Entry, q Request) (Way, bool) {
	listener, concerned := "", false
	for _, r := range t.Rules {
		if r.Entry == e && r.listens(q) && len(r.catches) > len(listener) {
			listener = r.catches
		}
	}
	var best []*Rule
	w := Way{Entry: e}
	for _, r := range t.Rules {
		if r.Entry != e || !r.listens(q) || r.catches != listener || !r.hosts(q.Host) {
			continue
		}
		concerned = concerned || r.Host != "" || r.scheme == "tcp"
		takes := r.takes(q)
		if takes == No || !r.Fault.IsZero() {
			continue
		}
		if r.Canary && takes == Yes && w.Unclear.IsZero() {
			w.Unclear, w.Rivals = text.F("%s may take a share of it: it is a canary", r.Object), append(w.Rivals, r)
		}
		if r.Canary {
			continue
		}
		if takes == Unknown && w.Unclear.IsZero() && (len(best) == 0 || r.compare(best[0]) <= 0) {
			w.Unclear, w.Rivals = text.F("whether %s takes it is its controller's matter: %s", r.Object, r.Title()), append(w.Rivals, r)
		}
		if takes == Yes {
			best = append(best, r)
		}
	}
	slices.SortStableFunc(best, func(a, b *Rule) int { return cmp.Or(a.compare(b), a.age(b)) })
	if len(best) == 0 {
		return w, concerned || !w.Unclear.IsZero()
	}
	w.Rule = best[0]
	if !w.Unclear.IsZero() && !slices.ContainsFunc(w.Rivals, func(r *Rule) bool { return r.compare(w.Rule) < 0 || r.Canary && r.compare(w.Rule) == 0 }) {
		w.Unclear, w.Rivals = text.Text{}, nil // a better one takes it
	}
	for _, r := range best[1:] {
		if r.Object.Kind == "Ingress" && r.Object != w.Rule.Object && r.compare(w.Rule) == 0 && !r.Agrees(w.Rule) {
			w.Rivals = append(w.Rivals, r)
			w.Unclear = text.F("%s and %s both have %s, and Ingress does not say which one counts", w.Rule.Object, r.Object, r.Title())
		}
	}
	if w.Unclear.IsZero() {
		w.Unclear = w.Rule.Unclear
	}
	return w, true
}

// Agrees reports whether two rules send to the same ports of the same Services.
func (r *Rule) Agrees(o *Rule) bool {
	return slices.EqualFunc(r.Backends, o.Backends, func(a, b Backend) bool {
		return a.Namespace == b.Namespace && a.Name == b.Name && a.Port == b.Port && a.PortName == b.PortName
	})
}

// listens reports whether the rule is behind what a request came to.
func (r *Rule) listens(q Request) bool {
	if r.scheme == "" && q.Scheme == "tcp" || r.scheme != "" && r.scheme != q.Scheme || r.port != 0 && r.port != q.Port {
		return false
	}
	return r.scheme == "tcp" || covers(r.catches, q.Host, r.Object.Kind)
}

// hosts reports whether a rule is for a host.
func (r *Rule) hosts(host string) bool {
	return r.scheme == "tcp" || covers(r.Host, host, r.Object.Kind)
}

// covers reports whether a host is what an object names. A wildcard stands for one label in an Ingress, and
// for one or more in the Gateway API.
func covers(pattern, host, kind string) bool {
	if pattern == "" || pattern == host {
		return true
	}
	suffix, ok := strings.CutPrefix(pattern, "*")
	rest, fits := strings.CutSuffix(host, suffix)
	return ok && fits && rest != "" && (kind != "Ingress" || !strings.Contains(rest, "."))
}

// takes reports whether a rule is for the rest of a request.
func (r *Rule) takes(q Request) Answer {
	if r.scheme == "tcp" {
		return Yes
	}
	out := r.path(q.Path)
	if r.Method != "" && r.Method != cmp.Or(q.Method, "GET") {
		return No
	}
	for _, side := range []struct {
		want []Pair
		have map[string]string
	}{{r.Headers, q.Headers}, {r.Query, q.Query}} {
		for _, p := range side.want {
			got, ok := side.have[p.Name]
			if !ok || !p.Pattern && got != p.Value {
				return No
			}
			if p.Pattern && out == Yes {
				out = Unknown
			}
		}
	}
	return out
}

// path compares the path. One that an API server would have refused was taken out of the snapshot.
func (r *Rule) path(path string) Answer {
	switch r.Type {
	case Exact:
		return yes(r.Path == path, r.Path == "")
	case Prefix:
		return yes(below(r.Path, path), r.Path == "")
	case Specific:
		switch {
		case r.Path == path || r.Path == "/" || r.Path == "":
			return Yes
		case strings.ContainsAny(r.Path, `()[]*+?|^$\`) || strings.HasPrefix(path, strings.TrimSuffix(r.Path, "/")):
			return Unknown
		}
		return No
	}
	return Unknown
}

func yes(is, unknown bool) Answer {
	switch {
	case unknown:
		return Unknown
	case is:
		return Yes
	}
	return No
}

// below reports whether path has all elements of prefix.
func below(prefix, path string) bool {
	rest, ok := strings.CutPrefix(path, strings.TrimSuffix(prefix, "/"))
	return ok && (rest == "" || rest[0] == '/')
}

// compare puts the rule first that goes before the other. 0 is for those between which the age decides.
func (r *Rule) compare(o *Rule) int {
	return cmp.Or(
		first(!r.fixed, !o.fixed),
		first(!strings.HasPrefix(r.Host, "*") && r.Host != "", !strings.HasPrefix(o.Host, "*") && o.Host != ""),
		cmp.Compare(len(o.Host), len(r.Host)),
		first(r.Type == Exact, o.Type == Exact),
		cmp.Compare(len(strings.TrimSuffix(o.Path, "/")), len(strings.TrimSuffix(r.Path, "/"))),
		first(r.Method != "", o.Method != ""),
		cmp.Compare(len(o.Headers), len(r.Headers)),
		cmp.Compare(len(o.Query), len(r.Query)),
	)
}

// age puts the older object first, then the one whose name comes first, then the earlier rule.
func (r *Rule) age(o *Rule) int {
	return cmp.Or(r.created.Compare(o.created), cmp.Compare(r.Object.Namespace, o.Object.Namespace), cmp.Compare(r.Object.Name, o.Object.Name), cmp.Compare(r.order, o.order))
}

func first(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return -1
	}
	return 1
}
