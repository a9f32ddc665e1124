//go:build linux

package machine

import (
	"bytes"
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// A hierarchy is a tree of cgroups that is mounted: one of version 1 with its
// controllers, or the one of version 2.
type hierarchy struct {
	mount   string // where it is mounted
	options string // "cpu,cpuacct", "none,name=systemd"; empty for version 2
	own     string // the cgroup of this process in it, below mount
}

func (h hierarchy) v2() bool { return h.options == "" }

// hierarchies returns the hierarchies that a machine gets: all of version 1, or
// the one of version 2. Where both are mounted, the second has no controllers and is left out.
func hierarchies() ([]hierarchy, error) {
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	cgroups, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return nil, err
	}
	all := parseHierarchies(string(mounts), string(cgroups))
	if len(all) == 0 {
		return nil, errors.New("no cgroups are mounted")
	}
	return all, nil
}

// parseHierarchies reads /proc/self/mountinfo and /proc/self/cgroup (proc(5), cgroups(7)).
func parseHierarchies(mountinfo, cgroup string) []hierarchy {
	own := map[string]string{} // by controllers; "" is version 2
	for line := range strings.Lines(cgroup) {
		f := strings.SplitN(strings.TrimSuffix(line, "\n"), ":", 3)
		if len(f) == 3 {
			own[f[1]] = f[2]
		}
	}
	var v1, v2 []hierarchy
	for line := range strings.Lines(mountinfo) {
		left, right, ok := strings.Cut(line, " - ")
		l, r := strings.Fields(left), strings.Fields(right)
		if !ok || len(l) < 5 || len(r) < 3 {
			continue
		}
		root, mount := l[3], l[4]
		switch r[0] {
		case "cgroup2":
			v2 = append(v2, hierarchy{mount: mount, own: below(own[""], root)})
		case "cgroup":
			for controllers, path := range own {
				if controllers == "" || !hasOptions(r[2], controllers) {
					continue
				}
				options := controllers
				if strings.HasPrefix(options, "name=") {
					options = "none," + options
				}
				v1 = append(v1, hierarchy{mount: mount, options: options, own: below(path, root)})
			}
		}
	}
	if len(v1) > 0 {
		return v1
	}
	return v2[:min(len(v2), 1)]
}

// hasOptions reports whether a mount's options name every controller of a list.
func hasOptions(options, controllers string) bool {
	have := strings.Split(options, ",")
	for c := range strings.SplitSeq(controllers, ",") {
		if !slices.Contains(have, c) {
			return false
		}
	}
	return true
}

// below returns path as it is seen from root, where a part of a hierarchy is mounted.
func below(path, root string) string {
	if rel, ok := strings.CutPrefix(path, strings.TrimSuffix(root, "/")); ok {
		return rel
	}
	return "/"
}

// group returns the name of a rack's cgroup. It is derived from the directory, so that it can be found again.
func group(rack string) string {
	h := fnv.New32a()
	h.Write([]byte(rack))
	return fmt.Sprintf("plumb-lab-%08x", h.Sum32())
}

// root returns the directory of a rack's cgroup in the hierarchy. In version 1 it
// is below the cgroup that the rack was started in, whose limits stay in force.
// In version 2 only the root may hold processes and hand on controllers as well.
func (h hierarchy) root(rack string) string {
	if h.v2() {
		return filepath.Join(h.mount, group(rack))
	}
	return filepath.Join(h.mount, h.own, group(rack))
}

// join makes the cgroup of a machine in every hierarchy and moves this process into it.
func join(all []hierarchy, rack, name string) error {
	for _, h := range all {
		dir := filepath.Join(h.root(rack), name)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		if err := inherit(h, rack, dir); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, "cgroup.procs"), []byte("0"), 0); err != nil {
			return fmt.Errorf("join %s: %w", dir, err)
		}
	}
	return nil
}

