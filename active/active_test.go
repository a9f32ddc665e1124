//go:build linux

package active

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/plumbnet/plumb/lab/sandbox"
	"github.com/plumbnet/plumb/packet"
	"github.com/plumbnet/plumb/snapshot"
)

func TestMain(m *testing.M) { sandbox.Main(m) }

// lines is the lab: a — r — b, with a link of MTU 1400 between r and b.
const lines = `
a: ip link add eth0 type veth peer name ra netns r; ip addr add 10.1.0.2/24 dev eth0; ip addr add fd01::2/64 dev eth0 nodad; ip link set eth0 up; ip route add default via 10.1.0.1; ip route add default via fd01::1
r: ip addr add 10.1.0.1/24 dev ra; ip addr add fd01::1/64 dev ra nodad; ip link set ra up; ip link add rb type veth peer name eth0 netns b
r: ip link set rb mtu 1400 up; ip addr add 10.2.0.1/24 dev rb; ip addr add fd02::1/64 dev rb nodad; sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
r: iptables -A FORWARD -p tcp --dport 81 -j REJECT; iptables -A FORWARD -p tcp --dport 82 -j DROP; iptables -A FORWARD -p udp --dport 83 -j REJECT --reject-with icmp-admin-prohibited
b: ip link set eth0 mtu 1400 up; ip addr add 10.2.0.2/24 dev eth0; ip addr add fd02::2/64 dev eth0 nodad; ip route add default via 10.2.0.1; ip route add default via fd02::1
`

