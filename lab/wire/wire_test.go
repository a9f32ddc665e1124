//go:build linux

package wire

import (
	"fmt"
	"io"
	"math"
	"net"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/plumbnet/plumb/lab"
	"github.com/plumbnet/plumb/lab/sandbox"
)

func TestMain(m *testing.M) { sandbox.Main(m) }

// switched makes a switch with two hosts, a at 192.0.2.1 and b at 192.0.2.2.
func switched(t *testing.T) (sw, a, b *sandbox.NS) {
	t.Helper()
	sandbox.Need(t)
	for name, ns := range map[string]**sandbox.NS{"switch": &sw, "a": &a, "b": &b} {
		n, err := sandbox.NewNS(name)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := n.Delete(); err != nil {
				t.Error(err)
			}
		})
		*ns = n
	}
	if err := lab.IPBatch(sw, "link add br0 type bridge\nlink set br0 up\nlink add p-a type veth peer name eth0 netns a\nlink add p-b type veth peer name eth0 netns b\n"+
		"link set p-a master br0 up\nlink set p-b master br0 up\n"); err != nil {
		t.Fatal(err)
	}
	for i, ns := range []*sandbox.NS{a, b} {
		if err := lab.IPBatch(ns, fmt.Sprintf("addr add 192.0.2.%d/24 dev eth0\nlink set eth0 up\n", i+1)); err != nil {
			t.Fatal(err)
		}
	}
	return sw, a, b
}

// A pinging is what ping says at its end.
type pinging struct {
	loss          float64 // %
	min, avg, max float64 // ms
}

var (
	lossLine = regexp.MustCompile(`([0-9.]+)% packet loss`)
	rttLine  = regexp.MustCompile(`= ([0-9.]+)/([0-9.]+)/([0-9.]+)/`)
)

func ping(t *testing.T, from *sandbox.NS, n int, every string) (p pinging) {
	t.Helper()
	out, _ := from.Output("", "ping", "-q", "-c", strconv.Itoa(n), "-i", every, "-W", "1", "192.0.2.2") // its status is 1 where nothing came back
	number := func(s string) float64 {
		v, err := strconv.ParseFloat(s, 64)
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		return v
	}
	m := lossLine.FindStringSubmatch(out)
	if m == nil {
		t.Fatalf("ping: %s", out)
	}
	p.loss, p.min, p.avg, p.max = number(m[1]), math.NaN(), math.NaN(), math.NaN()
	if m := rttLine.FindStringSubmatch(out); m != nil {
		p.min, p.avg, p.max = number(m[1]), number(m[2]), number(m[3])
	}
	return p
}

// open puts a wire at a's port.
func open(t *testing.T, sw *sandbox.NS, l Line) (close func() string) {
	t.Helper()
	var w *Wire
	if err := sw.Do(func() (err error) {
		w, err = Open("p-a", l)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return func() string {
		if err := sw.Do(w.Close); err != nil {
			t.Error(err)
		}
		return w.String()
	}
}

// TestPing puts wires between two hosts, and wants ping to see what they do. A wire works each way, so that a round trip takes twice its delay.
func TestPing(t *testing.T) {
	sw, a, _ := switched(t)
	for _, c := range []struct {
		name     string
		l        Line
		n        int
		every    string
		min, avg [2]float64 // ms, from and to; a busy machine is late, not early
		loss     [2]float64
	}{
		{"no wire's doing", Line{}, 50, "0.01", [2]float64{0, 20}, [2]float64{0, 50}, [2]float64{0, 0}},
		{"delay", Line{Delay: 20 * ms}, 50, "0.01", [2]float64{40, 60}, [2]float64{40, 90}, [2]float64{0, 0}},
		{"delay and jitter", Line{Delay: 20 * ms, Jitter: 5 * ms}, 100, "0.01", [2]float64{30, 45}, [2]float64{38, 90}, [2]float64{0, 0}},
		{"loss", Line{Loss: 0.1, Seed: 3}, 400, "0.002", [2]float64{0, 20}, [2]float64{0, 50}, [2]float64{12, 26}}, // 1 - 0.9² = 19 %
		{"everything is lost", Line{Loss: 1}, 5, "0.01", [2]float64{}, [2]float64{}, [2]float64{100, 100}},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := ping(t, a, 3, "0.01")
			close := open(t, sw, c.l)
			got := ping(t, a, c.n, c.every)
			fmt.Printf("wire: %-17s %+v: ping sees %.2f/%.2f/%.2f ms, %.1f %% lost (without: %.2f ms); %s\n", c.name, c.l, got.min, got.avg, got.max, got.loss, before.avg, close())
			for _, f := range []struct {
				name string
				got  float64
				want [2]float64
			}{{"min", got.min, c.min}, {"avg", got.avg, c.avg}, {"loss", got.loss, c.loss}} {
				if f.want != [2]float64{} && !(f.got >= f.want[0] && f.got <= f.want[1]) {
					t.Errorf("%s: %v, want %v", f.name, f.got, f.want)
				}
			}
			if after := ping(t, a, 3, "0.01"); after.loss > 0 || after.min > 20 {
				t.Errorf("the wire is out, and ping sees %+v", after)
			}
		})
	}
}

