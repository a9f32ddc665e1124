package machine

import (
	"bufio"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) {
	Main()
	os.Exit(m.Run())
}

// two starts a rack of two machines on one network and one behind the router.
func two(t *testing.T) (string, netip.AddrPort) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("machines need root: they are namespaces")
	}
	dir, err := os.MkdirTemp("", "rack") // shorter than t.TempDir: it holds sockets
	if err != nil {
		t.Fatal(err)
	}
	near := netip.MustParseAddr("192.168.10.1")
	r := &Rack{Dir: dir, Router: "192.168.10.1/24", Forward: "192.168.10.12:7", Machines: []Machine{
		{Name: "a", Addr: netip.MustParsePrefix("192.168.10.11/24"), Gateway: near, Forward: true, Cgroups: true},
		{Name: "b", Addr: netip.MustParsePrefix("192.168.10.12/24"), Gateway: near},
		{Name: "far", Addr: netip.MustParsePrefix("203.0.113.10/24"), Gateway: netip.MustParseAddr("203.0.113.1")},
	}}
	t.Cleanup(func() {
		if _, err := os.Stat(dir); err == nil {
			if err := Remove(dir); err != nil {
				t.Error(err)
			}
		}
	})
	at, err := r.Start()
	if err != nil {
		t.Fatal(err)
	}
	return dir, at
}

func TestRack(t *testing.T) {
	before := mounts(t)
	dir, at := two(t)
	for _, c := range []struct{ name, from, argv, want string }{
		{"a name of its own", "a", "hostname", "a"},
		{"processes of its own", "a", "ls -d /proc/1 /proc/self", "/proc/1\n/proc/self"},
		{"a network of its own", "b", "ip -o -4 addr show eth0", "192.168.10.12/24"},
		{"cgroups of its own", "a", "cat /proc/1/cgroup", ":/\n"},
		{"forwards", "a", "cat /proc/sys/net/ipv4/ip_forward", "1"},
		{"does not forward", "b", "cat /proc/sys/net/ipv4/ip_forward", "0"},
		{"what the kubelet wants to set", "a", "cat /proc/sys/vm/overcommit_memory", "1"},
		{"reaches its neighbour", "a", "ping -c1 -W2 192.168.10.12", "1 received"},
		{"reaches what is behind the router", "a", "ping -c1 -W2 203.0.113.10", "1 received"},
		{"the switch", "", "bridge link", "p-a"},
	} {
		t.Run(c.name, func(t *testing.T) {
			out, err := Output(dir, c.from, strings.Fields(c.argv)...)
			if err != nil || !strings.Contains(out, c.want) {
				t.Errorf("%q, %v, want %q", out, err, c.want)
			}
		})
	}
	t.Run("cannot write to the real machine", func(t *testing.T) {
		name := filepath.Base(dir) + "-test"
		for _, d := range []string{"/etc/", "/var/", "/run/", "/tmp/", "/root/"} {
			if _, err := Output(dir, "a", "touch", d+name); err != nil {
				t.Error(err)
			}
			if _, err := os.Stat(d + name); err == nil {
				t.Errorf("%s is on the real machine", d+name)
			}
		}
		if out, err := Output(dir, "a", "touch", "/usr/"+name); err == nil {
			t.Errorf("wrote to /usr: %s", out)
		}
	})
	t.Run("programs", func(t *testing.T) { programsOf(t, dir) })
	t.Run("from the loopback", func(t *testing.T) { loopback(t, dir, at) })
	if after := mounts(t); after != before {
		t.Errorf("mounts of the real machine: %d, were %d", after, before)
	}
	if err := Remove(dir); err != nil {
		t.Fatal(err)
	}
	nothingLeft(t, dir)
}

// mounts counts the mounts of the real machine.
func mounts(t *testing.T) int {
	b, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	return strings.Count(string(b), "\n")
}

func programsOf(t *testing.T, dir string) {
	sleep := Program{Name: "sleep", Args: []string{"/bin/sh", "-c", "echo begun; trap '' TERM; sleep 1000"}, Log: "/var/log/sleep.log"}
	if err := StartProgram(dir, "a", sleep); err != nil {
		t.Fatal(err)
	}
	if err := StartProgram(dir, "a", sleep); err == nil {
		t.Error("started twice")
	}
	if s, err := Programs(dir, "a"); err != nil || len(s) != 1 || !s[0].Running {
		t.Errorf("%+v, %v", s, err)
	}
	if err := StopProgram(dir, "a", "sleep", 100*time.Millisecond); err != nil {
		t.Error(err)
	}
	if s, err := Programs(dir, "a"); err != nil || s[0].Running || s[0].Ended != "signal killed" {
		t.Errorf("%+v, %v", s, err)
	}
	if err := StopProgram(dir, "a", "sleep", 0); err == nil {
		t.Error("stopped twice")
	}
	if b, _ := os.ReadFile(filepath.Join(Dir(dir, "a"), "var/log/sleep.log")); string(b) != "begun\n" {
		t.Errorf("log: %q", b)
	}
	if err := StartProgram(dir, "a", Program{Name: "x", Args: []string{"/no/such"}, Log: "/var/log/x.log"}); err == nil {
		t.Error("started what is not there")
	}
}

