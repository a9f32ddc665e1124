//go:build linux

package policy

import (
	"bytes"
	"fmt"
	"net/netip"
	"os"
	"testing"

	"github.com/plumbnet/plumb/intent"
	"github.com/plumbnet/plumb/lab/policy"
	"github.com/plumbnet/plumb/lab/policygen"
	"github.com/plumbnet/plumb/lab/sandbox"
	"github.com/plumbnet/plumb/netfilter"
	"github.com/plumbnet/plumb/packet"
	"github.com/plumbnet/plumb/snapshot"
)

func TestMain(m *testing.M) { sandbox.Main(m) }

// sets is how many random policy sets there are.
func sets() uint64 {
	if os.Getenv("PLUMB_AGREE") == "full" {
		return 1000
	}
	return 60
}

// TestEnforcer compares what intent says with the rules that the lab's enforcer, which is written apart, makes of the
// same objects: a kernel takes them, lists them, and each pair's first packet is evaluated by what it lists.
func TestEnforcer(t *testing.T) {
	sandbox.Need(t)
	ns, err := sandbox.NewNS("policy-rules")
	if err != nil {
		t.Fatal(err)
	}
	defer ns.Delete()
	n, wrong := 0, 0
	for seed := range sets() {
		o := policygen.Cluster(policygen.Size{Seed: 5000 + seed, Namespaces: 3, Pods: 14, Nodes: 1, Policies: 8, Replicas: 2, NoHostNetwork: true})
		rules := enforced(t, ns, o)
		e := intent.New(o)
		for _, port := range []intent.Port{{Proto: packet.TCP, Number: 80}, {Proto: packet.TCP, Number: 9090}, {Proto: packet.UDP, Number: 443}} {
			for i := range o.Pods {
				for j := range o.Pods {
					if i == j {
						continue
					}
					src, dst := netip.MustParseAddr(o.Pods[i].Status.PodIP), netip.MustParseAddr(o.Pods[j].Status.PodIP)
					n++
					if got, want := e.Answer(e.Addr(src), e.Addr(dst), port), passes(t, rules, src, dst, port); got != want {
						wrong++
						t.Errorf("seed %d: %s > %s %v: intent says %v, the enforcer's rules %v", seed, o.Pods[i].Name, o.Pods[j].Name, port, got, want)
					}
				}
			}
		}
	}
	fmt.Printf("agree: intent and the lab's enforcer: %d random policy sets, %d comparisons, %d disagreements, 0 explained\n", sets(), n, wrong)
}

// enforced loads the rules of the enforcer into a namespace, and reads what the kernel lists.
func enforced(t *testing.T, ns *sandbox.NS, o *snapshot.Objects) *netfilter.Ruleset {
	t.Helper()
	text := policy.Enforcer{Node: o.Nodes[0].Name}.Ruleset(policy.World{Pods: o.Pods, Namespaces: o.Namespaces, Policies: o.NetworkPolicies})
	if err := ns.Run("flush ruleset\n"+text, "nft", "-f", "-"); err != nil {
		t.Fatal(err)
	}
	listed, err := ns.Output("", "nft", "-j", "list", "ruleset")
	if err != nil {
		t.Fatal(err)
	}
	r := &netfilter.Ruleset{}
	for _, p := range r.ReadNFT(bytes.NewReader([]byte(listed)), "nft.json") {
		t.Error(p)
	}
	return r
}

// env answers what the enforcer's rules ask: whether a connection is new.
type env struct{ netfilter.Env }

func (env) Conntrack(p packet.Packet, _ uint16) netfilter.Conn {
	t := netfilter.TupleOf(p)
	return netfilter.Conn{Orig: t, Back: t.Invert()}
}

func passes(t *testing.T, r *netfilter.Ruleset, src, dst netip.Addr, port intent.Port) intent.Answer {
	t.Helper()
	out := r.Eval(netfilter.Input{Hook: netfilter.Forward, Packet: first(src, dst, port), In: "veth1", Out: "veth2", Env: env{}})
	if len(out) != 1 {
		t.Fatalf("%d outcomes: %+v", len(out), out)
	}
	switch out[0].Verdict {
	case netfilter.Accept:
		return intent.Allowed
	case netfilter.Drop, netfilter.Reject:
		return intent.Denied
	}
	t.Logf("%s", out[0].Why)
	return intent.Unknown
}
