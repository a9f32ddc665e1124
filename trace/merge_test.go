//go:build linux

package trace_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/plumbnet/plumb/trace"
)

// TestWaysInWords has tables that make more ways than are followed, of which most differ only in
// what is said of them: to tell them apart once took a minute.
func TestWaysInWords(t *testing.T) {
	var rules strings.Builder
	rules.WriteString("*mangle\n:PREROUTING ACCEPT [0:0]\n")
	for i := range 6 {
		fmt.Fprintf(&rules, "-A PREROUTING -m cpu --cpu %d -j MARK --set-xmark %#x/%#x\n", i, 1<<i, 1<<i)
	}
	rules.WriteString("COMMIT\n")
	n := fixture(t, "vxlan", put("nodes/a/host/iptables", rules.String()), put("nodes/b/host/iptables", rules.String()))
	began := cpuTime()
	r := trace.Run(n, parseProbe(n, "a/p1 tcp 10.244.2.2:8080"))
	if took := time.Duration(cpuTime() - began); took > 20*time.Second {
		t.Errorf("took %s", took)
	}
	sound(t, r.Paths, 0)
}

// TestMerged follows a packet that two rules may mark, and whose mark the next device forgets: the ways say what they
// marked and stay apart, those that say the same are one.
func TestMerged(t *testing.T) {
	for _, tt := range []struct {
		name, rules string
		paths       int
	}{
		{"two marks", "-A PREROUTING -m cpu --cpu 0 -j MARK --set-xmark 0x1/0x1", 2},
		{"four marks", "-A PREROUTING -m cpu --cpu 0 -j MARK --set-xmark 0x1/0x1\n-A PREROUTING -m cpu --cpu 1 -j MARK --set-xmark 0x2/0x2", 4},
		{"one mark, twice", "-A PREROUTING -m cpu --cpu 0 -j MARK --set-xmark 0x1/0x1\n-A PREROUTING -j MARK --set-xmark 0x1/0x1", 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			n := fixture(t, "vxlan", put("nodes/a/host/iptables", "*mangle\n:PREROUTING ACCEPT [0:0]\n"+tt.rules+"\nCOMMIT\n"))
			q := parseProbe(n, "a/p1 tcp 10.244.1.3:8080")
			q.OneWay = true
			r := trace.Run(n, q)
			sound(t, r.Paths, 0)
			if len(r.Paths) != tt.paths {
				t.Errorf("%d paths, want %d\n%s", len(r.Paths), tt.paths, explain(r))
			}
		})
	}
}
