package sandbox

import (
	"context"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// waits, in the environment, makes this program one that waits for a signal in a sandbox of its own.
const waits = "PLUMB_SANDBOX_WAITS"

func TestMain(m *testing.M) {
	if os.Getenv(waits) == "" {
		Main(m)
	}
	if !Inside() {
		os.Exit(Reexec())
	}
	c := make(chan os.Signal, 1)
	signal.Notify(c, os.Interrupt, unix.SIGTERM)
	os.Stdout.WriteString("ready")
	if <-c == os.Interrupt {
		os.Exit(7)
	}
	os.Exit(8)
}

// TestSignals signals the parent alone, as systemd and scripts do: the child in the sandbox gets to know, and says how it ends.
func TestSignals(t *testing.T) {
	Need(t)
	for sig, want := range map[os.Signal]int{os.Interrupt: 7, unix.SIGTERM: 8} {
		t.Run(sig.String(), func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			cmd := exec.CommandContext(ctx, "/proc/self/exe")
			cmd.Env = append(slices.DeleteFunc(os.Environ(), func(s string) bool { return strings.HasPrefix(s, inside+"=") }), waits+"=1")
			cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadFull(out, make([]byte, len("ready"))); err != nil {
				t.Fatal(err)
			}
			if err := cmd.Process.Signal(sig); err != nil {
				t.Fatal(err)
			}
			if err := cmd.Wait(); cmd.ProcessState.ExitCode() != want {
				t.Errorf("%v, want status %d", err, want)
			}
		})
	}
}

func TestDo(t *testing.T) {
	Need(t)
	ns, err := NewNS("a")
	if err != nil {
		t.Fatal(err)
	}
	if err := ns.Run("", "ip", "link", "add", "v0", "type", "veth", "peer", "v1"); err != nil {
		t.Fatal(err)
	}
	out, err := ns.Output("", "ip", "netns", "list")
	if err != nil || !strings.HasPrefix(out, "a") {
		t.Errorf("ip netns list: %q, %v", out, err)
	}
	var names []string
	if err := ns.Do(func() error {
		ifs, err := net.Interfaces()
		for _, i := range ifs {
			names = append(names, i.Name)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(names, " "); got != "lo v1 v0" {
		t.Errorf("devices in the namespace: %q", got)
	}
	if ifs, _ := net.Interfaces(); len(ifs) != 1 {
		t.Errorf("the sandbox itself has devices beside lo: %v", ifs)
	}
	if err := ns.Delete(); err != nil {
		t.Error(err)
	}
}

// TestOwnNamespaces wants the sandbox to share none with the machine that the lab changes.
func TestOwnNamespaces(t *testing.T) {
	Need(t)
	if err := Setup(); err != nil {
		t.Fatal(err)
	}
	if os.Getpid() != 1 {
		t.Errorf("process %d: not in a PID namespace of its own", os.Getpid())
	}
	before, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	// PROC_UTS_INIT_INO and PROC_PID_INIT_INO (linux/proc_ns.h).
	for ns, initial := range map[string]string{"uts": "uts:[4026531838]", "pid": "pid:[4026531836]"} {
		if link, err := os.Readlink("/proc/self/ns/" + ns); err != nil || link == initial {
			t.Errorf("%s: %s, %v: the machine's own", ns, link, err)
		}
	}
	if err := unix.Sethostname([]byte("sandboxed")); err != nil {
		t.Fatal(err)
	}
	if now, _ := os.Hostname(); now != "sandboxed" {
		t.Errorf("named %q", now)
	}
	if err := unix.Sethostname([]byte(before)); err != nil {
		t.Error(err)
	}
	if ns, _ := os.ReadDir("/run/netns"); len(ns) != 0 {
		t.Errorf("namespaces of others: %v", ns)
	}
}

func TestErrors(t *testing.T) {
	Need(t)
	ns, err := NewNS("b")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := NewNS("b"); err == nil {
		t.Error("two namespaces of one name")
	}
	err = ns.Run("", "sh", "-c", "echo no such thing >&2; exit 3")
	if err == nil || !strings.Contains(err.Error(), "b: sh -c") || !strings.Contains(err.Error(), "exit status 3") || !strings.Contains(err.Error(), "no such thing") {
		t.Errorf("the error says too little: %v", err)
	}
	if out, err := ns.Output("in", "cat"); out != "in" || err != nil {
		t.Errorf("stdin: %q, %v", out, err)
	}
	if err := ns.Delete(); err != nil {
		t.Error(err)
	}
	if err := ns.Run("", "true"); err == nil {
		t.Error("a command ran in a namespace that is gone")
	}
	if err := ns.Delete(); err == nil {
		t.Error("deleted twice")
	}
}

// TestGone: a test that fails on a thread of a namespace ends, and does not wait for itself.
func TestGone(t *testing.T) {
	if err := onThread(func() error { runtime.Goexit(); return nil }); err != errGone {
		t.Errorf("%v", err)
	}
}
