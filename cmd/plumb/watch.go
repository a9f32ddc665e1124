package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"

	"github.com/plumbnet/plumb/collect/fleet"
	"github.com/plumbnet/plumb/event"
	"github.com/plumbnet/plumb/report"
	"github.com/spf13/pflag"
)

// watchFlags are what the flags say.
type watchFlags struct {
	kind, pod string
	json      bool
	cluster   live
}

func (f *watchFlags) add(fs *pflag.FlagSet) {
	fs.StringVar(&f.kind, "kind", "", "events of these `kinds` alone: packetloss,tcpreset")
	fs.StringVar(&f.pod, "pod", "", "events of this `Pod` alone, at either end: web-0 with -n, or shop/web-0; svc/shop/api for those at a Service's address, unknown for those of none that was found")
	fs.BoolVar(&f.json, "json", false, "an event a line, as JSON (schema: sink/README.md)")
	f.cluster.flags(fs)
	fs.Lookup("namespace").Usage = "events of Pods in this `namespace` alone"
	for _, name := range []string{"ephemeral", "image", "local"} {
		_ = fs.MarkHidden(name) // what happens is seen by agents that are there
	}
}

// query is what the agents are asked.
func (f *watchFlags) query() (url.Values, error) {
	q := url.Values{}
	if f.kind != "" {
		q.Set("kind", f.kind)
	}
	pod, err := f.cluster.pod(f.pod)
	if pod != "" {
		q.Set("pod", pod)
	} else if f.cluster.kube.Namespace != "" {
		q.Set("namespace", f.cluster.kube.Namespace)
	}
	return q, err
}

func watchVerb(args []string, stdout, stderr io.Writer) int {
	fs := newFlags("watch", "[flags]", stderr)
	var f watchFlags
	f.add(fs)
	if _, status, ok := parse(fs, args, 0, stderr); !ok {
		return status
	}
	query, err := f.query()
	if err != nil {
		return fail(stderr, err)
	}
	client, err := f.cluster.connect(nil)
	if err == nil && client == nil {
		err = errors.New("there is no kubeconfig: watch asks the agents of a cluster")
	}
	if err != nil {
		return fail(stderr, err)
	}
	ctx, stop := interruptible()
	defer stop()
	agents, err := fleet.Connect(ctx, client, f.cluster.agents)
	if err != nil {
		return fail(stderr, err)
	}
	heard, asker := map[string]bool{}, fleet.Fleet{Asker: agents}
	out := json.NewEncoder(stdout)
	asker.Watch(ctx, agents.Nodes(), &fleet.Watch{
		Query: query,
		Tell: func(e event.Event) {
			if f.json {
				_ = out.Encode(e) // who reads it went: so does plumb, by SIGPIPE
				return
			}
			fmt.Fprintln(stdout, report.Clean(e.String())) // a name in it may be anyone's
		},
		State: func(node string, err error) {
			if err != nil {
				fmt.Fprintf(stderr, "plumb: %s: %v\n", node, err)
				return
			}
			heard[node] = true
			fmt.Fprintf(stderr, "plumb: watching %s (%d of %d nodes)\n", node, len(heard), len(agents.Nodes()))
		},
		Renew: func(ctx context.Context) []string {
			if err := agents.Renew(ctx); err != nil && ctx.Err() == nil {
				fmt.Fprintf(stderr, "plumb: %v\n", err)
			}
			return agents.Nodes()
		},
	})
	if len(heard) == 0 {
		return statusUnsure
	}
	return statusFine
}
