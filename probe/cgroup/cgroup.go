//go:build linux

// Package cgroup tells what each Pod used of the CPU, when it was held back, and what it lacked.
package cgroup

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
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
packets wait in its sockets. Periods are summed up over the Pod's containers. Pressure is of Linux 4.20 with version 2 of cgroups, or beside version 1.`,
	Source: "cpu.stat, memory.events, {cpu,memory,io}.pressure; cpu.stat, cpuacct.stat, memory.failcnt, memory.oom_control of version 1",
	Stats:  []*probe.Stat{cpu, periods, throttled, heldBack, memory, pressure},
	Open: func(e *probe.Env) (probe.Probe, error) {
		c := &cgroup{tree: cgroups.Of(e), places: e.Places}
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
	buf    []byte
}

// A source is a file of a cgroup, and what its lines "name value" are.
type source struct {
	controller, file string
	below            bool // the kernel counts for each cgroup alone: those of the containers are added
	columns          []column
}

type column struct {
	name   string
	stat   *probe.Stat
	labels []string
	unit   float64 // what one of the kernel's is
}

func is(label ...string) []string { return label }

var version2 = []source{
	{"cpu", "cpu.stat", false, []column{{"user_usec", cpu, is("user"), 1e-6}, {"system_usec", cpu, is("system"), 1e-6}}},
	{"cpu", "cpu.stat", true, []column{{"nr_periods", periods, nil, 1}, {"nr_throttled", throttled, nil, 1}, {"throttled_usec", heldBack, nil, 1e-6}}},
	{"memory", "memory.events", false, []column{{"high", memory, is("high"), 1}, {"max", memory, is("max"), 1}, {"oom", memory, is("oom"), 1}, {"oom_kill", memory, is("oom_kill"), 1}}},
}

// cpuacct.stat is in hundredths of a second, whatever the kernel's own clock (USER_HZ).
var version1 = []source{
	{"cpuacct", "cpuacct.stat", false, []column{{"user", cpu, is("user"), 1e-2}, {"system", cpu, is("system"), 1e-2}}},
	{"cpu", "cpu.stat", true, []column{{"nr_periods", periods, nil, 1}, {"nr_throttled", throttled, nil, 1}, {"throttled_time", heldBack, nil, 1e-9}}},
	{"memory", "memory.failcnt", true, []column{{"", memory, is("max"), 1}}},
	{"memory", "memory.oom_control", true, []column{{"oom_kill", memory, is("oom_kill"), 1}}},
}

func (c *cgroup) Read(emit func(probe.Sample)) error {
	c.rising.Next()
	sources := version1
	if c.tree.Version == 2 {
		sources = version2
	}
	var failed []error
	for _, g := range c.places.Cgroups() {
		for _, s := range sources {
			failed = append(failed, c.tell(g, s, emit))
		}
		for _, resource := range []string{"cpu", "memory", "io"} {
			failed = append(failed, c.pressure(g, resource, emit))
		}
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
	for _, dir := range dirs {
		data, err := c.read(dir, s.file)
		if err == nil {
			err = parse(data, func(name []byte, v float64) {
				for i, col := range s.columns {
					if string(name) == col.name {
						sums[i], seen[i] = sums[i]+v, true
					}
				}
			})
		}
		if err != nil {
			return fmt.Errorf("%s: %s: %w", g.Pod, s.file, err)
		}
	}
	for i, col := range s.columns {
		if seen[i] {
			v := c.rising.Counter(col.stat, g.Pod, col.name, sums[i]) * col.unit
			emit(probe.Sample{Stat: col.stat, Pod: g.Pod, Labels: col.labels, Value: v})
		}
	}
	return nil
}

// read returns nothing of a file that is not there: the cgroup has ended, or its hierarchy lacks the controller.
func (c *cgroup) read(dir, file string) (data []byte, err error) {
	c.buf, err = procnet.Slurp(c.buf, filepath.Join(dir, file))
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENODEV) || errors.Is(err, syscall.EOPNOTSUPP) { // the last: PSI is off
		return nil, nil
	}
	return c.buf, err
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

func (c *cgroup) pressure(g probe.Cgroup, resource string, emit func(probe.Sample)) error {
	data, err := c.read(c.tree.Unified(g.Path), resource+".pressure")
	if err == nil {
		err = parsePressure(data, func(kind string, seconds float64) {
			emit(probe.Sample{Stat: pressure, Pod: g.Pod, Labels: []string{resource, kind}, Value: seconds})
		})
	}
	if err != nil {
		return fmt.Errorf("%s: %s.pressure: %w", g.Pod, resource, err)
	}
	return nil
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
