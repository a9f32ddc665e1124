package policygen

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestCluster(t *testing.T) {
	s := Size{Seed: 7, Namespaces: 4, Pods: 200, Nodes: 10, Policies: 30, ClusterPolicies: 10}
	o := Cluster(s)
	if d := cmp.Diff(o, Cluster(s)); d != "" {
		t.Errorf("not the same for one seed:\n%s", d)
	}
	if len(o.Pods) != 200 || len(o.NetworkPolicies) != 30 || len(o.ClusterNetworkPolicies) != 10 {
		t.Errorf("%d Pods, %d policies, %d of the cluster", len(o.Pods), len(o.NetworkPolicies), len(o.ClusterNetworkPolicies))
	}
	seen := map[string]string{}
	for _, p := range o.Pods {
		if p.Spec.HostNetwork {
			continue
		}
		if other := seen[p.Status.PodIP]; other != "" {
			t.Errorf("%s and %s have %s", other, p.Name, p.Status.PodIP)
		}
		seen[p.Status.PodIP] = p.Name
	}
	s.NoBlocks, s.NoNamedPorts, s.NoHostNetwork = true, true, true
	for _, p := range Cluster(s).NetworkPolicies {
		for _, r := range p.Spec.Ingress {
			for _, f := range r.From {
				if f.IPBlock != nil {
					t.Errorf("%s has a block", p.Name)
				}
			}
		}
	}
}
