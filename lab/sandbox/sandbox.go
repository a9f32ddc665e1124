//go:build linux

// Package sandbox gives labs network namespaces of their own. The binary runs
// itself again in new network, mount, PID and UTS namespaces, so that nothing it
// does can touch the machine's network or its name, and nothing is left behind however it ends.
package sandbox

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// inside is set in the environment of the copy that runs in the sandbox.
const inside = "PLUMB_SANDBOX"

// netnsDir is where named namespaces are mounted, as "ip netns" expects them.
const netnsDir = "/run/netns"

// Inside reports whether this process runs in a sandbox.
func Inside() bool { return os.Getenv(inside) != "" }

// Main runs the tests of a package in a sandbox. TestMain calls it and does
// nothing else. Without root the tests run outside, and those that call
// [Need] are skipped.
func Main(m *testing.M) {
	if Inside() || os.Getuid() != 0 {
		os.Exit(m.Run())
	}
	os.Exit(Reexec())
}

// Need skips t unless it runs in a sandbox.
func Need(t testing.TB) {
	t.Helper()
	if !Inside() {
		t.Skip("a lab needs root: it makes network namespaces")
	}
}

// Reexec runs this program again, with the same arguments, in a sandbox, and
// returns its exit status. In the sandbox it must not be called; ask [Inside].
func Reexec() int {
	runtime.LockOSThread() // Pdeathsig follows the thread that started the child
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Args[0] = os.Args[0]
	cmd.Env = append(os.Environ(), inside+"=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWUTS,
		Pdeathsig:  syscall.SIGKILL,
	}
	// The child decides what to do about a signal. The terminal sends it ^C too, but others signal this process only.
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, unix.SIGTERM)
	if err := cmd.Start(); err != nil {
		fmt.Fprintln(os.Stderr, "sandbox:", err)
		return 2
	}
	go func() {
		for s := range signals {
			cmd.Process.Signal(s)
		}
	}()
	err := cmd.Wait()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		return max(exit.ExitCode(), 1) // -1: killed by a signal
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "sandbox:", err)
		return 2
	}
	return 0
}

// Setup prepares the file systems of a fresh sandbox: a /proc and a /run of its own. It may be called more than once.
func Setup() error {
	if !Inside() {
		return errors.New("sandbox: not in one")
	}
	if _, err := os.Stat(netnsDir); err == nil {
		if _, err := os.Stat("/run/.sandbox"); err == nil {
			return nil
		}
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("sandbox: make mounts private: %w", err)
	}
	if err := unix.Mount("proc", "/proc", "proc", 0, ""); err != nil {
		return fmt.Errorf("sandbox: mount /proc: %w", err)
	}
	if err := unix.Mount("tmpfs", "/run", "tmpfs", 0, ""); err != nil {
		return fmt.Errorf("sandbox: mount /run: %w", err)
	}
	if err := os.MkdirAll(netnsDir, 0o755); err != nil {
		return fmt.Errorf("sandbox: %w", err)
	}
	if err := os.WriteFile("/run/.sandbox", nil, 0o644); err != nil {
		return fmt.Errorf("sandbox: %w", err)
	}
	return nil
}

// A NS is a named network namespace.
type NS struct {
	Name string
	Path string // that can be opened and given to setns
}

// NewNS makes a network namespace that "ip netns exec NAME" knows too. Its loopback device is up.
func NewNS(name string) (*NS, error) {
	if err := Setup(); err != nil {
		return nil, err
	}
	ns := &NS{Name: name, Path: filepath.Join(netnsDir, name)}
	f, err := os.OpenFile(ns.Path, os.O_CREATE|os.O_EXCL, 0o444)
	if err != nil {
		return nil, fmt.Errorf("sandbox: %w", err)
	}
	f.Close()
	err = onThread(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("unshare: %w", err)
		}
		return unix.Mount("/proc/thread-self/ns/net", ns.Path, "", unix.MS_BIND, "")
	})
	if err != nil {
		return nil, fmt.Errorf("sandbox: new namespace %s: %w", name, err)
	}
	return ns, ns.Run("", "ip", "link", "set", "lo", "up")
}

// onThread runs f on an OS thread that is thrown away afterwards, so that f may change the thread's namespace.
func onThread(f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		err := errGone
		defer func() { done <- err }()
		err = f()
	}()
	return <-done
}

// errGone is for a function that ends its goroutine, as t.Fatal does.
var errGone = errors.New("sandbox: it ended its goroutine")

// Do runs f on a thread that is in the namespace. Sockets that f opens stay there;
// goroutines that f starts are not in it.
func (n *NS) Do(f func() error) error {
	return onThread(func() error {
		fd, err := unix.Open(n.Path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			return fmt.Errorf("sandbox: %s: %w", n.Path, err)
		}
		defer unix.Close(fd)
		if err := unix.Setns(fd, unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("sandbox: enter %s: %w", n.Name, err)
		}
		return f()
	})
}

// Output runs a command in the namespace, with stdin, and returns what it printed on stdout.
func (n *NS) Output(stdin string, argv ...string) (string, error) {
	var out, errOut bytes.Buffer
	err := n.Do(func() error {
		cmd := exec.Command(argv[0], argv[1:]...)
		cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &out, &errOut
		return cmd.Run()
	})
	if err != nil {
		return out.String(), fmt.Errorf("%s: %s: %w\n%s", n.Name, strings.Join(argv, " "), err, errOut.String())
	}
	return out.String(), nil
}

// Run runs a command in the namespace, with stdin.
func (n *NS) Run(stdin string, argv ...string) error {
	_, err := n.Output(stdin, argv...)
	return err
}

// Delete removes the namespace's name. The namespace ends with its last process and socket.
func (n *NS) Delete() error {
	if err := unix.Unmount(n.Path, unix.MNT_DETACH); err != nil {
		return fmt.Errorf("sandbox: %s: %w", n.Path, err)
	}
	return os.Remove(n.Path)
}
