//go:build linux

// Package observe proves dashboards and alert rules against a real Prometheus: in a lab, with an agent for each
// node and all probes on, it injects one fault after another, and asks for what each panel then shows and which alert fires.
// Nodes of a lab share one kernel: what is the node's alone (softnet, tables of neighbours) all agents tell alike.
package observe

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	agent "github.com/plumbnet/plumb/agent/observe"
	"github.com/plumbnet/plumb/collect/node"
	"github.com/plumbnet/plumb/deploy/dashboards"
	"github.com/plumbnet/plumb/lab"
	"github.com/plumbnet/plumb/probe"
	"github.com/plumbnet/plumb/probe/all"
)

// A bench is a lab that is watched.
type bench struct {
	lab      *lab.Lab
	dir      string
	agents   map[string]*agentOf
	server   *server
	noCgroup error // why shop/web-0 has no cgroup
}

// An agentOf is that of one node, as far as it watches.
type agentOf struct {
	*agent.Observer
	mu   sync.Mutex
	down bool
}

func (a *agentOf) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	down := a.down
	a.mu.Unlock()
	if down {
		http.Error(w, "it is down", http.StatusServiceUnavailable)
		return
	}
	a.Metrics().ServeHTTP(w, r)
}

func (a *agentOf) stop(down bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.down = down
}

// broken is a probe that runs on node-a alone.
var broken = &probe.Kind{Name: "broken", Open: func(e *probe.Env) (probe.Probe, error) {
	if e.Node != "node-a" {
		return nil, errors.New("it is broken")
	}
	return probe.Quiet{}, nil
}}

// faultTime is how long a fault has to be seen in.
const faultTime = 40 * time.Second

// Run injects faults, all where none are named, and writes what was seen of each. It reports whether all was seen
// that should have been. The caller is in a sandbox.
func Run(ctx context.Context, w io.Writer, names ...string) (ok bool, err error) {
	for _, name := range names {
		if !slices.ContainsFunc(troubles, func(f trouble) bool { return f.name == name }) {
			return false, fmt.Errorf("no fault is named %q", name)
		}
	}
	b, end, err := start(ctx)
	if err != nil {
		return false, err
	}
	defer end()
	panels := everyPanel()
	fmt.Fprintf(w, "3 nodes, %d probes each, %d panels with %d queries, %d alert rules; a minute of the rules is %v here\n\n", len(all.Kinds), len(panels), queries(panels), len(dashboards.Alerts), time.Minute/faster)
	if ok, err = b.healthy(ctx, w); err != nil {
		return false, err
	}
	for _, f := range troubles {
		if len(names) > 0 && !slices.Contains(names, f.name) {
			continue
		}
		seen, err := b.try(ctx, f, panels)
		if err != nil {
			return false, fmt.Errorf("fault %s: %w", f.name, err)
		}
		ok = ok && seen.all()
		seen.print(w, f)
		if ctx.Err() != nil {
			return false, ctx.Err()
		}
	}
	b.sum(w, panels)
	return ok, nil
}

// start brings up the lab, its agents and Prometheus, and has Pods talk to each other.
func start(ctx context.Context) (_ *bench, _ func(), err error) {
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	var undo []func()
	end := func() {
		cancel()
		running.Wait()
		for _, f := range slices.Backward(undo) {
			f()
		}
	}
	defer func() {
		if err != nil {
			end()
		}
	}()
	b := &bench{agents: map[string]*agentOf{}}
	if b.dir, err = os.MkdirTemp("", "plumb-observe-"); err != nil {
		return nil, nil, err
	}
	undo = append(undo, func() { os.RemoveAll(b.dir) })
	if err := exec.Command("ip", "link", "set", "lo", "up").Run(); err != nil { // where Prometheus and the agents are
		return nil, nil, fmt.Errorf("lo: %w", err)
	}
	if b.lab, err = lab.Up(lab.Flannel); err != nil {
		return nil, nil, err
	}
	undo = append(undo, func() { b.lab.Close() })
	undo = append(undo, b.makeCgroup())
	mux := http.NewServeMux()
	for _, n := range b.lab.Nodes {
		a, err := b.watch(ctx, n, &running)
		if err != nil {
			return nil, nil, err
		}
		undo = append(undo, a.Close)
		b.agents[n.Name] = a
		mux.Handle("/"+n.Name, a)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, nil, err
	}
	agents := &http.Server{Handler: mux}
	running.Go(func() { _ = agents.Serve(l) })
	context.AfterFunc(ctx, func() { agents.Close() })
	if b.server, err = startPrometheus(ctx, b.dir, l.Addr().String(), b.lab.Nodes); err != nil {
		return nil, nil, err
	}
	undo = append(undo, b.server.stop)
	running.Go(func() { b.talk(ctx) })
	return b, end, nil
}

