//go:build linux

package bench

import (
	"errors"
	"fmt"
	"io"
	"log"
	"math"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/plumbnet/plumb/agent/observe"
	"github.com/plumbnet/plumb/collect/node"
	"github.com/plumbnet/plumb/lab/sandbox"
	"github.com/plumbnet/plumb/probe/all"
	"github.com/plumbnet/plumb/probe/bpf"
	"golang.org/x/sync/errgroup"
)

// A process of two that have connections between them, one in each of two namespaces with a veth.
const (
	playVar  = "PLUMB_BENCH_PLAY" // it is the server, or the client
	server   = "10.99.0.2"
	lossy    = "10.99.0.3" // the server's too, and some of what is sent there is lost
	lost     = "10.99.0.4" // and half, which is sent again as soon as the kernel does
	queued   = "10.98.0.2" // the server's by devices with a qdisc
	port     = "7777"
	closed   = "7778"
	dropped  = "7779"
	turnTime = 300 * time.Millisecond
	turns    = 48  // of each kind, interleaved
	loads    = 20  // turns of one load
	crowd    = 400 // connections at once, of what is lost
	allowed  = .03 // of a victim's speed

	eventGoal = 250e-9 // s that a program takes
)

// The first thread is no Pod's: the node's namespace is that of process 1, which this is in a sandbox.
func init() { runtime.LockOSThread() }

func init() {
	switch os.Getenv(playVar) {
	case "server":
		serve()
		os.Exit(0)
	case "client":
		play()
		os.Exit(0)
	}
}

// serve answers until it is killed.
func serve() {
	names, err := net.ListenPacket("udp", ":53")
	if err != nil {
		panic(err)
	}
	go func() {
		buf := make([]byte, 512)
		for {
			n, from, err := names.ReadFrom(buf)
			if err != nil {
				return
			}
			buf[2] |= 0x80
			_, _ = names.WriteTo(buf[:n], from)
		}
	}()
	l, err := net.Listen("tcp", ":"+port)
	if err != nil {
		panic(err)
	}
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go answer(c)
	}
}

// play does for turnTime what each line on standard input says, and prints how much of it in a second.
func play() {
	for {
		var what string
		if _, err := fmt.Scanln(&what); err != nil {
			return
		}
		began := time.Now()
		var all errgroup.Group
		var n atomic.Int64
		for range map[bool]int{false: 1, true: crowd}[what == "lost"] {
			all.Go(func() error {
				m, err := act(what, func() bool { return time.Since(began) < turnTime })
				n.Add(int64(m))
				return err
			})
		}
		if err := all.Wait(); err != nil {
			panic(err)
		}
		fmt.Println(float64(n.Load()) / time.Since(began).Seconds())
	}
}

// act does it while it goes on: bytes there, or there and back; connections, datagrams, queries.
func act(what string, goOn func() bool) (n int, err error) {
	var c net.Conn
	buf := make([]byte, 64<<10)
	switch what {
	case "trips", "bulk":
		c, err = net.Dial("tcp", server+":"+port)
	case "lossy":
		c, err = net.Dial("tcp", lossy+":"+port)
	case "lost":
		c, err = net.Dial("tcp", lost+":"+port)
	case "queued":
		c, err = net.Dial("tcp", queued+":"+port)
	case "drops":
		c, err = net.Dial("udp", server+":"+dropped)
	case "queries":
		c, err = net.Dial("udp", server+":53")
		buf = append(make([]byte, 0, 512), "\x00\x07\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x03web\x04shop\x00\x00\x01\x00\x01"...)
	}
	if err != nil {
		return 0, err
	}
	if c != nil {
		defer c.Close()
	}
	for m := 0; err == nil && goOn(); n += m {
		switch what {
		case "trips", "queued":
			if m, err = c.Write(buf[:1]); err == nil {
				_, err = io.ReadFull(c, buf[:1])
			}
		case "lost":
			_ = c.SetDeadline(time.Now().Add(turnTime))
			if m, err = c.Write(buf[:1]); err == nil {
				_, err = io.ReadFull(c, buf[:1])
			}
			if errors.Is(err, os.ErrDeadlineExceeded) {
				return n, c.(*net.TCPConn).SetLinger(0) // nothing is sent any more
			}
		case "bulk", "lossy":
			m, err = c.Write(buf)
		case "drops":
			_, err = c.Write(buf[:100])
			m = 1
		case "queries":
			if _, err = c.Write(buf); err == nil {
				m, err = 1, c.SetReadDeadline(time.Now().Add(10*time.Second))
			}
			if err == nil {
				_, err = c.Read(make([]byte, 512))
			}
		case "connections":
			m = 1
			var c net.Conn
			if c, err = net.Dial("tcp", server+":"+port); err == nil {
				err = c.Close()
			}
		case "refused":
			m = 1
			if c, err := net.Dial("tcp", server+":"+closed); err == nil {
				c.Close()
				return n, errors.New("port " + closed + " is open")
			}
		}
	}
	return n, err
}

