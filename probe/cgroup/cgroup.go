//go:build linux

// Package cgroup tells what each Pod used of the CPU, when it was held back, and what it lacked.
package cgroup

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"syscall"

	"github.com/plumbnet/plumb/probe"
	"github.com/plumbnet/plumb/probe/cgroups"
	"github.com/plumbnet/plumb/probe/procnet"
)

var (
	cpu       = &probe.Stat{Name: "cgroup_cpu_seconds_total", Help: "Time on a CPU.", Labels: []string{"mode"}}
	periods   = &probe.Stat{Name: "cgroup_cpu_periods_total", Help: "Periods, of 100 ms as a rule, in which a container with a limit of CPU wanted to run."}
	throttled = &probe.Stat{Name: "cgroup_cpu_throttled_periods_total", Help: "Periods in which it had used up its limit, and was held back."}
	heldBack  = &probe.Stat{Name: "cgroup_cpu_throttled_seconds_total", Help: "Time that it was held back."}
	memory    = &probe.Stat{Name: "cgroup_memory_events_total", Help: "Times that it came to a limit of memory: max, that of the Pod or a container; oom_kill, and a process was killed for it.", Labels: []string{"event"}}
	pressure  = &probe.Stat{Name: "cgroup_pressure_seconds_total", Help: "Time in which some of its processes, or all (full), waited for a resource (PSI).", Labels: []string{"resource", "kind"}}
)

// Kind is the cgroup probe.
var Kind = &probe.Kind{
	Name: "cgroup",
	Doc: `what each Pod used of the CPU, when it was held back, and what it lacked

A Pod that is held back (throttled) or waits for CPU, memory or disk answers late, which looks like a slow network: its
packets wait in its sockets. Periods are summed up over the Pod's containers; one that was never held back is looked at again
after a minute. What is still 0 is not told, but for the time on a CPU, waits for it, and the limits of memory. Pressure is of Linux 4.20 with version 2 of cgroups, or beside version 1.`,
	Source: "cpu.stat, memory.events, {cpu,memory,io}.pressure; cpu.stat, cpuacct.stat, memory.failcnt, memory.oom_control of version 1",
	Cost:   "1 to 4 ms a scrape of 100 Pods (Linux 6.18, version 1)",
	Stats:  []*probe.Stat{cpu, periods, throttled, heldBack, memory, pressure},
	Open: func(e *probe.Env) (probe.Probe, error) {
		c := &cgroup{proc: e.Proc, tree: cgroups.Of(e), places: e.Places, node: map[string][]wait{}, waits: map[string]map[string][]wait{}}
		if c.tree.Version == 0 {
			return nil, errors.New("no hierarchy of cgroups in /sys/fs/cgroup")
		}
		return c, nil
	},
}

type cgroup struct {
	probe.Quiet
	tree   *cgroups.Tree
	places probe.Places
	rising cgroups.Rising
	idle   procnet.Idle[string] // files of containers, which as a rule have no limit
	files  procnet.Kept

	proc  string
	node  map[string][]wait            // how long anything waited, by resource, when waits were read
	waits map[string]map[string][]wait // and each Pod, by resource and Pod
}

// A source is a file of a cgroup, and what its lines "name value" are.
type source struct {
	controller, file string
	below            bool // some of it the kernel counts for each cgroup alone: that of the containers is added
	columns          []column
}

type column struct {
	name   string
	stat   *probe.Stat
	labels []string
	unit   float64 // what one of the kernel's is
	always bool    // it is told at 0 too
}

func is(label ...string) []string { return label }

var version2 = []source{
	{"cpu", "cpu.stat", true, []column{
		{"user_usec", cpu, is("user"), 1e-6, true}, {"system_usec", cpu, is("system"), 1e-6, true},
		{"nr_periods", periods, nil, 1, false}, {"nr_throttled", throttled, nil, 1, false}, {"throttled_usec", heldBack, nil, 1e-6, false},
	}},
	{"memory", "memory.events", false, []column{{"high", memory, is("high"), 1, false}, {"max", memory, is("max"), 1, true}, {"oom", memory, is("oom"), 1, false}, {"oom_kill", memory, is("oom_kill"), 1, true}}},
}

// cpuacct.stat is in hundredths of a second, whatever the kernel's own clock (USER_HZ).
var version1 = []source{
	{"cpuacct", "cpuacct.stat", false, []column{{"user", cpu, is("user"), 1e-2, true}, {"system", cpu, is("system"), 1e-2, true}}},
	{"cpu", "cpu.stat", true, []column{{"nr_periods", periods, nil, 1, false}, {"nr_throttled", throttled, nil, 1, false}, {"throttled_time", heldBack, nil, 1e-9, false}}},
	{"memory", "memory.failcnt", true, []column{{"", memory, is("max"), 1, true}}},
	{"memory", "memory.oom_control", true, []column{{"oom_kill", memory, is("oom_kill"), 1, true}}},
}

