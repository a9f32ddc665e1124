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

	"github.com/plumbnet/plumb/collect/fleet"
	"github.com/plumbnet/plumb/recorder"
	"github.com/plumbnet/plumb/report"
)

// maxRecord bounds what one agent sends of its recorder, in bytes: its ring and its events have 52 MiB.
const maxRecord = 64 << 20

// each asks the agents of all nodes, or of the one that is named, a few at once. What is to be done with an answer, which read returns, is done in
// the order of the nodes. It tells who does not answer, and fails where nobody does.
func (f *recordFlags) each(path string, query url.Values, stderr io.Writer, read func(node string, answer io.Reader) (then func() error, err error)) error {
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
	type answer struct {
		then func() error
		err  error
	}
	answered, failed := 0, error(nil)
	fleet.Each(nodes, func(node string) (a answer) {
		body, err := w.Recorded(ctx, node, path, query)
		if err != nil {
			return answer{err: err}
		}
		defer body.Close()
		a.then, a.err = read(node, io.LimitReader(body, maxRecord))
		return a
	}, func(node string, a answer) {
		if a.err != nil {
			fmt.Fprintf(stderr, "plumb: %s: %s\n", node, report.Clean(a.err.Error()))
			return
		}
		answered++
		if failed == nil {
			failed = a.then()
		}
	})
	if answered == 0 {
		return errors.New("no agent has anything recorded")
	}
	return failed
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
	status := statusFine
	show := func(t *recorder.Timeline) error {
		one, err := f.write(stdout, t, q)
		status = max(status, one)
		return err
	}
	var nothing *recorder.Timeline // that one has
	some := false
	err := f.each("record", query, stderr, func(node string, answer io.Reader) (func() error, error) {
		t, err := recorder.Decode(answer, recorder.Query{})
		if err != nil {
			return nil, err
		}
		t.Node = node // whatever it says
		if !slices.ContainsFunc(t.Seconds, func(s recorder.Second) bool { return !idle(&s) }) {
			return func() error { nothing = cmp.Or(nothing, t); return nil }, nil
		}
		return func() error { some = true; return show(t) }, nil
	})
	if err == nil && !some {
		err = show(nothing)
	}
	return status, err
}

// episodesLive lists what agents have frozen, the oldest first.
func (f *recordFlags) episodesLive(stdout, stderr io.Writer) (int, error) {
	var all []recorder.Episode
	err := f.each("episodes", nil, stderr, func(node string, answer io.Reader) (func() error, error) {
		var list []recorder.Episode
		if err := json.NewDecoder(answer).Decode(&list); err != nil {
			return nil, err
		}
		return func() error {
			for _, e := range list {
				e.Node = node // whatever it says
				all = append(all, e)
			}
			return nil
		}, nil
	})
	if err != nil {
		return 0, err
	}
	slices.SortFunc(all, func(a, b recorder.Episode) int {
		return cmp.Or(a.From.Compare(b.From), strings.Compare(a.Node, b.Node))
	})
	return statusFine, f.list(stdout, all)
}
