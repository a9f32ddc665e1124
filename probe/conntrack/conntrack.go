//go:build linux

// Package conntrack counts the entries of each network namespace's connection tracking, and what it failed at.
package conntrack

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/plumbnet/plumb/event"
	"github.com/plumbnet/plumb/probe"
	"github.com/plumbnet/plumb/probe/procnet"
)

var (
	total   = &probe.Stat{Name: "conntrack_total", Help: "What connection tracking counted, by the kernel's name for it.", Labels: []string{"counter"}}
	entries = &probe.Stat{Name: "conntrack_entries", Type: probe.Gauge, Help: "Connections that are tracked."}
	limit   = &probe.Stat{Name: "conntrack_limit", Type: probe.Gauge, Help: "How many connections may be tracked, in each namespace, beyond which packets are dropped (net.netfilter.nf_conntrack_max)."}
)

// Kind is the conntrack probe.
var Kind = &probe.Kind{
	Name: "conntrack",
	Doc: `entries of connection tracking, and what it failed at

A rise of drop says that packets of new connections were dropped, for want of room (entries near the limit) or of a hash that is free;
of early_drop, that others' entries had to go for new ones; of insert_failed, that two packets raced for the same entry, one of which was
dropped (two DNS queries of one socket); of chainlength, that a bucket was full. Each of the four is an event too, told when
the counters are read. A namespace that tracks nothing is not told, but for the node's own, and looked at again after a
minute; nor is a counter that is still 0 unless it is one of the four.`,
	Source: "/proc/thread-self/net/stat/nf_conntrack",
	Cost:   "2 ms a scrape of 100 Pods that track connections, 0.1 ms of those that do not (Linux 6.18)",
	Stats:  []*probe.Stat{total, entries, limit},
	Events: "that connection tracking failed, how often since it was last read, and how full its table is",
	Needs:  []probe.Feature{{Name: "CONFIG_NF_CONNTRACK_PROCFS", Have: have}},
	Open: func(e *probe.Env) (probe.Probe, error) {
		return &conntrack{node: e.Node, files: procnet.Of(e), max: filepath.Join(e.Proc, "sys/net/netfilter/nf_conntrack_max"), last: map[uint64]reading{}, wake: make(chan struct{}, 1)}, nil
	},
}

// have fails for a kernel that tracks connections without telling how. One that does not (yet) track any is no failure.
func have() error {
	if _, err := os.Stat("/proc/net/stat/nf_conntrack"); err == nil {
		return nil
	}
	if _, err := os.Stat("/proc/sys/net/netfilter/nf_conntrack_max"); err == nil {
		return fmt.Errorf("the kernel tracks connections, and has no /proc/net/stat/nf_conntrack")
	}
	return nil
}

// failures are the counters of which each is something that went wrong. The last is chaintoolong in "conntrack -S".
var failures = [...]string{"insert_failed", "drop", "early_drop", "chainlength"}

type conntrack struct {
	probe.Quiet
	node  string
	files *procnet.Files
	idle  procnet.Idle[uint64] // by Net
	max   string

	last map[uint64]reading // of each namespace, by Net
	wake chan struct{}
	mu   sync.Mutex
	new  []event.Event // not yet taken by Watch
}

// A reading is what the counters of failures were.
type reading struct {
	at     time.Time
	counts [len(failures)]float64
}

// Read forgets namespaces that have ended.
func (c *conntrack) Read(func(probe.Sample)) error {
	c.idle.Forget()
	for net, r := range c.last {
		if time.Since(r.at) > time.Hour {
			delete(c.last, net)
		}
	}
	return nil
}

// A counter is one of a namespace's.
type counter struct {
	name  string
	value float64
}

func (c *conntrack) ReadIn(p probe.Place, emit func(probe.Sample)) error {
	if c.idle.Skip(p.Net) {
		return nil
	}
	var all []counter
	tracks := p.Host
	err := c.files.Read(p, "stat/nf_conntrack", func(data []byte) error {
		return procnet.PerCPU(data, func(name string, v float64) {
			all = append(all, counter{name, v})
			tracks = tracks || v > 0
		})
	})
	if procnet.Optional(err) == nil && err != nil {
		return nil // nothing is tracked yet
	}
	if err != nil {
		return fmt.Errorf("nf_conntrack: %w", err)
	}
	c.idle.Note(p.Net, !tracks)
	if !tracks {
		c.note(p, all, 0)
		return nil
	}
	max, err := c.limit()
	if err == nil {
		emit(probe.Sample{Stat: limit, Pod: p.Pod, Value: max})
	}
	for _, x := range all {
		switch {
		case x.name == "entries":
			emit(probe.Sample{Stat: entries, Pod: p.Pod, Value: x.value})
		case x.value > 0 || slices.Contains(failures[:], x.name):
			emit(probe.Sample{Stat: total, Pod: p.Pod, Labels: []string{x.name}, Value: x.value})
		}
	}
	c.note(p, all, max)
	return err
}

// limit reads that of the thread's namespace. It is 0 where it is not there, as the kernel has it for "none".
func (c *conntrack) limit() (float64, error) {
	data, err := os.ReadFile(c.max)
	if err != nil {
		return 0, err
	}
	v, ok := procnet.Number(bytes.TrimSpace(data))
	if !ok {
		return 0, &fs.PathError{Op: "read", Path: c.max, Err: strconv.ErrSyntax}
	}
	return v, nil
}

// note makes an event of each failure that there was since the last reading of the place.
func (c *conntrack) note(p probe.Place, all []counter, max float64) {
	before, had := c.last[p.Net]
	now, count := reading{at: time.Now()}, 0.0
	for _, x := range all {
		if x.name == "entries" {
			count = x.value
		}
		if i := slices.Index(failures[:], x.name); i >= 0 {
			now.counts[i] = x.value
		}
	}
	c.last[p.Net] = now
	for i, name := range failures {
		if times := now.counts[i] - before.counts[i]; had && times > 0 {
			c.put(event.Event{Time: now.at, Kind: Kind.Name, Node: c.node, Pod: p.Pod, By: tier(p), Detail: []event.Field{
				{Key: "counter", Value: name}, {Key: "times", Value: fmt.Sprint(times)}, {Key: "entries", Value: fmt.Sprint(count)}, {Key: "limit", Value: fmt.Sprint(max)},
			}})
		}
	}
}

func tier(p probe.Place) event.Tier {
	if strings.Contains(p.Pod, "/") {
		return event.ByNetNS
	}
	return event.Unattributed
}

// most bounds the events that Watch has not taken: those of 1,000 namespaces.
const most = 4000

func (c *conntrack) put(e event.Event) {
	c.mu.Lock()
	if len(c.new) < most {
		c.new = append(c.new, e)
	}
	c.mu.Unlock()
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// Watch tells what ReadIn found.
func (c *conntrack) Watch(ctx context.Context, emit func(event.Event)) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-c.wake:
		}
		c.mu.Lock()
		list := c.new
		c.new = nil
		c.mu.Unlock()
		for _, e := range list {
			emit(e)
		}
	}
}