// loopback reaches a server in the rack from outside it.
func loopback(t *testing.T, dir string, at netip.AddrPort) {
	echo := Program{Name: "echo", Args: []string{"/usr/bin/busybox", "nc", "-ll", "-p", "7", "-e", "/bin/cat"}, Log: "/var/log/echo.log"}
	if err := StartProgram(dir, "b", echo); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		line, err := sayAndHear(at)
		if line == "hello\n" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%q, %v", line, err)
		}
	}
}

func sayAndHear(at netip.AddrPort) (string, error) {
	c, err := net.DialTimeout("tcp", at.String(), time.Second)
	if err != nil {
		return "", err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(time.Second))
	fmt.Fprintln(c, "hello")
	return bufio.NewReader(c).ReadString('\n')
}

func nothingLeft(t *testing.T, dir string) {
	t.Helper()
	if _, err := os.Stat(dir); err == nil {
		t.Errorf("%s is still there", dir)
	}
	if left, _ := filepath.Glob("/sys/fs/cgroup/*/" + group(dir)); len(left) > 0 {
		t.Errorf("cgroups are left: %v", left)
	}
	list, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, f := range list {
		if b, _ := os.ReadFile(f); strings.Contains(string(b), dir) {
			t.Errorf("%s: %q still runs", f, b)
		}
	}
}

// TestKilled ends a rack by force, and wants nothing left of it but what Remove removes.
func TestKilled(t *testing.T) {
	dir, _ := two(t)
	var inside []int
	for _, m := range []string{"", "a", "b"} {
		pid, err := PID(dir, m)
		if err != nil {
			t.Fatal(err)
		}
		inside = append(inside, pid)
	}
	unix.Kill(inside[0], unix.SIGKILL)
	for deadline := time.Now().Add(5 * time.Second); Alive(dir); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it is still up")
		}
	}
	for _, pid := range inside {
		if _, err := startTime(pid); err == nil {
			t.Errorf("process %d still runs", pid)
		}
	}
	if _, err := Output(dir, "a", "true"); err == nil || !strings.Contains(err.Error(), "nothing is up") {
		t.Errorf("a command on a machine that is gone: %v", err)
	}
	if err := Remove(dir); err != nil {
		t.Fatal(err)
	}
	nothingLeft(t, dir)
	if err := Remove(dir); err == nil {
		t.Error("removed twice")
	}
}

func TestParseHierarchies(t *testing.T) {
	const v1 = `31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct
40 31 0:37 /up /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd
41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw
`
	for _, c := range []struct {
		name, mounts, cgroups, want string
	}{
		{"version 1 and an empty version 2", v1, "2:cpu,cpuacct:/a/b\n1:name=systemd:/up/x\n0::/\n",
			"[{/sys/fs/cgroup/cpu,cpuacct cpu,cpuacct /a/b} {/sys/fs/cgroup/systemd none,name=systemd /x}]"},
		{"version 2", "25 1 0:5 / /sys/fs/cgroup rw - cgroup2 cgroup rw\n", "0::/user.slice\n", "[{/sys/fs/cgroup  /user.slice}]"},
		{"none", "25 1 0:5 / / rw - ext4 x rw\n", "", "[]"},
		{"not what it should be", "x - \n - cgroup", "::\n3", "[]"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := fmt.Sprint(parseHierarchies(c.mounts, c.cgroups)); got != c.want {
				t.Errorf("%s, want %s", got, c.want)
			}
		})
	}
}

func TestParseStat(t *testing.T) {
	for _, c := range []struct {
		name, stat, state string
		start             uint64
	}{
		{"plain", "7 (a) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4711 20", "S", 4711},
		{"a name with parentheses", "7 (a) b) (c) R 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4711 20", "R", 4711},
		{"short", "7 (a) S 1", "", 0},
		{"empty", "", "", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			state, start, err := parseStat(c.stat)
			if state != c.state || start != c.start || (err == nil) != (c.start != 0) {
				t.Errorf("%s %d, %v", state, start, err)
			}
		})
	}
}
