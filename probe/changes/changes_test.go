//go:build linux

package changes

import (
	"encoding/binary"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/plumbnet/plumb/event"
	"github.com/plumbnet/plumb/kernel/netlink"
	"github.com/plumbnet/plumb/lab/sandbox"
	"github.com/plumbnet/plumb/probe"
	"github.com/plumbnet/plumb/probe/probetest"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) { sandbox.Main(m) }

// line is an event without its time and its node.
func line(e event.Event) string {
	who := "node"
	if e.Pod != "" {
		who = e.Pod
	}
	for _, f := range e.Detail {
		who += " " + f.Key + "=" + f.Value
	}
	return pid.ReplaceAllString(who, "[]")
}

var pid = regexp.MustCompile(`\[\d+\]`)

// heard waits until the counters are as wanted, and then for the events of them all, by what each says.
func heard(t *testing.T, p probe.Probe, events <-chan event.Event, want string) (lines []string) {
	t.Helper()
	probetest.Until(t, func() string { return probetest.Diff(want, probetest.Collect(t, Kind, p.Read)) })
	c := p.(*changes)
	probetest.Until(t, func() string {
		c.mu.Lock()
		defer c.mu.Unlock()
		for k, w := range c.windows {
			if w.times > 0 {
				return fmt.Sprintf("%v is not told", k)
			}
		}
		return ""
	})
	for {
		select {
		case e := <-events:
			if e.Kind != "changes" || (e.By == event.ByNetNS) != strings.Contains(e.Pod, "/") || time.Since(e.Time) > time.Minute {
				t.Errorf("%+v", e)
			}
			lines = append(lines, line(e))
			continue
		case <-time.After(50 * time.Millisecond): // those that were taken are sent
		}
		return lines
	}
}

// merged makes one of events that a slow machine has split: those of one place and kind.
func merged(lines []string) (out []string) {
	type all struct {
		times int
		what  []string
	}
	by := map[string]*all{}
	var order []string
	for _, l := range lines {
		head, what, _ := strings.Cut(l, " what=")
		head, n, several := strings.Cut(head, " times=")
		if by[head] == nil {
			by[head] = &all{}
			order = append(order, head)
		}
		times := 1
		if several {
			times, _ = strconv.Atoi(n)
		}
		by[head].times += times
		by[head].what = append(by[head].what, strings.Split(what, "; ")...)
	}
	for _, head := range order {
		x := by[head]
		what := x.what[:min(len(x.what), quotes)]
		if x.times > 1 {
			head += fmt.Sprintf(" times=%d", x.times)
		}
		out = append(out, head+" what="+joined(what, x.times))
	}
	return out
}

