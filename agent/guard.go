//go:build linux

package agent

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/plumbnet/plumb/collect/kube"
	"golang.org/x/sync/singleflight"
	"golang.org/x/time/rate"
)

// A right is a verb, and a subresource of nodes in group plumbnet.github.io.
type right struct{ verb, what string }

const (
	// remembered is how long an answer of the API server holds: a right that was taken away ends so soon.
	remembered = 10 * time.Second
	// maxRemembered bounds how many are held.
	maxRemembered = 1024
	// reviewTime is how long one answer of the API server may take. The one who asks waits on.
	reviewTime = 3 * time.Second
	// reviewRate bounds how often the API server is asked, a second: who floods an agent with tokens does not flood the server.
	reviewRate = 50
)

// guard tells who may do what. A request that it cannot judge is refused.
type guard struct {
	node     string
	kube     *kube.Client
	runToken []byte   // SHA-256
	health   [32]byte // SHA-256 of the token of "plumbd health"; zero for none
	limit    *rate.Limiter
	flight   singleflight.Group
	mu       sync.Mutex
	known    map[[32]byte]decision
	last     error // of the API server, where it could not be asked
}

// A decision is what the API server said of a token and a right.
type decision struct {
	user  string
	err   error
	until time.Time
}

func newGuard(node string, k *kube.Client, runToken []byte) *guard {
	return &guard{node: node, kube: k, runToken: runToken, limit: rate.NewLimiter(reviewRate, reviewRate), known: map[[32]byte]decision{}}
}

// check returns whose the token is, if he has the right.
func (g *guard) check(ctx context.Context, token string, want right) (user string, err error) {
	sum := sha256.Sum256([]byte(token))
	switch {
	case token == "":
		return "", refuse(http.StatusUnauthorized, "no bearer token, in %s or Authorization", kube.TokenHeader)
	case want.what == "status" && g.health != [32]byte{} && subtle.ConstantTimeCompare(sum[:], g.health[:]) == 1:
		return "health", nil
	case g.runToken != nil && subtle.ConstantTimeCompare(sum[:], g.runToken) == 1:
		return "run", nil
	case g.runToken != nil:
		return "", refuse(http.StatusUnauthorized, "not the token that this agent runs for")
	case g.kube == nil:
		return "", refuse(http.StatusServiceUnavailable, "no API server to ask")
	}
	key := sha256.Sum256([]byte(want.verb + " " + want.what + " " + token))
	d, ok := g.recall(key)
	if ok {
		return d.user, d.err
	}
	done := g.flight.DoChan(string(key[:]), func() (any, error) {
		if d, ok := g.recall(key); ok { // another has asked in the meantime
			return d, nil
		}
		return g.decide(token, key, want), nil
	})
	select {
	case r := <-done:
		d = r.Val.(decision)
		return d.user, d.err
	case <-ctx.Done():
		return "", refuse(http.StatusServiceUnavailable, "the request ended before the API server answered")
	}
}

func (g *guard) recall(key [32]byte) (decision, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	d, ok := g.known[key]
	return d, ok && time.Now().Before(d.until)
}

// decide asks the API server, and remembers what it says. That it says nothing is not remembered.
func (g *guard) decide(token string, key [32]byte, want right) decision {
	if !g.limit.Allow() {
		return decision{err: refuse(http.StatusTooManyRequests, "more than %d tokens a second to ask the API server about", reviewRate)}
	}
	d := decision{until: time.Now().Add(remembered)}
	var asked bool
	d.user, asked, d.err = g.review(token, want)
	g.mu.Lock()
	defer g.mu.Unlock()
	if !asked {
		g.last = d.err
		return d
	}
	g.last = nil
	for k, old := range g.known {
		if len(g.known) >= maxRemembered && time.Now().After(old.until) {
			delete(g.known, k)
		}
	}
	if len(g.known) >= maxRemembered {
		clear(g.known)
	}
	g.known[key] = d
	return d
}

// review returns whose the token is, whether the API server could be asked, and what speaks against him.
func (g *guard) review(token string, want right) (user string, asked bool, err error) {
	var u kube.User
	var ok bool
	var why string
	err = g.ask(func(ctx context.Context) (err error) {
		u, err = g.kube.Review(ctx, token, kube.Audience(g.node))
		return err
	})
	if errors.Is(err, kube.ErrToken) && want.what == "metrics" {
		// Prometheus shows every target the one token that it has, which is the API server's.
		err = g.ask(func(ctx context.Context) (err error) {
			u, err = g.kube.Review(ctx, token, "")
			return err
		})
	}
	if errors.Is(err, kube.ErrToken) {
		return "", true, refuse(http.StatusUnauthorized, "%v", err)
	}
	if err != nil {
		return "", false, refuse(http.StatusServiceUnavailable, "plumbd cannot tell whose the token is: %v", err)
	}
	err = g.ask(func(ctx context.Context) (err error) {
		ok, why, err = g.kube.Allowed(ctx, u, want.verb, want.what, g.node)
		return err
	})
	switch {
	case err != nil:
		return "", false, refuse(http.StatusServiceUnavailable, "plumbd cannot tell what %s may: %v", u.Name, err)
	case !ok:
		return "", true, refuse(http.StatusForbidden, "%s may not: needs apiGroups: [%q], resources: [%q], verbs: [%q] %s",
			u.Name, kube.AgentGroup, kube.AgentResource+"/"+want.what, want.verb, why)
	}
	return u.Name, true, nil
}

// ask asks the API server, and once more by a new connection where there is no answer: an old one may lead
// nowhere, once the rules are gone that translate the address of the API server's Service.
func (g *guard) ask(question func(context.Context) error) error {
	err := within(reviewTime, question)
	if errors.Is(err, context.DeadlineExceeded) {
		g.kube.Disconnect()
		err = within(reviewTime, question)
	}
	return err
}

func within(d time.Duration, f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	return f(ctx)
}

// trouble returns why the API server could not be asked the last time; nil where it could.
func (g *guard) trouble() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.last
}
