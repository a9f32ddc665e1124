//go:build linux

package bpf

import (
	"os"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/google/go-cmp/cmp"
)

// TestKprobe: of several names the first counts that the kernel has, and where it has none, or no kprobes, that is told.
func TestKprobe(t *testing.T) {
	spec := func() (*ebpf.CollectionSpec, error) {
		return &ebpf.CollectionSpec{Programs: map[string]*ebpf.ProgramSpec{
			"begins": {Type: ebpf.Kprobe, SectionName: "kprobe/no_such"},
			"ends":   {Type: ebpf.Kprobe, SectionName: "kretprobe/no_such"},
			"other":  {Type: ebpf.Tracing, AttachTo: "kfree_skb"},
		}}, nil
	}
	none := "kernel " + release() + " has no function no_such or nor_this"
	_, err := os.Stat("/sys/bus/event_source/devices/kprobe")
	if err != nil {
		none = "kernel " + release() + " has no kprobes"
	}
	if e := Kprobe("no_such", "nor_this").Have(); e == nil || e.Error() != none {
		t.Errorf("%v, want %q", e, none)
	}
	if _, e := Kprobes(spec, "no_such", "nor_this")(); e == nil || e.Error() != none {
		t.Errorf("%v, want %q", e, none)
	}
	if err != nil {
		return
	}
	s, err := Kprobes(spec, "no_such", "tcp_v4_connect", "vfs_read")()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]kprobe{"begins": {"tcp_v4_connect", false}, "ends": {"tcp_v4_connect", true}}, kprobes(s), cmp.AllowUnexported(kprobe{})); diff != "" {
		t.Error(diff)
	}
	if s.Programs["other"].AttachTo != "kfree_skb" {
		t.Error(s.Programs["other"].AttachTo)
	}
}
