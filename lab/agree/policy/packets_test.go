//go:build linux

package policy

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/plumbnet/plumb/intent"
	"github.com/plumbnet/plumb/lab/agree/rules"
	"github.com/plumbnet/plumb/lab/policy"
	"github.com/plumbnet/plumb/lab/policygen"
	"github.com/plumbnet/plumb/lab/sandbox"
	"github.com/plumbnet/plumb/packet"
	corev1 "k8s.io/api/core/v1"
)

// packetPods is how many Pods send each other packets.
const packetPods = 9

// packetSize is a cluster of one node, whose Pods have the same addresses whatever the policies are.
func packetSize(seed uint64) policygen.Size {
	return policygen.Size{Seed: 9000 + seed, Namespaces: 3, Pods: packetPods, Nodes: 1, Policies: 6, Replicas: 2, NoHostNetwork: true}
}

// TestPackets sends real packets between the Pods of a node on which the lab's enforcer has set the policies,
// from each to each, and compares which arrive with what intent says.
func TestPackets(t *testing.T) {
	w := node(t, policygen.Cluster(packetSize(0)).Pods)
	n, wrong, allowed := 0, 0, 0
	ports := []intent.Port{{Proto: packet.TCP, Number: 80}, {Proto: packet.TCP, Number: 9090}, {Proto: packet.UDP, Number: 443}}
	for seed := range sets() {
		o := policygen.Cluster(packetSize(seed))
		text := policy.Enforcer{Node: o.Nodes[0].Name}.Ruleset(policy.World{Pods: o.Pods, Namespaces: o.Namespaces, Policies: o.NetworkPolicies})
		if err := w.Router.Run(text, "nft", "-f", "-"); err != nil {
			t.Fatal(err)
		}
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
		e := intent.New(o)
		want := map[uint16]string{} // what is to arrive: where
		var asked []string          // by the packet's number
		for _, port := range ports {
			for i := range o.Pods {
				for j := range o.Pods {
					if i == j {
						continue
					}
					src, dst := netip.MustParseAddr(o.Pods[i].Status.PodIP), netip.MustParseAddr(o.Pods[j].Status.PodIP)
					id := uint16(len(asked) + 2) // 1 is that of the lab's own
					if e.Answer(e.Addr(src), e.Addr(dst), port) == intent.Allowed {
						want[id] = dev(j)
					}
					asked = append(asked, fmt.Sprintf("%s > %s %v", o.Pods[i].Name, o.Pods[j].Name, port))
					if err := w.Send(dev(i), packet.MAC{2, 0, 0, 0, byte(i), 2}, first(src, dst, port), id); err != nil {
						t.Fatal(err)
					}
				}
			}
		}
		n, allowed = n+len(asked), allowed+len(want)
		for id, where := range arrivals(t, w, len(want)) {
			if want[id] != where {
				wrong++
				t.Errorf("seed %d: %s: arrived at %q, intent wants %q", seed, asked[id-2], where, want[id])
			}
			delete(want, id)
		}
		for id := range want {
			wrong++
			t.Errorf("seed %d: %s: did not arrive, and intent allows it", seed, asked[id-2])
		}
	}
	if allowed == 0 || allowed == n {
		t.Errorf("%d of %d packets allowed: nothing is compared", allowed, n)
	}
	fmt.Printf("agree: intent and real packets past the lab's enforcer: %d random policy sets, %d packets, %d of them allowed, %d disagreements, 0 explained\n", sets(), n, allowed, wrong)
}

func dev(pod int) string { return fmt.Sprintf("pod%d", pod) }

// node makes a node with these Pods.
func node(t *testing.T, pods []corev1.Pod) *rules.World {
	t.Helper()
	sandbox.Need(t)
	top := rules.Topology{}
	for i := range pods {
		top.Devs = append(top.Devs, rules.Dev{Name: dev(i), Nets: []netip.Prefix{
			netip.MustParsePrefix(fmt.Sprintf("192.0.2.%d/30", 4*i)), // by which the lab sees that the device works
			netip.MustParsePrefix(pods[i].Status.PodIP + "/32")}})
	}
	w, err := rules.NewWorld("policy", top)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
	return w
}

// first is the first packet of a connection.
func first(src, dst netip.Addr, port intent.Port) packet.Packet {
	p := packet.Packet{Src: netip.AddrPortFrom(src, 40000), Dst: netip.AddrPortFrom(dst, port.Number), Proto: port.Proto, Size: 60, TTL: 63}
	if p.Proto == packet.TCP {
		p.Flags = packet.SYN
	}
	return p
}

// arrivals returns where packets arrived, by their numbers. Once as many did as are to, it waits a little for more.
func arrivals(t *testing.T, w *rules.World, least int) map[uint16]string {
	t.Helper()
	out := map[uint16]string{}
	for deadline := time.Now().Add(5 * time.Second); ; {
		seen, err := w.Watch(3 * time.Millisecond)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range seen {
			if strings.HasPrefix(s.Where, "pod") {
				out[s.ID] = s.Where
			}
		}
		if len(out) >= least || time.Now().After(deadline) {
			return out
		}
	}
}
