//go:build linux

package all

import (
	"fmt"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"testing"

	"github.com/plumbnet/plumb/lab/sandbox"
	"github.com/plumbnet/plumb/probe"
	"github.com/plumbnet/plumb/probe/probetest"
)

func TestMain(m *testing.M) { sandbox.Main(m) }

// programs opens the probes that run programs in the kernel.
func programs(t *testing.T) (opened []probe.Probe) {
	t.Helper()
	env := &probe.Env{Proc: "/proc", Sys: "/sys", Places: probetest.Places{Is: []probe.Place{{Net: 1, Host: true}}}}
	for _, k := range Kinds {
		if !strings.Contains(k.Source, "tp_btf/") {
			continue
		}
		if i := slices.IndexFunc(k.Needs, func(f probe.Feature) bool { return f.Have() != nil }); i >= 0 {
			t.Logf("without %s, which needs %s", k.Name, k.Needs[i].Name)
			continue
		}
		p, err := k.Open(env)
		if err != nil {
			t.Fatalf("%s: %v", k.Name, err)
		}
		if _, ok := p.(probe.Accounted); !ok {
			t.Errorf("%s does not tell what it costs", k.Name)
		}
		opened = append(opened, p)
	}
	if opened == nil {
		t.Skip("no probe's programs run on this kernel")
	}
	return opened
}

func closeAll(t *testing.T, opened []probe.Probe) {
	t.Helper()
	for _, p := range opened {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	}
}

// locked is what the maps and programs of this process hold of the kernel's memory, and how many files it has open.
func locked(t *testing.T) (bytes, files int) {
	t.Helper()
	dir, err := os.ReadDir("/proc/self/fdinfo")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range dir {
		data, err := os.ReadFile("/proc/self/fdinfo/" + f.Name())
		if err != nil {
			continue // that of the folder itself
		}
		files++
		var n int
		if _, rest, ok := strings.Cut(string(data), "memlock:"); ok {
			if _, err := fmt.Sscan(rest, &n); err != nil {
				t.Fatal(err)
			}
			bytes += n
		}
	}
	return bytes, files
}

// rss is the memory that this process holds, in bytes.
func rss(t *testing.T) (n int) {
	t.Helper()
	data, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(data), "VmRSS:")
	if _, err := fmt.Sscan(rest, &n); err != nil {
		t.Fatal(err)
	}
	return n << 10
}

// TestMemory: all programs and their maps hold 15 MB of the kernel's memory at the most on two CPUs, and give it
// back, whatever is opened and closed.
func TestMemory(t *testing.T) {
	sandbox.Need(t)
	if err := sandbox.Setup(); err != nil {
		t.Fatal(err)
	}
	closeAll(t, programs(t)) // what is kept of the kernel's types is so from here on
	none, files := locked(t)
	debug.FreeOSMemory()
	before := rss(t)
	opened := programs(t)
	held, _ := locked(t)
	debug.FreeOSMemory()
	t.Logf("%d probes hold %d kB of the kernel's memory, and %d kB of this process'", len(opened), (held-none)>>10, (rss(t)-before)>>10)
	if held-none > 15<<20 {
		t.Errorf("%d bytes are locked", held-none)
	}
	closeAll(t, opened)
	for range 3 {
		closeAll(t, programs(t))
	}
	if n, f := locked(t); n != none || f != files {
		t.Errorf("%d bytes and %d files are left, of %d and %d", n, f, none, files)
	}
}
