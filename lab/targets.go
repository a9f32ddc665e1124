//go:build linux

package lab

import (
	"net/netip"

	"github.com/plumbnet/plumb/packet"
	corev1 "k8s.io/api/core/v1"
)

// A Target is somewhere to send a probe.
type Target struct {
	Name  string // "shop/web-0 udp big"
	To    netip.AddrPort
	Proto packet.Proto
	Size  int  // as in Probe
	Fails bool // it fails in a healthy cluster too: a closed port, an address that nobody has
}

type targets []Target

func (t *targets) add(name string, a netip.Addr, port uint16, proto packet.Proto, size int) {
	if a.IsValid() {
		*t = append(*t, Target{Name: name, To: netip.AddrPortFrom(a, port), Proto: proto, Size: size})
	}
}

func (t *targets) fails(name string, a netip.Addr, port uint16, proto packet.Proto) {
	t.add(name, a, port, proto, 0)
	(*t)[len(*t)-1].Fails = true
}

// Targets lists what a Pod or a node of the cluster may want to reach: Pods,
// nodes, node ports, Services and hosts outside, by TCP, UDP and ICMP, small and large.
func (l *Lab) Targets() []Target {
	var t targets
	for _, n := range l.Nodes {
		for _, p := range n.Pods {
			l.podTargets(&t, p)
		}
		for _, a := range []netip.Addr{n.IP, n.IP6} {
			nodeTargets(&t, n.Name, a)
		}
	}
	for i := range l.Objects.Services {
		s := &l.Objects.Services[i]
		for _, ip := range s.Spec.ClusterIPs {
			if a, err := netip.ParseAddr(ip); err == nil {
				serviceTargets(&t, s, a)
			}
		}
	}
	t.add("outside", OutsideIP, 80, packet.TCP, 0)
	t.add("outside bulk", OutsideIP, 80, packet.TCP, 1)
	t.add("outside udp", OutsideIP, 53, packet.UDP, 0)
	t.add("office", l.OfficeAt, 80, packet.TCP, 0)
	t.fails("outside closed", OutsideIP, 81, packet.TCP)
	t.fails("no such Pod", l.Nodes[1].PodCIDR.Addr().Next().Next().Next().Next().Next().Next().Next(), 80, packet.TCP)
	t.fails("no such service port", addr4(10, 96, 0, 24), 81, packet.TCP)
	return t
}

func (l *Lab) podTargets(t *targets, p *Pod) {
	port := uint16(8080)
	if p.App == "coredns" {
		port = 53
	}
	for _, a := range []netip.Addr{p.IP, p.IP6} {
		t.add(p.Key(), a, port, packet.TCP, 0)
		t.add(p.Key()+" bulk", a, port, packet.TCP, 1)
		t.add(p.Key()+" udp", a, port, packet.UDP, 0)
		t.add(p.Key()+" udp big", a, port, packet.UDP, l.Topology.podMTU())
		t.add(p.Key()+" ping", a, 0, ping(a), 0)
	}
	t.fails(p.Key()+" closed", p.IP, 9, packet.TCP)
	t.fails(p.Key()+" udp closed", p.IP, 9, packet.UDP)
}

func ping(a netip.Addr) packet.Proto {
	if a.Is4() {
		return packet.ICMP
	}
	return packet.ICMPv6
}

func nodeTargets(t *targets, name string, a netip.Addr) {
	t.add(name, a, 10250, packet.TCP, 0)
	t.add(name+" bulk", a, 10250, packet.TCP, 1)
	t.add(name+" udp", a, 9100, packet.UDP, 0)
	t.add(name+" ping", a, 0, ping(a), 0)
	t.add(name+" nodeport", a, 30080, packet.TCP, 0)
	t.add(name+" nodeport bulk", a, 30080, packet.TCP, 1)
	t.add(name+" nodeport udp", a, 30081, packet.UDP, 0)
	t.add(name+" nodeport local", a, 30090, packet.TCP, 0)
	if a.IsValid() {
		t.fails(name+" loopback port", a, 10248, packet.TCP)
	}
}

func serviceTargets(t *targets, s *corev1.Service, a netip.Addr) {
	for _, sp := range s.Spec.Ports {
		name := "svc/" + s.Namespace + "/" + s.Name + ":" + sp.Name
		if sp.Protocol == corev1.ProtocolUDP {
			t.add(name, a, uint16(sp.Port), packet.UDP, 0)
			continue
		}
		t.add(name, a, uint16(sp.Port), packet.TCP, 0)
		t.add(name+" bulk", a, uint16(sp.Port), packet.TCP, 1)
	}
}

// A Source is somewhere that probes are sent from.
type Source struct {
	Name string // "shop/web-0", "node/node-a", "outside": as in Path
	Pod  string // "shop/web-0"; "" for others
	Node string // of a node or a Pod; "" outside
}

// Sources lists the Pods, the nodes, and the hosts outside.
func (l *Lab) Sources() []Source {
	var out []Source
	for _, n := range l.Nodes {
		out = append(out, Source{Name: "node/" + n.Name, Node: n.Name})
		for _, p := range n.Pods {
			out = append(out, Source{Name: p.Key(), Pod: p.Key(), Node: n.Name})
		}
	}
	return append(out, Source{Name: "outside"}, Source{Name: "office"})
}
