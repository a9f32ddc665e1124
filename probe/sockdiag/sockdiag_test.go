//go:build linux

package sockdiag

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/plumbnet/plumb/kernel/netlink"
	"golang.org/x/sys/unix"
)

// message is a struct inet_diag_msg of a connection from port 1 to port 80.
func message(family, state uint8, local, remote string, queues ...uint32) []byte {
	b := make([]byte, sizeofMsg)
	b[0], b[1], b[5], b[7] = family, state, 1, 80
	copy(b[8:], netip.MustParseAddr(local).AsSlice())
	copy(b[24:], netip.MustParseAddr(remote).AsSlice())
	for i, q := range queues {
		netlink.Native.PutUint32(b[56+4*i:], q)
	}
	return b
}

func TestDecode(t *testing.T) {
	ap := netip.MustParseAddrPort
	for _, tt := range []struct {
		name string
		in   []byte
		want Socket
		ok   bool
	}{
		{"IPv4", message(unix.AF_INET, Established, "10.0.0.1", "10.0.0.2", 5, 6), Socket{State: Established, Local: ap("10.0.0.1:1"), Remote: ap("10.0.0.2:80"), Receive: 5, Send: 6}, true},
		{"IPv6", message(unix.AF_INET6, CloseWait, "fd00::1", "fd00::2"), Socket{State: CloseWait, Local: ap("[fd00::1]:1"), Remote: ap("[fd00::2]:80")}, true},
		{"IPv4 of a socket of IPv6", message(unix.AF_INET6, Listen, "::ffff:10.0.0.1", "::"), Socket{State: Listen, Local: ap("10.0.0.1:1"), Remote: ap("[::]:80")}, true},
		{"with its tcp_info", netlink.Attr(message(unix.AF_INET, Established, "10.0.0.1", "10.0.0.2"), infoExt, []byte("info")), Socket{State: Established, Local: ap("10.0.0.1:1"), Remote: ap("10.0.0.2:80"), Info: []byte("info")}, true},
		{"a state that came later", message(unix.AF_INET, 200, "10.0.0.1", "10.0.0.2"), Socket{}, false},
		{"no state", message(unix.AF_INET, 0, "10.0.0.1", "10.0.0.2"), Socket{}, false},
		{"another family", message(unix.AF_UNIX, 1, "10.0.0.1", "10.0.0.2"), Socket{}, false},
		{"too short", make([]byte, sizeofMsg-1), Socket{}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, ok := decode(tt.in)
			if diff := cmp.Diff(tt.want, got, cmpopts.EquateComparable(netip.AddrPort{})); ok != tt.ok || diff != "" {
				t.Errorf("%v\n%s", ok, diff)
			}
		})
	}
}

// TestTurns reads namespaces some times, and sees who had a turn in each reading.
func TestTurns(t *testing.T) {
	for _, tt := range []struct {
		name   string
		visits [][]uint64 // which there are
		took   time.Duration
		want   string
	}{
		{"as many as there is time for", [][]uint64{{1, 2, 3}, {1, 2, 3}}, time.Millisecond, "[[1 2 3] [1 2 3]]"},
		{"more than there is time for", [][]uint64{{1, 2, 3, 4, 5}, {1, 2, 3, 4, 5}, {1, 2, 3, 4, 5}, {1, 2, 3, 4, 5}}, budget / 2, "[[1 2] [3 4] [5] [1 2]]"},
		{"one takes longer than all may", [][]uint64{{1, 2}, {1, 2}, {1, 2}}, 4 * budget, "[[1] [2] [1]]"},
		{"one came, and goes before the others next", [][]uint64{{1, 2}, {1, 2, 3}, {1, 2, 3}}, budget / 2, "[[1 2] [1 2] [3]]"},
		{"one that has ended does not keep the others for long", [][]uint64{{1, 2, 3}, {1, 3}, {1, 3}, {1, 3}}, budget, "[[1] [3] [1] [3]]"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var turns Turns
			got := [][]uint64{}
			for _, there := range tt.visits {
				turns.Next()
				var had []uint64
				for _, net := range there {
					if turns.Take(net) {
						turns.Took(tt.took)
						had = append(had, net)
					}
				}
				got = append(got, had)
			}
			if fmt.Sprint(got) != tt.want {
				t.Errorf("%v, want %s", got, tt.want)
			}
			if n := len(turns.by); n > len(tt.visits[len(tt.visits)-1]) {
				t.Errorf("%d are remembered", n)
			}
		})
	}
}

// TestPass: one that needs no turn keeps nobody, and is the last that has one.
func TestPass(t *testing.T) {
	var turns Turns
	got := ""
	for round := range 3 {
		turns.Next()
		for net := range uint64(3) {
			switch {
			case net == 0 && round == 1:
				turns.Pass(net)
			case turns.Take(net):
				turns.Took(budget)
				got += fmt.Sprint(net)
			}
		}
	}
	if want := "012"; got != want {
		t.Errorf("turns of %s, want %s", got, want)
	}
}

func TestCPU(t *testing.T) {
	before := CPU()
	for n := 0; CPU() == before; n++ {
		if n > 1e7 {
			t.Fatal("no time goes by")
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(netlink.Attr(message(unix.AF_INET6, Established, "fd00::1", "fd00::2", 5, 6), infoExt, slices.Repeat([]byte{1}, 200)))
	f.Fuzz(func(t *testing.T, b []byte) {
		if s, ok := decode(b); ok && States[s.State] == "" {
			t.Errorf("state %d", s.State)
		}
	})
}
