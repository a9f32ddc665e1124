package kube

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// jobs is an API server that makes one Job, whose Pod goes through states.
type jobs struct {
	made    *batchv1.Job
	deleted []string
	states  []corev1.PodStatus // one for each time that the Pod is looked for; the last one stays
	silent  bool               // after the first answer of them
}

func (j *jobs) routes(t *testing.T) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path := strings.TrimPrefix(r.URL.Path, "/behind/a/path")
		switch {
		case r.Method == http.MethodPost && path == "/apis/batch/v1/namespaces/plumb/jobs":
			j.made = new(batchv1.Job)
			json.NewDecoder(r.Body).Decode(j.made)
			json.NewEncoder(w).Encode(j.made)
		case r.Method == http.MethodGet && path == "/api/v1/namespaces/plumb/pods":
			if want := "batch.kubernetes.io/job-name=" + j.made.Name; r.URL.Query().Get("labelSelector") != want {
				t.Errorf("labelSelector %q, want %q", r.URL.Query().Get("labelSelector"), want)
			}
			if len(j.states) == 0 {
				<-r.Context().Done()
				return
			}
			p := corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "plumb", Name: j.made.Name + "-x"}, Spec: j.made.Spec.Template.Spec, Status: j.states[0]}
			if len(j.states) > 1 || j.silent {
				j.states = j.states[1:]
			}
			protobuf(t, w, &corev1.PodList{Items: []corev1.Pod{p}})
		case r.Method == http.MethodDelete:
			var o metav1.DeleteOptions
			json.NewDecoder(r.Body).Decode(&o)
			if o.PropagationPolicy == nil || *o.PropagationPolicy != metav1.DeletePropagationBackground {
				t.Error("the Job's Pod would stay")
			}
			j.deleted = append(j.deleted, path)
			json.NewEncoder(w).Encode(metav1.Status{Status: "Success"})
		default:
			refuse(w, http.StatusForbidden, metav1.Status{Message: "no"})
		}
	})
}

var waiting = corev1.PodStatus{Phase: corev1.PodPending, ContainerStatuses: []corev1.ContainerStatus{{
	State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "ImagePullBackOff", Message: "not found"}},
}}}

var ready = corev1.PodStatus{Phase: corev1.PodRunning, Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}}

func TestRunOn(t *testing.T) {
	j := &jobs{states: []corev1.PodStatus{waiting, ready}}
	c := connect(t, j.routes(t))
	a, err := c.RunOn(t.Context(), Run{Namespace: "plumb", Image: "plumbd:v1", TokenSHA256: "abc", For: 5 * time.Minute}, "node-a")
	if err != nil {
		t.Fatal(err)
	}
	if !a.Ready || a.Node != "node-a" || a.Pod != j.made.Name+"-x" || a.Port < runPort || a.Port >= runPort+runPorts {
		t.Errorf("%+v", a)
	}
	spec, pod := j.made.Spec, j.made.Spec.Template.Spec
	if *spec.ActiveDeadlineSeconds != 300 || *spec.TTLSecondsAfterFinished != keptAfter || *spec.BackoffLimit != 0 {
		t.Errorf("a Job that stays: %+v", spec)
	}
	if pod.NodeName != "node-a" || !pod.HostPID || !pod.HostNetwork || *pod.AutomountServiceAccountToken {
		t.Errorf("%+v", pod)
	}
	container := pod.Containers[0]
	if got := strings.Join(container.Args, " "); got != fmt.Sprintf("--node node-a --listen :%d --run-token-sha256 abc --run-for 5m0s", a.Port) || container.Ports[0].ContainerPort != a.Port {
		t.Errorf("args %s", got)
	}
	if s := container.SecurityContext; !*s.ReadOnlyRootFilesystem || s.Privileged != nil || !slices.Equal(s.Capabilities.Drop, []corev1.Capability{"ALL"}) {
		t.Errorf("%+v", s)
	}
	if err := c.Remove(t.Context(), a); err != nil || len(j.deleted) != 1 || j.deleted[0] != "/apis/batch/v1/namespaces/plumb/jobs/"+j.made.Name {
		t.Errorf("%v, deleted %q", err, j.deleted)
	}
	if err := c.Remove(t.Context(), Agent{}); err != nil || len(j.deleted) != 1 {
		t.Errorf("an agent that was never made: %v, deleted %q", err, j.deleted)
	}
}

