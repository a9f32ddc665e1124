//go:build linux

package observe

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/plumbnet/plumb/lab"
)

// cgroupRoot is where cgroups are. A sandbox has none of its own.
const cgroupRoot = "/sys/fs/cgroup"

// cgroupName is that of shop/web-0: of this process alone.
func cgroupName() string { return fmt.Sprintf("plumb-observe-%d", os.Getppid()) }

// cgroupDirs returns its folders, one in each hierarchy that matters, and the file with its limit of CPU.
func cgroupDirs() (dirs []string, quota, tenth string) {
	if _, err := os.Stat(cgroupRoot + "/cgroup.controllers"); err == nil {
		dir := filepath.Join(cgroupRoot, cgroupName())
		return []string{dir}, dir + "/cpu.max", "10000 100000"
	}
	for _, c := range []string{"cpu", "cpuacct", "memory"} {
		dirs = append(dirs, filepath.Join(cgroupRoot, c, cgroupName()))
	}
	return dirs, dirs[0] + "/cpu.cfs_quota_us", "10000"
}

// makeCgroup makes one for shop/web-0 that has a tenth of a CPU.
func (b *bench) makeCgroup() (remove func()) {
	dirs, quota, tenth := cgroupDirs()
	for _, d := range dirs {
		if err := os.MkdirAll(d, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
			b.noCgroup = err
		}
	}
	if b.noCgroup == nil {
		b.noCgroup = os.WriteFile(quota, []byte(tenth), 0)
	}
	return func() {
		for _, d := range dirs {
			_ = os.Remove(d)
		}
	}
}

// record writes what a container runtime would of the Pod that has a cgroup.
func (b *bench) record(n *lab.Node, root string) error {
	dir := filepath.Join(root, "run/containerd/io.containerd.runtime.v2.task/k8s.io/web")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if b.lab.Pod("shop/web-0").Node != n {
		return nil
	}
	return os.WriteFile(filepath.Join(dir, "config.json"), fmt.Appendf(nil,
		`{"annotations":{"io.kubernetes.cri.sandbox-namespace":"shop","io.kubernetes.cri.sandbox-name":"web-0"},"linux":{"cgroupsPath":"/%s"}}`, cgroupName()), 0o644)
}

func throttled(ctx context.Context, b *bench) error {
	cmd := exec.Command("sh", "-c", "read go; while :; do :; done")
	in, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	dirs, _, _ := cgroupDirs()
	for _, d := range dirs {
		if err := os.WriteFile(filepath.Join(d, "cgroup.procs"), fmt.Append(nil, cmd.Process.Pid), 0); err != nil {
			return err
		}
	}
	in.Close() // and it goes on
	<-ctx.Done()
	return nil
}
