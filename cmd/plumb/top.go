package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/plumbnet/plumb/collect/fleet"
	"github.com/plumbnet/plumb/recorder"
	"github.com/plumbnet/plumb/report"
	"github.com/spf13/pflag"
)

const (
	askTime     = 10 * time.Second // that an agent has for its answers
	maxStatus   = 1 << 20          // bytes
	topRows     = 20
	topWindow   = 5 * time.Second // of which the rates are
	topErrors   = 5               // that a terminal shows
	clearScreen = "\x1b[H\x1b[2J"

	asksAtOnce = 64 // by the one API server
)

// topPause is how long a terminal shows the same; a variable for the tests.
var topPause = 2 * time.Second

// topFlags are what the flags say.
type topFlags struct {
	lang    string
	cluster live
}

func (f *topFlags) add(fs *pflag.FlagSet) {
	f.cluster.flags(fs)
	fs.StringVar(&f.lang, "lang", "en", "en or zh")
	fs.Lookup("namespace").Usage = "Pods in this `namespace` alone"
	for _, name := range []string{"ephemeral", "image", "local"} {
		_ = fs.MarkHidden(name) // it asks agents that watch
	}
}

func topVerb(args []string, stdout, stderr io.Writer) int {
	fs := newFlags("top", "[flags]", stderr)
	var f topFlags
	f.add(fs)
	if _, status, ok := parse(fs, args, 0, stderr); !ok {
		return status
	}
	err := checkLang(f.lang)
	if err == nil {
		err = f.run(stdout, stderr)
	}
	if err != nil {
		return fail(stderr, err)
	}
	return statusFine
}

// run prints the table once, and on a terminal again and again until ^C or q.
func (f *topFlags) run(stdout, stderr io.Writer) error {
	client, err := f.cluster.connect(nil)
	if err == nil && client == nil {
		err = errors.New("there is no kubeconfig: top asks the agents of a cluster")
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
	file, ok := stdout.(*os.File)
	terminal := ok && isTerminal(file)
	o := options(stdout, f.lang)
	if terminal {
		defer quitKey(os.Stdin, stop)()
	} else {
		o.Width = 0 // whole names, for programs
	}
	asker, renewed := fleet.Fleet{Asker: agents}, time.Now()
	for {
		now, errs := look(ctx, &asker, agents.Nodes(), f.cluster.kube.Namespace)
		if ctx.Err() != nil {
			return nil
		}
		if now.nodes == 0 {
			return errors.Join(append(errs, errors.New("no agent answers"))...)
		}
		if terminal {
			fmt.Fprint(stdout, clearScreen)
		}
		for i, err := range errs {
			if terminal && i == topErrors {
				fmt.Fprintf(stderr, "plumb: and %d other nodes do not answer\n", len(errs)-i)
				break
			}
			fmt.Fprintln(stderr, "plumb:", report.Clean(err.Error()))
		}
		if err := topText(stdout, now, o); err != nil || !terminal {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(topPause):
		}
		if time.Since(renewed) > fleet.RenewTime {
			renewed = time.Now()
			_ = agents.Renew(ctx) // those that are known say themselves how they are
		}
		o = options(stdout, f.lang) // its size may be another
	}
}

// look asks all agents, many at once.
func look(ctx context.Context, f *fleet.Fleet, nodes []string, namespace string) (out standing, errs []error) {
	var mu sync.Mutex
	var wg sync.WaitGroup
	turn := make(chan struct{}, asksAtOnce)
	for _, node := range nodes {
		turn <- struct{}{}
		wg.Go(func() {
			defer func() { <-turn }()
			one, err := lookAt(ctx, f, node, namespace)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				errs = append(errs, fmt.Errorf("%s: %w", node, err))
				return
			}
			out.add(one)
		})
	}
	wg.Wait()
	slices.SortFunc(errs, func(a, b error) int { return cmp.Compare(a.Error(), b.Error()) })
	return out, errs
}

// agentStatus is what of an agent's status is used.
type agentStatus struct {
	Probes []struct {
		Name string `json:"name"`
		Up   bool   `json:"up"`
	} `json:"probes"`
	Recorder *struct {
		Age float64 `json:"ageSeconds"`
	} `json:"recorder"`
}

// lookAt asks one agent what its recorder has of the last seconds, and which probes tell it.
func lookAt(ctx context.Context, f *fleet.Fleet, node, namespace string) (out standing, err error) {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	body, err := f.Recorded(ctx, node, "record", url.Values{"since": {topWindow.String()}})
	if err != nil {
		return out, err
	}
	defer body.Close()
	t, err := recorder.Decode(io.LimitReader(body, maxRecord), recorder.Query{})
	if err != nil {
		return out, err
	}
	said, err := f.Recorded(ctx, node, "status", nil)
	if err != nil {
		return out, err
	}
	defer said.Close()
	var status agentStatus
	if err := json.NewDecoder(io.LimitReader(said, maxStatus)).Decode(&status); err != nil {
		return out, fmt.Errorf("its status: %w", err)
	}
	if r := status.Recorder; r == nil || r.Age > topWindow.Seconds() || len(t.Seconds) == 0 {
		return out, errors.New("nothing has been recorded of the last seconds")
	}
	up := map[string]bool{}
	for _, p := range status.Probes {
		up[p.Name] = p.Up
	}
	return standingOf(node, t, up, namespace), nil
}
