//go:build linux

package bench

import (
	"fmt"
	"io"
	"log"
	"math"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/plumbnet/plumb/agent/observe"
	"github.com/plumbnet/plumb/collect/node"
	"github.com/plumbnet/plumb/lab/sandbox"
	"github.com/plumbnet/plumb/probe/all"
)

// A process of two that have a connection between them, one in each of two namespaces with a veth.
const (
	playVar  = "PLUMB_BENCH_PLAY" // it is the server, or the client and what it does
	port     = "7777"
	turnTime = 300 * time.Millisecond
	turns    = 24  // of each kind, interleaved
	allowed  = .03 // of a victim's speed
)

func init() {
	if what := os.Getenv(playVar); what != "" {
		play(what)
		os.Exit(0)
	}
}

// play serves, or does for turnTime what it is told by each line on standard input, and prints how much of it.
func play(what string) {
	if what == "server" {
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
	for {
		var turn string
		if _, err := fmt.Scanln(&turn); err != nil {
			return
		}
		c, err := net.Dial("tcp", what+":"+port)
		if err != nil {
			panic(err)
		}
		n, began := 0, time.Now()
		buf := make([]byte, 64<<10)
		if turn == "trips" {
			buf = buf[:1]
		}
		for time.Since(began) < turnTime {
			m, err := c.Write(buf)
			if err == nil && turn == "trips" {
				_, err = io.ReadFull(c, buf)
			}
			if err != nil {
				panic(err)
			}
			n += m
		}
		fmt.Println(float64(n) / time.Since(began).Seconds())
		c.Close()
	}
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
	must(ns[0].Run("", "ip", "link", "add", "eth0", "type", "veth", "peer", "name", "eth0", "netns", ns[1].Path))
	for i, n := range ns {
		must(n.Run("", "ip", "addr", "add", fmt.Sprintf("10.99.0.%d/24", i+1), "dev", "eth0"))
		must(n.Run("", "ip", "link", "set", "eth0", "up"))
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
	start(ns[0], "10.99.0.2", func(cmd *exec.Cmd) {
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

// BenchmarkVictim measures what the default probes cost those whose packets they see: turns without and with them,
// interleaved, in three kinds; the first and the last are both without, and tell how far the machine itself strays.
func BenchmarkVictim(b *testing.B) {
	sandbox.Need(b)
	host, err := sandbox.NewNS("victim-host")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = host.Delete() })
	v := newVictim(b)
	places, err := node.NewPlaces(node.Options{Node: "n", Host: host.Path, NetNS: []node.NetNS{{Path: "/run/netns/victim-0", Pod: "shop/client"}, {Path: "/run/netns/victim-1", Pod: "shop/server"}}})
	if err != nil {
		b.Fatal(err)
	}
	o := observe.New(observe.Options{Node: "n", Kinds: all.Kinds, Places: places, Log: log.New(os.Stderr, "", 0)})
	b.Cleanup(o.Close)
	configs := []observe.Config{{Probes: observe.ProbesConfig{Off: []string{"all"}}}, {}, {Probes: observe.ProbesConfig{Off: []string{"all"}}}}
	for b.Loop() {
		for _, what := range []string{"trips", "bulk"} {
			var got [3][]float64
			v.turn(b, what) // the first is of cold caches
			for range turns {
				for i, c := range configs {
					o.Apply(c)
					v.turn(b, what) // of what loading has left behind
					got[i] = append(got[i], v.turn(b, what))
				}
			}
			tellVictim(what, got)
		}
	}
}

// tellVictim prints what came of it, by medians.
func tellVictim(what string, got [3][]float64) {
	base := median(append(slices.Clone(got[0]), got[2]...))
	noise, cost := math.Abs(median(got[0])-median(got[2]))/base, 1-median(got[1])/base
	stands := "missed"
	if cost <= max(allowed, noise) {
		stands = "met"
	}
	fmt.Printf("victim, %-5s a second: %.4g without (middle half ±%.1f %%), %.4g with the default probes: %+.1f %%; without against without: %.1f %%; goal 3 %% or the noise: %s\n",
		what, base, 50*spread(got[0])/base, median(got[1]), -100*cost, 100*noise, stands)
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
