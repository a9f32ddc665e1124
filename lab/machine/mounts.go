//go:build linux

package machine

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// fakeSysctls are settings of the whole kernel that the kubelet sets. A machine
// sees files in their place, which already hold what it wants.
var fakeSysctls = map[string]string{
	"vm/overcommit_memory":      "1\n",
	"vm/panic_on_oom":           "0\n",
	"kernel/panic":              "10\n",
	"kernel/panic_on_oops":      "1\n",
	"kernel/keys/root_maxkeys":  "1000000\n",
	"kernel/keys/root_maxbytes": "25000000\n",
}

// programs are the directories of the real machine that a machine shares, read-only.
var programs = []string{"/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"}

func mount(source, target, typ string, flags uintptr, data string) error {
	if err := unix.Mount(source, target, typ, flags, data); err != nil {
		return fmt.Errorf("mount %s on %s: %w", typ+source, target, err)
	}
	return nil
}

// How a directory or file of the real machine is bound into a machine.
const (
	writable  = 0
	readOnly  = unix.MS_RDONLY
	recursive = unix.MS_REC // with what is mounted below it
)

// bind makes source visible at target.
func bind(source, target string, how uintptr) error {
	info, err := os.Stat(source)
	if err != nil {
		return err
	}
	if info.IsDir() {
		err = os.MkdirAll(target, 0o755)
	} else {
		err = errors.Join(os.MkdirAll(filepath.Dir(target), 0o755), touch(target))
	}
	if err != nil {
		return err
	}
	if err := unix.Mount(source, target, "", unix.MS_BIND|how&recursive, ""); err != nil {
		return fmt.Errorf("bind %s: %w", source, err)
	}
	if how&readOnly == 0 {
		return nil
	}
	if err := unix.Mount("", target, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		return fmt.Errorf("make %s read-only: %w", target, err)
	}
	return nil
}

func touch(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	return f.Close()
}

// makeRoot builds the root file system of a machine and moves into it: a tmpfs with
// the programs of the real machine, its /etc under an overlay, and a /var, /opt
// and /root of the machine's own. Nothing that it writes reaches the real machine
// but below the rack's directory.
func (r *Rack) makeRoot(m Machine, all []hierarchy) error {
	own := Dir(r.Dir, m.Name)
	root := filepath.Join(own, "root")
	for _, d := range []string{"root", "var/lib", "var/log", "var/tmp", "opt/cni/bin", "home", "etc", ".etc"} {
		if err := os.MkdirAll(filepath.Join(own, d), 0o755); err != nil {
			return err
		}
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	if err := mount("tmpfs", root, "tmpfs", 0, "mode=755,size=16m"); err != nil {
		return err
	}
	at := func(p string) string { return filepath.Join(root, p) }
	for _, d := range []string{"etc", "proc", "sys", "dev", "run", "tmp", "mnt"} {
		if err := os.Mkdir(at(d), 0o755); err != nil {
			return err
		}
	}
	for _, p := range programs {
		if err := shareProgram(p, at(p)); err != nil {
			return err
		}
	}
	overlay := fmt.Sprintf("lowerdir=/etc,upperdir=%s,workdir=%s", filepath.Join(own, "etc"), filepath.Join(own, ".etc"))
	if err := mount("overlay", at("etc"), "overlay", 0, overlay); err != nil {
		return err
	}
	for _, p := range []struct {
		from, to string
	}{{"var", "/var"}, {"opt", "/opt"}, {"home", "/root"}} {
		if err := bind(filepath.Join(own, p.from), at(p.to), writable); err != nil {
			return err
		}
	}
	for _, p := range append([]string{r.Dir}, r.Share...) {
		if err := bind(p, at(p), readOnly); err != nil {
			return err
		}
	}
	if err := r.mountKernel(at, m, all); err != nil {
		return err
	}
	return pivot(root)
}

// shareProgram shows a directory of programs. On a merged /usr it is a link, and stays one.
func shareProgram(path, at string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.Mode()&fs.ModeSymlink != 0 {
		to, err := os.Readlink(path)
		if err != nil {
			return err
		}
		return os.Symlink(to, at)
	}
	return bind(path, at, readOnly|recursive)
}

// mountKernel mounts what the kernel provides.
func (r *Rack) mountKernel(at func(string) string, m Machine, all []hierarchy) error {
	for _, k := range []struct{ typ, at, data string }{
		{"proc", "/proc", ""},
		{"sysfs", "/sys", ""},
		{"tmpfs", "/run", "mode=755"},
		{"tmpfs", "/tmp", "mode=1777"},
	} {
		if err := mount(k.typ, at(k.at), k.typ, 0, k.data); err != nil {
			return err
		}
	}
	if err := unix.Mount("/dev", at("/dev"), "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("bind /dev: %w", err)
	}
	for _, d := range []string{"netns", "lock", "flannel"} {
		if err := os.Mkdir(at("/run/"+d), 0o755); err != nil {
			return err
		}
	}
	if m.Cgroups {
		if err := mountCgroups(all, at("/sys/fs/cgroup")); err != nil {
			return err
		}
	}
	for name, value := range fakeSysctls {
		fake := filepath.Join(r.Dir, "sysctl", strings.ReplaceAll(name, "/", "."))
		if err := os.MkdirAll(filepath.Dir(fake), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(fake, []byte(value), 0o644); err != nil {
			return err
		}
		err := unix.Mount(fake, at("/proc/sys/"+name), "", unix.MS_BIND, "")
		if err != nil && err != unix.ENOENT {
			return fmt.Errorf("bind over sysctl %s: %w", name, err)
		}
	}
	return nil
}

// pivot makes root the root of this mount namespace. Its mounts become shared
// with each other, as on a real machine, which volumes of Pods may ask for.
func pivot(root string) error {
	if err := os.Mkdir(filepath.Join(root, ".old"), 0o700); err != nil {
		return err
	}
	if err := unix.PivotRoot(root, filepath.Join(root, ".old")); err != nil {
		return fmt.Errorf("pivot_root: %w", err)
	}
	if err := os.Chdir("/"); err != nil {
		return err
	}
	if err := unix.Unmount("/.old", unix.MNT_DETACH); err != nil {
		return fmt.Errorf("unmount the old root: %w", err)
	}
	if err := os.Remove("/.old"); err != nil {
		return err
	}
	return unix.Mount("", "/", "", unix.MS_REC|unix.MS_SHARED, "")
}
