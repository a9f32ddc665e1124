package report

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/plumbnet/plumb/packet"
	"github.com/plumbnet/plumb/text"
	"github.com/plumbnet/plumb/trace"
)

func TestChange(t *testing.T) {
	p := tcp("10.0.0.1:40000", "10.96.0.1:80", 60)
	with := func(f func(*packet.Packet)) packet.Packet { q := p; f(&q); return q }
	dnat := with(func(q *packet.Packet) { q.Dst = ap("10.0.1.1:8080") })
	snat := with(func(q *packet.Packet) { q.Src = ap("192.0.2.1:1024") })
	both := with(func(q *packet.Packet) { q.Src, q.Dst = snat.Src, dnat.Dst })
	p.MSS = 1460
	clamped := p
	clamped.MSS = 1360
	outer := vxlan("192.0.2.1:50000", "192.0.2.2:8472", p)
	ping := packet.Packet{Src: netip.AddrPortFrom(p.Src.Addr(), 0), Dst: netip.AddrPortFrom(p.Dst.Addr(), 0), Proto: packet.ICMP}
	pingNAT := ping
	pingNAT.Dst = netip.AddrPortFrom(dnat.Dst.Addr(), 0)
	for _, row := range []struct {
		name    string
		was, is packet.Packet
		reply   bool
		want    string
	}{
		{"nothing", p, p, false, ""},
		{"nothing was known", packet.Packet{}, p, false, ""},
		{"DNAT", p, dnat, false, "DNAT 10.96.0.1:80 → 10.0.1.1:8080"},
		{"SNAT", p, snat, false, "SNAT 10.0.0.1:40000 → 192.0.2.1:1024"},
		{"both", p, both, false, "NAT 10.0.0.1:40000 → 192.0.2.1:1024 and 10.96.0.1:80 → 10.0.1.1:8080"},
		{"DNAT of an answer takes SNAT back", p, dnat, true, "un-SNAT 10.96.0.1:80 → 10.0.1.1:8080"},
		{"SNAT of an answer takes DNAT back", p, snat, true, "un-DNAT 10.0.0.1:40000 → 192.0.2.1:1024"},
		{"both of an answer", p, both, true, "un-NAT 10.0.0.1:40000 → 192.0.2.1:1024 and 10.96.0.1:80 → 10.0.1.1:8080"},
		{"no ports", ping, pingNAT, false, "DNAT 10.96.0.1 → 10.0.1.1"},
		{"MSS", p, clamped, false, "MSS 1460 → 1360"},
		{"in", p, outer, false, "enters vxlan 1: 192.0.2.1 → 192.0.2.2"},
		{"out", outer, p, false, "leaves vxlan 1: 10.0.0.1:40000 → 10.96.0.1:80"},
	} {
		if got := change(row.was, row.is, row.reply).String(); got != row.want {
			t.Errorf("%s: got %q, want %q", row.name, got, row.want)
		}
	}
}

func TestTunnel(t *testing.T) {
	in := tcp("10.0.0.1:1", "10.0.0.2:2", 60)
	for _, row := range []struct {
		p    packet.Packet
		want string
	}{
		{vxlan("192.0.2.1:5", "192.0.2.2:8472", in), "vxlan 1"},
		{vxlan("192.0.2.1:5", "192.0.2.2:6081", in), "geneve 1"},
		{packet.Packet{Proto: packet.IPIP, Inner: &in}, "ipip"},
		{packet.Packet{Proto: packet.GRE, Inner: &in}, "gre"},
		{packet.Packet{Proto: packet.IPv6, Inner: &in}, "sit"},
	} {
		if got := tunnel(row.p); got != row.want {
			t.Errorf("got %q, want %q", got, row.want)
		}
		if depth(row.p) != 1 {
			t.Errorf("%s: depth %d", row.want, depth(row.p))
		}
	}
	quote := packet.Packet{Proto: packet.ICMP, ICMPType: 3, Inner: &in}
	if depth(quote) != 0 {
		t.Error("an ICMP error is taken for a tunnel")
	}
}

// TestSketchKeepsAccountOfTunnels walks the way of the samples.
func TestSketchKeepsAccountOfTunnels(t *testing.T) {
	stops := sketch(trace.Path{Hops: vxlanHops(60, "api-0")}, false)
	var in, out []int
	for _, s := range stops {
		in, out = append(in, s.depth), append(out, depthOut(s))
	}
	if diff := cmp.Diff([]int{0, 0, 1, 0}, in); diff != "" {
		t.Errorf("tunnels as it comes: %s", diff)
	}
	if diff := cmp.Diff([]int{0, 1, 0, 0}, out); diff != "" {
		t.Errorf("tunnels as it goes: %s", diff)
	}
	if diff := cmp.Diff([]string{"veth1a2b3c4d", "cni0", "flannel.1", "eth0"}, stops[1].devices()); diff != "" {
		t.Errorf("devices: %s", diff)
	}
	last := stops[3].marks[len(stops[3].marks)-1]
	if !last.last || stops[0].marks[0].last {
		t.Error("the last mark is another")
	}
}

// TestUnknownPackets draws steps whose packet is not known.
func TestUnknownPackets(t *testing.T) {
	p := trace.Path{Hops: []trace.Hop{{Node: "a", NetNS: "host", Steps: []trace.Step{{Stage: trace.StageRoute}}}, {}}}
	stops := sketch(p, false)
	if len(stops) != 2 || stops[0].depth != 0 || !stops[0].marks[0].change.IsZero() {
		t.Errorf("got %+v", stops)
	}
}

func TestTitle(t *testing.T) {
	for _, row := range []struct {
		hop  trace.Hop
		want string
	}{
		{trace.Hop{}, "outside the cluster"},
		{trace.Hop{Node: "a", NetNS: "host"}, "node a"},
		{trace.Hop{Node: "a", NetNS: "host", Pod: "kube-system/proxy"}, "node a"},
		{trace.Hop{Node: "a", NetNS: "pod-1", Pod: "shop/web-0"}, "Pod shop/web-0 on a"},
		{trace.Hop{Node: "a", NetNS: "blue"}, "blue on a"},
	} {
		if got := (stop{Hop: row.hop}).title().String(); got != row.want {
			t.Errorf("got %q, want %q", got, row.want)
		}
	}
}

// TestTold finds out whether a step's sentence tells the change already.
func TestTold(t *testing.T) {
	c := text.F("DNAT %s → %s", "10.96.0.1:80", "10.0.1.1:8080")
	for _, row := range []struct {
		name string
		m    mark
		want bool
	}{
		{"both addresses", mark{Step: trace.Step{What: text.F("%s: destination %s becomes %s", "PREROUTING", "10.96.0.1:80", "10.0.1.1:8080")}, change: c}, true},
		{"one of them", mark{Step: trace.Step{What: text.F("%s lets it pass", "10.96.0.1:80")}, change: c}, false},
		{"no change", mark{Step: trace.Step{What: text.F("%s lets it pass", "FORWARD")}}, false},
	} {
		if row.m.told() != row.want {
			t.Errorf("%s: got %v", row.name, !row.want)
		}
	}
}
