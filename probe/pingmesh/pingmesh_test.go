//go:build linux

package pingmesh

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/plumbnet/plumb/event"
	"github.com/plumbnet/plumb/lab/sandbox"
	"github.com/plumbnet/plumb/probe"
	"github.com/plumbnet/plumb/probe/probetest"
	"github.com/plumbnet/plumb/snapshot"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) { sandbox.Main(m) }

// A member is a node of the mesh, with its own probe.
type member struct {
	ns     *sandbox.NS
	probe  probe.Probe
	events <-chan event.Event
}

// A lab is nodes a and b, each with 10.N.0.1 behind a router r, which has 10.N.0.254:
//
//	a eth0 ── va r vb ── eth0 b
type lab struct {
	r       *sandbox.NS
	nodes   map[string]*member
	mu      sync.Mutex
	targets []probe.Target
}

func (l *lab) list() []probe.Target {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.targets
}

func (l *lab) set(targets ...probe.Target) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.targets = targets
}

func target(node, path, addr string) probe.Target {
	return probe.Target{Node: node, Path: path, Addr: netip.MustParseAddr(addr)}
}

// newLab makes nodes, of which those in watch run the probe.
func newLab(t *testing.T, watch ...string) *lab {
	t.Helper()
	l := &lab{nodes: map[string]*member{}}
	l.r, _ = probetest.NS(t, "r")
	probetest.Sh(t, l.r, "sysctl -qw net.ipv4.ip_forward=1")
	l.set(target("a", "host", "10.1.0.1"), target("b", "host", "10.2.0.1"))
	for i, name := range []string{"a", "b"} {
		ns, _ := probetest.NS(t, name)
		l.nodes[name] = &member{ns: ns}
		probetest.Sh(t, l.r, fmt.Sprintf("ip link add v%[1]s type veth peer eth0 netns %[1]s; ip addr add 10.%[2]d.0.254/24 dev v%[1]s; ip link set v%[1]s up", name, i+1))
		probetest.Sh(t, ns, fmt.Sprintf("ip addr add 10.%[1]d.0.1/24 dev eth0; ip link set eth0 up; ip route add default via 10.%[1]d.0.254", i+1))
	}
	probetest.Up(t, l.r, "va", "vb")
	for _, name := range watch {
		l.watch(t, name)
	}
	return l
}

func (l *lab) watch(t *testing.T, name string) {
	t.Helper()
	n := l.nodes[name]
	host := probe.Place{Net: probetest.Cookie(t, n.ns), Host: true}
	places := probetest.Places{Is: []probe.Place{host}, NS: map[uint64]func(func() error) error{host.Net: n.ns.Do}}
	n.probe = probetest.Open(t, Kind, probe.Env{Node: name, Places: places, Targets: l.list})
	n.events = probetest.Watch(t, n.probe)
}

// next returns the next event of a node, without its times.
func (n *member) next(t *testing.T) string {
	t.Helper()
	select {
	case e := <-n.events:
		line := e.Kind + " " + e.Node
		for _, f := range e.Detail {
			if f.Key != "after" {
				line += " " + f.Key + "=" + f.Value
			}
		}
		return line
	case <-time.After(20 * time.Second):
		t.Fatalf("no event; %v", probetest.Collect(t, Kind, n.probe.Read))
		return ""
	}
}

// until waits until a counter is at least as high.
func (n *member) until(t *testing.T, series string, least float64) (all probetest.Samples) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for all[series] < least {
		if time.Now().After(deadline) {
			t.Fatalf("%s is %g\n%v", series, all[series], all)
		}
		time.Sleep(50 * time.Millisecond)
		all = probetest.Collect(t, Kind, n.probe.Read)
	}
	return all
}

