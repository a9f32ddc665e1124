//go:build linux

package tcpinfo

import (
	"fmt"
	"net/netip"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/plumbnet/plumb/kernel/netlink"
	"github.com/plumbnet/plumb/lab/sandbox"
	"github.com/plumbnet/plumb/probe"
	"github.com/plumbnet/plumb/probe/probetest"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) { sandbox.Main(m) }

func TestDecode(t *testing.T) {
	info := make([]byte, 248)
	for at, v := range map[int]uint32{24: 1, 32: 2, 68: 3, 72: 4, 100: 5, 104: 6, 108: 7} {
		netlink.Native.PutUint32(info[at:], v)
	}
	want := connection{unacked: 1, lost: 2, roundTrip: 3, roundTripVaries: 4, again: 5, pacing: netlink.Native.Uint64(info[104:])}
	for _, tt := range []struct {
		name string
		size int
		ok   bool
	}{{"6.18", 248, true}, {"as much as is read", sizeofInfo, true}, {"too short", sizeofInfo - 1, false}, {"none", 0, false}} {
		t.Run(tt.name, func(t *testing.T) {
			got, ok := decode(info[:tt.size])
			if ok != tt.ok || ok && got != want {
				t.Errorf("%+v %v", got, ok)
			}
		})
	}
}

func TestInsert(t *testing.T) {
	port := func(n int) netip.AddrPort { return netip.AddrPortFrom(netip.Addr{}, uint16(n)) }
	var worst []connection
	for i, c := range []connection{{roundTrip: 5}, {roundTrip: 9}, {lost: 1}, {roundTrip: 1}, {roundTrip: 2}, {roundTrip: 3}, {lost: 7}, {}, {roundTrip: 9}} {
		c.local = port(i)
		worst = insert(worst, c)
	}
	want := []connection{{local: port(6), lost: 7}, {local: port(2), lost: 1}, {local: port(1), roundTrip: 9}, {local: port(8), roundTrip: 9}, {local: port(0), roundTrip: 5}}
	if diff := cmp.Diff(want, worst, cmp.AllowUnexported(connection{}), cmpopts.EquateComparable(netip.AddrPort{})); diff != "" {
		t.Error(diff)
	}
}

// TestAgree compares a connection over a device whose other end answers nothing with ss.
func TestAgree(t *testing.T) {
	ns, place := probetest.NS(t, "info")
	p := probetest.Open(t, Kind, probe.Env{})
	to := &unix.SockaddrInet4{Port: 80, Addr: [4]byte{127, 0, 0, 1}}
	probetest.In(t, ns, func() {
		sock := func() int {
			fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { unix.Close(fd) })
			return fd
		}
		l, c := sock(), sock()
		if err := unix.Bind(l, to); err != nil {
			t.Fatal(err)
		}
		if err := unix.Listen(l, 9); err != nil {
			t.Fatal(err)
		}
		if err := unix.Connect(c, to); err != nil {
			t.Fatal(err)
		}
		if _, err := unix.Write(c, make([]byte, 5000)); err != nil {
			t.Fatal(err)
		}
	})
	number := regexp.MustCompile(`127\.0\.0\.1:(\d+)\s+127\.0\.0\.1:80\s[^/]*\srtt:([\d.]+)/([\d.]+)`)
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		_ = p.Read(nil)
		got := probetest.ReadIn(t, Kind, p, ns, place)
		out, err := ns.Output("", "ss", "-HtniO")
		if err != nil {
			t.Fatal(err)
		}
		m := number.FindStringSubmatch(out)
		if m == nil {
			t.Fatalf("ss has no such connection:\n%s", out)
		}
		rtt, _ := strconv.ParseFloat(m[2], 64)
		of := fmt.Sprintf(`{pod="shop/info",local="127.0.0.1:%s",remote="127.0.0.1:80"}`, m[1])
		if v := got["tcpinfo_srtt_seconds"+of]; fmt.Sprintf("%.6f", v) == fmt.Sprintf("%.6f", rtt/1000) && v > 0 {
			if len(got) < 2*5 || len(got) > 2*6 { // both ends
				t.Errorf("%d samples of 2 connections:\n%v", len(got), got)
			}
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%v\nss has\n%s", got, out)
		}
	}
}

// TestForget: what was found in a namespace that has ended is not kept.
func TestForget(t *testing.T) {
	p := probetest.Open(t, Kind, probe.Env{}).(*tcpinfo)
	p.last[1], p.last[2] = turn{}, turn{at: time.Now()}
	if err := p.Read(func(probe.Sample) {}); err != nil || len(p.last) != 1 {
		t.Errorf("%d are kept, %v", len(p.last), err)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(make([]byte, 248))
	f.Fuzz(func(t *testing.T, b []byte) {
		if c, ok := decode(b); ok {
			c.tell("", func(probe.Sample) {})
		}
	})
}
