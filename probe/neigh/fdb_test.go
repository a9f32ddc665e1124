//go:build linux

package neigh

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/plumbnet/plumb/event"
	"github.com/plumbnet/plumb/kernel/netlink"
	"github.com/plumbnet/plumb/lab/sandbox"
	"github.com/plumbnet/plumb/packet"
	"github.com/plumbnet/plumb/probe"
	"github.com/plumbnet/plumb/probe/probetest"
	"golang.org/x/sys/unix"
)

// A lab is a node whose bridge has two Pods, which send from these MAC addresses and nothing but what they are told to.
type lab struct {
	node, a, b *sandbox.NS
	probe      probe.Probe
	events     <-chan event.Event
}

func bridged(t *testing.T, macA, macB string) *lab {
	t.Helper()
	var l lab
	var host probe.Place
	l.node, host = probetest.NS(t, "node")
	l.a, _ = probetest.NS(t, "a")
	l.b, _ = probetest.NS(t, "b")
	host = probe.Place{Net: host.Net, Host: true}
	probetest.Sh(t, l.node, `
ip link add br0 type bridge
ip link set br0 up
ip link add vx0 type vxlan id 1 dstport 4789
for p in a b; do
	ip link add v$p type veth peer eth0 netns $p
	ip link set v$p master br0 up
done`)
	devices := map[int]string{}
	probetest.In(t, l.node, func() {
		for _, p := range []string{"a", "b"} {
			if i, err := net.InterfaceByName("v" + p); err == nil {
				devices[i.Index] = "shop/" + p
			}
		}
	})
	for i, p := range []struct {
		ns  *sandbox.NS
		mac string
	}{{l.a, macA}, {l.b, macB}} {
		probetest.Sh(t, p.ns, fmt.Sprintf(`
sysctl -qw net.ipv6.conf.eth0.disable_ipv6=1
ip link set eth0 address %s up
ip addr add 10.0.0.%d/24 dev eth0
ip neigh add 10.0.0.9 lladdr 02:00:00:00:00:99 dev eth0`, p.mac, i+1))
	}
	probetest.Up(t, l.node, "va", "vb")
	l.probe = probetest.Open(t, Kind, probe.Env{Node: "n", Places: probetest.Places{Is: []probe.Place{host}, Devices: devices, NS: map[uint64]func(func() error) error{host.Net: l.node.Do}}})
	l.events = probetest.Watch(t, l.probe)
	return &l
}

// send sends one packet from a Pod.
func send(t *testing.T, ns *sandbox.NS) {
	t.Helper()
	err := ns.Do(func() error {
		c, err := net.Dial("udp", "10.0.0.9:9")
		if err != nil {
			return err
		}
		defer c.Close()
		_, err = c.Write([]byte("x"))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// moved waits until so many moves are told.
func (l *lab) moved(t *testing.T, want string) {
	t.Helper()
	probetest.Until(t, func() string { return probetest.Diff(want, probetest.Collect(t, Kind, l.probe.Read)) })
}

// TestFlap has two Pods with the same MAC address send in turns, and a VXLAN device told of another host again and again.
func TestFlap(t *testing.T) {
	l := bridged(t, "02:00:00:00:00:01", "02:00:00:00:00:01")
	for range 10 {
		send(t, l.a)
		send(t, l.b)
	}
	l.moved(t, `neigh_fdb_moves_total{device="br0"} 19`)
	var script strings.Builder
	for i := range 6 {
		fmt.Fprintf(&script, "bridge fdb replace 02:00:00:00:00:05 dev vx0 dst 10.9.0.%d\n", i%2+1)
	}
	probetest.Sh(t, l.node, script.String()+"bridge fdb append 00:00:00:00:00:00 dev vx0 dst 10.9.0.1; bridge fdb append 00:00:00:00:00:00 dev vx0 dst 10.9.0.2")
	l.moved(t, "neigh_fdb_moves_total{device=\"br0\"} 19\nneigh_fdb_moves_total{device=\"vx0\"} 5")
	var got []string
	for range 2 {
		select {
		case e := <-l.events:
			line := e.Kind + " " + e.Node
			for _, f := range e.Detail {
				if f.Key != "within" {
					line += " " + f.Key + "=" + f.Value
				}
			}
			got = append(got, line)
		case <-time.After(10 * time.Second):
			t.Fatalf("%q", got)
		}
	}
	want := []string{
		"neigh n mac=02:00:00:00:00:01 device=br0 at=vb (shop/b) before=va (shop/a) moves=3",
		"neigh n mac=02:00:00:00:00:05 device=vx0 at=10.9.0.2 before=10.9.0.1 moves=3",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if len(l.events) > 0 {
		t.Errorf("and %v", <-l.events)
	}
}

// TestStay has two Pods with an address each send much, the bridge forget them and learn them again, and one move for good.
func TestStay(t *testing.T) {
	l := bridged(t, "02:00:00:00:00:01", "02:00:00:00:00:02")
	for range 50 {
		send(t, l.a)
		send(t, l.b)
	}
	probetest.Sh(t, l.node, "bridge fdb del 02:00:00:00:00:01 dev va master; bridge fdb del 02:00:00:00:00:02 dev vb master")
	send(t, l.a)
	send(t, l.b)
	probetest.Sh(t, l.b, "ip link set eth0 address 02:00:00:00:00:01") // it moves to b, and stays
	send(t, l.b)
	l.moved(t, `neigh_fdb_moves_total{device="br0"} 1`)
	if len(l.events) > 0 {
		t.Error(<-l.events)
	}
}

// TestKnown: no more addresses are kept than may be.
func TestKnown(t *testing.T) {
	f := &fdb{macs: map[macKey]macState{}, moved: map[int]float64{}}
	for i := range knownMACs + 100 {
		f.entry(unix.RTM_NEWNEIGH, vxlan(packet.MAC{2, 0, 0, 0, byte(i >> 8), byte(i)}), time.Time{})
	}
	if len(f.macs) != knownMACs {
		t.Errorf("%d", len(f.macs))
	}
}

// vxlan is a message about an address behind 10.0.0.1.
func vxlan(m packet.MAC) []byte {
	b := message(unix.AF_BRIDGE, unix.NUD_REACHABLE)
	return netlink.Attr(netlink.Attr(b, unix.NDA_LLADDR, m[:]), unix.NDA_DST, []byte{10, 0, 0, 1})
}

func FuzzFDB(f *testing.F) {
	f.Add(vxlan(packet.MAC{2}))
	f.Fuzz(func(t *testing.T, b []byte) {
		if k, s, ok := decodeMAC(b); ok && (k.device == 0 && len(b) < sizeofNdmsg || s.at == "") {
			t.Errorf("%+v %+v", k, s)
		}
	})
}
