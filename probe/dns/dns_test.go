//go:build linux

package dns

import (
	"encoding/binary"
	"fmt"
	"io"
	"maps"
	"math"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/google/go-cmp/cmp"
	"github.com/plumbnet/plumb/event"
	"github.com/plumbnet/plumb/lab/sandbox"
	"github.com/plumbnet/plumb/probe"
	"github.com/plumbnet/plumb/probe/probetest"
	"golang.org/x/net/dns/dnsmessage"
	"golang.org/x/sync/errgroup"
)

func TestMain(m *testing.M) { sandbox.Main(m) }

// pack makes a message of one question.
func pack(t testing.TB, h dnsmessage.Header, name string, typ dnsmessage.Type) []byte {
	t.Helper()
	m := dnsmessage.Message{Header: h, Questions: []dnsmessage.Question{{Name: dnsmessage.MustNewName(name), Type: typ, Class: dnsmessage.ClassINET}}}
	b, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// reply makes the answer to a query, as the first label of its name says; nil where there is none.
func reply(query []byte) []byte {
	m := message{}
	if !m.read(query) {
		return nil
	}
	b := append([]byte(nil), query...)
	b[2] |= 0x80
	switch first, _, _ := strings.Cut(m.name, "."); first {
	case "nx":
		b[3] |= 3
	case "fail":
		b[3] |= 2
	case "cut":
		b[2] |= 2
	case "slow":
		time.Sleep(200 * time.Millisecond)
	case "other":
		b[13] ^= 1 // of another name
	case "silent":
		return nil
	}
	return b
}

// serve has a name server answer on all addresses of a namespace.
func serve(t *testing.T, l *probetest.Lab, ns *sandbox.NS) {
	t.Helper()
	l.In(t, ns, func() error {
		c, err := net.ListenPacket("udp", ":53")
		if err != nil {
			return err
		}
		t.Cleanup(func() { c.Close() })
		go serveUDP(c)
		ln, err := net.Listen("tcp", ":53")
		if err != nil {
			return err
		}
		t.Cleanup(func() { ln.Close() })
		go func() {
			for {
				c, err := ln.Accept()
				if err != nil {
					return
				}
				go serveTCP(c)
			}
		}()
		return nil
	})
}

func serveUDP(c net.PacketConn) {
	for b := make([]byte, 2000); ; {
		n, from, err := c.ReadFrom(b)
		if err != nil {
			return
		}
		a := reply(b[:n])
		if a == nil {
			continue
		}
		_, _ = c.WriteTo(a, from)
		if strings.Contains(string(b[:n]), "twice") {
			_, _ = c.WriteTo(a, from)
		}
	}
}

func serveTCP(c net.Conn) {
	defer c.Close()
	for b := make([]byte, 2000); ; {
		if _, err := io.ReadFull(c, b[:2]); err != nil {
			return
		}
		q := b[2 : 2+binary.BigEndian.Uint16(b)]
		if _, err := io.ReadFull(c, q); err != nil {
			return
		}
		if a := reply(q); a != nil {
			_, _ = c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(a))), a...))
		}
	}
}

// ask sends n queries by one socket, each after the answer to the last, unless there is none.
func ask(t *testing.T, l *probetest.Lab, ns *sandbox.NS, network, server, name string, typ dnsmessage.Type, n int) {
	t.Helper()
	l.In(t, ns, asking(t, network, server, name, typ, n))
}

// asking is what ask does, in whatever namespace.
func asking(t *testing.T, network, server, name string, typ dnsmessage.Type, n int) func() error {
	t.Helper()
	b := pack(t, dnsmessage.Header{}, name, typ)
	id := b
	if network == "tcp" {
		b = append(binary.BigEndian.AppendUint16(nil, uint16(len(b))), b...)
		id = b[2:]
	}
	return func() error {
		c, err := net.Dial(network, server)
		if err != nil {
			return err
		}
		defer c.Close()
		buf := make([]byte, 2000)
		for i := range n {
			binary.BigEndian.PutUint16(id, uint16(i))
			if _, err := c.Write(b); err != nil {
				return err
			}
			if strings.HasPrefix(name, "silent") {
				continue
			}
			if err := c.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
				return err
			}
			if _, err := c.Read(buf); err != nil {
				return err
			}
		}
		return nil
	}
}