// TestChanges changes one thing after the other, and wants each to be told in its place, once, in the words of ip.
func TestChanges(t *testing.T) {
	for _, tt := range []struct {
		name, setup, in, script, counts string
		want                            []string
	}{
		{"a route", "", "node", "ip route add 10.9.0.0/24 via 10.2.0.2", `changes_total{change="route"} 1`, []string{"node change=route what=10.9.0.0/24 via 10.2.0.2 dev vb added"}},
		{"another route in its place", "ip route add 10.9.0.0/24 via 10.2.0.2", "node", "ip route replace 10.9.0.0/24 via 10.1.0.2", `changes_total{change="route"} 1`,
			[]string{"node change=route what=10.9.0.0/24 via 10.1.0.2 dev va, was 10.9.0.0/24 via 10.2.0.2 dev vb"}},
		{"the route that is there", "ip route add 10.9.0.0/24 via 10.2.0.2", "node", "ip route replace 10.9.0.0/24 via 10.2.0.2", ``, nil},
		{"routes of both families", "", "a", "ip route del default; ip -6 route del default", `changes_total{pod="shop/a",change="route"} 2`,
			[]string{"shop/a change=route times=2 what=default via 10.1.0.1 dev eth0 deleted; default via fd00:1::1 dev eth0 metric 1024 pref medium deleted"}},
		{"a route that an address needs", "", "a", "ip route del local 10.1.0.2 table local", `changes_total{pod="shop/a",change="route"} 1`,
			[]string{"shop/a change=route what=local 10.1.0.2 dev eth0 table local proto kernel scope host src 10.1.0.2 deleted"}},
		{"MTU", "", "b", "ip link set eth0 mtu 1400", `changes_total{pod="shop/b",change="link"} 1`, []string{"shop/b change=link what=eth0 mtu 1400, was 1500"}},
		{"a Pod's device, on the node", "", "node", "ip link set va mtu 1400", `changes_total{change="link"} 1`, []string{"node change=link what=va (shop/a) mtu 1400, was 1500"}},
		{"a bridge's port", "ip link add br0 type bridge; ip link set br0 address 02:00:00:00:00:01", "node", "ip link set va master br0", `changes_total{change="link"} 1`,
			[]string{"node change=link what=va (shop/a) master br0, was nomaster"}},
		{"a MAC address", "ip link add br0 address 02:00:00:00:00:01 type bridge", "node", "ip link set br0 address 02:00:00:00:00:02", `changes_total{change="link"} 1`,
			[]string{"node change=link what=br0 address 02:00:00:00:00:02, was 02:00:00:00:00:01"}},
		{"a device comes and goes", "", "node", "ip link add br0 type bridge; ip link del br0", `changes_total{change="link"} 2`, []string{"node change=link times=2 what=br0 mtu 1500 added; br0 deleted"}},
		{"a name", "ip link add br0 type bridge", "node", "ip link set br0 name br1", `changes_total{change="link"} 1`, []string{"node change=link what=br1, was named br0"}},
		{"an address", "", "a", "ip addr add 10.5.0.1/32 dev eth0", `changes_total{pod="shop/a",change="address"} 1`, []string{"shop/a change=address what=10.5.0.1/32 dev eth0 added"}},
		{"an address goes with its route", "", "b", "ip addr del 10.2.0.2/24 dev eth0", `
changes_total{pod="shop/b",change="address"} 1
changes_total{pod="shop/b",change="route"} 1`, []string{"shop/b change=address what=10.2.0.2/24 dev eth0 deleted", "shop/b change=route what=10.2.0.0/24 dev eth0 proto kernel scope link src 10.2.0.2 deleted"}},
		{"rules", "", "node", "ip rule add fwmark 0x1 lookup 100; ip -6 rule add from fd00::/8 lookup 100; ip rule del fwmark 0x1 lookup 100", `changes_total{change="rule"} 3`,
			[]string{"node change=rule times=3 what=32765: from all fwmark 0x1 lookup 100 added; -6 32765: from fd00::/8 lookup 100 added; 32765: from all fwmark 0x1 lookup 100 deleted"}},
		{"another MAC address of a neighbour", "ip neigh replace 10.1.0.9 dev va lladdr 02:00:00:00:00:01 nud reachable", "node", "ip neigh replace 10.1.0.9 dev va lladdr 02:00:00:00:00:02 nud reachable", `changes_total{change="neigh"} 1`,
			[]string{"node change=neigh what=10.1.0.9 dev va lladdr 02:00:00:00:00:02 REACHABLE, was lladdr 02:00:00:00:00:01"}},
		{"a neighbour that does not answer any more, and then again", "sysctl -qw net.ipv4.neigh.va.retrans_time_ms=20; ip neigh replace 10.1.0.9 dev va lladdr 02:00:00:00:00:01 nud reachable", "node", `
ip neigh replace 10.1.0.9 dev va lladdr 02:00:00:00:00:01 nud probe
until ip neigh show 10.1.0.9 | grep -q FAILED; do sleep 0.01; done
ip neigh replace 10.1.0.9 dev va lladdr 02:00:00:00:00:01 nud reachable`, `changes_total{change="neigh"} 2`,
			[]string{"node change=neigh times=2 what=10.1.0.9 dev va FAILED, was lladdr 02:00:00:00:00:01; 10.1.0.9 dev va lladdr 02:00:00:00:00:01 REACHABLE, was FAILED"}},
		{"a neighbour for good", "", "node", "ip neigh add 10.1.0.9 dev va lladdr 02:00:00:00:00:01 nud permanent; ip neigh del 10.1.0.9 dev va", `changes_total{change="neigh"} 2`,
			[]string{"node change=neigh times=2 what=10.1.0.9 dev va lladdr 02:00:00:00:00:01 PERMANENT added; 10.1.0.9 dev va lladdr 02:00:00:00:00:01 PERMANENT deleted"}},
		{"what a VXLAN device is told", "ip link add vx0 type vxlan id 1 dstport 4789; bridge fdb append 02:00:00:00:00:05 dev vx0 dst 10.9.0.1", "node", `
bridge fdb replace 02:00:00:00:00:05 dev vx0 dst 10.9.0.2
bridge fdb append 00:00:00:00:00:00 dev vx0 dst 10.9.0.1
bridge fdb append 00:00:00:00:00:00 dev vx0 dst 10.9.0.2
bridge fdb del 02:00:00:00:00:05 dev vx0`, `changes_total{change="fdb"} 4`,
			[]string{"node change=fdb times=4 what=02:00:00:00:00:05 dev vx0 dst 10.9.0.2 self permanent, was dst 10.9.0.1; 00:00:00:00:00:00 dev vx0 dst 10.9.0.1 self permanent added; 00:00:00:00:00:00 dev vx0 dst 10.9.0.2 self permanent added; …"}},
		{"nexthop objects", "", "node", "ip nexthop add id 5 via 10.2.0.2 dev vb; ip nexthop replace id 5 via 10.1.0.2 dev va; ip nexthop del id 5", `changes_total{change="nexthop"} 3`,
			[]string{"node change=nexthop times=3 what=id 5 via 10.2.0.2 dev vb scope link added; id 5 via 10.1.0.2 dev va scope link in the place of another; id 5 via 10.1.0.2 dev va scope link deleted"}},
		{"a transaction of nft", "", "a", "printf 'add table inet x\nadd chain inet x y\nadd rule inet x y counter\nadd rule inet x y drop\nadd set inet x s { type ipv4_addr; }\nadd element inet x s { 10.0.0.1, 10.0.0.2, 10.0.0.3 }\n' | nft -f -",
			`changes_total{pod="shop/a",change="nftables"} 1`, []string{"shop/a change=nftables what=inet x: 2 rules, 1 chain, 1 set, 3 elements, 1 table added by nft[]"}},
		{"as kube-proxy rewrites what is there", "printf '*nat\n:KUBE - [0:0]\n-A KUBE -j ACCEPT\n-A KUBE -j RETURN\nCOMMIT\n' | iptables-nft-restore -n", "node",
			"printf '*nat\n:KUBE - [0:0]\n-A KUBE -j ACCEPT\n-A KUBE -j RETURN\nCOMMIT\n' | iptables-nft-restore -n",
			`changes_total{change="nftables"} 1`, []string{"node change=nftables what=ip nat: 2 rules added, 2 rules deleted by iptables-nft-re[]"}},
		{"iptables-legacy", "", "node", "iptables-legacy -A FORWARD -j DROP", `changes_total{change="iptables"} 1`, []string{"node change=iptables what=ip filter of iptables-legacy: 5 entries, 784 bytes, was 0, 0"}},
		{"a setting of the node", "", "node", "sysctl -qw net.ipv4.ip_forward=0", `changes_total{change="sysctl"} 1`, []string{"node change=sysctl what=net.ipv4.ip_forward = 0, was 1"}},
		{"a setting without a message", "", "node", "sysctl -qw net.core.somaxconn=17", `changes_total{change="sysctl"} 1`, []string{"node change=sysctl what=net.core.somaxconn = 17, was 4096"}},
		{"settings of a Pod", "", "b", "sysctl -qw net.ipv4.conf.eth0.rp_filter=2; sysctl -qw net.ipv4.ip_forward=1", `changes_total{pod="shop/b",change="sysctl"} 2`,
			[]string{"shop/b change=sysctl times=2 what=net.ipv4.conf.eth0.rp_filter = 2; net.ipv4.conf.all.forwarding = 1"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := probetest.NewLab(t)
			quiet(t, l)
			probetest.Sh(t, l.Node, tt.setup)
			if program, _, _ := strings.Cut(tt.script, " "); program == "iptables-legacy" {
				if err := l.A.Run("", program, "-S"); err != nil { // in the node's namespace that would make the table
					t.Skip(err)
				}
			}
			p := probetest.Open(t, Kind, probe.Env{Places: l.Places})
			events := probetest.Watch(t, p)
			probetest.Sh(t, map[string]*sandbox.NS{"node": l.Node, "a": l.A, "b": l.B}[tt.in], tt.script)
			if diff := cmp.Diff(tt.want, merged(heard(t, p, events, tt.counts))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// quiet waits until all devices are up, and their addresses good: the last that changes after a lab was made.
func quiet(t *testing.T, l *probetest.Lab) {
	t.Helper()
	probetest.Up(t, l.Node, "va", "vb")
	for _, ns := range []*sandbox.NS{l.Node, l.A, l.B} {
		probetest.Until(t, func() string {
			all, err := ns.Output("", "ip", "-6", "addr", "show", "up", "scope", "link")
			if err == nil && !strings.Contains(all, "tentative") && strings.Count(all, "inet6 ") == map[string]int{"node": 2, "a": 1, "b": 1}[ns.Name] {
				return ""
			}
			return fmt.Sprint(all, err)
		})
	}
}

// TestHealthy has traffic, and a thousand neighbours that are asked again: nothing has changed.
func TestHealthy(t *testing.T) {
	l := probetest.NewLab(t)
	quiet(t, l)
	probetest.Sh(t, l.Node, "ip neigh replace 10.1.0.9 dev va lladdr 02:00:00:00:00:01 nud reachable")
	p := probetest.Open(t, Kind, probe.Env{Places: l.Places})
	events := probetest.Watch(t, p)
	l.Echo(t, "tcp", 2000, 1000)
	l.Echo(t, "udp", 2000, 1000)
	probetest.Sh(t, l.Node, `
for i in $(seq 500); do
	echo "neigh replace 10.1.0.9 dev va lladdr 02:00:00:00:00:01 nud stale"
	echo "neigh replace 10.1.0.9 dev va lladdr 02:00:00:00:00:01 nud reachable"
done | ip -batch -
for i in $(seq 100); do
	echo "neigh add 10.1.1.$i dev va nud incomplete"
	echo "neigh change 10.1.1.$i dev va nud failed"
	echo "neigh del 10.1.1.$i dev va"
done | ip -batch -`)
	l.Echo(t, "tcp", 100, 1000)
	probetest.Sh(t, l.Node, "ip rule add lookup 7") // what was before it has been heard
	if lines := heard(t, p, events, `changes_total{change="rule"} 1`); len(lines) != 1 {
		t.Errorf("%q", lines)
	}
}

// TestStorm adds and deletes 10,000 routes at once: it is told in few events, and all are counted.
func TestStorm(t *testing.T) {
	l := probetest.NewLab(t)
	quiet(t, l)
	p := probetest.Open(t, Kind, probe.Env{Places: l.Places})
	events := probetest.Watch(t, p)
	cpu := used()
	began := time.Now()
	const n = 10_000
	batch(t, l.Node, "add", n)
	batch(t, l.Node, "del", n)
	var lost, told uint64 // on a slow machine some may be lost
	probetest.Until(t, func() string {
		a, err := p.(probe.Accounted).Account()
		if err != nil || a.Missing != nil {
			t.Fatalf("%+v, %v", a, err)
		}
		lost, told = a.Lost[0].Events, uint64(probetest.Collect(t, Kind, p.Read)[`changes_total{change="route"}`])
		if lost+told != 2*n {
			return fmt.Sprintf("%d lost, %d told", lost, told)
		}
		return ""
	})
	lines := heard(t, p, events, fmt.Sprintf(`changes_total{change="route"} %d`, told))
	took := time.Since(began)
	if len(lines) > 2*(int(took/time.Second)+2) || !strings.Contains(lines[0], " what=10.128.0.0 via 10.2.0.2 dev vb added; 10.128.0.1 via 10.2.0.2 dev vb added; 10.128.0.2 via 10.2.0.2 dev vb added; …") {
		t.Errorf("%d events in %v: %q", len(lines), took, lines)
	}
	t.Logf("%d events, %d lost; %v a change of CPU, at the most", len(lines), lost, (used()-cpu)/(2*n))
}

func batch(t *testing.T, ns *sandbox.NS, verb string, n int) {
	t.Helper()
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "route %s 10.128.%d.%d via 10.2.0.2\n", verb, i>>8, i&255)
	}
	if err := ns.Run(b.String(), "ip", "-batch", "-"); err != nil {
		t.Fatal(err)
	}
}

// used is the CPU time of this process.
func used() time.Duration {
	var u unix.Rusage
	_ = unix.Getrusage(unix.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// TestLost keeps the probe from hearing until the kernel has no more room: what is lost is counted and said, and from
// then on all is told right again.
func TestLost(t *testing.T) {
	l := probetest.NewLab(t)
	quiet(t, l)
	p := probetest.Open(t, Kind, probe.Env{Places: l.Places})
	events := probetest.Watch(t, p)
	c := p.(*changes)
	const n = 20_000
	c.mu.Lock()
	batch(t, l.Node, "add", n)
	probetest.Sh(t, l.A, "ip link set eth0 mtu 1400")
	c.mu.Unlock()
	c.missed() // it may be noticed before anything else is heard
	if err := c.look(); err != nil {
		t.Fatal(err)
	}
	var lost, told uint64
	probetest.Until(t, func() string {
		a, err := p.(probe.Accounted).Account()
		if err != nil {
			t.Fatal(err)
		}
		lost, told = a.Lost[0].Events, uint64(probetest.Collect(t, Kind, p.Read)[`changes_total{change="route"}`])
		if lost == 0 || lost+told != n+1 && lost+told != n+2 { // with those of the MTU, of both families
			return fmt.Sprintf("%d lost, %d told", lost, told)
		}
		return ""
	})
	t.Logf("%d lost, %d told", lost, told)
	probetest.Until(t, func() string {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.stale {
			return "not learnt again"
		}
		return ""
	})
	probetest.Sh(t, l.A, "ip link set eth0 mtu 1300")
	lines := heard(t, p, events, fmt.Sprintf("changes_total{change=\"route\"} %d\nchanges_total{pod=\"shop/a\",change=\"link\"} 1", told))
	for _, want := range []string{
		fmt.Sprintf("node change=lost what=%d messages of the kernel, of any namespace: what they said is told nowhere", lost),
		"shop/a change=link what=eth0 mtu 1300, was 1400",
	} {
		if !slices.Contains(lines, want) {
			t.Errorf("no %q in %q", want, lines)
		}
	}
}

// moving are places that come and go.
type moving struct {
	probetest.Places
	mu sync.Mutex
}

func (m *moving) All() []probe.Place {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.Is)
}

func (m *moving) In(p probe.Place, f func() error) error {
	m.mu.Lock()
	in := m.NS[p.Net]
	m.mu.Unlock()
	return in(f)
}

func (m *moving) set(is []probe.Place, ns map[uint64]func(func() error) error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.Is, m.NS = is, ns
}

// TestComeAndGo has a Pod come that no device leads to, and end: it is heard, and not kept.
func TestComeAndGo(t *testing.T) {
	host, place := probetest.NS(t, "host")
	host0 := probe.Place{Net: place.Net, Host: true}
	m := &moving{}
	m.set([]probe.Place{host0}, map[uint64]func(func() error) error{host0.Net: host.Do})
	p := probetest.Open(t, Kind, probe.Env{Places: m})
	events := probetest.Watch(t, p)
	pod, err := sandbox.NewNS("lone")
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(pod.Path)
	if err != nil {
		t.Fatal(err)
	}
	lone := probe.Place{Pod: "shop/lone", Net: info.Sys().(*syscall.Stat_t).Ino}
	m.set([]probe.Place{host0, lone}, map[uint64]func(func() error) error{host0.Net: host.Do, lone.Net: pod.Do})
	c := p.(*changes)
	spaces := func() int {
		c.mu.Lock()
		defer c.mu.Unlock()
		return len(c.spaces)
	}
	probetest.Until(t, func() string {
		if spaces() != 2 {
			return "it is not known"
		}
		return ""
	})
	probetest.Sh(t, pod, "ip link set lo mtu 1400")
	if diff := cmp.Diff([]string{"shop/lone change=link what=lo mtu 1400, was 65536"}, heard(t, p, events, `changes_total{pod="shop/lone",change="link"} 1`)); diff != "" {
		t.Error(diff)
	}
	if err := pod.Delete(); err != nil {
		t.Fatal(err)
	}
	probetest.Until(t, func() string {
		if spaces() != 1 { // the kernel has said that the namespace ended
			return "it is still there"
		}
		return ""
	})
	m.set([]probe.Place{host0}, map[uint64]func(func() error) error{host0.Net: host.Do})
	probetest.Until(t, func() string { return probetest.Diff("", probetest.Collect(t, Kind, p.Read)) })
}

// TestWithout has no CAP_NET_BROADCAST: the node's own namespace is heard, and the probe says that others are not.
func TestWithout(t *testing.T) {
	l := probetest.NewLab(t)
	quiet(t, l)
	node := l.Places.Is[0].Net
	l.Places.NS[node] = func(f func() error) error {
		return l.Node.Do(func() error { // the thread ends with it
			header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
			var data [2]unix.CapUserData
			if err := unix.Capget(&header, &data[0]); err != nil {
				return err
			}
			data[0].Effective &^= 1 << unix.CAP_NET_BROADCAST
			if err := unix.Capset(&header, &data[0]); err != nil {
				return err
			}
			return f()
		})
	}
	p := probetest.Open(t, Kind, probe.Env{Places: l.Places})
	if a, err := p.(probe.Accounted).Account(); err != nil || len(a.Missing) != 1 || a.Missing[0] != "the Pods' namespaces (needs CAP_NET_BROADCAST)" {
		t.Errorf("%+v, %v", a, err)
	}
	events := probetest.Watch(t, p)
	probetest.Sh(t, l.A, "ip link set eth0 mtu 1400")
	probetest.Sh(t, l.Node, "ip rule add lookup 7")
	if diff := cmp.Diff([]string{"node change=rule what=32765: from all lookup 7 added"}, heard(t, p, events, `changes_total{change="rule"} 1`)); diff != "" {
		t.Error(diff)
	}
}

// message is one of rtnetlink or nftables about something.
func message(head int, attrs ...[]byte) []byte {
	b := make([]byte, head)
	for i := 0; i+1 < len(attrs); i += 2 {
		b = netlink.Attr(b, binary.NativeEndian.Uint16(attrs[i]), attrs[i+1])
	}
	return b
}

// TestBounds: no namespace takes more than it may, whatever comes.
func TestBounds(t *testing.T) {
	s := newSpace(probe.Place{})
	quiet := func(string, func() string) {}
	typ := func(n uint16) []byte { return binary.NativeEndian.AppendUint16(nil, n) }
	for i := range known + 100 {
		n := binary.BigEndian.AppendUint32(nil, uint32(i)+1<<24)
		index := binary.NativeEndian.AppendUint32(nil, uint32(i))
		head := append(append(make([]byte, 4), index...), make([]byte, 8)...)
		s.link(netlink.Message{Type: unix.RTM_NEWLINK, Body: append(head, message(0, typ(unix.IFLA_IFNAME), []byte("x\x00"))...)}, quiet)
		b := message(unix.SizeofIfAddrmsg, typ(unix.IFA_LOCAL), n)
		b[0], b[1] = unix.AF_INET, 32
		s.addr(netlink.Message{Type: unix.RTM_NEWADDR, Body: b}, quiet)
		b = message(unix.SizeofRtMsg, typ(unix.RTA_DST), n)
		b[0], b[1] = unix.AF_INET, 32
		s.route(netlink.Message{Type: unix.RTM_NEWROUTE, Body: b}, quiet)
		b = message(sizeofNdmsg, typ(unix.NDA_DST), n, typ(unix.NDA_LLADDR), []byte{2, 0, 0, 0, 0, 1})
		b[0], b[8] = unix.AF_INET, unix.NUD_REACHABLE
		s.neigh(netlink.Message{Type: unix.RTM_NEWNEIGH, Body: b}, quiet)
		b = message(sizeofNdmsg, typ(unix.NDA_DST), []byte{10, 0, 0, 1}, typ(unix.NDA_LLADDR), append([]byte{2, 0}, n...))
		b[0], b[8] = unix.AF_BRIDGE, unix.NUD_PERMANENT
		s.forward(netlink.Message{Type: unix.RTM_NEWNEIGH, Body: b}, quiet)
		b = message(4, typ(nftTable), fmt.Appendf(nil, "t%d\x00", i))
		s.nft(unix.NFNL_SUBSYS_NFTABLES<<8|unix.NFT_MSG_NEWRULE, b, quiet)
	}
	got := []int{len(s.links), len(s.devices), len(s.addrs), len(s.routes), len(s.neighs), len(s.fdb), len(s.commit.tables)}
	if diff := cmp.Diff([]int{known, known, known, known, known, known, mostTables}, got); diff != "" {
		t.Error(diff)
	}
}

// TestReadSoon: settings of the node are read when those of all devices change, and not for each device that comes with its own.
func TestReadSoon(t *testing.T) {
	typ := func(n uint16) []byte { return binary.NativeEndian.AppendUint16(nil, n) }
	number := func(n int32) []byte { return binary.NativeEndian.AppendUint32(nil, uint32(n)) }
	for _, tt := range []struct {
		name  string
		host  bool
		index int32
		want  int
	}{
		{"all", true, -1, 1},
		{"default", true, -2, 1},
		{"a device", true, 7, 0},
		{"a Pod's all", false, -1, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := &changes{env: &probe.Env{}, spaces: map[int]*space{netlink.Own: newSpace(probe.Place{Host: tt.host})}, windows: map[key]*window{}, counts: map[key]float64{}, pollSoon: make(chan struct{}, 1)}
			for _, several := range []bool{false, true} {
				attrs := [][]byte{typ(netconfIfindex), number(tt.index), typ(2), number(1)}
				if several {
					attrs = append(attrs, typ(3), number(1))
				}
				b := message(4, attrs...)
				b[0] = unix.AF_INET
				c.heard(netlink.Message{Type: unix.RTM_NEWNETCONF, NSID: netlink.Own, Body: b})
				if len(c.pollSoon) != tt.want {
					t.Errorf("several settings %t: %d, want %d", several, len(c.pollSoon), tt.want)
				}
				select {
				case <-c.pollSoon:
				default:
				}
			}
		})
	}
}

// FuzzHeard: no message makes it panic.
func FuzzHeard(f *testing.F) {
	f.Add(uint16(unix.RTM_NEWLINK), uint16(0), make([]byte, 40))
	f.Add(uint16(unix.RTM_DELROUTE), uint16(unix.NLM_F_REPLACE), []byte{2, 24, 0, 0, 254, 4, 0, 1, 0, 0, 0, 0, 8, 0, 1, 0, 10, 0, 0, 0})
	f.Add(uint16(unix.NFNL_SUBSYS_NFTABLES<<8|unix.NFT_MSG_NEWGEN), uint16(0), make([]byte, 20))
	f.Fuzz(func(t *testing.T, typ, flags uint16, b []byte) {
		c := &changes{env: &probe.Env{}, spaces: map[int]*space{netlink.Own: newSpace(probe.Place{Host: true})}, windows: map[key]*window{}, counts: map[key]float64{}, pollSoon: make(chan struct{}, 1)}
		c.heard(netlink.Message{Type: typ, Flags: flags, NSID: netlink.Own, Body: b})
		c.heardNFT(netlink.Message{Type: typ, NSID: netlink.Own, Body: b})
		for _, e := range c.ready(time.Now().Add(time.Minute)) {
			if what := e.Detail[len(e.Detail)-1].Value; len(what) > 1000 {
				t.Errorf("%d bytes", len(what))
			}
		}
	})
}
