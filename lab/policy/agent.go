package policy

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// settle is how long an agent waits for more changes after one, and guard how often it
// looks whether its table is still there.
const (
	settle = 50 * time.Millisecond
	guard  = 10 * time.Second
)

// An Agent keeps a node's table as the API server's objects ask for.
type Agent struct {
	Enforcer
	Server string       // https://HOST:PORT
	Client *http.Client // that may list and watch Pods, namespaces and network policies
	// NFT runs nft in the node's network namespace, with a standard input.
	NFT func(stdin string, args ...string) error
	Log io.Writer

	guard time.Duration // 0: guard
}

// Run works until the context ends, and removes the table then. What cannot be done is logged and tried again:
// while the API server does not answer, the table stays as it is.
func (a *Agent) Run(ctx context.Context) error {
	c := newCache()
	s := &server{strings.TrimSuffix(a.Server, "/"), a.Client, a.log}
	followed := make(chan struct{})
	go func() {
		s.watchAll(ctx, c)
		close(followed)
	}()
	loaded := ""
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-c.changed:
			loaded = a.load(c, loaded)
			sleep(ctx, settle)
		case <-time.After(cmp.Or(a.guard, guard)):
			loaded = a.check(c, loaded)
		}
	}
	<-followed
	if err := a.NFT(Removal(), "-f", "-"); err != nil {
		return fmt.Errorf("remove table %s: %w", Table, err)
	}
	return nil
}

// load loads the rules of the world where they are not loaded, and returns those that then are.
func (a *Agent) load(c *cache, loaded string) string {
	w, all := c.world()
	text := a.Ruleset(w)
	if !all || text == loaded {
		return loaded
	}
	if err := a.NFT(text, "-f", "-"); err != nil {
		a.log("load: %v", err)
		return loaded
	}
	a.log("loaded: %d policies, %d Pods, %d lines", len(w.Policies), len(w.Pods), strings.Count(text, "\n"))
	return text
}

// check loads the rules again where somebody has removed the table, or where they could not be loaded.
func (a *Agent) check(c *cache, loaded string) string {
	if a.NFT("", "list", "chain", "inet", strings.TrimPrefix(Table, "inet "), "forward") != nil {
		loaded = ""
	}
	return a.load(c, loaded)
}

func (a *Agent) log(format string, args ...any) {
	fmt.Fprintf(a.Log, time.Now().UTC().Format(time.RFC3339)+" "+format+"\n", args...)
}

func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
