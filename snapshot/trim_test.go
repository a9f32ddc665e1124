package snapshot

import (
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestTrim fills every place that may hold a secret with that word, and looks for it afterwards.
func TestTrim(t *testing.T) {
	secret := map[string]string{"note": "secret", lastApplied: "secret", "flannel.alpha.coreos.com/public-ip": "10.0.0.1"}
	meta := metav1.ObjectMeta{Namespace: "kube-system", Name: "coredns", ManagedFields: []metav1.ManagedFieldsEntry{{Manager: "secret"}}}
	annotated := func() metav1.ObjectMeta {
		m := *meta.DeepCopy()
		m.Annotations = map[string]string{}
		for k, v := range secret {
			m.Annotations[k] = v
		}
		return m
	}
	probe := &corev1.Probe{
		PeriodSeconds: 10,
		ProbeHandler: corev1.ProbeHandler{
			Exec:    &corev1.ExecAction{Command: []string{"secret"}},
			HTTPGet: &corev1.HTTPGetAction{Path: "/healthz?key=secret", HTTPHeaders: []corev1.HTTPHeader{{Name: "Authorization", Value: "secret"}}},
		},
	}
	container := corev1.Container{
		Name: "web", Image: "web:1", Command: []string{"secret"}, Args: []string{"secret"}, WorkingDir: "secret",
		Env:            []corev1.EnvVar{{Name: "A", Value: "secret"}},
		EnvFrom:        []corev1.EnvFromSource{{Prefix: "secret"}},
		VolumeMounts:   []corev1.VolumeMount{{Name: "secret"}},
		Lifecycle:      &corev1.Lifecycle{PreStop: &corev1.LifecycleHandler{Exec: &corev1.ExecAction{Command: []string{"secret"}}}},
		Ports:          []corev1.ContainerPort{{Name: "http", ContainerPort: 80}},
		ReadinessProbe: probe, LivenessProbe: probe, StartupProbe: probe,
	}
	ended := corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 1, Reason: "Error", Message: "secret"}}
	status := corev1.ContainerStatus{Name: "web", State: ended, LastTerminationState: *ended.DeepCopy()}
	spec := corev1.PodSpec{
		NodeName: "a", HostNetwork: true, PriorityClassName: "high",
		Containers: []corev1.Container{container}, InitContainers: []corev1.Container{container},
		EphemeralContainers: []corev1.EphemeralContainer{{EphemeralContainerCommon: corev1.EphemeralContainerCommon{Command: []string{"secret"}}}},
		Volumes:             []corev1.Volume{{Name: "secret"}},
		ImagePullSecrets:    []corev1.LocalObjectReference{{Name: "secret"}},
	}
	template := corev1.PodTemplateSpec{ObjectMeta: annotated(), Spec: *spec.DeepCopy()}
	o := Objects{
		Pods: []corev1.Pod{{ObjectMeta: annotated(), Spec: *spec.DeepCopy(), Status: corev1.PodStatus{
			PodIP: "10.0.0.9", ContainerStatuses: []corev1.ContainerStatus{status}, InitContainerStatuses: []corev1.ContainerStatus{status},
			EphemeralContainerStatuses: []corev1.ContainerStatus{status},
		}}},
		Nodes:        []corev1.Node{{ObjectMeta: annotated(), Status: corev1.NodeStatus{Images: []corev1.ContainerImage{{Names: []string{"secret"}}}}}},
		Services:     []corev1.Service{{ObjectMeta: annotated()}},
		DaemonSets:   []appsv1.DaemonSet{{ObjectMeta: annotated(), Spec: appsv1.DaemonSetSpec{Template: *template.DeepCopy()}}},
		Deployments:  []appsv1.Deployment{{ObjectMeta: annotated(), Spec: appsv1.DeploymentSpec{Template: *template.DeepCopy()}}},
		ReplicaSets:  []appsv1.ReplicaSet{{ObjectMeta: annotated(), Spec: appsv1.ReplicaSetSpec{Template: *template.DeepCopy()}}},
		StatefulSets: []appsv1.StatefulSet{{ObjectMeta: annotated(), Spec: appsv1.StatefulSetSpec{Template: *template.DeepCopy(), VolumeClaimTemplates: []corev1.PersistentVolumeClaim{{ObjectMeta: metav1.ObjectMeta{Name: "secret"}}}}}},
		ConfigMaps: []corev1.ConfigMap{
			{ObjectMeta: annotated(), Data: map[string]string{"Corefile": ".:53 {}"}},
			{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "coredns"}, Data: map[string]string{"app": "secret"}},
		},
	}
	o.Trim()
	files, err := EncodeObjects(&o)
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range files {
		if at := strings.Index(string(data), "secret"); at >= 0 {
			t.Errorf("%s: …%s", name, data[max(0, at-80):at+6])
		}
	}
	for name, keep := range map[string][]string{
		"objects/pods.json":       {"public-ip", "10.0.0.9", `"nodeName":"a"`, `"priorityClassName":"high"`, `"containerPort":80`, `"path":"/healthz"`, `"periodSeconds":10`, `"reason":"Error"`, "web:1"},
		"objects/configmaps.json": {"Corefile"},
		"objects/nodes.json":      {"public-ip"},
	} {
		for _, k := range keep {
			if !strings.Contains(string(files[name]), k) {
				t.Errorf("%s: %q is gone", name, k)
			}
		}
	}
}

// TestEncodeObjects reads back what was written, and tells a kind without objects from one that was not collected.
func TestEncodeObjects(t *testing.T) {
	in := JoinObjects(
		Objects{Pods: []corev1.Pod{{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "b"}}, {ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "a"}}}, Have: map[string]bool{"Pod": true}},
		Objects{Have: map[string]bool{"NetworkPolicy": true}},
	)
	files, err := EncodeObjects(&in)
	if err != nil {
		t.Fatal(err)
	}
	c, err := Read(files)
	if err != nil {
		t.Fatal(err)
	}
	out := c.Objects
	if len(out.Pods) != 2 || out.Pods[0].Name != "a" || !out.Have["Pod"] || !out.Have["NetworkPolicy"] || out.Have["Service"] {
		t.Errorf("Pods %d, have %v", len(out.Pods), out.Have)
	}
	for key, file := range in.Source {
		if out.Source[key] != file {
			t.Errorf("%s: from %q, said to be from %q", key, out.Source[key], file)
		}
	}
}
