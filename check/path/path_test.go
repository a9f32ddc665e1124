package path

import (
	"testing"

	"github.com/plumbnet/plumb/check"
	"github.com/plumbnet/plumb/snapshot"
	networkingv1 "k8s.io/api/networking/v1"

	"github.com/plumbnet/plumb/trace"
)

func TestSeverity(t *testing.T) {
	asked := []trace.Result{{}}
	policies := snapshot.Objects{NetworkPolicies: make([]networkingv1.NetworkPolicy, 1)}
	for _, tt := range []struct {
		name string
		pass check.Pass
		want check.Severity
	}{
		{"asked about", check.Pass{Snapshot: &snapshot.Cluster{}, Results: asked}, check.Error},
		{"asked about, with policies", check.Pass{Snapshot: &snapshot.Cluster{Objects: policies}, Results: asked}, check.Error},
		{"a probe", check.Pass{Snapshot: &snapshot.Cluster{}}, check.Warning},
		{"a probe that a policy may mean to stop", check.Pass{Snapshot: &snapshot.Cluster{Objects: policies}}, check.Info},
	} {
		if got := severity(&tt.pass); got != tt.want {
			t.Errorf("%s: got %d, want %d", tt.name, got, tt.want)
		}
	}
}
