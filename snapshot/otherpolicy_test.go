package snapshot

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestOtherPolicies reads the policies of CNI plugins, one kind of which has the name of one of Kubernetes.
func TestOtherPolicies(t *testing.T) {
	c := mustRead(t, Files{"objects/all.json": []byte(`
		{"apiVersion":"networking.k8s.io/v1","kind":"NetworkPolicy","metadata":{"namespace":"a","name":"own"}}
		{"apiVersion":"crd.projectcalico.org/v1","kind":"NetworkPolicyList","items":[{"metadata":{"namespace":"a","name":"one"},"spec":{"selector":"all()"}}]}
		{"apiVersion":"projectcalico.org/v3","kind":"NetworkPolicy","metadata":{"namespace":"a","name":"two"}}
		{"apiVersion":"projectcalico.org/v3","kind":"GlobalNetworkPolicy","metadata":{"name":"all"}}
		{"apiVersion":"cilium.io/v2","kind":"CiliumNetworkPolicy","metadata":{"namespace":"a","name":"c"},"specs":[{"endpointSelector":{}}]}
		{"apiVersion":"cilium.io/v2","kind":"CiliumClusterwideNetworkPolicy","metadata":{"name":"w"}}`)})
	o := &c.Objects
	if len(c.Gaps) > 0 || len(o.NetworkPolicies) != 1 || len(o.CalicoNetworkPolicies) != 2 || len(o.CalicoGlobalNetworkPolicies) != 1 ||
		len(o.CiliumNetworkPolicies) != 1 || len(o.CiliumClusterwideNetworkPolicies) != 1 {
		t.Fatalf("%v %+v", c.Gaps, o)
	}
	if got := string(o.CalicoNetworkPolicies[0].Spec); got != `{"selector":"all()"}` {
		t.Error(got)
	}
	files, err := EncodeObjects(o)
	if err != nil {
		t.Fatal(err)
	}
	again := mustRead(t, files)
	if d := cmp.Diff(o.CalicoNetworkPolicies, again.Objects.CalicoNetworkPolicies); d != "" || !again.Objects.Have["CalicoNetworkPolicy"] || len(again.Objects.NetworkPolicies) != 1 {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestOtherPolicyOfOtherVersion(t *testing.T) {
	c := mustRead(t, Files{"objects/x.json": []byte(`{"apiVersion":"cilium.io/v9","kind":"CiliumNetworkPolicy","metadata":{"name":"a"}}`)})
	want := []Gap{{"objects/x.json", `document 1: CiliumNetworkPolicy of "cilium.io/v9" is not understood: want cilium.io/v2`}}
	if d := cmp.Diff(want, c.Gaps); d != "" {
		t.Error(d)
	}
}
