//go:build linux

// Package soak runs plumbd itself through what it has to withstand: reloads, probes that cannot be loaded, Pods that come and
// go, an API server and a Loki that are away, a full disk, kill -9, a clock that is set, and ten minutes of many flows under a cap of memory. All the
// while it is scraped: no counter may fall, and in the end nothing may be left behind. It is run in a sandbox, whose
// network is the node's.
package soak

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/plumbnet/plumb/lab/sandbox"
)

// Options say how it is run.
type Options struct {
	Plumbd, Plumb string    // the programs; without plumb the recorder is read by its package alone
	Short         bool      // seconds in place of minutes
	Log           io.Writer // what goes on
}

// A Part is something that plumbd has to withstand. Parts stand alone, and may run at the same time.
type Part struct {
	Name, Does string
	Alone      bool // it needs the cores
	run        func(context.Context, *bench) (string, error)
}

// Parts are all of them.
func Parts() []Part {
	return []Part{
		{"loki", "Loki refuses connections for 5 minutes, while Pods' connections are refused", false, loki},
		{"reload", "50 reloads: probes, thresholds, labels, sinks, the recorder, everything off; every seventh file is not in order", false, reload},
		{"fail", "all probes are turned on while fewer files may be open than they need, for limits from hardly any to almost enough: at each another one is the first that cannot be loaded, at one place or another; then without the limit", false, fail},
		{"apiserver", "a Pod of a cluster whose API server goes away for a minute", false, apiserver},
		{"disk", "the disk of recorder and events fills up, and has room again; plumbd starts on a full one", false, disk},
		{"kill", "kill -9, 10 times, at any moment", false, kill},
		{"churn", "50 Pods a second come and go for a minute: a namespace with a veth, a record of the runtime, one refused connection after a second, 2 s in all", true, churn},
		{"flows", "10,000 TCP connections a second between two Pods for 10 minutes, each with a byte, but every tenth reset, under a cap of 128 MiB", true, flows},
	}
}

// A Result is what came of a part.
type Result struct {
	Part
	Came    string // in figures
	Scrapes int
	Peak    int64 // bytes of plumbd that were resident at most
	Took    time.Duration
	Err     error // it did not withstand
}

// bench is what a part has.
type bench struct {
	Options
	dir     string // its own
	port    int    // its own, and the one after
	scrapes int
	peak    int64
	agents  []*plumbd
	after   func() // what is left to do when they have ended; may be nil
}

// pick returns a number for a whole run, or that of a short one.
func pick[T any](b *bench, whole, short T) T {
	if b.Short {
		return short
	}
	return whole
}

// Run runs the parts that are named, or all: first those that can do so at the same time. The caller is in a sandbox.
func Run(ctx context.Context, o Options, names ...string) ([]Result, error) {
	if err := sandbox.Setup(); err != nil {
		return nil, err
	}
	if out, err := exec.Command("sh", "-ec", "ip link set lo up; mkdir -p "+records).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%w: %s", err, out)
	}
	dir, err := os.MkdirTemp("", "plumb-soak-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	all := Parts()
	if slices.Contains(names, clockPart.Name) {
		all = append(all, clockPart)
	}
	for _, n := range names {
		if !slices.ContainsFunc(all, func(p Part) bool { return p.Name == n }) {
			return nil, fmt.Errorf("no part is named %q", n)
		}
	}
	results := make([]Result, len(all))
	one := func(i int) {
		b := &bench{Options: o, dir: filepath.Join(dir, all[i].Name), port: 9500 + 10*i}
		results[i] = b.try(ctx, all[i])
	}
	wanted := func(i int) bool { return len(names) == 0 || slices.Contains(names, all[i].Name) }
	var wg sync.WaitGroup
	for i, p := range all {
		switch {
		case !wanted(i):
		case i == 0 || o.Short: // the first takes as long as the others together
			wg.Go(func() { one(i) })
		case p.Alone:
			wg.Wait()
			one(i)
		default:
			one(i)
		}
	}
	wg.Wait()
	return slices.DeleteFunc(results, func(r Result) bool { return r.Name == "" }), nil
}

func (b *bench) try(ctx context.Context, p Part) Result {
	began := time.Now()
	fmt.Fprintf(b.Log, "%s: %s\n", p.Name, p.Does)
	err := os.MkdirAll(b.dir, 0o755)
	var came string
	if err == nil {
		came, err = p.run(ctx, b)
	}
	for _, a := range b.agents {
		err = errors.Join(err, a.stop())
		b.scrapes += a.scrapes
		b.peak = max(b.peak, a.peak)
	}
	if b.after != nil {
		b.after()
	}
	r := Result{p, came, b.scrapes, b.peak, time.Since(began), err}
	fmt.Fprintf(b.Log, "%s: %v: %s; %d scrapes, %d MiB\n", p.Name, cmp.Or(err, errors.New("withstood")), came, r.Scrapes, r.Peak>>20)
	return r
}

// until asks again and again, until f returns nil, and returns its last error after limit.
func until(ctx context.Context, limit time.Duration, f func() error) error {
	for end := time.Now().Add(limit); ; {
		err := f()
		if err == nil || time.Now().After(end) {
			return err
		}
		if !pause(ctx, 100*time.Millisecond) {
			return errors.Join(err, ctx.Err())
		}
	}
}

// pause waits. It returns false where ctx ended.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// want is an error where something is not so.
func want(ok bool, format string, args ...any) error {
	if ok {
		return nil
	}
	return fmt.Errorf(format, args...)
}

// oneLine returns an error's text on one line.
func oneLine(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }
