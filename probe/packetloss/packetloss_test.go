//go:build linux

package packetloss

import (
	"errors"
	"fmt"
	"io"
	"net"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/plumbnet/plumb/event"
	"github.com/plumbnet/plumb/lab/sandbox"
	"github.com/plumbnet/plumb/probe"
	"github.com/plumbnet/plumb/probe/bpf"
	"github.com/plumbnet/plumb/probe/probetest"
)

func TestMain(m *testing.M) { sandbox.Main(m) }

// flood sends n datagrams from a namespace. What its own kernel drops is dropped all the same.
func flood(t *testing.T, ns *sandbox.NS, to string, n int) {
	t.Helper()
	err := ns.Do(func() error {
		c, err := net.Dial("udp", to)
		if err != nil {
			return err
		}
		defer c.Close()
		for sent := 0; sent < n; {
			_, err := c.Write([]byte("flood"))
			if err != nil && !errors.Is(err, syscall.EPERM) && !errors.Is(err, syscall.ECONNREFUSED) && !errors.Is(err, syscall.EHOSTUNREACH) {
				return err
			}
			if err == nil || errors.Is(err, syscall.EPERM) {
				sent++ // else it is an ICMP error about an earlier one, and nothing was sent
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// rule has a namespace drop datagrams to port 7777 in a hook, and count them.
const rule = `nft 'add table inet t; add chain inet t c { type filter hook %[1]s priority 0; }; add rule inet t c udp dport 7777 counter drop'`

var function = regexp.MustCompile(`,function="([^"]+)"`)

// TestDrops has the kernel drop many packets in each way, and wants each to be counted once, for whom it was
// and with the kernel's reason, and told with its addresses.
func TestDrops(t *testing.T) {
	const n = 20_000
	cgroup := probetest.Cgroup2(t)
	for _, tt := range []struct {
		name, from, to, setup string
		n                     int
		series                string
		tier                  event.Tier
	}{
		{"received by a Pod", "a", "10.2.0.2:7777", "b " + fmt.Sprintf(rule, "input"), n,
			`{pod="shop/b",reason="NETFILTER_DROP",protocol="udp",direction="rx"}`, event.ByNetNS},
		{"forwarded by the node", "a", "10.2.0.2:7777", "node " + fmt.Sprintf(rule, "forward"), n,
			`{pod="shop/a",reason="NETFILTER_DROP",protocol="udp",direction="forward"}`, event.ByDevice},
		{"forwarded, after routing", "b", "10.1.0.2:7777", "node " + fmt.Sprintf(rule, "postrouting"), n,
			`{pod="shop/b",reason="NETFILTER_DROP",protocol="udp",direction="forward"}`, event.ByDevice},
		{"sent by a Pod", "a", "10.2.0.2:7777", "a " + fmt.Sprintf(rule, "output"), n,
			`{pod="shop/a",reason="NETFILTER_DROP",protocol="udp",direction="tx"}`, event.ByNetNS},
		{"nobody listens", "a", "10.2.0.2:7777", "b true", n,
			`{pod="shop/b",reason="NO_SOCKET",protocol="udp",direction="rx"}`, event.ByNetNS},
		{"nobody listens, IPv6", "a", "[fd00:2::2]:7777", "b true", n,
			`{pod="shop/b",reason="NO_SOCKET",protocol="udp",direction="rx"}`, event.ByNetNS},
		{"no route back", "a", "10.9.9.9:7777", "node true", n,
			`{pod="shop/a",reason="IP_INNOROUTES",protocol="udp",direction="rx"}`, event.ByDevice},
		{"a Pod on the node's network", "node", "10.2.0.2:7777", "node " + fmt.Sprintf(rule, "output"), n,
			`{pod="shop/host",reason="NETFILTER_DROP",protocol="udp",direction="tx"}`, event.BySocket},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := probetest.NewLab(t)
			l.Places.Sockets[cgroup] = "shop/host"
			of := map[string]*sandbox.NS{"a": l.A, "b": l.B, "node": l.Node}
			where, script, _ := strings.Cut(tt.setup, " ")
			probetest.Sh(t, of[where], script)
			probetest.Sh(t, l.A, "ping -c1 -W5 10.2.0.2 && ping -c1 -W5 fd00:2::2") // neighbours are known from here on
			p := probetest.Open(t, Kind, probe.Env{Node: "node-a", Places: l.Places})
			events := probetest.Watch(t, p)
			start := time.Now()
			flood(t, of[tt.from], tt.to, tt.n)
			took := time.Since(start)
			got := probetest.Collect(t, Kind, p.Read)
			if where == "node" && tt.n > 1000 && strings.Contains(script, "nft") { // the kernel's own count
				out, err := of[where].Output("", "nft", "list", "ruleset")
				if err != nil || !strings.Contains(out, fmt.Sprintf("counter packets %d ", tt.n)) {
					t.Errorf("%v\n%s", err, out)
				}
			}
			// Which function it is, kernels differ in.
			functions := probetest.Samples{}
			for s, v := range got {
				at := function.FindStringSubmatch(s)
				if at == nil || at[1] == "unknown" {
					t.Errorf("%s: no function", s)
				}
				functions[function.ReplaceAllString(s, "")] += v
			}
			want := probetest.Samples{"packetloss_packets_total" + tt.series: float64(tt.n)}
			if diff := cmp.Diff(want, functions); diff != "" {
				t.Error(diff)
			}
			e := next(events)
			if e.Pod == "" || !strings.Contains(tt.series, `"`+e.Pod+`"`) || e.By != tt.tier || e.Packet.Dst.String() != tt.to ||
				e.Packet.Src.Port() == 0 || time.Since(e.Time).Abs() > time.Minute || !strings.Contains(tt.series, `reason="`+e.Detail[0].Value+`"`) {
				t.Errorf("%v, by %v", e, e.By)
			}
			account(t, p, tt.n, took, events)
			probetest.Cost(t, p)
		})
	}
}

// TestStorm drops as fast as the machine can, where it is sent, on its way and where it arrives, all at once:
// each drop is counted, or counted as one that the kernel did not run the program for.
func TestStorm(t *testing.T) {
	const senders, n = 3, 40_000
	l := probetest.NewLab(t)
	probetest.Sh(t, l.A, "ping -c1 -W5 10.2.0.2")
	probetest.Sh(t, l.A, fmt.Sprintf(rule, "output"))
	probetest.Sh(t, l.Node, fmt.Sprintf(strings.Replace(rule, "7777", "7778", 1), "forward"))
	probetest.Sh(t, l.B, fmt.Sprintf(strings.Replace(rule, "7777", "7779", 1), "input"))
	p := probetest.Open(t, Kind, probe.Env{Places: l.Places})
	events := probetest.Watch(t, p)
	start := time.Now()
	var wg sync.WaitGroup
	for i := range senders {
		wg.Go(func() { flood(t, l.A, fmt.Sprintf("10.2.0.2:%d", 7777+i), n) })
	}
	wg.Wait()
	took := time.Since(start)
	var counted float64
	for s, v := range probetest.Collect(t, Kind, p.Read) {
		if strings.Contains(s, `pod="shop/`) && strings.Contains(s, `protocol="udp"`) {
			counted += v
		}
	}
	a, err := p.(probe.Accounted).Account()
	if err != nil {
		t.Fatal(err)
	}
	nested := a.Lost[len(a.Lost)-1]
	t.Logf("%.0f drops in %v, and %v; %d events", counted, took.Round(time.Millisecond), a.Lost, len(events))
	if nested.Stage != "nested" || counted > senders*n || counted+float64(nested.Events) < senders*n {
		t.Errorf("%.0f of %d are counted, and %v", counted, senders*n, nested)
	}
}

// next returns the next event of the lab: others may drop packets on this machine.
func next(events <-chan event.Event) event.Event {
	for {
		select {
		case e := <-events:
			if e.Pod != event.Unknown {
				return e
			}
		case <-time.After(10 * time.Second):
			return event.Event{}
		}
	}
}

// account wants all events to be told, or counted as not told.
func account(t *testing.T, p probe.Probe, n int, took time.Duration, events <-chan event.Event) {
	t.Helper()
	most := runtime.NumCPU() * (64 + 1 + int(took/(10*time.Millisecond))) // a burst, and then one for each interval
	probetest.Until(t, func() string {
		a, err := p.(probe.Accounted).Account()
		if err != nil {
			t.Fatal(err)
		}
		told, lost := 1+len(events), 0
		for _, l := range a.Lost {
			lost += int(l.Events)
		}
		if told+lost < n || told > most {
			return fmt.Sprintf("%d events of %d, and lost %v", told, n, a.Lost)
		}
		return ""
	})
}

// TestHealthy: nothing is lost where connections idle with keep-alives, move data, and close; where Pods
// ping, ask and answer, and come and go.
func TestHealthy(t *testing.T) {
	l := probetest.NewLab(t)
	p := probetest.Open(t, Kind, probe.Env{Places: l.Places})
	events := probetest.Watch(t, p)
	l.In(t, l.B, serve)
	var conns []net.Conn
	l.In(t, l.A, func() error {
		d := net.Dialer{KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: time.Second, Interval: time.Second}}
		for range 100 {
			c, err := d.Dial("tcp", "10.2.0.2:80")
			if err != nil {
				return err
			}
			conns = append(conns, c)
			if err := echo(c, 10); err != nil {
				return err
			}
		}
		for range 100 {
			c, err := net.Dial("udp", "10.2.0.2:53")
			if err != nil {
				return err
			}
			if err := echo(c, 10); err != nil {
				return err
			}
			c.Close()
		}
		return echo(conns[0], 8<<20)
	})
	probetest.Sh(t, l.A, `
ping -qc3 -i .1 10.2.0.2; ping -qc3 -i .1 fd00:2::2; ss -a; ip neigh
ip link add x type veth peer y; ip link set x up; ip link set y up; ip link del x`)
	// The kernel's own count of keep-alives, by their answers: OutSegs rises while nobody writes.
	start := time.Now()
	probetest.Until(t, func() string {
		if time.Since(start) < 4*time.Second {
			return "idle"
		}
		return ""
	})
	out, err := l.A.Output("", "nstat", "-az", "TcpExtTCPKeepAlive")
	if f := strings.Fields(out); err != nil || len(f) < 4 || len(f[len(f)-2]) < 3 {
		t.Errorf("too few keep-alives: %v %s", err, out)
	}
	for _, c := range conns { // an answer to one that is under way finds no socket
		_ = c.(*net.TCPConn).SetKeepAlive(false)
	}
	for i, c := range conns {
		if i%2 == 0 {
			_ = c.(*net.TCPConn).SetLinger(0) // close with a reset
		}
		c.Close()
	}
	none(t, p, events)
}

// TestOvertaken: an ACK that comes after a later one, as where two paths are not alike, is dropped by the kernel, and nothing is lost.
func TestOvertaken(t *testing.T) {
	l := probetest.NewLab(t)
	p := probetest.Open(t, Kind, probe.Env{Places: l.Places})
	events := probetest.Watch(t, p)
	probetest.Sh(t, l.B, `
tc qdisc add dev eth0 root handle 1: htb default 1
tc class add dev eth0 parent 1: classid 1:1 htb rate 10gbit
tc class add dev eth0 parent 1: classid 1:2 htb rate 8kbit burst 100
nft 'add table inet t; add chain inet t c { type filter hook output priority 0; }; add rule inet t c tcp sport 80 meta length < 100 numgen inc mod 4 0 meta priority set 1:2'`)
	var ln net.Listener
	l.In(t, l.B, func() (err error) { ln, err = net.Listen("tcp", ":80"); return err })
	defer ln.Close()
	go func() {
		if c, err := ln.Accept(); err == nil {
			io.Copy(io.Discard, c)
			c.Close()
		}
	}()
	var c net.Conn
	l.In(t, l.A, func() (err error) { c, err = net.Dial("tcp", "10.2.0.2:80"); return err })
	defer c.Close()
	probetest.Until(t, func() string {
		if _, err := c.Write(make([]byte, 1<<20)); err != nil {
			t.Fatal(err)
		}
		n := probetest.Nstat(t, l.A)
		if late := n["TcpExtPAWSEstab"] + n["TcpExtPAWSOldAck"]; late < 3 { // the latter since Linux 6.14
			return fmt.Sprintf("the kernel dropped %g that were overtaken", late)
		}
		return ""
	})
	none(t, p, events)
}

// none wants nothing to be lost.
func none(t *testing.T, p probe.Probe, events <-chan event.Event) {
	t.Helper()
	if got := probetest.Collect(t, Kind, p.Read); len(got) != 0 {
		t.Error(got)
	}
	for len(events) > 0 {
		if e := <-events; e.Pod != event.Unknown {
			t.Error(e)
		}
	}
}

// serve echoes on ports 80, TCP, and 53, UDP, until the process ends.
func serve() error {
	ln, err := net.Listen("tcp", ":80")
	if err != nil {
		return err
	}
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() { _, _ = io.Copy(c, c); c.Close() }()
		}
	}()
	u, err := net.ListenPacket("udp", ":53")
	if err != nil {
		return err
	}
	go func() {
		for b := make([]byte, 1500); ; {
			n, a, err := u.ReadFrom(b)
			if err != nil {
				return
			}
			_, _ = u.WriteTo(b[:n], a)
		}
	}()
	return nil
}

