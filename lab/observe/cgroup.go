//go:build linux

package observe

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"

	"github.com/plumbnet/plumb/lab"
)

// cgroupRoot is where cgroups are. A sandbox has none of its own.
const cgroupRoot = "/sys/fs/cgroup"

// cgroupName is that of shop/web-0: of this process alone.
func cgroupName() string { return fmt.Sprintf("plumb-observe-%d", os.Getppid()) }

// cgroupDirs returns its folders, one in each hierarchy that matters, and its limits: a fifth of a CPU, 8 MiB.
func cgroupDirs() (dirs []string, limits map[string]string) {
	if _, err := os.Stat(cgroupRoot + "/cgroup.controllers"); err == nil {
		dir := filepath.Join(cgroupRoot, cgroupName())
		return []string{dir}, map[string]string{dir + "/cpu.max": "20000 100000", dir + "/memory.max": "8388608"}
	}
	for _, c := range []string{"cpu", "cpuacct", "memory"} {
		dirs = append(dirs, filepath.Join(cgroupRoot, c, cgroupName()))
	}
	return dirs, map[string]string{dirs[0] + "/cpu.cfs_quota_us": "20000", dirs[2] + "/memory.limit_in_bytes": "8388608"}
}

// makeCgroup makes one for shop/web-0 that has limits.
func (b *bench) makeCgroup() (remove func()) {
	dirs, limits := cgroupDirs()
	for _, d := range dirs {
		if err := os.MkdirAll(d, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
			b.noCgroup = err
		}
	}
	for file, limit := range limits {
		if b.noCgroup == nil {
			b.noCgroup = os.WriteFile(file, []byte(limit), 0)
		}
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
	// What is written is in its memory until it is on the disk.
	cmd := exec.Command("sh", "-c", `read go; while :; do dd if=/dev/zero of="$0" bs=64k count=512 2>/dev/null; done`, filepath.Join(b.dir, "written"))
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	in, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	defer func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // with what it runs
		_ = cmd.Wait()
	}()
	dirs, _ := cgroupDirs()
	for _, d := range dirs {
		if err := os.WriteFile(filepath.Join(d, "cgroup.procs"), fmt.Append(nil, cmd.Process.Pid), 0); err != nil {
			return err
		}
	}
	in.Close() // and it goes on
	<-ctx.Done()
	return nil
}
