//go:build linux

// Package cgroups finds the cgroups below a Pod's and the processes in them, in the one hierarchy of version 2 or the several of
// version 1. It knows folders, and not what the files in them say.
package cgroups

import (
	"bytes"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/plumbnet/plumb/probe"
	"github.com/plumbnet/plumb/probe/procnet"
)

// A Tree is where the hierarchies of cgroups are.
type Tree struct {
	root    string // of version 2, or the folder of those of version 1
	Version int    // 1 or 2; 0 where there are none

	mu    sync.Mutex
	below map[string]listing
	procs map[string]processes
	buf   []byte
}

// A listing is what was below a folder.
type listing struct {
	at   time.Time
	dirs []string
}

// processes are what was in a Pod.
type processes struct {
	at   time.Time
	pids []int
}

// trees are those that were asked for, one for all probes.
var trees struct {
	sync.Mutex
	by map[string]*Tree
}

// Of returns the hierarchies of the machine that e is of.
func Of(e *probe.Env) *Tree {
	trees.Lock()
	defer trees.Unlock()
	t := trees.by[e.Sys]
	if t == nil || t.Version == 0 {
		t = find(filepath.Join(e.Sys, "fs/cgroup"))
		if trees.by == nil {
			trees.by = map[string]*Tree{}
		}
		trees.by[e.Sys] = t
	}
	return t
}

func find(root string) *Tree {
	t := &Tree{root: root, below: map[string]listing{}, procs: map[string]processes{}}
	switch {
	case exists(filepath.Join(t.root, "cgroup.controllers")):
		t.Version = 2
	case exists(filepath.Join(t.root, "memory")), exists(filepath.Join(t.root, "cpu")):
		t.Version = 1
	}
	return t
}

func exists(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}

// Dir returns the folder of a cgroup in the hierarchy of a controller.
func (t *Tree) Dir(controller, path string) string {
	if t.Version == 2 {
		return filepath.Join(t.root, path)
	}
	return filepath.Join(t.root, controller, path)
}

// Unified returns the folder of a cgroup in the hierarchy of version 2, which may be there beside those of version 1.
func (t *Tree) Unified(path string) string {
	if t.Version == 2 {
		return filepath.Join(t.root, path)
	}
	return filepath.Join(t.root, "unified", path)
}

const (
	lookAgain = time.Minute // how old a listing may be: containers of a Pod seldom come and go
	forget    = time.Hour
	most      = 200 // cgroups of one Pod: a container in it may make some of its own
)

// Below returns a folder and those below it, the cgroups of a Pod's containers, as they were within the last minute.
func (t *Tree) Below(dir string) []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	if l, ok := t.below[dir]; ok && now.Sub(l.at) < lookAgain {
		return l.dirs
	}
	maps.DeleteFunc(t.below, func(_ string, l listing) bool { return now.Sub(l.at) > forget })
	maps.DeleteFunc(t.procs, func(_ string, p processes) bool { return now.Sub(p.at) > forget })
	l := listing{now, []string{dir}}
	for i := 0; i < len(l.dirs); i++ {
		list, _ := os.ReadDir(l.dirs[i]) // one that has ended has none
		for _, e := range list {
			if e.IsDir() && len(l.dirs) < most {
				l.dirs = append(l.dirs, filepath.Join(l.dirs[i], e.Name()))
			}
		}
	}
	t.below[dir] = l
	return l.dirs
}

// fresh is how old what is told of processes may be: of the probes that ask, one does right after the other.
const fresh = time.Second

// Processes returns the processes of a Pod, and none of their threads.
func (t *Tree) Processes(path string) []int {
	now := time.Now()
	t.mu.Lock()
	p := t.procs[path]
	t.mu.Unlock()
	if now.Sub(p.at) < fresh {
		return p.pids
	}
	p = processes{now, t.processes(path)}
	t.mu.Lock()
	t.procs[path] = p
	t.mu.Unlock()
	return p.pids
}

func (t *Tree) processes(path string) (pids []int) {
	dirs := t.Below(t.Dir("memory", path))
	if t.Version == 1 && !exists(dirs[0]) {
		dirs = t.Below(t.Dir("pids", path))
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, dir := range dirs {
		var err error
		if t.buf, err = procnet.Slurp(t.buf, filepath.Join(dir, "cgroup.procs")); err != nil {
			continue // it has ended, or is one of threads (version 2), whose processes are in the one above
		}
		for line := range bytes.Lines(t.buf) {
			if pid, err := strconv.Atoi(string(bytes.TrimSpace(line))); err == nil && pid > 0 { // 0 is one of a namespace beyond ours
				pids = append(pids, pid)
			}
		}
	}
	slices.Sort(pids)
	return slices.Compact(pids)
}

// Ended reports whether an error says that a process is not there any more.
func Ended(err error) bool { return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH) }

// Rising makes counters, which only rise, of sums that fall when one of their parts goes, as a container that starts again.
type Rising struct {
	by    map[series]*sum
	round int
}

type series struct {
	stat       *probe.Stat
	pod, label string
}

// A sum is told as base more than it is.
type sum struct {
	base, last float64
	round      int
}

// Counter returns what to tell for a sum.
func (r *Rising) Counter(stat *probe.Stat, pod, label string, now float64) float64 {
	if r.by == nil {
		r.by = map[series]*sum{}
	}
	s := r.by[series{stat, pod, label}]
	if s == nil {
		s = &sum{}
		r.by[series{stat, pod, label}] = s
	}
	if now < s.last {
		s.base += s.last - now
	}
	s.last, s.round = now, r.round
	return s.base + now
}

// Next begins another reading, and forgets what the last had nothing of.
func (r *Rising) Next() {
	for k, s := range r.by {
		if s.round < r.round {
			delete(r.by, k)
		}
	}
	r.round++
}
