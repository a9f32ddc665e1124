package check

import (
	"cmp"
	"net/netip"
	"path"
	"slices"
	"strings"

	"github.com/plumbnet/plumb/network"
	"github.com/plumbnet/plumb/snapshot"
	"github.com/plumbnet/plumb/trace"
)

// Run runs the checks over a snapshot, whose namespaces n joins, and over the
// traces of the path asked about. The order of checks decides between findings
// of equal weight. A check that lacks an object kind it needs is not run, and
// said to be unjudged; one that lacks files judges what is there, and is said
// to be unjudged for the rest.
func Run(c *snapshot.Cluster, n *network.Network, results []trace.Result, external []netip.Prefix, checks ...*Check) Result {
	var found []ranked
	var r Result
	ix := &index{}
	for order, k := range checks {
		p := &Pass{Snapshot: c, Network: n, Results: results, External: external, index: ix}
		p.Report = func(f Finding) {
			f.Check = k.Name
			found = append(found, ranked{Finding: f, order: order})
		}
		p.Unjudged = func(where, why string) {
			r.Unjudged = append(r.Unjudged, Unjudged{k.Name, where, why})
		}
		if !p.unmet(k.Needs) {
			k.Run(p)
		}
		r.Ran = append(r.Ran, k.Name)
	}
	r.Findings = gather(fold(found))
	slices.SortFunc(r.Unjudged, func(a, b Unjudged) int {
		return cmp.Or(strings.Compare(a.Check, b.Check), strings.Compare(a.Where, b.Where), strings.Compare(a.Why, b.Why))
	})
	r.Unjudged = slices.Compact(r.Unjudged)
	r.Lost = ix.lost
	slices.SortFunc(r.Lost, func(a, b Loss) int {
		return cmp.Or(strings.Compare(a.At.String(), b.At.String()), strings.Compare(a.Packet, b.Packet), compareBool(a.Share, b.Share))
	})
	r.Lost = slices.Compact(r.Lost)
	return r
}

// compareBool puts false first.
func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

// unmet says which of needs the snapshot lacks, and reports whether one of
// them is a kind of object, without which a check does not run.
func (p *Pass) unmet(needs []string) bool {
	stop := false
	for _, need := range needs {
		if kind, ok := strings.CutPrefix(need, "objects/"); ok {
			stop = stop || !p.Snapshot.Objects.Have[kind]
			for _, g := range p.Snapshot.Missing(need) {
				p.Unjudged(g.Path, g.Why)
			}
			continue
		}
		p.unmetFile(need)
	}
	return stop
}

// unmetFile says where a file is missing: "addr.json" in any namespace, "host/addr.json" in the nodes' own.
func (p *Pass) unmetFile(need string) {
	for _, g := range p.Snapshot.Missing(path.Base(need)) {
		whole := strings.Count(g.Path, "/") < 3 // a node, or a namespace
		if whole || strings.HasSuffix(g.Path, "/"+need) {
			p.Unjudged(g.Path, g.Why)
		}
	}
}

// A ranked finding remembers the place of its check in the list.
type ranked struct {
	Finding
	order int
}

// before orders findings: those that the path dies of, then by severity, then
// in the order of the checks, then by place.
func before(a, b ranked) int {
	return cmp.Or(
		-cmp.Compare(rankPath(a), rankPath(b)),
		-cmp.Compare(a.Severity, b.Severity),
		cmp.Compare(a.order, b.order),
		strings.Compare(a.Where, b.Where),
		strings.Compare(a.What.String(), b.What.String()),
	)
}

func rankPath(f ranked) int {
	if f.OnPath {
		return 1
	}
	return 0
}

// fold puts each finding that another explains under its cause, and returns the rest, root causes first.
func fold(fs []ranked) []Finding {
	slices.SortStableFunc(fs, before)
	fs = slices.CompactFunc(fs, func(a, b ranked) bool {
		return same(a.Finding, b.Finding)
	})
	parent := parents(fs)
	// A cause of what the path dies of is what the path dies of.
	for i := range fs {
		for j := i; fs[i].OnPath && parent[j] >= 0; j = parent[j] {
			fs[parent[j]].OnPath = true
		}
	}
	kids := make([][]int, len(fs))
	var roots []ranked
	for i, up := range parent {
		if up >= 0 {
			kids[up] = append(kids[up], i)
		}
	}
	for i, up := range parent {
		if up < 0 {
			fs[i].Finding = grow(fs, kids, i)
			roots = append(roots, fs[i])
		}
	}
	slices.SortStableFunc(roots, before)
	var out []Finding
	for _, f := range roots {
		out = append(out, f.Finding)
	}
	return out
}

// grow returns finding i with all that it explains below it.
func grow(fs []ranked, kids [][]int, i int) Finding {
	f := fs[i].Finding
	for _, k := range kids[i] {
		f.Consequences = append(f.Consequences, grow(fs, kids, k))
	}
	return f
}

// parents returns for each of the sorted findings the index of its cause, or
// -1. Where findings explain each other in a circle, the first of them stays a root.
func parents(fs []ranked) []int {
	explain := map[string][]int{} // the findings that explain some of a check's
	for i, f := range fs {
		for _, s := range f.Explains {
			if at := explain[s.Check]; len(at) == 0 || at[len(at)-1] != i {
				explain[s.Check] = append(at, i)
			}
		}
	}
	parent := make([]int, len(fs))
	for i := range parent {
		parent[i] = -1
	}
	for i := len(fs) - 1; i >= 0; i-- {
		for _, j := range explain[fs[i].Check] {
			if j != i && fs[j].explains(fs[i].Finding) && !above(parent, j, i) {
				parent[i] = j
				break
			}
		}
	}
	return parent
}

// above reports whether i is j or one of the causes above j.
func above(parent []int, j, i int) bool {
	for ; j >= 0; j = parent[j] {
		if j == i {
			return true
		}
	}
	return false
}

// explains reports whether f names g among its symptoms.
func (f Finding) explains(g Finding) bool {
	return slices.ContainsFunc(f.Explains, func(s Symptom) bool {
		return s.Check == g.Check && within(g.Where, s.Where)
	})
}

// within reports whether where lies at or below prefix: "a/host/eth0" is within "a/host", "a/host2" is not.
func within(where, prefix string) bool {
	rest, ok := strings.CutPrefix(where, prefix)
	return ok && (prefix == "" || rest == "" || rest[0] == '/' || strings.HasSuffix(prefix, "/"))
}