func TestRunOnFails(t *testing.T) {
	failed := corev1.PodStatus{Phase: corev1.PodFailed, ContainerStatuses: []corev1.ContainerStatus{{
		State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{Reason: "Error", ExitCode: 2}},
	}}}
	for _, tt := range []struct {
		name   string
		state  corev1.PodStatus
		silent bool
		want   string
	}{
		{"never ready", waiting, false, "node node-a: the agent for this run is not ready: ImagePullBackOff: not found"},
		{"never ready, and then no answer", waiting, true, "node node-a: the agent for this run is not ready: ImagePullBackOff: not found"},
		{"ended", failed, false, "node node-a: the agent for this run failed: Error, exit status 2"},
		{"evicted", corev1.PodStatus{Phase: corev1.PodFailed, Message: "The node was low on resource: memory."}, false, "failed: The node was low on resource: memory."},
	} {
		t.Run(tt.name, func(t *testing.T) {
			j := &jobs{states: []corev1.PodStatus{tt.state}, silent: tt.silent}
			c := connect(t, j.routes(t))
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
			defer cancel()
			a, err := c.RunOn(ctx, Run{Namespace: "plumb"}, "node-a")
			if err == nil || !strings.HasSuffix(err.Error(), tt.want) {
				t.Errorf("%v, want %s", err, tt.want)
			}
			if err := c.Remove(t.Context(), a); err != nil || len(j.deleted) != 1 {
				t.Errorf("its Job stays: %v, deleted %q", err, j.deleted)
			}
		})
	}
	t.Run("forbidden", func(t *testing.T) {
		c := connect(t, (&jobs{}).routes(t))
		a, err := c.RunOn(t.Context(), Run{Namespace: "kube-system"}, "node-a")
		want := `needs apiGroups: ["batch"], resources: ["jobs"], verbs: ["create"] in namespace kube-system`
		if err == nil || !strings.HasSuffix(err.Error(), want) {
			t.Errorf("%v", err)
		}
		if err := c.Remove(t.Context(), a); err != nil {
			t.Error(err)
		}
	})
}

// TestRule prints the rule of RBAC that would help.
func TestRule(t *testing.T) {
	for _, tt := range []struct {
		in   Forbidden
		want string
	}{
		{Forbidden{Verb: "list", Resource: "pods"}, `apiGroups: [""], resources: ["pods"], verbs: ["list"]`},
		{Forbidden{Verb: "get", Resource: "configmaps", Namespace: "kube-system", Name: "coredns"}, `apiGroups: [""], resources: ["configmaps"], verbs: ["get"], resourceNames: ["coredns"] in namespace kube-system`},
	} {
		if got := tt.in.Rule(); got != tt.want {
			t.Errorf("%s, want %s", got, tt.want)
		}
	}
}

// TestRunOnNothingInstalled wants an agent where the namespace of the installed ones does not exist.
func TestRunOnNothingInstalled(t *testing.T) {
	var asked []string
	c := connect(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, strings.TrimPrefix(r.URL.Path, "/behind/a/path"))
		switch {
		case strings.Contains(r.URL.Path, "/namespaces/plumb/"):
			refuse(w, http.StatusNotFound, metav1.Status{Message: `namespaces "plumb" not found`})
		case r.Method == http.MethodPost:
			json.NewEncoder(w).Encode(batchv1.Job{})
		default:
			protobuf(t, w, &corev1.PodList{Items: []corev1.Pod{{Status: ready}}})
		}
	}))
	a, err := c.RunOn(t.Context(), Run{Namespace: "plumb", Image: "plumbd:v1", For: time.Minute}, "node-a")
	if err != nil || a.Namespace != "kube-system" {
		t.Errorf("%+v, %v", a, err)
	}
	want := []string{"/apis/batch/v1/namespaces/plumb/jobs", "/apis/batch/v1/namespaces/kube-system/jobs", "/api/v1/namespaces/kube-system/pods"}
	if !slices.Equal(asked, want) {
		t.Errorf("asked %v, want %v", asked, want)
	}
}