func (c *cgroup) Read(emit func(probe.Sample)) error {
	c.rising.Next()
	c.idle.Forget()
	defer c.files.Forget()
	sources := version1
	if c.tree.Version == 2 {
		sources = version2
	}
	var failed []error
	for _, g := range c.places.Cgroups() {
		for _, s := range sources {
			failed = append(failed, c.tell(g, s, emit))
		}
	}
	for _, resource := range []string{"cpu", "memory", "io"} {
		failed = append(failed, c.pressures(resource, emit))
	}
	return errors.Join(failed...)
}

// tell sums up a file of a Pod's cgroup, and of those below it where they count apart.
func (c *cgroup) tell(g probe.Cgroup, s source, emit func(probe.Sample)) error {
	dirs := []string{c.tree.Dir(s.controller, g.Path)}
	if s.below {
		dirs = c.tree.Below(dirs[0])
	}
	sums, seen := make([]float64, len(s.columns)), make([]bool, len(s.columns))
	for n, dir := range dirs {
		file, nothing := filepath.Join(dir, s.file), true
		if n > 0 && c.idle.Skip(file) {
			continue
		}
		data, err := c.read(file)
		if err == nil {
			err = parse(data, func(name []byte, v float64) {
				for i, col := range s.columns {
					if string(name) == col.name && (n == 0 || col.stat != cpu) { // of the CPU the Pod's has it all
						sums[i], seen[i], nothing = sums[i]+v, true, nothing && v == 0
					}
				}
			})
		}
		if err != nil {
			return fmt.Errorf("%s: %s: %w", g.Pod, s.file, err)
		}
		c.idle.Note(file, n > 0 && nothing)
	}
	for i, col := range s.columns {
		if seen[i] && (sums[i] > 0 || col.always) {
			v := c.rising.Counter(col.stat, g.Pod, col.name, sums[i]) * col.unit
			emit(probe.Sample{Stat: col.stat, Pod: g.Pod, Labels: col.labels, Value: v})
		}
	}
	return nil
}

// read returns nothing of a file that is not there: the cgroup has ended, or its hierarchy lacks the controller.
func (c *cgroup) read(file string) ([]byte, error) {
	data, err := c.files.Read(file)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENODEV) || errors.Is(err, syscall.EOPNOTSUPP) { // the last: PSI is off
		return nil, nil
	}
	return data, err
}

// Close closes its files.
func (c *cgroup) Close() error {
	c.files.Close()
	return nil
}

// parse calls f for each line "name value", and with no name for a file that has but a number.
func parse(data []byte, f func(name []byte, v float64)) error {
	for n := 1; len(data) > 0; n++ {
		var line []byte
		line, data = procnet.Line(data)
		name, rest := procnet.Word(line)
		value, _ := procnet.Word(rest)
		if len(value) == 0 {
			name, value = nil, name
		}
		v, ok := procnet.Number(value)
		if !ok {
			return fmt.Errorf("line %d: %.40s %q", n, name, procnet.Short(value))
		}
		f(name, v)
	}
	return nil
}

// A wait is how long some or all of a cgroup's processes waited.
type wait struct {
	kind    string
	seconds float64
}

// pressures tells how long each Pod waited for a resource. Where nothing on the node waited for it since the last
// reading, as is the rule for memory and disks, no Pod did.
func (c *cgroup) pressures(resource string, emit func(probe.Sample)) error {
	node, err := c.wait(filepath.Join(c.proc, "pressure", resource))
	still := err == nil && len(node) > 0 && slices.Equal(node, c.node[resource])
	before, now := c.waits[resource], map[string][]wait{}
	for _, g := range c.places.Cgroups() {
		list, had := before[g.Pod]
		if !had || !still {
			var e error
			if list, e = c.wait(filepath.Join(c.tree.Unified(g.Path), resource+".pressure")); e != nil {
				err = errors.Join(err, fmt.Errorf("%s: %w", g.Pod, e))
			}
		}
		now[g.Pod] = list
		for _, w := range list {
			if w.seconds > 0 || resource == "cpu" && w.kind == "some" {
				emit(probe.Sample{Stat: pressure, Pod: g.Pod, Labels: []string{resource, w.kind}, Value: w.seconds})
			}
		}
	}
	c.node[resource], c.waits[resource] = node, now
	return err
}

func (c *cgroup) wait(file string) (out []wait, err error) {
	data, err := c.read(file)
	if err == nil {
		err = parsePressure(data, func(kind string, seconds float64) { out = append(out, wait{kind, seconds}) })
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Base(file), err)
	}
	return out, nil
}

// parsePressure reads lines as "some avg10=0.00 avg60=0.00 avg300=0.00 total=0", which is in microseconds.
func parsePressure(data []byte, f func(kind string, seconds float64)) error {
	for n := 1; len(data) > 0; n++ {
		var line []byte
		line, data = procnet.Line(data)
		kind, rest := procnet.Word(line)
		_, value, found := bytes.Cut(rest, []byte("total="))
		v, ok := procnet.Number(value)
		if !found || !ok {
			return fmt.Errorf("line %d: %q", n, procnet.Short(line))
		}
		f(string(kind), v/1e6)
	}
	return nil
}
