//go:build linux

package sock

import (
	"fmt"
	"regexp"
	"strconv"
	"testing"

	"github.com/plumbnet/plumb/lab/sandbox"
	"github.com/plumbnet/plumb/probe"
	"github.com/plumbnet/plumb/probe/probetest"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) { sandbox.Main(m) }

// The files are of Linux 6.18.
func TestRecorded(t *testing.T) {
	p := probetest.Open(t, Kind, probe.Env{Proc: "../procnet/testdata/6.18"})
	for _, tt := range []struct {
		name  string
		place probe.Place
		want  string
	}{
		{"the node's own", probe.Place{Host: true}, fmt.Sprintf(`
sock_allocated 16
sock_inuse{protocol="TCP"} 5
sock_inuse{protocol="TCP6"} 0
sock_inuse{protocol="UDP"} 1
sock_memory_bytes{protocol="TCP"} %.0f
sock_memory_bytes{protocol="UDP"} %.0f
sock_memory_limit_bytes{protocol="TCP"} %.0f
sock_memory_limit_bytes{protocol="UDP"} %.0f
sock_orphans 10
sock_timewait 1
sock_used 6`, 127*page, 9*page, 575664.0*page, 1151334.0*page)},
		{"a Pod's", probe.Place{Pod: "shop/web-0"}, `
sock_inuse{pod="shop/web-0",protocol="TCP"} 5
sock_inuse{pod="shop/web-0",protocol="TCP6"} 0
sock_inuse{pod="shop/web-0",protocol="UDP"} 1
sock_timewait{pod="shop/web-0"} 1
sock_used{pod="shop/web-0"} 6`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := probetest.Collect(t, Kind, func(emit func(probe.Sample)) error { return p.ReadIn(tt.place, emit) })
			if diff := probetest.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestAgree opens sockets, counts them, and compares with ss.
func TestAgree(t *testing.T) {
	ns, place := probetest.NS(t, "sock")
	p := probetest.Open(t, Kind, probe.Env{})
	const many = 15
	probetest.In(t, ns, func() {
		for i := range 3 * many {
			family, kind := unix.AF_INET, unix.SOCK_DGRAM
			if i >= many {
				kind = unix.SOCK_STREAM
			}
			var sa unix.Sockaddr = &unix.SockaddrInet4{Port: 1000 + i}
			if i >= 2*many {
				family, sa = unix.AF_INET6, &unix.SockaddrInet6{Port: 1000 + i}
			}
			fd, err := unix.Socket(family, kind|unix.SOCK_CLOEXEC, 0)
			if err == nil {
				err = unix.Bind(fd, sa)
			}
			if err == nil && kind == unix.SOCK_STREAM {
				err = unix.Listen(fd, 1)
			}
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { unix.Close(fd) })
		}
	})
	got := probetest.ReadIn(t, Kind, p, ns, place)
	for _, protocol := range []string{"UDP", "TCP", "TCP6"} {
		if s := fmt.Sprintf(`sock_inuse{pod="shop/sock",protocol=%q}`, protocol); got[s] != many {
			t.Errorf("%s is %g, want %d", s, got[s], many)
		}
	}
	out, err := ns.Output("", "ss", "-s")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, m := range regexp.MustCompile(`(?m)^(UDP|TCP)\s+(\d+)\s+(\d+)\s+(\d+)`).FindAllStringSubmatch(out, -1) {
		for i, protocol := range []string{m[1], m[1] + "6"} {
			want, _ := strconv.ParseFloat(m[3+i], 64)
			if s := fmt.Sprintf(`sock_inuse{pod="shop/sock",protocol=%q}`, protocol); got[s] != want {
				t.Errorf("%s is %g, ss has %g", s, got[s], want)
			}
			n++
		}
	}
	if n != 4 {
		t.Errorf("compared %d numbers of\n%s", n, out)
	}
	t.Logf("agree: ss -s: %d numbers", n)
}
