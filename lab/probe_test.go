package lab

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/plumbnet/plumb/packet"
)

// target is somewhere to send a probe, and where it must be answered.
type target struct {
	name  string
	to    netip.AddrPort
	proto packet.Proto
	size  int
}

func (l *Lab) targets() []target {
	var out []target
	add := func(name string, a netip.Addr, port uint16) {
		if a.IsValid() {
			out = append(out, target{name, netip.AddrPortFrom(a, port), packet.TCP, 0}, target{name + " bulk", netip.AddrPortFrom(a, port), packet.TCP, 1})
		}
	}
	for _, n := range l.Nodes {
		for _, p := range n.Pods {
			port := uint16(8080)
			if p.App == "coredns" {
				port = 53
			}
			add(p.Key(), p.IP, port)
			add(p.Key(), p.IP6, port)
			out = append(out, target{p.Key() + " udp", netip.AddrPortFrom(p.IP, port), packet.UDP, 0},
				target{p.Key() + " udp big", netip.AddrPortFrom(p.IP, port), packet.UDP, l.Topology.podMTU()},
				target{p.Key() + " ping", netip.AddrPortFrom(p.IP, 0), packet.ICMP, 0})
		}
		add(n.Name, n.IP, 10250)
		add(n.Name+" nodeport", n.IP, 30080)
		add(n.Name+" nodeport local", n.IP, 30090)
		out = append(out, target{n.Name + " udp", netip.AddrPortFrom(n.IP, 9100), packet.UDP, 0},
			target{n.Name + " udp nodeport", netip.AddrPortFrom(n.IP, 30081), packet.UDP, 0},
			target{n.Name + " ping", netip.AddrPortFrom(n.IP, 0), packet.ICMP, 0})
	}
	for i := range l.Objects.Services {
		s := &l.Objects.Services[i]
		for _, ip := range s.Spec.ClusterIPs {
			a, err := netip.ParseAddr(ip)
			if err != nil {
				continue
			}
			for _, sp := range s.Spec.Ports {
				proto := packet.TCP
				if sp.Protocol == "UDP" {
					proto = packet.UDP
				}
				out = append(out, target{"svc " + s.Name + ":" + sp.Name, netip.AddrPortFrom(a, uint16(sp.Port)), proto, 0})
			}
		}
	}
	out = append(out, target{"outside", netip.AddrPortFrom(OutsideIP, 80), packet.TCP, 0}, target{"outside bulk", netip.AddrPortFrom(OutsideIP, 80), packet.TCP, 1},
		target{"outside udp", netip.AddrPortFrom(OutsideIP, 53), packet.UDP, 0}, target{"office", netip.AddrPortFrom(OfficeIP, 80), packet.TCP, 0})
	return out
}

// TestHealthy shows that in a cluster without fault everything reaches everything.
func TestHealthy(t *testing.T) {
	for _, topo := range Topologies {
		t.Run(topo.Name, func(t *testing.T) {
			l := mustUp(t, topo)
			if err := l.Watch(); err != nil {
				t.Fatal(err)
			}
			var ps []Probe
			var names []string
			for _, n := range l.Nodes {
				for _, tg := range l.targets() {
					ps = append(ps, Probe{From: n.NS, To: tg.to, Proto: tg.proto, Size: tg.size})
					names = append(names, n.Name+" to "+tg.name)
					for _, p := range n.Pods {
						ps = append(ps, Probe{From: p.NS, To: tg.to, Proto: tg.proto, Size: tg.size})
						names = append(names, p.Key()+" to "+tg.name)
					}
				}
			}
			start := time.Now()
			obs := l.ProbeAll(ps)
			for i, o := range obs {
				if o.Outcome != Delivered {
					t.Errorf("%s %s: %s %v", names[i], o.Probe.To, o.Outcome, o.Err)
					for _, s := range append(append(o.Request, o.Reply...), o.Errors...) {
						t.Log(s)
					}
				}
				if len(o.Request) < 2 || len(o.Reply) < 2 {
					t.Errorf("%s: seen %d times, its reply %d times", names[i], len(o.Request), len(o.Reply))
				}
			}
			fmt.Printf("lab: %s: %d probes in %v\n", topo.Name, len(ps), time.Since(start).Round(time.Millisecond))
		})
	}
}
