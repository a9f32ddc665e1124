package diagnose

import (
	"cmp"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/plumbnet/plumb/packet"
	"github.com/plumbnet/plumb/snapshot"
	"github.com/plumbnet/plumb/text"
	"github.com/plumbnet/plumb/trace"
)

// addNeeds says what a firmer verdict would have needed: why paths could not be
// followed to their end, then which files that decide are missing where packets
// passed. A gap is told once.
func (r *Report) addNeeds() {
	seen := map[string]bool{}
	for _, n := range r.Needs {
		seen[n.What.String()] = true
	}
	told := map[snapshot.Gap]bool{}
	add := func(n Need) {
		if n.What.IsZero() || seen[n.What.String()] {
			return
		}
		seen[n.What.String()] = true
		for _, g := range n.Gaps {
			told[g] = true
		}
		r.Needs = append(r.Needs, n)
	}
	var walk func(ps []trace.Path)
	walk = func(ps []trace.Path) {
		for _, p := range ps {
			if p.End == trace.Unknown {
				add(Need{p.Why, r.tellsOf(p)})
			}
			for _, a := range p.Assumed {
				add(Need{What: a.What})
			}
			walk(p.Reply)
		}
	}
	for _, t := range r.Traces {
		if t.Verdict != Works && !t.Big {
			walk(t.Result.Paths)
		}
	}
	for _, n := range r.onPath(told) {
		add(n)
	}
}

// tells names the files, of the namespace where a path ended, that the sentences of
// package trace tell of.
var tells = map[string][]string{
	"the rules of %s are not known: %s":                                     {"iptables", "iptables-legacy", "ip6tables", "ip6tables-legacy", "nft.json", "ipvs"},
	"the route to %s from %s is not known: %s":                              {"routes.json", "rules.json", "routes6.json", "rules6.json"},
	"whether %s has a neighbour entry for %s is not known: %s":              {"neigh.json"},
	"where %s sends frames for %s is not known: its forwarding entries: %s": {"fdb.json"},
	"whether anything listens on %s port %d in %s is not known: %s":         {"sockets"},
	"whether %s forwards packets is not known: %s was not collected":        {"sysctl"},
}

// tellsOf returns the gaps that the end of p tells of.
func (r *Report) tellsOf(p trace.Path) (out []snapshot.Gap) {
	at := "nodes/" + p.At.Node + "/" + p.At.NetNS
	said := p.Why.String()
	for _, g := range r.Gaps {
		dir, file := path.Split(g.Path)
		switch {
		case strings.TrimSuffix(dir, "/") == at && strings.HasSuffix(said, g.Why) && slices.Contains(tells[p.Why.Format], file):
			out = append(out, g)
		case dir == "nodes/" && slices.Contains(p.Why.Args, any("node "+file)):
			out = append(out, g)
		}
	}
	return out
}

// The files of a namespace that decide about every packet that passes it, and
// those that decide about packets of one family only.
var (
	deciding  = []string{"addr.json", "neigh.json", "sysctl", "nft.json", "ipset", "ipvs"}
	deciding4 = []string{"routes.json", "rules.json", "iptables", "iptables-legacy"}
	deciding6 = []string{"routes6.json", "rules6.json", "ip6tables", "ip6tables-legacy"}
)

// passed are the families of the packets that passed a namespace.
type passed struct{ v4, v6 bool }

// add takes note of a packet, and of those that it carries.
func (f passed) add(p packet.Packet) passed {
	for q := &p; q != nil; q = q.Inner {
		a := q.Dst.Addr()
		f.v4, f.v6 = f.v4 || a.Is4(), f.v6 || a.Is6()
	}
	return f
}

// decides reports whether a file would have decided about them.
func (f passed) decides(file string) bool {
	return (f.v4 || f.v6) && slices.Contains(deciding, file) ||
		f.v4 && slices.Contains(deciding4, file) || f.v6 && slices.Contains(deciding6, file)
}

// families returns, by folder, which packets passed each namespace.
func (r *Report) families() map[string]passed {
	out := map[string]passed{}
	var walk func(ps []trace.Path)
	walk = func(ps []trace.Path) {
		for _, p := range ps {
			last := p.Final
			for _, h := range p.Hops {
				dir := "nodes/" + h.Node + "/" + h.NetNS
				for _, s := range h.Steps {
					out[dir] = out[dir].add(*s.Out)
					last = *s.Out
				}
				if out[dir] = out[dir].add(last); out[dir] == (passed{}) {
					out[dir] = passed{v4: true, v6: true} // not known: either
				}
			}
			walk(p.Reply)
		}
	}
	for _, t := range r.Traces {
		walk(t.Result.Paths)
	}
	return out
}

// onPath says which files that decide are missing of the namespaces that were
// passed, but for those that are told already: a sentence for all namespaces that
// lack the same files for the same reason.
func (r *Report) onPath(told map[snapshot.Gap]bool) (out []Need) {
	type lack struct{ dir, why string }
	type group struct{ files, why string }
	families := r.families()
	files := map[lack][]snapshot.Gap{}
	for _, g := range r.Gaps {
		dir, file := path.Split(g.Path)
		dir = strings.TrimSuffix(dir, "/")
		if !told[g] && families[dir].decides(file) {
			files[lack{dir, g.Why}] = append(files[lack{dir, g.Why}], g)
		}
	}
	dirs, gaps := map[group][]string{}, map[group][]snapshot.Gap{}
	byDir := func(a, b lack) int { return cmp.Or(cmp.Compare(a.dir, b.dir), cmp.Compare(a.why, b.why)) }
	for _, l := range slices.SortedFunc(maps.Keys(files), byDir) {
		var names []string
		for _, g := range files[l] {
			names = append(names, path.Base(g.Path))
		}
		k := group{strings.Join(names, ", "), l.why}
		dirs[k], gaps[k] = append(dirs[k], l.dir), append(gaps[k], files[l]...)
	}
	byFirst := func(a, b group) int {
		return cmp.Or(cmp.Compare(dirs[a][0], dirs[b][0]), cmp.Compare(a.why, b.why))
	}
	for _, k := range slices.SortedFunc(maps.Keys(dirs), byFirst) {
		out = append(out, Need{text.F("%s of %s, by which packets pass: %s", k.files, strings.Join(dirs[k], ", "), k.why), gaps[k]})
	}
	return out
}
