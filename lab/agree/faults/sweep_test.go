//go:build linux

package faults

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/plumbnet/plumb/check"
	"github.com/plumbnet/plumb/check/all"
	"github.com/plumbnet/plumb/intent"
	"github.com/plumbnet/plumb/lab"
	"github.com/plumbnet/plumb/lab/fault"
	"github.com/plumbnet/plumb/lab/policygen"
	"github.com/plumbnet/plumb/network"
	"github.com/plumbnet/plumb/packet"
	"github.com/plumbnet/plumb/snapshot"
	"github.com/plumbnet/plumb/trace"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// sweeps is how many random sets of policies each topology has.
const sweeps = 3

// policies makes random policies for the lab's shop.
func policies(t *testing.T, seed uint64) (out []networkingv1.NetworkPolicy) {
	t.Helper()
	b, err := json.Marshal(policygen.Cluster(policygen.Size{Seed: seed, Namespaces: 1, Nodes: 1, Policies: 12}).NetworkPolicies)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(strings.ReplaceAll(string(b), "ns-000", "shop")), &out); err != nil {
		t.Fatal(err)
	}
	for i := range out {
		out[i].TypeMeta = metav1.TypeMeta{APIVersion: "networking.k8s.io/v1", Kind: "NetworkPolicy"}
	}
	return out
}

// swept returns what is found above info where nobody asks about a path.
func swept(c *snapshot.Cluster) (out []check.Finding) {
	for _, f := range check.Run(c, network.New(c), nil, nil, all.Checks...).Findings {
		if f.Severity > check.Info {
			out = append(out, f)
		}
	}
	return out
}

// TestSweep has the lab's enforcer keep random policies, and requires that nothing is found; then the objects change
// and the enforcer of one node does not follow: where that makes a difference to any two Pods it must be found.
func TestSweep(t *testing.T) {
	var tried, alarms, differ, found int
	for _, topo := range lab.Topologies {
		t.Run(topo.Name, func(t *testing.T) {
			l := up(t, topo)
			for seed := range uint64(sweeps) {
				l.Objects.NetworkPolicies = policies(t, 300+seed)
				if err := fault.Enforce(l); err != nil {
					t.Fatal(err)
				}
				tried++
				for _, f := range swept(take(t, l)) {
					alarms++
					t.Errorf("seed %d: a false alarm: %s: %s: %s", seed, f.Where, f.Check, f.What)
				}
				l.Objects.NetworkPolicies = policies(t, 400+seed)
				if err := fault.Enforce(l, "node-b"); err != nil {
					t.Fatal(err)
				}
				c := take(t, l)
				wrong := mismatches(c)
				if len(wrong) == 0 {
					continue
				}
				differ++
				if fs := swept(c); named(fs, "policy-stale")+named(fs, "policy-not-enforced") > 0 {
					found++
				} else {
					t.Errorf("seed %d: %d connections differ, such as %s, and none is found: %v", seed, len(wrong), wrong[0], fs)
				}
			}
		})
	}
	fmt.Printf("faults: sweep: %d clusters whose policies are kept, %d false alarms; %d where a node does not keep them, %d found\n", tried, alarms, differ, found)
}

func named(fs []check.Finding, name string) (n int) {
	for _, f := range fs {
		if f.Check == name {
			n++
		}
	}
	return n
}

// mismatches asks about every two Pods.
func mismatches(c *snapshot.Cluster) (out []string) {
	n, e := network.New(c), intent.New(&c.Objects)
	for i := range c.Objects.Pods {
		for j := range c.Objects.Pods {
			a, b := &c.Objects.Pods[i], &c.Objects.Pods[j]
			from, to := n.Pod(a.Namespace+"/"+a.Name), n.Pod(b.Namespace+"/"+b.Name)
			if i == j || from == nil || to == nil {
				continue
			}
			for _, port := range policygen.Ports {
				q := trace.Query{From: from, Proto: packet.TCP, OneWay: true}
				q.Dst = netip.AddrPortFrom(netip.MustParseAddr(b.Status.PodIP), uint16(port))
				src, _ := e.Pod(a.Namespace, a.Name)
				dst, _ := e.Pod(b.Namespace, b.Name)
				want := e.Answer(src, dst.In(false), intent.Port{Proto: packet.TCP, Number: uint16(port)})
				end := trace.Run(n, q).Paths[0].End
				dropped := end == trace.Dropped
				if want == intent.Allowed && dropped || want == intent.Denied && !dropped {
					out = append(out, fmt.Sprintf("%s > %s:%d is %s and ends %s", a.Name, b.Name, port, want, end))
				}
			}
		}
	}
	return out
}
