package snapshot

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	policyv1alpha1 "sigs.k8s.io/network-policy-api/apis/v1alpha1"
	policyv1alpha2 "sigs.k8s.io/network-policy-api/apis/v1alpha2"
)

const (
	cnpA = `{"apiVersion":"policy.networking.k8s.io/v1alpha2","kind":"ClusterNetworkPolicy","metadata":{"name":"a"},"spec":{"tier":"Admin","priority":5,
		"subject":{"namespaces":{}},"egress":[{"name":"office","action":"Deny","to":[{"networks":["10.0.0.0/8"]}],"protocols":[{"tcp":{"destinationPort":{"range":{"start":1,"end":9}}}}]}]}}`
	anpB = `{"apiVersion":"policy.networking.k8s.io/v1alpha1","kind":"AdminNetworkPolicy","metadata":{"name":"b"},"spec":{"priority":5,
		"subject":{"namespaces":{}},"ingress":[{"action":"Allow","from":[{"namespaces":{}}],"ports":[{"portNumber":{"protocol":"TCP","port":80}}]}]}}`
	banpC = `{"apiVersion":"policy.networking.k8s.io/v1alpha1","kind":"BaselineAdminNetworkPolicy","metadata":{"name":"default"},"spec":{
		"subject":{"namespaces":{}},"ingress":[{"action":"Deny","from":[{"namespaces":{}}]}]}}`
)

// TestClusterPolicies reads the policies of the whole cluster, and writes them again.
func TestClusterPolicies(t *testing.T) {
	c := mustRead(t, Files{"objects/all.json": []byte(cnpA + anpB + banpC)})
	if len(c.Gaps) != 0 {
		t.Error(c.Gaps)
	}
	o := &c.Objects
	if len(o.ClusterNetworkPolicies) != 1 || len(o.AdminNetworkPolicies) != 1 || len(o.BaselineAdminNetworkPolicies) != 1 {
		t.Fatalf("%+v", o)
	}
	wantPort := &policyv1alpha2.Port{Range: &policyv1alpha2.PortRange{Start: 1, End: 9}}
	if d := cmp.Diff(wantPort, o.ClusterNetworkPolicies[0].Spec.Egress[0].Protocols[0].TCP.DestinationPort); d != "" {
		t.Error(d)
	}
	if got := (*o.AdminNetworkPolicies[0].Spec.Ingress[0].Ports)[0].PortNumber; got.Port != 80 {
		t.Error(got)
	}
	o.Trim()
	files, err := EncodeObjects(o)
	if err != nil {
		t.Fatal(err)
	}
	again := mustRead(t, files)
	if d := cmp.Diff(o.ClusterNetworkPolicies, again.Objects.ClusterNetworkPolicies); d != "" || !again.Objects.Have["ClusterNetworkPolicy"] {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestOtherVersion(t *testing.T) {
	c := mustRead(t, Files{"objects/x.json": []byte(`{"apiVersion":"policy.networking.k8s.io/v1alpha9","kind":"ClusterNetworkPolicy","metadata":{"name":"a"}}`)})
	want := []Gap{{"objects/x.json", `document 1: ClusterNetworkPolicy of "policy.networking.k8s.io/v1alpha9" is not understood: want policy.networking.k8s.io/v1alpha2`}}
	if d := cmp.Diff(want, c.Gaps); d != "" {
		t.Error(d)
	}
}

// TestFillPolicies wants policies to be filled in one pass.
func TestFillPolicies(t *testing.T) {
	for text, v := range map[string]any{cnpA: &policyv1alpha2.ClusterNetworkPolicy{}, anpB: &policyv1alpha1.AdminNetworkPolicy{}, banpC: &policyv1alpha1.BaselineAdminNetworkPolicy{}} {
		var f filler
		if !f.fill(v, []byte(text)) {
			t.Errorf("%T is left to package json", v)
		}
	}
}
