// Package fleet asks the agents of a cluster for the state of their nodes. Who does not
// answer, or answers with what is not a node's state, becomes a Gap with its reason. For a
// question about a path it asks for the nodes and Pods that the path touches, and no more.
package fleet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/plumbnet/plumb/snapshot"
)

const (
	// atOnce is how many nodes are asked at once: what they send is unpacked by one machine.
	atOnce = 16
	// maxAnswer bounds what is read of one node's answer, in bytes as they are sent. A node
	// with 10,000 Services and 100 Pods sends 2 MB.
	maxAnswer = 64 << 20
)

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
	// Progress hears of each node that has answered, or has not. It may be nil, and is
	// called by one goroutine at a time.
	Progress func(node string, took time.Duration, err error)
	mu       sync.Mutex
}

// Node asks for the state of one node: of all its namespaces or, where pods is not nil, its own
// and those of pods. A Cluster comes back in any case; it holds the Gap where there is nothing else.
func (f *Fleet) Node(ctx context.Context, node string, pods []string) *snapshot.Cluster {
	start := time.Now()
	c, err := f.node(ctx, node, pods)
	if err != nil {
		c = &snapshot.Cluster{Gaps: []snapshot.Gap{{Path: "nodes/" + node, Why: err.Error()}}}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.Progress != nil {
		f.Progress(node, time.Since(start), err)
	}
	return c
}

func (f *Fleet) node(ctx context.Context, node string, pods []string) (*snapshot.Cluster, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, f.Patience, fmt.Errorf("no answer within %s", f.Patience))
	defer cancel()
	query := url.Values{}
	if pods != nil {
		query["netns"] = []string{"host"}
		query["pod"] = pods
	}
	body, err := f.Ask(ctx, node, http.MethodGet, "snapshot", query, nil)
	if err != nil {
		return nil, cause(ctx, err)
	}
	defer body.Close()
	c, err := snapshot.ReadBundle(node+".tar.gz", &bounded{body, maxAnswer})
	if err != nil {
		return nil, cause(ctx, err)
	}
	return own(c, node)
}

// cause prefers why ctx ended to what that broke.
func cause(ctx context.Context, err error) error {
	if why := context.Cause(ctx); why != nil {
		return why
	}
	return err
}

// own keeps of an answer the node that was asked: an agent has no say on others, nor on the objects.
func own(c *snapshot.Cluster, node string) (*snapshot.Cluster, error) {
	c.Objects = snapshot.Objects{}
	more := len(c.Nodes)
	c.Nodes = slices.DeleteFunc(c.Nodes, func(n *snapshot.Node) bool { return n.Name != node })
	if len(c.Nodes) == 0 {
		return nil, errors.New("the agent's answer does not hold its node")
	}
	c.Gaps = slices.DeleteFunc(c.Gaps, func(g snapshot.Gap) bool { return !under(g.Path, "nodes/"+node) })
	if more > len(c.Nodes) {
		c.Gaps = append(c.Gaps, snapshot.Gap{Path: "nodes/" + node, Why: "the agent told of other nodes too, which was left out"})
	}
	return c, nil
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

// All asks all nodes for everything, and gives each answer to yield as it comes, one at a time.
func (f *Fleet) All(ctx context.Context, nodes []string, yield func(node string, c *snapshot.Cluster)) {
	slots := make(chan struct{}, atOnce)
	var mu sync.Mutex
	var wg sync.WaitGroup
	for _, node := range nodes {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			c := f.Node(ctx, node, nil)
			mu.Lock()
			defer mu.Unlock()
			yield(node, c)
		})
	}
	wg.Wait()
}