// watch starts what an agent of a node runs.
func (b *bench) watch(ctx context.Context, n *lab.Node, running *sync.WaitGroup) (*agentOf, error) {
	o := node.Options{Node: n.Name, Host: n.NS.Path, Root: filepath.Join(b.dir, n.Name), NetNS: []node.NetNS{}}
	for _, p := range n.Pods {
		o.NetNS = append(o.NetNS, node.NetNS{Name: p.NS.Name, Pod: p.Key(), Path: p.NS.Path})
	}
	if err := b.record(n, o.Root); err != nil {
		return nil, err
	}
	places, err := node.NewPlaces(o)
	if err != nil {
		return nil, err
	}
	a := &agentOf{Observer: agent.New(agent.Options{Version: "lab", Node: n.Name, Kinds: append(slices.Clone(all.Kinds), broken), Places: places, Log: log.New(io.Discard, "", 0)})}
	a.Apply(b.config(n.Name == "node-a"))
	// A real agent listens there, for pingmesh of others.
	var l net.Listener
	if err := n.NS.Do(func() (err error) { l, err = net.Listen("tcp", ":10270"); return err }); err != nil {
		return nil, err
	}
	context.AfterFunc(ctx, func() { l.Close() })
	running.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			c.Close()
		}
	})
	running.Go(func() { places.Run(ctx) })
	running.Go(func() { a.Record(ctx) })
	return a, nil
}

// config turns all probes on, with or without the one that runs on node-a alone.
func (b *bench) config(broke bool) agent.Config {
	c := agent.Config{Probes: agent.ProbesConfig{On: []string{"all"}, Targets: map[string]map[string]string{}}}
	for _, n := range b.lab.Nodes {
		c.Probes.Targets[n.Name] = map[string]string{"host": n.IP.String()}
	}
	if !broke {
		c.Probes.Off = []string{broken.Name}
	}
	return c
}

