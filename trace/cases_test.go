//go:build linux

package trace_test

import "github.com/plumbnet/plumb/trace"

// pod returns the lines that join a Pod namespace to a bridge or to its host by a veth pair.
func pod(ns, veth, addr string) string {
	return "ip link add " + veth + " type veth peer name eth0 netns " + ns + "\nip link set " + veth + " up\n" +
		"ip -n " + ns + " link set eth0 up\nip -n " + ns + " addr add " + addr + " dev eth0\n"
}

// twoNodes are two machines on a fabric that is not collected, each with a bridge, two Pods and a VXLAN device.
var twoNodes = []string{
	`fabric: ip link add br0 type bridge; ip link set br0 up`,
	`a/host: :`, `b/host: :`, `a/p1: :`, `a/p2: :`, `b/p1: :`,
	`a/host:
ip link add eth0 type veth peer name ha netns fabric
ip -n fabric link set ha master br0 up
ip link set eth0 up; ip addr add 192.168.9.1/24 dev eth0
sysctl -qw net.ipv4.ip_forward=1
ip link add cni0 type bridge; ip link set cni0 up; ip addr add 10.244.1.1/24 dev cni0
` + pod("a-p1", "v1", "10.244.1.2/24") + `ip link set v1 master cni0
ip -n a-p1 route add default via 10.244.1.1
` + pod("a-p2", "v2", "10.244.1.3/24") + `ip link set v2 master cni0
ip -n a-p2 route add default via 10.244.1.1
ip link add flannel.1 address 0e:00:00:00:00:01 type vxlan id 1 dstport 8472 local 192.168.9.1 dev eth0 nolearning; ip link set flannel.1 up
ip addr add 10.244.1.0/32 dev flannel.1
ip route add 10.244.2.0/24 via 10.244.2.0 dev flannel.1 onlink
ip neigh add 10.244.2.0 lladdr 0e:00:00:00:00:02 dev flannel.1 nud permanent
bridge fdb add 0e:00:00:00:00:02 dev flannel.1 dst 192.168.9.2 self permanent`,
	`b/host:
ip link add eth0 type veth peer name hb netns fabric
ip -n fabric link set hb master br0 up
ip link set eth0 up; ip addr add 192.168.9.2/24 dev eth0
sysctl -qw net.ipv4.ip_forward=1
ip link add cni0 type bridge; ip link set cni0 up; ip addr add 10.244.2.1/24 dev cni0
` + pod("b-p1", "v1", "10.244.2.2/24") + `ip link set v1 master cni0
ip -n b-p1 route add default via 10.244.2.1
ip link add flannel.1 address 0e:00:00:00:00:02 type vxlan id 1 dstport 8472 local 192.168.9.2 dev eth0 nolearning; ip link set flannel.1 up
ip addr add 10.244.2.0/32 dev flannel.1
ip route add 10.244.1.0/24 via 10.244.1.0 dev flannel.1 onlink
ip neigh add 10.244.1.0 lladdr 0e:00:00:00:00:01 dev flannel.1 nud permanent
bridge fdb add 0e:00:00:00:00:01 dev flannel.1 dst 192.168.9.1 self permanent`,
}

// with returns the setup with more lines at its end.
func with(setup []string, more ...string) []string {
	return append(setup[:len(setup):len(setup)], more...)
}

// masquerade are rules as Flannel and kube-proxy write them, for a Service 10.96.0.10:80 on b's Pod.
const masquerade = `
iptables -t nat -A POSTROUTING -m mark --mark 0x4000/0x4000 -j MASQUERADE
iptables -t nat -A PREROUTING -d 10.96.0.10/32 -p tcp --dport 80 -j DNAT --to-destination 10.244.2.2:8080
iptables -t nat -A OUTPUT -d 10.96.0.10/32 -p tcp --dport 80 -j MARK --set-xmark 0x4000/0x4000
iptables -t nat -A OUTPUT -d 10.96.0.10/32 -p tcp --dport 80 -j DNAT --to-destination 10.244.2.2:8080
`

