package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"os/signal"
	"runtime/debug"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/plumbnet/plumb/check"
	"github.com/plumbnet/plumb/check/all"
	"github.com/plumbnet/plumb/collect/fleet"
	"github.com/plumbnet/plumb/collect/kube"
	"github.com/plumbnet/plumb/diagnose"
	"github.com/plumbnet/plumb/event"
	"github.com/plumbnet/plumb/network"
	"github.com/plumbnet/plumb/snapshot"
	"github.com/spf13/pflag"
	corev1 "k8s.io/api/core/v1"
)

// live are the flags about a running cluster, named as kubectl's.
type live struct {
	kube      kube.Options
	agents    string // the namespace that they run in
	ephemeral bool
	image     string
	thisNode  bool
}

func (l *live) flags(fs *pflag.FlagSet) {
	fs.StringVar(&l.kube.Kubeconfig, "kubeconfig", "", "the kubeconfig `file` of the cluster to ask (default: as kubectl)")
	fs.StringVar(&l.kube.Context, "context", "", "the kubeconfig's `context`")
	fs.StringVarP(&l.kube.Namespace, "namespace", "n", "", "the `namespace` of names that have none")
	fs.DurationVar(&l.kube.Timeout, "request-timeout", 0, "the `time` that one request to the API server may take (default 30s)")
	fs.StringVar(&l.agents, "agent-namespace", kube.Namespace, "the `namespace` that plumbd runs in")
	fs.BoolVar(&l.ephemeral, "ephemeral", false, "install nothing: run plumbd on just the nodes that are asked, and remove it afterwards")
	fs.StringVar(&l.image, "image", kube.AgentImage, "the `image` that --ephemeral runs")
	fs.BoolVar(&l.thisNode, "local", false, "read the node that plumb runs on, and not the cluster of the kubeconfig")
}

// pod returns what --pod names as events and counters have it: "shop/web-0", "svc/shop/api"; [event.Unknown] is what no Pod was found for.
func (l *live) pod(text string) (string, error) {
	namespace, name := event.Split(text)
	if namespace == "" {
		namespace = l.kube.Namespace
	}
	switch {
	case text == "", text == event.Unknown && namespace == "":
		return text, nil
	case namespace == "", name == "":
		return "", fmt.Errorf("--pod %s: in which namespace? --pod NAMESPACE/%s", text, text)
	}
	return namespace + "/" + name, nil
}

// connect finds the cluster to ask: none where snapshots are given, or where there is no
// kubeconfig and no flag that wants one.
func (l *live) connect(paths []string) (*kube.Client, error) {
	wanted := l.kube.Kubeconfig != "" || l.kube.Context != "" || l.ephemeral
	if len(paths) > 0 || l.thisNode {
		if wanted {
			return nil, errors.New("--snapshot and --local go without --kubeconfig, --context and --ephemeral: choose one")
		}
		return nil, nil
	}
	c, err := kube.Connect(l.kube)
	if errors.Is(err, kube.ErrNoConfig) && !wanted {
		return nil, nil
	}
	return c, err
}

// patience is how long one node may take to answer. An agent for this run has to be started
// first, and its image may have to be fetched.
const (
	patience     = 20 * time.Second
	longPatience = 2 * time.Minute
)

// "plumb check" holds the state of so many nodes in memory at once, with all their namespaces, or fewer
// where they are large: a node with 10,000 Services is 13 MB of files, and 60 MB when they are read.
// What lies between two nodes of different parts, such as one address on both, is not seen, which is said.
const (
	maxNodes = 64
	maxFiles = 48 << 20 // bytes
)

// A session asks one running cluster.
type session struct {
	fleet   *fleet.Fleet
	objects *snapshot.Cluster
	client  *kube.Client
	stderr  io.Writer
	runs    *fleet.Ephemeral // where agents are run for this session
}

// gcPercent is how much garbage may come on top of what is kept, where a cluster's objects are listed: most of what the
// pages of 50,000 Pods take is not kept. A path among them takes 380 MB and 5.7 s of CPU; by Go's 100 it is up to 500 MB and 4.2 s.
const gcPercent = 40

