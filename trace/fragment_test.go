package trace_test

import (
	"testing"

	"github.com/plumbnet/plumb/trace"
)

// TestFragments sends datagrams without DF that no device takes whole.
func TestFragments(t *testing.T) {
	narrow := sub("nodes/b/host/addr.json", `("ifname":"eth0"[^\n]*"mtu":)1500`, "${1}1400")
	for _, tt := range []struct {
		name    string
		changes []change
		size    int
		want    trace.Fate
		reply   trace.Fate
	}{
		{"cut at the Pod and at the tunnel", nil, 3000, trace.Delivered, trace.Delivered},
		{"cut at the tunnel alone; the answer fits its socket's route, and may not be cut", nil, 1480, trace.Delivered, trace.TooBig},
		{"the fragments in the tunnel are too large for the far uplink", []change{narrow}, 3000, trace.TooBig, trace.Unknown},
		{"rules see the whole", []change{rules("b/host", "filter", ":FORWARD ACCEPT [0:0]", "-A FORWARD -m length --length 2999:3001 -j DROP")}, 3000, trace.Dropped, trace.Unknown},
	} {
		t.Run(tt.name, func(t *testing.T) {
			n := fixture(t, "vxlan", tt.changes...)
			q := parseProbe(n, "a/p1 udp 10.244.2.2:8081")
			q.Size, q.ReplySize, q.DF = tt.size, tt.size, false
			r := trace.Run(n, q)
			p := r.Paths[0]
			if len(r.Paths) != 1 || p.End != tt.want || tt.reply != trace.Unknown && (len(p.Reply) != 1 || p.Reply[0].End != tt.reply) {
				t.Errorf("%s", explain(r))
			}
		})
	}
}

// TestShownPorts has rules that look at the bridge port by which a packet came: br_netfilter shows it, also where the packet is routed on.
func TestShownPorts(t *testing.T) {
	port := rules("a/host", "filter", ":FORWARD ACCEPT [0:0]", "-A FORWARD -m physdev --physdev-is-in -j DROP")
	service := rules("a/host", "nat", ":PREROUTING ACCEPT [0:0]", "-A PREROUTING -d 10.96.0.10/32 -p tcp -m tcp --dport 80 -j DNAT --to-destination 10.244.2.2:8080")
	reset := rules("a/host", "filter", ":FORWARD ACCEPT [0:0]", "-A FORWARD -d 10.244.2.2/32 -p tcp -j REJECT --reject-with tcp-reset")
	off, on := set("a/host", "net.bridge.bridge-nf-call-iptables", "0"), set("a/host", "net.bridge.bridge-nf-call-iptables", "1")
	rows(t, "vxlan", []row{
		{name: "a port, shown", changes: []change{port, on}, ask: "a/p1 tcp 10.244.2.2:8080", want: trace.Dropped, at: "a/host"},
		{name: "a port, not shown", changes: []change{port, off}, ask: "a/p1 tcp 10.244.2.2:8080", want: trace.Delivered},
		{name: "a reset", changes: []change{reset, on}, ask: "a/p1 tcp 10.244.2.2:8080", want: trace.Rejected, told: "tcp 10.244.2.2:8080 > 10.244.1.2:40000 delivered"},
		{name: "a reset goes by the port, past the Service's address", changes: []change{service, reset, on}, ask: "a/p1 tcp 10.96.0.10:80", want: trace.Rejected,
			told: "tcp 10.244.2.2:8080 > 10.244.1.2:40000 no-listener"},
		{name: "a reset without br_netfilter gets the Service's address", changes: []change{service, reset, off}, ask: "a/p1 tcp 10.96.0.10:80", want: trace.Rejected,
			told: "tcp 10.96.0.10:80 > 10.244.1.2:40000 delivered"},
	})
}

// TestFragments6 forwards an IPv6 datagram that its sender cut by a device that is smaller than the fragments: its sender is told.
func TestFragments6(t *testing.T) {
	n := fixture(t, "ipv6")
	q := parseProbe(n, "a/p1 udp [fd00:2::2]:8080")
	q.Size, q.DF = 3000, false
	p := trace.Run(n, q).Paths[0]
	if p.End != trace.TooBig || p.At.String() != "a/host/v2" || len(p.ICMP) != 1 || p.ICMP[0].Final.MTU != 1400 {
		t.Errorf("%s", explain(trace.Run(n, q)))
	}
}

// TestWhole6 has sockets that may not cut their datagrams, and sockets that may, send more than their device takes.
func TestWhole6(t *testing.T) {
	for name, want := range map[bool]trace.Fate{false: trace.Delivered, true: trace.TooBig} {
		n := fixture(t, "ipv6")
		q := parseProbe(n, "a/p2 ping fd00:1::2")
		q.Size, q.DF = 1450, name
		if p := trace.Run(n, q).Paths[0]; p.End != want || want == trace.TooBig && p.At.String() != "a/p2/eth0" {
			t.Errorf("whole %v: %s", name, explain(trace.Run(n, q)))
		}
	}
}
