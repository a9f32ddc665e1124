//go:build linux

package io

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/plumbnet/plumb/probe"
	"github.com/plumbnet/plumb/probe/probetest"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// machine makes a cgroup of processes.
func machine(t *testing.T, proc string, pids ...int) probe.Env {
	t.Helper()
	sys := t.TempDir()
	must(t, os.MkdirAll(filepath.Join(sys, "fs/cgroup/pod1"), 0o755))
	must(t, os.WriteFile(filepath.Join(sys, "fs/cgroup/cgroup.controllers"), nil, 0o644))
	procs := ""
	for _, pid := range pids {
		procs += fmt.Sprintln(pid)
	}
	must(t, os.WriteFile(filepath.Join(sys, "fs/cgroup/pod1/cgroup.procs"), []byte(procs), 0o644))
	return probe.Env{Sys: sys, Proc: proc, Places: probetest.Places{Groups: []probe.Cgroup{{Pod: "shop/web-0", Path: "pod1"}}}}
}

// TestCounts writes so many bytes, and sees so many.
func TestCounts(t *testing.T) {
	p := probetest.Open(t, Kind, machine(t, "/proc", os.Getpid()))
	f, err := os.OpenFile("/dev/null", os.O_WRONLY, 0)
	must(t, err)
	defer f.Close()
	const wchar, syscw = `io_bytes_total{pod="shop/web-0",counter="wchar"}`, `io_calls_total{pod="shop/web-0",counter="syscw"}`
	for try := range 5 { // the Go runtime may write to wake itself
		before := probetest.Collect(t, Kind, p.Read)
		for range 100 {
			_, err := f.Write(make([]byte, 1000))
			must(t, err)
		}
		got := probetest.Collect(t, Kind, p.Read).Since(before)
		if got[wchar] == 100_000 && got[syscw] == 100 {
			return
		}
		if try == 4 {
			t.Errorf("%v, want 100000 bytes by 100 calls", got)
		}
	}
}

// TestEnds: the counters of a Pod do not fall when a process ends, nor is what it did counted twice.
func TestEnds(t *testing.T) {
	proc := t.TempDir()
	set := func(pid, n int) {
		must(t, os.MkdirAll(filepath.Join(proc, fmt.Sprint(pid)), 0o755))
		must(t, os.WriteFile(filepath.Join(proc, fmt.Sprint(pid), "io"), fmt.Appendf(nil, "rchar: %d\nwchar: 0\nsyscr: 0\nsyscw: 0\nread_bytes: 0\nwrite_bytes: 0\ncancelled_write_bytes: 0\n", n), 0o644))
	}
	p := probetest.Open(t, Kind, machine(t, proc, 7, 8))
	for _, tt := range []struct {
		name string
		set  func()
		want float64
	}{
		{"both", func() { set(7, 100); set(8, 50) }, 150},
		{"one goes, and the other has waited for it", func() { set(7, 150); must(t, os.RemoveAll(filepath.Join(proc, "8"))) }, 150},
		{"the first starts again", func() { set(7, 0) }, 150},
		{"and reads", func() { set(7, 30) }, 180},
	} {
		tt.set()
		got := probetest.Collect(t, Kind, p.Read)
		if v := got[`io_bytes_total{pod="shop/web-0",counter="rchar"}`]; v != tt.want {
			t.Errorf("%s: %g, want %g", tt.name, v, tt.want)
		}
	}
	must(t, os.RemoveAll(filepath.Join(proc, "7")))
	if got := probetest.Collect(t, Kind, p.Read); len(got) > 0 {
		t.Errorf("without a process: %v", got)
	}
	set(7, 1)
	must(t, os.WriteFile(filepath.Join(proc, "7/io"), []byte("rchar: x\n"), 0o644))
	if err := p.Read(func(probe.Sample) {}); err == nil || !strings.Contains(err.Error(), `shop/web-0: io: line 1: "rchar: x"`) {
		t.Error(err)
	}
}

func TestParse(t *testing.T) {
	for _, tt := range []struct {
		name, in string
		want     [len(names)]float64
		err      string
	}{
		{"6.18", "rchar: 1\nwchar: 2\nsyscr: 3\nsyscw: 4\nread_bytes: 5\nwrite_bytes: 6\ncancelled_write_bytes: 7\n", [...]float64{1, 2, 3, 4, 5, 6, 7}, ""},
		{"without accounting of disks", "rchar: 1\n", [len(names)]float64{1}, ""},
		{"a line that came later", "rchar: 1\nnew: 2\n", [len(names)]float64{1}, ""},
		{"no number", "rchar: 1\nwchar:\n", [len(names)]float64{1}, `line 2: "wchar:"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got [len(names)]float64
			err := parse([]byte(tt.in), &got)
			if got != tt.want || (err != nil) != (tt.err != "") || err != nil && !strings.Contains(err.Error(), tt.err) {
				t.Errorf("%v %v", got, err)
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("rchar: 1\nwchar: 2\n"))
	f.Fuzz(func(t *testing.T, in []byte) {
		var sums [len(names)]float64
		_ = parse(in, &sums)
	})
}
