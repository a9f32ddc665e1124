//go:build linux

package soak

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/plumbnet/plumb/lab/sandbox"
	"golang.org/x/sys/unix"
)

// records is where containerd keeps its own.
const records = "/run/containerd/io.containerd.runtime.v2.task/k8s.io"

// record writes what containerd keeps of a Pod whose namespace has a name.
func record(pod, netns string) error {
	dir := filepath.Join(records, netns)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	namespace, name, _ := strings.Cut(pod, "/")
	return os.WriteFile(filepath.Join(dir, "config.json"), fmt.Appendf(nil,
		`{"annotations":{"io.kubernetes.cri.sandbox-namespace":%q,"io.kubernetes.cri.sandbox-name":%q},"linux":{"namespaces":[{"type":"network","path":"/run/netns/%s"}]}}`,
		namespace, name, netns), 0o644)
}

func unrecord(netns string) error { return os.RemoveAll(filepath.Join(records, netns)) }

// newPod makes a Pod that stays until its end is called.
func newPod(pod, netns string) (*sandbox.NS, func(), error) {
	ns, err := sandbox.NewNS(netns)
	if err != nil {
		return nil, nil, err
	}
	return ns, func() { _, _ = unrecord(netns), ns.Delete() }, record(pod, netns)
}

// own is a loopback address of this soak alone: another one on the same machine has its Pods refused too.
var own = [4]byte{127, byte(1 + rand.N(250)), byte(rand.N(250)), 1}

// refused tries to connect to a port of this network that nobody listens on.
func refused(port int) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	err = unix.Connect(fd, &unix.SockaddrInet4{Port: port, Addr: own})
	return want(errors.Is(err, unix.ECONNREFUSED), "connect: %v", err)
}

// A wirer adds veths to namespaces, each to the node, by one process for all.
type wirer struct {
	in  *os.File
	cmd *exec.Cmd
	out lines
}

func newWirer() (*wirer, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	x := &wirer{in: w, cmd: exec.Command("ip", "-force", "-batch", "-")}
	x.cmd.Stdin, x.cmd.Stderr = r, &x.out
	return x, x.cmd.Start()
}

func (w *wirer) add(veth, netns string) {
	fmt.Fprintf(w.in, "link add %s type veth peer name eth0 netns %s\nlink set %[1]s up\n", veth, netns)
}

// close ends it, and returns how many namespaces had ended before their turn came.
func (w *wirer) close() (late int) {
	w.in.Close()
	_ = w.cmd.Wait() // not 0 where one was late
	return strings.Count(w.out.String(), "Invalid \"netns\"")
}

// live is the life of a Pod, of so long: a network namespace with a name, as the CNI plugin is given it, a veth, then the record, a connection
// that is refused at half its time, and the end of all.
func live(ctx context.Context, w *wirer, i int, long time.Duration) error {
	runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
	name := fmt.Sprintf("churn-%d", i)
	path := filepath.Join("/run/netns", name)
	began := time.Now()
	if err := os.WriteFile(path, nil, 0o444); err != nil {
		return err
	}
	defer os.Remove(path)
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return err
	}
	if err := unix.Mount("/proc/thread-self/ns/net", path, "", unix.MS_BIND, ""); err != nil {
		return err
	}
	defer func() { _ = unix.Unmount(path, unix.MNT_DETACH) }()
	if err := up("lo"); err != nil {
		return err
	}
	w.add(fmt.Sprintf("ch%d", i), name)
	if err := record("churn/"+name, name); err != nil {
		return err
	}
	defer func() { _ = unrecord(name) }()
	pause(ctx, time.Until(began.Add(long/2)))
	if err := refused(1 + i); err != nil {
		return err
	}
	pause(ctx, time.Until(began.Add(long)))
	return nil
}

// up turns a device of the thread's network on.
func up(device string) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	req, err := unix.NewIfreq(device)
	if err != nil {
		return err
	}
	req.SetUint16(unix.IFF_UP)
	return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, req)
}

// left returns the veths of Pods that are still there.
func left() (n int) {
	list, _ := os.ReadFile("/proc/thread-self/net/dev")
	for line := range strings.Lines(string(list)) {
		if strings.HasPrefix(strings.TrimSpace(line), "ch") {
			n++
		}
	}
	return n
}
