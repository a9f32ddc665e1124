//go:build linux

package bench

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/plumbnet/plumb/collect/kube/kubetest"
	"github.com/plumbnet/plumb/lab/sandbox"
	"github.com/plumbnet/plumb/snapshot"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// A big cluster: what Kubernetes supports are five times as many nodes, and three times as many Pods.
const (
	fleetNodes   = 1000
	podsOfNode   = 50
	envOfPod     = 20
	recordedPods = "../../check/checktest/testdata/flannel.txtar"
)

// BenchmarkFleet asks about a path over two nodes of a thousand, with 50,000 Pods, the objects
// and the agents being served at the level of HTTP.
func BenchmarkFleet(b *testing.B) {
	sandbox.Need(b)
	if out, err := exec.Command("ip", "link", "set", "lo", "up").CombinedOutput(); err != nil {
		b.Fatalf("%v\n%s", err, out)
	}
	s := bigCluster(b)
	config := filepath.Join(b.TempDir(), "config")
	if err := os.WriteFile(config, s.Start(), 0o600); err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	plumb := build(b)
	for _, tt := range []struct {
		name string
		argv []string
	}{
		{"a path over 2 nodes", []string{plumb, "diagnose", "--kubeconfig", config, "-s", "shop/web-0", "-d", "shop/web-1:8080"}},
	} {
		b.Run(tt.name, func(b *testing.B) {
			var sum cost
			before := len(s.Asked())
			for b.Loop() {
				c := run(b, tt.argv...)
				sum = cost{max(sum.RSS, c.RSS), sum.CPU + c.CPU}
			}
			snapshots := 0
			for _, a := range s.Asked()[before:] {
				if strings.Contains(a, " snapshot") {
					snapshots++
				}
			}
			b.ReportMetric(float64(sum.RSS)*1024/1e6, "MB-RSS")
			b.ReportMetric(float64(sum.CPU.Milliseconds())/float64(b.N), "cpu-ms/op")
			b.ReportMetric(float64(snapshots)/float64(b.N), "snapshots/op")
		})
	}
}

// bigCluster is a recorded cluster of three nodes, and many more beside it.
func bigCluster(b *testing.B) *kubetest.Server {
	b.Helper()
	f, err := os.Open(recordedPods)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	files, _, err := snapshot.Unpack(recordedPods, f)
	if err != nil {
		b.Fatal(err)
	}
	s, err := kubetest.FromFiles(files)
	if err != nil {
		b.Fatal(err)
	}
	o := &s.Objects
	for i := len(o.Nodes); i < fleetNodes; i++ {
		node := fmt.Sprintf("node-%d", i)
		o.Nodes = append(o.Nodes, corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: node}})
		for j := range podsOfNode {
			o.Pods = append(o.Pods, busyPod(node, fmt.Sprintf("app-%d-%d", i, j), fmt.Sprintf("10.%d.%d.%d", 100+i/256, i%256, j+2)))
		}
	}
	return s
}

// busyPod is as large as real Pods are.
func busyPod(node, name, ip string) corev1.Pod {
	c := corev1.Container{Name: "app", Image: "app:v1.2.3", Ports: []corev1.ContainerPort{{Name: "http", ContainerPort: 8080}}}
	for i := range envOfPod {
		c.Env = append(c.Env, corev1.EnvVar{Name: fmt.Sprintf("SETTING_%d", i), Value: strings.Repeat("x", 60)})
	}
	return corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "apps", Name: name, UID: "0b6ba6b0-5a4f-4f0b-9d11-6d6f2f1f7a51", Labels: map[string]string{"app": "app", "pod-template-hash": "6c9f7d5b8"},
			ManagedFields: []metav1.ManagedFieldsEntry{{Manager: "kubelet", FieldsV1: metav1.NewFieldsV1(strings.Repeat(`{"f:x":{}}`, 150))}},
		},
		Spec:   corev1.PodSpec{NodeName: node, Containers: []corev1.Container{c}},
		Status: corev1.PodStatus{Phase: corev1.PodRunning, PodIP: ip, PodIPs: []corev1.PodIP{{IP: ip}}, ContainerStatuses: []corev1.ContainerStatus{{Name: "app", Ready: true}}},
	}
}
