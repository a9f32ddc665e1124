//go:build linux

package observe

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"runtime/debug"
	rt "runtime/metrics"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/plumbnet/plumb/manifest"
	"github.com/plumbnet/plumb/probe/bpf"
)

// A LimitsConfig says when watching costs too much. Beyond a limit for ten seconds the probes that cost something with every packet
// or task are paused; they come back when all is well below it for a minute.
type LimitsConfig struct {
	CPU            int `json:"cpu"`            // percent of one CPU that the agent takes; 0 for 50
	CPUPressure    int `json:"cpuPressure"`    // percent of the time in which a task of the node waits for a CPU; 0 for 95, 100 for never
	MemoryPressure int `json:"memoryPressure"` // and in which one waits for memory; 0 for 20, 100 for never
}

func (c LimitsConfig) faults() (out []manifest.Fault) {
	for _, x := range []struct {
		name      string
		value, to int
	}{{"cpu", c.CPU, 100_000}, {"cpuPressure", c.CPUPressure, 100}, {"memoryPressure", c.MemoryPressure, 100}} {
		if x.value < 0 || x.value > x.to {
			out = append(out, manifest.Fault{Path: "limits." + x.name, Why: fmt.Sprintf("%d: want a percentage, at most %d", x.value, x.to)})
		}
	}
	return out
}

// lookTime is between two looks; a variable for the tests.
var lookTime = 2 * time.Second

const (
	overLooks = 5   // in a row beyond a limit, and probes are paused: a burst is none
	calmLooks = 30  // in a row well below all, and they come back
	calmPart  = .75 // of a limit that is well below it
	mostHeap  = 80  // percent of its memory that is in use, beyond which the agent does little but collect garbage
	statLooks = 30  // for one in so many looks the kernel counts what programs cost
)

// A load is how things are, in percent.
type load struct{ cpu, cpuPressure, memoryPressure, memory float64 }

// limitNames are what may be exceeded, as the metric has it.
var limitNames = []string{"cpu", "cpuPressure", "memoryPressure", "memory"}

// beyond returns the first limit of which more than a part is taken, and how it is said; "" for none.
func (l load) beyond(c LimitsConfig, part float64) (name, why string) {
	for i, x := range []struct {
		is     float64
		most   int
		format string
	}{
		{l.cpu, cmp.Or(c.CPU, 50), "the agent takes %.0f%% of a CPU, of %d"},
		{l.cpuPressure, cmp.Or(c.CPUPressure, 95), "tasks of the node wait for a CPU in %.0f%% of the time, of %d"},
		{l.memoryPressure, cmp.Or(c.MemoryPressure, 20), "tasks of the node wait for memory in %.0f%% of the time, of %d"},
		{l.memory, mostHeap, "%.0f%% of the agent's memory is in use, of %d"},
	} {
		if x.is > part*float64(x.most) && !(x.most == 100 && i > 0) {
			return limitNames[i], fmt.Sprintf(x.format, x.is, x.most)
		}
	}
	return "", ""
}

// A breaker remembers what the last looks saw.
type breaker struct {
	over, calm int    // in a row
	name, why  string // probes are paused, and for what; "" while they run
}

// look takes in how things are, and reports whether that pauses probes or brings them back.
func (b *breaker) look(l load, c LimitsConfig) bool {
	if b.name == "" {
		name, why := l.beyond(c, 1)
		b.over++
		if name == "" {
			b.over = 0
		}
		if b.over < overLooks {
			return false
		}
		*b = breaker{name: name, why: why}
		return true
	}
	b.calm++
	if name, _ := l.beyond(c, calmPart); name != "" {
		b.calm = 0
	}
	if b.calm < calmLooks {
		return false
	}
	*b = breaker{}
	return true
}

// Guard pauses probes while watching costs too much, until ctx ends; and for one look in thirty it has the kernel
// count what programs cost, which itself costs too much to do it always.
func (o *Observer) Guard(ctx context.Context) {
	tick := time.NewTicker(lookTime)
	defer tick.Stop()
	var b breaker
	var counting io.Closer
	last := usage()
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			if counting != nil {
				counting.Close()
			}
			return
		case <-tick.C:
		}
		if counting != nil {
			counting.Close()
			counting = nil
		}
		if n%statLooks == 0 {
			counting, _ = bpf.EnableStats() // without it nothing is counted, as the metric's help says
		}
		o.mu.RLock()
		limits := o.config.Limits
		o.mu.RUnlock()
		now := usage()
		if b.look(o.load(last, now), limits) {
			o.pause(b.name, b.why)
		}
		last = now
	}
}

// pause pauses the probes that cost most, or with "" brings them back.
func (o *Observer) pause(name, why string) {
	o.applying.Lock()
	defer o.applying.Unlock()
	o.mu.Lock()
	o.paused, o.pausedWhy = name, why
	if name != "" {
		o.pauses++
	}
	config := o.config
	o.mu.Unlock()
	running := o.probes(config)
	o.mu.Lock()
	o.running = running
	o.mu.Unlock()
	if name == "" {
		o.o.Log.Print("probes that were paused run again")
		return
	}
	o.o.Log.Printf("probes are paused: %s", why)
	if name == "memory" && o.o.Peers != nil {
		o.o.Peers.Forget()
	}
	o.spare.give(nil) // the series of the last scrape
	debug.FreeOSMemory()
}

// Paused returns why probes are paused; "" while none is.
func (o *Observer) Paused() string {
	o.mu.RLock()
	defer o.mu.RUnlock()
	return o.pausedWhy
}

// A used is what CPU time the agent had used, and when.
type used struct {
	cpu time.Duration
	at  time.Time
}

func usage() used {
	var u unix.Rusage
	_ = unix.Getrusage(unix.RUSAGE_SELF, &u) // it has no error but for wrong arguments
	return used{time.Duration(u.Utime.Nano() + u.Stime.Nano()), time.Now()}
}

// load returns how things are.
func (o *Observer) load(before, now used) load {
	return load{
		cpu:            100 * (now.cpu - before.cpu).Seconds() / max(now.at.Sub(before.at).Seconds(), 1e-3),
		cpuPressure:    pressure(filepath.Join(o.o.Proc, "pressure/cpu")),
		memoryPressure: pressure(filepath.Join(o.o.Proc, "pressure/memory")),
		memory:         heap(),
	}
}

// pressure reads in how many percent of the last ten seconds some task waited (Linux 4.20); 0 where the kernel does not tell.
func pressure(file string) (percent float64) {
	data, err := os.ReadFile(file)
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(data), "some avg10=")
	if _, err := fmt.Sscan(strings.TrimSpace(rest), &percent); err != nil {
		return 0
	}
	return percent
}

// heap returns how many percent of what it may hold the Go runtime holds of what is in use, as the last collection found.
func heap() float64 {
	limit := debug.SetMemoryLimit(-1)
	if limit == math.MaxInt64 {
		return 0
	}
	live := []rt.Sample{{Name: "/gc/heap/live:bytes"}}
	rt.Read(live)
	return 100 * float64(live[0].Value.Uint64()) / float64(limit)
}
