package trace_test

import (
	"strings"
	"testing"

	"github.com/plumbnet/plumb/netfilter"
	"github.com/plumbnet/plumb/trace"
)

const (
	toB     = "a/p1 tcp 10.244.2.2:8080"
	forward = ":FORWARD ACCEPT [0:0]"
	pre     = ":PREROUTING ACCEPT [0:0]"
)

// TestRejections has a rule of a's FORWARD chain refuse a packet: what the Pod is told.
func TestRejections(t *testing.T) {
	for with, code := range map[string]uint8{
		"icmp-net-unreachable": 0, "icmp-host-unreachable": 1, "icmp-proto-unreachable": 2, "icmp-port-unreachable": 3,
		"icmp-net-prohibited": 9, "icmp-host-prohibited": 10, "icmp-admin-prohibited": 13,
	} {
		n := fixture(t, "vxlan", rules("a/host", "filter", forward, "-A FORWARD -j REJECT --reject-with "+with))
		p := trace.Run(n, parseProbe(n, toB)).Paths[0]
		if p.End != trace.Rejected || p.At.String() != "a/host" || len(p.ICMP) != 1 {
			t.Errorf("%s: %s at %s", with, p.End, p.At)
			continue
		}
		m := p.ICMP[0].Final
		if p.ICMP[0].End != trace.Delivered || m.ICMPType != 3 || m.ICMPCode != code || m.Inner == nil || m.Inner.Dst != p.Final.Dst {
			t.Errorf("%s: %s: %+v", with, p.ICMP[0].End, m)
		}
	}
}

