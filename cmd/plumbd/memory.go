//go:build linux

package main

import (
	"debug/elf"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// garbage is how much of it there may be, of 100 of what is used: with 1.5 MB less of it a scrape takes no longer.
const garbage = 70

// limitMemory bounds what the garbage collector leaves, where GOGC and GOMEMLIMIT do not.
func limitMemory() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(garbage)
	}
	if debug.SetMemoryLimit(-1) != math.MaxInt64 {
		return
	}
	own, _ := os.ReadFile("/proc/self/cgroup") // without it there is that of the mount
	debug.SetMemoryLimit(memoryFor(string(own), "/sys/fs/cgroup"))
}

// forgetStart gives back what only starting took: garbage, and the pages of the program's own file. What is needed of
// those is mapped again from the kernel's cache, in microseconds. Where it cannot, more stays resident.
func forgetStart() {
	debug.FreeOSMemory()
	maps, _ := os.ReadFile("/proc/self/maps")
	self, err := os.Readlink("/proc/self/exe")
	if err != nil || !constant("/proc/self/exe") {
		return
	}
	for line := range strings.Lines(string(maps)) {
		var start, end uintptr
		var may, at, device, inode, file string
		_, _ = fmt.Sscanf(line, "%x-%x %s %s %s %s %s", &start, &end, &may, &at, &device, &inode, &file)
		if file != self || strings.Contains(may, "w") {
			continue
		}
		_, _, _ = unix.Syscall(unix.SYS_MADVISE, start, end-start, unix.MADV_DONTNEED)
	}
}

// constant reports whether what a program does not write to is as it is in its file: nothing was relocated when it started.
func constant(file string) bool {
	f, err := elf.Open(file)
	if err != nil {
		return false
	}
	defer f.Close()
	return f.Type == elf.ET_EXEC && !slices.ContainsFunc(f.Progs, func(p *elf.Prog) bool { return p.Type == elf.PT_DYNAMIC || p.Type == elf.PT_INTERP })
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
