package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/plumbnet/plumb/collect/fleet"
	"github.com/plumbnet/plumb/report"
	"github.com/spf13/pflag"
)

const (
	scrapeTime  = 10 * time.Second // that an agent has for its answer
	maxAnswer   = 64 << 20         // bytes of one
	topRows     = 20
	clearScreen = "\x1b[H\x1b[2J"

	scrapesAtOnce = 64 // by the one API server
)

// topPause is how long is looked at; a variable for the tests.
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

// run prints the table once, and on a terminal again and again until ^C.
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
	f2 := fleet.Fleet{Asker: agents}
	before, _ := scrape(ctx, &f2, agents.Nodes())
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(topPause):
		}
		now, errs := scrape(ctx, &f2, agents.Nodes())
		if ctx.Err() != nil {
			return nil
		}
		if len(now) == 0 {
			return errors.Join(append(errs, errors.New("no agent answers"))...)
		}
		if terminal {
			fmt.Fprint(stdout, clearScreen)
		}
		for _, err := range errs {
			fmt.Fprintln(stderr, "plumb:", report.Clean(err.Error()))
		}
		o := options(stdout, f.lang)
		if !terminal {
			o.Width = 0 // whole names, for programs
		}
		if err := topText(stdout, worst(before, now, f.cluster.kube.Namespace), o); err != nil || !terminal {
			return err
		}
		before = now
	}
}

// scrape asks all agents for their metrics, many at once.
func scrape(ctx context.Context, f *fleet.Fleet, nodes []string) (out map[string]reading, errs []error) {
	out = map[string]reading{}
	var mu sync.Mutex
	var wg sync.WaitGroup
	turn := make(chan struct{}, scrapesAtOnce)
	for _, node := range nodes {
		turn <- struct{}{}
		wg.Go(func() {
			defer func() { <-turn }()
			r, err := scrapeNode(ctx, f, node)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				errs = append(errs, fmt.Errorf("%s: %w", node, err))
				return
			}
			out[node] = r
		})
	}
	wg.Wait()
	return out, errs
}

func scrapeNode(ctx context.Context, f *fleet.Fleet, node string) (reading, error) {
	ctx, cancel := context.WithTimeout(ctx, scrapeTime)
	defer cancel()
	body, err := f.Metrics(ctx, node)
	if err != nil {
		return reading{}, err
	}
	defer body.Close()
	at := time.Now()
	values, err := readMetrics(io.LimitReader(body, maxAnswer))
	return reading{at, values}, err
}
