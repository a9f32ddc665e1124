//go:build linux

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
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

// TestForgetStart: less of the program's file is mapped, and it goes on.
func TestForgetStart(t *testing.T) {
	if !constant("/proc/self/exe") {
		t.Skip("what runs here was linked as it was started; CGO_ENABLED=0 go test does it")
	}
	mapped := func() (kB int) {
		data, err := os.ReadFile("/proc/self/status")
		if err != nil {
			t.Fatal(err)
		}
		_, after, _ := strings.Cut(string(data), "RssFile:")
		if _, err := fmt.Sscan(after, &kB); err != nil {
			t.Fatal(err)
		}
		return kB
	}
	before := mapped()
	forgetStart()
	if after := mapped(); after >= before {
		t.Errorf("%d kB of it are mapped, and were %d", after, before)
	}
	if constant("/proc/self/maps") || constant("/proc/self/nothing") {
		t.Error("no program")
	}
}
