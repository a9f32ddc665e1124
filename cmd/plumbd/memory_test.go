//go:build linux

package main

import (
	"os"
	"path/filepath"
	"testing"
)

// TestMemory reads what the cgroup may have, in and out of containers, of both versions.
func TestMemory(t *testing.T) {
	for _, tt := range []struct {
		name, own, file, text string
		want                  int64
	}{
		{"no cgroup", "", "", "", memoryTarget},
		{"version 2", "0::/\n", "memory.max", "134217728\n", 64 << 20},
		{"without a limit", "0::/\n", "memory.max", "max\n", memoryTarget},
		{"more than it wants", "0::/\n", "memory.max", "8589934592\n", memoryTarget},
		{"a service", "0::/system.slice/plumbd.service\n", "system.slice/plumbd.service/memory.max", "67108864\n", 32 << 20},
		{"a container that sees the node's name", "0::/kubepods/pod1/x\n", "memory.max", "67108864\n", 32 << 20},
		{"version 1", "12:cpu,cpuacct:/a\n11:memory:/a\n0::/a\n", "memory/a/memory.limit_in_bytes", "67108864\n", 32 << 20},
		{"version 1 without a limit", "11:memory:/a\n", "memory/a/memory.limit_in_bytes", "9223372036854771712\n", memoryTarget},
		{"garbage", "x\n0::/\n", "memory.max", "-5\n", memoryTarget},
	} {
		t.Run(tt.name, func(t *testing.T) {
			root := t.TempDir()
			file := filepath.Join(root, tt.file)
			if tt.file != "" {
				must(t, os.MkdirAll(filepath.Dir(file), 0o755))
				must(t, os.WriteFile(file, []byte(tt.text), 0o644))
			}
			if got := memoryFor(tt.own, root); got != tt.want {
				t.Errorf("%d, want %d", got, tt.want)
			}
		})
	}
}
