// Package probetest is for the tests of probes: places to tell them, and what they tell, in a form that can be compared.
package probetest

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/plumbnet/plumb/probe"
)

// Places are places that a test names.
type Places struct {
	Is      []probe.Place
	Groups  []probe.Cgroup
	Devices map[int]string    // the Pod at the other end, by index
	Sockets map[uint64]string // the Pod of a cgroup, by its id
	Addrs   map[netip.Addr]string
	Cookie  bool
	NS      map[uint64]func(func() error) error // runs a function in a namespace, by its Net
}

// ByNet returns the place of that Net.
func (p Places) ByNet(net uint64) (probe.Place, bool) {
	for _, x := range p.Is {
		if x.Net == net {
			return x, true
		}
	}
	return probe.Place{}, false
}

// ByCgroup returns the Pod of a cgroup.
func (p Places) ByCgroup(id uint64) (string, bool) { pod, ok := p.Sockets[id]; return pod, ok }

// ByDevice returns the Pod of a device.
func (p Places) ByDevice(i int) (string, bool) { pod, ok := p.Devices[i]; return pod, ok }

// ByAddr returns the Pod of an address.
func (p Places) ByAddr(a netip.Addr) (string, bool) { pod, ok := p.Addrs[a]; return pod, ok }

// Cookies reports whether Net is a cookie.
func (p Places) Cookies() bool { return p.Cookie }

// All returns the places.
func (p Places) All() []probe.Place { return p.Is }

// In calls f in the namespace of a place.
func (p Places) In(place probe.Place, f func() error) error {
	if in := p.NS[place.Net]; in != nil {
		return in(f)
	}
	return fmt.Errorf("no namespace %d", place.Net)
}

// Cgroups returns the cgroups.
func (p Places) Cgroups() []probe.Cgroup { return p.Groups }

// Samples are values by what a scrape would show: `tcp_total{pod="shop/web-0",counter="InSegs"}`.
type Samples map[string]float64

// Open opens a probe as the agent does. It is closed with the test.
func Open(t testing.TB, k *probe.Kind, e probe.Env) probe.Probe {
	t.Helper()
	if e.Proc == "" {
		e.Proc = "/proc"
	}
	if e.Sys == "" {
		e.Sys = "/sys"
	}
	if e.Places == nil {
		e.Places = Places{}
	}
	for _, f := range k.Needs {
		if err := f.Have(); err != nil {
			t.Skipf("needs %s: %v", f.Name, err)
		}
	}
	p, err := k.Open(&e)
	if err != nil {
		t.Fatalf("%s: %v", k.Name, err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

// Collect returns what read tells, and fails t on a sample that its kind has not declared, or that is told twice.
func Collect(t testing.TB, k *probe.Kind, read func(func(probe.Sample)) error) Samples {
	t.Helper()
	out := Samples{}
	known := map[*probe.Stat]bool{}
	for _, s := range k.Stats {
		known[s] = true
	}
	err := read(func(s probe.Sample) {
		key := Series(s)
		if !known[s.Stat] || len(s.Labels) != len(s.Stat.Labels) || s.Stat.Node && s.Pod != "" {
			t.Errorf("%s: no sample of the kind's", key)
		}
		if _, dup := out[key]; dup {
			t.Errorf("%s: told twice", key)
		}
		out[key] = s.Value
	})
	if err != nil {
		t.Errorf("%s: %v", k.Name, err)
	}
	return out
}

// Series returns what a sample is the value of.
func Series(s probe.Sample) string {
	var b strings.Builder
	b.WriteString(s.Stat.Name)
	sep := "{"
	add := func(name, value string) {
		b.WriteString(sep + name + `="` + value + `"`)
		sep = ","
	}
	if s.Pod != "" {
		add("pod", s.Pod)
	}
	for i, v := range s.Labels {
		if i < len(s.Stat.Labels) {
			add(s.Stat.Labels[i], v)
		}
	}
	if sep == "," {
		b.WriteString("}")
	}
	return b.String()
}

// String returns a line for each series, sorted.
func (s Samples) String() string {
	var b strings.Builder
	for _, k := range slices.Sorted(maps.Keys(s)) {
		b.WriteString(k + " " + strconv.FormatFloat(s[k], 'f', -1, 64) + "\n")
	}
	return b.String()
}

// Diff compares samples with lines of the same form.
func Diff(want string, got Samples) string {
	return cmp.Diff(strings.Split(strings.TrimSpace(want), "\n"), strings.Split(strings.TrimSpace(got.String()), "\n"))
}
