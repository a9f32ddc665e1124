package nodenotready

import (
	"slices"
	"testing"

	"github.com/plumbnet/plumb/check"
	"github.com/plumbnet/plumb/check/checktest"
	"github.com/plumbnet/plumb/check/path"
	corev1 "k8s.io/api/core/v1"
)

// ready sets node-c's word about itself.
func ready(status corev1.ConditionStatus, reason, message string) func(*checktest.Facts) {
	return func(f *checktest.Facts) {
		f.Node("node-c").Status.Conditions = []corev1.NodeCondition{
			{Type: corev1.NodeMemoryPressure, Status: status},
			{Type: corev1.NodeReady, Status: status, Reason: reason, Message: message},
		}
	}
}

// silent is the word of the control plane about a node of which it hears nothing.
var silent = ready(corev1.ConditionUnknown, "NodeStatusUnknown", "Kubelet stopped posting node status.")

const says = "error: node/node-c: node-not-ready: the node is not ready: "

func TestConditions(t *testing.T) {
	checktest.Rows(t, checktest.Flannel, []*check.Check{Check}, []checktest.Row{
		{Name: "as recorded"},
		{Name: "silent", Edit: silent, Want: says + "NodeStatusUnknown: Kubelet stopped posting node status.", Fix: []string{"kubectl describe node node-c"}},
		{Name: "the runtime is down", Edit: ready(corev1.ConditionFalse, "KubeletNotReady", "container runtime is down"), Want: says + "KubeletNotReady: container runtime is down"},
		{Name: "silent since it lacked a network plugin", Edit: ready(corev1.ConditionUnknown, "NodeStatusUnknown", "cni"), Want: says + "NodeStatusUnknown: cni"},
		{Name: "lacks a network plugin, as cni-missing tells", Edit: ready(corev1.ConditionFalse, "KubeletNotReady", "cni plugin not initialized")},
		{Name: "ready", Edit: ready(corev1.ConditionTrue, "KubeletReady", "kubelet is posting ready status")},
		{Name: "nodes were not collected", Without: []string{"objects/nodes.json"}, Want: "? objects/Node: node-not-ready: not collected"},
	})
}

// TestExplains: that the node's agents are not ready follows, and so do packets that
// die on their way to a node of which nothing is known.
func TestExplains(t *testing.T) {
	const toC, toB = "from shop/web-0\nto 10.244.2.2:8080", "from shop/web-0\nto 10.244.1.2:8080"
	unanswered := []checktest.Swap{{File: "nodes/node-a/host/neigh.json", Old: `"dst":"192.168.10.13","lladdr":"0a:2c:d5:e2:9d:b9","state":["REACHABLE"]`, New: `"dst":"192.168.10.13","state":["FAILED"]`}}
	for _, c := range []struct {
		name   string
		row    checktest.Row
		onPath bool
	}{
		{"a packet that arrives", checktest.Row{Edit: silent, Ask: toC}, false},
		{"a packet to a node that is known and does not answer", checktest.Row{Edit: silent, Ask: toC, Swap: unanswered}, false},
		{"a packet to a node of which nothing is known", checktest.Row{Edit: silent, Ask: toC, Swap: unanswered, Without: []string{"nodes/node-c"}}, true},
		{"a packet that has nothing to do with it", checktest.Row{Edit: silent, Ask: toB, Without: []string{"nodes/node-c"}}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := checktest.RunRow(t, checktest.Flannel, c.row, Check, path.Check)
			i := slices.IndexFunc(r.Findings, func(f check.Finding) bool { return f.Check == Check.Name })
			if i < 0 || r.Findings[i].OnPath != c.onPath {
				t.Fatalf("%+v, want one that is on the path: %v", r.Findings, c.onPath)
			}
			for _, agent := range []string{"proxy-evicted", "cni-missing"} {
				if !slices.Contains(r.Findings[i].Explains, check.Symptom{Check: agent, Where: "node/node-c"}) {
					t.Errorf("does not explain %s", agent)
				}
			}
		})
	}
}
