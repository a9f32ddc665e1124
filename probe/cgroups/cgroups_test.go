//go:build linux

package cgroups

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/plumbnet/plumb/probe"
)

// tree makes files, of which those that end in a slash are folders, and returns the folder that stands for /sys.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	sys := t.TempDir()
	for name, data := range files {
		file := filepath.Join(sys, "fs/cgroup", name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(data), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return sys
}

func TestProcesses(t *testing.T) {
	many := map[string]string{"cgroup.controllers": ""}
	for i := range most + 50 {
		many[fmt.Sprintf("pod1/%d/cgroup.procs", i)] = "5\n"
	}
	for _, tt := range []struct {
		name    string
		files   map[string]string
		version int
		want    []int
	}{
		{"version 2", map[string]string{"cgroup.controllers": "", "pod1/cgroup.procs": "", "pod1/a/cgroup.procs": "7\n8\n", "pod1/b/init/cgroup.procs": "9\n", "pod2/cgroup.procs": "10\n"}, 2, []int{7, 8, 9}},
		{"version 1", map[string]string{"memory/pod1/cgroup.procs": "", "memory/pod1/a/cgroup.procs": "8\n7\n", "cpu/pod1/cgroup.procs": "1\n"}, 1, []int{7, 8}},
		{"version 1, in another hierarchy", map[string]string{"memory/other/cgroup.procs": "", "pids/pod1/cgroup.procs": "7\n"}, 1, []int{7}},
		{"one that is not ours to see", map[string]string{"cgroup.controllers": "", "pod1/cgroup.procs": "0\n7\n"}, 2, []int{7}},
		{"in two", map[string]string{"cgroup.controllers": "", "pod1/a/cgroup.procs": "7\n", "pod1/b/cgroup.procs": "7\n"}, 2, []int{7}},
		{"ended", map[string]string{"cgroup.controllers": ""}, 2, nil},
		{"no number", map[string]string{"cgroup.controllers": "", "pod1/cgroup.procs": "x\n"}, 2, nil},
		{"none", nil, 0, nil},
		{"very many", many, 2, []int{5}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tr := Of(&probe.Env{Sys: tree(t, tt.files)})
			if tr.Version != tt.version {
				t.Errorf("version %d, want %d", tr.Version, tt.version)
			}
			for range 2 { // the second is as of the first
				if diff := cmp.Diff(tt.want, tr.Processes("pod1")); diff != "" {
					t.Error(diff)
				}
			}
			if n := len(tr.Below(tr.Dir("memory", "pod1"))); n > most {
				t.Errorf("%d cgroups, want at most %d", n, most)
			}
		})
	}
}

// TestBelow: what is below is looked for again after a while.
func TestBelow(t *testing.T) {
	sys := tree(t, map[string]string{"cgroup.controllers": "", "pod1/a/cgroup.procs": ""})
	tr := Of(&probe.Env{Sys: sys})
	dir := tr.Dir("", "pod1")
	names := func() string {
		var out []string
		for _, d := range tr.Below(dir) {
			out = append(out, filepath.Base(d))
		}
		return strings.Join(out, " ")
	}
	if got := names(); got != "pod1 a" {
		t.Errorf("%q", got)
	}
	if err := os.Mkdir(filepath.Join(dir, "b"), 0o755); err != nil {
		t.Fatal(err)
	}
	if got := names(); got != "pod1 a" {
		t.Errorf("at once: %q", got)
	}
	for d, l := range tr.below {
		l.at = l.at.Add(-lookAgain)
		tr.below[d] = l
	}
	tr.below["old"] = listing{at: time.Now().Add(-2 * forget)}
	tr.procs["old"] = processes{at: time.Now().Add(-2 * forget)}
	if got := names(); got != "pod1 a b" || len(tr.below) != 1 || len(tr.procs) != 0 {
		t.Errorf("later: %q, %d listings", got, len(tr.below))
	}
	if got, want := tr.Unified("x"), filepath.Join(sys, "fs/cgroup/x"); got != want {
		t.Errorf("%s, want %s", got, want)
	}
	tr.Version = 1
	if got, want := tr.Unified("x"), filepath.Join(sys, "fs/cgroup/unified/x"); got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestRising(t *testing.T) {
	stat := &probe.Stat{}
	for _, tt := range []struct {
		name     string
		in, want []float64
	}{
		{"rises", []float64{1, 5, 9}, []float64{1, 5, 9}},
		{"a container of 60 starts again", []float64{100, 40, 45}, []float64{100, 100, 105}},
		{"twice", []float64{10, 0, 10, 5, 6}, []float64{10, 10, 20, 20, 21}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var r Rising
			var got []float64
			for _, v := range tt.in {
				r.Next()
				got = append(got, r.Counter(stat, "shop/web-0", "", v))
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("%v, want %v", got, tt.want)
			}
		})
	}
	var r Rising
	r.Next()
	r.Counter(stat, "shop/web-0", "", 5)
	for range 3 {
		r.Next()
		r.Counter(stat, "shop/web-1", "", 5)
	}
	if len(r.by) != 1 {
		t.Errorf("%d sums are remembered, want 1", len(r.by))
	}
}

func TestEnded(t *testing.T) {
	for err, want := range map[error]bool{syscall.ESRCH: true, os.ErrNotExist: true, syscall.EACCES: false, errors.New("x"): false} {
		if Ended(err) != want {
			t.Errorf("%v: %v", err, !want)
		}
	}
}
