//go:build linux

package probetest

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/plumbnet/plumb/event"
	"github.com/plumbnet/plumb/lab/sandbox"
	"github.com/plumbnet/plumb/probe"
	"github.com/plumbnet/plumb/probe/bpf"
	"golang.org/x/sys/unix"
)

// A Lab is a node that routes between two Pods, in namespaces:
//
//	shop/a 10.1.0.2 ── va 10.1.0.1 node 10.2.0.1 vb ── 10.2.0.2 shop/b
//
// and the same with fd00:1::2, fd00:2::2.
type Lab struct {
	Node, A, B *sandbox.NS
	Places     Places
}

// The addresses of the Lab's Pods.
var (
	AddrA = netip.MustParseAddr("10.1.0.2")
	AddrB = netip.MustParseAddr("10.2.0.2")
)

// NewLab makes a Lab, which ends with the test.
func NewLab(t testing.TB) *Lab {
	t.Helper()
	sandbox.Need(t)
	l := &Lab{Places: Places{
		Cookie: true, Devices: map[int]string{}, Sockets: map[uint64]string{},
		Addrs: map[netip.Addr]string{AddrA: "shop/a", AddrB: "shop/b"},
	}}
	for name, ns := range map[string]**sandbox.NS{"node": &l.Node, "a": &l.A, "b": &l.B} {
		n, err := sandbox.NewNS(name)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { n.Delete() })
		*ns = n
	}
	Sh(t, l.Node, `
sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1 net.ipv6.conf.default.accept_dad=0
for i in 1:a 2:b; do
	ip link add v${i#*:} type veth peer eth0 netns ${i#*:}
	ip addr add 10.${i%:*}.0.1/24 dev v${i#*:}
	ip addr add fd00:${i%:*}::1/64 dev v${i#*:} nodad
	ip link set v${i#*:} up
done`)
	// From here on the kernel counts how long programs run.
	stats, err := bpf.EnableStats()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stats.Close() })
	for i, ns := range []*sandbox.NS{l.A, l.B} {
		Sh(t, ns, fmt.Sprintf(`
sysctl -qw net.ipv6.conf.eth0.accept_dad=0
ip addr add 10.%[1]d.0.2/24 dev eth0
ip addr add fd00:%[1]d::2/64 dev eth0 nodad
ip link set eth0 up
ip route add default via 10.%[1]d.0.1
ip route add default via fd00:%[1]d::1`, i+1))
	}
	l.Places.Is = []probe.Place{
		{Net: Cookie(t, l.Node), Host: true}, {Net: Cookie(t, l.A), Pod: "shop/a"}, {Net: Cookie(t, l.B), Pod: "shop/b"},
	}
	l.Places.NS = map[uint64]func(func() error) error{}
	for i, ns := range []*sandbox.NS{l.Node, l.A, l.B} {
		l.Places.NS[l.Places.Is[i].Net] = ns.Do
	}
	l.In(t, l.Node, func() error {
		for _, pod := range []string{"a", "b"} {
			i, err := net.InterfaceByName("v" + pod)
			if err != nil {
				return err
			}
			l.Places.Devices[i.Index] = "shop/" + pod
		}
		return nil
	})
	return l
}

// In runs f in a namespace, and fails the test with its error.
func (l *Lab) In(t testing.TB, ns *sandbox.NS, f func() error) {
	t.Helper()
	if err := ns.Do(f); err != nil {
		t.Fatalf("%s: %v", ns.Name, err)
	}
}

// Sh runs a shell script in a namespace, and fails the test where it fails.
func Sh(t testing.TB, ns *sandbox.NS, script string) {
	t.Helper()
	if err := ns.Run("", "sh", "-ec", script); err != nil {
		t.Fatal(err)
	}
}

// Filter has a program run for the packets of a device at "ingress" or "egress", as a filter that tc puts there.
func Filter(t testing.TB, ns *sandbox.NS, device, at string, program interface{ Pin(string) error }) {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("bpf", dir, "bpf", 0, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
	if err := program.Pin(dir + "/program"); err != nil {
		t.Fatal(err)
	}
	Sh(t, ns, fmt.Sprintf("tc qdisc add dev %[1]s clsact; tc filter add dev %[1]s %[2]s bpf da pinned %[3]s/program", device, at, dir))
}

// Cgroup2 returns the id of the cgroup that the test is in, of the unified hierarchy. It skips the test where there is none.
func Cgroup2(t testing.TB) uint64 {
	t.Helper()
	sandbox.Need(t)
	data, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(data)) {
		path, ok := strings.CutPrefix(strings.TrimSpace(line), "0::")
		for _, root := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/unified"} {
			var st unix.Stat_t
			var fs unix.Statfs_t
			if ok && unix.Statfs(root, &fs) == nil && fs.Type == unix.CGROUP2_SUPER_MAGIC && unix.Stat(root+path, &st) == nil {
				return st.Ino
			}
		}
	}
	t.Skip("no unified hierarchy of cgroups")
	return 0
}