// begun asks once, which is answered, and waits until it is known how answers arrive.
func begun(t *testing.T, l *probetest.Lab, p probe.Probe) probetest.Samples {
	t.Helper()
	ask(t, l, l.A, "udp", "10.2.0.2:53", "web.shop.", dnsmessage.TypeTXT, 1)
	probetest.Until(t, func() string {
		d := p.(*dns)
		d.mu.Lock()
		defer d.mu.Unlock()
		if d.seen.device || d.seen.reading < math.MaxUint64 {
			return ""
		}
		return "no answer has arrived, and none is looked for elsewhere"
	})
	return answered(by("10.2.0.2", "TXT", "udp"), "NOERROR", 1)
}

// read returns what is not 0: the counters, and how many are in each histogram.
func read(t *testing.T, p probe.Probe) probetest.Samples {
	t.Helper()
	out := probetest.Samples{}
	err := p.Read(func(s probe.Sample) {
		if s.Hist != nil {
			for _, c := range s.Hist.Counts {
				s.Value += float64(c)
			}
		}
		if s.Pod != event.Unknown && s.Value > 0 {
			out[probetest.Series(s)] = s.Value
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// answered are the samples of n answers.
func answered(labels, rcode string, n float64) probetest.Samples {
	return probetest.Samples{"dns_lookup_seconds{" + labels + "}": n, "dns_answers_total{" + labels + `,rcode="` + rcode + `"}`: n}
}

// by are labels.
func by(server, typ, proto string) string {
	return fmt.Sprintf(`pod="shop/a",server="%s",type="%s",protocol="%s"`, server, typ, proto)
}

// longest is a name of as many bytes as one may have.
var longest = strings.Repeat(strings.Repeat("a", 63)+".", 3) + strings.Repeat("b", 61) + "."

func TestLookups(t *testing.T) {
	const n, v4, v6 = 300, "10.2.0.2:53", "[fd00:2::2]:53"
	udp := by("10.2.0.2", "A", "udp")
	cut := answered(udp, "NOERROR", n)
	cut["dns_truncated_total{"+udp+"}"] = n
	for _, tt := range []struct {
		name                  string
		network, server, asks string
		typ                   dnsmessage.Type
		n                     int
		want                  probetest.Samples
		event                 string // what each of them says; "" where there is none
	}{
		{"answered", "udp", v4, "web.shop.", dnsmessage.TypeA, n, answered(udp, "NOERROR", n), ""},
		{"more at once than lanes have room for", "udp", v4, "web.shop.", dnsmessage.TypeA, 6 * n, answered(udp, "NOERROR", 6*n), ""},
		{"by IPv6", "udp", v6, "web.shop.", dnsmessage.TypeAAAA, n, answered(by("fd00:2::2", "AAAA", "udp"), "NOERROR", n), ""},
		{"by TCP", "tcp", v4, "web.shop.", dnsmessage.TypeSRV, n, answered(by("10.2.0.2", "SRV", "tcp"), "NOERROR", n), ""},
		{"by TCP and IPv6", "tcp", v6, "web.shop.", dnsmessage.TypeA, n, answered(by("fd00:2::2", "A", "tcp"), "NOERROR", n), ""},
		{"no such name", "udp", v4, "nx.shop.", dnsmessage.TypeA, n, answered(udp, "NXDOMAIN", n), ""},
		{"the server failed", "udp", v4, "fail.shop.", dnsmessage.TypeA, n, answered(udp, "SERVFAIL", n), "name=fail.shop type=A rcode=SERVFAIL took="},
		{"cut off", "udp", v4, "cut.shop.", dnsmessage.TypeA, n, cut, ""},
		{"answered twice", "udp", v4, "twice.shop.", dnsmessage.TypeA, 1, answered(udp, "NOERROR", 1), ""},
		{"slow", "udp", v4, "slow.shop.", dnsmessage.TypeA, 2, answered(udp, "NOERROR", 2), "name=slow.shop type=A rcode=NOERROR took=2"},
		{"the longest name", "udp", v6, longest, dnsmessage.TypeA, n, answered(by("fd00:2::2", "A", "udp"), "NOERROR", n), ""},
		{"an unusual type", "udp", v4, "web.shop.", 9999, n, answered(by("10.2.0.2", "other", "udp"), "NOERROR", n), ""},
		{"no answer", "udp", v4, "silent.shop.", dnsmessage.TypeA, n, probetest.Samples{"dns_timeouts_total{" + udp + "}": n}, "name=silent.shop type=A unanswered=5s"},
		{"no answer by TCP", "tcp", v4, "silent.shop.", dnsmessage.TypeA, 1, probetest.Samples{"dns_timeouts_total{" + by("10.2.0.2", "A", "tcp") + "}": 1}, "unanswered=5s"},
		{"answers to something else", "udp", v4, "other.shop.", dnsmessage.TypeA, n, probetest.Samples{"dns_timeouts_total{" + udp + "}": n}, "unanswered=5s"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := probetest.NewLab(t)
			serve(t, l, l.B)
			threshold := time.Minute // a machine may be slow
			if strings.HasPrefix(tt.asks, "slow") {
				threshold = 150 * time.Millisecond
			}
			p := probetest.Open(t, Kind, probe.Env{Node: "node-a", Places: l.Places, Threshold: threshold})
			events := probetest.Watch(t, p)
			maps.Copy(tt.want, begun(t, l, p))
			ask(t, l, l.A, tt.network, tt.server, tt.asks, tt.typ, tt.n)
			probetest.Until(t, func() string { return cmp.Diff(tt.want, read(t, p)) })
			probetest.Cost(t, p)
			told := 0
			if tt.event != "" {
				told = tt.n
			}
			check(t, events, tt.event, netip.MustParseAddrPort(tt.server), told)
			nothingLost(t, p)
		})
	}
}

// check wants n events of shop/a, with those words, and no others.
func check(t *testing.T, events <-chan event.Event, want string, server netip.AddrPort, n int) {
	t.Helper()
	for n := n; n > 0; {
		select {
		case e := <-events:
			if e.Pod == event.Unknown {
				continue // of something else on this machine
			}
			n--
			if e.Pod != "shop/a" || e.By != event.ByNetNS || e.Packet.Dst != server || !strings.Contains(e.String(), want) || e.Packet.Src.Port() == 0 || time.Since(e.Time).Abs() > time.Minute {
				t.Fatalf("%v, want %s", e, want)
			}
		case <-time.After(10 * time.Second):
			t.Fatal("an event is missing")
		}
	}
	for len(events) > 0 {
		if e := <-events; e.Pod != event.Unknown {
			t.Errorf("%v", e)
		}
	}
}

func losses(t *testing.T, p probe.Probe) map[string]uint64 {
	t.Helper()
	a, err := p.(probe.Accounted).Account()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]uint64{}
	for _, l := range a.Lost {
		out[l.Stage] = l.Events
	}
	return out
}

func nothingLost(t *testing.T, p probe.Probe) {
	t.Helper()
	if lost := losses(t, p); lost["rate"]+lost["ring"]+lost["table"] != 0 {
		t.Error(lost)
	}
}

// TestNode: what a process of the node asks is the node's; what Pods ask is not, though the node forwards it.
func TestNode(t *testing.T) {
	l := probetest.NewLab(t)
	serve(t, l, l.B)
	p := probetest.Open(t, Kind, probe.Env{Node: "node-a", Places: l.Places, Threshold: time.Minute})
	probetest.Watch(t, p)
	const n = 100
	ask(t, l, l.Node, "udp", "10.2.0.2:53", "web.shop.", dnsmessage.TypeA, n)
	ask(t, l, l.A, "udp", "10.2.0.2:53", "web.shop.", dnsmessage.TypeA, 2*n)
	want := answered(by("10.2.0.2", "A", "udp"), "NOERROR", 2*n)
	for s, n := range answered(`server="10.2.0.2",type="A",protocol="udp"`, "NOERROR", n) {
		want[s] = n
	}
	probetest.Until(t, func() string { return cmp.Diff(want, read(t, p)) })
	nothingLost(t, p)
}

// TestHostNetwork: what a Pod on the node's own network asks is its own.
func TestHostNetwork(t *testing.T) {
	cgroup := probetest.Cgroup2(t)
	l := probetest.NewLab(t)
	l.Places.Sockets[cgroup] = "shop/host"
	serve(t, l, l.B)
	p := probetest.Open(t, Kind, probe.Env{Node: "node-a", Places: l.Places, Threshold: time.Minute})
	probetest.Watch(t, p)
	ask(t, l, l.Node, "udp", "[fd00:2::2]:53", "web.shop.", dnsmessage.TypeA, 100)
	want := answered(`pod="shop/host",server="fd00:2::2",type="A",protocol="udp"`, "NOERROR", 100)
	probetest.Until(t, func() string { return cmp.Diff(want, read(t, p)) })
}

// TestTwoDevices: a query that passes two devices of a namespace counts once, and so does one to a server in the Pod itself.
func TestTwoDevices(t *testing.T) {
	l := probetest.NewLab(t)
	probetest.Sh(t, l.A, `
ip addr flush dev eth0
ip link add br0 type bridge
ip link set eth0 master br0
ip link set br0 up
ip link set lo up
ip addr add 10.1.0.2/24 dev br0
ip route add default via 10.1.0.1`)
	serve(t, l, l.B)
	serve(t, l, l.A)
	p := probetest.Open(t, Kind, probe.Env{Node: "node-a", Places: l.Places, Threshold: time.Minute})
	probetest.Watch(t, p)
	want := probetest.Samples{}
	for _, server := range []string{"10.2.0.2", "127.0.0.1"} {
		ask(t, l, l.A, "udp", server+":53", "web.shop.", dnsmessage.TypeA, 100)
		for s, n := range answered(by(server, "A", "udp"), "NOERROR", 100) {
			want[s] = n
		}
	}
	probetest.Until(t, func() string { return cmp.Diff(want, read(t, p)) })
}

// TestPastDevice: answers count that a program gives to the Pod past its device, as Cilium's do.
func TestPastDevice(t *testing.T) {
	l := probetest.NewLab(t)
	for mac, ns := range map[string]*sandbox.NS{"ip link set vb address 02:00:00:00:02:01; ip neigh add 10.2.0.2 lladdr 02:00:00:00:02:02 dev vb": l.Node,
		"ip link set eth0 address 02:00:00:00:02:02; ip neigh add 10.2.0.1 lladdr 02:00:00:00:02:01 dev eth0": l.B} {
		probetest.Sh(t, ns, mac)
	}
	serve(t, l, l.B)
	var va *net.Interface
	l.In(t, l.Node, func() (err error) { va, err = net.InterfaceByName("va"); return err })
	prog, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.SchedCLS, License: "GPL", Instructions: asm.Instructions{
		asm.Mov.Imm(asm.R1, int32(va.Index)), asm.Mov.Imm(asm.R2, 0), asm.FnRedirectPeer.Call(), asm.Return(),
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer prog.Close()
	probetest.Filter(t, l.Node, "vb", "ingress", prog)
	p := probetest.Open(t, Kind, probe.Env{Node: "node-a", Places: l.Places, Threshold: time.Minute})
	probetest.Watch(t, p)
	begun(t, l, p) // of which nothing is known: nobody looked yet
	ask(t, l, l.A, "udp", "10.2.0.2:53", "web.shop.", dnsmessage.TypeA, 100)
	ask(t, l, l.A, "tcp", "10.2.0.2:53", "web.shop.", dnsmessage.TypeA, 100)
	ask(t, l, l.A, "udp", "10.2.0.2:53", longest, dnsmessage.TypeA, 100)
	want := answered(by("10.2.0.2", "A", "udp"), "NOERROR", 200)
	for s, n := range answered(by("10.2.0.2", "A", "tcp"), "NOERROR", 100) {
		want[s] = n
	}
	probetest.Until(t, func() string { return cmp.Diff(want, read(t, p)) })
}

// TestIdle: of what is no DNS nothing is told, and an answer that came is not missed.
func TestIdle(t *testing.T) {
	l := probetest.NewLab(t)
	serve(t, l, l.B)
	p := probetest.Open(t, Kind, probe.Env{Node: "node-a", Places: l.Places, Threshold: time.Minute})
	events := probetest.Watch(t, p)
	asked := time.Now()
	ask(t, l, l.A, "udp", "10.2.0.2:53", "web.shop.", dnsmessage.TypeA, 10)
	l.Echo(t, "udp", 5000, 100)
	for time.Since(asked) < patience+2*time.Second { // as long as a timeout takes to be told
		l.Echo(t, "tcp", 1000, 100)
	}
	if diff := cmp.Diff(answered(by("10.2.0.2", "A", "udp"), "NOERROR", 10), read(t, p)); diff != "" {
		t.Error(diff)
	}
	check(t, events, "", netip.AddrPort{}, 0)
	probetest.Cost(t, p) // of a packet that is no DNS
}

// TestFlood: of more queries than there is room for, each is counted: as not answered, or as lost.
func TestFlood(t *testing.T) {
	l := probetest.NewLab(t)
	probetest.Sh(t, l.A, "ip link add br9 type bridge; ip link set br9 up; ip addr add 10.9.0.1/24 dev br9; ip neigh add 10.9.0.2 lladdr 02:00:00:00:00:01 dev br9")
	p := probetest.Open(t, Kind, probe.Env{Node: "node-a", Places: l.Places, Threshold: time.Minute})
	probetest.Watch(t, p)
	serve(t, l, l.B)
	begun(t, l, p)
	const n = 20_000
	began := time.Now()
	ask(t, l, l.A, "udp", "10.9.0.2:53", "silent.shop.", dnsmessage.TypeA, n)
	most := mostWaiting * uint64(1+time.Since(began)/patience) // where it takes that long, others wait when the first have waited enough
	probetest.Cost(t, p)                                       // of a query, nearly
	probetest.Until(t, func() string {
		lost := losses(t, p)
		late := uint64(read(t, p)["dns_timeouts_total{"+by("10.9.0.2", "A", "udp")+"}"])
		if late > most || late+lost["rate"]+lost["ring"]+lost["table"] != n {
			return fmt.Sprintf("%d not answered, %v lost, of %d", late, lost, n)
		}
		return ""
	})
}

// TestOverrun: of lookups whose answers the agent was not given, none is said to have had no answer.
func TestOverrun(t *testing.T) {
	l := probetest.NewLab(t)
	p := probetest.Open(t, Kind, probe.Env{Node: "node-a", Places: l.Places, Threshold: time.Minute})
	events := probetest.Watch(t, p)
	serve(t, l, l.B)
	begun(t, l, p)
	const n, sockets = 4000, 5
	var all errgroup.Group
	for range sockets {
		f := asking(t, "udp", "10.2.0.2:53", "web.shop.", dnsmessage.TypeA, n)
		all.Go(func() error { return l.A.Do(f) })
	}
	if err := all.Wait(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(patience + 2*time.Second) // as long as a timeout takes to be told
	got, lost := read(t, p), losses(t, p)
	answers := got["dns_answers_total{"+by("10.2.0.2", "A", "udp")+`,rcode="NOERROR"}`]
	if late := got["dns_timeouts_total{"+by("10.2.0.2", "A", "udp")+"}"]; late > 0 || answers+float64(lost["rate"]+lost["ring"]+lost["table"]) < n*sockets {
		t.Errorf("%v answered and %v not, %v lost, of %d", answers, late, lost, n*sockets)
	}
	t.Logf("%v answered, %v lost, of %d", answers, lost, n*sockets)
	check(t, events, "", netip.AddrPort{}, 0)
}
