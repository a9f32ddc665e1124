// Package fleet asks the agents of a cluster for the state of their nodes. Who does not
// answer, or answers with what is not a node's state, becomes a Gap with its reason. For a
// question about a path it asks for the nodes and Pods that the path touches, and no more.
package fleet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/plumbnet/plumb/diagnose"
	"github.com/plumbnet/plumb/snapshot"
)

const (
	// atOnce is how many nodes are asked at once: what they send is unpacked by one machine.
	atOnce = 16
	// maxAnswer bounds what is read of one node's answer, in bytes as they are sent. A node
	// with 10,000 Services and 100 Pods sends 2 MB.
	maxAnswer = 64 << 20
)

// silentPatience is enough for an agent that has nothing but its node's network against it.
const silentPatience = 5 * time.Second

// An Asker sends a request to the agent of a node.
type Asker interface {
	// Ask returns the body of the answer, which the caller closes.
	Ask(ctx context.Context, node, method, path string, query url.Values, body io.Reader) (io.ReadCloser, error)
}

// A Fleet collects from the agents of one cluster.
type Fleet struct {
	Asker
	// Patience is how long one node may take. A node with 10,000 Services takes 2 s; an
	// agent that has to be run first, and its image fetched, much longer.
	Patience time.Duration
	// Silent are the nodes of which the control plane hears nothing. They are asked all the
	// same, since they may be cut off from it alone, but for no longer than silentPatience.
	Silent map[string]bool
	// Progress hears of each node that has answered, or has not. It may be nil, and is
	// called by one goroutine at a time.
	Progress func(node string, took time.Duration, err error)
	mu       sync.Mutex
}

// Node asks for the state of one node: of all its namespaces or, where pods is not nil, its own
// and those of pods. A Cluster comes back in any case; it holds the Gap where there is nothing else.
func (f *Fleet) Node(ctx context.Context, node string, pods []string) *snapshot.Cluster {
	files, gaps := f.Files(ctx, node, pods)
	c := &snapshot.Cluster{}
	if len(files) > 0 {
		var err error
		if c, err = snapshot.Read(files); err != nil {
			c = &snapshot.Cluster{}
			gaps = append(gaps, snapshot.Gap{Path: "nodes/" + node, Why: err.Error()})
		}
	}
	c.Gaps = append(c.Gaps, gaps...)
	return c
}

// Files is [Fleet.Node] as files, for a bundle.
func (f *Fleet) Files(ctx context.Context, node string, pods []string) (snapshot.Files, []snapshot.Gap) {
	start := time.Now()
	files, gaps, err := f.files(ctx, node, pods, false)
	if err != nil {
		gaps = []snapshot.Gap{{Path: "nodes/" + node, Why: err.Error()}}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.Progress != nil {
		f.Progress(node, time.Since(start), err)
	}
	return files, gaps
}

// Counters asks at the same time for what devices and rules of namespaces have counted. Who does not answer counts nothing.
func (f *Fleet) Counters(ctx context.Context, places []diagnose.Want) (out snapshot.Counters) {
	got := make([]snapshot.Counters, min(len(places), maxPath))
	var wg sync.WaitGroup
	for i := range got {
		wg.Go(func() {
			if files, _, err := f.files(ctx, places[i].Node, append([]string{}, places[i].Pods...), true); err == nil {
				got[i] = snapshot.ReadCounters(files)
			}
		})
	}
	wg.Wait()
	for _, c := range got {
		out.Merge(c)
	}
	return out
}

func (f *Fleet) files(ctx context.Context, node string, pods []string, counters bool) (snapshot.Files, []snapshot.Gap, error) {
	ctx, cancel := f.Within(ctx, node)
	defer cancel()
	query := url.Values{}
	if pods != nil {
		query["netns"] = []string{"host"}
		query["pod"] = pods
	}
	if counters {
		query.Set("counters", "1")
	}
	body, err := f.Ask(ctx, node, http.MethodGet, "snapshot", query, nil)
	if err != nil {
		return nil, nil, cause(ctx, err)
	}
	defer body.Close()
	files, gaps, err := snapshot.Unpack(node+".tar.gz", &bounded{body, maxAnswer})
	if err != nil {
		return nil, nil, cause(ctx, err)
	}
	return own(files, gaps, node)
}

// Within bounds one request to a node: its cause tells how long was waited.
func (f *Fleet) Within(ctx context.Context, node string) (context.Context, context.CancelFunc) {
	if p := min(f.Patience, silentPatience); f.Silent[node] {
		return context.WithTimeoutCause(ctx, p, fmt.Errorf("no answer within %s, and the node's status is unknown", p))
	}
	return context.WithTimeoutCause(ctx, f.Patience, fmt.Errorf("no answer within %s", f.Patience))
}

// cause prefers why ctx ended to what that broke.
func cause(ctx context.Context, err error) error {
	if why := context.Cause(ctx); why != nil {
		return why
	}
	return err
}

// own keeps of an answer the node that was asked: an agent has no say on others, nor on the objects.
func own(files snapshot.Files, gaps []snapshot.Gap, node string) (snapshot.Files, []snapshot.Gap, error) {
	dir := "nodes/" + node
	all := len(files)
	maps.DeleteFunc(files, func(name string, _ []byte) bool { return !under(name, dir) })
	gaps = slices.DeleteFunc(gaps, func(g snapshot.Gap) bool { return !under(g.Path, dir) && strings.HasPrefix(g.Path, "nodes/") })
	switch {
	case len(files) == 0:
		return nil, nil, errors.New("the agent's answer does not hold its node")
	case all > len(files):
		gaps = append(gaps, snapshot.Gap{Path: dir, Why: "the agent told of other nodes too, which was left out"})
	}
	var is struct {
		Name string `json:"name"`
	}
	if data, ok := files[dir+"/node.json"]; ok && (json.Unmarshal(data, &is) != nil || is.Name != node) {
		delete(files, dir+"/node.json")
		gaps = append(gaps, snapshot.Gap{Path: dir + "/node.json", Why: "the agent says that it is on another node"})
	}
	return files, gaps, nil
}

// under reports whether path is dir, or in it.
func under(path, dir string) bool {
	rest, ok := strings.CutPrefix(path, dir)
	return ok && (rest == "" || rest[0] == '/')
}

// bounded ends with an error where more than left bytes come.
type bounded struct {
	io.Reader
	left int64
}

func (b *bounded) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, fmt.Errorf("the agent's answer is larger than %d MiB", maxAnswer>>20)
	}
	n, err := b.Reader.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	return n, err
}

// All asks all nodes for everything, and gives each answer to yield as [Each] does.
func (f *Fleet) All(ctx context.Context, nodes []string, yield func(node string, files snapshot.Files, gaps []snapshot.Gap)) {
	type state struct {
		files snapshot.Files
		gaps  []snapshot.Gap
	}
	Each(nodes, func(node string) (s state) {
		s.files, s.gaps = f.Files(ctx, node, nil)
		return s
	}, func(node string, s state) { yield(node, s.files, s.gaps) })
}

// Each asks for all nodes, some at once, and gives each answer to yield in the order of the
// nodes, one at a time. While yield is at work no more answers are held than are asked for at once.
func Each[T any](nodes []string, ask func(node string) T, yield func(node string, answer T)) {
	waiting := make(chan chan T, atOnce-1)
	go func() {
		defer close(waiting)
		for _, node := range nodes {
			c := make(chan T, 1)
			waiting <- c
			go func() { c <- ask(node) }()
		}
	}()
	for _, node := range nodes {
		yield(node, <-<-waiting)
	}
}
