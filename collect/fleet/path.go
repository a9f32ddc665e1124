package fleet

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/plumbnet/plumb/diagnose"
	"github.com/plumbnet/plumb/snapshot"
)

const (
	// maxPath is how many nodes one question may ask: a Service with a thousand endpoints is
	// judged by those on the first of their nodes.
	maxPath = 16
	// rounds bounds how often what was collected may lead to further nodes: a Service, its
	// endpoint, a gateway between them.
	rounds = 6
)

// Path collects what ask touches, and joins it with objects, which hold those of the whole
// cluster and no nodes. An error means that the question cannot be read, or that ctx ended.
func (f *Fleet) Path(ctx context.Context, objects *snapshot.Cluster, ask diagnose.Ask) (*snapshot.Cluster, error) {
	objects.Partial = true
	asked := answers{}
	c := snapshot.Merge(objects)
	r, err := diagnose.Run(c, ask) // tells a question that cannot be answered before anyone is asked
	if err != nil {
		return nil, err
	}
	for range rounds {
		news := asked.news(diagnose.Wants(c, ask, r))
		if len(news) == 0 {
			break
		}
		asked.fetch(ctx, f, news)
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		c = snapshot.Merge(append(asked.parts(), objects)...)
		if r, err = diagnose.Run(c, ask); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// answers are what nodes have answered, by name.
type answers map[string]answer

// An answer is what a node was asked for, and what it said.
type answer struct {
	pods []string
	c    *snapshot.Cluster
}

// news returns what of wants was not asked for yet, together with what was asked of the same
// node before. A node that did not answer is not asked again.
func (a answers) news(wants []diagnose.Want) (out []diagnose.Want) {
	for _, w := range wants {
		before, known := a[w.Node]
		if known && len(before.c.Nodes) == 0 {
			continue
		}
		all := slices.Clone(before.pods)
		for _, p := range w.Pods {
			if !slices.Contains(all, p) {
				all = append(all, p)
			}
		}
		if !known || len(all) > len(before.pods) {
			out = append(out, diagnose.Want{Node: w.Node, Pods: all})
		}
	}
	return out
}

// fetch asks nodes at the same time. Beyond maxPath, the Gap says that there are more.
func (a answers) fetch(ctx context.Context, f *Fleet, list []diagnose.Want) {
	room := maxPath - len(a)
	got := make([]*snapshot.Cluster, len(list))
	var wg sync.WaitGroup
	for i, w := range list {
		if _, again := a[w.Node]; !again {
			room--
		}
		if room < 0 {
			why := fmt.Sprintf("not asked: the packet may go to more than %d nodes", maxPath)
			got[i] = &snapshot.Cluster{Gaps: []snapshot.Gap{{Path: "nodes/" + w.Node, Why: why}}}
			continue
		}
		// An empty list of Pods is none of them; nil would be all.
		wg.Go(func() { got[i] = f.Node(ctx, w.Node, append([]string{}, w.Pods...)) })
	}
	wg.Wait()
	for i, w := range list {
		a[w.Node] = answer{w.Pods, got[i]}
	}
}

// parts returns the answers, by the nodes' names.
func (a answers) parts() []*snapshot.Cluster {
	var out []*snapshot.Cluster
	for _, name := range slices.Sorted(maps.Keys(a)) {
		out = append(out, a[name].c)
	}
	return out
}