// open lists the objects and finds the agents, both at once. The caller closes the session.
func (l *live) open(ctx context.Context, c *kube.Client, stderr io.Writer) *session {
	fmt.Fprintf(stderr, "plumb: asking %s (context %q)\n", c.Server, c.Context)
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	s := &session{client: c, stderr: stderr, fleet: &fleet.Fleet{Patience: patience}, objects: &snapshot.Cluster{}}
	var wg sync.WaitGroup
	wg.Go(func() { s.objects.Objects, s.objects.Gaps = c.Objects(ctx) })
	if l.ephemeral {
		s.runs = fleet.NewEphemeral(c, l.agents, l.image)
		s.fleet.Asker, s.fleet.Patience = s.runs, longPatience
	} else if installed, err := fleet.Connect(ctx, c, l.agents); err != nil {
		fmt.Fprintln(stderr, "plumb:", err)
		s.fleet.Asker = nobody{err}
	} else {
		s.fleet.Asker = installed
	}
	wg.Wait()
	s.fleet.Silent = silent(s.objects.Objects.Nodes)
	return s
}

// silent returns the nodes whose kubelet has not been heard for so long that their status is unknown.
func silent(nodes []corev1.Node) map[string]bool {
	out := map[string]bool{}
	for i := range nodes {
		for _, c := range nodes[i].Status.Conditions {
			if c.Type == corev1.NodeReady && c.Status == corev1.ConditionUnknown {
				out[nodes[i].Name] = true
			}
		}
	}
	return out
}

// close removes the agents that were run for this session. It takes its time also after an interrupt.
func (s *session) close() {
	if s.runs == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := s.runs.Close(ctx); err != nil {
		fmt.Fprintln(s.stderr, "plumb:", err)
	}
}

// nobody stands for agents that cannot be asked.
type nobody struct{ why error }

func (n nobody) Ask(context.Context, string, string, string, url.Values, io.Reader) (io.ReadCloser, error) {
	return nil, n.why
}

// interruptible returns a context that ends with ^C.
func interruptible() (context.Context, context.CancelFunc) {
	return signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
}

// diagnose answers ask from the running cluster and, with probe, checks the answer by real packets.
func (s *session) diagnose(ctx context.Context, ask diagnose.Ask, probe bool) (*diagnose.Report, error) {
	c, err := s.fleet.Path(ctx, s.objects, ask)
	if err != nil {
		return nil, err
	}
	r, err := diagnose.Run(c, ask, all.Checks...)
	if err != nil || !probe {
		return r, err
	}
	plans := r.Plans()
	probes, errs := make([]snapshot.Probe, len(plans)), make([]error, len(plans))
	var wg sync.WaitGroup
	for i, p := range plans {
		wg.Go(func() { probes[i], errs[i] = s.probe(ctx, p.Node, p.Ask()) })
	}
	wg.Wait()
	for i, p := range plans {
		r.Observe(p, probes[i], errs[i])
	}
	if i := r.Differing(); i >= 0 {
		s.locate(ctx, r, i, plans[i])
	}
	return r, ctx.Err()
}

// locate finds where the probes of a plan were seen last, by what is counted along the way while more of them are sent.
func (s *session) locate(ctx context.Context, r *diagnose.Report, i int, plan diagnose.ProbePlan) {
	places := plan.Places()
	before := s.fleet.Counters(ctx, places)
	probe, err := s.probe(ctx, plan.Node, plan.LocateAsk())
	if err != nil {
		fmt.Fprintln(s.stderr, "plumb: looking where probes are lost:", err)
		return
	}
	r.Locate(i, plan, before, s.fleet.Counters(ctx, places), probe)
}

// maxProbe bounds the answer of an agent to one probe, in bytes.
const maxProbe = 64 << 10