// Cookie returns the id of a namespace.
func Cookie(t testing.TB, ns *sandbox.NS) (id uint64) {
	t.Helper()
	err := ns.Do(func() error {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		id, err = unix.GetsockoptUint64(fd, unix.SOL_SOCKET, unix.SO_NETNS_COOKIE)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// Until waits until f returns "", and fails the test with what it returns for a minute: machines are slow.
func Until(t testing.TB, f func() string) {
	t.Helper()
	for end := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		why := f()
		if why == "" {
			return
		}
		if time.Now().After(end) {
			t.Fatal(why)
		}
	}
}

// Cost logs what an event cost, and fails the test where programs did not run.
func Cost(t testing.TB, p probe.Probe) {
	t.Helper()
	a, err := p.(probe.Accounted).Account()
	if err != nil || a.Runs == 0 {
		t.Fatalf("%d runs, %v", a.Runs, err)
	}
	t.Logf("%d ns an event, of %d", a.Time.Nanoseconds()/int64(a.Runs), a.Runs)
}

// Hidden returns how often, from now on, ftrace saw a tracepoint ("tcp/tcp_retransmit_skb") and no program was run there, not even one that
// does nothing: kernels of some sandboxes keep programs from a task, and from all that comes while it runs, such as a timer's packets.
func Hidden(t testing.TB, tracepoint string) func() float64 {
	t.Helper()
	empty, err := bpf.NewEmpty(filepath.Base(tracepoint))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { empty.Close() })
	mnt := t.TempDir() // few containers have it
	if err := unix.Mount("tracefs", mnt, "tracefs", 0, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(mnt, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	dir, err := os.MkdirTemp(filepath.Join(mnt, "instances"), "plumb-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Rmdir(dir); err != nil {
			t.Error(err)
		}
	})
	if err := os.WriteFile(filepath.Join(dir, "events", tracepoint, "enable"), []byte("1"), 0); err != nil {
		t.Fatal(err)
	}
	return func() float64 {
		all, err := os.ReadFile(filepath.Join(dir, "trace"))
		if err != nil {
			t.Fatal(err)
		}
		ran, err := empty.Account()
		if err != nil {
			t.Fatal(err)
		}
		return max(0, float64(bytes.Count(all, []byte(" "+filepath.Base(tracepoint)+": ")))-float64(ran.Runs))
	}
}

// Watch starts to watch p until the test ends, and returns what it tells.
func Watch(t testing.TB, p probe.Probe) <-chan event.Event {
	t.Helper()
	events := make(chan event.Event, 100_000)
	done := make(chan error, 1)
	ctx := t.Context()
	go func() {
		done <- p.Watch(ctx, func(e event.Event) {
			select {
			case events <- e:
			default: // nobody reads
			}
		})
	}()
	t.Cleanup(func() { // t's context has ended
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return events
}

// Hist counts the observations of a histogram, and those of them that took longer than a time.
func Hist(t testing.TB, p probe.Probe, series string, than time.Duration) (all, longer uint64) {
	t.Helper()
	err := p.Read(func(s probe.Sample) {
		if s.Hist == nil || Series(s) != series {
			return
		}
		for i, n := range s.Hist.Counts {
			all += n
			if i > 0 && s.Hist.Bounds[i-1] >= than.Seconds() {
				longer += n
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return all, longer
}

// Echo has shop/b answer on port 7, by "tcp" or "udp", and shop/a send it n messages, each after the answer to the last.
func (l *Lab) Echo(t testing.TB, network string, n, size int) {
	t.Helper()
	var server io.Closer
	l.In(t, l.B, func() (err error) { server, err = echo(network); return err })
	defer server.Close()
	l.In(t, l.A, func() error {
		c, err := net.Dial(network, "10.2.0.2:7")
		if err != nil {
			return err
		}
		defer c.Close()
		for b := make([]byte, size); n > 0; n-- {
			if _, err := c.Write(b); err != nil {
				return err
			}
			if err := c.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
				return err
			}
			if _, err := io.ReadFull(c, b); err != nil {
				return err
			}
		}
		return nil
	})
}

func echo(network string) (io.Closer, error) {
	if network == "tcp" {
		ln, err := net.Listen(network, ":7")
		if err != nil {
			return nil, err
		}
		go func() {
			if c, err := ln.Accept(); err == nil {
				_, _ = io.Copy(struct{ io.Writer }{c}, c) // by read and write, not by splice
				c.Close()
			}
		}()
		return ln, nil
	}
	server, err := net.ListenPacket(network, ":7")
	if err != nil {
		return nil, err
	}
	go func() {
		for b := make([]byte, 2000); ; {
			n, from, err := server.ReadFrom(b)
			if err != nil {
				return
			}
			_, _ = server.WriteTo(b[:n], from)
		}
	}()
	return server, nil
}
