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
	slices.SortFunc(out.Unjudged, func(a, b Unjudged) int {
		return cmp.Or(strings.Compare(a.Check, b.Check), strings.Compare(a.Where, b.Where), strings.Compare(a.Why, b.Why))
	})
	out.Unjudged = slices.Compact(out.Unjudged)
	return out
}

// same reports whether two findings say the same of the same place.
func same(a, b Finding) bool {
	return a.Check == b.Check && a.Where == b.Where && a.What.String() == b.What.String()
}