// probe has the agent of a node send a probe.
func (s *session) probe(ctx context.Context, node string, ask snapshot.ProbeAsk) (out snapshot.Probe, err error) {
	ctx, cancel := s.fleet.Within(ctx, node)
	defer cancel()
	body, err := json.Marshal(ask)
	if err != nil {
		return out, err
	}
	answer, err := s.fleet.Ask(ctx, node, http.MethodPost, "probe", nil, bytes.NewReader(body))
	if err != nil {
		return out, err
	}
	defer answer.Close()
	if err := json.NewDecoder(io.LimitReader(answer, maxProbe)).Decode(&out); err != nil {
		return out, fmt.Errorf("the agent's answer: %w", err)
	}
	return out, nil
}

// nodes returns the names of the cluster's nodes.
func (s *session) nodes() []string {
	var names []string
	for i := range s.objects.Objects.Nodes {
		names = append(names, s.objects.Objects.Nodes[i].Name)
	}
	return names
}

// progress tells of every node that has answered, on one line of a terminal.
func (s *session) progress(total int) {
	f, ok := s.stderr.(*os.File)
	terminal := ok && isTerminal(f)
	done := 0
	s.fleet.Progress = func(node string, _ time.Duration, err error) {
		done++
		switch {
		case err != nil && terminal:
			fmt.Fprintf(s.stderr, "\r\x1b[Kplumb: node %s: %v\n", node, err)
		case err != nil:
			fmt.Fprintf(s.stderr, "plumb: node %s: %v\n", node, err)
		}
		switch {
		case terminal && done < total:
			fmt.Fprintf(s.stderr, "\r\x1b[Kplumb: %d of %d nodes", done, total)
		case terminal:
			fmt.Fprint(s.stderr, "\r\x1b[K")
		}
	}
}

// check runs every check over every node, a part of them at a time.
func (s *session) check(ctx context.Context, external []netip.Prefix) (check.Result, []snapshot.Gap, error) {
	nodes := s.nodes()
	s.progress(len(nodes))
	gaps := s.objects.Gaps
	if len(nodes) == 0 {
		gaps = append(gaps, snapshot.Gap{Path: "nodes", Why: "the API server names no nodes"})
	}
	s.objects.Partial = true
	var results []check.Result
	part, size := []*snapshot.Cluster{s.objects}, 0
	run := func() {
		c := snapshot.Merge(part...)
		results = append(results, check.Run(c, network.New(c), nil, external, all.Checks...))
		gaps = append(gaps, c.Gaps...)
		part, size = part[:1:1], 0
	}
	s.fleet.All(ctx, nodes, func(node string, files snapshot.Files, missing []snapshot.Gap) {
		if n := files.Size(); len(part) > maxNodes || len(part) > 1 && size+n > maxFiles {
			run()
		}
		c, err := snapshot.Read(files)
		if err != nil {
			c, missing = &snapshot.Cluster{}, append(missing, snapshot.Gap{Path: "nodes/" + node, Why: err.Error()})
		}
		c.Gaps = append(c.Gaps, missing...)
		part, size = append(part, c), size+files.Size()
	})
	run()
	if len(results) > 1 {
		gaps = append(gaps, snapshot.Gap{Path: "nodes", Why: fmt.Sprintf("%d nodes were checked in %d parts: what concerns two nodes of different parts is not seen", len(nodes), len(results))})
	}
	slices.SortFunc(gaps, func(a, b snapshot.Gap) int { return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.Why, b.Why)) })
	return check.Join(results...), slices.Compact(gaps), ctx.Err()
}

// each gives the files of the objects, and of every node as it comes, to put. What is absent they say.
func (s *session) each(ctx context.Context, put func(snapshot.Files) error) error {
	files, err := snapshot.EncodeObjects(&s.objects.Objects)
	if err != nil {
		return err
	}
	for _, g := range s.objects.Gaps {
		files[g.Path+".error"] = []byte(g.Why + "\n")
	}
	if err := put(files); err != nil {
		return err
	}
	nodes := s.nodes()
	s.progress(len(nodes))
	s.fleet.All(ctx, nodes, func(node string, files snapshot.Files, gaps []snapshot.Gap) {
		if err == nil {
			err = put(snapshot.WithGaps(files, node, gaps))
		}
	})
	return errors.Join(ctx.Err(), err)
}
