//go:build linux

package main

import (
	"math"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
)

// limitMemory bounds what the garbage collector leaves, where GOMEMLIMIT does not.
func limitMemory() {
	if debug.SetMemoryLimit(-1) != math.MaxInt64 {
		return
	}
	own, _ := os.ReadFile("/proc/self/cgroup") // without it there is that of the mount
	debug.SetMemoryLimit(memoryFor(string(own), "/sys/fs/cgroup"))
}

// memoryFor returns how much memory to use: memoryTarget, or half of what the cgroup may have, if that is less. The rest is for
// the kernel's tables of programs, and for the programs that plumbd runs.
func memoryFor(own, root string) int64 {
	limit := int64(memoryTarget)
	for line := range strings.Lines(own) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(parts) < 3 {
			continue
		}
		var dir, file string
		switch {
		case parts[1] == "": // version 2
			dir, file = root, "memory.max"
		case parts[1] == "memory":
			dir, file = filepath.Join(root, "memory"), "memory.limit_in_bytes"
		default:
			continue
		}
		// In a container the mount is the cgroup itself, whatever its path is called.
		for _, path := range []string{filepath.Join(dir, parts[2]), dir} {
			text, _ := os.ReadFile(filepath.Join(path, file))                                             // there is none at the root
			if n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64); err == nil && n > 0 { // or "max"
				limit = min(limit, n/2)
			}
		}
	}
	return limit
}
