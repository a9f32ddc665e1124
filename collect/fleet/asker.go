package fleet

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/url"
	"sync"
	"time"

	"github.com/plumbnet/plumb/collect/kube"
)

// Installed reaches the agents that run in the cluster, by way of its API server.
type Installed struct {
	client *kube.Client
	token  string
	agents map[string]kube.Agent // by node
}

// ErrNoAgents means that no agent is installed.
var ErrNoAgents = errors.New("no plumbd runs in this cluster: install it (kubectl apply -f plumb.yaml), or run with --ephemeral")

// Connect finds the agents, and makes a token for them.
func Connect(ctx context.Context, c *kube.Client, namespace string) (*Installed, error) {
	agents, err := c.Agents(ctx, namespace)
	if err != nil {
		return nil, fmt.Errorf("the agents: %w", err)
	}
	if len(agents) == 0 {
		return nil, ErrNoAgents
	}
	i := &Installed{client: c, agents: map[string]kube.Agent{}}
	for _, a := range agents {
		if have, dup := i.agents[a.Node]; !dup || !have.Ready {
			i.agents[a.Node] = a
		}
	}
	i.token, err = c.Token(ctx, namespace)
	return i, err
}

// Ask asks the agent of a node.
func (i *Installed) Ask(ctx context.Context, node, method, path string, query url.Values, body io.Reader) (io.ReadCloser, error) {
	a, ok := i.agents[node]
	if !ok {
		return nil, errors.New("no plumbd runs on this node")
	}
	// One that is not ready may answer: it is where its node is not, which is when it is asked most.
	answer, err := i.client.Proxy(ctx, a, i.token, method, path, query, body)
	if err != nil && !a.Ready {
		err = fmt.Errorf("plumbd on this node is not ready: %s: %w", a.Why, err)
	}
	return answer, err
}

// Ephemeral runs an agent on each node that is asked, for as long as it is open.
type Ephemeral struct {
	client *kube.Client
	run    kube.Run
	token  string
	mu     sync.Mutex
	agents map[string]*started // by node
}

// started is an agent that is, or is being, run. Its fields are set once done is closed.
type started struct {
	done  chan struct{}
	agent kube.Agent
	err   error
}

// runFor is how long an agent lives where nobody removes it.
const runFor = 5 * time.Minute

// NewEphemeral makes ready to run agents of that image; none runs yet. The caller closes it.
func NewEphemeral(c *kube.Client, namespace, image string) *Ephemeral {
	token := make([]byte, 32)
	rand.Read(token)
	e := &Ephemeral{client: c, token: hex.EncodeToString(token), agents: map[string]*started{}}
	sum := sha256.Sum256([]byte(e.token))
	e.run = kube.Run{Namespace: namespace, Image: image, TokenSHA256: hex.EncodeToString(sum[:]), For: runFor}
	return e
}

// Ask asks the agent of a node, which is started first where it does not run yet.
func (e *Ephemeral) Ask(ctx context.Context, node, method, path string, query url.Values, body io.Reader) (io.ReadCloser, error) {
	e.mu.Lock()
	s, ok := e.agents[node]
	if !ok {
		s = &started{done: make(chan struct{})}
		e.agents[node] = s
	}
	e.mu.Unlock()
	if !ok {
		s.agent, s.err = e.client.RunOn(ctx, e.run, node)
		close(s.done)
	}
	select {
	case <-s.done:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	if s.err != nil {
		return nil, s.err
	}
	return e.client.Proxy(ctx, s.agent, e.token, method, path, query, body)
}

// Close removes the agents. It is to be called with a context of its own: the one of the
// question may have ended by an interrupt.
func (e *Ephemeral) Close(ctx context.Context) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	var errs []error
	for node, s := range e.agents {
		select {
		case <-s.done:
		case <-ctx.Done():
			errs = append(errs, fmt.Errorf("node %s: %w", node, ctx.Err()))
			continue
		}
		if err := e.client.Remove(ctx, s.agent); err != nil {
			errs = append(errs, fmt.Errorf("node %s: the agent for this run: %w", node, err))
		}
	}
	return errors.Join(errs...)
}
