package fleet

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/plumbnet/plumb/collect/kube"
)

// Installed reaches the agents that run in the cluster, by way of its API server. Each
// gets a token of its own, with which it could do nothing at another node's.
type Installed struct {
	client *kube.Client
	space  string // the namespace of the agents
	mu     sync.Mutex
	agents map[string]kube.Agent // by node
	tokens map[string]string     // by node
}

// ErrNoAgents means that no agent is installed.
var ErrNoAgents = errors.New("no plumbd runs in this cluster: install it (kubectl apply -f plumb.yaml), or run with --ephemeral")

// ErrNoAgent means that none is on that node.
var ErrNoAgent = errors.New("no plumbd runs on this node")

// Connect finds the agents, and makes a token for one of them, which tells whether that may be done.
func Connect(ctx context.Context, c *kube.Client, namespace string) (*Installed, error) {
	i := &Installed{client: c, space: namespace, tokens: map[string]string{}}
	if err := i.Renew(ctx); err != nil {
		return nil, err
	}
	_, err := i.token(ctx, i.Nodes()[0])
	return i, err
}

// Renew finds the agents anew: nodes come and go. With an error they are those of before.
func (i *Installed) Renew(ctx context.Context) error {
	list, err := i.client.Agents(ctx, i.space, "")
	if err != nil {
		return fmt.Errorf("the agents: %w", err)
	}
	agents := byNode(list)
	if len(agents) == 0 {
		return ErrNoAgents
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.agents = agents
	return nil
}

// byNode returns one agent of each node: one that is ready, if there is.
func byNode(list []kube.Agent) map[string]kube.Agent {
	out := map[string]kube.Agent{}
	for _, a := range list {
		if have, dup := out[a.Node]; !dup || !have.Ready {
			out[a.Node] = a
		}
	}
	return out
}

// Nodes returns the nodes that have an agent.
func (i *Installed) Nodes() []string {
	i.mu.Lock()
	defer i.mu.Unlock()
	return slices.Sorted(maps.Keys(i.agents))
}

// token returns a token for the agent of a node. Most runs of plumb are over before the token is.
func (i *Installed) token(ctx context.Context, node string) (string, error) {
	i.mu.Lock()
	t := i.tokens[node]
	i.mu.Unlock()
	if t != "" {
		return t, nil
	}
	t, err := i.client.Token(ctx, i.space, kube.ClientAccount, node) // twice, where two ask at the same time: nothing waits
	if err == nil {
		i.mu.Lock()
		i.tokens[node] = t
		i.mu.Unlock()
	}
	return t, err
}

// Ask asks the agent of a node. Where the Pod that ran it is no more, the one in its place is asked.
func (i *Installed) Ask(ctx context.Context, node, method, path string, query url.Values, body io.Reader) (io.ReadCloser, error) {
	i.mu.Lock()
	a, ok := i.agents[node]
	i.mu.Unlock()
	if !ok {
		return nil, ErrNoAgent
	}
	answer, err := i.ask(ctx, a, method, path, query, body)
	if !kube.Gone(err) {
		return answer, err
	}
	list, failed := i.client.Agents(ctx, i.space, node)
	if failed != nil {
		return nil, failed
	}
	now, ok := byNode(list)[node]
	if !ok {
		return nil, ErrNoAgent
	}
	i.mu.Lock()
	i.agents[node] = now
	i.mu.Unlock()
	if body != nil || now.Pod == a.Pod {
		return nil, err // some of the body may have been read: who asks again is answered
	}
	return i.ask(ctx, now, method, path, query, nil)
}

func (i *Installed) ask(ctx context.Context, a kube.Agent, method, path string, query url.Values, body io.Reader) (answer io.ReadCloser, err error) {
	token, err := i.token(ctx, a.Node)
	if err != nil {
		return nil, err
	}
	defer func() {
		if s := (*kube.StatusError)(nil); errors.As(err, &s) && s.Agent && s.Code == http.StatusUnauthorized {
			i.mu.Lock()
			defer i.mu.Unlock()
			delete(i.tokens, a.Node) // it ran out; who asks again gets a new one
		}
	}()
	// One that is not ready may answer: it is where its node is not, which is when it is asked most.
	answer, err = i.client.Proxy(ctx, a, token, method, path, query, body)
	if err != nil && !a.Ready {
		err = fmt.Errorf("plumbd on this node is not ready: %s: %w", a.Why, err)
	}
	return answer, err
}

// Ephemeral runs an agent on each node that is asked, for as long as it is open.
type Ephemeral struct {
	client *kube.Client
	run    kube.Run
	secret []byte // that the nodes' tokens are made of
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
	e := &Ephemeral{client: c, secret: make([]byte, 32), agents: map[string]*started{}}
	rand.Read(e.secret)
	e.run = kube.Run{Namespace: namespace, Image: image, For: runFor}
	return e
}

// token returns the token that the agent on a node takes, and no other agent, and its SHA-256 in hex.
func (e *Ephemeral) token(node string) (token, sum string) {
	m := hmac.New(sha256.New, e.secret)
	m.Write([]byte(node))
	token = hex.EncodeToString(m.Sum(nil))
	s := sha256.Sum256([]byte(token))
	return token, hex.EncodeToString(s[:])
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
	token, sum := e.token(node)
	if !ok {
		run := e.run
		run.TokenSHA256 = sum
		s.agent, s.err = e.client.RunOn(ctx, run, node)
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
	return e.client.Proxy(ctx, s.agent, token, method, path, query, body)
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
