//go:build linux

package cluster

import (
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/plumbnet/plumb/lab/machine"
	"github.com/plumbnet/plumb/lab/wire"
	"golang.org/x/sys/unix"
)

// bare starts two nodes on which nothing runs.
func bare(t *testing.T) *Cluster {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("machines need root: they are namespaces")
	}
	dir, err := os.MkdirTemp("", "rack") // shorter than t.TempDir: it holds sockets
	if err != nil {
		t.Fatal(err)
	}
	c := &Cluster{Dir: dir, Nodes: nodeNames(2), progress: io.Discard}
	router := netip.MustParsePrefix(routerAddr)
	r := &machine.Rack{Dir: dir, Router: routerAddr, Forward: controlIP + ":6443"}
	for i, n := range c.Nodes {
		r.Machines = append(r.Machines, machine.Machine{Name: n, Addr: netip.PrefixFrom(nodeIP(i), router.Bits()), Gateway: router.Addr()})
	}
	t.Cleanup(func() {
		if _, err := os.Stat(filepath.Join(dir, "rack.json")); err == nil {
			if err := Down(dir); err != nil {
				t.Error(err)
			}
		}
	})
	if _, err := r.Start(); err != nil {
		t.Fatal(err)
	}
	return c
}

var roundTrips = regexp.MustCompile(`= ([0-9.]+)/([0-9.]+)/`)

// average returns the round trip from node-a to node-b that ping sees, in milliseconds.
func average(t *testing.T, c *Cluster) float64 {
	t.Helper()
	out, err := c.Run("node-a", "ping", "-q", "-c", "20", "-i", "0.01", "-W", "1", nodeIP(1).String())
	if err != nil {
		t.Fatal(err)
	}
	ms, err := strconv.ParseFloat(roundTrips.FindStringSubmatch(out)[2], 64)
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return ms
}

// TestWire puts wires into a node's uplink, kills one, and takes the machines down with one in place.
func TestWire(t *testing.T) {
	c := bare(t)
	near := average(t, c)
	set := func(l wire.Line) {
		t.Helper()
		if err := c.Wire("node-a", l); err != nil {
			t.Fatal(err)
		}
	}
	between := func(from, to float64) {
		t.Helper()
		if got := average(t, c); got < from || got > to {
			t.Errorf("ping sees %.1f ms, want %.0f to %.0f", got, from, to)
		}
	}
	set(wire.Line{Delay: 20 * time.Millisecond, Jitter: 5 * time.Millisecond})
	between(32, 100)
	set(wire.Line{Delay: 60 * time.Millisecond}) // in the place of the other
	between(120, 200)
	if err := c.Unwire("node-a"); err != nil {
		t.Fatal(err)
	}
	between(0, near+20)
	if err := c.Unwire("node-a"); err != nil {
		t.Errorf("taken out twice: %v", err)
	}

	set(wire.Line{Delay: 20 * time.Millisecond})
	s, err := c.wireState("node-a")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := machine.Output(c.Dir, Fabric, "kill", "-9", strconv.Itoa(s.PID)); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(10 * time.Second); s.Running && time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		s, _ = c.wireState("node-a")
	}
	if err := c.Unwire("node-a"); err != nil {
		t.Fatal(err)
	}
	between(0, near+20)

	for name, l := range map[string]wire.Line{"node-z": {}, "node-a": {Delay: -1}} {
		if err := c.Wire(name, l); err == nil {
			t.Errorf("%s: %+v is accepted", name, l)
		}
	}
	if err := c.Unwire("node-z"); err == nil || !strings.Contains(err.Error(), "no node") {
		t.Error(err)
	}

	set(wire.Line{Loss: 0.1})
	if s, err = c.wireState("node-a"); err != nil {
		t.Fatal(err)
	}
	rack, err := machine.PID(c.Dir, Fabric)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Kill(rack, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := Down(c.Dir); err != nil {
		t.Error(err)
	}
	if left := carrying(c.Dir); left > 0 {
		t.Errorf("%d processes of wires are left", left)
	}
}

// carrying counts the processes of the wires of a directory, on the real machine.
func carrying(dir string) (n int) {
	all, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, p := range all {
		if b, _ := os.ReadFile(p); strings.HasPrefix(string(b), dir+"/plumb-lab\x00"+wire.Verb) {
			n++
		}
	}
	return n
}
