//go:build linux

package tcpsummary

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/plumbnet/plumb/lab/sandbox"
	"github.com/plumbnet/plumb/probe"
	"github.com/plumbnet/plumb/probe/probetest"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) { sandbox.Main(m) }

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// socket opens a TCP socket in the thread's namespace.
func socket(t *testing.T) int {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	must(t, err)
	t.Cleanup(func() { unix.Close(fd) })
	return fd
}

// TestAgree makes connections in several states, with bytes that wait, and compares with ss.
func TestAgree(t *testing.T) {
	ns, place := probetest.NS(t, "summary")
	p := probetest.Open(t, Kind, probe.Env{})
	const many = 10
	to := &unix.SockaddrInet4{Port: 80, Addr: [4]byte{127, 0, 0, 1}}
	probetest.In(t, ns, func() {
		l := socket(t)
		must(t, unix.Bind(l, to))
		must(t, unix.Listen(l, 30))
		for i := range 3 * many {
			c := socket(t)
			must(t, unix.Connect(c, to))
			if i < many { // these are never accepted
				continue
			}
			s, _, err := unix.Accept(l)
			must(t, err)
			t.Cleanup(func() { unix.Close(s) })
			switch {
			case i < 2*many: // the other side does not close: CLOSE_WAIT there, FIN_WAIT2 here
				must(t, unix.Shutdown(c, unix.SHUT_WR))
			default:
				_, err = unix.Write(s, make([]byte, 1000))
				must(t, err)
			}
		}
	})
	var got probetest.Samples
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(5 * time.Millisecond) { // until the last acknowledgement is there
		_ = p.Read(nil)
		got = probetest.ReadIn(t, Kind, p, ns, place)
		if got[`tcpsummary_connections{pod="shop/summary",state="FIN_WAIT2"}`] == many || time.Now().After(deadline) {
			break
		}
	}
	want := fmt.Sprintf(`
tcpsummary_connections{pod="shop/summary",state="CLOSE_WAIT"} %d
tcpsummary_connections{pod="shop/summary",state="ESTABLISHED"} %d
tcpsummary_connections{pod="shop/summary",state="FIN_WAIT2"} %d
tcpsummary_listen_backlog{pod="shop/summary",port="80"} 30
tcpsummary_listen_queue{pod="shop/summary",port="80"} %d
tcpsummary_receive_queue_bytes{pod="shop/summary"} %d
tcpsummary_send_queue_bytes{pod="shop/summary"} 0`, many, 4*many, many, many, 1000*many+many) // a FIN counts as a byte
	if diff := probetest.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	out, err := ns.Output("", "ss", "-Htan")
	must(t, err)
	ss := map[string]float64{}
	for _, m := range regexp.MustCompile(`(?m)^(\S+)\s+(\d+)\s+(\d+)`).FindAllStringSubmatch(out, -1) {
		ss[strings.NewReplacer("ESTAB", "ESTABLISHED", "FIN-WAIT-", "FIN_WAIT", "-", "_").Replace(m[1])]++
	}
	delete(ss, "LISTEN")
	for _, state := range slices.Sorted(maps.Keys(ss)) {
		if s := fmt.Sprintf(`tcpsummary_connections{pod="shop/summary",state=%q}`, state); got[s] != ss[state] {
			t.Errorf("%s is %g, ss has %g", s, got[s], ss[state])
		}
	}
	t.Logf("agree: ss -tan: %d states", len(ss))
}