// inherit gives the cgroup of a machine what its parents have: a cpuset of version
// 1 begins empty, controllers of version 2 are handed on one level at a time.
func inherit(h hierarchy, rack, dir string) error {
	if h.v2() {
		b, err := os.ReadFile(filepath.Join(h.mount, "cgroup.controllers"))
		if err != nil {
			return err
		}
		on := []byte("+" + strings.Join(strings.Fields(string(b)), " +"))
		for _, d := range []string{h.mount, h.root(rack)} {
			if err := os.WriteFile(filepath.Join(d, "cgroup.subtree_control"), on, 0); err != nil {
				return fmt.Errorf("%s: hand on controllers: %w", d, err)
			}
		}
		return nil
	}
	if !hasOptions(h.options, "cpuset") {
		return nil
	}
	for _, d := range []string{filepath.Dir(dir), dir} {
		for _, f := range []string{"cpuset.cpus", "cpuset.mems"} {
			b, err := os.ReadFile(filepath.Join(filepath.Dir(d), f))
			if err != nil {
				return err
			}
			if err := os.WriteFile(filepath.Join(d, f), bytes.TrimSpace(b), 0); err != nil {
				return fmt.Errorf("%s: %w", filepath.Join(d, f), err)
			}
		}
	}
	return nil
}

// leaf moves this process, alone in the cgroup that the machine sees as its root,
// one level down: in version 2 a cgroup that hands on controllers holds no processes.
func leaf(all []hierarchy, rack, name string) error {
	for _, h := range all {
		if !h.v2() {
			continue
		}
		dir := filepath.Join(h.root(rack), name, "init")
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, "cgroup.procs"), []byte("0"), 0); err != nil {
			return fmt.Errorf("join %s: %w", dir, err)
		}
	}
	return nil
}

// mountCgroups mounts the hierarchies for a machine, which is in a cgroup
// namespace: what it sees as their roots are its own cgroups. dir is its /sys/fs/cgroup.
func mountCgroups(all []hierarchy, dir string) error {
	if all[0].v2() {
		return mount("cgroup2", dir, "cgroup2", 0, "")
	}
	if err := mount("tmpfs", dir, "tmpfs", 0, "mode=755,size=1m"); err != nil {
		return err
	}
	for _, h := range all {
		at := filepath.Join(dir, filepath.Base(h.mount))
		if err := os.MkdirAll(at, 0o755); err != nil {
			return err
		}
		if err := mount("cgroup", at, "cgroup", 0, h.options); err != nil {
			return err
		}
	}
	return nil
}

// removeCgroups removes a rack's cgroups. Their processes have ended; the kernel
// may need a moment to notice.
func removeCgroups(rack string, patience time.Duration) error {
	var roots []string
	for _, base := range []string{"/sys/fs/cgroup"} {
		// Where the rack was started in another cgroup than this process, its root is elsewhere in the tree.
		filepath.WalkDir(base, func(p string, d fs.DirEntry, err error) error {
			if err == nil && d.IsDir() && d.Name() == group(rack) {
				roots = append(roots, p)
				return filepath.SkipDir
			}
			return nil
		})
	}
	deadline := time.Now().Add(patience)
	for {
		var errs []error
		for _, r := range roots {
			errs = append(errs, rmdirAll(r))
		}
		err := errors.Join(errs...)
		if err == nil || time.Now().After(deadline) {
			return err
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// rmdirAll removes a directory of directories, which is what a cgroup is: its files cannot be removed, and need not be.
func rmdirAll(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, e := range entries {
		if e.IsDir() {
			err = errors.Join(err, rmdirAll(filepath.Join(dir, e.Name())))
		}
	}
	if err != nil {
		return err
	}
	if err := unix.Rmdir(dir); err != nil && err != unix.ENOENT {
		return fmt.Errorf("rmdir %s: %w%s", dir, err, members(dir))
	}
	return nil
}

// members names the processes that are still in a cgroup.
func members(dir string) string {
	b, _ := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
	if pids := strings.Fields(string(b)); len(pids) > 0 {
		return " (still in it: " + strings.Join(pids[:min(len(pids), 5)], " ") + " of " + strconv.Itoa(len(pids)) + ")"
	}
	return ""
}
