package trace_test

import (
	"testing"

	"github.com/plumbnet/plumb/trace"
)

// port changes what the bridge of the fixture says of a port: "state", "forwarding", "blocking".
func port(name, key, was, is string) change {
	return sub("nodes/a/host/addr.json", `("ifname":"`+name+`"[^\n]*"`+key+`":)`+was, "${1}"+is)
}

// TestPorts changes the ports of a bridge with three Pods; v1 and v2 are isolated, v3 has hairpin.
func TestPorts(t *testing.T) {
	const to12, to13, to32, self = "a/p1 tcp 10.244.1.3:8080", "a/p1 tcp 10.244.1.4:8080", "a/p3 tcp 10.244.1.3:8080", "a/p3 tcp 10.96.0.10:80"
	rows(t, "bridge", []row{
		{name: "isolated ports do not even ask", ask: to12, want: trace.NoNeighbour, at: "a/p1/eth0", told: "none"},
		{name: "one end is not isolated", ask: to12, changes: []change{port("v2", "isolated", "true", "false")}, want: trace.Delivered, reply: trace.Delivered},
		{name: "an isolated port to another", ask: to13, want: trace.Delivered, reply: trace.Delivered},
		{name: "both isolated now", ask: to13, changes: []change{port("v3", "isolated", "false", "true"), put("nodes/a/p1/neigh.json", "[]")}, want: trace.NoNeighbour},
		{name: "the sender's port is blocking", ask: to13, changes: []change{port("v1", "state", `"forwarding"`, `"blocking"`), put("nodes/a/p1/neigh.json", "[]")},
			want: trace.NoNeighbour, at: "a/p1/eth0"},
		{name: "the sender's port is learning, and the neighbour known", ask: "a/p1 tcp 10.244.1.1:9", changes: []change{port("v1", "state", `"forwarding"`, `"learning"`),
			put("nodes/a/p1/neigh.json", `[{"dst":"10.244.1.1","dev":"eth0","lladdr":"12:66:a3:32:e9:14","state":["PERMANENT"]}]`)},
			want: trace.Dropped, at: "a/host/v1", why: "is in state learning"},
		{name: "the receiver's port is disabled", ask: to32, changes: []change{port("v2", "state", `"forwarding"`, `"disabled"`), put("nodes/a/p3/neigh.json", "[]")},
			want: trace.NoNeighbour, at: "a/p3/eth0"},
		{name: "hairpin", ask: self, want: trace.Delivered, reply: trace.Delivered},
		{name: "without hairpin", ask: self, changes: []change{port("v3", "hairpin", "true", "false")}, want: trace.Dropped, why: "hairpin"},
		{name: "the bridge is down", ask: to13, changes: []change{sub("nodes/a/host/addr.json", `"UP","LOWER_UP"\],"ifindex":2,`, `"LOWER_UP"],"ifindex":2,`), put("nodes/a/p1/neigh.json", "[]")},
			want: trace.NoNeighbour, at: "a/p1/eth0"},
		{name: "a port is down", ask: to13, changes: []change{sub("nodes/a/host/addr.json", `"UP","LOWER_UP"\],"ifindex":3,`, `"LOWER_UP"],"ifindex":3,`)}, want: trace.NoNeighbour},
		{name: "a port that is no port any more", ask: to13, changes: []change{sub("nodes/a/host/addr.json", `("ifname":"v3"[^\n]*),"master":"cni0"`, "$1"), put("nodes/a/p1/neigh.json", "[]")},
			want: trace.NoNeighbour},
		{name: "br_netfilter not collected", ask: "a/p3 tcp 10.244.1.3:8081", changes: []change{put("nodes/a/host/sysctl", "")}, want: trace.Delivered, at: "a/p2"},
		{name: "br_netfilter for this bridge alone", ask: "a/p3 tcp 10.244.1.3:8081", changes: []change{
			set("a/host", "net.bridge.bridge-nf-call-iptables", "0"), sub("nodes/a/host/addr.json", `"nf_call_iptables":0`, `"nf_call_iptables":1`)},
			want: trace.Dropped, at: "a/host"},
		{name: "br_netfilter off", ask: "a/p3 tcp 10.244.1.3:8081", changes: []change{set("a/host", "net.bridge.bridge-nf-call-iptables", "0")},
			want: trace.Delivered, at: "a/p2"},
		{name: "a smaller port", ask: "a/p1 ping 10.244.1.4 size 1500 df", changes: []change{sub("nodes/a/host/addr.json", `("ifname":"v3"[^\n]*"mtu":)1500`, "${1}1400")},
			want: trace.TooBig, at: "a/host/v3", why: "MTU 1400", told: "none"},
		{name: "four bytes too many are allowed for", ask: "a/p1 ping 10.244.1.4 size 1404 df", changes: []change{sub("nodes/a/host/addr.json", `("ifname":"v3"[^\n]*"mtu":)1500`, "${1}1400"),
			sub("nodes/a/p3/addr.json", `("ifname":"eth0"[^\n]*"mtu":)1500`, "${1}1500")}, want: trace.Delivered},
		{name: "a Service on the bridge whose endpoint is not there", ask: "a/p1 tcp 10.96.0.10:80", changes: []change{sub("nodes/a/host/iptables", `10\.244\.1\.4:8080`, "10.244.1.9:8080")},
			want: trace.NoNeighbour, at: "a/host/cni0"},
	})
}

// TestBypass has a node whose VXLAN far end is its own address: forwarded packets come in again and again.
func TestBypass(t *testing.T) {
	self := sub("nodes/a/host/fdb.json", `192\.168\.9\.2`, `192.168.9.1`)
	rows(t, "vxlan", []row{
		{name: "forwarded", ask: toB, changes: []change{self}, want: trace.Looped, at: "a/host", told: "icmp 10.244.1.1 > 10.244.1.2 delivered"},
		{name: "made there", ask: "a/host tcp 10.244.2.2:8080", changes: []change{self}, want: trace.Dropped, at: "a/host/flannel.1", why: "its own packet", told: "none"},
		{name: "no such network there", ask: toB, changes: []change{sub("nodes/a/host/fdb.json", `"dst":"192\.168\.9\.2"`, `"dst":"192.168.9.1","vni":7`)},
			want: trace.Dropped, at: "a/host/flannel.1", why: "no VXLAN device for network 7, port 8472", told: "none"},
		{name: "rules see it again", ask: toB, changes: []change{self, rules("a/host", "mangle", pre, "-A PREROUTING -i flannel.1 -j DROP")}, want: trace.Dropped, at: "a/host"},
	})
}