func echo(c net.Conn, n int) error {
	go c.Write(make([]byte, n))
	_, err := io.ReadFull(c, make([]byte, n))
	return err
}

// TestSlowReader: a socket whose application does not read.
func TestSlowReader(t *testing.T) {
	l := probetest.NewLab(t)
	p := probetest.Open(t, Kind, probe.Env{Places: l.Places})
	var c net.PacketConn
	l.In(t, l.B, func() (err error) { c, err = net.ListenPacket("udp", ":7777"); return err })
	defer c.Close()
	flood(t, l.A, "10.2.0.2:7777", 5000)
	out, err := l.B.Output("", "nstat", "-az", "UdpRcvbufErrors")
	if err != nil {
		t.Fatal(err)
	}
	var errs float64
	if _, err := fmt.Sscanf(out[strings.Index(out, "UdpRcvbufErrors"):], "UdpRcvbufErrors %f", &errs); err != nil || errs == 0 {
		t.Fatal(err, out)
	}
	got := probetest.Collect(t, Kind, p.Read)
	for s, v := range got {
		if !strings.Contains(s, `{pod="shop/b",reason="SOCKET_RCVBUFF",`) || v != errs {
			t.Errorf("%s %v, where the kernel counts %v", s, v, errs)
		}
	}
	if len(got) != 1 {
		t.Error(got)
	}
}