// answer sends single bytes back, and takes the rest.
func answer(c net.Conn) {
	buf := make([]byte, 256<<10)
	for {
		n, err := c.Read(buf)
		if err != nil {
			c.Close()
			return
		}
		if n == 1 {
			_, _ = c.Write(buf[:1])
		}
	}
}

// A victim is the client process.
type victim struct {
	in  io.Writer
	out io.Reader
}

func newVictim(b *testing.B) victim {
	b.Helper()
	must := func(err error) {
		b.Helper()
		if err != nil {
			b.Fatal(err)
		}
	}
	var ns [2]*sandbox.NS
	for i := range ns {
		var err error
		ns[i], err = sandbox.NewNS(fmt.Sprintf("victim-%d", i))
		must(err)
		b.Cleanup(func() { _ = ns[i].Delete() })
	}
	for dev, net := range map[string]string{"eth0": "10.99.0", "eth1": "10.98.0"} {
		must(ns[0].Run("", "ip", "link", "add", dev, "type", "veth", "peer", "name", dev, "netns", ns[1].Path))
		for i, n := range ns {
			must(n.Run("", "ip", "addr", "add", fmt.Sprintf("%s.%d/24", net, i+1), "dev", dev))
			must(n.Run("", "ip", "link", "set", dev, "up"))
		}
	}
	must(ns[0].Run("", "tc", "qdisc", "add", "dev", "eth1", "root", "pfifo"))
	for _, addr := range []string{lossy, lost} {
		must(ns[1].Run("", "ip", "addr", "add", addr+"/24", "dev", "eth0"))
	}
	must(ns[0].Run("", "ip", "route", "add", lost, "dev", "eth0", "rto_min", "1ms"))
	for _, rule := range []string{
		"-d " + lossy + " -m statistic --mode random --probability .02",
		"-d " + lost + " -p tcp ! --syn -m length --length 53: -m statistic --mode random --probability .5", // what has data
		"-p udp --dport " + dropped,
	} {
		must(ns[1].Run("", strings.Fields("iptables -A INPUT "+rule+" -j DROP")...))
	}
	start := func(n *sandbox.NS, what string, wire func(*exec.Cmd)) {
		cmd := exec.Command("/proc/self/exe")
		cmd.Env, cmd.Stderr = append(os.Environ(), playVar+"="+what), os.Stderr
		wire(cmd)
		must(n.Do(cmd.Start))
		b.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	}
	start(ns[1], "server", func(*exec.Cmd) {})
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		out, _ := ns[1].Output("", "ss", "-Hltn")
		if strings.Contains(out, ":"+port) {
			break
		}
		if time.Now().After(end) {
			b.Fatal("the server does not listen")
		}
	}
	var v victim
	start(ns[0], "client", func(cmd *exec.Cmd) {
		in, err := cmd.StdinPipe()
		must(err)
		out, err := cmd.StdoutPipe()
		must(err)
		v = victim{in, out}
	})
	return v
}

// turn returns how many bytes a second went one way; one is a round trip.
func (v victim) turn(b *testing.B, what string) (rate float64) {
	fmt.Fprintln(v.in, what)
	if _, err := fmt.Fscanln(v.out, &rate); err != nil {
		b.Fatal(err)
	}
	return rate
}

// watched returns an observer of a victim's namespaces, which watches nothing yet.
func watched(b *testing.B) *observe.Observer {
	b.Helper()
	host, err := sandbox.NewNS("victim-host")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = host.Delete() })
	places, err := node.NewPlaces(node.Options{Node: "n", Host: host.Path, NetNS: []node.NetNS{{Path: "/run/netns/victim-0", Pod: "shop/client"}, {Path: "/run/netns/victim-1", Pod: "shop/server"}}})
	if err != nil {
		b.Fatal(err)
	}
	o := observe.New(observe.Options{Node: "n", Kinds: all.Kinds, Places: places, Log: log.New(os.Stderr, "", 0)})
	b.Cleanup(o.Close)
	return o
}

var (
	none     = observe.Config{Probes: observe.ProbesConfig{Off: []string{"all"}}}
	standard observe.Config
)

// BenchmarkVictim measures what the default probes cost those whose packets they see: turns without and with them,
// in three kinds, of which two are without, and tell how far the machine itself strays. Each begins in turn, and before
// each the probes come and go, since that leaves something behind.
func BenchmarkVictim(b *testing.B) {
	sandbox.Need(b)
	v, o := newVictim(b), watched(b)
	configs := []observe.Config{none, standard, none}
	for b.Loop() {
		for _, what := range []string{"trips", "bulk"} {
			var got [3][]float64
			for i := range turns * len(configs) {
				kind := (i + i/len(configs)) % len(configs)
				o.Apply(standard)
				o.Apply(none)
				o.Apply(configs[kind])
				v.turn(b, what) // of what loading has left behind, and cold caches
				got[kind] = append(got[kind], v.turn(b, what))
			}
			tellVictim(what, got)
		}
	}
}