// TestHealthy has two nodes ask each other by both families: all is answered, though no agent listens on TCP, and nothing is told.
func TestHealthy(t *testing.T) {
	l := newLab(t)
	for i, name := range []string{"a", "b"} {
		probetest.Sh(t, l.nodes[name].ns, fmt.Sprintf("ip addr add fd00:%[1]d::1/64 dev eth0 nodad; ip route add default via fd00:%[1]d::fe", i+1))
		probetest.Sh(t, l.r, fmt.Sprintf("sysctl -qw net.ipv6.conf.all.forwarding=1; ip addr add fd00:%d::fe/64 dev v%s nodad", i+1, name))
	}
	l.set(append(l.list(), target("a", "six", "fd00:1::1"), target("b", "six", "fd00:2::1"))...)
	cpu := used()
	l.watch(t, "a")
	l.watch(t, "b")
	sent := 0.0
	for name, peer := range map[string]string{"a": "b", "b": "a"} {
		got := l.nodes[name].until(t, `pingmesh_sent_total{peer="`+peer+`",path="six",ask="udp"}`, 5)
		for series, v := range got {
			if strings.Contains(series, "lost") {
				t.Errorf("%s: %s %g", name, series, v)
			}
		}
		for _, ask := range askNames {
			sent += got[`pingmesh_sent_total{peer="`+peer+`",path="six",ask="`+ask+`"}`] + got[`pingmesh_sent_total{peer="`+peer+`",path="host",ask="`+ask+`"}`]
		}
		if len(got) != 2*(asks+1) {
			t.Errorf("%s: %v", name, got)
		}
	}
	t.Logf("%v of CPU for each of %g that were sent", (used()-cpu).Round(time.Microsecond)/time.Duration(sent), sent)
	var n, longer uint64
	if n, longer = probetest.Hist(t, l.nodes["a"].probe, `pingmesh_rtt_seconds{peer="b",path="host"}`, time.Second); n < 4 || longer > 0 {
		t.Errorf("%d round trips, %d of more than a second", n, longer)
	}
	for name, x := range l.nodes {
		if len(x.events) > 0 {
			t.Errorf("%s: %v", name, <-x.events)
		}
	}
}