// talk has Pods talk to each other until ctx ends.
func (b *bench) talk(ctx context.Context) {
	var list []lab.Probe
	for _, from := range []string{"shop/web-0", "shop/web-1", "shop/web-2"} {
		for _, to := range []string{"shop/web-0:8080", "shop/web-1:8080", "shop/web-2:8080", "svc/shop/api:http", "svc/kube-system/kube-dns:dns-tcp"} {
			if p, err := b.lab.PathProbe(lab.Path{From: from, To: to}); err == nil {
				list = append(list, p)
			}
		}
	}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		b.lab.ProbeAll(list)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// A panel with the dashboard that it is of.
type panel struct {
	dashboard, title string
	exprs            []string
	most             int    // series that it returned at once
	at               string // the fault with which it did
}

// everyPanel returns those of all dashboards.
func everyPanel() (out []*panel) {
	for _, d := range dashboards.Dashboards() {
		for _, p := range d.Panels {
			x := &panel{dashboard: d.Name, title: p.Title}
			for _, q := range p.Queries {
				expr, err := d.Expand(q)
				if err != nil {
					panic(err) // their test is that this cannot be
				}
				x.exprs = append(x.exprs, dashboards.Plain(expr, (5*time.Minute/faster).String()))
			}
			out = append(out, x)
		}
	}
	return out
}

func queries(list []*panel) (n int) {
	for _, p := range list {
		n += len(p.exprs)
	}
	return n
}

// A sighting is what was seen of a fault.
type sighting struct {
	took   time.Duration
	panels map[string]int // series that say something, by the panels that should
	alerts map[string]bool
	fired  []string // all that fire then
	skip   error
}

func (s sighting) all() bool {
	for _, n := range s.panels {
		if n == 0 {
			return false
		}
	}
	for _, fires := range s.alerts {
		if !fires {
			return false
		}
	}
	return true
}

// healthyTime is how long no alert may fire before a fault is injected: longer than what most rules look back.
const healthyTime = 8 * time.Second

// healthy looks for alerts while nothing is wrong.
func (b *bench) healthy(ctx context.Context, w io.Writer) (ok bool, err error) {
	var fired []string
	for end := time.Now().Add(healthyTime); time.Now().Before(end) && len(fired) == 0; time.Sleep(time.Second) {
		if fired, err = b.server.firing(); err != nil || ctx.Err() != nil {
			return false, cmp.Or(err, ctx.Err())
		}
	}
	fmt.Fprintf(w, "without a fault\n  %s no alert fires %s\n\n", mark(len(fired) == 0), strings.Join(fired, " "))
	return len(fired) == 0, nil
}

// try injects a fault, and asks until all is seen, or its time is over.
func (b *bench) try(ctx context.Context, f trouble, panels []*panel) (s sighting, err error) {
	if f.cgroup && b.noCgroup != nil {
		return sighting{skip: b.noCgroup}, nil
	}
	ctx, cancel := context.WithTimeout(ctx, faultTime)
	done := make(chan error, 1)
	began := time.Now()
	go func() { done <- f.inject(ctx, b) }()
	defer func() {
		cancel()
		if e := <-done; e != nil && err == nil && !errors.Is(e, context.Canceled) {
			err = e
		}
	}()
	s.panels, s.alerts = map[string]int{}, map[string]bool{}
	for _, name := range f.alerts {
		s.alerts[name] = false
	}
	for _, title := range f.panels {
		s.panels[title] = 0
	}
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for !s.all() && ctx.Err() == nil {
		for _, p := range panels {
			if n, wanted := s.panels[p.title]; wanted && n == 0 {
				if s.panels[p.title], err = b.server.count(p.exprs); err != nil {
					return s, err
				}
			}
		}
		if s.fired, err = b.server.firing(); err != nil {
			return s, err
		}
		for name := range s.alerts {
			s.alerts[name] = s.alerts[name] || slices.Contains(s.fired, name)
		}
		select {
		case e := <-done: // it failed
			done <- nil
			return s, e
		default:
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
	s.took = time.Since(began)
	for _, p := range panels {
		n, err := b.server.series(p.exprs)
		if err != nil {
			return s, err
		}
		if n > p.most {
			p.most, p.at = n, f.name
		}
	}
	return s, nil
}

func (s sighting) print(w io.Writer, f trouble) {
	fmt.Fprintf(w, "fault %s: %s\n", f.name, f.story)
	if s.skip != nil {
		fmt.Fprintf(w, "  skipped: %v\n\n", s.skip)
		return
	}
	for _, title := range f.panels {
		fmt.Fprintf(w, "  %s %-44s %d series\n", mark(s.panels[title] > 0), title, s.panels[title])
	}
	for _, name := range f.alerts {
		fmt.Fprintf(w, "  %s alert %s\n", mark(s.alerts[name]), name)
	}
	fmt.Fprintf(w, "  after %.1f s; firing: %s\n\n", s.took.Seconds(), strings.Join(s.fired, " "))
}

func mark(ok bool) string { return map[bool]string{true: "✓", false: "✗"}[ok] }

// sum tells of every panel how many series it returned, at most.
func (b *bench) sum(w io.Writer, panels []*panel) {
	fmt.Fprintln(w, "series that each panel returned, at most, and with which fault:")
	silent := 0
	for _, p := range panels {
		if p.most == 0 {
			silent++
			fmt.Fprintf(w, "  %-10s %-48s 0\n", p.dashboard, p.title)
			continue
		}
		fmt.Fprintf(w, "  %-10s %-48s %d (%s)\n", p.dashboard, p.title, p.most, p.at)
	}
	fmt.Fprintf(w, "%d of %d panels returned something\n", len(panels)-silent, len(panels))
}
