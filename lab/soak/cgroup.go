//go:build linux

package soak

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// capped makes a cgroup that has so much memory. A program that enter is applied to is started in it; used tells how much was
// used at most, and how many processes were killed. It ends with the part, after its processes.
func (b *bench) capped(limit int64) (enter func(*exec.Cmd), used func() (peak int64, kills int), err error) {
	dir, limitFile, peakFile, eventFile := "/sys/fs/cgroup/memory/plumb-soak", "memory.limit_in_bytes", "memory.max_usage_in_bytes", "memory.oom_control"
	if _, err := os.Stat("/sys/fs/cgroup/cgroup.controllers"); err == nil { // version 2
		dir, limitFile, peakFile, eventFile = "/sys/fs/cgroup/plumb-soak", "memory.max", "memory.peak", "memory.events"
	}
	dir = fmt.Sprintf("%s-%x", dir, rand.Uint32())
	b.after = func() { _ = os.Remove(dir) }
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, nil, err
	}
	if err := os.WriteFile(filepath.Join(dir, limitFile), []byte(strconv.FormatInt(limit, 10)), 0); err != nil {
		return nil, nil, err
	}
	enter = func(c *exec.Cmd) {
		// By a shell that goes there first: version 1 has no other way to be there from the start.
		c.Args = append([]string{"sh", "-c", `echo $$ >"$0"/cgroup.procs && exec "$@"`, dir}, c.Args...)
		c.Path = "/bin/sh"
	}
	used = func() (peak int64, kills int) {
		text, _ := os.ReadFile(filepath.Join(dir, peakFile))
		peak, _ = strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
		text, _ = os.ReadFile(filepath.Join(dir, eventFile))
		for line := range strings.Lines(string(text)) {
			if n, ok := strings.CutPrefix(line, "oom_kill "); ok {
				kills, _ = strconv.Atoi(strings.TrimSpace(n))
			}
		}
		return peak, kills
	}
	return enter, used, nil
}
