//go:build linux

package cgroup

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/plumbnet/plumb/lab/sandbox"
	"github.com/plumbnet/plumb/probe"
	"github.com/plumbnet/plumb/probe/probetest"
)

func TestMain(m *testing.M) { sandbox.Main(m) }

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func write(t *testing.T, sys, name, data string) {
	t.Helper()
	file := filepath.Join(sys, "fs/cgroup", name)
	must(t, os.MkdirAll(filepath.Dir(file), 0o755))
	must(t, os.WriteFile(file, []byte(data), 0o644))
}

const psi = "some avg10=0.00 avg60=0.00 avg300=0.00 total=2500000\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=1000000\n"

// The files are as Linux 6.18 has them.
func TestRead(t *testing.T) {
	for _, tt := range []struct {
		name  string
		files map[string]string
		want  string
		err   string
	}{
		{"version 2", map[string]string{
			"cgroup.controllers":  "cpu memory\n",
			"pod1/cpu.stat":       "usage_usec 9000000\nuser_usec 6000000\nsystem_usec 3000000\nnice_usec 0\nnr_periods 10\nnr_throttled 0\nthrottled_usec 0\nnr_bursts 0\nburst_usec 0\n",
			"pod1/a/cpu.stat":     "usage_usec 9000000\nuser_usec 6000000\nsystem_usec 3000000\nnr_periods 20\nnr_throttled 7\nthrottled_usec 1500000\n",
			"pod1/memory.events":  "low 0\nhigh 0\nmax 4\noom 1\noom_kill 1\noom_group_kill 0\n",
			"pod1/cpu.pressure":   psi,
			"pod1/a/cpu.pressure": "not read",
		}, `
cgroup_cpu_periods_total{pod="shop/web-0"} 30
cgroup_cpu_seconds_total{pod="shop/web-0",mode="system"} 3
cgroup_cpu_seconds_total{pod="shop/web-0",mode="user"} 6
cgroup_cpu_throttled_periods_total{pod="shop/web-0"} 7
cgroup_cpu_throttled_seconds_total{pod="shop/web-0"} 1.5
cgroup_memory_events_total{pod="shop/web-0",event="max"} 4
cgroup_memory_events_total{pod="shop/web-0",event="oom"} 1
cgroup_memory_events_total{pod="shop/web-0",event="oom_kill"} 1
cgroup_pressure_seconds_total{pod="shop/web-0",resource="cpu",kind="full"} 1
cgroup_pressure_seconds_total{pod="shop/web-0",resource="cpu",kind="some"} 2.5`, ""},
		{"version 1, with version 2 beside it", map[string]string{
			"cpuacct/pod1/cpuacct.stat":      "user 600\nsystem 300\n",
			"cpu/pod1/cpu.stat":              "nr_periods 1\nnr_throttled 1\nthrottled_time 500000000\nnr_bursts 0\nburst_time 0\n",
			"cpu/pod1/a/cpu.stat":            "nr_periods 4\nnr_throttled 2\nthrottled_time 1000000000\n",
			"memory/pod1/memory.failcnt":     "3\n",
			"memory/pod1/memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 1\n",
			"memory/pod1/a/memory.failcnt":   "4\n",
			"unified/pod1/memory.pressure":   psi,
		}, `
cgroup_cpu_periods_total{pod="shop/web-0"} 5
cgroup_cpu_seconds_total{pod="shop/web-0",mode="system"} 3
cgroup_cpu_seconds_total{pod="shop/web-0",mode="user"} 6
cgroup_cpu_throttled_periods_total{pod="shop/web-0"} 3
cgroup_cpu_throttled_seconds_total{pod="shop/web-0"} 1.5
cgroup_memory_events_total{pod="shop/web-0",event="max"} 7
cgroup_memory_events_total{pod="shop/web-0",event="oom_kill"} 1
cgroup_pressure_seconds_total{pod="shop/web-0",resource="memory",kind="full"} 1
cgroup_pressure_seconds_total{pod="shop/web-0",resource="memory",kind="some"} 2.5`, ""},
		{"version 2 without the controllers, and ended", map[string]string{"cgroup.controllers": ""}, "", ""},
		{"no number", map[string]string{"cgroup.controllers": "", "pod1/memory.events": "max x\n", "pod1/cpu.stat": "user_usec 1000000\n"}, `cgroup_cpu_seconds_total{pod="shop/web-0",mode="user"} 1`, `shop/web-0: memory.events: line 1: max "x"`},
		{"another form of PSI", map[string]string{"cgroup.controllers": "", "pod1/io.pressure": "some 5\n"}, "", `io.pressure: line 1: "some 5"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			sys := t.TempDir()
			for name, data := range tt.files {
				write(t, sys, name, data)
			}
			p := probetest.Open(t, Kind, probe.Env{Sys: sys, Places: probetest.Places{Groups: []probe.Cgroup{{Pod: "shop/web-0", Path: "pod1"}}}})
			got := probetest.Samples{}
			err := p.Read(func(s probe.Sample) { got[probetest.Series(s)] = s.Value })
			if (err != nil) != (tt.err != "") || err != nil && !strings.Contains(err.Error(), tt.err) {
				t.Errorf("%v, want %q", err, tt.err)
			}
			if diff := probetest.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
	if _, err := Kind.Open(&probe.Env{Sys: t.TempDir()}); err == nil {
		t.Error("opened without cgroups")
	}
}

// TestHere has a process wait for its limit of CPU, and compares with what the process was given.
func TestHere(t *testing.T) {
	sandbox.Need(t)
	name := fmt.Sprintf("plumb-test-%d", os.Getppid())
	quota := map[string]string{"cpu/" + name + "/cpu.cfs_quota_us": "10000"}
	dirs := []string{"cpu", "cpuacct", "memory", "unified"}
	if _, err := os.Stat("/sys/fs/cgroup/cgroup.controllers"); err == nil {
		quota, dirs = map[string]string{name + "/cpu.max": "10000 100000"}, []string{""}
	}
	for _, d := range dirs {
		dir := filepath.Join("/sys/fs/cgroup", d, name)
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Skip(err)
		}
		t.Cleanup(func() { os.Remove(dir) })
	}
	for file, v := range quota {
		if err := os.WriteFile(filepath.Join("/sys/fs/cgroup", file), []byte(v), 0); err != nil {
			t.Skip(err)
		}
	}
	p := probetest.Open(t, Kind, probe.Env{Places: probetest.Places{Groups: []probe.Cgroup{{Pod: "shop/web-0", Path: name}}}})
	cmd := exec.Command("sh", "-c", "read go; while :; do :; done")
	in, err := cmd.StdinPipe()
	must(t, err)
	must(t, cmd.Start())
	defer func() { cmd.Process.Kill(); cmd.Wait() }()
	for _, d := range dirs {
		must(t, os.WriteFile(filepath.Join("/sys/fs/cgroup", d, name, "cgroup.procs"), fmt.Append(nil, cmd.Process.Pid), 0))
	}
	in.Close() // and it goes on
	var got probetest.Samples
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		got = probetest.Collect(t, Kind, p.Read)
		if got[`cgroup_cpu_throttled_periods_total{pod="shop/web-0"}`] >= 5 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("not held back:\n%s", got)
		}
	}
	must(t, cmd.Process.Kill())
	cmd.Wait()
	got = probetest.Collect(t, Kind, p.Read)
	ours := got[`cgroup_cpu_seconds_total{pod="shop/web-0",mode="user"}`] + got[`cgroup_cpu_seconds_total{pod="shop/web-0",mode="system"}`]
	state := cmd.ProcessState
	if own := (state.UserTime() + state.SystemTime()).Seconds(); ours < own-0.05 || ours > own+0.05 {
		t.Errorf("%gs on a CPU; the process says %gs", ours, own)
	}
	if held := got[`cgroup_cpu_throttled_seconds_total{pod="shop/web-0"}`]; held <= 0 {
		t.Errorf("held back for %gs", held)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("nr_periods 10\nnr_throttled 0\n"))
	f.Add([]byte("3\n"))
	f.Add([]byte(psi))
	f.Fuzz(func(t *testing.T, in []byte) {
		_ = parse(in, func([]byte, float64) {})
		_ = parsePressure(in, func(string, float64) {})
	})
}
