package kube

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestPodsBy reads what the API server picks, and what it says when it does not.
func TestPodsBy(t *testing.T) {
	c := connect(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		if q.Get("resourceVersion") != "0" || r.Header.Get("Accept") != typeProtobuf {
			t.Errorf("%s: etcd would be asked", r.URL)
		}
		switch strings.TrimPrefix(r.URL.Path, "/behind/a/path") + " " + q.Get("fieldSelector") {
		case "/api/v1/pods status.podIP=10.0.0.1":
			protobuf(t, w, &corev1.PodList{Items: []corev1.Pod{{ObjectMeta: metav1.ObjectMeta{Name: "web-0"}}}})
		case "/api/v1/namespaces/shop/pods metadata.name=web-1":
			protobuf(t, w, &corev1.PodList{})
		case "/api/v1/pods status.podIP=10.0.0.2":
			w.Write([]byte(`{"items":[]}`))
		default:
			refuse(w, http.StatusForbidden, metav1.Status{Message: "no"})
		}
	}))
	ctx := context.Background()
	pods, err := c.PodsBy(ctx, "", "status.podIP=10.0.0.1")
	if err != nil || len(pods) != 1 || pods[0].Name != "web-0" {
		t.Errorf("%v %v", pods, err)
	}
	if pods, err := c.PodsBy(ctx, "shop", "metadata.name=web-1"); err != nil || len(pods) != 0 {
		t.Errorf("%v %v", pods, err)
	}
	if _, err := c.PodsBy(ctx, "", "status.podIP=10.0.0.2"); err == nil {
		t.Error("JSON is read as protobuf")
	}
	var f *Forbidden
	if _, err := c.PodsBy(ctx, "", "x=y"); !errors.As(err, &f) || f.Rule() != `apiGroups: [""], resources: ["pods"], verbs: ["list"]` {
		t.Error(err)
	}
}
