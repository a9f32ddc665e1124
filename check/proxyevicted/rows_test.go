package proxyevicted

import (
	"slices"
	"testing"

	"github.com/plumbnet/plumb/check"
	"github.com/plumbnet/plumb/check/checktest"
	corev1 "k8s.io/api/core/v1"
)

const pod = "kube-system/kube-proxy-node-b"

// waits has node-b's kube-proxy wait, with a priority class.
func waits(class string) func(*checktest.Facts) {
	return func(f *checktest.Facts) {
		p := f.Pod(pod)
		p.Status = corev1.PodStatus{Phase: corev1.PodPending, Conditions: []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: "Unschedulable"}}}
		p.Spec.PriorityClassName = class
	}
}

// gone takes Pods of kube-proxy away.
func gone(names ...string) func(*checktest.Facts) {
	return func(f *checktest.Facts) {
		f.Objects.Pods = slices.DeleteFunc(f.Objects.Pods, func(p corev1.Pod) bool { return slices.Contains(names, p.Name) })
	}
}

func TestRuns(t *testing.T) {
	const says = "error: node/node-b: proxy-evicted: kube-proxy does not run on the node: "
	checktest.Rows(t, checktest.Flannel, []*check.Check{Check}, []checktest.Row{
		{Name: "as recorded"},
		{Name: "pending, without priority", Edit: waits(""), Want: says + pod + " is Pending: Unschedulable; its priority class is \"\", not system-node-critical",
			Fix: []string{`kubectl -n kube-system patch daemonset kube-proxy -p '{"spec":{"template":{"spec":{"priorityClassName":"system-node-critical"}}}}'`}},
		{Name: "pending, with the other critical class", Edit: waits("system-cluster-critical"),
			Want: says + pod + " is Pending: Unschedulable; its priority class is \"system-cluster-critical\", not system-node-critical"},
		{Name: "pending, with the right priority", Edit: waits("system-node-critical"), Want: says + pod + " is Pending: Unschedulable", Fix: []string{}},
		{Name: "running, but not ready", Edit: func(f *checktest.Facts) {
			waits("system-node-critical")(f)
			f.Pod(pod).Status = corev1.PodStatus{Phase: corev1.PodRunning, ContainerStatuses: []corev1.ContainerStatus{
				{Name: "kube-proxy", State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff"}}}}}
		}, Want: says + pod + " is Running: kube-proxy CrashLoopBackOff"},
		{Name: "no Pod there", Edit: gone("kube-proxy-node-b"), Want: says + "it has no Pod there"},
		{Name: "no Pod anywhere, and a DaemonSet that wants them", Edit: gone("kube-proxy-node-a", "kube-proxy-node-b", "kube-proxy-node-c"),
			Want: "error: node/node-a node/node-b node/node-c: proxy-evicted: kube-proxy does not run on 3 nodes (node-a, node-b, node-c): it has no Pod there", Fix: []string{}},
		{Name: "pending on two nodes, and gone from the third", Edit: func(f *checktest.Facts) {
			waits("")(f)
			other := f.Pod("kube-system/kube-proxy-node-a")
			other.Status, other.Spec.PriorityClassName = f.Pod(pod).Status, ""
			gone("kube-proxy-node-c")(f)
		}, Want: "error: node/node-a node/node-b: proxy-evicted: kube-proxy does not run on 2 nodes (node-a, node-b): kube-system/kube-proxy-node-a, for one, is Pending: Unschedulable; its priority class is \"\", not system-node-critical\n" +
			"error: node/node-c: proxy-evicted: kube-proxy does not run on the node: it has no Pod there",
			Fix: []string{`kubectl -n kube-system patch daemonset kube-proxy -p '{"spec":{"template":{"spec":{"priorityClassName":"system-node-critical"}}}}'`}},
		{Name: "pending with two priorities", Edit: func(f *checktest.Facts) {
			waits("")(f)
			other := f.Pod("kube-system/kube-proxy-node-a")
			other.Status, other.Spec.PriorityClassName = f.Pod(pod).Status, "system-node-critical"
		}, Want: "error: node/node-a: proxy-evicted: kube-proxy does not run on the node: kube-system/kube-proxy-node-a is Pending: Unschedulable\n" +
			says + pod + " is Pending: Unschedulable; its priority class is \"\", not system-node-critical"},
		{Name: "neither Pods nor a DaemonSet", Edit: func(f *checktest.Facts) {
			gone("kube-proxy-node-a", "kube-proxy-node-b", "kube-proxy-node-c")(f)
			f.Objects.DaemonSets = nil
		}, Want: "? objects/Pod: proxy-evicted: no kube-proxy Pod: it may run as a service of the node, or not at all"},
		{Name: "Pods were not collected", Without: []string{"objects/pods.json"}, Want: "? objects/Pod: proxy-evicted: not collected"},
		{Name: "nodes were not collected", Without: []string{"objects/nodes.json"}, Want: "? objects/Node: proxy-evicted: not collected"},
	})
}