var cases = []topology{
	{
		name: "vxlan", story: "Two nodes with bridges and VXLAN, as Flannel makes them: all is well.",
		setup: twoNodes,
		send: []probe{
			{from: "a/p1", to: "b/p1", addr: "10.244.2.2:8080", proto: "tcp", fate: trace.Delivered},
			{from: "a/p1", to: "b/p1", addr: "10.244.2.2:8081", proto: "udp", fate: trace.Delivered},
			{from: "a/p1", to: "a/p2", addr: "10.244.1.3:8080", proto: "tcp", fate: trace.Delivered},
			{from: "a/host", to: "b/p1", addr: "10.244.2.2:8080", proto: "tcp", fate: trace.Delivered},
			{from: "a/host", to: "b/host", addr: "192.168.9.2:8080", proto: "tcp", fate: trace.Delivered},
			{from: "a/p1", to: "b/p1", addr: "10.244.2.2", proto: "ping", fate: trace.Delivered},
			{from: "a/p1", to: "b/p1", addr: "10.244.2.2", proto: "ping", size: 1450, df: true, fate: trace.Delivered},
			{from: "a/p1", to: "b/p1", addr: "10.244.2.2", proto: "ping", size: 1451, df: true, fate: trace.TooBig},
			{from: "a/p1", to: "b/p1", addr: "10.244.2.2:9999", proto: "tcp", fate: trace.NoListener},
			{from: "a/p1", to: "b/p1", addr: "10.244.2.2:9999", proto: "udp", fate: trace.NoListener},
			{from: "a/p1", to: "b/p1", addr: "10.244.2.9:80", proto: "tcp", fate: trace.NoNeighbour},
			{from: "a/p1", to: "b/p1", addr: "127.0.0.1:9998", proto: "tcp", fate: trace.NoListener},
		},
	},
	{
		name: "service", story: "A Service by DNAT, for Pods and for the node itself, which is masqueraded.",
		setup: with(twoNodes, "a/host:"+masquerade),
		send: []probe{
			{from: "a/p1", to: "b/p1", addr: "10.96.0.10:80", port: 8080, proto: "tcp", fate: trace.Delivered},
			{from: "a/host", to: "b/p1", addr: "10.96.0.10:80", port: 8080, proto: "tcp", fate: trace.NoRoute},
		},
	},
	{
		name: "bridge", story: "One bridge: hairpin, isolated ports, a Service on the bridge itself through br_netfilter.",
		setup: []string{
			`a/host: :`, `a/p1: :`, `a/p2: :`, `a/p3: :`,
			`a/host: ip link add cni0 type bridge; ip link set cni0 up; ip addr add 10.244.1.1/24 dev cni0
sysctl -qw net.ipv4.ip_forward=1
` + pod("a-p1", "v1", "10.244.1.2/24") + pod("a-p2", "v2", "10.244.1.3/24") + pod("a-p3", "v3", "10.244.1.4/24") + `
for v in v1 v2 v3; do ip link set $v master cni0; done
for p in 1 2 3; do ip -n a-p$p route add default via 10.244.1.1; done
bridge link set dev v1 isolated on; bridge link set dev v2 isolated on
sysctl -qw net.bridge.bridge-nf-call-iptables=1
bridge link set dev v3 hairpin on
iptables -t nat -A PREROUTING -d 10.96.0.10 -p tcp --dport 80 -j DNAT --to-destination 10.244.1.4:8080
iptables -t nat -A PREROUTING -d 10.96.0.11 -p tcp --dport 80 -j DNAT --to-destination 10.244.1.3:8080
iptables -t nat -A POSTROUTING -s 10.244.1.4 -d 10.244.1.4 -j MASQUERADE
iptables -A FORWARD -m physdev --physdev-in v3 --physdev-out v2 -p tcp --dport 8081 -j DROP`,
		},
		send: []probe{
			{from: "a/p1", to: "a/p2", addr: "10.244.1.3:8080", proto: "tcp", fate: trace.NoNeighbour},
			{from: "a/p1", to: "a/p3", addr: "10.244.1.4:8080", proto: "tcp", fate: trace.Delivered},
			{from: "a/p3", to: "a/p2", addr: "10.244.1.3:8080", proto: "tcp", fate: trace.Delivered},
			{from: "a/p3", to: "a/p2", addr: "10.244.1.3:8081", proto: "tcp", fate: trace.Dropped},
			{from: "a/p1", to: "a/p3", addr: "10.96.0.10:80", port: 8080, proto: "tcp", fate: trace.Delivered},
			{from: "a/p3", to: "a/p3", addr: "10.96.0.10:80", port: 8080, proto: "tcp", fate: trace.Delivered},
			{from: "a/p3", to: "a/p2", addr: "10.96.0.11:80", port: 8080, proto: "tcp", fate: trace.Delivered},
			{from: "a/p1", to: "a/p2", addr: "10.96.0.11:80", port: 8080, proto: "tcp", fate: trace.Dropped},
		},
	},
	{
		name: "bridge-no-nf", story: "A Service on the bridge without br_netfilter: the answer passes the NAT by.",
		setup: []string{
			`a/host: :`, `a/p1: :`, `a/p2: :`,
			`a/host: ip link add cni0 type bridge; ip link set cni0 up; ip addr add 10.244.1.1/24 dev cni0
sysctl -qw net.ipv4.ip_forward=1
sysctl -qw net.bridge.bridge-nf-call-iptables=0
` + pod("a-p1", "v1", "10.244.1.2/24") + pod("a-p2", "v2", "10.244.1.3/24") + `
for v in v1 v2; do ip link set $v master cni0; done
for p in 1 2; do ip -n a-p$p route add default via 10.244.1.1; done
iptables -t nat -A PREROUTING -d 10.96.0.11 -p tcp --dport 80 -j DNAT --to-destination 10.244.1.3:8080
iptables -t nat -A PREROUTING -d 10.96.0.10 -p tcp --dport 80 -j DNAT --to-destination 10.244.1.2:8080
iptables -t nat -A POSTROUTING -s 10.244.1.2 -d 10.244.1.2 -j MASQUERADE`,
		},
		send: []probe{
			{from: "a/p1", to: "a/p2", addr: "10.96.0.11:80", port: 8080, proto: "tcp", fate: trace.Delivered, reply: trace.NoListener},
			{from: "a/p1", to: "a/p1", addr: "10.96.0.10:80", port: 8080, proto: "tcp", fate: trace.Delivered},
			{from: "a/p1", to: "a/p2", addr: "10.244.1.3:8080", proto: "tcp", fate: trace.Delivered},
		},
	},
	{
		name: "veth-mtu", story: "One end of a veth pair has a smaller MTU than the other: large packets vanish.",
		setup: []string{
			`a/host: :`, `a/p1: :`,
			`a/host: ` + pod("a-p1", "v1", "10.0.0.2/24") + `ip addr add 10.0.0.1/24 dev v1
ip -n a-p1 link set eth0 mtu 1400`,
		},
		send: []probe{
			{from: "a/host", to: "a/p1", addr: "10.0.0.2", proto: "ping", size: 1400, df: true, fate: trace.Delivered},
			{from: "a/host", to: "a/p1", addr: "10.0.0.2", proto: "ping", size: 1404, df: true, fate: trace.Delivered, reply: trace.Delivered},
			{from: "a/host", to: "a/p1", addr: "10.0.0.2", proto: "ping", size: 1405, df: true, fate: trace.TooBig},
			{from: "a/host", to: "a/p1", addr: "10.0.0.2", proto: "ping", size: 1500, df: true, fate: trace.TooBig},
			{from: "a/host", to: "a/p1", addr: "10.0.0.2", proto: "ping", size: 1501, df: true, fate: trace.TooBig},
			{from: "a/p1", to: "a/host", addr: "10.0.0.1", proto: "ping", size: 3000, fate: trace.Delivered, reply: trace.TooBig},
		},
	},
	{
		name: "router", story: "A host between two others: forwarding, reverse paths, martians, TTL, MTU and its ICMP.",
		setup: []string{
			`a/host: :`, `a/p1: :`, `a/p2: :`, `a/p3: :`,
			`a/host: sysctl -qw net.ipv4.ip_forward=1
` + pod("a-p1", "v1", "10.0.1.2/24") + `ip addr add 10.0.1.1/24 dev v1
` + pod("a-p2", "v2", "10.0.2.2/24") + `ip addr add 10.0.2.1/24 dev v2
` + pod("a-p3", "v3", "10.0.3.2/24") + `ip addr add 10.0.3.1/24 dev v3
ip -n a-p1 route add default via 10.0.1.1
ip -n a-p2 route add default via 10.0.2.1
ip -n a-p3 route add default via 10.0.3.1
ip -n a-p1 addr add 10.9.0.1/32 dev lo; ip route add 10.9.0.1 via 10.0.1.2
ip -n a-p3 addr add 10.0.1.77/32 dev lo
ip -n a-p3 route add 10.0.2.2 via 10.0.3.1 src 10.0.1.77
ip -n a-p3 addr add 10.0.2.1/32 dev lo
ip -n a-p3 route add 10.0.1.2 via 10.0.3.1 src 10.0.2.1
ip link set v3 address 0e:00:00:00:03:01
ip -n a-p3 neigh add 10.0.3.1 lladdr 0e:00:00:00:03:01 dev eth0 nud permanent
sysctl -qw net.ipv4.conf.v3.rp_filter=1
ip link set v2 mtu 1300; ip -n a-p2 link set eth0 mtu 1300
sysctl -qw net.ipv4.conf.v2.forwarding=0
ip route add blackhole 10.66.0.0/16; ip route add unreachable 10.67.0.0/16; ip route add prohibit 10.68.0.0/16
ip route add 10.70.0.0/16 via 10.0.1.2; ip -n a-p1 route add 10.70.0.0/16 via 10.0.1.1; ip netns exec a-p1 sysctl -qw net.ipv4.ip_forward=1`,
		},
		send: []probe{
			{from: "a/p1", to: "a/p2", addr: "10.0.2.2:8080", proto: "tcp", fate: trace.Delivered, reply: trace.Dropped},
			{from: "a/p3", to: "a/p2", addr: "10.0.2.2:8080", proto: "tcp", fate: trace.Dropped},
			{from: "a/p3", to: "a/p1", addr: "10.0.1.2:8080", proto: "tcp", fate: trace.Dropped},
			{from: "a/p1", to: "a/p3", addr: "10.0.3.2:8080", proto: "tcp", fate: trace.Delivered},
			{from: "a/p1", to: "a/p2", addr: "10.0.2.2", proto: "ping", size: 1400, df: true, fate: trace.TooBig},
			{from: "a/p1", to: "a/p2", addr: "10.66.0.1:80", proto: "tcp", fate: trace.NoRoute},
			{from: "a/p1", to: "a/p2", addr: "10.67.0.1:80", proto: "tcp", fate: trace.NoRoute},
			{from: "a/p1", to: "a/p2", addr: "10.68.0.1:80", proto: "tcp", fate: trace.NoRoute},
			{from: "a/p1", to: "a/p2", addr: "10.69.0.1:80", proto: "tcp", fate: trace.NoRoute},
			{from: "a/p3", to: "a/p2", addr: "10.70.0.1:80", proto: "tcp", fate: trace.Looped},
			{from: "a/host", to: "a/p2", addr: "10.0.2.2", proto: "ping", size: 1400, fate: trace.Delivered},
			{from: "a/host", to: "a/p2", addr: "10.69.0.1:80", proto: "tcp", fate: trace.NoRoute},
		},
	},
	{
		name: "vxlan-faults", story: "The same two nodes: a wrong VTEP, a wrong VNI, a wrong neighbour, a lowered uplink.",
		setup: with(twoNodes, `a/host:
bridge fdb replace 0e:00:00:00:00:02 dev flannel.1 dst 192.168.9.77 self permanent`),
		send: []probe{
			{from: "a/p1", to: "b/p1", addr: "10.244.2.2:8080", proto: "tcp", fate: trace.LeftCluster},
			{from: "b/p1", to: "a/p1", addr: "10.244.1.2:8080", proto: "tcp", fate: trace.Delivered, reply: trace.LeftCluster},
		},
	},
	{
		name: "vxlan-neigh", story: "The neighbour entry of the far VTEP names a link-layer address that has no forwarding entry.",
		setup: with(twoNodes, `a/host: ip neigh replace 10.244.2.0 lladdr 0e:00:00:00:00:99 dev flannel.1 nud permanent`),
		send: []probe{
			{from: "a/p1", to: "b/p1", addr: "10.244.2.2:8080", proto: "tcp", fate: trace.NoNeighbour},
		},
	},
	{
		name: "vxlan-vni", story: "The far node's VXLAN device has another VNI.",
		setup: with(twoNodes, `b/host: ip link del flannel.1
ip link add flannel.1 address 0e:00:00:00:00:02 type vxlan id 2 dstport 8472 local 192.168.9.2 dev eth0 nolearning; ip link set flannel.1 up`),
		send: []probe{
			{from: "a/p1", to: "b/p1", addr: "10.244.2.2:8080", proto: "tcp", fate: trace.Dropped},
		},
	},
	{
		name: "vxlan-port", story: "The far node's VXLAN device has another port.",
		setup: with(twoNodes, `b/host: ip link del flannel.1
ip link add flannel.1 address 0e:00:00:00:00:02 type vxlan id 1 dstport 4789 local 192.168.9.2 dev eth0 nolearning; ip link set flannel.1 up`),
		send: []probe{
			{from: "a/p1", to: "b/p1", addr: "10.244.2.2:8080", proto: "tcp", fate: trace.NoListener},
		},
	},
	{
		name: "vxlan-mtu", story: "The uplinks' MTU was lowered below what the tunnel needs: the outer packet is cut into fragments.",
		setup: with(twoNodes, `a/host: ip link set eth0 mtu 1400`, `b/host: ip link set flannel.1 mtu 1300`),
		send: []probe{
			{from: "a/p1", to: "b/p1", addr: "10.244.2.2", proto: "ping", size: 1450, df: true, fate: trace.Delivered, reply: trace.Delivered},
			{from: "a/p1", to: "b/p1", addr: "10.244.2.2", proto: "ping", size: 1300, df: true, fate: trace.Delivered, reply: trace.Delivered},
			{from: "b/p1", to: "a/p1", addr: "10.244.1.2", proto: "ping", size: 1450, df: true, fate: trace.TooBig},
		},
	},
	{
		name: "vxlan-input", story: "A firewall on the far node drops VXLAN packets.",
		setup: with(twoNodes, `b/host: iptables -A INPUT -p udp --dport 8472 -j DROP; iptables -P FORWARD DROP`),
		send: []probe{
			{from: "a/p1", to: "b/p1", addr: "10.244.2.2:8080", proto: "tcp", fate: trace.Dropped},
			{from: "b/p1", to: "a/p1", addr: "10.244.1.2:8080", proto: "tcp", fate: trace.Dropped},
		},
	},
	{
		name: "reject", story: "Rules that drop and that tell the sender, on the way and at the end.",
		setup: with(twoNodes, `a/host: iptables -A FORWARD -p tcp --dport 8081 -j REJECT --reject-with icmp-admin-prohibited
iptables -A FORWARD -p tcp --dport 8082 -j REJECT --reject-with tcp-reset`, `b/p1: iptables -A INPUT -p tcp --dport 8083 -j REJECT
iptables -A OUTPUT -p tcp --sport 8084 -j DROP`),
		send: []probe{
			{from: "a/p1", to: "b/p1", addr: "10.244.2.2:8081", proto: "tcp", fate: trace.Rejected},
			{from: "a/p1", to: "b/p1", addr: "10.244.2.2:8082", proto: "tcp", fate: trace.Rejected},
			{from: "a/p1", to: "b/p1", addr: "10.244.2.2:8083", proto: "tcp", fate: trace.Rejected},
			{from: "a/p1", to: "b/p1", addr: "10.244.2.2:8084", proto: "tcp", fate: trace.Delivered, reply: trace.Dropped},
		},
	},
	{
		name: "macvlan", story: "Pods on macvlan devices of the uplink: siblings hear each other, the host does not hear them.",
		setup: []string{
			`fabric: ip link add br0 type bridge; ip link set br0 up`,
			`a/host: :`, `b/host: :`, `a/p1: :`, `a/p2: :`,
			`a/host: ip link add eth0 type veth peer name ha netns fabric; ip -n fabric link set ha master br0 up
ip link set eth0 up; ip addr add 192.168.9.1/24 dev eth0
ip link add m1 link eth0 type macvlan mode bridge; ip link set m1 netns a-p1 name eth0
ip link add m2 link eth0 type macvlan mode bridge; ip link set m2 netns a-p2 name eth0
ip -n a-p1 link set eth0 up; ip -n a-p1 addr add 192.168.9.11/24 dev eth0
ip -n a-p2 link set eth0 up; ip -n a-p2 addr add 192.168.9.12/24 dev eth0`,
			`b/host: ip link add eth0 type veth peer name hb netns fabric; ip -n fabric link set hb master br0 up
ip link set eth0 up; ip addr add 192.168.9.2/24 dev eth0`,
		},
		send: []probe{
			{from: "a/p1", to: "a/p2", addr: "192.168.9.12:8080", proto: "tcp", fate: trace.Delivered},
			{from: "a/p1", to: "b/host", addr: "192.168.9.2:8080", proto: "tcp", fate: trace.Delivered},
			{from: "b/host", to: "a/p1", addr: "192.168.9.11:8080", proto: "tcp", fate: trace.Delivered},
		},
	},
	{
		name: "proxy-arp", story: "Pods routed by their host without a bridge, as Calico does: proxy ARP answers for the gateway.",
		setup: []string{
			`a/host: :`, `a/p1: :`, `a/p2: :`, `a/p3: :`,
			`a/host: sysctl -qw net.ipv4.ip_forward=1
` + pod("a-p3", "v3", "10.3.0.1/24") + "ip addr add 10.3.0.2/24 dev v3\n" + pod("a-p1", "v1", "10.1.0.1/32") + pod("a-p2", "v2", "10.1.0.2/32") + `
sysctl -qw net.ipv4.conf.v1.proxy_arp=1
sysctl -qw net.ipv4.conf.v2.proxy_arp=1
sysctl -qw net.ipv4.conf.v1.rp_filter=1
sysctl -qw net.ipv4.neigh.v1.proxy_delay=0 net.ipv4.neigh.v2.proxy_delay=0
ip route add 10.1.0.1 dev v1; ip route add 10.1.0.2 dev v2
ip route add default via 10.3.0.1
for p in 1 2; do ip -n a-p$p route add 169.254.1.1 dev eth0; ip -n a-p$p route add default via 169.254.1.1; done`,
		},
		send: []probe{
			{from: "a/p1", to: "a/p2", addr: "10.1.0.2:8080", proto: "tcp", fate: trace.Delivered},
			{from: "a/p2", to: "a/p1", addr: "10.1.0.1:8081", proto: "udp", fate: trace.Delivered},
		},
	},
	{
		name: "ipv6", story: "IPv6 through a router: neighbours, MTU, forwarding, sockets that take only one family.",
		setup: []string{
			`a/host: :`, `a/p1: :`, `a/p2: :`,
			`a/host: sysctl -qw net.ipv6.conf.all.forwarding=1
` + pod("a-p1", "v1", "fd00:1::2/64") + pod("a-p2", "v2", "fd00:2::2/64") + `
ip addr add fd00:1::1/64 dev v1; ip addr add fd00:2::1/64 dev v2
ip -n a-p1 route add default via fd00:1::1; ip -n a-p2 route add default via fd00:2::1
ip link set v2 mtu 1400; ip -n a-p2 link set eth0 mtu 1400
ip6tables -A FORWARD -p tcp --dport 8089 -j REJECT`,
		},
		send: []probe{
			{from: "a/p1", to: "a/p2", addr: "[fd00:2::2]:8080", proto: "tcp", fate: trace.Delivered},
			{from: "a/p1", to: "a/p2", addr: "[fd00:2::2]:8089", proto: "tcp", fate: trace.Rejected},
			{from: "a/p1", to: "a/p2", addr: "[fd00:2::2]:9999", proto: "tcp", fate: trace.NoListener},
			{from: "a/p1", to: "a/p2", addr: "fd00:2::2", proto: "ping", size: 1400, df: true, fate: trace.Delivered},
			{from: "a/p1", to: "a/p2", addr: "fd00:2::2", proto: "ping", size: 1401, df: true, fate: trace.TooBig},
			{from: "a/p1", to: "a/p2", addr: "fd00:3::2", proto: "ping", fate: trace.NoRoute},
		},
	},
	{
		name: "no-forward", story: "ip_forward is 0 on the node: Pods reach the node and no further.",
		setup: with(twoNodes, `a/host: sysctl -qw net.ipv4.ip_forward=0`),
		send: []probe{
			{from: "a/p1", to: "b/p1", addr: "10.244.2.2:8080", proto: "tcp", fate: trace.Dropped},
			{from: "a/p1", to: "a/p2", addr: "10.244.1.3:8080", proto: "tcp", fate: trace.Delivered},
			{from: "b/p1", to: "a/p1", addr: "10.244.1.2:8080", proto: "tcp", fate: trace.Dropped},
		},
	},
	{
		name: "links", story: "A veth that left its bridge, a device that is down, a duplicate address.",
		setup: []string{
			`a/host: :`, `a/p1: :`, `a/p2: :`, `a/p3: :`,
			`a/host: ip link add cni0 type bridge; ip link set cni0 up; ip addr add 10.244.1.1/24 dev cni0
` + pod("a-p1", "v1", "10.244.1.2/24") + pod("a-p2", "v2", "10.244.1.3/24") + pod("a-p3", "v3", "10.244.1.4/24") + `
ip link set v1 master cni0; ip link set v3 master cni0
ip -n a-p1 neigh add 10.244.1.4 lladdr 02:00:00:00:00:99 dev eth0 nud permanent
ip link set v3 down`,
		},
		send: []probe{
			{from: "a/host", to: "a/p2", addr: "10.244.1.3:8080", proto: "tcp", fate: trace.NoNeighbour},
			{from: "a/p2", to: "a/p1", addr: "10.244.1.2:8080", proto: "tcp", fate: trace.NoNeighbour},
			{from: "a/p1", to: "a/p3", addr: "10.244.1.4:8080", proto: "tcp", fate: trace.NoNeighbour},
			{from: "a/p3", to: "a/p1", addr: "10.244.1.2:8080", proto: "tcp", fate: trace.LinkDown},
			{from: "a/host", to: "a/p1", addr: "10.244.1.2:8080", proto: "tcp", fate: trace.Delivered},
		},
	},
	{
		name: "vxlan-bridged", story: "A VXLAN device as a port of the bridge on both nodes: unknown addresses are flooded to the far end.",
		setup: []string{
			`fabric: ip link add br0 type bridge; ip link set br0 up`,
			`a/host: :`, `b/host: :`, `a/p1: :`, `b/p1: :`,
			bridged("a", "1", "2"), bridged("b", "2", "1"),
		},
		send: []probe{
			{from: "a/p1", to: "b/p1", addr: "10.5.0.2:8080", proto: "tcp", fate: trace.Delivered},
			{from: "b/p1", to: "a/p1", addr: "10.5.0.1:8081", proto: "udp", fate: trace.Delivered},
			{from: "a/p1", to: "b/p1", addr: "10.5.0.2", proto: "ping", size: 1450, df: true, fate: trace.Delivered},
			{from: "a/p1", to: "b/p1", addr: "10.5.0.2", proto: "ping", size: 1480, df: true, fate: trace.TooBig},
			{from: "a/p1", to: "b/p1", addr: "10.5.0.3:80", proto: "tcp", fate: trace.NoNeighbour},
		},
	},
	{
		name: "vxlan-bridged-mtu", story: "As vxlan-bridged, and a's uplink was lowered: the sender is told, through the bridge.",
		setup: []string{
			`fabric: ip link add br0 type bridge; ip link set br0 up`,
			`a/host: :`, `b/host: :`, `a/p1: :`, `b/p1: :`,
			bridged("a", "1", "2"), bridged("b", "2", "1"), `a/host: ip link set eth0 mtu 1400`,
		},
		send: []probe{
			{from: "a/p1", to: "b/p1", addr: "10.5.0.2", proto: "ping", size: 1350, df: true, fate: trace.Delivered},
			{from: "a/p1", to: "b/p1", addr: "10.5.0.2", proto: "ping", size: 1351, df: true, fate: trace.TooBig},
			{from: "b/p1", to: "a/p1", addr: "10.5.0.1", proto: "ping", size: 1354, df: true, fate: trace.Delivered, reply: trace.Delivered},
			{from: "b/p1", to: "a/p1", addr: "10.5.0.1", proto: "ping", size: 1355, df: true, fate: trace.TooBig},
		},
	},
	{
		name: "masquerade", story: "A Pod behind a node that masquerades, and one behind a node that does not though the far side knows no way back.",
		setup: with(twoNodes, `a/host: ip route del 10.244.2.0/24; ip route add 172.16.0.0/16 via 192.168.9.2
iptables -t nat -A POSTROUTING -s 10.244.1.2 ! -d 10.244.0.0/16 -j MASQUERADE --random-fully`,
			`b/host: ip addr add 172.16.0.1/32 dev lo; ip route del 10.244.1.0/24; ip route add blackhole 10.244.1.0/24`),
		send: []probe{
			{from: "a/p1", to: "b/host", addr: "172.16.0.1:8080", proto: "tcp", fate: trace.Delivered},
			{from: "a/p2", to: "b/host", addr: "172.16.0.1:8081", proto: "udp", fate: trace.Delivered, reply: trace.NoRoute},
			{from: "a/p1", to: "b/host", addr: "172.16.0.1:9999", proto: "udp", fate: trace.NoListener},
			{from: "a/p1", to: "b/host", addr: "172.16.0.1", proto: "ping", fate: trace.Delivered},
		},
	},
	{
		name: "arp-ignore", story: "A host that answers ARP for the addresses of other devices, and one that does not.",
		setup: []string{
			`a/host: :`, `a/p1: :`, `a/p2: :`,
			`a/host: ` + pod("a-p1", "v1", "10.0.1.2/24") + `ip addr add 10.0.1.1/24 dev v1
` + pod("a-p2", "v2", "10.0.2.2/24") + `ip addr add 10.0.2.1/24 dev v2
ip -n a-p1 addr add 10.7.0.1/32 dev lo; ip -n a-p2 addr add 10.7.0.2/32 dev lo
ip route add 10.7.0.1/32 dev v1; ip route add 10.7.0.2/32 dev v2
ip netns exec a-p2 sysctl -qw net.ipv4.conf.eth0.arp_ignore=1`,
		},
		send: []probe{
			{from: "a/host", to: "a/p1", addr: "10.7.0.1:8080", proto: "tcp", fate: trace.Delivered},
			{from: "a/host", to: "a/p2", addr: "10.7.0.2:8080", proto: "tcp", fate: trace.NoNeighbour},
		},
	},
	{
		name: "policy", story: "Policy routing by mark: a rule in OUTPUT marks, and the packet takes another way.",
		setup: []string{
			`a/host: :`, `a/p1: :`, `a/p2: :`,
			`a/host: ` + pod("a-p1", "v1", "10.0.1.2/24") + `ip addr add 10.0.1.1/24 dev v1
` + pod("a-p2", "v2", "10.0.1.2/24") + `ip addr add 10.0.2.1/24 dev v2
ip -n a-p2 route add 10.0.0.0/8 dev eth0; ip -n a-p1 route add 10.0.0.0/8 dev eth0
ip route add 10.0.1.2/32 dev v2 table 100; ip rule add fwmark 0x1 lookup 100
iptables -t mangle -A OUTPUT -p tcp --dport 8081 -j MARK --set-mark 1`,
		},
		send: []probe{
			{from: "a/host", to: "a/p1", addr: "10.0.1.2:8080", proto: "tcp", fate: trace.Delivered},
			{from: "a/host", to: "a/p2", addr: "10.0.1.2:8081", proto: "tcp", fate: trace.Delivered},
		},
	},
}

// bridged is a node with a Pod and a VXLAN device on one bridge.
func bridged(node, own, other string) string {
	return node + `/host: ip link add eth0 type veth peer name h` + node + ` netns fabric; ip -n fabric link set h` + node + ` master br0 up
ip link set eth0 up; ip addr add 192.168.9.` + own + `/24 dev eth0
ip link add br1 type bridge; ip link set br1 up
` + pod(node+"-p1", "v1", "10.5.0."+own+"/24") + `ip link set v1 master br1
ip link add vx0 type vxlan id 7 dstport 4789 local 192.168.9.` + own + ` remote 192.168.9.` + other + ` dev eth0; ip link set vx0 master br1 up`
}
