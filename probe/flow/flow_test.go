//go:build linux

package flow

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"github.com/google/go-cmp/cmp"
	"github.com/plumbnet/plumb/lab/sandbox"
	"github.com/plumbnet/plumb/probe"
	"github.com/plumbnet/plumb/probe/probetest"
)

func TestMain(m *testing.M) { sandbox.Main(m) }

// read returns the counters of shop/a and shop/b that are not 0 and whose series has a text in it.
func read(t *testing.T, p probe.Probe, with string) probetest.Samples {
	t.Helper()
	out := probetest.Samples{}
	err := p.Read(func(s probe.Sample) {
		series := probetest.Series(s)
		if s.Stat.Type == probe.Counter && s.Value > 0 && strings.HasPrefix(s.Pod, "shop/") && strings.Contains(series, with) {
			out[series] = s.Value
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// add adds the two counters of a flow.
func add(to probetest.Samples, pod, peer, port, proto, role, direction string, n, bytes float64) {
	labels := fmt.Sprintf(`{pod="shop/%s",peer="%s",port="%s",protocol="%s",role="%s",direction="%s"}`, pod, peer, port, proto, role, direction)
	to["flow_packets_total"+labels], to["flow_bytes_total"+labels] = n, n*bytes
}

func start(t *testing.T, l *probetest.Lab) probe.Probe {
	t.Helper()
	return probetest.Open(t, Kind, probe.Env{Node: "node-a", Places: l.Places})
}

// TestExact: n datagrams of a size there and back are n at each end, in each direction, and so are their bytes.
func TestExact(t *testing.T) {
	const n, size = 500, 100
	for _, tt := range []struct {
		name, server string
		head         float64
		peers        [2]string // of shop/a, and of shop/b
	}{
		{"IPv4", "10.2.0.2:7", 28, [2]string{"shop/b", "shop/a"}},
		{"IPv6", "[fd00:2::2]:7", 48, [2]string{"fd00:2::2", "fd00:1::2"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := probetest.NewLab(t)
			p := start(t, l)
			echo(t, l, tt.server, n, size)
			want := probetest.Samples{}
			for _, direction := range []string{"sent", "received"} {
				add(want, "a", tt.peers[0], "7", "udp", "client", direction, n, size+tt.head)
				add(want, "b", tt.peers[1], "7", "udp", "server", direction, n, size+tt.head)
			}
			if diff := cmp.Diff(want, read(t, p, `"udp"`)); diff != "" {
				t.Error(diff)
			}
			probetest.Cost(t, p)
			when(t, p)
		})
	}
}

// when wants first and last to have been just now.
func when(t *testing.T, p probe.Probe) {
	t.Helper()
	n := 0
	err := p.Read(func(s probe.Sample) {
		if s.Stat.Type == probe.Gauge && s.Pod == "shop/a" {
			n++
			if at := time.UnixMilli(int64(s.Value * 1e3)); time.Since(at) < -time.Second || time.Since(at) > 30*time.Second {
				t.Errorf("%s: %v", probetest.Series(s), at)
			}
		}
	})
	if err != nil || n < 2 {
		t.Errorf("%d times, %v", n, err)
	}
}

// echo has shop/a send n datagrams to shop/b, each after the answer to the last.
func echo(t *testing.T, l *probetest.Lab, addr string, n, size int) {
	t.Helper()
	to := netip.MustParseAddrPort(addr)
	l.In(t, l.B, func() error {
		server, err := net.ListenPacket("udp", ":"+fmt.Sprint(to.Port()))
		if err != nil {
			return err
		}
		t.Cleanup(func() { server.Close() })
		go func() {
			for b := make([]byte, 2000); ; {
				n, from, err := server.ReadFrom(b)
				if err != nil {
					return
				}
				_, _ = server.WriteTo(b[:n], from)
			}
		}()
		return nil
	})
	l.In(t, l.A, func() error {
		c, err := net.Dial("udp", addr)
		if err != nil {
			return err
		}
		defer c.Close()
		b := make([]byte, size)
		for range n {
			if _, err := c.Write(b); err != nil {
				return err
			}
			if err := c.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
				return err
			}
			if _, err := c.Read(b); err != nil {
				return err
			}
		}
		return nil
	})
}

// TestDevice: packets and bytes are those of the device, but for what is neither IPv4 nor IPv6 and for the frames' headers, also where
// one is divided later.
func TestDevice(t *testing.T) {
	l := probetest.NewLab(t)
	p := start(t, l)
	before := probetest.Links(t, l.A)["eth0"]
	const size = 20 << 20
	l.In(t, l.B, func() error { return swallow(":80") })
	l.In(t, l.A, func() error {
		c, err := net.Dial("tcp", "10.2.0.2:80")
		if err != nil {
			return err
		}
		defer c.Close()
		for b := make([]byte, 1<<20); len(b) > 0; b = b[:0] {
			for range size / len(b) {
				if _, err := c.Write(b); err != nil {
					return err
				}
			}
		}
		if err := c.(*net.TCPConn).CloseWrite(); err != nil {
			return err
		}
		_, err = io.Copy(io.Discard, c)
		return err
	})
	var got probetest.Samples
	labels := `{pod="shop/a",peer="shop/b",port="80",protocol="tcp",role="client",direction="sent"}`
	probetest.Until(t, func() string { // the last acknowledgement
		got = read(t, p, `"tcp"`)
		frames := probetest.Links(t, l.A)["eth0"].TX["packets"] - before.TX["packets"]
		carried := probetest.Links(t, l.A)["eth0"].TX["bytes"] - before.TX["bytes"]
		// The device counts what is divided later as one.
		if b := got["flow_bytes_total"+labels]; b < size || b+14*frames > carried || b+14*frames+5000 < carried {
			return fmt.Sprintf("%.0f bytes, the device has %.0f in %.0f frames", b, carried, frames)
		}
		return ""
	})
	if n := got["flow_packets_total"+labels]; n < size/1460 || n > size/1000 {
		t.Errorf("%.0f packets of %d bytes", n, size)
	}
}

func swallow(addr string) error {
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	go func() {
		c, err := ln.Accept()
		ln.Close()
		if err == nil {
			_, _ = io.Copy(io.Discard, c)
			c.Close()
		}
	}()
	return nil
}

// counter is a program that counts packets, and how many it has counted.
func counter(t *testing.T) (*ebpf.Program, func() uint64) {
	t.Helper()
	m, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.Array, KeySize: 4, ValueSize: 8, MaxEntries: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	prog, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.SchedCLS, License: "GPL", Instructions: asm.Instructions{
		asm.Mov.Imm(asm.R1, 0), asm.StoreMem(asm.RFP, -4, asm.R1, asm.Word),
		asm.LoadMapPtr(asm.R1, m.FD()), asm.Mov.Reg(asm.R2, asm.RFP), asm.Add.Imm(asm.R2, -4), asm.FnMapLookupElem.Call(),
		asm.JEq.Imm(asm.R0, 0, "end"), asm.Mov.Imm(asm.R1, 1), asm.StoreXAdd(asm.R0, asm.R1, asm.DWord),
		asm.Mov.Imm(asm.R0, -1).WithSymbol("end"), asm.Return(), // TC_ACT_UNSPEC, and what else is there
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { prog.Close() })
	return prog, func() (n uint64) {
		if err := m.Lookup(uint32(0), &n); err != nil {
			t.Fatal(err)
		}
		return n
	}
}

// TestOthers: other programs at a Pod's device see what they saw, and are there when the probe is gone.
func TestOthers(t *testing.T) {
	l := probetest.NewLab(t)
	filter, filtered := counter(t)
	probetest.Filter(t, l.A, "eth0", "egress", filter)
	prog, seen := counter(t)
	var old error
	l.In(t, l.A, func() error {
		eth0, err := net.InterfaceByName("eth0")
		if err != nil {
			return err
		}
		tcx, err := link.AttachTCX(link.TCXOptions{Interface: eth0.Index, Program: prog, Attach: ebpf.AttachTCXEgress})
		if old = err; err == nil {
			t.Cleanup(func() { tcx.Close() })
		}
		return nil
	})
	p, err := Kind.Open(&probe.Env{Places: l.Places})
	if err != nil {
		t.Fatal(err)
	}
	for _, closed := range []bool{false, true} {
		if closed {
			if err := p.Close(); err != nil {
				t.Error(err)
			}
		}
		before, past := filtered(), seen()
		l.Echo(t, "udp", 100, 100)
		if n := filtered() - before; n < 100 {
			t.Errorf("closed %v: the filter saw %d packets", closed, n)
		}
		if n := seen() - past; old == nil && n < 100 {
			t.Errorf("closed %v: the program saw %d packets", closed, n)
		}
	}
}

// TestFull: of more flows than there is room for, packets are counted right or as lost; and a Pod has no more series than its share.
func TestFull(t *testing.T) {
	l := probetest.NewLab(t)
	probetest.Sh(t, l.A, "ip link add br9 type bridge; ip link set br9 up; ip addr add 10.9.0.1/16 dev br9; ip neigh add 10.9.0.2 lladdr 02:00:00:00:00:01 dev br9")
	p := start(t, l)
	const n, room, others = 9000, 8192, 50 // others are a kernel's own packets
	l.In(t, l.A, func() error {
		c, err := net.ListenUDP("udp4", &net.UDPAddr{Port: 20000})
		if err != nil {
			return err
		}
		defer c.Close()
		for i := range n {
			if _, err := c.WriteTo([]byte{1}, &net.UDPAddr{IP: net.IPv4(10, 9, 0, 2), Port: 1 + i}); err != nil {
				return err
			}
		}
		return nil
	})
	counted, series := 0.0, 0
	for s, v := range read(t, p, "flow_packets_total{") {
		if strings.Contains(s, `pod="shop/a"`) && strings.Contains(s, `"sent"`) && !strings.Contains(s, `icmp"`) {
			counted += v
			series++
		}
	}
	a, err := p.(probe.Accounted).Account()
	if err != nil {
		t.Fatal(err)
	}
	lost := 0.0
	for _, x := range a.Lost {
		if x.Stage == "table" {
			lost += float64(x.Events)
		}
	}
	if counted+lost < n || counted+lost > n+others || counted < room/2 || series > mostFlows+2 {
		t.Errorf("%.0f packets of %d counted, %.0f lost, in %d series", counted, n, lost, series)
	}
}

// TestGone: a flow that made room for others counts on where it was.
func TestGone(t *testing.T) {
	l := probetest.NewLab(t)
	p := start(t, l)
	p.(*flow).idle = 0
	want := probetest.Samples{}
	for round := range 3 {
		l.Echo(t, "udp", 100, 100)
		for _, direction := range []string{"sent", "received"} {
			add(want, "a", "shop/b", "7", "udp", "client", direction, 100*float64(round+1), 128)
			add(want, "b", "shop/a", "7", "udp", "server", direction, 100*float64(round+1), 128)
		}
		if diff := cmp.Diff(want, read(t, p, `"udp"`)); diff != "" {
			t.Error(diff)
		}
		for k := range p.(*flow).read {
			if _, ours := l.Places.ByNet(k.Net); ours && k.Proto == 17 {
				t.Errorf("left: %+v", k)
			}
		}
	}
}

// TestLoopback: what stays in a Pod, or is the node's own, is nobody's flow; a bridge within a Pod does not count twice.
func TestLoopback(t *testing.T) {
	l := probetest.NewLab(t)
	probetest.Sh(t, l.A, `
ip addr flush dev eth0
ip link add br0 type bridge
ip link set eth0 master br0
ip link set br0 up
ip link set lo up
ip addr add 10.1.0.2/24 dev br0
ip route add default via 10.1.0.1`)
	p := start(t, l)
	l.Echo(t, "udp", 100, 100)
	l.In(t, l.A, func() error {
		c, err := net.Dial("udp", "127.0.0.1:9")
		if err == nil {
			_, err = c.Write([]byte{1})
			c.Close()
		}
		return err
	})
	want := probetest.Samples{}
	for _, direction := range []string{"sent", "received"} {
		add(want, "a", "shop/b", "7", "udp", "client", direction, 100, 128)
		add(want, "b", "shop/a", "7", "udp", "server", direction, 100, 128)
	}
	if diff := cmp.Diff(want, read(t, p, `"udp"`)); diff != "" {
		t.Error(diff)
	}
}

func TestPeer(t *testing.T) {
	p := &flow{env: &probe.Env{Places: probetest.Places{Addrs: map[netip.Addr]string{probetest.AddrB: "shop/b"}}}}
	for addr, want := range map[string]string{
		"10.2.0.2": "shop/b", "10.96.0.10": "10.96.0.10", "100.64.1.2": "100.64.1.2", "198.51.100.7": "198.51.100.0/24",
		"fd00::7": "fd00::7", "2001:db8:1:2::3": "2001:db8:1::/48", "224.0.0.251": "multicast", "ff02::fb": "multicast",
	} {
		a := netip.MustParseAddr(addr)
		k := flowKey{Version: 6, Peer: a.As16()}
		if a.Is4() {
			k.Version = 4
			b := a.As4()
			k.Peer = [16]uint8{}
			copy(k.Peer[:], b[:])
		}
		if got := p.peer(k); got != want {
			t.Errorf("%s: %s, want %s", addr, got, want)
		}
	}
}

// TestTally: first and last are those of all that was added.
func TestTally(t *testing.T) {
	a, b := tally{sent: amount{1, 100}, first: 5, last: 7}, tally{received: amount{2, 300}, first: 6, last: 9}
	want := tally{sent: amount{1, 100}, received: amount{2, 300}, first: 5, last: 9}
	if got := (tally{}).Plus(a).Plus(b); got != want {
		t.Errorf("%+v", got)
	}
	if got := want.Minus(a); got != (tally{received: amount{2, 300}, first: 5, last: 9}) {
		t.Errorf("%+v", got)
	}
}
