//go:build linux

// Package fd counts the open files of each Pod's processes, sockets among them, and those of the node.
package fd

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"github.com/plumbnet/plumb/probe"
	"github.com/plumbnet/plumb/probe/cgroups"
	"github.com/plumbnet/plumb/probe/procnet"
)

var (
	open      = &probe.Stat{Name: "fd_open", Type: probe.Gauge, Help: "Open files of the Pod's processes, sockets among them."}
	ratio     = &probe.Stat{Name: "fd_limit_ratio", Type: probe.Gauge, Help: "How much of its limit (ulimit -n) that process has open that is nearest to it; told of processes with 512 open files or more."}
	nodeOpen  = &probe.Stat{Name: "fd_node_open", Type: probe.Gauge, Help: "Open files of the node.", Node: true}
	nodeLimit = &probe.Stat{Name: "fd_node_limit", Type: probe.Gauge, Help: "How many files the node may have open (fs.file-max).", Node: true}
)

// Kind is the fd probe.
var Kind = &probe.Kind{
	Name: "fd",
	Doc: `open files of each Pod, sockets among them

A process at its limit can neither accept nor open connections; one whose open files only rise does not close them.
Threads share their process's files, and are not counted.`,
	Source: "/proc/PID/fd, /proc/PID/limits, /proc/sys/fs/file-nr",
	Cost:   "1 ms a scrape of 100 Pods of one process each (Linux 6.18)",
	Stats:  []*probe.Stat{open, ratio, nodeOpen, nodeLimit},
	Open: func(e *probe.Env) (probe.Probe, error) {
		return &fd{proc: e.Proc, tree: cgroups.Of(e), places: e.Places}, nil
	},
}

type fd struct {
	probe.Quiet
	proc   string
	tree   *cgroups.Tree
	places probe.Places
	buf    []byte
}

// many is from how many open files on a process's limit is read: usual ones are 1024 and more.
const many = 512

func (f *fd) Read(emit func(probe.Sample)) error {
	var failed []error
	for _, g := range f.places.Cgroups() {
		sum, worst, seen := 0, 0.0, false
		for _, pid := range f.tree.Processes(g.Path) {
			dir := filepath.Join(f.proc, strconv.Itoa(pid))
			n, err := count(filepath.Join(dir, "fd"))
			if cgroups.Ended(err) {
				continue
			}
			if err != nil {
				failed = append(failed, fmt.Errorf("%s: %w", g.Pod, err))
				continue
			}
			sum, seen = sum+n, true
			if n >= many {
				worst = max(worst, f.share(dir, n))
			}
		}
		if seen {
			emit(probe.Sample{Stat: open, Pod: g.Pod, Value: float64(sum)})
		}
		if worst > 0 {
			emit(probe.Sample{Stat: ratio, Pod: g.Pod, Value: worst})
		}
	}
	return errors.Join(append(failed, f.node(emit))...)
}

// count returns how many files are in a folder /proc/PID/fd, which is its size since Linux 6.2.
func count(dir string) (int, error) {
	info, err := os.Stat(dir)
	if err != nil {
		return 0, err
	}
	if n := info.Size(); n > 0 {
		return int(n), nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return 0, err
	}
	defer d.Close()
	names, err := d.Readdirnames(-1)
	return len(names), err
}

// share returns how much of its limit n is; 0 where it has none.
func (f *fd) share(dir string, n int) float64 {
	var err error
	if f.buf, err = procnet.Slurp(f.buf, filepath.Join(dir, "limits")); err != nil {
		return 0
	}
	if soft := limit(f.buf); soft > 0 {
		return float64(n) / soft
	}
	return 0
}

// limit returns the soft limit in a file /proc/PID/limits; 0 where there is none.
func limit(data []byte) float64 {
	for line := range bytes.Lines(data) {
		if rest, ok := bytes.CutPrefix(line, []byte("Max open files")); ok {
			word, _ := procnet.Word(rest)
			v, _ := procnet.Number(word) // "unlimited" is none
			return v
		}
	}
	return 0
}

func (f *fd) node(emit func(probe.Sample)) (err error) {
	if f.buf, err = procnet.Slurp(f.buf, filepath.Join(f.proc, "sys/fs/file-nr")); err != nil {
		return err
	}
	now, rest := procnet.Word(bytes.TrimSpace(f.buf))
	_, rest = procnet.Word(rest) // those that are free, always 0
	most, _ := procnet.Word(rest)
	n, ok := procnet.Number(now)
	limit, good := procnet.Number(most)
	if !ok || !good {
		return fmt.Errorf("file-nr: %q", procnet.Short(f.buf))
	}
	emit(probe.Sample{Stat: nodeOpen, Value: n})
	emit(probe.Sample{Stat: nodeLimit, Value: limit})
	return nil
}