// TestBulk sends a megabyte through wires: segments of TCP are cut to frames, those that overtake do not break it, and a rate holds.
func TestBulk(t *testing.T) {
	sw, a, b := switched(t)
	var server net.Listener
	if err := b.Do(func() (err error) {
		server, err = net.Listen("tcp", "192.0.2.2:80")
		return err
	}); err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	go func() {
		for {
			c, err := server.Accept()
			if err != nil {
				return
			}
			io.Copy(io.Discard, c)
			c.Close()
		}
	}()
	const size = 1 << 20
	for _, c := range []struct {
		name    string
		l       Line
		atLeast time.Duration
	}{
		{"a cable", Line{}, 0},
		{"frames overtake", Line{Delay: 5 * ms, Reorder: 0.05}, 0},
		{"10 Mbit/s", Line{Rate: 1e7}, 800 * ms}, // 8.4 Mbit
	} {
		t.Run(c.name, func(t *testing.T) {
			close := open(t, sw, c.l)
			begun := time.Now()
			if err := a.Do(func() error {
				conn, err := net.DialTimeout("tcp", "192.0.2.2:80", 10*time.Second)
				if err != nil {
					return err
				}
				defer conn.Close()
				conn.SetDeadline(time.Now().Add(30 * time.Second))
				if _, err := conn.Write(make([]byte, size)); err != nil {
					return err
				}
				conn.(*net.TCPConn).CloseWrite()
				_, err = conn.Read(make([]byte, 1)) // the end: all has arrived
				if err == io.EOF {
					err = nil
				}
				return err
			}); err != nil {
				t.Error(err)
			}
			took := time.Since(begun)
			said := close()
			fmt.Printf("wire: %-17s 1 MiB in %s; %s\n", c.name, took.Round(ms), said)
			if took < c.atLeast {
				t.Errorf("took %s, want at least %s", took, c.atLeast)
			}
			var frames int
			fmt.Sscanf(said, "p-a: %d frames", &frames)
			if frames < size/1500 {
				t.Errorf("%d frames: they are larger than on a wire", frames)
			}
		})
	}
}

func TestOpenAndClose(t *testing.T) {
	sw, a, _ := switched(t)
	devices := func() string {
		out, err := sw.Output("", "ip", "-o", "link")
		if err != nil {
			t.Fatal(err)
		}
		return regexp.MustCompile(`(?m)^\d+: ([^:@]+).*?(master \S+)? .*$`).ReplaceAllString(out, "$1 $2")
	}
	before := devices()
	for _, c := range []struct {
		name, port string
		l          Line
		want       string
	}{
		{"no such device", "p-c", Line{}, "no device p-c"},
		{"no port", "br0", Line{}, "br0 is no port of a bridge"},
		{"no name", "p-", Line{}, "no names"},
		{"a long name", "p-a-very-long-name", Line{}, "no names"},
		{"no such wire", "p-a", Line{Jitter: ms}, "more than the delay"},
	} {
		err := sw.Do(func() error {
			_, err := Open(c.port, c.l)
			return err
		})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
	close := open(t, sw, Line{})
	in, err := false, error(nil)
	at := func() error { in, err = At("p-a"); return err }
	if err := sw.Do(at); err != nil || !in {
		t.Errorf("no wire at p-a: %v", err)
	}
	if err := sw.Do(func() error { _, err := Open("p-a", Line{}); return err }); err == nil {
		t.Error("two wires at one port")
	}
	close()
	if err := sw.Do(at); err != nil || in {
		t.Errorf("still a wire at p-a: %v", err)
	}
	if after := devices(); after != before {
		t.Errorf("left behind:\n%s\nwant\n%s", after, before)
	}
	// What is left of one that was killed: its bridge, with the port on it.
	if err := lab.IPBatch(sw, "link add w-a type bridge\nlink set p-a master w-a\n"); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := sw.Do(func() error { return Heal("p-a", "br0") }); err != nil {
			t.Error(err)
		}
	}
	if after := devices(); after != before {
		t.Errorf("not healed:\n%s\nwant\n%s", after, before)
	}
	if got := ping(t, a, 3, "0.01"); got.loss > 0 {
		t.Errorf("%+v", got)
	}
}

func TestParseLink(t *testing.T) {
	for _, c := range []struct {
		out  string
		want link
		ok   bool
	}{
		{`[{"ifname":"p-a","mtu":1500,"master":"br0"}]`, link{"br0", 1500}, true},
		{`[{"ifname":"br0","mtu":1400}]`, link{"", 1400}, true},
		{`[]`, link{}, false},
		{`Device does not exist`, link{}, false},
	} {
		if got, err := parseLink([]byte(c.out)); got != c.want || (err == nil) != c.ok {
			t.Errorf("%s: %+v, %v", c.out, got, err)
		}
	}
}
