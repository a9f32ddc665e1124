package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"
	"sync"

	"github.com/plumbnet/plumb/collect/fleet"
	"github.com/plumbnet/plumb/recorder"
	"github.com/plumbnet/plumb/report"
)

// maxRecord bounds what one agent sends of its recorder, in bytes: its ring and its events have 52 MiB.
const maxRecord = 64 << 20

// each asks the agents of all nodes, or of the one that is named, and has what they answer read, a few at once. It tells
// who does not answer, and fails where nobody does.
func (f *recordFlags) each(path string, query url.Values, stderr io.Writer, read func(node string, answer io.Reader) error) error {
	client, err := f.cluster.connect(nil)
	if err == nil && client == nil {
		err = errors.New("there is no kubeconfig: without --dir the agents of a cluster are asked")
	}
	if err != nil {
		return err
	}
	ctx, stop := interruptible()
	defer stop()
	agents, err := fleet.Connect(ctx, client, f.cluster.agents)
	if err != nil {
		return err
	}
	nodes := agents.Nodes()
	if f.node != "" {
		nodes = []string{f.node}
	}
	w := fleet.Fleet{Asker: agents}
	errs := make([]error, len(nodes))
	var wg sync.WaitGroup
	turn := make(chan struct{}, 16)
	for i, node := range nodes {
		wg.Go(func() {
			turn <- struct{}{}
			defer func() { <-turn }()
			body, err := w.Recorded(ctx, node, path, query)
			if err == nil {
				err = read(node, io.LimitReader(body, maxRecord))
				body.Close()
			}
			errs[i] = err
		})
	}
	wg.Wait()
	answered := 0
	for i, err := range errs {
		if err == nil {
			answered++
			continue
		}
		fmt.Fprintf(stderr, "plumb: %s: %s\n", nodes[i], report.Clean(err.Error()))
	}
	if answered == 0 {
		return errors.New("no agent has anything recorded")
	}
	return nil
}

// showLive prints the timelines of the agents, a node after the other: of a Pod, those that have something of it.
func (f *recordFlags) showLive(q recorder.Query, stdout, stderr io.Writer) (int, error) {
	query := url.Values{}
	if f.since > 0 {
		query.Set("since", f.since.String())
	}
	if q.Pod != "" {
		query.Set("pod", q.Pod)
	}
	if len(q.Kinds) > 0 {
		query.Set("kind", strings.Join(q.Kinds, ","))
	}
	var mu sync.Mutex
	var lines []*recorder.Timeline
	err := f.each("record", query, stderr, func(node string, answer io.Reader) error {
		t, err := recorder.Decode(answer, recorder.Query{})
		if err != nil {
			return err
		}
		t.Node = node // whatever it says
		mu.Lock()
		defer mu.Unlock()
		lines = append(lines, t)
		return nil
	})
	if err != nil {
		return 0, err
	}
	slices.SortFunc(lines, func(a, b *recorder.Timeline) int { return strings.Compare(a.Node, b.Node) })
	some := slices.DeleteFunc(slices.Clone(lines), func(t *recorder.Timeline) bool {
		return !slices.ContainsFunc(t.Seconds, func(s recorder.Second) bool { return !idle(&s) })
	})
	if len(some) == 0 {
		some = lines[:1] // which says that there is nothing
	}
	status := statusFine
	for _, t := range some {
		one, err := f.write(stdout, t, q)
		if err != nil {
			return 0, err
		}
		status = max(status, one)
	}
	return status, nil
}

// episodesLive lists what agents have frozen, the oldest first.
func (f *recordFlags) episodesLive(stdout, stderr io.Writer) (int, error) {
	var mu sync.Mutex
	var all []recorder.Episode
	err := f.each("episodes", nil, stderr, func(node string, answer io.Reader) error {
		var list []recorder.Episode
		if err := json.NewDecoder(answer).Decode(&list); err != nil {
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		for _, e := range list {
			e.Node = node // whatever it says
			all = append(all, e)
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	slices.SortFunc(all, func(a, b recorder.Episode) int {
		return cmp.Or(a.From.Compare(b.From), strings.Compare(a.Node, b.Node))
	})
	return statusFine, f.list(stdout, all)
}
