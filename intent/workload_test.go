package intent

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestOwners(t *testing.T) {
	yes := true
	o := objectsOf(t, `{"apiVersion":"apps/v1","kind":"ReplicaSet","metadata":{"namespace":"a","name":"api-7f","ownerReferences":[{"apiVersion":"apps/v1","kind":"Deployment","name":"api","uid":"1","controller":true}]}}`)
	owners := New(o).owners()
	for _, tt := range []struct {
		name        string
		kind, owner string // of the Pod's controller
		hash        string
		controls    bool
		want        workload
	}{
		{"alone", "", "", "", false, workload{"a", "Pod", "p"}},
		{"a Deployment's, by its ReplicaSet's object", "ReplicaSet", "api-7f", "", true, workload{"a", "Deployment", "api"}},
		{"a Deployment's, by its name and label", "ReplicaSet", "web-66b", "66b", true, workload{"a", "Deployment", "web"}},
		{"a ReplicaSet's own", "ReplicaSet", "web-66b", "", true, workload{"a", "ReplicaSet", "web-66b"}},
		{"a label of another rollout", "ReplicaSet", "web-66b", "77c", true, workload{"a", "ReplicaSet", "web-66b"}},
		{"a StatefulSet's", "StatefulSet", "db", "", true, workload{"a", "StatefulSet", "db"}},
		{"an owner that does not control it", "Node", "n1", "", false, workload{"a", "Pod", "p"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: "p", Labels: map[string]string{}}}
			if tt.hash != "" {
				p.Labels["pod-template-hash"] = tt.hash
			}
			if tt.owner != "" {
				ref := metav1.OwnerReference{Kind: tt.kind, Name: tt.owner}
				if tt.controls {
					ref.Controller = &yes
				}
				p.OwnerReferences = []metav1.OwnerReference{ref}
			}
			if d := cmp.Diff(tt.want, owners.of(p), cmp.AllowUnexported(workload{})); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestWorkloadLabels(t *testing.T) {
	for _, tt := range []struct {
		name     string
		in, want map[string]string
	}{
		{"a Deployment's", map[string]string{"app": "web", "pod-template-hash": "1"}, map[string]string{"app": "web"}},
		{"a StatefulSet's", map[string]string{"app": "db", "statefulset.kubernetes.io/pod-name": "db-0", "apps.kubernetes.io/pod-index": "0", "controller-revision-hash": "x"}, map[string]string{"app": "db"}},
		{"nothing else to go by", map[string]string{"job-name": "x"}, map[string]string{"job-name": "x"}},
		{"none", nil, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if d := cmp.Diff(tt.want, WorkloadLabels(&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Labels: tt.in}})); d != "" {
				t.Error(d)
			}
		})
	}
}