// TestRules has the rules of the two nodes ask what only the namespace knows.
func TestRules(t *testing.T) {
	reset := "-A FORWARD -p tcp -j REJECT --reject-with tcp-reset"
	service := rules("a/host", "nat", pre, "-A PREROUTING -d 10.96.0.10/32 -p tcp -m tcp --dport 80 -j DNAT --to-destination 10.244.2.2:8080")
	masq := rules("a/host", "nat", ":POSTROUTING ACCEPT [0:0]", "-A POSTROUTING -o flannel.1 -j MASQUERADE")
	exact := put("nodes/b/p1/sockets", "tcp LISTEN 0 128 10.244.2.2:8080 0.0.0.0:*\n")
	rows(t, "vxlan", []row{
		{name: "a reset in the destination's name", ask: toB, changes: []change{rules("a/host", "filter", forward, reset)},
			want: trace.Rejected, told: "tcp 10.244.2.2:8080 > 10.244.1.2:40000 delivered"},
		{name: "a message through a Service's NAT", ask: "a/p1 tcp 10.96.0.10:80", changes: []change{service, rules("b/host", "filter", forward, "-A FORWARD -j REJECT --reject-with icmp-port-unreachable")},
			want: trace.Rejected, at: "b/host", told: "icmp 10.96.0.10 > 10.244.1.2 delivered"}, // NAT changes the outer source too
		{name: "a message to a masqueraded sender", ask: toB, changes: []change{masq, rules("b/host", "filter", forward, "-A FORWARD -j REJECT --reject-with icmp-port-unreachable")},
			want: trace.Rejected, at: "b/host", told: "icmp 10.244.2.0 > 10.244.1.2 delivered"},
		{name: "a message that is dropped on its way", ask: toB, changes: []change{
			rules("b/host", "filter", forward, "-A FORWARD -j REJECT --reject-with icmp-port-unreachable"), rules("a/host", "filter", forward, "-A FORWARD -p icmp -j DROP")},
			want: trace.Rejected, at: "b/host", told: "icmp 10.244.2.0 > 10.244.1.2 dropped"},
		{name: "OUTPUT rejects", ask: "a/host tcp 192.168.9.2:8080", changes: []change{rules("a/host", "filter", ":OUTPUT ACCEPT [0:0]", "-A OUTPUT -p tcp -j REJECT --reject-with icmp-port-unreachable")},
			want: trace.Rejected, at: "a/host", told: "icmp 192.168.9.1 > 192.168.9.1 delivered"},
		{name: "INPUT drops", ask: "a/host tcp 192.168.9.2:8080", changes: []change{rules("b/host", "filter", ":INPUT DROP [0:0]")},
			want: trace.Dropped, at: "b/host", why: "b/host's INPUT chain drops it: policy DROP", told: "none"},
		{name: "dst-type LOCAL, and it is", ask: "a/p1 tcp 192.168.9.1:8080", changes: []change{rules("a/host", "mangle", pre, "-A PREROUTING -m addrtype --dst-type LOCAL -j DROP")},
			want: trace.Dropped, at: "a/host"},
		{name: "dst-type LOCAL, and it is not", ask: toB, changes: []change{rules("a/host", "mangle", pre, "-A PREROUTING -i cni0 -m addrtype --dst-type LOCAL -j DROP")},
			want: trace.Delivered, reply: trace.Delivered},
		{name: "rpfilter, and the way back is right", ask: toB, changes: []change{rules("a/host", "raw", pre, "-A PREROUTING -m rpfilter --invert -j DROP")},
			want: trace.Delivered, reply: trace.Delivered},
		{name: "rpfilter, and the way back is another", ask: toB, changes: []change{rules("a/host", "raw", pre, "-A PREROUTING -m rpfilter --invert -j DROP"),
			sub("nodes/a/host/routes.json", `^\[`, `[{"dst":"10.244.1.2","gateway":"192.168.9.9","dev":"eth0"},`)},
			want: trace.Dropped, at: "a/host"},
		{name: "loose rpfilter takes any way back", ask: toB, changes: []change{rules("a/host", "raw", pre, "-A PREROUTING -i cni0 -m rpfilter --loose --invert -j DROP"),
			sub("nodes/a/host/routes.json", `^\[`, `[{"dst":"10.244.1.2","gateway":"192.168.9.9","dev":"eth0"},`)},
			want: trace.Delivered},
		{name: "socket, of the very address", ask: toB, changes: []change{exact, rules("b/p1", "mangle", pre, "-A PREROUTING -p tcp -m socket -j DROP")},
			want: trace.Dropped, at: "b/p1"},
		{name: "socket, and nobody listens", ask: "a/p1 tcp 10.244.2.2:9", changes: []change{rules("b/p1", "mangle", pre, "-A PREROUTING -p tcp -m socket -j DROP")},
			want: trace.NoListener, at: "b/p1", told: "tcp 10.244.2.2:9 > 10.244.1.2:40000 delivered"},
		{name: "owner", ask: toB, changes: []change{rules("a/p1", "filter", ":OUTPUT ACCEPT [0:0]", "-A OUTPUT -m owner --uid-owner 7 -j DROP")},
			query: func(q *trace.Query) { q.UID = new(uint32); *q.UID = 7 }, want: trace.Dropped, at: "a/p1"},
		{name: "another owner", ask: toB, changes: []change{rules("a/p1", "filter", ":OUTPUT ACCEPT [0:0]", "-A OUTPUT -m owner --uid-owner 7 -j DROP")},
			query: func(q *trace.Query) { q.UID = new(uint32) }, want: trace.Delivered},
		{name: "untracked", ask: toB, changes: []change{rules("a/host", "raw", pre, "-A PREROUTING -j CT --notrack"),
			rules("a/host", "filter", forward, "-A FORWARD -m conntrack --ctstate UNTRACKED -j DROP")}, want: trace.Dropped, at: "a/host"},
		{name: "an answer whose request was not tracked", ask: toB, changes: []change{rules("a/host", "raw", pre, "-A PREROUTING -s 10.244.1.0/24 -j CT --notrack"),
			rules("a/host", "filter", forward, "-A FORWARD -m conntrack --ctstate INVALID -j DROP")}, want: trace.Delivered, reply: trace.Dropped},
		{name: "the answer belongs to a connection", ask: toB, changes: []change{
			rules("a/host", "filter", ":FORWARD DROP [0:0]", "-A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT", "-A FORWARD -s 10.244.1.0/24 -j ACCEPT")},
			want: trace.Delivered, reply: trace.Delivered},
		{name: "a SCTP packet to a closed port", ask: "a/p1 udp 10.244.2.2:9", query: func(q *trace.Query) { q.Proto = 132 },
			want: trace.NoListener, at: "b/p1", told: "icmp 10.244.2.2 > 10.244.1.2 delivered"},
		{name: "a SCTP packet to a server", ask: "a/p1 udp 10.244.2.2:9", query: func(q *trace.Query) { q.Proto = 132 },
			changes: []change{put("nodes/b/p1/sockets", "sctp LISTEN 0 128 0.0.0.0:9 0.0.0.0:*\n")}, want: trace.Delivered, reply: trace.Delivered},
		{name: "a datagram to a closed port", ask: "a/p1 udp 10.244.2.2:9", want: trace.NoListener, told: "icmp 10.244.2.2 > 10.244.1.2 delivered"},
		{name: "a protocol that nobody is known to take", ask: toB, query: func(q *trace.Query) { q.Proto = 47 }, want: trace.Unknown, why: "who takes protocol gre"},
	})
}