// newLab makes the lab, with servers in b on TCP port 80 and UDP port 53, and returns a's namespace.
func newLab(t *testing.T) *os.File {
	t.Helper()
	sandbox.Need(t)
	ns := map[string]*sandbox.NS{}
	for _, name := range []string{"a", "r", "b"} {
		n, err := sandbox.NewNS(name)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { n.Delete() })
		ns[name] = n
	}
	for line := range strings.Lines(strings.TrimSpace(lines)) {
		name, commands, _ := strings.Cut(strings.TrimSpace(line), ": ")
		for _, c := range strings.Split(commands, "; ") {
			if err := ns[name].Run("", strings.Fields(c)...); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
	}
	err := ns["b"].Do(func() error {
		l, err := net.Listen("tcp", ":80")
		if err != nil {
			return err
		}
		t.Cleanup(func() { l.Close() })
		u, err := net.ListenPacket("udp", ":53")
		if err != nil {
			return err
		}
		t.Cleanup(func() { u.Close() })
		go answer(u)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Open("/run/netns/a")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	// A router asks for a neighbour from its link-local address, which is tentative at first.
	for deadline := time.Now().Add(20 * time.Second); ; {
		p, err := Run(t.Context(), f, Ask{Proto: packet.ICMP, Dst: netip.MustParseAddrPort("[fd02::2]:0")})
		if err == nil && p.Answered == 1 {
			return f
		}
		if time.Now().After(deadline) {
			t.Fatalf("the lab does not come up: %v, %v", p, err)
		}
	}
}

// answer sends each datagram back, until u is closed.
func answer(u net.PacketConn) {
	buf := make([]byte, 2048)
	for {
		n, from, err := u.ReadFrom(buf)
		if err != nil {
			return
		}
		u.WriteTo(buf[:n], from)
	}
}

func TestRun(t *testing.T) {
	a := newLab(t)
	short, long := 400*time.Millisecond, 5*time.Second // long: where an answer is due, from a machine that may be busy
	addr := netip.MustParseAddrPort
	for _, tt := range []struct {
		name string
		ask  Ask
		want snapshot.Probe // what is compared: Sent, Answered, Fate, Why, ICMP
	}{
		{"tcp", Ask{Proto: packet.TCP, Dst: addr("10.2.0.2:80"), Timeout: long}, snapshot.Probe{Sent: 1, Answered: 1, Fate: snapshot.ProbeAnswered}},
		{"tcp, IPv6", Ask{Proto: packet.TCP, Dst: addr("[fd02::2]:80"), Timeout: long}, snapshot.Probe{Sent: 1, Answered: 1, Fate: snapshot.ProbeAnswered}},
		{"nothing listens", Ask{Proto: packet.TCP, Dst: addr("10.2.0.2:79"), Timeout: long}, snapshot.Probe{Sent: 1, Fate: snapshot.ProbeRefused, Why: "connection refused"}},
		{"a rule rejects", Ask{Proto: packet.TCP, Dst: addr("10.2.0.2:81"), Timeout: long}, snapshot.Probe{Sent: 1, Fate: snapshot.ProbeRejected, Why: "connection refused", ICMP: &snapshot.ProbeICMP{From: addr("10.1.0.1:0").Addr(), Type: 3, Code: 3}}},
		{"a rule drops", Ask{Proto: packet.TCP, Dst: addr("10.2.0.2:82"), Timeout: short}, snapshot.Probe{Sent: 1, Fate: snapshot.ProbeSilent}},
		{"no route", Ask{Proto: packet.TCP, Dst: addr("10.9.0.1:80"), Timeout: long}, snapshot.Probe{Sent: 1, Fate: snapshot.ProbeRejected, Why: "network is unreachable", ICMP: &snapshot.ProbeICMP{From: addr("10.1.0.1:0").Addr(), Type: 3, Code: 0}}},
		{"three times", Ask{Proto: packet.TCP, Dst: addr("10.2.0.2:80"), Count: 3, Timeout: long}, snapshot.Probe{Sent: 3, Answered: 3, Fate: snapshot.ProbeAnswered}},
		{"udp", Ask{Proto: packet.UDP, Dst: addr("10.2.0.2:53"), Timeout: long}, snapshot.Probe{Sent: 1, Answered: 1, Fate: snapshot.ProbeAnswered}},
		{"udp, nothing listens", Ask{Proto: packet.UDP, Dst: addr("10.2.0.2:54"), Timeout: long}, snapshot.Probe{Sent: 1, Fate: snapshot.ProbeRefused, Why: "connection refused", ICMP: &snapshot.ProbeICMP{From: addr("10.2.0.2:0").Addr(), Type: 3, Code: 3}}},
		{"udp, a rule rejects", Ask{Proto: packet.UDP, Dst: addr("10.2.0.2:83"), Timeout: long}, snapshot.Probe{Sent: 1, Fate: snapshot.ProbeRejected, Why: "no route to host", ICMP: &snapshot.ProbeICMP{From: addr("10.1.0.1:0").Addr(), Type: 3, Code: 13}}},
		{"ping", Ask{Proto: packet.ICMP, Dst: addr("10.2.0.2:0"), Timeout: long}, snapshot.Probe{Sent: 1, Answered: 1, Fate: snapshot.ProbeAnswered}},
		{"ping, IPv6", Ask{Proto: packet.ICMP, Dst: addr("[fd02::2]:0"), Count: 2, Timeout: long}, snapshot.Probe{Sent: 2, Answered: 2, Fate: snapshot.ProbeAnswered}},
		{"ping, as large as the link", Ask{Proto: packet.ICMP, Dst: addr("10.2.0.2:0"), Size: 1400, DF: true, Timeout: long}, snapshot.Probe{Sent: 1, Answered: 1, Fate: snapshot.ProbeAnswered}},
		{"ping, larger", Ask{Proto: packet.ICMP, Dst: addr("10.2.0.2:0"), Size: 1401, DF: true, Timeout: long}, snapshot.Probe{Sent: 1, Fate: snapshot.ProbeTooBig, Why: "message too long", ICMP: &snapshot.ProbeICMP{From: addr("10.1.0.1:0").Addr(), Type: 3, Code: 4, MTU: 1400}}},
		{"ping, larger and in pieces", Ask{Proto: packet.ICMP, Dst: addr("10.2.0.2:0"), Size: 1401, Timeout: long}, snapshot.Probe{Sent: 1, Answered: 1, Fate: snapshot.ProbeAnswered}},
		{"ping, larger, IPv6", Ask{Proto: packet.ICMP, Dst: addr("[fd02::2]:0"), Size: 1401, DF: true, Timeout: long}, snapshot.Probe{Sent: 1, Fate: snapshot.ProbeTooBig, Why: "message too long", ICMP: &snapshot.ProbeICMP{From: addr("[fd01::1]:0").Addr(), Type: 2, Code: 0, MTU: 1400}}},
		{"udp, larger", Ask{Proto: packet.UDP, Dst: addr("10.2.0.2:53"), Size: 1450, DF: true, Timeout: long}, snapshot.Probe{Sent: 1, Fate: snapshot.ProbeTooBig, Why: "message too long", ICMP: &snapshot.ProbeICMP{From: addr("10.1.0.1:0").Addr(), Type: 3, Code: 4, MTU: 1400}}},
		{"larger than the own link", Ask{Proto: packet.ICMP, Dst: addr("10.2.0.2:0"), Size: 1501, DF: true, Timeout: long}, snapshot.Probe{Sent: 1, Fate: snapshot.ProbeTooBig, Why: "message too long"}},
		{"nobody there", Ask{Proto: packet.ICMP, Dst: addr("10.2.0.9:0"), Timeout: short}, snapshot.Probe{Sent: 1, Fate: snapshot.ProbeSilent}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Run(t.Context(), a, tt.ask)
			if err != nil {
				t.Fatal(err)
			}
			if len(got.RTT) != got.Answered || got.Answered > 0 && (got.Src.Addr().IsUnspecified() || !got.Src.IsValid()) {
				t.Errorf("%+v", got)
			}
			got = snapshot.Probe{Sent: got.Sent, Answered: got.Answered, Fate: got.Fate, Why: got.Why, ICMP: got.ICMP}
			if diff := cmp.Diff(tt.want, got, cmpopts.EquateComparable(netip.Addr{}, netip.AddrPort{})); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	t.Run("from an address that it does not have", func(t *testing.T) {
		if _, err := Run(t.Context(), a, Ask{Proto: packet.TCP, Dst: addr("10.2.0.2:80"), Src: addr("10.1.0.77:0").Addr()}); err == nil {
			t.Error("no error")
		}
	})
	t.Run("given up", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		start := time.Now()
		_, err := Run(ctx, a, Ask{Proto: packet.TCP, Dst: addr("10.2.0.2:82"), Timeout: 10 * time.Second, Count: 2})
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(start) > 5*time.Second {
			t.Errorf("%v after %s", err, time.Since(start))
		}
	})
	t.Run("the thread's namespace", func(t *testing.T) {
		// The test's own namespace knows no 10.2.0.2: probes must not have left a thread in a's.
		for range 20 {
			if c, err := net.DialTimeout("tcp", "10.2.0.2:80", time.Second); err == nil {
				c.Close()
				t.Fatal("a thread stayed in the Pod's namespace")
			}
		}
	})
}

func TestBounds(t *testing.T) {
	dst := netip.MustParseAddrPort("10.0.0.1:80")
	for _, tt := range []struct {
		ask  Ask
		want string
	}{
		{Ask{Proto: packet.TCP}, "dst: no address"},
		{Ask{Proto: packet.TCP, Dst: netip.MustParseAddrPort("10.0.0.1:0")}, "dst: tcp needs a port"},
		{Ask{Proto: packet.SCTP, Dst: dst}, "protocol sctp: want tcp, udp or icmp"},
		{Ask{Proto: packet.TCP, Dst: dst, Src: netip.MustParseAddr("fd00::1")}, "src: of another family than dst"},
		{Ask{Proto: packet.TCP, Dst: dst, Count: 101}, "count 101: want 1 to 100"},
		{Ask{Proto: packet.TCP, Dst: dst, Count: -1}, "count -1: want 1 to 100"},
		{Ask{Proto: packet.ICMP, Dst: dst, Size: 65_001}, "size 65001: want at most 65000"},
		{Ask{Proto: packet.TCP, Dst: dst, Timeout: time.Minute}, "timeout 1m0s: want at most 10s"},
		{Ask{Proto: packet.TCP, Dst: dst, Count: 100}, "100 times 1s: want at most 30s in all"},
		{Ask{Proto: packet.TCP, Dst: dst, Interval: -1}, "want at most 30s in all"},
		{Ask{Proto: packet.UDP, Dst: netip.MustParseAddrPort("224.0.0.1:53")}, "dst: not one host"},
		{Ask{Proto: packet.UDP, Dst: netip.MustParseAddrPort("255.255.255.255:53")}, "dst: not one host"},
	} {
		if _, err := Run(t.Context(), nil, tt.ask); err == nil || !strings.HasSuffix(err.Error(), tt.want) {
			t.Errorf("%+v: %v, want %s", tt.ask, err, tt.want)
		}
	}
}
