//go:build linux

package biolatency

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/plumbnet/plumb/event"
	"github.com/plumbnet/plumb/lab/sandbox"
	"github.com/plumbnet/plumb/probe"
	"github.com/plumbnet/plumb/probe/bpf"
	"github.com/plumbnet/plumb/probe/probetest"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) { sandbox.Main(m) }

// disk makes a block device of memory, which is this test's alone, and returns it, opened so that each write is one to the device, and its name.
func disk(t *testing.T) (*os.File, string) {
	t.Helper()
	sandbox.Need(t)
	control, err := os.OpenFile("/dev/loop-control", os.O_RDWR, 0)
	if err != nil {
		t.Skipf("no loop devices: %v", err)
	}
	defer control.Close()
	back, err := unix.MemfdCreate("disk", unix.MFD_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(back)
	if err := unix.Ftruncate(back, 4<<20); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlRetInt(int(control.Fd()), unix.LOOP_CTL_GET_FREE)
	if err != nil {
		t.Skipf("no loop device is free: %v", err)
	}
	name := fmt.Sprintf("loop%d", n)
	f, err := os.OpenFile("/dev/"+name, os.O_RDWR|unix.O_DIRECT, 0)
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { f.Close() })
	c := unix.LoopConfig{Fd: uint32(back), Size: 4096, Info: unix.LoopInfo64{Flags: unix.LO_FLAGS_AUTOCLEAR}} // it ends when it is closed
	if err := unix.IoctlLoopConfigure(int(f.Fd()), &c); err != nil {
		t.Skipf("%s: %v", name, err)
	}
	return f, name
}

// completed returns how many reads and writes a device has done, by the kernel's own count.
func completed(t *testing.T, device string) (reads, writes uint64) {
	t.Helper()
	text, err := os.ReadFile("/sys/block/" + device + "/stat")
	if err == nil {
		f := strings.Fields(string(text))
		_, err = fmt.Sscan(f[0]+" "+f[4], &reads, &writes)
	}
	if err != nil {
		t.Skipf("%s: %v", device, err)
	}
	return reads, writes
}

// TestRequests writes and reads one block at a time, each of which is a request to the device, and has the kernel count them too.
func TestRequests(t *testing.T) {
	f, device := disk(t)
	cgroup := uint64(0)
	if text, err := os.ReadFile("/proc/self/cgroup"); err == nil {
		for line := range strings.Lines(string(text)) {
			path, ok := strings.CutPrefix(strings.TrimSpace(line), "0::")
			for _, root := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/unified"} {
				var st unix.Stat_t
				var fs unix.Statfs_t
				if ok && unix.Statfs(root, &fs) == nil && fs.Type == unix.CGROUP2_SUPER_MAGIC && unix.Stat(root+path, &st) == nil {
					cgroup = st.Ino
				}
			}
		}
	}
	stats, err := bpf.EnableStats()
	if err != nil {
		t.Fatal(err)
	}
	defer stats.Close()
	p := probetest.Open(t, Kind, probe.Env{Node: "node-a", Threshold: time.Nanosecond, Places: probetest.Places{Sockets: map[uint64]string{cgroup: "shop/web-0"}}})
	events := probetest.Watch(t, p)
	const n = 200
	data, err := unix.Mmap(-1, 0, 4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE) // aligned, as the device wants it
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Munmap(data)
	reads, writes := completed(t, device)
	for i := range n {
		if _, err := f.WriteAt(data, int64(i)*4096); err != nil {
			t.Fatal(err)
		}
	}
	for i := range n {
		if _, err := f.ReadAt(data, int64(i)*4096); err != nil {
			t.Fatal(err)
		}
	}
	reads2, writes2 := completed(t, device)
	for op, kernels := range map[string]uint64{"read": reads2 - reads, "write": writes2 - writes} {
		got, _ := probetest.Hist(t, p, fmt.Sprintf(`biolatency_seconds{device="%s",operation="%s"}`, device, op), time.Hour)
		if got != n || kernels != n {
			t.Errorf("%d %ss of %s, the kernel has %d, want %d", got, op, device, kernels, n)
		}
	}
	probetest.Cost(t, p)
	seen := map[string]bool{}
	for end := time.After(5 * time.Second); cgroup != 0 && len(seen) == 0; {
		select {
		case e := <-events:
			if e.Pod == "shop/web-0" && e.By == event.BySocket && e.Detail[0].Value == device {
				seen[e.Detail[1].Value] = true // the first are told, of each CPU
			}
		case <-end:
			t.Fatal("no event of this Pod")
		}
	}
}

func TestNames(t *testing.T) {
	p := &biolatency{sys: t.TempDir()}
	dir := filepath.Join(p.sys, "dev/block")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("../../devices/virtio2/block/vda", filepath.Join(dir, "254:0")); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if got := p.device(254, 0); got != "vda" {
			t.Error(got)
		}
		if got := p.device(7, 9); got != "7:9" {
			t.Error(got)
		}
	}
	for op, want := range map[uint64]string{0: "read", 2: "flush", 34: "34"} {
		if got := operation(op); got != want {
			t.Errorf("%d is %q, want %q", op, got, want)
		}
	}
}
