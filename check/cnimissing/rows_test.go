package cnimissing

import (
	"slices"
	"testing"

	"github.com/plumbnet/plumb/check"
	"github.com/plumbnet/plumb/check/checktest"
	corev1 "k8s.io/api/core/v1"
)

const agent = "kube-flannel/kube-flannel-ds-node-c"

// condition sets a condition of node-c.
func condition(kind corev1.NodeConditionType, status corev1.ConditionStatus, reason, message string) func(*checktest.Facts) {
	return func(f *checktest.Facts) {
		s := &f.Node("node-c").Status
		s.Conditions = []corev1.NodeCondition{{Type: kind, Status: status, Reason: reason, Message: message}}
	}
}

func crashes(f *checktest.Facts) {
	f.Pod(agent).Status = corev1.PodStatus{Phase: corev1.PodRunning, ContainerStatuses: []corev1.ContainerStatus{
		{Name: "kube-flannel", State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff"}}}}}
}

func TestAgent(t *testing.T) {
	const says = "error: node/node-c: cni-missing: "
	checktest.Rows(t, checktest.Flannel, []*check.Check{Check}, []checktest.Row{
		{Name: "as recorded"},
		{Name: "crashing", Edit: crashes, Want: says + "the CNI agent does not run on the node: " + agent + " is Running: kube-flannel CrashLoopBackOff"},
		{Name: "no Pod there", Edit: func(f *checktest.Facts) {
			f.Objects.Pods = slices.DeleteFunc(f.Objects.Pods, func(p corev1.Pod) bool { return p.Namespace+"/"+p.Name == agent })
		}, Want: says + "the CNI agent of kube-flannel/kube-flannel-ds has no Pod on the node"},
		{Name: "crashing on two nodes, and no Pod on the third", Edit: func(f *checktest.Facts) {
			crashes(f)
			f.Pod("kube-flannel/kube-flannel-ds-node-b").Status = f.Pod(agent).Status
			f.Objects.Pods = slices.DeleteFunc(f.Objects.Pods, func(p corev1.Pod) bool { return p.Name == "kube-flannel-ds-node-a" })
		}, Want: "error: node/node-a: cni-missing: the CNI agent of kube-flannel/kube-flannel-ds has no Pod on the node\n" +
			"error: node/node-b node/node-c: cni-missing: the CNI agent does not run on the node: kube-flannel/kube-flannel-ds-node-b is Running: kube-flannel CrashLoopBackOff; the same on 2 nodes: node-b, node-c"},
		{Name: "the kubelet misses the plugin", Edit: condition(corev1.NodeReady, corev1.ConditionFalse, "KubeletNotReady", "container runtime network not ready: NetworkReady=false reason:NetworkPluginNotReady message:Network plugin returns error: cni plugin not initialized"),
			Want: says + "the node is not ready for want of a CNI configuration: KubeletNotReady: container runtime network not ready: NetworkReady=false reason:NetworkPluginNotReady message:Network plugin returns error: cni plugin not initialized"},
		{Name: "the cloud says that the network is not there", Edit: condition(corev1.NodeNetworkUnavailable, corev1.ConditionTrue, "NoRouteCreated", "no route"),
			Want: says + "the node is not ready for want of a CNI configuration: NoRouteCreated: no route"},
		{Name: "not ready for another reason", Edit: condition(corev1.NodeReady, corev1.ConditionFalse, "KubeletNotReady", "PLEG is not healthy")},
		{Name: "ready, and its message speaks of cni", Edit: condition(corev1.NodeReady, corev1.ConditionTrue, "KubeletReady", "cni is well")},
		{Name: "crashing and not ready: said once", Edit: func(f *checktest.Facts) {
			crashes(f)
			condition(corev1.NodeNetworkUnavailable, corev1.ConditionTrue, "FlannelIsDown", "down")(f)
		}, Want: says + "the CNI agent does not run on the node: " + agent + " is Running: kube-flannel CrashLoopBackOff"},
		{Name: "nodes were not collected", Without: []string{"objects/nodes.json"}, Want: "? objects/Node: cni-missing: not collected"},
	})
	checktest.Rows(t, checktest.Kubenet, []*check.Check{Check}, []checktest.Row{
		{Name: "kubenet has no agent"},
	})
}

// TestExplains: routes that are missing on, or to, a node whose agent does not run follow from that.
func TestExplains(t *testing.T) {
	r := checktest.RunRow(t, checktest.Flannel, checktest.Row{Edit: crashes}, Check)
	for _, c := range drifts {
		for _, where := range []string{"node-c", "node/node-c"} {
			if !slices.Contains(r.Findings[0].Explains, check.Symptom{Check: c, Where: where}) {
				t.Errorf("does not explain %s of %s", c, where)
			}
		}
	}
}
