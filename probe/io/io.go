//go:build linux

// Package io counts what each Pod's processes read and wrote, of files and sockets, and of disks.
package io

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"

	"github.com/plumbnet/plumb/probe"
	"github.com/plumbnet/plumb/probe/cgroups"
	"github.com/plumbnet/plumb/probe/procnet"
)

var (
	octets = &probe.Stat{Name: "io_bytes_total", Help: "Bytes, by the kernel's name for it: rchar and wchar of all files and sockets, read_bytes and write_bytes of disks.", Labels: []string{"counter"}}
	calls  = &probe.Stat{Name: "io_calls_total", Help: "System calls that read (syscr) or wrote (syscw).", Labels: []string{"counter"}}
)

// Kind is the io probe.
var Kind = &probe.Kind{
	Name: "io",
	Doc: `what each Pod read and wrote

A Pod whose network falls silent while its disk is busy waits for that; one that reads in many small calls is slow by itself.
What a process did since it was last read is lost when it ends and nobody waits for it; those that it waited for are counted with it.
A process counts for all its threads. What is still 0 is not told.`,
	Source: "/proc/PID/io",
	Cost:   "1 ms a scrape of 100 Pods of one process each (Linux 6.18)",
	Stats:  []*probe.Stat{octets, calls},
	Open: func(e *probe.Env) (probe.Probe, error) {
		return &io{proc: e.Proc, tree: cgroups.Of(e), places: e.Places}, nil
	},
}

type io struct {
	probe.Quiet
	proc   string
	tree   *cgroups.Tree
	places probe.Places
	rising cgroups.Rising
	buf    []byte
}

// names are those of /proc/PID/io (fs/proc/base.c), of which cancelled_write_bytes are those of write_bytes that
// never came to a disk since their file was removed before.
var names = [...]string{"rchar", "wchar", "syscr", "syscw", "read_bytes", "write_bytes", "cancelled_write_bytes"}

var stats = [len(names)]*probe.Stat{octets, octets, calls, calls, octets, octets, octets}

var labels = func() (out [len(names)][]string) {
	for i, n := range names {
		out[i] = []string{n}
	}
	return out
}()

func (o *io) Read(emit func(probe.Sample)) error {
	o.rising.Next()
	var failed []error
	for _, g := range o.places.Cgroups() {
		var sums [len(names)]float64
		seen := false
		for _, pid := range o.tree.Processes(g.Path) {
			var err error
			o.buf, err = procnet.Slurp(o.buf, filepath.Join(o.proc, strconv.Itoa(pid), "io"))
			if err == nil {
				seen, err = true, parse(o.buf, &sums)
			}
			if err != nil && !cgroups.Ended(err) {
				failed = append(failed, fmt.Errorf("%s: %w", g.Pod, err))
			}
		}
		for i, v := range sums {
			if v = o.rising.Counter(stats[i], g.Pod, names[i], v); seen && v > 0 {
				emit(probe.Sample{Stat: stats[i], Pod: g.Pod, Labels: labels[i], Value: v})
			}
		}
	}
	return errors.Join(failed...)
}

// parse adds what a file /proc/PID/io says.
func parse(data []byte, sums *[len(names)]float64) error {
	for n := 1; len(data) > 0; n++ {
		var line []byte
		line, data = procnet.Line(data)
		name, rest, _ := bytes.Cut(line, []byte(":"))
		word, _ := procnet.Word(rest)
		v, ok := procnet.Number(word)
		if !ok {
			return fmt.Errorf("io: line %d: %q", n, procnet.Short(line))
		}
		for i, of := range names {
			if string(name) == of {
				sums[i] += v
			}
		}
	}
	return nil
}
