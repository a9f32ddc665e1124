//go:build linux

package virtcmdlatency

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/plumbnet/plumb/event"
	"github.com/plumbnet/plumb/lab/sandbox"
	"github.com/plumbnet/plumb/probe"
	"github.com/plumbnet/plumb/probe/bpf"
	"github.com/plumbnet/plumb/probe/probetest"
)

func TestMain(m *testing.M) { sandbox.Main(m) }

// device returns a network namespace that has a virtio-net device of the tests' own, eth0: the machines of lab/kernels have one.
func device(t *testing.T) *sandbox.NS {
	t.Helper()
	sandbox.Need(t)
	path := os.Getenv("PLUMB_VIRTIO_NET")
	if path == "" {
		t.Skip("no virtio-net device that is the tests' own")
	}
	return &sandbox.NS{Name: "virtio-net", Path: path}
}

// count returns how many commands of a kind were measured, and how long they took together.
func count(t *testing.T, p probe.Probe, command string) (n uint64, took time.Duration) {
	t.Helper()
	err := p.Read(func(s probe.Sample) {
		if s.Labels[0] != command {
			return
		}
		for _, c := range s.Hist.Counts {
			n += c
		}
		took = time.Duration(s.Hist.Sum * 1e9)
	})
	if err != nil {
		t.Fatal(err)
	}
	return n, took
}

// TestCommands has a driver give its device so many commands of each kind, and does the same to a device that takes none.
func TestCommands(t *testing.T) {
	const n = 25
	each := func(format string) string {
		script := ""
		for i := range n {
			script += strings.ReplaceAll(format, "%", fmt.Sprint(i+10)) + "\n"
		}
		return script
	}
	ns := device(t)
	batch := func(script string) {
		t.Helper()
		if err := ns.Run(script, "ip", "-batch", "-"); err != nil {
			t.Fatal(err)
		}
	}
	stats, err := bpf.EnableStats()
	if err != nil {
		t.Fatal(err)
	}
	defer stats.Close()
	cgroup := probetest.Cgroup2(t)
	p := probetest.Open(t, Kind, probe.Env{Node: "node-a", Threshold: time.Nanosecond, Places: probetest.Places{Sockets: map[uint64]string{cgroup: "shop/web-0"}}})
	events := probetest.Watch(t, p)
	batch("link add twin type veth peer name other\n")
	for _, tt := range []struct{ name, script, command string }{
		{"MAC addresses", "link set eth0 address 02:00:00:00:00:%", "mac-addr-set"},
		{"VLANs", "link add link eth0 name eth0.% type vlan id %", "vlan-add"},
		{"VLANs that go", "link del eth0.%", "vlan-del"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, healthy := range []bool{true, false} { // the twin first: that of it there is none
				script, want := each(tt.script), uint64(n)
				if healthy {
					script, want = strings.ReplaceAll(script, "eth0", "twin"), 0
				}
				began := time.Now()
				batch(script)
				got, took := count(t, p, tt.command)
				if got != want || took > time.Since(began) || want > 0 && took <= 0 {
					t.Errorf("%d commands in %s, want %d, which took less than %s", got, took, want, time.Since(began))
				}
				t.Logf("%d commands in %s", got, took)
			}
		})
	}
	probetest.Cost(t, p)
	seen := map[string]bool{}
	for end := time.After(time.Minute); len(seen) < 2; {
		select {
		case e := <-events:
			if _, err := time.ParseDuration(e.Detail[1].Value); err != nil || e.Pod != "shop/web-0" || e.By != event.BySocket {
				t.Errorf("%+v", e)
			}
			seen[e.Detail[0].Value] = true // some are told, of each CPU
		case <-end:
			t.Fatalf("no events but of %v", seen)
		}
	}
	if !seen["mac-addr-set"] {
		t.Errorf("events of %v", seen)
	}
}

// TestPromiscuous turns promiscuous mode on and off, each of which the driver tells the device once or twice, and later.
func TestPromiscuous(t *testing.T) {
	ns := device(t)
	p := probetest.Open(t, Kind, probe.Env{Threshold: time.Hour})
	probetest.Sh(t, ns, "ip link set eth0 up")
	t.Cleanup(func() { probetest.Sh(t, ns, "ip link set eth0 promisc off down") })
	for i := range 10 {
		before, _ := count(t, p, "rx-promisc")
		probetest.Sh(t, ns, "ip link set eth0 promisc "+[]string{"on", "off"}[i%2])
		probetest.Until(t, func() string {
			if n, _ := count(t, p, "rx-promisc"); n <= before {
				return fmt.Sprintf("%d commands, as before", n)
			}
			return ""
		})
	}
}

// TestDegraded: where a kernel has no kprobes, the probe says so.
func TestDegraded(t *testing.T) {
	if _, err := os.Stat("/sys/bus/event_source/devices/kprobe"); err == nil {
		return
	} else if !os.IsNotExist(err) {
		t.Fatal(err)
	}
	release, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		t.Fatal(err)
	}
	want := "kernel " + strings.TrimSpace(string(release)) + " has no kprobes"
	if err := Kind.Needs[0].Have(); err == nil || err.Error() != want {
		t.Errorf("%v, want %q", err, want)
	}
	if _, err := Kind.Open(&probe.Env{Places: probetest.Places{}}); err == nil || !strings.HasSuffix(err.Error(), want) {
		t.Errorf("opened: %v, want %q", err, want)
	}
}

func TestCommandNames(t *testing.T) {
	for n, want := range map[uint64]string{0: "rx-promisc", 0x101: "mac-addr-set", 0x400: "mq-vq-pairs-set", 0x7ff: "7.255"} {
		if got := command(n); got != want {
			t.Errorf("%#x is %q, want %q", n, got, want)
		}
	}
}