// TestQuotedNAT wants an ICMP error to quote the packet as its sender knows it.
func TestQuotedNAT(t *testing.T) {
	n := fixture(t, "vxlan",
		rules("a/host", "nat", pre, "-A PREROUTING -d 10.96.0.10/32 -p tcp -m tcp --dport 80 -j DNAT --to-destination 10.244.2.2:8080"),
		rules("b/host", "filter", forward, "-A FORWARD -j REJECT --reject-with icmp-port-unreachable"))
	r := trace.Run(n, parseProbe(n, "a/p1 tcp 10.96.0.10:80"))
	m := r.Paths[0].ICMP[0].Final
	if m.Inner == nil || m.Inner.Dst.String() != "10.96.0.10:80" || m.Inner.Src.String() != "10.244.1.2:40000" {
		t.Errorf("it quotes %v\n%s", m.Inner, explain(r))
	}
}

// TestRuleQuotes wants the rule that decided, its file and line, and the command of its back end.
func TestRuleQuotes(t *testing.T) {
	for _, tt := range []struct{ file, command string }{
		{"iptables", "iptables -t filter -S FORWARD"},
		{"iptables-legacy", "iptables-legacy -t filter -S FORWARD"},
	} {
		n := fixture(t, "vxlan", put("nodes/a/host/"+tt.file, "*filter\n:FORWARD ACCEPT [0:0]\n-A FORWARD -p tcp -j DROP\nCOMMIT\n"))
		p := trace.Run(n, parseProbe(n, toB)).Paths[0]
		steps := p.Hops[len(p.Hops)-1].Steps
		ev := steps[len(steps)-1].Evidence()
		if p.End != trace.Dropped || len(ev) != 1 || ev[0].Text != "-A FORWARD -p tcp -j DROP" || ev[0].Command != tt.command || ev[0].Line != 3 || !strings.HasSuffix(ev[0].File, "/"+tt.file) {
			t.Errorf("%s: %s: %+v", tt.file, p.End, ev)
		}
	}
	n := fixture(t, "vxlan", put("nodes/a/host/iptables", "*filter\n:FORWARD DROP [0:0]\nCOMMIT\n"))
	p := trace.Run(n, parseProbe(n, toB)).Paths[0]
	steps := p.Hops[len(p.Hops)-1].Steps
	if ev := steps[len(steps)-1].Evidence(); len(ev) != 1 || ev[0].Text != "-P FORWARD DROP" {
		t.Errorf("a policy: %+v", ev)
	}
	if netfilter.Forward.String() != "FORWARD" {
		t.Error("the hook has another name")
	}
}