// BenchmarkPrograms measures what the programs of the default probes take in the kernel, by what they are there for, and what a
// program that does nothing takes at the same place. Both include the kernel's own looks at its clock, before and after each.
func BenchmarkPrograms(b *testing.B) {
	sandbox.Need(b)
	v, o := newVictim(b), watched(b)
	stats, err := bpf.EnableStats()
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { stats.Close() })
	for b.Loop() {
		for _, load := range []struct{ what, probe, tracepoint string }{
			{"trips", "", ""}, {"bulk", "", ""}, {"queries", "dns", ""}, {"drops", "packetloss", "kfree_skb"}, {"connections", "tcpconnect", "inet_sock_set_state"},
			{"refused", "tcpreset", "tcp_send_reset"}, {"lossy", "tcpretransmit", "tcp_retransmit_skb"}, {"lost", "tcpretransmit", "tcp_retransmit_skb"},
			{"queued", "qdisclatency", "qdisc_dequeue"},
		} {
			o.Apply(standard)
			v.turn(b, load.what)
			before, n := programs(b, o), 0.
			for range loads {
				n += v.turn(b, load.what) * turnTime.Seconds()
			}
			after := programs(b, o)
			o.Apply(none)
			tellPrograms(load.what, n, load.probe, nothing(b, v, load.what, load.tracepoint), before, after)
		}
	}
}

// nothing returns the seconds that a program that does nothing takes each time it runs at a tracepoint, zero for none.
func nothing(b *testing.B, v victim, what, tracepoint string) float64 {
	b.Helper()
	if tracepoint == "" {
		return 0
	}
	empty, err := bpf.NewEmpty(tracepoint)
	if err != nil {
		b.Fatal(err)
	}
	defer empty.Close()
	for range loads {
		v.turn(b, what)
	}
	a, err := empty.Account()
	if err != nil {
		b.Fatal(err)
	}
	return a.Time.Seconds() / float64(a.Runs)
}

// A ran is what programs of a probe have taken so far.
type ran struct{ times, seconds float64 }

// programs asks for what programs have taken, by probe.
func programs(b *testing.B, o *observe.Observer) map[string]ran {
	w := httptest.NewRecorder()
	o.Metrics().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	out := map[string]ran{}
	for line := range strings.Lines(w.Body.String()) {
		name, labels, _ := strings.Cut(line, "{")
		_, probe, _ := strings.Cut(labels, `probe="`)
		probe, value, _ := strings.Cut(probe, `"} `)
		r := out[probe]
		switch name {
		case "plumb_agent_probe_program_runs_total":
			fmt.Sscan(value, &r.times)
		case "plumb_agent_probe_program_seconds_total":
			fmt.Sscan(value, &r.seconds)
		}
		out[probe] = r
	}
	if len(out) == 0 {
		b.Fatal("no programs")
	}
	return out
}

// tellPrograms prints it.
func tellPrograms(what string, n float64, probe string, nothing float64, before, after map[string]ran) {
	all := 0.
	for name, a := range after {
		times, seconds := a.times-before[name].times, a.seconds-before[name].seconds
		all += seconds
		if name == probe && times > 0 {
			fmt.Printf("programs of %s: %.0f ns each of %.0f times, %.1f for each of %s; goal %.0f ns: %s", name, 1e9*seconds/times, times, times/n, what, 1e9*eventGoal, stands(seconds/times <= eventGoal))
			if nothing > 0 {
				fmt.Printf("; one that does nothing there: %.0f ns", 1e9*nothing)
			}
			fmt.Println()
		}
	}
	fmt.Printf("programs of all default probes: %.3g %% of two CPUs' time for %s, %.0f ns for each\n", 100*all/(loads*turnTime.Seconds()*2), what, 1e9*all/n)
}

// tellVictim prints what came of it, by medians.
func tellVictim(what string, got [3][]float64) {
	without := append(slices.Clone(got[0]), got[2]...)
	base := median(without)
	cost, noise := 1-median(got[1])/base, strays(without)
	fmt.Printf("victim, %-5s a second: %.4g without (middle half ±%.1f %%), %.4g with the default probes: %+.1f %%; without against without: %.1f %%, and up to %.1f %% in 19 of 20 ways to halve them; goal 3 %% or that: %s\n",
		what, base, 50*spread(without)/base, median(got[1]), -100*cost, 100*math.Abs(median(got[0])-median(got[2]))/base, 100*noise, stands(cost <= max(allowed, noise)))
}

// strays returns by how much, as a share, two halves of what was measured differ in 19 of 20 ways to halve it.
func strays(list []float64) float64 {
	const ways = 1000
	list, base := slices.Clone(list), median(list)
	differ := make([]float64, ways)
	random := rand.New(rand.NewPCG(1, 2))
	for i := range differ {
		random.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
		differ[i] = math.Abs(median(list[:len(list)/2])-median(list[len(list)/2:])) / base
	}
	slices.Sort(differ)
	return differ[ways*19/20]
}

func median(list []float64) float64 {
	s := slices.Sorted(slices.Values(list))
	return (s[len(s)/2] + s[(len(s)-1)/2]) / 2
}

// spread returns how wide the middle half is.
func spread(list []float64) float64 {
	s := slices.Sorted(slices.Values(list))
	return s[len(s)*3/4] - s[len(s)/4]
}
