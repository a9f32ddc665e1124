package trace_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/plumbnet/plumb/network"
	"github.com/plumbnet/plumb/packet"
	"github.com/plumbnet/plumb/trace"
)

// TestSmaller has full segments that are too large for the tunnel, of which their sender is told: what
// he sends then is followed too, and counts where it does not arrive.
func TestSmaller(t *testing.T) {
	narrow := sub("nodes/b/host/addr.json", `("ifname":"eth0"[^\n]*"mtu":)1500`, "${1}1400")
	for _, tt := range []struct {
		name    string
		changes []change
		back    bool // the answer is the large one
		want    trace.Fate
		size    int // of the inner packet
		at      string
		first   string // of the sender's first step
	}{
		{"the smaller one arrives", nil, false, trace.TooBig, 1500, "a/host/flannel.1", "a/p1 sends it"},
		{"the smaller one is lost behind the tunnel", []change{narrow}, false, trace.TooBig, 1450, "a/host/eth0", "is told that no more than 1450 bytes fit at a/host/flannel.1"},
		{"an answer, and the smaller one arrives", nil, true, trace.TooBig, 1500, "b/host/flannel.1", "b/p1 sends it"},
		{"an answer, and the smaller one is lost", []change{sub("nodes/a/host/addr.json", `("ifname":"eth0"[^\n]*"mtu":)1500`, "${1}1400")}, true,
			trace.TooBig, 1450, "b/host/eth0", "is told that no more than 1450 bytes fit at b/host/flannel.1"},
		{"and a rule drops it", []change{rules("b/host", "filter", ":INPUT ACCEPT [0:0]", ":FORWARD ACCEPT [0:0]", ":OUTPUT ACCEPT [0:0]",
			"-A FORWARD -m length --length 1000:1460 -j DROP")}, false, trace.Dropped, 1450, "b/host", "is told that"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			n := fixture(t, "vxlan", tt.changes...)
			p := fullSegments(t, n, tt.back)
			size := p.Final.Size
			if p.Final.Inner != nil {
				size = p.Final.Inner.Size
			}
			if p.End != tt.want || size != tt.size || p.At.String() != tt.at || p.Weight != 1 {
				t.Errorf("%s %d at %s, weight %g: %s", p.End, size, p.At, p.Weight, p.Why)
			}
			if got := p.Hops[0].Steps[0].What.String(); !strings.HasPrefix(got, tt.first) {
				t.Errorf("first it %s, want %s", got, tt.first)
			}
		})
	}
}

// fullSegments returns the one path of a full segment from a/p1 to b/p1, or of the answer.
func fullSegments(t *testing.T, n *network.Network, back bool) trace.Path {
	t.Helper()
	q := parseProbe(n, "a/p1 tcp 10.244.2.2:8080")
	if back {
		q.ReplySize = trace.FullSegment
	} else {
		q.Size = trace.FullSegment
	}
	ps := trace.Run(n, q).Paths
	if back && len(ps) == 1 {
		ps = ps[0].Reply
	}
	if len(ps) != 1 {
		t.Fatalf("%d paths", len(ps))
	}
	return ps[0]
}

// TestReroutedTooBig has OUTPUT send a segment by a smaller device than its socket chose: the node tells itself.
func TestReroutedTooBig(t *testing.T) {
	n := fixture(t, "service", sub("nodes/b/p1/addr.json", `"mtu":1500`, `"mtu":9000`))
	q := parseProbe(n, "a/host tcp 10.244.2.2:8080")
	q.Size = trace.FullSegment
	if p := trace.Run(n, q).Paths[0]; p.End != trace.Delivered || p.Final.Size != 1450 {
		t.Errorf("by its own route: %s", explain(trace.Run(n, q)))
	}
	dnat := rules("a/host", "nat", ":PREROUTING ACCEPT [0:0]", ":OUTPUT ACCEPT [0:0]", "-A OUTPUT -d 192.168.9.2/32 -p tcp -m tcp --dport 80 -j DNAT --to-destination 10.244.2.2:8080")
	n = fixture(t, "vxlan", dnat)
	q = parseProbe(n, "a/host tcp 192.168.9.2:80")
	q.Size, q.DF = trace.FullSegment, true
	p := trace.Run(n, q).Paths[0]
	if p.End != trace.TooBig || p.At.Link != "flannel.1" || len(p.ICMP) != 1 || p.ICMP[0].End != trace.Delivered || p.ICMP[0].Final.MTU != 1450 || p.ICMP[0].Final.Proto != packet.ICMP {
		t.Errorf("%s", explain(trace.Run(n, q)))
	}
	n = fixture(t, "vxlan", rules("a/host", "nat", ":PREROUTING ACCEPT [0:0]", ":OUTPUT ACCEPT [0:0]", "-A OUTPUT -d 192.168.9.1/32 -p tcp -m tcp --dport 80 -j DNAT --to-destination 10.244.2.2:8080"))
	q = parseProbe(n, "a/host tcp 192.168.9.1:80")
	q.Size, q.DF = trace.FullSegment, true
	if p := trace.Run(n, q).Paths[0]; p.End != trace.TooBig || len(p.ICMP) != 0 {
		t.Errorf("to an own address, of which no kernel learns: %s", explain(trace.Run(n, q)))
	}
}

