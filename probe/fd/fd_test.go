//go:build linux

package fd

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

// machine makes a cgroup of this process, and perhaps of others, beside the machine's own /proc.
func machine(t *testing.T, pids ...int) probe.Env {
	t.Helper()
	sys := t.TempDir()
	must(t, os.MkdirAll(filepath.Join(sys, "fs/cgroup/pod1"), 0o755))
	must(t, os.WriteFile(filepath.Join(sys, "fs/cgroup/cgroup.controllers"), nil, 0o644))
	procs := ""
	for _, pid := range pids {
		procs += fmt.Sprintln(pid)
	}
	must(t, os.WriteFile(filepath.Join(sys, "fs/cgroup/pod1/cgroup.procs"), []byte(procs), 0o644))
	return probe.Env{Sys: sys, Places: probetest.Places{Groups: []probe.Cgroup{{Pod: "shop/web-0", Path: "pod1"}}}}
}

// TestCounts opens files, and counts them, with those of a process that has ended beside them.
func TestCounts(t *testing.T) {
	p := probetest.Open(t, Kind, machine(t, os.Getpid(), 1<<22+1))
	read := func() probetest.Samples { return probetest.Collect(t, Kind, p.Read) }
	const open, ratio = `fd_open{pod="shop/web-0"}`, `fd_limit_ratio{pod="shop/web-0"}`
	before := read()
	if _, told := before[ratio]; told || before[open] < 3 {
		t.Errorf("%v", before)
	}
	const more = 600
	for range more {
		f, err := os.Open("/dev/null")
		must(t, err)
		defer f.Close()
	}
	after := read()
	if got := after[open] - before[open]; got != more {
		t.Errorf("rose by %g, want %d", got, more)
	}
	if v := after[ratio]; v <= 0 || v > 1 {
		t.Errorf("%s is %g", ratio, v)
	}
	names, err := os.ReadDir("/proc/self/fd")
	must(t, err)
	want := float64(len(names) - 1) // without that of the folder itself
	info, err := os.Stat("/proc/self/fd")
	must(t, err)
	if info.Size() == 0 {
		want++ // before Linux 6.2 the probe has the folder open as well, to count
	}
	if got := after[open]; got != want {
		t.Errorf("%g, /proc/self/fd has %g", got, want)
	}
}

// TestCount: before Linux 6.2 the folder has no size.
func TestCount(t *testing.T) {
	if n, err := count("/proc/self/ns"); err != nil || n < 5 {
		t.Errorf("%d, %v", n, err)
	}
	if _, err := count("/proc/self/none"); !os.IsNotExist(err) {
		t.Error(err)
	}
}

func TestLimit(t *testing.T) {
	for _, tt := range []struct {
		name, in string
		want     float64
	}{
		{"6.18", "Limit                     Soft Limit           Hard Limit           Units     \nMax open files            1024                 524288               files     \n", 1024},
		{"none", "Max open files            unlimited            unlimited            files     \n", 0},
		{"of another kind", "Max processes 5 5 processes\n", 0},
		{"empty", "", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := limit([]byte(tt.in)); got != tt.want {
				t.Errorf("%g, want %g", got, tt.want)
			}
		})
	}
}

func TestNode(t *testing.T) {
	for _, tt := range []struct{ name, in, want, err string }{
		{"6.18", "1598\t0\t9223372036854775807\n", "fd_node_limit 9223372036854776000\nfd_node_open 1598", ""},
		{"broken", "1598\n", "", `file-nr: "1598`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e := machine(t)
			e.Proc = t.TempDir()
			must(t, os.MkdirAll(filepath.Join(e.Proc, "sys/fs"), 0o755))
			must(t, os.WriteFile(filepath.Join(e.Proc, "sys/fs/file-nr"), []byte(tt.in), 0o644))
			p, got := probetest.Open(t, Kind, e), probetest.Samples{}
			err := p.Read(func(s probe.Sample) { got[probetest.Series(s)] = s.Value })
			if (err != nil) != (tt.err != "") || err != nil && !strings.Contains(err.Error(), tt.err) {
				t.Errorf("%v, want %q", err, tt.err)
			}
			if diff := probetest.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func FuzzLimit(f *testing.F) {
	f.Add([]byte("Max open files            1024                 524288               files     \n"))
	f.Fuzz(func(t *testing.T, in []byte) {
		if limit(in) < 0 && !strings.Contains(string(in), "-") {
			t.Errorf("%q", in)
		}
	})
}