// used is the CPU time of this process.
func used() time.Duration {
	var u unix.Rusage
	_ = unix.Getrusage(unix.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// TestLoss drops every fourth small ping, and one of the answers to datagrams: what is lost is what the rules have dropped.
func TestLoss(t *testing.T) {
	l := newLab(t, "b")
	probetest.Sh(t, l.r, `
nft add table ip t
nft add counter ip t pings
nft add counter ip t datagrams
nft add chain ip t c '{ type filter hook forward priority 0; }'
nft add rule ip t c icmp type echo-request ip length 64 ip saddr 10.1.0.1 numgen inc mod 4 0 counter name pings drop
nft add rule ip t c udp sport 10270 ip daddr 10.1.0.1 numgen inc mod 2 0 counter name datagrams drop`)
	l.watch(t, "a")
	a := l.nodes["a"]
	a.until(t, `pingmesh_lost_total{peer="b",path="host",ask="echo",fate="silent"}`, 3)
	l.set() // no more is sent
	got := probetest.Samples{}
	probetest.Until(t, func() string {
		before := got
		got = probetest.Collect(t, Kind, a.probe.Read)
		time.Sleep(1500 * time.Millisecond) // a round and its time limit
		return cmp.Diff(before, got)
	})
	for ask, counter := range map[string]string{"echo": "pings", "udp": "datagrams"} {
		out, err := l.r.Output("", "nft", "list", "counter", "ip", "t", counter)
		if err != nil {
			t.Fatal(err)
		}
		want := fmt.Sprintf("packets %.0f ", got[`pingmesh_lost_total{peer="b",path="host",ask="`+ask+`",fate="silent"}`])
		if !strings.Contains(out, want) {
			t.Errorf("%s: want %q in %s", ask, want, out)
		}
	}
	for _, ask := range []string{"full", "tcp"} {
		if n := got[`pingmesh_lost_total{peer="b",path="host",ask="`+ask+`",fate="silent"}`]; n != 0 {
			t.Errorf("%g of %s are lost", n, ask)
		}
	}
	if len(a.events) > 0 {
		t.Errorf("%v", <-a.events)
	}
}

// TestStops cuts a peer off and lets it back, then blocks one protocol, then makes a link smaller without telling.
func TestStops(t *testing.T) {
	l := newLab(t, "a", "b")
	a := l.nodes["a"]
	a.until(t, `pingmesh_sent_total{peer="b",path="host",ask="udp"}`, 2)
	const head = "pingmesh a peer=b path=host address=10.2.0.1 "
	const all = head + "lost=none passes=echo,full(1500),tcp,udp"
	for _, tt := range []struct{ name, script, want string }{
		{"cut off", "nft add table ip t; nft add chain ip t c '{ type filter hook forward priority 0; policy drop; }'", head + "lost=echo,full(1500),tcp,udp passes=none why=silent"},
		{"back", "nft delete table ip t", all},
		{"a protocol", "nft add table ip t; nft add chain ip t c '{ type filter hook forward priority 0; }'; nft add rule ip t c tcp flags syn drop", head + "lost=tcp passes=echo,full(1500),udp why=silent"},
		{"back", "nft delete table ip t", all},
		{"a black hole", "ip link set vb mtu 1400; nft add table ip t; nft add chain ip t c '{ type filter hook output priority 0; }'; nft add rule ip t c icmp type destination-unreachable drop", head + "lost=full(1500) passes=echo,tcp,udp why=silent"},
		{"which is told", "nft delete table ip t; ip link set vb mtu 1500", all},
		{"a small link", "ip link set vb mtu 1400", head + "lost=full(1500) passes=echo,tcp,udp why=too-big 10.1.0.254 said message too long, it takes 1400"},
		{"a large one", "ip link set vb mtu 1500", all},
	} {
		probetest.Sh(t, l.r, tt.script)
		if got := a.next(t); got != tt.want {
			t.Fatalf("%s: %s\nwant %s", tt.name, got, tt.want)
		}
	}
	// One that is not there any more is not asked.
	l.set(target("a", "host", "10.1.0.1"))
	before := probetest.Collect(t, Kind, a.probe.Read)
	l.nodes["b"].until(t, `pingmesh_sent_total{peer="a",path="host",ask="udp"}`, before[`pingmesh_sent_total{peer="b",path="host",ask="udp"}`]+1)
}

// TestAnswer: the socket answers who is in the list, with what he sent, and so much a second; nobody else.
func TestAnswer(t *testing.T) {
	l := newLab(t, "b")
	ask := func(from string, n, size int) (answers, bytes int) {
		err := l.nodes["a"].ns.Do(func() error {
			c, err := net.DialUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(from), 0)), &net.UDPAddr{IP: net.IPv4(10, 2, 0, 1), Port: port})
			if err != nil {
				return err
			}
			defer c.Close()
			for range n {
				if _, err := c.Write(make([]byte, size)); err != nil {
					return err
				}
			}
			b := make([]byte, 2000)
			for _ = c.SetReadDeadline(time.Now().Add(300 * time.Millisecond)); ; answers++ {
				got, err := c.Read(b)
				if err != nil {
					return nil
				}
				bytes += got
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		return answers, bytes
	}
	probetest.Sh(t, l.nodes["a"].ns, "ip addr add 10.1.0.7/24 dev eth0")
	probetest.Until(t, func() string {
		if n, size := ask("10.1.0.1", 1, 36); n != 1 || size != 36 {
			return fmt.Sprintf("%d answers of %d bytes", n, size)
		}
		return ""
	})
	if n, _ := ask("10.1.0.7", 5, 36); n > 0 {
		t.Errorf("a stranger has %d answers", n)
	}
	if n, size := ask("10.1.0.1", 1, 1400); n != 1 || size != small {
		t.Errorf("%d answers of %d bytes", n, size)
	}
	if n, _ := ask("10.1.0.1", 1000, 36); n > 2*rate {
		t.Errorf("%d answers to 1,000", n)
	}
}

// TestOthers has 1,000 peers: no more than some have series, and no sum falls.
func TestOthers(t *testing.T) {
	table, now := newTable(), time.Now()
	last := 0.0
	for i := range 1000 {
		x := try{Target: target(fmt.Sprintf("node-%d", i%200), "host", "10.0.0.1"), fate: snapshot.ProbeFate(i % 3)}
		table.add(now.Add(time.Duration(i)*time.Second), "n", []try{x})
		got := probetest.Collect(t, Kind, func(emit func(probe.Sample)) error { table.tell(emit); return nil })
		sum := 0.0
		for series, v := range got {
			if strings.Contains(series, "sent") {
				sum += v
			}
		}
		rest := got[`pingmesh_sent_total{peer="others",path="host",ask="echo"}`]
		if sum != float64(i+1) || rest < last || len(table.counts) > mostPeers+1 || len(table.states) > mostPeers {
			t.Fatalf("%d: %g in all, %g of others after %g, %d peers, %d states", i, sum, rest, last, len(table.counts), len(table.states))
		}
		last = rest
	}
}
