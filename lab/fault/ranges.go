//go:build linux

package fault

import (
	"fmt"
	"net/netip"

	"github.com/plumbnet/plumb/lab"
	corev1 "k8s.io/api/core/v1"
)

// ranges are faults of the ranges that nodes give addresses from.
var ranges = []Fault{
	{
		Name: "podcidr-overlap", Check: "podcidr-overlap", Topologies: []string{"hostgw", "flannel"},
		Story:  "node-c was joined with node-b's Pod range: the other nodes send to whichever registered last.",
		Path:   acrossNodes,
		Inject: overlapPodCIDR,
	},
	{
		Name: "podcidr-exhausted", Check: "podcidr-exhausted", Topologies: []string{"hostgw"}, Preventive: true,
		Story: "node-c's Pod range is a /29, and each of its addresses is taken: the next Pod stays without.",
		Path:  acrossNodes,
		Inject: func(l *lab.Lab) error {
			obj := l.NodeObject("node-c")
			obj.Spec.PodCIDR, obj.Spec.PodCIDRs = "10.244.2.0/29", []string{"10.244.2.0/29"}
			c := l.Node("node-c")
			for _, name := range []string{"filler-0", "filler-1", "filler-2"} {
				if err := l.AddPod(c, "shop", name, "filler"); err != nil {
					return err
				}
			}
			waiting := *l.PodObject("shop/filler-2").DeepCopy()
			waiting.Name = "web-3"
			unaddressed(&waiting)
			waiting.Status.Conditions = append(waiting.Status.Conditions, corev1.PodCondition{
				Type: "PodReadyToStartContainers", Status: corev1.ConditionFalse, Reason: "FailedCreatePodSandBox",
				Message: "failed to allocate for range 0: no IP addresses available in range set: 10.244.2.1-10.244.2.6",
			})
			l.Objects.Pods = append(l.Objects.Pods, waiting)
			for _, n := range []string{"node-a", "node-b"} {
				if err := ip(n, "route del 10.244.2.0/24\nroute add 10.244.2.0/29 via 192.168.10.13\n")(l); err != nil {
					return err
				}
			}
			if err := ip("node-c", "addr del 10.244.2.1/24 dev cni0\naddr add 10.244.2.1/29 brd + dev cni0\n")(l); err != nil {
				return err
			}
			return sync(l)
		},
	},
}

// overlapPodCIDR gives node-c the Pod range of node-b, in its object and in its kernel.
func overlapPodCIDR(l *lab.Lab) error {
	b, c := l.Node("node-b"), l.Node("node-c")
	obj := l.NodeObject("node-c")
	obj.Spec.PodCIDR, obj.Spec.PodCIDRs = b.PodCIDR.String(), []string{b.PodCIDR.String()}
	if err := ip("node-c", "addr flush dev cni0\naddr add 10.244.1.1/24 brd + dev cni0\n")(l); err != nil {
		return err
	}
	for i, p := range c.Pods {
		a := netip.AddrFrom4([4]byte{10, 244, 1, byte(20 + i)})
		if err := lab.IPBatch(p.NS, fmt.Sprintf("addr flush dev eth0\naddr add %s/24 dev eth0\nroute add default via 10.244.1.1\n", a)); err != nil {
			return err
		}
		p.IP = a
		status := &l.PodObject(p.Key()).Status
		status.PodIP, status.PodIPs = a.String(), []corev1.PodIP{{IP: a.String()}}
	}
	if l.Topology.CNI == "flannel" {
		if err := ip("node-c", "addr flush dev flannel.1\naddr add 10.244.1.0/32 dev flannel.1\n")(l); err != nil {
			return err
		}
		if err := ip("node-a", fmt.Sprintf("neigh replace 10.244.1.0 lladdr %s dev flannel.1 nud permanent\nroute del 10.244.2.0/24\n", c.VTEP))(l); err != nil {
			return err
		}
		return sync(l)
	}
	if err := ip("node-c", "route del 10.244.1.0/24 via 192.168.10.12\n")(l); err != nil {
		return err
	}
	if err := ip("node-a", "route replace 10.244.1.0/24 via 192.168.10.13\nroute del 10.244.2.0/24\n")(l); err != nil {
		return err
	}
	return sync(l)
}