func TestFind(t *testing.T) {
	const table = `0000000000000000 A fixed
ffffffff81000000 T _stext
ffffffff81001000 t nf_hook_slow
ffffffff81002000 T ip_rcv
ffffffffc0100000 t br_forward	[bridge]
`
	for _, tt := range []struct {
		name string
		addr uint64
		want string
	}{
		{"in a function", 0xffffffff810010ab, "nf_hook_slow+0xab"},
		{"at its start", 0xffffffff81002000, "ip_rcv"},
		{"of a module", 0xffffffffc0100010, "br_forward+0x10"},
		{"before all", 0xffffffff80000000, "unknown"},
		{"far from all", 0xffffffffd0000000, "unknown"},
	} {
		if got := find(strings.NewReader(table), tt.addr).String(); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
	hidden := "0000000000000000 T _stext\n0000000000000000 t nf_hook_slow\n"
	if got := find(strings.NewReader(hidden), 0xffffffff81000010).String(); got != "unknown" {
		t.Errorf("hidden (kernel.kptr_restrict): %s", got)
	}
	s := newSymbols(t.TempDir())
	if got := s.lookup(1).String(); got != "unknown" {
		t.Errorf("no table: %s", got)
	}
}

func TestParse(t *testing.T) {
	for in, want := range map[string]string{
		"nf_hook_slow+0xab/0x100":              "nf_hook_slow+0xab",
		"nft_do_chain+0x1f0/0x6e0 [nf_tables]": "nft_do_chain+0x1f0",
		"ip_rcv+0x0/0x10":                      "ip_rcv",
		"0xffffffffc0000123":                   "unknown",
		"nf_hook_slow+0xzz/0x1":                "unknown",
		"":                                     "unknown",
	} {
		if got := parse(in).String(); got != want {
			t.Errorf("%q: %s, want %s", in, got, want)
		}
	}
}

// TestTold: the program names the places of drops itself, without the kernel's table of symbols.
func TestTold(t *testing.T) {
	if !bpf.HasHelper("snprintf") {
		t.Skip("needs Linux 5.13")
	}
	l := probetest.NewLab(t)
	p := probetest.Open(t, Kind, probe.Env{Proc: t.TempDir(), Places: l.Places})
	flood(t, l.A, "10.2.0.2:7777", 10)
	probetest.Until(t, func() string {
		for s := range probetest.Collect(t, Kind, p.Read) {
			if strings.Contains(s, `reason="NO_SOCKET",function="__udp4_lib_rcv"`) || strings.Contains(s, `reason="NO_SOCKET",function="udp`) {
				return ""
			}
		}
		return "no drop by a function of UDP"
	})
}

func TestReasons(t *testing.T) {
	p := &packetloss{reasons: reasons(map[uint64]string{1: "SKB_CONSUMED", 12: "SKB_DROP_REASON_NETFILTER_DROP"})}
	old := &packetloss{}
	for _, tt := range []struct {
		p    *packetloss
		n    uint64
		want string
	}{
		{p, 1, "CONSUMED"}, {p, 12, "NETFILTER_DROP"}, {p, 0x20001, "131073"}, {old, 0, "unknown"},
	} {
		if got := tt.p.reason(tt.n); got != tt.want {
			t.Errorf("%d: %s, want %s", tt.n, got, tt.want)
		}
	}
}

func TestLost(t *testing.T) {
	for _, tt := range []struct {
		name, reason, function string
		want                   bool
	}{
		{"a rule", "NETFILTER_DROP", "nf_hook_slow", true},
		{"by whom it is not said why", "NOT_SPECIFIED", "ip6_forward", true},
		{"neighbour discovery, 6.1", "NOT_SPECIFIED", "icmpv6_rcv", false},
		{"neighbour discovery, 5.10", "unknown", "icmpv6_rcv", false},
		{"a message of a wrong checksum", "ICMP_CSUM", "icmpv6_rcv", true},
		{"TIME_WAIT, 6.1", "NOT_SPECIFIED", "tcp_v4_rcv", false},
		{"nobody listens", "NO_SOCKET", "tcp_v4_rcv", true},
	} {
		if got := lost(tt.reason, tt.function); got != tt.want {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
}

func FuzzFind(f *testing.F) {
	f.Add("ffffffff81001000 t nf_hook_slow\t[m]\n", uint64(0xffffffff81001001))
	f.Fuzz(func(t *testing.T, table string, addr uint64) { find(strings.NewReader(table), addr) })
}