// TestOwnGateway has a machine get its gateway's address, as a duplicate: whether it asks for the gateway still the routes do not tell.
func TestOwnGateway(t *testing.T) {
	a := made{
		links:  []string{link(2, "eth0", macA, "10.8.0.1/24 10.8.0.2/24", "")},
		routes: []string{local("10.8.0.1", "eth0"), local("10.8.0.2", "eth0"), subnet("10.8.0.0/24", "eth0", "10.8.0.1"), `{"dst":"10.9.0.0/24","gateway":"10.8.0.2","dev":"eth0","flags":[]}`},
	}
	b := made{
		links:  []string{link(2, "eth0", macB, "10.8.0.2/24 10.9.0.1/24", "")},
		routes: []string{local("10.8.0.2", "eth0"), local("10.9.0.1", "eth0"), subnet("10.8.0.0/24", "eth0", "10.8.0.2")},
	}
	r := trace.Run(make2(t, a, b), parseProbe(make2(t, a, b), "a/host tcp 10.9.0.1:80"))
	if len(r.Paths) != 2 {
		t.Fatalf("%d paths: %s", len(r.Paths), explain(r))
	}
	asked := map[string]bool{}
	for _, p := range r.Paths {
		if p.Weight != 0.5 || len(p.Assumed) == 0 || !strings.HasPrefix(p.Assumed[0].What.String(), "the gateway 10.8.0.2 is an address of a/host too") {
			t.Errorf("%s, weight %g, assumed %v", p.End, p.Weight, p.Assumed)
		}
		for _, st := range p.Hops[0].Steps {
			if st.Stage == trace.StageNeighbour {
				asked[st.What.String()] = true
			}
		}
	}
	for _, nh := range []string{"10.8.0.2", "10.9.0.1"} {
		if !asked["b/host/eth0 answers for next hop "+nh+" with "+macB] {
			t.Errorf("nobody asks for %s: %v", nh, asked)
		}
	}
}

// TestUntoldSegment has a connection of a node to itself that OUTPUT sends to where nobody answers: no MSS is told, and
// the loopback device's MTU is not what goes out.
func TestUntoldSegment(t *testing.T) {
	n := fixture(t, "vxlan", rules("a/host", "nat", ":PREROUTING ACCEPT [0:0]", ":OUTPUT ACCEPT [0:0]", "-A OUTPUT -d 192.168.9.1/32 -p tcp -m tcp --dport 80 -j DNAT --to-destination 203.0.113.9:80"),
		sub("nodes/a/host/routes.json", `(?m)^\[`, `[{"dst":"default","gateway":"192.168.9.254","dev":"eth0","flags":[]},`))
	q := parseProbe(n, "a/host tcp 192.168.9.1:80")
	q.Size = trace.FullSegment
	if p := trace.Run(n, q).Paths[0]; p.End != trace.LeftCluster || p.Final.Size != 1500 {
		t.Errorf("%s", explain(trace.Run(n, q)))
	}
}

// TestSegmentsFromOutside has a client outside learn the server's MSS, and the uplink be smaller than even that.
func TestSegmentsFromOutside(t *testing.T) {
	small := sub("nodes/b/p1/addr.json", `"mtu":1500`, `"mtu":1450`)
	port := rules("b/host", "nat", ":PREROUTING ACCEPT [0:0]", "-A PREROUTING -d 192.168.9.2/32 -p tcp -m tcp --dport 80 -j DNAT --to-destination 10.244.2.2:8080")
	out := sub("nodes/b/host/routes.json", `(?m)^\[`, `[{"dst":"default","gateway":"192.168.9.254","dev":"eth0","flags":[]},`)
	for _, tt := range []struct {
		name    string
		changes []change
		want    trace.Fate
		size    int
	}{
		{"of the server's MSS", []change{small, port, out}, trace.Delivered, 1450},
		{"which the uplink does not take", []change{small, port, out, sub("nodes/b/host/addr.json", `("ifname":"eth0"[^\n]*"mtu":)1500`, "${1}1400")}, trace.TooBig, 1450},
	} {
		t.Run(tt.name, func(t *testing.T) {
			n := fixture(t, "vxlan", tt.changes...)
			q := parseProbe(n, "b/host tcp 192.168.9.2:80")
			q.From, q.Src, q.Size = nil, netip.MustParseAddr("203.0.113.9"), trace.FullSegment
			r := trace.Run(n, q)
			if p := r.Paths[0]; len(r.Paths) != 1 || p.End != tt.want || p.Final.Size != tt.size {
				t.Errorf("%s", explain(r))
			}
		})
	}
}