// TestStands wants sockets listed again when something has changed of them, and only then.
func TestStands(t *testing.T) {
	ns, place := probetest.NS(t, "stands")
	p := probetest.Open(t, Kind, probe.Env{}).(*tcpsummary)
	to := &unix.SockaddrInet4{Port: 80, Addr: [4]byte{127, 0, 0, 1}}
	var l, c, s int
	in := func(f func() error) func() {
		return func() { probetest.In(t, ns, func() { must(t, f()) }) }
	}
	read := func() string {
		must(t, p.Read(nil))
		got := probetest.ReadIn(t, Kind, p, ns, place)
		out := ""
		for _, name := range []string{`connections{pod="shop/stands",state="ESTABLISHED"}`, `listen_queue{pod="shop/stands",port="80"}`, `receive_queue_bytes{pod="shop/stands"}`} {
			out += fmt.Sprint(got["tcpsummary_"+name], " ")
		}
		return out
	}
	for _, step := range []struct {
		name string
		do   func()
		want string // connections, those that wait to be accepted, and bytes to be read
	}{
		{"a listener", in(func() error { l = socket(t); return errors.Join(unix.Bind(l, to), unix.Listen(l, 9)) }), "0 0 0 "},
		{"a connection", in(func() error { c = socket(t); return unix.Connect(c, to) }), "2 1 0 "},
		{"it is accepted", in(func() (err error) { s, _, err = unix.Accept(l); t.Cleanup(func() { unix.Close(s) }); return err }), "2 0 0 "},
		{"it is written to", in(func() error { _, err := unix.Write(c, make([]byte, 7)); return err }), "2 0 7 "},
		{"it is read", in(func() error { _, err := unix.Read(s, make([]byte, 9)); return err }), "2 0 0 "},
		{"another socket", in(func() error { return unix.Listen(socket(t), 9) }), "2 0 0 "},
		{"it is closed", in(func() error { return errors.Join(unix.Shutdown(c, unix.SHUT_RDWR), unix.Shutdown(s, unix.SHUT_RDWR)) }), "0 0 0 "},
	} {
		step.do()
		var got string
		for deadline := time.Now().Add(5 * time.Second); got != step.want && time.Now().Before(deadline); { // until the last acknowledgement is there
			got = read()
		}
		if got != step.want {
			t.Errorf("%s: %q, want %q", step.name, got, step.want)
		}
	}
	for range 2 * mostTold {
		if read(); p.last[place.Net].told == mostTold {
			break
		}
	}
	if told := p.last[place.Net].told; told != mostTold {
		t.Errorf("told %d times, of nothing that has changed", told)
	}
	if read(); p.last[place.Net].told != 1 {
		t.Errorf("told %d times", p.last[place.Net].told)
	}
}

// TestNone: a namespace without TCP sockets is not asked about, and what was kept of it is gone.
func TestNone(t *testing.T) {
	proc := t.TempDir()
	dir := filepath.Join(proc, "thread-self/net")
	must(t, os.MkdirAll(dir, 0o755))
	must(t, os.WriteFile(filepath.Join(dir, "sockstat"), []byte("TCP: inuse 0 orphan 0 tw 7 alloc 1 mem 0\n"), 0o644))
	p := probetest.Open(t, Kind, probe.Env{Proc: proc}).(*tcpsummary)
	p.last[9] = summary{receive: 5}
	got := probetest.Collect(t, Kind, func(emit func(probe.Sample)) error { return p.ReadIn(probe.Place{Net: 9}, emit) })
	if diff := probetest.Diff("tcpsummary_connections{state=\"ESTABLISHED\"} 0\ntcpsummary_connections{state=\"TIME_WAIT\"} 7\ntcpsummary_receive_queue_bytes 0\ntcpsummary_send_queue_bytes 0\n", got); diff != "" {
		t.Error(diff)
	}
	p.last[8] = summary{at: time.Now()}
	p.last[7] = summary{}
	if err := p.Read(nil); err != nil || len(p.last) != 1 {
		t.Errorf("%d are kept, %v", len(p.last), err)
	}
	must(t, os.WriteFile(filepath.Join(dir, "sockstat"), []byte("TCP: inuse x\n"), 0o644))
	if err := p.ReadIn(probe.Place{Net: 9}, nil); err == nil {
		t.Error("no error")
	}
}

func TestFullest(t *testing.T) {
	ports := map[uint16]listener{1: {1, 0, 10}, 2: {2, 5, 10}, 3: {3, 0, 20}, 4: {4, 0, 0}, 5: {5, 1, 0}}
	got := ""
	for _, l := range fullest(ports) {
		got += fmt.Sprint(l.port, " ")
	}
	if want := "5 2 3 1 4 "; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	for i := range uint16(100) {
		ports[i] = listener{port: i}
	}
	if n := len(fullest(ports)); n != mostPorts {
		t.Errorf("%d ports, want %d", n, mostPorts)
	}
}
