package kube

import (
	"context"
	"io"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestCustom lists the kinds of CustomResourceDefinitions: page by page in JSON, none where
// the cluster does not have the kind, and a Gap where the answer is not understood.
func TestCustom(t *testing.T) {
	const base = "GET /apis/policy.networking.k8s.io/"
	c := connect(t, serve(t, map[string]http.HandlerFunc{
		base + "v1alpha2/clusternetworkpolicies": func(w http.ResponseWriter, r *http.Request) {
			if got := r.Header.Get("Accept"); got != "application/json" {
				refuse(w, http.StatusNotAcceptable, metav1.Status{Message: "only application/json"})
				return
			}
			if r.URL.Query().Get("continue") == "" {
				io.WriteString(w, `{"apiVersion":"policy.networking.k8s.io/v1alpha2","kind":"ClusterNetworkPolicyList","metadata":{"continue":"more"},
					"items":[{"metadata":{"name":"b","annotations":{"note":"secret"}},"spec":{"tier":"Admin","priority":1,"subject":{"namespaces":{}}}}]}`)
				return
			}
			io.WriteString(w, `{"apiVersion":"policy.networking.k8s.io/v1alpha2","kind":"ClusterNetworkPolicyList","metadata":{},"items":[{"metadata":{"name":"a"}}]}`)
		},
		base + "v1alpha1/baselineadminnetworkpolicies": func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, `{"apiVersion":"policy.networking.k8s.io/v1alpha1","kind":"BaselineAdminNetworkPolicyList","items":[{"metadata":{"name":7}}]}`)
		},
	}))
	o, gaps := c.Objects(context.Background())
	var names []string
	for _, p := range o.ClusterNetworkPolicies {
		names = append(names, p.Name)
		if len(p.Annotations) > 0 {
			t.Errorf("%s keeps %v", p.Name, p.Annotations)
		}
	}
	if d := cmp.Diff([]string{"a", "b"}, names); d != "" {
		t.Error(d)
	}
	if !o.Have["ClusterNetworkPolicy"] || !o.Have["AdminNetworkPolicy"] || o.Have["BaselineAdminNetworkPolicy"] {
		t.Errorf("have %v", o.Have)
	}
	if got := o.Source["ClusterNetworkPolicy//a"]; got != "objects/clusternetworkpolicies.json" {
		t.Errorf("source %q", got)
	}
	why := map[string]string{}
	for _, g := range gaps {
		why[g.Path] = g.Why
	}
	const want = "item 0: BaselineAdminNetworkPolicy: json: cannot unmarshal number into Go struct field ObjectMeta.metadata.name of type string"
	if got := why["objects/baselineadminnetworkpolicies.json"]; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if why["objects/adminnetworkpolicies.json"] != "" || why["objects/clusternetworkpolicies.json"] != "" {
		t.Error(gaps)
	}
}
