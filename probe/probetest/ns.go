//go:build linux

package probetest

import (
	"encoding/json"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/plumbnet/plumb/lab/sandbox"
	"github.com/plumbnet/plumb/probe"
)

// NS makes a network namespace, which is the Pod "shop/NAME".
func NS(t testing.TB, name string) (*sandbox.NS, probe.Place) {
	t.Helper()
	sandbox.Need(t)
	ns, err := sandbox.NewNS(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ns.Delete() })
	info, err := os.Stat(ns.Path)
	if err != nil {
		t.Fatal(err)
	}
	return ns, probe.Place{Pod: "shop/" + name, Net: info.Sys().(*syscall.Stat_t).Ino}
}

// In runs f on a thread that is in the namespace, and on no other.
func In(t testing.TB, ns *sandbox.NS, f func()) {
	t.Helper()
	if err := ns.Do(func() error { f(); return nil }); err != nil {
		t.Fatal(err)
	}
}

// ReadIn returns what a probe tells of a namespace.
func ReadIn(t testing.TB, k *probe.Kind, p probe.Probe, ns *sandbox.NS, place probe.Place) (out Samples) {
	t.Helper()
	In(t, ns, func() {
		out = Collect(t, k, func(emit func(probe.Sample)) error { return p.ReadIn(place, emit) })
	})
	return out
}

// Since returns what has risen or fallen, and by how much.
func (s Samples) Since(before Samples) Samples {
	out := Samples{}
	for k, v := range s {
		if v != before[k] {
			out[k] = v - before[k]
		}
	}
	return out
}

// Nstat returns all counters of a namespace by nstat's names for them.
func Nstat(t testing.TB, ns *sandbox.NS) map[string]float64 {
	t.Helper()
	out, err := ns.Output("", "nstat", "-asz")
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]float64{}
	for line := range strings.Lines(out) {
		f := strings.Fields(line)
		if len(f) < 2 || strings.HasPrefix(line, "#") {
			continue
		}
		if all[f[0]], err = strconv.ParseFloat(f[1], 64); err != nil {
			t.Fatalf("nstat: %q", line)
		}
	}
	return all
}

// LinkStats are the counters of a device by the names that ip has for them.
type LinkStats struct{ RX, TX map[string]float64 }

// Links returns what "ip -s link" says of the devices of a namespace.
func Links(t testing.TB, ns *sandbox.NS) map[string]LinkStats {
	t.Helper()
	out, err := ns.Output("", "ip", "-j", "-s", "link")
	if err != nil {
		t.Fatal(err)
	}
	var list []struct {
		Name  string    `json:"ifname"`
		Stats LinkStats `json:"stats64"`
	}
	if err := json.Unmarshal([]byte(out), &list); err != nil {
		t.Fatal(err)
	}
	links := map[string]LinkStats{}
	for _, l := range list {
		links[l.Name] = l.Stats
	}
	return links
}

// Up waits until devices of a namespace carry packets, which is a moment after they were set up.
func Up(t testing.TB, ns *sandbox.NS, devices ...string) {
	t.Helper()
	for _, d := range devices {
		for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(time.Millisecond) {
			out, err := ns.Output("", "ip", "link", "show", d)
			if strings.Contains(out, "state UP") {
				break
			}
			if err != nil || time.Now().After(deadline) {
				t.Fatalf("%s: %v\n%s", d, err, out)
			}
		}
	}
}
