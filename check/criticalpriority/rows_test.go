package criticalpriority

import (
	"testing"

	"github.com/plumbnet/plumb/check"
	"github.com/plumbnet/plumb/check/checktest"
)

func TestClasses(t *testing.T) {
	set := func(ds, dns string) func(*checktest.Facts) {
		return func(f *checktest.Facts) {
			for i := range f.Objects.DaemonSets {
				if f.Objects.DaemonSets[i].Name == "kube-proxy" {
					f.Objects.DaemonSets[i].Spec.Template.Spec.PriorityClassName = ds
				}
			}
			f.Objects.Deployments[0].Spec.Template.Spec.PriorityClassName = dns
		}
	}
	const node, cluster = "system-node-critical", "system-cluster-critical"
	const after = ": on a full node it is evicted, and the node's network with it"
	checktest.Rows(t, checktest.Flannel, []*check.Check{Check}, []checktest.Row{
		{Name: "as recorded"},
		{Name: "kube-proxy without", Edit: set("", cluster), Want: "warning: daemonset/kube-system/kube-proxy: critical-priority: its priority class is \"\"" + after,
			Fix: []string{`kubectl -n kube-system patch DaemonSet kube-proxy -p '{"spec":{"template":{"spec":{"priorityClassName":"system-node-critical"}}}}'`}},
		{Name: "kube-proxy with one of the user's", Edit: set("high", cluster), Want: "warning: daemonset/kube-system/kube-proxy: critical-priority: its priority class is \"high\"" + after},
		{Name: "kube-proxy with the other critical one", Edit: set(cluster, cluster)},
		{Name: "DNS without", Edit: set(node, ""), Want: "warning: deployment/kube-system/coredns: critical-priority: its priority class is \"\"" + after,
			Fix: []string{`kubectl -n kube-system patch Deployment coredns -p '{"spec":{"template":{"spec":{"priorityClassName":"system-cluster-critical"}}}}'`}},
		{Name: "DNS without, scaled to nothing", Edit: func(f *checktest.Facts) {
			set(node, "")(f)
			f.Objects.Deployments[0].Spec.Replicas = new(int32)
		}},
		{Name: "an application without", Edit: func(f *checktest.Facts) {
			set(node, "")(f)
			f.Objects.Deployments[0].Spec.Template.Labels = map[string]string{"app": "shop"}
		}},
	})
	checktest.Rows(t, checktest.Flannel, []*check.Check{Check}, []checktest.Row{
		{Name: "neither kind was collected", Without: []string{"objects/deployments.json", "objects/daemonsets.json"},
			Want: "? objects/DaemonSet: critical-priority: no objects of this kind were collected"},
		{Name: "DaemonSets were not collected, but Deployments", Without: []string{"objects/daemonsets.json"},
			Edit: func(f *checktest.Facts) { f.Objects.Deployments[0].Spec.Template.Spec.PriorityClassName = "" },
			Want: "warning: deployment/kube-system/coredns: critical-priority: its priority class is \"\"" + after},
	})
}
