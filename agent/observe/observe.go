//go:build linux

// Package observe runs the probes of an agent: it opens and closes them as the configuration says, turns what
// they read into Prometheus' metrics, and hands on what they see happen. A probe that fails, waits or panics takes
// neither the others nor the agent down.
package observe

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/plumbnet/plumb/agent/peers"
	"github.com/plumbnet/plumb/collect/node"
	"github.com/plumbnet/plumb/event"
	"github.com/plumbnet/plumb/probe"
	"github.com/plumbnet/plumb/recorder"
)

// Options say what an Observer has.
type Options struct {
	Version string
	Node    string
	Proc    string // "" for /proc
	Sys     string // "" for /sys
	Kinds   []*probe.Kind
	Places  *node.Places
	Peers   *peers.Peers // who is where beyond this node; nil for nobody who knows
	Log     *log.Logger
}

// An Observer runs probes.
type Observer struct {
	o       Options
	started time.Time
	bus     bus

	applying sync.Mutex // one configuration at a time
	mu       sync.RWMutex
	config   Config
	targets  []probe.Target // of it
	running  []*running
	reloads  [2]uint64 // good, bad
	trouble  string    // of the last one, when it was bad
	lacks    string    // what of the one that runs could not be had

	paused, pausedWhy string // heavy probes are paused, beyond which limit; "" while none is
	pauses            uint64

	overflow  overflow
	exemplars exemplars
	spare     spare
	site      site
	sinks     sinks
	record    record
}

// A running probe, or why it does not run.
type running struct {
	kind      *probe.Kind
	threshold time.Duration
	rate      int
	probe     probe.Probe // nil for one that is off or could not be opened
	why       string      // it does not run; "" for one that does

	cancel  context.CancelFunc
	watched chan struct{} // closed when Watch has returned
	reading chan struct{} // of one; full while it is read
	ended   chan struct{} // closed when it is not to be read any more
	limit   *limit

	events, kept, errs atomic.Uint64
	nanos              atomic.Int64 // spent reading
	lastErr            atomic.Pointer[string]
	accounting         sync.Mutex    // held while before changes
	before             probe.Account // of when it was open before; all of it of one that has ended
	counted            *counted      // then; nil where its counters do not begin anew
}

// New makes an Observer that runs nothing yet.
func New(o Options) *Observer {
	o.Proc, o.Sys = cmp.Or(o.Proc, "/proc"), cmp.Or(o.Sys, "/sys")
	out := &Observer{o: o, started: time.Now()}
	if o.Peers != nil {
		out.record.triggered = func(e recorder.Episode) {
			o.Peers.Window(e)
			o.Peers.News(e, out.news)
		}
	}
	return out
}

