package check

import (
	"cmp"
	"slices"
	"strings"
)

// Join joins the results of several runs of the same checks, each over a part of one cluster.
// What several of them say, of the objects for instance, is said once.
func Join(parts ...Result) Result {
	var out Result
	for _, r := range parts {
		for _, f := range r.Findings {
			if !slices.ContainsFunc(out.Findings, func(g Finding) bool { return same(f, g) }) {
				out.Findings = append(out.Findings, f)
			}
		}
		out.Unjudged = append(out.Unjudged, r.Unjudged...)
		out.Lost = append(out.Lost, r.Lost...)
		if len(out.Ran) == 0 {
			out.Ran = r.Ran
		}
	}
	slices.SortStableFunc(out.Findings, func(a, b Finding) int {
		return cmp.Or(-compareBool(a.OnPath, b.OnPath), -cmp.Compare(a.Severity, b.Severity))
	})
	out.Findings = gather(out.Findings)
	slices.SortFunc(out.Unjudged, func(a, b Unjudged) int {
		return cmp.Or(strings.Compare(a.Check, b.Check), strings.Compare(a.Where, b.Where), strings.Compare(a.Why, b.Why))
	})
	out.Unjudged = slices.Compact(out.Unjudged)
	return out
}

// maxAlso bounds the further places whose evidence is kept in a finding about several.
const maxAlso = 4

// gather makes one of findings about nodes that differ by their place alone, such as a sysctl on every node. What the
// path dies of, and what has consequences, stays by itself.
func gather(fs []Finding) (out []Finding) {
	at := map[string]int{}
	for _, f := range fs {
		key := strings.Join(append([]string{f.Check, f.What.String(), f.Fix.What.String(), string(rune('0' + f.Severity))}, f.Fix.Commands...), "\x00")
		i, seen := at[key]
		alone := f.OnPath || len(f.Consequences) > 0 || !ofNode(f)
		if alone || !seen {
			if !alone {
				at[key] = len(out)
			}
			out = append(out, f)
			continue
		}
		g := &out[i]
		g.Also = append(append(slices.Clip(g.Also), f.Where), f.Also...)
		slices.Sort(g.Also)
		g.Also = slices.Compact(g.Also)
		if len(g.Also) <= maxAlso {
			g.Evidence = append(slices.Clip(g.Evidence), f.Evidence...)
		}
	}
	return out
}

// ofNode reports whether a finding is about the state of a node.
func ofNode(f Finding) bool {
	node, _, _ := strings.Cut(f.Where, "/")
	return len(f.Evidence) > 0 && strings.HasPrefix(f.Evidence[0].File, "nodes/"+node+"/")
}

// same reports whether two findings say the same of the same place.
func same(a, b Finding) bool {
	return a.Check == b.Check && a.Where == b.Where && a.What.String() == b.What.String()
}
