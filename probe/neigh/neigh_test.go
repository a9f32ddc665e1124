//go:build linux

package neigh

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/plumbnet/plumb/kernel/netlink"
	"github.com/plumbnet/plumb/lab/sandbox"
	"github.com/plumbnet/plumb/probe"
	"github.com/plumbnet/plumb/probe/probetest"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) { sandbox.Main(m) }

func write(t *testing.T, dir, name, data string) {
	t.Helper()
	file := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(data), 0o644); err != nil {
		t.Fatal(err)
	}
}

// The file is of Linux 6.18, of two CPUs.
const arp = `entries  allocs   destroys hash_grows lookups  hits     res_failed rcv_probes_mcast rcv_probes_ucast periodic_gc_runs forced_gc_runs unresolved_discards table_fulls
00000002 0001ded7 0001e9b0 00000003   0008bd8a 0001853d 00000dc3   00000000         00000000         00000bf1         00000000       00000578            00000000
00000002 0001d5ab 0001cad0 00000004   0008a17a 00018303 00000efa   00000000         00000000         00000000         00000000       000004c4            00000001
`

func TestTable(t *testing.T) {
	for _, tt := range []struct {
		name, file, thresh, want, err string
	}{
		{"6.18", arp, "1024\n", `
neigh_table_entries{family="4"} 2
neigh_table_limit{family="4"} 1024
neigh_table_total{family="4",counter="allocs"} 242818
neigh_table_total{family="4",counter="destroys"} 242816
neigh_table_total{family="4",counter="hash_grows"} 7
neigh_table_total{family="4",counter="hits"} 198720
neigh_table_total{family="4",counter="lookups"} 1138436
neigh_table_total{family="4",counter="periodic_gc_runs"} 3057
neigh_table_total{family="4",counter="res_failed"} 7357
neigh_table_total{family="4",counter="table_fulls"} 1
neigh_table_total{family="4",counter="unresolved_discards"} 2620`, ""},
		{"5.4, which has no table_fulls", "entries  res_failed\n00000001 00000000\n", "8\n", "neigh_table_entries{family=\"4\"} 1\nneigh_table_limit{family=\"4\"} 8\nneigh_table_total{family=\"4\",counter=\"res_failed\"} 0\n", ""},
		{"broken", "entries\nx\n", "8\n", "", `stat/arp_cache: line 2: entries "x"`},
		{"no limit", "entries\n1\n", "many\n", "neigh_table_entries{family=\"4\"} 1\n", "gc_thresh3"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			write(t, dir, "thread-self/net/stat/arp_cache", tt.file)
			write(t, dir, "sys/net/ipv4/neigh/default/gc_thresh3", tt.thresh)
			n, got := probetest.Open(t, Kind, probe.Env{Proc: dir}).(*neigh), probetest.Samples{}
			err := n.table("stat/arp_cache", "ipv4", "4", func(s probe.Sample) { got[probetest.Series(s)] = s.Value })
			if (err != nil) != (tt.err != "") || err != nil && !strings.Contains(err.Error(), tt.err) {
				t.Errorf("%v, want %q", err, tt.err)
			}
			if diff := probetest.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// message is a struct ndmsg.
func message(family uint8, state uint16) []byte {
	b := make([]byte, sizeofNdmsg)
	b[0] = family
	netlink.Native.PutUint16(b[8:], state)
	return b
}

func TestDecode(t *testing.T) {
	for _, tt := range []struct {
		name string
		in   []byte
		want string
		ok   bool
	}{
		{"failed", message(unix.AF_INET, unix.NUD_FAILED), "FAILED", true},
		{"permanent", message(unix.AF_INET6, unix.NUD_PERMANENT), "PERMANENT", true},
		{"of multicast", message(unix.AF_INET, unix.NUD_NOARP), "", false},
		{"none", message(unix.AF_INET, unix.NUD_NONE), "", false},
		{"too short", message(unix.AF_INET, unix.NUD_STALE)[:11], "", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			state, ok := decode(tt.in)
			if ok != tt.ok || ok && states[state] != tt.want {
				t.Errorf("%s %v", states[state], ok)
			}
		})
	}
}

// TestAgree adds neighbours in several states, and counts those that ip shows.
func TestAgree(t *testing.T) {
	ns, place := probetest.NS(t, "neigh")
	p := probetest.Open(t, Kind, probe.Env{})
	must := func(argv string) {
		t.Helper()
		if err := ns.Run("", strings.Fields(argv)...); err != nil {
			t.Fatal(err)
		}
	}
	must("ip link add eth0 type veth peer name p0")
	must("ip link set p0 up") // a device without a carrier loses its neighbours
	must("ip link set eth0 up")
	var batch strings.Builder
	for i := range 10 {
		fmt.Fprintf(&batch, "neigh add 10.0.0.%d lladdr 02:00:00:00:00:01 dev eth0 nud permanent\n", i+1)
		fmt.Fprintf(&batch, "neigh add 10.0.1.%d dev eth0 nud failed\n", i+1)
		fmt.Fprintf(&batch, "neigh add fd00::%d lladdr 02:00:00:00:00:01 dev eth0 nud stale\n", i+1)
	}
	if err := ns.Run(batch.String(), "ip", "-batch", "-"); err != nil {
		t.Fatal(err)
	}
	got := probetest.ReadIn(t, Kind, p, ns, place)
	want := `
neigh_entries{pod="shop/neigh",family="4",state="FAILED"} 10
neigh_entries{pod="shop/neigh",family="4",state="PERMANENT"} 10
neigh_entries{pod="shop/neigh",family="6",state="STALE"} 10`
	if diff := probetest.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	out, err := ns.Output("", "ip", "neigh")
	if err != nil {
		t.Fatal(err)
	}
	lines := map[string]float64{}
	for line := range strings.Lines(out) {
		f := strings.Fields(line)
		family := "4"
		if strings.Contains(f[0], ":") {
			family = "6"
		}
		lines[fmt.Sprintf("neigh_entries{pod=%q,family=%q,state=%q}", place.Pod, family, f[len(f)-1])]++
	}
	for s, n := range lines {
		if got[s] != n {
			t.Errorf("%s is %g, ip has %g", s, got[s], n)
		}
	}
	t.Logf("agree: ip neigh: %d states", len(lines))
}

func FuzzDecode(f *testing.F) {
	f.Add(message(unix.AF_INET, unix.NUD_FAILED))
	f.Fuzz(func(t *testing.T, b []byte) {
		if state, ok := decode(b); ok && states[state] == "" {
			t.Errorf("state %d", state)
		}
	})
}