// Apply makes what runs that what the configuration says. Probes that it does not touch run on.
func (o *Observer) Apply(c Config) {
	o.applying.Lock()
	defer o.applying.Unlock()
	now := o.probes(c)
	lacks := o.outside(c)
	if st, _ := o.record.stats(); st.Memory && c.Recorder.Dir != "" {
		o.o.Log.Printf("recorder: %s", st.Err)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.config, o.targets, o.running = c, c.targets(), now
	o.reloads[0]++
	o.trouble, o.lacks = lacks, lacks
	if lacks != "" {
		o.o.Log.Printf("configuration: %s", lacks)
	}
}

// outside has what serves, sinks and the recorder be as a configuration says, and returns what cannot be had.
func (o *Observer) outside(c Config) (lacks string) {
	err := errors.Join(o.site.apply(c.Web, o.Metrics(), slog.New(slog.NewTextHandler(o.o.Log.Writer(), nil))), o.sinks.apply(c.Sinks, o.o.Log), o.record.apply(c.Recorder, o.o.Node))
	if err != nil {
		lacks = err.Error()
	}
	return lacks
}

// again tries what could not be had when the configuration was applied, such as a port that another program has for a while.
func (o *Observer) again() {
	o.applying.Lock()
	defer o.applying.Unlock()
	o.mu.RLock()
	c, lacked := o.config, o.lacks
	o.mu.RUnlock()
	if lacked == "" {
		return
	}
	lacks := o.outside(c)
	if lacks == lacked {
		return
	}
	o.o.Log.Printf("configuration: %s", cmp.Or(lacks, "by now all of it is applied"))
	o.mu.Lock()
	defer o.mu.Unlock()
	o.lacks = lacks
	if o.trouble == lacked {
		o.trouble = lacks
	}
}

// probes opens and closes probes, so that those run that a configuration wants, and returns them.
func (o *Observer) probes(c Config) (now []*running) {
	o.mu.RLock()
	before, paused := o.running, o.pausedWhy
	o.mu.RUnlock()
	rate := cmp.Or(c.Events.PerSecond, defaultRate)
	for _, k := range o.o.Kinds {
		var old *running
		if i := slices.IndexFunc(before, func(r *running) bool { return r.kind == k }); i >= 0 {
			old = before[i]
		}
		want, d := c.wants(k), c.threshold(k)
		pause := want && k.Heavy && paused != ""
		if old != nil && old.probe != nil && want && !pause && old.threshold == d && old.rate == rate && old.why == "" {
			now = append(now, old)
			continue
		}
		r := &running{kind: k, threshold: d, rate: rate, limit: newLimit(rate), reading: make(chan struct{}, 1), ended: make(chan struct{}), why: "off"}
		if old != nil {
			o.count(old)
			o.close(old)
			r.carry(old)
		}
		switch {
		case pause:
			r.why = "paused: " + paused
		case want:
			o.open(r)
			o.settle(r)
		}
		now = append(now, r)
	}
	return now
}

// carry takes over what was counted: counters do not go back when a probe is opened again.
func (r *running) carry(old *running) {
	r.events.Store(old.events.Load())
	r.kept.Store(old.kept.Load())
	r.errs.Store(old.errs.Load())
	r.nanos.Store(old.nanos.Load())
	r.before, r.counted = old.before, old.counted
}

// account returns what the probe's programs have cost and lost since the agent started.
func (r *running) account() (a probe.Account, ok bool) {
	r.accounting.Lock()
	defer r.accounting.Unlock()
	return r.sum()
}

func (r *running) sum() (a probe.Account, ok bool) {
	p, ok := r.probe.(probe.Accounted)
	if !ok || r.isEnded() {
		return r.before, len(r.before.Lost) > 0
	}
	now, err := p.Account()
	if err != nil {
		r.failed(err)
		return r.before, len(r.before.Lost) > 0
	}
	now.Runs += r.before.Runs
	now.Time += r.before.Time
	for i := range min(len(r.before.Lost), len(now.Lost)) { // the stages are the same
		now.Lost[i].Events += r.before.Lost[i].Events
	}
	return now, true
}

// Refuse says that a configuration was not taken, and why.
func (o *Observer) Refuse(err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.reloads[1]++
	o.trouble = err.Error()
}

// open opens a probe and has it watch.
func (o *Observer) open(r *running) {
	for _, f := range r.kind.Needs {
		if err := f.Have(); err != nil {
			r.why = fmt.Sprintf("needs %s: %v", f.Name, err)
			return
		}
	}
	env := &probe.Env{Node: o.o.Node, Proc: o.o.Proc, Sys: o.o.Sys, Threshold: r.threshold, Places: o.o.Places, Targets: o.asked}
	err := guard(func() (err error) { r.probe, err = r.kind.Open(env); return err })
	if err != nil {
		r.probe, r.why = nil, err.Error()
		o.o.Log.Printf("probe %s: %v", r.kind.Name, err)
		return
	}
	r.why = ""
	o.record.with(func(to *recorder.Recorder) { to.Opened(r.kind.Stats) })
	ctx, cancel := context.WithCancel(context.Background())
	r.cancel, r.watched = cancel, make(chan struct{})
	go func() {
		defer close(r.watched)
		err := guard(func() error { return r.probe.Watch(ctx, func(e event.Event) { o.emit(r, e) }) })
		if err != nil && ctx.Err() == nil {
			r.failed(fmt.Errorf("watch ended: %w", err))
			o.o.Log.Printf("probe %s: %v", r.kind.Name, err)
		}
	}()
}

// end has it read no more. A scrape that goes on still finds in it what it has cost until now.
func (r *running) end() {
	r.accounting.Lock()
	defer r.accounting.Unlock()
	if r.probe != nil && !r.isEnded() {
		r.before, _ = r.sum()
		close(r.ended)
	}
}

// asked returns the nodes that may be asked whether they answer, by the configuration that now runs.
func (o *Observer) asked() []probe.Target {
	o.mu.RLock()
	defer o.mu.RUnlock()
	return o.targets
}

// closeTime is how long a probe has to stop in. One that does not is left behind, and said.
const closeTime = 5 * time.Second

func (o *Observer) close(r *running) {
	if r.probe == nil {
		return
	}
	r.end()
	r.cancel()
	done := make(chan error, 1)
	go func() {
		<-r.watched
		r.reading <- struct{}{} // it is not read any more
		done <- guard(r.probe.Close)
	}()
	select {
	case err := <-done:
		if err != nil {
			o.o.Log.Printf("probe %s: close: %v", r.kind.Name, err)
		}
	case <-time.After(closeTime):
		o.o.Log.Printf("probe %s: it has not stopped for %v, and is left behind", r.kind.Name, closeTime)
	}
}

// Close closes all probes.
func (o *Observer) Close() {
	o.applying.Lock()
	defer o.applying.Unlock()
	o.mu.Lock()
	list := o.running
	o.running = nil
	o.mu.Unlock()
	o.site.close()
	for _, r := range list {
		o.close(r)
	}
	o.sinks.close()
	if err := o.record.close(); err != nil {
		o.o.Log.Printf("recorder: %v", err)
	}
}

// guard turns a panic into an error.
func guard(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	return f()
}

func (r *running) isEnded() bool {
	select {
	case <-r.ended:
		return true
	default:
		return false
	}
}

func (r *running) failed(err error) {
	r.errs.Add(1)
	s := err.Error()
	r.lastErr.Store(&s)
}

// emit completes an event and hands it on, unless there are too many of its kind.
func (o *Observer) emit(r *running, e event.Event) {
	r.events.Add(1)
	now := time.Now()
	if !r.limit.allow(now) {
		r.kept.Add(1)
		return
	}
	e.Kind, e.Node = r.kind.Name, cmp.Or(e.Node, o.o.Node)
	if e.Time.IsZero() {
		e.Time = now
	}
	if e.Peer != "" {
		o.publish(r, e)
		return
	}
	var others []netip.Addr
	e.Peer, others = o.peer(e)
	told := func(name string) {
		e.Peer = cmp.Or(e.Peer, name, o.former(e.Pod, others))
		o.publish(r, e)
	}
	if e.Peer != "" || len(others) == 0 || o.o.Peers == nil {
		told("")
		return
	}
	o.o.Peers.Name(e.Time, e.Pod, others, told)
}

// former names the Pod of this node that but lately had one of the addresses: to whom others still send.
func (o *Observer) former(but string, addrs []netip.Addr) string {
	for _, a := range addrs {
		if pod, ok := o.o.Places.Former(a); ok && pod != but {
			return pod
		}
	}
	return ""
}

// changesProbe is the one whose events tell what was changed.
const changesProbe = "changes"

// news tells what Kubernetes did, as the probe of changes would, where it runs.
func (o *Observer) news(e event.Event) {
	o.mu.RLock()
	i := slices.IndexFunc(o.running, func(r *running) bool { return r.kind.Name == changesProbe && r.why == "" })
	var r *running
	if i >= 0 {
		r = o.running[i]
	}
	o.mu.RUnlock()
	if r != nil {
		o.emit(r, e)
	}
}

// publish hands an event on.
func (o *Observer) publish(r *running, e event.Event) {
	o.exemplars.note(r.kind, e)
	o.bus.publish(e)
	o.sinks.put(e)
	o.record.event(e)
}

// peer names the end of a packet that is not the Pod's, or returns the addresses of which this node does not know whose they are.
func (o *Observer) peer(e event.Event) (name string, others []netip.Addr) {
	for _, a := range []netip.Addr{e.Packet.Dst.Addr(), e.Packet.Src.Addr()} {
		name, ok := o.o.Places.ByAddr(a)
		if name != "" && name != e.Pod {
			return name, nil
		}
		if !ok && a.IsValid() {
			others = append(others, a)
		}
	}
	return "", others
}

// Kinds returns the kinds of events that there are.
func (o *Observer) Kinds() (names []string) {
	for _, k := range o.o.Kinds {
		if k.Events != "" {
			names = append(names, k.Name)
		}
	}
	return names
}

// Subscribe has events sent to a channel that holds size of them, until Leave.
func (o *Observer) Subscribe(size int) *Subscription { return o.bus.subscribe(size) }

// Leave ends a subscription.
func (o *Observer) Leave(s *Subscription) { o.bus.leave(s) }

// A State is how a probe is.
type State struct {
	Name   string `json:"name"`
	Up     bool   `json:"up"`
	Why    string `json:"why,omitempty"` // it does not run
	Events uint64 `json:"events,omitempty"`
	Errors uint64 `json:"errors,omitempty"`
	Last   string `json:"lastError,omitempty"`
}

// States returns how the probes are.
func (o *Observer) States() (out []State) {
	o.mu.RLock()
	defer o.mu.RUnlock()
	for _, r := range o.running {
		s := State{Name: r.kind.Name, Up: r.why == "", Why: r.why, Events: r.events.Load(), Errors: r.errs.Load()}
		if last := r.lastErr.Load(); last != nil {
			s.Last = *last
		}
		out = append(out, s)
	}
	return out
}

// Trouble returns what is wrong with the newest configuration, "" where it runs.
func (o *Observer) Trouble() string {
	o.mu.RLock()
	defer o.mu.RUnlock()
	return o.trouble
}

// Blind returns why nothing is watched: no configuration has been in order yet. It is nil where one was.
func (o *Observer) Blind() error {
	o.mu.RLock()
	defer o.mu.RUnlock()
	if o.reloads[0] > 0 || o.trouble == "" {
		return nil
	}
	return fmt.Errorf("nothing is watched until the configuration is in order: %s", o.trouble)
}

// Peers returns how those are who know other nodes; nil where nobody does.
func (o *Observer) Peers() *peers.State {
	if o.o.Peers == nil {
		return nil
	}
	st := o.o.Peers.State()
	return &st
}

// Pprof reports whether profiles of the agent may be asked for.
func (o *Observer) Pprof() bool {
	o.mu.RLock()
	defer o.mu.RUnlock()
	return o.config.Pprof
}
